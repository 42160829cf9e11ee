/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_MEM_H
#define VMM_CORE_MEM_H

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/sys.h"

/*
 * The guest-physical address map.
 *
 * Two layers. A *claim* says who owns a piece of the guest-physical space (RAM, a BAR, ECAM, the
 * local APIC); claims never overlap. A *region* is a piece of host memory that the guest, and
 * devices, reach directly: RAM, or the mappable part of a BAR. Regions lie inside claims; what of a
 * claim has no region is trapped through the MMIO bus.
 *
 * Listeners hear of every region: KVM memory slots, the IOMMU's DMA map, vhost-user tables. When
 * one refuses, those before it are undone and the region is not added.
 *
 * Thread: the VM lock (vmm/core/vm.h) is held, or no vCPU runs yet.
 */
enum vm_mem_kind {
	VM_MEM_RAM,
	VM_MEM_BAR, /* device memory: never a DMA target unless peer-to-peer was asked for */
};

/**
 * struct vm_mem_region - host memory at a guest-physical address
 * @name: for listings: "ram0", "net0 BAR0"; the owner keeps it alive
 * @gpa:  @size: whole pages
 * @hva:  mapping in this process
 * @fd:   @fd_off: the memfd behind RAM (for vhost-user), -1 for BARs
 * @page_size: of the backing: 4K, 2M or 1G; 4K for THP
 */
struct vm_mem_region {
	const char *name;
	enum vm_mem_kind kind;
	uint64_t gpa, size;
	void *hva;
	int fd;
	uint64_t fd_off, page_size;
	struct list link;
};

struct vm_mem_listener {
	const char *name;
	/* 0, or -errno with e filled and nothing changed. */
	int (*add)(struct vm_mem_listener *l, const struct vm_mem_region *r, struct err *e);
	void (*del)(struct vm_mem_listener *l, const struct vm_mem_region *r);
	struct list link;
};

/** struct vm_mem_claim - an owner of guest-physical space; embed it, zero-initialised is unclaimed.
 */
struct vm_mem_claim {
	const char *name;
	uint64_t gpa, size;
	struct list link;
	bool claimed;
};

struct vm_mem {
	struct list regions, claims, listeners; /* regions and claims sorted by gpa */
	uint64_t gpa_limit; /* first address that the CPU or the IOMMU cannot reach */
};

/** vm_mem_init() - an empty map. */
void vm_mem_init(struct vm_mem *m, uint64_t gpa_limit);

/** vm_mem_claim() - take [gpa, gpa + size); -EEXIST with e naming the other owner, -ERANGE beyond
 * gpa_limit. */
int vm_mem_claim(struct vm_mem *m, struct vm_mem_claim *c, uint64_t gpa, uint64_t size,
		 const char *name, struct err *e) __must_check;
/** vm_mem_unclaim() - no-op for what is not claimed. */
void vm_mem_unclaim(struct vm_mem *m, struct vm_mem_claim *c);

/** vm_mem_add() - add a region that the caller owns and keeps; all listeners hear of it or none. */
int vm_mem_add(struct vm_mem *m, struct vm_mem_region *r, struct err *e) __must_check;

/** vm_mem_del() - listeners hear of it in reverse order; no-op for a region that is not in the map.
 */
void vm_mem_del(struct vm_mem *m, struct vm_mem_region *r);

/** vm_mem_listen() - replays what is there; undone as a whole on failure. */
int vm_mem_listen(struct vm_mem *m, struct vm_mem_listener *l, struct err *e) __must_check;

/** vm_mem_unlisten() - calls del for every region, then forgets l; no-op when l never listened. */
void vm_mem_unlisten(struct vm_mem *m, struct vm_mem_listener *l);

/**
 * vm_mem_ptr() - host address of guest RAM
 * Return: NULL unless the whole of [gpa, gpa + len) is inside one RAM region. What is behind it is
 * shared with the guest and changes under the reader: copy first, validate the copy.
 */
void *vm_mem_ptr(const struct vm_mem *m, uint64_t gpa, uint64_t len);

/** vm_mem_read() / vm_mem_write() - copy, across regions that touch; -EFAULT and nothing copied
 * otherwise. */
int vm_mem_read(const struct vm_mem *m, uint64_t gpa, void *buf, uint64_t len) __must_check;
int vm_mem_write(const struct vm_mem *m, uint64_t gpa, const void *buf, uint64_t len) __must_check;

/* ---- RAM ----------------------------------------------------------------------------------------
 */

/** struct vm_range - [start, end], both inside; so that the last address of all can be said. */
struct vm_range {
	uint64_t start, end;
};

#define VM_RAM_SEGS_MAX 16
#define VM_RAM_HOLE	GIB(3) /* RAM below this; then device space up to 4 GiB; then RAM again */

enum vm_page { VM_PAGE_4K, VM_PAGE_THP, VM_PAGE_2M, VM_PAGE_1G };

struct vm_ram_cfg {
	uint64_t size; /* bytes, a multiple of the page size */
	enum vm_page page;
	int node;	 /* NUMA node or -1 */
	bool prefault;	 /* take all pages now */
	bool background; /* so, and pages of a pool, on a thread: vm_ram_wait() before one is used
			  */
	/* prefault progress, NULL for none; called at most every 200 ms after the first second, and
	 * once at the end */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};

struct vm_ram {
	int fd;
	void *hva;	   /* all of RAM, one mapping */
	uint64_t map_size; /* of the mapping; what is behind size is never touched */
	uint64_t size, page_size;
	enum vm_page page;
	struct vm_ram_fill *fill; /* the thread that takes the pages, or NULL */
	unsigned int nsegs;
	struct vm_mem_region seg[VM_RAM_SEGS_MAX];
	struct vm_mem_claim claim[VM_RAM_SEGS_MAX];
	char names[VM_RAM_SEGS_MAX][16];
};

/**
 * vm_ram_layout() - place size bytes of RAM
 * @usable: sorted ranges that every assigned device can reach (IOVA ranges less reserved regions);
 * n == 0: no limit
 * @align:  page size; segments start and end on it
 * @seg:    gpa and size are filled, in order
 *
 * RAM fills [0, 3 GiB) and continues at 4 GiB, skipping what is not usable. The first segment
 * always starts at 0 and holds at least the first 16 MiB, else -ENOSPC: a kernel cannot start
 * without it. Return: number of segments, or -errno with e filled.
 */
int vm_ram_layout(uint64_t size, const struct vm_range *usable, unsigned int n, uint64_t align,
		  struct vm_mem_region seg[VM_RAM_SEGS_MAX], struct err *e) __must_check;

/** vm_ram_alloc() - memfd, mapping, page size, NUMA binding; no placement yet. -ENOMEM with the
 * number and the fix. */
int vm_ram_alloc(struct sys *s, struct vm_ram *r, const struct vm_ram_cfg *cfg,
		 struct err *e) __must_check;

/** vm_ram_wait() - until a prefault in the background is done; its outcome. 0 when there is none.
 */
int vm_ram_wait(struct vm_ram *r, struct err *e) __must_check;

/** vm_ram_place() - lay the RAM out and add it to the map. */
int vm_ram_place(struct vm_ram *r, struct vm_mem *m, const struct vm_range *usable, unsigned int n,
		 struct err *e) __must_check;

/**
 * vm_ram_ptr() - host address of guest RAM; NULL unless all of [gpa, gpa + len) is in one segment
 * Any thread: segments do not change once they are placed. Shared with the guest, as vm_mem_ptr().
 */
void *vm_ram_ptr(const struct vm_ram *r, uint64_t gpa, uint64_t len);

/** vm_ram_unplace() - take it out of the map again, also what a failed vm_ram_place() left. */
void vm_ram_unplace(struct vm_ram *r, struct vm_mem *m);

/** vm_ram_free() - take it out of the map and unmap it; idempotent. */
void vm_ram_free(struct sys *s, struct vm_ram *r, struct vm_mem *m);

#endif
