/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_PEERS_H
#define VIRTIO_VHOSTD_PEERS_H

#include <pthread.h>

#include "virtio/vhostd/judge.h"

/*
 * The connections to one socket of librte_vhost, and where the memory is that came by them. The
 * library takes any number of connections, and cannot be asked about memory while a connection's
 * thread may be exchanging it; so that thread leaves word here. All but init and fini may be called
 * by any thread.
 */
#define PEERS_MAX	4 /* one that serves, one that is about to take its place, and two in between */
#define PEER_REGION_MAX 8 /* as the library has it */

struct peer {
	int vid; /* -1: a free place */
	unsigned int n;
	bool ack;
	struct judge judge;
	struct {
		const void *p;
		size_t len;
	} region[PEER_REGION_MAX];
};

struct peers {
	pthread_mutex_t lock;
	struct peer peer[PEERS_MAX];
};

void peers_init(struct peers *ps);
void peers_fini(struct peers *ps);
/** peers_add() - false: there are too many. */
bool peers_add(struct peers *ps, int vid);
void peers_del(struct peers *ps, int vid);
void peers_clear(struct peers *ps); /* all of them */
/** peers_mem_clear() - vid's memory is not known (any more). peers_mem_add() - one more piece. */
void peers_mem_clear(struct peers *ps, int vid);
void peers_mem_add(struct peers *ps, int vid, const void *p, size_t len);

/**
 * peers_before() - a message that the library is about to handle, and may not see as it is
 * A front end that asks for an acknowledgement would be told of a failure and live on, with what
 * the library left of its memory; so the library does not see that it asks. What is refused is
 * changed so that it does no harm, and the caller hangs up.
 * Return: 0, or -EPROTO with e filled.
 */
int peers_before(struct peers *ps, int vid, void *msg, struct err *e);
/** peers_after() - it was handled and all is well: now it may be acknowledged. */
void peers_after(struct peers *ps, int vid, void *msg);

/** peers_have() - whether p is in memory of any. */
bool peers_have(struct peers *ps, const void *p);

/**
 * peers_patience() - how long connections to the socket may keep the library waiting: not long
 * It reads and writes whole messages on one thread for all sockets, and would wait for ever.
 */
void peers_patience(const char *path);
/** peers_unread() - another answer is about to go to who may not read any: hang up on those. */
void peers_unread(const char *path);
/** peers_hang_up() - end all connections to the socket; the library reads that they ended. */
void peers_hang_up(const char *path);

#endif
