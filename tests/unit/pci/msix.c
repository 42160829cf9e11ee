// SPDX-License-Identifier: BSD-3-Clause
/* MSI-X: masks, pending bits, how often the routing table is sent, and messages that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/msix.h"

#define NVEC   70
#define ENABLE 0x8000
#define FMASK  0x4000

struct ctx {
	struct fakesys *fs;
	struct fakeaccel *fa;
	struct vm *vm;
	struct vm_irq_group *g;
	struct vm_msix *m;
	unsigned int on[NVEC], off[NVEC];
	int fail_use;
};

static int use(void *dev, unsigned int vec, bool on)
{
	struct ctx *c = dev;

	if (on && c->fail_use)
		return c->fail_use;
	if (on)
		c->on[vec]++;
	else
		c->off[vec]++;
	return 0;
}

static int setup(void **state)
{
	static const struct vm_msix_ops ops = { .use = use };
	static struct ctx c;

	memset(&c, 0, sizeof(c));
	c.fs = fakesys_new();
	c.fa = fakeaccel_new();
	c.vm = fakeaccel_vm(fakesys_sys(c.fs), c.fa, MIB(16));
	assert_int_equal(vm_irq_group_new(c.vm->irqs, "t", NVEC, 0, &c.g), 0);
	assert_int_equal(vm_msix_new(c.g, NVEC, &ops, &c, &c.m), 0);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	vm_msix_free(c->m);
	vm_irq_group_free(c->g);
	assert_int_equal(c->fa->nirqfds, 0);
	fakeaccel_vm_free(c->vm);
	fakesys_free(c->fs);
	return 0;
}

static void wr(struct ctx *c, unsigned int vec, unsigned int word, uint32_t v)
{
	assert_int_equal(vm_msix_table_write(c->m, 16 * vec + 4 * word, 4, v), VM_IO_OK);
}

static void entry(struct ctx *c, unsigned int vec, uint32_t addr, uint32_t data, uint32_t ctrl)
{
	wr(c, vec, 0, addr);
	wr(c, vec, 1, 0);
	wr(c, vec, 2, data);
	wr(c, vec, 3, ctrl);
}

static const struct fakeaccel_irqfd *irqfd(struct ctx *c, unsigned int vec)
{
	return fakeaccel_irqfd_of(c->fa, vm_irq_group_fd(c->g, vec));
}

static void signal_vec(struct ctx *c, unsigned int vec)
{
	uint64_t one = 1;

	assert_int_equal(sys_write(c->vm->sys, vm_irq_group_fd(c->g, vec), &one, 8), 8);
}

static void test_power_on(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	assert_int_equal(vm_msix_ctrl_read(c->m), NVEC - 1);
	assert_false(vm_msix_enabled(c->m));
	for (unsigned int i = 0; i < NVEC; i++) {
		assert_int_equal(vm_msix_table_read(c->m, 16 * i + 12, 4, &v), VM_IO_OK);
		assert_int_equal(v, 1);
		assert_int_equal(vm_msix_table_read(c->m, 16 * i, 8, &v), VM_IO_OK);
		assert_int_equal(v, 0);
	}
}

/* As Linux does it: enable with the function masked, fill in, unmask the function, then the
 * vectors. */
static void test_linux_order(void **state)
{
	struct ctx *c = *state;

	vm_msix_ctrl(c->m, ENABLE | FMASK);
	for (unsigned int i = 0; i < 4; i++)
		entry(c, i, 0xfee00000 + (i << 12), 0x40 + i, 1);
	vm_msix_ctrl(c->m, ENABLE);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 0);
	assert_int_equal(c->fa->nirqfds, 0);
	assert_int_equal(vm_msix_used(c->m), 0);
	wr(c, 0, 3, 0);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 1);
	assert_non_null(irqfd(c, 0));
	assert_int_equal(c->fa->route[0].msi.addr, 0xfee00000);
	assert_int_equal(c->fa->route[0].msi.data, 0x40);
	wr(c, 1, 3, 0);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 2);
	/* The second did not disturb the first. */
	assert_int_equal(c->on[0], 1);
	assert_int_equal(c->off[0], 0);
	assert_int_equal(vm_msix_used(c->m), 2);
	/* Masking and unmasking again with the same message sends no table. */
	wr(c, 0, 3, 1);
	assert_null(irqfd(c, 0));
	wr(c, 0, 3, 0);
	assert_non_null(irqfd(c, 0));
	assert_int_equal(vm_irq_commits(c->vm->irqs), 2);
	assert_int_equal(c->on[0], 1);
	assert_int_equal(vm_msix_mask_writes(c->m), 8);
}

static void test_function_mask_is_one_commit(void **state)
{
	struct ctx *c = *state;

	vm_msix_ctrl(c->m, ENABLE | FMASK);
	for (unsigned int i = 0; i < NVEC; i++)
		entry(c, i, 0xfee01000, i, 0);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 0);
	vm_msix_ctrl(c->m, ENABLE);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 1);
	assert_int_equal(c->fa->nroutes, NVEC);
	assert_int_equal(c->fa->nirqfds, NVEC);
	vm_msix_ctrl(c->m, ENABLE | FMASK);
	assert_int_equal(c->fa->nirqfds, 0);
	assert_int_equal(vm_msix_used(c->m), NVEC);
	vm_msix_ctrl(c->m, ENABLE);
	assert_int_equal(c->fa->nirqfds, NVEC);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 1);
	/* Off: let go of all, once. */
	vm_msix_ctrl(c->m, 0);
	assert_int_equal(c->fa->nirqfds, 0);
	assert_int_equal(vm_msix_used(c->m), 0);
	for (unsigned int i = 0; i < NVEC; i++)
		assert_true(c->on[i] == 1 && c->off[i] == 1);
	/* The table outlives it. */
	vm_msix_ctrl(c->m, ENABLE);
	assert_int_equal(c->fa->nirqfds, NVEC);
	assert_int_equal(c->on[NVEC - 1], 2);
}

static void test_move_live(void **state)
{
	struct ctx *c = *state;

	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 3, 0xfee00000, 0x41, 0);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 1);
	wr(c, 3, 0, 0xfee02000);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 2);
	assert_int_equal(c->fa->route[0].msi.addr, 0xfee02000);
	wr(c, 3, 0, 0xfee02000); /* nothing new */
	assert_int_equal(vm_irq_commits(c->vm->irqs), 2);
	/* Data and control in one write of 8 bytes. */
	vm_msix_table_write(c->m, 16 * 5, 8, 0xfee03000);
	assert_int_equal(vm_msix_table_write(c->m, 16 * 5 + 8, 8, 0x55), VM_IO_OK);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 3);
	assert_non_null(irqfd(c, 5));
}

static void test_pending(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 1, 0xfee00000, 0x41, 0);
	entry(c, 66, 0xfee00000, 0x42, 0);
	wr(c, 1, 3, 1);
	wr(c, 66, 3, 1);
	signal_vec(c, 1);
	signal_vec(c, 66);
	assert_int_equal(vm_msix_pba_read(c->m, 0, 8, &v), VM_IO_OK);
	assert_int_equal(v, 1 << 1);
	assert_int_equal(vm_msix_pba_read(c->m, 8, 8, &v), VM_IO_OK);
	assert_int_equal(v, 1 << 2);
	assert_int_equal(vm_msix_pba_read(c->m, 4, 4, &v), VM_IO_OK);
	assert_int_equal(v, 0);
	/* Still there when asked again; gone when delivered, or with a reset. */
	vm_msix_pba_read(c->m, 0, 4, &v);
	assert_int_equal(v, 1 << 1);
	wr(c, 1, 3, 0);
	vm_msix_pba_read(c->m, 0, 4, &v);
	assert_int_equal(v, 0);
	vm_msix_reset(c->m);
	vm_msix_pba_read(c->m, 8, 8, &v);
	assert_int_equal(v, 0);
}

/* Without bus mastering nothing is sent, whatever else changes; it is pending, and comes later. */
static void test_master(void **state)
{
	struct ctx *c = *state;
	uint64_t commits, v;

	vm_msix_master(c->m, false);
	assert_int_equal(vm_irq_commits(c->vm->irqs), 0);
	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 1, 0xfee00000, 0x41, 0);
	assert_null(irqfd(c, 1));
	signal_vec(c, 1);
	assert_int_equal(vm_msix_pba_read(c->m, 0, 8, &v), VM_IO_OK);
	assert_int_equal(v, 1 << 1);
	vm_msix_master(c->m, true);
	assert_non_null(irqfd(c, 1));
	commits = vm_irq_commits(c->vm->irqs);
	for (unsigned int i = 0; i < 10; i++) {
		vm_msix_master(c->m, i & 1);
		assert_int_equal(irqfd(c, 1) != NULL, i & 1);
	}
	/* The table of routes stays as it is, and so does what is connected. */
	assert_int_equal(vm_irq_commits(c->vm->irqs), commits);
	assert_int_equal(c->on[1], 1);
	assert_int_equal(c->off[1], 0);
	vm_msix_master(c->m, false);
	vm_msix_reset(c->m);
	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 2, 0xfee00000, 0x42, 0);
	assert_null(irqfd(c, 2));
}

static void test_foreign_addresses(void **state)
{
	struct ctx *c = *state;

	static const struct {
		uint32_t lo, hi;
	} bad[] = {
		{ 0, 0 },
		{ 0x1000, 0 },
		{ 0xfedffffc, 0 },
		{ 0xfef00000, 0 },
		{ 0xfee00000, 1 },
		{ 0xfee00000, 0x80000000 },
		{ 0xffffffff, 0xffffffff },
	};

	vm_msix_ctrl(c->m, ENABLE);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(c, 0, 0, bad[i].lo);
		wr(c, 0, 1, bad[i].hi);
		wr(c, 0, 3, 0);
		assert_null(irqfd(c, 0));
		assert_int_equal(vm_msix_refused(c->m), i + 1);
		wr(c, 0, 3, 1);
	}
	assert_int_equal(c->fa->nroutes, 0);
	assert_int_equal(vm_msix_used(c->m), 0);
	/* A live vector that is pointed elsewhere stops. */
	entry(c, 1, 0xfee00000, 0x41, 0);
	assert_non_null(irqfd(c, 1));
	wr(c, 1, 0, 0x1000);
	assert_null(irqfd(c, 1));
	wr(c, 1, 0, 0xfeeffffc);
	assert_non_null(irqfd(c, 1));
}

static void test_bad_accesses(void **state)
{
	struct ctx *c = *state;
	uint64_t v = 7;

	assert_int_equal(vm_msix_table_read(c->m, 0, 1, &v), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_read(c->m, 0, 2, &v), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_read(c->m, 2, 4, &v), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_read(c->m, 4, 8, &v), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_write(c->m, 12, 8, 0), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_write(c->m, 1, 1, 0), VM_IO_ERROR);
	assert_int_equal(vm_msix_table_read(c->m, 16 * NVEC, 4, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_msix_table_write(c->m, 16 * NVEC, 8, 0), VM_IO_UNHANDLED);
	assert_int_equal(vm_msix_table_write(c->m, UINT64_MAX - 7, 8, 0), VM_IO_UNHANDLED);
	assert_int_equal(vm_msix_pba_read(c->m, 16, 8, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_msix_pba_read(c->m, 3, 4, &v), VM_IO_ERROR);
	assert_int_equal(vm_msix_mask_writes(c->m), 0);
	/* Reserved bits read as zero. */
	wr(c, 0, 3, 0xfffffffe);
	vm_msix_table_read(c->m, 12, 4, &v);
	assert_int_equal(v, 0);
	wr(c, 0, 0, 0xffffffff);
	vm_msix_table_read(c->m, 0, 4, &v);
	assert_int_equal(v, 0xfffffffc);
	vm_msix_ctrl(c->m, 0x3fff);
	assert_int_equal(vm_msix_ctrl_read(c->m), NVEC - 1);
}

static void test_connecting_fails(void **state)
{
	struct ctx *c = *state;

	c->fail_use = -EBUSY;
	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 0, 0xfee00000, 0x41, 0);
	assert_int_equal(vm_msix_used(c->m), 0);
	c->fail_use = 0;
	wr(c, 0, 3, 1);
	wr(c, 0, 3, 0);
	assert_int_equal(vm_msix_used(c->m), 1);
	assert_int_equal(c->on[0], 1);
	/* The accelerator refuses the routes. */
	c->fa->fail_routes = -ENOMEM;
	entry(c, 1, 0xfee00000, 0x42, 0);
	assert_null(irqfd(c, 1));
	assert_int_equal(vm_msix_refused(c->m), 1);
	c->fa->fail_routes = 0;
	wr(c, 1, 3, 1);
	wr(c, 1, 3, 0);
	assert_non_null(irqfd(c, 1));
}

static void test_reset(void **state)
{
	struct ctx *c = *state;
	uint64_t v;

	vm_msix_ctrl(c->m, ENABLE);
	entry(c, 2, 0xfee00000, 0x41, 0);
	vm_msix_reset(c->m);
	assert_false(vm_msix_enabled(c->m));
	assert_int_equal(c->fa->nirqfds, 0);
	assert_int_equal(c->off[2], 1);
	vm_msix_table_read(c->m, 16 * 2, 8, &v);
	assert_int_equal(v, 0);
	vm_msix_table_read(c->m, 16 * 2 + 8, 8, &v);
	assert_int_equal(v, 1ull << 32);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_power_on),
		TEST(test_linux_order),
		TEST(test_function_mask_is_one_commit),
		TEST(test_move_live),
		TEST(test_pending),
		TEST(test_master),
		TEST(test_foreign_addresses),
		TEST(test_bad_accesses),
		TEST(test_connecting_fails),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
