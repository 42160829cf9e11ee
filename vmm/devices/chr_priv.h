/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_CHR_PRIV_H
#define VMM_DEVICES_CHR_PRIV_H

#include <pthread.h>
#include <sys/un.h>
#include "vmm/devices/chr.h"

#define CHR_BUF 65536u /* a power of two */

/*
 * One host fd with its watch. A pty and a socket have one for both directions, since epoll takes an
 * fd only once; stdio has two.
 */
struct chr_end {
	struct chr *chr;
	int fd;
	bool owned;  /* close it */
	bool always; /* a regular file or the like: epoll does not take it, and it never blocks */
	struct ev_src *src;
	uint32_t watched;
};

struct chr {
	struct sys *sys;
	struct ev *ev;
	const struct log *log;
	const struct chr_user *user;
	void *arg;
	struct chr_end in, out, listen; /* in.fd == out.fd: only in is used */
	int peer_fd; /* our own end of the pty's slave: without it there is no reader, only EIO */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool bound;
	struct chr_tty *tty;
	bool escape; /* Ctrl-A was typed */
	bool eof, null;

	int kick_fd; /* other threads wake the loop's */
	struct ev_src *kick_src, *flush_timer, *stuck_timer;

	pthread_mutex_t lock; /* guards what follows */
	uint8_t buf[CHR_BUF];
	size_t head, used;
	uint64_t pos; /* bytes that have left the ring, one way or the other */
	uint64_t dropped;
	bool kicked, armed; /* the loop will look at the buffer soon */
	bool online;	    /* somebody to write to */
	bool stuck;	    /* and does not read */
	bool starved;	    /* chr_can_write() said no */
	bool rx_wait;	    /* input waits for room */
};

/* chr.c: watch what has to be watched now; the callbacks of the two other fds. */
void chr_watch(struct chr *c);
void chr_kick_event(void *arg, uint32_t events);
void chr_listen_event(void *arg, uint32_t events);

#endif
