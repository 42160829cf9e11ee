// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM as the accelerator: a vCPU. Its power-on state is read from the kernel once, before it first
 * runs; a reset puts it back register group by register group, and then the boot protocol's
 * registers on top.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/kvm_priv.h"

#define CPUID_MAX 1024

static int vcpu_ioctl(struct vm_vcpu_hw *v, unsigned long req, void *arg)
{
	int rc = sys_ioctl(v->kvm->sys, v->fd, req, arg);

	return rc < 0 ? rc : 0;
}

/* ---- CPUID -------------------------------------------------------------------------------------
 */

static int supported_cpuid(struct kvm *k, struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *c;
	int rc = -E2BIG;

	for (uint32_t nent = 128; nent <= CPUID_MAX && rc == -E2BIG; nent *= 2) {
		c = calloc(1, sizeof(*c) + nent * sizeof(c->entries[0]));
		if (!c)
			return -ENOMEM;
		c->nent = nent;
		rc = sys_ioctl(k->sys, k->kvm_fd, KVM_GET_SUPPORTED_CPUID, c);
		if (!rc)
			*out = c;
		else
			free(c);
	}
	return rc;
}

int kvm_cpuid_host(struct vm_accel *a, struct vm_cpuid **out, unsigned int *n)
{
	struct kvm *k = kvm_of(a);
	struct kvm_cpuid2 *c = NULL;
	struct vm_cpuid *v;
	int rc = supported_cpuid(k, &c);

	if (rc)
		return rc;
	v = calloc(c->nent ? c->nent : 1, sizeof(*v));
	if (!v) {
		free(c);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		v[i] = (struct vm_cpuid){ .fn = e->function,
					  .index = e->index,
					  .indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
					  .eax = e->eax,
					  .ebx = e->ebx,
					  .ecx = e->ecx,
					  .edx = e->edx };
		/* The in-kernel APIC has the TSC-deadline timer; KVM reports that apart
		 * (api.rst 4.46). */
		if (e->function == 1 && sys_ioctl(k->sys, k->kvm_fd, KVM_CHECK_EXTENSION,
						  (void *)KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			v[i].ecx |= 1u << 24;
	}
	*n = c->nent;
	*out = v;
	free(c);
	return 0;
}

static int cpuid_set(struct vm_vcpu_hw *v, const struct vm_cpuid *c, unsigned int n)
{
	struct kvm_cpuid2 *k = calloc(1, sizeof(*k) + n * sizeof(k->entries[0]));
	int rc;

	if (!k)
		return -ENOMEM;
	k->nent = n;
	for (unsigned int i = 0; i < n; i++)
		k->entries[i] = (struct kvm_cpuid_entry2){
			.function = c[i].fn,
			.index = c[i].index,
			.flags = c[i].indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = c[i].eax,
			.ebx = c[i].ebx,
			.ecx = c[i].ecx,
			.edx = c[i].edx,
		};
	rc = vcpu_ioctl(v, KVM_SET_CPUID2, k);
	free(k);
	return rc;
}

/* ---- power-on state ----------------------------------------------------------------------------
 */

static int msr_list(struct kvm *k)
{
	struct kvm_msr_list probe = { .nmsrs = 0 };
	int rc = sys_ioctl(k->sys, k->kvm_fd, KVM_GET_MSR_INDEX_LIST, &probe);

	if (k->msrs)
		return 0;
	if (rc != -E2BIG || probe.nmsrs > 4096)
		return rc ? rc : -EINVAL;
	k->msrs = calloc(1, sizeof(*k->msrs) + probe.nmsrs * sizeof(k->msrs->indices[0]));
	if (!k->msrs)
		return -ENOMEM;
	k->msrs->nmsrs = probe.nmsrs;
	return sys_ioctl(k->sys, k->kvm_fd, KVM_GET_MSR_INDEX_LIST, k->msrs);
}

/* All MSRs that can be read; KVM stops at the first that cannot, so step over it. */
static int msrs_save(struct vm_vcpu_hw *v)
{
	uint32_t total, done = 0, kept = 0;
	struct kvm_msrs *m;
	int rc = msr_list(v->kvm);

	if (rc)
		return rc;
	total = v->kvm->msrs->nmsrs;
	m = calloc(1, sizeof(*m) + total * sizeof(m->entries[0]));
	v->on.msrs = calloc(1, sizeof(*m) + total * sizeof(m->entries[0]));
	if (!m || !v->on.msrs) {
		free(m);
		return -ENOMEM;
	}
	while (done < total) {
		uint32_t n = total - done;

		for (uint32_t i = 0; i < n; i++)
			m->entries[i] =
				(struct kvm_msr_entry){ .index = v->kvm->msrs->indices[done + i] };
		m->nmsrs = n;
		rc = sys_ioctl(v->kvm->sys, v->fd, KVM_GET_MSRS, m);
		if (rc < 0)
			break;
		memcpy(&v->on.msrs->entries[kept], m->entries,
		       (uint32_t)rc * sizeof(m->entries[0]));
		kept += (uint32_t)rc;
		done += (uint32_t)rc + 1;
	}
	v->on.msrs->nmsrs = kept;
	free(m);
	return rc < 0 ? rc : 0;
}

static int power_on_save(struct vm_vcpu_hw *v)
{
	int rc = vcpu_ioctl(v, KVM_GET_SREGS, &v->on.sregs);

	if (!rc)
		rc = vcpu_ioctl(v, KVM_GET_LAPIC, &v->on.lapic);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_GET_FPU, &v->on.fpu);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &v->on.events);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_GET_DEBUGREGS, &v->on.debug);
	if (!rc)
		v->on.xcrs_ok = !vcpu_ioctl(v, KVM_GET_XCRS, &v->on.xcrs);
	return rc ? rc : msrs_save(v);
}

/* One at a time: some can be read but not written, which is their own business. */
static void msrs_restore(struct vm_vcpu_hw *v)
{
	uint64_t buf[(sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)) / 8] = { 0 };
	struct kvm_msrs *one = (void *)buf;

	one->nmsrs = 1;
	for (uint32_t i = 0; i < v->on.msrs->nmsrs; i++) {
		one->entries[0] = v->on.msrs->entries[i];
		if (vcpu_ioctl(v, KVM_SET_MSRS, one))
			continue;
	}
}

/*
 * The order matters: the APIC base in sregs decides whether the LAPIC page is read as xAPIC or
 * x2APIC, and the TSC deadline is an MSR that only counts once the LAPIC's timer is in its mode.
 */
static int power_on_restore(struct vm_vcpu_hw *v)
{
	int rc = vcpu_ioctl(v, KVM_SET_SREGS, &v->on.sregs);

	if (!rc)
		rc = vcpu_ioctl(v, KVM_SET_LAPIC, &v->on.lapic);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_SET_FPU, &v->on.fpu);
	if (!rc && v->on.xcrs_ok)
		rc = vcpu_ioctl(v, KVM_SET_XCRS, &v->on.xcrs);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &v->on.events);
	if (!rc)
		rc = vcpu_ioctl(v, KVM_SET_DEBUGREGS, &v->on.debug);
	if (!rc)
		msrs_restore(v);
	return rc;
}

/* ---- life --------------------------------------------------------------------------------------
 */

void kvm_vcpu_free(struct vm_vcpu_hw *v)
{
	if (!v)
		return;
	if (v->run)
		sys_munmap(v->kvm->sys, v->run, v->kvm->run_size);
	sys_close(v->kvm->sys, &v->stats_fd);
	sys_close(v->kvm->sys, &v->fd);
	free(v->on.msrs);
	free(v);
}

int kvm_vcpu_new(struct vm_accel *a, unsigned int id, const struct vm_cpuid *c, unsigned int n,
		 struct vm_vcpu_hw **out, struct err *e)
{
	struct kvm *k = kvm_of(a);
	struct vm_vcpu_hw *v = calloc(1, sizeof(*v));
	void *run = NULL;
	int rc;

	if (!v)
		return err_set(e, -ENOMEM, "no memory");
	v->kvm = k;
	v->id = id;
	v->stats_fd = -1;
	rc = v->fd = sys_ioctl(k->sys, k->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
	if (rc < 0) {
		err_sys(e, rc, "vCPU %u", id);
		goto out;
	}
	rc = sys_mmap(k->sys, &run, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	v->run = run;
	if (rc) {
		err_sys(e, rc, "vCPU %u: shared area", id);
		goto out;
	}
	rc = cpuid_set(v, c, n);
	if (rc) {
		err_sys(e, rc, "vCPU %u: KVM_SET_CPUID2", id);
		goto out;
	}
	rc = power_on_save(v);
	if (rc)
		err_sys(e, rc, "vCPU %u: reading its power-on state", id);
	/* Now: later the vCPU runs, and KVM would keep the ioctl waiting until it leaves the
	 * kernel. */
	v->stats_fd = sys_ioctl(k->sys, v->fd, KVM_GET_STATS_FD, NULL);
out:
	if (rc) {
		kvm_vcpu_free(v);
		return rc;
	}
	*out = v;
	return 0;
}

/* Segment caches of flat code and data (Intel SDM vol. 3, 3.4.5): type, present, 4 GiB limit. */
static struct kvm_segment flat_seg(uint16_t sel, bool code, bool longmode)
{
	return (struct kvm_segment){ .limit = 0xffffffff,
				     .selector = sel,
				     .type = code ? 11 : 3,
				     .present = 1,
				     .db = !(code && longmode),
				     .l = code && longmode,
				     .s = 1,
				     .g = 1 };
}

static int boot_sregs(struct vm_vcpu_hw *v, const struct vm_boot_regs *r)
{
	struct kvm_sregs s = v->on.sregs;
	bool lm = r->mode == VM_BOOT_LONG64;

	s.cs = flat_seg(r->cs, true, lm);
	s.ds = s.es = s.fs = s.gs = s.ss = flat_seg(r->ds, false, lm);
	/* A task register must be busy and present for VM entry; nothing switches to it. */
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	s.gdt.base = r->gdt_base;
	s.gdt.limit = r->gdt_limit;
	s.idt.base = s.idt.limit = 0;
	s.cr0 = 0x11; /* PE, ET */
	s.cr4 = 0;
	s.efer = 0;
	if (lm) {
		s.cr0 |= 0x80000000; /* PG */
		s.cr4 = 0x20;	     /* PAE */
		s.cr3 = r->cr3;
		s.efer = 0x500; /* LME, LMA */
	}
	return vcpu_ioctl(v, KVM_SET_SREGS, &s);
}

/*
 * An access whose answer KVM has not fetched yet ends at the next KVM_RUN, whatever the registers
 * say by then: it would put the interrupted instruction's pointer into a vCPU that was reset. With
 * immediate_exit KVM finishes what is under way and enters no guest (api.rst, 5. The kvm_run
 * structure). An access may have several parts; more than 16 no instruction has.
 */
static void finish_access(struct vm_vcpu_hw *v)
{
	kvm_vcpu_kick_set(v, true);
	for (int i = 0; i < 16; i++)
		if (sys_ioctl(v->kvm->sys, v->fd, KVM_RUN, NULL))
			break;
	kvm_vcpu_kick_set(v, false);
}

int kvm_vcpu_boot(struct vm_vcpu_hw *v, const struct vm_boot_regs *r)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = r->rip,
				 .rsp = r->rsp,
				 .rax = r->rax,
				 .rbx = r->rbx,
				 .rsi = r->rsi,
				 .rdi = r->rdi,
				 .rflags = 2 };
	int rc = 0;

	if (r->mode == VM_BOOT_WAIT_SIPI)
		mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	if (v->booted) {
		finish_access(v);
		rc = power_on_restore(v);
	}
	v->booted = true;
	if (!rc && r->mode != VM_BOOT_WAIT_SIPI) {
		rc = boot_sregs(v, r);
		if (!rc)
			rc = vcpu_ioctl(v, KVM_SET_REGS, &regs);
	}
	return rc ? rc : vcpu_ioctl(v, KVM_SET_MP_STATE, &mp);
}

/* ---- running -----------------------------------------------------------------------------------
 */

static void exit_fail(struct vm_exit *x, const struct kvm_run *run)
{
	x->reason = VM_EXIT_FAIL;
	switch (run->exit_reason) {
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(x->text, sizeof(x->text),
			 "the CPU refused to enter the guest, reason 0x%llx",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(x->text, sizeof(x->text), "KVM internal error %u%s",
			 run->internal.suberror,
			 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
				 ? " (instruction emulation failed)"
				 : "");
		break;
	default:
		snprintf(x->text, sizeof(x->text), "unexpected KVM exit %u", run->exit_reason);
	}
}

static enum vm_exit_reason event_reason(const struct kvm_run *run)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VM_EXIT_POWEROFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VM_EXIT_RESET;
	default:
		return VM_EXIT_CRASH;
	}
}

static void exit_fill(struct vm_exit *x, struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		x->reason = VM_EXIT_PIO;
		x->write = run->io.direction == KVM_EXIT_IO_OUT;
		x->addr = run->io.port;
		x->len = run->io.size;
		x->count = run->io.count;
		x->data = (char *)run + run->io.data_offset;
		break;
	case KVM_EXIT_MMIO:
		x->reason = VM_EXIT_MMIO;
		x->write = run->mmio.is_write;
		x->addr = run->mmio.phys_addr;
		x->len = run->mmio.len;
		x->count = 1;
		x->data = run->mmio.data;
		break;
	case KVM_EXIT_HLT:
		x->reason = VM_EXIT_HLT;
		break;
	case KVM_EXIT_SHUTDOWN:
		x->reason = VM_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_INTR:
		x->reason = VM_EXIT_INTR;
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		x->reason = event_reason(run);
		break;
	default:
		exit_fail(x, run);
	}
}

int kvm_vcpu_run(struct vm_vcpu_hw *v, struct vm_exit *x)
{
	int rc = sys_ioctl(v->kvm->sys, v->fd, KVM_RUN, NULL);

	/* EAGAIN: an application processor was woken by INIT or SIPI; it goes on at the next call.
	 */
	if (rc == -EINTR || rc == -EAGAIN) {
		x->reason = VM_EXIT_INTR;
		return 0;
	}
	if (rc < 0)
		return rc;
	exit_fill(x, v->run);
	return 0;
}

void kvm_vcpu_kick_set(struct vm_vcpu_hw *v, bool on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_RELAXED);
}

int kvm_vcpu_regs_text(struct vm_vcpu_hw *v, char *buf, size_t size)
{
	struct kvm_sregs s;
	struct kvm_regs r;
	int rc = vcpu_ioctl(v, KVM_GET_REGS, &r);

	if (!rc)
		rc = vcpu_ioctl(v, KVM_GET_SREGS, &s);
	if (rc)
		return rc;
	snprintf(
		buf, size,
		"rip=%llx rsp=%llx rflags=%llx rax=%llx rbx=%llx rcx=%llx rdx=%llx rsi=%llx rdi=%llx "
		"cs=%x cr0=%llx cr2=%llx cr3=%llx cr4=%llx efer=%llx",
		r.rip, r.rsp, r.rflags, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, s.cs.selector,
		s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	return 0;
}
