// SPDX-License-Identifier: BSD-3-Clause
/*
 * The other end of the wire: a thread of ours on the host's side, the tap interface or the PF,
 * which sends the guest's frames back to it, sends frames as fast as the interface takes them, or
 * is the far end of a TCP connection. The same for every mode, so that what differs is the way
 * between.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/wire.h"

/**
 * struct bench_peer - @fd: of frames, or that listens for a connection
 * @len: of the frames to send; @from: @to: their addresses
 * @on_call: a flood waits for the guest; @has_addr: the interface has an address of ours
 */
struct bench_peer {
	struct sys *sys;
	pthread_t thread;
	enum bench_peer_kind kind;
	int fd, stop, cpu;
	unsigned int len;
	uint8_t from[ETH_ALEN], to[ETH_ALEN];
	char ifname[IFNAMSIZ];
	bool on_call, has_addr;
};

static bool stopped(const struct bench_peer *p, int timeout_ms)
{
	struct pollfd f = { .fd = p->stop, .events = POLLIN };

	return poll(&f, 1, timeout_ms) > 0;
}

/* Frames that this host sends itself come by here too; they are no one's to answer. */
static void echo(struct bench_peer *p)
{
	struct pollfd f[2] = { { .fd = p->fd, .events = POLLIN },
			       { .fd = p->stop, .events = POLLIN } };
	uint8_t frame[BENCH_FRAME_MAX];
	struct sockaddr_ll from;

	while (poll(f, 2, -1) >= 0 && !f[1].revents) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(p->fd, frame, sizeof(frame), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&from, &size);

		if (n < ETH_HLEN || n > (ssize_t)sizeof(frame) ||
		    from.sll_pkttype == PACKET_OUTGOING)
			continue;
		memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
		memcpy(frame + ETH_ALEN, p->from, ETH_ALEN);
		(void)!send(p->fd, frame, (size_t)n, 0);
	}
}

/* The word of a frame that comes from the guest within this time, 0: none does. */
static unsigned int word(struct bench_peer *p, int timeout_ms)
{
	struct pollfd f[2] = { { .fd = p->fd, .events = POLLIN },
			       { .fd = p->stop, .events = POLLIN } };
	uint8_t frame[BENCH_FRAME_MAX];
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	ssize_t n;

	if (poll(f, 2, timeout_ms) <= 0 || !f[0].revents)
		return 0;
	n = recvfrom(p->fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &size);
	return n > (ssize_t)BENCH_WORD_AT && from.sll_pkttype != PACKET_OUTGOING
		       ? frame[BENCH_WORD_AT]
		       : 0;
}

/* At once and without end; or when the guest says so and until it says so, for then counters that
 * are read before and after have all of it. */
static void flood(struct bench_peer *p)
{
	uint8_t frame[BENCH_FRAME_MAX] = { 0 };
	unsigned int i, said;
	bool on = !p->on_call;

	memcpy(frame, p->to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, p->from, ETH_ALEN);
	frame[12] = BENCH_ETHERTYPE >> 8;
	frame[13] = BENCH_ETHERTYPE & 0xff;
	while (!stopped(p, 0)) {
		said = p->on_call ? word(p, on ? 0 : -1) : 0;
		if (said)
			on = said == BENCH_WORD_ON;
		for (i = 0; on && i < 64; i++)
			if (send(p->fd, frame, p->len, 0) < 0)
				(void)stopped(p, 1); /* no room, or the link is not up yet */
	}
}

static void *peer_main(void *arg)
{
	struct bench_peer *p = arg;
	cpu_set_t set;

	if (p->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)p->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (p->kind == BENCH_PEER_FLOOD)
		flood(p);
	else if (p->kind == BENCH_PEER_ECHO)
		echo(p);
	else
		bench_tcp_serve(p->fd, p->stop, p->kind == BENCH_PEER_SOURCE);
	return NULL;
}

static int frames_open(struct bench_peer *p, struct err *e)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = __builtin_bswap16(BENCH_ETHERTYPE),
				 .sll_ifindex = (int)if_nametoindex(p->ifname) };
	socklen_t size = sizeof(a);

	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return err_sys(e, -errno, "cannot open a packet socket");
	if (bind(p->fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(p->fd, (struct sockaddr *)&a, &size))
		return err_sys(e, -errno, "interface %s", p->ifname);
	memcpy(p->from, a.sll_addr, ETH_ALEN);
	return 0;
}

static int tcp_open(struct bench_peer *p, struct err *e)
{
	int ret = bench_if_addr(p->ifname, e);

	p->has_addr = !ret;
	if (ret)
		return ret;
	p->fd = bench_tcp_listen(p->ifname, e);
	return MIN(p->fd, 0);
}

static int peer_open(struct bench_peer *p, bool raise, struct err *e)
{
	int ret = bench_if_up(p->ifname, raise, e);

	if (ret)
		return ret;
	p->stop = eventfd(0, EFD_CLOEXEC);
	if (p->stop < 0)
		return err_sys(e, -errno, "cannot make an eventfd");
	if (p->kind == BENCH_PEER_SINK || p->kind == BENCH_PEER_SOURCE)
		return tcp_open(p, e);
	return frames_open(p, e);
}

static void peer_free(struct bench_peer *p)
{
	if (p->has_addr)
		bench_if_addr_drop(p->ifname);
	if (p->fd >= 0)
		sys_close(p->sys, &p->fd);
	sys_close(p->sys, &p->stop);
	free(p);
}

int bench_peer_start(struct sys *s, const struct bench_peer_spec *spec, struct bench_peer **out,
		     struct err *e)
{
	struct bench_peer *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->sys = s;
	p->fd = p->stop = -1;
	p->kind = spec->kind;
	p->cpu = spec->cpu;
	p->on_call = spec->on_call;
	p->len = MAX(spec->size, ETH_ZLEN + BENCH_FCS) - BENCH_FCS;
	memcpy(p->to, spec->to, ETH_ALEN);
	snprintf(p->ifname, sizeof(p->ifname), "%s", spec->ifname);
	ret = peer_open(p, spec->raise, e);
	if (!ret) {
		ret = -pthread_create(&p->thread, NULL, peer_main, p);
		if (ret)
			err_sys(e, ret, "cannot start a thread");
	}
	if (ret) {
		peer_free(p);
		return ret;
	}
	*out = p;
	return 0;
}

void bench_peer_stop(struct bench_peer *p)
{
	const uint64_t one = 1;

	if (!p)
		return;
	(void)!write(p->stop, &one, sizeof(one));
	pthread_join(p->thread, NULL);
	peer_free(p);
}
