// SPDX-License-Identifier: BSD-3-Clause
/* The vhost-user front end against a backend that is right, but comes and goes as it likes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/wire/fronttest.h"

#define SPLIT	  (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX)
#define PACKED	  (SPLIT | VIO_F_PACKED | VIO_F_IN_ORDER)
#define NET_MAC	  VIO_F(5)
#define NET_CTRL  (VIO_F(17) | VIO_F(22))
#define BLK_FLUSH VIO_F(9)

static void net_life(bool server, uint64_t features)
{
	struct front f;

	front_up(&f, &(struct front_cfg){ .server = server });
	if (server)
		fb_connect(&f.b);
	front_state(&f, VU_CONNECTED);
	assert_true(vt_offered(&f.t) & VIO_F_PACKED);
	assert_int_equal(vt_rd(&f.t, f.t.device, 1), 2);
	assert_int_equal(vt_rd(&f.t, f.t.device + 6, 2), 1);
	for (int life = 0; life < 3; life++) {
		front_driver(&f, features | NET_MAC, 64);
		front_lit(&f);
		/* what the backend has no word for, it is not told */
		assert_int_equal(f.b.acked & ~VU_F_PROTOCOL, features);
		assert_int_equal(f.b.status, 15);
		for (unsigned int i = 0; i < 100; i++) {
			front_add(&f, i & 1, i + 1);
			front_echo(&f, i & 1, i + 1, 1);
		}
		front_reset(&f);
		assert_true(fb_ready(&f.b, 0));
		assert_int_equal(f.b.status, 0);
	}
	assert_int_equal(front_info(&f).connects, 1);
	front_down(&f);
}

static void test_net(void **state)
{
	net_life(false, SPLIT);
	net_life(false, PACKED);
	net_life(true, SPLIT);
}

/* Nothing of what is optional: no acknowledgements, one memory table, no inflight memory. */
static void test_plain_backend(void **state)
{
	static const uint64_t proto[] = { 0, VU_P(VU_P_MQ), VU_P(VU_P_REPLY_ACK) };
	struct front f;

	for (unsigned int i = 0; i <= ARRAY_SIZE(proto); i++) {
		front_up(&f, &(struct front_cfg){ .late = true, .scale = 10 });
		f.b.proto = i < ARRAY_SIZE(proto) ? proto[i] : 0;
		f.b.features = SPLIT | (i < ARRAY_SIZE(proto) ? VU_F_PROTOCOL : 0);
		fb_listen(&f.b);
		front_state(&f, VU_CONNECTED);
		front_driver(&f, SPLIT, 64);
		if (!(f.b.features & VU_F_PROTOCOL)) {
			/* rings are on with their kick */
			while (!f.b.q[0].running || !f.b.q[1].running)
				fb_turn(&f.b, 2);
			while (fb_turn(&f.b, 50))
				;
		} else {
			front_lit(&f);
		}
		assert_int_equal(f.b.nregions, 1);
		front_add(&f, 0, 7);
		front_echo(&f, 0, 7, 1);
		front_reset(&f);
		front_down(&f);
	}
}

static void test_disk(void **state)
{
	struct front f;
	uint64_t before;

	front_up(&f, &(struct front_cfg){ .disk = true, .queues = 4, .late = true, .scale = 10 });
	assert_int_equal(vt_rd(&f.t, f.t.device, 4), 0);
	assert_int_equal(vt_rd(&f.t, f.t.device + 12, 4), 126); /* nobody else will say it */
	memcpy(f.b.config, &(uint64_t){ 4096 }, 8);
	fb_listen(&f.b);
	front_state(&f, VU_CONNECTED);
	assert_int_equal(vt_rd(&f.t, f.t.device, 4), 4096);
	assert_int_equal(vt_rd(&f.t, f.t.device + 34, 2), 4); /* ours, not the backend's */
	front_driver(&f, SPLIT | BLK_FLUSH, 64);
	front_lit(&f);
	before = vt_get(&f.t, VT_GENERATION);
	/* another disk came back: the driver hears of it */
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	memcpy(f.b.config, &(uint64_t){ 8192 }, 8);
	fb_listen(&f.b);
	front_lit(&f);
	assert_int_not_equal(vt_get(&f.t, VT_GENERATION), before);
	assert_int_equal(vt_rd(&f.t, f.t.device, 4), 8192);
	vt_irq(&f.t, 0);
	front_reset(&f);
	front_down(&f);
}

static void test_late(void **state)
{
	struct front f;

	/* before any backend: what every one has; then the driver's requests wait */
	front_up(&f, &(struct front_cfg){ .late = true, .scale = 10 });
	assert_int_equal(front_info(&f).state, VU_WAITING);
	assert_int_equal(vt_offered(&f.t) & (VIO_F_PACKED | VIO_F_IN_ORDER), 0);
	assert_true(vt_offered(&f.t) & VIO_F_INDIRECT);
	front_driver(&f, vt_offered(&f.t), 64);
	front_add(&f, 0, 1);
	front_reset(&f);
	assert_int_equal(front_info(&f).state, VU_WAITING);
	front_driver(&f, vt_offered(&f.t), 64);
	front_add(&f, 0, 1);
	fb_listen(&f.b);
	front_lit(&f);
	front_echo(&f, 0, 1, 1);
	front_down(&f); /* with a driver that runs */
}

/* A backend that dies with buffers in its hands; the next one gets them, in order. */
static void outage(uint64_t features, bool inflight)
{
	struct iovec iov[4];
	struct vq_chain c[3];
	struct front f;
	uint64_t ino;

	front_up(&f, &(struct front_cfg){ .scale = 10 });
	if (!inflight)
		f.b.proto &= ~VU_P(VU_P_INFLIGHT);
	front_state(&f, VU_CONNECTED);
	front_driver(&f, features, 64);
	front_lit(&f);
	ino = f.b.inflight_ino;
	for (unsigned int i = 0; i < 90; i++) {
		front_add(&f, 0, i + 1);
		front_echo(&f, 0, i + 1, 1);
	}
	for (unsigned int i = 0; i < 5; i++)
		front_add(&f, 0, 91 + i);
	for (unsigned int i = 0; i < 3; i++) {
		c[i] = (struct vq_chain){ .iov = iov, .cap = 4 };
		assert_true(fb_pop(&f.b, 0, &c[i]));
	}
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	front_add(&f, 0, 96);
	assert_true(front_info(&f).why[0]);
	(void)vt_irq_pending(&f.t, 1);
	fb_listen(&f.b);
	front_lit(&f);
	assert_int_equal(front_info(&f).losses, 1);
	if (inflight)
		assert_int_equal(f.b.inflight_ino, ino);
	front_echo(&f, 0, 91, 6);
	/* both were told to look: the driver by an interrupt, the backend by its eventfd */
	vt_irq(&f.t, 1);
	front_reset(&f);
	/* the next driver starts with new inflight memory */
	front_driver(&f, features, 64);
	front_lit(&f);
	if (inflight)
		assert_int_not_equal(f.b.inflight_ino, ino);
	front_add(&f, 0, 1);
	front_echo(&f, 0, 1, 1);
	front_down(&f);
}

static void test_outage(void **state)
{
	outage(SPLIT, true);
	outage(SPLIT, false);
	outage(PACKED, true);
	outage(PACKED, false);
	outage(PACKED & ~VIO_F_IN_ORDER, true);
	/* not asked for, but such a backend does so all the same */
	outage(PACKED & ~VIO_F_IN_ORDER, false);
}

/* What cannot be taken up: the driver is told, and its reset mends it. */
static enum fb_act no_inflight(struct fakeback *b, const struct vu_msg *req, struct vu_msg *r)
{
	if (req->h.req != VU_GET_INFLIGHT_FD)
		return FB_ANSWER;
	r->u.inflight.mmap_size = 0;
	sys_close(sys_host(), &r->fd[0]);
	r->nfds = 0;
	return FB_ANSWER;
}

/* A backend that does not promise any order and lacks these protocol features, and a driver. */
static void disorderly_up(struct front *f, uint64_t driver, uint64_t lacks,
			  enum fb_act (*hook)(struct fakeback *, const struct vu_msg *,
					      struct vu_msg *))
{
	front_up(f, &(struct front_cfg){ .late = true, .scale = 10 });
	f->b.features &= ~VIO_F_IN_ORDER;
	f->b.proto &= ~lacks;
	f->b.hook = hook;
	fb_listen(&f->b);
	front_state(f, VU_CONNECTED);
	front_driver(f, driver, 64);
	front_lit(f);
}

static void lost_for_good(uint64_t features, bool disorder)
{
	struct iovec iov[2][4];
	struct vq_chain c[2];
	struct front f;
	uint32_t len;

	disorderly_up(&f, features, 0, no_inflight);
	for (unsigned int i = 0; i < 3; i++)
		front_add(&f, 0, 1 + i);
	if (disorder) {
		for (unsigned int i = 0; i < 2; i++) {
			c[i] = (struct vq_chain){ .iov = iov[i], .cap = 4 };
			assert_true(fb_pop(&f.b, 0, &c[i]));
		}
		fb_push(&f.b, 0, &c[1]);
		assert_ptr_equal(vqd_get(f.t.q[0].d, &len), (void *)2);
	}
	fb_die(&f.b);
	fb_listen(&f.b);
	front_state(&f, VU_NEEDS_RESET);
	assert_true(vt_get(&f.t, VT_STATUS) & 0x40);
	vt_irq(&f.t, 0);
	/* it stays so, whoever comes */
	fb_die(&f.b);
	fb_listen(&f.b);
	while (f.b.conns < 3 || fb_turn(&f.b, 50))
		fb_turn(&f.b, 5);
	assert_int_equal(front_info(&f).state, VU_NEEDS_RESET);
	front_reset(&f);
	front_state(&f, VU_CONNECTED);
	front_driver(&f, features, 64);
	front_lit(&f);
	front_down(&f);
}

static void test_unrecoverable(void **state)
{
	lost_for_good(SPLIT, true);
	lost_for_good(PACKED & ~VIO_F_IN_ORDER, false);
}

/* n packets over packed rings without tables for lists; no inflight memory. */
static void few_packets(struct front *f, unsigned int n)
{
	front_driver(f, VIO_F_VERSION_1 | VIO_F_EVENT_IDX | VIO_F_PACKED, 64);
	front_lit(f);
	for (unsigned int i = 1; i <= n; i++) {
		front_add(f, 0, i);
		front_echo(f, 0, i, 1);
	}
}

static void few_up(struct front *f, unsigned int n)
{
	front_up(f, &(struct front_cfg){ .late = true, .scale = 10 });
	f->b.proto &= ~VU_P(VU_P_INFLIGHT);
	fb_listen(&f->b);
	front_state(f, VU_CONNECTED);
	few_packets(f, n);
}

/*
 * Then the ring does not tell whether the last used element stood for one slot, as each buffer has
 * the id of the one before. What is added while the backend is away does not make it be lost.
 */
static void test_first_packets(void **state)
{
	struct front f;

	for (unsigned int n = 0; n < 20; n++) {
		few_up(&f, n);
		/* twice: one that comes and goes changes nothing */
		for (unsigned int i = 1; i <= 2; i++) {
			fb_die(&f.b);
			front_state(&f, VU_LOST);
			front_add(&f, 0, n + i);
			fb_listen(&f.b);
			front_lit(&f);
		}
		front_echo(&f, 0, n + 1, 2);
		front_down(&f);
	}
}

/* With one of them in the hands of the backend it is lost, until the driver's reset. */
static void test_first_packet_held(void **state)
{
	struct front f;

	few_up(&f, 5);
	front_add(&f, 0, 6);
	fb_die(&f.b);
	fb_listen(&f.b);
	front_state(&f, VU_NEEDS_RESET);
	assert_non_null(strstr(front_info(&f).why, "reset the device"));
	assert_true(vt_get(&f.t, VT_STATUS) & 0x40);
	front_reset(&f);
	few_packets(&f, 5);
	front_down(&f);
}

/* Pops n buffers and pushes them the other way round; the driver takes them. */
static void echo_reversed(struct front *f, uintptr_t first, unsigned int n)
{
	struct iovec iov[8][4];
	struct vq_chain c[8];
	uint32_t len;

	for (unsigned int i = 0; i < n; i++) {
		front_add(f, 0, first + i);
		c[i] = (struct vq_chain){ .iov = iov[i], .cap = 4 };
		assert_true(fb_pop(&f->b, 0, &c[i]));
	}
	while (n--) {
		fb_push(&f->b, 0, &c[n]);
		assert_ptr_equal(vqd_get(f->t.q[0].d, &len), (void *)(first + n));
	}
}

/* Out of order once, but all of that is done: nothing is lost by going on behind it. */
static void test_disorder_of_old(void **state)
{
	static const unsigned int before[] = { 0, 20, 80 }, after[] = { 0, 3, 50 };
	struct front f;

	for (unsigned int n = 0; n < 9; n++) {
		uintptr_t at = 1;

		disorderly_up(&f, SPLIT, VU_P(VU_P_INFLIGHT), NULL);
		assert_false(vt_offered(&f.t) & VIO_F_PACKED);
		for (unsigned int i = 0; i < before[n / 3]; i++, at++) {
			front_add(&f, 0, at);
			front_echo(&f, 0, at, 1);
		}
		echo_reversed(&f, at, 5);
		at += 5;
		for (unsigned int i = 0; i < after[n % 3]; i++, at++) {
			front_add(&f, 0, at);
			front_echo(&f, 0, at, 1);
		}
		front_add(&f, 0, at);
		front_add(&f, 0, at + 1);
		fb_die(&f.b);
		fb_listen(&f.b);
		front_lit(&f);
		front_echo(&f, 0, at, 2);
		front_down(&f);
	}
}

/* The first backend has inflight memory and does things out of order; the next one knows no such
 * memory, and cannot go on. */
static void test_inflight_not_taken_over(void **state)
{
	struct iovec iov[2][4];
	struct vq_chain c[2];
	struct front f;
	uint32_t len;

	disorderly_up(&f, SPLIT, 0, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		front_add(&f, 0, 1 + i);
		c[i] = (struct vq_chain){ .iov = iov[i], .cap = 4 };
		assert_true(fb_pop(&f.b, 0, &c[i]));
	}
	fb_push(&f.b, 0, &c[1]);
	assert_ptr_equal(vqd_get(f.t.q[0].d, &len), (void *)2);
	fb_die(&f.b);
	f.b.proto &= ~VU_P(VU_P_INFLIGHT);
	fb_listen(&f.b);
	front_state(&f, VU_NEEDS_RESET);
	assert_non_null(strstr(front_info(&f).why, "out of order"));
	front_down(&f);
}

/* Inflight memory that a backend in between did not keep up to date is not given to the next. */
static void test_inflight_gets_stale(void **state)
{
	struct iovec iov[4];
	struct front f;
	ino_t ino;

	front_up(&f, &(struct front_cfg){ .scale = 10 });
	front_state(&f, VU_CONNECTED);
	front_driver(&f, SPLIT, 64);
	front_lit(&f);
	ino = f.b.inflight_ino;
	for (unsigned int i = 0; i < 3; i++) {
		struct vq_chain c = { .iov = iov, .cap = 4 };

		front_add(&f, 0, 1 + i);
		assert_true(fb_pop(&f.b, 0, &c));
	}
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	f.b.proto &= ~VU_P(VU_P_INFLIGHT);
	fb_listen(&f.b);
	front_lit(&f);
	front_echo(&f, 0, 1, 3);
	for (unsigned int i = 0; i < 200; i++) {
		front_add(&f, 0, 4 + i);
		front_echo(&f, 0, 4 + i, 1);
	}
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	f.b.proto |= VU_P(VU_P_INFLIGHT);
	fb_listen(&f.b);
	front_lit(&f);
	assert_int_not_equal(f.b.inflight_ino, ino);
	front_add(&f, 0, 204);
	front_echo(&f, 0, 204, 1);
	front_down(&f);
}

static enum fb_act refuse_empty(struct fakeback *b, const struct vu_msg *req, struct vu_msg *r)
{
	return req->h.req == VU_GET_INFLIGHT_FD && !req->u.inflight.qsize ? FB_HANG_UP : FB_ANSWER;
}

/* A driver that sets no queue up is served with none, not over and over again. */
static void test_no_queue(void **state)
{
	struct front f;

	front_up(&f, &(struct front_cfg){ .scale = 10 });
	f.b.hook = refuse_empty;
	front_state(&f, VU_CONNECTED);
	assert_true(vt_negotiate(&f.t, SPLIT));
	vt_driver_ok(&f.t);
	f.want = 0;
	while (f.b.status != 15) {
		fb_turn(&f.b, 2);
		assert_int_equal(f.b.conns, 1);
	}
	front_lit(&f);
	assert_int_equal(front_info(&f).losses, 0);
	front_reset(&f);
	f.want = 2;
	front_driver(&f, SPLIT, 64);
	front_lit(&f);
	front_down(&f);
}

static void test_fewer_features(void **state)
{
	struct front f;

	front_up(&f, &(struct front_cfg){ .scale = 10 });
	front_state(&f, VU_CONNECTED);
	front_driver(&f, PACKED, 64);
	front_lit(&f);
	fb_die(&f.b);
	f.b.features &= ~VIO_F_PACKED;
	fb_listen(&f.b);
	front_state(&f, VU_NEEDS_RESET);
	assert_non_null(strstr(front_info(&f).why, "lacks features 0x400000000"));
	assert_true(vt_get(&f.t, VT_STATUS) & 0x40);
	vt_irq(&f.t, 0);
	front_reset(&f);
	front_state(&f, VU_CONNECTED);
	assert_false(vt_offered(&f.t) & VIO_F_PACKED);
	front_driver(&f, SPLIT, 64);
	front_lit(&f);
	front_add(&f, 1, 5);
	front_echo(&f, 1, 5, 1);
	front_down(&f);
}

/* The control queue is the VMM's: it is the last one, and its pairs become ENABLE messages. */
static void test_pairs(void **state)
{
	struct front f;
	struct iovec v[2];
	uint32_t len;
	uint8_t *cmd, *ack;

	front_up(&f, &(struct front_cfg){ .queues = 3 });
	front_state(&f, VU_CONNECTED);
	assert_int_equal(vt_get(&f.t, VT_NUM_QUEUES), 7);
	assert_int_equal(vt_rd(&f.t, f.t.device + 8, 2), 3);
	front_driver(&f, SPLIT | NET_CTRL, 64);
	front_lit(&f);
	assert_false(f.b.q[6].running);
	cmd = vt_alloc(&f.t, 4);
	ack = vt_alloc(&f.t, 1);
	for (unsigned int n = 0; n < 6; n++) {
		memcpy(cmd, (uint8_t[]){ 4, 0, (uint8_t)n, 0 }, 4);
		*ack = 0xff;
		v[0] = (struct iovec){ cmd, 4 };
		v[1] = (struct iovec){ ack, 1 };
		assert_int_equal(vqd_add(f.t.q[6].d, v, 1, 1, cmd), 0);
		vt_publish(&f.t, 6);
		assert_ptr_equal(vt_get_used(&f.t, 6, &len), cmd);
		assert_int_equal(*ack, n < 1 || n > 3);
		if (n >= 1 && n <= 3)
			f.want = 2 * n;
		front_lit(&f);
	}
	assert_int_equal(f.want, 6);
	/* remembered over an outage, forgotten by a reset */
	fb_hang_up(&f.b);
	front_lit(&f);
	front_reset(&f);
	f.want = 2;
	front_driver(&f, SPLIT | NET_CTRL, 64);
	front_lit(&f);
	front_reset(&f);
	/* A command that is there before the driver says that it is. */
	vt_forget(&f.t);
	assert_true(vt_negotiate(&f.t, SPLIT | NET_CTRL));
	for (unsigned int q = 0; q < 7; q++)
		vt_queue(&f.t, q, 64, SPLIT | NET_CTRL);
	cmd = vt_alloc(&f.t, 4);
	ack = vt_alloc(&f.t, 1);
	memcpy(cmd, (uint8_t[]){ 4, 0, 2, 0 }, 4);
	v[0].iov_base = cmd;
	v[1].iov_base = ack;
	assert_int_equal(vqd_add(f.t.q[6].d, v, 1, 1, cmd), 0);
	assert_true(vqd_publish(f.t.q[6].d));
	vt_driver_ok(&f.t);
	f.want = 4;
	front_lit(&f);
	assert_ptr_equal(vt_get_used(&f.t, 6, &len), cmd);
	assert_int_equal(*ack, 0);
	front_down(&f);
}

/* A vector that changes while the queue runs. */
static void test_call_changed(void **state)
{
	struct front f;
	unsigned int msgs;

	front_up(&f, &(struct front_cfg){ 0 });
	front_state(&f, VU_CONNECTED);
	front_driver(&f, SPLIT, 64);
	front_lit(&f);
	msgs = f.b.msgs;
	vt_set(&f.t, VT_QSEL, 1);
	vt_set(&f.t, VT_QVEC, 0xffff);
	while (f.b.msgs == msgs)
		fb_turn(&f.b, 2);
	assert_int_equal(f.b.q[1].call, -1);
	vt_set(&f.t, VT_QVEC, 1);
	while (f.b.msgs == msgs + 1)
		fb_turn(&f.b, 2);
	front_add(&f, 1, 3);
	front_echo(&f, 1, 3, 1);
	vt_irq(&f.t, 1);
	front_down(&f);
}

static void test_reset_while_away(void **state)
{
	struct front f;

	front_up(&f, &(struct front_cfg){ .scale = 10 });
	front_state(&f, VU_CONNECTED);
	front_driver(&f, SPLIT, 64);
	front_lit(&f);
	fb_die(&f.b);
	front_state(&f, VU_LOST);
	vt_set(&f.t, VT_STATUS, 0);
	assert_int_equal(vt_get(&f.t, VT_STATUS), 0); /* at once */
	front_driver(&f, SPLIT, 64);
	front_add(&f, 0, 9);
	fb_listen(&f.b);
	front_lit(&f);
	front_echo(&f, 0, 9, 1);
	/* and with a backend that does not answer any more: nothing hangs */
	front_down(&f);
}

static void test_probe(void **state)
{
	struct front f;
	struct err e = { 0 };
	uint64_t has;

	front_up(&f, &(struct front_cfg){ .server = true });
	assert_int_equal(vu_probe(sys_host(), "/nonexistent/x", true, false, &has, &e), -ENOENT);
	assert_int_equal(vu_probe(sys_host(), f.b.path, true, false, &has, &e), 0);
	assert_int_equal(vu_probe(sys_host(), "/nonexistent/x", false, false, &has, &e), -ENOENT);
	assert_non_null(strstr(e.text, "start it"));
	/* the port itself listens there, and asks instead of answering */
	assert_int_equal(vu_probe(sys_host(), f.b.path, false, false, &has, &e), -EPROTO);
	front_down(&f);
	/* busy with another front end */
	front_up(&f, &(struct front_cfg){ 0 });
	front_state(&f, VU_CONNECTED);
	assert_int_equal(vu_probe(sys_host(), f.b.path, false, false, &has, &e), -ETIMEDOUT);
	front_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_plain_backend),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_outage),
		cmocka_unit_test(test_unrecoverable),
		cmocka_unit_test(test_first_packets),
		cmocka_unit_test(test_first_packet_held),
		cmocka_unit_test(test_disorder_of_old),
		cmocka_unit_test(test_inflight_not_taken_over),
		cmocka_unit_test(test_inflight_gets_stale),
		cmocka_unit_test(test_no_queue),
		cmocka_unit_test(test_fewer_features),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_call_changed),
		cmocka_unit_test(test_reset_while_away),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
