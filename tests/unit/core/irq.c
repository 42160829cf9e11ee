// SPDX-License-Identifier: BSD-3-Clause
/* Vectors, routes, irqfds and the pending bit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"

struct fix {
	struct fakesys *f;
	struct sys *s;
	struct fakeaccel *a;
	struct vm_irqs *q;
};

static int setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	x->f = fakesys_new();
	x->s = fakesys_sys(x->f);
	x->a = fakeaccel_new();
	*state = x;
	return vm_irqs_new(x->s, &x->a->accel, &x->q);
}

static int teardown(void **state)
{
	struct fix *x = *state;

	vm_irqs_free(x->q);
	assert_int_equal(fakesys_open_fds(x->f), 0);
	assert_int_equal(x->a->nirqfds, 0);
	x->a->accel.ops->free(&x->a->accel);
	fakesys_free(x->f);
	free(x);
	return 0;
}

static void signal_vec(struct fix *x, int fd)
{
	const uint64_t one = 1;

	assert_int_equal(sys_write(x->s, fd, &one, sizeof(one)), sizeof(one));
}

static void test_one_commit(void **state)
{
	const struct vm_msi m = { 0xfee00000, 0x41 };
	struct fix *x = *state;
	struct vm_irq_group *g;

	assert_int_equal(vm_irq_group_new(x->q, "g", 8, 0x0100, &g), 0);
	for (unsigned int i = 0; i < 4; i++)
		vm_irq_group_route(g, i, &m);
	vm_irq_group_route(g, 99, &m); /* out of range: nothing */
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(x->a->route_sets, 1);
	assert_int_equal(x->a->nroutes, 4);
	assert_int_equal(x->a->nirqfds, 4);
	assert_true(x->a->route[0].gsi >= VM_IRQ_PINS);
	assert_int_equal(x->a->route[0].devid, 0x0100);
	/* Masking and unmasking with the same message needs no new table. */
	vm_irq_group_route(g, 1, NULL);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(x->a->nirqfds, 3);
	vm_irq_group_route(g, 1, &m);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(x->a->nirqfds, 4);
	assert_int_equal(x->a->route_sets, 1);
	vm_irq_group_free(g);
}

static void test_pending(void **state)
{
	const struct vm_msi m = { 0xfee00000, 0x41 };
	struct fix *x = *state;
	struct vm_irq_group *g;
	int fd;

	assert_int_equal(vm_irq_group_new(x->q, "g", 2, 0, &g), 0);
	fd = vm_irq_group_fd(g, 0);
	assert_true(fd >= 0);
	assert_int_equal(vm_irq_group_fd(g, 0), fd);
	assert_int_equal(vm_irq_group_fd(g, 2), -EINVAL);
	assert_false(vm_irq_group_pending(g, 0));
	signal_vec(x, fd);
	assert_true(vm_irq_group_pending(g, 0));
	assert_true(vm_irq_group_pending(g, 0)); /* asking does not take it away */
	assert_false(vm_irq_group_pending(g, 1));
	vm_irq_group_route(g, 0, &m);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_non_null(fakeaccel_irqfd_of(x->a, fd));
	assert_false(vm_irq_group_pending(g, 0)); /* the kernel has it now */
	vm_irq_group_clear(g);
	assert_null(fakeaccel_irqfd_of(x->a, fd));
	assert_false(vm_irq_group_pending(g, 0));
	assert_int_equal(x->a->nroutes, 0);
	vm_irq_group_free(g);
}

static void test_groups_share_the_table(void **state)
{
	const struct vm_msi m = { 0xfee00000, 0x41 };
	struct fix *x = *state;
	struct vm_irq_group *g, *h;
	uint32_t gsi;

	assert_int_equal(vm_irq_group_new(x->q, "g", 1, 0, &g), 0);
	assert_int_equal(vm_irq_group_new(x->q, "h", 1, 0, &h), 0);
	vm_irq_group_route(g, 0, &m);
	vm_irq_group_route(h, 0, &m);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(vm_irq_group_commit(h), 0);
	assert_int_equal(x->a->nroutes, 2);
	assert_int_not_equal(x->a->route[0].gsi, x->a->route[1].gsi);
	gsi = x->a->route[0].gsi;
	vm_irq_group_free(g);
	assert_int_equal(x->a->nroutes, 1);
	assert_int_equal(vm_irq_group_new(x->q, "g", 1, 0, &g), 0);
	vm_irq_group_route(g, 0, &m);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_true(x->a->route[0].gsi == gsi || x->a->route[1].gsi == gsi); /* used again */
	vm_irq_group_free(g);
	vm_irq_group_free(h);
}

static void test_bounds(void **state)
{
	struct fix *x = *state;
	struct vm_irq_group *g;

	assert_int_equal(vm_irq_group_new(x->q, "g", 0, 0, &g), -EINVAL);
	assert_int_equal(vm_irq_group_new(x->q, "g", 2049, 0, &g), -EINVAL);
	assert_int_equal(vm_irq_line(x->q, VM_IRQ_PINS, true), -EINVAL);
	assert_int_equal(vm_irq_line(x->q, 4, true), 0);
	assert_int_equal(x->a->line[4], 1);
}

static void test_failures(void **state)
{
	const struct vm_msi m = { 0xfee00000, 0x41 };
	struct fix *x = *state;
	struct vm_irq_group *g;

	assert_int_equal(vm_irq_group_new(x->q, "g", 2, 0, &g), 0);
	x->a->fail_routes = -ENOSPC;
	vm_irq_group_route(g, 0, &m);
	assert_int_equal(vm_irq_group_commit(g), -ENOSPC);
	x->a->fail_routes = 0;
	assert_int_equal(x->a->nroutes, 0);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(x->a->nroutes, 1); /* no irqfd without the route it stands for */
	assert_int_equal(x->a->nirqfds, 1);
	vm_irq_group_route(g, 0, NULL);
	assert_int_equal(vm_irq_group_commit(g), 0);
	x->a->fail_irqfd = -EBUSY;
	vm_irq_group_route(g, 0, &m);
	assert_int_equal(vm_irq_group_commit(g), -EBUSY);
	assert_int_equal(x->a->nirqfds, 0);
	x->a->fail_irqfd = 0;
	fakesys_fail_nth(x->f, 1, -EMFILE);
	vm_irq_group_route(g, 1, &m);
	assert_int_equal(vm_irq_group_commit(g), -EMFILE);
	fakesys_fail_nth(x->f, 0, 0);
	vm_irq_group_route(g, 0, &m);
	vm_irq_group_route(g, 1, &m);
	assert_int_equal(vm_irq_group_commit(g), 0);
	assert_int_equal(x->a->nirqfds, 2);
	vm_irq_group_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pending, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups_share_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
