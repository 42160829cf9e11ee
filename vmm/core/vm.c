// SPDX-License-Identifier: BSD-3-Clause
/*
 * The machine: puts the buses, the map, the interrupts and the vCPUs together, and moves between
 *its states.
 *
 *	SETUP -> RUNNING <-> PAUSED -> STOPPED
 *
 * A reset is not a state: reset_wanted closes the gate (see vcpu.c) from whatever thread asked, and
 *the main loop resets devices and memory when every vCPU stands there, then opens it again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/core_priv.h"

void vm_lock(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
}

void vm_unlock(struct vm *vm)
{
	pthread_mutex_unlock(&vm->lock);
}

int vm_init(struct vm *vm, struct sys *s, const struct log *log, struct ev *ev,
	    struct vm_accel *accel, const struct vm_cfg *cfg, struct err *e)
{
	uint64_t limit = 1ull << MIN(accel->ops->info(accel)->phys_bits, 52u);
	int rc;

	*vm = (struct vm){ .sys = s, .log = log, .ev = ev, .cfg = *cfg, .accel = accel };
	vm->ram.fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->cond, NULL);
	list_init(&vm->devs);
	vm_bus_init(&vm->pio, "port");
	vm_bus_init(&vm->mmio, "memory");
	vm_mem_init(&vm->mem, limit);
	rc = vm_irqs_new(s, accel, &vm->irqs);
	if (rc)
		err_sys(e, rc, "interrupts");
	else
		rc = vm_slots_init(&vm->slots, vm, e);
	if (rc)
		vm_fini(vm);
	return rc;
}

void vm_stop(struct vm *vm)
{
	vm_lock(vm);
	vm->state = VM_STATE_STOPPED;
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
	pthread_cond_broadcast(&vm->cond);
	vm_unlock(vm);
	for (unsigned int i = 0; i < vm->nvcpus; i++) {
		if (vm->vcpus[i].thread_on)
			pthread_join(vm->vcpus[i].thread, NULL);
		vm->vcpus[i].thread_on = false;
	}
}

static void vcpus_free(struct vm *vm)
{
	vm_stop(vm);
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vm->accel->ops->vcpu_free(vm->vcpus[i].hw);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->nvcpus = 0;
}

void vm_fini(struct vm *vm)
{
	if (!vm->accel)
		return;
	vcpus_free(vm);
	/* The last added goes first: it may use those before it. */
	while (!list_empty(&vm->devs))
		vm_dev_free(list_entry(vm->devs.prev, struct vm_dev, link));
	vm_pci_free(vm->pci);
	vm->pci = NULL;
	vm_ram_free(vm->sys, &vm->ram, &vm->mem);
	vm_slots_fini(&vm->slots);
	vm_irqs_free(vm->irqs);
	vm->irqs = NULL;
	vm_bus_fini(&vm->pio);
	vm_bus_fini(&vm->mmio);
	vm->accel->ops->free(vm->accel);
	vm->accel = NULL;
	pthread_cond_destroy(&vm->cond);
	pthread_mutex_destroy(&vm->lock);
}

static int vcpu_new(struct vm *vm, unsigned int id, const struct vm_cpuid *host, unsigned int n,
		    struct err *e)
{
	const struct vm_accel_info *info = vm->accel->ops->info(vm->accel);
	struct vcpu *c = &vm->vcpus[id];
	struct vm_cpuid *own;
	int rc;

	own = calloc(n + VM_CPUID_EXTRA, sizeof(*own));
	if (!own)
		return err_set(e, -ENOMEM, "no memory");
	memcpy(own, host, n * sizeof(*own));
	n = vm_cpuid_filter(own, n, n + VM_CPUID_EXTRA, id, vm->cfg.ncpus, info->phys_bits);
	c->vm = vm;
	c->id = id;
	rc = vm->accel->ops->vcpu_new(vm->accel, id, own, n, &c->hw, e);
	free(own);
	if (!rc)
		vm->nvcpus++;
	return rc;
}

int vm_vcpus_new(struct vm *vm, struct err *e)
{
	const struct vm_accel_info *info = vm->accel->ops->info(vm->accel);
	struct vm_cpuid *host = NULL;
	unsigned int n = 0;
	int rc;

	if (!vm->cfg.ncpus || vm->cfg.ncpus > VM_VCPUS_MAX || vm->cfg.ncpus > info->max_vcpus)
		return err_set(e, -EINVAL, "%u vCPUs: this host allows 1 to %u", vm->cfg.ncpus,
			       MIN(info->max_vcpus, (unsigned int)VM_VCPUS_MAX));
	vm->vcpus = calloc(vm->cfg.ncpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return err_set(e, -ENOMEM, "no memory");
	rc = vm->accel->ops->cpuid_host(vm->accel, &host, &n);
	if (rc)
		return err_sys(e, rc, "CPUID of the accelerator");
	for (unsigned int i = 0; i < vm->cfg.ncpus && !rc; i++)
		rc = vcpu_new(vm, i, host, n, e);
	free(host);
	return rc;
}

/* Loads the kernel and gives every vCPU its first state. All vCPUs stand at the gate or have no
 * thread yet. */
static int vm_boot_all(struct vm *vm, struct err *e)
{
	struct vm_boot_regs regs = { 0 };
	int rc = vm->boot(vm, vm->boot_arg, &regs, e);

	for (unsigned int i = 0; i < vm->nvcpus && !rc; i++) {
		vm->vcpus[i].boot = i ? (struct vm_boot_regs){ .mode = VM_BOOT_WAIT_SIPI } : regs;
		vm->vcpus[i].boot_wanted = true;
		vm->to_boot = vm->nvcpus;
	}
	return rc;
}

/* The host CPU for vCPU i, or -1. */
static int pin_of(const struct vm *vm, unsigned int i)
{
	unsigned int n = vm->cfg.pin ? opt_set_count(vm->cfg.pin) : 0;

	if (!n)
		return -1;
	i %= n;
	for (unsigned int cpu = 0; cpu < OPT_SET_MAX; cpu++)
		if (opt_set_has(vm->cfg.pin, cpu) && !i--)
			return (int)cpu;
	return -1;
}

int vm_start(struct vm *vm, struct err *e)
{
	int rc;

	vm_lock(vm);
	rc = vm_boot_all(vm, e);
	if (!rc) {
		rc = vcpu_kick_signal();
		if (rc)
			err_sys(e, rc, "signal handler");
	}
	for (unsigned int i = 0; i < vm->nvcpus && !rc; i++) {
		rc = vcpu_thread_start(&vm->vcpus[i], pin_of(vm, i));
		if (rc == -EINVAL)
			err_set(e, rc,
				"vCPU %u: this process may not run on host CPU %d (see taskset -p)",
				i, pin_of(vm, i));
		else if (rc)
			err_sys(e, rc, "vCPU %u: thread", i);
	}
	if (!rc) {
		vm->threads_on = true;
		vm->state = VM_STATE_RUNNING;
		pthread_cond_broadcast(&vm->cond);
	}
	vm_unlock(vm);
	return rc;
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void kick_all(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->nvcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
	pthread_cond_broadcast(&vm->cond);
}

/* Until all stand at the gate; the lock is given away meanwhile. Main loop only. */
static void wait_parked(struct vm *vm)
{
	kick_all(vm);
	while (vm->state != VM_STATE_STOPPED && vm->parked < vm->nvcpus)
		pthread_cond_wait(&vm->cond, &vm->lock);
}

void vm_end_locked(struct vm *vm, enum vm_end end, int status)
{
	/* A guest that powers off may still triple-fault on another vCPU: the first word counts. */
	if (vm->end != VM_END_NONE)
		return;
	vm->end = end;
	vm->end_status = status;
	vm->state = VM_STATE_STOPPED;
	kick_all(vm);
	if (vm->ev)
		ev_stop(vm->ev);
}

static void devices_reset(struct vm *vm)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &vm->devs) {
		struct vm_dev *d = list_entry(pos, struct vm_dev, link);

		if (d->ops->reset)
			d->ops->reset(d);
	}
}

static int reset_machine(struct vm *vm, struct err *e)
{
	int rc = 0;

	/* Devices first, so that they lower their lines before the controllers forget them; the
	 * "firmware" of vm_pci_setup() then finds the BARs empty, and the loader comes last. */
	devices_reset(vm);
	if (vm->pci) {
		vm_pci_reset(vm->pci);
		rc = vm_pci_setup(vm->pci, e);
	}
	if (!rc) {
		rc = vm->accel->ops->irqchip_reset(vm->accel);
		if (rc)
			err_sys(e, rc, "interrupt controllers");
	}
	return rc ? rc : vm_boot_all(vm, e);
}

static void do_reset(void *arg)
{
	struct vm *vm = arg;
	struct err e = { 0 };

	vm_lock(vm);
	wait_parked(vm);
	/* The lock was given away meanwhile: the run may have ended. */
	if (vm->state == VM_STATE_STOPPED)
		goto out;
	vm->resets++;
	if (reset_machine(vm, &e)) {
		log_err(vm->log, "reset: %s", e.text);
		vm_end_locked(vm, VM_END_FAIL, 0);
	}
	vm->reset_wanted = false;
	pthread_cond_broadcast(&vm->cond);
out:
	vm_unlock(vm);
}

void vm_reset_locked(struct vm *vm)
{
	if (vm->end != VM_END_NONE || vm->reset_wanted)
		return;
	if (vm->cfg.no_reboot) {
		vm_end_locked(vm, VM_END_RESET, 0);
		return;
	}
	vm->reset_wanted = true;
	kick_all(vm);
	if (ev_call(vm->ev, do_reset, vm)) {
		log_err(vm->log, "reset: no memory");
		vm_end_locked(vm, VM_END_FAIL, 0);
	}
}

static int devices_quiesce(struct vm *vm, bool on)
{
	struct list *pos, *nxt;
	int rc = 0;

	list_for_each (pos, nxt, &vm->devs) {
		struct vm_dev *d = list_entry(pos, struct vm_dev, link);
		int one = d->ops->quiesce ? d->ops->quiesce(d, on) : 0;

		if (one && !rc)
			rc = one;
	}
	return rc;
}

int vm_pause(struct vm *vm)
{
	int rc = -EALREADY;

	vm_lock(vm);
	if (vm->state == VM_STATE_RUNNING) {
		vm->state = VM_STATE_PAUSED;
		wait_parked(vm);
		rc = vm->state == VM_STATE_STOPPED ? -ESHUTDOWN : devices_quiesce(vm, true);
		/* A pause that failed has not happened. */
		if (rc && vm->state == VM_STATE_PAUSED) {
			if (devices_quiesce(vm, false))
				log_warn(vm->log, "pause failed, and so did its undoing");
			vm->state = VM_STATE_RUNNING;
			pthread_cond_broadcast(&vm->cond);
		}
	}
	vm_unlock(vm);
	return rc;
}

int vm_resume(struct vm *vm)
{
	int rc = -EALREADY;

	vm_lock(vm);
	if (vm->state == VM_STATE_PAUSED) {
		rc = devices_quiesce(vm, false);
		vm->state = VM_STATE_RUNNING;
		pthread_cond_broadcast(&vm->cond);
	}
	vm_unlock(vm);
	return rc;
}

void vm_quit(struct vm *vm)
{
	vm_lock(vm);
	vm_end_locked(vm, VM_END_QUIT, 0);
	vm_unlock(vm);
}

int vm_power_button(struct vm *vm)
{
	int rc = -ENOTSUP;

	vm_lock(vm);
	if (vm->power_button) {
		vm->power_button(vm->power_button_arg);
		rc = 0;
	}
	vm_unlock(vm);
	return rc;
}

/* ---- what others may know ----------------------------------------------------------------------
 */

uint64_t vm_exit_count(const struct vm *vm, unsigned int i, enum vm_exit_reason r)
{
	return i < vm->nvcpus && r < VM_EXIT_NR
		       ? __atomic_load_n(&vm->vcpus[i].exits[r], __ATOMIC_RELAXED)
		       : 0;
}

const char *vm_exit_name(enum vm_exit_reason r)
{
	static const char *const name[VM_EXIT_NR] = {
		[VM_EXIT_PIO] = "pio",		 [VM_EXIT_MMIO] = "mmio",
		[VM_EXIT_HLT] = "hlt",		 [VM_EXIT_SHUTDOWN] = "shutdown",
		[VM_EXIT_INTR] = "intr",	 [VM_EXIT_RESET] = "reset",
		[VM_EXIT_POWEROFF] = "poweroff", [VM_EXIT_CRASH] = "crash",
		[VM_EXIT_FAIL] = "fail",
	};

	return r < VM_EXIT_NR ? name[r] : "?";
}

int vm_vcpu_tid(const struct vm *vm, unsigned int i)
{
	return i < vm->nvcpus ? vm->vcpus[i].tid : 0;
}

struct vm_vcpu_hw *vm_vcpu_hw(const struct vm *vm, unsigned int i)
{
	return i < vm->nvcpus ? vm->vcpus[i].hw : NULL;
}
