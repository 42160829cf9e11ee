/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_BACKEND_DISK_H
#define VMM_BACKEND_DISK_H

#include <sys/uio.h>
#include "base/err.h"
#include "base/ev.h"
#include "base/sys.h"

/*
 * A file or block device on io_uring. Serves virtio-blk in the VMM, vhost-user-blk in sluice-vhostd
 * and the emulated NVMe controller; knows none of them.
 *
 * struct disk is what all queues share: the open file. struct disk_ring is one queue's io_uring; it
 * belongs to one thread, the first that calls disk_submit(), disk_poll() or disk_drain(): the
 * kernel then refuses every other. Made, and freed when idle, by any thread. Requests are
 * batched: disk_submit() hands all that was queued to the
 * kernel in one system call; completions come through the ring's eventfd, or by disk_poll().
 */
struct disk;
struct disk_ring;

struct disk_cfg {
	const char *path; /* or "null:SIZE" (bytes, K M G T): no storage at all, for measurements */
	bool readonly, direct;
};

struct disk_info {
	uint64_t size;	/* bytes */
	uint32_t block; /* logical block size of the medium, 512 at least */
	uint32_t phys_block;
	bool readonly, discard, write_zeroes, is_blkdev, null;
};

/**
 * disk_lock() - against a second writer, or any writer (flock), while fd is open
 * Machines and sluice-vhostd alike. -EBUSY with the remedy.
 */
int disk_lock(struct sys *s, int fd, const char *path, bool readonly, struct err *e) __must_check;

/** disk_open() - with disk_lock(); -errno with the remedy. */
int disk_open(struct sys *s, const struct disk_cfg *c, struct disk **out,
	      struct err *e) __must_check;
void disk_close(struct disk *d); /* rings are gone by then; NULL is fine */
/** disk_info() - a copy; any thread. disk_refresh() - look at the file's size again: 1: changed. */
void disk_info(const struct disk *d, struct disk_info *out);
int disk_refresh(struct disk *d);

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

/**
 * struct disk_req - one request; embedded in its owner's, untouched until done() was called
 * @iov:  of reads and writes: kept until done; memory as well
 * @off: @len: bytes; the range was checked by the caller against disk_info.size and is checked here
 * again (-EINVAL)
 * @unmap: DISK_ZERO may deallocate
 * @fua:  DISK_WRITE is on stable storage when it is done
 * @done: res 0 or -errno; short transfers are continued inside, and are -EIO at the end of the file
 */
struct disk_req {
	enum disk_op op;
	const struct iovec *iov;
	unsigned int niov;
	uint64_t off, len;
	bool unmap, fua;
	void (*done)(struct disk_req *r, int res);
	/* the ring's own */
	struct disk_req *next;
	uint64_t got;	/* bytes done */
	uint32_t chunk; /* bytes asked for, through the bounce buffer */
	int res;
	uint8_t how, tries;
	bool unaligned;
	void *bounce;
};

struct disk_ring_cfg {
	unsigned int depth; /* requests in flight, 1-4096; more are queued inside */
	const struct iovec
		*fixed; /* memory to register (guest RAM), or none; failure is not fatal */
	unsigned int nfixed;
	bool poll; /* completions are polled: no eventfd is signalled before disk_ring_arm() */
};

int disk_ring_new(struct disk *d, const struct disk_ring_cfg *c, struct disk_ring **out,
		  struct err *e) __must_check;
/** disk_ring_free() - waits for what is in flight, calling done() for each. */
void disk_ring_free(struct disk_ring *r);

/** disk_queue() - prepare a request; nothing reaches the kernel before disk_submit(). */
void disk_queue(struct disk_ring *r, struct disk_req *req);
/** disk_submit() - one io_uring_enter for all that is queued; 0 or -errno (then done() got it). */
int disk_submit(struct disk_ring *r);
/** disk_poll() - call done() for what completed; returns how many. */
unsigned int disk_poll(struct disk_ring *r);
/** disk_ring_fd() - eventfd, readable when completions wait; read it (non-blocking), then
 * disk_poll(). */
int disk_ring_fd(const struct disk_ring *r);
/** disk_ring_arm() - should completions signal the eventfd? They do from the start, unless
 * cfg.poll. on: true when some wait already: disk_poll() before going to sleep. */
bool disk_ring_arm(struct disk_ring *r, bool on);
/** disk_ring_idle() - nothing queued or in flight. disk_drain() - wait until so. */
bool disk_ring_idle(const struct disk_ring *r);
void disk_drain(struct disk_ring *r);

struct disk_count {
	uint64_t reads, writes, flushes, others, errors, bytes_read, bytes_written, enters, fixed;
};
void disk_ring_count(const struct disk_ring *r, struct disk_count *out); /* any thread, relaxed */

#endif
