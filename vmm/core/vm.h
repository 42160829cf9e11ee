/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_VM_H
#define VMM_CORE_VM_H

#include <pthread.h>
#include "base/ev.h"
#include "base/log.h"
#include "base/opt.h"
#include "vmm/core/accel.h"
#include "vmm/core/bus.h"
#include "vmm/core/dev.h"
#include "vmm/core/irq.h"
#include "vmm/core/mem.h"
#include "vmm/core/pci.h"

#define VM_VCPUS_MAX 16

struct vcpu;

/** enum vm_end - how a run ended; cmd turns it into the exit status. */
enum vm_end {
	VM_END_NONE,
	VM_END_POWEROFF,
	VM_END_RESET,	   /* with no_reboot */
	VM_END_CRASH,	   /* triple fault, panic reported */
	VM_END_DEBUG_EXIT, /* end_status holds value << 1 | 1 */
	VM_END_QUIT,	   /* asked for from outside */
	VM_END_FAIL,	   /* the accelerator gave up */
};

enum vm_state { VM_STATE_SETUP, VM_STATE_RUNNING, VM_STATE_PAUSED, VM_STATE_STOPPED };

struct vm_cfg {
	const char *name;
	unsigned int ncpus;	   /* 1-16 */
	const struct opt_set *pin; /* host CPUs, vCPU i goes to the i-th of them (round robin);
				      NULL: no pinning */
	bool no_reboot;
};

/** struct vm_slots - KVM memory slots as a listener of the map; freed slots are used again. */
struct vm_slots {
	struct vm_mem_listener listener;
	struct vm *vm;
	const struct vm_mem_region **used;
	unsigned int n;
};

/**
 * struct vm - one machine
 * @lock: taken by a vCPU around each trapped access and by the main loop around anything that
 *touches devices, the buses or the map. Never held while a vCPU runs guest code or sleeps.
 */
struct vm {
	struct sys *sys;
	const struct log *log;
	struct ev *ev; /* main loop */
	struct vm_cfg cfg;
	struct vm_accel *accel;
	struct vm_mem mem;
	struct vm_ram ram;
	struct vm_slots slots;
	struct vm_bus pio, mmio;
	struct vm_irqs *irqs;
	struct vm_pci *pci;
	struct list devs;
	struct vcpu *vcpus;
	unsigned int nvcpus;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum vm_state state;
	enum vm_end end;
	int end_status;
	bool reset_wanted, threads_on;
	unsigned int parked;  /* vCPU threads that wait at the gate */
	unsigned int to_boot; /* vCPUs that are not in their first state yet */
	uint64_t resets;

	/* prepares guest memory and vCPU 0's first state, at start and at each reset; set by cmd to
	 * vm_boot_load() */
	int (*boot)(struct vm *vm, void *arg, struct vm_boot_regs *regs, struct err *e);
	void *boot_arg;

	/* the ACPI power button; set by the power-management device */
	void (*power_button)(void *arg);
	void *power_button_arg;
};

/** vm_init() - buses, map, interrupts, slots; takes accel over (freed by vm_fini(), also after
 * failure). */
int vm_init(struct vm *vm, struct sys *s, const struct log *log, struct ev *ev,
	    struct vm_accel *accel, const struct vm_cfg *cfg, struct err *e) __must_check;

/** vm_stop() - let the vCPU threads end and wait for them; the vCPUs stay for their counters.
 * Idempotent. */
void vm_stop(struct vm *vm);

/** vm_fini() - stop the vCPUs and free all; idempotent. */
void vm_fini(struct vm *vm);

/** vm_vcpus_new() - create the vCPUs with filtered CPUID (vmm/core/cpuid.c); after vm_init(). */
int vm_vcpus_new(struct vm *vm, struct err *e) __must_check;

/** vm_start() - load the kernel through vm->boot and let the vCPUs go. */
int vm_start(struct vm *vm, struct err *e) __must_check;

/*
 * Requests; any thread, the lock not held, except the *_locked ones (device code). They return at
 * once; the main loop is stopped (ev_stop) when the run has ended, and resets happen on the main
 * loop.
 */
/** vm_end_locked() - the run is over; the first reason given stays. */
void vm_end_locked(struct vm *vm, enum vm_end end, int status);
/** vm_reset_locked() - a reset of the whole machine, or its end when cfg.no_reboot; once, however
 * often it is asked for before it happens. */
void vm_reset_locked(struct vm *vm);
/** vm_pause() / vm_resume() - main loop. -ESHUTDOWN when the run ended before all stood still. */
int vm_pause(struct vm *vm);  /* 0 when all vCPUs stand still; -EALREADY */
int vm_resume(struct vm *vm); /* 0, -EALREADY */
/** vm_quit() - end with VM_END_QUIT. */
void vm_quit(struct vm *vm);
/** vm_power_button() - one press; what comes of it is the guest's business. */
int vm_power_button(struct vm *vm); /* -ENOTSUP when the machine has none */

/** vm_lock() / vm_unlock() - see struct vm; not recursive. */
void vm_lock(struct vm *vm);
void vm_unlock(struct vm *vm);

/** vm_exit_count() - exits of vCPU i by reason to user space; relaxed, any thread. */
uint64_t vm_exit_count(const struct vm *vm, unsigned int i, enum vm_exit_reason r);
/** vm_exit_name() - for listings; never NULL. */
const char *vm_exit_name(enum vm_exit_reason r);

/** vm_vcpu_tid() - thread id of vCPU i, 0 before start. */
int vm_vcpu_tid(const struct vm *vm, unsigned int i);

/** vm_vcpu_hw() - the accelerator's handle of vCPU i (for statistics). */
struct vm_vcpu_hw *vm_vcpu_hw(const struct vm *vm, unsigned int i);

/**
 * vm_cpuid_filter() - from what the accelerator offers to what vCPU id of ncpus gets
 * (vmm/core/cpuid.c)
 * @cap: entries that c has room for; VM_CPUID_EXTRA more than n are enough
 * Return: the number of entries now.
 */
#define VM_CPUID_EXTRA 1
unsigned int vm_cpuid_filter(struct vm_cpuid *c, unsigned int n, unsigned int cap, unsigned int id,
			     unsigned int ncpus, unsigned int phys_bits);

#endif
