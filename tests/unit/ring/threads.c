// SPDX-License-Identifier: BSD-3-Clause
/*
 * Both ends in threads of their own that sleep whenever the rules allow it: a notification that is
 * suppressed wrongly, or an entry seen before it is whole, ends in a hang or in bad content.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "rig.h"

#define ROUNDS 20000u

struct pair {
	struct rig r;
	int kick, call;
	uint64_t slept; /* by the device */
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void wait_fd(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t v;

	/* Only a lost notification takes this long. */
	if (poll(&p, 1, 20000) != 1)
		abort();
	assert_int_equal(read(fd, &v, sizeof(v)), sizeof(v));
}

static void *device(void *arg)
{
	struct pair *p = arg;
	struct rig *r = &p->r;

	while (r->q.pushes < ROUNDS) {
		unsigned int some = 1 + rig_rnd(&r->dev_seed, 8);
		bool idle = true;

		while (some-- && rig_pop(r))
			idle = false;
		some = rig_rnd(&r->dev_seed, 8) + (idle ? 1 : 0);
		while (r->nheld && some--) {
			rig_push(r, r->cfg.in_order ? 0 : rig_rnd(&r->dev_seed, r->nheld));
			idle = false;
		}
		if (vq_publish(&r->q))
			signal_fd(p->call);
		if (!idle || vq_notify(&r->q, true))
			continue;
		if (r->q.pushes == ROUNDS)
			break;
		p->slept++;
		wait_fd(p->kick);
		vq_notify(&r->q, false);
	}
	return NULL;
}

static void driver(struct pair *p)
{
	struct rig *r = &p->r;
	unsigned int added = 0, got = 0;

	while (got < ROUNDS) {
		unsigned int some = 1 + rig_rnd(&r->seed, 8);
		bool idle = true;

		while (added < ROUNDS && some-- && rig_add(r)) {
			added++;
			idle = false;
		}
		if (vqd_publish(r->d))
			signal_fd(p->kick);
		while (rig_get(r)) {
			got++;
			idle = false;
		}
		if (!idle || vqd_notify(r->d, true))
			continue;
		wait_fd(p->call);
		vqd_notify(r->d, false);
	}
}

static void run(const struct vqd_cfg *flavour)
{
	struct pair p;
	pthread_t t;

	rig_up(&p.r, flavour);
	p.slept = 0;
	p.kick = eventfd(0, 0);
	p.call = eventfd(0, 0);
	assert_true(p.kick >= 0 && p.call >= 0);
	/* Wait for a first kick, as a device does. */
	vq_notify(&p.r.q, true);
	assert_int_equal(pthread_create(&t, NULL, device, &p), 0);
	driver(&p);
	signal_fd(p.kick);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(p.r.nheld, 0);
	assert_true(p.slept > 0);
	assert_true(p.r.q.calls > 0 && p.r.q.calls + p.r.q.calls_spared <= ROUNDS);
	close(p.kick);
	close(p.call);
	rig_down(&p.r);
}

static void test_threads(void **state)
{
	rig_flavours(32, run);
}

static void test_threads_small(void **state)
{
	rig_flavours(2, run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_threads_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
