/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKEACCEL_H
#define TESTS_FAKEACCEL_H

#include "vmm/core/vm.h"

/*
 * An accelerator for unit tests: remembers slots, routes and irqfds; a vCPU runs a list of exits
 * that the test gives and then waits to be kicked.
 */
struct fakeaccel_irqfd {
	int fd, resample;
	uint32_t gsi;
};

struct fakeaccel_ioeventfd {
	int fd;
	uint64_t addr;
	unsigned int len;
};

struct fakeaccel {
	struct vm_accel accel;
	struct vm_accel_info info;
	struct {
		uint64_t gpa, size;
		void *hva;
	} slot[64];
	struct vm_irq_route route[512];
	unsigned int nroutes, route_sets;
	struct fakeaccel_irqfd irqfd[512];
	unsigned int nirqfds;
	struct fakeaccel_ioeventfd ioeventfd[128];
	unsigned int nioeventfds;
	unsigned int line[24];
	unsigned int vfio_files;
	unsigned int slots_used;
	/* -errno to return, 0: works; any: for those that match any width */
	int fail_slot, fail_routes, fail_irqfd, fail_vfio, fail_ioeventfd, fail_ioeventfd_any;
};

/** fakeaccel_new() - freed through its ops->free, as the real one. */
struct fakeaccel *fakeaccel_new(void);

/** fakeaccel_vm() - a VM over fake kernel and accelerator with ram bytes of RAM placed at 0 (and 4
 * GiB), no vCPUs, no PCI. */
struct vm *fakeaccel_vm(struct sys *s, struct fakeaccel *a, uint64_t ram);
void fakeaccel_vm_free(struct vm *vm);

/** fakeaccel_mmio_write() - as a guest writes: signals the ioeventfd that matches (true), else the
 * bus gets it. */
bool fakeaccel_mmio_write(struct vm *vm, uint64_t addr, unsigned int len, uint64_t val);

/** fakeaccel_irqfd_of() - the irqfd entry for an eventfd, or NULL. */
const struct fakeaccel_irqfd *fakeaccel_irqfd_of(const struct fakeaccel *a, int fd);

#endif
