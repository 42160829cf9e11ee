/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DEVFIX_H
#define TESTS_DEVFIX_H

#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "tests/unit/vfio/fakevfd.h"

/* A machine with a PCI bus, and a device to assign to it. */
struct fix {
	struct fakesys *fs;
	struct fakeaccel *a;
	struct vm *vm;
	struct fakevfd dev;
	struct vfio_pci *p; /* NULL until devfix_add() */
	struct vm_pci_fn *fn;
	struct err e;
};

int devfix_setup(void **state);

/** devfix_teardown() - fails when a mapping, an irqfd or a descriptor is left. */
int devfix_teardown(void **state);

/** devfix_add() - the device is made and put on the bus, its log begins. */
void devfix_add(struct fix *f);

#endif
