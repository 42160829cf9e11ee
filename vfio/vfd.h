/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_VFD_H
#define VFIO_VFD_H

#include "base/bdf.h"
#include "base/err.h"
#include "base/sys.h"

/*
 * A device behind the VFIO interface: regions, interrupts, reset. The kernel's VFIO is one member
 * of the family, the unit tests' fake the other. Region and interrupt indexes are those of
 * <linux/vfio.h> (VFIO_PCI_*_REGION_INDEX, VFIO_PCI_*_IRQ_INDEX).
 *
 * Everything a member answers is checked by the caller: a device's config space is foreign data.
 */
struct iommu_group;
struct vfd;

#define VFD_AREAS_MAX 32

/** struct vfd_area - a piece of a region that may be mapped. */
struct vfd_area {
	uint64_t off, size;
};

/**
 * struct vfd_region - what one region is like
 * @size:  bytes, 0: not there
 * @areas: sparse-mmap areas; nareas == 0 and mmap: all of it may be mapped
 */
struct vfd_region {
	uint64_t size;
	bool read, write, mmap, msix_mappable;
	unsigned int nareas;
	struct vfd_area areas[VFD_AREAS_MAX];
};

struct vfd_irq {
	unsigned int count;
	bool eventfd, maskable, automasked, noresize;
};

enum vfd_irq_action { VFD_IRQ_TRIGGER, VFD_IRQ_MASK, VFD_IRQ_UNMASK };

struct vfd_ops {
	void (*close)(struct vfd *d);
	int (*region_info)(struct vfd *d, unsigned int region, struct vfd_region *out);
	int (*irq_info)(struct vfd *d, unsigned int index, struct vfd_irq *out);
	/* all of len or -errno; one access of the bus when off is aligned to a len of 1, 2, 4 (8:
	 * at most two) */
	int (*read)(struct vfd *d, unsigned int region, uint64_t off, void *buf, unsigned int len);
	int (*write)(struct vfd *d, unsigned int region, uint64_t off, const void *buf,
		     unsigned int len);
	int (*map)(struct vfd *d, unsigned int region, uint64_t off, uint64_t size, void **hva);
	void (*unmap)(struct vfd *d, void *hva, uint64_t size);
	/*
	 * fds != NULL: connect count eventfds from sub-index start on, -1 disconnects one; fds ==
	 * NULL: do the action now; TRIGGER with count 0: switch the whole index off. -ENOSPC: the
	 * host has not that many vectors.
	 */
	int (*irqs_set)(struct vfd *d, unsigned int index, enum vfd_irq_action action,
			unsigned int start, unsigned int count, const int32_t *fds);
	int (*reset)(struct vfd *d);
};

/**
 * struct vfd - one open device; embedded first in its backend
 * @can_reset: the kernel knows a reset for it
 */
struct vfd {
	const struct vfd_ops *ops;
	bool can_reset;
};

/**
 * vfd_kernel_begin() - open a PCI function through its attached group
 * @vf_token:   UUID that the owner of the PF has set, or NULL. Must be NULL for a function that
 *		needs none.
 * @background: on a thread; the group stays attached until vfd_kernel_ready() or vfd_close()
 *
 * Nothing of it may be used before vfd_kernel_ready() has said 0; vfd_close() may.
 */
int vfd_kernel_begin(struct sys *s, struct iommu_group *g, struct bdf b, const char *vf_token,
		     bool background, struct vfd **out, struct err *e) __must_check;

/** vfd_kernel_ready() - once: the function is open and known, or why not. */
int vfd_kernel_ready(struct vfd *d, struct err *e) __must_check;

static inline void vfd_close(struct vfd *d)
{
	if (d)
		d->ops->close(d);
}

#endif
