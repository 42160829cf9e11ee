/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_IOAS_H
#define IOMMU_IOAS_H

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/sys.h"

/*
 * An I/O address space: what the devices attached to it reach by DMA. The backend is an ops table:
 * type1 (the VFIO container) today; a backend that attaches devices rather than groups adds its own
 * attach op.
 *
 * A group is attached as a whole and shared by all of its devices: ioas_group_get() counts
 * references.
 *
 * Thread: one at a time; the callers hold the VM lock once vCPUs run.
 */
struct ioas;
struct iommu_group;

/** struct ioas_range - [start, end], both inside. */
struct ioas_range {
	uint64_t start, end;
};

/** struct ioas_ranges - sorted, disjoint, malloc'd by ioas_usable_ranges(). */
struct ioas_ranges {
	struct ioas_range *v;
	unsigned int n;
};

/**
 * struct ioas_map - one entry of the DMA map
 * @name:      who and why: "ram0", "net0 BAR0"
 * @page_size: of the memory behind it, which the IOMMU may use for its tables
 */
struct ioas_map {
	char name[32];
	uint64_t iova, size, page_size;
	struct list link;
};

/**
 * struct ioas_info - what the host's IOMMU offers
 * @pgsizes:   bit mask of page sizes
 * @dma_avail: map entries left when asked; UINT32_MAX when the kernel does not say
 * @coherent:  the IOMMU enforces snooping, so no-snoop DMA cannot bypass caches
 * @ranges:    the kernel says its IOVA ranges; without it only reserved regions limit
 */
struct ioas_info {
	const char *backend;
	uint64_t pgsizes;
	uint32_t dma_avail;
	bool coherent, ranges;
};

/** struct ioas_stats - calls to the kernel since ioas_type1_new(). */
struct ioas_stats {
	uint64_t maps, unmaps, failed;
	uint64_t bytes; /* mapped now */
};

/**
 * ioas_type1_new() - open the VFIO container /dev/vfio/vfio with the TYPE1v2 IOMMU
 * Refuses hosts with allow_unsafe_interrupts. The IOMMU itself is chosen when the first group is
 * attached. Return: 0, or -errno with e saying what is missing and what to type.
 */
int ioas_type1_new(struct sys *s, const struct log *log, struct ioas **out,
		   struct err *e) __must_check;

/**
 * ioas_safe_interrupts() - -EPERM where VFIO is told to go on without interrupt remapping
 *
 * ioas_type1_new() asks as well; a planner can, before anything is changed.
 */
int ioas_safe_interrupts(struct sys *s, struct err *e) __must_check;

/** ioas_free() - unmaps what is left and closes the container; all groups were put. NULL is fine.
 */
void ioas_free(struct ioas *a);

/**
 * ioas_map() - let devices read and write [iova, iova + size) = [hva, hva + size)
 * @name: copied
 * Return: -EEXIST when it overlaps, -EINVAL for bad alignment or addresses the IOMMU cannot do,
 * -ENOMEM with the memlock numbers, -ENOSPC when the map is full; e filled, nothing changed.
 */
int ioas_map(struct ioas *a, const char *name, uint64_t iova, uint64_t size, void *hva,
	     uint64_t page_size, struct err *e) __must_check;

/** ioas_unmap() - exactly a range that was mapped; -ENOENT otherwise. */
int ioas_unmap(struct ioas *a, uint64_t iova, uint64_t size);

/**
 * ioas_usable_ranges() - the IOVAs every attached group can use: IOVA ranges less reserved regions
 * @out: free with ioas_ranges_free(). n == 0 when no group is attached: no limit.
 */
int ioas_usable_ranges(struct ioas *a, struct ioas_ranges *out, struct err *e) __must_check;
void ioas_ranges_free(struct ioas_ranges *r);

/** ioas_info() / ioas_stats() - valid until ioas_free(); info after the first group. */
const struct ioas_info *ioas_info(const struct ioas *a);
const struct ioas_stats *ioas_stats(const struct ioas *a);

/** ioas_each() - fn for each mapping by ascending IOVA. */
void ioas_each(const struct ioas *a, void (*fn)(void *arg, const struct ioas_map *m), void *arg);

/**
 * ioas_group_get() - the open group of that number, attached to this space
 * Opens and attaches it at the first get. Each get needs an iommu_group_put().
 * Return: -errno with e naming the members that are in the way, their drivers and the fix.
 */
int ioas_group_get(struct ioas *a, unsigned int id, struct iommu_group **out,
		   struct err *e) __must_check;
void iommu_group_put(struct iommu_group *g);

int iommu_group_fd(const struct iommu_group *g);
unsigned int iommu_group_id(const struct iommu_group *g);

/**
 * ioas_memlock_check() - may this process pin need more bytes?
 * The kernel does not limit who has CAP_IPC_LOCK. Otherwise RLIMIT_MEMLOCK less what is locked must
 * hold them. Return: 0, or -ENOMEM with both numbers and how to raise the limit.
 */
int ioas_memlock_check(struct sys *s, uint64_t need, struct err *e) __must_check;

#endif
