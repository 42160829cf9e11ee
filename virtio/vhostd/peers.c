// SPDX-License-Identifier: BSD-3-Clause
#include "virtio/vhostd/peers.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "virtio/vhostd/bus.h"
#include "virtio/vhostd/port.h"

/*
 * A message comes in one piece, so what is not there at once does not come. Answers are small, so
 * one that there is no room for goes to somebody who does not read them.
 */
#define RECV_US 200000
#define SEND_US 1000
/* As the kernel counts, which is nearly a thousand for a small one. */
#define UNREAD_MAX 65536

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
	for (unsigned int i = 0; p && i < p->n; i++) {
		bus_uncover(glue_bus(), p->region[i].p);
		bus_forget(glue_bus(), p->region[i].p, p->region[i].len);
	}
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
		bus_cover(glue_bus(), p, len);
	}
	pthread_mutex_unlock(&ps->lock);
}

/* The library's messages begin with the header as it came, packed; then the payload. */
int peers_before(struct peers *ps, int vid, void *msg, struct err *e)
{
	struct vu_hdr *h = msg;
	struct peer *p;
	int ret = 0;

	pthread_mutex_lock(&ps->lock);
	p = find(ps, vid);
	if (p) {
		p->ack = (h->flags & VU_NEED_REPLY) && !vu_req_replies(h->req) &&
			 h->req != VU_SET_LOG_BASE;
		if (p->ack)
			h->flags &= ~VU_NEED_REPLY;
		ret = judge_msg(&p->judge, h, h + 1, e);
		if (ret)
			judge_blunt(&p->judge, h, h + 1);
	}
	pthread_mutex_unlock(&ps->lock);
	return ret;
}

void peers_after(struct peers *ps, int vid, void *msg)
{
	struct vu_hdr *h = msg;
	struct peer *p;

	pthread_mutex_lock(&ps->lock);
	p = find(ps, vid);
	if (p && p->ack)
		h->flags |= VU_NEED_REPLY;
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

/* Whether fd is a connection (and not the listening socket) of this path, in either role. */
static bool is_connection(int fd, const char *path)
{
	union {
		struct sockaddr_un un;
		char room[sizeof(struct sockaddr_un) + 1]; /* for a NUL */
	} ours = { 0 }, theirs = { 0 };
	socklen_t n = sizeof(ours.un), m = sizeof(theirs.un);

	if (getsockname(fd, (struct sockaddr *)&ours.un, &n) || ours.un.sun_family != AF_UNIX ||
	    getpeername(fd, (struct sockaddr *)&theirs.un, &m))
		return false;
	return !strcmp(ours.un.sun_path, path) || !strcmp(theirs.un.sun_path, path);
}

/* The library does not tell the descriptor of a connection. */
static void each_connection(const char *path, void (*fn)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] != '.' && is_connection(fd, path))
			fn(fd);
	}
	if (dir)
		closedir(dir);
}

static void patience(int fd)
{
	static const struct timeval in = { .tv_usec = RECV_US }, out = { .tv_usec = SEND_US };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &in, sizeof(in));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &out, sizeof(out));
}

static void hang_up(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

static void hang_up_unread(int fd)
{
	int bytes = 0;

	if (!ioctl(fd, SIOCOUTQ, &bytes) && bytes > UNREAD_MAX)
		hang_up(fd);
}

void peers_unread(const char *path)
{
	each_connection(path, hang_up_unread);
}

void peers_patience(const char *path)
{
	each_connection(path, patience);
}

void peers_hang_up(const char *path)
{
	each_connection(path, hang_up);
}
