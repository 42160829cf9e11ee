// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest-physical address map: two sorted lists (claims, regions) and its listeners. The lists
 * are short (RAM segments and BARs), and are walked only at set-up, when a BAR moves, and by
 * loaders.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "vmm/core/mem.h"

void vm_mem_init(struct vm_mem *m, uint64_t gpa_limit)
{
	list_init(&m->regions);
	list_init(&m->claims);
	list_init(&m->listeners);
	m->gpa_limit = gpa_limit;
}

static struct vm_mem_region *region_of(struct list *l)
{
	return list_entry(l, struct vm_mem_region, link);
}

static struct vm_mem_claim *claim_of(struct list *l)
{
	return list_entry(l, struct vm_mem_claim, link);
}

static struct vm_mem_listener *listener_of(struct list *l)
{
	return list_entry(l, struct vm_mem_listener, link);
}

static int range_check(const struct vm_mem *m, uint64_t gpa, uint64_t size, const char *name,
		       struct err *e)
{
	uint64_t end;

	if (!size || ckd_add(&end, gpa, size))
		return err_set(e, -EINVAL, "%s: empty or wrapping range at 0x%" PRIx64, name, gpa);
	if (end > m->gpa_limit)
		return err_set(e, -ERANGE,
			       "%s: 0x%" PRIx64 "-0x%" PRIx64
			       " is beyond what can be addressed (0x%" PRIx64 ")",
			       name, gpa, end - 1, m->gpa_limit);
	return 0;
}

int vm_mem_claim(struct vm_mem *m, struct vm_mem_claim *c, uint64_t gpa, uint64_t size,
		 const char *name, struct err *e)
{
	struct list *pos, *nxt, *at = &m->claims;
	int rc;

	BUG_ON(c->claimed);
	rc = range_check(m, gpa, size, name, e);
	if (rc)
		return rc;
	list_for_each (pos, nxt, &m->claims) {
		struct vm_mem_claim *o = claim_of(pos);

		if (ranges_overlap(gpa, size, o->gpa, o->size))
			return err_set(e, -EEXIST,
				       "%s: 0x%" PRIx64 "-0x%" PRIx64 " overlaps %s at 0x%" PRIx64,
				       name, gpa, gpa + size - 1, o->name, o->gpa);
		if (o->gpa > gpa) {
			at = pos;
			break;
		}
	}
	*c = (struct vm_mem_claim){ .name = name, .gpa = gpa, .size = size, .claimed = true };
	list_add_before(at, &c->link);
	return 0;
}

void vm_mem_unclaim(struct vm_mem *m, struct vm_mem_claim *c)
{
	if (!c->claimed)
		return;
	list_del(&c->link);
	c->claimed = false;
}

/* Where a region at gpa belongs, or NULL with e filled when it overlaps one. */
static struct list *region_place(struct vm_mem *m, const struct vm_mem_region *r, struct err *e)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &m->regions) {
		struct vm_mem_region *o = region_of(pos);

		if (ranges_overlap(r->gpa, r->size, o->gpa, o->size)) {
			err_set(e, -EEXIST, "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64,
				r->name, r->gpa, o->name, o->gpa);
			return NULL;
		}
		if (o->gpa > r->gpa)
			return pos;
	}
	return &m->regions;
}

int vm_mem_add(struct vm_mem *m, struct vm_mem_region *r, struct err *e)
{
	struct list *pos, *nxt, *at;
	int rc;

	rc = range_check(m, r->gpa, r->size, r->name, e);
	if (rc)
		return rc;
	if (!IS_ALIGNED(r->gpa | r->size, 4096))
		return err_set(e, -EINVAL, "%s: not whole pages", r->name);
	at = region_place(m, r, e);
	if (!at)
		return -EEXIST;
	list_for_each (pos, nxt, &m->listeners) {
		struct vm_mem_listener *l = listener_of(pos);

		rc = l->add(l, r, e);
		if (rc) {
			while ((pos = pos->prev) != &m->listeners)
				listener_of(pos)->del(listener_of(pos), r);
			return rc;
		}
	}
	list_add_before(at, &r->link);
	return 0;
}

void vm_mem_del(struct vm_mem *m, struct vm_mem_region *r)
{
	struct list *pos;

	if (!r->link.next || list_empty(&r->link))
		return;
	for (pos = m->listeners.prev; pos != &m->listeners; pos = pos->prev)
		listener_of(pos)->del(listener_of(pos), r);
	list_del(&r->link);
}

int vm_mem_listen(struct vm_mem *m, struct vm_mem_listener *l, struct err *e)
{
	struct list *pos, *nxt;
	int rc;

	list_for_each (pos, nxt, &m->regions) {
		rc = l->add(l, region_of(pos), e);
		if (rc) {
			while ((pos = pos->prev) != &m->regions)
				l->del(l, region_of(pos));
			return rc;
		}
	}
	list_add_tail(&m->listeners, &l->link);
	return 0;
}

void vm_mem_unlisten(struct vm_mem *m, struct vm_mem_listener *l)
{
	struct list *pos;

	if (!l->link.next || list_empty(&l->link))
		return;
	list_del(&l->link);
	for (pos = m->regions.prev; pos != &m->regions; pos = pos->prev)
		l->del(l, region_of(pos));
}

static struct vm_mem_region *ram_at(const struct vm_mem *m, uint64_t gpa)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &m->regions) {
		struct vm_mem_region *r = region_of(pos);

		if (r->kind == VM_MEM_RAM && gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

void *vm_mem_ptr(const struct vm_mem *m, uint64_t gpa, uint64_t len)
{
	struct vm_mem_region *r = ram_at(m, gpa);

	if (!r || !range_ok(gpa - r->gpa, len, r->size))
		return NULL;
	return (char *)r->hva + (gpa - r->gpa);
}

/* Is all of [gpa, gpa + len) RAM, in one region or in several that touch? */
static bool ram_covers(const struct vm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t end;

	if (ckd_add(&end, gpa, len))
		return false;
	while (gpa < end) {
		struct vm_mem_region *r = ram_at(m, gpa);

		if (!r)
			return false;
		gpa = r->gpa + r->size;
	}
	return true;
}

static int mem_copy(const struct vm_mem *m, uint64_t gpa, void *out, const void *in, uint64_t len)
{
	if (!ram_covers(m, gpa, len))
		return -EFAULT;
	while (len) {
		struct vm_mem_region *r = ram_at(m, gpa);
		uint64_t n = MIN(len, r->size - (gpa - r->gpa));
		char *p = (char *)r->hva + (gpa - r->gpa);

		if (out) {
			memcpy(out, p, n);
			out = (char *)out + n;
		} else {
			memcpy(p, in, n);
			in = (const char *)in + n;
		}
		gpa += n;
		len -= n;
	}
	return 0;
}

int vm_mem_read(const struct vm_mem *m, uint64_t gpa, void *buf, uint64_t len)
{
	return mem_copy(m, gpa, buf, NULL, len);
}

int vm_mem_write(const struct vm_mem *m, uint64_t gpa, const void *buf, uint64_t len)
{
	return mem_copy(m, gpa, NULL, buf, len);
}
