// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the guest to the tap (virtio 1.2, 5.1.6.2).
 *
 * A packet goes to the kernel in one writev(): our checked copy of its header in front, the rest
 * straight out of guest memory. A turn serves a batch, answers it with one interrupt at most, and
 * lets other queues in before the next one.
 */
#include <errno.h>
#include "virtio/net_priv.h"

#define TX_BATCH 128

/* Into the kernel; -EAGAIN: later. */
static int tx_write(struct net_pair *p, const struct iovec *iov, unsigned int n)
{
	ssize_t r;

	do
		r = writev(p->fd, iov, (int)n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* One packet, in iov[1] and on. A drop, or NET_OK; *rc -EAGAIN: neither. */
static enum net_drop tx_one(struct net_pair *p, struct vq_chain *c, int *rc)
{
	struct iovec *iov = c->iov, save[NET_HDR];
	struct virtio_net_hdr_v1 h;
	enum net_drop why;
	unsigned int at, n;

	*rc = 0;
	if (c->out_len < NET_HDR)
		return NET_DROP_SHORT;
	at = net_iov_cut(iov, c->nout, NET_HDR, save, &n);
	vq_iov_read(save, n, 0, &h, NET_HDR);
	why = net_tx_check(&h, c->out_len - NET_HDR, p->net->acked);
	if (why != NET_OK)
		return why;
	if (!net_link_is_up(p->net))
		return NET_DROP_LINK;
	/* In the place of the last piece cut off, or of the spare one in front. */
	iov = iov + at - 1;
	*iov = (struct iovec){ &h, NET_HDR };
	*rc = tx_write(p, iov, c->nout - at + 1);
	return *rc ? NET_DROP_HOST : NET_OK;
}

static void tx_account(struct net_tx *t, enum net_drop why, const struct vq_chain *c)
{
	if (why != NET_OK) {
		net_add(&t->n.drop[why], 1);
		return;
	}
	net_add(&t->n.bufs, 1);
	net_add(&t->n.bytes, c->out_len - NET_HDR);
}

bool net_tx_serve(struct vio_serve *s)
{
	struct net_tx *t = container_of(s, struct net_tx, s);
	struct net_pair *p = t->p;

	if (t->blocked || !atomic_load(&p->wanted))
		return false;
	for (unsigned int i = 0; i < TX_BATCH; i++) {
		struct vq_chain c = { .iov = t->iov + 1, .cap = NET_IOV };
		enum net_drop why;
		int rc;

		if (!vio_serve_pop(s, &c))
			return true;
		why = tx_one(p, &c, &rc);
		if (rc == -EAGAIN) {
			vq_unpop(&s->vq, 1, c.ndesc);
			t->blocked = true;
			net_pair_poll(p);
			return false;
		}
		tx_account(t, why, &c);
		vio_serve_push(s, &c, 0);
	}
	return vio_serve_yield(s);
}
