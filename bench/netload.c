// SPDX-License-Identifier: BSD-3-Clause
/*
 * One network load in the Linux guest of "sluice bench", called by bench/guest-linux.sh:
 *
 *	netload INTERFACE NAME KIND DEPTH SIZE OPS SECONDS </dev/console
 *
 * First the wire is tried: frames for everybody, until the runner's end sends one back, which also
 * says where that end is. Then "start", the load, "stop" and what came out, as bench/proto.h has
 *it. Linked statically, so that any RAM disk can carry it.
 *
 * net-echo, net-tx and net-rx are frames of our own over a packet socket: the driver and the queues
 * of the system below are in what is measured, TCP/IP is not. An operation is a frame that came
 *back, that the device is done with, or that came; with the loads over TCP it is a piece of 64 KiB.
 * OPS of them end the load, or 0: SECONDS do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/wire.h"

#define PROBE_MS     250
#define PROBES	     120 /* a card may take seconds to find its link, and software is slow */
#define ANSWER_MS    2000
#define CALM_MS	     200
#define CALM_FRAMES  1000u
#define SILENCES_MAX 3u /* answers that stay out in a row */
#define MAGIC	     0x434c5349u
#define ROOM	     700u /* what the kernel adds to a frame in its account of memory */

/* Latencies: bins by powers of two of nanoseconds, in SUB parts each. */
#define SUB   16u
#define BINS  (SUB * 40)
#define PAIRS 16u /* bins on a line */

struct load;

/**
 * struct kind - a way of loading the network
 * @tcp: it needs addresses; @run: until there is no more to do
 */
struct kind {
	const char *name;
	bool tcp, hist;
	void (*run)(struct load *l);
};

/**
 * struct load - all of it
 * @size: of an operation; @len: of a frame, without the checksum
 * @raw: packet socket; @word: of the next frame
 * @number: of the last frame that went out
 * @why: it cannot go on
 */
struct load {
	const struct kind *kind;
	const char *ifname, *name, *why;
	unsigned long depth, size, len;
	uint64_t limit, seconds, number, ops, errors, begin, end, worst, bin[BINS];
	int raw;
	uint8_t word;
	uint8_t frame[BENCH_FRAME_MAX], mac[ETH_ALEN];
};

/* What is behind a frame's Ethernet header. */
struct body {
	uint32_t magic;
	uint8_t word, pad[3];
	uint64_t number;
} __attribute__((packed));

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool more(const struct load *l, uint64_t now)
{
	return l->limit ? l->ops + l->errors < l->limit : now - l->begin < l->seconds * 1000000000u;
}

/* ---- latencies ---- */

static unsigned int bin_of(uint64_t ns)
{
	unsigned int top = 0;

	while (ns >> top >= 2 * SUB)
		top++;
	ns = top * SUB + (ns >> top);
	return ns < BINS ? (unsigned int)ns : BINS - 1;
}

/* The longest time of a bin, whose number has the power and the part. */
static uint64_t bin_upper(unsigned int i)
{
	unsigned int top = i < 2 * SUB ? 0 : i / SUB - 1;

	return (((uint64_t)i - top * SUB + 1) << top) - 1;
}

static void took(struct load *l, uint64_t ns)
{
	l->bin[bin_of(ns)]++;
	l->worst = ns > l->worst ? ns : l->worst;
}

/* The time that this part of a thousand of all operations did not exceed. */
static uint64_t quantile(const struct load *l, unsigned int thousandths)
{
	uint64_t want = l->ops * thousandths / 1000, seen = 0;
	unsigned int i;

	for (i = 0; i < BINS && seen <= want && seen < l->ops; i++)
		seen += l->bin[i];
	return i && bin_upper(i - 1) < l->worst ? bin_upper(i - 1) : l->worst;
}

static void hist_print(const struct load *l)
{
	unsigned int i, pairs = 0;

	for (i = 0; i < BINS; i++) {
		if (!l->bin[i])
			continue;
		if (!(pairs++ % PAIRS))
			printf("%shist test=%s", pairs > 1 ? "\n" : "", l->name);
		printf(" %" PRIu64 ":%" PRIu64, bin_upper(i), l->bin[i]);
	}
	if (pairs)
		printf("\n");
}

/* ---- the interface ---- */

static int if_ask(const struct load *l, unsigned long what, struct ifreq *r)
{
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", l->ifname);
	return ioctl(l->raw, what, r);
}

static int if_addr(const struct load *l, unsigned long what, uint32_t addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	memcpy(&r.ifr_addr, &a, sizeof(a));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", l->ifname);
	ret = ioctl(fd, what, &r);
	close(fd);
	return ret;
}

static int if_up(struct load *l)
{
	struct ifreq r = { 0 };

	if (if_ask(l, SIOCGIFHWADDR, &r))
		return -1;
	memcpy(l->mac, r.ifr_hwaddr.sa_data, ETH_ALEN);
	if (if_ask(l, SIOCGIFFLAGS, &r))
		return -1;
	if (r.ifr_flags & IFF_UP)
		return 0;
	r.ifr_flags |= IFF_UP;
	return if_ask(l, SIOCSIFFLAGS, &r);
}

static void wait_ms(int fd, unsigned int ms)
{
	const struct timeval t = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static bool raw_open(struct load *l)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(BENCH_ETHERTYPE),
				 .sll_ifindex = (int)if_nametoindex(l->ifname) };
	/* In flight at most: what is waited for is that the device gives memory back. */
	const int out = (int)(l->depth * (l->size + ROOM) / 2), in = 4 << 20;

	l->raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (l->raw < 0 || bind(l->raw, (struct sockaddr *)&a, sizeof(a)) || if_up(l)) {
		l->why = strerror(errno);
		return false;
	}
	setsockopt(l->raw, SOL_SOCKET, SO_RCVBUFFORCE, &in, sizeof(in));
	if (l->depth > 1)
		setsockopt(l->raw, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out));
	return true;
}

/* ---- frames ---- */

static void frame_init(struct load *l)
{
	memset(l->frame, 0xff, ETH_ALEN);
	memcpy(l->frame + ETH_ALEN, l->mac, ETH_ALEN);
	l->frame[12] = BENCH_ETHERTYPE >> 8;
	l->frame[13] = BENCH_ETHERTYPE & 0xff;
}

static bool frame_send(struct load *l)
{
	struct body b = { .magic = MAGIC, .word = l->word, .number = ++l->number };

	memcpy(l->frame + ETH_HLEN, &b, sizeof(b));
	return send(l->raw, l->frame, l->len, 0) > 0;
}

/* The answer to the last frame. Late ones of those before are nobody's; so is what else comes by.
 */
static bool frame_answer(struct load *l, uint8_t from[ETH_ALEN])
{
	uint64_t until = now_ns() + ANSWER_MS * UINT64_C(1000000);
	uint8_t buf[BENCH_FRAME_MAX];
	struct body b;
	ssize_t n;

	while ((n = recv(l->raw, buf, sizeof(buf), 0)) >= 0 && now_ns() < until) {
		if (n < (ssize_t)(ETH_HLEN + sizeof(b)) ||
		    !memcmp(buf + ETH_ALEN, l->mac, ETH_ALEN))
			continue;
		memcpy(&b, buf + ETH_HLEN, sizeof(b));
		memcpy(from, buf + ETH_ALEN, ETH_ALEN);
		if (b.magic == MAGIC && b.number == l->number)
			return true;
	}
	return false;
}

/* Who sends frames back? From then on all of them go there. */
static bool probe(struct load *l)
{
	uint8_t from[ETH_ALEN];
	unsigned int i;

	frame_init(l);
	wait_ms(l->raw, PROBE_MS);
	for (i = 0; i < PROBES; i++) {
		if (!frame_send(l))
			usleep(PROBE_MS * 1000); /* no link yet */
		else if (frame_answer(l, from)) {
			memcpy(l->frame, from, ETH_ALEN);
			wait_ms(l->raw, ANSWER_MS);
			return true;
		}
	}
	l->why = "nobody answers on the wire";
	return false;
}

static void run_echo(struct load *l)
{
	unsigned int silences = 0;
	uint8_t from[ETH_ALEN];
	uint64_t t = now_ns(), u;

	for (; more(l, t) && silences < SILENCES_MAX; t = u) {
		if (frame_send(l) && frame_answer(l, from)) {
			u = now_ns();
			took(l, u - t);
			l->ops++;
			silences = 0;
		} else {
			u = now_ns();
			l->errors++;
			silences++;
		}
	}
}

/* A frame is done with when the socket is told so, which it waits for when depth of them are out.
 */
static void run_tx(struct load *l)
{
	unsigned int i, silences = 0;
	int out = 1;

	while (more(l, now_ns()) && silences < SILENCES_MAX) {
		if (frame_send(l)) {
			l->ops++;
			silences = 0;
		} else {
			usleep(1000);
			l->errors++;
			silences++;
		}
	}
	for (i = 0; i < ANSWER_MS && !ioctl(l->raw, SIOCOUTQ, &out) && out; i++)
		usleep(1000);
	if (out)
		l->why = "the card keeps frames";
}

/* Frames that the driver brought since the last look, those without room in the socket too. */
static uint64_t came(struct load *l)
{
	struct tpacket_stats s = { 0 };
	socklen_t size = sizeof(s);

	return getsockopt(l->raw, SOL_PACKET, PACKET_STATISTICS, &s, &size) ? 0 : s.tp_packets;
}

static void say(struct load *l, uint8_t word)
{
	l->word = word;
	(void)frame_send(l);
}

/* The other end is told to be silent until it is; what comes meanwhile was counted by others. */
static void silence(struct load *l)
{
	uint8_t buf[BENCH_FRAME_MAX];
	unsigned int i, k;

	wait_ms(l->raw, CALM_MS);
	for (i = 0; i < PROBES; i++) {
		say(l, BENCH_WORD_OFF);
		for (k = 0; recv(l->raw, buf, sizeof(buf), 0) > 0; k++) {
			l->end = now_ns();
			if (k == CALM_FRAMES)
				break;
		}
		if (k < CALM_FRAMES)
			return;
	}
}

static void run_rx(struct load *l)
{
	unsigned int silences = 0;
	uint8_t buf[BENCH_FRAME_MAX];

	(void)came(l);
	say(l, BENCH_WORD_ON);
	while (more(l, now_ns()) && silences < SILENCES_MAX) {
		if (recv(l->raw, buf, sizeof(buf), 0) > 0) {
			l->ops++;
			silences = 0;
		} else {
			say(l, BENCH_WORD_ON);
			silences++;
		}
	}
	l->end = now_ns();
	silence(l);
	l->ops = came(l);
}

/* ---- TCP ---- */

static int tcp_connect(struct load *l)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(BENCH_TCP_PORT),
				       .sin_addr.s_addr = htonl(BENCH_ADDR_HOST) };
	const struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (const struct sockaddr *)&a, sizeof(a)))
		return fd;
	l->why = strerror(errno);
	close(fd);
	return -1;
}

static bool piece_send(int fd, const char *buf)
{
	size_t done = 0;
	ssize_t n;

	for (; done < BENCH_TCP_PIECE; done += (size_t)n) {
		n = send(fd, buf + done, BENCH_TCP_PIECE - done, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The other end ends the connection once it has read all of it: then the time is up. */
static void run_tcp_tx(struct load *l)
{
	static const char buf[BENCH_TCP_PIECE];
	int fd = tcp_connect(l);
	char c;

	if (fd < 0)
		return;
	while (!l->why && more(l, now_ns())) {
		if (piece_send(fd, buf))
			l->ops++;
		else
			l->why = strerror(errno);
	}
	shutdown(fd, SHUT_WR);
	if (!l->why && recv(fd, &c, 1, 0))
		l->why = "the other end did not read all of it";
	close(fd);
}

static void run_tcp_rx(struct load *l)
{
	char buf[BENCH_TCP_PIECE];
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int fd = tcp_connect(l);

	if (fd < 0)
		return;
	while (!l->why && more(l, now_ns())) {
		if (recv(fd, buf, sizeof(buf), MSG_WAITALL) == (ssize_t)sizeof(buf))
			l->ops++;
		else
			l->why = "the other end broke off";
	}
	/* What the system has taken in meanwhile was work as well. */
	if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		l->ops = info.tcpi_bytes_received / BENCH_TCP_PIECE;
	close(fd);
}

/* ---- the talk with the runner ---- */

static const struct kind kinds[] = {
	{ "net-echo", false, true, run_echo },	   { "net-tx", false, false, run_tx },
	{ "net-rx", false, false, run_rx },	   { "net-tcp-tx", true, false, run_tcp_tx },
	{ "net-tcp-rx", true, false, run_tcp_rx },
};

/* Lines wait for no buffer: the runner's answer is what comes next. */
static char ask(const struct load *l, const char *word)
{
	char c = BENCH_LEAVE;

	printf("%s test=%s\n", word, l->name);
	fflush(stdout);
	return read(STDIN_FILENO, &c, 1) == 1 ? c : BENCH_LEAVE;
}

static void report(const struct load *l)
{
	if (l->why || !l->ops) {
		printf("skip test=%s reason=%s\n", l->name,
		       l->why ? l->why : "no operation succeeded");
		return;
	}
	printf("result test=%s ops=%" PRIu64 " ns=%" PRIu64 " bytes=%" PRIu64, l->name, l->ops,
	       l->end - l->begin, l->ops * l->size);
	if (l->kind->hist)
		printf(" p50_ns=%" PRIu64 " p99_ns=%" PRIu64 " p999_ns=%" PRIu64 " max_ns=%" PRIu64,
		       quantile(l, 500), quantile(l, 990), quantile(l, 999), l->worst);
	printf(" errors=%" PRIu64 "\n", l->errors);
	if (l->kind->hist)
		hist_print(l);
}

/* Its exit status tells the script whether another load on this wire can do better. */
static int load(struct load *l)
{
	if (!raw_open(l) || !probe(l)) {
		report(l);
		return 3;
	}
	if (l->kind->tcp && (if_addr(l, SIOCSIFADDR, BENCH_ADDR_GUEST) ||
			     if_addr(l, SIOCSIFNETMASK, BENCH_ADDR_MASK))) {
		l->why = strerror(errno);
		report(l);
		return 1;
	}
	if (ask(l, "start") != BENCH_GO)
		return 0;
	l->begin = now_ns();
	l->kind->run(l);
	if (!l->end)
		l->end = now_ns();
	(void)!ask(l, "stop");
	report(l);
	return 0;
}

int main(int argc, char **argv)
{
	struct load l = { .raw = -1 };
	unsigned int i;

	if (argc != 8) {
		fprintf(stderr, "usage: netload INTERFACE NAME KIND DEPTH SIZE OPS SECONDS\n");
		return 2;
	}
	l.ifname = argv[1];
	l.name = argv[2];
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, argv[3]))
			l.kind = &kinds[i];
	l.depth = strtoul(argv[4], NULL, 10);
	l.size = strtoul(argv[5], NULL, 10);
	l.limit = strtoull(argv[6], NULL, 10);
	l.seconds = strtoull(argv[7], NULL, 10);
	if (!l.kind || l.size < ETH_ZLEN + BENCH_FCS ||
	    (!l.kind->tcp && l.size > BENCH_FRAME_MAX)) {
		printf("skip test=%s reason=netload does not know %s\n", l.name, argv[3]);
		return 1;
	}
	l.len = (l.kind->tcp ? ETH_ZLEN + BENCH_FCS : l.size) - BENCH_FCS;
	return load(&l);
}
