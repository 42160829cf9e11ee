/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include "base/log.h"
#include "base/mac.h"
#include "virtio/vio.h"

#define VIO_NET_QSIZE_MAX 1024 /* a packet must fit in one readv() or writev() */

/**
 * struct vio_net_cfg - a port
 * @tap:   interface of the host
 * @pairs: 1-16
 * @qsize: power of two, 16 to VIO_NET_QSIZE_MAX; 0: 256
 * @mac:   zero: made from id and interface
 * @io:    pair i is served on io[i % nio]; the control queue with pair 0
 */
struct vio_net_cfg {
	const char *tap;
	unsigned int pairs;
	uint16_t qsize;
	struct mac mac;
	uint64_t hide;
	struct vm_iothread *const *io;
	unsigned int nio;
	const struct log *log;
};

/** vio_net_new() - virtio-net on a tap (virtio 1.2, 5.1); for vm_dev_add(). */
int vio_net_new(struct sys *s, const char *id, const struct vio_net_cfg *c, struct vm_dev **out,
		struct err *e) __must_check;

/** vio_net_link() - set what the guest sees of the link; up only while the tap is (any thread). */
void vio_net_link(struct vm_dev *d, bool up);

/**
 * struct vio_net_info - for "ctl ports"
 * @link:  as the guest sees it
 * @pairs_on: queue pairs that the guest uses
 */
struct vio_net_info {
	struct mac mac;
	unsigned int mtu, pairs, pairs_on;
	bool link;
};
void vio_net_info(struct vm_dev *d, struct vio_net_info *out);

/** vio_net_count() - of one queue: receive queues are even, bytes_in goes to the guest. bufs are
 * packets, errors those dropped. */
void vio_net_count(struct vm_dev *d, unsigned int queue, struct vio_count *out);

/** vio_net_drops() - packets of a queue that were dropped, by cause; names of the causes. */
#define VIO_NET_DROPS 8
void vio_net_drops(struct vm_dev *d, unsigned int queue, uint64_t out[VIO_NET_DROPS]);
const char *vio_net_drop_name(unsigned int cause);

#endif
