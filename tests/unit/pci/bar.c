// SPDX-License-Identifier: BSD-3-Clause
/* BARs: sizing, moves, and what a guest may not map where. */
#include <errno.h>
#include "tests/unit/pci/pcitest.h"

struct ctx {
	struct machine m;
	struct testfn a, b;
};

static int setup(void **state)
{
	static struct ctx c;

	machine_init(&c.m, true);
	testfn_init(&c.a, "net0");
	testfn_bar(&c.a, 0, VM_BAR_MEM32, false, KIB(16));
	testfn_bar(&c.a, 1, VM_BAR_IO, false, 32);
	testfn_bar(&c.a, 2, VM_BAR_MEM64, true, MIB(2));
	testfn_bar(&c.a, 4, VM_BAR_MEM64, false, KIB(64));
	testfn_init(&c.b, "disk0");
	testfn_bar(&c.b, 0, VM_BAR_MEM64, false, KIB(16));
	assert_int_equal(vm_pci_attach(c.m.pci, &c.a.fn, NULL), 0);
	assert_int_equal(vm_pci_attach(c.m.pci, &c.b.fn, NULL), 0);
	assert_int_equal(vm_pci_setup(c.m.pci, NULL), 0);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	testfn_fini(&c->a);
	testfn_fini(&c->b);
	machine_fini(&c->m);
	return 0;
}

static void wr(struct ctx *c, unsigned int off, uint32_t v)
{
	ecam_wr(&c->m, 1, 0, off, 4, v);
}

static uint32_t rd(struct ctx *c, unsigned int off)
{
	return ecam_rd(&c->m, 1, 0, off, 4);
}

static void test_sizing(void **state)
{
	struct ctx *c = *state;
	static const struct {
		unsigned int off;
		uint32_t ones;
	} want[] = {
		{ 0x10, 0xffffc000 }, { 0x14, 0xffffffe1 }, { 0x18, 0xffe0000c },
		{ 0x1c, 0xffffffff }, { 0x20, 0xffff0004 }, { 0x24, 0xffffffff },
	};

	wr(c, 4, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		uint32_t old = rd(c, want[i].off);

		wr(c, want[i].off, 0xffffffff);
		assert_int_equal(rd(c, want[i].off), want[i].ones);
		wr(c, want[i].off, old);
		assert_int_equal(rd(c, want[i].off), old);
	}
	assert_int_equal(vm_pci_bar_read(&c->a.fn, 6), 0);
	assert_int_equal(vm_pci_bar_read(&c->a.fn, 1000), 0);
	vm_pci_bar_write(&c->a.fn, 6, 1);
}

static void test_decode_bits(void **state)
{
	struct ctx *c = *state;
	struct vm_pci_bar *b = c->a.fn.bar;
	uint64_t v, at = b[0].at;

	assert_true(b[0].mapped && b[1].mapped && b[2].mapped && b[4].mapped);
	assert_int_equal(vm_bus_read(&c->m.vm->mmio, at + 4, 4, &v), VM_IO_OK);
	assert_int_equal(v, 0xab04);
	wr(c, 4, VM_PCI_CMD_IO);
	assert_false(b[0].mapped || b[2].mapped || b[4].mapped);
	assert_true(b[1].mapped);
	assert_int_equal(vm_bus_read(&c->m.vm->mmio, at, 4, &v), VM_IO_UNHANDLED);
	assert_false(b[0].claim.claimed);
	wr(c, 4, VM_PCI_CMD_MEM);
	assert_true(b[0].mapped && !b[1].mapped && b[0].at == at);
	/* Asking for what is there already changes nothing. */
	v = c->a.maps;
	wr(c, 4, VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER);
	wr(c, 0x10, (uint32_t)at);
	assert_int_equal(c->a.maps, v);
}

/* Told of changes only, and of that by a reset; not when it leaves. */
static void test_master(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(c->a.masters, 0);
	wr(c, 4, VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER);
	wr(c, 4, VM_PCI_CMD_IO | VM_PCI_CMD_MASTER);
	assert_true(c->a.master);
	assert_int_equal(c->a.masters, 1);
	wr(c, 4, VM_PCI_CMD_IO);
	assert_false(c->a.master);
	wr(c, 4, VM_PCI_CMD_MASTER);
	vm_pci_reset(c->m.pci);
	assert_false(c->a.master);
	assert_int_equal(c->a.masters, 4);
	vm_pci_command(&c->a.fn, VM_PCI_CMD_MASTER);
	vm_pci_detach(&c->a.fn);
	assert_int_equal(c->a.masters, 5);
}

static void test_move(void **state)
{
	struct ctx *c = *state;
	struct vm_pci_bar *b = &c->a.fn.bar[0];
	uint64_t old = b->at, v;

	wr(c, 0x10, 0xd0000000);
	assert_true(b->mapped);
	assert_int_equal(b->at, 0xd0000000);
	assert_int_equal(vm_bus_read(&c->m.vm->mmio, old, 4, &v), VM_IO_UNHANDLED);
	assert_int_equal(vm_bus_read(&c->m.vm->mmio, 0xd0000000, 4, &v), VM_IO_OK);
	/* Bits below the size do not exist. */
	wr(c, 0x10, 0xd0000fff);
	assert_int_equal(rd(c, 0x10), 0xd0000000);
	assert_true(b->mapped);
	assert_int_equal(b->refused, 0);
}

static void refused_at(struct ctx *c, uint32_t at)
{
	struct vm_pci_bar *b = &c->a.fn.bar[0];
	uint64_t before = b->refused;

	wr(c, 0x10, at);
	assert_false(b->mapped);
	assert_false(b->claim.claimed);
	assert_int_equal(b->refused, before + 1);
	assert_int_equal(rd(c, 0x10), at);
	/* The next good address works again. */
	wr(c, 0x10, 0xd0000000);
	assert_true(b->mapped);
}

static void test_refused(void **state)
{
	struct ctx *c = *state;

	refused_at(c, 0x00100000);		      /* RAM */
	refused_at(c, 0x03ffc000);		      /* its last page */
	refused_at(c, VM_PCI_ECAM_BASE);	      /* config space */
	refused_at(c, VM_PCI_ECAM_BASE + 0x0ffc0000); /* of buses that do not exist yet */
	refused_at(c, 0xfec00000);		      /* IOAPIC */
	refused_at(c, 0xfee00000);		      /* local APICs */
	refused_at(c, 0xfeefc000);		      /* their last page */
	refused_at(c, (uint32_t)c->b.fn.bar[0].at);   /* another function's BAR */
	refused_at(c, (uint32_t)c->a.fn.bar[4].at);   /* its own other BAR */
	assert_true(c->b.fn.bar[0].mapped);
}

static void test_refused_then_freed(void **state)
{
	struct ctx *c = *state;
	uint32_t at = (uint32_t)c->b.fn.bar[0].at;

	wr(c, 0x10, at);
	assert_false(c->a.fn.bar[0].mapped);
	ecam_wr(&c->m, 2, 0, 4, 2, 0);
	wr(c, 0x10, at);
	assert_true(c->a.fn.bar[0].mapped);
	/* Now the other one is the one that has to stay out. */
	ecam_wr(&c->m, 2, 0, 4, 2, VM_PCI_CMD_MEM);
	assert_false(c->b.fn.bar[0].mapped);
	assert_int_equal(c->b.fn.bar[0].refused, 1);
}

static void test_64bit_halves(void **state)
{
	struct ctx *c = *state;
	struct vm_pci_bar *b = &c->a.fn.bar[2];
	uint64_t to = 0x1200000000ull + MIB(4);

	/* With decoding on, half by half. */
	wr(c, 0x18, (uint32_t)to);
	wr(c, 0x1c, (uint32_t)(to >> 32));
	assert_true(b->mapped);
	assert_int_equal(b->at, to);
	/* Sizing with decoding on maps nothing anywhere and counts as no refusal. */
	wr(c, 0x18, 0xffffffff);
	assert_false(b->mapped);
	wr(c, 0x1c, 0xffffffff);
	assert_false(b->mapped);
	assert_int_equal(b->refused, 0);
	assert_int_equal(rd(c, 0x1c), 0xffffffff);
	wr(c, 0x1c, (uint32_t)(to >> 32));
	assert_false(b->mapped);
	wr(c, 0x18, (uint32_t)to);
	assert_true(b->mapped);
	assert_int_equal(b->at, to);
	/* Out of reach: the fake CPU has 40 bits. */
	wr(c, 0x1c, 0x100);
	assert_false(b->mapped);
	assert_int_equal(b->refused, 1);
	wr(c, 0x1c, 0x80000000);
	assert_int_equal(b->refused, 2);
	wr(c, 0x1c, 0xff);
	assert_true(b->mapped);
}

static void test_io(void **state)
{
	struct ctx *c = *state;
	struct vm_pci_bar *b = &c->a.fn.bar[1];
	uint64_t v;

	assert_int_equal(vm_bus_read(&c->m.vm->pio, b->at, 4, &v), VM_IO_OK);
	wr(c, 0x14, 0x10001);
	assert_false(b->mapped);
	assert_int_equal(b->refused, 1);
	wr(c, 0x14, 0xcf8); /* on the host bridge: masked to CE0h-CFFh */
	assert_false(b->mapped);
	assert_int_equal(b->refused, 2);
	wr(c, 0x14, 0x2000);
	assert_true(b->mapped);
	assert_int_equal(b->at, 0x2000);
}

static void test_map_fails(void **state)
{
	struct ctx *c = *state;
	struct vm_pci_bar *b = &c->a.fn.bar[0];

	c->a.fail_map = -ENOSPC;
	wr(c, 0x10, 0xd0000000);
	assert_false(b->mapped);
	assert_false(b->claim.claimed);
	assert_int_equal(b->refused, 1);
	c->a.fail_map = 0;
	wr(c, 4, 0);
	wr(c, 4, VM_PCI_CMD_MEM);
	assert_true(b->mapped);
	/* What is mapped is unmapped as often. */
	vm_pci_unmap_all(&c->a.fn);
	assert_int_equal(c->a.maps, c->a.unmaps);
	assert_int_equal(c->a.fn.command, 0);
	assert_int_equal(rd(c, 0x10), 0);
}

static void test_bad_bars(void **state)
{
	struct ctx *c = *state;
	struct testfn t;
	struct err e = { 0 };

	static const struct {
		unsigned int i;
		enum vm_bar_type type;
		uint64_t size;
	} bad[] = {
		{ 0, VM_BAR_MEM32, 0 },	      { 0, VM_BAR_MEM32, 2048 }, { 0, VM_BAR_MEM32, 12288 },
		{ 0, VM_BAR_MEM32, GIB(4) },  { 0, VM_BAR_IO, 2 },	 { 0, VM_BAR_IO, 1 << 17 },
		{ 5, VM_BAR_MEM64, KIB(16) },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		testfn_init(&t, "bad0");
		testfn_bar(&t, bad[i].i, bad[i].type, false, bad[i].size);
		err_clear(&e);
		assert_int_equal(vm_pci_attach(c->m.pci, &t.fn, &e), -EINVAL);
		assert_non_null(strstr(e.text, "bad0 BAR"));
	}
	testfn_init(&t, "bad0");
	testfn_bar(&t, 0, VM_BAR_MEM64, false, KIB(16));
	testfn_bar(&t, 1, VM_BAR_IO, false, 32);
	assert_int_equal(vm_pci_attach(c->m.pci, &t.fn, &e), -EINVAL);
	assert_null(t.fn.port);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizing),  TEST(test_decode_bits),	   TEST(test_move),
		TEST(test_refused), TEST(test_refused_then_freed), TEST(test_64bit_halves),
		TEST(test_io),	    TEST(test_map_fails),	   TEST(test_bad_bars),
		TEST(test_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
