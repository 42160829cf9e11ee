// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest RAM: one shared memfd, mapped once, cut into segments that are laid into the guest-physical
 * space after the reach of every assigned device is known. One memfd, so that a vhost-user peer
 * gets one file, and as few segments as there are holes, so that the IOMMU and KVM get as few maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include "vmm/core/core_priv.h"

#define FIRST_SEG_MIN MIB(16)

static const struct vm_range everything = { 0, UINT64_MAX };

/* Adds [gpa, gpa + size) as a segment, joined to the one before when they touch. */
static int seg_add(struct vm_mem_region *seg, unsigned int *nsegs, uint64_t gpa, uint64_t size,
		   struct err *e)
{
	struct vm_mem_region *last = *nsegs ? &seg[*nsegs - 1] : NULL;

	if (last && last->gpa + last->size == gpa) {
		last->size += size;
		return 0;
	}
	if (*nsegs == VM_RAM_SEGS_MAX)
		return err_set(
			e, -ENOSPC,
			"the devices' reachable addresses are in too many pieces for the guest's RAM");
	seg[(*nsegs)++] = (struct vm_mem_region){ .gpa = gpa, .size = size };
	return 0;
}

/* Places what fits of *left into the part of usable that lies in [start, end). */
static int place_window(uint64_t start, uint64_t end, const struct vm_range *usable, unsigned int n,
			uint64_t align, uint64_t *left, struct vm_mem_region *seg,
			unsigned int *nsegs, struct err *e)
{
	for (unsigned int i = 0; i < n && *left; i++) {
		uint64_t lo = MAX(usable[i].start, start), hi = end, size;
		int rc;

		if (usable[i].end < end - 1)
			hi = usable[i].end + 1;
		hi = ALIGN_DOWN(hi, align);
		if (ckd_add(&lo, lo, align - 1))
			continue;
		lo = ALIGN_DOWN(lo, align);
		if (lo >= hi)
			continue;
		size = MIN(*left, hi - lo);
		rc = seg_add(seg, nsegs, lo, size, e);
		if (rc)
			return rc;
		*left -= size;
	}
	return 0;
}

int vm_ram_layout(uint64_t size, const struct vm_range *usable, unsigned int n, uint64_t align,
		  struct vm_mem_region seg[VM_RAM_SEGS_MAX], struct err *e)
{
	uint64_t left = size;
	unsigned int nsegs = 0;
	int rc;

	if (!size || !IS_ALIGNED(size, align))
		return err_set(e, -EINVAL,
			       "memory of %" PRIu64
			       " bytes is not a multiple of the page size %" PRIu64,
			       size, align);
	if (!n) {
		usable = &everything;
		n = 1;
	}
	rc = place_window(0, VM_RAM_HOLE, usable, n, align, &left, seg, &nsegs, e);
	if (!rc)
		rc = place_window(GIB(4), ALIGN_DOWN(UINT64_MAX, align), usable, n, align, &left,
				  seg, &nsegs, e);
	if (rc)
		return rc;
	if (left)
		return err_set(e, -ENOSPC,
			       "the assigned devices reach only %" PRIu64 " MiB of the %" PRIu64
			       " MiB of memory asked for",
			       (size - left) >> 20, size >> 20);
	if (seg[0].gpa || seg[0].size < MIN(size, FIRST_SEG_MIN))
		return err_set(e, -ENOSPC,
			       "the assigned devices do not reach the first %" PRIu64
			       " MiB, where a kernel starts",
			       FIRST_SEG_MIN >> 20);
	return (int)nsegs;
}

static const struct {
	uint64_t size;
	unsigned int memfd;
	const char *name;
} pages[] = {
	[VM_PAGE_4K] = { KIB(4), 0, "4K" },
	[VM_PAGE_THP] = { KIB(4), 0, "thp" },
	[VM_PAGE_2M] = { MIB(2), MFD_HUGETLB | MFD_HUGE_2MB, "2M" },
	[VM_PAGE_1G] = { GIB(1), MFD_HUGETLB | MFD_HUGE_1GB, "1G" },
};

/* A wish: whether a memfd gets huge pages is decided by the host's shmem_enabled, which is looked
 * at before (cmd/run_check.c). */
static void thp_advise(struct sys *s, struct vm_ram *r)
{
	if (r->page == VM_PAGE_THP)
		sys_madvise(s, r->hva, r->size, MADV_HUGEPAGE);
	else if (r->page == VM_PAGE_4K)
		sys_madvise(s, r->hva, r->size, MADV_NOHUGEPAGE);
}

static int ram_mmap(struct sys *s, struct vm_ram *r, uint64_t size)
{
	r->map_size = size;
	return sys_mmap(s, &r->hva, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->fd,
			0);
}

/*
 * A huge page can only be mapped, here and in the guest, where address and file offset agree. The
 * kernel puts a mapping at the end of a gap: one that is longer by what is over starts on a huge
 * page.
 */
static int ram_mmap_aligned(struct sys *s, struct vm_ram *r)
{
	int rc = ram_mmap(s, r, r->size);
	uint64_t over = rc ? 0 : (uintptr_t)r->hva & (THP_SIZE - 1);

	if (!over || r->page != VM_PAGE_THP)
		return rc;
	sys_munmap(s, r->hva, r->map_size);
	r->hva = NULL;
	return ram_mmap(s, r, r->size + over);
}

static int ram_map(struct sys *s, struct vm_ram *r, struct err *e)
{
	const char *page = pages[r->page].name;
	int rc;

	rc = r->fd = sys_memfd(s, "sluice-ram", MFD_CLOEXEC | pages[r->page].memfd);
	if (rc < 0)
		return err_sys(e, rc, "memory: no memfd with %s pages", page);
	rc = sys_ftruncate(s, r->fd, (off_t)r->size);
	if (rc)
		return err_sys(e, rc, "memory of %" PRIu64 " MiB", r->size >> 20);
	rc = ram_mmap_aligned(s, r);
	if (rc)
		return err_sys(e, rc, "memory of %" PRIu64 " MiB with %s pages", r->size >> 20,
			       page);
	return 0;
}

const char *ram_page_name(const struct vm_ram *r)
{
	return pages[r->page].name;
}

/*
 * Where the pages come from, and the pages themselves where they are taken at once: hugetlb ones
 * always, of which a missing one would be a SIGBUS in the middle of a guest. Taken pages stay on
 * the node they are on, so the binding comes first.
 */
static int ram_pages(struct sys *s, struct vm_ram *r, const struct vm_ram_cfg *cfg, struct err *e)
{
	int rc = 0;

	thp_advise(s, r);
	if (cfg->node >= 0)
		rc = sys_mbind(s, r->hva, r->size, (unsigned int)cfg->node);
	if (rc)
		return err_sys(e, rc, "memory: binding to NUMA node %d", cfg->node);
	if (!cfg->prefault && r->page < VM_PAGE_2M)
		return 0;
	return cfg->background ? ram_fill_start(s, r, cfg, e) : ram_fill(s, r, cfg, NULL, e);
}

int vm_ram_alloc(struct sys *s, struct vm_ram *r, const struct vm_ram_cfg *cfg, struct err *e)
{
	int rc;

	*r = (struct vm_ram){
		.fd = -1, .size = cfg->size, .page = cfg->page, .page_size = pages[cfg->page].size
	};
	if (!r->size || !IS_ALIGNED(r->size, r->page_size))
		return err_set(e, -EINVAL,
			       "memory of %" PRIu64 " bytes is not a multiple of the page size %s",
			       r->size, pages[r->page].name);
	rc = ram_map(s, r, e);
	if (rc)
		goto out;
	/* A child of fork() must not share, or copy, what a device writes to. */
	rc = sys_madvise(s, r->hva, r->size, MADV_DONTFORK);
	if (rc) {
		err_sys(e, rc, "memory: MADV_DONTFORK");
		goto out;
	}
	rc = ram_pages(s, r, cfg, e);
out:
	if (rc)
		vm_ram_free(s, r, NULL);
	return rc;
}

int vm_ram_place(struct vm_ram *r, struct vm_mem *m, const struct vm_range *usable, unsigned int n,
		 struct err *e)
{
	uint64_t off = 0;
	int rc;

	rc = vm_ram_layout(r->size, usable, n, r->page_size, r->seg, e);
	if (rc < 0)
		return rc;
	for (int i = 0; i < rc; i++) {
		struct vm_mem_region *g = &r->seg[i];
		int bad;

		snprintf(r->names[i], sizeof(r->names[i]), "ram%d", i);
		g->name = r->names[i];
		g->kind = VM_MEM_RAM;
		g->hva = (char *)r->hva + off;
		g->fd = r->fd;
		g->fd_off = off;
		g->page_size = r->page_size;
		off += g->size;
		r->nsegs++;
		bad = vm_mem_claim(m, &r->claim[i], g->gpa, g->size, g->name, e);
		if (!bad)
			bad = vm_mem_add(m, g, e);
		if (bad)
			return bad; /* vm_ram_unplace() takes back what was placed */
	}
	return 0;
}

void *vm_ram_ptr(const struct vm_ram *r, uint64_t gpa, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < r->nsegs; i++) {
		const struct vm_mem_region *seg = &r->seg[i];
		uint64_t off = gpa - seg->gpa;

		if (gpa >= seg->gpa && off < seg->size && len <= seg->size - off)
			return (uint8_t *)seg->hva + off;
	}
	return NULL;
}

void vm_ram_unplace(struct vm_ram *r, struct vm_mem *m)
{
	while (r->nsegs) {
		r->nsegs--;
		vm_mem_del(m, &r->seg[r->nsegs]);
		vm_mem_unclaim(m, &r->claim[r->nsegs]);
	}
}

void vm_ram_free(struct sys *s, struct vm_ram *r, struct vm_mem *m)
{
	ram_fill_stop(r);
	if (m)
		vm_ram_unplace(r, m);
	if (r->hva)
		sys_munmap(s, r->hva, r->map_size);
	r->hva = NULL;
	/* A zeroed struct was never allocated, and its fd 0 is not ours. */
	if (r->size)
		sys_close(s, &r->fd);
	r->size = 0;
}
