/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_SW_H
#define VIRTIO_VHOSTD_SW_H

#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <sys/types.h>

#include "virtio/vhostd/fdb.h"
#include "virtio/vhostd/vhostd_priv.h"

#define SW_PORTS  FDB_PORTS
#define SW_QUEUES 16 /* pairs of a port */
#define SW_BURST  32

/* Why a packet went nowhere. Those of the receiver are counted where it should have gone out. */
enum sw_drop {
	DROP_BAD,	/* too short, or its sender's address is a group's */
	DROP_VLAN,	/* tagged, on a port of a VLAN */
	DROP_SAME_PORT, /* its station is where it came from */
	DROP_FLOOD,	/* above the port's flood limit */
	DROP_NOBODY,	/* no other port */
	DROP_NO_BUFFER, /* the receiver offered none */
	DROP_DOWN,	/* the receiver is not there */
	DROP_OFFLOAD,	/* could not be made fit for the receiver */
	DROP_N
};
extern const char *const sw_drop_names[DROP_N];

#define SW_HIST 7 /* batches of 1, 2-3, 4-7, ... 64 and more */
extern const char *const sw_hist_names[SW_HIST];

/** struct sw_count - of one direction of a queue, written by one thread */
struct sw_count {
	uint64_t packets, bytes, hist[SW_HIST], drops[DROP_N];
};
void sw_count_add(struct sw_count *sum, const struct sw_count *c);

struct sw_port;

/**
 * struct sw_port_ops - what a kind of port can do
 * @tx:    any poll loop: send on queue q (any number); returns how many were sent
 * @owns:  tx takes the sent ones; otherwise all stay the caller's
 * @info:  add members to a row of the listing
 * @fault: control loop: true: addr was in memory of the other side, which took it away, and is
 *	   dropped for that; may be NULL
 * @give:  control loop: another owner for the files that it made; 0 or -errno; may be NULL
 * @free:  control loop; no poll loop knows the port any more but by its receive queues
 */
struct sw_port_ops {
	const char *kind;
	bool owns;
	uint16_t (*tx)(struct sw_port *p, unsigned int q, struct rte_mbuf **m, uint16_t n);
	void (*info)(struct sw_port *p, json_t *row);
	bool (*fault)(struct sw_port *p, const void *addr);
	int (*give)(struct sw_port *p, uid_t uid, gid_t gid);
	void (*free)(struct sw_port *p);
};

enum { FLOOD_UNKNOWN, FLOOD_BROADCAST, FLOOD_MULTICAST, FLOOD_N };

/**
 * struct sw_port - the switch's part of a port, first in each kind's own
 * @ntx:  receive queues that the other side has; 0: nobody is there
 * @tso:  @csum: the other side takes segments to be cut, checksums to be filled in
 * @flood: packets a second, 0 for no limit
 */
struct sw_port {
	const struct sw_port_ops *ops;
	struct sw *sw;
	char name[VHOSTD_NAME];
	unsigned int index;
	uint16_t vlan;
	uint32_t flood, macs;
	bool outer; /* see fdb_port_outer() */
	_Atomic unsigned int ntx;
	_Atomic bool tso, csum;
	rte_spinlock_t flood_lock;
	uint64_t flood_due[FLOOD_N]; /* cycle at which the floods so far are paid for */
	uint64_t flood_cycles;	     /* what one costs; 0: no limit */
	struct sw_rxq *rxq[SW_QUEUES];
};

#define SW_FLOWS 8 /* remembered per receive queue */

struct sw_flow {
	uint64_t head[2]; /* the first 14 bytes of its frames, overlapping in two */
	int out;
};

/** struct sw_rxq - a receive queue; its poller lives in the port's kind */
struct sw_rxq {
	struct poller poller;
	struct sw_port *port;
	struct sw_lane *lane;
	struct lcore *lcore;
	unsigned int q;
	uint32_t gen, tick;
	struct sw_flow flow[SW_FLOWS];
	struct sw_count count;
};

struct sw_cfg {
	struct vhostd *d;
	unsigned int mbufs;
	uint32_t age_s;
};

int sw_new(const struct sw_cfg *c, struct sw **out, struct err *e) __must_check;
/** sw_ports_free() - all ports go; the loops still run. sw_free() - the rest; they do not. */
void sw_ports_free(struct sw *sw);
void sw_free(struct sw *sw);

/** sw_port_add() - give p (name, vlan, flood, macs, ops set) a place; -EEXIST, -ENOSPC. */
int sw_port_add(struct sw *sw, struct sw_port *p, struct err *e) __must_check;
/** sw_port_leave() - no loop sends to p any more when this returns; its name is free. */
void sw_port_leave(struct sw_port *p);
struct sw_port *sw_port_find(struct sw *sw, const char *name);
struct sw_port *sw_port_at(struct sw *sw, unsigned int index);

/** sw_rxq_start() - poll q of p (ops and nap of its poller set) on the least loaded loop. */
int sw_rxq_start(struct sw_rxq *q) __must_check;
void sw_rxq_stop(struct sw_rxq *q);
/** sw_rxq_new() - counters of a queue live as long as its port. */
struct sw_rxq *sw_rxq_new(struct sw_port *p, unsigned int q);

/** sw_input() - the loop of q: packets that came in; all are taken. */
void sw_input(struct sw_rxq *q, struct rte_mbuf **m, uint16_t n);

/** sw_quiesce() - all loops have ended the round they were in. */
void sw_quiesce(struct sw *sw);

struct rte_mempool *sw_pool(struct sw *sw);
struct vhostd *sw_vhostd(struct sw *sw);
unsigned int sw_lanes(const struct sw *sw);
const struct fdb *sw_fdb(const struct sw *sw);
/** sw_now() - the tick of the station table. */
uint32_t sw_now(void);
double sw_tick_s(void);
/** sw_tx_count() - what went out on queue q, over all loops. */
void sw_tx_count(const struct sw_port *p, unsigned int q, struct sw_count *out);

/* Rows for the control socket (swinfo.c). */
void sw_ports_rows(struct sw *sw, json_t *rows);
void sw_stat_rows(struct sw *sw, json_t *rows);
void sw_macs_rows(struct sw *sw, json_t *rows);

#endif
