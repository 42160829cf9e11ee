/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_VQD_H
#define VIRTIO_RING_VQD_H

#include <sys/uio.h>
#include "virtio/ring/vq.h"

/*
 * The driver's side of a virtqueue, for tests, fuzzers and load generators. Memory is given by the
 * caller: one area for the rings and one for indirect tables; addresses in iovecs are host
 * addresses, turned into guest ones by a constant offset.
 */
struct vqd;

struct vqd_cfg {
	uint16_t size;
	bool packed, event_idx, indirect, in_order;
	uint8_t *hva; /* of guest memory; gpa of p is gpa0 + (p - hva) */
	uint64_t gpa0;
	uint8_t *area; /* vqd_area() bytes, aligned to 4096, inside guest memory; zeroed by
			  vqd_new() */
};

/** vqd_area() - bytes of rings and indirect tables of a queue. */
size_t vqd_area(const struct vqd_cfg *c);
int vqd_new(const struct vqd_cfg *c, struct vqd **out) __must_check;
void vqd_free(struct vqd *d);

/** vqd_addrs() - fills size, packed..., desc, driver, device and the start indices for the device.
 */
void vqd_addrs(const struct vqd *d, struct vq_cfg *out);

/** vqd_add() - nout readable, nin writable pieces; cookie comes back. -ENOSPC: ring is full. Seen
 * by the device after vqd_publish(). */
int vqd_add(struct vqd *d, const struct iovec *iov, unsigned int nout, unsigned int nin,
	    void *cookie) __must_check;
/** vqd_publish() - true: the device wants a kick. */
bool vqd_publish(struct vqd *d) __must_check;
/** vqd_get() - a used buffer: its cookie and length; NULL: none. */
void *vqd_get(struct vqd *d, uint32_t *len);
/** vqd_notify() - want calls (on) or poll; on: true when used buffers came meanwhile. */
bool vqd_notify(struct vqd *d, bool on);

#endif
