// SPDX-License-Identifier: BSD-3-Clause
/*
 * A thread with a loop. What makes it more than that is the call that waits: devices are started
 * and stopped under the VM lock by running a function on the thread that serves them, so that a
 * stop that has returned means that nothing of the device runs any more, without a lock on the path
 * of data.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/thread.h"
#include "vmm/core/iothread.h"

struct vm_iothread {
	struct sys *sys;
	struct ev *ev;
	pthread_t thread;
	int tid;
	char name[16]; /* what the kernel has room for */
};

/* A call that its caller waits for; lives on the caller's stack. */
struct call {
	ev_fn fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void *thread_main(void *arg)
{
	struct vm_iothread *t = arg;

	t->tid = gettid();
	pthread_setname_np(pthread_self(), t->name);
	/* The loop fails only when epoll itself does, which is our own mistake. */
	BUG_ON(ev_run(t->ev));
	return NULL;
}

static void nothing(void *arg)
{
}

int vm_iothread_new(struct sys *s, const char *name, struct vm_iothread **out, struct err *e)
{
	struct vm_iothread *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return err_set(e, -ENOMEM, "I/O thread %s: out of memory", name);
	t->sys = s;
	snprintf(t->name, sizeof(t->name), "%s", name);
	rc = ev_new(s, &t->ev);
	if (!rc)
		rc = thread_start(&t->thread, NULL, 0, thread_main, t);
	if (rc) {
		ev_free(t->ev);
		free(t);
		return err_sys(e, rc, "I/O thread %s", name);
	}
	/* It runs, and its thread id is known. */
	vm_iothread_call(t, nothing, NULL);
	*out = t;
	return 0;
}

void vm_iothread_free(struct vm_iothread *t)
{
	if (!t)
		return;
	ev_stop(t->ev);
	pthread_join(t->thread, NULL);
	ev_free(t->ev);
	free(t);
}

struct ev *vm_iothread_ev(struct vm_iothread *t)
{
	return t->ev;
}

static void call_run(void *arg)
{
	struct call *c = arg;

	c->fn(c->arg);
	/* Signalled under the lock: the caller's stack is gone as soon as it sees done. */
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void vm_iothread_call(struct vm_iothread *t, ev_fn fn, void *arg)
{
	struct call c = { .fn = fn,
			  .arg = arg,
			  .lock = PTHREAD_MUTEX_INITIALIZER,
			  .cond = PTHREAD_COND_INITIALIZER };

	if (pthread_equal(t->thread, pthread_self())) {
		fn(arg);
		return;
	}
	/* A call cannot be left out, so a lack of memory is waited for. */
	while (ev_call(t->ev, call_run, &c))
		sys_sleep_ns(t->sys, 1000000);
	pthread_mutex_lock(&c.lock);
	while (!c.done)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
}

const char *vm_iothread_name(const struct vm_iothread *t)
{
	return t->name;
}

int vm_iothread_tid(const struct vm_iothread *t)
{
	return t->tid;
}
