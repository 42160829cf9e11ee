// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include "vfio/dma.h"

static int dma_add(struct vm_mem_listener *l, const struct vm_mem_region *r, struct err *e)
{
	struct vfio_dma *d = container_of(l, struct vfio_dma, listener);
	struct err why = { 0 };

	switch (r->kind) {
	case VM_MEM_RAM:
		return ioas_map(d->ioas, r->name, r->gpa, r->size, r->hva, r->page_size, e);
	case VM_MEM_BAR:
		if (d->p2p && ioas_map(d->ioas, r->name, r->gpa, r->size, r->hva, 4096, &why) < 0) {
			d->p2p_refused++;
			log_warn(d->log, "no peer-to-peer: %s", why.text);
		}
		return 0;
	}
	return 0;
}

static void dma_del(struct vm_mem_listener *l, const struct vm_mem_region *r)
{
	struct vfio_dma *d = container_of(l, struct vfio_dma, listener);
	int rc;

	if (r->kind == VM_MEM_BAR && !d->p2p)
		return;
	rc = ioas_unmap(d->ioas, r->gpa, r->size);
	/* Not there: a BAR that was refused, or the IOMMU has gone with its last group. */
	if (rc == 0 || rc == -ENOENT)
		return;
	d->unmap_failed++;
	log_err(d->log, "%s stays mapped for DMA (error %d)", r->name, -rc);
}

void vfio_dma_init(struct vfio_dma *d, struct ioas *ioas, const struct log *log, bool p2p)
{
	*d = (struct vfio_dma){
		.listener = { .name = "vfio dma", .add = dma_add, .del = dma_del },
		.ioas = ioas,
		.log = log,
		.p2p = p2p,
	};
	list_init(&d->listener.link);
}
