/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_RING_VQ_PRIV_H
#define VIRTIO_RING_VQ_PRIV_H

#include <errno.h>
#include <string.h>
#include "virtio/ring/vq.h"

/*
 * Ring layouts and what the walkers of both kinds share. All fields are little endian (virtio 1.2,
 * 2.7 and 2.8); so is every host that we run on.
 *
 * Guest memory is shared with running vCPUs, so each field of it is read once, by one of the
 * accessors below.
 */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Descriptor flags, both kinds. */
#define VQ_F_NEXT     1
#define VQ_F_WRITE    2
#define VQ_F_INDIRECT 4
/* Packed only. */
#define VQ_F_AVAIL (1 << 7)
#define VQ_F_USED  (1 << 15)

struct vq_sdesc { /* 2.7.5 */
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vq_savail { /* 2.7.6; used_event follows the ring */
	uint16_t flags, idx, ring[];
};

struct vq_selem {
	uint32_t id, len;
};

struct vq_sused { /* 2.7.8; avail_event follows the ring */
	uint16_t flags, idx;
	struct vq_selem ring[];
};

#define VQ_NO_NOTIFY 1 /* in used->flags and, for interrupts, avail->flags */

struct vq_pdesc { /* 2.8.13 */
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

struct vq_pevent { /* 2.8.14 */
	uint16_t off_wrap, flags;
};

enum { VQ_EV_ENABLE, VQ_EV_DISABLE, VQ_EV_DESC };

static inline uint16_t rd16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint16_t rd16_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void wr16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void wr16_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* A store to the ring before a load of what the other side stored: needs the full barrier. */
static inline void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/**
 * struct vq_raw - a copy of one descriptor, of either kind, as two words
 * Split: addr; len, flags, next. Packed: addr; len, id, flags.
 */
struct vq_raw {
	uint64_t addr, rest;
};

/* Copies a descriptor, which may lie at any address, into registers. The compiler must not go back
 * to the original, so it is not told that the value came from there. */
static inline struct vq_raw desc_copy(const void *from)
{
	struct vq_raw d;

	memcpy(&d, from, sizeof(d));
	__asm__ volatile("" : "+r"(d.addr), "+r"(d.rest));
	return d;
}

static inline uint32_t raw_len(struct vq_raw d)
{
	return (uint32_t)d.rest;
}

static inline uint16_t raw_third(struct vq_raw d)
{
	return (uint16_t)(d.rest >> 32);
}

static inline uint16_t raw_fourth(struct vq_raw d)
{
	return (uint16_t)(d.rest >> 48);
}

/* Did the index pass event on its way from old to now (2.7.10, 2.8.10)? */
static inline bool vq_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static inline uint16_t *split_used_event(void *avail, uint16_t size)
{
	return &((struct vq_savail *)avail)->ring[size];
}

static inline uint16_t *split_avail_event(void *used, uint16_t size)
{
	return (uint16_t *)(void *)&((struct vq_sused *)used)->ring[size];
}

static inline uint64_t split_avail_bytes(uint16_t size)
{
	return sizeof(struct vq_savail) + 2ull * size + 2;
}

static inline uint64_t split_used_bytes(uint16_t size)
{
	return sizeof(struct vq_sused) + sizeof(struct vq_selem) * (uint64_t)size + 2;
}

/* The flags of a descriptor that is available, or used, in a lap with this wrap counter. */
static inline uint16_t packed_avail_flags(bool wrap)
{
	return wrap ? VQ_F_AVAIL : VQ_F_USED;
}

static inline uint16_t packed_used_flags(bool wrap)
{
	return wrap ? VQ_F_AVAIL | VQ_F_USED : 0;
}

static inline bool packed_is_avail(uint16_t flags, bool wrap)
{
	return (flags & (VQ_F_AVAIL | VQ_F_USED)) == packed_avail_flags(wrap);
}

static inline bool packed_is_used(uint16_t flags, bool wrap)
{
	return (flags & (VQ_F_AVAIL | VQ_F_USED)) == packed_used_flags(wrap);
}

/* Moves a ring offset on by n slots, n <= size; the wrap counter turns at the end of the ring. */
static inline void packed_advance(uint16_t *off, bool *wrap, unsigned int n, uint16_t size)
{
	unsigned int at = *off + n;

	if (at >= size) {
		at -= size;
		*wrap = !*wrap;
	}
	*off = (uint16_t)at;
}

static inline void packed_retreat(uint16_t *off, bool *wrap, unsigned int n, uint16_t size)
{
	unsigned int at = *off;

	if (at < n) {
		at += size;
		*wrap = !*wrap;
	}
	*off = (uint16_t)(at - n);
}

static inline uint16_t packed_pack(uint16_t off, bool wrap)
{
	return (uint16_t)(off | (wrap ? 0x8000 : 0));
}

/*
 * Does the other side's event area want to hear of the n slots that end before [now, wrap]? The
 * event names an offset in this lap or, with the other wrap counter, in the one before.
 */
static inline bool packed_wants(struct vq_pevent *ev, uint16_t now, bool wrap, unsigned int n,
				uint16_t size, bool event_idx)
{
	uint16_t flags = rd16_acquire(&ev->flags), off;

	if (flags == VQ_EV_DISABLE)
		return false;
	if (flags != VQ_EV_DESC || !event_idx)
		return true;
	off = rd16(&ev->off_wrap);
	return vq_passed((uint16_t)((off & 0x7fff) - ((bool)(off >> 15) != wrap ? size : 0)), now,
			 (uint16_t)(now - n));
}

/**
 * struct vq_table - descriptors to be walked: the ring's own or an indirect table
 * @p: where they are, NULL: they cross from one region to the next and are gathered from @gpa
 */
struct vq_table {
	const uint8_t *p;
	uint64_t gpa;
	uint32_t n;
};

/* The two kinds; vq.c picks by cfg.packed. */
int vqs_start(struct vq *q);
int vqs_pop(struct vq *q, struct vq_chain *c);
void vqs_unpop(struct vq *q, unsigned int n);
void vqs_push(struct vq *q, const struct vq_chain *c, uint32_t written);
bool vqs_publish(struct vq *q);
bool vqs_notify(struct vq *q, bool on);
bool vqs_pending(const struct vq *q);
int vqp_start(struct vq *q);
int vqp_pop(struct vq *q, struct vq_chain *c);
void vqp_unpop(struct vq *q, unsigned int ndescs);
void vqp_push(struct vq *q, const struct vq_chain *c, uint32_t written);
bool vqp_publish(struct vq *q);
bool vqp_notify(struct vq *q, bool on);
bool vqp_pending(const struct vq *q);

/** vq_break() - the driver broke a rule; the first one is kept. Always -EPROTO. */
int vq_break(struct vq *q, const char *why) __attribute__((cold));

/** vq_ring_ptr() - where a ring of this device-visible address is; NULL: not in one region or
 * misaligned, here or there. */
void *vq_ring_ptr(const struct vq_mem *m, uint64_t gpa, uint64_t len, unsigned int align);

/** vq_mem_copy() - copy from guest memory that may cross regions; false: some of it is not there.
 */
bool vq_mem_copy(const struct vq_mem *m, uint64_t gpa, void *buf, size_t len);

/**
 * struct vq_walk - a chain while it is walked; lives in registers
 * @at:   iovecs so far; @nout: of them readable
 * @len:  bytes so far; @out_len: of them readable
 */
struct vq_walk {
	struct iovec *iov;
	unsigned int cap, at, nout;
	uint64_t len, out_len;
};

/** vq_walk_cross() - iovecs from @at on for what is not in the region last used. Returns how many
 * there are then, or 0 and *why. */
unsigned int vq_walk_cross(struct vq *q, struct iovec *iov, unsigned int cap, unsigned int at,
			   uint64_t addr, uint32_t len, const char **why);

/** vq_table_open() - check an indirect descriptor; NULL or why it is bad. */
const char *vq_table_open(struct vq *q, uint64_t addr, uint32_t len, uint16_t flags,
			  struct vq_table *t);

/** vq_table_get() - copy descriptor i < n of a table. */
static inline bool vq_table_get(const struct vq *q, const struct vq_table *t, uint32_t i,
				struct vq_raw *d)
{
	struct vq_raw gathered;

	if (unlikely(!t->p)) {
		if (!vq_mem_copy(q->mem, t->gpa + 16ull * i, &gathered, sizeof(gathered)))
			return false;
		*d = gathered;
		return true;
	}
	*d = desc_copy(t->p + 16ull * i);
	return true;
}

static inline struct vq_walk vq_walk_begin(const struct vq_chain *c)
{
	return (struct vq_walk){ .iov = c->iov, .cap = c->cap };
}

/** vq_walk_add() - append one descriptor's memory; NULL or why it is bad. */
static inline __attribute__((always_inline)) const char *vq_walk_add(struct vq *q,
								     struct vq_walk *w,
								     uint64_t addr, uint32_t len,
								     bool write)
{
	const struct vq_region *r = q->region;
	unsigned int before = w->at;
	uint64_t off = addr - r->gpa;
	const char *why;

	if (unlikely(!len))
		return "a descriptor of zero length";
	if (likely(range_ok(off, len, r->size) && before < w->cap)) {
		w->iov[before] = (struct iovec){ r->hva + off, len };
		w->at = before + 1;
	} else {
		w->at = vq_walk_cross(q, w->iov, w->cap, before, addr, len, &why);
		if (!w->at)
			return why;
	}
	w->len += len;
	if (write)
		return NULL;
	if (unlikely(w->nout != before))
		return "a readable descriptor after a writable one";
	w->nout = w->at;
	w->out_len = w->len;
	return NULL;
}

/** vq_chain_one() - a chain of one descriptor in the region last used; false: walk it. */
static inline bool vq_chain_one(const struct vq *q, struct vq_chain *c, struct vq_raw d, bool write)
{
	const struct vq_region *r = q->region;
	uint64_t off = d.addr - r->gpa;
	uint32_t len = raw_len(d);

	if (unlikely(!len || !range_ok(off, len, r->size) || !c->cap))
		return false;
	c->iov[0] = (struct iovec){ r->hva + off, len };
	c->nout = !write;
	c->nin = write;
	c->out_len = write ? 0 : len;
	c->in_len = write ? len : 0;
	return true;
}

/** vq_walk_end() - fill the chain; NULL or why it is bad. */
static inline const char *vq_walk_end(const struct vq_walk *w, struct vq_chain *c)
{
	c->nout = w->nout;
	c->nin = w->at - w->nout;
	c->out_len = (uint32_t)w->out_len;
	c->in_len = (uint32_t)(w->len - w->out_len);
	/* A chain has fewer descriptors than would make the sums wrap (2.7.5.2: below 4 GiB). */
	return unlikely(w->len > UINT32_MAX) ? "lengths of a chain add up to 4 GiB or more" : NULL;
}

#endif
