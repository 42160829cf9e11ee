// SPDX-License-Identifier: BSD-3-Clause
#include "virtio/vhostd/peers.h"

#include "virtio/vhostd/bus.h"
#include "virtio/vhostd/port.h"

void peers_init(struct peers *ps)
{
	pthread_mutex_init(&ps->lock, NULL);
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		ps->peer[i] = (struct peer){ .vid = -1 };
}

void peers_fini(struct peers *ps)
{
	pthread_mutex_destroy(&ps->lock);
}

static struct peer *find(struct peers *ps, int vid)
{
	for (unsigned int i = 0; i < PEERS_MAX; i++)
		if (ps->peer[i].vid == vid)
			return &ps->peer[i];
	return NULL;
}

/* What was touched there in vain is not to be blamed on who is mapped there next. */
static void forget(struct peer *p)
{
	while (p && p->n--)
		bus_forget(glue_bus(), p->region[p->n].p, p->region[p->n].len);
	if (p)
		p->n = 0;
}

bool peers_add(struct peers *ps, int vid)
{
	struct peer *p;

	pthread_mutex_lock(&ps->lock);
	p = find(ps, -1);
	if (p)
		*p = (struct peer){ .vid = vid };
	pthread_mutex_unlock(&ps->lock);
	return p;
}

void peers_del(struct peers *ps, int vid)
{
	struct peer *p;

	pthread_mutex_lock(&ps->lock);
	p = find(ps, vid);
	forget(p);
	if (p)
		p->vid = -1;
	pthread_mutex_unlock(&ps->lock);
}

void peers_clear(struct peers *ps)
{
	pthread_mutex_lock(&ps->lock);
	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		forget(&ps->peer[i]);
		ps->peer[i].vid = -1;
	}
	pthread_mutex_unlock(&ps->lock);
}

void peers_mem_clear(struct peers *ps, int vid)
{
	pthread_mutex_lock(&ps->lock);
	forget(find(ps, vid));
	pthread_mutex_unlock(&ps->lock);
}

void peers_mem_add(struct peers *ps, int vid, const void *p, size_t len)
{
	struct peer *peer;

	pthread_mutex_lock(&ps->lock);
	peer = find(ps, vid);
	if (peer && peer->n < PEER_REGION_MAX) {
		peer->region[peer->n].p = p;
		peer->region[peer->n++].len = len;
	}
	pthread_mutex_unlock(&ps->lock);
}

bool peers_have(struct peers *ps, const void *addr)
{
	bool have = false;

	pthread_mutex_lock(&ps->lock);
	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		const struct peer *p = &ps->peer[i];

		for (unsigned int k = 0; k < p->n; k++)
			have |= (uintptr_t)addr - (uintptr_t)p->region[k].p < p->region[k].len;
	}
	pthread_mutex_unlock(&ps->lock);
	return have;
}
