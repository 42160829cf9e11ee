/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_BLK_BLKQ_H
#define VIRTIO_BLK_BLKQ_H

#include "virtio/ring/vq.h"
#include "vmm/backend/disk.h"

/*
 * One virtio-blk request queue (virtio 1.2, 5.2.6) served from a disk: the VMM's block device and
 * sluice-vhostd's disks are both made of these. Knows no transport and no thread: the owner calls
 * blkq_run() when there may be work, on the thread that owns the queue.
 */
struct blkq;

struct blkq_cfg {
	struct disk *disk;
	const char *serial;   /* GET_ID, cut at 20 bytes */
	unsigned int seg_max; /* data segments a request may have, as told in the config space */
	unsigned int depth;   /* requests in flight */
	bool readonly, poll;
	const struct iovec *fixed; /* see struct disk_ring_cfg */
	unsigned int nfixed;
	void (*call)(void *arg); /* the driver wants an interrupt */
	void (*broken)(void *arg,
		       const char *why); /* the queue is broken: no more is taken from it */
	void *arg;
};

/** blkq_new() - threads as with struct disk_ring: all from blkq_start() to blkq_stop() on one. */
int blkq_new(const struct blkq_cfg *c, struct blkq **out, struct err *e) __must_check;
/** blkq_free() - drains what is in flight. */
void blkq_free(struct blkq *b);

/** blkq_start() - the ring is up. blkq_stop() - drained; the state to go on from is in the vq. */
int blkq_start(struct blkq *b, const struct vq_mem *mem, const struct vq_cfg *cfg,
	       struct vq_inflight *inflight) __must_check;
void blkq_stop(struct blkq *b, uint16_t *avail_idx, uint16_t *used_idx);

/** blkq_writethrough() - before blkq_start(): a write is done when it is on stable storage, for a
 * driver that did not accept VIRTIO_BLK_F_FLUSH (5.2.6.2). */
void blkq_writethrough(struct blkq *b, bool on);

/** blkq_run() - one round: take buffers, submit, complete; returns how much was done. 0: nothing is
 * to be done until a kick or a completion. */
unsigned int blkq_run(struct blkq *b);
/** blkq_arm() - about to sleep: want kicks and completions by eventfd; true: look again first. */
bool blkq_arm(struct blkq *b);
/** blkq_fd() - completions' eventfd, signalled only between blkq_arm() and blkq_run(); whoever
 * waits for it reads it (non-blocking). */
int blkq_fd(const struct blkq *b);

#define BLKQ_CFG_SIZE 96 /* struct virtio_blk_config, discard and write-zeroes fields included */

/** blkq_config() - the config space of a disk. blkq_features() - device bits for it. */
void blkq_config(const struct disk_info *i, unsigned int queues, unsigned int seg_max,
		 uint8_t buf[BLKQ_CFG_SIZE]);
uint64_t blkq_features(const struct disk_info *i, unsigned int queues);

struct blkq_count {
	uint64_t reads, writes, flushes, others, errors, bytes_read, bytes_written, enters, calls,
		calls_spared;
};
void blkq_count(const struct blkq *b, struct blkq_count *out); /* any thread, relaxed */

#endif
