// SPDX-License-Identifier: BSD-3-Clause
/* The hierarchy as a guest finds it: dispatch, root ports, what the firmware set up. */
#include <errno.h>
#include "tests/unit/pci/pcitest.h"

struct ctx {
	struct machine m;
	struct testfn fn[VM_PCI_PORTS_MAX];
	unsigned int n;
};

static void add(struct ctx *c, const char *name)
{
	testfn_init(&c->fn[c->n++], name);
}

static int setup(void **state)
{
	static struct ctx c;

	c = (struct ctx){ .n = 0 };
	machine_init(&c.m, true);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	for (unsigned int i = 0; i < c->n; i++)
		testfn_fini(&c->fn[i]);
	machine_fini(&c->m);
	return 0;
}

static void attach_all(struct ctx *c)
{
	struct err e = { 0 };

	for (unsigned int i = 0; i < c->n; i++)
		assert_int_equal(vm_pci_attach(c->m.pci, &c->fn[i].fn, NULL), 0);
	if (vm_pci_setup(c->m.pci, &e))
		fail_msg("%s", e.text);
}

static void two(struct ctx *c)
{
	add(c, "net0");
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM64, true, KIB(16));
	testfn_bar(&c->fn[0], 2, VM_BAR_IO, false, 64);
	testfn_bar(&c->fn[0], 3, VM_BAR_MEM64, true, KIB(16));
	add(c, "disk0");
	testfn_bar(&c->fn[1], 0, VM_BAR_MEM64, false, KIB(16));
	testfn_bar(&c->fn[1], 4, VM_BAR_MEM32, false, KIB(4));
	attach_all(c);
}

static void test_identity(void **state)
{
	struct ctx *c = *state;
	struct machine *m = &c->m;

	two(c);
	assert_int_equal(ecam_rd(m, 0, 0, 8, 4), 0x06000000);
	assert_int_equal(ecam_rd(m, 0, 0, 0xe, 1), 0);
	assert_int_equal(ecam_rd(m, 0, 1, 0xa, 2), 0x0604);
	assert_int_equal(ecam_rd(m, 0, 1, 0xe, 1), 1);
	assert_int_equal(ecam_rd(m, 0, 2, 0x18, 4), 0x00020200);
	assert_int_equal(ecam_rd(m, 1, 0, 0, 4), 0x56781234);
	/* PCI Express capability: root port without a slot, link up. */
	assert_int_equal(ecam_rd(m, 0, 1, 0x34, 1), 0x40);
	assert_int_equal(ecam_rd(m, 0, 1, 0x40, 4), 0x00420010);
	assert_int_equal(ecam_rd(m, 0, 1, 0x52, 2) & 0x2000, 0x2000);
	assert_int_equal(ecam_rd(m, 0, 1, 0x3d, 1), 0);
	assert_int_equal(ecam_rd(m, 0, 1, 0x100, 4), 0);
	assert_int_equal(ecam_rd(m, 0, 0, 0x100, 4), 0);
	/* Nobody there. */
	assert_int_equal(ecam_rd(m, 0, 3, 0, 4), 0xffffffff);
	assert_int_equal(ecam_rd(m, 0, 31, 0, 2), 0xffff);
	assert_int_equal(ecam_rd(m, 1, 1, 0, 4), 0xffffffff);
	assert_int_equal(vm_pci_count(m->pci)->absent, 3);
	assert_int_equal(c->fn[0].fn.cfg_reads, 1);
}

static void test_ecam_sizes(void **state)
{
	struct ctx *c = *state;
	struct machine *m = &c->m;
	uint64_t v, base = VM_PCI_ECAM_BASE;

	two(c);
	assert_int_equal(ecam_rd(m, 1, 0, 1, 1), 0x12);
	assert_int_equal(ecam_rd(m, 1, 0, 2, 2), 0x5678);
	assert_int_equal(vm_bus_read(&m->vm->mmio, base, 8, &v), VM_IO_ERROR);
	assert_int_equal(vm_bus_read(&m->vm->mmio, base + 1, 2, &v), VM_IO_ERROR);
	assert_int_equal(vm_bus_read(&m->vm->mmio, base + 2, 4, &v), VM_IO_ERROR);
	assert_int_equal(vm_bus_write(&m->vm->mmio, base + 3, 2, 0), VM_IO_ERROR);
	assert_int_equal(vm_bus_write(&m->vm->mmio, base, 8, 0), VM_IO_ERROR);
	/* As long as there are buses, and no longer. */
	assert_int_equal(vm_pci_windows(m->pci)->nbuses, 3);
	assert_int_equal(vm_bus_read(&m->vm->mmio, base + MIB(3) - 4, 4, &v), VM_IO_OK);
	assert_int_equal(vm_bus_read(&m->vm->mmio, base + MIB(3), 4, &v), VM_IO_UNHANDLED);
	/* The host bridge is all read-only. */
	ecam_wr(m, 0, 0, 0, 4, 0);
	ecam_wr(m, 0, 0, 4, 4, 0xffffffff);
	assert_int_equal(ecam_rd(m, 0, 0, 0, 2), 0x51ce);
}

static uint32_t conf1(struct machine *m, uint32_t addr, unsigned int off, unsigned int len)
{
	uint64_t v;

	vm_bus_write(&m->vm->pio, 0xcf8, 4, addr);
	vm_bus_read(&m->vm->pio, 0xcfc + off, len, &v);
	return (uint32_t)v;
}

static void test_conf1(void **state)
{
	struct ctx *c = *state;
	struct machine *m = &c->m;
	uint64_t v;

	two(c);
	assert_int_equal(conf1(m, 0x80010000, 0, 4), 0x56781234);
	assert_int_equal(conf1(m, 0x80010000, 2, 2), 0x5678);
	assert_int_equal(conf1(m, 0x80010000, 3, 1), 0x56);
	assert_int_equal(conf1(m, 0x80000808, 2, 2), 0x0604);
	assert_int_equal(conf1(m, 0x80011800, 0, 4), 0xffffffff);
	assert_int_equal(conf1(m, 0x80ff0000, 0, 4), 0xffffffff);
	assert_int_equal(conf1(m, 0x00010000, 0, 4), 0xffffffff); /* not enabled */
	assert_int_equal(vm_pci_count(m->pci)->conf1, 6);
	vm_bus_write(&m->vm->pio, 0xcf8, 4, 0xffffffff);
	vm_bus_read(&m->vm->pio, 0xcf8, 4, &v);
	assert_int_equal(v, 0x80fffffc);
	/* Other sizes of the address register are not the address register. */
	assert_int_equal(vm_bus_read(&m->vm->pio, 0xcf8, 1, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_bus_write(&m->vm->pio, 0xcfa, 2, 0), VM_IO_UNHANDLED);
	assert_int_equal(vm_bus_read(&m->vm->pio, 0xcf8, 8, &v), VM_IO_UNHANDLED);
	vm_bus_read(&m->vm->pio, 0xcfd, 2, &v);
	assert_int_equal(v, 0xffff);
	/* Writes arrive as ECAM's do. */
	vm_bus_write(&m->vm->pio, 0xcf8, 4, 0x8001003c);
	vm_bus_write(&m->vm->pio, 0xcfc, 1, 0x5a);
	assert_int_equal(ecam_rd(m, 1, 0, 0x3c, 1), 0x5a);
}

static void test_reset_port(void **state)
{
	struct ctx *c = *state;
	struct vm *vm = c->m.vm;
	uint64_t v;

	two(c);
	/* A dword to CF8h is an address, whatever byte 1 says. */
	vm_bus_write(&vm->pio, 0xcf8, 4, 0x80000600);
	vm_bus_write(&vm->pio, 0xcf9, 1, 0x02);
	assert_int_equal(vm->end, VM_END_NONE);
	assert_int_equal(vm_bus_read(&vm->pio, 0xcf9, 1, &v), VM_IO_OK);
	assert_int_equal(v, 0x02);
	vm_bus_write(&vm->pio, 0xcf9, 1, 0x06);
	assert_int_equal(vm->end, VM_END_RESET);
}

static void test_no_conf1(void **state)
{
	struct machine m;
	uint64_t v;

	machine_init(&m, false);
	vm_bus_write(&m.vm->pio, 0xcf8, 4, 0x80000000);
	assert_int_equal(vm_bus_read(&m.vm->pio, 0xcf8, 4, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_bus_read(&m.vm->pio, 0xcfc, 4, &v), VM_IO_UNHANDLED);
	vm_bus_write(&m.vm->pio, 0xcf9, 1, 0x0e);
	assert_int_equal(m.vm->end, VM_END_RESET);
	machine_fini(&m);
}

/* What a port forwards, from its registers. */
static void window(struct machine *m, unsigned int dev, unsigned int kind, uint64_t *base,
		   uint64_t *end)
{
	switch (kind) {
	case 0:
		*base = (ecam_rd(m, 0, dev, 0x1c, 1) & 0xf0) << 8;
		*end = (ecam_rd(m, 0, dev, 0x1d, 1) & 0xf0) << 8 | 0xfff;
		break;
	case 1:
		*base = (uint64_t)(ecam_rd(m, 0, dev, 0x20, 2) & 0xfff0) << 16;
		*end = (uint64_t)(ecam_rd(m, 0, dev, 0x22, 2) & 0xfff0) << 16 | 0xfffff;
		break;
	default:
		*base = (uint64_t)(ecam_rd(m, 0, dev, 0x24, 2) & 0xfff0) << 16 |
			(uint64_t)ecam_rd(m, 0, dev, 0x28, 4) << 32;
		*end = (uint64_t)(ecam_rd(m, 0, dev, 0x26, 2) & 0xfff0) << 16 | 0xfffff |
		       (uint64_t)ecam_rd(m, 0, dev, 0x2c, 4) << 32;
	}
}

/* Every BAR is mapped, aligned, inside the right window of its port, and the ports' windows are
 * apart. */
static void check_placement(struct ctx *c)
{
	const struct vm_pci_windows *w = vm_pci_windows(c->m.pci);
	uint64_t base, end, ob, oe;

	for (unsigned int i = 0; i < c->n; i++) {
		struct vm_pci_fn *f = &c->fn[i].fn;

		for (unsigned int b = 0; b < 6; b++) {
			struct vm_pci_bar *bar = &f->bar[b];
			unsigned int kind = bar->type == VM_BAR_IO ? 0 : bar->at >= GIB(4) ? 2 : 1;

			if (bar->type == VM_BAR_NONE)
				continue;
			assert_true(bar->mapped);
			assert_true(IS_ALIGNED(bar->at, bar->size));
			window(&c->m, f->bdf.bus, kind, &base, &end);
			assert_true(bar->at >= base && bar->at + bar->size - 1 <= end);
			if (kind == 2)
				assert_true(bar->prefetch && bar->at >= w->mmio64 &&
					    end < w->mmio64 + w->mmio64_size);
			if (kind == 1)
				assert_true(base >= w->mmio32 && end < w->mmio32 + w->mmio32_size);
		}
		for (unsigned int o = 0; o < i; o++) {
			for (unsigned int k = 0; k < 3; k++) {
				window(&c->m, f->bdf.bus, k, &base, &end);
				window(&c->m, c->fn[o].fn.bdf.bus, k, &ob, &oe);
				assert_true(base > end || ob > oe || end < ob || oe < base);
			}
		}
	}
}

static void test_placement(void **state)
{
	struct ctx *c = *state;
	const struct vm_pci_windows *w;

	two(c);
	check_placement(c);
	w = vm_pci_windows(c->m.pci);
	assert_int_equal(w->mmio64, GIB(4));
	assert_int_equal(w->mmio64_size, GIB(64));
	assert_true(c->fn[0].fn.bar[0].at >= GIB(4));
	/* Not prefetchable: below 4 GiB, and told as what it is. */
	assert_true(c->fn[1].fn.bar[0].at < GIB(4));
	assert_false(c->fn[1].fn.bar[0].prefetch);
	assert_int_equal(c->fn[0].fn.command, VM_PCI_CMD_IO | VM_PCI_CMD_MEM);
	assert_int_equal(c->fn[1].fn.command, VM_PCI_CMD_MEM);
	/* A window that is not used is closed. */
	assert_true(ecam_rd(&c->m, 0, 2, 0x1c, 1) > ecam_rd(&c->m, 0, 2, 0x1d, 1));
	assert_int_equal(ecam_rd(&c->m, 1, 0, 0x3c, 1), vm_pci_intx_pin(&c->fn[0].fn, 1));
}

static void test_intx(void **state)
{
	struct ctx *c = *state;

	two(c);
	assert_int_equal(vm_pci_intx_pin(&c->fn[0].fn, 1), 17);
	assert_int_equal(vm_pci_intx_pin(&c->fn[0].fn, 4), 20);
	assert_int_equal(vm_pci_intx_pin(&c->fn[1].fn, 1), 18);
}

static void test_full_house(void **state)
{
	struct ctx *c = *state;
	struct testfn extra;
	struct err e = { 0 };

	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++) {
		add(c, "fn");
		testfn_bar(&c->fn[i], 0, VM_BAR_MEM64, true, MIB(1) << i % 14);
		testfn_bar(&c->fn[i], 2, VM_BAR_MEM32, false, KIB(4) << i % 8);
		testfn_bar(&c->fn[i], 3, VM_BAR_MEM64, false, KIB(16));
	}
	attach_all(c);
	check_placement(c);
	testfn_init(&extra, "one-too-many");
	assert_int_equal(vm_pci_attach(c->m.pci, &extra.fn, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "one-too-many"));
	/* A hole is filled again. */
	vm_pci_detach(&c->fn[7].fn);
	assert_int_equal(ecam_rd(&c->m, 8, 0, 0, 4), 0xffffffff);
	assert_int_equal(ecam_rd(&c->m, 0, 8, 0, 4), 0xffffffff);
	assert_int_equal(vm_pci_attach(c->m.pci, &extra.fn, &e), 0);
	assert_int_equal(extra.fn.bdf.bus, 8);
	testfn_fini(&extra);
}

static void test_io_runs_out(void **state)
{
	struct ctx *c = *state;
	unsigned int mapped = 0;

	for (unsigned int i = 0; i < 20; i++) {
		add(c, "fn");
		testfn_bar(&c->fn[i], 0, VM_BAR_IO, false, 32);
		testfn_bar(&c->fn[i], 1, VM_BAR_MEM32, false, KIB(4));
	}
	attach_all(c);
	for (unsigned int i = 0; i < 20; i++) {
		mapped += c->fn[i].fn.bar[0].mapped;
		assert_true(c->fn[i].fn.bar[1].mapped);
	}
	assert_int_equal(mapped, 15); /* 4 KiB each of 60 KiB */
}

static void test_big_nonprefetchable(void **state)
{
	struct ctx *c = *state;

	add(c, "small");
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM64, false, MIB(256));
	add(c, "big");
	testfn_bar(&c->fn[1], 0, VM_BAR_MEM64, false, GIB(1));
	add(c, "other");
	testfn_bar(&c->fn[2], 0, VM_BAR_MEM32, false, MIB(128));
	attach_all(c);
	/* The one that can't be below 4 GiB is above, and shown as what fits there. */
	assert_true(c->fn[1].fn.bar[0].at >= GIB(4));
	assert_int_equal(ecam_rd(&c->m, 2, 0, 0x10, 4) & 0xf, 0xc);
	assert_true(c->fn[0].fn.bar[0].at < GIB(4));
	assert_int_equal(ecam_rd(&c->m, 1, 0, 0x10, 4) & 0xf, 0x4);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(c->fn[i].fn.bar[0].mapped);
}

static void test_no_room(void **state)
{
	struct ctx *c = *state;
	struct err e = { 0 };

	add(c, "gpu0");
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM64, true, 1ull << 40);
	assert_int_equal(vm_pci_attach(c->m.pci, &c->fn[0].fn, NULL), 0);
	assert_int_equal(vm_pci_setup(c->m.pci, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "gpu0 BAR0"));
	assert_false(c->fn[0].fn.bar[0].mapped);
	vm_pci_detach(&c->fn[0].fn);
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM64, true, 1ull << 63);
	assert_int_equal(vm_pci_attach(c->m.pci, &c->fn[0].fn, NULL), 0);
	assert_int_equal(vm_pci_setup(c->m.pci, &e), -ENOSPC);
	vm_pci_detach(&c->fn[0].fn);
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM32, false, GIB(1));
	assert_int_equal(vm_pci_attach(c->m.pci, &c->fn[0].fn, NULL), 0);
	err_clear(&e);
	assert_int_equal(vm_pci_setup(c->m.pci, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "gpu0 BAR0"));
}

static void test_narrow_cpu(void **state)
{
	struct ctx *c = *state;

	/* Nothing above 4 GiB can be reached: all goes below. */
	c->m.vm->mem.gpa_limit = GIB(4);
	add(c, "net0");
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM64, true, MIB(16));
	attach_all(c);
	assert_true(c->fn[0].fn.bar[0].mapped && c->fn[0].fn.bar[0].at < GIB(4));
	assert_int_equal(vm_pci_windows(c->m.pci)->mmio64_size, 0);
}

static void test_map_refused_by_host(void **state)
{
	struct ctx *c = *state;
	struct err e = { 0 };

	add(c, "net0");
	testfn_bar(&c->fn[0], 0, VM_BAR_MEM32, false, KIB(16));
	c->fn[0].fail_map = -ENOMEM;
	assert_int_equal(vm_pci_attach(c->m.pci, &c->fn[0].fn, NULL), 0);
	assert_int_equal(vm_pci_setup(c->m.pci, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "net0 BAR0"));
	assert_non_null(strstr(e.text, "the test says no"));
}

static void test_machine_reset(void **state)
{
	struct ctx *c = *state;
	uint64_t at;

	two(c);
	at = c->fn[0].fn.bar[0].at;
	ecam_wr(&c->m, 0, 1, 0x18, 4, 0x00ffff00);
	ecam_wr(&c->m, 0, 2, 0x20, 4, 0xdff0dff0);
	vm_pci_reset(c->m.pci);
	assert_false(c->fn[0].fn.bar[0].mapped);
	assert_int_equal(c->fn[0].resets, 1);
	assert_int_equal(vm_pci_setup(c->m.pci, NULL), 0);
	check_placement(c);
	assert_int_equal(c->fn[0].fn.bar[0].at, at);
	assert_int_equal(ecam_rd(&c->m, 1, 0, 0, 2), 0x1234);
}

static void test_renumber(void **state)
{
	struct ctx *c = *state;

	two(c);
	/* A guest may swap the buses; bus 0 behind a port would shadow nothing. */
	ecam_wr(&c->m, 0, 1, 0x18, 4, 0);
	assert_int_equal(ecam_rd(&c->m, 1, 0, 0, 4), 0xffffffff);
	assert_int_equal(ecam_rd(&c->m, 0, 0, 0, 2), 0x51ce);
	ecam_wr(&c->m, 0, 2, 0x18, 4, 0x00010100);
	ecam_wr(&c->m, 0, 1, 0x18, 4, 0x00020200);
	assert_int_equal(ecam_rd(&c->m, 2, 0, 0x3c, 1), 17); /* net0's line */
	assert_int_equal(ecam_rd(&c->m, 1, 0, 0x3c, 1), 18); /* disk0's */
}

static void test_bus_reset(void **state)
{
	struct ctx *c = *state;

	two(c);
	ecam_wr(&c->m, 0, 1, 0x3e, 2, 0x40);
	assert_int_equal(c->fn[0].resets, 1);
	assert_false(c->fn[0].fn.bar[0].mapped);
	assert_int_equal(c->fn[1].resets, 0);
	ecam_wr(&c->m, 0, 1, 0x3e, 2, 0x40); /* still on */
	assert_int_equal(c->fn[0].resets, 1);
	ecam_wr(&c->m, 0, 1, 0x3e, 2, 0);
	ecam_wr(&c->m, 0, 1, 0x3c, 4, 0x00400000);
	assert_int_equal(c->fn[0].resets, 2);
}

static void test_port_write_masks(void **state)
{
	struct ctx *c = *state;
	uint32_t before[64], lnk;

	two(c);
	for (unsigned int i = 0; i < 64; i++)
		before[i] = ecam_rd(&c->m, 0, 1, 4 * i, 4);
	for (unsigned int i = 0; i < 1024; i++)
		ecam_wr(&c->m, 0, 1, 4 * i, 4, 0xffffffff);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0, 4), before[0]);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 8, 4), before[2]);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x40, 4), before[16]);
	lnk = ecam_rd(&c->m, 0, 1, 0x4c, 4);
	assert_int_equal(lnk, before[19]);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x10, 4), 0); /* no BARs of its own */
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x38, 4), 0); /* no ROM */
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x24, 4), 0xfff1fff1);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x60, 4), 0);
	assert_int_equal(ecam_rd(&c->m, 0, 1, 0x100, 4), 0);
}

/*
 * What Linux reads of a bus it scans: the vendor of all 32 devices on bus 0 (function 0 each, none
 * being multifunction), and device 0 only behind a root port.
 */
static void test_scan_length(void **state)
{
	struct ctx *c = *state;
	const struct vm_pci_count *n = vm_pci_count(c->m.pci);
	unsigned int found = 0;

	two(c);
	for (unsigned int dev = 0; dev < 32; dev++)
		found += ecam_rd(&c->m, 0, dev, 0, 4) != 0xffffffff;
	for (unsigned int bus = 1; bus < vm_pci_windows(c->m.pci)->nbuses; bus++)
		found += ecam_rd(&c->m, bus, 0, 0, 4) != 0xffffffff;
	assert_int_equal(found, 5);
	assert_int_equal(n->absent, 29);
	assert_int_equal(n->ports, 3);
	assert_int_equal(c->fn[0].fn.cfg_reads + c->fn[1].fn.cfg_reads, 2);
}

static void count_fn(void *arg, struct vm_pci_fn *f)
{
	++*(unsigned int *)arg;
}

static void test_each(void **state)
{
	struct ctx *c = *state;
	unsigned int n = 0;

	two(c);
	vm_pci_each(c->m.pci, count_fn, &n);
	assert_int_equal(n, 2);
}

static void test_claims_taken(void **state)
{
	struct fakesys *fs = fakesys_new();
	struct vm *vm = fakeaccel_vm(fakesys_sys(fs), fakeaccel_new(), MIB(64));
	struct vm_mem_claim claim = { 0 };
	struct vm_pci *p = NULL;
	struct err e = { 0 };

	/* Each fixed place, when somebody sits there: refused, and nothing is left behind. */
	static const uint64_t at[] = { VM_PCI_ECAM_BASE, 0xfec00000, 0xfee00000 };

	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(vm_mem_claim(&vm->mem, &claim, at[i], KIB(4), "squatter", &e), 0);
		assert_int_equal(vm_pci_new(vm, true, &p, &e), -EEXIST);
		assert_null(p);
		vm_mem_unclaim(&vm->mem, &claim);
	}
	assert_int_equal(vm_pci_new(vm, true, &p, &e), 0);
	vm->pci = p;
	fakeaccel_vm_free(vm);
	fakesys_free(fs);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_ecam_sizes),
		TEST(test_conf1),
		TEST(test_reset_port),
		TEST(test_no_conf1),
		TEST(test_placement),
		TEST(test_intx),
		TEST(test_full_house),
		TEST(test_io_runs_out),
		TEST(test_big_nonprefetchable),
		TEST(test_no_room),
		TEST(test_narrow_cpu),
		TEST(test_map_refused_by_host),
		TEST(test_machine_reset),
		TEST(test_renumber),
		TEST(test_bus_reset),
		TEST(test_port_write_masks),
		TEST(test_scan_length),
		TEST(test_each),
		TEST(test_claims_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
