// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue of a network port with several queue pairs (virtio 1.2, 5.1.6.5). A backend
 * never sees it: the VMM serves it and turns the one command that matters, the number of pairs,
 * into messages that switch rings on and off.
 */
#include "virtio/vu_dev_priv.h"

#define CTRL_IOVS	  16
#define CTRL_MQ		  4
#define CTRL_MQ_PAIRS_SET 0
#define CTRL_OK		  0
#define CTRL_ERR	  1

static uint8_t pairs_set(struct vu *u, uint16_t pairs)
{
	if (!pairs || pairs > u->queues || !(u->v.acked & NET_F_MQ))
		return CTRL_ERR;
	u->pairs_on = pairs;
	u->enable_dirty = (1ull << u->ndata) - 1;
	vu_link_pump(u);
	return CTRL_OK;
}

static uint8_t command(struct vu *u, const struct vq_chain *c)
{
	struct {
		uint8_t class, cmd;
		uint16_t pairs;
	} __attribute__((packed)) in;

	if (vq_iov_read(c->iov, c->nout, 0, &in, sizeof(in)) != sizeof(in))
		return CTRL_ERR;
	if (in.class == CTRL_MQ && in.cmd == CTRL_MQ_PAIRS_SET)
		return pairs_set(u, in.pairs);
	return CTRL_ERR;
}

bool vu_ctrl_serve(struct vio_serve *s)
{
	struct vu *u = vu_of(s->v);
	struct iovec iov[CTRL_IOVS];
	struct vq_chain c = { .iov = iov, .cap = CTRL_IOVS };

	for (unsigned int n = 0; n < 16; n++) {
		uint8_t ack;

		if (!vio_serve_pop(s, &c))
			return true;
		ack = command(u, &c);
		vio_serve_push(s, &c, (uint32_t)vq_iov_write(iov + c.nout, c.nin, 0, &ack, 1));
	}
	return vio_serve_yield(s);
}
