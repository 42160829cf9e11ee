// SPDX-License-Identifier: BSD-3-Clause
/*
 * The back-end half of vhost-user: one socket, one front end at a time.
 *
 * A message passes three judges: vu_msg_check() for its form, the table below for its moment (after
 * SET_OWNER, protocol feature negotiated), its handler for its content. A front end that fails the
 * first two, or breaks a rule in the third, is dropped: rings are stopped, its memory is unmapped,
 * its descriptors are closed, and the socket waits for the next one, which begins from nothing. All
 * state of a connection is in struct back_peer and the rings, so that "from nothing" is easy to
 * see.
 *
 * A request that we cannot grant for reasons of our own (no memory left) is answered by a failure
 * where the front end asked for an acknowledgement.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/wire/back_priv.h"

#define PROTOCOL_OFFERED                                                                  \
	(VU_P(VU_P_MQ) | VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_CONFIG) | VU_P(VU_P_INFLIGHT) | \
	 VU_P(VU_P_MEM_SLOTS) | VU_P(VU_P_STATUS))

#define MESSAGES_MAX 64 /* in one turn of the loop */

#define BACKOFF_MIN 100000000ull
#define BACKOFF_MAX 1000000000ull

static void conn_open(struct vu_back *b, int fd);
static void conn_wait(struct vu_back *b);

void back_mapped(struct vu_back *b, void *p, size_t len, bool on)
{
	if (b->cfg.ops->mapped)
		b->cfg.ops->mapped(b->cfg.dev, p, len, on);
}

/* ---- messages about the device as a whole -------------------------------------------------------
 */

int back_reply_u64(struct vu_msg *m, uint64_t value)
{
	m->u.u64 = value;
	m->h.size = sizeof(m->u.u64);
	return 1;
}

static uint64_t features_offered(const struct vu_back *b)
{
	return b->cfg.ops->features(b->cfg.dev) | VU_F_PROTOCOL;
}

static int get_features(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	return back_reply_u64(m, features_offered(b));
}

static int set_features(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	uint64_t want = m->u.u64;

	if (want & ~features_offered(b))
		return err_set(e, -EPROTO, "features %#llx were not offered",
			       (unsigned long long)(want & ~features_offered(b)));
	if (want != b->peer.features && back_rings_running(b))
		return err_set(e, -EPROTO, "other features while rings run");
	b->peer.features = want;
	b->peer.features_set = true;
	return back_rings_update(b, e);
}

static int set_owner(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	if (b->peer.owner)
		return err_set(e, -EPROTO, "SET_OWNER came twice");
	b->peer.owner = true;
	return 0;
}

/* Long deprecated; some front ends send it at their end. */
static int reset_owner(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	for (unsigned int i = 0; i < b->cfg.queues; i++)
		back_ring_reset(b, i);
	b->peer.owner = false;
	return 0;
}

static int get_protocol_features(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	return back_reply_u64(m, PROTOCOL_OFFERED);
}

static int set_protocol_features(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	if (m->u.u64 & ~PROTOCOL_OFFERED)
		return err_set(e, -EPROTO, "protocol features %#llx were not offered",
			       (unsigned long long)(m->u.u64 & ~PROTOCOL_OFFERED));
	if (m->u.u64 != b->peer.protocol && back_rings_running(b))
		return err_set(e, -EPROTO, "other protocol features while rings run");
	b->peer.protocol = m->u.u64;
	return 0;
}

static int get_queue_num(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	return back_reply_u64(m, b->cfg.queues);
}

static int get_max_mem_slots(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	return back_reply_u64(m, b->cfg.mem_slots);
}

static int get_status(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	return back_reply_u64(m, b->peer.status);
}

static int set_status(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	if (m->u.u64 > UINT8_MAX)
		return err_set(e, -EPROTO, "a device status of %#llx",
			       (unsigned long long)m->u.u64);
	b->peer.status = (uint8_t)m->u.u64;
	return back_rings_update(b, e);
}

static int get_config(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct vu_config *c = &m->u.cfg;

	if (!range_ok(c->off, c->size, VU_CONFIG_MAX))
		return err_set(e, -EPROTO, "%u bytes at %u of the config space", c->size, c->off);
	memset(c->data, 0, sizeof(c->data));
	b->cfg.ops->config_read(b->cfg.dev, c->off, c->size, c->data);
	m->h.size = (uint32_t)offsetof(struct vu_config, data) + c->size;
	return 1;
}

static int set_config(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct vu_config *c = &m->u.cfg;

	if (!range_ok(c->off, c->size, VU_CONFIG_MAX))
		return err_set(e, -EPROTO, "%u bytes at %u of the config space", c->size, c->off);
	if (!b->cfg.ops->config_write)
		return err_set(e, -EPERM, "the config space is read-only");
	return b->cfg.ops->config_write(b->cfg.dev, c->off, c->size, c->data);
}

/* ---- dispatch -----------------------------------------------------------------------------------
 */

/* need: a protocol feature that must be negotiated, or NONE. */
#define NONE 0xff

static const struct back_cmd {
	int (*fn)(struct vu_back *b, struct vu_msg *m, struct err *e);
	bool owner;
	uint8_t need;
} cmds[VU_REQ_MAX] = {
	[VU_GET_FEATURES] = { get_features, false, NONE },
	[VU_SET_FEATURES] = { set_features, true, NONE },
	[VU_SET_OWNER] = { set_owner, false, NONE },
	[VU_RESET_OWNER] = { reset_owner, true, NONE },
	[VU_SET_MEM_TABLE] = { back_set_mem_table, true, NONE },
	[VU_SET_VRING_NUM] = { back_set_vring_num, true, NONE },
	[VU_SET_VRING_ADDR] = { back_set_vring_addr, true, NONE },
	[VU_SET_VRING_BASE] = { back_set_vring_base, true, NONE },
	[VU_GET_VRING_BASE] = { back_get_vring_base, true, NONE },
	[VU_SET_VRING_KICK] = { back_set_vring_kick, true, NONE },
	[VU_SET_VRING_CALL] = { back_set_vring_call, true, NONE },
	[VU_SET_VRING_ERR] = { back_set_vring_err, true, NONE },
	[VU_GET_PROTOCOL_FEATURES] = { get_protocol_features, false, NONE },
	[VU_SET_PROTOCOL_FEATURES] = { set_protocol_features, false, NONE },
	[VU_GET_QUEUE_NUM] = { get_queue_num, false, VU_P_MQ },
	[VU_SET_VRING_ENABLE] = { back_set_vring_enable, true, NONE },
	[VU_GET_CONFIG] = { get_config, false, VU_P_CONFIG },
	[VU_SET_CONFIG] = { set_config, true, VU_P_CONFIG },
	[VU_GET_INFLIGHT_FD] = { back_get_inflight, true, VU_P_INFLIGHT },
	[VU_SET_INFLIGHT_FD] = { back_set_inflight, true, VU_P_INFLIGHT },
	[VU_GET_MAX_MEM_SLOTS] = { get_max_mem_slots, false, VU_P_MEM_SLOTS },
	[VU_ADD_MEM_REG] = { back_add_mem_reg, true, VU_P_MEM_SLOTS },
	[VU_REM_MEM_REG] = { back_rem_mem_reg, true, VU_P_MEM_SLOTS },
	[VU_SET_STATUS] = { set_status, true, VU_P_STATUS },
	[VU_GET_STATUS] = { get_status, true, VU_P_STATUS },
};

static int cmd_find(struct vu_back *b, uint32_t req, const struct back_cmd **out, struct err *e)
{
	const struct back_cmd *c = req < ARRAY_SIZE(cmds) ? &cmds[req] : NULL;

	if (!c || !c->fn)
		return err_set(e, -EPROTO, "a request that was not offered");
	if (c->owner && !b->peer.owner)
		return err_set(e, -EPROTO, "came before SET_OWNER");
	if (c->need != NONE && !back_has(b, c->need))
		return err_set(e, -EPROTO, "its protocol feature %u was not negotiated", c->need);
	*out = c;
	return 0;
}

static int send_reply(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	int ret;

	m->h.flags = VU_VERSION | VU_REPLY;
	ret = vu_sock_send(&b->sock, m);
	if (ret)
		return err_sys(e, ret, "the answer was not taken");
	return 0;
}

/* Runs one message and answers it. An error ends the connection. */
static int handle(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	bool ack = (m->h.flags & VU_NEED_REPLY) && back_has(b, VU_P_REPLY_ACK);
	const struct back_cmd *c = NULL;
	uint32_t req = m->h.req;
	int ret = cmd_find(b, req, &c, e);

	if (!ret)
		ret = c->fn(b, m, e);
	if (ret > 0) {
		ret = send_reply(b, m, e);
	} else if (ack) {
		struct vu_msg a = { .h.req = req };
		int sent;

		back_reply_u64(&a, ret ? 1 : 0);
		sent = send_reply(b, &a, ret ? NULL : e);
		if (ret && ret != -EPROTO) {
			log_limited(b->log, &b->limit_refused, LOG_WARN, "%s: %s refused: %s",
				    b->name, vu_req_name(req), e->text);
			ret = 0;
		}
		ret = ret ?: sent;
	}
	if (ret)
		err_prefix(e, "%s: ", vu_req_name(req));
	return ret;
}

/* ---- the connection -----------------------------------------------------------------------------
 */

/* Whatever the front end gave is let go of. */
static void peer_forget(struct vu_back *b)
{
	for (unsigned int i = 0; i < b->cfg.queues; i++)
		back_ring_reset(b, i);
	back_inflight_free(b);
	back_mem_free(b, b->peer.mem);
	b->peer = (struct back_peer){ 0 };
}

static void conn_close(struct vu_back *b)
{
	if (!b->connected)
		return;
	b->connected = false;
	peer_forget(b);
	ev_del(b->src);
	b->src = NULL;
	vu_sock_close(&b->sock);
	if (b->cfg.ops->state)
		b->cfg.ops->state(b->cfg.dev, false);
}

/* The front end is gone (ret -ECONNRESET) or has to go. */
static void conn_end(struct vu_back *b, int ret, const struct err *e)
{
	/* One that got as far as memory was a real one; else not to meet it again too soon. */
	bool real = b->peer.mem;

	if (ret == -ECONNRESET) {
		log_limited(b->log, &b->limit, LOG_INFO, "%s: the front end left", b->name);
	} else {
		b->drops++;
		snprintf(b->last, sizeof(b->last), "%.*s", (int)sizeof(b->last) - 1, e->text);
		log_limited(b->log, &b->limit, LOG_WARN, "%s: front end dropped: %s", b->name,
			    e->text);
	}
	conn_close(b);
	b->backoff_ns = real ? BACKOFF_MIN : MIN(b->backoff_ns * 2, BACKOFF_MAX);
	conn_wait(b);
}

/* Reads what is there; a flood does not keep others from their turn. False: the connection is no
 * more. */
static bool conn_read(struct vu_back *b)
{
	struct err e = { 0 };
	struct vu_msg m;
	int ret;

	for (unsigned int i = 0;; i++) {
		if (i == MESSAGES_MAX)
			return true;
		ret = vu_sock_recv(&b->sock, VU_TO_BACK, &m, &e);
		if (!ret)
			return true;
		if (ret < 0)
			break;
		ret = handle(b, &m, &e);
		vu_msg_drop(b->sys, &m);
		if (ret)
			break;
	}
	conn_end(b, ret, &e);
	return false;
}

/* Answers that the socket did not take go when it does. */
static int conn_flush(struct vu_back *b)
{
	int ret = vu_sock_flush(&b->sock);
	bool want = !ret;

	if (ret < 0)
		return ret;
	if (want == b->out_wanted)
		return 0;
	b->out_wanted = want;
	return ev_mod(b->src, EPOLLIN | (want ? EPOLLOUT : 0));
}

static void conn_event(void *arg, uint32_t events)
{
	struct vu_back *b = arg;
	struct err e = { 0 };
	int ret;

	if (!conn_read(b))
		return;
	ret = conn_flush(b);
	if (ret) {
		err_sys(&e, ret, "the socket cannot be written to");
		conn_end(b, ret, &e);
	}
}

/* Takes over fd; on failure it is closed and nothing has happened. */
static void conn_open(struct vu_back *b, int fd)
{
	struct err e = { 0 };
	int ret = vu_peer_check(b->sys, fd, &e);

	if (!ret) {
		ret = ev_add(b->ev, fd, EPOLLIN, conn_event, b, &b->src);
		if (ret)
			err_sys(&e, ret, "cannot watch the connection");
	}
	if (ret) {
		log_limited(b->log, &b->limit_connect, LOG_WARN, "%s: front end refused: %s",
			    b->name, e.text);
		sys_close(b->sys, &fd);
		return;
	}
	vu_sock_init(&b->sock, b->sys, fd);
	b->connected = true;
	b->out_wanted = false;
	if (b->cfg.ops->state)
		b->cfg.ops->state(b->cfg.dev, true);
}

/* ---- the socket's two roles ---------------------------------------------------------------------
 */

static void on_accept(void *arg, uint32_t events)
{
	struct vu_back *b = arg;
	int fd = usock_accept(b->sys, b->listen_fd, b->listen_src);

	if (fd < 0)
		return;
	/* The one before may be gone, only its end of file was not read yet. */
	if (b->connected && conn_read(b)) {
		log_limited(b->log, &b->limit_connect, LOG_WARN,
			    "%s: a second front end refused: one at a time", b->name);
		sys_close(b->sys, &fd);
		return;
	}
	conn_open(b, fd);
}

static void on_retry(void *arg)
{
	struct vu_back *b = arg;
	struct err e = { 0 };
	int fd;

	b->retry = NULL;
	fd = vu_connect(b->sys, b->path, &e);
	if (fd >= 0) {
		conn_open(b, fd);
	} else if (b->backoff_ns == BACKOFF_MIN) {
		log_limited(b->log, &b->limit_connect, LOG_INFO,
			    "%s: no front end yet, trying on: %s", b->name, e.text);
	}
	if (b->connected)
		return;
	b->backoff_ns = MIN(b->backoff_ns * 2, BACKOFF_MAX);
	conn_wait(b);
}

/* Server: the listening socket is always watched. Client: try again after a while. */
static void conn_wait(struct vu_back *b)
{
	if (!b->cfg.client || b->retry)
		return;
	if (ev_timer(b->ev, b->backoff_ns, on_retry, b, &b->retry))
		log_err(b->log, "%s: out of memory: no further attempt to connect", b->name);
}

static int back_open(struct vu_back *b, struct err *e)
{
	struct err note = { 0 };
	int ret;

	if (b->cfg.client) {
		ret = ev_timer(b->ev, 0, on_retry, b, &b->retry);
		return ret ? err_set(e, ret, "out of memory") : 0;
	}
	ret = vu_listen(b->sys, b->path, &note);
	if (ret < 0) {
		if (e)
			*e = note;
		return ret;
	}
	b->listen_fd = ret;
	if (note.text[0])
		log_warn(b->log, "%s: %s", b->name, note.text);
	ret = ev_add(b->ev, b->listen_fd, EPOLLIN, on_accept, b, &b->listen_src);
	return ret ? err_sys(e, ret, "cannot listen on %s", b->path) : 0;
}

int vu_back_new(struct sys *s, const struct log *log, struct ev *ev, const struct vu_back_cfg *c,
		struct vu_back **out, struct err *e)
{
	struct vu_back *b;
	int ret;

	if (!c->queues || c->queues > VU_QUEUES_MAX)
		return err_set(e, -EINVAL, "%u queues, 1 to %u are possible", c->queues,
			       VU_QUEUES_MAX);
	b = calloc(1, sizeof(*b) + c->queues * sizeof(b->ring[0]));
	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	*b = (struct vu_back){ .sys = s,
			       .log = log,
			       .ev = ev,
			       .cfg = *c,
			       .listen_fd = -1,
			       .backoff_ns = BACKOFF_MIN };
	b->cfg.mem_slots = MIN(c->mem_slots ?: VQ_REGIONS_MAX, (unsigned int)VQ_REGIONS_MAX);
	for (unsigned int i = 0; i < c->queues; i++)
		b->ring[i].kick = b->ring[i].call = -1;
	b->name = strdup(c->name);
	b->path = strdup(c->path);
	ret = b->name && b->path ? back_open(b, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret) {
		vu_back_free(b);
		return ret;
	}
	*out = b;
	return 0;
}

void vu_back_free(struct vu_back *b)
{
	if (!b)
		return;
	conn_close(b);
	ev_del(b->retry);
	ev_del(b->listen_src);
	if (b->listen_fd >= 0)
		sys_unlink(b->sys, b->path);
	sys_close(b->sys, &b->listen_fd);
	free(b->name);
	free(b->path);
	free(b);
}

bool vu_back_fault(struct vu_back *b, const void *p)
{
	struct err e = { 0 };

	if (!back_maps(b, p))
		return false;
	err_set(&e, -EFAULT, "its memory is not there any more: the file was cut short");
	conn_end(b, -EFAULT, &e);
	return true;
}

void vu_back_info(const struct vu_back *b, struct vu_back_info *out)
{
	const struct back_mem *mem = b->peer.mem;

	*out = (struct vu_back_info){
		.connected = b->connected,
		.features = b->peer.features,
		.protocol = b->peer.protocol,
		.drops = b->drops,
		.regions = mem ? mem->n : 0,
	};
	for (unsigned int i = 0; mem && i < mem->n; i++)
		out->mem_bytes += mem->reg[i].r.size;
	for (unsigned int i = 0; i < b->cfg.queues; i++)
		out->queues_up += b->ring[i].running;
	snprintf(out->last, sizeof(out->last), "%s", b->last);
}
