// SPDX-License-Identifier: BSD-3-Clause
/*
 * Transmission (3.3, 3.4), on the I/O thread. Descriptors are copied once. A frame is gathered in a
 * buffer of ours, where its headers can be completed; the end of the wire gets it with a virtio-net
 * header that asks for what the card would have done: checksum, segmentation.
 *
 * The card lets the driver leave out lengths in the first headers of a large send (it fills them in
 * for each segment); whoever cuts them wants them for the whole.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "vmm/devices/e1000/e1000_priv.h"

#define BATCH	256
#define TCTL_EN 0x2u
#define ETH_MIN 60
#define VLAN_AT 12 /* behind the two addresses */
#define HDR	sizeof(struct virtio_net_hdr_v1)

/* Descriptor commands and offload bits (3.3.3, 3.3.6, 3.3.7). */
#define CMD_EOP	   0x01
#define CMD_IC	   0x04 /* legacy: insert checksum */
#define CMD_TSE	   0x04 /* data: part of a large send */
#define CMD_RS	   0x08
#define CMD_DEXT   0x20
#define CMD_VLE	   0x40
#define STA_DD	   0x1
#define POPTS_IXSM 0x1
#define POPTS_TXSM 0x2
#define TUCMD_TCP  0x01
#define TUCMD_IP   0x02 /* IPv4, else IPv6 */

struct desc {
	uint64_t addr;
	uint32_t lower, upper;
};

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

/* Ones' complement sum (RFC 1071), not inverted. */
static uint32_t sum16(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (; len > 1; p += 2, len -= 2)
		sum += get16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	return fold(sum);
}

/* ---- what the card does to headers ---- */

/* Lengths of the whole send: IPv4 total length, IPv6 payload length, and the TCP length that the
 * pseudo-header's checksum lacks. Offsets were checked. */
static void tso_lengths(uint8_t *f, size_t len, const struct e1000_ctx *c)
{
	uint32_t at = c->tucss + 16u;

	if (c->tucmd & TUCMD_IP)
		put16(f + c->ipcss + 2, (uint32_t)len - c->ipcss);
	else
		put16(f + c->ipcss + 4, (uint32_t)len - c->ipcss - 40);
	put16(f + at, fold((uint64_t)get16(f + at) + (len - c->tucss)));
}

static bool tso(struct e1000 *d, uint8_t *f, size_t len, struct virtio_net_hdr_v1 *h)
{
	const struct e1000_ctx *c = &d->ctx;

	if (!(c->tucmd & TUCMD_TCP) || !c->mss || c->hdrlen < c->tucss + 20u || c->hdrlen > len ||
	    c->tucss < c->ipcss + 20u || c->ipcss < 14 || len - c->ipcss > 0xffff)
		return false;
	if (!(c->tucmd & TUCMD_IP) && c->tucss < c->ipcss + 40u)
		return false;
	tso_lengths(f, len, c);
	if (len <= (size_t)c->hdrlen + c->mss) /* one segment: nothing to cut */
		return true;
	h->gso_type = c->tucmd & TUCMD_IP ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	h->gso_size = c->mss;
	h->hdr_len = c->hdrlen;
	e1000_stat(d, E1000_TSCTC, 1);
	return true;
}

/* IPv4 header checksum: over ipcss up to ipce, put at ipcso. */
static bool ip_checksum(uint8_t *f, size_t len, const struct e1000_ctx *c)
{
	size_t end = (size_t)c->ipcse + 1;

	if (c->ipcso + 2u > len || end > len || end <= c->ipcss)
		return false;
	put16(f + c->ipcso, 0);
	put16(f + c->ipcso, ~sum16(f + c->ipcss, end - c->ipcss) & 0xffff);
	return true;
}

static bool l4_checksum(size_t len, unsigned int start, unsigned int at,
			struct virtio_net_hdr_v1 *h)
{
	if (at < start || at + 2u > len)
		return false;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)start;
	h->csum_offset = (uint16_t)(at - start);
	return true;
}

/* A driver that asks for nonsense loses the frame. */
static bool offloads(struct e1000 *d, uint8_t *f, size_t len, struct virtio_net_hdr_v1 *h)
{
	const struct e1000_ctx *c = &d->ctx;

	if (!(d->tx_cmd & CMD_DEXT))
		return true;
	if (d->tx_cmd & CMD_TSE && !tso(d, f, len, h))
		return false;
	if (d->tx_popts & POPTS_IXSM && !ip_checksum(f, len, c))
		return false;
	if (d->tx_popts & POPTS_TXSM && !l4_checksum(len, c->tucss, c->tucso, h))
		return false;
	return !h->gso_type || h->flags;
}

static size_t vlan_insert(struct e1000 *d, uint8_t *f, size_t len, struct virtio_net_hdr_v1 *h)
{
	if (!(d->tx_cmd & CMD_VLE) || !(e1000_get(d, E1000_CTRL) & E1000_CTRL_VME) || len < VLAN_AT)
		return len;
	memmove(f + VLAN_AT + 4, f + VLAN_AT, len - VLAN_AT);
	put16(f + VLAN_AT, e1000_get(d, E1000_VET) & 0xffff);
	put16(f + VLAN_AT + 2, d->tx_vlan);
	if (h->flags)
		h->csum_start += 4;
	if (h->gso_type)
		h->hdr_len += 4;
	return len + 4;
}

static void count(struct e1000 *d, const uint8_t *f, size_t len)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!memcmp(f, all, 6))
		e1000_stat(d, E1000_BPTC, 1);
	else if (f[0] & 1)
		e1000_stat(d, E1000_MPTC, 1);
	e1000_stat(d, E1000_GPTC, 1);
	e1000_stat(d, E1000_TPT, 1);
	e1000_stat64(d, E1000_GOTC, len + 4);
	e1000_stat64(d, E1000_TOT, len + 4);
	atomic_fetch_add_explicit(&d->tx_frames, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->tx_bytes, len, memory_order_relaxed);
}

/* The frame in tx_buf is whole. An end that is full drops it, as a wire would. */
static void send_frame(struct e1000 *d)
{
	struct virtio_net_hdr_v1 h = { 0 };
	uint8_t *f = d->tx_buf + HDR;
	size_t len = d->tx_len;

	if (d->tx_bad || len < 14 || !offloads(d, f, len, &h)) {
		atomic_fetch_add_explicit(&d->bad, 1, memory_order_relaxed);
		return;
	}
	len = vlan_insert(d, f, len, &h);
	if (len < ETH_MIN) {
		memset(f + len, 0, ETH_MIN - len);
		len = ETH_MIN;
	}
	memcpy(d->tx_buf, &h, HDR);
	if (d->end->ops->send(d->end, d->tx_buf, HDR + len) < 0)
		atomic_fetch_add_explicit(&d->drops, 1, memory_order_relaxed);
	else
		count(d, f, len);
}

/* ---- descriptors ---- */

static void context(struct e1000 *d, const struct desc *t)
{
	d->ctx = (struct e1000_ctx){
		.ipcss = (uint8_t)t->addr,
		.ipcso = (uint8_t)(t->addr >> 8),
		.ipcse = (uint16_t)(t->addr >> 16),
		.tucss = (uint8_t)(t->addr >> 32),
		.tucso = (uint8_t)(t->addr >> 40),
		.tucse = (uint16_t)(t->addr >> 48),
		.paylen = t->lower & 0xfffff,
		.tucmd = (uint8_t)(t->lower >> 24),
		.hdrlen = (uint8_t)(t->upper >> 8),
		.mss = (uint16_t)(t->upper >> 16),
	};
}

/* One more piece of the frame. */
static void gather(struct e1000 *d, uint64_t addr, uint32_t len)
{
	const void *p = vm_ram_ptr(&d->dev.vm->ram, addr, len);

	if (!len || d->tx_bad)
		return;
	if (!p || d->tx_len + len > E1000_BUF - HDR - 4) {
		d->tx_bad = true;
		return;
	}
	memcpy(d->tx_buf + HDR + d->tx_len, p, len);
	d->tx_len += len;
}

/* Data or legacy descriptor. Offload options count from the first one of a frame. */
static void data(struct e1000 *d, const struct desc *t, uint8_t cmd)
{
	bool ext = cmd & CMD_DEXT;

	if (!d->tx_len && !d->tx_bad) {
		d->tx_cmd = cmd & (CMD_DEXT | CMD_TSE);
		d->tx_popts = ext ? (uint8_t)(t->upper >> 8) : 0;
	}
	gather(d, t->addr, ext ? t->lower & 0xfffff : t->lower & 0xffff);
	if (!(cmd & CMD_EOP))
		return;
	d->tx_cmd |= cmd & CMD_VLE;
	d->tx_vlan = (uint16_t)(t->upper >> 16);
	if (!ext && cmd & CMD_IC) { /* legacy: CSO and CSS of this descriptor */
		d->ctx.tucss = (uint8_t)(t->upper >> 8);
		d->ctx.tucso = (uint8_t)(t->lower >> 16);
		d->tx_cmd = CMD_DEXT | (d->tx_cmd & CMD_VLE);
		d->tx_popts = POPTS_TXSM;
	}
	send_frame(d);
	d->tx_len = 0;
	d->tx_bad = false;
}

/* Returns the causes to raise. */
static uint32_t descriptor(struct e1000 *d, struct desc *slot)
{
	struct desc t;
	uint8_t cmd;

	memcpy(&t, slot, sizeof(t));
	cmd = (uint8_t)(t.lower >> 24);
	if (cmd & CMD_DEXT && !(t.lower >> 20 & 15))
		context(d, &t);
	else
		data(d, &t, cmd);
	if (!(cmd & CMD_RS))
		return 0;
	/* orders what was read of the buffer before the driver gets it back */
	__atomic_store_n(&slot->upper, t.upper | STA_DD, __ATOMIC_RELEASE);
	return E1000_I_TXDW;
}

void e1000_tx(struct e1000 *d)
{
	uint32_t size = e1000_ring_size(d, E1000_TDBAL), causes = 0, n = 0;
	uint32_t head = e1000_get(d, E1000_TDH), tail = e1000_get(d, E1000_TDT);

	if (d->still || !(e1000_get(d, E1000_TCTL) & TCTL_EN) || head >= size || tail >= size)
		return;
	while (head != tail && n < BATCH) {
		struct desc *slot = e1000_ring(d, E1000_TDBAL, head);

		if (!slot)
			break;
		causes |= descriptor(d, slot);
		head = (head + 1) % size;
		e1000_set(d, E1000_TDH, head);
		tail = e1000_get(d, E1000_TDT);
		if (tail >= size)
			break;
		n++;
	}
	if (!n)
		return;
	net_end_flush(d->end);
	if (n == BATCH) { /* others on this thread come first */
		atomic_fetch_or(&d->rang, E1000_RANG_TX);
		ev_poll_on(&d->poll);
	}
	e1000_raise_io(d, causes | (head == tail ? E1000_I_TXQE : 0));
}
