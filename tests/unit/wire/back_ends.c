// SPDX-License-Identifier: BSD-3-Clause
/*
 * The back end of vhost-user: an end at every step of a connection's life, and a host that fails at
 * every call. Nothing may be left after them, and the next front end must be served.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/wire/backfix.h"

static void test_hangup_anywhere(void **state)
{
	static const uint8_t half[] = { VU_SET_MEM_TABLE, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 1 };
	struct fix f;
	unsigned int fds;

	fix_init(&f, false);
	fds = openfds();
	for (unsigned int last = 0; last < fix_steps(FIX_RUNNING); last++) {
		for (unsigned int cut = 0; cut < 3; cut++) {
			for (unsigned int i = 0; i <= last; i++)
				fix_step(&f, i);
			/* Whole, in the midst of a header, of a payload. */
			if (cut)
				assert_true(send(f.fd, half, cut == 1 ? 5 : sizeof(half), 0) > 0);
			fix_turn(&f);
			fix_hangup(&f);
			assert_false(f.connected);
			assert_int_equal(f.hs.maps, 0);
			assert_int_equal(f.starts, f.stops);
			assert_int_equal(openfds(), fds);
		}
	}
	fix_check_next(&f);
	fix_fini(&f);
}

/* Descriptors that came with half a message belong to nobody but the codec. */
static void test_half_with_fds(void **state)
{
	struct fix f;
	unsigned int fds;

	fix_init(&f, false);
	fds = openfds();
	fix_reach(&f, FIX_OWNED);
	fix_send(&f, VU_SET_MEM_TABLE, 0, "12345678", 8, (int[]){ f.memfd, f.memfd }, 2);
	fix_turn(&f);
	fix_hangup(&f);
	assert_int_equal(openfds(), fds);
	fix_fini(&f);
}

/* The n-th call to the kernel fails: the front end is dropped or goes on, nothing is lost. */
static void test_sweep(void **state)
{
	bool failed = true;

	for (unsigned int n = 1; failed; n++) {
		struct fix f;

		fix_init(&f, false);
		hostsys_fail_nth(&f.hs, n, -ENOMEM);
		/* Not asking anything: the answer may not come. */
		for (unsigned int i = 0; i < fix_steps(FIX_RUNNING); i++) {
			struct vu_inflight_desc d = { .nqueues = 1, .qsize = 16 };

			fix_step(&f, i);
			if (i == fix_steps(FIX_FEATURED))
				fix_send(&f, VU_GET_INFLIGHT_FD, 0, &d, sizeof(d), NULL, 0);
		}
		failed = f.hs.failed;
		hostsys_fail_nth(&f.hs, 0, 0);
		/* Who could not be taken in is looked for again after a while. */
		fix_connect(&f);
		for (unsigned int i = 0; i < 100 && !f.connected; i++)
			assert_int_equal(ev_turn(f.ev, 100), 0);
		f.protocol = ~0ull;
		fix_check_next(&f);
		fix_fini(&f);
		assert_true(n < 500);
	}
}

static void test_new_sweep(void **state)
{
	bool failed = true;

	for (unsigned int n = 1; failed; n++) {
		struct fix f;
		struct vu_back *b;
		struct err e = { 0 };
		unsigned int fds;
		struct vu_back_cfg c;

		fix_init(&f, false);
		fds = openfds();
		c = (struct vu_back_cfg){ .name = "x", .queues = 1, .ops = f.ops, .dev = &f };
		c.path = "/tmp/back-sweep-socket";
		hostsys_fail_nth(&f.hs, n, -ENOMEM);
		if (!vu_back_new(&f.hs.sys, NULL, f.ev, &c, &b, &e))
			vu_back_free(b);
		else
			assert_true(e.text[0]);
		failed = f.hs.failed;
		assert_int_equal(openfds(), fds);
		fix_fini(&f);
	}
	unlink("/tmp/back-sweep-socket");
}

/* The device cannot start a queue: told, or the end. */
static void test_start_fails(void **state)
{
	struct fix f;
	struct vu_msg m;
	uint64_t status = 0xf;

	fix_init(&f, false);
	for (unsigned int i = 0; i + 1 < fix_steps(FIX_RUNNING); i++)
		fix_step(&f, i);
	f.start_fails = -ENOMEM;
	fix_send(&f, VU_SET_STATUS, VU_NEED_REPLY, &status, 8, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_int_equal(m.u.u64, 1);
	assert_false(fix_turn(&f));
	f.start_fails = 0;
	fix_send(&f, VU_SET_STATUS, VU_NEED_REPLY, &status, 8, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_int_equal(m.u.u64, 0);
	assert_true(f.running[0] && f.running[1]);
	f.start_fails = -ENOMEM;
	fix_fd(&f, VU_SET_VRING_KICK, 0, f.kick[0]);
	assert_true(fix_turn(&f));
	fix_fini(&f);
}

/* Memory of the front end is gone: it is dropped, for that alone. */
static void test_fault(void **state)
{
	struct fix f;
	unsigned int fds;
	void *p;

	fix_init(&f, false);
	fds = openfds();
	assert_false(vu_back_fault(f.b, &f));
	fix_reach(&f, FIX_RUNNING);
	p = vq_mem_ptr(f.q[0].mem, FIX_GPA, 1);
	assert_non_null(p);
	assert_false(vu_back_fault(f.b, &f));
	assert_false(vu_back_fault(f.b, (uint8_t *)p + FIX_MEM));
	assert_true(f.connected);
	assert_true(vu_back_fault(f.b, p));
	assert_int_equal(fix_info(&f).drops, 1);
	fix_check_gone(&f, fds, "a fault");
	fix_check_next(&f);
	fix_fini(&f);
}

#define TRIES 1000 /* in the fixture's counter */

static int no_descriptor(struct sys *s, int fd, int flags)
{
	container_of(s, struct hostsys, sys)->calls += TRIES;
	return -EMFILE;
}

/* A front end that cannot be taken in for now must not keep the loop busy, and gets in later. */
static void test_no_descriptors(void **state)
{
	int (*accept)(struct sys *, int, int);
	struct fix f;

	fix_init(&f, false);
	accept = f.hs.ops.accept;
	f.hs.ops.accept = no_descriptor;
	f.hs.calls = 0;
	fix_connect(&f);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(ev_turn(f.ev, 0), 0);
	assert_int_equal(f.hs.calls / TRIES, 1);
	f.hs.ops.accept = accept;
	for (unsigned int i = 0; i < 100 && !f.connected; i++)
		assert_int_equal(ev_turn(f.ev, 100), 0);
	assert_true(f.connected);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hangup_anywhere), cmocka_unit_test(test_half_with_fds),
		cmocka_unit_test(test_sweep),		cmocka_unit_test(test_new_sweep),
		cmocka_unit_test(test_start_fails),	cmocka_unit_test(test_fault),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
