/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_FDB_H
#define VIRTIO_VHOSTD_FDB_H

#include <stdatomic.h>

#include "base/util.h"

/*
 * The table of a learning switch: which port a station (MAC address, VLAN) was last heard on.
 * Lookups take no lock and may run on any number of threads beside one another and beside changes.
 */
#define FDB_PORTS   1024
#define FDB_WAYS    8
#define FDB_BUCKETS 1024
#define FDB_NONE    (-1)

struct fdb;

/** fdb_new() - @age: ticks after which a station that is not heard of is forgotten. */
struct fdb *fdb_new(uint32_t age);
void fdb_free(struct fdb *f);

/**
 * fdb_port_set() - a port comes into being: nothing is known on it
 * @vlan: stations of different VLANs never meet
 * @macs: at most so many stations are learnt on it, so that one port cannot push out the others'
 */
void fdb_port_set(struct fdb *f, unsigned int port, uint16_t vlan, uint32_t macs);
/** fdb_port_outer() - a port to the outer world: a station of ours that was heard this second or
 * the last does not move there. */
void fdb_port_outer(struct fdb *f, unsigned int port);
/** fdb_port_purge() - forget the stations of a port. */
void fdb_port_purge(struct fdb *f, unsigned int port);

/** fdb_learn() - mac (48 bits, any fixed order) was heard on port at tick now. */
void fdb_learn(struct fdb *f, uint64_t mac, unsigned int port, uint32_t now);
/** fdb_find() - the port of a station of this VLAN, or FDB_NONE. */
int fdb_find(const struct fdb *f, uint64_t mac, uint16_t vlan);
/** fdb_age() - forget what was not heard of; returns how many. */
unsigned int fdb_age(struct fdb *f, uint32_t now);

/** fdb_gen() - another number after each change: what was found before may be wrong now. */
uint32_t fdb_gen(const struct fdb *f);

struct fdb_count {
	uint64_t learnt, moved, aged, refused, evicted;
	uint32_t stations;
};
void fdb_count(const struct fdb *f, struct fdb_count *out);
/** fdb_each() - call fn for each station; age in ticks at now. */
void fdb_each(const struct fdb *f, uint32_t now,
	      void (*fn)(void *arg, uint64_t mac, unsigned int port, uint32_t age), void *arg);

#endif
