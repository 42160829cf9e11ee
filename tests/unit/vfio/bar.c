// SPDX-License-Identifier: BSD-3-Clause
/* Which parts of a BAR the guest reaches directly, and what the rest does. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/vfio/devfix.h"

/* ---- the plan ---- */

static int plan(uint64_t size, const struct vfd_area *areas, unsigned int nareas,
		const struct vfd_area *holes, unsigned int nholes, struct vfd_area *out)
{
	struct vfd_region r = { .size = size, .mmap = true, .nareas = nareas };

	if (nareas)
		memcpy(r.areas, areas, nareas * sizeof(*areas));
	return vfio_bar_plan(&r, holes, nholes, out, VFIO_PCI_AREAS_MAX);
}

static void plan_holes(void **state)
{
	struct vfd_area out[VFIO_PCI_AREAS_MAX];
	const struct vfd_area table = { 0x2000, 0x30 },
			      mid[] = { { 0x5200, 0x810 }, { 0xd600, 0x20 } };

	assert_int_equal(plan(0x4000, NULL, 0, NULL, 0, out), 1);
	assert_true(out[0].off == 0 && out[0].size == 0x4000);
	assert_int_equal(plan(0x4000, NULL, 0, &table, 1, out), 2);
	assert_true(out[0].size == 0x2000 && out[1].off == 0x3000 && out[1].size == 0x1000);
	/* A real NVMe controller: neither table nor PBA on a page of its own. */
	assert_int_equal(plan(0x10000, NULL, 0, mid, 2, out), 3);
	assert_true(out[0].size == 0x5000 && out[1].off == 0x6000 && out[1].size == 0x7000);
	assert_true(out[2].off == 0xe000 && out[2].size == 0x2000);
	/* The table is all there is. */
	assert_int_equal(plan(0x1000, NULL, 0, &(struct vfd_area){ 0, 0x8000 }, 1, out), 0);
}

static void plan_sparse(void **state)
{
	struct vfd_area out[VFIO_PCI_AREAS_MAX], many[VFD_AREAS_MAX];
	const struct vfd_area hostile[] = {
		{ 0x3000, 0x1000 },  { 0x0, 0x1800 },	{ UINT64_MAX - 10, 0x1000 },
		{ 0x900000, 0x10 },  { 0x3800, 0x800 }, { 0x1000, UINT64_MAX - 0x1000 + 1 },
		{ 0x2000, 0x100000 }
	};

	/* Cut to whole pages and to the region, merged, sorted; nonsense is dropped. */
	assert_int_equal(plan(0x4000, hostile, 3, NULL, 0, out), 2);
	assert_true(out[0].off == 0 && out[0].size == 0x1000);
	assert_true(out[1].off == 0x3000 && out[1].size == 0x1000);
	assert_int_equal(plan(0x4000, hostile, 7, NULL, 0, out), 2);
	assert_true(out[1].off == 0x2000 && out[1].size == 0x2000);
	for (unsigned int i = 0; i < VFD_AREAS_MAX; i++)
		many[i] = (struct vfd_area){ (uint64_t)i * 0x2000, 0x1000 };
	assert_int_equal(plan(0x100000, many, VFD_AREAS_MAX, NULL, 0, out), VFIO_PCI_AREAS_MAX);
	assert_int_equal(plan(0x100, NULL, 0, NULL, 0, out), 1); /* less than a page */
	assert_int_equal(out[0].size, 0x1000);
}

static void plan_none(void **state)
{
	struct vfd_region r = { .size = 0x4000 };
	struct vfd_area out[VFIO_PCI_AREAS_MAX];

	assert_int_equal(vfio_bar_plan(&r, NULL, 0, out, VFIO_PCI_AREAS_MAX), 0);
	r.mmap = true;
	r.size = 0;
	assert_int_equal(vfio_bar_plan(&r, NULL, 0, out, VFIO_PCI_AREAS_MAX), 0);
	r.size = UINT64_MAX;
	assert_int_equal(vfio_bar_plan(&r, NULL, 0, out, VFIO_PCI_AREAS_MAX), 0);
}

/* ---- on the machine ---- */

static uint64_t rd(struct fix *f, uint64_t gpa, unsigned int len, enum vm_io_result want)
{
	uint64_t val = 0;

	assert_int_equal(vm_bus_read(&f->vm->mmio, gpa, len, &val), want);
	return val;
}

static void wr(struct fix *f, uint64_t gpa, unsigned int len, uint64_t val, enum vm_io_result want)
{
	assert_int_equal(vm_bus_write(&f->vm->mmio, gpa, len, val), want);
}

static void mapped_and_trapped(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_info i;

	devfix_add(f);
	vfio_pci_info(&f->p->dev, &i);
	assert_int_equal(i.bar[0].nareas, 1);
	assert_true(i.bar[0].gpa >= GIB(4) && i.bar[0].size == 0x4000);
	/* Table on page 0, PBA on page 2: pages 1 and 3 are mapped. */
	assert_int_equal(i.bar[3].nareas, 2);
	assert_int_equal(i.bar[3].areas[0].off, 0x1000);
	assert_int_equal(i.bar[3].areas[1].off, 0x3000);
	assert_true(i.bar[3].msix_table && i.bar[3].msix_pba && !i.bar[0].msix_table);
	assert_int_equal(f->a->slots_used, 1 + 3); /* RAM, three areas */
	/* Decoding off: no slot is left. */
	vfio_pci_fn(&f->p->dev)->ops->cfg_write(&f->p->fn, PCI_COMMAND, 2, 0);
	assert_int_equal(f->a->slots_used, 1);
}

static void table_in_registers_bar(void **state)
{
	struct fix *f = *state;
	uint64_t gpa, val = 0xf00d;

	fakevfd_cfg(&f->dev, 0x74, 4,
		    0x00002000); /* table at BAR 0, 2000h; 3 entries of 16 bytes */
	fakevfd_cfg(&f->dev, 0x78, 4, 0x00002800); /* PBA in the same page */
	devfix_add(f);
	gpa = f->p->fn.bar[0].at;
	assert_int_equal(f->p->bar[0].nareas, 2);
	/* A register in the table's page reaches the device, the table does not. */
	memcpy(&f->dev.bar[0][0x2040], &val, 8);
	assert_int_equal(rd(f, gpa + 0x2040, 8, VM_IO_OK), 0xf00d);
	wr(f, gpa + 0x2044, 2, 0xbeef, VM_IO_OK);
	assert_int_equal(f->dev.bar[0][0x2044], 0xef);
	wr(f, gpa + 0x2008, 4, 0x41, VM_IO_OK);
	assert_int_equal(rd(f, gpa + 0x2008, 4, VM_IO_OK), 0x41);
	assert_int_equal(f->dev.bar[0][0x2008], 0);
	wr(f, gpa + 0x2800, 8, ~0ull, VM_IO_OK); /* pending bits are read only */
	assert_int_equal(rd(f, gpa + 0x2800, 8, VM_IO_OK), 0);
	assert_int_equal(f->dev.bar[0][0x2800], 0);
	/* Odd sizes, misalignment, and accesses over the table's edge are the guest's error. */
	rd(f, gpa + 0x2001, 1, VM_IO_ERROR);
	wr(f, gpa + 0x2002, 4, 0, VM_IO_ERROR);
	wr(f, gpa + 0x202c, 8, 0, VM_IO_ERROR);
	wr(f, gpa + 0x27fc, 8, 0, VM_IO_ERROR);
	assert_true(f->p->bar[0].io.pages[2].writes > 0);
	assert_int_equal(f->p->bar[0].io.pages[0].writes, 0);
}

static void small_and_io_bars(void **state)
{
	struct fix *f = *state;
	uint64_t val;
	struct vm_pci_bar *io;

	fakevfd_bar(&f->dev, 0, 0x100, 0); /* 32-bit, smaller than a page, not mappable */
	f->dev.region[0].mmap = false;
	fakevfd_bar(&f->dev, 2, 0x20, PCI_BASE_ADDRESS_SPACE_IO);
	devfix_add(f);
	assert_int_equal(f->p->fn.bar[0].type, VM_BAR_MEM32);
	assert_int_equal(f->p->fn.bar[0].size, 0x1000);
	wr(f, f->p->fn.bar[0].at + 0xfc, 4, 7, VM_IO_OK);
	assert_int_equal(f->dev.bar[0][0xfc], 7);
	rd(f, f->p->fn.bar[0].at + 0x100, 4, VM_IO_UNHANDLED);
	io = &f->p->fn.bar[2];
	assert_true(io->type == VM_BAR_IO && io->mapped);
	f->dev.bar[2][4] = 0x5a;
	assert_int_equal(vm_bus_read(&f->vm->pio, io->at + 4, 1, &val), VM_IO_OK);
	assert_int_equal(val, 0x5a);
}

static void refused(void **state)
{
	struct fix *f = *state;
	struct {
		unsigned int off;
		uint32_t val;
		const char *word;
	} bad[] = {
		{ 0x74, 0x00000007, "there are only BARs" }, { 0x74, 0x00003ff3, "does not fit" },
		{ 0x78, 0x00004000, "does not fit" },	     { 0x74, 0x00000002, "does not fit" },
		{ 0x70, 0x07ffa011, "does not fit" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		fakevfd_init(&f->dev);
		fakevfd_cfg(&f->dev, bad[i].off, 4, bad[i].val);
		assert_null(fakevfd_dev(f->vm, &f->dev, "net0", &f->e));
		if (!strstr(f->e.text, bad[i].word))
			fail_msg("%u: %s", i, f->e.text);
		assert_int_equal(f->dev.closed, 1);
		assert_int_equal(f->dev.maps, 0);
	}
	fakevfd_init(&f->dev);
	f->dev.region[0].size = 0x3000;
	assert_null(fakevfd_dev(f->vm, &f->dev, "net0", &f->e));
	assert_non_null(strstr(f->e.text, "which no BAR can have"));
	fakevfd_init(&f->dev);
	f->dev.fail_map = -EINVAL;
	assert_null(fakevfd_dev(f->vm, &f->dev, "net0", &f->e));
	assert_non_null(strstr(f->e.text, "net0: 0000:00:00.0: net0 BAR0: cannot map 0x0-0x3fff"));
}

/* A BAR that the guest moves onto RAM stays unmapped, and comes back when it moves away. */
static void moved_onto_ram(void **state)
{
	struct fix *f = *state;
	struct vm_pci_fn *fn;
	uint64_t was;

	devfix_add(f);
	fn = &f->p->fn;
	was = fn->bar[0].at;
	fn->ops->cfg_write(fn, 0x14, 4, 0);
	fn->ops->cfg_write(fn, 0x10, 4, 0x100000);
	assert_false(fn->bar[0].mapped);
	assert_true(fn->bar[0].refused > 0);
	assert_int_equal(f->a->slots_used, 1 + 2);
	fn->ops->cfg_write(fn, 0x10, 4, (uint32_t)was);
	fn->ops->cfg_write(fn, 0x14, 4, (uint32_t)(was >> 32));
	assert_int_equal(fn->bar[0].at, was);
	assert_int_equal(fn->ops->cfg_read(fn, 0x10, 4), (uint32_t)was | 0xc);
	/* Byte writes to a BAR register merge. */
	fn->ops->cfg_write(fn, 0x12, 2, 0x1234);
	assert_int_equal(fn->ops->cfg_read(fn, 0x12, 2), 0x1234);
}

/* A memory slot that cannot be made leaves nothing half mapped. */
static void slot_refused(void **state)
{
	struct fix *f = *state;
	struct vm_pci_fn *fn;

	devfix_add(f);
	fn = &f->p->fn;
	fn->ops->cfg_write(fn, PCI_COMMAND, 2, 0);
	f->a->fail_slot = -ENOSPC;
	fn->ops->cfg_write(fn, PCI_COMMAND, 2, VM_PCI_CMD_MEM);
	assert_false(fn->bar[0].mapped || fn->bar[3].mapped);
	assert_false(f->p->bar[0].io.on_bus || f->p->bar[3].io.on_bus);
	f->a->fail_slot = 0;
	fn->ops->cfg_write(fn, PCI_COMMAND, 2, 0);
	fn->ops->cfg_write(fn, PCI_COMMAND, 2, VM_PCI_CMD_MEM);
	assert_int_equal(f->a->slots_used, 1 + 3);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, devfix_setup, devfix_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_holes),
		cmocka_unit_test(plan_sparse),
		cmocka_unit_test(plan_none),
		T(mapped_and_trapped),
		T(table_in_registers_bar),
		T(small_and_io_bars),
		T(refused),
		T(moved_onto_ram),
		T(slot_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
