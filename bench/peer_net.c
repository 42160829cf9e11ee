// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's end of loads over TCP. An address is needed for them, and the interface may be one
 * that has a life of its own, a PF with the host's own traffic: so it gets a second, link-local
 * address, by the old ioctl interface's alias names ("eth0:b"), and loses it with the load.
 */
#include "bench/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/wire.h"

#define ALIAS ":b"

/* One request about an interface, by a socket that any will do for. */
static int if_ask(unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, what, r) ? -errno : 0;
	close(fd);
	return ret;
}

static void if_name(struct ifreq *r, const char *ifname, const char *alias)
{
	*r = (struct ifreq){ 0 };
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s%s", ifname, alias);
}

int bench_if_up(const char *ifname, bool raise, struct err *e)
{
	struct ifreq r;
	int ret;

	if_name(&r, ifname, "");
	ret = if_ask(SIOCGIFFLAGS, &r);
	if (ret)
		return err_sys(e, ret, "interface %s", ifname);
	if (r.ifr_flags & IFF_UP)
		return 0;
	if (!raise)
		return err_set(e, -ENETDOWN, "interface %s is down: 'ip link set %s up' first",
			       ifname, ifname);
	r.ifr_flags |= IFF_UP;
	ret = if_ask(SIOCSIFFLAGS, &r);
	return ret ? err_sys(e, ret, "cannot set interface %s up", ifname) : 0;
}

static int if_addr_set(const char *ifname, unsigned long what, uint32_t addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };
	struct ifreq r;

	if_name(&r, ifname, ALIAS);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	return if_ask(what, &r);
}

int bench_if_addr(const char *ifname, struct err *e)
{
	int ret;

	if (strlen(ifname) + strlen(ALIAS) >= IFNAMSIZ)
		return err_set(e, -ENAMETOOLONG,
			       "interface %s: a shorter name is needed to give it one more address",
			       ifname);
	ret = if_addr_set(ifname, SIOCSIFADDR, BENCH_ADDR_HOST);
	if (!ret)
		ret = if_addr_set(ifname, SIOCSIFNETMASK, BENCH_ADDR_MASK);
	if (ret)
		bench_if_addr_drop(ifname);
	return ret ? err_sys(e, ret, "cannot give interface %s an address", ifname) : 0;
}

/* An alias that is set down is gone. */
void bench_if_addr_drop(const char *ifname)
{
	struct ifreq r;

	if (strlen(ifname) + strlen(ALIAS) >= IFNAMSIZ)
		return;
	if_name(&r, ifname, ALIAS);
	(void)!if_ask(SIOCSIFFLAGS, &r);
}

int bench_tcp_listen(const char *ifname, struct err *e)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(BENCH_TCP_PORT),
				       .sin_addr.s_addr = htonl(BENCH_ADDR_HOST) };
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return err_sys(e, -errno, "cannot open a socket");
	/* Bound to the interface, so that the same address on another one does not matter. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 1)) {
		ret = err_sys(e, -errno, "cannot listen on interface %s, port %d", ifname,
			      BENCH_TCP_PORT);
		close(fd);
		return ret;
	}
	return fd;
}

/* 0: it can be read or written without a wait; else it is time to stop. */
static int ready(int fd, short events, int stop)
{
	struct pollfd f[2] = { { .fd = fd, .events = events }, { .fd = stop, .events = POLLIN } };

	while (poll(f, 2, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return f[1].revents;
}

/* The socket does not block, so a poll that promised too much costs a turn and nothing else. */
static void talk(int conn, int stop, bool source, char *buf)
{
	ssize_t n;

	while (!ready(conn, source ? POLLOUT : POLLIN, stop)) {
		n = source ? send(conn, buf, BENCH_TCP_PIECE, MSG_DONTWAIT | MSG_NOSIGNAL)
			   : recv(conn, buf, BENCH_TCP_PIECE, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

void bench_tcp_serve(int listener, int stop, bool source)
{
	char buf[BENCH_TCP_PIECE];
	int conn;

	memset(buf, 'b', sizeof(buf));
	while (!ready(listener, POLLIN, stop)) {
		conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0)
			continue;
		talk(conn, stop, source, buf);
		close(conn);
	}
}
