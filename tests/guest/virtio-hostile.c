// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile guest: for each virtio function it writes rings that no honest driver writes.
 *
 *	devices=N   how many functions there must be
 *	away=1      their queues are served by another process, which may do as it likes with a bad
 *	            ring, or hang up
 *
 * After each ring the device must say DEVICE_NEEDS_RESET (if it is not away); after a reset it must
 * serve an honest buffer. Rings are split and, where it is offered, packed.
 *(virtio 1.2: 2.1.1, 2.7, 2.8, 4.1)
 */
#include "viodev.h"

#define SIZE 8u

#define NEXT	   1
#define WRITE	   2
#define INDIRECT   4
#define P_AVAIL	   (1 << 7)
#define P_USED	   (1 << 15)
#define SPINS	   200000u
#define SPINS_BAD  5000u     /* for a bad ring to be looked at by somebody who is away */
#define SPINS_AWAY 20000000u /* for one who hung up to come back */

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
	struct viodev v;
	volatile uint16_t *notify;
	uint16_t queue;
	bool packed, away;
} dev;

/* Receive queue of a network device: some serve no queue before a pair is there. */
static struct desc rx_ring[SIZE] __attribute__((aligned(16)));
static uint16_t rx_avail[3 + SIZE] __attribute__((aligned(4)));
static uint32_t rx_used[1 + 2 * SIZE + 1] __attribute__((aligned(4)));

static uint64_t place(uint64_t addr)
{
	if (addr == DATA)
		return (uintptr_t)data;
	if (addr == TABLE)
		return (uintptr_t)table;
	return addr == OWN ? (uintptr_t)dev.v.common : addr;
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
	if (!vio_features(&dev.v, indirect ? VIO_INDIRECT & vio_offered(&dev.v, 0) : 0,
			  VIO_VERSION_1 | (dev.packed ? VIO_PACKED : 0)))
		return false;
	if (dev.away && dev.v.type == VIO_TYPE_NET)
		vio_queue(&dev.v, 0, SIZE, (uintptr_t)rx_ring, (uintptr_t)rx_avail,
			  (uintptr_t)rx_used);
	dev.notify = vio_queue(&dev.v, dev.queue, SIZE, away ? 0xfffffffff000ull : (uintptr_t)ring,
			       (uintptr_t)avail, (uintptr_t)used);
	vio_go(&dev.v);
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
	*dev.notify = dev.queue;
}

static bool used_one(void)
{
	unsigned int i;

	for (i = 0; i < (dev.away ? SPINS_AWAY : SPINS); i++) {
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
	if (dev.v.type == VIO_TYPE_BLK) {
		data[0] = 8; /* get id */
		offer(blk, 3, 0, 0);
	} else {
		offer(dev.v.type == VIO_TYPE_NET       ? net
		      : dev.v.type == VIO_TYPE_CONSOLE ? console
						       : rng,
		      1, 0, 0);
	}
	return used_one() && !(vio_status(&dev.v) & VIO_NEEDS_RESET);
}

/* Has the device met the bad ring? */
static bool met(void)
{
	unsigned int i;

	if (!dev.away)
		return vio_status_is(&dev.v, VIO_NEEDS_RESET, VIO_NEEDS_RESET);
	for (i = 0; i < SPINS_BAD; i++)
		pause();
	return true;
}

static int one_case(const struct hostile *h)
{
	unsigned int i;

	CHECK(up(!h->no_indirect, h->ring_away));
	for (i = 0; i < h->ntable; i++)
		table[i] = laid_out(&h->table[i], 0);
	if (h->n)
		offer(h->d, h->n, h->head, h->jump);
	if (!met()) {
		put("FAIL: not broken by: ");
		put(h->name);
		say(", status", vio_status(&dev.v));
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

static int check_device(void)
{
	/* A queue that is served whenever it is kicked. */
	dev.queue = dev.v.type == VIO_TYPE_NET || dev.v.type == VIO_TYPE_CONSOLE ? 1 : 0;
	say("device", dev.v.type);
	if (all_cases(false) != GUEST_PASS)
		return GUEST_FAIL;
	if (!(vio_offered(&dev.v, 1) & VIO_PACKED))
		return GUEST_PASS;
	put("packed\n");
	return all_cases(true);
}

int guest_main(const struct mb_info *mbi)
{
	unsigned int found;

	CHECK(pci_init());
	dev.away = arg_num(mbi, "away", 0);
	for (found = 0; vio_find(0, found, &dev.v); found++)
		if (check_device() != GUEST_PASS)
			return GUEST_FAIL;
	CHECK(found == arg_num(mbi, "devices", found));
	return GUEST_PASS;
}
