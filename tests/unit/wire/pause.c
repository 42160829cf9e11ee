// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vhost-user port that is paused, or whose function may not master the bus: the backend gives its
 * rings back and gets them again, and nothing is lost, whatever happens meanwhile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/wire/fronttest.h"

#define SPLIT  (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX)
#define PACKED (SPLIT | VIO_F_PACKED)

static void up(struct front *f, uint64_t features, unsigned int scale)
{
	front_up(f, &(struct front_cfg){ .scale = scale });
	front_state(f, VU_CONNECTED);
	front_driver(f, features, 64);
	front_lit(f);
}

static bool let_go(void *arg)
{
	struct front *f = arg;

	return fb_ready(&f->b, 0) && !atomic_load(&f->t.v->pausing);
}

static void off(struct front *f)
{
	vt_master(&f->t, false);
	fb_run(&f->b, let_go, f);
	assert_false(f->b.q[0].running || f->b.q[1].running);
}

static void on(struct front *f)
{
	vt_master(&f->t, true);
	front_lit(f);
}

static enum fb_act old_backend(struct fakeback *b, const struct vu_msg *req, struct vu_msg *r)
{
	/* librte_vhost: the available offset alone */
	if (req->h.req == VU_GET_VRING_BASE)
		r->u.vring.num &= 0xffff;
	return FB_ANSWER;
}

static void stream(uint64_t features, bool old)
{
	struct front f;

	up(&f, features, 10);
	if (old)
		f.b.hook = old_backend;
	for (unsigned int i = 0; i < 150; i++) {
		unsigned int q = i & 1;

		front_add(&f, q, 2 * i + 1);
		front_echo(&f, q, 2 * i + 1, 1);
		if (i % 10)
			continue;
		off(&f);
		assert_int_equal(f.b.status, 15);
		front_add(&f, q, 2 * i + 2);
		while (fb_turn(&f.b, 5))
			;
		assert_false(f.b.q[q].running);
		on(&f);
		front_echo(&f, q, 2 * i + 2, 1);
	}
	assert_int_equal(front_info(&f).connects, 1);
	front_reset(&f);
	front_down(&f);
}

static void test_stream(void **state)
{
	stream(SPLIT, false);
	stream(PACKED, false);
	stream(PACKED, true);
}

/* It keeps a buffer: it gets it again. */
static void test_keeps_one(void **state)
{
	struct iovec iov[4];
	struct vq_chain c = { .iov = iov, .cap = 4 };
	struct front f;

	for (unsigned int i = 0; i < 2; i++) {
		up(&f, i ? PACKED : SPLIT, 10);
		front_add(&f, 0, 1);
		front_add(&f, 0, 2);
		assert_true(fb_pop(&f.b, 0, &c));
		off(&f);
		on(&f);
		front_echo(&f, 0, 1, 2);
		front_down(&f);
	}
}

/* It vanishes while it has nothing, or has not answered; the next one goes on. */
static void test_vanishes(void **state)
{
	struct front f;

	for (unsigned int i = 0; i < 4; i++) {
		up(&f, i & 1 ? PACKED : SPLIT, 10);
		front_add(&f, 0, 1);
		front_echo(&f, 0, 1, 1);
		front_add(&f, 0, 2);
		if (i & 2)
			vt_master(&f.t, false);
		else
			off(&f);
		fb_die(&f.b);
		front_state(&f, VU_LOST);
		assert_false(atomic_load(&f.t.v->pausing));
		fb_listen(&f.b);
		while (f.b.conns < 2 || fb_turn(&f.b, 50))
			fb_turn(&f.b, 5);
		assert_false(f.b.q[0].running);
		on(&f);
		front_echo(&f, 0, 2, 1);
		front_down(&f);
	}
}

/* A pause of the machine without a backend, and one whose backend does not answer: it is not waited
 * for longer than a moment. */
static void test_machine(void **state)
{
	struct front f;

	up(&f, SPLIT, 1);
	assert_int_equal(vio_dev_ops.quiesce(f.t.dev, true), 0);
	assert_true(atomic_load(&f.t.v->pausing));
	fb_run(&f.b, let_go, &f);
	assert_int_equal(vio_dev_ops.quiesce(f.t.dev, false), 0);
	front_lit(&f);
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	assert_int_equal(vio_dev_ops.quiesce(f.t.dev, true), 0);
	assert_false(atomic_load(&f.t.v->pausing));
	assert_int_equal(vio_dev_ops.quiesce(f.t.dev, false), 0);
	fb_listen(&f.b);
	front_lit(&f);
	front_down(&f);
}

/* Resets while it stands still, or is about to; the next driver finds it as ever. */
static void test_reset(void **state)
{
	struct front f;

	up(&f, SPLIT, 10);
	for (unsigned int i = 0; i < 6; i++) {
		if (i & 1)
			vt_master(&f.t, false);
		else
			off(&f);
		front_reset(&f);
		assert_int_equal(f.b.status, 0);
		if (i & 2)
			vt_master(&f.t, true);
		vt_forget(&f.t);
		front_driver(&f, SPLIT, 64);
		vt_master(&f.t, true);
		front_lit(&f);
		front_add(&f, 0, 5);
		front_echo(&f, 0, 5, 1);
	}
	/* on and off faster than the backend follows */
	for (unsigned int i = 0; i < 100; i++) {
		vt_master(&f.t, i & 1);
		if (i % 3 == 0)
			fb_turn(&f.b, 0);
	}
	front_lit(&f);
	front_add(&f, 0, 7);
	front_echo(&f, 0, 7, 1);
	front_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),	 cmocka_unit_test(test_keeps_one),
		cmocka_unit_test(test_vanishes), cmocka_unit_test(test_machine),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
