// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device's side of a packed ring (virtio 1.2, 2.8).
 *
 * One ring of descriptors, written by both sides. A slot is available when its AVAIL flag is the
 * lap's wrap counter and its USED flag is not; the device writes one used element over the first
 * slot of a buffer and skips the others. The flags of the first element of a batch are stored last:
 * the driver looks at elements in order, so they publish the batch.
 */
#include "virtio/ring/inflight_priv.h"

int vqp_start(struct vq *q)
{
	const struct vq_cfg *c = &q->cfg;
	bool aw = c->avail_idx >> 15, uw = c->used_idx >> 15;
	int held;

	q->p.ring = vq_ring_ptr(q->mem, c->desc, 16ull * c->size, 16);
	q->p.driver = vq_ring_ptr(q->mem, c->driver, sizeof(struct vq_pevent), 4);
	q->p.device = vq_ring_ptr(q->mem, c->device, sizeof(struct vq_pevent), 4);
	if (!q->p.ring || !q->p.driver || !q->p.device)
		return -EINVAL;
	q->p.next = c->avail_idx & 0x7fff;
	q->p.used = c->used_idx & 0x7fff;
	q->p.avail_wrap = aw;
	q->p.used_wrap = uw;
	held = q->p.next - q->p.used + (aw != uw ? c->size : 0);
	if (q->p.next >= c->size || q->p.used >= c->size || held < 0 || held > c->size)
		return -EINVAL;
	q->p.inuse = (uint16_t)held;
	return 0;
}

/* An indirect table of a packed ring is an array: flags other than WRITE mean nothing, but a table
 * in a table we do not let pass (2.8.7). */
static const char *walk_table(struct vq *q, struct vq_walk *into, struct vq_raw by)
{
	struct vq_walk w = *into;
	struct vq_table t;
	struct vq_raw d;
	const char *why;

	why = vq_table_open(q, by.addr, raw_len(by), raw_fourth(by), &t);
	for (uint32_t i = 0; !why && i < t.n; i++) {
		if (unlikely(!vq_table_get(q, &t, i, &d)))
			return "an indirect table outside guest memory";
		if (unlikely(raw_fourth(d) & VQ_F_INDIRECT))
			return "an indirect table inside an indirect table";
		why = vq_walk_add(q, &w, d.addr, raw_len(d), raw_fourth(d) & VQ_F_WRITE);
	}
	*into = w;
	return why;
}

static inline const char *add_desc(struct vq *q, struct vq_walk *w, struct vq_raw d)
{
	struct vq_walk table;
	const char *why;

	if (likely(!(raw_fourth(d) & VQ_F_INDIRECT)))
		return vq_walk_add(q, w, d.addr, raw_len(d), raw_fourth(d) & VQ_F_WRITE);
	table = *w;
	why = walk_table(q, &table, d);
	*w = table;
	return why;
}

/* Walks the list of slots that begins at q->p.next with d. The slots that the device holds are not
 * the driver's to offer again, which bounds the walk. */
static __attribute__((noinline)) const char *walk(struct vq *q, struct vq_chain *c, struct vq_raw d)
{
	unsigned int room = (unsigned int)q->cfg.size - q->p.inuse - q->staged_slots;
	struct vq_walk w = vq_walk_begin(c);
	struct vq_pdesc *ring = q->p.ring;
	unsigned int at = q->p.next, n = 0;
	const char *why;

	for (;;) {
		if (unlikely(n == room))
			return "a chain longer than the ring has room for";
		why = add_desc(q, &w, d);
		if (unlikely(why))
			return why;
		if (unlikely(q->inflight))
			vqi_packed_desc(q->inflight, n, d);
		n++;
		if (!(raw_fourth(d) & VQ_F_NEXT))
			break;
		at = at + 1 == q->cfg.size ? 0 : at + 1;
		d = desc_copy(&ring[at]);
	}
	c->ndesc = (uint16_t)n;
	c->id = raw_third(d); /* it is in the last one (2.8.6) */
	why = vq_walk_end(&w, c);
	if (likely(!q->inflight) || why)
		return why;
	return vqi_packed_pop(q->inflight, c->id, n);
}

/* A buffer of one slot, without any of the ifs. */
static inline bool pop_one(const struct vq *q, struct vq_chain *c, struct vq_raw d)
{
	if ((raw_fourth(d) & (VQ_F_NEXT | VQ_F_INDIRECT)) || q->inflight ||
	    q->p.inuse + q->staged_slots >= q->cfg.size ||
	    !vq_chain_one(q, c, d, raw_fourth(d) & VQ_F_WRITE))
		return false;
	c->id = raw_third(d);
	c->ndesc = 1;
	return true;
}

/* A buffer that a predecessor held, from the copy of its descriptors that is kept. */
static int pop_again(struct vq *q, struct vq_chain *c)
{
	struct vq_inflight *f = q->inflight;
	uint16_t head = vqi_resubmit(f), e = head;
	struct vq_walk w = vq_walk_begin(c);
	const char *why = NULL;

	f->resubmit_at++;
	c->ndesc = f->s[head].num;
	c->id = f->s[head].id;
	for (unsigned int i = 0; !why && i < c->ndesc; i++) {
		why = add_desc(q, &w, vqi_packed_get(f, e));
		e = f->s[e].next;
	}
	if (!why)
		why = vq_walk_end(&w, c);
	if (why)
		return vq_break(q, why);
	q->pops++;
	return 1;
}

static uint16_t head_flags(const struct vq *q)
{
	const struct vq_pdesc *ring = q->p.ring;

	/* Acquire: the rest of the list is read after the flags that announced it. */
	return rd16_acquire(&ring[q->p.next].flags);
}

int vqp_pop(struct vq *q, struct vq_chain *c)
{
	const struct vq_pdesc *ring = q->p.ring;
	uint16_t flags = head_flags(q);
	const char *why = NULL;
	struct vq_raw d;

	if (unlikely(q->inflight) && vqi_resubmit(q->inflight) != VQI_NONE)
		return pop_again(q, c);
	if (!packed_is_avail(flags, q->p.avail_wrap))
		return 0;
	d = desc_copy(&ring[q->p.next]);
	/* The flags that said the buffer is available are the ones that count. */
	d.rest = (d.rest & ~(0xffffull << 48)) | (uint64_t)flags << 48;
	if (!pop_one(q, c, d))
		why = walk(q, c, d);
	if (unlikely(why))
		return vq_break(q, why);
	packed_advance(&q->p.next, &q->p.avail_wrap, c->ndesc, q->cfg.size);
	q->p.inuse = (uint16_t)(q->p.inuse + c->ndesc);
	q->pops++;
	return 1;
}

void vqp_unpop(struct vq *q, unsigned int ndescs)
{
	packed_retreat(&q->p.next, &q->p.avail_wrap, ndescs, q->cfg.size);
	q->p.inuse = (uint16_t)(q->p.inuse - ndescs);
}

void vqp_push(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	struct vq_pdesc *e = (struct vq_pdesc *)q->p.ring + q->p.used;
	uint16_t flags = packed_used_flags(q->p.used_wrap) | (written ? VQ_F_WRITE : 0);

	e->id = c->id;
	e->len = written;
	if (!q->staged) {
		q->p.first = q->p.used;
		q->p.first_flags = flags;
		q->p.first_wrap = q->p.used_wrap;
	} else {
		wr16(&e->flags, flags);
	}
	packed_advance(&q->p.used, &q->p.used_wrap, c->ndesc, q->cfg.size);
	q->p.inuse = (uint16_t)(q->p.inuse - c->ndesc);
	q->staged++;
	q->staged_slots = (uint16_t)(q->staged_slots + c->ndesc);
}

bool vqp_publish(struct vq *q)
{
	struct vq_pdesc *e = (struct vq_pdesc *)q->p.ring + q->p.first;

	if (unlikely(q->inflight))
		vqi_packed_begin(q->inflight, q->p.used, q->p.used_wrap);
	/* Release: all elements of the batch are seen before this one. */
	wr16_release(&e->flags, q->p.first_flags);
	if (unlikely(q->inflight))
		vqi_packed_end(q->inflight, q->p.used, q->p.used_wrap);
	/* The element before the look at what the driver wants (2.8.10.1). */
	full_barrier();
	if (!q->fresh && q->cfg.event_idx)
		return true;
	return packed_wants(q->p.driver, q->p.used, q->p.used_wrap, q->staged_slots, q->cfg.size,
			    q->cfg.event_idx);
}

bool vqp_notify(struct vq *q, bool on)
{
	struct vq_pevent *ev = q->p.device;

	if (on && q->cfg.event_idx) {
		wr16(&ev->off_wrap, packed_pack(q->p.next, q->p.avail_wrap));
		wr16_release(&ev->flags, VQ_EV_DESC);
	} else {
		wr16(&ev->flags, on ? VQ_EV_ENABLE : VQ_EV_DISABLE);
	}
	if (!on)
		return false;
	/* Our wish before the last look at the ring (2.8.10). */
	full_barrier();
	return packed_is_avail(head_flags(q), q->p.avail_wrap);
}

bool vqp_pending(const struct vq *q)
{
	return packed_is_avail(head_flags(q), q->p.avail_wrap);
}
