// SPDX-License-Identifier: BSD-3-Clause
/*
 * What both kinds of ring share on the device's side: guest memory, chains, breaking.
 *
 * A walker copies a descriptor, validates the copy and appends its memory to the chain. Memory is
 * looked up in the region used last; what is elsewhere, or crosses from one region to the next,
 * goes the slow way and may take several iovecs. Regions that touch are one piece of guest memory.
 */
#include "virtio/ring/inflight_priv.h"

static const struct vq_region *region_of(const struct vq_mem *m, uint64_t gpa)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (gpa - m->r[i].gpa < m->r[i].size)
			return &m->r[i];
	return NULL;
}

void *vq_mem_ptr(const struct vq_mem *m, uint64_t gpa, uint64_t len)
{
	const struct vq_region *r = region_of(m, gpa);

	return r && range_ok(gpa - r->gpa, len, r->size) ? r->hva + (gpa - r->gpa) : NULL;
}

int vq_mem_add(struct vq_mem *m, uint64_t gpa, uint64_t size, void *hva)
{
	unsigned int at = m->n;
	uint64_t end;

	if (!size || ckd_add(&end, gpa, size - 1))
		return -EINVAL;
	if (m->n == VQ_REGIONS_MAX)
		return -ENOSPC;
	while (at && m->r[at - 1].gpa > gpa)
		at--;
	if (at && gpa - m->r[at - 1].gpa < m->r[at - 1].size)
		return -EEXIST;
	if (at < m->n && m->r[at].gpa <= end)
		return -EEXIST;
	memmove(&m->r[at + 1], &m->r[at], (m->n - at) * sizeof(m->r[0]));
	m->r[at] = (struct vq_region){ .gpa = gpa, .size = size, .hva = hva };
	m->n++;
	return 0;
}

bool vq_mem_copy(const struct vq_mem *m, uint64_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		const struct vq_region *r = region_of(m, gpa);
		size_t n;

		if (!r)
			return false;
		n = MIN((uint64_t)len, r->size - (gpa - r->gpa));
		memcpy(to, r->hva + (gpa - r->gpa), n);
		gpa += n;
		to += n;
		len -= n;
	}
	__asm__ volatile("" ::: "memory"); /* read once */
	return true;
}

void *vq_ring_ptr(const struct vq_mem *m, uint64_t gpa, uint64_t len, unsigned int align)
{
	void *p = IS_ALIGNED(gpa, (uint64_t)align) ? vq_mem_ptr(m, gpa, len) : NULL;

	return IS_ALIGNED((uintptr_t)p, (uintptr_t)align) ? p : NULL;
}

int vq_break(struct vq *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
	return -EPROTO;
}

unsigned int vq_walk_cross(struct vq *q, struct iovec *iov, unsigned int cap, unsigned int at,
			   uint64_t addr, uint32_t len, const char **why)
{
	while (len) {
		const struct vq_region *r = region_of(q->mem, addr);
		uint32_t n;

		*why = "a buffer outside guest memory";
		if (!r)
			return 0;
		*why = "a chain longer than the device takes";
		if (at >= cap)
			return 0;
		n = (uint32_t)MIN((uint64_t)len, r->size - (addr - r->gpa));
		iov[at++] = (struct iovec){ r->hva + (addr - r->gpa), n };
		q->region = r;
		addr += n;
		len -= n;
	}
	return at;
}

const char *vq_table_open(struct vq *q, uint64_t addr, uint32_t len, uint16_t flags,
			  struct vq_table *t)
{
	uint64_t end;

	if (!q->cfg.indirect)
		return "an indirect descriptor that was not negotiated";
	if (flags & VQ_F_NEXT)
		return "an indirect descriptor with a next one";
	if (!len || len % 16)
		return "an indirect table whose length is not a multiple of 16";
	if (len / 16 > q->cfg.size)
		return "an indirect table longer than the ring";
	if (ckd_add(&end, addr, (uint64_t)len))
		return "an indirect table outside guest memory";
	/* One in several pieces is looked up as it is read. */
	*t = (struct vq_table){ vq_mem_ptr(q->mem, addr, len), addr, len / 16 };
	return NULL;
}

int vq_start(struct vq *q, const struct vq_mem *mem, const struct vq_cfg *cfg)
{
	if (!cfg->size || cfg->size > VQ_SIZE_MAX)
		return -EINVAL;
	memset(q, 0, sizeof(*q));
	q->mem = mem;
	q->region = &mem->r[0];
	q->cfg = *cfg;
	q->fresh = cfg->used_idx == VQ_FRESH(cfg->packed);
	return cfg->packed ? vqp_start(q) : vqs_start(q);
}

int vq_pop(struct vq *q, struct vq_chain *c)
{
	if (unlikely(q->broken))
		return -EPROTO;
	return q->cfg.packed ? vqp_pop(q, c) : vqs_pop(q, c);
}

void vq_unpop(struct vq *q, unsigned int n, unsigned int ndescs)
{
	q->pops -= n;
	if (q->inflight)
		vqi_unpop(q->inflight, &n, &ndescs);
	if (q->cfg.packed)
		vqp_unpop(q, ndescs);
	else
		vqs_unpop(q, n);
}

void vq_push(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	q->pushes++;
	if (unlikely(q->inflight))
		vqi_stage(q->inflight, c->id);
	if (q->cfg.packed)
		vqp_push(q, c, written);
	else
		vqs_push(q, c, written);
}

bool vq_publish(struct vq *q)
{
	bool call;

	if (!q->staged)
		return false;
	call = q->cfg.packed ? vqp_publish(q) : vqs_publish(q);
	q->staged = q->staged_slots = 0;
	q->fresh = true;
	q->calls += call;
	q->calls_spared += !call;
	return call;
}

bool vq_notify(struct vq *q, bool on)
{
	bool more = q->inflight && vqi_resubmit(q->inflight) != VQI_NONE;

	return (q->cfg.packed ? vqp_notify(q, on) : vqs_notify(q, on)) || (on && more);
}

bool vq_pending(const struct vq *q)
{
	if (q->broken)
		return false;
	if (q->inflight && vqi_resubmit(q->inflight) != VQI_NONE)
		return true;
	return q->cfg.packed ? vqp_pending(q) : vqs_pending(q);
}

void vq_state(const struct vq *q, uint16_t *avail_idx, uint16_t *used_idx)
{
	uint16_t off;
	bool wrap;

	if (!q->cfg.packed) {
		*avail_idx = q->s.avail_idx;
		*used_idx = (uint16_t)(q->s.used_idx - q->staged);
		return;
	}
	off = q->staged ? q->p.first : q->p.used;
	wrap = q->staged ? q->p.first_wrap : q->p.used_wrap;
	*avail_idx = packed_pack(q->p.next, q->p.avail_wrap);
	*used_idx = packed_pack(off, wrap);
}

static size_t iov_copy(const struct iovec *iov, unsigned int n, size_t off, uint8_t *buf,
		       size_t len, bool write)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(len - done, iov[i].iov_len - off);
		if (write)
			memcpy((uint8_t *)iov[i].iov_base + off, buf + done, part);
		else
			memcpy(buf + done, (uint8_t *)iov[i].iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t vq_iov_read(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len)
{
	return iov_copy(iov, n, off, buf, len, false);
}

size_t vq_iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
		    size_t len)
{
	return iov_copy(iov, n, off, (uint8_t *)(uintptr_t)buf, len, true);
}
