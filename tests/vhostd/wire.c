// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two wires of emulated cards, on two ports of a switch: test-wire SOCKET SOCKET [watch]
 * Frames from the first come out of the second as they were; a checksum and a large send that are
 * left to the switch are done there. Then again for each line on stdin: the switch was restarted.
 * With "watch": frames go both ways until stdin ends; printed is, with the time, when they get
 * through again.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "virtio/vu_end.h"

#define HDR	sizeof(struct virtio_net_hdr_v1)
#define ETH	14u
#define L4	34u /* behind Ethernet and IPv4 headers */
#define DATA	54u
#define FRAMES	4000u
#define WINDOW	64u
#define SEGMENT 1448u
#define LARGE	20000u
#define WAIT_NS 20000000000ull

struct wire {
	struct net_end *end;
	struct vm_iothread *io;
	uint8_t buf[70000];
	size_t len;
	ssize_t ret;
};

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "test-wire: %s\n", what);
	exit(1);
}

static void nothing(void *arg)
{
}

static void do_start(void *arg)
{
	struct wire *w = arg;

	w->ret = w->end->ops->start(w->end, vm_iothread_ev(w->io), nothing, w);
}

static void do_stop(void *arg)
{
	struct wire *w = arg;

	w->end->ops->stop(w->end);
}

static void do_send(void *arg)
{
	struct wire *w = arg;

	w->ret = w->end->ops->send(w->end, w->buf, w->len);
	net_end_flush(w->end);
}

static void do_recv(void *arg)
{
	struct wire *w = arg;

	w->ret = w->end->ops->recv(w->end, w->buf, sizeof(w->buf));
	net_end_flush(w->end);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static void give(struct wire *w)
{
	vm_iothread_call(w->io, do_send, w);
	check(w->ret == (ssize_t)w->len, "a frame is not taken");
}

/* The next frame that is one of ours; false: none came. */
static bool take(struct wire *w, uint64_t wait_ns)
{
	uint64_t end = sys_now_ns(sys_host()) + wait_ns;

	do {
		vm_iothread_call(w->io, do_recv, w);
		if (w->ret > 0 && w->buf[HDR + 6] == 2)
			return true;
		if (w->ret <= 0)
			nap();
	} while (sys_now_ns(sys_host()) < end);
	return false;
}

static void ethernet(struct wire *w, uint8_t to, uint8_t from, uint16_t type)
{
	static const uint8_t mac[6] = { 2 };
	uint8_t *f = w->buf + HDR;

	memset(w->buf, 0, HDR);
	memcpy(f, mac, 6);
	memcpy(f + 6, mac, 6);
	f[5] = to;
	f[11] = from;
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
}

static uint8_t pattern(unsigned int frame, size_t at)
{
	return (uint8_t)(frame * 31 + at + (at >> 8));
}

static void plain(struct wire *a, unsigned int i)
{
	ethernet(a, 2, 1, 0x88b5);
	a->len = HDR + 60 + i * 37 % 1454;
	for (size_t k = HDR + ETH; k < a->len; k++)
		a->buf[k] = pattern(i, k);
	give(a);
}

static void compare(struct wire *b, unsigned int i)
{
	check(take(b, WAIT_NS), "a frame does not come");
	check((size_t)b->ret == HDR + 60 + i * 37 % 1454, "a frame has another length");
	check(!b->buf[0] && !b->buf[1], "a frame leaves something to the card");
	for (size_t k = HDR + ETH; k < (size_t)b->ret; k++)
		check(b->buf[k] == pattern(i, k), "a frame has other bytes");
}

/* ---- what is left to the switch ---- */

static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t pseudo(const uint8_t *f, size_t l4)
{
	uint8_t p[4] = { 0, 6 };

	put16(p + 2, l4);
	return sum(f + 26, 8, sum(p, sizeof(p), 0));
}

/* TCP over IPv4 with so much data; its checksum has the pseudo header's part alone. */
static void tcp(struct wire *a, size_t data)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .csum_start = L4,
				       .csum_offset = 16 };
	static const uint8_t ip[] = { 0x45, 0, 0,  0, 0, 1, 0,	0, 64, 6,
				      0,    0, 10, 0, 0, 1, 10, 0, 0,  2 };
	uint8_t *f = a->buf + HDR;

	ethernet(a, 2, 1, 0x0800);
	memcpy(f + ETH, ip, sizeof(ip));
	put16(f + ETH + 2, 40 + data);
	put16(f + ETH + 10, ~sum(f + ETH, 20, 0) & 0xffff);
	memset(f + L4, 0, 20);
	f[L4 + 12] = 0x50;
	put16(f + L4 + 16, pseudo(f, 20 + data));
	for (size_t k = 0; k < data; k++)
		f[DATA + k] = pattern(1, k);
	if (data > SEGMENT) {
		h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = SEGMENT;
		h.hdr_len = DATA;
	}
	memcpy(a->buf, &h, HDR);
	a->len = HDR + DATA + data;
	give(a);
}

/* One segment: both sums hold. Returns bytes of data, which are those at its sequence number. */
static size_t segment(struct wire *b)
{
	const uint8_t *f = b->buf + HDR;
	size_t len, seq, data;

	check(take(b, WAIT_NS), "a segment does not come");
	len = (size_t)(f[ETH + 2] << 8 | f[ETH + 3]);
	check(len >= 40 && ETH + len <= (size_t)b->ret - HDR, "a segment has a bad length");
	check(sum(f + ETH, 20, 0) == 0xffff, "a segment's IP checksum");
	check(sum(f + L4, len - 20, pseudo(f, len - 20)) == 0xffff, "a segment's TCP checksum");
	seq = (size_t)(f[L4 + 6] << 8 | f[L4 + 7]);
	data = len - 40;
	check(data && data <= SEGMENT, "a segment's size");
	for (size_t k = 0; k < data; k++)
		check(f[DATA + k] == pattern(1, seq + k), "a segment has other bytes");
	return data;
}

static void large(struct wire *a, struct wire *b, size_t data)
{
	size_t got = 0;

	tcp(a, data);
	while (got < data)
		got += segment(b);
	check(got == data, "more came than was sent");
}

/* ---- */

static bool connected(struct wire *w)
{
	struct vu_dev_info i;

	vu_end_info(w->end, &i);
	return i.state == VU_CONNECTED;
}

static void wait_up(struct wire *w)
{
	uint64_t end = sys_now_ns(sys_host()) + WAIT_NS;

	while (!connected(w)) {
		check(sys_now_ns(sys_host()) < end, "no connection");
		nap();
	}
}

/* Until the switch knows where the second one is: it may not poll its rings yet. */
static void meet(struct wire *a, struct wire *b)
{
	unsigned int i;

	wait_up(a);
	wait_up(b);
	for (i = 0; i < 100; i++) {
		ethernet(b, 1, 2, 0x88b5);
		memset(b->buf + HDR + ETH, 0, 60);
		b->len = HDR + 60;
		vm_iothread_call(b->io, do_send, b);
		if (take(a, 100000000))
			break;
	}
	check(i < 100, "no frame comes through");
	while (take(a, 100000000) || take(b, 100000000))
		;
}

/* One frame; true: some came out at the other end. */
static bool pass(struct wire *from, struct wire *to, uint8_t a, uint8_t b)
{
	ethernet(from, b, a, 0x88b5);
	memset(from->buf + HDR + ETH, 0, 60);
	from->len = HDR + 60;
	vm_iothread_call(from->io, do_send, from);
	return take(to, 0);
}

static uint64_t connections(struct wire *w)
{
	struct vu_dev_info i;

	vu_end_info(w->end, &i);
	return i.state == VU_CONNECTED ? i.connects : 0;
}

static void watch(struct wire *a, struct wire *b)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	uint64_t was[2] = { 0 }, now[2];
	unsigned int through = 0;

	while (poll(&p, 1, 1) == 0) {
		now[0] = connections(a);
		now[1] = connections(b);
		if (now[0] != was[0] || now[1] != was[1])
			through = 0;
		memcpy(was, now, sizeof(was));
		if (!now[0] || !now[1] || through == 3)
			continue;
		through |= pass(a, b, 1, 2) | pass(b, a, 2, 1) << 1;
		if (through != 3)
			continue;
		printf("%.3f\n", (double)sys_now_ns(sys_host()) / 1e9);
		fflush(stdout);
	}
}

static void a_round(struct wire *a, struct wire *b)
{
	meet(a, b);
	for (unsigned int i = 0; i < FRAMES; i += WINDOW) {
		for (unsigned int k = 0; k < WINDOW; k++)
			plain(a, i + k);
		for (unsigned int k = 0; k < WINDOW; k++)
			compare(b, i + k);
	}
	large(a, b, 100);
	large(a, b, LARGE);
	check(!take(b, 100000000), "a frame came twice");
	puts("done");
	fflush(stdout);
}

static void wire_up(struct wire *w, struct vm_iothread *io, const char *path)
{
	struct vu_end_cfg c = { .socket = path, .io = io };
	struct err e = { 0 };

	w->io = io;
	check(!vu_end_new(sys_host(), "net0", &c, &w->end, &e), e.text);
	vm_iothread_call(io, do_start, w);
	check(!w->ret, "no source");
}

int main(int argc, char **argv)
{
	static struct wire w[2];
	struct vm_iothread *io;
	char line[16];

	check(argc == 3 || argc == 4, "two sockets are wanted");
	check(!vm_iothread_new(sys_host(), "io", &io, NULL), "no thread");
	wire_up(&w[0], io, argv[1]);
	wire_up(&w[1], io, argv[2]);
	if (argc == 4)
		watch(&w[0], &w[1]);
	else
		do
			a_round(&w[0], &w[1]);
		while (fgets(line, sizeof(line), stdin));
	for (unsigned int i = 0; i < 2; i++) {
		vm_iothread_call(io, do_stop, &w[i]);
		net_end_free(w[i].end);
	}
	vm_iothread_free(io);
	return 0;
}
