/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_EV_H
#define BASE_EV_H

#include "base/list.h"
#include "base/sys.h"

/*
 * One epoll loop per thread. All calls but ev_call(), ev_call_wait() and ev_stop() belong to the
 * thread that runs the loop (or to any one thread while it does not run yet).
 */
struct ev;
struct ev_src;
typedef void (*ev_fd_fn)(void *arg, uint32_t events);
typedef void (*ev_fn)(void *arg);

/** ev_new() - a loop; whoever calls ev_run() is its thread. */
int ev_new(struct sys *s, struct ev **out) __must_check;

/** ev_free() - also drops sources and timers that are left; NULL is fine. */
void ev_free(struct ev *ev);

/** ev_add() - watch fd for EPOLLIN/EPOLLOUT...; level triggered. The fd stays the caller's. */
int ev_add(struct ev *ev, int fd, uint32_t events, ev_fd_fn fn, void *arg,
	   struct ev_src **out) __must_check;

/** ev_mod() - change the events watched for. */
int ev_mod(struct ev_src *src, uint32_t events) __must_check;

/**
 * ev_rest() - src is not watched for ns, and then for events
 * For a descriptor that stays readable while nothing can be done about it, which would have the
 * loop spin. Without memory for that it does.
 */
void ev_rest(struct ev_src *src, uint32_t events, uint64_t ns);

/** ev_del() - legal in any callback, its own included; memory goes at the end of the turn. NULL is
 * fine. */
void ev_del(struct ev_src *src);

/** ev_timer() - call fn once, after delay_ns; ev_del() cancels. The source is gone after the call.
 */
int ev_timer(struct ev *ev, uint64_t delay_ns, ev_fn fn, void *arg,
	     struct ev_src **out) __must_check;

/** ev_call() - run fn(arg) on the loop's thread, in order of the calls. Any thread; -ENOMEM or 0.
 */
int ev_call(struct ev *ev, ev_fn fn, void *arg) __must_check;

/** ev_run() - until ev_stop(); 0 or -errno. */
int ev_run(struct ev *ev) __must_check;

/** ev_turn() - one wait of at most timeout_ms (-1: no limit) and its callbacks. For tests. */
int ev_turn(struct ev *ev, int timeout_ms) __must_check;

/**
 * struct ev_poll - work that can be seen in memory; embedded in its owner
 * @look: do a fair share of what there is; false: there was nothing, which took no system call
 * @arm:  the loop is about to sleep: from now on a source of the owner's tells of work. True: some
 *	  came before that: @look is called first
 * @files: it waits for files as well (a tap's frames): those are looked at more often meanwhile
 *
 * Awake, from ev_poll_on() until @arm says false, the owner wants no notifications: the loop looks
 * in each turn, and before it sleeps it looks for a while longer (ev_poll_window()).
 */
struct ev_poll {
	bool (*look)(void *arg);
	bool (*arm)(void *arg);
	void *arg;
	bool files;
	/* the loop's own */
	struct ev *ev;
	struct list link;
};

/** ev_poll_init() - before anything else; asleep. */
void ev_poll_init(struct ev_poll *p, struct ev *ev, bool (*look)(void *arg), bool (*arm)(void *arg),
		  void *arg);

/** ev_poll_on() - awake: its source told, or there is work of its own; idempotent. */
void ev_poll_on(struct ev_poll *p);

/** ev_poll_off() - neither looked at nor armed any more; legal in any callback, idempotent. */
void ev_poll_off(struct ev_poll *p);

/** ev_poll_window() - look for up to max_ns before sleeping, as far as it pays; 0, the default: not
 * at all. Any thread. */
void ev_poll_window(struct ev *ev, uint64_t max_ns);

/**
 * struct ev_poll_count
 * @max_ns: @window_ns: the limit, and the window of the moment
 * @hits: times that looking found work for which a notification would have been needed
 * @misses: windows that ended without any; @ns: time that passed with looking and finding nothing
 */
struct ev_poll_count {
	uint64_t max_ns, window_ns, hits, misses, ns;
};
/** ev_poll_count() - any thread, relaxed. */
void ev_poll_count(const struct ev *ev, struct ev_poll_count *out);

/** ev_stop() - let ev_run() return after this turn; any thread. */
void ev_stop(struct ev *ev);

#endif
