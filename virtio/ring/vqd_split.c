// SPDX-License-Identifier: BSD-3-Clause
/* The driver's side of a split ring (virtio 1.2, 2.7). The mirror of vq_split.c. */
#include "virtio/ring/vqd_priv.h"

static struct vq_sdesc sdesc(const struct vqd *d, const struct vqd_req *r, unsigned int i,
			     uint16_t next)
{
	return (struct vq_sdesc){
		.addr = vqd_gpa(d, r->iov[i].iov_base),
		.len = (uint32_t)r->iov[i].iov_len,
		.flags = (uint16_t)((i >= r->nout ? VQ_F_WRITE : 0) |
				    (i + 1 < r->n ? VQ_F_NEXT : 0)),
		.next = next,
	};
}

void vqd_split_add(struct vqd *d, uint16_t id, const struct vqd_req *r, struct vq_sdesc *table)
{
	struct vq_sdesc *desc = d->desc;
	struct vq_savail *a = d->driver;
	uint16_t at = id;

	if (table) {
		for (unsigned int i = 0; i < r->n; i++)
			table[i] = sdesc(d, r, i, (uint16_t)(i + 1));
		desc[id] = (struct vq_sdesc){ .addr = vqd_gpa(d, table),
					      .len = 16 * r->n,
					      .flags = VQ_F_INDIRECT };
		at = d->buf[id].next;
	} else {
		for (unsigned int i = 0; i < r->n; i++) {
			desc[at] = sdesc(d, r, i, d->buf[at].next);
			at = d->buf[at].next;
		}
	}
	d->free = at;
	wr16(&a->ring[(uint16_t)(d->avail + d->staged) % d->cfg.size], id);
	d->staged++;
}

bool vqd_split_publish(struct vqd *d)
{
	struct vq_savail *a = d->driver;
	struct vq_sused *u = d->device;
	uint16_t old = d->avail;

	d->avail = (uint16_t)(d->avail + d->staged);
	/* Release: ring entries and descriptors are seen before the index. */
	wr16_release(&a->idx, d->avail);
	full_barrier();
	if (!d->cfg.event_idx)
		return !(rd16(&u->flags) & VQ_NO_NOTIFY);
	return vq_passed(rd16(split_avail_event(u, d->cfg.size)), d->avail, old);
}

bool vqd_split_elem(const struct vqd *d, uint16_t *id, uint32_t *len)
{
	const struct vq_sused *u = d->device;
	struct vq_selem e;

	if (rd16_acquire(&u->idx) == d->used)
		return false;
	e = u->ring[d->used % d->cfg.size];
	*id = (uint16_t)MIN(e.id, (uint32_t)UINT16_MAX);
	*len = e.len;
	return true;
}

void vqd_split_notify(struct vqd *d, bool on)
{
	struct vq_savail *a = d->driver;

	if (!d->cfg.event_idx)
		wr16(&a->flags, on ? 0 : VQ_NO_NOTIFY);
	else if (on)
		wr16(split_used_event(a, d->cfg.size), d->used);
}
