/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_DEV_H
#define VMM_CORE_DEV_H

#include "base/err.h"
#include "base/list.h"
#include "base/opt.h"

struct vm;
struct vm_dev;

/**
 * struct vm_dev_ops - a device type; one const table per type, listed in cmd
 * @name:    type, "serial", "vfio-pci"
 * @size:    of the instance, which embeds struct vm_dev first
 * @opts:    its options, or NULL
 * @init:    take host resources; the guest sees nothing yet
 * @realize: claim BARs, ports, interrupts
 * @reset:   back to power-on; cannot fail
 * @quiesce: on: stop touching guest memory and raising interrupts, until off; may be NULL
 * @free:    idempotent, also after a failed init; does not free the instance itself
 * The VM lock is held in all of them once vCPUs run.
 */
struct vm_dev_ops {
	const char *name;
	size_t size;
	const struct opt *opts;
	int (*init)(struct vm_dev *d, struct err *e);
	int (*realize)(struct vm_dev *d, struct err *e);
	void (*reset)(struct vm_dev *d);
	int (*quiesce)(struct vm_dev *d, bool on);
	void (*free)(struct vm_dev *d);
};

struct vm_dev {
	const struct vm_dev_ops *ops;
	struct vm *vm;
	char id[32]; /* "net0", "serial0" */
	struct list link;
};

/*
 * Why a device leaves guest memory alone: the machine is paused (quiesce), or the function's Bus
 * Master Enable is off (struct vm_pci_fn_ops). It does while there is any reason.
 */
#define VM_HELD_PAUSE  0x1u
#define VM_HELD_MASTER 0x2u

/** vm_held() - a reason comes or goes: is this the first, or was it the last? */
static inline bool vm_held(unsigned int *held, unsigned int why, bool on)
{
	bool was = *held;

	*held = on ? *held | why : *held & ~why;
	return was != !!*held;
}

/** vm_dev_init() - for an instance allocated elsewhere (by calloc(): vm_dev_free() frees it). */
void vm_dev_init(const struct vm_dev_ops *ops, const char *id, struct vm_dev *d);

/** vm_dev_new() - allocate zeroed, on no VM yet; the caller fills its fields, then vm_dev_add(). */
int vm_dev_new(const struct vm_dev_ops *ops, const char *id, struct vm_dev **out) __must_check;

/** vm_dev_add() - init and realize on vm; on failure the device is freed. */
int vm_dev_add(struct vm *vm, struct vm_dev *d, struct err *e) __must_check;

/** vm_dev_free() - take it off its VM and free it; NULL is fine. */
void vm_dev_free(struct vm_dev *d);

#endif
