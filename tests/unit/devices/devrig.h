/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DEVRIG_H
#define TESTS_DEVRIG_H

#include "tests/unit/devices/devtest.h"
#include "vmm/core/iothread.h"

/* A register-level device with an I/O thread, as its driver sees it: BAR 0, and memory. */
struct devrig {
	struct board b;
	struct vm_iothread *io;
	struct vm_dev *dev;
	struct vm_pci_fn *fn;
	uint64_t base;
};

static inline void wr(struct devrig *r, unsigned int reg, uint32_t v)
{
	vm_bus_write(&r->b.vm->mmio, r->base + reg, 4, v);
}

static inline uint32_t rd(struct devrig *r, unsigned int reg)
{
	uint64_t v = 0;

	assert_int_equal(vm_bus_read(&r->b.vm->mmio, r->base + reg, 4, &v), VM_IO_OK);
	return (uint32_t)v;
}

static inline void *ram(struct devrig *r, uint64_t gpa)
{
	return vm_ram_ptr(&r->b.vm->ram, gpa, 1);
}

/* The machine, before its device is made. */
static inline void devrig_init(struct devrig *r)
{
	struct err e = { 0 };

	board_init(&r->b);
	assert_int_equal(vm_pci_new(r->b.vm, false, &r->b.vm->pci, &e), 0);
	assert_int_equal(vm_iothread_new(sys_host(), "io0", &r->io, &e), 0);
}

/* Bus Master Enable, as the driver switches it. */
static inline void devrig_master(struct devrig *r, bool on)
{
	uint32_t cmd = r->fn->ops->cfg_read(r->fn, 4, 2) & ~(uint32_t)VM_PCI_CMD_MASTER;

	r->fn->ops->cfg_write(r->fn, 4, 2, cmd | (on ? VM_PCI_CMD_MASTER : 0));
}

/* r->dev, whose function is fn, goes on the bus. */
static inline void devrig_add(struct devrig *r, struct vm_pci_fn *fn)
{
	struct err e = { 0 };

	if (vm_dev_add(r->b.vm, r->dev, &e) || vm_pci_setup(r->b.vm->pci, &e))
		fail_msg("%s", e.text);
	r->fn = fn;
	r->base = fn->bar[0].at;
	devrig_master(r, true);
}

static inline void devrig_fini(struct devrig *r)
{
	vm_dev_free(r->dev);
	vm_iothread_free(r->io);
	board_fini(&r->b);
}

static inline void devrig_nothing(void *arg)
{
}

/* All that the I/O thread was asked for before is done, and what it asked itself for by that. */
static inline void devrig_settle(struct devrig *r)
{
	for (unsigned int i = 0; i < 4; i++)
		vm_iothread_call(r->io, devrig_nothing, NULL);
}

#endif
