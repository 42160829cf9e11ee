// SPDX-License-Identifier: BSD-3-Clause
/*
 * A backend that does something wrong at one message, for every message there is and every wrong
 * thing: the port gives the connection up, makes it again, and serves its driver as if nothing had
 * been. What is left open is counted at the end of each test.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sys/eventfd.h>
#include "tests/unit/wire/fronttest.h"

#define FEATURES (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX)

enum wrong {
	HANG_UP,   /* before the answer */
	SILENCE,   /* for longer than it is waited for */
	SHORT,	   /* a byte less */
	LONG,	   /* a byte more */
	HUGE_SIZE, /* a size without the bytes */
	FD,	   /* a descriptor too many */
	OTHER,	   /* the reply to something else */
	REQUEST,   /* not marked as a reply */
	VERSION,
	VALUE, /* refused; another queue; nonsense */
	TWICE,
	UNASKED, /* an answer to what wants none */
	WRONGS
};

struct fault {
	unsigned int at; /* message of the first connection(s), 0: never */
	enum wrong what;
	unsigned int seen;
	bool done, has_answer;
};

static bool value(struct vu_msg *r)
{
	switch (r->h.req) {
	case VU_GET_FEATURES:
		r->u.u64 &= ~VIO_F_VERSION_1;
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		r->u.u64 = 0; /* a disk needs one */
		return true;
	case VU_GET_QUEUE_NUM:
		r->u.u64 = 1;
		return true;
	case VU_GET_MAX_MEM_SLOTS:
	case VU_GET_STATUS:
		r->u.u64 = 0;
		return true;
	case VU_GET_CONFIG:
		r->u.cfg.size = 59;
		r->h.size--;
		return true;
	case VU_GET_INFLIGHT_FD:
		r->u.inflight.mmap_size = 1ull << 40;
		return true;
	case VU_GET_VRING_BASE:
		r->u.vring.index ^= 1;
		return true;
	default:
		r->u.u64 = 5;
		return true;
	}
}

static enum fb_act spoil(struct fakeback *f, struct fault *x, struct vu_msg *r)
{
	switch (x->what) {
	case HANG_UP:
		return FB_HANG_UP;
	case SILENCE:
		return FB_SILENT;
	case SHORT:
		r->h.size--;
		break;
	case LONG:
		r->h.size++;
		break;
	case HUGE_SIZE: {
		struct vu_hdr h = { r->h.req, r->h.flags, 0xfffffff0 };

		(void)!write(f->k.fd, &h, sizeof(h));
		return FB_SILENT;
	}
	case FD:
		r->fd[r->nfds++] = eventfd(0, EFD_CLOEXEC);
		break;
	case OTHER:
		r->h.req = r->h.req == VU_SET_FEATURES ? VU_SET_OWNER : VU_SET_FEATURES;
		r->h.size = 8;
		break;
	case REQUEST:
		r->h.flags &= ~VU_REPLY;
		break;
	case VERSION:
		r->h.flags ^= 3;
		break;
	case VALUE:
		return value(r) ? FB_ANSWER : FB_HANG_UP;
	case TWICE:
		(void)!vu_sock_send(&f->k, r);
		break;
	case UNASKED:
	case WRONGS:
		break;
	}
	return FB_ANSWER;
}

static enum fb_act hook(struct fakeback *f, const struct vu_msg *req, struct vu_msg *r)
{
	struct fault *x = f->arg;
	bool answers = r->h.flags;

	if (x->done || ++x->seen != x->at)
		return FB_ANSWER;
	x->done = true;
	x->has_answer = answers;
	if (answers)
		return spoil(f, x, r);
	/* Nothing is to be answered: only these make a difference. */
	if (x->what == UNASKED) {
		r->h.flags = VU_VERSION | VU_REPLY;
		r->h.size = 8;
		return FB_ANSWER;
	}
	return x->what == HANG_UP ? FB_HANG_UP : FB_ANSWER;
}

static bool faulted(void *arg)
{
	return ((struct fault *)((struct front *)arg)->b.arg)->done;
}

/* The whole of a life: start with a fault somewhere, data, reset. False: the fault did not come. */
static bool life(const struct front_cfg *c, uint64_t proto, struct fault *x, bool at_stop)
{
	struct front f;

	front_up(&f, c);
	f.b.proto &= proto;
	f.b.arg = x;
	if (!at_stop)
		f.b.hook = hook;
	fb_listen(&f.b);
	front_driver(&f, FEATURES, 64);
	front_add(&f, 1, 42);
	front_rings(&f);
	front_echo(&f, 1, 42, 1);
	f.b.hook = hook;
	front_reset(&f);
	f.b.hook = NULL;
	assert_int_equal(vt_get(&f.t, VT_STATUS), 0);
	/* and again */
	front_driver(&f, FEATURES, 64);
	front_add(&f, 0, 43);
	front_rings(&f);
	front_echo(&f, 0, 43, 1);
	if (x->done && x->what == HANG_UP)
		assert_true(f.b.conns >= 2);
	fb_die(&f.b); /* or the end would wait for its answer */
	front_down(&f);
	return faulted(&f);
}

static void sweep(const struct front_cfg *c, uint64_t proto, bool at_stop)
{
	for (enum wrong w = 0; w < WRONGS; w++) {
		struct fault x = { .what = w };
		unsigned int n = 0;

		do {
			x = (struct fault){ .at = ++n, .what = w };
		} while (life(c, proto, &x, at_stop));
		assert_true(n > (at_stop ? 3 : 15));
	}
}

/* Silence is waited for: time runs so fast that a limit of 5 s is 25 ms. */
static const struct front_cfg disk = { .disk = true, .queues = 2, .late = true, .scale = 200 };
static const struct front_cfg net = { .queues = 1, .late = true, .scale = 200 };

static void test_faults_disk(void **state)
{
	sweep(&disk, UINT64_MAX, false);
}

static void test_faults_net(void **state)
{
	sweep(&net, ~(VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_MEM_SLOTS)), false);
}

static void test_faults_stop(void **state)
{
	sweep(&disk, UINT64_MAX, true);
	sweep(&net, ~VU_P(VU_P_REPLY_ACK), true);
}

/* A backend that takes its time is no fault. */
static void test_slow(void **state)
{
	struct fault x = { 0 };
	struct front f;

	front_up(&f, &(struct front_cfg){ .scale = 1 });
	f.b.arg = &x;
	front_driver(&f, FEATURES, 64);
	/* every answer takes a while: still one connection */
	while (!fb_ready(&f.b, 2)) {
		usleep(2000);
		fb_turn(&f.b, 0);
	}
	front_lit(&f);
	assert_int_equal(f.b.conns, 1);
	front_down(&f);
}

/* ---- the kernel refuses: nothing is left open, whichever call it was ---- */

static int nth(struct sys *s)
{
	struct fastsys *f = container_of(s, struct fastsys, sys);
	unsigned int left = atomic_load(&f->fail_in);

	return left && atomic_fetch_sub(&f->fail_in, 1) == 1 ? -EMFILE : 0;
}

static int nth_eventfd(struct sys *s, unsigned int init, int flags)
{
	int rc = nth(s);

	return rc ? rc : sys_eventfd(sys_host(), init, flags);
}

static int nth_epoll_ctl(struct sys *s, int epfd, int op, int fd, struct epoll_event *ev)
{
	int rc = op == EPOLL_CTL_DEL ? 0 : nth(s);

	return rc ? rc : sys_epoll_ctl(sys_host(), epfd, op, fd, ev);
}

static int nth_socket(struct sys *s, int domain, int type, int proto)
{
	int rc = nth(s);

	return rc ? rc : sys_socket(sys_host(), domain, type, proto);
}

static int nth_bind(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	int rc = nth(s);

	return rc ? rc : sys_bind(sys_host(), fd, a, len);
}

static int nth_listen(struct sys *s, int fd, int backlog)
{
	int rc = nth(s);

	return rc ? rc : sys_listen(sys_host(), fd, backlog);
}

static int nth_connect(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	int rc = nth(s);

	return rc ? rc : sys_connect(sys_host(), fd, a, len);
}

static ssize_t nth_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	int rc = nth(s);

	return rc ? rc : sys_sendmsg(sys_host(), fd, m, flags);
}

static ssize_t nth_recvmsg(struct sys *s, int fd, struct msghdr *m, int flags)
{
	int rc = nth(s);

	return rc ? rc : sys_recvmsg(sys_host(), fd, m, flags);
}

static void failing(struct front *f)
{
	struct sys_ops *o = &f->fast.ops;

	o->eventfd = nth_eventfd;
	o->epoll_ctl = nth_epoll_ctl;
	o->socket = nth_socket;
	o->bind = nth_bind;
	o->listen = nth_listen;
	o->connect = nth_connect;
	o->sendmsg = nth_sendmsg;
	o->recvmsg = nth_recvmsg;
}

/* A port that listens either comes up or says why not. */
static void test_fail_new(void **state)
{
	struct front f;
	unsigned int n = 0;
	int rc;

	do {
		struct err e = { 0 };

		rc = front_try(&f, &(struct front_cfg){ .server = true }, failing, ++n, &e);
		if (rc) {
			assert_int_equal(rc, -EMFILE);
			assert_true(e.text[0]);
			continue;
		}
		front_down(&f);
	} while (rc);
	assert_true(n > 4);
}

/* One that connects is up whatever fails on the way there: it tries again. */
static void test_fail_connect(void **state)
{
	for (unsigned int n = 1; n < 60; n++) {
		struct err e = { 0 };
		struct front f;
		int rc = front_try(&f, &(struct front_cfg){ .scale = 100 }, failing, n, &e);

		if (rc)
			continue;
		front_driver(&f, FEATURES, 64);
		front_add(&f, 0, 7);
		front_rings(&f);
		front_echo(&f, 0, 7, 1);
		fb_die(&f.b);
		front_down(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults_disk), cmocka_unit_test(test_faults_net),
		cmocka_unit_test(test_faults_stop), cmocka_unit_test(test_slow),
		cmocka_unit_test(test_fail_new),    cmocka_unit_test(test_fail_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
