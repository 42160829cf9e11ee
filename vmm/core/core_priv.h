/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_PRIV_H
#define VMM_CORE_PRIV_H

#include "vmm/core/vm.h"

#define THP_SIZE MIB(2) /* of a transparent huge page */

/** vm_slots_init() - begin to listen; vm_slots_fini() is idempotent, also after a failure. */
int vm_slots_init(struct vm_slots *s, struct vm *vm, struct err *e) __must_check;
void vm_slots_fini(struct vm_slots *s);

/** ram_page_name() - "4K", "thp", "2M", "1G". */
const char *ram_page_name(const struct vm_ram *r);

/* ---- ram_fill.c ---- */

/**
 * ram_fill() - take all pages, or as many as until *stop (may be NULL) is set; without prefault
 * those of a pool only, which are not mapped then
 */
int ram_fill(struct sys *s, const struct vm_ram *r, const struct vm_ram_cfg *cfg, const bool *stop,
	     struct err *e) __must_check;
/** ram_fill_start() - the same on a thread: vm_ram_wait() tells. */
int ram_fill_start(struct sys *s, struct vm_ram *r, const struct vm_ram_cfg *cfg,
		   struct err *e) __must_check;
/** ram_fill_stop() - the thread ends soon; its outcome is of no interest. */
void ram_fill_stop(struct vm_ram *r);

/**
 * struct vcpu - one virtual CPU and its thread
 * @exits: to user space, by reason; written by the thread alone, read by anybody
 * @tid:   of the thread, 0 until it runs
 */
struct vcpu {
	struct vm *vm;
	unsigned int id;
	struct vm_vcpu_hw *hw;
	pthread_t thread;
	bool thread_on;
	int tid;
	struct vm_boot_regs boot;
	bool boot_wanted;
	uint64_t exits[VM_EXIT_NR];
};

/** vcpu_thread_start() - start the thread, pinned to host_cpu unless that is -1; it waits at the
 * gate. */
int vcpu_thread_start(struct vcpu *c, int host_cpu) __must_check;

/** vcpu_kick() - make it leave the guest and look at the VM's state; any thread. */
void vcpu_kick(struct vcpu *c);

/** vcpu_kick_signal() - install the (empty) handler of the signal that interrupts KVM_RUN. Once a
 * process. */
int vcpu_kick_signal(void) __must_check;

#endif
