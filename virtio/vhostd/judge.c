// SPDX-License-Identifier: BSD-3-Clause
/*
 * Before librte_vhost sees a message of a front end.
 *
 * The library lets go of what it had (memory, addresses of rings) before it knows that the new is
 * good, and the poll loops may use what is not there any more until the connection ends. It also
 * believes ring indices and sizes. So each message is judged by what would be the case after it:
 * every ring whose place is known lies in the memory that is known, whole; its indices are in
 * bounds; its size does not change while it runs. What the judge does not remember the library
 * looks at well enough, or it was not offered.
 */
#include "virtio/vhostd/judge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"

#define F_PACKED   34
#define QUEUE_SIZE 32768u
#define REGION_MAX (1ull << 46)
#define IOTLB_MSG  22 /* its type is far behind; zero is none */
#define IOTLB_TYPE 25

/* How long a payload is of those that are looked at; 0: of any length. */
static uint32_t size_of(uint32_t req, uint32_t regions)
{
	switch (req) {
	case VU_SET_FEATURES:
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
	case VU_SET_VRING_KICK:
	case VU_GET_VRING_BASE:
		return 8;
	case VU_SET_VRING_ADDR:
		return sizeof(struct vu_vring_addr);
	case VU_SET_MEM_TABLE:
		return 8 +
		       MIN(regions, (uint32_t)JUDGE_REGIONS) * (uint32_t)sizeof(struct vu_region);
	default:
		return 0;
	}
}

/* ---- memory ---- */

static int region_check(const struct vu_region *r, struct err *e)
{
	uint64_t end;

	if (!r->size || r->size > REGION_MAX || r->mmap_off > REGION_MAX)
		return err_set(e, -EPROTO, "a memory region of %" PRIu64 " bytes at %" PRIu64,
			       r->size, r->mmap_off);
	if (ckd_add(&end, r->gpa, r->size) || ckd_add(&end, r->uva, r->size))
		return err_set(e, -EPROTO, "the memory region at %#" PRIx64 " wraps around",
			       r->gpa);
	return 0;
}

static int memory(struct judge *j, const struct vu_mem_table *t, struct err *e)
{
	if (!t->n || t->n > JUDGE_REGIONS)
		return err_set(e, -EPROTO, "%u memory regions, 1 to %d are possible", t->n,
			       JUDGE_REGIONS);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct vu_region *r = &t->r[i];
		int ret = region_check(r, e);

		if (ret)
			return ret;
		for (uint32_t k = 0; k < i; k++)
			if (ranges_overlap(t->r[k].uva, t->r[k].size, r->uva, r->size) ||
			    ranges_overlap(t->r[k].gpa, t->r[k].size, r->gpa, r->size))
				return err_set(e, -EPROTO, "memory regions overlap at %#" PRIx64,
					       r->gpa);
	}
	j->nregions = t->n;
	j->mem_set = true;
	memcpy(j->region, t->r, t->n * sizeof(t->r[0]));
	return 0;
}

static bool in_memory(const struct judge *j, uint64_t uva, uint64_t len)
{
	for (unsigned int i = 0; i < j->nregions; i++) {
		const struct vu_region *r = &j->region[i];

		if (uva >= r->uva && range_ok(uva - r->uva, len, r->size))
			return true;
	}
	return false;
}

/* ---- rings ---- */

static int ring_fits(const struct judge *j, unsigned int q, struct err *e)
{
	const struct judge_ring *r = &j->ring[q];
	bool packed = j->features >> F_PACKED & 1;
	uint64_t n = r->num;

	if (r->num_set && (!n || n > QUEUE_SIZE || (!packed && !IS_POW2(n))))
		return err_set(e, -EPROTO, "queue %u shall have %u entries", q, r->num);
	if (packed && r->num_set && r->base_set &&
	    ((r->base & 0x7fff) >= n || (r->base >> 16 & 0x7fff) >= n))
		return err_set(e, -EPROTO, "queue %u of %u entries begins at %#x", q, r->num,
			       r->base);
	if (!r->addr_set || !r->num_set || !j->mem_set)
		return 0;
	if (!in_memory(j, r->addr.desc, 16 * n) ||
	    !in_memory(j, r->addr.avail, packed ? 4 : 6 + 2 * n) ||
	    !in_memory(j, r->addr.used, packed ? 4 : 6 + 8 * n))
		return err_set(e, -EPROTO, "queue %u is not in the memory that was given", q);
	return 0;
}

static int rings_fit(const struct judge *j, struct err *e)
{
	int ret = 0;

	for (unsigned int q = 0; !ret && q < JUDGE_RINGS; q++)
		ret = ring_fits(j, q, e);
	return ret;
}

static int ring_num(struct judge_ring *r, const struct vu_vring *v, struct err *e)
{
	if (r->live && (!r->num_set || v->num != r->num))
		return err_set(e, -EPROTO, "another size of queue %u while it runs", v->index);
	r->num = v->num;
	r->num_set = true;
	return 0;
}

static int ring_addr(const struct judge *j, struct judge_ring *r, const struct vu_vring_addr *a,
		     struct err *e)
{
	/* Without protocol features the library looks the new addresses up only at the next kick.
	 */
	if (r->live && !(j->features & VU_F_PROTOCOL))
		return err_set(e, -EPROTO, "other addresses of queue %u while it runs", a->index);
	r->addr = *a;
	r->addr_set = true;
	return 0;
}

static void ring_base(struct judge_ring *r, const struct vu_vring *v)
{
	r->base = v->num;
	r->base_set = true;
}

/* ---- messages ---- */

/* What a message says, aligned, and zero where it says nothing. */
union said {
	uint64_t u64;
	struct vu_vring vring;
	struct vu_vring_addr addr;
	struct vu_mem_table mem;
};

static int note(struct judge *j, uint32_t req, const union said *m, struct err *e)
{
	/* The library has room for more queues than a port; those are not served. */
	struct judge_ring other = { 0 }, *r = &other;

	if (req >= VU_SET_VRING_NUM && req <= VU_SET_VRING_KICK && (m->u64 & 0xff) < JUDGE_RINGS)
		r = &j->ring[m->u64 & 0xff];
	switch (req) {
	case VU_SET_FEATURES:
		j->features = m->u64;
		return 0;
	case VU_RESET_OWNER:
		memset(j->ring, 0, sizeof(j->ring));
		return 0;
	case VU_SET_MEM_TABLE:
		return memory(j, &m->mem, e);
	case VU_SET_VRING_NUM:
		return ring_num(r, &m->vring, e);
	case VU_SET_VRING_ADDR:
		return ring_addr(j, r, &m->addr, e);
	case VU_SET_VRING_BASE:
		ring_base(r, &m->vring);
		return 0;
	case VU_GET_VRING_BASE:
		*r = (struct judge_ring){ 0 };
		return 0;
	case VU_SET_VRING_KICK:
		r->live = true;
		return 0;
	default:
		return 0;
	}
}

int judge_msg(struct judge *j, const struct vu_hdr *h, const void *payload, struct err *e)
{
	union said m = { 0 };
	struct judge next = *j;
	uint32_t size;
	int ret;

	memcpy(&m, payload, MIN((size_t)h->size, sizeof(m)));
	size = size_of(h->req, m.mem.n);
	if (size && h->size != size)
		return err_set(e, -EPROTO, "request %u has %u bytes, not %u", h->req, h->size,
			       size);
	if (h->req == IOTLB_MSG)
		return err_set(e, -EPROTO, "an IOMMU was not offered");
	if (h->req == VU_GET_INFLIGHT_FD || h->req == VU_SET_INFLIGHT_FD)
		return err_set(e, -EPROTO, "inflight memory was not offered");
	ret = note(&next, h->req, &m, e);
	if (!ret)
		ret = rings_fit(&next, e);
	if (!ret)
		*j = next;
	return ret;
}

/* Requests that are known by their queue: what it has already, and nothing where it has nothing. */
static void blunt_ring(const struct judge *j, uint32_t req, uint8_t *payload)
{
	struct judge_ring r = { 0 };
	struct vu_vring v;

	memcpy(&v, payload, sizeof(v));
	if (v.index < JUDGE_RINGS)
		r = j->ring[v.index];
	if (req == VU_SET_VRING_ADDR) {
		r.addr.index = v.index;
		memcpy(payload, &r.addr, sizeof(r.addr));
		return;
	}
	v.num = req == VU_SET_VRING_BASE ? r.base : r.num_set ? r.num : 1;
	memcpy(payload, &v, sizeof(v));
}

void judge_blunt(const struct judge *j, const struct vu_hdr *h, void *payload)
{
	static const uint32_t too_many = UINT32_MAX;

	switch (h->req) {
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
		blunt_ring(j, h->req, payload);
		return;
	case VU_SET_MEM_TABLE: /* regions */
	case VU_SET_FEATURES:
		memcpy(payload, &too_many, sizeof(too_many));
		return;
	case IOTLB_MSG:
		memset((uint8_t *)payload + IOTLB_TYPE, 0, 1);
		return;
	default: /* of a wrong size, and harmless in any */
		return;
	}
}
