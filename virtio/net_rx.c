// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the tap to the guest (virtio 1.2, 5.1.6.3 and 5.1.6.4).
 *
 * A packet is read straight into the guest's buffers, and how long it is is known only afterwards.
 * So buffers are popped ahead, into a stock that takes any packet that may come: with mergeable
 * buffers several of them, whose pieces lie in a row so that readv() fills them one after the
 * other; what a packet leaves is the stock for the next. A packet's header goes to memory of ours
 * first, since the number of buffers is to be put in.
 *
 * The driver may have posted less, so the last piece given to readv() is memory of ours too (the
 * spill). Small packets never reach it. The end of one that does not fit waits there for more
 * buffers, and meanwhile the tap is not read, which is the backpressure that a sender in the host
 * sees; a driver that posts nothing, as it may have no more, loses the packet after a while.
 * Without any buffer nothing is read until the driver kicks.
 */
#include <errno.h>
#include <string.h>
#include "virtio/net_priv.h"

#define RX_BATCH   64
#define HOLD_NS	   20000000
#define STOCK_IOVS (2 * NET_IOV + 2)
#define SPILL	   (NET_FRAME_MAX + NET_HDR)

static void stock_clear(struct net_rx *r)
{
	r->ihead = r->itail = 1;
	r->bhead = r->nbuf = 0;
	r->bytes = r->nhdr = 0;
}

/* Room for the longest chain behind the stock. */
static void stock_compact(struct net_rx *r)
{
	unsigned int by = r->ihead - 1;

	if (!r->nbuf) {
		stock_clear(r);
		return;
	}
	if (r->itail + NET_IOV + 1 > STOCK_IOVS) {
		memmove(&r->iov[1], &r->iov[r->ihead], (r->itail - r->ihead) * sizeof(r->iov[0]));
		for (unsigned int i = 0; i < r->nbuf; i++)
			r->buf[r->bhead + i].end -= by;
		r->ihead -= by;
		r->itail -= by;
	}
	if (r->bhead + r->nbuf == NET_IOV) {
		memmove(r->buf, &r->buf[r->bhead], r->nbuf * sizeof(r->buf[0]));
		r->bhead = 0;
	}
}

/* One more buffer; false: none, no room for it, or the driver broke a rule. */
static bool stock_pop(struct net_rx *r)
{
	struct net_buf *b;

	stock_compact(r);
	if (r->nbuf == NET_IOV)
		return false;
	b = &r->buf[r->bhead + r->nbuf];
	b->c = (struct vq_chain){ .iov = &r->iov[r->itail], .cap = NET_IOV };
	if (!vio_serve_pop(&r->s, &b->c))
		return false;
	if (b->c.nout || b->c.in_len < NET_HDR) {
		vio_serve_broken(&r->s, "a receive buffer that is not writable or too small");
		return false;
	}
	if (r->itail + b->c.nin - r->ihead > NET_IOV) {
		vq_unpop(&r->s.vq, 1, b->c.ndesc);
		return false;
	}
	r->itail += b->c.nin;
	b->end = r->itail;
	r->bytes += b->c.in_len;
	r->nbuf++;
	return true;
}

static bool mergeable(const struct net_rx *r)
{
	return r->p->net->acked & NETF(MRG_RXBUF);
}

static void stock_fill(struct net_rx *r)
{
	uint32_t need = MAX(r->need, r->held);
	bool mrg = mergeable(r), more = true;

	while (more && (mrg ? r->bytes < need : !r->nbuf))
		more = stock_pop(r);
}

/* Bytes of header and packet, the packet being where it belongs or its end in the spill. */
static ssize_t rx_read(struct net_rx *r)
{
	struct iovec *iov;
	unsigned int n;
	ssize_t len;

	if (!r->nhdr)
		r->ihead += net_iov_cut(&r->iov[r->ihead], r->itail - r->ihead, NET_HDR, r->hdr_iov,
					&r->nhdr);
	iov = &r->iov[r->ihead - 1];
	iov[0] = (struct iovec){ &r->hdr, NET_HDR };
	n = r->itail - r->ihead + 1;
	iov[n++] = (struct iovec){ r->spill, SPILL };
	do
		len = readv(r->p->fd, iov, (int)n);
	while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : len;
}

/* The packet of len bytes, header included, is in the first buffers of the stock: they go. */
static void rx_deliver(struct net_rx *r, uint32_t len)
{
	uint16_t n = 0;

	net_add(&r->n.bufs, 1);
	net_add(&r->n.bytes, len - NET_HDR);
	while (len) {
		struct net_buf *b = &r->buf[r->bhead];
		uint32_t part = MIN(len, b->c.in_len);

		vio_serve_push(&r->s, &b->c, part);
		len -= part;
		r->bytes -= b->c.in_len;
		r->ihead = b->end;
		r->bhead++;
		r->nbuf--;
		n++;
	}
	r->hdr.num_buffers = n;
	vq_iov_write(r->hdr_iov, r->nhdr, 0, &r->hdr, NET_HDR);
	r->nhdr = 0;
}

/* A packet that was read; its buffers stay for the next when it is not for the guest. */
static void rx_packet(struct net_rx *r, uint32_t len)
{
	struct vnet *n = r->p->net;
	unsigned int off = atomic_load_explicit(&n->offload, memory_order_relaxed);
	enum net_drop why = net_rx_check(&r->hdr, off);

	if (len < NET_HDR + NET_FRAME_MIN)
		why = NET_DROP_SHORT;
	else if (!net_link_is_up(n))
		why = NET_DROP_LINK;
	else if (why == NET_OK && len > r->bytes && !mergeable(r))
		why = NET_DROP_ROOM;
	if (why != NET_OK) {
		net_add(&r->n.drop[why], 1);
	} else if (len > r->bytes) {
		r->held = len;
		r->spilled = r->bytes;
	} else {
		rx_deliver(r, len);
	}
}

/* The held packet's end moves to buffers that came since. */
static void rx_unhold(struct net_rx *r)
{
	vq_iov_write(&r->iov[r->ihead], r->itail - r->ihead, r->spilled - NET_HDR, r->spill,
		     r->held - r->spilled);
	rx_deliver(r, r->held);
	r->held = 0;
	ev_del(r->timer);
	r->timer = NULL;
}

/* A packet: 1; none now: 0; no buffers: -ENOBUFS. */
static int rx_one(struct net_rx *r)
{
	ssize_t len;

	stock_fill(r);
	if (r->s.vq.broken)
		return 0;
	if (!r->nbuf || r->bytes < r->held)
		return -ENOBUFS;
	if (r->held) {
		rx_unhold(r);
		return 1;
	}
	len = rx_read(r);
	if (len == -EAGAIN)
		return 0;
	if (len <= 0) {
		net_pair_gone(r->p);
		return 0;
	}
	rx_packet(r, (uint32_t)len);
	return 1;
}

static void hold_ends(struct net_rx *r)
{
	r->timer = NULL;
	r->held = 0;
	net_add(&r->n.drop[NET_DROP_ROOM], 1);
}

static void hold_expired(void *arg)
{
	struct net_rx *r = arg;

	hold_ends(r);
	vio_serve_again(&r->s);
}

/* A packet waits for buffers, but not for ever. */
static void rx_hold(struct net_rx *r)
{
	if (!r->timer && ev_timer(r->p->ev, HOLD_NS, hold_expired, r, &r->timer))
		hold_ends(r);
}

static uint32_t most(struct vnet *n)
{
	unsigned int off = atomic_load_explicit(&n->offload, memory_order_relaxed);
	uint32_t frame = n->tap.mtu + 18;

	if (off & (TAP_TSO4 | TAP_TSO6 | TAP_USO))
		frame = NET_FRAME_MAX;
	return NET_HDR + frame;
}

bool net_rx_serve(struct vio_serve *s)
{
	struct net_rx *r = container_of(s, struct net_rx, s);
	int rc = 1;

	r->need = most(r->p->net);
	for (unsigned int i = 0; i < RX_BATCH && rc > 0 && r->p->tap; i++)
		rc = rx_one(r);
	r->starved = rc == -ENOBUFS;
	if (r->starved && r->held)
		rx_hold(r);
	net_pair_poll(r->p);
	return r->starved;
}

void net_rx_forget(struct net_rx *r)
{
	ev_del(r->timer);
	r->timer = NULL;
	r->held = 0;
	r->starved = false;
	stock_clear(r);
}
