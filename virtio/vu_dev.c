// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vhost-user port: a virtio device whose queues another process serves. The driver's kicks go to
 * eventfds that the backend reads, its calls to the eventfds behind the guest's interrupt vectors:
 * the VMM is not on the path of data, and a masked vector keeps what was signalled.
 *
 * Two lives run side by side here. The driver's: it starts the queues and resets them, whenever it
 * likes. The backend's: it connects, is negotiated with, vanishes, whenever it likes. Rings are set
 * up when both are there (vu_dev_link.c chooses the program). A driver without a backend is served
 * later; a backend without a driver waits; a driver that resets a device whose backend is gone is
 * answered at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include "virtio/vu_dev_priv.h"
#include "vmm/core/vm.h"

#define QSIZE_DEFAULT 256

unsigned int vu_ctrl_queue(const struct vu *u)
{
	/* Behind as many pairs as the driver can know of (virtio 1.2, 5.1.2). */
	return u->v.acked & NET_F_MQ ? 2 * u->queues : 2;
}

bool vu_set(const struct vu *u, unsigned int q)
{
	if (!u->disk && (u->v.acked & NET_F_CTRL_VQ) && q >= vu_ctrl_queue(u))
		return false;
	return u->running && q < u->ndata && u->v.q[q].enabled;
}

bool vu_on(const struct vu *u, unsigned int q)
{
	return vu_set(u, q) && (u->disk || q < 2 * u->pairs_on);
}

/* ---- what a finished program means ---- */

/* The driver is there, and has accepted what this backend does not have. */
static bool lacks(struct vu *u)
{
	uint64_t missing = vu_feat_back(u) & ~u->offer;
	char why[120];

	if (!u->running || !missing)
		return false;
	snprintf(why, sizeof(why), "the backend lacks features 0x%llx that the guest uses",
		 (unsigned long long)missing);
	log_limited(u->log, &u->limit, LOG_WARN, "%s: %s", u->v.dev.id, why);
	vu_state_set(u, VU_NEEDS_RESET, why);
	vio_needs_reset(&u->v, "the backend that came back lacks features in use");
	return true;
}

void vu_negotiated(struct vu *u)
{
	u->ready = true;
	/* For the next driver; the one that runs has what it accepted. */
	atomic_store(&u->offered, vu_feat_offer(u));
	pthread_mutex_lock(&u->lock);
	u->info.connects++;
	pthread_mutex_unlock(&u->lock);
	if (u->broken || lacks(u))
		return;
	if (!u->running)
		vu_state_set(u, VU_CONNECTED, NULL);
	log_limited(u->log, &u->limit_there, LOG_INFO, "%s: backend at %s is there", u->v.dev.id,
		    u->path);
}

void vu_lit(struct vu *u)
{
	u->lit = true;
	vu_state_set(u, VU_CONNECTED, NULL);
	vu_ring_wake(u);
}

void vu_stop_done(struct vu *u)
{
	u->stop_wanted = u->running = u->lit = false;
	u->served = u->given = u->told = 0;
	u->broken = NULL;
	u->call_dirty = u->enable_dirty = 0;
	sys_close(u->sys, &u->inflight_fd);
	if (u->info.state == VU_NEEDS_RESET)
		vu_state_set(u, u->ready ? VU_CONNECTED : VU_LOST, NULL);
	vio_stopped(&u->v, -1);
}

/* ---- the driver's side; VM lock held ---- */

static int regions(struct vu *u)
{
	struct list *pos, *nxt;

	u->nregions = 0;
	list_for_each (pos, nxt, &u->v.dev.vm->mem.regions) {
		const struct vm_mem_region *r = list_entry(pos, struct vm_mem_region, link);

		if (r->kind != VM_MEM_RAM)
			continue;
		if (r->fd < 0 || u->nregions == VQ_REGIONS_MAX)
			return -ENOSPC;
		u->region_fd[u->nregions] = r->fd;
		u->region[u->nregions++] =
			(struct vu_region){ .gpa = r->gpa, .size = r->size, .mmap_off = r->fd_off };
	}
	return 0;
}

static void do_start(void *arg)
{
	struct vu *u = arg;

	u->running = true;
	u->hold = false;
	if (!u->ready || !lacks(u))
		vu_link_pump(u);
}

static int op_start(struct vio *v)
{
	struct vu *u = vu_of(v);
	int rc = regions(u);

	/* The control queue may have a word on it as soon as it is served. */
	u->pairs_on = 1;
	if (!rc && !u->disk && (v->acked & NET_F_CTRL_VQ)) {
		u->ctrl.q = vu_ctrl_queue(u);
		rc = vio_serve_start(&u->ctrl);
	}
	if (!rc)
		vm_iothread_call(u->io, do_start, u);
	return rc;
}

static void do_stop(void *arg)
{
	struct vu *u = arg;

	u->stop_wanted = true;
	/* Nobody there, or nothing given to it: over at once. */
	if (!u->ready || (!u->given && !u->told && !u->prog))
		vu_stop_done(u);
	else
		vu_link_pump(u);
}

static int op_stop(struct vio *v)
{
	struct vu *u = vu_of(v);

	vio_serve_stop(&u->ctrl);
	vm_iothread_call(u->io, do_stop, u);
	return -EINPROGRESS; /* vio_stopped() may have been called already */
}

static void do_hold(void *arg)
{
	struct vu *u = arg;

	u->hold = true;
	if (u->ready)
		vu_link_pump(u);
	else
		vio_paused(&u->v);
}

static void do_go_on(void *arg)
{
	struct vu *u = arg;

	u->hold = false;
	vu_link_pump(u);
}

/* The backend gives its rings back, as for a reset, and is given them again. One that is away works
 * on nothing, and gets nothing when it comes. */
static int op_pause(struct vio *v, bool on)
{
	struct vu *u = vu_of(v);
	int rc = vio_serve_pause(&u->ctrl, on);

	vm_iothread_call(u->io, on ? do_hold : do_go_on, u);
	return on && !rc ? -EINPROGRESS : rc;
}

struct changed {
	struct vu *u;
	unsigned int q;
};

static void do_call_changed(void *arg)
{
	struct changed *c = arg;

	c->u->call_dirty |= 1ull << c->q;
	vu_link_pump(c->u);
}

static void op_call_changed(struct vio *v, unsigned int q)
{
	struct changed c = { vu_of(v), q };

	vm_iothread_call(c.u->io, do_call_changed, &c);
}

static uint64_t op_features(struct vio *v)
{
	return atomic_load(&vu_of(v)->offered);
}

static void do_end(void *arg)
{
	vu_link_end(arg);
}

void vu_finish(struct vu *u)
{
	vm_iothread_call(u->io, do_end, u);
	sys_close(u->sys, &u->err_fd);
	free(u->path);
	pthread_mutex_destroy(&u->lock);
}

static void op_free(struct vio *v)
{
	vu_finish(vu_of(v));
}

static const struct vio_ops net_ops = {
	.name = "vhost-user-net",
	.type = 1,
	.cfg_size = VU_NET_CFG,
	.features = op_features,
	.cfg_read = vu_cfg_read,
	.start = op_start,
	.stop = op_stop,
	.pause = op_pause,
	.call_changed = op_call_changed,
	.free = op_free,
};

static const struct vio_ops blk_ops = {
	.name = "vhost-user-blk",
	.type = 2,
	.cfg_size = VU_BLK_CFG,
	.features = op_features,
	.cfg_read = vu_cfg_read,
	.start = op_start,
	.stop = op_stop,
	.pause = op_pause,
	.call_changed = op_call_changed,
	.free = op_free,
};

/* ---- life ---- */

struct begin {
	struct vu *u;
	struct err *e;
	int rc;
};

static void do_begin(void *arg)
{
	struct begin *b = arg;

	b->u->ev = vm_iothread_ev(b->u->io);
	b->rc = vu_link_begin(b->u, b->e);
	if (!b->rc)
		vu_link_try(b->u);
}

void vu_init(struct vu *u, struct sys *s, const struct vu_dev_cfg *c)
{
	u->sys = s;
	u->log = c->log;
	u->io = c->io;
	u->disk = c->disk;
	u->server = c->server;
	u->queues = MAX(c->queues, 1u);
	u->ndata = c->disk ? u->queues : 2 * u->queues;
	if (c->mac_given)
		u->mac = c->mac;
	u->k.fd = u->listen_fd = u->err_fd = u->inflight_fd = -1;
	u->ctrl = (struct vio_serve){ .v = &u->v, .io = c->io, .serve = vu_ctrl_serve };
	pthread_mutex_init(&u->lock, NULL);
	u->info.since_ns = sys_now_ns(s);
	atomic_store(&u->offered, vu_feat_default(u));
	vu_cfg_init(u);
}

int vu_begin(struct vu *u, const char *path, struct err *e)
{
	struct err why = { 0 };
	struct begin b = { .u = u, .e = &why };

	u->path = strdup(path);
	u->err_fd = sys_eventfd(u->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->err_fd < 0)
		return err_sys(e, u->err_fd, "%s: eventfd", u->v.dev.id);
	if (!u->path)
		return err_set(e, -ENOMEM, "%s: out of memory", u->v.dev.id);
	vm_iothread_call(u->io, do_begin, &b);
	return b.rc ? err_set(e, b.rc, "%s: %s", u->v.dev.id, why.text) : 0;
}

int vu_dev_new(struct sys *s, const char *id, const struct vu_dev_cfg *c, struct vm_dev **out,
	       struct err *e)
{
	unsigned int pairs = MAX(c->queues, 1u), n = c->disk ? pairs : 2 * pairs + (pairs > 1);
	struct vio *v;
	int rc;

	if (n > VIO_QUEUES_MAX)
		return err_set(e, -EINVAL, "%s: %u queues are too many", id, c->queues);
	rc = vio_new(c->disk ? &blk_ops : &net_ops, sizeof(struct vu), id, n,
		     c->qsize ? c->qsize : QSIZE_DEFAULT, c->hide, &v);
	if (rc)
		return err_set(e, rc, "%s: out of memory", id);
	vu_init(vu_of(v), s, c);
	rc = vu_begin(vu_of(v), c->socket, e);
	if (rc) {
		vm_dev_free(&v->dev);
		return rc;
	}
	*out = &v->dev;
	return 0;
}

void vu_info(struct vu *u, struct vu_dev_info *out)
{
	pthread_mutex_lock(&u->lock);
	*out = u->info;
	pthread_mutex_unlock(&u->lock);
}

void vu_dev_info(struct vm_dev *d, struct vu_dev_info *out)
{
	vu_info(vu_of(vio_of(d)), out);
}

const char *vu_state_name(enum vu_state s)
{
	static const char *const names[] = {
		[VU_WAITING] = "waiting",     [VU_CONNECTED] = "connected",	[VU_LOST] = "lost",
		[VU_REPLAYING] = "replaying", [VU_NEEDS_RESET] = "needs reset",
	};

	return names[s];
}
