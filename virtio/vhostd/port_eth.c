// SPDX-License-Identifier: BSD-3-Clause
/*
 * A port on a DPDK ethernet device: a PCI function or a virtual device. As many receive queues as
 * there are loops, where the device has them; transmit queues are shared by loops, under a lock,
 * where there are fewer. A device without receive interrupts makes its loop nap.
 */
#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vhostd/off.h"
#include "virtio/vhostd/port.h"

#define RX_DESCS 512
#define TX_DESCS 512
#define NAP_US	 500

struct eth_port {
	struct sw_port p;
	char *dev; /* as EAL names it */
	uint16_t id;
	bool probed, started, intr;
	uint16_t nrx, ntx;
	rte_spinlock_t txlock[SW_QUEUES];
	int fd[SW_QUEUES];
};

static struct eth_port *eth_of(struct sw_port *p)
{
	return container_of(p, struct eth_port, p);
}

/* A port's queue is the sender's queue modulo ours, so that any loop may come to any queue. */
static uint16_t eth_tx(struct sw_port *p, unsigned int q, struct rte_mbuf **m, uint16_t n)
{
	struct eth_port *ep = eth_of(p);
	uint16_t sent;

	rte_spinlock_lock(&ep->txlock[q]);
	sent = rte_eth_tx_burst(ep->id, (uint16_t)q, m, n);
	rte_spinlock_unlock(&ep->txlock[q]);
	return sent;
}

static unsigned int eth_poll(void *arg)
{
	struct sw_rxq *q = arg;
	struct rte_mbuf *m[SW_BURST];
	uint16_t n = rte_eth_rx_burst(eth_of(q->port)->id, (uint16_t)q->q, m, SW_BURST);
	uint16_t i;

	/* Receive flags say nothing to the next receiver, and some drivers leave stale ones. */
	for (i = 0; i < n; i++)
		m[i]->ol_flags &= ~(uint64_t)OFF_ALL;
	if (n)
		sw_input(q, m, n);
	return n;
}

static bool eth_arm(void *arg)
{
	struct sw_rxq *q = arg;
	struct eth_port *ep = eth_of(q->port);

	return rte_eth_dev_rx_intr_enable(ep->id, (uint16_t)q->q) ||
	       rte_eth_rx_queue_count(ep->id, (uint16_t)q->q) > 0;
}

static void eth_disarm(void *arg)
{
	struct sw_rxq *q = arg;

	rte_eth_dev_rx_intr_disable(eth_of(q->port)->id, (uint16_t)q->q);
}

/* ---- control loop ---- */

static void eth_info(struct sw_port *p, json_t *row)
{
	struct rte_eth_link link = { 0 };

	if (rte_eth_link_get_nowait(eth_of(p)->id, &link))
		link.link_status = 0;
	json_object_set_new(row, "state", json_string(link.link_status ? "link-up" : "link-down"));
	json_object_set_new(row, "device", json_string(eth_of(p)->dev));
	json_object_set_new(row, "interrupts", json_boolean(eth_of(p)->intr));
}

static void rx_stop(struct eth_port *ep)
{
	unsigned int i;

	for (i = 0; i < ep->nrx; i++) {
		struct sw_rxq *q = ep->p.rxq[i];

		if (q && q->lcore && ep->fd[i] >= 0)
			lcore_fd_del(q->lcore, ep->fd[i]);
		ep->fd[i] = -1;
		sw_rxq_stop(q);
	}
}

static void eth_free(struct sw_port *p)
{
	struct eth_port *ep = eth_of(p);
	struct rte_eth_dev_info info;

	rx_stop(ep);
	if (p->sw)
		sw_port_leave(p);
	if (ep->started)
		rte_eth_dev_stop(ep->id);
	/* Closing forgets the device: ask for it first. */
	if (ep->probed && !rte_eth_dev_info_get(ep->id, &info)) {
		rte_eth_dev_close(ep->id);
		rte_dev_remove(info.device);
	}
	free(ep->dev);
	free(ep);
}

static const struct sw_port_ops eth_ops = {
	.kind = "ethdev",
	.owns = true,
	.tx = eth_tx,
	.info = eth_info,
	.free = eth_free,
};

static int dev_probe(struct eth_port *ep, const char *bus, struct err *e)
{
	char name[64];
	int ret;

	ret = rte_dev_probe(ep->dev);
	if (ret)
		return err_sys(e, ret, "DPDK finds no driver for %s %.200s", bus, ep->dev);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(ep->dev, ","), ep->dev);
	ret = rte_eth_dev_get_port_by_name(name, &ep->id);
	if (ret)
		return err_set(e, -ENODEV, "%s is no network device for DPDK", name);
	ep->probed = true;
	return 0;
}

/* With interrupts of the receive queues where the driver has them. */
static int dev_configure(struct eth_port *ep, struct err *e)
{
	struct rte_eth_conf conf = { .intr_conf.rxq = 1 };
	int ret;

	if (ep->nrx > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IP;
	}
	ep->intr = true;
	ret = rte_eth_dev_configure(ep->id, ep->nrx, ep->ntx, &conf);
	if (ret) {
		conf.intr_conf.rxq = 0;
		ep->intr = false;
		ret = rte_eth_dev_configure(ep->id, ep->nrx, ep->ntx, &conf);
	}
	if (ret)
		return err_sys(e, ret, "%s cannot be set up with %u queues", ep->dev, ep->nrx);
	return 0;
}

static int dev_queues(struct eth_port *ep, struct err *e)
{
	uint16_t i, rxd = RX_DESCS, txd = TX_DESCS;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(ep->id, &rxd, &txd);

	for (i = 0; !ret && i < ep->nrx; i++)
		ret = rte_eth_rx_queue_setup(ep->id, i, rxd, SOCKET_ID_ANY, NULL,
					     sw_pool(ep->p.sw));
	for (i = 0; !ret && i < ep->ntx; i++)
		ret = rte_eth_tx_queue_setup(ep->id, i, txd, SOCKET_ID_ANY, NULL);
	return ret ? err_sys(e, ret, "%s cannot set up its queues", ep->dev) : 0;
}

static int dev_start(struct eth_port *ep, struct err *e)
{
	int ret = rte_eth_dev_start(ep->id);

	/* The interrupt of a queue may only turn out to be missing here. */
	if (ret && ep->intr) {
		struct rte_eth_conf conf = { 0 };

		ep->intr = false;
		ret = rte_eth_dev_configure(ep->id, ep->nrx, ep->ntx, &conf);
		ret = ret ? ret : dev_queues(ep, e);
		ret = ret ? ret : rte_eth_dev_start(ep->id);
	}
	if (ret)
		return err_sys(e, ret, "%s does not start", ep->dev);
	ep->started = true;
	/* A switch wants frames for all its stations. A VF may be refused that: say so. */
	ret = rte_eth_promiscuous_enable(ep->id);
	if (ret)
		log_warn(sw_vhostd(ep->p.sw)->log,
			 "port %s: not promiscuous (%s): only frames to its own address come in",
			 ep->p.name, strerror(-ret));
	if (rte_eth_allmulticast_enable(ep->id))
		log_debug(sw_vhostd(ep->p.sw)->log, "port %s: not all multicasts", ep->p.name);
	return 0;
}

static int rx_start(struct eth_port *ep, struct err *e)
{
	uint16_t i;
	int ret;

	for (i = 0; i < ep->nrx; i++) {
		struct sw_rxq *q = sw_rxq_new(&ep->p, i);

		if (!q)
			return err_set(e, -ENOMEM, "out of memory");
		q->poller = (struct poller){ .poll = eth_poll, .arg = q, .nap_us = NAP_US };
		ep->fd[i] = ep->intr ? rte_eth_dev_rx_intr_ctl_q_get_fd(ep->id, i) : -1;
		if (ep->fd[i] >= 0 && !rte_eth_dev_rx_intr_enable(ep->id, i)) {
			q->poller.arm = eth_arm;
			q->poller.disarm = eth_disarm;
			q->poller.nap_us = 0;
		} else {
			ep->intr = false;
			ep->fd[i] = -1;
		}
		ret = sw_rxq_start(q);
		if (!ret && ep->fd[i] >= 0)
			ret = lcore_fd_add(q->lcore, ep->fd[i]);
		if (ret)
			return err_sys(e, ret, "queue %u of %s cannot be polled", i, ep->dev);
	}
	return 0;
}

static int dev_up(struct eth_port *ep, const struct port_cfg *c, struct err *e)
{
	struct rte_eth_dev_info info;
	unsigned int want =
		c->queues ? c->queues : MIN(sw_lanes(ep->p.sw), (unsigned int)SW_QUEUES);
	int ret = rte_eth_dev_info_get(ep->id, &info);

	if (ret)
		return err_sys(e, ret, "%s tells nothing of itself", ep->dev);
	ep->nrx = (uint16_t)MIN(want, (unsigned int)info.max_rx_queues);
	ep->ntx = (uint16_t)MIN(want, (unsigned int)info.max_tx_queues);
	if (!ep->nrx || !ep->ntx)
		return err_set(e, -EINVAL, "%s has no receive or no transmit queue", ep->dev);
	ret = dev_configure(ep, e);
	if (!ret)
		ret = dev_queues(ep, e);
	if (!ret)
		ret = dev_start(ep, e);
	if (!ret)
		ret = rx_start(ep, e);
	if (!ret)
		atomic_store(&ep->p.ntx, ep->ntx);
	return ret;
}

int port_eth_new(struct sw *sw, const struct port_cfg *c, struct err *e)
{
	struct eth_port *ep = calloc(1, sizeof(*ep));
	unsigned int i;
	int ret;

	if (!ep)
		return err_set(e, -ENOMEM, "out of memory");
	port_init(&ep->p, &eth_ops, c);
	ep->p.outer = c->pci;
	for (i = 0; i < SW_QUEUES; i++) {
		rte_spinlock_init(&ep->txlock[i]);
		ep->fd[i] = -1;
	}
	ep->dev = strdup(c->pci ? c->pci : c->vdev);
	ret = ep->dev ? sw_port_add(sw, &ep->p, e) : err_set(e, -ENOMEM, "out of memory");
	if (!ret)
		ret = dev_probe(ep, c->pci ? "the function" : "the device", e);
	if (!ret)
		ret = dev_up(ep, c, e);
	if (ret)
		eth_free(&ep->p);
	return ret;
}
