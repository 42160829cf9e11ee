// SPDX-License-Identifier: BSD-3-Clause
/* Packets to the guest: over each kind of ring, into buffers of any shape, into too few of them. */
#include <string.h>
#include <unistd.h>
#include "tests/unit/virtio/netrig.h"

static void rx_kind(struct netfix *f)
{
	static const unsigned int lens[] = { 60, 1500, 1514, 1524, 1525, 3060, 3061, 9000 };
	struct netrig *r = f->r;
	struct vio_count c;

	netrig_up(r, GUEST_ALL | NETF(MRG_RXBUF));
	for (unsigned int turn = 0; turn < 30; turn++) {
		unsigned int len = lens[turn % ARRAY_SIZE(lens)];

		netfix_post(f, 0, (len + NET_HDR + 1535) / 1536, 1536);
		netfix_receive(f, 0, len, 1536);
	}
	vio_net_count(&r->n->vio.dev, 0, &c);
	assert_true(c.bufs && c.bytes_in > c.bufs * 60 && !c.bytes_out && c.calls && !c.errors);
	netrig_down(r);
}

static void rx(void **state)
{
	netfix_kinds(*state, rx_kind);
}

static void rx_one_segment(void **state)
{
	struct netfix *f = *state;

	/* 65535 bytes behind an Ethernet header, over 43 buffers. */
	netrig_dev(f->r, 1);
	netrig_up(f->r, GUEST_ALL | NETF(MRG_RXBUF));
	for (unsigned int i = 0; i < 4; i++) {
		netfix_post(f, 0, 43, 1536);
		netfix_receive(f, 0, 65549, 1536);
	}
}

/* Without mergeable buffers a packet has one chain, which may be cut up anywhere. */
static void rx_shapes(void **state)
{
	static const unsigned int shape[][14] = {
		{ 12, 2000 },
		{ 2012 },
		{ 1, 2011 },
		{ 5, 7, 2000 },
		{ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2000 },
		{ 2000, 100 },
		{ 13, 60, 2000 },
	};
	struct netfix *f = *state;
	struct netrig *r = f->r;
	uint32_t got;

	netrig_dev(r, 1);
	netrig_up(r, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(shape); i++) {
		uint8_t *p = netrig_post_rx(r, 0, shape[i]);
		struct virtio_net_hdr_v1 h;

		netrig_fill(f->out, 700, (uint8_t)i);
		netrig_send(r, 0, NULL, f->out, 700);
		assert_ptr_equal(netrig_get(r, 0, &got), p);
		assert_int_equal(got, 700 + NET_HDR);
		memcpy(&h, p, NET_HDR);
		assert_int_equal(h.num_buffers, 1);
		assert_memory_equal(p + NET_HDR, f->out, 700);
	}
}

/* The only chain is too small: the packet is lost, the chain waits for one that fits. */
static void rx_small_buffer(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	uint32_t got;
	uint8_t *p;

	netrig_dev(r, 1);
	netrig_up(r, 0);
	p = netrig_post_rx(r, 0, (unsigned int[]){ 11, 2, 99, 0 });
	netrig_fill(f->out, 200, 5);
	netrig_send(r, 0, NULL, f->out, 200);
	netrig_send(r, 0, NULL, f->out, 101);
	netrig_send(r, 0, NULL, f->out, 100);
	assert_ptr_equal(netrig_get(r, 0, &got), p);
	assert_int_equal(got, 112);
	assert_memory_equal(p + NET_HDR, f->out, 100);
	assert_int_equal(netfix_drops(f, 0, NET_DROP_ROOM), 2);
}

static void rx_backpressure(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	uint32_t got;

	netrig_dev(r, 1);
	netrig_up(r, NETF(MRG_RXBUF));
	for (unsigned int i = 0; i < 20; i++) {
		netrig_fill(f->out, 100, (uint8_t)i);
		netrig_send(r, 0, NULL, f->out, 100);
	}
	netrig_settle(r);
	assert_null(vqd_get(r->d[0], &got));
	assert_int_equal(r->n->pair[0].events, 0); /* the tap is left alone meanwhile */
	for (unsigned int i = 0; i < 20; i++) {
		uint8_t *p = netrig_post_rx(r, 0, (unsigned int[]){ 200, 0 });

		netrig_fill(f->out, 100, (uint8_t)i);
		assert_ptr_equal(netrig_get(r, 0, &got), p);
		assert_int_equal(got, 112);
		assert_memory_equal(p + NET_HDR, f->out, 100);
	}
	assert_int_equal(netfix_drops(f, 0, NET_DROP_ROOM), 0);
}

/* Buffers for half a packet: it waits for the rest of them, or is lost, and nothing else is. */
static void rx_hold(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	uint32_t got;

	netrig_dev(r, 1);
	netrig_up(r, GUEST_ALL | NETF(MRG_RXBUF));
	netfix_post(f, 0, 3, 1000);
	netrig_fill(f->out, 8000, 1);
	netrig_send(r, 0, NULL, f->out, 8000);
	while (!netfix_drops(f, 0, NET_DROP_ROOM))
		usleep(1000);
	assert_null(vqd_get(r->d[0], &got));
	netfix_receive(f, 0, 100, 1000);
	for (unsigned int i = 0; i < 6; i++) {
		netrig_send(r, 0, NULL, f->out, 14);
		netrig_get(r, 0, &got);
		netrig_settle(r);
		netfix_post(f, 0, 1, 1000);
	}
	assert_int_equal(netfix_drops(f, 0, NET_DROP_ROOM), 1);
}

/* The same with the timer out of the way: the pieces before and after the wait fit together. */
static void rx_hold_in_time(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	unsigned int tries, done = 0;
	uint32_t got;

	netrig_dev(r, 1);
	for (tries = 0; tries < 200; tries++) {
		netrig_up(r, GUEST_ALL | NETF(MRG_RXBUF));
		netfix_post(f, 0, 2, 1000);
		netrig_fill(f->out, 6000, 9);
		netrig_send(r, 0, NULL, f->out, 6000);
		netrig_settle(r);
		netfix_post(f, 0, 2, 1000); /* not enough yet */
		netrig_settle(r);
		netfix_post(f, 0, 3, 1000);
		netrig_settle(r);
		if (!netfix_drops(f, 0, NET_DROP_ROOM))
			break;
		/* The machine was busy for longer than a packet is held: again. */
		netrig_close(r);
		netrig_dev(r, 1);
	}
	for (unsigned int i = 0; i < 7; i++) {
		uint8_t *p = netrig_get(r, 0, &got);
		unsigned int skip = i ? 0 : NET_HDR;

		memcpy(f->in + done, p + skip, got - skip);
		done += got - skip;
	}
	assert_int_equal(done, 6000);
	assert_memory_equal(f->in, f->out, 6000);
}

static void rx_bad_buffers(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct iovec iov = { NULL, 100 };

	netrig_dev(r, 1);
	netrig_up(r, NETF(MRG_RXBUF));
	netrig_post_rx(r, 0, (unsigned int[]){ 11, 0 });
	netrig_settle(r);
	assert_non_null(atomic_load(&r->n->vio.why));
	assert_true(atomic_load(&r->n->vio.status) & 0x40);
	netrig_send(r, 0, NULL, f->out, 100);
	netrig_settle(r);
	assert_int_equal(r->n->pair[0].events, 0); /* no turning in circles */
	netrig_down(r);
	atomic_store(&r->n->vio.why, NULL);
	netrig_up(r, NETF(MRG_RXBUF));
	iov.iov_base = netrig_buf(r, 100);
	assert_int_equal(vqd_add(r->d[0], &iov, 1, 0, f), 0);
	netrig_kick(r, 0);
	netrig_settle(r);
	assert_non_null(atomic_load(&r->n->vio.why));
}

static void rx_offloads_not_taken(void **state)
{
	const struct virtio_net_hdr_v1 tso = { .flags = 1, .gso_type = 1, .gso_size = 1000 };
	struct netfix *f = *state;
	struct netrig *r = f->r;

	netrig_dev(r, 1);
	netrig_up(r, NETF(GUEST_CSUM) | NETF(MRG_RXBUF));
	assert_int_equal(r->offload, 1);
	netfix_post(f, 0, 4, 4000);
	netrig_send(r, 0, &tso, f->out, 3000);
	netrig_send(r, 0, NULL, f->out, 13);
	netfix_receive(f, 0, 200, 4000);
	assert_int_equal(netfix_drops(f, 0, NET_DROP_OFFLOAD), 1);
	assert_int_equal(netfix_drops(f, 0, NET_DROP_SHORT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netfix_test(rx),
		netfix_test(rx_one_segment),
		netfix_test(rx_shapes),
		netfix_test(rx_small_buffer),
		netfix_test(rx_backpressure),
		netfix_test(rx_hold),
		netfix_test(rx_hold_in_time),
		netfix_test(rx_bad_buffers),
		netfix_test(rx_offloads_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
