// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where queues begin: a fresh one at its beginning, one that a backend has given back (a pause)
 * where it said it stood, and one that a backend has worked on where that backend stood when it
 * vanished. It could not say, so the ring must:
 *
 * - Inflight memory tells the next backend itself what was held; the index sent along is the one of
 *   the first buffer that was not handed back.
 * - Without it, a device that uses buffers in the order of the ring is where its used index is.
 *   Whether it was such a device is agreed on (VIRTIO_F_IN_ORDER), known (it would have agreed, but
 *   the driver, like Linux, did not ask: librte_vhost), or seen: of what the ring still
 *   remembers, all that came before that index was used, and nothing else. A buffer that is held
 *   longer than the ring remembers is not seen: all the others would have overtaken it.
 * - A packed ring is searched for the first buffer that was not used; only if the order is agreed
 *   on or known. Without a hope of that a packed ring is not offered (vu_dev_feat.c). The driver of
 *   a ring without indirect tables can make it ambiguous by going on, as long as few buffers were
 *   used, so such a ring is looked at when the backend vanishes, too. What is left is a backend
 *   that vanishes with one of the first buffers in its hands.
 *
 * Everything else would lose requests or do them twice, so the guest has to reset the device.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "virtio/ring/inflight.h"
#include "virtio/vu_dev_priv.h"

#define RUN	   8  /* buffers in order that say that the device has caught up */
#define USED_ENTRY 8u /* id and length (virtio 1.2, 2.7.8) */

static uint16_t load16(const uint8_t *p)
{
	return atomic_load_explicit((const _Atomic uint16_t *)(const void *)p,
				    memory_order_acquire);
}

/* A split ring as it is found; the driver may write while we look, and break its own ring by it. */
struct look {
	const uint8_t *avail, *used;
	uint16_t size, made, done; /* made available; used: free-running */
};

static uint16_t avail_at(const struct look *l, uint16_t i)
{
	return load16(l->avail + 4 + 2u * (i & (l->size - 1u)));
}

static uint16_t used_at(const struct look *l, uint16_t i)
{
	return load16(l->used + 4 + USED_ENTRY * (i & (l->size - 1u)));
}

/* Where to count from: the beginning of all, if the ring still has it, or behind the first RUN
 * buffers that were used in order: nothing was held up then. False: there is no such place. */
static bool settled(const struct look *l, uint16_t *from)
{
	unsigned int run = 0;

	if (l->made < l->size && l->done <= l->made) { /* or once in 65536 a look less */
		*from = 0;
		return true;
	}
	for (uint16_t i = (uint16_t)(l->made - l->size); i != l->done; i++) {
		run = avail_at(l, i) == used_at(l, i) ? run + 1 : 0;
		if (run < RUN)
			continue;
		*from = (uint16_t)(i + 1);
		return true;
	}
	return false;
}

/* Were all buffers that came before the used index used, in whatever order? Counts, for each head:
 * made available less used, from there to the used index; and the rest must be different ones. */
static bool balanced(const struct look *l, uint16_t from, int16_t *count)
{
	for (uint16_t i = from; i != l->done; i++) {
		uint16_t a = avail_at(l, i), u = used_at(l, i);

		if (a >= l->size || u >= l->size)
			return false;
		count[a]++;
		count[u]--;
	}
	for (unsigned int h = 0; h < l->size; h++)
		if (count[h])
			return false;
	for (uint16_t i = l->done; i != l->made; i++) {
		uint16_t a = avail_at(l, i);

		if (a >= l->size || count[a]++)
			return false;
	}
	return true;
}

/* Is what is missing exactly what comes behind the used index? */
static bool seen_in_order(const struct vq_mem *mem, const struct vq_cfg *c)
{
	struct look l = { .avail = vq_mem_ptr(mem, c->driver, 4 + 2ull * c->size),
			  .used = vq_mem_ptr(mem, c->device, 4 + (uint64_t)USED_ENTRY * c->size),
			  .size = c->size };
	int16_t *count;
	uint16_t from;
	bool ok;

	if (!l.avail || !l.used)
		return false;
	l.made = load16(l.avail + 2);
	l.done = load16(l.used + 2);
	if (l.made == l.done)
		return true; /* nothing is missing */
	if ((uint16_t)(l.made - l.done) > c->size || !settled(&l, &from))
		return false;
	count = calloc(c->size, sizeof(*count));
	ok = count && balanced(&l, from, count);
	free(count);
	return ok;
}

/* Will this backend learn from inflight memory what was held? One that came back may be of another
 * kind than the one that kept it. */
static bool has_inflight(const struct vu *u)
{
	return u->inflight_fd >= 0 && (u->proto & VU_P(VU_P_INFLIGHT));
}

static int recover_split(struct vu *u, struct vq_cfg *c, struct err *e)
{
	if (!has_inflight(u) && !c->in_order && !u->orderly && !seen_in_order(&u->v.mem, c))
		return err_set(
			e, -EUCLEAN,
			"requests were done out of order and the backend has no inflight "
			"memory: which ones are lost cannot be told; reset the device in the "
			"guest");
	if (vq_recover_split_used_idx(&u->v.mem, c))
		return err_set(e, -EUCLEAN, "a ring left the guest's memory");
	return 0;
}

static int recover_packed(struct vu *u, struct vq_cfg *c, struct err *e)
{
	bool ordered = c->in_order || u->orderly;
	int rc = ordered || has_inflight(u) ? vq_recover_packed(&u->v.mem, c) : -EUCLEAN;

	if (rc == -EAGAIN)
		return err_set(e, rc, "the guest is adding a buffer");
	/* The inflight memory knows; the index is not looked at. */
	if (rc && has_inflight(u))
		return 0;
	if (rc)
		return err_set(e, -EUCLEAN,
			       "where the backend stood in a packed ring cannot be told; reset the "
			       "device in the guest");
	return 0;
}

/*
 * Is what the backend said when it gave the queue back all there is to know? Not when it kept
 * buffers: then it is as if it had vanished. Of a packed ring some say only the available offset.
 */
static bool given_back(const struct vu *u, unsigned int q, struct vq_cfg *c)
{
	uint16_t avail = (uint16_t)u->told_base[q], used = (uint16_t)(u->told_base[q] >> 16);
	const uint8_t *p;

	if (!(u->told & 1ull << q))
		return false;
	if (c->packed) {
		used = used ? used : avail;
	} else {
		p = vq_mem_ptr(&u->v.mem, c->device, 4);
		used = p ? load16(p + 2) : (uint16_t)~avail;
	}
	if (avail != used)
		return false;
	c->avail_idx = c->used_idx = avail;
	return true;
}

/* As SET_VRING_BASE has it: split: the available index; packed: both offsets, wrap counters in
 * their bit 15. */
static uint32_t wire_base(const struct vq_cfg *c)
{
	return c->packed ? c->avail_idx | (uint32_t)c->used_idx << 16 : c->avail_idx;
}

/* A queue, and where its backend stood once: that is what the last one was told. */
static void queue_cfg(struct vu *u, unsigned int q, struct vq_cfg *c)
{
	vio_vq_cfg(&u->v, q, c);
	if (c->packed && u->served & 1ull << q)
		c->used_idx = (uint16_t)(u->base[q] >> 16);
}

void vu_ring_lost(struct vu *u)
{
	for (unsigned int q = 0; q < u->ndata; q++) {
		struct err e = { 0 };
		struct vq_cfg c;

		if (!(u->given & 1ull << q))
			continue;
		queue_cfg(u, q, &c);
		if (c.packed && !recover_packed(u, &c, &e))
			u->base[q] = wire_base(&c);
	}
}

int vu_ring_bases(struct vu *u, struct err *e)
{
	for (unsigned int q = 0; q < u->ndata; q++) {
		struct vq_cfg c;
		int rc = 0;

		if (!vu_set(u, q))
			continue;
		queue_cfg(u, q, &c);
		if (u->served & 1ull << q && !given_back(u, q, &c))
			rc = c.packed ? recover_packed(u, &c, e) : recover_split(u, &c, e);
		if (rc) {
			err_prefix(e, "queue %u: ", q);
			return rc;
		}
		u->base[q] = wire_base(&c);
	}
	return 0;
}

static void signal_fd(struct vu *u, int fd)
{
	static const uint64_t one = 1;

	/* The only failure is a full counter, and then the other side has it coming already. */
	if (fd >= 0 && sys_write(u->sys, fd, &one, sizeof(one)) < 0)
		return;
}

void vu_ring_wake(struct vu *u)
{
	for (unsigned int q = 0; q < u->ndata; q++) {
		if (!vu_set(u, q))
			continue;
		signal_fd(u, u->v.q[q].kick);
		signal_fd(u, atomic_load(&u->v.q[q].call));
	}
}
