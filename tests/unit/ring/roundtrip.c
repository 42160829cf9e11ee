// SPDX-License-Identifier: BSD-3-Clause
/* Buffers through both ends of a queue, in every flavour, with their content checked. */
#include "rig.h"

static void shuffle(const struct vqd_cfg *flavour)
{
	struct rig r;

	rig_up(&r, flavour);
	rig_shuffle(&r, 3000);
	assert_int_equal(r.q.pops, 3000);
	assert_int_equal(r.q.pushes, 3000);
	rig_down(&r);
}

static void tracked(const struct vqd_cfg *flavour)
{
	struct rig r;

	rig_up(&r, flavour);
	rig_track(&r);
	rig_shuffle(&r, 3000);
	rig_down(&r);
}

static void test_shuffle(void **state)
{
	rig_flavours(64, shuffle);
	rig_flavours(16, shuffle);
}

static void test_smallest(void **state)
{
	rig_flavours(1, shuffle);
	rig_flavours(2, shuffle);
}

static void test_tracked(void **state)
{
	rig_flavours(64, tracked);
	rig_flavours(8, tracked);
	rig_flavours(1, tracked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_tracked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
