/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_EV_PRIV_H
#define BASE_EV_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/ev.h"

/**
 * struct ev_spin - looking instead of sleeping
 * @awake:  those that are looked at; @cursor: the next of a round, so that any may leave
 * @called: another thread wants something: the eventfd says so too
 * @since:  when there was work last; 0: now
 * @asleep: all were armed: whoever is on next was woken
 * @idle:   the last look found nothing
 * @window: of the moment; @hold: wake-ups before it may grow again, @back: what hold will be next
 */
struct ev_spin {
	struct list awake, *cursor;
	atomic_bool called;
	uint64_t since;
	bool asleep, idle;
	atomic_ullong max, window, hits, misses, ns;
	unsigned int hold, back;
};

struct ev {
	struct sys *sys;
	int epfd, wake_fd;
	struct list srcs, timers, dead;
	pthread_mutex_t lock; /* guards calls and stop */
	struct list calls;
	bool stop;
	struct ev_spin spin;
};

void ev_spin_init(struct ev *ev);

/** ev_look() - one look at all that are awake; was there work? */
bool ev_look(struct ev *ev);

/** ev_spin() - look until it does not pay any more. True: all are armed, sleep; false: something
 * else has its turn first. */
bool ev_spin(struct ev *ev);

#endif
