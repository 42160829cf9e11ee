/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_PCITEST_H
#define TESTS_PCITEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/pci.h"
#include "vmm/core/vm.h"

/* A function with a plain header, whose BARs land on the trapped buses. */
struct testfn {
	struct vm_pci_fn fn;
	uint8_t cfg[4096];
	struct vm_io_region io[6];
	unsigned int maps, unmaps, resets, masters;
	bool master;
	int fail_map;
};

struct machine {
	struct fakesys *fs;
	struct fakeaccel *fa;
	struct vm *vm;
	struct vm_pci *pci;
};

static inline uint32_t testfn_cfg_read(struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	struct testfn *t = container_of(f, struct testfn, fn);
	uint32_t v = 0;

	if (off >= 0x10 && off < 0x28)
		return vm_pci_bar_read(f, (off - 0x10) / 4) >> 8 * (off % 4);
	if (off == 4)
		return f->command;
	memcpy(&v, t->cfg + off, len);
	return v;
}

static inline void testfn_cfg_write(struct vm_pci_fn *f, unsigned int off, unsigned int len,
				    uint32_t val)
{
	struct testfn *t = container_of(f, struct testfn, fn);

	if (off >= 0x10 && off < 0x28 && len == 4)
		vm_pci_bar_write(f, (off - 0x10) / 4, val);
	else if (off == 4)
		vm_pci_command(f, (uint16_t)val);
	else if (off >= 0x3c)
		memcpy(t->cfg + off, &val, len);
}

static inline void testfn_reset(struct vm_pci_fn *f)
{
	container_of(f, struct testfn, fn)->resets++;
}

static inline void testfn_master(struct vm_pci_fn *f, bool on)
{
	struct testfn *t = container_of(f, struct testfn, fn);

	BUG_ON(t->master == on);
	t->master = on;
	t->masters++;
}

static inline enum vm_io_result testfn_read(void *dev, uint64_t off, unsigned int len,
					    uint64_t *val)
{
	*val = 0xab00 + off;
	return VM_IO_OK;
}

static inline enum vm_io_result testfn_write(void *dev, uint64_t off, unsigned int len,
					     uint64_t val)
{
	return VM_IO_OK;
}

static inline int testfn_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e)
{
	static const struct vm_io_ops ops = { .read = testfn_read, .write = testfn_write };
	struct testfn *t = container_of(f, struct testfn, fn);
	bool io = f->bar[i].type == VM_BAR_IO;

	if (t->fail_map)
		return err_set(e, t->fail_map, "the test says no");
	vm_io_region_fini(&t->io[i]);
	t->io[i] = (struct vm_io_region){
		.name = f->bar[i].name, .base = gpa, .size = f->bar[i].size, .ops = &ops, .dev = t
	};
	t->maps++;
	return vm_bus_add(io ? &f->vm->pio : &f->vm->mmio, &t->io[i], e);
}

static inline void testfn_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct testfn *t = container_of(f, struct testfn, fn);

	t->unmaps++;
	vm_bus_del(f->bar[i].type == VM_BAR_IO ? &f->vm->pio : &f->vm->mmio, &t->io[i]);
}

static inline void testfn_init(struct testfn *t, const char *name)
{
	static const struct vm_pci_fn_ops ops = { .cfg_read = testfn_cfg_read,
						  .cfg_write = testfn_cfg_write,
						  .reset = testfn_reset,
						  .master = testfn_master };

	*t = (struct testfn){ .fn = { .name = name,
				      .ops = &ops,
				      .bar_map = testfn_map,
				      .bar_unmap = testfn_unmap } };
	t->cfg[0] = 0x34;
	t->cfg[1] = 0x12;
	t->cfg[2] = 0x78;
	t->cfg[3] = 0x56;
	t->cfg[0x3d] = 1;
}

static inline void testfn_bar(struct testfn *t, unsigned int i, enum vm_bar_type type,
			      bool prefetch, uint64_t size)
{
	t->fn.bar[i] = (struct vm_pci_bar){ .type = type, .prefetch = prefetch, .size = size };
}

static inline void testfn_fini(struct testfn *t)
{
	vm_pci_detach(&t->fn);
	for (unsigned int i = 0; i < 6; i++)
		vm_io_region_fini(&t->io[i]);
}

static inline void machine_init(struct machine *m, bool conf1)
{
	m->fs = fakesys_new();
	m->fa = fakeaccel_new();
	m->vm = fakeaccel_vm(fakesys_sys(m->fs), m->fa, MIB(64));
	m->vm->cfg.no_reboot = true;
	BUG_ON(vm_pci_new(m->vm, conf1, &m->pci, NULL));
	m->vm->pci = m->pci;
}

static inline void machine_fini(struct machine *m)
{
	fakeaccel_vm_free(m->vm);
	fakesys_free(m->fs);
}

/* ECAM access as a guest makes it. */
static inline uint32_t ecam_rd(struct machine *m, unsigned int bus, unsigned int dev,
			       unsigned int off, unsigned int len)
{
	uint64_t v;

	vm_bus_read(&m->vm->mmio, VM_PCI_ECAM_BASE + (bus << 20 | dev << 15 | off), len, &v);
	return (uint32_t)v;
}

static inline void ecam_wr(struct machine *m, unsigned int bus, unsigned int dev, unsigned int off,
			   unsigned int len, uint32_t v)
{
	vm_bus_write(&m->vm->mmio, VM_PCI_ECAM_BASE + (bus << 20 | dev << 15 | off), len, v);
}

#endif
