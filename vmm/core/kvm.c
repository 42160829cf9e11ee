// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM as the accelerator: the VM's side. Interrupt controllers and the PIT live in the kernel, so
 * that a halted vCPU, a timer and an irqfd never leave it. Kernel documentation: virt/kvm/api.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/irq.h"
#include "vmm/core/kvm_priv.h"

/* Three pages for Intel's real-mode TSS and one for the identity map; below the reset vector, never
 * RAM. */
#define KVM_IDENTITY_ADDR 0xfffbc000ull
#define KVM_TSS_ADDR	  0xfffbd000ull

#define ROUTES_MAX 4096

static void kvm_free(struct vm_accel *a)
{
	struct kvm *k = kvm_of(a);

	sys_close(k->sys, &k->vfio_fd);
	sys_close(k->sys, &k->vm_fd);
	sys_close(k->sys, &k->kvm_fd);
	free(k->msrs);
	free(k);
}

static const struct vm_accel_info *kvm_info(struct vm_accel *a)
{
	return &kvm_of(a)->info;
}

static int slot_ioctl(struct kvm *k, unsigned int slot, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region r = { .slot = slot,
						 .guest_phys_addr = gpa,
						 .memory_size = size,
						 .userspace_addr = (uintptr_t)hva };

	return sys_ioctl(k->sys, k->vm_fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static int kvm_slot_set(struct vm_accel *a, unsigned int slot, uint64_t gpa, uint64_t size,
			void *hva, struct err *e)
{
	int rc = slot_ioctl(kvm_of(a), slot, gpa, size, hva);

	return rc < 0 ? err_sys(e, rc, "KVM memory slot %u for guest address 0x%llx", slot,
				(unsigned long long)gpa)
		      : 0;
}

static int kvm_slot_del(struct vm_accel *a, unsigned int slot)
{
	return slot_ioctl(kvm_of(a), slot, 0, 0, NULL);
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

static struct kvm_irq_routing_entry pin_route(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){ .gsi = gsi,
					       .type = KVM_IRQ_ROUTING_IRQCHIP,
					       .u.irqchip = { .irqchip = chip, .pin = pin } };
}

/* A PC's wiring: GSI 0-15 to the two PICs and the IOAPIC (the timer at its pin 2), 16-23 to the
 * IOAPIC. */
static unsigned int pin_routes(struct kvm_irq_routing_entry *r)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < VM_IRQ_PINS; i++) {
		if (i < 8 && i != 2)
			r[n++] = pin_route(i, KVM_IRQCHIP_PIC_MASTER, i);
		else if (i >= 8 && i < 16)
			r[n++] = pin_route(i, KVM_IRQCHIP_PIC_SLAVE, i - 8);
		if (i != 2)
			r[n++] = pin_route(i, KVM_IRQCHIP_IOAPIC, i ? i : 2);
	}
	return n;
}

static int kvm_irq_routes_set(struct vm_accel *a, const struct vm_irq_route *m, unsigned int nm)
{
	struct kvm *k = kvm_of(a);
	struct kvm_irq_routing *t;
	unsigned int n;
	int rc;

	if (nm > ROUTES_MAX - 64)
		return -ENOSPC;
	t = calloc(1, sizeof(*t) + (nm + 64) * sizeof(t->entries[0]));
	if (!t)
		return -ENOMEM;
	n = pin_routes(t->entries);
	for (unsigned int i = 0; i < nm; i++)
		t->entries[n++] = (struct kvm_irq_routing_entry){
			.gsi = m[i].gsi,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = (uint32_t)m[i].msi.addr,
				   .address_hi = (uint32_t)(m[i].msi.addr >> 32),
				   .data = m[i].msi.data },
		};
	t->nr = n;
	rc = sys_ioctl(k->sys, k->vm_fd, KVM_SET_GSI_ROUTING, t);
	free(t);
	return rc < 0 ? rc : 0;
}

static int kvm_irqfd(struct vm_accel *a, int fd, uint32_t gsi, int resample_fd, bool assign)
{
	struct kvm_irqfd f = { .fd = (uint32_t)fd,
			       .gsi = gsi,
			       .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

	if (assign && resample_fd >= 0) {
		f.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		f.resamplefd = (uint32_t)resample_fd;
	}
	return sys_ioctl(kvm_of(a)->sys, kvm_of(a)->vm_fd, KVM_IRQFD, &f);
}

static int kvm_irq_line(struct vm_accel *a, uint32_t gsi, bool level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	return sys_ioctl(kvm_of(a)->sys, kvm_of(a)->vm_fd, KVM_IRQ_LINE, &l);
}

static int kvm_irq_msi(struct vm_accel *a, const struct vm_msi *msi)
{
	struct kvm_msi m = { .address_lo = (uint32_t)msi->addr,
			     .address_hi = (uint32_t)(msi->addr >> 32),
			     .data = msi->data };
	int rc = sys_ioctl(kvm_of(a)->sys, kvm_of(a)->vm_fd, KVM_SIGNAL_MSI, &m);

	return rc < 0 ? rc : 0;
}

/* Power-on state of the three interrupt controllers and the timer: all zero but for the IOAPIC's
 * masks, and for which lines of the PICs can be level-triggered: KVM keeps that wiring of a PC in
 * their state too. */
static int kvm_irqchip_reset(struct vm_accel *a)
{
	struct kvm *k = kvm_of(a);
	struct kvm_pit_state2 pit = { .flags = 0 };
	static const uint8_t can_be_level[] = {
		[KVM_IRQCHIP_PIC_MASTER] = 0xf8, [KVM_IRQCHIP_PIC_SLAVE] = 0xde
	};
	int rc = 0;

	for (uint32_t id = 0; id < KVM_NR_IRQCHIPS && !rc; id++) {
		struct kvm_irqchip c = { .chip_id = id };

		if (id == KVM_IRQCHIP_IOAPIC) {
			c.chip.ioapic.base_address = 0xfec00000;
			for (unsigned int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
				c.chip.ioapic.redirtbl[i].fields.mask = 1;
		} else {
			c.chip.pic.elcr_mask = can_be_level[id];
		}
		rc = sys_ioctl(k->sys, k->vm_fd, KVM_SET_IRQCHIP, &c);
	}
	for (unsigned int i = 0; i < 3; i++) {
		pit.channels[i].mode = 0xff; /* nothing programmed */
		pit.channels[i].gate = i != 2;
		pit.channels[i].count = 0x10000;
	}
	return rc ? rc : sys_ioctl(k->sys, k->vm_fd, KVM_SET_PIT2, &pit);
}

static int kvm_ioeventfd(struct vm_accel *a, int fd, uint64_t addr, unsigned int len, bool pio,
			 bool assign)
{
	struct kvm_ioeventfd f = { .addr = addr, .len = len, .fd = fd };

	f.flags = (pio ? KVM_IOEVENTFD_FLAG_PIO : 0) | (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN);
	return sys_ioctl(kvm_of(a)->sys, kvm_of(a)->vm_fd, KVM_IOEVENTFD, &f);
}

static int kvm_vfio_file(struct vm_accel *a, int fd, bool add)
{
	struct kvm *k = kvm_of(a);
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_VFIO };
	int32_t arg = fd;
	struct kvm_device_attr at = { .group = KVM_DEV_VFIO_GROUP,
				      .attr = add ? KVM_DEV_VFIO_GROUP_ADD : KVM_DEV_VFIO_GROUP_DEL,
				      .addr = (uintptr_t)&arg };
	int rc;

	if (k->vfio_fd < 0) {
		rc = sys_ioctl(k->sys, k->vm_fd, KVM_CREATE_DEVICE, &d);
		if (rc)
			return rc;
		k->vfio_fd = (int)d.fd;
	}
	return sys_ioctl(k->sys, k->vfio_fd, KVM_SET_DEVICE_ATTR, &at);
}

static const struct vm_accel_ops kvm_ops = {
	.name = "kvm",
	.free = kvm_free,
	.info = kvm_info,
	.slot_set = kvm_slot_set,
	.slot_del = kvm_slot_del,
	.irq_routes_set = kvm_irq_routes_set,
	.irqfd = kvm_irqfd,
	.irq_line = kvm_irq_line,
	.irq_msi = kvm_irq_msi,
	.irqchip_reset = kvm_irqchip_reset,
	.ioeventfd = kvm_ioeventfd,
	.vfio_file = kvm_vfio_file,
	.cpuid_host = kvm_cpuid_host,
	.vcpu_new = kvm_vcpu_new,
	.vcpu_free = kvm_vcpu_free,
	.vcpu_boot = kvm_vcpu_boot,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_kick_set = kvm_vcpu_kick_set,
	.vcpu_regs_text = kvm_vcpu_regs_text,
	.stats = kvm_stats,
};

/* ---- opening -----------------------------------------------------------------------------------
 */

static int kvm_dev_open(struct kvm *k, struct err *e)
{
	int fd = sys_open(k->sys, "/dev/kvm", O_RDWR | O_CLOEXEC, 0);

	if (fd == -ENOENT || fd == -ENXIO || fd == -ENODEV)
		return err_set(
			e, -ENODEV,
			"no /dev/kvm: load kvm_intel or kvm_amd (modprobe), and switch virtualization (VT-x or AMD-V) on in the firmware");
	if (fd == -EACCES || fd == -EPERM)
		return err_set(
			e, fd,
			"/dev/kvm: permission denied: run as root or as a member of the group kvm");
	if (fd < 0)
		return err_sys(e, fd, "/dev/kvm");
	k->kvm_fd = fd;
	if (sys_ioctl(k->sys, fd, KVM_GET_API_VERSION, NULL) != KVM_API_VERSION)
		return err_set(e, -ENOTSUP,
			       "/dev/kvm does not speak version %d of the KVM interface",
			       KVM_API_VERSION);
	return 0;
}

static int kvm_cap(struct kvm *k, unsigned long cap)
{
	int rc = sys_ioctl(k->sys, k->kvm_fd, KVM_CHECK_EXTENSION, (void *)cap);

	return rc < 0 ? 0 : rc;
}

static int kvm_caps_check(struct kvm *k, struct err *e)
{
	static const struct {
		unsigned long cap;
		const char *name;
	} need[] = {
		{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
		{ KVM_CAP_USER_MEMORY, "user memory slots" },
		{ KVM_CAP_IRQFD, "irqfd" },
		{ KVM_CAP_IRQFD_RESAMPLE, "irqfd resampling" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
		{ KVM_CAP_IRQ_ROUTING, "interrupt routing" },
		{ KVM_CAP_SIGNAL_MSI, "MSI signalling" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
		{ KVM_CAP_PIT2, "in-kernel PIT" },
	};
	int n;

	for (unsigned int i = 0; i < ARRAY_SIZE(need); i++)
		if (!kvm_cap(k, need[i].cap))
			return err_set(e, -ENOTSUP, "this host's KVM lacks %s", need[i].name);
	n = kvm_cap(k, KVM_CAP_NR_MEMSLOTS);
	k->info.max_slots = n > 0 ? (unsigned int)n : 32;
	n = kvm_cap(k, KVM_CAP_MAX_VCPUS);
	k->info.max_vcpus = n > 0 ? (unsigned int)n : 1;
	n = sys_ioctl(k->sys, k->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (n < (int)sizeof(struct kvm_run))
		return err_set(e, -ENOTSUP, "/dev/kvm: no vCPU area");
	k->run_size = (size_t)n;
	return 0;
}

/* What does memory virtualization: nested paging in hardware, shadow page tables, or no hardware at
 * all. */
static const char *kvm_kind(struct sys *s)
{
	char v[8];

	if (sys_file_read(s, v, sizeof(v), "/sys/module/kvm_amd/parameters/npt") > 0)
		return v[0] == '1' || v[0] == 'Y' ? "kvm_amd, nested page tables (NPT)"
						  : "kvm_amd, shadow page tables";
	if (sys_file_read(s, v, sizeof(v), "/sys/module/kvm_intel/parameters/ept") > 0)
		return v[0] == '1' || v[0] == 'Y' ? "kvm_intel, extended page tables (EPT)"
						  : "kvm_intel, shadow page tables";
	if (sys_exists(s, "/sys/module/kvm_pvm"))
		return "kvm_pvm, software";
	return "kvm";
}

static int phys_bits(struct kvm *k, struct err *e)
{
	struct vm_cpuid *c = NULL;
	unsigned int n = 0;
	int rc = kvm_cpuid_host(&k->accel, &c, &n);

	if (rc)
		return err_sys(e, rc, "KVM_GET_SUPPORTED_CPUID");
	k->info.phys_bits = 36;
	for (unsigned int i = 0; i < n; i++)
		if (c[i].fn == 0x80000008 && (c[i].eax & 0xff))
			k->info.phys_bits = c[i].eax & 0xff;
	free(c);
	return 0;
}

static int kvm_vm_create(struct kvm *k, struct err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = KVM_IDENTITY_ADDR;
	int rc;

	rc = k->vm_fd = sys_ioctl(k->sys, k->kvm_fd, KVM_CREATE_VM, NULL);
	if (rc < 0)
		return err_sys(e, rc, "KVM_CREATE_VM%s",
			       rc == -EBUSY
				       ? ": another hypervisor uses the virtualization hardware"
				       : "");
	/* Both are for VT-x without unrestricted guest; elsewhere they are accepted and unused. */
	rc = sys_ioctl(k->sys, k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (!rc)
		rc = sys_ioctl(k->sys, k->vm_fd, KVM_SET_TSS_ADDR, (void *)KVM_TSS_ADDR);
	if (rc)
		return err_sys(e, rc, "KVM_SET_TSS_ADDR");
	rc = sys_ioctl(k->sys, k->vm_fd, KVM_CREATE_IRQCHIP, NULL);
	if (rc)
		return err_sys(e, rc, "KVM_CREATE_IRQCHIP");
	rc = sys_ioctl(k->sys, k->vm_fd, KVM_CREATE_PIT2, &pit);
	if (rc)
		return err_sys(e, rc, "KVM_CREATE_PIT2");
	rc = kvm_irq_routes_set(&k->accel, NULL, 0);
	return rc ? err_sys(e, rc, "KVM_SET_GSI_ROUTING") : 0;
}

int vm_kvm_new(struct sys *s, const struct log *log, struct vm_accel **out, struct err *e)
{
	struct kvm *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return err_set(e, -ENOMEM, "no memory");
	k->accel.ops = &kvm_ops;
	k->sys = s;
	k->log = log;
	k->kvm_fd = k->vm_fd = k->vfio_fd = -1;
	k->info.kind = kvm_kind(s);
	rc = kvm_dev_open(k, e);
	if (!rc)
		rc = kvm_caps_check(k, e);
	if (!rc)
		rc = phys_bits(k, e);
	if (!rc)
		rc = kvm_vm_create(k, e);
	if (rc) {
		kvm_free(&k->accel);
		return rc;
	}
	*out = &k->accel;
	return 0;
}
