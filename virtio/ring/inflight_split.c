// SPDX-License-Identifier: BSD-3-Clause
/* Inflight memory of a split ring: an entry for each head. See inflight.c. */
#include "virtio/ring/inflight_priv.h"

static uint64_t counter_of(const struct vq_inflight *f, uint16_t e)
{
	const struct vqi_split *r = f->region;

	return __atomic_load_n(&r->desc[e].counter, __ATOMIC_RELAXED);
}

static void set_inflight(struct vq_inflight *f, uint16_t e, uint8_t on)
{
	struct vqi_split *r = f->region;

	__atomic_store_n(&r->desc[e].inflight, on, __ATOMIC_RELEASE);
}

/* The ring has shown more than was noted: the last batch was used, whatever its marks say. */
static int finish_batch(struct vq_inflight *f, uint16_t idx)
{
	struct vqi_split *r = f->region;
	uint16_t n = (uint16_t)(idx - rd16(&r->used_idx)), e = rd16(&r->last_batch_head);

	if (n > f->size)
		return -EINVAL;
	while (n--) {
		if (e >= f->size)
			return -EINVAL;
		set_inflight(f, e, 0);
		e = rd16(&r->desc[e].next);
	}
	wr16_release(&r->used_idx, idx);
	return 0;
}

static int collect(struct vq_inflight *f, uint16_t ring_size)
{
	struct vqi_split *r = f->region;

	for (unsigned int i = 0; i < f->size; i++) {
		if (!__atomic_load_n(&r->desc[i].inflight, __ATOMIC_RELAXED))
			continue;
		if (i >= ring_size)
			return -EINVAL;
		f->s[f->nresubmit++].resubmit = (uint16_t)i;
		f->s[i].entry = (uint16_t)i;
	}
	return vqi_order(f, counter_of);
}

int vqi_split_recover(struct vq_inflight *f, const struct vq_mem *mem, struct vq_cfg *cfg)
{
	struct vq_sused *u = vq_ring_ptr(mem, cfg->device, split_used_bytes(cfg->size), 4);
	struct vqi_split *r = f->region;
	uint16_t version = rd16(&r->version), idx;
	int rc;

	if (!u)
		return -EINVAL;
	if (!version) {
		r->desc_num = f->size;
		r->used_idx = cfg->used_idx;
		wr16_release(&r->version, VQI_VERSION);
		return 0;
	}
	if (version != VQI_VERSION || rd16(&r->desc_num) != f->size)
		return -EINVAL;
	idx = rd16(&u->idx);
	rc = finish_batch(f, idx);
	if (!rc)
		rc = collect(f, cfg->size);
	cfg->used_idx = idx;
	cfg->avail_idx = (uint16_t)(idx + f->nresubmit);
	return rc;
}

const char *vqi_split_pop(struct vq_inflight *f, uint16_t head)
{
	struct vqi_split *r = f->region;
	const char *why = vqi_take(f, head, head);

	if (why)
		return why;
	__atomic_store_n(&r->desc[head].counter, f->counter++, __ATOMIC_RELEASE);
	set_inflight(f, head, 1);
	return NULL;
}

void vqi_split_unpop(struct vq_inflight *f, uint16_t head)
{
	set_inflight(f, head, 0);
}

void vqi_split_begin(struct vq_inflight *f)
{
	struct vqi_split *r = f->region;
	uint16_t last = rd16(&r->last_batch_head);

	for (unsigned int i = 0; i < f->nstaged; i++) {
		uint16_t e = f->s[i].staged;

		wr16_release(&r->desc[e].next, last);
		wr16_release(&r->last_batch_head, e);
		last = e;
	}
}

void vqi_split_end(struct vq_inflight *f, uint16_t used_idx)
{
	struct vqi_split *r = f->region;

	for (unsigned int i = 0; i < f->nstaged; i++) {
		set_inflight(f, f->s[i].staged, 0);
		f->s[f->s[i].staged].entry = VQI_NONE;
	}
	wr16_release(&r->used_idx, used_idx);
	f->nstaged = 0;
}
