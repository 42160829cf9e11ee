// SPDX-License-Identifier: BSD-3-Clause
/*
 * One queue's io_uring: made, bound to its thread, freed.
 *
 * The cheapest way to run completions is the one in which the kernel does nothing until this thread
 * enters it (DEFER_TASKRUN, Linux 6.1): no interrupt of the thread, all completions of a while at
 * once. The ring's flag word tells when an enter is due, so polling makes no system call in vain.
 * It wants one thread for good, and the ring may be made by another: it starts disabled, and the
 * first thread to use it enables it. Older kernels get less, in steps.
 *
 * Buffers are registered for direct I/O only. That pins guest memory, all of it, and saves finding
 * and pinning the pages of each request; what goes through the page cache is copied anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vmm/backend/disk_priv.h"

#define FIXED_PIECE GIB(1) /* the kernel's limit of one registered buffer */
#define FIXED_MAX   1024
#define DEPTH_MAX   4096

/* Names newer than the oldest headers this is built with. */
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1u << 8)
#define IORING_SETUP_TASKRUN_FLAG (1u << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif

static int host_init(struct io_uring *r, unsigned int entries, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };

	return io_uring_queue_init_params(entries, r, &p);
}

static int host_reg_file(struct io_uring *r, int fd)
{
	return io_uring_register_files(r, &fd, 1);
}

/* By hand: liburing 2.3 declares io_uring_enable_rings() and does not export it. */
static int host_enable(struct io_uring *r)
{
	long ret =
		syscall(__NR_io_uring_register, r->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	return ret < 0 ? -errno : 0;
}

static int host_enter(struct io_uring *r, unsigned int wait)
{
	if (wait)
		return io_uring_submit_and_wait(r, wait);
	return io_uring_submit_and_get_events(r);
}

const struct disk_uring disk_uring_host = {
	.init = host_init,
	.exit = io_uring_queue_exit,
	.reg_file = host_reg_file,
	.reg_buffers = io_uring_register_buffers,
	.reg_eventfd = io_uring_register_eventfd,
	.enable = host_enable,
	.enter = host_enter,
};

static int init_error(int ret, struct err *e)
{
	if (ret == -ENOSYS || ret == -EPERM)
		return err_set(
			e, ret,
			"io_uring is switched off on this host: set "
			"kernel.io_uring_disabled=0, or allow it in the container's profile");
	if (ret == -ENOMEM)
		return err_set(e, ret,
			       "io_uring has no memory: raise the limit of locked memory "
			       "(ulimit -l)");
	return err_sys(e, ret, "io_uring cannot be set up");
}

static int ring_init(struct disk_ring *r, struct err *e)
{
	static const unsigned int flags[] = {
		IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_CLAMP | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_CLAMP,
	};
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		ret = r->u->init(&r->ring, r->depth, flags[i]);
		r->disabled = flags[i] & IORING_SETUP_R_DISABLED;
	}
	if (ret < 0)
		return init_error(ret, e);
	r->up = true;
	return 0;
}

/* Copies the areas, in pieces that can be registered. */
static int split_fixed(struct disk_ring *r, const struct disk_ring_cfg *c)
{
	struct iovec *v = calloc(FIXED_MAX, sizeof(*v));
	unsigned int n = 0;

	if (!v)
		return -ENOMEM;
	for (unsigned int i = 0; i < c->nfixed; i++) {
		for (size_t at = 0; at < c->fixed[i].iov_len; at += FIXED_PIECE) {
			if (n == FIXED_MAX) {
				free(v);
				return -ENOSPC;
			}
			v[n].iov_base = (char *)c->fixed[i].iov_base + at;
			v[n++].iov_len = MIN(c->fixed[i].iov_len - at, (size_t)FIXED_PIECE);
		}
	}
	r->fixed = v;
	r->nfixed = n;
	return 0;
}

/* Best effort: without it the kernel pins the pages of each request. */
static void register_fixed(struct disk_ring *r, const struct disk_ring_cfg *c)
{
	if (!c->nfixed || !r->d->direct || split_fixed(r, c))
		return;
	if (r->u->reg_buffers(&r->ring, r->fixed, r->nfixed) >= 0)
		return;
	free(r->fixed);
	r->fixed = NULL;
	r->nfixed = 0;
}

static int ring_up(struct disk_ring *r, const struct disk_ring_cfg *c, struct err *e)
{
	int ret;

	r->efd = sys_eventfd(r->d->s, 0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->efd < 0)
		return err_sys(e, r->efd, "an eventfd cannot be made");
	if (r->d->info.null)
		return 0;
	ret = ring_init(r, e);
	if (ret)
		return ret;
	ret = r->u->reg_eventfd(&r->ring, r->efd);
	if (ret < 0)
		return err_sys(e, ret, "io_uring takes no eventfd");
	r->fixed_file = r->u->reg_file(&r->ring, r->d->fd) >= 0;
	register_fixed(r, c);
	return 0;
}

int disk_ring_new(struct disk *d, const struct disk_ring_cfg *c, struct disk_ring **out,
		  struct err *e)
{
	struct disk_ring *r;
	int ret;

	*out = NULL;
	if (!c->depth || c->depth > DEPTH_MAX)
		return err_set(e, -EINVAL, "a disk queue of %u requests: 1 to %u are possible",
			       c->depth, DEPTH_MAX);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_sys(e, -ENOMEM, "a disk queue");
	r->d = d;
	r->u = d->u;
	r->depth = c->depth;
	r->efd = -1;
	r->waiting.tail = &r->waiting.head;
	r->finished.tail = &r->finished.head;
	ret = ring_up(r, c, e);
	if (ret) {
		disk_ring_free(r);
		return ret;
	}
	r->armed = true;
	if (c->poll)
		disk_ring_arm(r, false);
	*out = r;
	return 0;
}

void disk_ring_free(struct disk_ring *r)
{
	if (!r)
		return;
	disk_drain(r);
	if (r->up)
		r->u->exit(&r->ring);
	sys_close(r->d->s, &r->efd);
	free(r->fixed);
	free(r);
}

int disk_ring_fd(const struct disk_ring *r)
{
	return r->efd;
}

void disk_ring_count(const struct disk_ring *r, struct disk_count *out)
{
	const struct disk_tally *t = &r->tally;

#define COPY(name) out->name = atomic_load_explicit(&t->name, memory_order_relaxed)
	COPY(reads);
	COPY(writes);
	COPY(flushes);
	COPY(others);
	COPY(errors);
	COPY(bytes_read);
	COPY(bytes_written);
	COPY(enters);
	COPY(fixed);
#undef COPY
}
