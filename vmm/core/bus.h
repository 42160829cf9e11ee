/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_BUS_H
#define VMM_CORE_BUS_H

#include "base/err.h"

/*
 * Dispatch of trapped accesses: one bus for ports, one for memory. Sorted array, binary search.
 * Thread: the VM lock is held for dispatch and for changes, so a handler may add and remove
 * regions, its own included (a BAR moves while its config register is being written).
 */
enum vm_io_result {
	VM_IO_OK,
	VM_IO_UNHANDLED, /* nobody there: reads as all ones, writes vanish */
	VM_IO_ERROR, /* the guest did something that the device refuses; counted, reads as all ones
		      */
};

/**
 * struct vm_io_ops - a device's side of a trapped access
 * off is relative to the region and off + len is inside it; len is 1, 2, 4 or 8. val is little
 * endian in the low bytes; a read leaves it zero-extended.
 */
struct vm_io_ops {
	enum vm_io_result (*read)(void *dev, uint64_t off, unsigned int len, uint64_t *val);
	enum vm_io_result (*write)(void *dev, uint64_t off, unsigned int len, uint64_t val);
};

#define VM_IO_PAGES_MAX \
	64 /* register pages that are counted apart; the last one counts the rest too */

struct vm_io_count {
	uint64_t reads, writes;
};

/**
 * struct vm_io_region - embedded in its device, which keeps it alive while it is on a bus
 * @name:  for the statistics: "serial0", "net0 BAR0"
 * @pages: counters per 4 KiB of the region, allocated by vm_bus_add() and kept until
 *vm_io_region_fini(), so that a BAR that moves keeps its counts
 */
struct vm_io_region {
	const char *name;
	uint64_t base, size;
	const struct vm_io_ops *ops;
	void *dev;
	struct vm_io_count *pages;
	unsigned int npages;
	bool on_bus;
};

struct vm_bus {
	const char *name;
	struct vm_io_region **v;
	unsigned int n, cap;
	uint64_t unhandled, errors;
};

/** vm_bus_init() - name, for messages, is kept by the caller. vm_bus_fini() - the regions stay
 * their devices'. */
void vm_bus_init(struct vm_bus *b, const char *name);
void vm_bus_fini(struct vm_bus *b);

/** vm_bus_add() - -EEXIST with e naming the other owner; -EINVAL for an empty or wrapping range;
 * -ENOMEM. */
int vm_bus_add(struct vm_bus *b, struct vm_io_region *r, struct err *e) __must_check;

/** vm_bus_del() - no-op when it is not on the bus. */
void vm_bus_del(struct vm_bus *b, struct vm_io_region *r);

/** vm_io_region_fini() - free the counters; the region must be off the bus. */
void vm_io_region_fini(struct vm_io_region *r);

/** vm_bus_find() - the region that holds addr, or NULL. */
struct vm_io_region *vm_bus_find(const struct vm_bus *b, uint64_t addr);

/**
 * vm_bus_read() / vm_bus_write() - dispatch one access; an access over a region's end is UNHANDLED
 * A read that is not OK leaves all ones of len bytes in *val.
 */
enum vm_io_result vm_bus_read(struct vm_bus *b, uint64_t addr, unsigned int len, uint64_t *val);
enum vm_io_result vm_bus_write(struct vm_bus *b, uint64_t addr, unsigned int len, uint64_t val);

#endif
