/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_KVM_PRIV_H
#define VMM_CORE_KVM_PRIV_H

#include <linux/kvm.h>
#include "vmm/core/accel.h"

struct kvm {
	struct vm_accel accel;
	struct sys *sys;
	const struct log *log;
	int kvm_fd, vm_fd, vfio_fd;
	size_t run_size;
	struct vm_accel_info info;
	struct kvm_msr_list *msrs; /* what KVM_GET_MSRS can save, for resets */
};

/* Power-on state of a vCPU, taken before it first runs and put back at each reset. */
struct kvm_power_on {
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_fpu fpu;
	struct kvm_msrs *msrs;
	bool xcrs_ok;
};

struct vm_vcpu_hw {
	struct kvm *kvm;
	unsigned int id;
	int fd, stats_fd; /* stats_fd: -1 where KVM has no binary statistics */
	struct kvm_run *run;
	struct kvm_power_on on;
	bool booted;
};

static inline struct kvm *kvm_of(struct vm_accel *a)
{
	return container_of(a, struct kvm, accel);
}

int kvm_cpuid_host(struct vm_accel *a, struct vm_cpuid **out, unsigned int *n);
int kvm_vcpu_new(struct vm_accel *a, unsigned int id, const struct vm_cpuid *c, unsigned int n,
		 struct vm_vcpu_hw **out, struct err *e);
void kvm_vcpu_free(struct vm_vcpu_hw *v);
int kvm_vcpu_boot(struct vm_vcpu_hw *v, const struct vm_boot_regs *r);
int kvm_vcpu_run(struct vm_vcpu_hw *v, struct vm_exit *x);
void kvm_vcpu_kick_set(struct vm_vcpu_hw *v, bool on);
int kvm_vcpu_regs_text(struct vm_vcpu_hw *v, char *buf, size_t size);
int kvm_stats(struct vm_accel *a, struct vm_vcpu_hw *v,
	      void (*fn)(void *arg, const char *name, uint64_t value), void *arg);

#endif
