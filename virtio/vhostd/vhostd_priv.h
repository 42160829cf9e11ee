/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_VHOSTD_PRIV_H
#define VIRTIO_VHOSTD_VHOSTD_PRIV_H

#include <jansson.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/ctl.h"
#include "base/opt.h"

/*
 * Threads: the control loop (the main thread: sockets, options, statistics), one poll loop per
 * lcore, and librte_vhost's own threads. What a poll loop touches is changed on that loop only, by
 * lcore_call(), which waits: when it returned, the loop is done with what was taken away.
 */

#define LCORES_MAX  32
#define VHOSTD_NAME 32 /* of ports and disks, with the NUL */

/**
 * struct poller - a piece of work of a poll loop: a receive queue, a disk's queue
 * @poll:    do what there is to do, a burst at most; returns how much was done (0: nothing)
 * @arm:     the loop is about to sleep: ask for a wake-up by an fd that lcore_fd_add() was told of;
 *	     true: there is work already, do not sleep. May be NULL
 * @disarm:  awake again: no more wake-ups are wanted; may be NULL
 * @arg:     of all three
 * @nap_us:  no fd tells of its work: the loop never sleeps longer than this (0: it may)
 * @idle:    loop's own: rounds without work
 * @cold:    loop's own: idle for so long that busy ones go first
 */
struct poller {
	unsigned int (*poll)(void *arg);
	bool (*arm)(void *arg);
	void (*disarm)(void *arg);
	void *arg;
	unsigned int nap_us;
	unsigned int idle;
	bool cold;
};

struct lcore;

/** lcore_add() - poll p on the loop from now on; any thread but a poll loop. -ENOSPC: too many. */
int lcore_add(struct lcore *l, struct poller *p) __must_check;
/** lcore_del() - when it returns, p is not polled any more. Any thread but a poll loop. */
void lcore_del(struct lcore *l, struct poller *p);

/**
 * lcore_call() - run fn(arg) on the loop, between two rounds, and wait until it returned
 * Any thread; runs in place on the loop itself. The loop must not wait for the caller meanwhile:
 * hold no lock that a poller takes.
 */
void lcore_call(struct lcore *l, void (*fn)(void *arg), void *arg);

/**
 * lcore_fd_add() - fd becoming readable ends the sleep of the loop; edge-triggered, never read
 * Any thread. The fd stays the caller's, who calls lcore_fd_del() before closing it.
 */
int lcore_fd_add(struct lcore *l, int fd) __must_check;
void lcore_fd_del(struct lcore *l, int fd);

/** lcore_load() - how many pollers it has; the least loaded loop gets the next one. */
unsigned int lcore_load(const struct lcore *l);
unsigned int lcore_index(const struct lcore *l);

struct bus;
struct sw;
struct disks;

/**
 * struct vhostd - the program
 * @ev:     the control loop
 * @lcore:  the poll loops
 * @disks:  of disk.c
 * @bus:    tells of memory that front ends took away
 * @sync_due: the control loop will look at what changed on vhost-user ports
 */
struct vhostd {
	struct sys *sys;
	const struct log *log;
	struct ev *ev;
	struct lcore *lcore[LCORES_MAX];
	unsigned int nlcores;
	struct sw *sw;
	struct disks *disks;
	struct ctl *ctl;
	struct bus *bus;
	atomic_bool sync_due;
};

/** vhostd_lcore() - the loop that the next queue should go to. Control loop. */
struct lcore *vhostd_lcore(struct vhostd *d);

/*
 * Disks (disk.c). All on the control loop. A disk is one argument, name=N,socket=PATH,..., on the
 * command line and on the control socket.
 */
extern const struct opt disk_opts[];
/** disks_new() - none yet; fills d->disks. disks_free() - all gone; NULL is fine. */
int disks_new(struct vhostd *d, struct err *e) __must_check;
void disks_free(struct disks *k);
int disk_add(struct disks *k, const char *text, struct err *e) __must_check;
int disk_del(struct disks *k, const char *name, struct err *e) __must_check;
/** disks_give() - the sockets that disks made get another owner. */
int disks_give(struct disks *k, uid_t uid, gid_t gid) __must_check;
/** disks_fault() - p was touched and is not there: drop whose memory it was; false: no disk's. */
bool disks_fault(struct disks *k, const void *p);
/** disks_rows() - append an object per disk to the array. disks_stat() - the same with counters per
 * queue. */
void disks_rows(struct disks *k, json_t *rows);
void disks_stat(struct disks *k, json_t *rows);

#endif
