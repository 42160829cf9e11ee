// SPDX-License-Identifier: BSD-3-Clause
/* The end of an emulated card's wire on a vhost-user back end that comes, goes, and lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/fake/hostsys.h"
#include "tests/unit/fake/openfds.h"
#include "tests/unit/wire/fakeback.h"
#include "virtio/vu_end.h"

#define HDR   12u
#define SLOTS 256u
#define ACKED (VIO_F_VERSION_1 | VU_END_NEEDS)

struct rig {
	char dir[32], path[64];
	unsigned int fds;
	struct hostsys h;
	struct vm_iothread *io;
	struct net_end *end;
	struct fakeback b;
	atomic_uint calls;
	/* of a call on the I/O thread */
	uint8_t buf[70000];
	size_t len;
	ssize_t ret;
	bool want;
};

static int make(struct rig *r, bool server, struct err *e)
{
	struct vu_end_cfg c = { .socket = r->path, .server = server, .io = r->io };

	return vu_end_new(&r->h.sys, "net0", &c, &r->end, e);
}

static void prepare(struct rig *r)
{
	struct err e = { 0 };

	memset(r, 0, sizeof(*r));
	r->fds = openfds();
	hostsys_init(&r->h);
	strcpy(r->dir, "/tmp/sluice-end.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	fb_init(&r->b, r->path);
	r->b.features |= ACKED;
	assert_int_equal(vm_iothread_new(sys_host(), "io", &r->io, &e), 0);
}

static void on_frame(void *arg)
{
	atomic_fetch_add(&((struct rig *)arg)->calls, 1);
}

static void do_start(void *arg)
{
	struct rig *r = arg;

	assert_int_equal(r->end->ops->start(r->end, vm_iothread_ev(r->io), on_frame, r), 0);
}

static void do_stop(void *arg)
{
	struct rig *r = arg;

	r->end->ops->stop(r->end);
}

static void do_send(void *arg)
{
	struct rig *r = arg;

	r->ret = r->end->ops->send(r->end, r->buf, r->len);
	net_end_flush(r->end);
}

static void do_recv(void *arg)
{
	struct rig *r = arg;

	r->ret = r->end->ops->recv(r->end, r->buf, sizeof(r->buf));
	net_end_flush(r->end);
}

static void do_want(void *arg)
{
	struct rig *r = arg;

	assert_int_equal(r->end->ops->want(r->end, r->want), 0);
}

static void want(struct rig *r, bool on)
{
	r->want = on;
	vm_iothread_call(r->io, do_want, r);
}

static ssize_t give(struct rig *r, uint8_t fill, size_t len)
{
	memset(r->buf, fill, len);
	r->len = len;
	vm_iothread_call(r->io, do_send, r);
	return r->ret;
}

static ssize_t take(struct rig *r)
{
	vm_iothread_call(r->io, do_recv, r);
	return r->ret;
}

static struct vu_dev_info info(struct rig *r)
{
	struct vu_dev_info i;

	vu_end_info(r->end, &i);
	return i;
}

static bool is_lit(void *arg)
{
	struct rig *r = arg;

	return info(r).state == VU_CONNECTED && fb_ready(&r->b, 2);
}

static bool is_lost(void *arg)
{
	return info(arg).state == VU_LOST;
}

static bool is_refused(void *arg)
{
	return info(arg).state == VU_NEEDS_RESET;
}

/* Until the rings are up, and all that is said then was answered. */
static void lit(struct rig *r)
{
	fb_run(&r->b, is_lit, r);
	while (fb_turn(&r->b, 20))
		;
}

static void go(struct rig *r, bool server)
{
	struct err e = { 0 };

	if (!server)
		fb_listen(&r->b);
	assert_int_equal(make(r, server, &e), 0);
	vm_iothread_call(r->io, do_start, r);
	if (server)
		fb_connect(&r->b);
	lit(r);
}

static void up(struct rig *r, bool server)
{
	prepare(r);
	go(r, server);
}

static void down(struct rig *r)
{
	if (r->end)
		vm_iothread_call(r->io, do_stop, r);
	net_end_free(r->end);
	vm_iothread_free(r->io);
	fb_die(&r->b);
	assert_int_equal(rmdir(r->dir), 0);
	assert_int_equal(r->h.maps, 0);
	assert_int_equal(openfds(), r->fds);
}

/* The back end takes a frame of the card. */
static void back_takes(struct rig *r, uint8_t fill, size_t len)
{
	struct iovec iov[2];
	struct vq_chain c = { .iov = iov, .cap = 2 };

	assert_true(fb_pop(&r->b, 1, &c));
	assert_int_equal(c.nin, 0);
	assert_int_equal(c.out_len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((uint8_t *)iov[0].iov_base)[i], fill);
	fb_push(&r->b, 1, &c);
}

/* The back end has a frame for the card, and says that it is said long. */
static void back_gives(struct rig *r, uint8_t fill, size_t len, uint32_t said)
{
	static const uint64_t one = 1;
	struct iovec iov[2];
	struct vq_chain c = { .iov = iov, .cap = 2 };
	struct fb_queue *q = &r->b.q[0];

	assert_true(fb_pop(&r->b, 0, &c));
	assert_int_equal(c.nout, 0);
	memset(iov[0].iov_base, fill, len);
	vq_push(&q->vq, &c, said);
	if (vq_publish(&q->vq))
		assert_int_equal(write(q->call, &one, sizeof(one)), sizeof(one));
}

static void both_ways(struct rig *r)
{
	for (unsigned int i = 0; i < 3 * SLOTS; i++) {
		size_t len = HDR + 60 + 61 * i % 65000;

		assert_int_equal(give(r, (uint8_t)i, len), len);
		back_takes(r, (uint8_t)i, len);
		len = HDR + 60 + 61 * i % 16000;
		back_gives(r, (uint8_t)~i, len, (uint32_t)len);
		assert_int_equal(take(r), len);
		assert_int_equal(r->buf[0], (uint8_t)~i);
		assert_int_equal(r->buf[len - 1], (uint8_t)~i);
	}
	assert_int_equal(take(r), -EAGAIN);
}

static void test_frames(void **state)
{
	struct rig r;

	for (int server = 0; server < 2; server++) {
		up(&r, server);
		assert_int_equal(r.b.acked & ~VU_F_PROTOCOL, ACKED);
		assert_int_equal(r.b.nregions, 1);
		both_ways(&r);
		down(&r);
	}
}

/* A back end that has nothing of what is optional. */
static void test_plain(void **state)
{
	struct err e = { 0 };
	struct rig r;

	prepare(&r);
	r.b.proto = 0;
	r.b.features = ACKED | VU_F_PROTOCOL;
	assert_int_equal(make(&r, false, &e), 0);
	assert_int_equal(give(&r, 1, 100), -ENETDOWN);
	assert_int_equal(take(&r), -EAGAIN);
	vm_iothread_call(r.io, do_start, &r);
	fb_listen(&r.b);
	lit(&r);
	both_ways(&r);
	down(&r);
}

static void wait_calls(struct rig *r, unsigned int n)
{
	while (atomic_load(&r->calls) < n)
		usleep(1000);
}

/* Told of frames only while they are wanted, and then also of those that were there before. */
static void test_want(void **state)
{
	struct rig r;
	unsigned int n;

	up(&r, false);
	back_gives(&r, 1, 100, 100);
	assert_int_equal(atomic_load(&r.calls), 0);
	want(&r, true);
	wait_calls(&r, 1);
	assert_int_equal(take(&r), 100);
	n = atomic_load(&r.calls);
	back_gives(&r, 2, 100, 100);
	wait_calls(&r, n + 1);
	want(&r, false);
	n = atomic_load(&r.calls);
	back_gives(&r, 3, 100, 100);
	assert_int_equal(take(&r), 100);
	assert_int_equal(take(&r), 100);
	assert_int_equal(atomic_load(&r.calls), n);
	down(&r);
}

/* A ring that nobody empties: frames get lost, and then go again. */
static void test_full(void **state)
{
	struct rig r;

	up(&r, false);
	for (unsigned int i = 0; i < SLOTS; i++)
		assert_int_equal(give(&r, (uint8_t)i, 100), 100);
	assert_int_equal(give(&r, 0, 100), -EAGAIN);
	assert_int_equal(give(&r, 0, sizeof(r.buf)), -EMSGSIZE);
	back_takes(&r, 0, 100);
	assert_int_equal(give(&r, 9, 100), 100);
	for (unsigned int i = 1; i < SLOTS; i++)
		back_takes(&r, (uint8_t)i, 100);
	back_takes(&r, 9, 100);
	down(&r);
}

/* Frames under way when the back end dies are lost; the next one begins with new rings, even if the
 * first had inflight memory. */
static void test_outage(void **state)
{
	struct iovec iov[2];
	struct vq_chain c = { .iov = iov, .cap = 2 };
	struct rig r;

	up(&r, false);
	for (unsigned int i = 0; i < 4; i++) {
		both_ways(&r);
		assert_int_equal(give(&r, 1, 100), 100);
		assert_true(fb_pop(&r.b, 1, &c));
		assert_true(fb_pop(&r.b, 0, &c));
		fb_die(&r.b);
		fb_run(&r.b, is_lost, &r);
		assert_int_equal(give(&r, 1, 100), -ENETDOWN);
		(void)take(&r);
		fb_listen(&r.b);
		lit(&r);
		assert_int_equal(r.b.q[0].base, 0);
		assert_int_equal(r.b.q[1].base, 0);
	}
	assert_int_equal(info(&r).losses, 4);
	down(&r);
}

static void test_lacks(void **state)
{
	struct err e = { 0 };
	uint64_t all;
	struct rig r;

	prepare(&r);
	all = r.b.features;
	r.b.features &= ~VIO_F(11);
	fb_listen(&r.b);
	assert_int_equal(make(&r, false, &e), 0);
	fb_run(&r.b, is_refused, &r);
	assert_non_null(strstr(info(&r).why, "lacks features 0x800"));
	assert_true(fb_ready(&r.b, 0));
	assert_int_equal(give(&r, 1, 100), -ENETDOWN);
	fb_die(&r.b);
	r.b.features = all;
	vm_iothread_call(r.io, do_start, &r);
	fb_listen(&r.b);
	lit(&r);
	both_ways(&r);
	down(&r);
}

/* Lengths that cannot be, ids that were never given, buffers given back twice. */
static void test_lies(void **state)
{
	static const uint32_t said[] = { 0, 1, HDR, HDR + 13, 1u << 15, 1u << 31, UINT32_MAX };
	struct vq_chain c = { .id = 7 };
	struct fb_queue *q;
	struct rig r;

	prepare(&r);
	r.b.proto &= ~VU_P(VU_P_INFLIGHT); /* the liar's own would stop it */
	go(&r, false);
	for (unsigned int i = 0; i < 100 * ARRAY_SIZE(said); i++) {
		back_gives(&r, 1, 100, said[i % ARRAY_SIZE(said)]);
		assert_int_equal(take(&r), -EAGAIN);
	}
	both_ways(&r);
	/* more at once than there are: each buffer comes once */
	q = &r.b.q[0];
	for (unsigned int i = 0; i < 3; i++)
		vq_push(&q->vq, &c, 100);
	(void)!vq_publish(&q->vq);
	assert_int_equal(take(&r), 100);
	for (unsigned int i = 0; i < 10; i++)
		(void)take(&r);
	/* beyond the ring: no more comes of it, until the back end begins anew */
	c.id = 60000;
	vq_push(&q->vq, &c, 100);
	c.id = 3;
	vq_push(&r.b.q[1].vq, &c, 0);
	(void)!vq_publish(&q->vq);
	(void)!vq_publish(&r.b.q[1].vq);
	assert_int_equal(take(&r), -EAGAIN);
	for (unsigned int i = 0; i < 2 * SLOTS; i++)
		(void)give(&r, 1, 100);
	fb_hang_up(&r.b);
	fb_run(&r.b, is_lost, &r);
	lit(&r);
	both_ways(&r);
	down(&r);
}

/* The kernel refuses at each call of the making: nothing stays. */
static void test_failures(void **state)
{
	struct rig r;
	unsigned int n = 0;
	int rc;

	do {
		struct err e = { 0 };

		prepare(&r);
		hostsys_fail_nth(&r.h, ++n, -EMFILE);
		rc = make(&r, true, &e);
		if (rc) {
			assert_int_equal(rc, -EMFILE);
			assert_true(e.text[0]);
			r.end = NULL;
		}
		hostsys_fail_nth(&r.h, 0, 0);
		down(&r);
	} while (rc);
	assert_true(n > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames), cmocka_unit_test(test_plain),
		cmocka_unit_test(test_want),   cmocka_unit_test(test_full),
		cmocka_unit_test(test_outage), cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_lies),   cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
