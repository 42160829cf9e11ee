// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest that writes config space: two functions behind ports, reached by ECAM, CF8h/CFCh and
 * their BARs. Records of 10 bytes: what, how wide, address (4), value (4). After each, nothing may
 * lie where it must not.
 */
#include "tests/unit/pci/pcitest.h"

#define RECORD 10u
#define RAM    MIB(16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rec {
	uint8_t what, width;
	uint32_t addr, val;
};

static void make_fn(struct testfn *t, unsigned int i)
{
	testfn_init(t, i ? "disk0" : "net0");
	testfn_bar(t, 0, VM_BAR_MEM64, i == 0, KIB(16) << i);
	testfn_bar(t, 2, VM_BAR_IO, false, 32);
	testfn_bar(t, 3, VM_BAR_MEM32, false, MIB(1));
	if (i)
		testfn_bar(t, 4, VM_BAR_MEM64, false, GIB(1));
}

static void check_bar(const struct machine *m, const struct vm_pci_bar *b)
{
	if (!b->mapped)
		return;
	BUG_ON(!IS_ALIGNED(b->at, b->size) || b->at != b->reg);
	if (b->type == VM_BAR_IO) {
		BUG_ON(b->at + b->size > 0x10000 || ranges_overlap(b->at, b->size, 0xcf8, 8));
		return;
	}
	BUG_ON(!b->claim.claimed || b->claim.gpa != b->at);
	BUG_ON(ranges_overlap(b->at, b->size, 0, RAM));
	BUG_ON(ranges_overlap(b->at, b->size, VM_PCI_ECAM_BASE, MIB(256)));
	BUG_ON(ranges_overlap(b->at, b->size, 0xfec00000, KIB(4)));
	BUG_ON(ranges_overlap(b->at, b->size, 0xfee00000, MIB(1)));
	BUG_ON(b->at + b->size > m->vm->mem.gpa_limit);
}

static void check(const struct machine *m, struct testfn *t)
{
	for (unsigned int i = 0; i < 12; i++) {
		const struct vm_pci_bar *a = &t[i / 6].fn.bar[i % 6];

		check_bar(m, a);
		for (unsigned int j = 0; j < i; j++) {
			const struct vm_pci_bar *b = &t[j / 6].fn.bar[j % 6];

			if (a->mapped && b->mapped &&
			    (a->type == VM_BAR_IO) == (b->type == VM_BAR_IO))
				BUG_ON(ranges_overlap(a->at, a->size, b->at, b->size));
		}
	}
	BUG_ON(ecam_rd((struct machine *)m, 0, 0, 0, 2) != 0x51ce);
}

static void step(struct machine *m, struct testfn *t, const struct rec *r)
{
	struct vm *vm = m->vm;
	unsigned int len = 1u << r->width % 4;
	uint64_t v, base = VM_PCI_ECAM_BASE;

	switch (r->what % 10) {
	case 0:
		vm_bus_read(&vm->mmio, base + r->addr % MIB(4), len, &v);
		break;
	case 1:
		vm_bus_write(&vm->mmio, base + r->addr % MIB(4), len, r->val);
		break;
	case 2: /* more often where something is: header and capability of a device 0 */
		ecam_wr(m, r->addr >> 16 & 3, r->addr >> 24 & 3, r->addr & 0xfc, 4, r->val);
		break;
	case 3:
		vm_bus_write(&vm->pio, 0xcf8, 4, r->addr);
		vm_bus_write(&vm->pio, 0xcfc, 4, r->val);
		break;
	case 4:
		vm_bus_read(&vm->pio, r->addr & 0xffff, len, &v);
		break;
	case 5:
		vm_bus_write(&vm->pio, r->addr & 0xffff, len, r->val);
		break;
	case 6:
		vm_bus_read(&vm->mmio, (uint64_t)r->val << 32 | r->addr, len, &v);
		break;
	case 7: /* a BAR, with an address of the guest's choice, decoding on */
		ecam_wr(m, 1 + r->width % 2, 0, 0x10 + (r->addr & 0x1c), 4, r->val);
		break;
	case 8:
		ecam_wr(m, 1 + r->width % 2, 0, 4, 2, r->val);
		break;
	case 9:
		vm_pci_reset(m->pci);
		BUG_ON(vm_pci_setup(m->pci, NULL));
		BUG_ON(!t[0].fn.bar[0].mapped || !t[1].fn.bar[4].mapped);
		break;
	}
	vm->end = VM_END_NONE; /* the reset port */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = { .fs = fakesys_new(), .fa = fakeaccel_new() };
	struct testfn t[2];

	m.vm = fakeaccel_vm(fakesys_sys(m.fs), m.fa, RAM);
	m.vm->cfg.no_reboot = true;
	BUG_ON(vm_pci_new(m.vm, true, &m.pci, NULL));
	m.vm->pci = m.pci;
	for (unsigned int i = 0; i < 2; i++) {
		make_fn(&t[i], i);
		BUG_ON(vm_pci_attach(m.pci, &t[i].fn, NULL));
	}
	BUG_ON(vm_pci_setup(m.pci, NULL));
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		struct rec r = { .what = data[0], .width = data[1] };

		memcpy(&r.addr, data + 2, 4);
		memcpy(&r.val, data + 6, 4);
		step(&m, t, &r);
		check(&m, t);
	}
	testfn_fini(&t[0]);
	testfn_fini(&t[1]);
	machine_fini(&m);
	return 0;
}
