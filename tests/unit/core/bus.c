// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "vmm/core/bus.h"

struct dev {
	struct vm_io_region r;
	struct vm_bus *bus;
	uint64_t last_off, last_val, move_to;
	unsigned int last_len;
	enum vm_io_result res;
};

static enum vm_io_result dev_read(void *p, uint64_t off, unsigned int len, uint64_t *val)
{
	struct dev *d = p;

	d->last_off = off;
	d->last_len = len;
	*val = 0x1122334455667788ull;
	return d->res;
}

static enum vm_io_result dev_write(void *p, uint64_t off, unsigned int len, uint64_t val)
{
	struct dev *d = p;
	struct err e;

	d->last_off = off;
	d->last_val = val;
	if (d->move_to) {
		vm_bus_del(d->bus, &d->r);
		d->r.base = d->move_to;
		assert_int_equal(vm_bus_add(d->bus, &d->r, &e), 0);
	}
	return d->res;
}

static const struct vm_io_ops ops = { dev_read, dev_write };

static void dev_at(struct dev *d, struct vm_bus *b, const char *name, uint64_t base, uint64_t size)
{
	struct err e = { 0 };

	*d = (struct dev){
		.bus = b, .r = { .name = name, .base = base, .size = size, .ops = &ops, .dev = d }
	};
	assert_int_equal(vm_bus_add(b, &d->r, &e), 0);
}

static void test_dispatch(void **state)
{
	struct dev a, b, c;
	struct vm_bus bus;
	uint64_t v;

	vm_bus_init(&bus, "memory");
	dev_at(&b, &bus, "b", 0x2000, 0x1000);
	dev_at(&a, &bus, "a", 0x1000, 0x1000);
	dev_at(&c, &bus, "c", UINT64_MAX - 0xfff, 0x1000); /* up to the very last address */
	assert_int_equal(vm_bus_read(&bus, 0x2004, 2, &v), VM_IO_OK);
	assert_int_equal(v, 0x7788);
	assert_int_equal(b.last_off, 4);
	assert_int_equal(vm_bus_read(&bus, 0x1fff, 2, &v), VM_IO_UNHANDLED); /* over the end */
	assert_int_equal(v, 0xffff);
	assert_int_equal(vm_bus_read(&bus, 0xfff, 1, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_bus_read(&bus, 0x3000, 8, &v), VM_IO_UNHANDLED);
	assert_true(v == UINT64_MAX);
	assert_int_equal(bus.unhandled, 3);
	assert_int_equal(vm_bus_write(&bus, UINT64_MAX, 1, 0x1ff), VM_IO_OK);
	assert_int_equal(c.last_val, 0xff);
	assert_int_equal(vm_bus_write(&bus, UINT64_MAX, 2, 0), VM_IO_UNHANDLED);
	a.res = VM_IO_ERROR;
	assert_int_equal(vm_bus_read(&bus, 0x1000, 4, &v), VM_IO_ERROR);
	assert_int_equal(v, 0xffffffff);
	assert_int_equal(bus.errors, 1);
	assert_int_equal(a.r.pages[0].reads, 1);
	for (struct dev *d = &a; d; d = d == &a ? &b : d == &b ? &c : NULL) {
		vm_bus_del(&bus, &d->r);
		vm_bus_del(&bus, &d->r);
		vm_io_region_fini(&d->r);
	}
	vm_bus_fini(&bus);
}

static void test_refused(void **state)
{
	struct dev a, x = { .r = { .name = "x", .ops = &ops } };
	struct err e = { 0 };
	struct vm_bus bus;

	vm_bus_init(&bus, "port");
	dev_at(&a, &bus, "a", 0x3f8, 8);
	x.r.base = 0x3ff;
	x.r.size = 1;
	assert_int_equal(vm_bus_add(&bus, &x.r, &e), -EEXIST);
	assert_non_null(strstr(e.text, "taken by a"));
	x.r.base = 0x3f0;
	x.r.size = 0x100;
	assert_int_equal(vm_bus_add(&bus, &x.r, &e), -EEXIST);
	x.r.size = 0;
	assert_int_equal(vm_bus_add(&bus, &x.r, &e), -EINVAL);
	x.r.base = UINT64_MAX;
	x.r.size = 2;
	assert_int_equal(vm_bus_add(&bus, &x.r, &e), -EINVAL);
	assert_int_equal(bus.n, 1);
	vm_bus_del(&bus, &a.r);
	vm_io_region_fini(&a.r);
	vm_bus_fini(&bus);
}

static void test_move_in_handler(void **state)
{
	struct dev a;
	struct vm_bus bus;
	uint64_t v;

	vm_bus_init(&bus, "memory");
	dev_at(&a, &bus, "a", 0x1000, 0x2000);
	assert_int_equal(vm_bus_read(&bus, 0x2000, 4, &v), VM_IO_OK);
	a.move_to = 0x10000;
	assert_int_equal(vm_bus_write(&bus, 0x1000, 4, 1), VM_IO_OK);
	assert_null(vm_bus_find(&bus, 0x1000));
	assert_ptr_equal(vm_bus_find(&bus, 0x11fff), &a.r);
	assert_int_equal(a.r.pages[1].reads, 1); /* the counts moved along */
	vm_bus_del(&bus, &a.r);
	vm_io_region_fini(&a.r);
	vm_bus_fini(&bus);
}

static void test_many_pages(void **state)
{
	struct dev a;
	struct vm_bus bus;
	uint64_t v;

	vm_bus_init(&bus, "memory");
	dev_at(&a, &bus, "a", GIB(64), GIB(1));
	assert_int_equal(vm_bus_read(&bus, GIB(65) - 4, 4, &v), VM_IO_OK);
	assert_int_equal(a.r.npages, VM_IO_PAGES_MAX);
	assert_int_equal(a.r.pages[VM_IO_PAGES_MAX - 1].reads, 1);
	vm_bus_del(&bus, &a.r);
	vm_io_region_fini(&a.r);
	vm_bus_fini(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_move_in_handler),
		cmocka_unit_test(test_many_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
