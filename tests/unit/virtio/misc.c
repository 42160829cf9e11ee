// SPDX-License-Identifier: BSD-3-Clause
/* The entropy device and the console, served by a real I/O thread, driven by rings in guest RAM. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/virtio/viotest.h"
#include "virtio/misc.h"

#define BASE VIO_F_VERSION_1

static const uint64_t flavours[] = {
	BASE,
	BASE | VIO_F_EVENT_IDX,
	BASE | VIO_F_INDIRECT | VIO_F_EVENT_IDX,
	BASE | VIO_F_PACKED,
	BASE | VIO_F_PACKED | VIO_F_EVENT_IDX,
	BASE | VIO_F_PACKED | VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_RING_RESET,
};

struct rig {
	struct viotest t;
	struct vm_iothread *io;
	int in, out; /* the host's ends: in is read by the test */
};

static void rng_up(struct rig *r)
{
	struct vm_dev *d;

	vt_machine(&r->t, false);
	assert_int_equal(vm_iothread_new(sys_host(), "io0", &r->io, NULL), 0);
	assert_int_equal(vio_rng_new(sys_host(), "rng0", r->io, 0, &d, NULL), 0);
	assert_int_equal(vt_add(&r->t, d, NULL), 0);
	r->in = r->out = -1;
}

static void con_up(struct rig *r)
{
	int to[2], from[2];
	struct vm_dev *d;

	vt_machine(&r->t, false);
	assert_int_equal(pipe2(to, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC | O_NONBLOCK), 0);
	r->in = from[0];
	r->out = to[1];
	assert_int_equal(vm_iothread_new(sys_host(), "io0", &r->io, NULL), 0);
	assert_int_equal(vio_console_new(sys_host(), "con0", r->io, to[0], from[1], 0, &d, NULL),
			 0);
	assert_int_equal(vt_add(&r->t, d, NULL), 0);
}

static void rig_down(struct rig *r)
{
	vt_down(&r->t);
	vm_iothread_free(r->io);
	if (r->in >= 0)
		close(r->in);
	if (r->out >= 0)
		close(r->out);
}

/* A buffer of pieces bytes each. */
static void add(struct rig *r, unsigned int q, void *p, unsigned int pieces, size_t each, bool in)
{
	struct iovec iov[8];

	for (unsigned int i = 0; i < pieces; i++)
		iov[i] = (struct iovec){ (uint8_t *)p + i * each, each };
	assert_int_equal(vqd_add(r->t.q[q].d, iov, in ? 0 : pieces, in ? pieces : 0, p), 0);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static void nothing(void *arg)
{
}

/* The thread has looked at everything that was there before. */
static void settle(struct rig *r)
{
	for (unsigned int i = 0; i < 3; i++)
		vm_iothread_call(r->io, nothing, NULL);
}

/* ---- entropy ---- */

static void rng_rounds(struct rig *r, unsigned int rounds)
{
	const size_t each = 512;
	uint8_t *p[4];
	uint32_t len;

	for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = vt_alloc(&r->t, 4096);
	for (unsigned int k = 0; k < rounds; k++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
			add(r, 0, memset(p[i], 0, 4 * each), 3, each, true);
		vt_publish(&r->t, 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(p); i++) {
			uint8_t *got = vt_get_used(&r->t, 0, &len);

			assert_non_null(got);
			assert_int_equal(len, 3 * each);
			for (unsigned int n = 0; n < 3; n++)
				assert_false(all_zero(got + n * each, 64));
			assert_true(all_zero(got + 3 * each, each));
		}
	}
}

static void test_rng(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(flavours); i++) {
		struct rig r;

		rng_up(&r);
		vt_up(&r.t, flavours[i], 64);
		rng_rounds(&r, 50);
		/* The driver goes and another comes, whatever is in the ring. */
		add(&r, 0, vt_alloc(&r.t, 4096), 1, 4096, true);
		vt_publish(&r.t, 0);
		vt_set(&r.t, VT_STATUS, 0);
		assert_int_equal(vt_get(&r.t, VT_STATUS), 0);
		vt_forget(&r.t);
		vt_up(&r.t, flavours[i], 16);
		rng_rounds(&r, 2);
		rig_down(&r);
	}
}

static void test_rng_sizes(void **state)
{
	struct rig r;
	uint32_t len;
	uint8_t *p;

	rng_up(&r);
	vt_up(&r.t, flavours[0], 16);
	p = vt_alloc(&r.t, MIB(1));
	add(&r, 0, p, 4, KIB(48), true); /* 192 KiB: bounded */
	vt_publish(&r.t, 0);
	assert_non_null(vt_get_used(&r.t, 0, &len));
	assert_int_equal(len, KIB(64));
	assert_false(all_zero(p + KIB(64) - 64, 64));
	assert_true(all_zero(p + KIB(64), KIB(128)));
	add(&r, 0, p, 1, 16, false); /* nothing to fill */
	add(&r, 0, p, 1, 1, true);
	vt_publish(&r.t, 0);
	assert_non_null(vt_get_used(&r.t, 0, &len));
	assert_int_equal(len, 0);
	assert_non_null(vt_get_used(&r.t, 0, &len));
	assert_int_equal(len, 1);
	rig_down(&r);
}

/* The ring is nonsense: NEEDS_RESET, an interrupt, and after a reset all is well. */
static void test_rng_broken(void **state)
{
	struct rig r;
	struct vq_cfg at;
	struct vio_info i;

	rng_up(&r);
	vt_up(&r.t, flavours[0], 16);
	vqd_addrs(r.t.q[0].d, &at);
	memset(vm_mem_ptr(&r.t.vm->mem, at.driver + 2, 2), 0xee, 2); /* avail index */
	vt_kick(&r.t, 0);
	vt_irq(&r.t, 0);
	assert_int_equal(vt_get(&r.t, VT_STATUS), 0x4f);
	vio_info(r.t.v, &i);
	assert_non_null(i.why);
	vt_kick(&r.t, 0); /* nobody listens */
	vt_set(&r.t, VT_STATUS, 0);
	vt_forget(&r.t);
	vt_up(&r.t, flavours[0], 16);
	rng_rounds(&r, 1);
	rig_down(&r);
}

/* While paused nothing of the guest's memory changes; buffers of before and meanwhile come after.
 */
static void test_rng_pause(void **state)
{
	struct rig r;
	uint8_t *p;
	uint32_t len;

	rng_up(&r);
	vt_up(&r.t, flavours[3], 16);
	rng_rounds(&r, 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(vio_dev_ops.quiesce(r.t.dev, true), 0);
		p = vt_alloc(&r.t, 4096);
		add(&r, 0, p, 1, 256, true);
		vt_publish(&r.t, 0);
		settle(&r);
		assert_true(all_zero(p, 256));
		assert_null(vqd_get(r.t.q[0].d, &len));
		assert_int_equal(vio_dev_ops.quiesce(r.t.dev, false), 0);
		assert_ptr_equal(vt_get_used(&r.t, 0, &len), p);
		assert_false(all_zero(p, 256));
	}
	/* Reset while paused. */
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, true), 0);
	vt_set(&r.t, VT_STATUS, 0);
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, false), 0);
	vt_forget(&r.t);
	vt_up(&r.t, flavours[3], 16);
	rng_rounds(&r, 1);
	rig_down(&r);
}

static void test_rng_queue_reset(void **state)
{
	const uint64_t f = flavours[ARRAY_SIZE(flavours) - 1];
	struct rig r;

	rng_up(&r);
	vt_up(&r.t, f, 16);
	for (unsigned int i = 0; i < 5; i++) {
		rng_rounds(&r, 2);
		vt_set(&r.t, VT_QSEL, 0);
		vt_set(&r.t, VT_QRESET, 1);
		assert_int_equal(vt_get(&r.t, VT_QRESET), 0);
		vt_queue(&r.t, 0, 32, f);
	}
	rng_rounds(&r, 2);
	rig_down(&r);
}

/* ---- console ---- */

static void read_all(int fd, uint8_t *p, size_t n)
{
	while (n) {
		struct pollfd w = { .fd = fd, .events = POLLIN };
		ssize_t got;

		assert_int_equal(poll(&w, 1, 20000), 1);
		got = read(fd, p, n);
		assert_true(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

static void test_console(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(flavours); i++) {
		uint8_t *p, got[3 * 700];
		struct rig r;
		uint32_t len;

		con_up(&r);
		vt_up(&r.t, flavours[i], 16);
		assert_int_equal(vt_rd(&r.t, r.t.device, 8), 0);
		p = vt_alloc(&r.t, sizeof(got));
		for (unsigned int k = 0; k < sizeof(got); k++)
			p[k] = (uint8_t)(k * 7);
		add(&r, 1, p, 3, 700, false);
		vt_publish(&r.t, 1);
		assert_ptr_equal(vt_get_used(&r.t, 1, &len), p);
		assert_int_equal(len, 0);
		read_all(r.in, got, sizeof(got));
		assert_memory_equal(got, p, sizeof(got));

		/* Input before there is a buffer, and after. */
		assert_int_equal(write(r.out, "hello", 5), 5);
		p = vt_alloc(&r.t, 4096);
		add(&r, 0, p, 2, 2048, true);
		vt_publish(&r.t, 0);
		assert_ptr_equal(vt_get_used(&r.t, 0, &len), p);
		assert_int_equal(len, 5);
		assert_memory_equal(p, "hello", 5);
		add(&r, 0, p, 2, 3, true);
		vt_publish(&r.t, 0);
		settle(&r); /* it waits for the host now */
		assert_int_equal(write(r.out, "world", 5), 5);
		assert_ptr_equal(vt_get_used(&r.t, 0, &len), p);
		assert_int_equal(len, 5);
		assert_memory_equal(p, "world", 5);
		rig_down(&r);
	}
}

/* What waits for the host wakes up while the machine is paused: it must not serve. */
static void test_console_pause(void **state)
{
	struct rig r;
	uint32_t len;
	uint8_t *p;

	con_up(&r);
	vt_up(&r.t, flavours[1], 16);
	p = vt_alloc(&r.t, 4096);
	add(&r, 0, p, 1, 64, true);
	vt_publish(&r.t, 0);
	settle(&r);
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, true), 0);
	assert_int_equal(write(r.out, "later", 5), 5);
	settle(&r);
	assert_true(all_zero(p, 64));
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, false), 0);
	assert_ptr_equal(vt_get_used(&r.t, 0, &len), p);
	assert_memory_equal(p, "later", 5);
	rig_down(&r);
}

/* More than the pipe takes: the rest waits in the ring, and nothing is lost. */
static void test_console_full(void **state)
{
	const size_t each = KIB(32), n = 8;
	uint8_t *p, *got = malloc(each * n);
	unsigned int done = 0;
	struct rig r;
	uint32_t len;

	assert_non_null(got);
	con_up(&r);
	vt_up(&r.t, flavours[1], 16);
	p = vt_alloc(&r.t, each * n);
	for (size_t k = 0; k < each * n; k++)
		p[k] = (uint8_t)(k * 31 >> 3);
	for (unsigned int i = 0; i < n; i++)
		add(&r, 1, p + i * each, 1, each, false);
	vt_publish(&r.t, 1);
	vt_irq(&r.t, 2); /* the first is out */
	while (vqd_get(r.t.q[1].d, &len))
		done++;
	assert_in_range(done, 1, n - 1);
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, true), 0);
	assert_int_equal(vio_dev_ops.quiesce(r.t.dev, false), 0);
	read_all(r.in, got, each * n);
	assert_memory_equal(got, p, each * n);
	for (; done < n; done++)
		assert_non_null(vt_get_used(&r.t, 1, &len));
	rig_down(&r);
	free(got);
}

/* The reader goes away: output is lost, the guest is not held up; no more input is no error. */
static void test_console_closed(void **state)
{
	struct rig r;
	uint32_t len;
	uint8_t *p;

	con_up(&r);
	vt_up(&r.t, flavours[0], 16);
	p = vt_alloc(&r.t, 4096);
	add(&r, 0, p, 1, 64, true);
	vt_publish(&r.t, 0);
	close(r.in);
	close(r.out);
	r.in = r.out = -1;
	for (unsigned int i = 0; i < 5; i++) {
		add(&r, 1, p, 1, 64, false);
		vt_publish(&r.t, 1);
		assert_ptr_equal(vt_get_used(&r.t, 1, &len), p);
	}
	assert_null(vqd_get(r.t.q[0].d, &len));
	assert_int_equal(vt_get(&r.t, VT_STATUS), 0xf);
	rig_down(&r);
}

static void test_console_none(void **state)
{
	struct vm_dev *d;
	struct rig r = { .in = -1, .out = -1 };
	uint32_t len;
	uint8_t *p;

	vt_machine(&r.t, false);
	assert_int_equal(vm_iothread_new(sys_host(), "io0", &r.io, NULL), 0);
	assert_int_equal(vio_console_new(sys_host(), "con0", r.io, -1, -1, 0, &d, NULL), 0);
	assert_int_equal(vt_add(&r.t, d, NULL), 0);
	vt_up(&r.t, flavours[0], 16);
	p = vt_alloc(&r.t, 4096);
	add(&r, 0, p, 1, 64, true);
	vt_publish(&r.t, 0);
	add(&r, 1, p, 1, 64, false);
	vt_publish(&r.t, 1);
	assert_ptr_equal(vt_get_used(&r.t, 1, &len), p);
	rig_down(&r);
}

/* ---- rude drivers ---- */

static void test_hammer(void **state)
{
	struct rig r;

	for (unsigned int i = 0; i < ARRAY_SIZE(flavours); i += 3) {
		rng_up(&r);
		vt_hammer(&r.t, flavours[i]);
		rng_rounds(&r, 2);
		rig_down(&r);
		con_up(&r);
		vt_hammer(&r.t, flavours[i]);
		rig_down(&r);
	}
}

/* ---- I/O threads ---- */

static void note_tid(void *arg)
{
	*(int *)arg = gettid();
}

struct nested {
	struct vm_iothread *t;
	int tid;
};

static void call_again(void *arg)
{
	struct nested *n = arg;

	vm_iothread_call(n->t, note_tid, &n->tid);
}

static void test_iothread(void **state)
{
	struct vm_iothread *t[3];
	struct nested n;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(vm_iothread_new(sys_host(), "io", &t[i], NULL), 0);
	for (unsigned int i = 0; i < 300; i++) {
		n = (struct nested){ .t = t[i % 3] };
		vm_iothread_call(t[i % 3], call_again, &n);
		assert_int_equal(n.tid, vm_iothread_tid(t[i % 3]));
		assert_int_not_equal(n.tid, gettid());
	}
	assert_int_not_equal(vm_iothread_tid(t[0]), vm_iothread_tid(t[1]));
	for (unsigned int i = 0; i < 3; i++)
		vm_iothread_free(t[i]);
	vm_iothread_free(NULL);
}

static void test_iothread_fails(void **state)
{
	for (unsigned int n = 1; n <= 3; n++) {
		struct fakesys *fs = fakesys_new();
		struct vm_iothread *t = NULL;
		struct err e = { 0 };

		fakesys_fail_nth(fs, n, -EMFILE);
		assert_int_equal(vm_iothread_new(fakesys_sys(fs), "io0", &t, &e), -EMFILE);
		assert_non_null(strstr(e.text, "io0"));
		assert_int_equal(fakesys_open_fds(fs), 0);
		fakesys_free(fs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_rng_sizes),
		cmocka_unit_test(test_rng_broken),
		cmocka_unit_test(test_rng_pause),
		cmocka_unit_test(test_rng_queue_reset),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_console_full),
		cmocka_unit_test(test_console_closed),
		cmocka_unit_test(test_console_none),
		cmocka_unit_test(test_console_pause),
		cmocka_unit_test(test_hammer),
		cmocka_unit_test(test_iothread),
		cmocka_unit_test(test_iothread_fails),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
