// SPDX-License-Identifier: BSD-3-Clause
/*
 * A request's way: queued, prepared as an SQE while fewer than depth are under way, handed over in
 * one enter with all others, completed; a short transfer goes round again from where it stopped,
 * one segment at a time, which needs no memory.
 *
 * Direct I/O wants memory and segments aligned to the block. What is not goes through a bounce
 * buffer of its own, in pieces. Offsets and lengths that are not aligned are refused: making two
 * requests of one would let others in between.
 *
 * What finishes without the kernel (refused requests, those of a null disk) waits on a list for the
 * next disk_poll(), so done() is never called from inside disk_queue().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/backend/disk_priv.h"

#define BOUNCE_MAX 262144u
#define SEGS_MAX   1024 /* UIO_MAXIOV */
#define RW_MAX	   0x40000000u
#define TRIES	   16

enum how { HOW_RW, HOW_BOUNCE, HOW_FSYNC, HOW_PUNCH, HOW_ZERO_RANGE, HOW_ZEROS };

static void list_put(struct disk_list *l, struct disk_req *q)
{
	q->next = NULL;
	*l->tail = q;
	l->tail = &q->next;
}

static struct disk_req *list_take(struct disk_list *l)
{
	struct disk_req *q = l->head;

	if (!q)
		return NULL;
	l->head = q->next;
	if (!l->head)
		l->tail = &l->head;
	return q;
}

static void list_put_first(struct disk_list *l, struct disk_req *q)
{
	q->next = l->head;
	if (!l->head)
		l->tail = &q->next;
	l->head = q;
}

/* ---- checks ---- */

static int check_iov(const struct disk *d, struct disk_req *q)
{
	uintptr_t bits = 0;
	uint64_t sum = 0;

	if (q->niov > SEGS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < q->niov; i++) {
		if (ckd_add(&sum, sum, q->iov[i].iov_len))
			return -EINVAL;
		bits |= (uintptr_t)q->iov[i].iov_base | q->iov[i].iov_len;
	}
	q->unaligned = d->direct && bits & (d->info.block - 1);
	return sum == q->len ? 0 : -EINVAL;
}

static int check(const struct disk *d, struct disk_req *q)
{
	bool rw = q->op == DISK_READ || q->op == DISK_WRITE;

	if (q->op == DISK_FLUSH)
		return 0;
	if (!range_ok(q->off, q->len, atomic_load_explicit(&d->size, memory_order_relaxed)))
		return -EINVAL;
	if (d->direct && (q->off | q->len) & (d->info.block - 1))
		return -EINVAL;
	if (d->info.readonly && q->op != DISK_READ)
		return -EROFS;
	return rw ? check_iov(d, q) : 0;
}

/* ---- SQEs ---- */

/* Index of the registered area around the memory, -1: none. */
static int fixed_at(const struct disk_ring *r, const void *p, size_t len)
{
	for (unsigned int i = 0; i < r->nfixed; i++) {
		uintptr_t at = (uintptr_t)p - (uintptr_t)r->fixed[i].iov_base;

		if (at < r->fixed[i].iov_len && len <= r->fixed[i].iov_len - at)
			return (int)i;
	}
	return -1;
}

static void prep_plain(struct io_uring_sqe *s, bool wr, void *p, unsigned int len, uint64_t off)
{
	if (wr)
		io_uring_prep_write(s, 0, p, len, off);
	else
		io_uring_prep_read(s, 0, p, len, off);
}

/* One piece of memory: what is left of the segment at q->got. */
static void prep_piece(struct disk_ring *r, struct io_uring_sqe *s, struct disk_req *q)
{
	bool wr = q->op == DISK_WRITE;
	const struct iovec *v = q->iov;
	uint64_t at = q->got;
	unsigned int len;
	int fixed;
	char *p;

	while (at >= v->iov_len)
		at -= v++->iov_len;
	p = (char *)v->iov_base + at;
	len = (unsigned int)MIN(v->iov_len - at, (size_t)RW_MAX);
	fixed = fixed_at(r, p, len);
	if (fixed < 0) {
		prep_plain(s, wr, p, len, q->off + q->got);
		return;
	}
	disk_tally_add(&r->tally.fixed, 1);
	if (wr)
		io_uring_prep_write_fixed(s, 0, p, len, q->off + q->got, fixed);
	else
		io_uring_prep_read_fixed(s, 0, p, len, q->off + q->got, fixed);
}

/* Bytes [q->got, q->got + q->chunk) of the segments from or to the bounce buffer. */
static void bounce_copy(struct disk_req *q, bool in, uint32_t len)
{
	const struct iovec *v = q->iov;
	uint64_t at = q->got;
	char *b = q->bounce;

	while (len) {
		size_t n;

		while (at >= v->iov_len)
			at -= v++->iov_len;
		n = MIN(v->iov_len - at, (size_t)len);
		if (in)
			memcpy(b, (char *)v->iov_base + at, n);
		else
			memcpy((char *)v->iov_base + at, b, n);
		b += n;
		at += n;
		len -= (uint32_t)n;
	}
}

static void prep_bounce(struct io_uring_sqe *s, struct disk_req *q)
{
	bool wr = q->op == DISK_WRITE;

	q->chunk = (uint32_t)MIN(q->len - q->got, (uint64_t)BOUNCE_MAX);
	if (wr)
		bounce_copy(q, true, q->chunk);
	prep_plain(s, wr, q->bounce, q->chunk, q->off + q->got);
}

static void prep_zeros(struct disk_ring *r, struct io_uring_sqe *s, struct disk_req *q)
{
	struct disk *d = r->d;

	q->how = HOW_ZEROS;
	if (q->op == DISK_DISCARD || (!d->no_punch && q->unmap))
		q->how = HOW_PUNCH;
	else if (!d->no_zero_range)
		q->how = HOW_ZERO_RANGE;
	if (q->how == HOW_ZEROS)
		io_uring_prep_write(s, 0, d->zeros, (unsigned int)MIN(q->len - q->got, DISK_ZEROS),
				    q->off + q->got);
	else
		io_uring_prep_fallocate(
			s, 0,
			FALLOC_FL_KEEP_SIZE |
				(q->how == HOW_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
			(off_t)q->off, (off_t)q->len);
}

static void prep(struct disk_ring *r, struct disk_req *q)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&r->ring);

	BUG_ON(!s); /* there are as many as requests under way */
	q->how = q->bounce ? HOW_BOUNCE : HOW_RW;
	if (q->op == DISK_FLUSH) {
		q->how = HOW_FSYNC;
		io_uring_prep_fsync(s, 0, IORING_FSYNC_DATASYNC);
	} else if (q->op == DISK_DISCARD || q->op == DISK_ZERO) {
		prep_zeros(r, s, q);
	} else if (q->bounce) {
		prep_bounce(s, q);
	} else if (q->niov == 1 || q->got) {
		prep_piece(r, s, q);
	} else if (q->op == DISK_WRITE) {
		io_uring_prep_writev(s, 0, q->iov, q->niov, q->off);
	} else {
		io_uring_prep_readv(s, 0, q->iov, q->niov, q->off);
	}
	if (q->op == DISK_WRITE && q->fua)
		s->rw_flags |= RWF_DSYNC;
	s->fd = r->fixed_file ? 0 : r->d->fd;
	s->flags |= r->fixed_file ? IOSQE_FIXED_FILE : 0;
	io_uring_sqe_set_data(s, q);
	r->inflight++;
}

static void finish_later(struct disk_ring *r, struct disk_req *q, int res)
{
	q->res = res;
	list_put(&r->finished, q);
}

static void refill(struct disk_ring *r)
{
	while (r->waiting.head && r->inflight < r->depth) {
		struct disk_req *q = list_take(&r->waiting);

		if (q->unaligned && !q->bounce) {
			q->bounce = aligned_alloc(4096, MIN(ALIGN_UP(q->len, 4096ull), BOUNCE_MAX));
			if (!q->bounce) {
				finish_later(r, q, -ENOMEM);
				continue;
			}
		}
		prep(r, q);
	}
}

void disk_queue(struct disk_ring *r, struct disk_req *q)
{
	int ret;

	q->got = 0;
	q->chunk = 0;
	q->tries = 0;
	q->bounce = NULL;
	q->unaligned = false;
	ret = check(r->d, q);
	if (ret || r->d->info.null || (!q->len && q->op != DISK_FLUSH))
		finish_later(r, q, ret);
	else
		list_put(&r->waiting, q);
}

/* ---- to the kernel and back ---- */

static int bind_thread(struct disk_ring *r)
{
	r->bound = true;
	return r->disabled ? r->u->enable(&r->ring) : 0;
}

/* Takes back what the kernel has not seen: it reads the queue in no other call than enter. */
static void retract(struct disk_ring *r, int code)
{
	struct io_uring_sq *sq = &r->ring.sq;
	unsigned int head = io_uring_smp_load_acquire(sq->khead);

	for (unsigned int i = head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *s = &sq->sqes[i & *sq->kring_mask];

		r->inflight--;
		finish_later(r, (struct disk_req *)(uintptr_t)s->user_data, code);
	}
	sq->sqe_head = sq->sqe_tail = head;
	io_uring_smp_store_release(sq->ktail, head);
}

static int enter(struct disk_ring *r, unsigned int wait)
{
	int ret = r->bound ? 0 : bind_thread(r);

	if (!ret) {
		disk_tally_add(&r->tally.enters, 1);
		ret = r->u->enter(&r->ring, wait);
	}
	BUG_ON(ret == -EEXIST); /* two threads use the ring */
	return ret;
}

/* The kernel may take fewer than all: it stops behind one that it refuses. */
static int flush(struct disk_ring *r)
{
	unsigned int left = io_uring_sq_ready(&r->ring), tries = 0;

	while (left) {
		int ret = enter(r, 0);
		unsigned int now = io_uring_sq_ready(&r->ring);

		if (now < left) {
			tries = 0;
		} else if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
			retract(r, ret);
			return ret;
		} else if (++tries > TRIES) {
			return 0; /* short of memory: the next call tries again */
		}
		left = now;
	}
	return 0;
}

static void wake(struct disk_ring *r)
{
	uint64_t one = 1;

	/* -EAGAIN: the counter is full, so it is readable */
	(void)!sys_write(r->d->s, r->efd, &one, sizeof(one));
}

int disk_submit(struct disk_ring *r)
{
	int ret = 0;

	if (r->up) {
		refill(r);
		ret = flush(r);
	}
	if (r->armed && (r->finished.head || (r->up && io_uring_sq_ready(&r->ring))))
		wake(r);
	return ret;
}

static void tally(struct disk_ring *r, const struct disk_req *q, int res)
{
	struct disk_tally *t = &r->tally;

	if (res) {
		disk_tally_add(&t->errors, 1);
	} else if (q->op == DISK_READ) {
		disk_tally_add(&t->reads, 1);
		disk_tally_add(&t->bytes_read, q->len);
	} else if (q->op == DISK_WRITE) {
		disk_tally_add(&t->writes, 1);
		disk_tally_add(&t->bytes_written, q->len);
	} else {
		disk_tally_add(q->op == DISK_FLUSH ? &t->flushes : &t->others, 1);
	}
}

static void finish(struct disk_ring *r, struct disk_req *q, int res)
{
	free(q->bounce);
	q->bounce = NULL;
	tally(r, q, res);
	q->done(q, res);
}

/* What a failed or short completion means: 0: done; 1: go on from q->got; -errno: failed. */
static int judge(struct disk *d, struct disk_req *q, int res)
{
	if ((res == -EINTR || res == -EAGAIN) && q->tries++ < TRIES)
		return 1;
	if (res == -EOPNOTSUPP && q->how == HOW_PUNCH) {
		/* a discard is a hint, and a medium that takes none has done its part */
		d->no_punch = true;
		return q->op == DISK_ZERO;
	}
	if (res == -EOPNOTSUPP && q->how == HOW_ZERO_RANGE) {
		d->no_zero_range = true;
		return 1;
	}
	if (res < 0 || q->how == HOW_FSYNC || q->how == HOW_PUNCH || q->how == HOW_ZERO_RANGE)
		return res;
	if (!res)
		return -EIO; /* the end of the file */
	if (q->how == HOW_BOUNCE && q->op == DISK_READ)
		bounce_copy(q, false, (uint32_t)res);
	q->got += (uint32_t)res;
	q->tries = 0;
	return q->got < q->len;
}

/* Returns whether done() was called. */
static bool complete(struct disk_ring *r, struct disk_req *q, int res)
{
	r->inflight--;
	res = judge(r->d, q, res);
	if (res > 0) {
		list_put_first(&r->waiting, q);
		return false;
	}
	finish(r, q, res);
	return true;
}

static unsigned int reap_finished(struct disk_ring *r)
{
	struct disk_list l = r->finished;
	unsigned int n = 0;
	struct disk_req *q;

	if (!l.head)
		return 0;
	r->finished.head = NULL;
	r->finished.tail = &r->finished.head;
	while ((q = l.head)) {
		l.head = q->next;
		finish(r, q, q->res);
		n++;
	}
	return n;
}

/* Does the kernel hold completions that only an enter brings? */
static bool enter_due(const struct disk_ring *r)
{
	unsigned int flags = IORING_SQ_CQ_OVERFLOW;

#ifdef IORING_SQ_TASKRUN
	flags |= IORING_SQ_TASKRUN;
#endif
	return *(volatile unsigned int *)r->ring.sq.kflags & flags;
}

static unsigned int reap_ring(struct disk_ring *r)
{
	unsigned int n = 0, ready;
	struct io_uring_cqe *cqe;

	if (!r->inflight)
		return 0;
	if (enter_due(r))
		(void)!enter(r, 0);
	/* those that are there now, not those that their done() makes */
	for (ready = io_uring_cq_ready(&r->ring); ready; ready--) {
		struct disk_req *q;
		int res;

		if (io_uring_peek_cqe(&r->ring, &cqe))
			break;
		q = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&r->ring, cqe);
		n += complete(r, q, res);
	}
	return n;
}

unsigned int disk_poll(struct disk_ring *r)
{
	unsigned int n = reap_finished(r);

	if (!r->up)
		return n;
	n += reap_ring(r);
	if (r->waiting.head || io_uring_sq_ready(&r->ring))
		(void)!disk_submit(r); /* what it refuses is on the list of the finished */
	return n + reap_finished(r);
}

bool disk_ring_arm(struct disk_ring *r, bool on)
{
	r->armed = on;
	if (r->up)
		io_uring_cq_eventfd_toggle(&r->ring, on);
	if (!on)
		return false;
	if (r->finished.head)
		return true;
	if (!r->up)
		return false;
	/* The kernel sets the flag word and then looks whether the eventfd is on; we the other way
	 * round. A flag that is set may be stale, so it is the completions that count. */
	atomic_thread_fence(memory_order_seq_cst);
	if (r->inflight && enter_due(r))
		(void)!enter(r, 0);
	return io_uring_cq_ready(&r->ring) || io_uring_sq_ready(&r->ring) ||
	       (r->waiting.head && r->inflight < r->depth);
}

bool disk_ring_idle(const struct disk_ring *r)
{
	return !r->inflight && !r->waiting.head && !r->finished.head;
}

void disk_drain(struct disk_ring *r)
{
	while (!disk_ring_idle(r)) {
		(void)!disk_submit(r);
		if (disk_poll(r) || !r->inflight)
			continue;
		if (!io_uring_cq_ready(&r->ring))
			(void)!enter(r, 1);
	}
}
