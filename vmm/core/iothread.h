/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_IOTHREAD_H
#define VMM_CORE_IOTHREAD_H

#include "base/err.h"
#include "base/ev.h"

/*
 * I/O threads: each runs one event loop, on which devices serve their queues. A device's queue
 * belongs to one of them. An I/O thread never takes the VM lock.
 */
struct vm_iothread;

#define VM_IO_POLL_MAX_NS 32000 /* default window of looking before sleeping (ev_poll_window()) */

/** vm_iothread_new() - start a thread named name ("io0") with a loop of its own. */
int vm_iothread_new(struct sys *s, const char *name, struct vm_iothread **out,
		    struct err *e) __must_check;

/** vm_iothread_free() - stop the loop, wait for the thread; NULL is fine. Its sources are gone by
 * then. */
void vm_iothread_free(struct vm_iothread *t);

/** vm_iothread_ev() - its loop; for use on that thread only, but for ev_poll_window() and
 * ev_poll_count(). */
struct ev *vm_iothread_ev(struct vm_iothread *t);

/**
 * vm_iothread_call() - run fn(arg) on the thread and wait until it returned
 * Any other thread, the VM lock held or not. Runs fn in place when called on the thread itself.
 */
void vm_iothread_call(struct vm_iothread *t, ev_fn fn, void *arg);

/** vm_iothread_name() - "io0". */
const char *vm_iothread_name(const struct vm_iothread *t);

/** vm_iothread_tid() - kernel thread id, for statistics and pinning. */
int vm_iothread_tid(const struct vm_iothread *t);

#endif
