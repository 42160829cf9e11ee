// SPDX-License-Identifier: BSD-3-Clause
/*
 * A poll loop. A round polls every busy poller once. One that had nothing to do for a while is
 * cold: rounds with work poll only a few cold ones in turn, in proportion to the work, so that a
 * crowd of idle ports costs a busy one little; rounds without work poll them all.
 *
 * A loop without work spins for a while (pausing; with a timed wait of the CPU where it has one),
 * then arms all pollers, looks once more, and sleeps on an epoll set of their eventfds. The set is
 * edge-triggered and nothing is read from the fds: which of them woke the loop does not matter.
 * Other threads hand in calls through a list; the loop looks at one flag per round.
 */
#include "virtio/vhostd/lcore.h"

#include <errno.h>
#include <pthread.h>
#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_power_intrinsics.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COLD_AFTER  512 /* rounds without work */
#define COLD_SHARE  16	/* units of work that pay for one cold poll */
#define SPIN_US	    40	/* about what a sleep and its wake-up cost */
#define POLLERS_MAX 4096

struct lcore_call {
	struct lcore_call *next;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

struct poller_list {
	struct poller **p;
	unsigned int n, cap;
};

struct lcore {
	struct poller_list hot, cold;
	unsigned int next_cold;
	bool busy, power_pause, napped;
	_Atomic bool pending, stop, sleeping;
	void (*round)(void *arg);
	void *round_arg;
	uint64_t spin_cycles;
	struct lcore_count count;
	struct lcore_cfg cfg;
	int epfd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* calls, running */
	pthread_cond_t done;
	struct lcore_call *calls, **calls_end;
	bool running;
};

int lcore_new(const struct lcore_cfg *c, struct lcore **out, struct err *e)
{
	struct rte_cpu_intrinsics intr = { 0 };
	struct lcore *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->done, NULL);
	l->cfg = *c;
	l->busy = c->busy;
	l->calls_end = &l->calls;
	rte_cpu_get_intrinsics_support(&intr);
	l->power_pause = intr.power_pause;
	l->spin_cycles = rte_get_tsc_hz() / 1000000 * SPIN_US;
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	ret = l->wake_fd < 0 || l->epfd < 0 ? -errno : lcore_fd_add(l, l->wake_fd);
	if (ret) {
		lcore_free(l);
		return err_sys(e, ret, "cannot make a poll loop");
	}
	*out = l;
	return 0;
}

void lcore_free(struct lcore *l)
{
	if (!l)
		return;
	BUG_ON(l->running);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l->hot.p);
	free(l->cold.p);
	pthread_cond_destroy(&l->done);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- the list of pollers: on the loop ---- */

static void list_take(struct poller_list *pl, unsigned int i)
{
	pl->p[i] = pl->p[--pl->n];
}

/* Both lists have room for all pollers, so that one can change its list at any time. */
static void list_put(struct poller_list *pl, struct poller *p)
{
	pl->p[pl->n++] = p;
}

static int list_grow(struct poller_list *pl, unsigned int need)
{
	struct poller **p;

	if (need <= pl->cap)
		return 0;
	p = realloc(pl->p, 2 * need * sizeof(struct poller *));
	if (!p)
		return -ENOMEM;
	pl->p = p;
	pl->cap = 2 * need;
	return 0;
}

struct poller_arg {
	struct lcore *l;
	struct poller *p;
	int ret;
};

static void do_add(void *arg)
{
	struct poller_arg *a = arg;
	unsigned int need = a->l->hot.n + a->l->cold.n + 1;

	a->ret = need > POLLERS_MAX ? -ENOSPC : list_grow(&a->l->hot, need);
	if (!a->ret)
		a->ret = list_grow(&a->l->cold, need);
	if (a->ret)
		return;
	a->p->idle = 0;
	a->p->cold = false;
	list_put(&a->l->hot, a->p);
	a->l->count.pollers = need;
}

static void do_del(void *arg)
{
	struct poller_arg *a = arg;
	struct poller_list *pl = a->p->cold ? &a->l->cold : &a->l->hot;
	unsigned int i;

	for (i = 0; i < pl->n && pl->p[i] != a->p; i++)
		;
	BUG_ON(i == pl->n);
	list_take(pl, i);
	a->l->count.pollers--;
}

int lcore_add(struct lcore *l, struct poller *p)
{
	struct poller_arg a = { l, p, 0 };

	lcore_call(l, do_add, &a);
	return a.ret;
}

void lcore_del(struct lcore *l, struct poller *p)
{
	struct poller_arg a = { l, p, 0 };

	lcore_call(l, do_del, &a);
}

int lcore_fd_add(struct lcore *l, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

void lcore_fd_del(struct lcore *l, int fd)
{
	/* Fails only for an fd that is not there, and then there is nothing to do. */
	if (epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL))
		return;
}

/* ---- calls from other threads ---- */

static void lcore_wake(struct lcore *l)
{
	static const uint64_t one = 1;

	/* Pairs with lcore_sleep(): it says that it sleeps, and then looks for calls. */
	if (atomic_load(&l->sleeping) && write(l->wake_fd, &one, sizeof(one)) < 0)
		BUG_ON(errno != EAGAIN);
}

void lcore_call(struct lcore *l, void (*fn)(void *arg), void *arg)
{
	struct lcore_call c = { .fn = fn, .arg = arg };

	pthread_mutex_lock(&l->lock);
	if (!l->running || pthread_equal(l->thread, pthread_self())) {
		pthread_mutex_unlock(&l->lock);
		fn(arg);
		return;
	}
	*l->calls_end = &c;
	l->calls_end = &c.next;
	atomic_store(&l->pending, true);
	lcore_wake(l);
	while (!c.done)
		pthread_cond_wait(&l->done, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

/* The caller's struct is gone as soon as done is seen: under the lock, and last. */
static void run_calls(struct lcore *l)
{
	struct lcore_call *c;

	pthread_mutex_lock(&l->lock);
	atomic_store(&l->pending, false);
	while (l->calls) {
		c = l->calls;
		l->calls = c->next;
		if (!l->calls)
			l->calls_end = &l->calls;
		pthread_mutex_unlock(&l->lock);
		c->fn(c->arg);
		pthread_mutex_lock(&l->lock);
		c->done = true;
		pthread_cond_broadcast(&l->done);
	}
	pthread_mutex_unlock(&l->lock);
}

/* ---- the loop ---- */

static unsigned int poll_hot(struct lcore *l)
{
	unsigned int i, n, work = 0;

	for (i = 0; i < l->hot.n; i++) {
		struct poller *p = l->hot.p[i];

		n = p->poll(p->arg);
		work += n;
		if (n) {
			p->idle = 0;
		} else if (++p->idle > COLD_AFTER) {
			p->cold = true;
			list_take(&l->hot, i--);
			list_put(&l->cold, p);
		}
	}
	return work;
}

static unsigned int poll_cold(struct lcore *l, unsigned int share)
{
	unsigned int n, work = 0;

	for (share = MIN(share, l->cold.n); share; share--) {
		struct poller *p;

		if (l->next_cold >= l->cold.n)
			l->next_cold = 0;
		p = l->cold.p[l->next_cold];
		n = p->poll(p->arg);
		if (!n) {
			l->next_cold++;
			continue;
		}
		work += n;
		p->idle = 0;
		p->cold = false;
		list_take(&l->cold, l->next_cold);
		list_put(&l->hot, p);
	}
	return work;
}

static unsigned int lcore_round(struct lcore *l)
{
	unsigned int work = poll_hot(l);

	if (l->cold.n)
		work += poll_cold(l, work ? 1 + work / COLD_SHARE : l->cold.n);
	if (work && l->round)
		l->round(l->round_arg);
	return work;
}

/* true: somebody has work already. *nap_us: the shortest nap asked for, 0 for none. */
static bool arm_list(const struct poller_list *pl, unsigned int *nap_us)
{
	bool again = false;
	unsigned int i;

	for (i = 0; i < pl->n; i++) {
		struct poller *p = pl->p[i];

		if (p->nap_us && (!*nap_us || p->nap_us < *nap_us))
			*nap_us = p->nap_us;
		if (p->arm && p->arm(p->arg))
			again = true;
	}
	return again;
}

static void disarm_list(const struct poller_list *pl)
{
	unsigned int i;

	for (i = 0; i < pl->n; i++)
		if (pl->p[i]->disarm)
			pl->p[i]->disarm(pl->p[i]->arg);
}

/* Waits for an event, or the nap's end: that is when it returns true. */
static bool lcore_wait(struct lcore *l, unsigned int nap_us)
{
	struct timespec ts = { .tv_nsec = (long)nap_us * 1000 };
	struct epoll_event ev[16];

	return epoll_pwait2(l->epfd, ev, ARRAY_SIZE(ev), nap_us ? &ts : NULL, NULL) == 0;
}

static void lcore_sleep(struct lcore *l)
{
	unsigned int nap_us = 0;
	bool again;

	if (l->round)
		l->round(l->round_arg);
	again = arm_list(&l->hot, &nap_us);
	again |= arm_list(&l->cold, &nap_us);
	atomic_store(&l->sleeping, true);
	l->napped = false;
	if (!again && !atomic_load(&l->pending) && !atomic_load(&l->stop)) {
		l->napped = lcore_wait(l, nap_us);
		l->count.sleeps++;
		l->count.naps += l->napped;
	}
	atomic_store(&l->sleeping, false);
	disarm_list(&l->hot);
	disarm_list(&l->cold);
}

/* Nothing to do since cycle `since`; returns whether to count the idle time afresh. */
static bool lcore_idle(struct lcore *l, uint64_t now, uint64_t since)
{
	if (l->busy)
		return false;
	if (l->napped || now - since >= l->spin_cycles) {
		lcore_sleep(l);
		return true;
	}
	if (l->power_pause)
		rte_power_pause(now + l->spin_cycles / 8);
	else
		rte_pause();
	return false;
}

static void lcore_poll(struct lcore *l)
{
	uint64_t now, last = rte_rdtsc(), since = last;
	unsigned int work;

	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		work = lcore_round(l);
		now = rte_rdtsc();
		l->count.rounds++;
		l->count.cycles_all += now - last;
		if (work) {
			l->count.work += work;
			l->count.cycles_busy += now - last;
			l->napped = false;
			since = now;
		} else if (lcore_idle(l, now, since)) {
			since = rte_rdtsc();
		}
		last = now;
		if (atomic_load_explicit(&l->pending, memory_order_relaxed)) {
			run_calls(l);
			l->napped = false;
		}
	}
}

int lcore_main(void *arg)
{
	struct lcore *l = arg;

	pthread_mutex_lock(&l->lock);
	l->thread = pthread_self();
	l->running = true;
	pthread_mutex_unlock(&l->lock);
	lcore_poll(l);
	pthread_mutex_lock(&l->lock);
	l->running = false;
	pthread_mutex_unlock(&l->lock);
	/* Calls that came meanwhile have callers who wait. */
	run_calls(l);
	return 0;
}

void lcore_stop(struct lcore *l)
{
	atomic_store(&l->stop, true);
	lcore_wake(l);
}

void lcore_on_round(struct lcore *l, void (*fn)(void *arg), void *arg)
{
	l->round = fn;
	l->round_arg = arg;
}

void lcore_count(const struct lcore *l, struct lcore_count *out)
{
	*out = l->count;
	out->cpu = l->cfg.cpu;
	out->cold = l->cold.n;
}

unsigned int lcore_load(const struct lcore *l)
{
	return l->count.pollers;
}

unsigned int lcore_index(const struct lcore *l)
{
	return l->cfg.index;
}

struct lcore *vhostd_lcore(struct vhostd *d)
{
	unsigned int i, best = 0;

	for (i = 1; i < d->nlcores; i++)
		if (lcore_load(d->lcore[i]) < lcore_load(d->lcore[best]))
			best = i;
	return d->lcore[best];
}
