// SPDX-License-Identifier: BSD-3-Clause
/*
 * The list of what is mapped is kept here, not asked from the kernel: it is what `ctl dma` shows,
 * and what an unmap must match exactly, since TYPE1v2 does not split a mapping.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "iommu/ioas_priv.h"
#include "iommu/ranges.h"

void ioas_init(struct ioas *a, const struct ioas_ops *ops, struct sys *s, const struct log *log)
{
	a->ops = ops;
	a->sys = s;
	a->log = log;
	a->info.dma_avail = UINT32_MAX;
	list_init(&a->maps);
	list_init(&a->groups);
}

void ioas_fini(struct ioas *a)
{
	ioas_ranges_free(&a->iova);
}

void ioas_forget_maps(struct ioas *a)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &a->maps) {
		list_del(pos);
		free(list_entry(pos, struct ioas_map, link));
	}
	a->stats.bytes = 0;
}

void ioas_free(struct ioas *a)
{
	if (!a)
		return;
	BUG_ON(!list_empty(&a->groups));
	ioas_forget_maps(a);
	a->ops->free(a);
}

static int map_failed(struct ioas *a, int code, const struct ioas_map *m, struct err *e)
{
	uint64_t last = m->iova + m->size - 1;

	a->stats.failed++;
	switch (code) {
	case -ENOMEM:
		if (ioas_memlock_check(a->sys, m->size, e) < 0) {
			err_prefix(e, "DMA map of %s: ", m->name);
			return code;
		}
		return err_set(e, code,
			       "DMA map of %s (%" PRIu64
			       " KiB): the kernel has no memory for it, or the "
			       "limit of locked memory is too low (ulimit -l)",
			       m->name, m->size >> 10);
	case -ENOSPC:
		return err_set(e, code,
			       "DMA map of %s: the IOMMU's map is full; raise the parameter "
			       "dma_entry_limit of vfio_iommu_type1",
			       m->name);
	case -EINVAL:
		return err_set(e, code,
			       "DMA map of %s: the IOMMU does not take addresses 0x%" PRIx64
			       "-0x%" PRIx64 "; they are reserved or out of its reach",
			       m->name, m->iova, last);
	default:
		return err_sys(e, code, "DMA map of %s at 0x%" PRIx64 "-0x%" PRIx64, m->name,
			       m->iova, last);
	}
}

/* The first mapping that starts at or above iova, or the list's head. */
static struct list *map_place(struct ioas *a, uint64_t iova)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &a->maps) {
		if (list_entry(pos, struct ioas_map, link)->iova >= iova)
			break;
	}
	return pos;
}

static int map_check(struct ioas *a, const struct list *place, uint64_t iova, uint64_t size,
		     const void *hva)
{
	/* The smallest page of the IOMMU; before the kernel told, the smallest there is. */
	uint64_t page = a->info.pgsizes ? a->info.pgsizes & -a->info.pgsizes : 4096, end;
	const struct ioas_map *m;

	if (!size || !IS_ALIGNED(iova | size | (uintptr_t)hva, page))
		return -EINVAL;
	if (ckd_add(&end, iova, size - 1))
		return -EINVAL;
	if (place != &a->maps) {
		m = list_entry(place, struct ioas_map, link);
		if (m->iova <= end)
			return -EEXIST;
	}
	if (place->prev != &a->maps) {
		m = list_entry(place->prev, struct ioas_map, link);
		if (m->iova + (m->size - 1) >= iova)
			return -EEXIST;
	}
	return 0;
}

int ioas_map(struct ioas *a, const char *name, uint64_t iova, uint64_t size, void *hva,
	     uint64_t page_size, struct err *e)
{
	struct list *place = map_place(a, iova);
	struct ioas_map *m;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return err_sys(e, -ENOMEM, "DMA map of %s", name);
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->iova = iova;
	m->size = size;
	m->page_size = page_size;
	r = map_check(a, place, iova, size, hva);
	if (r == 0) {
		a->stats.maps++;
		r = a->ops->map(a, iova, size, hva);
	}
	if (r < 0) {
		r = map_failed(a, r, m, e);
		free(m);
		return r;
	}
	list_add_before(place, &m->link);
	a->stats.bytes += size;
	return 0;
}

int ioas_unmap(struct ioas *a, uint64_t iova, uint64_t size)
{
	struct list *pos = map_place(a, iova);
	struct ioas_map *m = list_entry(pos, struct ioas_map, link);
	int r;

	if (pos == &a->maps || m->iova != iova || m->size != size)
		return -ENOENT;
	a->stats.unmaps++;
	r = a->ops->unmap(a, iova, size);
	if (r < 0) {
		a->stats.failed++;
		return r;
	}
	a->stats.bytes -= size;
	list_del(&m->link);
	free(m);
	return 0;
}

/* No group, no limit; no list from the kernel, everything but what is reserved. */
static int usable_base(struct ioas *a, struct ioas_ranges *out)
{
	int r = 0;

	if (!a->iova.n)
		return ioas_ranges_add(out, 0, UINT64_MAX);
	for (unsigned int i = 0; i < a->iova.n && r == 0; i++)
		r = ioas_ranges_add(out, a->iova.v[i].start, a->iova.v[i].end);
	return r;
}

int ioas_usable_ranges(struct ioas *a, struct ioas_ranges *out, struct err *e)
{
	struct ioas_ranges got = { 0 };
	struct list *pos, *nxt;
	int r = 0;

	if (!list_empty(&a->groups))
		r = usable_base(a, &got);
	list_for_each (pos, nxt, &a->groups) {
		const struct iommu_group *g = list_entry(pos, struct iommu_group, link);

		for (unsigned int i = 0; i < g->reserved.n && r == 0; i++)
			r = ioas_ranges_sub(&got, g->reserved.v[i].start, g->reserved.v[i].end);
	}
	if (r == 0 && !list_empty(&a->groups) && !got.n)
		r = -ERANGE;
	if (r < 0) {
		ioas_ranges_free(&got);
		return err_sys(e, r, "cannot tell which addresses the assigned devices reach");
	}
	*out = got;
	return 0;
}

const struct ioas_info *ioas_info(const struct ioas *a)
{
	return &a->info;
}

const struct ioas_stats *ioas_stats(const struct ioas *a)
{
	return &a->stats;
}

void ioas_each(const struct ioas *a, void (*fn)(void *arg, const struct ioas_map *m), void *arg)
{
	const struct list *pos;

	for (pos = a->maps.next; pos != &a->maps; pos = pos->next)
		fn(arg, (const struct ioas_map *)list_entry(pos, struct ioas_map, link));
}
