// SPDX-License-Identifier: BSD-3-Clause
/* Trapped accesses find their device by binary search in a sorted array of regions. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/bus.h"

#define PAGE_SHIFT 12

void vm_bus_init(struct vm_bus *b, const char *name)
{
	*b = (struct vm_bus){ .name = name };
}

void vm_bus_fini(struct vm_bus *b)
{
	free(b->v);
	b->v = NULL;
	b->n = b->cap = 0;
}

/* Index of the first region that ends after addr. */
static unsigned int bus_lower(const struct vm_bus *b, uint64_t addr)
{
	unsigned int lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (b->v[mid]->base + (b->v[mid]->size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int counters_alloc(struct vm_io_region *r)
{
	uint64_t n = ((r->size - 1) >> PAGE_SHIFT) + 1;

	if (r->pages)
		return 0;
	r->npages = (unsigned int)MIN(n, (uint64_t)VM_IO_PAGES_MAX);
	r->pages = calloc(r->npages, sizeof(*r->pages));
	return r->pages ? 0 : -ENOMEM;
}

int vm_bus_add(struct vm_bus *b, struct vm_io_region *r, struct err *e)
{
	unsigned int at;
	uint64_t last;

	if (!r->size || ckd_add(&last, r->base, r->size - 1))
		return err_set(e, -EINVAL, "%s: empty or wrapping range at 0x%" PRIx64, r->name,
			       r->base);
	at = bus_lower(b, r->base);
	if (at < b->n && b->v[at]->base <= last)
		return err_set(e, -EEXIST, "%s: %s 0x%" PRIx64 "-0x%" PRIx64 " is taken by %s",
			       r->name, b->name, r->base, last, b->v[at]->name);
	if (counters_alloc(r))
		return err_set(e, -ENOMEM, "%s: no memory", r->name);
	if (b->n == b->cap) {
		unsigned int cap = b->cap ? b->cap * 2 : 16;
		struct vm_io_region **v = realloc(b->v, cap * sizeof(struct vm_io_region *));

		if (!v)
			return err_set(e, -ENOMEM, "%s: no memory", r->name);
		b->v = v;
		b->cap = cap;
	}
	memmove(&b->v[at + 1], &b->v[at], (b->n - at) * sizeof(struct vm_io_region *));
	b->v[at] = r;
	b->n++;
	r->on_bus = true;
	return 0;
}

void vm_bus_del(struct vm_bus *b, struct vm_io_region *r)
{
	unsigned int at;

	if (!r->on_bus)
		return;
	at = bus_lower(b, r->base);
	BUG_ON(at >= b->n || b->v[at] != r);
	b->n--;
	memmove(&b->v[at], &b->v[at + 1], (b->n - at) * sizeof(struct vm_io_region *));
	r->on_bus = false;
}

void vm_io_region_fini(struct vm_io_region *r)
{
	BUG_ON(r->on_bus);
	free(r->pages);
	r->pages = NULL;
	r->npages = 0;
}

struct vm_io_region *vm_bus_find(const struct vm_bus *b, uint64_t addr)
{
	unsigned int at = bus_lower(b, addr);

	return at < b->n && b->v[at]->base <= addr ? b->v[at] : NULL;
}

/* The region that holds the whole access, its counter, and the offset in it. */
static struct vm_io_region *bus_pick(struct vm_bus *b, uint64_t addr, unsigned int len,
				     uint64_t *off, struct vm_io_count **count)
{
	struct vm_io_region *r = vm_bus_find(b, addr);
	uint64_t page;

	if (!r || !range_ok(addr - r->base, len, r->size)) {
		b->unhandled++;
		return NULL;
	}
	*off = addr - r->base;
	page = *off >> PAGE_SHIFT;
	*count = &r->pages[MIN(page, (uint64_t)r->npages - 1)];
	return r;
}

static uint64_t ones(unsigned int len)
{
	return len >= 8 ? UINT64_MAX : (1ull << len * 8) - 1;
}

enum vm_io_result vm_bus_read(struct vm_bus *b, uint64_t addr, unsigned int len, uint64_t *val)
{
	enum vm_io_result res = VM_IO_UNHANDLED;
	struct vm_io_count *count;
	struct vm_io_region *r;
	uint64_t off, v = 0;

	r = bus_pick(b, addr, len, &off, &count);
	if (r) {
		count->reads++;
		res = r->ops->read(r->dev, off, len, &v);
		b->errors += res == VM_IO_ERROR;
	}
	*val = res == VM_IO_OK ? v & ones(len) : ones(len);
	return res;
}

enum vm_io_result vm_bus_write(struct vm_bus *b, uint64_t addr, unsigned int len, uint64_t val)
{
	enum vm_io_result res;
	struct vm_io_count *count;
	struct vm_io_region *r;
	uint64_t off;

	r = bus_pick(b, addr, len, &off, &count);
	if (!r)
		return VM_IO_UNHANDLED;
	count->writes++;
	res = r->ops->write(r->dev, off, len, val & ones(len));
	b->errors += res == VM_IO_ERROR;
	return res;
}
