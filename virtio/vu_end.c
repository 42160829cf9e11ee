// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver's side of a vhost-user network port, for a card that is emulated. The connection is
 * that of any port (vu_dev_link.c), but the driver behind it is here: it accepts the same features
 * always, never resets the device, and begins with empty rings at each connection, since frames on
 * a wire may get lost. So no state of an old connection is ever recovered, and no back end lacks
 * what this driver can do without.
 *
 * A frame is copied once more than on a tap's way: the card's buffers are the guest's, and those
 * the back end does not see. Buffers are as large as any frame, so that nothing needs to be merged
 * or chained; memory that no large frame has touched is not there.
 *
 * All but making and freeing is the I/O thread's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "virtio/ring/vqd.h"
#include "virtio/vu_dev_priv.h"
#include "virtio/vu_end.h"

#define RX	  0u /* queues (virtio 1.2, 5.1.2) */
#define TX	  1u
#define SLOTS	  256u
#define GPA	  MIB(1)
#define HDR	  sizeof(struct virtio_net_hdr_v1)
#define FRAME_MIN 14u
#define RX_SLOT	  (16384u + 4096u) /* a jumbo frame and its header */
#define TX_SLOT	  (65536u + 4096u)
#define ACKED	  (VIO_F_VERSION_1 | VU_END_NEEDS)

/* @free: places to send from, @nfree of them. @wanted: fn is to be called */
struct vu_end {
	struct net_end end; /* first */
	struct vu u;
	uint8_t *ram, *area[2], *slots[2];
	size_t size;
	int memfd;
	struct vqd *q[2];
	uint8_t *free[SLOTS];
	unsigned int nfree;
	struct ev_src *src;
	ev_fn fn;
	void *arg;
	bool wanted;
};

static struct vu_end *of(struct net_end *n)
{
	return container_of(n, struct vu_end, end);
}

static void signal_fd(struct vu_end *d, int fd)
{
	static const uint64_t one = 1;

	/* The only failure is a full counter, and then the other side has it coming already. */
	if (sys_write(d->u.sys, fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- rings ---- */

static struct vqd_cfg ring_cfg(const struct vu_end *d, unsigned int q)
{
	return (struct vqd_cfg){ .size = SLOTS, .hva = d->ram, .gpa0 = GPA, .area = d->area[q] };
}

static int ring_new(struct vu_end *d, unsigned int q)
{
	struct vqd_cfg c = ring_cfg(d, q);
	struct vio_queue *vq = &d->u.v.q[q];
	struct vq_cfg at;
	int rc;

	vqd_free(d->q[q]);
	d->q[q] = NULL;
	rc = vqd_new(&c, &d->q[q]);
	if (rc)
		return rc;
	vqd_addrs(d->q[q], &at);
	vq->desc = at.desc;
	vq->driver = at.driver;
	vq->device = at.device;
	vq->enabled = true;
	return 0;
}

static void publish(struct vu_end *d, unsigned int q)
{
	if (d->q[q] && vqd_publish(d->q[q]))
		signal_fd(d, d->u.v.q[q].kick);
}

static void give_buffer(struct vu_end *d, uint8_t *p)
{
	struct iovec v = { p, RX_SLOT };

	/* There are as many buffers as places. */
	BUG_ON(vqd_add(d->q[RX], &v, 0, 1, p));
}

/* Before rings are told to a back end. */
static int fresh(struct vu *u)
{
	struct vu_end *d = container_of(u, struct vu_end, u);
	int rc = ring_new(d, RX);

	if (!rc)
		rc = ring_new(d, TX);
	if (rc)
		return rc;
	u->served = 0;
	sys_close(u->sys, &u->inflight_fd); /* it was of the old rings */
	d->nfree = 0;
	for (unsigned int i = 0; i < SLOTS; i++) {
		give_buffer(d, d->slots[RX] + (size_t)i * RX_SLOT);
		d->free[d->nfree++] = d->slots[TX] + (size_t)i * TX_SLOT;
	}
	vqd_notify(d->q[TX], false);
	vqd_notify(d->q[RX], d->wanted);
	publish(d, RX);
	return 0;
}

/* ---- frames ---- */

static void on_call(void *arg, uint32_t events)
{
	struct vu_end *d = arg;
	uint64_t n;

	if (sys_read(d->u.sys, d->u.v.q[RX].call, &n, sizeof(n)) == sizeof(n) && d->wanted)
		d->fn(d->arg);
}

static int end_start(struct net_end *n, struct ev *ev, ev_fn fn, void *arg)
{
	struct vu_end *d = of(n);

	d->fn = fn;
	d->arg = arg;
	return ev_add(ev, d->u.v.q[RX].call, EPOLLIN, on_call, d, &d->src);
}

static void end_stop(struct net_end *n)
{
	ev_del(of(n)->src);
	of(n)->src = NULL;
	of(n)->wanted = false;
}

static int end_want(struct net_end *n, bool on)
{
	struct vu_end *d = of(n);

	d->wanted = on;
	/* Frames that came before the ring said so have no call of their own. */
	if (d->q[RX] && vqd_notify(d->q[RX], on))
		signal_fd(d, d->u.v.q[RX].call);
	return 0;
}

/* What the back end says of lengths is not believed; and it gets no more than a round of frames
 * that are none. */
static ssize_t end_recv(struct net_end *n, void *buf, size_t size)
{
	struct vu_end *d = of(n);
	ssize_t got = -EAGAIN;
	uint32_t len;
	uint8_t *p;

	for (unsigned int i = 0; d->q[RX] && got < 0 && i < SLOTS; i++) {
		p = vqd_get(d->q[RX], &len);
		if (!p)
			break;
		if (len >= HDR + FRAME_MIN && len <= RX_SLOT && len <= size) {
			memcpy(buf, p, len);
			got = (ssize_t)len;
		}
		give_buffer(d, p);
	}
	return got;
}

static void end_flush(struct net_end *n)
{
	struct vu_end *d = of(n);

	publish(d, RX);
	publish(d, TX);
}

static void reclaim(struct vu_end *d)
{
	uint32_t len;
	uint8_t *p;

	for (unsigned int i = 0; i < SLOTS && (p = vqd_get(d->q[TX], &len)); i++)
		d->free[d->nfree++] = p;
}

static ssize_t end_send(struct net_end *n, const void *buf, size_t len)
{
	struct vu_end *d = of(n);
	struct iovec v;

	if (!d->u.lit)
		return -ENETDOWN;
	if (len > TX_SLOT)
		return -EMSGSIZE;
	if (!d->nfree) {
		end_flush(n);
		reclaim(d);
	}
	if (!d->nfree)
		return -EAGAIN;
	v = (struct iovec){ d->free[--d->nfree], len };
	memcpy(v.iov_base, buf, len);
	BUG_ON(vqd_add(d->q[TX], &v, 1, 0, v.iov_base));
	return (ssize_t)len;
}

/* ---- life ---- */

static void end_free(struct net_end *n)
{
	struct vu_end *d = of(n);

	vu_finish(&d->u);
	for (unsigned int q = RX; q <= TX; q++) {
		int call = atomic_load(&d->u.v.q[q].call);

		sys_close(d->u.sys, &call);
		sys_close(d->u.sys, &d->u.v.q[q].kick);
		vqd_free(d->q[q]);
	}
	if (d->ram)
		sys_munmap(d->u.sys, d->ram, d->size);
	sys_close(d->u.sys, &d->memfd);
	free(d);
}

static const struct net_end_ops end_ops = {
	.start = end_start,
	.stop = end_stop,
	.want = end_want,
	.recv = end_recv,
	.send = end_send,
	.flush = end_flush,
	.free = end_free,
};

/* What the transport would be asked for a device that a guest sees; nobody asks it here. */
static const struct vio_ops no_ops = { .name = "vhost-user-end", .type = 1 };

static int make_memory(struct vu_end *d, struct sys *s)
{
	static const size_t slot[] = { RX_SLOT, TX_SLOT };
	size_t area[2], at = 0;
	void *p;
	int rc;

	for (unsigned int q = RX; q <= TX; q++) {
		struct vqd_cfg c = ring_cfg(d, q);

		area[q] = ALIGN_UP(vqd_area(&c), 4096ul);
		d->size += area[q] + SLOTS * slot[q];
	}
	rc = d->memfd = sys_memfd(s, "sluice-wire", MFD_CLOEXEC);
	if (rc >= 0)
		rc = sys_ftruncate(s, d->memfd, (off_t)d->size);
	if (!rc)
		rc = sys_mmap(s, &p, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, d->memfd, 0);
	if (rc)
		return rc;
	d->ram = p;
	for (unsigned int q = RX; q <= TX; q++) {
		d->area[q] = d->ram + at;
		d->slots[q] = d->area[q] + area[q];
		at += area[q] + SLOTS * slot[q];
	}
	return vq_mem_add(&d->u.v.mem, GPA, d->size, d->ram);
}

static int make_eventfds(struct vu_end *d, struct sys *s)
{
	for (unsigned int q = RX; q <= TX; q++) {
		struct vio_queue *vq = &d->u.v.q[q];
		int call = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (call < 0)
			return call;
		atomic_store(&vq->call, call);
		vq->kick = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (vq->kick < 0)
			return vq->kick;
	}
	return 0;
}

int vu_end_new(struct sys *s, const char *id, const struct vu_end_cfg *c, struct net_end **out,
	       struct err *e)
{
	struct vu_dev_cfg uc = {
		.socket = c->socket, .server = c->server, .io = c->io, .log = c->log
	};
	struct vu_end *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->end.ops = &end_ops;
	d->memfd = -1;
	vm_dev_init(&vio_dev_ops, id, &d->u.v.dev);
	vio_setup(&d->u.v, &no_ops, 2, SLOTS, 0);
	vu_init(&d->u, s, &uc);
	rc = make_memory(d, s);
	if (!rc)
		rc = make_eventfds(d, s);
	if (rc) {
		err_sys(e, rc, "cannot make memory for frames");
	} else {
		d->u.v.acked = ACKED;
		d->u.region_fd[0] = d->memfd;
		d->u.region[0] = (struct vu_region){ .gpa = GPA, .size = d->size };
		d->u.nregions = 1;
		d->u.pairs_on = 1;
		d->u.running = true;
		d->u.fresh = fresh;
		rc = vu_begin(&d->u, c->socket, e);
	}
	if (rc) {
		end_free(&d->end);
		return rc;
	}
	*out = &d->end;
	return 0;
}

void vu_end_info(struct net_end *n, struct vu_dev_info *out)
{
	vu_info(&of(n)->u, out);
}
