// SPDX-License-Identifier: BSD-3-Clause
/* Checksums and segments made in software, judged by DPDK's verification. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "tests/unit/vhostd/sw.h"
#include "virtio/vhostd/off.h"

struct headers {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
} __attribute__((packed, aligned(2)));

struct headers6 {
	struct rte_ether_hdr eth;
	struct rte_ipv6_hdr ip;
	struct rte_tcp_hdr tcp;
} __attribute__((packed, aligned(2)));

/* Chained buffers of at most 1000 bytes, so that pieces straddle them. */
static struct rte_mbuf *chain(const void *head, size_t nhead, unsigned int payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_pool()), *s = m;
	unsigned int i, n;
	uint8_t *p;

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)nhead), head, nhead);
	for (i = 0; i < payload; i += n) {
		n = MIN(payload - i, 1000u);
		if (i) {
			s = rte_pktmbuf_alloc(test_pool());
			assert_non_null(s);
		}
		p = (uint8_t *)rte_pktmbuf_append(s, (uint16_t)n);
		for (unsigned int k = 0; k < n; k++)
			p[k] = (uint8_t)((i + k) * 7);
		if (s == m)
			continue;
		assert_int_equal(rte_pktmbuf_chain(m, s), 0);
	}
	return m;
}

static struct rte_mbuf *tcp4(unsigned int payload, unsigned int mss)
{
	struct headers h = { 0 };
	struct rte_mbuf *m;

	h.ip.version_ihl = 0x45;
	h.ip.next_proto_id = IPPROTO_TCP;
	h.ip.total_length = rte_cpu_to_be_16((uint16_t)(40 + payload));
	h.ip.packet_id = rte_cpu_to_be_16(65534);
	h.ip.src_addr = 0x01020304;
	h.ip.dst_addr = 0x05060708;
	h.tcp.data_off = 5 << 4;
	h.tcp.sent_seq = rte_cpu_to_be_32(0xfffffff0);
	h.tcp.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_CWR_FLAG;
	m = chain(&h, sizeof(h), payload);
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = (uint16_t)mss;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | (mss ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM);
	return m;
}

void off_checksums(void **st)
{
	struct rte_mbuf *m = tcp4(3001, 0), *out[OFF_SEGS_MAX];

	assert_int_equal(off_fix(test_pool(), m, false, true, out), 1);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
	assert_int_equal(off_fix(test_pool(), m, false, false, out), 1);
	assert_ptr_equal(out[0], m);
	assert_false(m->ol_flags & OFF_ALL);
	assert_int_equal(rte_ipv4_udptcp_cksum_mbuf_verify(
				 m, rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14), 34),
			 0);
	rte_pktmbuf_free(m);
}

static void check_piece(struct rte_mbuf *m, unsigned int i, unsigned int n, unsigned int mss,
			unsigned int payload)
{
	struct headers *h = rte_pktmbuf_mtod(m, struct headers *);
	unsigned int len = MIN(mss, payload - i * mss), k;
	uint8_t *p = (uint8_t *)(h + 1);

	assert_int_equal(m->pkt_len, sizeof(*h) + len);
	assert_int_equal(rte_be_to_cpu_16(h->ip.total_length), 40 + len);
	assert_int_equal(rte_be_to_cpu_16(h->ip.packet_id), (65534 + i) & 0xffff);
	assert_int_equal(rte_ipv4_cksum(&h->ip), 0);
	assert_int_equal(rte_be_to_cpu_32(h->tcp.sent_seq), 0xfffffff0 + i * mss);
	assert_int_equal(!!(h->tcp.tcp_flags & RTE_TCP_FIN_FLAG), i == n - 1);
	assert_int_equal(!!(h->tcp.tcp_flags & RTE_TCP_CWR_FLAG), i == 0);
	assert_int_equal(rte_ipv4_udptcp_cksum_mbuf_verify(m, &h->ip, 34), 0);
	for (k = 0; k < len; k++)
		assert_int_equal(p[k], (uint8_t)((i * mss + k) * 7));
}

void off_cuts_tcp(void **st)
{
	struct rte_mbuf *out[OFF_SEGS_MAX];
	struct headers6 h6 = { 0 };
	struct rte_mbuf *m;
	int i, n;

	n = off_fix(test_pool(), tcp4(60000, 1448), false, false, out);
	assert_int_equal(n, 42);
	for (i = 0; i < n; i++)
		check_piece(out[i], (unsigned int)i, 42, 1448, 60000);
	rte_pktmbuf_free_bulk(out, (unsigned int)n);

	h6.ip.vtc_flow = rte_cpu_to_be_32(6u << 28);
	h6.ip.proto = IPPROTO_TCP;
	h6.ip.payload_len = rte_cpu_to_be_16(20 + 5000);
	h6.tcp.data_off = 5 << 4;
	m = chain(&h6, sizeof(h6), 5000);
	m->l2_len = 14;
	m->l3_len = 40;
	m->tso_segsz = 1400;
	m->ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_SEG;
	n = off_fix(test_pool(), m, false, false, out);
	assert_int_equal(n, 4);
	for (i = 0; i < n; i++)
		assert_int_equal(rte_ipv6_udptcp_cksum_mbuf_verify(
					 out[i],
					 rte_pktmbuf_mtod_offset(out[i], struct rte_ipv6_hdr *, 14),
					 54),
				 0);
	rte_pktmbuf_free_bulk(out, (unsigned int)n);
}

/* What a hostile guest may claim: all of these end as a drop, and every buffer comes back. */
void off_refuses(void **st)
{
	static const struct {
		unsigned int l2, l3, mss, data_off, payload;
		uint64_t ol;
	} bad[] = {
		{ 14, 20, 1, 5, 60000, 0 },
		{ 14, 20, 0, 5, 3000, RTE_MBUF_F_TX_TCP_SEG },
		{ 14, 20, 100, 5, 60000, 0 },
		{ 14, 20, 1448, 4, 3000, 0 },
		{ 14, 20, 1448, 15, 0, 0 },
		{ 14, 500, 1448, 5, 100, 0 },
		{ 127, 511, 1448, 5, 60000, 0 },
		{ 0, 20, 1448, 5, 3000, 0 },
		{ 14, 8, 1448, 5, 3000, 0 },
		{ 14, 20, 9000, 5, 30000, 0 },
		{ 14, 20, 1448, 5, 3000, RTE_MBUF_F_TX_UDP_SEG },
	};
	unsigned int i, before = rte_mempool_avail_count(test_pool());
	struct rte_mbuf *out[OFF_SEGS_MAX];

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rte_mbuf *m = tcp4(bad[i].payload, bad[i].mss);

		m->l2_len = bad[i].l2;
		m->l3_len = bad[i].l3;
		m->ol_flags |= bad[i].ol;
		if (bad[i].ol & RTE_MBUF_F_TX_UDP_SEG)
			m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_SEG;
		rte_pktmbuf_mtod(m, struct headers *)->tcp.data_off =
			(uint8_t)(bad[i].data_off << 4);
		if (off_fix(test_pool(), m, false, false, out) != -1)
			fail_msg("case %u was taken", i);
	}
	assert_int_equal(rte_mempool_avail_count(test_pool()), before);
}
