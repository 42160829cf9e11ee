/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_INFLIGHT_PRIV_H
#define VIRTIO_RING_INFLIGHT_PRIV_H

#include "virtio/ring/inflight.h"
#include "virtio/ring/vq_priv.h"

/* Layouts as the protocol has them ("Inflight I/O tracking"). */
struct vqi_sdesc {
	uint8_t inflight, pad[5];
	uint16_t next; /* of the last batch */
	uint64_t counter;
};

struct vqi_split {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct vqi_sdesc desc[];
};

struct vqi_pdesc {
	uint8_t inflight, pad;
	uint16_t next; /* of the chain, or of the free entries */
	uint16_t last, num;
	uint64_t counter;
	uint16_t id, flags;
	uint32_t len;
	uint64_t addr;
};

/* Lies on 8 bytes in the region and is stored as one, so that no crash parts an index from its
 * wrap counter. */
struct vqi_used {
	uint16_t used_idx, old_used_idx;
	uint8_t used_wrap, old_used_wrap, pad[2];
};

struct vqi_packed {
	uint64_t features;
	uint16_t version, desc_num, free_head, old_free_head;
	struct vqi_used used;
	uint8_t pad[8];
	struct vqi_pdesc desc[];
};

#define VQI_VERSION 1
#define VQI_NONE    0xffff

/**
 * struct vq_inflight_slot - element i of several small arrays that have as many elements
 * @fifo:   ids in the order of the pops from the ring
 * @staged: ids pushed and not published
 * @resubmit: entries to be popped first
 * @next: @last: @num: packed: of entry i, as in the region; num 0: free (at a start)
 * @id:     packed: of the buffer that entry i was found to begin (at a start)
 * @entry:  the entry of the buffer with id i, VQI_NONE: it is not in flight
 */
struct vq_inflight_slot {
	uint16_t fifo, staged, resubmit, next, last, num, id, entry;
};

/* Both kinds: take back pops. Those of resubmitted buffers are taken off the two numbers, as the
 * ring does not go back for them. */
void vqi_unpop(struct vq_inflight *f, unsigned int *n, unsigned int *ndescs);
/* A buffer of this id is kept in this entry now; NULL, or why it cannot be. */
const char *vqi_take(struct vq_inflight *f, uint16_t id, uint16_t entry);
/* Sort the entries to be resubmitted. */
int vqi_order(struct vq_inflight *f, uint64_t (*counter)(const struct vq_inflight *f, uint16_t e));
/* A buffer was pushed. */
void vqi_stage(struct vq_inflight *f, uint16_t id);
/* The next buffer to resubmit, VQI_NONE: there is none. */
static inline uint16_t vqi_resubmit(const struct vq_inflight *f)
{
	return f->resubmit_at < f->nresubmit ? f->s[f->resubmit_at].resubmit : VQI_NONE;
}

/* Split. pop: NULL, or why the head cannot be. begin and end: around the store of the index. */
int vqi_split_recover(struct vq_inflight *f, const struct vq_mem *mem, struct vq_cfg *cfg);
const char *vqi_split_pop(struct vq_inflight *f, uint16_t head);
void vqi_split_unpop(struct vq_inflight *f, uint16_t head);
void vqi_split_begin(struct vq_inflight *f);
void vqi_split_end(struct vq_inflight *f, uint16_t used_idx);

/* Packed. desc: the k-th descriptor of a chain that is being walked. pop: the chain is whole. */
int vqi_packed_recover(struct vq_inflight *f, const struct vq_mem *mem, struct vq_cfg *cfg);
void vqi_packed_desc(struct vq_inflight *f, unsigned int k, struct vq_raw d);
const char *vqi_packed_pop(struct vq_inflight *f, uint16_t id, unsigned int n);
void vqi_packed_unpop(struct vq_inflight *f, uint16_t e);
void vqi_packed_begin(struct vq_inflight *f, uint16_t used, bool wrap);
void vqi_packed_end(struct vq_inflight *f, uint16_t used, bool wrap);
/* Copy of the descriptor of entry e of a buffer that is to be resubmitted. */
struct vq_raw vqi_packed_get(const struct vq_inflight *f, uint16_t e);

#endif
