// SPDX-License-Identifier: BSD-3-Clause
/* The station table: learning, moving, ageing, VLANs, and what a hostile port can do to others. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "virtio/vhostd/fdb.h"

#define AGE 300

static int setup(void **st)
{
	struct fdb *f = fdb_new(AGE);

	assert_non_null(f);
	fdb_port_set(f, 0, 0, 100);
	fdb_port_set(f, 1, 0, 100);
	fdb_port_set(f, 2, 7, 100);
	fdb_port_set(f, 3, 7, 1 << 20);
	*st = f;
	return 0;
}

static int teardown(void **st)
{
	fdb_free(*st);
	return 0;
}

static void learns_and_moves(void **st)
{
	struct fdb *f = *st;
	struct fdb_count c;
	uint32_t gen;

	assert_int_equal(fdb_find(f, 0x5452, 0), FDB_NONE);
	gen = fdb_gen(f);
	fdb_learn(f, 0x5452, 0, 1);
	assert_int_not_equal(fdb_gen(f), gen);
	assert_int_equal(fdb_find(f, 0x5452, 0), 0);
	gen = fdb_gen(f);
	fdb_learn(f, 0x5452, 0, 2);
	assert_int_equal(fdb_gen(f), gen);
	fdb_learn(f, 0x5452, 1, 3);
	assert_int_equal(fdb_find(f, 0x5452, 0), 1);
	fdb_count(f, &c);
	assert_int_equal(c.learnt, 1);
	assert_int_equal(c.moved, 1);
	assert_int_equal(c.stations, 1);
}

/* An echo of our own frame from outside is no move; a station that is silent here may move. */
static void echoes_do_not_move(void **st)
{
	struct fdb *f = *st;

	fdb_port_outer(f, 1);
	fdb_learn(f, 0x77, 0, 10);
	fdb_learn(f, 0x77, 1, 10);
	fdb_learn(f, 0x77, 1, 11);
	assert_int_equal(fdb_find(f, 0x77, 0), 0);
	fdb_learn(f, 0x77, 1, 12);
	assert_int_equal(fdb_find(f, 0x77, 0), 1);
	fdb_learn(f, 0x77, 0, 12);
	assert_int_equal(fdb_find(f, 0x77, 0), 0);
}

/* The same address in two VLANs is two stations. */
static void vlans_are_apart(void **st)
{
	struct fdb *f = *st;

	fdb_learn(f, 0x99, 0, 1);
	assert_int_equal(fdb_find(f, 0x99, 7), FDB_NONE);
	fdb_learn(f, 0x99, 2, 1);
	assert_int_equal(fdb_find(f, 0x99, 7), 2);
	assert_int_equal(fdb_find(f, 0x99, 0), 0);
}

static void ages(void **st)
{
	struct fdb *f = *st;

	fdb_learn(f, 1, 0, 10);
	fdb_learn(f, 2, 0, 10);
	fdb_learn(f, 2, 0, 200);
	assert_int_equal(fdb_age(f, 10 + AGE), 0);
	assert_int_equal(fdb_age(f, 11 + AGE), 1);
	assert_int_equal(fdb_find(f, 1, 0), FDB_NONE);
	assert_int_equal(fdb_find(f, 2, 0), 0);
	/* A stamp ahead of the sweeper's clock is no old one. */
	fdb_learn(f, 2, 0, 2000);
	assert_int_equal(fdb_age(f, 1999), 0);
}

static void a_port_has_its_share(void **st)
{
	struct fdb *f = *st;
	struct fdb_count c;
	uint64_t mac;

	for (mac = 1; mac <= 150; mac++)
		fdb_learn(f, mac << 8, 0, 1);
	fdb_count(f, &c);
	assert_int_equal(c.stations, 100);
	assert_int_equal(c.refused, 50);
	/* Another port's are not touched by that, and it may learn. */
	fdb_learn(f, 0xabcd00, 1, 1);
	assert_int_equal(fdb_find(f, 0xabcd00, 0), 1);
	/* A full port does not take stations over either. */
	fdb_learn(f, 0xabcd00, 0, 2);
	assert_int_equal(fdb_find(f, 0xabcd00, 0), 1);
	fdb_port_purge(f, 0);
	fdb_count(f, &c);
	assert_int_equal(c.stations, 1);
	fdb_learn(f, 5, 0, 2);
	assert_int_equal(fdb_find(f, 5, 0), 0);
}

/* More than fit: the count stays right, nothing is found on a wrong port. */
static void overflows(void **st)
{
	struct fdb *f = *st;
	struct fdb_count c;
	uint64_t mac;
	unsigned int found = 0;

	for (mac = 1; mac <= 20000; mac++)
		fdb_learn(f, mac, 3, (uint32_t)mac);
	for (mac = 1; mac <= 20000; mac++) {
		int port = fdb_find(f, mac, 7);

		assert_true(port == FDB_NONE || port == 3);
		found += port == 3;
	}
	fdb_count(f, &c);
	assert_int_equal(c.stations, found);
	assert_int_equal(c.learnt - c.evicted, found);
	assert_true(found > FDB_BUCKETS * FDB_WAYS / 2);
	assert_int_equal(fdb_find(f, 20000, 7), 3);
}

static void *learner(void *arg)
{
	uint64_t mac;
	unsigned int i;

	for (i = 0; i < 200000; i++) {
		mac = 1 + i % 50;
		fdb_learn(arg, mac, 0, i);
	}
	return NULL;
}

/* Beside a writer that moves stations to and fro, a reader sees one of both ports. */
static void readers_beside_writers(void **st)
{
	struct fdb *f = *st;
	struct fdb_count c;
	unsigned int i;
	pthread_t t;

	for (i = 1; i <= 50; i++)
		fdb_learn(f, i, 1, 1);
	assert_int_equal(pthread_create(&t, NULL, learner, f), 0);
	for (i = 0; i < 200000; i++) {
		int port = fdb_find(f, 1 + i % 50, 0);

		assert_true(port == 0 || port == 1);
		if (i % 64 == 0)
			fdb_learn(f, 1 + i % 50, 1, i);
	}
	pthread_join(t, NULL);
	fdb_count(f, &c);
	assert_int_equal(c.stations, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(learns_and_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(echoes_do_not_move, setup, teardown),
		cmocka_unit_test_setup_teardown(vlans_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(ages, setup, teardown),
		cmocka_unit_test_setup_teardown(a_port_has_its_share, setup, teardown),
		cmocka_unit_test_setup_teardown(overflows, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_beside_writers, setup, teardown),
	};

	return cmocka_run_group_tests_name("vhostd-fdb", tests, NULL, NULL);
}
