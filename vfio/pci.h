/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include "vfio/vfd.h"
#include "vmm/core/vm.h"

/*
 * A PCI function of the host, assigned to the guest: struct vm_dev with a struct vm_pci_fn inside.
 * Made by vfio_ctx_add() (vfio/ctx.h), put on the machine by vm_dev_add().
 */

enum vfio_pci_event {
	VFIO_PCI_EV_ERROR, /* the device reported a fatal error: it was cut off, the guest keeps its
			      memory */
	VFIO_PCI_EV_REQUEST, /* the host wants the device back: it was reset and released */
};

enum vfio_pci_state {
	VFIO_PCI_OK,
	VFIO_PCI_ERROR, /* contained: no interrupts, no bus mastering, until it is reset */
	VFIO_PCI_GONE,	/* released: reads as all ones */
};

enum vfio_irq_mode { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/**
 * struct vfio_pci_opts - what the user may say about one function
 * @bdf:	    host address
 * @force_no_reset: take a device that nobody can reset, with what the last user left in it
 * @vf_token:	    UUID or NULL; copied
 * @on_event:	    main loop, VM lock held; text is a finished sentence. NULL: it is logged
 */
struct vfio_pci_opts {
	struct bdf bdf;
	bool force_no_reset;
	const char *vf_token;
	void (*on_event)(void *arg, struct vm_dev *d, enum vfio_pci_event ev, const char *text);
	void *on_event_arg;
};

extern const struct vm_dev_ops vfio_pci_ops;

/** vfio_pci_fn() - the PCI function inside, for listings. */
struct vm_pci_fn *vfio_pci_fn(struct vm_dev *d);

#define VFIO_PCI_AREAS_MAX 16

/** struct vfio_pci_bar_info - one BAR: where it is for the guest, and which parts of it the guest
 * reaches directly. */
struct vfio_pci_bar_info {
	uint64_t gpa, size; /* gpa 0: not mapped now */
	bool io, msix_table, msix_pba;
	unsigned int nareas;
	struct vfd_area areas[VFIO_PCI_AREAS_MAX];
	uint64_t trapped_reads, trapped_writes;
	const struct vm_io_region *io_region; /* counters per page */
};

struct vfio_pci_info {
	struct bdf host, guest;
	unsigned int group;
	bool is_vf, can_reset;
	uint16_t vendor, device;
	enum vfio_irq_mode irq_mode;
	unsigned int vectors, vectors_used;
	uint64_t mask_writes, resets, flrs, irq_failures, refused;
	uint64_t cfg_reads, cfg_writes;
	enum vfio_pci_state state;
	struct vfio_pci_bar_info bar[6];
};

/** vfio_pci_info() - a snapshot for `ctl ports` and `ctl stat`; VM lock held. */
void vfio_pci_info(struct vm_dev *d, struct vfio_pci_info *out);

const char *vfio_irq_mode_name(enum vfio_irq_mode m);
const char *vfio_pci_state_name(enum vfio_pci_state s);

#endif
