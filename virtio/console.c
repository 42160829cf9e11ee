// SPDX-License-Identifier: BSD-3-Clause
/*
 * The console (virtio 1.2, 5.3): one port, a receive and a transmit queue, a descriptor of the host
 * for each.
 *
 * Flow control is the ring. Input is read when the driver has a buffer for it, output is taken out
 * of the ring when the host takes it; in between each side waits for the other with nothing in a
 * buffer of ours but the part of one chain that was not written yet.
 *
 * The other end of a pseudo terminal or a socket may hang up and come back: a hang-up is looked at
 * again a while later, since the loop is level triggered and would spin.
 */
#include <errno.h>
#include "virtio/misc.h"
#include "virtio/vio_serve.h"
#include "vmm/core/vm.h"

#define CON_QSIZE    64
#define CON_IOVS     CON_QSIZE
#define CON_CHUNK    4096
#define CON_AT_ONCE  16 /* chunks, before others on the thread have their turn */
#define CON_RETRY_NS 200000000ull

enum { CON_RX, CON_TX, CON_QUEUES };

/* Config space (5.3.4); all zero, since no feature that fills it is offered. */
#define CON_CFG_SIZE 12

/**
 * struct con_end - a descriptor of the host and the queue it goes with
 * @src:   watched: the queue waits for the host
 * @timer: a hang-up is waited out
 */
struct con_end {
	struct vio_serve s;
	int fd;
	uint32_t events;
	struct ev_src *src, *timer;
};

struct console {
	struct vio v; /* first */
	struct sys *sys;
	struct con_end end[CON_QUEUES];
	struct iovec iov[CON_QUEUES][CON_IOVS];
	struct vq_chain tx; /* being written */
	size_t tx_off;
	bool tx_part;
	uint8_t buf[CON_CHUNK];
};

static struct console *con_of(struct vio *v)
{
	return container_of(v, struct console, v);
}

static struct con_end *end_of(struct vio_serve *s)
{
	return container_of(s, struct con_end, s);
}

/* ---- waiting for the host ---- */

static void unwait(void *arg)
{
	struct con_end *n = arg;

	ev_del(n->src);
	ev_del(n->timer);
	n->src = n->timer = NULL;
}

static void waited(void *arg)
{
	struct con_end *n = arg;

	n->timer = NULL; /* gone by itself */
	vio_serve_again(&n->s);
}

static void ready(void *arg, uint32_t events)
{
	struct con_end *n = arg;

	ev_del(n->src);
	n->src = NULL;
	vio_serve_again(&n->s);
}

/* serve() is called again when the host is ready; regular files cannot be watched, and a hang-up
 * would be reported for ever: those are tried again later. */
static bool wait_host(struct con_end *n, bool hung_up)
{
	struct ev *ev = vm_iothread_ev(n->s.io);

	if (n->src || n->timer)
		return false;
	if (hung_up || ev_add(ev, n->fd, n->events, ready, n, &n->src)) {
		/* Without memory for either the driver's next kick tries again. */
		if (ev_timer(ev, CON_RETRY_NS, waited, n, &n->timer))
			n->timer = NULL;
	}
	return false;
}

/* ---- host to guest ---- */

/* One buffer; false: none is left (*why is 0), or nothing to read. The end of a file is the end. */
static bool rx_one(struct console *c, int *why)
{
	struct con_end *n = &c->end[CON_RX];
	struct vq_chain ch = { .iov = c->iov[CON_RX], .cap = CON_IOVS };
	ssize_t got;

	*why = 0;
	if (!vio_serve_pop(&n->s, &ch))
		return false;
	got = sys_read(c->sys, n->fd, c->buf, MIN(sizeof(c->buf), (size_t)ch.in_len));
	if (got <= 0 && ch.in_len) {
		vq_unpop(&n->s.vq, 1, ch.ndesc);
		*why = got ? (int)got : -EPIPE;
		if (!got)
			sys_close(c->sys, &n->fd);
		return false;
	}
	/* A buffer without room goes back empty. */
	got = MAX(got, (ssize_t)0);
	(void)vq_iov_write(ch.iov + ch.nout, ch.nin, 0, c->buf, (size_t)got);
	vio_serve_push(&n->s, &ch, (uint32_t)got);
	return true;
}

static bool rx_serve(struct vio_serve *s)
{
	struct console *c = con_of(s->v);
	struct con_end *n = end_of(s);
	int why;

	if (n->fd < 0 || n->src || n->timer)
		return false; /* nothing to give; buffers wait in the ring */
	for (unsigned int i = 0; i < CON_AT_ONCE; i++) {
		if (rx_one(c, &why))
			continue;
		if (!why)
			return true;
		return n->fd < 0 ? false : wait_host(n, why != -EAGAIN);
	}
	return vio_serve_yield(s);
}

/* ---- guest to host ---- */

/* Write on at c->tx_off. 1: the chain is done; 0: a part of it; -EAGAIN: the host is full. */
static int tx_write(struct console *c)
{
	ssize_t put;
	size_t len;

	len = vq_iov_read(c->tx.iov, c->tx.nout, c->tx_off, c->buf, sizeof(c->buf));
	if (!len)
		return 1;
	put = sys_write(c->sys, c->end[CON_TX].fd, c->buf, len);
	if (put == -EAGAIN)
		return -EAGAIN;
	/* Nobody is there to read: as on a serial line, it is lost. */
	if (put <= 0)
		return 1;
	c->tx_off += (size_t)put;
	return 0;
}

static bool tx_next(struct console *c)
{
	c->tx = (struct vq_chain){ .iov = c->iov[CON_TX], .cap = CON_IOVS };
	c->tx_off = 0;
	c->tx_part = vio_serve_pop(&c->end[CON_TX].s, &c->tx);
	return c->tx_part;
}

static bool tx_serve(struct vio_serve *s)
{
	struct console *c = con_of(s->v);
	struct con_end *n = end_of(s);

	if (n->src || n->timer)
		return false;
	for (unsigned int i = 0; i < CON_AT_ONCE; i++) {
		int rc;

		if (!c->tx_part && !tx_next(c))
			return true;
		rc = n->fd < 0 ? 1 : tx_write(c);
		if (rc < 0)
			return wait_host(n, false);
		if (!rc)
			continue;
		c->tx_part = false;
		vio_serve_push(s, &c->tx, 0);
	}
	return vio_serve_yield(s);
}

/* ---- the device ---- */

static uint64_t con_features(struct vio *v)
{
	return VIO_F_RING | VIO_F_RING_RESET;
}

static void con_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf)
{
}

static int con_queue_stop(struct vio *v, unsigned int q)
{
	struct console *c = con_of(v);

	vio_serve_stop(&c->end[q].s);
	vm_iothread_call(c->end[q].s.io, unwait, &c->end[q]);
	if (q == CON_TX)
		c->tx_part = false;
	return 0;
}

static int con_queue_start(struct vio *v, unsigned int q)
{
	return vio_serve_start(&con_of(v)->end[q].s);
}

static int con_stop(struct vio *v)
{
	for (unsigned int q = 0; q < CON_QUEUES; q++)
		(void)con_queue_stop(v, q);
	return 0;
}

static int con_start(struct vio *v)
{
	int rc = 0;

	for (unsigned int q = 0; q < CON_QUEUES && !rc; q++)
		rc = con_queue_start(v, q);
	if (rc)
		con_stop(v);
	return rc;
}

/* What waits for the host may go on waiting: it comes to vio_serve_again(), which does nothing. */
static int con_pause(struct vio *v, bool on)
{
	struct console *c = con_of(v);
	int rc = 0;

	for (unsigned int q = 0; q < CON_QUEUES; q++) {
		int one = vio_serve_pause(&c->end[q].s, on);

		rc = rc ? rc : one;
	}
	return rc;
}

static void con_free(struct vio *v)
{
	struct console *c = con_of(v);

	for (unsigned int q = 0; q < CON_QUEUES; q++)
		sys_close(c->sys, &c->end[q].fd);
}

static const struct vio_ops con_ops = {
	.name = "console",
	.type = 3,
	.cfg_size = CON_CFG_SIZE,
	.features = con_features,
	.cfg_read = con_cfg_read,
	.start = con_start,
	.stop = con_stop,
	.pause = con_pause,
	.queue_start = con_queue_start,
	.queue_stop = con_queue_stop,
	.free = con_free,
};

static void end_init(struct console *c, unsigned int q, struct vm_iothread *io, int fd,
		     uint32_t events, bool (*serve)(struct vio_serve *s))
{
	c->end[q] = (struct con_end){
		.s = { .v = &c->v, .q = q, .io = io, .serve = serve },
		.fd = fd,
		.events = events,
	};
}

int vio_console_new(struct sys *s, const char *id, struct vm_iothread *io, int fd_in, int fd_out,
		    uint64_t hide, struct vm_dev **out, struct err *e)
{
	struct console *c;
	struct vio *v;
	int rc = vio_new(&con_ops, sizeof(*c), id, CON_QUEUES, CON_QSIZE, hide, &v);

	if (rc) {
		sys_close(s, &fd_out);
		sys_close(s, &fd_in);
		return err_set(e, rc, "%s: out of memory", id);
	}
	c = con_of(v);
	c->sys = s;
	end_init(c, CON_RX, io, fd_in, EPOLLIN, rx_serve);
	end_init(c, CON_TX, io, fd_out, EPOLLOUT, tx_serve);
	*out = &v->dev;
	return 0;
}
