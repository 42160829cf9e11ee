/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_VQD_PRIV_H
#define VIRTIO_RING_VQD_PRIV_H

#include "virtio/ring/vq_priv.h"
#include "virtio/ring/vqd.h"

/* Descriptors of one buffer's indirect table; longer buffers are chained in the ring. */
#define VQD_TABLE 32u

/** struct vqd_buf - what the driver knows of the buffer of an id (head index or buffer id) */
struct vqd_buf {
	void *cookie;
	uint32_t in_len;
	uint16_t slots; /* of the ring; 0: not with the device */
	uint16_t next;	/* of a list of free ids, or of the chain's descriptors */
};

/**
 * struct vqd - the driver's state
 * @free: first free id; @nfree: ring slots that are free
 * @order: in-order: ids as they were made available, from @first on for @nbusy
 * @batch: in-order: the used element last read stands for all buffers up to @batch_id
 */
struct vqd {
	struct vqd_cfg cfg;
	struct vq_cfg at;
	struct vqd_buf *buf;
	uint16_t *order;
	uint8_t *tables;
	void *desc, *driver, *device;
	unsigned int nfree, first, nbusy;
	uint16_t free;
	uint16_t avail, used; /* next to write, next to read; packed: offsets */
	bool avail_wrap, used_wrap;
	uint16_t staged, head_at, head_flags;
	bool batch;
	uint16_t batch_id;
	uint32_t batch_len;
};

/* One buffer as the caller gives it. */
struct vqd_req {
	const struct iovec *iov;
	unsigned int nout, n;
};

static inline uint64_t vqd_gpa(const struct vqd *d, const void *p)
{
	return d->cfg.gpa0 + (uint64_t)((const uint8_t *)p - d->cfg.hva);
}

/* The kinds. add: write the buffer under this id, table NULL: chained in the ring. elem: the next
 * used element; false: none. */
void vqd_split_init(struct vqd *d);
void vqd_split_add(struct vqd *d, uint16_t id, const struct vqd_req *r, struct vq_sdesc *table);
bool vqd_split_publish(struct vqd *d);
bool vqd_split_elem(const struct vqd *d, uint16_t *id, uint32_t *len);
void vqd_split_notify(struct vqd *d, bool on);
void vqd_packed_init(struct vqd *d);
void vqd_packed_add(struct vqd *d, uint16_t id, const struct vqd_req *r, struct vq_pdesc *table);
bool vqd_packed_publish(struct vqd *d);
bool vqd_packed_elem(const struct vqd *d, uint16_t *id, uint32_t *len);
void vqd_packed_notify(struct vqd *d, bool on);

#endif
