/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_CTX_H
#define VFIO_CTX_H

#include "iommu/ioas.h"
#include "vfio/dma.h"
#include "vfio/pci.h"

/*
 * All assigned devices of one VM: they share one I/O address space. Order of calls:
 *
 *   vfio_ctx_new()
 *   vfio_ctx_add()     for each function: group and device are opened; the guest sees nothing yet
 *   vfio_ctx_ranges()  where RAM may lie -> vm_ram_place()
 *   vfio_ctx_attach()  memlock check, RAM is mapped for DMA, KVM learns of the groups
 *   vm_dev_add()       for each device that vfio_ctx_add() made
 *   ...
 *   vfio_ctx_free()    vCPUs stopped, before vm_fini(): devices are cut off, reset and closed, then
 * DMA is unmapped
 */
struct vfio_ctx;

/** vfio_ctx_new() - opens the container; -errno with what is missing and what to type. @p2p: see
 * struct vfio_dma. */
int vfio_ctx_new(struct sys *s, const struct log *log, bool p2p, struct vfio_ctx **out,
		 struct err *e) __must_check;

/** vfio_ctx_background() - functions are opened side by side, each on a thread, from
 * vfio_ctx_begin() to vfio_ctx_ready(). */
void vfio_ctx_background(struct vfio_ctx *c);

/**
 * vfio_ctx_begin() - begin to open a function, and make a device of it
 * vfio_ctx_ready() - the end of it. After a failure, too, the device is to be freed
 */
int vfio_ctx_begin(struct vfio_ctx *c, const char *id, const struct vfio_pci_opts *o,
		   struct vm_dev **out, struct err *e) __must_check;
int vfio_ctx_ready(struct vfio_ctx *c, struct vm_dev *d, struct err *e) __must_check;

/**
 * vfio_ctx_add() - both at once
 * @id:  "net0"
 * @out: the device; the context's until vm_dev_add() was called for it, and freed with its VM or
 * with the context
 */
int vfio_ctx_add(struct vfio_ctx *c, const char *id, const struct vfio_pci_opts *o,
		 struct vm_dev **out, struct err *e) __must_check;

/** vfio_ctx_ranges() - as vm_ram_place() wants them; *out is malloc'd, NULL with *n == 0 for no
 * limit. */
int vfio_ctx_ranges(struct vfio_ctx *c, struct vm_range **out, unsigned int *n,
		    struct err *e) __must_check;

/** vfio_ctx_attach() - once RAM is in vm->mem; undone by vfio_ctx_free(). */
int vfio_ctx_attach(struct vfio_ctx *c, struct vm *vm, struct err *e) __must_check;

/** vfio_ctx_ioas() - for `ctl dma`: ioas_each(), ioas_info(), ioas_stats(). */
struct ioas *vfio_ctx_ioas(struct vfio_ctx *c);

/** vfio_ctx_each() - fn for each device that is left. */
void vfio_ctx_each(struct vfio_ctx *c, void (*fn)(void *arg, struct vm_dev *d), void *arg);

/** vfio_ctx_free() - idempotent through NULL; takes the VM lock when attached. */
void vfio_ctx_free(struct vfio_ctx *c);

#endif
