// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile guest: for each virtio function it writes rings that no honest driver writes.
 *
 *	devices=N   how many functions there must be
 *
 * After each ring the device must say DEVICE_NEEDS_RESET; after a reset it must serve an honest
 * buffer. Rings are split and, where it is offered, packed. (virtio 1.2: 2.1.1, 2.7, 2.8, 4.1)
 */
#include "guest.h"

#define SIZE 8u

#define ST_ACK	       1
#define ST_DRIVER      2
#define ST_DRIVER_OK   4
#define ST_FEATURES_OK 8
#define ST_NEEDS_RESET 0x40
#define F_INDIRECT     (1u << 28)
#define F_VERSION_1_HI (1u << 0)
#define F_PACKED_HI    (1u << 2)
#define NEXT	       1
#define WRITE	       2
#define INDIRECT       4
#define P_AVAIL	       (1 << 7)
#define P_USED	       (1 << 15)
#define TYPE_NET       0x1041
#define TYPE_BLK       0x1042
#define TYPE_CONSOLE   0x1043
#define TYPE_RNG       0x1044
#define SPINS	       200000u
#define LOW	       0xd0000000u
#define MIB	       0x100000u

/* Addresses of a case that are known only when it runs. */
#define DATA  1ull
#define TABLE 2ull
#define OWN   3ull /* the device's own registers */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next; /* packed: the other way around, and next is the buffer's id */
};

struct hostile {
	const char *name;
	unsigned int n, ntable;
	struct desc d[SIZE], table[2];
	uint16_t head, jump; /* split: of the first buffer; on top of the avail index */
	bool split_only, packed_only, no_indirect, ring_away;
};

static const struct hostile cases[] = {
	{ .name = "avail index",
	  .n = 1,
	  .d = { { DATA, 8, 0, 0 } },
	  .jump = SIZE,
	  .split_only = true },
	{ .name = "avail index back",
	  .n = 1,
	  .d = { { DATA, 8, 0, 0 } },
	  .jump = 0xfffe,
	  .split_only = true },
	{ .name = "head", .n = 1, .d = { { DATA, 8, 0, 0 } }, .head = SIZE, .split_only = true },
	{ .name = "next", .n = 1, .d = { { DATA, 8, NEXT, SIZE } }, .split_only = true },
	{ .name = "loop",
	  .n = 2,
	  .d = { { DATA, 8, NEXT, 1 }, { DATA, 8, NEXT, 0 } },
	  .split_only = true },
	{ .name = "all of the ring",
	  .n = SIZE,
	  .d = { { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 },
		 { DATA, 8, NEXT, 0 } },
	  .packed_only = true },
	{ .name = "outside memory", .n = 1, .d = { { 0xfffffffff000ull, 8, WRITE, 0 } } },
	{ .name = "registers as memory", .n = 1, .d = { { OWN, 8, WRITE, 0 } } },
	{ .name = "address wraps", .n = 1, .d = { { 0xfffffffffffffff8ull, 16, WRITE, 0 } } },
	{ .name = "zero length", .n = 1, .d = { { DATA, 0, WRITE, 0 } } },
	{ .name = "length", .n = 1, .d = { { DATA, 0xffffffff, WRITE, 0 } } },
	{ .name = "sum of lengths",
	  .n = 2,
	  .d = { { DATA, 16, NEXT, 1 }, { DATA, 0xfffffff8, 0, 0 } } },
	{ .name = "readable after writable",
	  .n = 2,
	  .d = { { DATA, 8, NEXT | WRITE, 1 }, { DATA, 8, 0, 0 } } },
	{ .name = "table of 17 bytes", .n = 1, .d = { { TABLE, 17, INDIRECT, 0 } } },
	{ .name = "empty table", .n = 1, .d = { { TABLE, 0, INDIRECT, 0 } } },
	{ .name = "huge table", .n = 1, .d = { { TABLE, 0xfffffff0, INDIRECT, 0 } } },
	{ .name = "table outside memory", .n = 1, .d = { { 0xfffffffff000ull, 16, INDIRECT, 0 } } },
	{ .name = "table in registers", .n = 1, .d = { { OWN, 16, INDIRECT, 0 } } },
	{ .name = "table and next",
	  .n = 2,
	  .d = { { TABLE, 16, INDIRECT | NEXT, 1 }, { DATA, 8, 0, 0 } },
	  .ntable = 1,
	  .table = { { DATA, 8, 0, 0 } } },
	{ .name = "table in a table",
	  .n = 1,
	  .d = { { TABLE, 16, INDIRECT, 0 } },
	  .ntable = 1,
	  .table = { { TABLE, 16, INDIRECT, 0 } } },
	{ .name = "loop in a table",
	  .n = 1,
	  .d = { { TABLE, 32, INDIRECT, 0 } },
	  .ntable = 2,
	  .table = { { DATA, 8, NEXT, 1 }, { DATA, 8, NEXT, 0 } },
	  .split_only = true },
	{ .name = "table not negotiated",
	  .n = 1,
	  .d = { { TABLE, 16, INDIRECT, 0 } },
	  .ntable = 1,
	  .table = { { DATA, 8, WRITE, 0 } },
	  .no_indirect = true },
	{ .name = "ring outside memory", .ring_away = true },
};

/* The rings and what they name. */
static struct desc ring[SIZE] __attribute__((aligned(16)));
static struct desc table[2] __attribute__((aligned(16)));
static volatile uint16_t avail[3 + SIZE] __attribute__((aligned(4)));
static volatile uint32_t used[1 + 2 * SIZE + 1] __attribute__((aligned(4)));
static uint8_t data[64] __attribute__((aligned(16)));

static struct {
	volatile uint8_t *common, *notify;
	uint64_t own;
	uint16_t type, queue;
	bool packed;
} dev;

static void w8(unsigned int off, uint8_t v)
{
	dev.common[off] = v;
}

static void w16(unsigned int off, uint16_t v)
{
	*(volatile uint16_t *)(dev.common + off) = v;
}

static void w32(unsigned int off, uint32_t v)
{
	*(volatile uint32_t *)(dev.common + off) = v;
}

static uint8_t status(void)
{
	return dev.common[0x14];
}

static bool status_has(uint8_t mask, uint8_t want)
{
	unsigned int i;

	for (i = 0; i < SPINS; i++) {
		if ((status() & mask) == want)
			return true;
		pause();
	}
	return false;
}

static uint32_t offered(uint32_t sel)
{
	w32(0x00, sel);
	return *(volatile uint32_t *)(dev.common + 0x04);
}

static void address(unsigned int off, uint64_t v)
{
	w32(off, (uint32_t)v);
	w32(off + 4, (uint32_t)(v >> 32));
}

static uint64_t place(uint64_t addr)
{
	if (addr == DATA)
		return (uintptr_t)data;
	if (addr == TABLE)
		return (uintptr_t)table;
	return addr == OWN ? dev.own : addr;
}

static struct desc laid_out(const struct desc *d, uint16_t more)
{
	struct desc v = { place(d->addr), d->len, d->flags, d->next };

	if (dev.packed) {
		v.flags = 0; /* the buffer's id */
		v.next = d->flags | more;
	}
	return v;
}

/* From a reset to a running device with one empty queue. */
static bool up(bool indirect, bool away)
{
	memset(ring, 0, sizeof(ring));
	memset((void *)avail, 0, sizeof(avail));
	memset((void *)used, 0, sizeof(used));
	w8(0x14, 0);
	if (!status_has(0xff, 0))
		return false;
	w8(0x14, ST_ACK | ST_DRIVER);
	w32(0x08, 0);
	w32(0x0c, indirect ? F_INDIRECT & offered(0) : 0);
	w32(0x08, 1);
	w32(0x0c, F_VERSION_1_HI | (dev.packed ? F_PACKED_HI : 0));
	w8(0x14, ST_ACK | ST_DRIVER | ST_FEATURES_OK);
	if (!status_has(ST_FEATURES_OK, ST_FEATURES_OK))
		return false;
	w16(0x16, dev.queue);
	w16(0x18, SIZE);
	address(0x20, away ? 0xfffffffff000ull : (uintptr_t)ring);
	address(0x28, (uintptr_t)avail);
	address(0x30, (uintptr_t)used);
	w16(0x1c, 1);
	w8(0x14, ST_ACK | ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
	return true;
}

static void offer(const struct desc *d, unsigned int n, uint16_t head, uint16_t jump)
{
	unsigned int i;

	for (i = n; i-- > 0;)
		ring[i] = laid_out(&d[i], P_AVAIL);
	if (!dev.packed) {
		avail[2] = head;
		__asm__ volatile("" ::: "memory");
		avail[1] = (uint16_t)(1 + jump);
	}
	__asm__ volatile("" ::: "memory");
	*(volatile uint16_t *)dev.notify = dev.queue;
}

static bool used_one(void)
{
	unsigned int i;

	for (i = 0; i < SPINS; i++) {
		volatile struct desc *d = ring;
		uint16_t both = P_AVAIL | P_USED;

		if (dev.packed ? (d->next & both) == both : used[0] >> 16 == 1)
			return true;
		pause();
	}
	return false;
}

/* A buffer that this type of device serves. */
static bool honest(void)
{
	static const struct desc rng[] = { { DATA, 16, WRITE, 0 } };
	static const struct desc console[] = { { DATA, 1, 0, 0 } };
	static const struct desc net[] = { { DATA, 64, 0, 0 } };
	static const struct desc blk[] = { { DATA, 16, NEXT, 1 },
					   { DATA + 0, 20, WRITE | NEXT, 2 },
					   { DATA, 1, WRITE, 0 } };

	if (!up(true, false))
		return false;
	memset(data, 0, sizeof(data));
	if (dev.type == TYPE_BLK) {
		data[0] = 8; /* get id */
		offer(blk, 3, 0, 0);
	} else {
		offer(dev.type == TYPE_NET	 ? net
		      : dev.type == TYPE_CONSOLE ? console
						 : rng,
		      1, 0, 0);
	}
	return used_one() && !(status() & ST_NEEDS_RESET);
}

static int one_case(const struct hostile *h)
{
	unsigned int i;

	CHECK(up(!h->no_indirect, h->ring_away));
	for (i = 0; i < h->ntable; i++)
		table[i] = laid_out(&h->table[i], 0);
	if (h->n)
		offer(h->d, h->n, h->head, h->jump);
	if (!status_has(ST_NEEDS_RESET, ST_NEEDS_RESET)) {
		put("FAIL: not broken by: ");
		put(h->name);
		say(", status", status());
		return GUEST_FAIL;
	}
	CHECK(honest());
	return GUEST_PASS;
}

static int all_cases(bool packed)
{
	unsigned int i;

	dev.packed = packed;
	CHECK(honest());
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (packed ? cases[i].split_only : cases[i].packed_only)
			continue;
		if (one_case(&cases[i]) != GUEST_PASS)
			return GUEST_FAIL;
	}
	return GUEST_PASS;
}

/* Moves the function's BAR below 4 GiB, which needs no paging: the port's window, then the BAR. */
static bool bring_down(struct pci_at fn, unsigned int bar)
{
	struct pci_at port;
	unsigned int n;

	if (!pci_read(fn, bar + 4))
		return true;
	for (n = 0; pci_find(0x060400, 0xffffff, n, &port); n++) {
		uint32_t at = LOW + (uint32_t)fn.bus * MIB;

		if ((pci_read(port, 0x18) >> 8 & 0xff) != fn.bus)
			continue;
		pci_write(fn, 4, pci_read(fn, 4) & 0xfff8);
		pci_write(port, 0x20, (at >> 16 & 0xfff0) | (at & 0xfff00000));
		pci_write(port, 4, (pci_read(port, 4) & 0xffff) | 6);
		pci_write(fn, bar, at);
		pci_write(fn, bar + 4, 0);
		return true;
	}
	return false;
}

/* The structures of the BAR, by the vendor's capabilities (4.1.4). All are in one. */
static bool find_structures(struct pci_at a)
{
	unsigned int cap = pci_read(a, 0x34) & 0xfc, bar, n;

	dev.common = dev.notify = NULL;
	for (n = 0; cap && n < 48; n++, cap = pci_read(a, cap) >> 8 & 0xfc) {
		uint32_t head = pci_read(a, cap);
		uintptr_t at;

		if ((head & 0xff) != 9 || head >> 24 < 1 || head >> 24 > 2)
			continue;
		bar = 0x10 + 4 * (pci_read(a, cap + 4) & 7);
		if (!bring_down(a, bar))
			return false;
		dev.own = pci_read(a, bar) & ~15u;
		at = (uintptr_t)dev.own + pci_read(a, cap + 8);
		if (head >> 24 == 1)
			dev.common = (volatile uint8_t *)at;
		else /* notify_off is the queue's number */
			dev.notify = (volatile uint8_t *)at + dev.queue * pci_read(a, cap + 16);
	}
	pci_write(a, 4, (pci_read(a, 4) & 0xffff) | 6);
	return dev.common && dev.notify;
}

static int check_device(struct pci_at a)
{
	dev.type = (uint16_t)(pci_read(a, 0) >> 16);
	/* A queue that is served whenever it is kicked. */
	dev.queue = dev.type == TYPE_NET || dev.type == TYPE_CONSOLE ? 1 : 0;
	say("device", dev.type);
	CHECK(find_structures(a));
	if (all_cases(false) != GUEST_PASS)
		return GUEST_FAIL;
	if (!(offered(1) & F_PACKED_HI))
		return GUEST_PASS;
	put("packed\n");
	return all_cases(true);
}

int guest_main(const struct mb_info *mbi)
{
	unsigned int n, found = 0;
	struct pci_at a;

	CHECK(pci_init());
	for (n = 0; pci_find(0, 0, n, &a); n++) {
		uint32_t id = pci_read(a, 0);

		if ((id & 0xffff) != 0x1af4 || id >> 16 < 0x1040)
			continue;
		found++;
		if (check_device(a) != GUEST_PASS)
			return GUEST_FAIL;
	}
	CHECK(found == arg_num(mbi, "devices", found));
	return GUEST_PASS;
}
