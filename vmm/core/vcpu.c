// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vCPU's thread. It holds the VM lock except while the guest runs. At the top of each turn it
 * passes a *gate*: while the VM is being set up, is paused or is being reset it parks there, and
 * that is the only place where anybody may touch its state from outside.
 *
 * To bring it to the gate: change the VM's state under the lock, then vcpu_kick(). The flag it sets
 * makes the next KVM_RUN return at once, the signal ends one that is under way; so no order of
 * events loses the kick.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/thread.h"
#include "vmm/core/core_priv.h"

#define KICK_SIGNAL SIGRTMIN

static void on_kick(int sig)
{
	/* Its arrival is all that is wanted: KVM_RUN returns EINTR. */
}

int vcpu_kick_signal(void)
{
	struct sigaction sa = { .sa_handler = on_kick };

	return sigaction(KICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

void vcpu_kick(struct vcpu *c)
{
	if (!c->thread_on)
		return;
	c->vm->accel->ops->vcpu_kick_set(c->hw, true);
	pthread_kill(c->thread, KICK_SIGNAL);
}

/* Nobody runs before all are in their first state: the boot processor's INIT and SIPI would be lost
 * on one whose reset comes after them. */
static bool gate_closed(const struct vcpu *c)
{
	const struct vm *vm = c->vm;

	return vm->state == VM_STATE_SETUP || vm->state == VM_STATE_PAUSED || vm->reset_wanted ||
	       (vm->to_boot && !c->boot_wanted);
}

/*
 * Waits at the gate; false when the thread is to end. Lock held. It is told once that this vCPU
 * stands here: a word at each wake-up would wake the others that wait, and they this one, for ever.
 */
static bool vcpu_gate(struct vcpu *c)
{
	struct vm *vm = c->vm;

	if (vm->state != VM_STATE_STOPPED && gate_closed(c)) {
		vm->parked++;
		pthread_cond_broadcast(&vm->cond);
		while (vm->state != VM_STATE_STOPPED && gate_closed(c))
			pthread_cond_wait(&vm->cond, &vm->lock);
		vm->parked--;
	}
	return vm->state != VM_STATE_STOPPED;
}

static void vcpu_pio(struct vm *vm, struct vm_exit *x)
{
	char *p = x->data;

	for (unsigned int i = 0; i < x->count; i++, p += x->len) {
		uint64_t v = 0;

		if (x->write) {
			memcpy(&v, p, x->len);
			vm_bus_write(&vm->pio, x->addr, x->len, v);
		} else {
			vm_bus_read(&vm->pio, x->addr, x->len, &v);
			memcpy(p, &v, x->len);
		}
	}
}

static void vcpu_mmio(struct vm *vm, struct vm_exit *x)
{
	uint64_t v = 0;

	if (x->write) {
		memcpy(&v, x->data, MIN(x->len, 8u));
		vm_bus_write(&vm->mmio, x->addr, x->len, v);
	} else {
		vm_bus_read(&vm->mmio, x->addr, x->len, &v);
		memcpy(x->data, &v, MIN(x->len, 8u));
	}
}

static void vcpu_broken(struct vcpu *c, enum vm_end end, const char *what)
{
	struct vm *vm = c->vm;
	char regs[512];

	if (vm->accel->ops->vcpu_regs_text(c->hw, regs, sizeof(regs)))
		regs[0] = 0;
	log_err(vm->log, "vCPU %u: %s%s%s", c->id, what, regs[0] ? "; " : "", regs);
	vm_end_locked(vm, end, 0);
}

static void vcpu_handle(struct vcpu *c, struct vm_exit *x)
{
	struct vm *vm = c->vm;

	switch (x->reason) {
	case VM_EXIT_PIO:
		vcpu_pio(vm, x);
		break;
	case VM_EXIT_MMIO:
		vcpu_mmio(vm, x);
		break;
	case VM_EXIT_HLT:
	case VM_EXIT_INTR:
		break;
	case VM_EXIT_SHUTDOWN:
		vcpu_broken(c, VM_END_CRASH, "the guest crashed: triple fault");
		break;
	case VM_EXIT_RESET:
		vm_reset_locked(vm);
		break;
	case VM_EXIT_POWEROFF:
		vm_end_locked(vm, VM_END_POWEROFF, 0);
		break;
	case VM_EXIT_CRASH:
		vcpu_broken(c, VM_END_CRASH, "the guest reported a crash");
		break;
	default:
		vcpu_broken(c, VM_END_FAIL, x->text);
	}
}

static int vcpu_boot(struct vcpu *c)
{
	c->boot_wanted = false;
	if (!--c->vm->to_boot)
		pthread_cond_broadcast(&c->vm->cond);
	return c->vm->accel->ops->vcpu_boot(c->hw, &c->boot);
}

static int vcpu_turn(struct vcpu *c, struct vm_exit *x)
{
	const struct vm_accel_ops *ops = c->vm->accel->ops;
	int rc;

	ops->vcpu_kick_set(c->hw, false);
	vm_unlock(c->vm);
	rc = ops->vcpu_run(c->hw, x);
	vm_lock(c->vm);
	if (rc)
		return rc;
	__atomic_store_n(&c->exits[x->reason], c->exits[x->reason] + 1, __ATOMIC_RELAXED);
	vcpu_handle(c, x);
	return 0;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *c = arg;
	struct vm_exit x = { 0 };
	char what[64], name[16];

	/* For top -H, and for who wants to know what a vCPU costs. */
	snprintf(name, sizeof(name), "vcpu%u", c->id);
	pthread_setname_np(pthread_self(), name);
	vm_lock(c->vm);
	c->tid = (int)syscall(SYS_gettid);
	while (vcpu_gate(c)) {
		bool boot = c->boot_wanted;
		int rc = boot ? vcpu_boot(c) : vcpu_turn(c, &x);

		if (!rc)
			continue;
		snprintf(what, sizeof(what), "%s failed: %s", boot ? "reset" : "KVM_RUN",
			 strerror(-rc));
		vcpu_broken(c, VM_END_FAIL, what);
	}
	vm_unlock(c->vm);
	return NULL;
}

int vcpu_thread_start(struct vcpu *c, int host_cpu)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	pthread_attr_init(&attr);
	if (host_cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned int)host_cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	/* Signals meant for the process go to the main loop: a vCPU takes the kick alone. */
	rc = thread_start(&c->thread, &attr, KICK_SIGNAL, vcpu_main, c);
	pthread_attr_destroy(&attr);
	c->thread_on = !rc;
	return rc;
}
