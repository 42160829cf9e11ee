// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memory table of a vhost-user back end.
 *
 * A table is built aside, all of it mapped and checked, and then takes the place of the old one
 * while no ring runs. What a front end says about a region is believed only as far as the file
 * goes: a page behind its end would be a SIGBUS in whoever touches it. (A file that shrinks later
 * is what ops->mapped() is for.)
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "virtio/wire/back_priv.h"

/* Regions larger than this are not memory of any machine; keeps sums of sizes from wrapping. */
#define REGION_MAX (1ull << 46)

static void region_unmap(struct vu_back *b, struct back_region *r)
{
	back_mapped(b, r->map, r->len, false);
	sys_munmap(b->sys, r->map, r->len);
}

static int region_check(const struct vu_region *r, struct err *e)
{
	uint64_t end;

	if (!r->size || r->size > REGION_MAX)
		return err_set(e, -EPROTO, "a memory region has %" PRIu64 " bytes", r->size);
	if (ckd_add(&end, r->gpa, r->size) || ckd_add(&end, r->uva, r->size) ||
	    ckd_add(&end, r->mmap_off, r->size))
		return err_set(e, -EPROTO, "the memory region at %#" PRIx64 " wraps around",
			       r->gpa);
	return 0;
}

/* Offset and length of a mapping are multiples of the file's page, which is large on hugetlbfs. */
static uint64_t file_page(const struct stat *st)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), blk = (uint64_t)st->st_blksize;

	return IS_POW2(blk) && blk > page && blk <= GIB(1) ? blk : page;
}

static int region_map(struct vu_back *b, const struct vu_region *r, int fd, struct back_region *out,
		      struct err *e)
{
	struct stat st;
	uint64_t page, start;
	int ret;

	ret = region_check(r, e);
	if (ret)
		return ret;
	ret = sys_fstat(b->sys, fd, &st);
	if (ret)
		return err_sys(e, ret, "cannot look at the file of a memory region");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EPROTO, "a memory region came with a descriptor of no file");
	if (!range_ok(r->mmap_off, r->size, (uint64_t)MAX(st.st_size, (off_t)0)))
		return err_set(e, -EPROTO,
			       "a memory region ends at %" PRIu64 " of a file of %" PRId64 " bytes",
			       r->mmap_off + r->size, (int64_t)st.st_size);
	page = file_page(&st);
	start = ALIGN_DOWN(r->mmap_off, page);
	out->r = *r;
	out->len = ALIGN_UP(r->mmap_off + r->size, page) - start;
	ret = sys_mmap(b->sys, &out->map, out->len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (ret)
		return err_sys(e, ret, "cannot map a memory region of %" PRIu64 " bytes", r->size);
	/* Another guest's memory has no business in our core file. Advice only. */
	(void)sys_madvise(b->sys, out->map, out->len, MADV_DONTDUMP);
	out->hva = (uint8_t *)out->map + (r->mmap_off - start);
	back_mapped(b, out->map, out->len, true);
	return 0;
}

void back_mem_free(struct vu_back *b, struct back_mem *mem)
{
	if (!mem)
		return;
	for (unsigned int i = 0; i < mem->n; i++)
		region_unmap(b, &mem->reg[i]);
	free(mem);
}

/* Takes a mapped region in; both of its addresses must be its own. */
static int mem_insert(struct back_mem *m, const struct back_region *r, struct err *e)
{
	int ret;

	for (unsigned int i = 0; i < m->n; i++) {
		const struct vu_region *o = &m->reg[i].r;

		if (ranges_overlap(o->uva, o->size, r->r.uva, r->r.size))
			return err_set(e, -EPROTO,
				       "memory regions overlap at user address %#" PRIx64,
				       MAX(o->uva, r->r.uva));
	}
	ret = vq_mem_add(&m->vm, r->r.gpa, r->r.size, r->hva);
	if (ret == -EEXIST)
		return err_set(e, -EPROTO, "the memory region at %#" PRIx64 " overlaps another",
			       r->r.gpa);
	if (ret)
		return err_set(e, ret, "no room for a memory region at %#" PRIx64, r->r.gpa);
	m->reg[m->n++] = *r;
	return 0;
}

/* The old table goes, the new one takes its place; rings that ran go on in it. */
static int mem_swap(struct vu_back *b, struct back_mem *mem, struct err *e)
{
	back_rings_stop(b);
	b->peer.mem = mem;
	return back_rings_update(b, e);
}

int back_set_mem_table(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_mem *mem = calloc(1, sizeof(*mem)), *old = b->peer.mem;
	struct back_region r;
	int ret = 0;

	if (!mem)
		return err_set(e, -ENOMEM, "out of memory");
	/* The form was checked: n is in bounds and as many descriptors came. */
	for (uint32_t i = 0; i < m->u.mem.n; i++) {
		ret = region_map(b, &m->u.mem.r[i], m->fd[i], &r, e);
		if (ret)
			break;
		ret = mem_insert(mem, &r, e);
		if (ret) {
			region_unmap(b, &r);
			break;
		}
	}
	if (ret) {
		back_mem_free(b, mem);
		return ret;
	}
	back_rings_stop(b);
	back_mem_free(b, old);
	return mem_swap(b, mem, e);
}

/* A copy of the table without region skip (none: UINT_MAX); mappings are shared with the original.
 */
static struct back_mem *mem_copy(const struct back_mem *from, unsigned int skip)
{
	struct back_mem *mem = calloc(1, sizeof(*mem));

	for (unsigned int i = 0; mem && from && i < from->n; i++)
		if (i != skip)
			BUG_ON(mem_insert(mem, &from->reg[i], NULL));
	return mem;
}

int back_add_mem_reg(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_mem *old = b->peer.mem, *mem;
	struct back_region r;
	int ret;

	if (old && old->n >= b->cfg.mem_slots)
		return err_set(e, -EPROTO, "more than %u memory regions", b->cfg.mem_slots);
	ret = region_map(b, &m->u.reg.r, m->fd[0], &r, e);
	if (ret)
		return ret;
	mem = mem_copy(old, UINT_MAX);
	ret = mem ? mem_insert(mem, &r, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret) {
		region_unmap(b, &r);
		free(mem);
		return ret;
	}
	ret = mem_swap(b, mem, e);
	free(old);
	return ret;
}

int back_rem_mem_reg(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_mem *old = b->peer.mem, *mem;
	const struct vu_region *r = &m->u.reg.r;
	unsigned int i;
	int ret;

	for (i = 0; old && i < old->n; i++)
		if (old->reg[i].r.gpa == r->gpa && old->reg[i].r.uva == r->uva &&
		    old->reg[i].r.size == r->size)
			break;
	if (!old || i == old->n)
		return err_set(e, -EPROTO, "removal of a memory region at %#" PRIx64 " that is not",
			       r->gpa);
	mem = mem_copy(old, i);
	if (!mem)
		return err_set(e, -ENOMEM, "out of memory");
	back_rings_stop(b);
	region_unmap(b, &old->reg[i]);
	ret = mem_swap(b, mem, e);
	free(old);
	return ret;
}

int back_mem_gpa(const struct back_mem *mem, uint64_t uva, uint64_t *gpa)
{
	for (unsigned int i = 0; i < mem->n; i++) {
		const struct vu_region *r = &mem->reg[i].r;

		if (uva >= r->uva && uva - r->uva < r->size) {
			*gpa = r->gpa + (uva - r->uva);
			return 0;
		}
	}
	return -EFAULT;
}

bool back_maps(const struct vu_back *b, const void *p)
{
	const struct back_inflight *f = &b->peer.inflight;
	const struct back_mem *mem = b->peer.mem;

	for (unsigned int i = 0; mem && i < mem->n; i++)
		if ((uintptr_t)p - (uintptr_t)mem->reg[i].map < mem->reg[i].len)
			return true;
	return f->map && (uintptr_t)p - (uintptr_t)f->map < f->len;
}
