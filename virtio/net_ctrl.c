// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue (virtio 1.2, 5.1.6.5). A command is what the driver can read, its answer one
 * byte that it cannot. Filters are accepted and not applied: a tap delivers what the host sends to
 * it, and the driver has to live with more than it asked for (5.1.6.5.1, 5.1.6.5.2).
 */
#include <errno.h>
#include <string.h>
#include "virtio/net_priv.h"

#define BATCH 16
#define GUEST_OFFLOADS                                                              \
	(NETF(GUEST_CSUM) | NETF(GUEST_TSO4) | NETF(GUEST_TSO6) | NETF(GUEST_ECN) | \
	 NETF(GUEST_USO4) | NETF(GUEST_USO6))

/* A command, with its argument at @arg; @len bytes of it, of which the first are copied. */
struct cmd {
	const struct iovec *iov;
	unsigned int n;
	uint8_t class, what;
	uint32_t len;
	uint8_t arg[8];
};

static uint64_t arg_le(const struct cmd *c, unsigned int bytes)
{
	uint64_t v = 0;

	memcpy(&v, c->arg, bytes); /* the host is little endian too */
	return v;
}

/* One list of addresses of TABLE_SET at off: where the next begins, 0: it does not fit. */
static uint64_t table_end(const struct cmd *c, uint64_t off)
{
	uint32_t entries;

	if (!range_ok(off, sizeof(entries), c->len))
		return 0;
	if (vq_iov_read(c->iov, c->n, 2 + off, &entries, sizeof(entries)) != sizeof(entries))
		return 0;
	off += sizeof(entries);
	return range_ok(off, 6ull * entries, c->len) ? off + 6ull * entries : 0;
}

static int parse_mac(struct net_cmd *out, const struct cmd *c, uint64_t acked)
{
	uint64_t at;
	struct mac m;

	if (c->what == VIRTIO_NET_CTRL_MAC_TABLE_SET && (acked & NETF(CTRL_RX))) {
		at = table_end(c, 0);
		return at && table_end(c, at) ? 0 : -EINVAL;
	}
	if (c->what != VIRTIO_NET_CTRL_MAC_ADDR_SET || !(acked & NETF(CTRL_MAC_ADDR)) || c->len < 6)
		return -EINVAL;
	memcpy(m.b, c->arg, 6);
	if (mac_is_zero(&m) || mac_is_multicast(&m))
		return -EINVAL;
	*out = (struct net_cmd){ NET_CMD_MAC, arg_le(c, 6) };
	return 0;
}

static int parse_pairs(struct net_cmd *out, const struct cmd *c, uint64_t acked)
{
	if (c->what != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !(acked & NETF(MQ)) || c->len < 2)
		return -EINVAL;
	*out = (struct net_cmd){ NET_CMD_PAIRS, arg_le(c, 2) };
	return 0;
}

static int parse_offloads(struct net_cmd *out, const struct cmd *c, uint64_t acked)
{
	if (c->what != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !(acked & NETF(CTRL_GUEST_OFFLOADS)) ||
	    c->len < 8)
		return -EINVAL;
	*out = (struct net_cmd){ NET_CMD_OFFLOAD, arg_le(c, 8) };
	return out->val & ~(acked & GUEST_OFFLOADS) ? -EINVAL : 0;
}

int net_ctrl_parse(struct net_cmd *out, const struct iovec *iov, unsigned int n, uint32_t len,
		   uint64_t acked)
{
	struct cmd c = { .iov = iov, .n = n };
	uint8_t head[2];

	*out = (struct net_cmd){ NET_CMD_IGNORE, 0 };
	if (len < sizeof(head) || vq_iov_read(iov, n, 0, head, sizeof(head)) != sizeof(head))
		return -EINVAL;
	c.class = head[0];
	c.what = head[1];
	c.len = len - (uint32_t)sizeof(head);
	vq_iov_read(iov, n, sizeof(head), c.arg, MIN((size_t)c.len, sizeof(c.arg)));
	switch (c.class) {
	case VIRTIO_NET_CTRL_RX:
		return (acked & NETF(CTRL_RX)) && c.what <= VIRTIO_NET_CTRL_RX_ALLMULTI && c.len
			       ? 0
			       : -EINVAL;
	case VIRTIO_NET_CTRL_MAC:
		return parse_mac(out, &c, acked);
	case VIRTIO_NET_CTRL_MQ:
		return parse_pairs(out, &c, acked);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return parse_offloads(out, &c, acked);
	}
	return -EINVAL;
}

/* Pairs leave before their files do and join after them; see net_pair.c. */
static int set_pairs(struct vnet *n, uint64_t want)
{
	unsigned int was = n->tap.active;
	int rc;

	if (!want || want > n->npairs)
		return -EINVAL;
	for (unsigned int i = (unsigned int)want; i < was; i++)
		atomic_store(&n->pair[i].wanted, false);
	rc = tap_queues(n->sys, &n->tap, (unsigned int)want);
	for (unsigned int i = 0; i < n->npairs; i++) {
		int posted;

		atomic_store(&n->pair[i].wanted, i < n->tap.active);
		posted = net_pair_post(&n->pair[i]);
		rc = rc ? rc : posted;
	}
	return rc;
}

/* What is in the tap's queue already may come either way: both is fine in between. */
static int set_offload(struct vnet *n, unsigned int off)
{
	unsigned int was = atomic_load(&n->offload);
	int rc;

	atomic_store(&n->offload, was | off);
	rc = tap_offload(n->sys, &n->tap, off);
	atomic_store(&n->offload, rc ? was : off);
	return rc;
}

static int apply(struct vnet *n, const struct net_cmd *c)
{
	switch (c->kind) {
	case NET_CMD_IGNORE:
		return 0;
	case NET_CMD_PAIRS:
		return set_pairs(n, c->val);
	case NET_CMD_MAC:
		atomic_store(&n->mac, c->val);
		return 0;
	case NET_CMD_OFFLOAD:
		return set_offload(n, net_offloads(c->val));
	}
	return -EINVAL;
}

static void command(struct net_ctrl *ctrl, const struct vq_chain *c)
{
	uint8_t ack = VIRTIO_NET_OK;
	struct net_cmd cmd;
	int rc;

	rc = net_ctrl_parse(&cmd, c->iov, c->nout, c->out_len, ctrl->net->acked);
	if (!rc)
		rc = apply(ctrl->net, &cmd);
	if (rc) {
		ack = VIRTIO_NET_ERR;
		net_add(&ctrl->refused, 1);
	}
	net_add(&ctrl->commands, 1);
	vq_iov_write(c->iov + c->nout, c->nin, 0, &ack, sizeof(ack));
}

bool net_ctrl_serve(struct vio_serve *s)
{
	struct net_ctrl *ctrl = container_of(s, struct net_ctrl, s);

	for (unsigned int i = 0; i < BATCH; i++) {
		struct vq_chain c = { .iov = ctrl->iov, .cap = NET_IOV };

		if (!vio_serve_pop(s, &c))
			return true;
		if (!c.in_len) {
			vio_serve_broken(s, "a control command without room for its answer");
			return true;
		}
		command(ctrl, &c);
		vio_serve_push(s, &c, 1);
	}
	return vio_serve_yield(s);
}
