/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_PCI_PRIV_H
#define VFIO_PCI_PRIV_H

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include "vfio/cfg.h"
#include "vfio/ctx.h"
#include "vmm/core/msix.h"

#define VFIO_PAGE 4096u /* host page: the grain of mappings on x86 */

/** struct vfio_msix_place - where the MSI-X table and the PBA lie, as the device says; n == 0: no
 * MSI-X */
struct vfio_msix_place {
	unsigned int n, table_bar, pba_bar;
	uint64_t table_off, table_size, pba_off, pba_size;
};

/**
 * struct vfio_bar - one BAR of the device
 * @io: the whole BAR on the bus; memory slots of the mapped areas lie above it
 */
struct vfio_bar {
	struct vfio_pci *dev;
	unsigned int idx;
	struct vfd_region region;
	struct vm_io_region io;
	unsigned int nareas;
	struct vm_mem_region area[VFIO_PCI_AREAS_MAX];
	uint64_t area_off[VFIO_PCI_AREAS_MAX];
	char name[48];
};

/** struct vfio_irqs - interrupts of one device; one mode at a time */
struct vfio_irqs {
	enum vfio_irq_mode mode;
	struct vm_irq_group *msix_group, *msi_group;
	struct vm_msix *msix;
	unsigned int nmsix, nmsi;
	unsigned int pin, gsi; /* INTx: 1-4, 0 for none; IOAPIC pin */
	int intx_fd, resample_fd;
	unsigned int msi_on; /* vectors connected in MSI mode */
	uint64_t failures, refused;
};

struct vfio_pci {
	struct vm_dev dev; /* first: struct vm_dev_ops */
	struct vm_pci_fn fn;
	struct vfio_ctx *ctx;
	struct iommu_group *group; /* NULL: released */
	unsigned int group_id;
	struct vfd *vfd;  /* NULL: released */
	struct list link; /* of ctx */
	struct vfio_pci_opts opts;
	bool is_vf, dirty, realized;
	bool in_kvm; /* KVM was told of the group */
	enum vfio_pci_state state;
	uint16_t phys_cmd; /* command register as last written to the device */
	uint64_t resets, flrs, reset_failures;
	struct vfio_cfg cfg;
	struct vfio_msix_place msix_place;
	struct vfio_bar bar[6];
	struct vfio_irqs irq;
	int err_fd, req_fd;
	struct ev_src *err_src, *req_src;
	struct log_limit limit;
};

static inline struct vfio_pci *vfio_pci_of_dev(struct vm_dev *d)
{
	return container_of(d, struct vfio_pci, dev);
}

static inline struct vfio_pci *vfio_pci_of_fn(struct vm_pci_fn *f)
{
	return container_of(f, struct vfio_pci, fn);
}

/* ---- ctx.c ---- */
void vfio_ctx_drop(struct vfio_pci *p);	  /* the device is closed: put its group, tell KVM */
void vfio_ctx_forget(struct vfio_pci *p); /* the device is about to be freed */

/* ---- bar.c ---- */

/**
 * vfio_bar_plan() - which areas of a region the guest may reach directly
 * @holes: what must stay trapped, in bytes; widened to whole pages
 * Return: number of areas, sorted and disjoint, whole pages, at most max (the rest stays trapped);
 * -ENOMEM.
 */
int vfio_bar_plan(const struct vfd_region *r, const struct vfd_area *holes, unsigned int nholes,
		  struct vfd_area *out, unsigned int max) __must_check;

int vfio_bars_init(struct vfio_pci *p, struct err *e) __must_check; /* types, sizes, mmaps */
void vfio_bars_fini(struct vfio_pci *p);
int vfio_bar_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e) __must_check;
void vfio_bar_unmap(struct vm_pci_fn *f, unsigned int i);

/* ---- irq.c ---- */
int vfio_irqs_init(struct vfio_pci *p,
		   struct err *e) __must_check; /* counts, before the function is attached */
int vfio_irqs_realize(struct vfio_pci *p, struct err *e) __must_check;
void vfio_irqs_fini(struct vfio_pci *p);
void vfio_irqs_off(struct vfio_pci *p);	 /* whatever is on, off; guest state forgotten */
void vfio_irqs_intx(struct vfio_pci *p); /* INTx on, if there is one and nothing else is on */
void vfio_irqs_msix_ctrl(struct vfio_pci *p, uint16_t ctrl);
void vfio_irqs_msi(struct vfio_pci *p); /* the MSI capability was written */
uint32_t vfio_irqs_msi_pending(struct vfio_pci *p);

/* ---- reset.c ---- */
void vfio_pci_command(
	struct vfio_pci *p); /* bring the device's command register in line with the guest's */
void vfio_pci_reset(struct vfio_pci *p);   /* quiesce, reset, back to the state after power-on */
void vfio_pci_contain(struct vfio_pci *p); /* state ERROR: cut it off */
void vfio_pci_release(struct vfio_pci *p); /* state GONE: shut down, close */
void vfio_pci_shutdown(
	struct vfio_pci *p); /* off the guest, no bus mastering, reset, no interrupts; idempotent */

/* ---- event.c ---- */
int vfio_events_init(struct vfio_pci *p, struct err *e) __must_check;
void vfio_events_fini(struct vfio_pci *p);

#endif
