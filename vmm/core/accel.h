/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_ACCEL_H
#define VMM_CORE_ACCEL_H

#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"

/*
 * What the VMM needs of a hypervisor. Two members of the family: KVM (vmm/core/kvm.c) and a fake in
 * the unit tests. All but vcpu_run() are called with the VM lock held or before vCPUs run.
 */
struct vm_accel;
struct vm_vcpu_hw; /* the accelerator's side of a vCPU */

struct vm_msi {
	uint64_t addr;
	uint32_t data;
};

/** struct vm_irq_route - gsi to IOAPIC pin (msi == false: identity, built in) or to a message. */
struct vm_irq_route {
	uint32_t gsi;
	struct vm_msi msi;
	uint32_t devid; /* requester id */
};

struct vm_cpuid {
	uint32_t fn, index;
	bool indexed;
	uint32_t eax, ebx, ecx, edx;
};

enum vm_exit_reason {
	VM_EXIT_PIO,
	VM_EXIT_MMIO,
	VM_EXIT_HLT,
	VM_EXIT_SHUTDOWN, /* triple fault */
	VM_EXIT_INTR,	  /* kicked, or a signal */
	VM_EXIT_RESET,	  /* system event: reset */
	VM_EXIT_POWEROFF, /* system event: shutdown */
	VM_EXIT_CRASH,	  /* system event: crash */
	VM_EXIT_FAIL,	  /* entry failure or internal error; text says which */
	VM_EXIT_NR
};

/**
 * struct vm_exit - why vcpu_run() came back
 * For reads the handler fills data; the accelerator hands it over at the next vcpu_run().
 */
struct vm_exit {
	enum vm_exit_reason reason;
	bool write;
	uint64_t addr;	    /* gpa, or port */
	unsigned int len;   /* bytes of one access */
	unsigned int count; /* PIO string operations: accesses of len bytes in data, one after the
			       other */
	void *data;
	char text[96];
};

enum vm_boot_mode {
	VM_BOOT_LONG64, /* paging on, CR3 = cr3, flat 64-bit segments (Linux 64-bit boot protocol)
			 */
	VM_BOOT_PROT32, /* flat 32-bit protected mode, paging off (PVH, Multiboot 1) */
	VM_BOOT_WAIT_SIPI, /* an application processor */
};

/** struct vm_boot_regs - first state of a vCPU; the GDT lies in guest memory where the loader wrote
 * it. */
struct vm_boot_regs {
	enum vm_boot_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi, rdi, cr3;
	uint64_t gdt_base;
	uint16_t gdt_limit, cs, ds; /* selectors; ds is used for all data segments */
};

struct vm_accel_info {
	unsigned int phys_bits; /* guest-physical address bits the hardware can map */
	unsigned int max_vcpus;
	unsigned int max_slots;
	const char *kind; /* "kvm_amd npt=1", "kvm_intel ept=1", "kvm_pvm (software)" ... */
};

struct vm_accel_ops {
	const char *name;
	void (*free)(struct vm_accel *a);
	const struct vm_accel_info *(*info)(struct vm_accel *a);

	/* memory slots */
	int (*slot_set)(struct vm_accel *a, unsigned int slot, uint64_t gpa, uint64_t size,
			void *hva, struct err *e);
	int (*slot_del)(struct vm_accel *a, unsigned int slot);

	/* interrupts; the whole table at once, the IOAPIC/PIC pins 0-23 are always routed as on a
	 * PC */
	int (*irq_routes_set)(struct vm_accel *a, const struct vm_irq_route *r, unsigned int n);
	int (*irqfd)(struct vm_accel *a, int fd, uint32_t gsi, int resample_fd, bool assign);
	int (*irq_line)(struct vm_accel *a, uint32_t gsi, bool level);
	int (*irq_msi)(struct vm_accel *a, const struct vm_msi *msi);
	int (*irqchip_reset)(struct vm_accel *a);

	/* kicks: a write of len bytes (0: any) to addr signals fd instead of leaving the kernel */
	int (*ioeventfd)(struct vm_accel *a, int fd, uint64_t addr, unsigned int len, bool pio,
			 bool assign);

	/* a VFIO group or device file, for no-snoop and posted interrupts (KVM_DEV_VFIO_FILE_ADD /
	 * GROUP_ADD) */
	int (*vfio_file)(struct vm_accel *a, int fd, bool add);

	/* CPUs. cpuid_host: what the accelerator can offer, malloc'd array in *out. */
	int (*cpuid_host)(struct vm_accel *a, struct vm_cpuid **out, unsigned int *n);
	int (*vcpu_new)(struct vm_accel *a, unsigned int id, const struct vm_cpuid *c,
			unsigned int n, struct vm_vcpu_hw **out, struct err *e);
	void (*vcpu_free)(struct vm_vcpu_hw *v);
	int (*vcpu_boot)(struct vm_vcpu_hw *v,
			 const struct vm_boot_regs *r);		  /* full reset, then r */
	int (*vcpu_run)(struct vm_vcpu_hw *v, struct vm_exit *x); /* 0 with *x filled, or -errno */
	void (*vcpu_kick_set)(
		struct vm_vcpu_hw *v,
		bool on); /* on: the next vcpu_run() returns INTR at once; any thread */
	int (*vcpu_regs_text)(struct vm_vcpu_hw *v, char *buf, size_t size);

	/* counters of the accelerator; vcpu == NULL: of the VM */
	int (*stats)(struct vm_accel *a, struct vm_vcpu_hw *v,
		     void (*fn)(void *arg, const char *name, uint64_t value), void *arg);
};

struct vm_accel {
	const struct vm_accel_ops *ops;
};

/** vm_kvm_new() - open /dev/kvm and create a VM; -errno with what is missing and what to do. */
int vm_kvm_new(struct sys *s, const struct log *log, struct vm_accel **out,
	       struct err *e) __must_check;

#endif
