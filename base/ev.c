// SPDX-License-Identifier: BSD-3-Clause
/*
 * The event loop: one epoll instance, a list of timers, and a queue of calls from other threads
 * that an eventfd announces.
 *
 * ev_del() only marks a source dead; the memory goes at the end of the turn, since an event for it
 * may already lie in the array that epoll_wait() filled. Timers are few, so a list that is walked
 * does.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include "base/ev_priv.h"

#define EV_BATCH      32
#define REST_AGAIN_NS 100000000ull

struct ev_src {
	struct ev *ev;
	struct list link;
	int fd; /* -1: a timer */
	bool dead;
	uint64_t due_ns;
	uint32_t events;     /* to be watched for after a rest */
	struct ev_src *rest; /* the timer that ends it */
	ev_fd_fn fd_fn;
	ev_fn fn;
	void *arg;
};

struct ev_call {
	struct list link;
	ev_fn fn;
	void *arg;
};

int ev_new(struct sys *s, struct ev **out)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	struct ev *ev = calloc(1, sizeof(*ev));
	int rc;

	if (!ev)
		return -ENOMEM;
	ev->sys = s;
	ev->wake_fd = -1;
	list_init(&ev->srcs);
	list_init(&ev->timers);
	list_init(&ev->dead);
	list_init(&ev->calls);
	ev_spin_init(ev);
	pthread_mutex_init(&ev->lock, NULL);
	rc = ev->epfd = sys_epoll_create(s);
	if (rc < 0)
		goto out;
	rc = ev->wake_fd = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rc < 0)
		goto out;
	rc = sys_epoll_ctl(s, ev->epfd, EPOLL_CTL_ADD, ev->wake_fd, &e);
out:
	if (rc < 0) {
		ev_free(ev);
		return rc;
	}
	*out = ev;
	return 0;
}

static void free_list(struct list *head)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, head) {
		list_del(pos);
		free(list_entry(pos, struct ev_src, link));
	}
}

void ev_free(struct ev *ev)
{
	struct list *pos, *nxt;

	if (!ev)
		return;
	free_list(&ev->srcs);
	free_list(&ev->timers);
	free_list(&ev->dead);
	list_for_each (pos, nxt, &ev->calls)
		free(list_entry(pos, struct ev_call, link));
	sys_close(ev->sys, &ev->wake_fd);
	sys_close(ev->sys, &ev->epfd);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}

static struct ev_src *src_new(struct ev *ev, int fd, void *arg)
{
	struct ev_src *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ev = ev;
	s->fd = fd;
	s->arg = arg;
	list_init(&s->link);
	return s;
}

int ev_add(struct ev *ev, int fd, uint32_t events, ev_fd_fn fn, void *arg, struct ev_src **out)
{
	struct ev_src *src = src_new(ev, fd, arg);
	struct epoll_event e = { .events = events, .data.ptr = src };
	int rc;

	if (!src)
		return -ENOMEM;
	src->fd_fn = fn;
	rc = sys_epoll_ctl(ev->sys, ev->epfd, EPOLL_CTL_ADD, fd, &e);
	if (rc) {
		free(src);
		return rc;
	}
	list_add_tail(&ev->srcs, &src->link);
	*out = src;
	return 0;
}

int ev_mod(struct ev_src *src, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = src };

	return sys_epoll_ctl(src->ev->sys, src->ev->epfd, EPOLL_CTL_MOD, src->fd, &e);
}

void ev_del(struct ev_src *src)
{
	if (!src || src->dead)
		return;
	/* Fails only when the owner closed the fd first, which removes it from the set all the
	 * same. */
	if (src->fd >= 0)
		sys_epoll_ctl(src->ev->sys, src->ev->epfd, EPOLL_CTL_DEL, src->fd, NULL);
	ev_del(src->rest);
	src->dead = true;
	list_del(&src->link);
	list_add_tail(&src->ev->dead, &src->link);
}

static void rested(void *arg)
{
	struct ev_src *src = arg;

	src->rest = NULL;
	if (ev_mod(src, src->events))
		ev_rest(src, src->events, REST_AGAIN_NS);
}

void ev_rest(struct ev_src *src, uint32_t events, uint64_t ns)
{
	src->events = events;
	if (src->rest || ev_timer(src->ev, ns, rested, src, &src->rest))
		return;
	if (ev_mod(src, 0)) {
		ev_del(src->rest);
		src->rest = NULL;
	}
}

int ev_timer(struct ev *ev, uint64_t delay_ns, ev_fn fn, void *arg, struct ev_src **out)
{
	struct ev_src *src = src_new(ev, -1, arg);

	if (!src)
		return -ENOMEM;
	src->fn = fn;
	src->due_ns = sys_now_ns(ev->sys) + delay_ns;
	list_add_tail(&ev->timers, &src->link);
	if (out)
		*out = src;
	return 0;
}

static void ev_wake(struct ev *ev)
{
	static const uint64_t one = 1;

	atomic_store(&ev->spin.called, true);
	/* The only failure is a full counter, and then the loop is awake already. */
	if (sys_write(ev->sys, ev->wake_fd, &one, sizeof(one)) < 0)
		return;
}

int ev_call(struct ev *ev, ev_fn fn, void *arg)
{
	struct ev_call *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->arg = arg;
	pthread_mutex_lock(&ev->lock);
	list_add_tail(&ev->calls, &c->link);
	pthread_mutex_unlock(&ev->lock);
	ev_wake(ev);
	return 0;
}

void ev_stop(struct ev *ev)
{
	pthread_mutex_lock(&ev->lock);
	ev->stop = true;
	pthread_mutex_unlock(&ev->lock);
	ev_wake(ev);
}

/* Those that are there now: what they make others call has its turn after the files. */
static void run_calls(struct ev *ev)
{
	struct list *pos, *nxt, batch;
	uint64_t n;

	atomic_store(&ev->spin.called, false);
	if (sys_read(ev->sys, ev->wake_fd, &n, sizeof(n)) < 0)
		return;
	list_init(&batch);
	pthread_mutex_lock(&ev->lock);
	list_for_each (pos, nxt, &ev->calls) {
		list_del(pos);
		list_add_tail(&batch, pos);
	}
	pthread_mutex_unlock(&ev->lock);
	(void)ev_look(ev); /* what was there before the calls is seen before them */
	list_for_each (pos, nxt, &batch) {
		struct ev_call *c = list_entry(pos, struct ev_call, link);

		c->fn(c->arg);
		free(c);
	}
}

/* Milliseconds until the next timer, rounded up, or limit_ms (-1: none) if that is sooner. */
static int next_timeout(struct ev *ev, int limit_ms)
{
	uint64_t now, best = UINT64_MAX;
	struct list *pos, *nxt;
	int ms;

	list_for_each (pos, nxt, &ev->timers)
		best = MIN(best, list_entry(pos, struct ev_src, link)->due_ns);
	if (best == UINT64_MAX)
		return limit_ms;
	now = sys_now_ns(ev->sys);
	ms = best <= now ? 0 : (int)MIN((best - now + 999999) / 1000000, (uint64_t)3600000);
	return limit_ms < 0 ? ms : MIN(ms, limit_ms);
}

static void run_timers(struct ev *ev)
{
	uint64_t now = sys_now_ns(ev->sys);
	struct list *pos = ev->timers.next;

	/* From the start again after each call: the callback may have changed the list. */
	while (pos != &ev->timers) {
		struct ev_src *src = list_entry(pos, struct ev_src, link);

		pos = pos->next;
		if (src->due_ns > now)
			continue;
		ev_del(src);
		src->fn(src->arg);
		pos = ev->timers.next;
	}
}

int ev_turn(struct ev *ev, int timeout_ms)
{
	struct epoll_event e[EV_BATCH];
	int n;

	timeout_ms = ev_spin(ev) ? next_timeout(ev, timeout_ms) : 0;
	n = sys_epoll_wait(ev->sys, ev->epfd, e, EV_BATCH, timeout_ms);
	if (n < 0 && n != -EINTR)
		return n;
	for (int i = 0; i < n; i++) {
		struct ev_src *src = e[i].data.ptr;

		if (!src)
			run_calls(ev);
		else if (!src->dead)
			src->fd_fn(src->arg, e[i].events);
	}
	run_timers(ev);
	ev_look(ev);
	free_list(&ev->dead);
	return 0;
}

int ev_run(struct ev *ev)
{
	bool stop;
	int rc;

	do {
		rc = ev_turn(ev, -1);
		pthread_mutex_lock(&ev->lock);
		stop = ev->stop;
		ev->stop = false;
		pthread_mutex_unlock(&ev->lock);
	} while (!rc && !stop);
	return rc;
}
