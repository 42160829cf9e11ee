/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_BACKEND_DISK_PRIV_H
#define VMM_BACKEND_DISK_PRIV_H

#include <liburing.h>
#include <stdatomic.h>
#include "vmm/backend/disk.h"

/*
 * The door to io_uring, beside struct sys: a test stands behind it, makes a call fail or changes
 * what a completion says. All return what liburing does: >= 0 or -errno.
 */
struct disk_uring {
	int (*init)(struct io_uring *r, unsigned int entries, unsigned int flags);
	void (*exit)(struct io_uring *r);
	int (*reg_file)(struct io_uring *r, int fd);
	int (*reg_buffers)(struct io_uring *r, const struct iovec *iov, unsigned int n);
	int (*reg_eventfd)(struct io_uring *r, int fd);
	int (*enable)(struct io_uring *r);
	/* One enter: hands over what is prepared, runs what the kernel has for us, waits for n. */
	int (*enter)(struct io_uring *r, unsigned int wait);
};

extern const struct disk_uring disk_uring_host;

#define DISK_ZEROS MIB(1) /* of zeros to write where the medium cannot make them itself */

struct disk {
	struct sys *s;
	const struct disk_uring *u;
	int fd;
	bool direct;
	struct disk_info info; /* all but the size: constant */
	atomic_ullong size;
	atomic_bool no_punch, no_zero_range; /* the medium refused it once */
	void *zeros; /* mapped, never written: one page of the kernel's stands behind it */
};

struct disk_tally {
	atomic_ullong reads, writes, flushes, others, errors, bytes_read, bytes_written, enters,
		fixed;
};

struct disk_list {
	struct disk_req *head, **tail;
};

struct disk_ring {
	struct disk *d;
	const struct disk_uring *u;
	struct io_uring ring;
	bool up, bound, disabled, fixed_file, armed;
	int efd;
	unsigned int depth, inflight; /* inflight: prepared or with the kernel */
	struct disk_list waiting;     /* for a place */
	struct disk_list finished;    /* without the kernel; done() is not called yet */
	struct iovec *fixed;
	unsigned int nfixed;
	struct disk_tally tally;
};

/* One writer, any readers: no locked instruction needed. */
static inline void disk_tally_add(atomic_ullong *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif
