/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_INFLIGHT_H
#define VIRTIO_RING_INFLIGHT_H

#include "virtio/ring/vq.h"

/*
 * Which buffers the device holds, in memory that outlives its process (the vhost-user protocol's
 * "Inflight I/O tracking"). A device that died at any instant is followed by one that first pops
 * what was held, in the order it was first popped, and then goes on with the ring.
 *
 * The memory is the peer's: it is read when a queue starts, and checked; afterwards only written.
 */
struct vq_inflight_slot; /* inflight_priv.h */

/**
 * struct vq_inflight - one queue's part of the memory, and what a running queue knows of it
 * @size:  buffers it has room for
 * @s:     @size private entries
 * @fifo:  pops from the ring so far; @nstaged: pushed, not published
 * @nresubmit: @resubmit_at: buffers to be popped first; how many of them were
 * @free: @filling: packed: first free entry; entry of the chain being walked
 */
struct vq_inflight {
	void *region;
	bool packed;
	uint16_t size;
	struct vq_inflight_slot *s;
	uint64_t fifo, counter;
	uint16_t nstaged, nresubmit, resubmit_at, free, filling;
};

/** vq_inflight_size() - bytes of one queue's part, a multiple of 64. */
size_t vq_inflight_size(bool packed, uint16_t qsize);

/**
 * vq_inflight_init() - @region: vq_inflight_size() bytes, zeroed when they are new, aligned to 8
 * -EINVAL: size or alignment; -ENOMEM. vq_inflight_fini() is idempotent.
 */
int vq_inflight_init(struct vq_inflight *f, void *region, bool packed, uint16_t qsize) __must_check;
void vq_inflight_fini(struct vq_inflight *f);

/**
 * vq_start_inflight() - vq_start() that keeps track in f and begins where f says
 * f NULL: just vq_start(). The ring may be smaller than f. Where f was in use before, the indices
 * of cfg do not matter. -EINVAL: also when f's content cannot be true.
 */
int vq_start_inflight(struct vq *q, const struct vq_mem *mem, const struct vq_cfg *cfg,
		      struct vq_inflight *f) __must_check;

/*
 * For a front end whose device vanished without saying where it stood and had no inflight memory:
 * both set cfg->avail_idx and cfg->used_idx to where a device that uses buffers in order is to
 * begin. The rest of cfg is given.
 */

/** vq_recover_split_used_idx() - the used index. -EINVAL: the ring is not in memory. */
int vq_recover_split_used_idx(const struct vq_mem *mem, struct vq_cfg *cfg) __must_check;

/**
 * vq_recover_packed() - look in the ring for the first buffer that was not used
 * cfg->used_idx is, before, a place where the device stood once, the later the better: VQ_FRESH().
 * A used element does not tell how many slots it stands for, so with chains in the ring there may
 * be two answers. -EAGAIN: the driver is in the midst of adding a buffer, look again; -EUCLEAN: it
 * cannot be told, the driver has to reset the device; -EINVAL: the ring is not in memory.
 */
int vq_recover_packed(const struct vq_mem *mem, struct vq_cfg *cfg) __must_check;

#endif
