// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio-net on a tap (virtio 1.2, 5.1): the device as its driver sees it.
 *
 * A pair of queues and its file of the tap are served on one I/O thread (net_pair.c, net_rx.c,
 * net_tx.c), the control queue on the first of them (net_ctrl.c). What they share is atomic or does
 * not change while a driver is up. A stop takes the control queue first, since it may post notes to
 * the others; each of them has read its notes when its own stop returns.
 */
#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "virtio/net_priv.h"

#define QSIZE 256

static unsigned int ctrl_index(const struct vnet *n, uint64_t acked)
{
	/* Without multiqueue the driver knows of one pair only (5.1.2). */
	return acked & NETF(MQ) ? 2 * n->npairs : 2;
}

static bool is_ctrl(const struct vnet *n, unsigned int q)
{
	return (n->acked & NETF(CTRL_VQ)) && q == ctrl_index(n, n->acked);
}

/* The pair of a queue that carries packets, or NULL. */
static struct net_pair *pair_of(struct vnet *n, unsigned int q)
{
	return q / 2 < n->npairs && !is_ctrl(n, q) ? &n->pair[q / 2] : NULL;
}

static uint64_t net_features(struct vio *v)
{
	struct vnet *n = vnet_of(v);

	return net_depend(net_offer(n->tap.uso, n->npairs, n->tap.mtu) & ~v->hide);
}

static void net_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf)
{
	struct vnet *n = vnet_of(v);
	uint64_t mac = atomic_load(&n->mac);
	struct virtio_net_config c = {
		.status = net_link_is_up(n) ? VIRTIO_NET_S_LINK_UP : 0,
		.max_virtqueue_pairs = (uint16_t)n->npairs,
		.mtu = (uint16_t)n->tap.mtu,
	};

	memcpy(c.mac, &mac, sizeof(c.mac));
	memcpy(buf, (uint8_t *)&c + off, len);
}

static int net_stop(struct vio *v)
{
	struct vnet *n = vnet_of(v);

	vio_serve_stop(&n->ctrl.s);
	for (unsigned int i = 0; i < n->npairs; i++)
		net_pair_stop(&n->pair[i]);
	atomic_store(&n->mac, n->mac0);
	return 0;
}

/* The tap as a new driver expects it: its offloads, one pair. */
static int tap_prepare(struct vnet *n)
{
	unsigned int off = net_offloads(n->acked);
	int rc;

	for (unsigned int i = 0; i < n->npairs; i++)
		atomic_store(&n->pair[i].wanted, !i);
	atomic_store(&n->offload, off);
	rc = tap_offload(n->sys, &n->tap, off);
	if (!rc)
		rc = tap_queues(n->sys, &n->tap, 1);
	/* An interface that is gone is a link that is down. */
	return rc == -EBADFD ? 0 : rc;
}

static int net_start(struct vio *v)
{
	struct vnet *n = vnet_of(v);
	int rc;

	n->acked = net_depend(v->acked);
	n->ctrl.s.q = ctrl_index(n, n->acked);
	rc = tap_prepare(n);
	for (unsigned int i = 0; i < n->npairs && !rc; i++) {
		/* Its queues may be something else to this driver. */
		if (pair_of(n, 2 * i))
			rc = net_pair_start(&n->pair[i]);
	}
	if (!rc && (n->acked & NETF(CTRL_VQ)))
		rc = vio_serve_start(&n->ctrl.s);
	if (rc)
		net_stop(v);
	return rc;
}

static int net_pause(struct vio *v, bool on)
{
	struct vnet *n = vnet_of(v);
	int rc = vio_serve_pause(&n->ctrl.s, on);

	for (unsigned int i = 0; i < n->npairs && !rc; i++)
		if (pair_of(n, 2 * i))
			rc = net_pair_pause(&n->pair[i], on);
	return rc;
}

static int net_queue_start(struct vio *v, unsigned int q)
{
	struct vnet *n = vnet_of(v);
	struct net_pair *p = pair_of(n, q);

	if (p)
		return net_pair_queue(p, !(q % 2), true);
	return is_ctrl(n, q) ? vio_serve_start(&n->ctrl.s) : 0;
}

static int net_queue_stop(struct vio *v, unsigned int q)
{
	struct vnet *n = vnet_of(v);
	struct net_pair *p = pair_of(n, q);

	if (p)
		return net_pair_queue(p, !(q % 2), false);
	if (is_ctrl(n, q))
		vio_serve_stop(&n->ctrl.s);
	return 0;
}

static void net_free(struct vio *v)
{
	struct vnet *n = vnet_of(v);

	net_watch_stop(n);
	for (unsigned int i = 0; i < n->npairs; i++)
		net_pair_free(&n->pair[i]);
	tap_close(n->sys, &n->tap);
}

static const struct vio_ops net_ops = {
	.name = "net",
	.type = 1,
	.cfg_size = offsetof(struct virtio_net_config, speed),
	.features = net_features,
	.cfg_read = net_cfg_read,
	.start = net_start,
	.stop = net_stop,
	.pause = net_pause,
	.queue_start = net_queue_start,
	.queue_stop = net_queue_stop,
	.free = net_free,
};

/* ---- set-up ---- */

/* Locally administered; the interface's name makes it differ between machines of a host. */
static uint64_t mac_of(const struct vio_net_cfg *c, const char *id)
{
	uint64_t v = hash_text(hash_text(HASH_INIT, id), c->tap);

	if (mac_is_zero(&c->mac))
		return (v >> 8 & 0xffffffff0000ull) | 0x5452;
	v = 0;
	memcpy(&v, c->mac.b, sizeof(c->mac.b));
	return v;
}

static int set_up(struct vnet *n, const struct vio_net_cfg *c, struct err *e)
{
	int rc = tap_open(n->sys, c->tap, c->pairs, &n->tap, e);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < n->npairs && !rc; i++)
		rc = net_pair_init(&n->pair[i], n, i, c->io[i % c->nio]);
	if (rc)
		return err_set(e, rc, "out of memory");
	/* What the host sends before there is a driver goes to one file, not to all. */
	rc = tap_queues(n->sys, &n->tap, 1);
	if (rc)
		return err_sys(e, rc, "detaching queues of interface %s", c->tap);
	return net_watch_start(n, e);
}

static struct vnet *vnet_new(struct sys *s, const char *id, const struct vio_net_cfg *c)
{
	struct vnet *n;
	struct vio *v;

	if (vio_new(&net_ops, sizeof(*n) + c->pairs * sizeof(n->pair[0]), id, 2 * c->pairs + 1,
		    c->qsize ? c->qsize : QSIZE, c->hide, &v))
		return NULL;
	n = vnet_of(v);
	n->sys = s;
	n->log = c->log;
	n->npairs = c->pairs;
	n->watch_fd = -1;
	n->mac0 = mac_of(c, id);
	atomic_store(&n->mac, n->mac0);
	atomic_store(&n->admin_up, true);
	n->ctrl.net = n;
	n->ctrl.s = (struct vio_serve){ .v = v, .io = c->io[0], .serve = net_ctrl_serve };
	return n;
}

int vio_net_new(struct sys *s, const char *id, const struct vio_net_cfg *c, struct vm_dev **out,
		struct err *e)
{
	struct vnet *n;
	int rc;

	BUG_ON(!c->pairs || c->pairs > TAP_QUEUES_MAX || !c->nio);
	if (c->qsize && (!IS_POW2(c->qsize) || c->qsize < 16 || c->qsize > VIO_NET_QSIZE_MAX))
		return err_set(e, -EINVAL,
			       "%s: a queue has 16 to %u entries, a power of two, not %u", id,
			       VIO_NET_QSIZE_MAX, c->qsize);
	if (mac_is_multicast(&c->mac))
		return err_set(
			e, -EINVAL,
			"%s: the MAC address is a multicast one: its first octet must be even", id);
	n = vnet_new(s, id, c);
	if (!n)
		return err_set(e, -ENOMEM, "%s: out of memory", id);
	rc = set_up(n, c, e);
	if (rc) {
		err_prefix(e, "%s: ", id);
		vm_dev_free(&n->vio.dev);
		return rc;
	}
	*out = &n->vio.dev;
	return 0;
}

/* ---- what "ctl" shows ---- */

void vio_net_info(struct vm_dev *d, struct vio_net_info *out)
{
	struct vnet *n = vnet_of(vio_of(d));
	uint64_t mac = atomic_load(&n->mac);

	*out = (struct vio_net_info){
		.mtu = n->tap.mtu,
		.pairs = n->npairs,
		.link = net_link_is_up(n),
	};
	memcpy(out->mac.b, &mac, sizeof(out->mac.b));
	for (unsigned int i = 0; i < n->npairs && n->vio.started; i++)
		out->pairs_on += atomic_load(&n->pair[i].wanted);
}

void vio_net_drops(struct vm_dev *d, unsigned int queue, uint64_t out[VIO_NET_DROPS])
{
	struct vnet *n = vnet_of(vio_of(d));
	struct net_pair *p = pair_of(n, queue);
	struct net_count *c = p ? queue % 2 ? &p->tx.n : &p->rx.n : NULL;

	for (unsigned int i = 0; i < VIO_NET_DROPS; i++)
		out[i] = c ? net_get(&c->drop[i]) : 0;
}

const char *vio_net_drop_name(unsigned int cause)
{
	static const char *const name[VIO_NET_DROPS] = { "short",   "long", "csum", "gso",
							 "offload", "link", "host", "room" };

	BUG_ON(cause >= VIO_NET_DROPS);
	return name[cause];
}

static void count_packets(struct vm_dev *d, unsigned int queue, struct net_pair *p,
			  struct vio_count *out)
{
	struct net_count *c = queue % 2 ? &p->tx.n : &p->rx.n;
	uint64_t drop[VIO_NET_DROPS];

	out->bufs = net_get(&c->bufs);
	*(queue % 2 ? &out->bytes_out : &out->bytes_in) = net_get(&c->bytes);
	vio_net_drops(d, queue, drop);
	for (unsigned int i = 0; i < VIO_NET_DROPS; i++)
		out->errors += drop[i];
}

void vio_net_count(struct vm_dev *d, unsigned int queue, struct vio_count *out)
{
	struct vnet *n = vnet_of(vio_of(d));
	struct net_pair *p = pair_of(n, queue);
	struct vio_serve *s = &n->ctrl.s;

	BUG_ON(queue >= n->vio.nqueues);
	*out = (struct vio_count){ 0 };
	if (p) {
		s = queue % 2 ? &p->tx.s : &p->rx.s;
		count_packets(d, queue, p, out);
	} else if (is_ctrl(n, queue)) {
		out->bufs = net_get(&n->ctrl.commands);
		out->errors = net_get(&n->ctrl.refused);
	} else {
		return;
	}
	out->kicks = s->kicks;
	out->calls_spared = s->spared;
	out->calls = net_get(&n->vio.q[queue].calls);
}
