// SPDX-License-Identifier: BSD-3-Clause
/*
 * A port on vhost-user, by librte_vhost.
 *
 * The library calls back on a thread of its own, some calls with its queue locks held. Those only
 * leave a note and wake the control loop, which brings pollers in line with the queues that are up
 * (vhost_sync()). The exception is a device that goes: its memory is unmapped when the callback
 * returns, so that one waits until the poll loops are off it.
 *
 * The library keeps a list of what it used, with as many places as the ring has entries, and writes
 * it out at the end of a burst. How much there is to use it takes from the driver's index, and a
 * driver that lies would have it write behind the list; so no burst takes more than a ring holds.
 *
 * A queue's kick eventfd is duplicated for the loop's epoll set, so that it can be taken out of the
 * set even after the library has closed its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <rte_vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/usock.h"
#include "virtio/vhostd/peers.h"
#include "virtio/vhostd/port.h"

#define F(bit) (1ull << (bit))
#define OFFLOADS                                                                               \
	(F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_HOST_TSO4) |       \
	 F(VIRTIO_NET_F_HOST_TSO6) | F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6) | \
	 F(VIRTIO_NET_F_HOST_ECN) | F(VIRTIO_NET_F_GUEST_ECN))
/* Never: nobody cuts them in software. */
#define NO_UFO (F(VIRTIO_NET_F_HOST_UFO) | F(VIRTIO_NET_F_GUEST_UFO))

struct vhost_queue {
	struct vhost_port *vp;
	int kick;	   /* ours; -1: none */
	unsigned int note; /* the state it was synchronised to */
};

struct vhost_port {
	struct sw_port p;
	char *path;
	bool client, registered, offload, made_dir;
	unsigned int queues;
	_Atomic int vid; /* -1: nobody is there */
	_Atomic bool up[2 * SW_QUEUES];
	_Atomic uint16_t size[2 * SW_QUEUES]; /* of its ring; 0: not known yet */
	_Atomic unsigned int note[SW_QUEUES]; /* counts changes of a queue */
	uint64_t features;
	uint64_t connects;
	_Atomic uint64_t drops;
	struct log_limit limit;		    /* control loop's */
	struct log_limit limit_judge, life; /* the library's thread's */
	pthread_mutex_t lock;		    /* pollers and kicks */
	struct vhost_queue q[SW_QUEUES];
	struct peers peers;
};

static struct vhost_port *vhost_of(struct sw_port *p)
{
	return container_of(p, struct vhost_port, p);
}

/* ---- poll loops ---- */

/* A frame may take many small buffers of a split ring that merges them: then the driver's index
 * must make sense, too. */
static bool index_lies(const struct vhost_port *vp, int vid, uint16_t ring, uint16_t size)
{
	return (vp->features & (F(VIRTIO_NET_F_MRG_RXBUF) | F(VIRTIO_F_RING_PACKED))) ==
		       F(VIRTIO_NET_F_MRG_RXBUF) &&
	       rte_vhost_avail_entries(vid, ring) > size;
}

static uint16_t vhost_tx(struct sw_port *p, unsigned int q, struct rte_mbuf **m, uint16_t n)
{
	struct vhost_port *vp = vhost_of(p);
	int vid = atomic_load_explicit(&vp->vid, memory_order_relaxed);
	uint16_t size = atomic_load_explicit(&vp->size[2 * q], memory_order_relaxed);
	uint16_t sent = 0, k = 1;

	if (vid < 0 || !size || index_lies(vp, vid, (uint16_t)(2 * q), size))
		return 0;
	for (; sent < n && k; sent = (uint16_t)(sent + k))
		k = rte_vhost_enqueue_burst(vid, (uint16_t)(2 * q), m + sent,
					    MIN((uint16_t)(n - sent), size));
	return sent;
}

static unsigned int vhost_poll(void *arg)
{
	struct sw_rxq *q = arg;
	struct vhost_port *vp = vhost_of(q->port);
	unsigned int ring = 2 * q->q + 1;
	uint16_t size = atomic_load_explicit(&vp->size[ring], memory_order_relaxed);
	struct rte_mbuf *m[SW_BURST];
	uint16_t n;

	n = rte_vhost_dequeue_burst(vp->vid, (uint16_t)ring, sw_pool(vp->p.sw), m,
				    MIN((uint16_t)SW_BURST, size));
	if (n)
		sw_input(q, m, n);
	return n;
}

/* Wanting kicks is told first; what came before is seen by the look afterwards. */
static bool vhost_arm(void *arg)
{
	struct sw_rxq *q = arg;
	int vid = vhost_of(q->port)->vid;
	uint16_t vq = (uint16_t)(2 * q->q + 1);

	rte_vhost_enable_guest_notification(vid, vq, 1);
	return rte_vhost_rx_queue_count(vid, vq) > 0;
}

static void vhost_disarm(void *arg)
{
	struct sw_rxq *q = arg;

	rte_vhost_enable_guest_notification(vhost_of(q->port)->vid, (uint16_t)(2 * q->q + 1), 0);
}

/* ---- bringing pollers in line; lock held ---- */

static void queue_down(struct vhost_port *vp, unsigned int i)
{
	struct sw_rxq *q = vp->p.rxq[i];

	if (!q || !q->lcore)
		return;
	if (vp->q[i].kick >= 0) {
		lcore_fd_del(q->lcore, vp->q[i].kick);
		close(vp->q[i].kick);
		vp->q[i].kick = -1;
	}
	sw_rxq_stop(q);
}

static int queue_up(struct vhost_port *vp, unsigned int i, int vid)
{
	struct sw_rxq *q = sw_rxq_new(&vp->p, i);
	struct rte_vhost_vring vr = { .kickfd = -1 };
	int ret;

	if (!q)
		return -ENOMEM;
	q->poller.poll = vhost_poll;
	q->poller.arm = vhost_arm;
	q->poller.disarm = vhost_disarm;
	q->poller.arg = q;
	if (!rte_vhost_get_vhost_vring(vid, (uint16_t)(2 * i + 1), &vr) && vr.kickfd >= 0)
		vp->q[i].kick = fcntl(vr.kickfd, F_DUPFD_CLOEXEC, 0);
	/* A driver that never kicks is looked at now and then. */
	q->poller.nap_us = vp->q[i].kick < 0 ? 500 : 0;
	rte_vhost_enable_guest_notification(vid, (uint16_t)(2 * i + 1), 0);
	ret = sw_rxq_start(q);
	if (!ret && vp->q[i].kick >= 0)
		ret = lcore_fd_add(q->lcore, vp->q[i].kick);
	return ret;
}

static void sizes_known(struct vhost_port *vp, int vid)
{
	struct rte_vhost_vring vr;

	for (unsigned int i = 0; i < 2 * vp->queues; i++) {
		bool known = vid >= 0 && !rte_vhost_get_vhost_vring(vid, (uint16_t)i, &vr);

		atomic_store(&vp->size[i], known ? vr.size : 0);
	}
}

static unsigned int rings_up(struct vhost_port *vp)
{
	unsigned int i;

	for (i = 0; i < vp->queues && vp->up[2 * i]; i++)
		;
	return i;
}

static void vhost_sync(struct vhost_port *vp)
{
	const struct log *log = sw_vhostd(vp->p.sw)->log;
	unsigned int i, note;
	int vid, ret;

	pthread_mutex_lock(&vp->lock);
	vid = vp->vid;
	sizes_known(vp, vid);
	for (i = 0; i < vp->queues; i++) {
		bool want = vid >= 0 && vp->up[2 * i + 1];

		note = atomic_load(&vp->note[i]);
		if (!want || vp->q[i].note != note)
			queue_down(vp, i);
		vp->q[i].note = note;
		if (!want || (vp->p.rxq[i] && vp->p.rxq[i]->lcore))
			continue;
		ret = queue_up(vp, i, vid);
		if (ret)
			log_err(log, "port %s: queue %u cannot be polled: %s", vp->p.name, i,
				strerror(-ret));
	}
	atomic_store(&vp->p.ntx, vid >= 0 ? rings_up(vp) : 0);
	pthread_mutex_unlock(&vp->lock);
}

static const struct sw_port_ops vhost_ops;

/* Control loop: some port changed. A port may be gone by now, so all that are there are looked at.
 */
static void sync_all(void *arg)
{
	struct sw *sw = arg;
	unsigned int i;

	/* First: what changes from here on is looked at another time. */
	atomic_store(&sw_vhostd(sw)->sync_due, false);
	for (i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(sw, i);

		if (p && p->ops == &vhost_ops)
			vhost_sync(vhost_of(p));
	}
}

/* A front end may change its rings faster than the control loop follows: one call does for all. */
static void sync_later(struct vhost_port *vp)
{
	struct vhostd *d = sw_vhostd(vp->p.sw);

	if (atomic_exchange(&d->sync_due, true) || !ev_call(d->ev, sync_all, vp->p.sw))
		return;
	atomic_store(&d->sync_due, false);
	log_err(d->log, "port %s: out of memory", vp->p.name);
}

/* ---- librte_vhost's thread ---- */

struct by_path {
	struct vhost_port *found;
	char path[256];
};

static void port_by_path(void *arg)
{
	struct by_path *b = arg;

	for (unsigned int i = 0; !b->found && i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(glue_sw(), i);

		if (p && p->ops == &vhost_ops && !strcmp(vhost_of(p)->path, b->path))
			b->found = vhost_of(p);
	}
}

/* The port of a device. It stays: ports are only freed when the library is done with their socket.
 * The others on the way to it may go. */
static struct vhost_port *port_of_vid(int vid)
{
	struct by_path b = { 0 };

	if (glue_sw() && !rte_vhost_get_ifname(vid, b.path, sizeof(b.path)))
		glue_locked(port_by_path, &b);
	return b.found;
}

static int on_new_device(int vid)
{
	struct vhost_port *vp = port_of_vid(vid);
	uint64_t f = 0;

	/* One front end a port: a second one would be given the frames of the first. */
	if (!vp || atomic_load(&vp->vid) >= 0)
		return -1;
	rte_vhost_get_negotiated_features(vid, &f);
	vp->features = f;
	vp->p.csum = f & F(VIRTIO_NET_F_GUEST_CSUM);
	vp->p.tso = (f & F(VIRTIO_NET_F_GUEST_TSO4)) && (f & F(VIRTIO_NET_F_GUEST_TSO6));
	vp->connects++;
	atomic_store(&vp->vid, vid);
	log_limited(sw_vhostd(vp->p.sw)->log, &vp->life, LOG_INFO, "port %s: a driver is there",
		    vp->p.name);
	sync_later(vp);
	return 0;
}

static void on_destroy_device(int vid)
{
	struct vhost_port *vp = port_of_vid(vid);

	if (!vp || atomic_load(&vp->vid) != vid)
		return;
	log_limited(sw_vhostd(vp->p.sw)->log, &vp->life, LOG_INFO, "port %s: the driver is gone",
		    vp->p.name);
	pthread_mutex_lock(&vp->lock);
	atomic_store(&vp->p.ntx, 0);
	for (unsigned int i = 0; i < vp->queues; i++)
		queue_down(vp, i);
	atomic_store(&vp->vid, -1);
	pthread_mutex_unlock(&vp->lock);
	sw_quiesce(vp->p.sw);
}

/* May come with locks of queues held, and before the device is new. */
static int on_vring_state(int vid, uint16_t queue, int enable)
{
	struct vhost_port *vp = port_of_vid(vid);
	int cur;

	if (!vp || queue >= 2 * vp->queues)
		return 0;
	cur = atomic_load(&vp->vid);
	if (cur >= 0 && cur != vid)
		return 0;
	atomic_store(&vp->up[queue], enable);
	atomic_fetch_add(&vp->note[queue / 2], queue % 2);
	sync_later(vp);
	return 0;
}

static void memory_known(struct vhost_port *vp, int vid)
{
	struct rte_vhost_memory *mem = NULL;

	peers_mem_clear(&vp->peers, vid);
	if (rte_vhost_get_mem_table(vid, &mem))
		return;
	for (uint32_t i = 0; i < mem->nregions; i++)
		peers_mem_add(&vp->peers, vid, mem->regions[i].mmap_addr,
			      mem->regions[i].mmap_size);
	free(mem);
}

/* A poll loop writes to these: it must not wait there until somebody has read. */
static void calls_nonblock(int vid)
{
	unsigned int i, n = rte_vhost_get_vring_num(vid);
	struct rte_vhost_vring vr;
	int on = 1;

	for (i = 0; i < n; i++)
		if (!rte_vhost_get_vhost_vring(vid, (uint16_t)i, &vr) && vr.callfd >= 0)
			ioctl(vr.callfd, FIONBIO, &on);
}

/* Before and after each message, with the locks of all queues held where it is about queues. */
static enum rte_vhost_msg_result before_message(int vid, void *msg)
{
	struct vhost_port *vp = port_of_vid(vid);
	const struct vu_hdr *h = msg;
	struct err e = { 0 };

	if (vp && vu_req_replies(h->req))
		peers_unread(vp->path);
	if (vp && peers_before(&vp->peers, vid, msg, &e)) {
		atomic_fetch_add(&vp->drops, 1);
		log_limited(sw_vhostd(vp->p.sw)->log, &vp->limit_judge, LOG_WARN,
			    "port %s: front end dropped: %s", vp->p.name, e.text);
		peers_hang_up(vp->path);
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result after_message(int vid, void *msg)
{
	struct vhost_port *vp = port_of_vid(vid);
	const struct vu_hdr *h = msg;

	if (!vp)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	peers_after(&vp->peers, vid, msg);
	if (h->req == VU_SET_MEM_TABLE)
		memory_known(vp, vid);
	else if (h->req == VU_SET_VRING_CALL)
		calls_nonblock(vid);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops message_ops = {
	.pre_msg_handle = before_message,
	.post_msg_handle = after_message,
};

/* Connections are a resource of all ports, so one port has a few. */
static int on_new_connection(int vid)
{
	struct vhost_port *vp = port_of_vid(vid);

	if (!vp || !peers_add(&vp->peers, vid))
		return -1;
	peers_patience(vp->path);
	if (!rte_vhost_extern_callback_register(vid, &message_ops, NULL))
		return 0;
	peers_del(&vp->peers, vid);
	return -1;
}

static void queues_forget(struct vhost_port *vp)
{
	for (unsigned int i = 0; i < 2 * SW_QUEUES; i++)
		atomic_store(&vp->up[i], false);
}

/* A connection that ended before it became a device leaves no state of queues behind. */
static void on_destroy_connection(int vid)
{
	struct vhost_port *vp = port_of_vid(vid);
	int cur = vp ? atomic_load(&vp->vid) : -1;

	if (vp)
		peers_del(&vp->peers, vid);
	if (vp && (cur < 0 || cur == vid))
		queues_forget(vp);
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = on_new_device,
	.destroy_device = on_destroy_device,
	.vring_state_changed = on_vring_state,
	.new_connection = on_new_connection,
	.destroy_connection = on_destroy_connection,
};

/* ---- control loop ---- */

static void vhost_info(struct sw_port *p, json_t *row)
{
	struct vhost_port *vp = vhost_of(p);
	char features[24];

	json_object_set_new(row, "state",
			    json_string(vp->vid >= 0   ? "connected"
					: vp->connects ? "lost"
					: vp->client   ? "connecting"
						       : "listening"));
	json_object_set_new(row, "socket", json_string(vp->path));
	json_object_set_new(row, "role", json_string(vp->client ? "client" : "server"));
	json_object_set_new(row, "connects", json_integer((json_int_t)vp->connects));
	json_object_set_new(row, "dropped", json_integer((json_int_t)vp->drops));
	snprintf(features, sizeof(features), "0x%llx",
		 vp->vid >= 0 ? (unsigned long long)vp->features : 0ull);
	json_object_set_new(row, "features", json_string(features));
}

/*
 * Who may connect gets to see, and we get to see, all of a machine's memory: the socket is for our
 * user alone (the umask), and so is a directory that we make for it.
 */
static int socket_dir(struct vhost_port *vp, struct err *e)
{
	char *copy = strdup(vp->path), *dir;
	int ret = 0;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	dir = dirname(copy);
	if (!mkdir(dir, 0700))
		vp->made_dir = true;
	else if (errno != EEXIST)
		ret = err_sys(e, -errno, "cannot make the directory %.200s", dir);
	free(copy);
	return ret;
}

/*
 * A socket that is new to the library is not waited for before its thread's wait of a second is
 * over, and so long a front end that came back at once would have to do without us. A connection
 * ends that wait: one to nobody, made and ended here.
 */
static void wake_library(struct vhostd *d, const char *path)
{
	static const struct rte_vhost_device_ops no_ops = { 0 };
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	struct err e = { 0 };
	int fd;

	if (snprintf(name, sizeof(name), "%s~", path) >= (int)sizeof(name) - 1)
		return;
	fd = usock_listen(d->sys, name, 1, &e);
	if (fd < 0)
		return;
	if (!rte_vhost_driver_register(name, RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT)) {
		if (!rte_vhost_driver_callback_register(name, &no_ops))
			rte_vhost_driver_start(name);
		rte_vhost_driver_unregister(name);
	}
	sys_close(d->sys, &fd);
	sys_unlink(d->sys, name);
}

static int vhost_register(struct vhost_port *vp, struct err *e)
{
	struct vhostd *d = sw_vhostd(vp->p.sw);
	int ret;

	/* The library would replace what it finds there, whoever listens. */
	ret = vp->client ? 0 : usock_vacate(d->sys, vp->path, e);
	if (ret)
		return ret;
	if (usock_dir_open(d->sys, vp->path))
		log_warn(d->log, "port %s: others may write to the folder of %s", vp->p.name,
			 vp->path);
	if (rte_vhost_driver_register(vp->path, vp->client ? RTE_VHOST_USER_CLIENT : 0))
		return err_set(e, -EINVAL, "librte_vhost does not take the socket %s", vp->path);
	vp->registered = true;
	if (rte_vhost_driver_disable_features(vp->path, NO_UFO | (vp->offload ? 0 : OFFLOADS)) ||
	    rte_vhost_driver_callback_register(vp->path, &device_ops) ||
	    rte_vhost_driver_start(vp->path))
		return err_set(e, -EINVAL, "librte_vhost cannot use the socket %s", vp->path);
	if (!vp->client)
		wake_library(d, vp->path);
	return 0;
}

static bool vhost_fault(struct sw_port *p, const void *addr)
{
	struct vhost_port *vp = vhost_of(p);

	if (!peers_have(&vp->peers, addr))
		return false;
	atomic_fetch_add(&vp->drops, 1);
	log_limited(
		sw_vhostd(p->sw)->log, &vp->limit, LOG_WARN,
		"port %s: front end dropped: its memory is not there any more: the file was cut short",
		p->name);
	peers_hang_up(vp->path);
	return true;
}

/* The library ends the connections first, which calls on_destroy_device() back. */
static void vhost_free(struct sw_port *p)
{
	struct vhost_port *vp = vhost_of(p);

	if (vp->registered)
		rte_vhost_driver_unregister(vp->path);
	peers_clear(&vp->peers);
	if (p->sw)
		sw_port_leave(p);
	pthread_mutex_destroy(&vp->lock);
	peers_fini(&vp->peers);
	free(vp->path);
	free(vp);
}

static int vhost_give(struct sw_port *p, uid_t uid, gid_t gid)
{
	struct vhost_port *vp = vhost_of(p);
	char dir[128];

	if (vp->client)
		return 0;
	snprintf(dir, sizeof(dir), "%s", vp->path);
	if (vp->made_dir && lchown(dirname(dir), uid, gid))
		return -errno;
	return lchown(vp->path, uid, gid) ? -errno : 0;
}

static const struct sw_port_ops vhost_ops = {
	.kind = "vhost-user",
	.tx = vhost_tx,
	.info = vhost_info,
	.fault = vhost_fault,
	.give = vhost_give,
	.free = vhost_free,
};

int port_vhost_new(struct sw *sw, const struct port_cfg *c, struct err *e)
{
	struct vhost_port *vp = calloc(1, sizeof(*vp));
	unsigned int i;
	int ret;

	if (!vp)
		return err_set(e, -ENOMEM, "out of memory");
	port_init(&vp->p, &vhost_ops, c);
	pthread_mutex_init(&vp->lock, NULL);
	peers_init(&vp->peers);
	vp->vid = -1;
	vp->client = c->role == PORT_CLIENT;
	vp->offload = c->offload;
	vp->queues = c->queues ? c->queues : SW_QUEUES;
	for (i = 0; i < SW_QUEUES; i++)
		vp->q[i] = (struct vhost_queue){ .vp = vp, .kick = -1 };
	vp->path = strdup(c->socket);
	ret = vp->path ? 0 : err_set(e, -ENOMEM, "out of memory");
	if (!ret && strlen(vp->path) >= 108)
		ret = err_set(e, -ENAMETOOLONG, "the path of the socket is too long");
	if (!ret && !vp->client)
		ret = socket_dir(vp, e);
	if (!ret)
		ret = sw_port_add(sw, &vp->p, e);
	if (!ret)
		ret = vhost_register(vp, e);
	if (ret)
		vhost_free(&vp->p);
	return ret;
}
