// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host's end of a network load, in a network namespace of its own: frames on a tap interface
 * whose other side is held here, TCP on the loopback.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/bench.h"
#include "bench/peer.h"
#include "bench/wire.h"
#include "tests/unit/fake/openfds.h"

#define TAP	"tb0"
#define WAIT_MS 20000
#define MUCH	(4u << 20)

static const uint8_t guest[ETH_ALEN] = { 2, 0, 0, 0, 0, 7 };

/* The guest's end of the tap interface, -1: this host has none. */
static int tap_open(void)
{
	struct ifreq r = { .ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, TUNSETIFF, &r)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int peer(const char *ifname, enum bench_peer_kind kind, unsigned int size, bool raise,
		struct bench_peer **out, struct err *e)
{
	const struct bench_peer_spec spec = { ifname, raise, false, kind, size, guest, -1 };

	return bench_peer_start(sys_host(), &spec, out, e);
}

/* The next frame of ours that comes out of the tap; what the host says of itself is passed over. */
static size_t frame_next(int fd, uint8_t *buf, size_t size)
{
	struct pollfd f = { .fd = fd, .events = POLLIN };

	for (;;) {
		ssize_t n;

		assert_int_equal(poll(&f, 1, WAIT_MS), 1);
		n = read(fd, buf, size);
		if (n > 14 && buf[12] == BENCH_ETHERTYPE >> 8 &&
		    buf[13] == (BENCH_ETHERTYPE & 0xff))
			return (size_t)n;
	}
}

static void frame_put(int fd, size_t len, uint8_t mark)
{
	uint8_t buf[4096] = { [12] = BENCH_ETHERTYPE >> 8, BENCH_ETHERTYPE & 0xff, mark };

	memset(buf, 0xff, ETH_ALEN);
	memcpy(buf + ETH_ALEN, guest, ETH_ALEN);
	assert_int_equal(write(fd, buf, len), len);
}

static void test_echo(void **state)
{
	struct bench_peer *p;
	struct err e = { 0 };
	uint8_t buf[4096];
	int fd = tap_open();

	if (fd < 0)
		skip();
	assert_int_equal(peer(TAP, BENCH_PEER_ECHO, 0, false, &p, &e), -ENETDOWN);
	assert_non_null(strstr(e.text, "tb0 is down"));
	assert_int_equal(peer(TAP, BENCH_PEER_ECHO, 0, true, &p, &e), 0);
	frame_put(fd, 1514, 1);
	assert_int_equal(frame_next(fd, buf, sizeof(buf)), 1514);
	assert_memory_equal(buf, guest, ETH_ALEN);
	assert_int_not_equal(buf[ETH_ALEN], 0xff);
	assert_int_equal(buf[14], 1);
	frame_put(fd, 15, 2);
	assert_int_equal(frame_next(fd, buf, sizeof(buf)), 15);
	assert_int_equal(buf[14], 2);
	bench_peer_stop(p);
	close(fd);
}

static void test_flood(void **state)
{
	struct bench_peer *p;
	uint8_t buf[4096];
	int fd = tap_open(), i;

	if (fd < 0)
		skip();
	assert_int_equal(peer(TAP, BENCH_PEER_FLOOD, 64, true, &p, NULL), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(frame_next(fd, buf, sizeof(buf)), 60);
		assert_memory_equal(buf, guest, ETH_ALEN);
	}
	bench_peer_stop(p);
	close(fd);
}

/* It waits for a word of the guest's, and for another one to be silent. */
static void test_on_call(void **state)
{
	const struct bench_peer_spec spec = { TAP, true, true, BENCH_PEER_FLOOD, 64, guest, -1 };
	uint8_t word[60] = { [12] = BENCH_ETHERTYPE >> 8, BENCH_ETHERTYPE & 0xff };
	struct pollfd f = { .fd = tap_open(), .events = POLLIN };
	struct bench_peer *p;
	uint8_t buf[4096];
	unsigned int i;

	if (f.fd < 0)
		skip();
	memset(word, 0xff, ETH_ALEN);
	memcpy(word + ETH_ALEN, guest, ETH_ALEN);
	assert_int_equal(bench_peer_start(sys_host(), &spec, &p, NULL), 0);
	word[BENCH_WORD_AT] = BENCH_WORD_ON;
	assert_int_equal(write(f.fd, word, sizeof(word)), sizeof(word));
	for (i = 0; i < 100; i++)
		assert_int_equal(frame_next(f.fd, buf, sizeof(buf)), 60);
	word[BENCH_WORD_AT] = BENCH_WORD_OFF;
	assert_int_equal(write(f.fd, word, sizeof(word)), sizeof(word));
	/* ends: what is in the queue, and then nothing for a while */
	while (poll(&f, 1, 500) > 0)
		assert_true(read(f.fd, buf, sizeof(buf)) > 0);
	bench_peer_stop(p);
	close(f.fd);
}

/* ---- TCP ---- */

static bool has_addr(void)
{
	struct ifaddrs *all, *a;
	bool found = false;

	assert_int_equal(getifaddrs(&all), 0);
	for (a = all; a; a = a->ifa_next) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(void *)a->ifa_addr;

		found |= in && in->sin_family == AF_INET &&
			 in->sin_addr.s_addr == htonl(BENCH_ADDR_HOST);
	}
	freeifaddrs(all);
	return found;
}

static int tcp(void)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(BENCH_TCP_PORT),
				       .sin_addr.s_addr = htonl(BENCH_ADDR_HOST) };
	const struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* All of it is taken, then the connection ends; the next one is as good. */
static void test_sink(void **state)
{
	static const char buf[MUCH];
	struct bench_peer *p;
	unsigned int i;
	char c;

	assert_int_equal(peer("lo", BENCH_PEER_SINK, 0, true, &p, NULL), 0);
	assert_true(has_addr());
	for (i = 0; i < 2; i++) {
		int fd = tcp();

		assert_int_equal(send(fd, buf, sizeof(buf), MSG_NOSIGNAL), sizeof(buf));
		shutdown(fd, SHUT_WR);
		assert_int_equal(recv(fd, &c, 1, 0), 0);
		close(fd);
	}
	bench_peer_stop(p);
	assert_false(has_addr());
}

/* It sends without end; a guest that goes away in the middle does not stop it. */
static void test_source(void **state)
{
	char *buf = malloc(MUCH);
	struct bench_peer *p;
	int fd, other;

	assert_int_equal(peer("lo", BENCH_PEER_SOURCE, 0, true, &p, NULL), 0);
	other = tcp();
	close(other);
	fd = tcp();
	assert_int_equal(recv(fd, buf, MUCH, MSG_WAITALL), MUCH);
	/* stopped while it is at it */
	bench_peer_stop(p);
	close(fd);
	free(buf);
	assert_false(has_addr());
}

static void test_refusals(void **state)
{
	const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(BENCH_TCP_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;
	struct bench_peer *p;
	struct err e = { 0 };

	assert_int_equal(peer("none", BENCH_PEER_ECHO, 0, true, &p, &e), -ENODEV);
	assert_non_null(strstr(e.text, "interface none"));
	assert_int_equal(bench_if_addr("fourteen-chars", &e), -ENAMETOOLONG);
	bench_if_addr_drop("fourteen-chars");
	/* somebody else has the port; what is left of earlier connections does not count */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(peer("lo", BENCH_PEER_SINK, 0, true, &p, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "lo, port 5588"));
	assert_false(has_addr());
	close(fd);
}

static void test_leaks(void **state)
{
	unsigned int before = openfds();

	test_refusals(state);
	test_sink(state);
	test_source(state);
	assert_int_equal(openfds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),	cmocka_unit_test(test_flood),
		cmocka_unit_test(test_on_call), cmocka_unit_test(test_sink),
		cmocka_unit_test(test_source),	cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_leaks),
	};

	/* as root or as nobody in particular: who has a namespace rules there */
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		print_message("no network namespace on this host\n");
		return 77;
	}
	if (bench_if_up("lo", true, NULL))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
