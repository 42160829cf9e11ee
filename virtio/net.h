/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include "base/mac.h"
#include "virtio/vio.h"

struct vio_net_cfg {
	const char *tap;    /* interface of the host */
	unsigned int pairs; /* 1-16 */
	uint16_t qsize;	    /* 0: 256 */
	struct mac mac;	    /* zero: made from the id */
	uint64_t hide;
	struct vm_iothread *const *io; /* pair i is served on io[i % nio] */
	unsigned int nio;
	const struct log *log;
};

/** vio_net_new() - virtio-net on a tap (virtio 1.2, 5.1); for vm_dev_add(). */
int vio_net_new(struct sys *s, const char *id, const struct vio_net_cfg *c, struct vm_dev **out,
		struct err *e) __must_check;
/** vio_net_link() - set what the guest sees of the link (any thread). */
void vio_net_link(struct vm_dev *d, bool up);
void vio_net_count(struct vm_dev *d, unsigned int queue, struct vio_count *out);

#endif
