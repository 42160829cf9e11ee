// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver's side: ids, indirect tables, order. What a kind of ring does with them is in
 * vqd_split.c and vqd_packed.c.
 *
 * Free ids are a list. With the in-order feature the list is never relinked, so it goes round the
 * ring, as 2.7.5.3.1 asks of the descriptors of a split ring; a device may then write one used
 * element for a batch (2.7.9, 2.8.12), which is taken apart here.
 */
#include <stdlib.h>
#include "virtio/ring/vqd_priv.h"

static size_t rings_bytes(const struct vqd_cfg *c)
{
	uint64_t n = 16ull * c->size;

	if (c->packed)
		n += 2 * sizeof(struct vq_pevent);
	else
		n = ALIGN_UP(n + split_avail_bytes(c->size), 4) + split_used_bytes(c->size);
	return ALIGN_UP(n, 16);
}

static size_t table_bytes(const struct vqd_cfg *c)
{
	return 16 * MIN((size_t)c->size, VQD_TABLE);
}

size_t vqd_area(const struct vqd_cfg *c)
{
	return rings_bytes(c) + (c->indirect ? table_bytes(c) * c->size : 0);
}

static void lay_out(struct vqd *d)
{
	uint8_t *p = d->cfg.area;
	uint16_t n = d->cfg.size;

	d->desc = p;
	p += 16 * (size_t)n;
	d->driver = p;
	p += d->cfg.packed ? sizeof(struct vq_pevent) : split_avail_bytes(n);
	d->device = (void *)ALIGN_UP((uintptr_t)p, 4);
	d->tables = d->cfg.area + rings_bytes(&d->cfg);
	d->at = (struct vq_cfg){
		.size = n,
		.packed = d->cfg.packed,
		.event_idx = d->cfg.event_idx,
		.indirect = d->cfg.indirect,
		.in_order = d->cfg.in_order,
		.desc = vqd_gpa(d, d->desc),
		.driver = vqd_gpa(d, d->driver),
		.device = vqd_gpa(d, d->device),
		.avail_idx = VQ_FRESH(d->cfg.packed),
		.used_idx = VQ_FRESH(d->cfg.packed),
	};
}

int vqd_new(const struct vqd_cfg *c, struct vqd **out)
{
	struct vqd *d;

	if (!c->size || c->size > VQ_SIZE_MAX || (!c->packed && !IS_POW2(c->size)))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->cfg = *c;
	d->buf = calloc(c->size, sizeof(*d->buf));
	d->order = calloc(c->size, sizeof(*d->order));
	if (!d->buf || !d->order) {
		vqd_free(d);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < c->size; i++)
		d->buf[i].next = (uint16_t)((i + 1) % c->size);
	d->nfree = c->size;
	d->avail_wrap = d->used_wrap = true;
	memset(c->area, 0, vqd_area(c));
	lay_out(d);
	*out = d;
	return 0;
}

void vqd_free(struct vqd *d)
{
	if (!d)
		return;
	free(d->order);
	free(d->buf);
	free(d);
}

void vqd_addrs(const struct vqd *d, struct vq_cfg *out)
{
	*out = d->at;
}

int vqd_add(struct vqd *d, const struct iovec *iov, unsigned int nout, unsigned int nin,
	    void *cookie)
{
	struct vqd_req r = { iov, nout, nout + nin };
	bool ind = d->cfg.indirect && r.n > 1 && r.n <= VQD_TABLE;
	unsigned int slots = ind ? 1 : r.n;
	uint16_t id = d->free;
	struct vqd_buf *b = &d->buf[id];
	void *table = NULL;

	if (!r.n || r.n > d->cfg.size)
		return -EINVAL;
	if (slots > d->nfree)
		return -ENOSPC;
	if (ind)
		table = d->tables + table_bytes(&d->cfg) * id;
	d->nfree -= slots;
	d->order[(d->first + d->nbusy++) % d->cfg.size] = id;
	b->cookie = cookie;
	b->slots = (uint16_t)slots;
	b->in_len = 0;
	for (unsigned int i = nout; i < r.n; i++)
		b->in_len += (uint32_t)iov[i].iov_len;
	if (d->cfg.packed)
		vqd_packed_add(d, id, &r, table);
	else
		vqd_split_add(d, id, &r, table);
	return 0;
}

bool vqd_publish(struct vqd *d)
{
	bool kick;

	if (!d->staged)
		return false;
	kick = d->cfg.packed ? vqd_packed_publish(d) : vqd_split_publish(d);
	d->staged = 0;
	return kick;
}

static bool next_elem(const struct vqd *d, uint16_t *id, uint32_t *len)
{
	return d->cfg.packed ? vqd_packed_elem(d, id, len) : vqd_split_elem(d, id, len);
}

/* Puts the ids of a buffer back: one of a packed ring, the chain's descriptors of a split one. */
static void release(struct vqd *d, uint16_t id)
{
	uint16_t last = id;

	d->nfree += d->buf[id].slots;
	if (d->cfg.in_order)
		return;
	for (unsigned int i = 1; !d->cfg.packed && i < d->buf[id].slots; i++)
		last = d->buf[last].next;
	d->buf[last].next = d->free;
	d->free = id;
}

void *vqd_get(struct vqd *d, uint32_t *len)
{
	uint16_t id = d->batch_id;
	struct vqd_buf *b;

	if (!d->batch && !next_elem(d, &d->batch_id, &d->batch_len))
		return NULL;
	id = d->batch_id;
	*len = d->batch_len;
	/* A device that makes ids up gets no more out of us. */
	if (id >= d->cfg.size || !d->buf[id].slots)
		return NULL;
	if (d->cfg.in_order) {
		id = d->order[d->first];
		d->batch = id != d->batch_id;
		if (d->batch)
			*len = d->buf[id].in_len; /* a skipped one is taken as used in full */
	}
	d->first = (d->first + 1) % d->cfg.size;
	d->nbusy--;
	b = &d->buf[id];
	if (d->cfg.packed)
		packed_advance(&d->used, &d->used_wrap, b->slots, d->cfg.size);
	else
		d->used++;
	release(d, id);
	b->slots = 0;
	return b->cookie;
}

bool vqd_notify(struct vqd *d, bool on)
{
	uint32_t len;
	uint16_t id;

	if (d->cfg.packed)
		vqd_packed_notify(d, on);
	else
		vqd_split_notify(d, on);
	if (!on)
		return false;
	full_barrier();
	return d->batch || next_elem(d, &id, &len);
}
