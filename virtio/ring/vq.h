/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_VQ_H
#define VIRTIO_RING_VQ_H

#include <sys/uio.h>
#include "base/util.h"

/*
 * The device's side of a virtqueue, split (virtio 1.2, 2.7) and packed (2.8). Knows guest memory
 * only as a table of regions, so the VMM and the vhost-user backend use the same walker.
 *
 * The driver is hostile. Every descriptor is copied once, checked as the copy, and never read
 * again; an indirect table is copied before it is walked. Whatever breaks a rule makes the queue
 * *broken*: vq_pop() says -EPROTO from then on and the owner asks for a reset of the device.
 *
 * Thread: one at a time for a queue.
 */

/** struct vq_region - guest memory [gpa, gpa + size) at hva in this process. */
struct vq_region {
	uint64_t gpa, size;
	uint8_t *hva;
};

#define VQ_REGIONS_MAX 32

/** struct vq_mem - a snapshot of guest memory, sorted by gpa, regions do not overlap. */
struct vq_mem {
	unsigned int n;
	struct vq_region r[VQ_REGIONS_MAX];
};

/** vq_mem_ptr() - host address, NULL unless all of [gpa, gpa + len) is in one region. */
void *vq_mem_ptr(const struct vq_mem *m, uint64_t gpa, uint64_t len);

/** vq_mem_add() - sorted; -EINVAL: empty or wraps; -EEXIST: overlaps; -ENOSPC. */
int vq_mem_add(struct vq_mem *m, uint64_t gpa, uint64_t size, void *hva) __must_check;

#define VQ_SIZE_MAX 32768

/**
 * struct vq_cfg - what the driver set up
 * @size:   entries; a power of two for split rings
 * @desc: @driver: @device: gpa of descriptor table/ring, avail ring/driver event area, used
 *          ring/device event area
 * @avail_idx: @used_idx: where to begin: split: free-running indices; packed: offsets in the ring
 *          with the wrap counter in bit 15. 0 for a fresh split ring, 0x8000 for a fresh packed one
 */
struct vq_cfg {
	uint16_t size;
	bool packed, event_idx, indirect, in_order;
	uint64_t desc, driver, device;
	uint16_t avail_idx, used_idx;
};

#define VQ_FRESH(packed) ((uint16_t)((packed) ? 0x8000 : 0))

struct vq_inflight; /* vhost-user inflight memory of one queue (virtio/ring/inflight.h) */

/**
 * struct vq - a queue in use; only @broken and the counters are for the owner to read
 * @region: of the last translation
 * @inuse:  split: buffers popped and not pushed are avail_idx - used_idx; packed: their ring slots
 * @staged: buffers pushed, not published; @staged_slots: their ring slots
 * @fresh:  used index 0: the driver's event index can be believed at the first publish
 */
struct vq {
	const struct vq_mem *mem;
	struct vq_cfg cfg;
	const struct vq_region *region;
	union {
		struct {
			void *desc, *avail, *used;
			uint16_t avail_idx, used_idx; /* next to read, next to write */
			uint16_t avail_seen;	      /* the driver's index when it was last read */
			uint16_t mask;
		} s;
		struct {
			void *ring, *driver, *device;
			uint16_t next, used, inuse; /* next to read and to write; slots held */
			bool avail_wrap, used_wrap;
			uint16_t first, first_flags; /* the element that publishes the batch */
			bool first_wrap;
		} p;
	};
	struct vq_inflight *inflight; /* NULL: none */
	uint16_t staged, staged_slots;
	bool fresh;
	const char *broken; /* why, NULL: fine */
	uint64_t pops, pushes, calls, calls_spared;
};

/**
 * struct vq_chain - one buffer of the driver
 * @iov:  the caller's array of @cap entries; first @nout readable, then @nin writable ones
 * @id:   head index (split) or buffer id (packed). A hostile driver may have two buffers of one id
 *	  in flight, and any id in a packed ring: not an index of the owner's arrays
 * @ndesc: ring slots it took (packed)
 * @out_len: @in_len: bytes of either part
 */
struct vq_chain {
	struct iovec *iov;
	unsigned int cap, nout, nin;
	uint16_t id, ndesc;
	uint32_t out_len, in_len;
};

/** vq_start() - -EINVAL: bad size, misaligned or outside guest memory. mem outlives the queue. */
int vq_start(struct vq *q, const struct vq_mem *mem, const struct vq_cfg *cfg) __must_check;

/** vq_state() - where it stands, as struct vq_cfg has it; for a stop and a later start. */
void vq_state(const struct vq *q, uint16_t *avail_idx, uint16_t *used_idx);

/**
 * vq_pop() - take the next buffer
 * Return: 1 with *c filled; 0: none; -EPROTO: the queue is broken (q->broken says why).
 * Never more iovecs than cap: a longer chain breaks the queue.
 */
int vq_pop(struct vq *q, struct vq_chain *c) __must_check;

/** vq_unpop() - give back the last n buffers popped, ndescs ring slots in all, none of them
 * pushed. */
void vq_unpop(struct vq *q, unsigned int n, unsigned int ndescs);

/** vq_push() - hand a buffer back with written bytes; seen by the driver after vq_publish(). In any
 * order, unless cfg.in_order: then the order of the pops. */
void vq_push(struct vq *q, const struct vq_chain *c, uint32_t written);

/** vq_publish() - make what was pushed visible. Return: true: the driver wants a call. */
bool vq_publish(struct vq *q) __must_check;

/** vq_notify() - want kicks (on) or poll (off). on: true when buffers came meanwhile: look again.
 */
bool vq_notify(struct vq *q, bool on);

/** vq_pending() - is there something to pop? Cheap; a hint. */
bool vq_pending(const struct vq *q);

/** vq_iov_read() / vq_iov_write() - copy from or to iovecs, off bytes in; returns bytes copied. */
size_t vq_iov_read(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len);
size_t vq_iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
		    size_t len);

#endif
