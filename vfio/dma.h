/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_DMA_H
#define VFIO_DMA_H

#include "iommu/ioas.h"
#include "vmm/core/mem.h"

/**
 * struct vfio_dma - the listener that keeps an I/O address space equal to the guest's RAM
 * @p2p:	 map BARs too, so that assigned devices reach each other
 * @p2p_refused: BARs that the IOMMU did not take; peer-to-peer is a wish, so this is no failure
 * @unmap_failed: unmaps the kernel refused: never seen, counted
 */
struct vfio_dma {
	struct vm_mem_listener listener;
	struct ioas *ioas;
	const struct log *log;
	bool p2p;
	uint64_t p2p_refused, unmap_failed;
};

/** vfio_dma_init() - then vm_mem_listen(m, &d->listener, e). Guest-physical address and IOVA are
 * equal. */
void vfio_dma_init(struct vfio_dma *d, struct ioas *ioas, const struct log *log, bool p2p);

#endif
