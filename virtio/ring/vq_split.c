// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device's side of a split ring (virtio 1.2, 2.7).
 *
 * The driver writes heads of chains into the avail ring, then its index; the device writes ids and
 * lengths into the used ring, then its index. Indices run freely in 16 bits. The driver's index is
 * read again only when all that it announced was taken.
 */
#include "virtio/ring/inflight_priv.h"

int vqs_start(struct vq *q)
{
	const struct vq_cfg *c = &q->cfg;

	if (!IS_POW2(c->size) || (uint16_t)(c->avail_idx - c->used_idx) > c->size)
		return -EINVAL;
	q->s.desc = vq_ring_ptr(q->mem, c->desc, 16ull * c->size, 16);
	q->s.avail = vq_ring_ptr(q->mem, c->driver, split_avail_bytes(c->size), 2);
	q->s.used = vq_ring_ptr(q->mem, c->device, split_used_bytes(c->size), 4);
	if (!q->s.desc || !q->s.avail || !q->s.used)
		return -EINVAL;
	q->s.avail_idx = q->s.avail_seen = c->avail_idx;
	q->s.used_idx = c->used_idx;
	q->s.mask = (uint16_t)(c->size - 1);
	return 0;
}

/*
 * Walks a chain that begins with descriptor d of the ring. A chain is never longer than the ring
 * (2.7.5.3.1), which ends loops too; its indirect table, which comes last, counts with it.
 */
static __attribute__((noinline)) const char *walk(struct vq *q, struct vq_chain *c, struct vq_raw d)
{
	struct vq_table t = { q->s.desc, 0, q->cfg.size };
	struct vq_walk w = vq_walk_begin(c);
	unsigned int left = q->cfg.size;
	bool indirect = false;
	const char *why;
	uint32_t i;

	for (;;) {
		uint16_t flags = raw_third(d);

		if (flags & VQ_F_INDIRECT) {
			if (indirect)
				return "an indirect table inside an indirect table";
			why = vq_table_open(q, d.addr, raw_len(d), flags, &t);
			indirect = true;
			i = 0;
		} else {
			why = vq_walk_add(q, &w, d.addr, raw_len(d), flags & VQ_F_WRITE);
			i = raw_fourth(d);
			left--;
		}
		if (unlikely(why))
			return why;
		if (!(flags & (VQ_F_NEXT | VQ_F_INDIRECT)))
			return vq_walk_end(&w, c);
		if (unlikely(!left))
			return "a chain longer than the ring, or a loop";
		if (unlikely(i >= t.n))
			return "a next descriptor outside the table";
		if (unlikely(!vq_table_get(q, &t, i, &d)))
			return "an indirect table outside guest memory";
	}
}

/* Is there something behind avail_idx? Reads the driver's index. -EPROTO: it cannot be true. */
static int look(struct vq *q)
{
	const struct vq_savail *a = q->s.avail;
	/* Acquire: ring entries and descriptors are read after the index that announced them. */
	uint16_t idx = rd16_acquire(&a->idx);
	uint16_t held = (uint16_t)(q->s.avail_idx - q->s.used_idx + q->staged);

	/* The driver has back what was published; all else is ours or is offered. */
	if (unlikely((uint16_t)(idx - q->s.avail_idx) > q->cfg.size - held))
		return vq_break(q, "the avail index jumped by more than the ring holds");
	q->s.avail_seen = idx;
	return idx != q->s.avail_idx;
}

static inline int pop_head(struct vq *q, struct vq_chain *c, uint16_t head)
{
	const char *why = NULL;
	struct vq_raw d;

	if (unlikely(head >= q->cfg.size))
		return vq_break(q, "a head outside the descriptor table");
	d = desc_copy((uint8_t *)q->s.desc + 16u * head);
	if ((raw_third(d) & (VQ_F_NEXT | VQ_F_INDIRECT)) ||
	    !vq_chain_one(q, c, d, raw_third(d) & VQ_F_WRITE))
		why = walk(q, c, d);
	if (unlikely(why))
		return vq_break(q, why);
	c->id = head;
	c->ndesc = 1;
	q->pops++;
	return 1;
}

/* With inflight memory: first what a predecessor held; then marks. */
static __attribute__((noinline)) int pop_tracked(struct vq *q, struct vq_chain *c)
{
	struct vq_inflight *f = q->inflight;
	const struct vq_savail *a = q->s.avail;
	uint16_t head = vqi_resubmit(f);
	const char *why;
	int rc;

	if (head != VQI_NONE) {
		f->resubmit_at++;
		return pop_head(q, c, head);
	}
	rc = q->s.avail_seen == q->s.avail_idx ? look(q) : 1;
	if (rc <= 0)
		return rc;
	head = rd16(&a->ring[q->s.avail_idx & q->s.mask]);
	rc = pop_head(q, c, head);
	if (rc <= 0)
		return rc;
	why = vqi_split_pop(f, head);
	if (why)
		return vq_break(q, why);
	q->s.avail_idx++;
	return 1;
}

int vqs_pop(struct vq *q, struct vq_chain *c)
{
	const struct vq_savail *a = q->s.avail;
	int rc;

	if (unlikely(q->inflight))
		return pop_tracked(q, c);
	if (q->s.avail_seen == q->s.avail_idx) {
		rc = look(q);
		if (rc <= 0)
			return rc;
	}
	rc = pop_head(q, c, rd16(&a->ring[q->s.avail_idx & q->s.mask]));
	q->s.avail_idx = (uint16_t)(q->s.avail_idx + (rc > 0));
	return rc;
}

void vqs_unpop(struct vq *q, unsigned int n)
{
	q->s.avail_idx = (uint16_t)(q->s.avail_idx - n);
}

void vqs_push(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	struct vq_sused *u = q->s.used;

	u->ring[q->s.used_idx & q->s.mask] = (struct vq_selem){ c->id, written };
	q->s.used_idx++;
	q->staged++;
}

bool vqs_publish(struct vq *q)
{
	uint16_t now = q->s.used_idx, old = (uint16_t)(now - q->staged);
	struct vq_savail *a = q->s.avail;
	struct vq_sused *u = q->s.used;

	if (unlikely(q->inflight))
		vqi_split_begin(q->inflight);
	/* Release: the elements are seen before the index. */
	wr16_release(&u->idx, now);
	if (unlikely(q->inflight))
		vqi_split_end(q->inflight, now);
	/* The index before the look at what the driver wants: the driver does it the other way
	 * around, so one of the two sees the other (2.7.7.2). */
	full_barrier();
	if (!q->cfg.event_idx)
		return !(rd16(&a->flags) & VQ_NO_NOTIFY);
	return !q->fresh || vq_passed(rd16(split_used_event(a, q->cfg.size)), now, old);
}

bool vqs_notify(struct vq *q, bool on)
{
	struct vq_savail *a = q->s.avail;
	struct vq_sused *u = q->s.used;

	/* With an event index, not moving it on is what silences the driver. */
	if (q->cfg.event_idx) {
		if (on)
			wr16(split_avail_event(u, q->cfg.size), q->s.avail_idx);
	} else {
		wr16(&u->flags, on ? 0 : VQ_NO_NOTIFY);
	}
	if (!on)
		return false;
	/* Our wish before the last look at the driver's index (2.7.10). */
	full_barrier();
	return rd16(&a->idx) != q->s.avail_idx;
}

bool vqs_pending(const struct vq *q)
{
	const struct vq_savail *a = q->s.avail;

	return q->s.avail_seen != q->s.avail_idx || rd16(&a->idx) != q->s.avail_idx;
}
