// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings of a vhost-user back end.
 *
 * A ring is described by messages that come in any order, so each of them only notes what it says,
 * and back_rings_update() compares what is known with what runs. A ring runs while it has a size,
 * addresses, a kick, memory, is enabled, and the driver is ready where the front end tells
 * (STATUS). The first kick is not waited for: a front end that hands over a ring whose avail index
 * moved before (a reconnection) need not send one.
 *
 * Where a ring begins: SET_VRING_BASE for a split ring is the avail index; the used index is the
 * driver-visible one in the ring itself. For a packed ring it is both offsets with their wrap
 * counters, the driver's in the lower half.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include "virtio/wire/back_priv.h"

#define F_INDIRECT  28
#define F_EVENT_IDX 29
#define F_PACKED    34
#define F_IN_ORDER  35

#define STATUS_DRIVER_OK 4

#define KICK_INDEX 0xffu
#define KICK_NO_FD 0x100u

static bool acked(const struct vu_back *b, unsigned int bit)
{
	return b->peer.features & (1ull << bit);
}

static int ring_of(struct vu_back *b, uint64_t index, struct back_ring **out, struct err *e)
{
	if (index >= b->cfg.queues)
		return err_set(e, -EPROTO, "queue %" PRIu64 " of %u", index, b->cfg.queues);
	*out = &b->ring[index];
	return 0;
}

/* For messages that may not come while the ring runs. */
static int ring_at_rest(struct vu_back *b, uint64_t index, struct back_ring **out, struct err *e)
{
	int ret = ring_of(b, index, out, e);

	if (!ret && (*out)->running)
		ret = err_set(e, -EPROTO, "queue %" PRIu64 " runs", index);
	return ret;
}

/* ---- start and stop ---------------------------------------------------------------------------*/

static bool ring_can_run(const struct vu_back *b, const struct back_ring *r)
{
	return r->num && r->addr_set && r->kick_set && b->peer.features_set && b->peer.mem &&
	       (r->enable == RING_ON ||
		(r->enable == RING_DEFAULT && !(b->peer.features & VU_F_PROTOCOL))) &&
	       (!back_has(b, VU_P_STATUS) || (b->peer.status & STATUS_DRIVER_OK));
}

/*
 * The used index of a split ring is in guest memory, behind 16 bits of flags. Not
 * vq_recover_split_used_idx(): the front end does say where the other index stands.
 */
static int split_used_idx(const struct vu_back *b, uint64_t used, uint16_t *out)
{
	const uint16_t *p = vq_mem_ptr(&b->peer.mem->vm, used, 4);

	if (!p || !IS_ALIGNED(used, 4))
		return -EINVAL;
	*out = __atomic_load_n(p + 1, __ATOMIC_ACQUIRE);
	return 0;
}

static int ring_base(const struct vu_back *b, const struct back_ring *r, struct vq_cfg *c)
{
	if (r->ran) {
		c->avail_idx = r->avail_idx;
		c->used_idx = r->used_idx;
		return 0;
	}
	c->avail_idx = (uint16_t)r->base;
	if (!c->packed)
		return split_used_idx(b, c->device, &c->used_idx);
	c->used_idx = (uint16_t)(r->base >> 16);
	/* Front ends are about that know of the lower half only; they begin fresh rings with it. */
	if (r->base == VQ_FRESH(true))
		c->used_idx = VQ_FRESH(true);
	return 0;
}

static int ring_cfg(const struct vu_back *b, const struct back_ring *r, struct vq_cfg *c)
{
	*c = (struct vq_cfg){
		.size = (uint16_t)r->num,
		.packed = acked(b, F_PACKED),
		.event_idx = acked(b, F_EVENT_IDX),
		.indirect = acked(b, F_INDIRECT),
		.in_order = acked(b, F_IN_ORDER),
	};
	if (back_mem_gpa(b->peer.mem, r->addr.desc, &c->desc) ||
	    back_mem_gpa(b->peer.mem, r->addr.avail, &c->driver) ||
	    back_mem_gpa(b->peer.mem, r->addr.used, &c->device))
		return -EFAULT;
	return ring_base(b, r, c);
}

/*
 * A call that nobody asked for: the process before us may have ended between a used buffer and its
 * call, and a call through an eventfd that was replaced meanwhile may not have been seen.
 */
static void ring_call(struct vu_back *b, const struct back_ring *r)
{
	static const uint64_t one = 1;

	if (r->call >= 0 && sys_write(b->sys, r->call, &one, sizeof(one)) < 0)
		log_limited(b->log, &b->limit, LOG_WARN, "%s: queue %td: the call was not taken",
			    b->name, r - b->ring);
}

static int ring_start(struct vu_back *b, struct back_ring *r, struct err *e)
{
	struct vu_back_queue q = {
		.index = (unsigned int)(r - b->ring),
		.mem = &b->peer.mem->vm,
		.kick = r->kick,
		.call = r->call,
		.features = b->peer.features,
	};
	int ret = ring_cfg(b, r, &q.cfg);

	if (ret)
		return err_set(e, -EPROTO, "queue %u is not in the memory that was given", q.index);
	ret = back_inflight_queue(b, q.index, &q.cfg, &r->inflight);
	if (ret < 0)
		return err_set(e, ret == -EINVAL ? -EPROTO : ret,
			       "queue %u does not fit its inflight memory", q.index);
	if (ret)
		q.inflight = &r->inflight;
	ret = b->cfg.ops->queue_start(b->cfg.dev, &q);
	if (ret) {
		vq_inflight_fini(&r->inflight);
		return err_sys(e, ret == -EINVAL ? -EPROTO : ret, "queue %u cannot start", q.index);
	}
	r->running = true;
	ring_call(b, r);
	return 0;
}

static void ring_stop(struct vu_back *b, struct back_ring *r)
{
	if (!r->running)
		return;
	b->cfg.ops->queue_stop(b->cfg.dev, (unsigned int)(r - b->ring), &r->avail_idx,
			       &r->used_idx);
	vq_inflight_fini(&r->inflight);
	r->running = false;
	r->ran = true;
}

int back_rings_update(struct vu_back *b, struct err *e)
{
	int ret;

	for (unsigned int i = 0; i < b->cfg.queues; i++) {
		struct back_ring *r = &b->ring[i];
		bool can = ring_can_run(b, r);

		if (!can)
			ring_stop(b, r);
		ret = can && !r->running ? ring_start(b, r, e) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

void back_rings_stop(struct vu_back *b)
{
	for (unsigned int i = 0; i < b->cfg.queues; i++)
		ring_stop(b, &b->ring[i]);
}

bool back_rings_running(const struct vu_back *b)
{
	for (unsigned int i = 0; i < b->cfg.queues; i++)
		if (b->ring[i].running)
			return true;
	return false;
}

void back_ring_reset(struct vu_back *b, unsigned int q)
{
	struct back_ring *r = &b->ring[q];

	ring_stop(b, r);
	sys_close(b->sys, &r->kick);
	sys_close(b->sys, &r->call);
	*r = (struct back_ring){ .kick = -1, .call = -1 };
}

/* ---- messages ---------------------------------------------------------------------------------*/

int back_set_vring_num(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	uint32_t num = m->u.vring.num;
	struct back_ring *r = NULL;
	int ret = ring_at_rest(b, m->u.vring.index, &r, e);

	if (ret)
		return ret;
	/* Split rings must be powers of two as well: vq_start() looks, when the kind is known. */
	if (!num || num > VQ_SIZE_MAX)
		return err_set(e, -EPROTO, "queue %u shall have %u entries", m->u.vring.index, num);
	r->num = num;
	return 0;
}

int back_set_vring_addr(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int ret = ring_at_rest(b, m->u.addr.index, &r, e);

	if (ret)
		return ret;
	if (m->u.addr.flags)
		return err_set(e, -EPROTO, "dirty logging of queue %u was not offered",
			       m->u.addr.index);
	r->addr = m->u.addr;
	r->addr_set = true;
	return back_rings_update(b, e);
}

int back_set_vring_base(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int ret = ring_at_rest(b, m->u.vring.index, &r, e);

	if (ret)
		return ret;
	r->base = m->u.vring.num;
	r->ran = false;
	return 0;
}

/* Stops the ring; the next run needs a new kick. */
int back_get_vring_base(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int ret = ring_of(b, m->u.vring.index, &r, e);

	if (ret)
		return ret;
	ring_stop(b, r);
	sys_close(b->sys, &r->kick);
	r->kick_set = false;
	if (!r->ran)
		m->u.vring.num = r->base;
	else if (acked(b, F_PACKED))
		m->u.vring.num = (uint32_t)r->used_idx << 16 | r->avail_idx;
	else
		m->u.vring.num = r->avail_idx;
	m->h.size = sizeof(m->u.vring);
	return 1;
}

/*
 * The descriptor of KICK, CALL or ERR into *fd, -1 when none comes by intention. It may be
 * anything; made non-blocking, it can at least not hold up the thread that serves the queue.
 */
static int take_fd(struct vu_back *b, struct vu_msg *m, struct back_ring **r, int *fd,
		   struct err *e)
{
	int on = 1, ret = ring_of(b, m->u.u64 & KICK_INDEX, r, e);

	if (ret)
		return ret;
	*fd = -1;
	if (m->u.u64 & KICK_NO_FD)
		return 0;
	if (sys_ioctl(b->sys, m->fd[0], FIONBIO, &on) < 0)
		return err_set(e, -EPROTO, "queue %td: a descriptor that is no eventfd",
			       *r - b->ring);
	*fd = m->fd[0];
	m->fd[0] = -1;
	return 0;
}

int back_set_vring_kick(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int fd, ret = take_fd(b, m, &r, &fd, e);

	if (ret)
		return ret;
	ring_stop(b, r);
	sys_close(b->sys, &r->kick);
	r->kick = fd;
	r->kick_set = true;
	return back_rings_update(b, e);
}

int back_set_vring_call(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int fd, old, ret = take_fd(b, m, &r, &fd, e);

	if (ret)
		return ret;
	old = r->call;
	r->call = fd;
	if (r->running) {
		b->cfg.ops->call_changed(b->cfg.dev, (unsigned int)(r - b->ring), fd);
		ring_call(b, r);
	}
	sys_close(b->sys, &old);
	return 0;
}

/* Broken rings are told otherwise: the peer is dropped, or the device asks for a reset. */
int back_set_vring_err(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int fd, ret = take_fd(b, m, &r, &fd, e);

	if (!ret)
		sys_close(b->sys, &fd);
	return ret;
}

int back_set_vring_enable(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct back_ring *r = NULL;
	int ret = ring_of(b, m->u.vring.index, &r, e);

	if (ret)
		return ret;
	if (m->u.vring.num > 1)
		return err_set(e, -EPROTO, "queue %u shall be enabled by %u, neither 0 nor 1",
			       m->u.vring.index, m->u.vring.num);
	r->enable = m->u.vring.num ? RING_ON : RING_OFF;
	return back_rings_update(b, e);
}
