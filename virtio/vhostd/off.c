// SPDX-License-Identifier: BSD-3-Clause
/*
 * The headers come from a guest: what the flags say of them was checked by nobody, so each length
 * is checked here against what is there, and everything that does not fit is dropped.
 */
#include "virtio/vhostd/off.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#define SEGS_SIZE_MIN 88 /* as small as a TCP's MSS gets; less is somebody keeping us busy */

/* Where the transport header is, with room in the first segment for its checksum; 0: nowhere. */
static unsigned int l4_offset(const struct rte_mbuf *m, unsigned int l4_size)
{
	unsigned int off = (unsigned int)(m->l2_len + m->l3_len);
	bool v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;

	if (m->l2_len < RTE_ETHER_HDR_LEN || (v4 && m->l3_len < sizeof(struct rte_ipv4_hdr)) ||
	    (!v4 && m->l3_len != sizeof(struct rte_ipv6_hdr)) || off + l4_size > m->data_len)
		return 0;
	return off;
}

static uint16_t l4_sum(const struct rte_mbuf *m, const void *ip, unsigned int off)
{
	return m->ol_flags & RTE_MBUF_F_TX_IPV4 ? rte_ipv4_udptcp_cksum_mbuf(m, ip, (uint16_t)off)
						: rte_ipv6_udptcp_cksum_mbuf(m, ip, (uint16_t)off);
}

/* The checksums that the flags ask for. */
static bool sums_fill(struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	bool udp = l4 == RTE_MBUF_F_TX_UDP_CKSUM;
	unsigned int off;
	char *data = rte_pktmbuf_mtod(m, char *);
	void *ip = data + m->l2_len;

	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		l4 = RTE_MBUF_F_TX_TCP_CKSUM;
	if (l4 && l4 != RTE_MBUF_F_TX_TCP_CKSUM && !udp)
		return false;
	off = l4_offset(m, !l4 ? 0 : udp ? sizeof(struct rte_udp_hdr) : sizeof(struct rte_tcp_hdr));
	if (!off)
		return false;
	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *h = ip;

		if (rte_ipv4_hdr_len(h) > m->l3_len || rte_ipv4_hdr_len(h) < sizeof(*h))
			return false;
		h->hdr_checksum = 0;
		h->hdr_checksum = rte_ipv4_cksum(h);
	}
	if (udp) {
		struct rte_udp_hdr *u = (void *)(data + off);

		u->dgram_cksum = 0;
		u->dgram_cksum = l4_sum(m, ip, off);
	} else if (l4) {
		struct rte_tcp_hdr *t = (void *)(data + off);

		t->cksum = 0;
		t->cksum = l4_sum(m, ip, off);
	}
	m->ol_flags &= ~OFF_ALL;
	return true;
}

/* struct cut - a TCP packet that is cut: headers of hdr bytes, payload in pieces of mss */
struct cut {
	const struct rte_mbuf *m;
	unsigned int l4, hdr, mss, payload;
	bool v4;
};

/* The copied headers of the piece that starts off bytes into the payload. */
static void piece_headers(const struct cut *c, struct rte_mbuf *s, unsigned int index,
			  unsigned int off, unsigned int len)
{
	char *data = rte_pktmbuf_mtod(s, char *);
	struct rte_tcp_hdr *t = (void *)(data + c->l4);
	bool last = off + len == c->payload;

	s->ol_flags = c->m->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	s->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	s->l2_len = c->m->l2_len;
	s->l3_len = c->m->l3_len;
	if (c->v4) {
		struct rte_ipv4_hdr *h = (void *)(data + c->m->l2_len);

		h->total_length = rte_cpu_to_be_16((uint16_t)(c->hdr + len - c->m->l2_len));
		h->packet_id = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(h->packet_id) + index));
		s->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	} else {
		struct rte_ipv6_hdr *h = (void *)(data + c->m->l2_len);

		h->payload_len =
			rte_cpu_to_be_16((uint16_t)(c->hdr + len - c->m->l2_len - sizeof(*h)));
	}
	t->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(t->sent_seq) + off);
	/* These belong to the last piece only; "congestion window reduced" to the first. */
	if (!last)
		t->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (index)
		t->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
}

/* len bytes of m from off to the end of s; they are known to be there and to fit. */
static void bytes_append(struct rte_mbuf *s, const struct rte_mbuf *m, unsigned int off,
			 unsigned int len)
{
	char *to = rte_pktmbuf_append(s, (uint16_t)len);
	const void *from = rte_pktmbuf_read(m, off, len, to);

	if (from != to)
		memcpy(to, from, len);
}

static struct rte_mbuf *piece_new(const struct cut *c, struct rte_mempool *pool, unsigned int index,
				  unsigned int off)
{
	unsigned int len = MIN(c->mss, c->payload - off);
	struct rte_mbuf *s = rte_pktmbuf_alloc(pool);

	if (!s)
		return NULL;
	bytes_append(s, c->m, 0, c->hdr);
	bytes_append(s, c->m, c->hdr + off, len);
	piece_headers(c, s, index, off, len);
	if (sums_fill(s))
		return s;
	rte_pktmbuf_free(s);
	return NULL;
}

static bool cut_init(struct cut *c, const struct rte_mbuf *m)
{
	const struct rte_tcp_hdr *t;
	unsigned int thl;

	*c = (struct cut){ .m = m, .v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4, .mss = m->tso_segsz };
	c->l4 = l4_offset(m, sizeof(*t));
	if (!c->l4 || m->ol_flags & RTE_MBUF_F_TX_UDP_SEG)
		return false;
	t = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, c->l4);
	thl = (t->data_off >> 4) * 4u;
	c->hdr = c->l4 + thl;
	if (thl < sizeof(*t) || c->hdr > m->data_len || c->hdr >= m->pkt_len)
		return false;
	c->payload = m->pkt_len - c->hdr;
	return c->mss >= SEGS_SIZE_MIN && c->hdr + c->mss <= RTE_MBUF_DEFAULT_DATAROOM &&
	       c->payload <= c->mss * OFF_SEGS_MAX;
}

/* Copies: the pieces are to be checksummed, so all is read anyway. */
static int tcp_cut(struct rte_mempool *pool, const struct rte_mbuf *m, struct rte_mbuf **out)
{
	unsigned int off, n = 0;
	struct cut c;

	if (!cut_init(&c, m))
		return -1;
	for (off = 0; off < c.payload; off += c.mss) {
		out[n] = piece_new(&c, pool, n, off);
		if (!out[n]) {
			rte_pktmbuf_free_bulk(out, n);
			return -1;
		}
		n++;
	}
	return (int)n;
}

int off_fix(struct rte_mempool *pool, struct rte_mbuf *m, bool tso, bool csum,
	    struct rte_mbuf **out)
{
	int n = 1;

	out[0] = m;
	if (!off_needed(m->ol_flags, tso, csum))
		return 1;
	if (m->ol_flags & OFF_TSO) {
		n = tcp_cut(pool, m, out);
		rte_pktmbuf_free(m);
		return n;
	}
	if (sums_fill(m))
		return 1;
	rte_pktmbuf_free(m);
	return -1;
}
