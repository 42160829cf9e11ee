// SPDX-License-Identifier: BSD-3-Clause
/*
 * The switch's ports and receive queues as they come and go, on the control loop (receive queues
 * also on librte_vhost's thread). A port is published to the poll loops by its slot in the table;
 * it is taken out by clearing the slot and then waiting until each loop has been between two
 * rounds.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vhostd/lcore.h"
#include "virtio/vhostd/port.h"
#include "virtio/vhostd/sw_priv.h"

#define POOL_CACHE   256
#define AGE_EVERY_NS 5000000000ull

static void age_tick(void *arg)
{
	struct sw *sw = arg;

	fdb_age(sw->fdb, sw_now());
	sw->age_timer = NULL;
	/* Without memory for a timer stations stay until they move. */
	if (ev_timer(sw->d->ev, AGE_EVERY_NS, age_tick, sw, &sw->age_timer))
		sw->age_timer = NULL;
}

static int lanes_new(struct sw *sw, struct err *e)
{
	unsigned int i;

	for (i = 0; i < sw->d->nlcores; i++) {
		struct sw_lane *l = calloc(1, sizeof(*l));

		if (!l)
			return err_set(e, -ENOMEM, "out of memory");
		l->sw = sw;
		l->lcore = sw->d->lcore[i];
		lcore_on_round(l->lcore, sw_lane_flush, l);
		sw->lane[sw->nlanes++] = l;
	}
	return 0;
}

int sw_new(const struct sw_cfg *c, struct sw **out, struct err *e)
{
	struct sw *sw = calloc(1, sizeof(*sw));
	int ret;

	if (!sw)
		return err_set(e, -ENOMEM, "out of memory");
	sw->d = c->d;
	sw->fdb = fdb_new((uint32_t)((double)c->age_s / sw_tick_s()) + 1);
	ret = sw->fdb ? lanes_new(sw, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret)
		goto out;
	sw->pool = rte_pktmbuf_pool_create("sluice", c->mbufs, POOL_CACHE, 0,
					   RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!sw->pool) {
		ret = err_sys(e, -rte_errno, "cannot make %u packet buffers (--memory, --mbufs)",
			      c->mbufs);
		goto out;
	}
	ret = ev_timer(sw->d->ev, AGE_EVERY_NS, age_tick, sw, &sw->age_timer);
	if (ret)
		err_sys(e, ret, "cannot start a timer");
out:
	if (ret) {
		sw_free(sw);
		return ret;
	}
	*out = sw;
	return 0;
}

void sw_ports_free(struct sw *sw)
{
	unsigned int i;

	for (i = 0; sw && i < SW_PORTS; i++)
		if (sw->port[i])
			sw->port[i]->ops->free(sw->port[i]);
}

void sw_free(struct sw *sw)
{
	unsigned int i;

	if (!sw)
		return;
	sw_ports_free(sw);
	ev_del(sw->age_timer);
	for (i = 0; i < sw->nlanes; i++)
		free(sw->lane[i]);
	rte_mempool_free(sw->pool);
	fdb_free(sw->fdb);
	free(sw);
}

struct sw_port *sw_port_at(struct sw *sw, unsigned int index)
{
	return index < SW_PORTS ? atomic_load(&sw->port[index]) : NULL;
}

struct sw_port *sw_port_find(struct sw *sw, const char *name)
{
	unsigned int i;

	for (i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = atomic_load(&sw->port[i]);

		if (p && !strcmp(p->name, name))
			return p;
	}
	return NULL;
}

static void txb_free(struct sw *sw, unsigned int port)
{
	unsigned int i;

	for (i = 0; i < sw->nlanes; i++) {
		free(sw->lane[i]->txb[port]);
		sw->lane[i]->txb[port] = NULL;
	}
}

static int txb_new(struct sw_port *p)
{
	unsigned int i;

	for (i = 0; i < p->sw->nlanes; i++) {
		struct sw_txb *b = aligned_alloc(64, ALIGN_UP(sizeof(*b), (size_t)64));

		if (!b) {
			txb_free(p->sw, p->index);
			return -ENOMEM;
		}
		*b = (struct sw_txb){ .port = p };
		p->sw->lane[i]->txb[p->index] = b;
	}
	return 0;
}

int sw_port_add(struct sw *sw, struct sw_port *p, struct err *e)
{
	unsigned int i;

	if (sw_port_find(sw, p->name))
		return err_set(e, -EEXIST, "there is a port of this name");
	for (i = 0; i < SW_PORTS && sw->port[i]; i++)
		;
	if (i == SW_PORTS)
		return err_set(e, -ENOSPC, "there are %d ports already", SW_PORTS);
	p->sw = sw;
	p->index = i;
	p->flood_cycles = p->flood ? rte_get_tsc_hz() / p->flood : 0;
	rte_spinlock_init(&p->flood_lock);
	if (txb_new(p))
		return err_set(e, -ENOMEM, "out of memory");
	fdb_port_set(sw->fdb, i, p->vlan, p->macs);
	if (p->outer)
		fdb_port_outer(sw->fdb, i);
	atomic_store(&sw->port[i], p);
	if (i >= sw->high)
		atomic_store(&sw->high, i + 1);
	return 0;
}

void sw_quiesce(struct sw *sw)
{
	unsigned int i;

	for (i = 0; i < sw->nlanes; i++)
		lcore_call(sw->lane[i]->lcore, sw_lane_flush, sw->lane[i]);
}

/* A station learnt between the purge and the last round of a loop would outlive its port. */
static void slot_clear(void *arg)
{
	struct sw_port *p = arg;

	atomic_store(&p->sw->port[p->index], NULL);
}

void sw_port_leave(struct sw_port *p)
{
	struct sw *sw = p->sw;
	unsigned int i;

	glue_locked(slot_clear, p);
	atomic_store(&p->ntx, 0);
	for (i = 0; i < SW_QUEUES; i++) {
		sw_rxq_stop(p->rxq[i]);
		free(p->rxq[i]);
		p->rxq[i] = NULL;
	}
	sw_quiesce(sw);
	fdb_port_purge(sw->fdb, p->index);
	txb_free(sw, p->index);
}

struct sw_rxq *sw_rxq_new(struct sw_port *p, unsigned int q)
{
	if (!p->rxq[q]) {
		p->rxq[q] = calloc(1, sizeof(struct sw_rxq));
		if (p->rxq[q]) {
			p->rxq[q]->port = p;
			p->rxq[q]->q = q;
		}
	}
	return p->rxq[q];
}

int sw_rxq_start(struct sw_rxq *q)
{
	struct sw *sw = q->port->sw;
	struct lcore *l = vhostd_lcore(sw->d);
	int ret;

	q->lane = sw->lane[lcore_index(l)];
	q->gen = fdb_gen(sw->fdb) - 1;
	ret = lcore_add(l, &q->poller);
	if (!ret)
		q->lcore = l;
	return ret;
}

void sw_rxq_stop(struct sw_rxq *q)
{
	if (!q || !q->lcore)
		return;
	lcore_del(q->lcore, &q->poller);
	q->lcore = NULL;
}

struct rte_mempool *sw_pool(struct sw *sw)
{
	return sw->pool;
}

struct vhostd *sw_vhostd(struct sw *sw)
{
	return sw->d;
}

unsigned int sw_lanes(const struct sw *sw)
{
	return sw->nlanes;
}

const struct fdb *sw_fdb(const struct sw *sw)
{
	return sw->fdb;
}
