/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_SW_PRIV_H
#define VIRTIO_VHOSTD_SW_PRIV_H

#include <pthread.h>

#include "virtio/vhostd/sw.h"

/** struct sw_txb - what one loop has for a port and did not send yet; all for queue q */
struct sw_txb {
	struct sw_port *port;
	unsigned int n, q;
	bool dirty;
	struct rte_mbuf *m[SW_BURST];
	struct sw_count count[SW_QUEUES];
};

/** struct sw_lane - the switch as one poll loop sees it */
struct sw_lane {
	struct sw *sw;
	struct lcore *lcore;
	unsigned int ndirty;
	uint16_t dirty[SW_PORTS];
	struct sw_txb *txb[SW_PORTS];
};

struct sw {
	struct vhostd *d;
	struct fdb *fdb;
	struct rte_mempool *pool;
	_Atomic(struct sw_port *) port[SW_PORTS];
	_Atomic unsigned int high; /* ports from here on are none */
	unsigned int nlanes;
	struct sw_lane *lane[LCORES_MAX];
	struct ev_src *age_timer;
};

/** sw_lane_flush() - send what waits; the lane's loop. */
void sw_lane_flush(void *lane);

#endif
