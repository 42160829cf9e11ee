// SPDX-License-Identifier: BSD-3-Clause
/*
 * A pair of queues and their file of the tap. Both are served on one thread; the file is watched
 * while packets can be taken: the driver is up, the pair is wanted, there are buffers.
 *
 * The control queue attaches and detaches the file in the kernel by itself, so that its answer is
 * the truth, and posts a note for the pair's thread to follow. In between the thread may find a
 * file that gives errors: @wanted, which is changed first, tells that from an interface that
 * somebody deleted.
 */
#include <errno.h>
#include <stdlib.h>
#include "virtio/net_priv.h"

/* More than the queue of a tap; one that is written to all the time must have an end. */
#define STALE_MAX 4096

int net_pair_init(struct net_pair *p, struct vnet *n, unsigned int i, struct vm_iothread *io)
{
	p->net = n;
	p->io = io;
	p->ev = vm_iothread_ev(io);
	p->fd = n->tap.fd[i];
	p->rx.p = p->tx.p = p;
	p->rx.s = (struct vio_serve){ .v = &n->vio, .q = 2 * i, .io = io, .serve = net_rx_serve };
	p->tx.s =
		(struct vio_serve){ .v = &n->vio, .q = 2 * i + 1, .io = io, .serve = net_tx_serve };
	p->rx.iov = calloc(2 * NET_IOV + 2, sizeof(*p->rx.iov));
	p->rx.buf = calloc(NET_IOV, sizeof(*p->rx.buf));
	p->rx.spill = malloc(NET_FRAME_MAX + NET_HDR);
	p->tx.iov = calloc(NET_IOV + 1, sizeof(*p->tx.iov));
	if (!p->rx.iov || !p->rx.buf || !p->rx.spill || !p->tx.iov)
		return -ENOMEM;
	net_rx_forget(&p->rx);
	return 0;
}

void net_pair_free(struct net_pair *p)
{
	free(p->rx.iov);
	free(p->rx.buf);
	free(p->rx.spill);
	free(p->tx.iov);
}

/* ---- the tap ---- */

static void tap_drop_source(struct net_pair *p)
{
	ev_del(p->tap);
	p->tap = NULL;
}

void net_pair_gone(struct net_pair *p)
{
	tap_drop_source(p);
	if (!atomic_load(&p->wanted) || p->gone)
		return;
	p->gone = true;
	log_warn(p->net->log, "%s: interface %s is gone: the guest has no link any more",
		 p->net->vio.dev.id, p->net->tap.name);
	net_link_host(p->net, false);
}

static void tap_event(void *arg, uint32_t events)
{
	struct net_pair *p = arg;

	if (events & (EPOLLERR | EPOLLHUP)) {
		net_pair_gone(p);
		return;
	}
	if (events & EPOLLOUT) {
		p->tx.blocked = false;
		net_pair_poll(p);
		vio_serve_again(&p->tx.s);
	}
	if (events & EPOLLIN)
		vio_serve_again(&p->rx.s);
}

void net_pair_poll(struct net_pair *p)
{
	const struct net_rx *r = &p->rx;
	uint32_t want = 0;

	if (!p->tap)
		return;
	if (r->s.on && !r->starved && !r->s.vq.broken)
		want |= EPOLLIN;
	if (p->tx.blocked)
		want |= EPOLLOUT;
	/* It cannot fail for a file that is watched. */
	if (want != p->events && !ev_mod(p->tap, want))
		p->events = want;
}

/* The source follows @up, @wanted and @gone; then whatever was waiting for it goes on. */
static int follow(struct net_pair *p)
{
	bool want = p->up && !p->gone && atomic_load(&p->wanted);
	int rc = 0;

	if (want && !p->tap) {
		p->events = EPOLLIN;
		rc = ev_add(p->ev, p->fd, p->events, tap_event, p, &p->tap);
	} else if (!want) {
		tap_drop_source(p);
	}
	if (!rc && want) {
		p->tx.blocked = false;
		net_pair_poll(p);
		vio_serve_again(&p->rx.s);
		vio_serve_again(&p->tx.s);
	}
	return rc;
}

static void posted(void *arg)
{
	struct net_pair *p = arg;

	/* Before the look at what is wanted: what changes after that is another note. */
	atomic_store(&p->noted, false);
	if (follow(p))
		vio_needs_reset(&p->net->vio, "the host has no resources for a queue");
}

/* One note at a time: a driver may ask for pairs faster than the pair's thread follows. */
int net_pair_post(struct net_pair *p)
{
	int rc;

	if (atomic_exchange(&p->noted, true))
		return 0;
	rc = ev_call(p->ev, posted, p);
	if (rc)
		atomic_store(&p->noted, false);
	return rc;
}

/* What waits in the tap was for whoever drove the device before. */
static void discard(struct net_pair *p)
{
	struct iovec iov = { p->rx.spill, NET_FRAME_MAX + NET_HDR };

	for (unsigned int i = 0; i < STALE_MAX; i++)
		if (readv(p->fd, &iov, 1) <= 0)
			return;
}

/* ---- start and stop: on the pair's thread, by way of struct job ---- */

struct job {
	struct net_pair *p;
	bool on;
	int rc;
};

static void do_start(void *arg)
{
	struct job *j = arg;

	j->p->tx.blocked = false;
	if (atomic_load(&j->p->wanted))
		discard(j->p);
	j->p->up = true;
	j->rc = follow(j->p);
}

static void do_stop(void *arg)
{
	struct job *j = arg;

	j->p->up = false;
	j->rc = follow(j->p);
	net_rx_forget(&j->p->rx);
}

static void do_pause(void *arg)
{
	struct job *j = arg;

	j->p->up = !j->on;
	j->rc = follow(j->p);
}

static void do_forget(void *arg)
{
	struct job *j = arg;

	net_rx_forget(&j->p->rx);
	net_pair_poll(j->p);
}

static int run(struct net_pair *p, ev_fn fn, bool on)
{
	struct job j = { .p = p, .on = on };

	vm_iothread_call(p->io, fn, &j);
	return j.rc;
}

int net_pair_start(struct net_pair *p)
{
	int rc = run(p, do_start, true);

	if (!rc)
		rc = vio_serve_start(&p->rx.s);
	if (!rc)
		rc = vio_serve_start(&p->tx.s);
	return rc;
}

void net_pair_stop(struct net_pair *p)
{
	vio_serve_stop(&p->rx.s);
	vio_serve_stop(&p->tx.s);
	(void)run(p, do_stop, false);
}

int net_pair_pause(struct net_pair *p, bool on)
{
	int rc = 0;

	/* The tap goes first and comes last: it is of no use without the queue. */
	if (on)
		rc = run(p, do_pause, true);
	if (!rc)
		rc = vio_serve_pause(&p->rx.s, on);
	if (!rc)
		rc = vio_serve_pause(&p->tx.s, on);
	if (!rc && !on)
		rc = run(p, do_pause, false);
	return rc;
}

int net_pair_queue(struct net_pair *p, bool rx, bool on)
{
	struct vio_serve *s = rx ? &p->rx.s : &p->tx.s;

	if (on)
		return vio_serve_start(s);
	vio_serve_stop(s);
	if (rx)
		run(p, do_forget, false);
	return 0;
}
