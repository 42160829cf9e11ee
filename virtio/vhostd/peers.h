/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_PEERS_H
#define VIRTIO_VHOSTD_PEERS_H

#include <pthread.h>

#include "base/util.h"

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
/** peers_have() - whether p is in memory of any. */
bool peers_have(struct peers *ps, const void *p);

#endif
