// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bytes between a serial port and an fd.
 *
 * Out: vCPU threads put bytes into a ring. The first byte in it wakes the loop's thread, which
 * waits a few milliseconds for more to come (a guest writes one byte per exit) and then writes all
 * at once. When the fd takes nothing, chr_can_write() says no, and the UART makes the guest wait;
 * after a second without any progress it says yes again and the oldest bytes are lost, so that a
 * stopped terminal can't stop a machine.
 *
 * In: the fd is watched only while the user has room, or a level-triggered loop would spin on it.
 *
 * Lock order: whatever the writer holds (the VM lock), then the chr's lock; users are called
 * without it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/usock.h"
#include "vmm/devices/chr_priv.h"

#define ROOM_MIN    64u /* a UART FIFO, several times */
#define FLUSH_NS    (5 * 1000000ull)
#define STUCK_NS    (1000 * 1000000ull)
#define PATIENCE_NS (2000 * 1000000ull)
#define NAP_NS	    (10 * 1000000ull)
#define CHUNK	    4096u

#define CTRL_A 0x01

/* ---- the ring
 * ------------------------------------------------------------------------------------- */

/* All of these: the lock is held. pos runs with the stream, so that a writer can tell what was
 * dropped under it. */
static void ring_take(struct chr *c, size_t n)
{
	c->head = (c->head + n) % CHR_BUF;
	c->used -= n;
	c->pos += n;
}

static void ring_put(struct chr *c, const uint8_t *p, size_t n)
{
	if (n > CHR_BUF) {
		c->dropped += n - CHR_BUF;
		p += n - CHR_BUF;
		n = CHR_BUF;
	}
	if (n > CHR_BUF - c->used) {
		size_t lost = n - (CHR_BUF - c->used);

		ring_take(c, lost);
		c->dropped += lost;
	}
	for (size_t i = 0; i < n; i++)
		c->buf[(c->head + c->used + i) % CHR_BUF] = p[i];
	c->used += n;
}

static size_t ring_peek(struct chr *c, uint8_t *p, size_t max)
{
	size_t n = MIN(max, c->used);

	for (size_t i = 0; i < n; i++)
		p[i] = c->buf[(c->head + i) % CHR_BUF];
	return n;
}

/* Wake the loop's thread. A failed write leaves kicked false, so that the next byte tries again. */
static void kick_locked(struct chr *c)
{
	uint64_t one = 1;

	if (c->kicked || c->kick_fd < 0)
		return;
	c->kicked = true;
	if (sys_write(c->sys, c->kick_fd, &one, sizeof(one)) < 0)
		c->kicked = false;
}

void chr_write(struct chr *c, const void *p, size_t n)
{
	if (c->null)
		return;
	pthread_mutex_lock(&c->lock);
	ring_put(c, p, n);
	if (!c->armed)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

bool chr_can_write(struct chr *c)
{
	bool yes;

	if (c->null)
		return true;
	pthread_mutex_lock(&c->lock);
	yes = CHR_BUF - c->used >= ROOM_MIN || !c->online || c->stuck;
	c->starved |= !yes;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

uint64_t chr_dropped(struct chr *c)
{
	uint64_t n;

	pthread_mutex_lock(&c->lock);
	n = c->dropped;
	pthread_mutex_unlock(&c->lock);
	return n;
}

void chr_rx_more(struct chr *c)
{
	if (c->null)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->rx_wait)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- out: the loop's thread
 * ----------------------------------------------------------------------- */

/* A pty and a socket read and write by one fd. */
static struct chr_end *out_end(struct chr *c)
{
	return c->out.fd >= 0 ? &c->out : &c->in;
}

static void end_close(struct chr_end *end)
{
	ev_del(end->src);
	end->src = NULL;
	end->watched = 0;
	if (end->owned)
		sys_close(end->chr->sys, &end->fd);
	end->fd = -1;
}

/* The reader is gone. A socket waits for the next one, anything else has no output any more. */
static void went_offline(struct chr *c)
{
	bool starved;

	if (c->listen.fd < 0)
		log_warn(c->log, "serial output ends here: its reader is gone or its disk is full");
	pthread_mutex_lock(&c->lock);
	c->online = false;
	starved = c->starved;
	c->starved = false;
	pthread_mutex_unlock(&c->lock);
	if (c->listen.fd >= 0)
		end_close(&c->in);
	else if (c->out.fd >= 0)
		end_close(&c->out);
	if (starved && c->user)
		c->user->tx_ready(c->arg);
}

/* The stream is written up to pos. */
static void consumed(struct chr *c, uint64_t pos)
{
	bool ready;

	pthread_mutex_lock(&c->lock);
	/* Some of it may have been dropped meanwhile, being the oldest. */
	if (pos > c->pos)
		ring_take(c, pos - c->pos);
	c->stuck = false;
	ready = c->starved && CHR_BUF - c->used >= CHR_BUF / 4;
	if (ready)
		c->starved = false;
	pthread_mutex_unlock(&c->lock);
	ev_del(c->stuck_timer);
	c->stuck_timer = NULL;
	if (ready && c->user)
		c->user->tx_ready(c->arg);
}

/* A second has passed and nobody read: from now on nobody waits for them, until they do read. */
static void stuck_fn(void *arg)
{
	struct chr *c = arg;
	bool starved;

	c->stuck_timer = NULL;
	pthread_mutex_lock(&c->lock);
	c->stuck = true;
	starved = c->starved;
	c->starved = false;
	pthread_mutex_unlock(&c->lock);
	if (starved && c->user)
		c->user->tx_ready(c->arg);
}

/* Write until the buffer is empty or the fd takes no more. */
static void tx_pump(struct chr *c)
{
	uint8_t tmp[CHUNK];

	for (;;) {
		struct chr_end *end = out_end(c);
		ssize_t w;
		uint64_t pos;
		size_t n;

		pthread_mutex_lock(&c->lock);
		pos = c->pos;
		n = c->online ? ring_peek(c, tmp, end->owned || end->always ? CHUNK : 256) : 0;
		pthread_mutex_unlock(&c->lock);
		if (!n)
			break;
		w = sys_write(c->sys, end->fd, tmp, n);
		if (w == -EAGAIN) {
			if (!c->stuck_timer &&
			    ev_timer(c->ev, STUCK_NS, stuck_fn, c, &c->stuck_timer))
				c->stuck_timer = NULL;
			break;
		}
		if (w < 0) {
			went_offline(c);
			break;
		}
		consumed(c, pos + (size_t)w);
		if (!end->owned && !end->always)
			break; /* blocking: only as much as the loop said there is room for */
	}
	chr_watch(c);
}

/* The few milliseconds are over. */
static void flush_fn(void *arg)
{
	struct chr *c = arg;

	c->flush_timer = NULL;
	pthread_mutex_lock(&c->lock);
	c->armed = false;
	pthread_mutex_unlock(&c->lock);
	tx_pump(c);
}

/* What is worth waiting for. */
static size_t unwritten(struct chr *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->online && !c->stuck ? c->used : 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}

void chr_flush(struct chr *c)
{
	uint64_t waited = 0;
	size_t before;

	while (waited < PATIENCE_NS && (before = unwritten(c))) {
		tx_pump(c);
		if (unwritten(c) == before) {
			sys_sleep_ns(c->sys, NAP_NS);
			waited += NAP_NS;
		} else {
			waited = 0;
		}
	}
}

/* ---- in: the loop's thread
 * ------------------------------------------------------------------------ */

static void help(struct chr *c)
{
	static const char text[] = "\r\nCtrl-A h  this help\r\nCtrl-A x  stop the machine\r\n"
				   "Ctrl-A Ctrl-A  send Ctrl-A\r\n";

	chr_write(c, text, sizeof(text) - 1);
}

/* Take the escape sequences out of what was typed; returns what is left. */
static size_t filter(struct chr *c, uint8_t *p, size_t n)
{
	size_t left = 0;

	if (!c->tty || !c->tty->raw)
		return n;
	for (size_t i = 0; i < n; i++) {
		if (!c->escape && p[i] == CTRL_A) {
			c->escape = true;
			continue;
		}
		if (c->escape) {
			c->escape = false;
			if (p[i] == 'x' && c->user->quit)
				c->user->quit(c->arg);
			if (p[i] == 'h' || p[i] == '?')
				help(c);
			if (p[i] != CTRL_A)
				continue;
		}
		p[left++] = p[i];
	}
	return left;
}

static void end_of_input(struct chr *c)
{
	if (c->listen.fd >= 0) {
		went_offline(c);
		return;
	}
	/* A pipe or file that ended: the guest gets no more input, and the loop must not spin on
	 * its hang-up. */
	c->eof = true;
}

/* How much the user takes; 0: chr_rx_more() will tell. */
static size_t rx_room(struct chr *c)
{
	size_t room = c->user->room(c->arg);

	for (int i = 0; i < 2; i++) {
		pthread_mutex_lock(&c->lock);
		c->rx_wait = !room;
		pthread_mutex_unlock(&c->lock);
		if (room)
			break;
		/* It may have grown before we said that we wait. */
		room = c->user->room(c->arg);
	}
	return room;
}

static void rx_pump(struct chr *c)
{
	uint8_t tmp[256];

	while (c->user && !c->eof && c->in.fd >= 0) {
		size_t room = MIN(rx_room(c), sizeof(tmp)), n;
		ssize_t r;

		if (!room)
			break;
		r = sys_read(c->sys, c->in.fd, tmp, room);
		if (r == -EAGAIN)
			break;
		if (r <= 0) {
			end_of_input(c);
			break;
		}
		n = filter(c, tmp, (size_t)r);
		if (n)
			c->user->rx(c->arg, tmp, n);
		if (!c->in.always)
			break; /* it may block; the loop says when there is more */
	}
	chr_watch(c);
}

void chr_kick_event(void *arg, uint32_t events)
{
	struct chr *c = arg;
	bool rx, tx, arm = false;
	uint64_t n;

	if (sys_read(c->sys, c->kick_fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&c->lock);
	c->kicked = false;
	rx = c->rx_wait;
	tx = c->used && c->online;
	if (tx && !c->armed)
		arm = c->armed = true;
	pthread_mutex_unlock(&c->lock);
	/* Not armed after all: write at once. */
	if (arm && ev_timer(c->ev, FLUSH_NS, flush_fn, c, &c->flush_timer))
		flush_fn(c);
	if (rx)
		rx_pump(c);
}

/* ---- connections and watches
 * ---------------------------------------------------------------------- */

void chr_listen_event(void *arg, uint32_t events)
{
	struct chr *c = arg;
	int fd = usock_accept(c->sys, c->listen.fd, c->listen.src);

	if (fd < 0)
		return;
	if (c->in.fd >= 0) {
		sys_close(c->sys, &fd); /* one client at a time */
		return;
	}
	c->in.fd = fd;
	c->in.owned = true;
	pthread_mutex_lock(&c->lock);
	c->online = true;
	pthread_mutex_unlock(&c->lock);
	tx_pump(c);
}

static void end_events(void *arg, uint32_t events)
{
	struct chr_end *end = arg;
	struct chr *c = end->chr;

	if (end == out_end(c) && (events & (EPOLLOUT | EPOLLERR)))
		tx_pump(c);
	if (end == &c->in && end->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		rx_pump(c);
}

/* Ask epoll for exactly the events in want; 0 takes the fd off it. */
static void end_watch(struct chr_end *end, uint32_t want)
{
	struct chr *c = end->chr;
	int ret;

	if (end->fd < 0 || end->always || want == end->watched)
		return;
	if (!want) {
		/* With no events asked for a hang-up would still be reported, again and again. */
		ev_del(end->src);
		end->src = NULL;
		ret = 0;
	} else if (end->src) {
		ret = ev_mod(end->src, want);
	} else {
		ret = ev_add(c->ev, end->fd, want, end_events, end, &end->src);
	}
	/* Regular files and /dev/null are not for epoll: always ready. */
	end->always = ret == -EPERM;
	end->watched = ret ? 0 : want;
}

void chr_watch(struct chr *c)
{
	bool rx = c->user && !c->eof, tx, was = c->in.always;
	struct chr_end *out = out_end(c);
	uint32_t in_ev, out_ev;

	pthread_mutex_lock(&c->lock);
	tx = c->used && c->online && !c->armed;
	rx = rx && !c->rx_wait;
	pthread_mutex_unlock(&c->lock);
	in_ev = rx ? EPOLLIN : 0;
	out_ev = tx ? EPOLLOUT : 0;
	if (out == &c->in) {
		end_watch(&c->in, in_ev | out_ev);
	} else {
		end_watch(&c->in, in_ev);
		end_watch(out, out_ev);
	}
	if (c->in.always && !was && rx) {
		/* Nobody will say that there is input; begin from the loop, not under the caller's
		 * locks. */
		pthread_mutex_lock(&c->lock);
		c->rx_wait = true;
		kick_locked(c);
		pthread_mutex_unlock(&c->lock);
	}
}

void chr_start(struct chr *c, const struct chr_user *u, void *arg)
{
	c->user = u;
	c->arg = arg;
	if (!c->null)
		chr_watch(c);
}
