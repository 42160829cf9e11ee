// SPDX-License-Identifier: BSD-3-Clause
/*
 * The other end of the wire: a thread of ours on the host's side of the tap interface, which sends
 * the guest's frames back to it, or sends frames as fast as the interface takes them. The same for
 * every mode, so that what differs is the way between.
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

#define ETHERTYPE 0x88b5 /* for experiments; the payload's frames have it */
#define FCS	  4u
#define FRAME_MAX 2048u

struct bench_peer {
	struct sys *sys;
	pthread_t thread;
	int fd, stop, cpu;
	unsigned int len; /* of the frames to send, 0: echo */
	uint8_t mac[ETH_ALEN];
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
	uint8_t frame[FRAME_MAX];
	struct sockaddr_ll from;

	while (poll(f, 2, -1) >= 0 && !f[1].revents) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(p->fd, frame, sizeof(frame), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&from, &size);

		if (n < ETH_HLEN || n > (ssize_t)sizeof(frame) ||
		    from.sll_pkttype == PACKET_OUTGOING)
			continue;
		memcpy(frame, frame + ETH_ALEN, ETH_ALEN);
		memcpy(frame + ETH_ALEN, p->mac, ETH_ALEN);
		(void)!send(p->fd, frame, (size_t)n, 0);
	}
}

static void flood(struct bench_peer *p)
{
	uint8_t frame[FRAME_MAX] = { 0 };
	unsigned int i;

	memset(frame, 0xff, ETH_ALEN);
	memcpy(frame + ETH_ALEN, p->mac, ETH_ALEN);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	while (!stopped(p, 0))
		for (i = 0; i < 64; i++)
			if (send(p->fd, frame, p->len, 0) < 0)
				(void)stopped(p, 1); /* no room, or the link is not up yet */
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
	if (p->len)
		flood(p);
	else
		echo(p);
	return NULL;
}

static int peer_open(struct bench_peer *p, const char *ifname, struct err *e)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = __builtin_bswap16(ETHERTYPE),
				 .sll_ifindex = (int)if_nametoindex(ifname) };
	socklen_t size = sizeof(a);

	if (!a.sll_ifindex)
		return err_sys(e, -errno, "interface %s", ifname);
	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return err_sys(e, -errno, "cannot open a packet socket");
	if (bind(p->fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockname(p->fd, (struct sockaddr *)&a, &size))
		return err_sys(e, -errno, "interface %s", ifname);
	memcpy(p->mac, a.sll_addr, ETH_ALEN);
	p->stop = eventfd(0, EFD_CLOEXEC);
	return p->stop < 0 ? err_sys(e, -errno, "cannot make an eventfd") : 0;
}

int bench_peer_start(struct sys *s, const char *ifname, unsigned int flood_size, int cpu,
		     struct bench_peer **out, struct err *e)
{
	struct bench_peer *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->sys = s;
	p->fd = p->stop = -1;
	p->cpu = cpu;
	p->len = flood_size ? MAX(flood_size, ETH_ZLEN + FCS) - FCS : 0;
	ret = peer_open(p, ifname, e);
	if (!ret) {
		ret = -pthread_create(&p->thread, NULL, peer_main, p);
		if (ret)
			err_sys(e, ret, "cannot start a thread");
	}
	if (ret) {
		sys_close(s, &p->fd);
		sys_close(s, &p->stop);
		free(p);
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
	sys_close(p->sys, &p->fd);
	sys_close(p->sys, &p->stop);
	free(p);
}
