// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connection to a backend, and the machine that runs the programs of vu_dev_prog.c over it, on
 * the I/O thread's loop: send until an answer is needed, arm a timer, go on when it comes. Whatever
 * goes wrong - a bad reply, a refusal, silence, an end of file - has one consequence: the
 * connection is given up and made again from its beginning. Nothing of a half-done negotiation is
 * kept.
 */
#include <errno.h>
#include <string.h>
#include "virtio/vu_dev_priv.h"

/* A try costs a few system calls, and an outage lasts as long as the pause behind its end. */
#define RETRY_MIN_NS 20000000ull
#define RETRY_MAX_NS 160000000ull
#define STEP_NS	     5000000000ull
#define STEP_SLOW_NS 30000000000ull

void vu_state_set(struct vu *u, enum vu_state s, const char *why)
{
	pthread_mutex_lock(&u->lock);
	if (u->info.state != s)
		u->info.since_ns = sys_now_ns(u->sys);
	u->info.state = s;
	u->info.features = u->offer;
	u->info.protocol = u->proto;
	if (why)
		snprintf(u->info.why, sizeof(u->info.why), "%s", why);
	pthread_mutex_unlock(&u->lock);
}

static void timer_off(struct vu *u)
{
	ev_del(u->timer);
	u->timer = NULL;
}

static void retry_later(struct vu *u)
{
	if (u->retry)
		return;
	if (ev_timer(u->ev, u->retry_ns, vu_link_try, u, &u->retry))
		log_err(u->log, "%s: out of memory: not connecting again", u->v.dev.id);
	u->retry_ns = MIN(u->retry_ns * 2, RETRY_MAX_NS);
}

static void link_close(struct vu *u)
{
	timer_off(u);
	ev_del(u->src);
	u->src = NULL;
	vu_sock_close(&u->k);
	u->prog = NULL;
	u->wait = u->want_out = u->ready = u->lit = false;
	u->mem_added = 0;
	u->given = 0;
	u->proto = 0;
}

/* Nobody there is the ordinary state of a backend that was not started yet. */
static bool nobody(int code)
{
	return code == -ENOENT || code == -ECONNREFUSED || code == -EAGAIN;
}

/* The one way out of everything that goes wrong. */
static void link_lose(struct vu *u, const struct err *e)
{
	bool loss = u->ready;

	vu_ring_lost(u);
	link_close(u);
	log_limited(u->log, &u->limit, !loss && nobody(e->code) ? LOG_INFO : LOG_WARN,
		    "%s: backend at %s: %s", u->v.dev.id, u->path, e->text);
	pthread_mutex_lock(&u->lock);
	u->info.losses += loss;
	pthread_mutex_unlock(&u->lock);
	/* The reason of the loss stays while nobody is there. */
	if (u->broken)
		vu_state_set(u, VU_NEEDS_RESET, NULL);
	else
		vu_state_set(u, u->info.connects ? VU_LOST : VU_WAITING,
			     nobody(e->code) && u->info.connects ? NULL : e->text);
	if (u->hold)
		vio_paused(&u->v);
	if (u->stop_wanted)
		vu_stop_done(u);
	if (!u->server)
		retry_later(u);
}

static void timed_out(void *arg)
{
	struct vu *u = arg;
	struct err e = { 0 };

	u->timer = NULL; /* gone with its call */
	err_set(&e, -ETIMEDOUT, "no answer to %s", vu_req_name(u->prog[u->at].req));
	link_lose(u, &e);
}

static int timer_on(struct vu *u, struct err *e)
{
	int rc;

	timer_off(u);
	rc = ev_timer(u->ev, u->prog[u->at].slow ? STEP_SLOW_NS : STEP_NS, timed_out, u, &u->timer);
	return rc ? err_sys(e, rc, "timer") : 0;
}

/* ---- running a program ---- */

static void prog_start(struct vu *u, const struct vu_step *prog)
{
	u->prog = prog;
	u->at = u->i = 0;
}

static void prog_done(struct vu *u)
{
	const struct vu_step *prog = u->prog;

	u->prog = NULL;
	timer_off(u);
	if (prog == vu_prog_negotiate) {
		u->retry_ns = RETRY_MIN_NS;
		vu_negotiated(u);
	} else if (prog == vu_prog_setup)
		vu_lit(u);
	else if (prog == vu_prog_hold) {
		u->lit = false;
		u->given = 0;
	} else if (prog == vu_prog_stop) {
		u->lit = false;
		vu_stop_done(u);
	}
}

/* What to run next; NULL: nothing. Bases are found right before they are sent. */
static int prog_choose(struct vu *u, struct err *e)
{
	int rc;

	if (u->stop_wanted) {
		prog_start(u, vu_prog_stop);
		return 0;
	}
	if (u->hold) {
		if (u->given)
			prog_start(u, vu_prog_hold);
		else
			vio_paused(&u->v);
		return 0;
	}
	if (!u->running || u->broken || vu_feat_back(u) & ~u->offer)
		return 0;
	if (!u->lit) {
		rc = u->fresh ? u->fresh(u) : 0;
		if (rc)
			return err_sys(e, rc, "cannot make rings");
		rc = vu_ring_bases(u, e);
		if (rc != -EUCLEAN) {
			if (!rc)
				prog_start(u, vu_prog_setup);
			return rc;
		}
		/* Sticky: what is lost does not come back with another backend. */
		u->broken = "the backend came back and cannot take up the queues where they stood";
		log_warn(u->log, "%s: %s", u->v.dev.id, e->text);
		vu_state_set(u, VU_NEEDS_RESET, e->text);
		vio_needs_reset(&u->v, u->broken);
		return 0;
	}
	if (!u->call_dirty && !u->enable_dirty)
		return 0;
	u->call_work = u->call_dirty;
	u->enable_work = u->enable_dirty;
	u->call_dirty = u->enable_dirty = 0;
	prog_start(u, vu_prog_update);
	return 0;
}

static int watch(struct vu *u, bool out)
{
	if (u->want_out == out)
		return 0;
	u->want_out = out;
	return ev_mod(u->src, EPOLLIN | (out ? EPOLLOUT : 0));
}

/* 1: sent, or none to send; 0: the socket is full; -errno. */
static int send_step(struct vu *u, const struct vu_step *st, struct err *e)
{
	struct vu_msg m = { .h = { st->req, VU_VERSION, 0 } };
	int rc;

	if ((u->proto & VU_P(VU_P_REPLY_ACK)) && !st->reply)
		m.h.flags |= VU_NEED_REPLY;
	rc = st->fill(u, u->i, &m, e);
	if (rc < 0)
		return rc;
	if (rc) {
		u->i++;
		return 1;
	}
	rc = vu_sock_send(&u->k, &m);
	if (rc == -ENOBUFS)
		return 0;
	if (rc)
		return err_sys(e, rc, "sending %s", vu_req_name(st->req));
	u->wait = st->reply || (m.h.flags & VU_NEED_REPLY);
	if (!u->wait)
		u->i++;
	return 1;
}

/* Until an answer is waited for, the socket is full, or there is nothing to do. */
static int pump(struct vu *u, struct err *e)
{
	int rc = 1;

	while (u->k.fd >= 0 && !u->wait && rc > 0) {
		/* A reset does not wait for the rest of a set-up. */
		if (u->stop_wanted && u->ready && u->prog != vu_prog_stop)
			u->prog = NULL;
		if (!u->prog) {
			rc = u->ready ? prog_choose(u, e) : 0;
			if (rc || !u->prog)
				break;
			rc = 1;
		}
		if (!u->prog[u->at].req) {
			prog_done(u);
		} else if (u->i >= (u->prog[u->at].count ? u->prog[u->at].count(u) : 1)) {
			u->at++;
			u->i = 0;
		} else {
			rc = send_step(u, &u->prog[u->at], e);
		}
	}
	if (rc < 0 || u->k.fd < 0)
		return rc < 0 ? rc : 0;
	rc = watch(u, u->k.out_len || (u->prog && !u->wait));
	if (!rc && u->prog)
		rc = timer_on(u, e);
	return rc;
}

void vu_link_pump(struct vu *u)
{
	struct err e = { 0 };

	if (u->k.fd >= 0 && pump(u, &e))
		link_lose(u, &e);
}

/* ---- what comes ---- */

static int answer(struct vu *u, struct vu_msg *m, struct err *e)
{
	const struct vu_step *st = u->prog ? &u->prog[u->at] : NULL;
	int rc = 0;

	if (!u->wait || m->h.req != st->req)
		return err_set(e, -EPROTO, "a reply to %s came, %s%s was waited for",
			       vu_req_name(m->h.req), u->wait ? "one to " : "none",
			       u->wait ? vu_req_name(st->req) : "");
	u->wait = false;
	if (st->reply)
		rc = st->reply(u, u->i, m, e);
	else if (m->u.u64)
		rc = err_set(e, -EPROTO, "the backend refused %s (%llu)", vu_req_name(st->req),
			     (unsigned long long)m->u.u64);
	u->i++;
	return rc;
}

static void on_socket(void *arg, uint32_t events)
{
	struct vu *u = arg;
	struct err e = { 0 };
	struct vu_msg m;
	int rc = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		rc = vu_sock_recv(&u->k, VU_TO_FRONT, &m, &e);
	if (rc == 1) {
		rc = answer(u, &m, &e);
		vu_msg_drop(u->sys, &m);
	}
	if (!rc)
		rc = vu_sock_flush(&u->k);
	if (rc >= 0)
		rc = pump(u, &e);
	if (rc < 0) {
		if (!e.text[0])
			err_sys(&e, rc, "the connection");
		link_lose(u, &e);
	}
}

/* ---- getting a connection ---- */

/* Takes fd over. */
static int link_new(struct vu *u, int fd, struct err *e)
{
	int rc = vu_peer_check(u->sys, fd, e);

	if (!rc) {
		rc = ev_add(u->ev, fd, EPOLLIN, on_socket, u, &u->src);
		if (rc)
			err_sys(e, rc, "cannot watch the connection");
	}
	if (rc) {
		sys_close(u->sys, &fd);
		return rc;
	}
	vu_sock_init(&u->k, u->sys, fd);
	if (u->info.connects && !u->broken)
		vu_state_set(u, VU_REPLAYING, NULL);
	prog_start(u, vu_prog_negotiate);
	return pump(u, e);
}

static void on_listener(void *arg, uint32_t events)
{
	struct vu *u = arg;
	int fd = usock_accept(u->sys, u->listen_fd, u->listen_src);
	struct err e = { 0 };

	if (fd < 0)
		return;
	/* One backend at a time; another may try again. */
	if (u->k.fd >= 0)
		sys_close(u->sys, &fd);
	else if (link_new(u, fd, &e))
		link_lose(u, &e);
}

void vu_link_try(void *arg)
{
	struct vu *u = arg;
	struct err e = { 0 };
	int fd;

	u->retry = NULL;
	if (u->k.fd >= 0 || u->server)
		return;
	fd = vu_connect(u->sys, u->path, &e);
	if (fd < 0 || link_new(u, fd, &e)) {
		link_lose(u, &e);
		return;
	}
}

static void on_err(void *arg, uint32_t events)
{
	struct vu *u = arg;
	uint64_t n;

	if (sys_read(u->sys, u->err_fd, &n, sizeof(n)) == sizeof(n))
		log_limited(u->log, &u->limit, LOG_WARN,
			    "%s: the backend reports an error in a queue", u->v.dev.id);
}

int vu_link_begin(struct vu *u, struct err *e)
{
	int rc;

	u->retry_ns = RETRY_MIN_NS;
	if (u->server) {
		rc = u->listen_fd = vu_listen(u->sys, u->path, e);
		if (rc < 0)
			return rc;
		if (e->text[0])
			log_warn(u->log, "%s: %s", u->v.dev.id, e->text);
		rc = ev_add(u->ev, u->listen_fd, EPOLLIN, on_listener, u, &u->listen_src);
		if (rc)
			return err_sys(e, rc, "cannot watch %s", u->path);
	}
	rc = ev_add(u->ev, u->err_fd, EPOLLIN, on_err, u, &u->err_src);
	return rc ? err_sys(e, rc, "cannot watch an eventfd") : 0;
}

void vu_link_end(struct vu *u)
{
	link_close(u);
	ev_del(u->retry);
	ev_del(u->listen_src);
	ev_del(u->err_src);
	u->retry = u->listen_src = u->err_src = NULL;
	if (u->listen_fd >= 0)
		sys_unlink(u->sys, u->path);
	sys_close(u->sys, &u->listen_fd);
	sys_close(u->sys, &u->inflight_fd);
}
