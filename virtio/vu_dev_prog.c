// SPDX-License-Identifier: BSD-3-Clause
/*
 * The messages: four programs, run by vu_dev_link.c.
 *
 * negotiate	once a connection: who are you, and may we go on
 * setup	once a driver and connection: features, memory, rings; all again after a reconnect
 * update	an eventfd or the number of active pairs changed
 * hold		let go of the rings, to be given them again by setup
 * stop		let go of the rings
 *
 * Addresses of rings go over the wire as "user addresses", which a backend translates with the
 * regions it was given. Ours are guest addresses plus a constant: nothing else is asked of them,
 * and so a backend, which is trusted with the guest's memory alone, does not learn where the VMM's
 * is.
 */
#include <errno.h>
#include <inttypes.h>
#include "virtio/vu_dev_priv.h"

#define UVA_BASE    0x400000000000ull
#define VRING_NO_FD 0x100u

/* Device status as the protocol has it (virtio 1.2, 2.1). */
#define ST_DRIVER      0x03u /* acknowledge and driver */
#define ST_DRIVER_OK   0x04u
#define ST_FEATURES_OK 0x08u

static bool has(const struct vu *u, unsigned int p)
{
	return u->proto & VU_P(p);
}

static int plain(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return 0;
}

static int number(struct vu_msg *m, uint64_t n)
{
	m->u.u64 = n;
	m->h.size = sizeof(m->u.u64);
	return 0;
}

static int vring(struct vu_msg *m, unsigned int q, uint32_t num)
{
	m->u.vring = (struct vu_vring){ q, num };
	m->h.size = sizeof(m->u.vring);
	return 0;
}

static int vring_fd(struct vu_msg *m, unsigned int q, int fd)
{
	m->nfds = fd >= 0;
	m->fd[0] = fd;
	return number(m, q | (fd < 0 ? VRING_NO_FD : 0));
}

static unsigned int each_queue(struct vu *u)
{
	return u->ndata;
}

/* ---- negotiate ---- */

static int got_features(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	u->offer = m->u.u64;
	if (!(u->offer & VIO_F_VERSION_1))
		return err_set(e, -EPROTO, "the backend does not know virtio 1");
	if (u->disk && !(u->offer & VU_F_PROTOCOL))
		return err_set(e, -EPROTO,
			       "the backend has no protocol features, which a disk needs");
	return 0;
}

static int ask_proto(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return !(u->offer & VU_F_PROTOCOL);
}

static int got_proto(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	u->proto_offer = m->u.u64;
	if (u->disk && !(u->proto_offer & VU_P(VU_P_CONFIG)))
		return err_set(e, -EPROTO,
			       "the backend has no device config (CONFIG), which a disk needs");
	return 0;
}

static int set_proto(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!(u->offer & VU_F_PROTOCOL))
		return 1;
	u->proto = u->proto_offer & vu_proto_wanted(u);
	/* In force for what follows: this one must not ask for an acknowledgement. */
	m->h.flags &= ~VU_NEED_REPLY;
	return number(m, u->proto);
}

/* Without MQ there is one pair, or one queue of a disk. */
static int ask_queues(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (has(u, VU_P_MQ))
		return 0;
	if (u->queues > 1)
		return err_set(e, -EPROTO,
			       "the port has %u queues and the backend one: give it queues=1",
			       u->queues);
	return 1;
}

static int got_queues(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (m->u.u64 < u->queues || m->u.u64 > VU_QUEUES_MAX)
		return err_set(e, -EPROTO,
			       "the port has %u queues and the backend says it has %" PRIu64,
			       u->queues, m->u.u64);
	return 0;
}

static int ask_slots(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return !has(u, VU_P_MEM_SLOTS);
}

static int got_slots(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!m->u.u64)
		return err_set(e, -EPROTO, "the backend has no slot for memory");
	u->slots = (unsigned int)MIN(m->u.u64, (uint64_t)VQ_REGIONS_MAX);
	return 0;
}

static int ask_config(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!u->disk)
		return 1;
	m->u.cfg = (struct vu_config){ .size = VU_BLK_CFG };
	m->h.size = offsetof(struct vu_config, data) + VU_BLK_CFG;
	return 0;
}

static int got_config(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!m->h.size || m->u.cfg.off || m->u.cfg.size != VU_BLK_CFG)
		return err_set(
			e, -EPROTO,
			"the backend gives no config of a disk: is it one for network ports?");
	if (vu_cfg_update(u, m->u.cfg.data))
		vio_config_changed(&u->v);
	return 0;
}

const struct vu_step vu_prog_negotiate[] = {
	{ .req = VU_GET_FEATURES, .fill = plain, .reply = got_features },
	{ .req = VU_SET_OWNER, .fill = plain },
	{ .req = VU_GET_PROTOCOL_FEATURES, .fill = ask_proto, .reply = got_proto },
	{ .req = VU_SET_PROTOCOL_FEATURES, .fill = set_proto },
	{ .req = VU_GET_QUEUE_NUM, .fill = ask_queues, .reply = got_queues },
	{ .req = VU_GET_MAX_MEM_SLOTS, .fill = ask_slots, .reply = got_slots },
	{ .req = VU_GET_CONFIG, .fill = ask_config, .reply = got_config },
	{ .req = 0 },
};

/* ---- setup ---- */

static int status_driver(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return has(u, VU_P_STATUS) ? number(m, ST_DRIVER) : 1;
}

static int set_features(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return number(m, vu_feat_back(u) | (u->offer & VU_F_PROTOCOL));
}

static int status_features(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return has(u, VU_P_STATUS) ? number(m, ST_DRIVER | ST_FEATURES_OK) : 1;
}

static int ask_status(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return !has(u, VU_P_STATUS);
}

static int got_status(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!(m->u.u64 & ST_FEATURES_OK))
		return err_set(e, -EPROTO,
			       "the backend does not accept the features (status %" PRIx64 ")",
			       m->u.u64);
	return 0;
}

static uint16_t largest_queue(const struct vu *u)
{
	uint16_t n = 0;

	for (unsigned int q = 0; q < u->ndata; q++)
		if (vu_set(u, q))
			n = MAX(n, u->v.q[q].size);
	return n;
}

static int ask_inflight(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	uint16_t qsize = largest_queue(u);

	/* Kept from an earlier connection: what it says is what must not be lost. A driver that set
	 * no queue up has nothing that could be held. */
	if (!has(u, VU_P_INFLIGHT) || u->inflight_fd >= 0 || !qsize)
		return 1;
	m->u.inflight = (struct vu_inflight_desc){ .nqueues = (uint16_t)u->ndata, .qsize = qsize };
	m->h.size = sizeof(m->u.inflight);
	return 0;
}

static int got_inflight(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	const struct vu_inflight_desc *d = &m->u.inflight;
	struct stat st;

	/* "None": allowed, and then the rings alone must do. */
	if (!m->nfds && !d->mmap_size)
		return 0;
	if (m->nfds != 1 || !d->mmap_size || d->nqueues != u->ndata || d->qsize != largest_queue(u))
		return err_set(
			e, -EPROTO,
			"the backend's inflight memory is for %u queues of %u, wanted %u of %u",
			d->nqueues, d->qsize, u->ndata, largest_queue(u));
	if (sys_fstat(u->sys, m->fd[0], &st) ||
	    !range_ok(d->mmap_off, d->mmap_size, (uint64_t)st.st_size))
		return err_set(e, -EPROTO,
			       "the backend's inflight memory is beyond its file's end");
	u->inflight = *d;
	u->inflight_fd = m->fd[0];
	m->fd[0] = -1;
	return 0;
}

static int set_inflight(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!has(u, VU_P_INFLIGHT) || u->inflight_fd < 0)
		return 1;
	m->u.inflight = u->inflight;
	m->h.size = sizeof(m->u.inflight);
	m->fd[0] = u->inflight_fd;
	m->nfds = 1;
	return 0;
}

static int set_mem(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (has(u, VU_P_MEM_SLOTS))
		return 1;
	if (u->nregions > VU_MEM_MAX)
		return err_set(e, -EPROTO,
			       "guest RAM is in %u pieces and the backend takes %d at most",
			       u->nregions, VU_MEM_MAX);
	m->u.mem = (struct vu_mem_table){ .n = u->nregions };
	m->h.size = (uint32_t)(offsetof(struct vu_mem_table, r) +
			       u->nregions * sizeof(struct vu_region));
	for (unsigned int r = 0; r < u->nregions; r++) {
		m->u.mem.r[r] = u->region[r];
		m->u.mem.r[r].uva = u->region[r].gpa + UVA_BASE;
		m->fd[r] = u->region_fd[r];
	}
	m->nfds = u->nregions;
	return 0;
}

static unsigned int each_region(struct vu *u)
{
	return u->nregions;
}

/* Slots last as long as the connection: RAM does not move while a machine runs. */
static int add_mem(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!has(u, VU_P_MEM_SLOTS) || u->mem_added > i)
		return 1;
	if (u->nregions > u->slots)
		return err_set(e, -EPROTO,
			       "guest RAM is in %u pieces and the backend takes %u at most",
			       u->nregions, u->slots);
	m->u.reg = (struct vu_one_region){ .r = u->region[i] };
	m->u.reg.r.uva = u->region[i].gpa + UVA_BASE;
	m->h.size = sizeof(m->u.reg);
	m->fd[0] = u->region_fd[i];
	m->nfds = 1;
	return 0;
}

static int set_num(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	u->mem_added = u->nregions; /* all were acknowledged, or at least sent */
	return vu_set(u, q) ? vring(m, q, u->v.q[q].size) : 1;
}

static int set_base(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return vu_set(u, q) ? vring(m, q, u->base[q]) : 1;
}

static int set_addr(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	const struct vio_queue *vq = &u->v.q[q];

	if (!vu_set(u, q))
		return 1;
	m->u.addr = (struct vu_vring_addr){ .index = q,
					    .desc = vq->desc + UVA_BASE,
					    .avail = vq->driver + UVA_BASE,
					    .used = vq->device + UVA_BASE };
	m->h.size = sizeof(m->u.addr);
	return 0;
}

static int set_err(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return vu_set(u, q) ? vring_fd(m, q, u->err_fd) : 1;
}

static int set_call(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return vu_set(u, q) ? vring_fd(m, q, atomic_load(&u->v.q[q].call)) : 1;
}

/* From here on the backend may take buffers. */
static int set_kick(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	if (!vu_set(u, q))
		return 1;
	/* Nobody keeps it up to date from here on: the next backend must not believe it. */
	if (!has(u, VU_P_INFLIGHT))
		sys_close(u->sys, &u->inflight_fd);
	u->orderly = (u->offer & VIO_F_IN_ORDER) && (u->orderly || !u->served);
	u->served |= 1ull << q;
	u->given |= 1ull << q;
	u->told &= ~(1ull << q);
	return vring_fd(m, q, u->v.q[q].kick);
}

static int set_enable(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	if (!vu_set(u, q) || !(u->offer & VU_F_PROTOCOL))
		return 1;
	return vring(m, q, vu_on(u, q));
}

static int status_ok(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	if (!has(u, VU_P_STATUS))
		return 1;
	return number(m, ST_DRIVER | ST_FEATURES_OK | ST_DRIVER_OK);
}

/* Where nothing is acknowledged, an answer to this says that all before it was done. */
static int barrier(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return has(u, VU_P_REPLY_ACK);
}

static int got_barrier(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return 0;
}

const struct vu_step vu_prog_setup[] = {
	{ .req = VU_SET_STATUS, .fill = status_driver },
	{ .req = VU_SET_FEATURES, .fill = set_features },
	{ .req = VU_SET_STATUS, .fill = status_features },
	{ .req = VU_GET_STATUS, .fill = ask_status, .reply = got_status },
	{ .req = VU_GET_INFLIGHT_FD, .fill = ask_inflight, .reply = got_inflight },
	{ .req = VU_SET_INFLIGHT_FD, .fill = set_inflight },
	{ .req = VU_SET_MEM_TABLE, .fill = set_mem, .slow = true },
	{ .req = VU_ADD_MEM_REG, .count = each_region, .fill = add_mem, .slow = true },
	{ .req = VU_SET_VRING_NUM, .count = each_queue, .fill = set_num },
	{ .req = VU_SET_VRING_BASE, .count = each_queue, .fill = set_base },
	{ .req = VU_SET_VRING_ADDR, .count = each_queue, .fill = set_addr },
	{ .req = VU_SET_VRING_ERR, .count = each_queue, .fill = set_err },
	{ .req = VU_SET_VRING_CALL, .count = each_queue, .fill = set_call },
	{ .req = VU_SET_VRING_KICK, .count = each_queue, .fill = set_kick },
	{ .req = VU_SET_VRING_ENABLE, .count = each_queue, .fill = set_enable },
	{ .req = VU_SET_STATUS, .fill = status_ok },
	{ .req = VU_GET_FEATURES, .fill = barrier, .reply = got_barrier, .slow = true },
	{ .req = 0 },
};

/* ---- update ---- */

static int new_call(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return u->call_work & 1ull << q ? set_call(u, q, m, e) : 1;
}

static int new_enable(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return u->enable_work & 1ull << q ? set_enable(u, q, m, e) : 1;
}

const struct vu_step vu_prog_update[] = {
	{ .req = VU_SET_VRING_CALL, .count = each_queue, .fill = new_call },
	{ .req = VU_SET_VRING_ENABLE, .count = each_queue, .fill = new_enable },
	{ .req = 0 },
};

/* ---- stop ---- */

static int disable(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	if (!(u->given & 1ull << q) || !(u->offer & VU_F_PROTOCOL))
		return 1;
	return vring(m, q, 0);
}

static int ask_base(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	return u->given & 1ull << q ? vring(m, q, 0) : 1;
}

static int got_base(struct vu *u, unsigned int q, struct vu_msg *m, struct err *e)
{
	if (m->u.vring.index != q)
		return err_set(e, -EPROTO, "asked for the base of queue %u, the backend told of %u",
			       q, m->u.vring.index);
	u->told |= 1ull << q;
	u->told_base[q] = m->u.vring.num;
	return 0;
}

static int status_zero(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e)
{
	return has(u, VU_P_STATUS) ? number(m, 0) : 1;
}

const struct vu_step vu_prog_hold[] = {
	{ .req = VU_SET_VRING_ENABLE, .count = each_queue, .fill = disable },
	{ .req = VU_GET_VRING_BASE, .count = each_queue, .fill = ask_base, .reply = got_base },
	{ .req = 0 },
};

const struct vu_step vu_prog_stop[] = {
	{ .req = VU_SET_VRING_ENABLE, .count = each_queue, .fill = disable },
	{ .req = VU_GET_VRING_BASE, .count = each_queue, .fill = ask_base, .reply = got_base },
	{ .req = VU_SET_STATUS, .fill = status_zero },
	{ .req = 0 },
};
