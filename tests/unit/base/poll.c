// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looking before sleeping, on a clock that the test moves; and with two threads, where what counts
 * is that nobody sleeps through work.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/ev.h"

#define MAX_NS 32000u
#define STEP   500u /* of the clock, each time that it is read */

/* The real kernel, but for time: @waits: calls of epoll_wait; @slept: those that might sleep. */
struct clock {
	struct sys sys;
	struct sys_ops ops;
	uint64_t now;
	unsigned int waits, slept;
};

static struct clock *clock_of(struct sys *s)
{
	return container_of(s, struct clock, sys);
}

static uint64_t fake_now(struct sys *s)
{
	return clock_of(s)->now += STEP;
}

static int fake_wait(struct sys *s, int fd, struct epoll_event *e, int n, int timeout_ms)
{
	clock_of(s)->waits++;
	clock_of(s)->slept += !!timeout_ms;
	return sys_epoll_wait(sys_host(), fd, e, n, 0);
}

/* Work: @work pieces, done one a look; @late: pieces that come while it arms. */
struct worker {
	struct clock c;
	struct ev *ev;
	struct ev_poll poll;
	struct ev_src *src;
	int fd;
	unsigned int work, late, looks, arms, done;
	struct worker *leaves; /* taken off at the first look that finds work */
};

static bool look(void *arg)
{
	struct worker *w = arg;

	w->looks++;
	if (!w->work)
		return false;
	w->work--;
	w->done++;
	if (w->leaves)
		ev_poll_off(&w->leaves->poll);
	return true;
}

static bool arm(void *arg)
{
	struct worker *w = arg;

	w->arms++;
	if (!w->late)
		return false;
	w->late--;
	w->work++;
	return true;
}

static void told(void *arg, uint32_t events)
{
	struct worker *w = arg;
	uint64_t n;

	(void)!read(w->fd, &n, sizeof(n));
	ev_poll_on(&w->poll);
}

static void up(struct worker *w, uint64_t window)
{
	*w = (struct worker){ 0 };
	w->c.ops = *sys_host()->ops;
	w->c.ops.now_ns = fake_now;
	w->c.ops.epoll_wait = fake_wait;
	w->c.sys.ops = &w->c.ops;
	w->c.now = 1000000000;
	assert_int_equal(ev_new(&w->c.sys, &w->ev), 0);
	ev_poll_window(w->ev, window);
	ev_poll_init(&w->poll, w->ev, look, arm, w);
	w->fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(ev_add(w->ev, w->fd, EPOLLIN, told, w, &w->src), 0);
}

static void down(struct worker *w)
{
	ev_poll_off(&w->poll);
	ev_free(w->ev);
	close(w->fd);
}

/* The loop until it would sleep. */
static void settle(struct worker *w)
{
	unsigned int slept = w->c.slept;

	for (unsigned int i = 0; w->c.slept == slept; i++) {
		assert_true(i < 1000);
		assert_int_equal(ev_turn(w->ev, -1), 0);
	}
}

/* A piece of work and its notification after ns of sleep. */
static void wake(struct worker *w, uint64_t ns)
{
	static const uint64_t one = 1;

	w->c.now += ns;
	w->work++;
	assert_int_equal(write(w->fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(ev_turn(w->ev, -1), 0);
	settle(w);
}

static struct ev_poll_count counted(struct worker *w)
{
	struct ev_poll_count c;

	ev_poll_count(w->ev, &c);
	return c;
}

static void test_no_window(void **state)
{
	struct worker w;

	up(&w, 0);
	settle(&w);
	assert_int_equal(w.looks + w.arms, 0); /* asleep: neither looked at nor armed */
	for (unsigned int i = 1; i <= 20; i++) {
		wake(&w, 2000);
		assert_int_equal(w.done, i);
		assert_int_equal(w.arms, i);
	}
	assert_int_equal(counted(&w).misses, 0);
	down(&w);
}

/* What came between the last look and the arming is served before the loop sleeps. */
static void test_arm_looks_again(void **state)
{
	struct worker w;

	for (uint64_t window = 0; window <= MAX_NS; window += MAX_NS) {
		up(&w, window);
		w.late = 3;
		wake(&w, 1000000);
		assert_int_equal(w.done, 4);
		assert_int_equal(w.arms, 4);
		assert_int_equal(w.work, 0);
		down(&w);
	}
}

static void test_grows_and_closes(void **state)
{
	uint64_t last = 0;
	struct worker w;

	up(&w, MAX_NS);
	wake(&w, 1000000);
	assert_int_equal(counted(&w).window_ns, 0); /* late work: no looking, whatever comes */
	for (unsigned int i = 0; i < 4; i++) {
		wake(&w, 3000);
		assert_true(counted(&w).window_ns > last);
		last = counted(&w).window_ns;
	}
	assert_int_equal(last, MAX_NS);
	assert_true(counted(&w).misses > 0 && counted(&w).ns >= MAX_NS);
	wake(&w, 1000000);
	assert_int_equal(counted(&w).window_ns, 0);
	ev_poll_window(w.ev, 0); /* and not at all from here on */
	wake(&w, 3000);
	assert_int_equal(counted(&w).window_ns, 0);
	down(&w);
}

/* Windows in vain get rarer and rarer, and one that pays makes up for it. */
static void test_backs_off(void **state)
{
	uint64_t half, all;
	struct worker w;

	up(&w, MAX_NS);
	wake(&w, 1000000);
	for (unsigned int i = 0; i < 2000; i++)
		wake(&w, 3000);
	half = counted(&w).misses;
	for (unsigned int i = 0; i < 2000; i++)
		wake(&w, 3000);
	all = counted(&w).misses;
	assert_true(half < 200 && all - half < 50);
	assert_int_equal(counted(&w).hits, 0);
	while (counted(&w).window_ns != MAX_NS)
		wake(&w, 3000);
	w.late = 1; /* found before sleeping: the wake-up was spared */
	wake(&w, 3000);
	assert_int_equal(counted(&w).hits, 1);
	all = counted(&w).misses;
	for (unsigned int i = 0; i < 50; i++)
		wake(&w, 3000);
	assert_true(counted(&w).misses - all > 10);
	down(&w);
}

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

/* A worker who always has work keeps neither calls nor files waiting. */
static void test_others_have_their_turn(void **state)
{
	unsigned int called = 0, waits;
	struct worker w;

	up(&w, MAX_NS);
	w.work = 1000000;
	ev_poll_on(&w.poll);
	waits = w.c.waits;
	assert_int_equal(ev_turn(w.ev, -1), 0);
	assert_int_equal(w.c.waits, waits + 1);
	assert_true(w.done > 1 && w.done < 300);
	assert_int_equal(ev_call(w.ev, count, &called), 0);
	waits = w.looks;
	assert_int_equal(ev_turn(w.ev, -1), 0);
	assert_int_equal(called, 1);
	assert_true(w.looks - waits <= 3); /* at once */
	assert_int_equal(w.c.slept, 0);
	down(&w);
}

/* Looking in vain, for who waits for files too: they are looked at all the while. */
static void test_files_soon(void **state)
{
	unsigned int waits[2];
	struct worker w;

	for (unsigned int files = 0; files < 2; files++) {
		up(&w, MAX_NS);
		w.poll.files = files;
		while (counted(&w).window_ns != MAX_NS / 2)
			wake(&w, 3000);
		w.work++;
		ev_poll_on(&w.poll);
		waits[files] = w.c.waits;
		settle(&w);
		waits[files] = w.c.waits - waits[files];
		down(&w);
	}
	assert_true(waits[0] <= 3 && waits[1] >= 5);
}

/* Whoever leaves, itself or another, is not touched again. */
static void test_off_in_look(void **state)
{
	struct worker a, b;

	for (unsigned int self = 0; self < 2; self++) {
		up(&a, MAX_NS);
		up(&b, MAX_NS);
		ev_poll_init(&b.poll, a.ev, look, arm, &b);
		a.work = b.work = 5;
		a.leaves = self ? &a : &b;
		b.leaves = self ? &b : &a;
		ev_poll_on(&a.poll);
		ev_poll_on(&a.poll);
		ev_poll_on(&b.poll);
		settle(&a);
		assert_int_equal(a.done, self ? 1 : 5);
		assert_int_equal(b.done, self ? 1 : 0);
		assert_int_equal(b.arms, 0);
		assert_int_equal(b.looks, self ? 1 : 0);
		ev_poll_off(&b.poll);
		ev_poll_off(&b.poll);
		down(&b); /* first: it is on a's loop */
		down(&a);
	}
}

/* ---- two threads ---- */

#define PIECES 30000u

/* @sent: pieces handed over; @seen: taken; @quiet: the loop wants no notification */
struct race {
	struct ev *ev;
	struct ev_poll poll;
	struct ev_src *src;
	int fd;
	atomic_uint sent, seen;
	atomic_bool quiet;
};

static bool race_look(void *arg)
{
	struct race *r = arg;

	atomic_store(&r->quiet, true);
	if (atomic_load(&r->seen) == atomic_load(&r->sent))
		return false;
	if (atomic_fetch_add(&r->seen, 1) + 1 == PIECES)
		ev_stop(r->ev);
	return true;
}

static bool race_arm(void *arg)
{
	struct race *r = arg;

	atomic_store(&r->quiet, false);
	return atomic_load(&r->seen) != atomic_load(&r->sent);
}

static void race_told(void *arg, uint32_t events)
{
	struct race *r = arg;
	uint64_t n;

	(void)!read(r->fd, &n, sizeof(n));
	ev_poll_on(&r->poll);
}

static void *race_loop(void *arg)
{
	return ev_run(((struct race *)arg)->ev) ? "failed" : NULL;
}

/* Each piece after the one before was taken, and a while that comes close to the window. */
static void race_run(uint64_t window)
{
	static const uint64_t one = 1;
	struct race r = { 0 };
	pthread_t t;
	void *bad;

	assert_int_equal(ev_new(sys_host(), &r.ev), 0);
	ev_poll_window(r.ev, window);
	r.fd = eventfd(0, EFD_NONBLOCK);
	ev_poll_init(&r.poll, r.ev, race_look, race_arm, &r);
	assert_int_equal(ev_add(r.ev, r.fd, EPOLLIN, race_told, &r, &r.src), 0);
	assert_int_equal(pthread_create(&t, NULL, race_loop, &r), 0);
	for (unsigned int i = 1; i <= PIECES; i++) {
		atomic_store(&r.sent, i);
		if (!atomic_load(&r.quiet))
			assert_int_equal(write(r.fd, &one, sizeof(one)), sizeof(one));
		while (atomic_load(&r.seen) != i)
			sched_yield();
		for (volatile unsigned int k = 0; k < i * 7919 % 4096; k++)
			;
	}
	pthread_join(t, &bad);
	assert_null(bad);
	ev_poll_off(&r.poll);
	ev_free(r.ev);
	close(r.fd);
}

static void test_race(void **state)
{
	race_run(0);
	race_run(2000);
	race_run(MAX_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_window),
		cmocka_unit_test(test_arm_looks_again),
		cmocka_unit_test(test_grows_and_closes),
		cmocka_unit_test(test_backs_off),
		cmocka_unit_test(test_others_have_their_turn),
		cmocka_unit_test(test_files_soon),
		cmocka_unit_test(test_off_in_look),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
