// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bus Master Enable of a virtio function (virtio 1.2, 4.1; PCI local bus spec 6.2.2): while it is
 * off guest memory is left alone and no message is sent; when it is on again nothing was lost.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "tests/unit/virtio/toy.h"
#include "virtio/misc.h"

#define ALL (TOY_FEATURES & ~VIO_F_PACKED)

static void test_toggle(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	vt_up(&t, ALL, 16);
	for (unsigned int i = 1; i < 6; i++) {
		vt_master(&t, i % 2 == 0);
		vt_master(&t, i % 2 == 0); /* no change, no call */
		assert_int_equal(y->paused, i % 2);
		assert_int_equal(y->pauses, i);
	}
	/* Both reasons, ending in either order. */
	assert_int_equal(vio_dev_ops.quiesce(t.dev, true), 0);
	vt_master(&t, true);
	assert_true(y->paused);
	vt_master(&t, false);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, false), 0);
	assert_true(y->paused);
	vt_master(&t, true);
	assert_false(y->paused);
	assert_int_equal(y->pauses, 6);
	assert_int_equal(y->starts, 1);
	vt_down(&t);
}

/* The driver is ready before it may be served: the start waits. */
static void test_late(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	vt_master(&t, false);
	vt_up(&t, ALL, 16);
	assert_int_equal(vt_get(&t, VT_STATUS), 0xf);
	assert_int_equal(y->starts, 0);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, true), 0);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, false), 0);
	vt_master(&t, true);
	assert_int_equal(y->starts, 1);
	assert_int_equal(y->pauses, 0);
	/* Reset before it came to that. */
	vt_master(&t, false);
	vt_forget(&t);
	vt_up(&t, ALL, 16);
	vt_set(&t, VT_STATUS, 0);
	vt_master(&t, true);
	assert_int_equal(y->starts, 1);
	assert_int_equal(y->stops, 1);
	/* A start that fails, late. */
	vt_master(&t, false);
	y->start_rc = -ENOMEM;
	vt_forget(&t);
	vt_up(&t, ALL, 16);
	vt_master(&t, true);
	assert_int_equal(vt_get(&t, VT_STATUS), 0x4f);
	vt_down(&t);
}

static void queue_again(struct viotest *t, unsigned int q)
{
	vt_set(t, VT_QSEL, q);
	vt_set(t, VT_QRESET, 1);
	assert_int_equal(vt_get(t, VT_QRESET), 0);
	vt_queue(t, q, 16, ALL);
}

/* Single queues reset and enabled meanwhile. */
static void test_queue(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	vt_up(&t, ALL, 16);
	vt_master(&t, false);
	queue_again(&t, 1);
	assert_int_equal(y->queue_stops, 1);
	assert_int_equal(y->queue_starts, 0);
	queue_again(&t, 1); /* never started: nothing to stop */
	assert_int_equal(y->queue_stops, 1);
	vt_master(&t, true);
	assert_int_equal(y->queue_starts, 1);
	vt_master(&t, false);
	queue_again(&t, 0);
	y->queue_start_rc = -ENOMEM;
	vt_master(&t, true);
	assert_int_equal(y->queue_starts, 2);
	assert_true(vt_get(&t, VT_STATUS) & 0x40);
	vt_down(&t);
}

/* A reset takes its time; meanwhile the bit changes, and the device is left alone. */
static void test_while_resetting(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	vt_up(&t, ALL, 16);
	y->stop_rc = -EINPROGRESS;
	vt_set(&t, VT_STATUS, 0);
	vt_master(&t, false);
	vt_master(&t, true);
	vt_master(&t, false);
	assert_int_equal(y->pauses, 0);
	y->running = false;
	vio_stopped(&y->v, -1);
	vt_master(&t, true);
	assert_int_equal(vt_get(&t, VT_STATUS), 0);
	y->stop_rc = 0;
	vt_forget(&t);
	vt_up(&t, ALL, 16);
	assert_int_equal(y->starts, 2);
	/* And a reset of the machine, after which it is off. */
	vio_dev_ops.reset(t.dev);
	vm_pci_reset(t.pci);
	assert_int_equal(vm_pci_setup(t.pci, NULL), 0);
	vt_find(&t);
	vt_forget(&t);
	vt_up(&t, ALL, 16);
	assert_int_equal(y->starts, 2);
	vt_master(&t, true);
	assert_int_equal(y->starts, 3);
	vt_down(&t);
}

struct rig {
	struct viotest t;
	struct vm_iothread *io;
};

static void rig_up(struct rig *r)
{
	struct vm_dev *d;

	vt_machine(&r->t, false);
	assert_int_equal(vm_iothread_new(sys_host(), "io0", &r->io, NULL), 0);
	assert_int_equal(vio_rng_new(sys_host(), "rng0", r->io, 0, &d, NULL), 0);
	assert_int_equal(vt_add(&r->t, d, NULL), 0);
}

static void nothing(void *arg)
{
}

static void add(struct rig *r, uint8_t *p)
{
	struct iovec v = { p, 64 };

	assert_int_equal(vqd_add(r->t.q[0].d, &v, 0, 1, p), 0);
	vt_publish(&r->t, 0);
}

static bool zero(const uint8_t *p)
{
	for (unsigned int i = 0; i < 64; i++)
		if (p[i])
			return false;
	return true;
}

/* A device that is served: neither a buffer nor an interrupt while it is off. */
static void test_served(void **state)
{
	uint64_t f[] = { VIO_F_VERSION_1, VIO_F_VERSION_1 | VIO_F_PACKED | VIO_F_EVENT_IDX };
	struct rig r;
	uint32_t len;
	uint8_t *p;

	for (unsigned int i = 0; i < 4; i++) {
		rig_up(&r);
		vt_master(&r.t, i & 1);
		vt_up(&r.t, f[i / 2], 16);
		vt_master(&r.t, false);
		p = vt_alloc(&r.t, 4096);
		add(&r, p);
		vio_config_changed(r.t.v);
		for (unsigned int k = 0; k < 3; k++)
			vm_iothread_call(r.io, nothing, NULL);
		assert_true(zero(p));
		assert_null(vqd_get(r.t.q[0].d, &len));
		assert_false(vt_irq_pending(&r.t, 0));
		vt_master(&r.t, true);
		assert_ptr_equal(vt_get_used(&r.t, 0, &len), p);
		assert_false(zero(p));
		assert_true(vt_irq_pending(&r.t, 0) || !(i & 1));
		vt_down(&r.t);
		vm_iothread_free(r.io);
	}
}

/* The bit flickers, at every width, among buffers: each comes back once, in order. */
static void test_flicker(void **state)
{
	struct rig r;
	uint32_t len;
	uint8_t *p;

	rig_up(&r);
	vt_up(&r.t, VIO_F_VERSION_1 | VIO_F_EVENT_IDX, 16);
	p = vt_alloc(&r.t, 4096);
	for (unsigned int i = 0; i < 400; i++) {
		vt_cfg_set(&r.t, PCI_COMMAND, i % 2 ? 1 : 2, i % 3 ? 2 : 6);
		add(&r, p + 64 * (i % 8));
		vt_cfg_set(&r.t, PCI_COMMAND, i % 5 ? 1 : 4, i % 5 ? 6 : 2);
		if (i % 8 != 7)
			continue;
		vt_master(&r.t, true);
		for (unsigned int k = 0; k < 8; k++)
			assert_ptr_equal(vt_get_used(&r.t, 0, &len), p + 64 * k);
	}
	vt_down(&r.t);
	vm_iothread_free(r.io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toggle), cmocka_unit_test(test_late),
		cmocka_unit_test(test_queue),  cmocka_unit_test(test_while_resetting),
		cmocka_unit_test(test_served), cmocka_unit_test(test_flicker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
