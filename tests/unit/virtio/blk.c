// SPDX-License-Identifier: BSD-3-Clause
/* The VMM's block device from end to end: a driver in guest RAM, two queues on two I/O threads, a
 * file. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/virtio/viotest.h"
#include "virtio/blk.h"

#define SIZE   (1u << 20)
#define BASE   (VIO_F_VERSION_1 | VIO_F(VIRTIO_BLK_F_MQ) | VIO_F(VIRTIO_BLK_F_FLUSH))
#define QUEUES 2u
#define REQS   8u

static const uint64_t flavours[] = {
	BASE,
	BASE | VIO_F_EVENT_IDX,
	BASE | VIO_F_INDIRECT | VIO_F_EVENT_IDX,
	BASE | VIO_F_PACKED,
	BASE | VIO_F_PACKED | VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_RING_RESET,
	VIO_F_VERSION_1, /* no flush: every write goes through */
};

struct breq {
	struct virtio_blk_outhdr h;
	uint8_t data[4096], status;
};

struct rig {
	struct viotest t;
	struct vm_iothread *io[2];
	struct vm_dev *dev;
	char path[64];
	struct breq *r[REQS];
};

static void rig_up(struct rig *r, const char *path)
{
	struct vio_blk_cfg c = { .queues = QUEUES, .io = r->io, .nio = 2 };
	int fd;

	memset(r, 0, sizeof(*r));
	strcpy(r->path, access("/dev/shm", W_OK) ? "/var/tmp/sluice-vblk-XXXXXX"
						 : "/dev/shm/sluice-vblk-XXXXXX");
	fd = mkstemp(r->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	vt_machine(&r->t, false);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(vm_iothread_new(sys_host(), "io", &r->io[i], NULL), 0);
	ev_poll_window(vm_iothread_ev(r->io[1]), VM_IO_POLL_MAX_NS); /* the other sleeps at once */
	c.disk.path = path ? path : r->path;
	assert_int_equal(vio_blk_new(sys_host(), "disk0", &c, &r->dev, NULL), 0);
	assert_int_equal(vt_add(&r->t, r->dev, NULL), 0);
}

/* A driver comes up, and has its memory behind its rings. */
static void driver(struct rig *r, uint64_t features, uint16_t qsize)
{
	vt_up(&r->t, features, qsize);
	for (unsigned int i = 0; i < REQS; i++)
		r->r[i] = vt_alloc(&r->t, sizeof(struct breq));
}

static void rig_down(struct rig *r)
{
	vt_down(&r->t);
	for (unsigned int i = 0; i < 2; i++)
		vm_iothread_free(r->io[i]);
	unlink(r->path);
}

static void add(struct rig *r, unsigned int q, struct breq *b, uint32_t type, uint64_t sector)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct iovec v[3] = { { &b->h, sizeof(b->h) },
			      { b->data, sizeof(b->data) },
			      { &b->status, 1 } };

	b->h = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	b->status = 0xee;
	assert_int_equal(vqd_add(r->t.q[q].d, v, in ? 1 : 2, in ? 2 : 1, b), 0);
}

static int one(struct rig *r, unsigned int q, struct breq *b, uint32_t type, uint64_t sector)
{
	uint32_t len;

	add(r, q, b, type, sector);
	vt_publish(&r->t, q);
	assert_ptr_equal(vt_get_used(&r->t, q, &len), b);
	return b->status;
}

/* Each queue writes what the other reads. */
static void rounds(struct rig *r, unsigned int n)
{
	uint32_t len;

	for (unsigned int k = 0; k < n; k++) {
		for (unsigned int i = 0; i < REQS; i++) {
			memset(r->r[i]->data, (int)(k * REQS + i), sizeof(r->r[i]->data));
			add(r, i % QUEUES, r->r[i], VIRTIO_BLK_T_OUT, i * 8);
		}
		for (unsigned int q = 0; q < QUEUES; q++)
			vt_publish(&r->t, q);
		for (unsigned int i = 0; i < REQS; i++) {
			struct breq *b = vt_get_used(&r->t, i % QUEUES, &len);

			assert_int_equal(b->status, VIRTIO_BLK_S_OK);
		}
		for (unsigned int i = 0; i < REQS; i++) {
			assert_int_equal(one(r, (i + 1) % QUEUES, r->r[i], VIRTIO_BLK_T_IN, i * 8),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(r->r[i]->data[4095], (uint8_t)(k * REQS + i));
		}
	}
}

static void test_flavours(void **state)
{
	for (unsigned int f = 0; f < ARRAY_SIZE(flavours); f++) {
		struct blkq_count n, sum = { 0 };
		struct rig r;

		rig_up(&r, NULL);
		driver(&r, flavours[f], 32);
		rounds(&r, 10);
		assert_int_equal(one(&r, 1, r.r[0], VIRTIO_BLK_T_GET_ID, 0), VIRTIO_BLK_S_OK);
		assert_string_equal((char *)r.r[0]->data, "disk0");
		assert_int_equal(one(&r, 0, r.r[0], VIRTIO_BLK_T_FLUSH, 0), VIRTIO_BLK_S_OK);
		/* a reset with requests under way, and the next driver */
		for (unsigned int i = 0; i < REQS; i++)
			add(&r, 0, r.r[i], VIRTIO_BLK_T_IN, 0);
		vt_publish(&r.t, 0);
		vt_set(&r.t, VT_STATUS, 0);
		assert_int_equal(vt_get(&r.t, VT_STATUS), 0);
		vt_forget(&r.t);
		driver(&r, flavours[f], 16);
		rounds(&r, 2);
		for (unsigned int q = 0; q < QUEUES; q++) {
			vio_blk_count(r.dev, q, &n);
			sum.reads += n.reads;
			sum.writes += n.writes;
		}
		assert_true(sum.reads >= 12 * REQS); /* both starts are in it */
		assert_int_equal(sum.writes, 12 * REQS);
		rig_down(&r);
	}
}

static void test_pause(void **state)
{
	uint32_t len;
	struct rig r;

	rig_up(&r, NULL);
	driver(&r, flavours[4], 32);
	rounds(&r, 1);
	assert_int_equal(r.dev->ops->quiesce(r.dev, true), 0);
	add(&r, 0, r.r[0], VIRTIO_BLK_T_IN, 0);
	vt_publish(&r.t, 0);
	assert_int_equal(r.r[0]->status, 0xee);
	assert_int_equal(r.dev->ops->quiesce(r.dev, false), 0);
	assert_ptr_equal(vt_get_used(&r.t, 0, &len), r.r[0]);
	rounds(&r, 2);
	rig_down(&r);
}

static void test_resize(void **state)
{
	struct rig r;
	uint32_t gen;

	rig_up(&r, NULL);
	driver(&r, flavours[1], 32);
	assert_int_equal(vt_rd(&r.t, r.t.device, 4), SIZE / 512);
	assert_int_equal(vio_blk_resize(r.dev, NULL), 0);
	assert_false(vt_irq_pending(&r.t, 0));
	assert_int_equal(one(&r, 0, r.r[0], VIRTIO_BLK_T_IN, SIZE / 512), VIRTIO_BLK_S_IOERR);
	gen = vt_get(&r.t, VT_GENERATION);
	assert_int_equal(truncate(r.path, 2 * SIZE), 0);
	assert_int_equal(vio_blk_resize(r.dev, NULL), 1);
	vt_irq(&r.t, 0);
	assert_int_not_equal(vt_get(&r.t, VT_GENERATION), gen);
	assert_int_equal(vt_rd(&r.t, r.t.device, 4), 2 * SIZE / 512);
	assert_int_equal(one(&r, 0, r.r[0], VIRTIO_BLK_T_IN, SIZE / 512), VIRTIO_BLK_S_OK);
	rig_down(&r);
}

/* One queue breaks: the device says so, and a reset mends it. */
static void test_broken(void **state)
{
	struct iovec v[1];
	struct vio_info info;
	struct rig r;

	rig_up(&r, NULL);
	driver(&r, flavours[2], 32);
	v[0] = (struct iovec){ &r.r[0]->h, 16 };
	assert_int_equal(vqd_add(r.t.q[0].d, v, 1, 0, r.r[0]), 0); /* no room for a status */
	vt_publish(&r.t, 0);
	vt_irq(&r.t, 0);
	assert_true(vt_get(&r.t, VT_STATUS) & 0x40);
	vio_info(r.t.v, &info);
	assert_non_null(strstr(info.why, "status"));
	vt_set(&r.t, VT_STATUS, 0);
	vt_forget(&r.t);
	driver(&r, flavours[2], 32);
	rounds(&r, 1);
	rig_down(&r);
}

/* One after the other, with pauses about as long as the window: each is seen. */
static void test_polled(void **state)
{
	struct rig r;

	rig_up(&r, "null:1M");
	for (unsigned int f = 0; f < ARRAY_SIZE(flavours) - 1; f++) {
		driver(&r, flavours[f], 32);
		for (unsigned int i = 0; i < 3000; i++) {
			assert_int_equal(one(&r, 1, r.r[0], VIRTIO_BLK_T_IN, 0), VIRTIO_BLK_S_OK);
			for (volatile unsigned int k = 0; k < i * 7919 % 16384; k++)
				;
		}
		vt_set(&r.t, VT_STATUS, 0);
		vt_forget(&r.t);
	}
	rig_down(&r);
}

static void test_refused(void **state)
{
	struct vio_blk_cfg c = { .queues = 1, .nio = 1, .disk = { .path = "/nonexistent/x" } };
	struct err e = { 0 };
	struct vm_dev *d;

	assert_int_equal(vio_blk_new(sys_host(), "disk0", &c, &d, &e), -ENOENT);
	assert_non_null(strstr(e.text, "disk0"));
	c.queues = 17;
	assert_int_equal(vio_blk_new(sys_host(), "disk0", &c, &d, &e), -EINVAL);
}

/* Everything of the bus and of a start, over a kernel that fails. */
static void test_sweep(void **state)
{
	struct vio_blk_cfg c = { .queues = QUEUES, .disk = { .path = "null:1M" } };
	struct vm_iothread *io;

	assert_int_equal(vm_iothread_new(sys_host(), "io", &io, NULL), 0);
	c.io = &io;
	c.nio = 1;
	for (unsigned int n = 1;; n++) {
		struct err e = { 0 };
		struct viotest t;
		struct vm_dev *d;
		unsigned int fds;
		bool failed;
		int ret;

		vt_machine(&t, true);
		fds = fakesys_open_fds(t.fs);
		fakesys_fail_nth(t.fs, n, -EMFILE);
		ret = vio_blk_new(t.sys, "disk0", &c, &d, &e);
		if (!ret)
			ret = vm_dev_add(t.vm, d, &e);
		failed = fakesys_failed(t.fs);
		fakesys_fail_nth(t.fs, 0, 0);
		assert_true(!ret || failed);
		if (ret) {
			assert_true(e.text[0]);
			assert_int_equal(fakesys_open_fds(t.fs), fds);
		}
		vt_down(&t);
		if (!failed)
			break;
	}
	vm_iothread_free(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flavours), cmocka_unit_test(test_pause),
		cmocka_unit_test(test_resize),	 cmocka_unit_test(test_broken),
		cmocka_unit_test(test_polled),	 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
