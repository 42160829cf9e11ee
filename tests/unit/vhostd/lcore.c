// SPDX-License-Identifier: BSD-3-Clause
/* Poll loops on a thread of their own: coming and going of pollers, sleep and wake-up, cold ones.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtio/vhostd/lcore.h"

/* struct job - a poller with `todo` units of work, told of by an eventfd */
struct job {
	struct poller p;
	int fd;
	_Atomic unsigned int todo, done, armed, polls;
	_Atomic bool gone;
};

static unsigned int job_poll(void *arg)
{
	struct job *j = arg;
	unsigned int n = atomic_exchange(&j->todo, 0);

	assert_false(j->gone);
	j->polls++;
	j->done += n;
	return n;
}

static bool job_arm(void *arg)
{
	struct job *j = arg;

	j->armed++;
	return j->todo;
}

static void job_init(struct job *j)
{
	memset(j, 0, sizeof(*j));
	j->p = (struct poller){ .poll = job_poll, .arm = job_arm, .arg = j };
	j->fd = eventfd(0, EFD_NONBLOCK);
	assert_true(j->fd >= 0);
}

struct fix {
	struct lcore *l;
	pthread_t t;
};

static void *thread(void *l)
{
	lcore_main(l);
	return NULL;
}

static int setup_as(void **st, bool busy)
{
	struct lcore_cfg c = { .busy = busy };
	struct fix *f = calloc(1, sizeof(*f));

	if (!f || lcore_new(&c, &f->l, NULL) || pthread_create(&f->t, NULL, thread, f->l))
		return -1;
	*st = f;
	return 0;
}

static int setup(void **st)
{
	return setup_as(st, false);
}

static int setup_busy(void **st)
{
	return setup_as(st, true);
}

static int teardown(void **st)
{
	struct fix *f = *st;

	lcore_stop(f->l);
	pthread_join(f->t, NULL);
	lcore_free(f->l);
	free(f);
	return 0;
}

static void wait_for(_Atomic unsigned int *v, unsigned int n)
{
	while (atomic_load(v) < n)
		usleep(100);
}

static void work_wakes_a_sleeper(void **st)
{
	static const uint64_t one = 1;
	struct fix *f = *st;
	struct lcore_count c;
	unsigned int i;
	struct job j;

	job_init(&j);
	assert_int_equal(lcore_add(f->l, &j.p), 0);
	assert_int_equal(lcore_fd_add(f->l, j.fd), 0);
	for (i = 1; i <= 20; i++) {
		wait_for(&j.armed, i);
		j.todo++;
		assert_int_equal(write(j.fd, &one, sizeof(one)), sizeof(one));
		wait_for(&j.done, i);
	}
	lcore_fd_del(f->l, j.fd);
	lcore_del(f->l, &j.p);
	j.gone = true;
	lcore_count(f->l, &c);
	assert_true(c.sleeps > 0);
	assert_int_equal(c.work, 20);
	assert_int_equal(lcore_load(f->l), 0);
	close(j.fd);
}

/* A poller that nothing tells of is looked at all the same. */
static void naps(void **st)
{
	struct fix *f = *st;
	struct job j;

	job_init(&j);
	j.p.nap_us = 200;
	assert_int_equal(lcore_add(f->l, &j.p), 0);
	wait_for(&j.armed, 3);
	j.todo = 1;
	wait_for(&j.done, 1);
	lcore_del(f->l, &j.p);
	close(j.fd);
}

static void removed_is_never_polled(void **st)
{
	struct fix *f = *st;
	struct job j[40];
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(j); i++)
		job_init(&j[i]);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < ARRAY_SIZE(j); i++) {
			j[i].gone = false;
			assert_int_equal(lcore_add(f->l, &j[i].p), 0);
		}
		assert_int_equal(lcore_load(f->l), ARRAY_SIZE(j));
		for (i = round; i < ARRAY_SIZE(j) + round; i++) {
			struct job *k = &j[(i * 7) % ARRAY_SIZE(j)];

			lcore_del(f->l, &k->p);
			k->gone = true;
		}
	}
	for (i = 0; i < ARRAY_SIZE(j); i++)
		close(j[i].fd);
}

static unsigned int always(void *arg)
{
	return 32;
}

/* Beside one that is always busy the idle ones are polled far less, and still all of them. */
static void cold_ones_wait(void **st)
{
	struct poller hot = { .poll = always };
	struct fix *f = *st;
	struct lcore_count c;
	struct job j[16];
	unsigned int i, before;

	for (i = 0; i < ARRAY_SIZE(j); i++) {
		job_init(&j[i]);
		assert_int_equal(lcore_add(f->l, &j[i].p), 0);
	}
	assert_int_equal(lcore_add(f->l, &hot), 0);
	do
		lcore_count(f->l, &c);
	while (c.cold < ARRAY_SIZE(j));
	before = j[0].polls;
	wait_for(&j[0].polls, before + 100);
	for (i = 0; i < ARRAY_SIZE(j); i++) {
		j[i].todo = 1;
		wait_for(&j[i].done, 1);
	}
	lcore_del(f->l, &hot);
	for (i = 0; i < ARRAY_SIZE(j); i++) {
		lcore_del(f->l, &j[i].p);
		close(j[i].fd);
	}
}

static void add_one(void *arg)
{
	++*(unsigned int *)arg;
}

static void *caller(void *arg)
{
	struct fix *f = arg;
	unsigned int i, n = 0;

	for (i = 1; i <= 2000; i++) {
		lcore_call(f->l, add_one, &n);
		if (n != i)
			return NULL;
	}
	return f;
}

static void calls_from_many_threads(void **st)
{
	struct fix *f = *st;
	pthread_t t[4];
	unsigned int i;
	void *ok;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, caller, f), 0);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		pthread_join(t[i], &ok);
		assert_ptr_equal(ok, f);
	}
}

static void busy_never_sleeps(void **st)
{
	struct fix *f = *st;
	struct lcore_count c;
	struct job j;

	job_init(&j);
	assert_int_equal(lcore_add(f->l, &j.p), 0);
	wait_for(&j.polls, 10000);
	lcore_del(f->l, &j.p);
	lcore_count(f->l, &c);
	assert_int_equal(c.sleeps, 0);
	assert_int_equal(j.armed, 0);
	close(j.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(work_wakes_a_sleeper, setup, teardown),
		cmocka_unit_test_setup_teardown(naps, setup, teardown),
		cmocka_unit_test_setup_teardown(removed_is_never_polled, setup, teardown),
		cmocka_unit_test_setup_teardown(cold_ones_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_from_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_never_sleeps, setup_busy, teardown),
	};

	return cmocka_run_group_tests_name("vhostd-lcore", tests, NULL, NULL);
}
