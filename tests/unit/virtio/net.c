// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device: packets to the host, several pairs, the control queue, links, stops and
 * pauses; and the n-th call of its set-up fails.
 */
#include <errno.h>
#include <malloc.h>
#include <semaphore.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/virtio/netrig.h"

static void send_frame(struct netrig *r, unsigned int q, const struct virtio_net_hdr_v1 *h,
		       const uint8_t *frame, unsigned int len, unsigned int first)
{
	uint8_t *p = netrig_buf(r, len + NET_HDR);
	struct iovec iov[2] = { { p, first }, { p + first, len + NET_HDR - first } };

	memcpy(p, h, NET_HDR);
	memcpy(p + NET_HDR, frame, len);
	assert_int_equal(vqd_add(r->d[q], iov, iov[1].iov_len ? 2 : 1, 0, p), 0);
	netrig_kick(r, q);
}

static void tx_kind(struct netfix *f)
{
	struct virtio_net_hdr_v1 h = { 0 }, got;
	struct netrig *r = f->r;
	uint32_t len;

	netrig_up(r, HOST_ALL);
	for (unsigned int i = 0; i < 40; i++) {
		unsigned int n = 14 + i * 40, first = i % 20 + 1;

		netrig_fill(f->out, n, (uint8_t)i);
		h = (struct virtio_net_hdr_v1){ .num_buffers = 77 };
		if (i % 3 == 1 && n > 60)
			h = (struct virtio_net_hdr_v1){ .flags = 0xf1,
							.csum_start = 34,
							.csum_offset = 16 };
		send_frame(r, 1, &h, f->out, n, first);
		assert_int_equal(netrig_recv(r, 0, &got, f->in, sizeof(f->in)), n);
		assert_memory_equal(f->in, f->out, n);
		assert_int_equal(got.flags, h.flags & 1);
		assert_int_equal(got.csum_start, h.csum_start);
		assert_int_equal(got.num_buffers, 0);
		netrig_get(r, 1, &len);
		assert_int_equal(len, 0);
	}
	netrig_down(r);
}

static void tx(void **state)
{
	struct netfix *f = *state;
	struct vio_count c;

	netfix_kinds(f, tx_kind);
	vio_net_count(&f->r->n->vio.dev, 1, &c);
	assert_int_equal(c.bufs, 8 * 40);
	assert_true(c.kicks && c.kicks <= 8 * 40 && c.bytes_out && !c.bytes_in && !c.errors);
}

static void tx_hostile(void **state)
{
	const struct virtio_net_hdr_v1 good = { 0 },
				       csum = { .flags = 1,
						.csum_start = 34,
						.csum_offset = 60000 },
				       gso = { .flags = 1, .gso_type = 3, .csum_start = 34 };
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct virtio_net_hdr_v1 h;
	struct iovec iov;
	uint32_t len;

	netrig_dev(r, 1);
	netrig_up(r, HOST_ALL);
	send_frame(r, 1, &csum, f->out, 60, 12);
	send_frame(r, 1, &gso, f->out, 60, 12);
	send_frame(r, 1, &good, f->out, 13, 12);
	iov = (struct iovec){ netrig_buf(r, 11), 11 };
	assert_int_equal(vqd_add(r->d[1], &iov, 1, 0, f), 0);
	iov = (struct iovec){ netrig_buf(r, NET_FRAME_MAX + 13), NET_FRAME_MAX + 13 };
	memset(iov.iov_base, 0, NET_HDR);
	assert_int_equal(vqd_add(r->d[1], &iov, 1, 0, f), 0);
	/* Nothing to read at all. */
	assert_int_equal(vqd_add(r->d[1], &iov, 0, 1, f), 0);
	send_frame(r, 1, &good, f->out, 60, 12);
	assert_int_equal(netrig_recv(r, 0, &h, f->in, sizeof(f->in)), 60);
	for (unsigned int i = 0; i < 7; i++)
		netrig_get(r, 1, &len);
	assert_int_equal(netfix_drops(f, 1, NET_DROP_CSUM), 1);
	assert_int_equal(netfix_drops(f, 1, NET_DROP_GSO), 1);
	assert_int_equal(netfix_drops(f, 1, NET_DROP_SHORT), 3);
	assert_int_equal(netfix_drops(f, 1, NET_DROP_LONG), 1);
	assert_int_equal(atomic_load(&r->n->vio.status) & 0x40, 0);
}

/* The tap takes no more for now: nothing is lost and nothing is sent twice. */
static void tx_blocked(void **state)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct netfix *f = *state;
	struct netrig *r = f->r;
	unsigned int sent = 0;
	uint32_t len;

	netrig_dev(r, 1);
	netrig_up(r, HOST_ALL);
	while (!r->n->pair[0].tx.blocked) {
		netrig_fill(f->out, 60000, (uint8_t)sent++);
		send_frame(r, 1, &h, f->out, 60000, 12);
		netrig_settle(r);
		assert_true(sent < 60);
		r->free = r->ram + MIB(9) + sent * KIB(64);
	}
	for (unsigned int i = 0; i < sent; i++) {
		assert_int_equal(netrig_recv(r, 0, &h, f->in, sizeof(f->in)), 60000);
		netrig_fill(f->out, 60000, (uint8_t)i);
		assert_memory_equal(f->in, f->out, 60000);
		netrig_get(r, 1, &len);
	}
	assert_int_equal(netfix_drops(f, 1, NET_DROP_HOST), 0);
}

/* ---- control ---- */

static void pairs(void **state)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct vio_net_info i;

	netrig_dev(r, 4);
	netrig_up(r, CTRL_ALL | NETF(MQ) | NETF(MRG_RXBUF));
	assert_false(r->detached[0]);
	assert_true(r->detached[1] && r->detached[3]);
	assert_int_equal(netrig_ctrl(r, 4, 0, "\3\0", 2), 0);
	assert_true(!r->detached[2] && r->detached[3]);
	netrig_settle(r);
	for (unsigned int p = 0; p < 3; p++) {
		netfix_post(f, 2 * p, 4, 2000);
		netfix_receive(f, p, 100 + p, 2000);
		send_frame(r, 2 * p + 1, &h, f->out, 80 + p, 12);
		assert_int_equal(netrig_recv(r, p, &h, f->in, sizeof(f->in)), 80 + p);
	}
	/* A pair that is not in use is left alone; what waits there goes on when it is. */
	send_frame(r, 7, &h, f->out, 99, 12);
	netrig_settle(r);
	assert_int_equal(netrig_ctrl(r, 4, 0, "\5\0", 2), 1);
	assert_int_equal(netrig_ctrl(r, 4, 0, "\0\0", 2), 1);
	r->queue_rc = -E2BIG;
	assert_int_equal(netrig_ctrl(r, 4, 0, "\4\0", 2), 1);
	r->queue_rc = 0;
	vio_net_info(&r->n->vio.dev, &i);
	assert_int_equal(i.pairs_on, 3);
	assert_int_equal(netrig_ctrl(r, 4, 0, "\4\0", 2), 0);
	assert_int_equal(netrig_recv(r, 3, &h, f->in, sizeof(f->in)), 99);
	assert_int_equal(netrig_ctrl(r, 4, 0, "\1\0", 2), 0);
	assert_true(r->detached[1] && r->detached[3]);
	netrig_settle(r);
	assert_null(r->n->pair[1].tap);
	/* The next driver begins with one pair. */
	assert_int_equal(netrig_ctrl(r, 4, 0, "\2\0", 2), 0);
	netrig_down(r);
	netrig_up(r, CTRL_ALL | NETF(MQ));
	assert_true(r->detached[1]);
}

static void wait_for(void *arg)
{
	sem_wait(arg);
}

/* Pairs are switched faster than a pair's thread follows: what waits for it does not grow. */
static void pairs_in_a_hurry(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct net_pair *p;
	size_t before, after;
	sem_t s;

	netrig_dev(r, 4);
	netrig_up(r, CTRL_ALL | NETF(MQ));
	assert_int_equal(sem_init(&s, 0, 0), 0);
	assert_int_equal(ev_call(vm_iothread_ev(r->io[1]), wait_for, &s), 0);
	p = &r->n->pair[1];
	before = mallinfo2().uordblks;
	for (unsigned int i = 0; i < 10000; i++) {
		atomic_store(&p->wanted, i & 1);
		assert_int_equal(net_pair_post(p), 0);
	}
	after = mallinfo2().uordblks;
	sem_post(&s);
	assert_true(after < before + 10000);
	netrig_settle(r);
	/* the last word is the one that counts */
	assert_non_null(p->tap);
	atomic_store(&p->wanted, false);
	assert_int_equal(net_pair_post(p), 0);
	netrig_settle(r);
	assert_null(p->tap);
	sem_destroy(&s);
}

static void control(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct virtio_net_config cfg;
	struct vio_net_info before, i;
	struct vio_count c;

	/* Several pairs, but the driver does not know: its control queue is the third. */
	netrig_dev(r, 4);
	vio_net_info(&r->n->vio.dev, &before);
	assert_false(mac_is_zero(&before.mac) || mac_is_multicast(&before.mac));
	netrig_up(r, CTRL_ALL | GUEST_ALL | NETF(MRG_RXBUF));
	assert_int_equal(r->n->ctrl.s.q, 2);
	assert_int_equal(netrig_ctrl(r, 1, 1, "\x52\x54\0\1\2\3", 6), 0);
	r->n->vio.ops->cfg_read(&r->n->vio, 0, 12, &cfg);
	assert_memory_equal(cfg.mac, "\x52\x54\0\1\2\3", 6);
	assert_int_equal(cfg.max_virtqueue_pairs, 4);
	assert_int_equal(cfg.mtu, 1500);
	assert_int_equal(r->offload, 15);
	assert_int_equal(netrig_ctrl(r, 5, 0, "\2\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(r->offload, 1);
	assert_int_equal(netrig_ctrl(r, 5, 0, "\0\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(r->offload, 0);
	assert_int_equal(netrig_ctrl(r, 0, 0, "\1", 1), 0);
	assert_int_equal(netrig_ctrl(r, 99, 0, "\1", 1), 1);
	assert_int_equal(netrig_ctrl(r, 4, 0, "", 0), 1);
	vio_net_count(&r->n->vio.dev, 2, &c);
	assert_int_equal(c.bufs, 6);
	assert_int_equal(c.errors, 2);
	netfix_post(f, 0, 2, 2000);
	netfix_receive(f, 0, 300, 2000);
	netrig_down(r);
	vio_net_info(&r->n->vio.dev, &i);
	assert_memory_equal(&i.mac, &before.mac, sizeof(i.mac));
}

static void control_without_answer(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct iovec iov;

	netrig_dev(r, 1);
	netrig_up(r, CTRL_ALL);
	iov = (struct iovec){ netrig_buf(r, 4), 4 };
	assert_int_equal(vqd_add(r->d[2], &iov, 1, 0, f), 0);
	netrig_kick(r, 2);
	netrig_settle(r);
	assert_true(atomic_load(&r->n->vio.status) & 0x40);
}

/* ---- life ---- */

static uint64_t config_calls(struct netrig *r)
{
	uint64_t n = 0;

	return read(atomic_load(&r->n->vio.config_call), &n, 8) == 8 ? n : 0;
}

static void link_changes(void **state)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct virtio_net_config cfg;
	uint32_t len;

	netrig_dev(r, 1);
	netrig_up(r, NETF(STATUS) | NETF(MRG_RXBUF));
	atomic_store(&r->n->vio.config_call, eventfd(0, EFD_NONBLOCK));
	r->n->vio.ops->cfg_read(&r->n->vio, 6, 2, &cfg.status);
	assert_int_equal(cfg.status, 1);
	vio_net_link(&r->n->vio.dev, true);
	assert_int_equal(config_calls(r), 0);
	vio_net_link(&r->n->vio.dev, false);
	assert_int_equal(config_calls(r), 1);
	r->n->vio.ops->cfg_read(&r->n->vio, 6, 2, &cfg.status);
	assert_int_equal(cfg.status, 0);
	/* No packets while it is down. */
	netfix_post(f, 0, 2, 2000);
	netrig_send(r, 0, NULL, f->out, 60);
	send_frame(r, 1, &h, f->out, 60, 12);
	netrig_get(r, 1, &len);
	netrig_settle(r);
	assert_int_equal(netfix_drops(f, 0, NET_DROP_LINK), 1);
	assert_int_equal(netfix_drops(f, 1, NET_DROP_LINK), 1);
	net_link_host(r->n, false);
	vio_net_link(&r->n->vio.dev, true);
	assert_int_equal(config_calls(r), 0); /* the tap has no carrier */
	net_link_host(r->n, true);
	assert_int_equal(config_calls(r), 1);
	netfix_receive(f, 0, 60, 2000);
	close(atomic_load(&r->n->vio.config_call));
	atomic_store(&r->n->vio.config_call, -1);
}

static void tap_goes_away(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct vio_net_info i;

	netrig_dev(r, 1);
	netrig_up(r, NETF(STATUS) | NETF(MRG_RXBUF));
	netfix_post(f, 0, 4, 2000);
	r->tap_lost = true;
	close(r->peer[--r->npeers]);
	do {
		netrig_settle(r);
		vio_net_info(&r->n->vio.dev, &i);
	} while (i.link);
	assert_null(r->n->pair[0].tap);
	/* The guest may still come and go. */
	netrig_down(r);
	netrig_up(r, NETF(STATUS));
}

static void pauses_and_resets(void **state)
{
	struct virtio_net_hdr_v1 h = { 0 };
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct vio *v;
	uint32_t got;

	netrig_dev(r, 1);
	v = &r->n->vio;
	netrig_up(r, NETF(MRG_RXBUF) | CTRL_ALL);
	netfix_post(f, 0, 8, 2000);
	netfix_receive(f, 0, 500, 2000);
	assert_int_equal(v->ops->pause(v, true), 0);
	netrig_send(r, 0, NULL, f->out, 200);
	send_frame(r, 1, &h, f->out, 70, 12);
	netrig_settle(r);
	assert_null(vqd_get(r->d[0], &got));
	assert_null(vqd_get(r->d[1], &got));
	assert_int_equal(v->ops->pause(v, false), 0);
	netrig_get(r, 0, &got);
	assert_int_equal(got, 212);
	assert_int_equal(netrig_recv(r, 0, &h, f->in, sizeof(f->in)), 70);
	/* One queue alone: the buffers of before are none of the next ring's. */
	assert_int_equal(v->ops->queue_stop(v, 0), 0);
	vqd_free(r->d[0]);
	close(v->q[0].kick);
	close(atomic_load(&v->q[0].call));
	netrig_send(r, 0, NULL, f->out, 300);
	netrig_settle(r);
	netrig_queue(r, 0);
	assert_int_equal(v->ops->queue_start(v, 0), 0);
	netfix_post(f, 0, 1, 2000);
	netrig_get(r, 0, &got);
	assert_int_equal(got, 312);
	/* A stop while paused. What waits in the tap then is not for the next driver. */
	assert_int_equal(v->ops->pause(v, true), 0);
	netrig_send(r, 0, NULL, f->out, 400);
	netrig_down(r);
	netrig_up(r, NETF(MRG_RXBUF));
	netfix_post(f, 0, 1, 2000);
	netfix_receive(f, 0, 123, 2000);
}

static void refusals(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;
	struct vio_net_cfg c = { .tap = "tap0", .pairs = 1, .io = r->io, .nio = 1 };
	struct vm_dev *d;

	c.qsize = 24;
	assert_int_equal(vio_net_new(&r->sys, "net0", &c, &d, &r->e), -EINVAL);
	assert_non_null(strstr(r->e.text, "power of two"));
	c.qsize = 2048;
	assert_int_equal(vio_net_new(&r->sys, "net0", &c, &d, &r->e), -EINVAL);
	c.qsize = 0;
	c.mac.b[0] = 1;
	assert_int_equal(vio_net_new(&r->sys, "net0", &c, &d, &r->e), -EINVAL);
	assert_non_null(strstr(r->e.text, "must be even"));
	c.mac = (struct mac){ 0 };
	c.tap = "a/b";
	assert_int_equal(vio_net_new(&r->sys, "net0", &c, &d, &r->e), -EINVAL);
	assert_non_null(strstr(r->e.text, "net0: 'a/b'"));
}

static void sweep(void **state)
{
	struct netfix *f = *state;
	struct netrig *r = f->r;

	for (unsigned int n = 1;; n++) {
		int rc;

		r->calls = 0;
		r->fail_at = n;
		err_clear(&r->e);
		rc = netrig_open(r, 2);
		if (r->calls < n) {
			assert_int_equal(rc, 0);
			assert_true(n > 20);
			break;
		}
		if (!rc)
			fail_msg("call %u failed and nobody minded", n);
		assert_int_equal(rc, -EIO);
		assert_true(strlen(r->e.text) > 10);
		netrig_close(r);
		assert_int_equal(r->open_fds, 0);
	}
	r->fail_at = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		netfix_test(tx),
		netfix_test(tx_hostile),
		netfix_test(tx_blocked),
		netfix_test(pairs),
		netfix_test(pairs_in_a_hurry),
		netfix_test(control),
		netfix_test(control_without_answer),
		netfix_test(link_changes),
		netfix_test(tap_goes_away),
		netfix_test(pauses_and_resets),
		netfix_test(refusals),
		netfix_test(sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
