// SPDX-License-Identifier: BSD-3-Clause
/*
 * A request is a header of 16 bytes, data, and a status byte, which is the last byte that the
 * device may write (virtio 1.2, 5.2.6). How they lie in descriptors is the driver's business, so
 * the parser knows bytes only: all chains are popped into one large array, and the pieces that are
 * data are copied from there into the request's own, smaller one.
 *
 * Whatever a request asks wrongly is answered in its status byte. The queue is broken only by what
 * cannot be answered: a chain that breaks the ring's rules, or one without room for a status.
 *
 * Requests are taken while there are free slots, all made at the beginning, and completed in any
 * order, unless the driver accepted IN_ORDER: then a finished one waits for those before it.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/le.h"
#include "virtio/blk/blkq.h"
#include "virtio/ring/inflight.h"

#define HDR_SIZE     16
#define SECTOR_SHIFT 9
#define SECTOR	     512u
#define CHAIN_MAX    1056 /* iovecs of any chain; longer ones break the queue */
#define RANGES_MAX   16	  /* of one discard or write-zeroes request */
#define RANGE_MAX    0x3fffffu
#define PENDING	     -1 /* a request's status, not known yet */

struct range {
	uint64_t off, len;
	bool unmap;
};

struct slot {
	struct disk_req req;
	struct blkq *b;
	struct vq_chain chain;
	uint8_t *status;
	struct slot *next; /* free, or in order of the pops */
	int result;	   /* status, PENDING: with the disk */
	unsigned int at, nranges;
	struct range range[RANGES_MAX];
	struct iovec *iov; /* seg_max of them */
};

struct blkq {
	struct blkq_cfg cfg;
	struct disk_ring *ring;
	struct vq vq;
	bool running, dead, armed, writethrough;
	char serial[VIRTIO_BLK_ID_BYTES];
	struct slot *free, *first, **last; /* first, last: under way, with IN_ORDER */
	unsigned int staged;
	struct slot *slots;
	struct iovec *iovs; /* apart: what is never used is never touched */
	struct iovec chain[CHAIN_MAX];
	atomic_ullong errors, calls, calls_spared;
};

/* ---- making ---- */

static void put_free(struct blkq *b, struct slot *s)
{
	s->next = b->free;
	b->free = s;
}

static int make_slots(struct blkq *b)
{
	b->slots = calloc(b->cfg.depth, sizeof(*b->slots));
	b->iovs = calloc((size_t)b->cfg.depth * b->cfg.seg_max, sizeof(*b->iovs));
	if (!b->slots || !b->iovs)
		return -ENOMEM;
	for (unsigned int i = b->cfg.depth; i-- > 0;) {
		struct slot *s = &b->slots[i];

		s->b = b;
		s->iov = b->iovs + (size_t)i * b->cfg.seg_max;
		put_free(b, s);
	}
	return 0;
}

int blkq_new(const struct blkq_cfg *c, struct blkq **out, struct err *e)
{
	struct disk_ring_cfg r = {
		.depth = c->depth, .fixed = c->fixed, .nfixed = c->nfixed, .poll = true
	}; /* armed by blkq_arm() only */
	struct blkq *b;
	int ret;

	*out = NULL;
	if (!c->seg_max || c->seg_max > CHAIN_MAX - 32)
		return err_set(e, -EINVAL, "a disk request of %u segments: 1 to %u are possible",
			       c->seg_max, CHAIN_MAX - 32);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_sys(e, -ENOMEM, "a disk queue");
	b->cfg = *c;
	b->last = &b->first;
	if (c->serial)
		memcpy(b->serial, c->serial, strnlen(c->serial, sizeof(b->serial)));
	ret = disk_ring_new(c->disk, &r, &b->ring, e);
	if (!ret && make_slots(b))
		ret = err_sys(e, -ENOMEM, "a disk queue of %u requests", c->depth);
	if (ret) {
		blkq_free(b);
		return ret;
	}
	*out = b;
	return 0;
}

void blkq_free(struct blkq *b)
{
	if (!b)
		return;
	disk_ring_free(b->ring);
	free(b->slots);
	free(b->iovs);
	free(b);
}

/* ---- completing ---- */

static void give_back(struct blkq *b, struct slot *s)
{
	/* the status is the last thing seen, and the driver may look as soon as it is published */
	*(volatile uint8_t *)s->status = (uint8_t)s->result;
	if (s->result != VIRTIO_BLK_S_OK)
		atomic_fetch_add_explicit(&b->errors, 1, memory_order_relaxed);
	vq_push(&b->vq, &s->chain, s->chain.in_len);
	b->staged++;
	put_free(b, s);
}

static void finish(struct blkq *b, struct slot *s, int status)
{
	s->result = status;
	if (!b->vq.cfg.in_order) {
		give_back(b, s);
		return;
	}
	while (b->first && b->first->result != PENDING) {
		s = b->first;
		b->first = s->next;
		if (!b->first)
			b->last = &b->first;
		give_back(b, s);
	}
}

static uint8_t status_of(int res)
{
	return !res		    ? VIRTIO_BLK_S_OK
	       : res == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP
				    : VIRTIO_BLK_S_IOERR;
}

static void rw_done(struct disk_req *r, int res)
{
	struct slot *s = container_of(r, struct slot, req);

	finish(s->b, s, status_of(res));
}

/* ---- taking ---- */

/* The bytes [skip, skip + len) of a chain's part as the request's own iovecs. */
static int cut(struct slot *s, const struct iovec *v, unsigned int n, size_t skip, size_t len)
{
	unsigned int k = 0;

	for (; n && len; v++, n--) {
		size_t part = v->iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part = MIN(part - skip, len);
		if (k == s->b->cfg.seg_max)
			return -E2BIG;
		s->iov[k].iov_base = (char *)v->iov_base + skip;
		s->iov[k++].iov_len = part;
		len -= part;
		skip = 0;
	}
	s->req.iov = s->iov;
	s->req.niov = k;
	return 0;
}

static int start_rw(struct blkq *b, struct slot *s, uint64_t sector, bool write)
{
	const struct vq_chain *c = &s->chain;
	struct disk_req *q = &s->req;
	int ret;

	q->op = write ? DISK_WRITE : DISK_READ;
	q->len = write ? c->out_len - HDR_SIZE : c->in_len - 1;
	q->fua = b->writethrough;
	q->done = rw_done;
	if (q->len % SECTOR || ckd_mul(&q->off, sector, SECTOR) || (write && b->cfg.readonly))
		return VIRTIO_BLK_S_IOERR;
	if (write)
		ret = cut(s, c->iov, c->nout, HDR_SIZE, q->len);
	else
		ret = cut(s, c->iov + c->nout, c->nin, 0, q->len);
	if (ret)
		return VIRTIO_BLK_S_IOERR;
	disk_queue(b->ring, q); /* refuses what is beyond the end */
	return PENDING;
}

static int start_flush(struct blkq *b, struct slot *s)
{
	s->req.op = DISK_FLUSH;
	s->req.done = rw_done;
	disk_queue(b->ring, &s->req);
	return PENDING;
}

static int get_id(struct blkq *b, struct slot *s)
{
	const struct vq_chain *c = &s->chain;

	vq_iov_write(c->iov + c->nout, c->nin, 0, b->serial,
		     MIN((size_t)c->in_len - 1, sizeof(b->serial)));
	return VIRTIO_BLK_S_OK;
}

/* One range after the other, skipping empty ones; false: there is none left. */
static bool next_range(struct slot *s)
{
	while (s->at < s->nranges && !s->range[s->at].len)
		s->at++;
	if (s->at == s->nranges)
		return false;
	s->req.off = s->range[s->at].off;
	s->req.len = s->range[s->at].len;
	s->req.unmap = s->range[s->at].unmap;
	s->at++;
	disk_queue(s->b->ring, &s->req);
	return true;
}

static void range_done(struct disk_req *r, int res)
{
	struct slot *s = container_of(r, struct slot, req);

	if (!res && next_range(s))
		return;
	if (!res && r->op == DISK_ZERO && s->b->writethrough) {
		r->op = DISK_FLUSH;
		disk_queue(s->b->ring, r);
		return;
	}
	finish(s->b, s, status_of(res));
}

/* 5.2.6.2: unknown flags, and unmap in a discard, are not supported. */
static int check_range(struct slot *s, const struct virtio_blk_discard_write_zeroes *w, bool zero,
		       uint64_t size)
{
	struct range *r = &s->range[s->nranges++];
	uint32_t flags = le32toh(w->flags), sectors = le32toh(w->num_sectors);

	if (flags & ~(zero ? (uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	r->unmap = flags;
	r->len = (uint64_t)sectors * SECTOR;
	if (ckd_mul(&r->off, le64toh(w->sector), SECTOR) || !range_ok(r->off, r->len, size) ||
	    sectors > RANGE_MAX)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* All ranges are checked before the first is touched. */
static int start_ranges(struct blkq *b, struct slot *s, bool zero)
{
	const struct vq_chain *c = &s->chain;
	struct virtio_blk_discard_write_zeroes w;
	uint32_t len = c->out_len - HDR_SIZE;
	struct disk_info info;

	disk_info(b->cfg.disk, &info);
	if (b->cfg.readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!(zero ? info.write_zeroes : info.discard))
		return VIRTIO_BLK_S_UNSUPP;
	if (!len || len % sizeof(w) || len / sizeof(w) > RANGES_MAX)
		return VIRTIO_BLK_S_IOERR;
	s->at = s->nranges = 0;
	for (uint32_t at = 0; at < len; at += sizeof(w)) {
		int st;

		vq_iov_read(c->iov, c->nout, HDR_SIZE + at, &w, sizeof(w));
		st = check_range(s, &w, zero, info.size);
		if (st != VIRTIO_BLK_S_OK)
			return st;
	}
	s->req.op = zero ? DISK_ZERO : DISK_DISCARD;
	s->req.done = range_done;
	return next_range(s) ? PENDING : VIRTIO_BLK_S_OK;
}

/* The header is copied once; what it says is believed from the copy only. */
static int start(struct blkq *b, struct slot *s)
{
	const struct vq_chain *c = &s->chain;
	struct virtio_blk_outhdr h;

	if (vq_iov_read(c->iov, c->nout, 0, &h, sizeof(h)) < sizeof(h))
		return VIRTIO_BLK_S_IOERR;
	switch (le32toh(h.type)) {
	case VIRTIO_BLK_T_IN:
		return start_rw(b, s, le64toh(h.sector), false);
	case VIRTIO_BLK_T_OUT:
		return start_rw(b, s, le64toh(h.sector), true);
	case VIRTIO_BLK_T_FLUSH:
		return start_flush(b, s);
	case VIRTIO_BLK_T_GET_ID:
		return get_id(b, s);
	case VIRTIO_BLK_T_DISCARD:
		return start_ranges(b, s, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return start_ranges(b, s, true);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void die(struct blkq *b, const char *why)
{
	b->dead = true;
	if (b->cfg.broken)
		b->cfg.broken(b->cfg.arg, why);
}

static uint8_t *status_byte(const struct vq_chain *c)
{
	for (unsigned int i = c->nout + c->nin; i-- > c->nout;)
		if (c->iov[i].iov_len)
			return (uint8_t *)c->iov[i].iov_base + c->iov[i].iov_len - 1;
	return NULL;
}

static bool take_one(struct blkq *b)
{
	struct vq_chain c = { .iov = b->chain, .cap = CHAIN_MAX };
	struct slot *s = b->free;
	int ret;

	ret = vq_pop(&b->vq, &c);
	if (ret <= 0) {
		if (ret < 0)
			die(b, b->vq.broken ? b->vq.broken : "the ring broke");
		return false;
	}
	s->chain = c;
	s->status = status_byte(&c);
	if (!s->status) {
		die(b, "a disk request has no room for its status");
		return false;
	}
	b->free = s->next;
	s->next = NULL;
	s->result = PENDING;
	if (b->vq.cfg.in_order) {
		*b->last = s;
		b->last = &s->next;
	}
	ret = start(b, s);
	if (ret != PENDING)
		finish(b, s, ret);
	return true;
}

/* ---- the owner's calls ---- */

static void publish(struct blkq *b)
{
	if (!b->staged)
		return;
	b->staged = 0;
	if (vq_publish(&b->vq) && b->cfg.call)
		b->cfg.call(b->cfg.arg);
	atomic_store_explicit(&b->calls, b->vq.calls, memory_order_relaxed);
	atomic_store_explicit(&b->calls_spared, b->vq.calls_spared, memory_order_relaxed);
}

unsigned int blkq_run(struct blkq *b)
{
	unsigned int n, taken = 0;

	if (!b->running)
		return 0;
	if (b->armed) {
		b->armed = false;
		disk_ring_arm(b->ring, false);
		vq_notify(&b->vq, false);
	}
	n = disk_poll(b->ring);
	while (!b->dead && b->free && taken < b->cfg.depth && take_one(b))
		taken++;
	if (taken) {
		(void)!disk_submit(b->ring); /* what it refuses comes back by disk_poll() */
		n += disk_poll(b->ring);
	}
	publish(b);
	return n + taken;
}

bool blkq_arm(struct blkq *b)
{
	bool more;

	if (!b->running)
		return false;
	b->armed = true;
	more = disk_ring_arm(b->ring, true);
	/* with all slots taken a kick is of no use: the next completion comes first */
	if (!b->dead && b->free && vq_notify(&b->vq, true))
		more = true;
	return more;
}

int blkq_fd(const struct blkq *b)
{
	return disk_ring_fd(b->ring);
}

void blkq_writethrough(struct blkq *b, bool on)
{
	b->writethrough = on;
}

int blkq_start(struct blkq *b, const struct vq_mem *mem, const struct vq_cfg *cfg,
	       struct vq_inflight *inflight)
{
	int ret;

	if (b->running)
		return -EBUSY;
	ret = vq_start_inflight(&b->vq, mem, cfg, inflight);
	if (ret)
		return ret;
	b->running = true;
	b->dead = b->armed = false;
	vq_notify(&b->vq, false);
	return 0;
}

void blkq_stop(struct blkq *b, uint16_t *avail_idx, uint16_t *used_idx)
{
	if (!b->running)
		return;
	disk_drain(b->ring);
	publish(b);
	if (b->armed)
		disk_ring_arm(b->ring, false);
	b->running = b->armed = false;
	vq_state(&b->vq, avail_idx, used_idx);
}

void blkq_count(const struct blkq *b, struct blkq_count *out)
{
	struct disk_count d;

	disk_ring_count(b->ring, &d);
	*out = (struct blkq_count){
		.reads = d.reads,
		.writes = d.writes,
		.flushes = d.flushes,
		.others = d.others,
		.errors = atomic_load_explicit(&b->errors, memory_order_relaxed),
		.bytes_read = d.bytes_read,
		.bytes_written = d.bytes_written,
		.enters = d.enters,
		.calls = atomic_load_explicit(&b->calls, memory_order_relaxed),
		.calls_spared = atomic_load_explicit(&b->calls_spared, memory_order_relaxed),
	};
}

/* ---- config space ---- */

#define AT(field) (buf + offsetof(struct virtio_blk_config, field))

void blkq_config(const struct disk_info *i, unsigned int queues, unsigned int seg_max,
		 uint8_t buf[BLKQ_CFG_SIZE])
{
	memset(buf, 0, BLKQ_CFG_SIZE);
	le64_put(AT(capacity), i->size >> SECTOR_SHIFT);
	le32_put(AT(seg_max), seg_max);
	le32_put(AT(blk_size), i->block);
	*AT(physical_block_exp) = (uint8_t)__builtin_ctz(i->phys_block / i->block);
	le16_put(AT(min_io_size), (uint16_t)MIN(i->phys_block / i->block, 65535u));
	le16_put(AT(num_queues), (uint16_t)queues);
	if (i->discard) {
		le32_put(AT(max_discard_sectors), RANGE_MAX);
		le32_put(AT(max_discard_seg), RANGES_MAX);
		le32_put(AT(discard_sector_alignment), i->phys_block / SECTOR);
	}
	if (i->write_zeroes) {
		le32_put(AT(max_write_zeroes_sectors), RANGE_MAX);
		le32_put(AT(max_write_zeroes_seg), RANGES_MAX);
		*AT(write_zeroes_may_unmap) = i->discard;
	}
}

#define BIT(n) (1ull << (n))

uint64_t blkq_features(const struct disk_info *i, unsigned int queues)
{
	uint64_t f = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH);

	if (queues > 1)
		f |= BIT(VIRTIO_BLK_F_MQ);
	if (i->readonly)
		return f | BIT(VIRTIO_BLK_F_RO);
	return f | (i->discard ? BIT(VIRTIO_BLK_F_DISCARD) : 0) |
	       (i->write_zeroes ? BIT(VIRTIO_BLK_F_WRITE_ZEROES) : 0);
}
