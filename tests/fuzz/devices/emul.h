/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_EMUL_H
#define TESTS_FUZZ_EMUL_H

#include <string.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/iothread.h"
#include "vmm/core/pci.h"
#include "vmm/core/vm.h"

/*
 * Register-level devices with an I/O thread, driven by records of 8 bytes: what, where, four bytes
 * of value. Guest memory is written through small "slots" of 16 bytes, so that rings and lists are
 * found at addresses that a fuzzer hits.
 */
#define EMUL_RECORD 8u
#define EMUL_RAM    MIB(4)

struct emul {
	struct fakesys *fs;
	struct fakeaccel *fa;
	struct vm *vm;
	struct vm_iothread *io;
	struct vm_pci_fn *fn;
	uint64_t base;
	unsigned int reg_mask; /* registers are below */
};

static inline void emul_init(struct emul *m)
{
	struct err e = { 0 };

	m->fs = fakesys_new();
	m->fa = fakeaccel_new();
	m->vm = fakeaccel_vm(fakesys_sys(m->fs), m->fa, EMUL_RAM);
	BUG_ON(vm_pci_new(m->vm, false, &m->vm->pci, &e));
	BUG_ON(vm_iothread_new(sys_host(), "io0", &m->io, &e));
}

/* The device's function, once it is on the bus: with bus mastering, which records may change. */
static inline void emul_fn(struct emul *m, struct vm_pci_fn *fn)
{
	struct err e = { 0 };

	BUG_ON(vm_pci_setup(m->vm->pci, &e));
	m->fn = fn;
	m->base = fn->bar[0].at;
	fn->ops->cfg_write(fn, 4, 2, VM_PCI_CMD_IO | VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER);
}

static inline void emul_fini(struct emul *m)
{
	vm_iothread_free(m->io);
	fakeaccel_vm_free(m->vm);
	fakesys_free(m->fs);
}

static inline void emul_nothing(void *arg)
{
}

/* Four values out of one byte's worth of choice, so that both small and wild ones are common. */
static inline uint32_t emul_value(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p + 4, sizeof(v));
	return p[3] & 1 ? v & 0xffff : p[3] & 2 ? v & 0x3fffff : v;
}

static inline void emul_step(struct emul *m, const uint8_t *p)
{
	unsigned int reg = (unsigned int)(p[1] | p[2] << 8) & m->reg_mask & ~3u;
	uint64_t v, gpa = (uint64_t)(p[1] | p[2] << 8) * 16 % EMUL_RAM;
	uint32_t val = emul_value(p);
	unsigned int i;

	switch (p[0] % 8) {
	case 0:
	case 1:
	case 2:
		vm_bus_write(&m->vm->mmio, m->base + reg, 4, val);
		break;
	case 3:
		vm_bus_read(&m->vm->mmio, m->base + reg, 4, &v);
		break;
	case 4:
	case 5: /* a dword of a descriptor, all through a page of them when asked */
		for (i = 0; i < (p[3] & 4 ? 64u : 1u); i++)
			if (gpa + 16 * i + 16 <= EMUL_RAM)
				memcpy((uint8_t *)vm_ram_ptr(&m->vm->ram, gpa + 16 * i, 16) +
					       (p[3] >> 4 & 12),
				       &val, sizeof(val));
		break;
	case 6:
		vm_bus_write(&m->vm->mmio, m->base + reg + (p[3] & 7), 1u << (p[3] >> 6), val);
		break;
	default:
		if (p[1] & 1)
			m->fn->ops->cfg_write(m->fn, 4, 1,
					      VM_PCI_CMD_MEM | (p[1] & 2 ? VM_PCI_CMD_MASTER : 0));
		vm_iothread_call(m->io, emul_nothing, NULL);
	}
}

#endif
