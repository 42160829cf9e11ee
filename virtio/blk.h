/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include "virtio/blk/blkq.h"
#include "virtio/vio.h"

struct vio_blk_cfg {
	struct disk_cfg disk;
	const char *serial;  /* NULL: the id */
	unsigned int queues; /* 1-16 */
	uint16_t qsize;	     /* 0: 256 */
	uint64_t hide;
	struct vm_iothread *const *io; /* queue i is served on io[i % nio] */
	unsigned int nio;
	const struct log *log;
};

/** vio_blk_new() - virtio-blk on a file (virtio 1.2, 5.2); for vm_dev_add(). */
int vio_blk_new(struct sys *s, const char *id, const struct vio_blk_cfg *c, struct vm_dev **out,
		struct err *e) __must_check;
/** vio_blk_resize() - the file changed its size: tell the guest. 1: it did. Main loop, VM lock. */
int vio_blk_resize(struct vm_dev *d, struct err *e) __must_check;
void vio_blk_count(struct vm_dev *d, unsigned int queue, struct blkq_count *out);

#endif
