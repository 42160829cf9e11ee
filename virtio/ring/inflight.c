// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inflight memory: what both kinds of ring have in common.
 *
 * An entry of the memory is marked when a buffer is popped. When a batch is published its entries
 * are first linked, then the ring shows the batch to the driver, then the marks go and the place is
 * noted. A successor compares the noted place with the ring: if they differ, it was this batch that
 * the crash cut short, and its marks go now. All stores are in program order for the successor, as
 * a process that dies has done all stores before the one it died at; release stores keep the
 * compiler to it.
 */
#include <stdlib.h>
#include "virtio/ring/inflight_priv.h"

size_t vq_inflight_size(bool packed, uint16_t qsize)
{
	size_t n = packed ? sizeof(struct vqi_packed) + sizeof(struct vqi_pdesc) * (size_t)qsize
			  : sizeof(struct vqi_split) + sizeof(struct vqi_sdesc) * (size_t)qsize;

	return ALIGN_UP(n, 64);
}

int vq_inflight_init(struct vq_inflight *f, void *region, bool packed, uint16_t qsize)
{
	memset(f, 0, sizeof(*f));
	if (!qsize || qsize > VQ_SIZE_MAX || !IS_ALIGNED((uintptr_t)region, 8))
		return -EINVAL;
	f->s = calloc(qsize, sizeof(*f->s));
	if (!f->s)
		return -ENOMEM;
	f->region = region;
	f->packed = packed;
	f->size = qsize;
	return 0;
}

void vq_inflight_fini(struct vq_inflight *f)
{
	free(f->s);
	f->s = NULL;
}

int vq_start_inflight(struct vq *q, const struct vq_mem *mem, const struct vq_cfg *cfg,
		      struct vq_inflight *f)
{
	struct vq_cfg at = *cfg;
	int rc;

	if (!f)
		return vq_start(q, mem, cfg);
	if (f->packed != cfg->packed || !cfg->size || cfg->size > f->size)
		return -EINVAL;
	memset(f->s, 0, f->size * sizeof(*f->s));
	for (unsigned int i = 0; i < f->size; i++)
		f->s[i].entry = VQI_NONE;
	f->fifo = f->counter = 0;
	f->nstaged = f->nresubmit = f->resubmit_at = 0;
	rc = f->packed ? vqi_packed_recover(f, mem, &at) : vqi_split_recover(f, mem, &at);
	if (rc)
		return rc;
	rc = vq_start(q, mem, &at);
	if (!rc)
		q->inflight = f;
	return rc;
}

void vqi_unpop(struct vq_inflight *f, unsigned int *n, unsigned int *ndescs)
{
	unsigned int ring = (unsigned int)MIN((uint64_t)*n, f->fifo);

	for (unsigned int i = 0; i < ring; i++) {
		uint16_t id = f->s[--f->fifo % f->size].fifo;

		if (f->packed)
			vqi_packed_unpop(f, f->s[id].entry);
		else
			vqi_split_unpop(f, id);
		f->s[id].entry = VQI_NONE;
	}
	/* What was held before the start stays marked and comes first again. */
	for (; *n > ring; --*n)
		*ndescs -= f->s[f->s[--f->resubmit_at].resubmit].num;
}

void vqi_stage(struct vq_inflight *f, uint16_t id)
{
	/* vq_pop() gives out no id twice, and none beyond the size. */
	BUG_ON(id >= f->size || f->s[id].entry == VQI_NONE);
	f->s[f->nstaged++].staged = id;
}

const char *vqi_take(struct vq_inflight *f, uint16_t id, uint16_t entry)
{
	if (id >= f->size)
		return "a buffer id beyond the ring";
	if (f->s[id].entry != VQI_NONE)
		return "a buffer that is in flight already";
	f->s[id].entry = entry;
	f->s[f->fifo++ % f->size].fifo = id;
	return NULL;
}

struct held {
	uint64_t counter;
	uint16_t entry;
};

static int by_counter(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->counter < y->counter ? -1 : x->counter > y->counter;
}

int vqi_order(struct vq_inflight *f, uint64_t (*counter)(const struct vq_inflight *f, uint16_t e))
{
	struct held *h = calloc((size_t)f->nresubmit + 1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	for (unsigned int i = 0; i < f->nresubmit; i++) {
		h[i].entry = f->s[i].resubmit;
		h[i].counter = counter(f, h[i].entry);
	}
	qsort(h, f->nresubmit, sizeof(*h), by_counter);
	for (unsigned int i = 0; i < f->nresubmit; i++)
		f->s[i].resubmit = h[i].entry;
	f->counter = f->nresubmit ? h[f->nresubmit - 1].counter + 1 : 0;
	free(h);
	return 0;
}
