// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reception (3.2), on the I/O thread. A frame is read from the tap, filtered as the card would, and
 * laid into as many descriptors as it takes. While the driver has none free the tap is not read:
 * its queue holds what comes, and drops when it is full.
 */
#include <errno.h>
#include <string.h>
#include "vmm/devices/e1000/e1000_priv.h"

#define BATCH 64
#define HDR   sizeof(struct virtio_net_hdr_v1)
#define CRC   4 /* the card delivers it, unless RCTL.SECRC; its value is of no use to anybody */

/* RCTL (13.4.22) */
#define RCTL_EN	   0x00000002u
#define RCTL_UPE   0x00000008u
#define RCTL_MPE   0x00000010u
#define RCTL_LPE   0x00000020u
#define RCTL_BAM   0x00008000u
#define RCTL_VFE   0x00040000u
#define RCTL_BSEX  0x02000000u
#define RCTL_SECRC 0x04000000u

/* Descriptor status (3.2.3.1) */
#define STA_DD	  0x01
#define STA_EOP	  0x02
#define STA_IXSM  0x04 /* no checksum was looked at */
#define STA_VP	  0x08
#define STA_TCPCS 0x20
#define STA_PIF	  0x80

#define RXCSUM_TUOFL 0x200u
#define RAH_AV	     0x80000000u
#define STANDARD     1522 /* longest frame without RCTL.LPE, CRC included */

struct desc {
	uint64_t addr;
	uint16_t len, csum;
	uint8_t status, errors;
	uint16_t special;
};

void *e1000_ring(struct e1000 *d, unsigned int reg, uint32_t i)
{
	uint64_t base = (e1000_get(d, reg) & ~15u) | (uint64_t)e1000_get(d, reg + 4) << 32;

	return vm_ram_ptr(&d->dev.vm->ram, base + 16ull * i, 16);
}

uint32_t e1000_ring_size(const struct e1000 *d, unsigned int reg)
{
	return (e1000_get(d, reg + 8) & 0xfff80) / 16;
}

/* Bytes of a receive buffer: RCTL.BSIZE and BSEX. */
static uint32_t buffer_size(uint32_t rctl)
{
	uint32_t bsize = rctl >> 16 & 3;

	if (rctl & RCTL_BSEX)
		return bsize ? 32768u >> bsize : 2048;
	return 2048u >> bsize;
}

/* ---- filters (3.2.1) ---- */

static bool is_vlan(const struct e1000 *d, const uint8_t *f, size_t len)
{
	uint32_t vet = e1000_get(d, E1000_VET);

	return len >= 18 && f[12] == (uint8_t)(vet >> 8) && f[13] == (uint8_t)vet;
}

static bool vlan_wanted(const struct e1000 *d, const uint8_t *f)
{
	unsigned int id = (unsigned int)(f[14] << 8 | f[15]) & 0xfff;

	return e1000_get(d, E1000_VFTA + 4 * (id >> 5)) >> (id & 31) & 1;
}

/* Sixteen exact addresses. */
static bool exact(const struct e1000 *d, const uint8_t *f)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		uint32_t lo = e1000_get(d, E1000_RA + 8 * i),
			 hi = e1000_get(d, E1000_RA + 8 * i + 4);
		uint8_t a[6] = { (uint8_t)lo,	      (uint8_t)(lo >> 8), (uint8_t)(lo >> 16),
				 (uint8_t)(lo >> 24), (uint8_t)hi,	  (uint8_t)(hi >> 8) };

		if (hi & RAH_AV && !memcmp(a, f, 6))
			return true;
	}
	return false;
}

/* 4096 hash bits; RCTL.MO says which twelve bits of the address count. */
static bool hashed(const struct e1000 *d, const uint8_t *f, uint32_t rctl)
{
	static const unsigned int shift[] = { 4, 3, 2, 0 };
	uint32_t h = (((uint32_t)f[5] << 8 | f[4]) >> shift[rctl >> 12 & 3]) & 0xfff;

	return e1000_get(d, E1000_MTA + 4 * (h >> 5)) >> (h & 31) & 1;
}

static bool wanted(struct e1000 *d, const uint8_t *f, size_t len, uint32_t rctl)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (len < 14 || len + CRC > (rctl & RCTL_LPE ? E1000_FRAME_MAX : STANDARD))
		return false;
	if (rctl & RCTL_VFE && is_vlan(d, f, len) && !vlan_wanted(d, f))
		return false;
	if (rctl & RCTL_UPE && !(f[0] & 1))
		return true;
	if (f[0] & 1 && rctl & RCTL_MPE)
		return true;
	if (!memcmp(f, all, 6) && rctl & RCTL_BAM)
		return true;
	return exact(d, f) || (f[0] & 1 && hashed(d, f, rctl));
}

/* ---- delivery ---- */

static void count(struct e1000 *d, const uint8_t *f, size_t len)
{
	static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!memcmp(f, all, 6))
		e1000_stat(d, E1000_BPRC, 1);
	else if (f[0] & 1)
		e1000_stat(d, E1000_MPRC, 1);
	e1000_stat(d, E1000_GPRC, 1);
	e1000_stat(d, E1000_TPR, 1);
	e1000_stat64(d, E1000_GORC, len + CRC);
	e1000_stat64(d, E1000_TOR, len + CRC);
	atomic_fetch_add_explicit(&d->rx_frames, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->rx_bytes, len, memory_order_relaxed);
}

static uint32_t free_descs(uint32_t head, uint32_t tail, uint32_t size)
{
	return tail >= head ? tail - head : size - head + tail;
}

/* Fills one descriptor; false: the driver's addresses make no sense. */
static bool fill(struct e1000 *d, struct desc *slot, const uint8_t *f, size_t len, uint8_t status,
		 uint16_t special)
{
	struct desc t;
	void *p;

	memcpy(&t, slot, sizeof(t));
	p = vm_ram_ptr(&d->dev.vm->ram, t.addr, len);
	if (p)
		memcpy(p, f, len);
	slot->len = (uint16_t)len;
	slot->csum = 0;
	slot->errors = 0;
	slot->special = special;
	/* orders data and lengths before the bit that gives them to the driver */
	__atomic_store_n(&slot->status, status | STA_DD, __ATOMIC_RELEASE);
	return p;
}

/* What the kernel has already checked need not be checked by the guest. */
static uint8_t status_of(const struct e1000 *d, const struct virtio_net_hdr_v1 *h)
{
	if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID && e1000_get(d, E1000_RXCSUM) & RXCSUM_TUOFL)
		return STA_TCPCS;
	return STA_IXSM;
}

/* Takes a VLAN tag out of the frame; its two bytes, and *status gets STA_VP. */
static uint16_t vlan_strip(struct e1000 *d, uint8_t *f, size_t *len, uint8_t *status)
{
	uint16_t tag;

	if (!(e1000_get(d, E1000_CTRL) & E1000_CTRL_VME) || !is_vlan(d, f, *len))
		return 0;
	tag = (uint16_t)(f[14] << 8 | f[15]);
	memmove(f + 12, f + 16, *len - 16);
	*len -= 4;
	*status |= STA_VP;
	return tag;
}

/* The frame in rx_buf into the ring. false: no place yet. */
static bool deliver(struct e1000 *d, uint32_t *causes)
{
	uint32_t rctl = e1000_get(d, E1000_RCTL), size = e1000_ring_size(d, E1000_RDBAL);
	uint32_t head = e1000_get(d, E1000_RDH), tail = e1000_get(d, E1000_RDT);
	uint32_t room = buffer_size(rctl);
	struct virtio_net_hdr_v1 h;
	uint8_t *f = d->rx_buf + HDR, status;
	size_t len = d->rx_len - HDR, pad = rctl & RCTL_SECRC ? 0 : CRC, at = 0;
	uint16_t special;

	if (!wanted(d, f, len, rctl))
		return true;
	if (head >= size || tail >= size ||
	    free_descs(head, tail, size) * (uint64_t)room < MAX(len, (size_t)60) + CRC)
		return false;
	memcpy(&h, d->rx_buf, HDR);
	count(d, f, len);
	status = status_of(d, &h);
	special = vlan_strip(d, f, &len, &status);
	if (len < 60) {
		memset(f + len, 0, 60 - len);
		len = 60;
	}
	memset(f + len, 0, pad);
	len += pad;
	while (at < len) {
		size_t part = MIN(len - at, room);
		struct desc *slot = e1000_ring(d, E1000_RDBAL, head);
		bool last = at + part == len;

		if (!slot ||
		    !fill(d, slot, f + at, part, last ? status | STA_EOP : status, special))
			atomic_fetch_add_explicit(&d->bad, 1, memory_order_relaxed);
		at += part;
		head = (head + 1) % size;
	}
	e1000_set(d, E1000_RDH, head);
	*causes |= E1000_I_RXT0;
	/* RDMTS: half, quarter or eighth of the ring is left */
	if (free_descs(head, tail, size) <= size >> (1 + (rctl >> 8 & 3)))
		*causes |= E1000_I_RXDMT0;
	return true;
}

static void want(struct e1000 *d, bool on)
{
	if (d->end->ops->want(d->end, on))
		atomic_fetch_add_explicit(&d->drops, 1, memory_order_relaxed);
}

/* The frame has no place, and a driver that makes one from now on will say so; was it before? */
static bool no_room(struct e1000 *d, uint32_t *causes)
{
	atomic_store(&d->rx_waits, true);
	atomic_thread_fence(memory_order_seq_cst);
	if (!deliver(d, causes))
		return true;
	atomic_store(&d->rx_waits, false);
	return false;
}

void e1000_rx(struct e1000 *d)
{
	bool waits = atomic_load_explicit(&d->rx_waits, memory_order_relaxed);
	uint32_t causes = 0;
	unsigned int n;

	if (d->still || !(e1000_get(d, E1000_RCTL) & RCTL_EN)) {
		want(d, false);
		return;
	}
	for (n = 0; n < BATCH; n++) {
		ssize_t got;

		if (!waits) {
			got = d->end->ops->recv(d->end, d->rx_buf, E1000_BUF - 64);
			if (got < (ssize_t)HDR)
				break;
			d->rx_len = (size_t)got;
		}
		waits = !deliver(d, &causes) && no_room(d, &causes);
		if (waits)
			break;
	}
	if (!waits)
		atomic_store_explicit(&d->rx_waits, false, memory_order_relaxed);
	net_end_flush(d->end);
	want(d, !waits);
	if (waits)
		causes |= E1000_I_RXO;
	if (causes)
		e1000_raise_io(d, causes);
}
