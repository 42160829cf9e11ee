/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VU_END_H
#define VIRTIO_VU_END_H

#include "virtio/vu_dev.h"
#include "vmm/backend/net_end.h"

/*
 * A vhost-user back end as the end of an emulated card's wire: the VMM plays the guest's driver
 * too, with rings and buffers in memory of its own, which is all that the back end gets to see.
 */

/* Features that the back end must have: what a card leaves to it is the checksums and the
 * segmentation (TCP over IPv4 and IPv6) of what it sends. */
#define VU_END_NEEDS (VIO_F(0) | VIO_F(11) | VIO_F(12))

struct vu_end_cfg {
	const char *socket;
	bool server; /* listen for the back end; else connect to it */
	struct vm_iothread *io;
	const struct log *log;
};

/** vu_end_new() - starts to connect; to be started on the loop of c->io. */
int vu_end_new(struct sys *s, const char *id, const struct vu_end_cfg *c, struct net_end **out,
	       struct err *e) __must_check;

/** vu_end_info() - as vu_dev_info(). */
void vu_end_info(struct net_end *n, struct vu_dev_info *out);

#endif
