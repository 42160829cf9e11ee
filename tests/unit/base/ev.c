// SPDX-License-Identifier: BSD-3-Clause
/* The event loop over the real kernel, and its set-up under a fake one that fails. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/ev.h"
#include "tests/unit/fake/fakesys.h"

struct seen {
	struct ev *ev;
	struct ev_src *src, *other;
	int n;
};

static void on_read(void *arg, uint32_t events)
{
	struct seen *s = arg;

	s->n++;
	ev_del(s->src);
	ev_del(s->other); /* its event may be in the same batch */
}

static void test_del_in_callback(void **state)
{
	struct seen a = { 0 };
	int p[2], q[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(ev_new(sys_host(), &a.ev), 0);
	assert_int_equal(ev_add(a.ev, p[0], EPOLLIN, on_read, &a, &a.src), 0);
	assert_int_equal(ev_add(a.ev, q[0], EPOLLIN, on_read, &a, &a.other), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(write(q[1], "x", 1), 1);
	assert_int_equal(ev_turn(a.ev, 1000), 0);
	assert_int_equal(a.n, 1); /* whichever came first removed the other */
	assert_int_equal(ev_turn(a.ev, 0), 0);
	assert_int_equal(a.n, 1);
	ev_free(a.ev);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
}

static void count(void *arg)
{
	((struct seen *)arg)->n++;
}

static void stop(void *arg)
{
	struct seen *s = arg;

	s->n += 10;
	ev_stop(s->ev);
}

static void *caller(void *arg)
{
	struct seen *s = arg;

	for (int i = 0; i < 100; i++)
		if (ev_call(s->ev, count, s))
			return "ENOMEM";
	return ev_call(s->ev, stop, s) ? "ENOMEM" : NULL;
}

static void test_call_from_thread(void **state)
{
	struct seen s = { 0 };
	pthread_t t;
	void *bad;

	assert_int_equal(ev_new(sys_host(), &s.ev), 0);
	assert_int_equal(pthread_create(&t, NULL, caller, &s), 0);
	assert_int_equal(ev_run(s.ev), 0);
	pthread_join(t, &bad);
	assert_null(bad);
	assert_int_equal(s.n, 110);
	ev_free(s.ev);
}

static void test_timer(void **state)
{
	struct seen s = { 0 };
	struct ev_src *gone;

	assert_int_equal(ev_new(sys_host(), &s.ev), 0);
	assert_int_equal(ev_timer(s.ev, 1000000, count, &s, NULL), 0);
	assert_int_equal(ev_timer(s.ev, 0, count, &s, &gone), 0);
	ev_del(gone);
	while (!s.n)
		assert_int_equal(ev_turn(s.ev, 1000), 0);
	assert_int_equal(ev_turn(s.ev, 0), 0);
	assert_int_equal(s.n, 1);
	ev_free(s.ev);
}

/* A kernel whose clock is the test's. */
struct clock {
	struct sys sys;
	struct sys_ops ops;
	uint64_t now;
};

static uint64_t clock_now(struct sys *s)
{
	return container_of(s, struct clock, sys)->now;
}

static void on_full(void *arg, uint32_t events)
{
	struct seen *s = arg;

	s->n++;
	ev_rest(s->src, EPOLLIN, 1000000000);
}

/* What stays readable wakes the loop once in a while, not all the time. */
static void test_rest(void **state)
{
	struct clock c = { .ops = *sys_host()->ops };
	struct seen s = { 0 };
	int p[2];

	c.ops.now_ns = clock_now;
	c.sys.ops = &c.ops;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ev_new(&c.sys, &s.ev), 0);
	assert_int_equal(ev_add(s.ev, p[0], EPOLLIN, on_full, &s, &s.src), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	for (int i = 1; i <= 3; i++) {
		for (int k = 0; k < 10; k++)
			assert_int_equal(ev_turn(s.ev, 0), 0);
		assert_int_equal(s.n, i);
		c.now += 1000000000;
		assert_int_equal(ev_turn(s.ev, 0), 0); /* the timer */
	}
	/* while it rests it may go, and its timer goes with it */
	assert_int_equal(ev_turn(s.ev, 0), 0);
	ev_del(s.src);
	c.now += 2000000000;
	assert_int_equal(ev_turn(s.ev, 0), 0);
	assert_int_equal(s.n, 4);
	ev_free(s.ev);
	close(p[0]);
	close(p[1]);
}

static void test_fail_nth(void **state)
{
	struct fakesys *f = fakesys_new();
	struct ev *ev;
	unsigned int n = 0;
	int rc;

	do {
		fakesys_fail_nth(f, ++n, -EMFILE);
		rc = ev_new(fakesys_sys(f), &ev);
		assert_int_equal(rc, fakesys_failed(f) ? -EMFILE : 0);
		if (!rc)
			ev_free(ev);
		assert_int_equal(fakesys_open_fds(f), 0);
	} while (rc);
	assert_true(n > 3);
	fakesys_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_del_in_callback), cmocka_unit_test(test_call_from_thread),
		cmocka_unit_test(test_timer),		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_fail_nth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
