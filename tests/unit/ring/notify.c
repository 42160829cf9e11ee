// SPDX-License-Identifier: BSD-3-Clause
/* Who is told when: the other side's wish, to the index. And places to start from, and sizes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "rig.h"
#include "virtio/ring/vq_priv.h"

#define SIZE 8u

static void move(struct rig *r, unsigned int n, bool publish)
{
	struct iovec iov = { r->ram + RIG_AREA, 16 };

	for (unsigned int i = 0; i < n; i++) {
		struct iovec got;
		struct vq_chain c = { .iov = &got, .cap = 1 };
		uint32_t len;

		assert_int_equal(vqd_add(r->d, &iov, 1, 0, r), 0);
		(void)!vqd_publish(r->d);
		assert_int_equal(vq_pop(&r->q, &c), 1);
		vq_push(&r->q, &c, 0);
		if (publish) {
			(void)!vq_publish(&r->q);
			assert_ptr_equal(vqd_get(r->d, &len), r);
		}
	}
}

/* Uses n more buffers in one batch. Was the driver called? */
static bool used(struct rig *r, unsigned int n)
{
	uint32_t len;
	bool call;

	move(r, n, false);
	call = vq_publish(&r->q);
	while (vqd_get(r->d, &len))
		;
	return call;
}

static void calls_split(void)
{
	const struct vqd_cfg plain = { .size = SIZE }, ev = { .size = SIZE, .event_idx = true };
	struct rig r;

	rig_up(&r, &plain);
	assert_true(used(&r, 1));
	vqd_notify(r.d, false);
	assert_false(used(&r, 1));
	vqd_notify(r.d, true);
	assert_true(used(&r, 3));
	assert_int_equal(r.q.calls, 2);
	assert_int_equal(r.q.calls_spared, 1);
	rig_down(&r);

	rig_up(&r, &ev);
	assert_true(used(&r, 1));  /* event 0, index 0 -> 1 */
	assert_false(used(&r, 1)); /* 1 -> 2 */
	*split_used_event(r.q.s.avail, SIZE) = 4;
	assert_false(used(&r, 2)); /* 2 -> 4: used up to 3, the event is 4 */
	assert_true(used(&r, 1));  /* 4 -> 5 */
	*split_used_event(r.q.s.avail, SIZE) = 7;
	assert_true(used(&r, 4)); /* 5 -> 9 passes 7 */
	assert_false(used(&r, 4));
	/* Flags mean nothing now. */
	((struct vq_savail *)r.q.s.avail)->flags = VQ_NO_NOTIFY;
	vqd_notify(r.d, true);
	assert_true(used(&r, 1));
	rig_down(&r);
}

static void calls_packed(void)
{
	const struct vqd_cfg plain = { .size = SIZE, .packed = true };
	const struct vqd_cfg ev = { .size = SIZE, .packed = true, .event_idx = true };
	struct vq_pevent *e;
	struct rig r;

	rig_up(&r, &plain);
	e = r.q.p.driver;
	assert_true(used(&r, 1));
	e->flags = VQ_EV_DISABLE;
	assert_false(used(&r, 1));
	e->flags = VQ_EV_DESC; /* not negotiated: any but "disable" is a yes */
	assert_true(used(&r, 1));
	rig_down(&r);

	rig_up(&r, &ev);
	e = r.q.p.driver;
	e->flags = VQ_EV_DESC;
	e->off_wrap = 0x8000 | 2;
	assert_false(used(&r, 2)); /* slots 0, 1 */
	assert_true(used(&r, 1));  /* slot 2 */
	assert_false(used(&r, 1)); /* slot 3 */
	e->off_wrap = 7 | 0x8000;
	assert_false(used(&r, 3)); /* 4 to 6 */
	assert_true(used(&r, 4));  /* 7, and 0 to 2 of the next lap */
	e->off_wrap = 3 | 0x8000;  /* of the lap that is over */
	assert_false(used(&r, 1));
	e->off_wrap = 4;
	assert_true(used(&r, 1));
	e->flags = VQ_EV_DISABLE;
	assert_false(used(&r, 1));
	e->flags = VQ_EV_ENABLE;
	assert_true(used(&r, 1));
	rig_down(&r);
}

static void test_calls(void **state)
{
	calls_split();
	calls_packed();
}

/* The device's wish, and what the driver makes of it; the first of two kicks is always due. */
static void kicks(const struct vqd_cfg *flavour)
{
	struct iovec iov, got;
	struct vq_chain c = { .iov = &got, .cap = 1 };
	struct rig r;

	rig_up(&r, flavour);
	iov = (struct iovec){ r.ram + RIG_AREA, 16 };
	assert_false(vq_notify(&r.q, true));
	assert_int_equal(vqd_add(r.d, &iov, 1, 0, &r), 0);
	assert_false(vq_pending(&r.q));
	assert_true(vqd_publish(r.d));
	assert_true(vq_pending(&r.q));
	assert_true(vq_notify(&r.q, true)); /* one came: look again */
	assert_false(vq_notify(&r.q, false));
	assert_int_equal(vq_pop(&r.q, &c), 1);
	assert_int_equal(vqd_add(r.d, &iov, 1, 0, &r), 0);
	assert_false(vqd_publish(r.d)); /* not wanted */
	assert_int_equal(vq_pop(&r.q, &c), 1);
	assert_false(vq_notify(&r.q, true));
	assert_int_equal(vqd_add(r.d, &iov, 1, 0, &r), 0);
	assert_true(vqd_publish(r.d));
	/* With an event index one kick is enough. */
	assert_int_equal(vqd_add(r.d, &iov, 1, 0, &r), 0);
	assert_int_equal(vqd_publish(r.d), !flavour->event_idx);
	rig_down(&r);
}

static void test_kicks(void **state)
{
	rig_flavours(SIZE, kicks);
}

/* Nothing staged: nothing to tell. A start in the middle: the event index is not believed yet. */
static void test_first(void **state)
{
	const struct vqd_cfg ev = { .size = SIZE, .event_idx = true };
	struct vq_cfg c;
	struct rig r;

	rig_up(&r, &ev);
	assert_false(vq_publish(&r.q));
	move(&r, 3, true);
	vqd_addrs(r.d, &c);
	vq_state(&r.q, &c.avail_idx, &c.used_idx);
	assert_int_equal(c.avail_idx, 3);
	assert_int_equal(c.used_idx, 3);
	assert_int_equal(vq_start(&r.q, &r.mem, &c), 0);
	assert_true(used(&r, 1));
	assert_false(used(&r, 1));
	rig_down(&r);
}

/* Stops and starts at every place of the ring, staged buffers not counted. */
static void stop_and_go(const struct vqd_cfg *flavour)
{
	uint16_t avail, used_idx;
	struct vq_cfg c;
	struct rig r;

	rig_up(&r, flavour);
	for (unsigned int i = 0; i < 70; i++) {
		vqd_addrs(r.d, &c);
		vq_state(&r.q, &c.avail_idx, &c.used_idx);
		assert_int_equal(vq_start(&r.q, &r.mem, &c), 0);
		move(&r, 1, true);
	}
	vq_state(&r.q, &avail, &used_idx);
	assert_int_equal(avail, used_idx);
	assert_int_equal(avail, flavour->packed ? 70 % SIZE | (70 / SIZE % 2 ? 0 : 0x8000) : 70);
	move(&r, 1, false);
	vq_state(&r.q, &c.avail_idx, &c.used_idx);
	assert_int_equal(c.used_idx, used_idx);
	assert_int_equal(c.avail_idx, avail + 1);
	rig_down(&r);
}

static void test_stop_and_go(void **state)
{
	rig_flavours(SIZE, stop_and_go);
}

static void shuffle(const struct vqd_cfg *flavour)
{
	struct rig r;

	if (!flavour->packed && !IS_POW2(flavour->size))
		return;
	rig_up(&r, flavour);
	rig_shuffle(&r, 400);
	rig_down(&r);
}

/* The largest ring, and packed ones that are no power of two. */
static void test_sizes(void **state)
{
	struct vqd_cfg c = { .size = VQ_SIZE_MAX };

	shuffle(&c);
	c.packed = c.event_idx = true;
	shuffle(&c);
	c.indirect = true;
	shuffle(&c);
	rig_flavours(3, shuffle);
	rig_flavours(37, shuffle);
	rig_flavours(VQ_SIZE_MAX - 1, shuffle);
}

/* All of the largest ring at once, three times, so that indices and wrap counters turn. */
static void fill(const struct vqd_cfg *flavour)
{
	unsigned int n = flavour->size;
	struct iovec iov, got;
	struct vq_chain c = { .iov = &got, .cap = 1 };
	uint16_t *ids = calloc(n, sizeof(*ids));
	struct rig r;
	uint32_t len;

	assert_non_null(ids);
	rig_up(&r, flavour);
	iov = (struct iovec){ r.ram + RIG_AREA, 16 };
	for (unsigned int lap = 0; lap < 3; lap++) {
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(vqd_add(r.d, &iov, 0, 1, &r), 0);
		assert_int_equal(vqd_add(r.d, &iov, 0, 1, &r), -ENOSPC);
		(void)!vqd_publish(r.d);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(vq_pop(&r.q, &c), 1);
			ids[i] = c.id;
		}
		assert_int_equal(vq_pop(&r.q, &c), 0);
		for (unsigned int i = 0; i < n; i++) {
			c.id = ids[i];
			vq_push(&r.q, &c, i & 15);
		}
		(void)!vq_publish(&r.q);
		for (unsigned int i = 0; i < n; i++) {
			assert_ptr_equal(vqd_get(r.d, &len), &r);
			assert_int_equal(len, i & 15);
		}
		assert_null(vqd_get(r.d, &len));
	}
	rig_down(&r);
	free(ids);
}

static void test_fill(void **state)
{
	rig_flavours(1, fill);
	rig_flavours(VQ_SIZE_MAX, fill);
}

/* A device that works in order may tell of a batch by its last buffer only (2.7.9, 2.8.12). */
static void batch(bool packed)
{
	const struct vqd_cfg c = { .size = SIZE, .packed = packed, .in_order = true };
	struct iovec iov, got;
	struct vq_chain ch = { .iov = &got, .cap = 1 };
	struct rig r;
	uint32_t len;

	rig_up(&r, &c);
	iov = (struct iovec){ r.ram + RIG_AREA, 16 };
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(vqd_add(r.d, &iov, 0, 1, &r.buf[i]), 0);
		(void)!vqd_publish(r.d);
		assert_int_equal(vq_pop(&r.q, &ch), 1);
	}
	vq_push(&r.q, &ch, 5); /* only the last is told of, at the first one's place */
	if (!packed) {
		r.q.s.used_idx = 3;
		r.q.staged = 3;
	}
	(void)!vq_publish(&r.q);
	assert_ptr_equal(vqd_get(r.d, &len), &r.buf[0]);
	assert_int_equal(len, 16);
	assert_true(vqd_notify(r.d, true));
	assert_ptr_equal(vqd_get(r.d, &len), &r.buf[1]);
	assert_int_equal(len, 16);
	assert_ptr_equal(vqd_get(r.d, &len), &r.buf[2]);
	assert_int_equal(len, 5);
	assert_null(vqd_get(r.d, &len));
	rig_down(&r);
}

static void test_batch(void **state)
{
	batch(false);
	batch(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls), cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_first), cmocka_unit_test(test_stop_and_go),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_fill),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
