// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where a device stood that vanished without inflight memory, found by looking at the ring: always
 * right, or refused. And inflight memory that cannot be true.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "rig.h"
#include "virtio/ring/inflight_priv.h"

/* A queue whose device works in order, published up to some point. */
struct old {
	uint8_t *ram;
	struct vq_mem mem;
	struct vqd *d;
	struct vq q;
	struct iovec iov[64];
};

static void up(struct old *o, const struct vqd_cfg *flavour)
{
	struct vqd_cfg c = *flavour;
	struct vq_cfg v;

	memset(o, 0, sizeof(*o));
	o->ram = aligned_alloc(4096, 1 << 20);
	assert_non_null(o->ram);
	c.hva = c.area = o->ram;
	assert_true(vqd_area(&c) < 1 << 19);
	assert_int_equal(vq_mem_add(&o->mem, 0, 1 << 20, o->ram), 0);
	assert_int_equal(vqd_new(&c, &o->d), 0);
	vqd_addrs(o->d, &v);
	assert_int_equal(vq_start(&o->q, &o->mem, &v), 0);
}

static void down(struct old *o)
{
	vqd_free(o->d);
	free(o->ram);
}

static bool add(struct old *o, unsigned int n)
{
	struct iovec iov[8];
	int rc;

	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){ o->ram + (1 << 19) + 64 * i, 64 };
	rc = vqd_add(o->d, iov, n, 0, o);
	if (rc)
		return false;
	(void)!vqd_publish(o->d);
	return true;
}

static bool use(struct old *o)
{
	struct vq_chain c = { .iov = o->iov, .cap = 64 };

	if (vq_pop(&o->q, &c) != 1)
		return false;
	vq_push(&o->q, &c, 0);
	(void)!vq_publish(&o->q);
	return true;
}

static bool get(struct old *o)
{
	uint32_t len;

	return vqd_get(o->d, &len);
}

/* stood: where the device is known to have been. */
static int find_from(struct old *o, uint16_t stood, uint16_t *used)
{
	struct vq_cfg c;
	int rc;

	vqd_addrs(o->d, &c);
	c.avail_idx = c.used_idx = stood;
	rc = c.packed ? vq_recover_packed(&o->mem, &c) : vq_recover_split_used_idx(&o->mem, &c);
	assert_int_equal(c.avail_idx, c.used_idx);
	*used = c.used_idx;
	return rc;
}

static int find(struct old *o, uint16_t *used)
{
	return find_from(o, 0x8000, used);
}

/* Random traffic; most is the longest chain. Counts how often the place could not be told. */
static unsigned int traffic(const struct vqd_cfg *flavour, unsigned int most, unsigned int steps)
{
	uint64_t seed = 4711 + flavour->size;
	unsigned int untold = 0;
	uint16_t stood = 0x8000;
	struct old o;

	up(&o, flavour);
	for (unsigned int i = 0; i < steps; i++) {
		uint16_t avail, used, found;
		int rc;

		rc = find_from(&o, stood, &found);
		vq_state(&o.q, &avail, &used);
		if (!rig_rnd(&seed, 8))
			stood = used;
		assert_true(rc == 0 || rc == -EUCLEAN);
		if (rc)
			untold++;
		else if (found != used)
			fail_msg("step %u: found %x, it is %x", i, found, used);
		switch (rig_rnd(&seed, 3)) {
		case 0:
			add(&o, 1 + rig_rnd(&seed, most));
			break;
		case 1:
			use(&o);
			break;
		default:
			get(&o);
		}
	}
	down(&o);
	return untold;
}

static void test_traffic(void **state)
{
	for (uint16_t size = 1; size <= 64; size = (uint16_t)(size * 2)) {
		struct vqd_cfg c = { .size = size };

		assert_int_equal(traffic(&c, MIN(size, 4), 3000), 0);
		c.packed = c.indirect = true;
		/* Single descriptors: rarely, in a ring that is new or tiny. */
		assert_true(traffic(&c, MIN(size, 4), 3000) < 100);
		c.in_order = true;
		assert_int_equal(traffic(&c, MIN(size, 4), 3000), 0);
	}
}

/* A backend that dies within a guest's first packets: each has the id of the one before. */
static void test_first_packets(void **state)
{
	struct vqd_cfg c = { .size = 256, .packed = true, .indirect = true };
	uint16_t avail, used, found;
	struct old o;

	up(&o, &c);
	for (unsigned int i = 0; i < 40; i++) {
		assert_true(add(&o, 1));
		assert_int_equal(find(&o, &found), 0);
		vq_state(&o.q, &avail, &used);
		assert_int_equal(found, used);
		assert_true(use(&o) && get(&o));
	}
	down(&o);
}

/* Lists without tables of their own: one that went on since can make it ambiguous, but not to
 * somebody who knows where the device stood before. */
static void test_first_descriptors(void **state)
{
	struct vqd_cfg c = { .size = 256, .packed = true };
	uint16_t avail, stood, found;
	struct old o;

	for (unsigned int chain = 1; chain <= 3; chain++) {
		up(&o, &c);
		for (unsigned int slots = 0; slots < 240; slots += 3 * chain) {
			vq_state(&o.q, &avail, &stood);
			for (unsigned int i = 0; i < 3; i++) {
				assert_int_equal(find_from(&o, stood, &found), 0);
				assert_int_equal(found, stood);
				assert_true(add(&o, chain));
			}
			if (slots && slots < 16)
				assert_int_equal(find(&o, &found), -EUCLEAN);
			for (unsigned int i = 0; i < 3; i++)
				assert_true(use(&o) && get(&o));
		}
		down(&o);
	}
}

/* With chains in the ring the answer is right or there is none. */
static void test_chains(void **state)
{
	struct vqd_cfg c = { .size = 24, .packed = true };

	assert_true(traffic(&c, 5, 20000) < 20000);
	c.in_order = true;
	assert_true(traffic(&c, 5, 20000) < 1000);
}

/* A driver that is adding a list has not stored its first flags yet. */
static void test_half_written(void **state)
{
	struct vqd_cfg c = { .size = 8, .packed = true };
	struct vq_pdesc *ring;
	uint16_t found;
	struct old o;

	up(&o, &c);
	ring = (struct vq_pdesc *)(void *)o.ram;
	assert_true(add(&o, 1) && use(&o) && get(&o) && add(&o, 2) && use(&o));
	ring[4].flags = VQ_F_AVAIL;
	assert_int_equal(find(&o, &found), -EAGAIN);
	down(&o);
}

/* The device died between the elements of a batch: the first of it is missing. */
static void test_half_used(void **state)
{
	struct vqd_cfg c = { .size = 8, .packed = true };
	struct vq_pdesc *ring;
	uint16_t found;
	struct old o;

	up(&o, &c);
	ring = (struct vq_pdesc *)(void *)o.ram;
	assert_true(add(&o, 1) && add(&o, 1) && add(&o, 1) && add(&o, 1));
	assert_true(use(&o));
	ring[2].flags = VQ_F_AVAIL | VQ_F_USED;
	assert_int_equal(find(&o, &found), -EUCLEAN);
	down(&o);
}

static void test_no_ring(void **state)
{
	struct vqd_cfg c = { .size = 8, .packed = true };
	struct vq_cfg v;
	struct old o;

	up(&o, &c);
	vqd_addrs(o.d, &v);
	v.desc = v.device = 1 << 20;
	assert_int_equal(vq_recover_packed(&o.mem, &v), -EINVAL);
	assert_int_equal(vq_recover_split_used_idx(&o.mem, &v), -EINVAL);
	down(&o);
}

/* Inflight memory with two buffers in flight, damaged in one place each. */
struct damage {
	unsigned int at;
	uint16_t v;
};

static void damaged(bool packed, const struct damage *dmg, int expect)
{
	struct vqd_cfg c = { .size = 8, .packed = packed };
	size_t n = vq_inflight_size(packed, 8);
	uint8_t *region = calloc(1, n);
	struct vq_chain ch[2];
	struct vq_inflight f;
	struct vq_cfg v;
	struct old o;

	up(&o, &c);
	vqd_addrs(o.d, &v);
	assert_int_equal(vq_inflight_init(&f, region, packed, 8), 0);
	assert_int_equal(vq_start_inflight(&o.q, &o.mem, &v, &f), 0);
	assert_true(add(&o, 1) && use(&o) && add(&o, 2) && add(&o, 2));
	for (unsigned int i = 0; i < 2; i++) {
		ch[i] = (struct vq_chain){ .iov = o.iov, .cap = 64 };
		assert_int_equal(vq_pop(&o.q, &ch[i]), 1);
	}
	if (dmg)
		memcpy(region + dmg->at, &dmg->v, 2);
	assert_int_equal(vq_start_inflight(&o.q, &o.mem, &v, &f), expect);
	vq_inflight_fini(&f);
	vq_inflight_fini(&f);
	free(region);
	down(&o);
}

#define AT(kind, field) ((unsigned int)offsetof(struct vqi_##kind, field))

static void test_damaged(void **state)
{
	/* Entry 0 was used; the chains are in entries 0-1 and 2-3 of the packed kind. */
	static const struct damage split[] = {
		{ AT(split, version), 2 },    { AT(split, desc_num), 9 },
		{ AT(split, desc_num), 0 },   { AT(split, used_idx), 0x8000 },
		{ AT(split, used_idx), 500 },
	};
	static const struct damage packed[] = {
		{ AT(packed, version), 2 },	      { AT(packed, desc_num), 7 },
		{ AT(packed, used.used_idx), 8 },     { AT(packed, used.old_used_idx), 0xffff },
		{ AT(packed, used.old_used_idx), 5 }, { AT(packed, used.used_wrap), 2 },
		{ AT(packed, desc[0].num), 0 },	      { AT(packed, desc[0].num), 9 },
		{ AT(packed, desc[0].num), 4 },	      { AT(packed, desc[0].next), 8 },
		{ AT(packed, desc[0].next), 0 },      { AT(packed, desc[1].id), 8 },
		{ AT(packed, desc[6].inflight), 1 },
	};
	const struct damage bad_batch = { AT(split, used_idx), 0 };

	damaged(false, NULL, 0);
	damaged(true, NULL, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(split); i++)
		damaged(false, &split[i], -EINVAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(packed); i++)
		damaged(true, &packed[i], -EINVAL);
	/* This one can be true: the last batch was cut short. */
	damaged(false, &bad_batch, 0);
}

static void test_init(void **state)
{
	uint64_t region[128] = { 0 };
	struct vq_inflight f;

	assert_int_equal(vq_inflight_size(false, 1), 64);
	assert_int_equal(vq_inflight_size(false, 128), 24 + 128 * 16 + 40);
	assert_int_equal(vq_inflight_size(true, 128), 32 + 128 * 32 + 32);
	assert_int_equal(vq_inflight_init(&f, region, false, 0), -EINVAL);
	assert_int_equal(vq_inflight_init(&f, region, false, VQ_SIZE_MAX + 1), -EINVAL);
	assert_int_equal(vq_inflight_init(&f, (uint8_t *)region + 4, false, 8), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traffic),
		cmocka_unit_test(test_first_packets),
		cmocka_unit_test(test_first_descriptors),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_half_written),
		cmocka_unit_test(test_half_used),
		cmocka_unit_test(test_no_ring),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
