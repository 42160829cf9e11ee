// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings that no honest driver writes: each breaks the queue, for its own reason, and nothing more.
 *
 * Guest memory: two regions that touch in guest addresses but not here, a gap, and a third.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "rig.h"
#include "virtio/ring/vq_priv.h"

#define SIZE	8u
#define GPA_A	0x10000ull
#define GPA_B	0x20000ull /* right behind A */
#define END_B	0x21000ull
#define GPA_C	0x40000ull
#define TABLE	0x11000ull
#define CROSSED (GPA_B - 24) /* a table here has its second descriptor across the border */
#define DATA	0x12000ull
#define CAP	6u

struct fix {
	bool packed;
	uint8_t *a, *b, *c;
	struct vq_mem mem;
	struct vq_cfg cfg;
	struct vq q;
	struct iovec *iov;
	struct vq_chain chain;
};

static void up(struct fix *f, bool packed)
{
	memset(f, 0, sizeof(*f));
	f->packed = packed;
	f->a = aligned_alloc(4096, 0x10000);
	f->b = aligned_alloc(4096, 0x1000);
	f->c = aligned_alloc(4096, 0x1000);
	f->iov = calloc(CAP, sizeof(*f->iov));
	assert_true(f->a && f->b && f->c && f->iov);
	memset(f->a, 0, 0x10000);
	assert_int_equal(vq_mem_add(&f->mem, GPA_C, 0x1000, f->c), 0);
	assert_int_equal(vq_mem_add(&f->mem, GPA_A, 0x10000, f->a), 0);
	assert_int_equal(vq_mem_add(&f->mem, GPA_B, 0x1000, f->b), 0);
	f->cfg = (struct vq_cfg){
		.size = SIZE,
		.packed = packed,
		.indirect = true,
		.desc = GPA_A,
		.driver = GPA_A + 0x400,
		.device = GPA_A + 0x800,
		.avail_idx = VQ_FRESH(packed),
		.used_idx = VQ_FRESH(packed),
	};
	assert_int_equal(vq_start(&f->q, &f->mem, &f->cfg), 0);
	f->chain = (struct vq_chain){ .iov = f->iov, .cap = CAP };
}

static void down(struct fix *f)
{
	free(f->a);
	free(f->b);
	free(f->c);
	free(f->iov);
}

/* One descriptor of a case; next counts for split rings. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* Writes descriptor i of the ring, or of a table at gpa, byte by byte where it crosses. */
static void put(struct fix *f, uint64_t gpa, const struct desc *d, uint16_t id, uint16_t more)
{
	struct vq_sdesc s = { d->addr, d->len, d->flags, d->next };
	struct vq_pdesc p = { d->addr, d->len, id, d->flags | more };
	const uint8_t *from = f->packed ? (void *)&p : (void *)&s;

	for (unsigned int i = 0; i < 16; i++)
		*(uint8_t *)vq_mem_ptr(&f->mem, gpa + i, 1) = from[i];
}

/* Offers the chain of n descriptors at the start of a fresh ring. */
static void offer(struct fix *f, const struct desc *d, unsigned int n)
{
	struct vq_savail *a = vq_mem_ptr(&f->mem, f->cfg.driver, 2);

	for (unsigned int i = 0; i < n; i++)
		put(f, GPA_A + 16ull * i, &d[i], 0, VQ_F_AVAIL);
	if (!f->packed)
		a->idx = 1;
}

static void broken(struct fix *f, const char *why)
{
	assert_int_equal(vq_pop(&f->q, &f->chain), -EPROTO);
	assert_non_null(f->q.broken);
	if (!strstr(f->q.broken, why))
		fail_msg("\"%s\" is not \"%s\"", f->q.broken, why);
	/* It stays so. */
	assert_int_equal(vq_pop(&f->q, &f->chain), -EPROTO);
	assert_false(vq_pending(&f->q));
}

#define NEXT  VQ_F_NEXT
#define WRITE VQ_F_WRITE
#define INDIR VQ_F_INDIRECT

struct hostile {
	const char *why;
	unsigned int n, ntable;
	uint64_t table_at;
	struct desc d[SIZE], table[SIZE];
	bool split_only;
};

static const struct hostile chains[] = {
	{ "zero length", 1, .d = { { DATA, 0, 0, 0 } } },
	{ "zero length", 2, .d = { { DATA, 8, NEXT, 1 }, { DATA, 0, WRITE, 0 } } },
	{ "after a writable", 2, .d = { { DATA, 8, WRITE | NEXT, 1 }, { DATA, 8, 0, 0 } } },
	{ "outside guest memory", 1, .d = { { 0, 8, 0, 0 } } },
	{ "outside guest memory", 1, .d = { { GPA_A - 1, 8, 0, 0 } } },
	{ "outside guest memory", 1, .d = { { END_B - 4, 8, 0, 0 } } },
	{ "outside guest memory", 1, .d = { { END_B, 1, WRITE, 0 } } },
	{ "outside guest memory", 1, .d = { { DATA, 0xffffffff, WRITE, 0 } } },
	{ "outside guest memory", 1, .d = { { UINT64_MAX - 3, 8, 0, 0 } } },
	{ "outside guest memory", 1, .d = { { UINT64_MAX, 0xffffffff, 0, 0 } } },
	{ "than the device takes", 7,
	  .d = { { DATA, 1, NEXT, 1 },
		 { DATA, 1, NEXT, 2 },
		 { DATA, 1, NEXT, 3 },
		 { DATA, 1, NEXT, 4 },
		 { DATA, 1, NEXT, 5 },
		 { DATA, 1, NEXT, 6 },
		 { DATA, 1, 0, 0 } } },
	{ "than the device takes", 6, /* the last one takes two */
	  .d = { { DATA, 1, NEXT, 1 },
		 { DATA, 1, NEXT, 2 },
		 { DATA, 1, NEXT, 3 },
		 { DATA, 1, NEXT, 4 },
		 { DATA, 1, NEXT, 5 },
		 { GPA_B - 1, 2, 0, 0 } } },
	{ "next descriptor outside", 1, .d = { { DATA, 8, NEXT, SIZE } }, .split_only = true },
	{ "next descriptor outside", 1, .d = { { DATA, 8, NEXT, 0xffff } }, .split_only = true },
	{ "with a next one", 2, .d = { { TABLE, 16, INDIR | NEXT, 1 }, { DATA, 8, 0, 0 } } },
	{ "multiple of 16", 1, .d = { { TABLE, 0, INDIR, 0 } } },
	{ "multiple of 16", 1, .d = { { TABLE, 17, INDIR, 0 } } },
	{ "multiple of 16", 1, .d = { { TABLE, 0xffffffff, INDIR, 0 } } },
	{ "longer than the ring", 1, .d = { { TABLE, 16 * (SIZE + 1), INDIR, 0 } } },
	{ "longer than the ring", 1, .d = { { TABLE, 0xfffffff0, INDIR, 0 } } },
	{ "table outside guest memory", 1, .d = { { GPA_A - 16, 16, INDIR, 0 } } },
	{ "table outside guest memory", 1, .d = { { UINT64_MAX - 7, 16, INDIR, 0 } } },
	{ "table outside guest memory", 1, .d = { { GPA_C - 8, 16, INDIR, 0 } } },
	{ "inside an indirect",
	  1,
	  1,
	  TABLE,
	  { { TABLE, 16, INDIR, 0 } },
	  .table = { { TABLE + 64, 16, INDIR, 0 } } },
	{ "zero length", 1, 1, TABLE, { { TABLE, 16, INDIR, 0 } }, .table = { { DATA, 0, 0, 0 } } },
	{ "outside guest memory",
	  1,
	  1,
	  TABLE,
	  { { TABLE, 16, INDIR, 0 } },
	  .table = { { END_B, 1, 0, 0 } } },
	{ "next descriptor outside",
	  1,
	  1,
	  TABLE,
	  { { TABLE, 16, INDIR, 0 } },
	  .table = { { DATA, 1, NEXT, 1 } },
	  .split_only = true },
	{ "after a writable",
	  1,
	  2,
	  CROSSED,
	  { { CROSSED, 32, INDIR, 0 } },
	  .table = { { DATA, 8, WRITE | NEXT, 1 }, { DATA, 8, 0, 0 } } },
	{ "after a writable",
	  2,
	  1,
	  TABLE,
	  { { DATA, 8, WRITE | NEXT, 1 }, { TABLE, 16, INDIR, 0 } },
	  .table = { { DATA, 8, 0, 0 } } },
};

static void each_kind(void (*f)(bool packed))
{
	f(false);
	f(true);
}

static void bad_chains(bool packed)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(chains); i++) {
		const struct hostile *h = &chains[i];
		struct fix f;

		if (packed && h->split_only)
			continue;
		up(&f, packed);
		for (unsigned int k = 0; k < h->ntable; k++)
			put(&f, h->table_at + 16ull * k, &h->table[k], 0, 0);
		offer(&f, h->d, h->n);
		broken(&f, h->why);
		down(&f);
	}
}

static void test_chains(void **state)
{
	each_kind(bad_chains);
}

/* Memory that is there, 3 GiB of it, but named twice. */
static void too_much(bool packed)
{
	static const struct desc d[] = { { GIB(4), 0xc0000000, NEXT, 1 },
					 { GIB(4), 0x40000000, 0, 0 } };
	struct fix f;

	up(&f, packed);
	assert_int_equal(vq_mem_add(&f.mem, GIB(4), GIB(3), f.c), 0); /* nobody looks there */
	offer(&f, d, 2);
	broken(&f, "4 GiB");
	down(&f);
}

static void test_too_much(void **state)
{
	each_kind(too_much);
}

/* Indirect descriptors of a driver that did not accept the feature. */
static void not_negotiated(bool packed)
{
	static const struct desc d = { TABLE, 16, INDIR, 0 };
	struct fix f;

	up(&f, packed);
	f.cfg.indirect = false;
	assert_int_equal(vq_start(&f.q, &f.mem, &f.cfg), 0);
	offer(&f, &d, 1);
	broken(&f, "not negotiated");
	down(&f);
}

static void test_not_negotiated(void **state)
{
	each_kind(not_negotiated);
}

/* What is allowed: pieces on both sides of a border, in the ring and through a table that lies
 * across one; tables behind other descriptors. */
static void crossing(bool packed)
{
	static const struct desc d[] = { { GPA_B - 8, 24, NEXT, 1 }, { CROSSED, 32, INDIR, 0 } };
	static const struct desc t[] = { { DATA, 4, NEXT, 1 }, { GPA_C, 0x1000, WRITE, 0 } };
	struct vq_chain *c;
	struct fix f;

	up(&f, packed);
	put(&f, CROSSED, &t[0], 0, 0);
	put(&f, CROSSED + 16, &t[1], 0, 0);
	offer(&f, d, 2);
	assert_int_equal(vq_pop(&f.q, &f.chain), 1);
	c = &f.chain;
	assert_int_equal(c->nout, 3);
	assert_int_equal(c->nin, 1);
	assert_int_equal(c->out_len, 28);
	assert_int_equal(c->in_len, 0x1000);
	assert_ptr_equal(c->iov[0].iov_base, f.a + 0x10000 - 8);
	assert_int_equal(c->iov[0].iov_len, 8);
	assert_ptr_equal(c->iov[1].iov_base, f.b);
	assert_int_equal(c->iov[1].iov_len, 16);
	assert_ptr_equal(c->iov[2].iov_base, f.a + (DATA - GPA_A));
	assert_ptr_equal(c->iov[3].iov_base, f.c);
	assert_int_equal(vq_pop(&f.q, c), 0);
	assert_null(f.q.broken);
	down(&f);
}

static void test_crossing(void **state)
{
	each_kind(crossing);
}

/* Loops, in the ring and in a table. */
static void test_loops(void **state)
{
	static const struct desc self = { DATA, 1, NEXT, 0 }, ind = { TABLE, 32, INDIR, 0 };
	static const struct desc back[] = { { DATA, 1, NEXT, 1 }, { DATA, 1, NEXT, 0 } };
	struct fix f;

	up(&f, false);
	f.iov = realloc(f.iov, 64 * sizeof(*f.iov));
	assert_non_null(f.iov);
	f.chain = (struct vq_chain){ .iov = f.iov, .cap = 64 };
	offer(&f, &self, 1);
	broken(&f, "or a loop");
	assert_int_equal(vq_start(&f.q, &f.mem, &f.cfg), 0);
	offer(&f, &ind, 1);
	put(&f, TABLE, &back[0], 0, 0);
	put(&f, TABLE + 16, &back[1], 0, 0);
	broken(&f, "or a loop");
	down(&f);
}

static void test_avail_index(void **state)
{
	static const struct {
		uint16_t start, idx;
		bool ok;
	} t[] = {
		{ 0, SIZE + 1, false },	   { 0, 0xffff, false }, { 0, 0x8000, false },
		{ 0, SIZE, true },	   { 0xfffc, 4, true },	 { 0xfffc, 5, false },
		{ 0xfffc, 0xfffb, false },
	};
	static const struct desc d = { DATA, 1, 0, 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		struct vq_savail *a;
		struct fix f;

		up(&f, false);
		f.cfg.avail_idx = f.cfg.used_idx = t[i].start;
		assert_int_equal(vq_start(&f.q, &f.mem, &f.cfg), 0);
		offer(&f, &d, 1);
		a = vq_mem_ptr(&f.mem, f.cfg.driver, 2);
		a->idx = t[i].idx;
		if (t[i].ok)
			assert_int_equal(vq_pop(&f.q, &f.chain), 1);
		else
			broken(&f, "avail index jumped");
		down(&f);
	}
}

/* Buffers that the driver did not get back cannot be offered again. */
static void test_avail_while_held(void **state)
{
	static const struct desc d = { DATA, 1, 0, 0 };
	struct vq_savail *a;
	struct fix f;

	up(&f, false);
	offer(&f, &d, 1);
	a = vq_mem_ptr(&f.mem, f.cfg.driver, 2);
	a->idx = SIZE;
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(vq_pop(&f.q, &f.chain), 1);
	vq_push(&f.q, &f.chain, 0);
	a->idx = SIZE + 1; /* pushed, but not shown to the driver yet */
	broken(&f, "avail index jumped");
	down(&f);
}

static void test_bad_head(void **state)
{
	static const struct desc d = { DATA, 1, 0, 0 };
	struct vq_savail *a;
	struct fix f;

	up(&f, false);
	offer(&f, &d, 1);
	a = vq_mem_ptr(&f.mem, f.cfg.driver, 2);
	a->ring[0] = SIZE;
	broken(&f, "head outside");
	down(&f);
}

/* Packed: a list that runs into itself, and slots offered again that the device still has. */
static void test_packed_room(void **state)
{
	struct desc d[SIZE];
	struct fix f;

	for (unsigned int i = 0; i < SIZE; i++)
		d[i] = (struct desc){ DATA, 1, NEXT, 0 };
	up(&f, true);
	f.iov = realloc(f.iov, 64 * sizeof(*f.iov));
	f.chain = (struct vq_chain){ .iov = f.iov, .cap = 64 };
	offer(&f, d, SIZE);
	broken(&f, "than the ring has room for");

	for (unsigned int i = 0; i < SIZE; i++)
		d[i].flags = 0;
	assert_int_equal(vq_start(&f.q, &f.mem, &f.cfg), 0);
	offer(&f, d, SIZE);
	for (unsigned int i = 0; i < SIZE; i++)
		assert_int_equal(vq_pop(&f.q, &f.chain), 1);
	assert_int_equal(vq_pop(&f.q, &f.chain), 0);
	put(&f, GPA_A, &d[0], 0, VQ_F_USED); /* as if of the next lap */
	broken(&f, "than the ring has room for");
	down(&f);
}

/* Inflight memory cannot hold one id twice. */
static void same_id_twice(bool packed)
{
	static const struct desc d[2] = { { DATA, 1, 0, 0 }, { DATA, 1, 0, 0 } };
	uint8_t *region = calloc(1, vq_inflight_size(packed, SIZE));
	struct vq_inflight inf;
	struct vq_savail *a;
	struct fix f;

	up(&f, packed);
	assert_non_null(region);
	assert_int_equal(vq_inflight_init(&inf, region, packed, SIZE), 0);
	assert_int_equal(vq_start_inflight(&f.q, &f.mem, &f.cfg, &inf), 0);
	offer(&f, d, 2);
	a = vq_mem_ptr(&f.mem, f.cfg.driver, 2);
	if (!packed)
		a->idx = 2;
	assert_int_equal(vq_pop(&f.q, &f.chain), 1);
	vq_push(&f.q, &f.chain, 0); /* not published: the driver cannot know */
	broken(&f, "in flight already");
	vq_inflight_fini(&inf);
	free(region);
	down(&f);
}

static void test_same_id_twice(void **state)
{
	each_kind(same_id_twice);
}

static void bad_starts(bool packed)
{
	struct vq_cfg good, bad[12];
	unsigned int n = 0;
	struct fix f;

	up(&f, packed);
	good = f.cfg;
	for (n = 0; n < 12; n++)
		bad[n] = good;
	bad[0].size = 0;
	bad[1].size = VQ_SIZE_MAX + 1;
	bad[2].desc += 8;
	bad[3].driver += 1;
	bad[4].device += 2;
	bad[5].desc = GPA_B - 16; /* across the border: the ring must be in one piece */
	bad[6].driver = END_B;
	bad[7].device = UINT64_MAX - 3;
	bad[8].desc = 0;
	bad[9].avail_idx = packed ? SIZE : SIZE + 1; /* outside the ring, or too far from used */
	bad[10].used_idx = packed ? 0x8000 | SIZE : 1;
	bad[11].avail_idx = packed ? 0x7fff : 0x8000;
	for (n = 0; n < 12; n++)
		assert_int_equal(vq_start(&f.q, &f.mem, &bad[n]), -EINVAL);
	good.size = 7; /* a packed ring may have any size */
	assert_int_equal(vq_start(&f.q, &f.mem, &good), packed ? 0 : -EINVAL);
	down(&f);
}

static void test_starts(void **state)
{
	each_kind(bad_starts);
}

static void test_mem(void **state)
{
	struct vq_mem m = { 0 };
	uint8_t x;

	assert_int_equal(vq_mem_add(&m, 0x1000, 0x1000, &x), 0);
	assert_int_equal(vq_mem_add(&m, 0, 0, &x), -EINVAL);
	assert_int_equal(vq_mem_add(&m, UINT64_MAX, 2, &x), -EINVAL);
	assert_int_equal(vq_mem_add(&m, 0x1fff, 1, &x), -EEXIST);
	assert_int_equal(vq_mem_add(&m, 0, 0x1001, &x), -EEXIST);
	assert_int_equal(vq_mem_add(&m, 0, 0x1000, &x), 0);
	assert_int_equal(vq_mem_add(&m, UINT64_MAX, 1, &x), 0);
	for (unsigned int i = 3; i < VQ_REGIONS_MAX; i++)
		assert_int_equal(vq_mem_add(&m, 0x1000 + 0x1000ull * i, 1, &x), 0);
	assert_int_equal(vq_mem_add(&m, 0x1000000, 1, &x), -ENOSPC);
	for (unsigned int i = 1; i < m.n; i++)
		assert_true(m.r[i - 1].gpa < m.r[i].gpa);
	assert_null(vq_mem_ptr(&m, 0x1800, 0x801));
	assert_ptr_equal(vq_mem_ptr(&m, 0x1000, 0x1000), &x);
	assert_null(vq_mem_ptr(&m, 0x3001, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_not_negotiated),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_avail_index),
		cmocka_unit_test(test_avail_while_held),
		cmocka_unit_test(test_bad_head),
		cmocka_unit_test(test_packed_room),
		cmocka_unit_test(test_same_id_twice),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_mem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
