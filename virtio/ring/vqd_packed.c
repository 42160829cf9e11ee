// SPDX-License-Identifier: BSD-3-Clause
/* The driver's side of a packed ring (virtio 1.2, 2.8). The mirror of vq_packed.c. */
#include "virtio/ring/vqd_priv.h"

static struct vq_pdesc pdesc(const struct vqd *d, const struct vqd_req *r, unsigned int i,
			     uint16_t id)
{
	return (struct vq_pdesc){
		.addr = vqd_gpa(d, r->iov[i].iov_base),
		.len = (uint32_t)r->iov[i].iov_len,
		.id = id,
		.flags = i >= r->nout ? VQ_F_WRITE : 0,
	};
}

/* Writes one slot. The flags of the first slot since the last publish are kept back: they make
 * all that follows visible (2.8.6). */
static void put(struct vqd *d, struct vq_pdesc *v, bool first)
{
	struct vq_pdesc *slot = (struct vq_pdesc *)d->desc + d->avail;

	v->flags |= packed_avail_flags(d->avail_wrap);
	slot->addr = v->addr;
	slot->len = v->len;
	slot->id = v->id;
	if (first) {
		d->head_at = d->avail;
		d->head_flags = v->flags;
	} else {
		wr16_release(&slot->flags, v->flags);
	}
	packed_advance(&d->avail, &d->avail_wrap, 1, d->cfg.size);
	d->staged++;
}

void vqd_packed_add(struct vqd *d, uint16_t id, const struct vqd_req *r, struct vq_pdesc *table)
{
	struct vq_pdesc v;

	d->free = d->buf[id].next;
	if (table) {
		for (unsigned int i = 0; i < r->n; i++)
			table[i] = pdesc(d, r, i, 0);
		v = (struct vq_pdesc){ vqd_gpa(d, table), 16 * r->n, id, VQ_F_INDIRECT };
		put(d, &v, !d->staged);
		return;
	}
	for (unsigned int i = 0; i < r->n; i++) {
		v = pdesc(d, r, i, id);
		v.flags |= i + 1 < r->n ? VQ_F_NEXT : 0;
		put(d, &v, !d->staged);
	}
}

bool vqd_packed_publish(struct vqd *d)
{
	struct vq_pdesc *slot = (struct vq_pdesc *)d->desc + d->head_at;

	wr16_release(&slot->flags, d->head_flags);
	full_barrier();
	return packed_wants(d->device, d->avail, d->avail_wrap, d->staged, d->cfg.size,
			    d->cfg.event_idx);
}

bool vqd_packed_elem(const struct vqd *d, uint16_t *id, uint32_t *len)
{
	const struct vq_pdesc *slot = (struct vq_pdesc *)d->desc + d->used;

	if (!d->nbusy || !packed_is_used(rd16_acquire(&slot->flags), d->used_wrap))
		return false;
	*id = slot->id;
	*len = slot->len;
	return true;
}

void vqd_packed_notify(struct vqd *d, bool on)
{
	struct vq_pevent *ev = d->driver;

	if (on && d->cfg.event_idx) {
		wr16(&ev->off_wrap, packed_pack(d->used, d->used_wrap));
		wr16_release(&ev->flags, VQ_EV_DESC);
	} else {
		wr16(&ev->flags, on ? VQ_EV_ENABLE : VQ_EV_DISABLE);
	}
}
