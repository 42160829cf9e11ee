/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_BUS_H
#define VIRTIO_VHOSTD_BUS_H

#include "base/err.h"

/*
 * Memory of a front end is a file of the front end's, which can cut it short while we have it
 * mapped. See bus.c.
 */
struct bus;

/**
 * bus_new() - from now on, touching memory that is not there any more ends nobody but its owner
 * After DPDK's start; once in a process.
 */
int bus_new(struct bus **out, struct err *e) __must_check;
/** bus_free() - as before bus_new(); NULL is fine. */
void bus_free(struct bus *b);

/** bus_pages_stay() - DPDK takes no huge pages any more; at the end of set-up. */
void bus_pages_stay(void);

/** bus_fd() - readable when bus_take() may have something. */
int bus_fd(const struct bus *b);
/** bus_take() - an address that was touched in vain since the last call; NULL: no more. Any thread.
 */
void *bus_take(struct bus *b);
/** bus_forget() - the range is unmapped next: what was touched there is nobody else's fault. Any
 * thread; NULL is fine. */
void bus_forget(struct bus *b, const void *p, size_t len);

/**
 * bus_cover() - memory that librte_vhost mapped: it may go before the last access to it
 * The access is mended then, too. bus_uncover() - nobody looks there any more. Any thread.
 */
void bus_cover(struct bus *b, const void *p, size_t len);
void bus_uncover(struct bus *b, const void *p);

#endif
