// SPDX-License-Identifier: BSD-3-Clause
/* Queues, vectors and notifications; resets of all kinds; what is left when set-up fails. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include "tests/unit/virtio/toy.h"

#define ALL   TOY_FEATURES
#define SPLIT (TOY_FEATURES & ~VIO_F_PACKED)

/* ---- set-up of a queue ---- */

struct setup {
	uint64_t desc, driver, device;
	uint16_t size;
	bool packed, good;
};

static void put(struct viotest *t, enum vt_field f, uint64_t val)
{
	(void)vt_wr(t, t->common + f, 8, val); /* in one piece for once */
}

static void try_setup(struct viotest *t, const struct setup *s)
{
	assert_true(vt_negotiate(t, s->packed ? ALL : SPLIT));
	vt_set(t, VT_QSEL, 1);
	vt_set(t, VT_QSIZE, s->size);
	put(t, VT_QDESC, s->desc);
	put(t, VT_QDRIVER, s->driver);
	put(t, VT_QDEVICE, s->device);
	vt_set(t, VT_QENABLE, 1);
	assert_int_equal(vt_get(t, VT_QENABLE), s->good);
	assert_int_equal(t->v->q[1].enabled, s->good);
	vt_driver_ok(t);
	assert_int_equal(vt_get(t, VT_STATUS), s->good ? 0xf : 0x4b);
	assert_int_equal(toy_of(t->v)->running, s->good);
}

static void test_queue_values(void **state)
{
	static const uint64_t end = MIB(64);
	static const struct setup cases[] = {
		{ 0x10000, 0x11000, 0x12000, 16, false, true },
		{ 0x10000, 0x11000, 0x12000, 1, false, true },
		{ 0x10000, 0x11000, 0x12000, 16, true, true },
		{ 0x10000, 0x11000, 0x12000, 7, true, true },
		{ end - 256, end - 4096, end - 1024, 16, false, true },
		{ 0x10000, 0x11000, 0x12000, 0, false, false },
		{ 0x10000, 0x11000, 0x12000, 7, false, false },	 /* no power of two */
		{ 0x10000, 0x11000, 0x12000, 32, false, false }, /* more than offered */
		{ 0x10000, 0x11000, 0x12000, 65535, true, false },
		{ 0x10008, 0x11000, 0x12000, 16, false, false }, /* misaligned */
		{ 0x10000, 0x11001, 0x12000, 16, false, false },
		{ 0x10000, 0x11000, 0x12002, 16, false, false },
		{ 0x10000, 0x11002, 0x12000, 16, true, false },
		{ end - 240, 0x11000, 0x12000, 16, false, false }, /* over the end of RAM */
		{ 0x10000, end - 36, 0x12000, 16, false, false },
		{ 0x10000, 0x11000, end - 128, 16, false, false },
		{ end, 0x11000, 0x12000, 16, false, false },
		{ UINT64_MAX & ~0xfull, 0x11000, 0x12000, 16, false, false },
		{ 0x10000, UINT64_MAX - 1, 0x12000, 16, false, false },
		{ 0x10000, 0x11000, UINT64_MAX - 3, 16, false, false },
	};
	struct viotest t;

	toy_up(&t, true, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		try_setup(&t, &cases[i]);
	vt_down(&t);
}

static void test_queue_out_of_turn(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	/* Before features are settled. */
	vt_set(&t, VT_STATUS, 3);
	vt_set(&t, VT_QSEL, 0);
	vt_set(&t, VT_QENABLE, 1);
	assert_int_equal(vt_get(&t, VT_QENABLE), 0);
	/* One that does not exist. */
	vt_set(&t, VT_QSEL, TOY_QUEUES);
	assert_int_equal(vt_get(&t, VT_QSIZE), 0);
	assert_int_equal(vt_get(&t, VT_QVEC), 0xffff);
	vt_set(&t, VT_QSIZE, 16);
	vt_set(&t, VT_QENABLE, 1);
	vt_set(&t, VT_QVEC, 1);
	vt_set(&t, VT_QRESET, 1);
	assert_int_equal(vt_get(&t, VT_QSIZE), 0);
	/* While it is enabled; and it cannot be disabled. */
	vt_up(&t, SPLIT & ~VIO_F_RING_RESET, 8);
	vt_set(&t, VT_QSEL, 0);
	vt_set(&t, VT_QSIZE, 4);
	put(&t, VT_QDESC, 0x1000);
	vt_set(&t, VT_QENABLE, 0);
	vt_set(&t, VT_QRESET, 1); /* not accepted as a feature */
	assert_int_equal(vt_get(&t, VT_QSIZE), 8);
	assert_int_not_equal(y->v.q[0].desc, 0x1000);
	assert_int_equal(vt_get(&t, VT_QENABLE), 1);
	assert_int_equal(vt_get(&t, VT_QRESET), 0);
	assert_int_equal(y->queue_stops, 0);
	vt_down(&t);
}

/* A queue enabled after DRIVER_OK, without single resets having been agreed on. */
static void test_queue_late(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	assert_true(vt_negotiate(&t, SPLIT & ~VIO_F_RING_RESET));
	vt_queue(&t, 0, 16, SPLIT);
	vt_driver_ok(&t);
	vt_queue(&t, 1, 16, SPLIT);
	assert_false(y->v.q[1].enabled);
	assert_int_equal(y->queue_starts, 0);
	vt_down(&t);
}

/* ---- vectors ---- */

static void test_vectors(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	vt_up(&t, ALL, 16);
	for (unsigned int q = 0; q < TOY_QUEUES; q++) {
		vio_call(&y->v, q);
		for (unsigned int vec = 0; vec <= TOY_QUEUES; vec++)
			assert_int_equal(vt_irq_pending(&t, vec), vec == q + 1);
	}
	/* One that does not exist reads back as none. */
	vt_set(&t, VT_QSEL, 0);
	vt_set(&t, VT_QVEC, TOY_QUEUES + 1);
	assert_int_equal(vt_get(&t, VT_QVEC), 0xffff);
	assert_int_equal(y->calls_changed, 1);
	vio_call(&y->v, 0); /* goes nowhere */
	vt_set(&t, VT_CONFIG_VEC, 0x1234);
	assert_int_equal(vt_get(&t, VT_CONFIG_VEC), 0xffff);
	vio_config_changed(&y->v);
	/* Two queues may share one. */
	vt_set(&t, VT_QVEC, 2);
	vio_call(&y->v, 0);
	assert_true(vt_irq_pending(&t, 2));
	/* Masked: it waits in the pending bit. */
	vt_wr(&t, t.msix_table + 16 * 2 + 12, 4, 1);
	vio_call(&y->v, 1);
	assert_int_equal(vt_rd(&t, t.pba, 8), 1 << 2);
	vt_wr(&t, t.msix_table + 16 * 2 + 12, 4, 0);
	assert_true(vt_irq_pending(&t, 2));
	assert_int_equal(vt_rd(&t, t.pba, 8), 0);
	vt_set(&t, VT_STATUS, 0);
	vio_call(&y->v, 1);
	assert_false(vt_irq_pending(&t, 2));
	vt_down(&t);
}

/* ---- notifications ---- */

static unsigned int kicks(struct viotest *t, unsigned int q)
{
	uint64_t n = 0;

	return sys_read(t->sys, t->v->q[q].kick, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

static void test_kicks_follow_bar(void **state)
{
	struct viotest t;
	uint64_t old;

	toy_up(&t, true, 0);
	assert_int_equal(t.fa->nioeventfds, 0);
	vt_up(&t, ALL, 16);
	assert_int_equal(t.fa->nioeventfds, TOY_QUEUES);
	assert_true(vt_kick(&t, 2));
	assert_int_equal(kicks(&t, 2), 1);
	assert_int_equal(kicks(&t, 0), 0);
	/* Moved: to where it is now, and no longer where it was. */
	old = t.bar;
	vt_cfg_set(&t, PCI_COMMAND, 2, 0);
	assert_int_equal(t.fa->nioeventfds, 0);
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0, 4, (uint32_t)(t.bar + 0x10000));
	assert_int_equal(t.fa->nioeventfds, 0);
	vt_cfg_set(&t, PCI_COMMAND, 2, 6);
	vt_find(&t);
	assert_int_equal(t.bar, old + 0x10000);
	assert_true(vt_kick(&t, 1));
	assert_int_equal(kicks(&t, 1), 1);
	assert_false(fakeaccel_mmio_write(t.vm, old + t.notify + t.scale, 2, 1));
	assert_int_equal(kicks(&t, 1), 0);
	/* Moved while decoding is on. */
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0, 4, (uint32_t)old);
	vt_find(&t);
	assert_true(vt_kick(&t, 1));
	assert_int_equal(t.fa->nioeventfds, TOY_QUEUES);
	/* Onto RAM: refused, so it is nowhere. */
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0 + 4, 4, 0);
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0, 4, 0x100000);
	assert_int_equal(t.fa->nioeventfds, 0);
	vt_down(&t);
}

/* A hypervisor that has no room, or cannot match any width. */
static void test_kicks_trapped(void **state)
{
	struct vio_info i;
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	t.fa->fail_ioeventfd_any = -EINVAL;
	vt_up(&t, ALL, 16);
	assert_true(vt_kick(&t, 0));
	vt_set(&t, VT_STATUS, 0);
	assert_int_equal(t.fa->nioeventfds, 0);
	t.fa->fail_ioeventfd = -ENOSPC;
	vt_up(&t, ALL, 16);
	assert_int_equal(t.fa->nioeventfds, 0);
	assert_false(vt_kick(&t, 1));
	assert_int_equal(kicks(&t, 1), 1);
	vio_info(&y->v, &i);
	assert_int_equal(i.kicks_trapped, 1);
	assert_int_equal(i.kicks_direct, 0);
	assert_int_equal(i.queues_on, TOY_QUEUES);
	/* Beside the registers. */
	assert_int_equal(vt_wr(&t, t.notify + 1, 2, 0), VM_IO_ERROR);
	assert_int_equal(vt_wr(&t, t.notify + TOY_QUEUES * t.scale, 2, 0), VM_IO_ERROR);
	assert_int_equal(vt_wr(&t, t.notify + 4092, 4, 0), VM_IO_ERROR);
	vt_set(&t, VT_STATUS, 0);
	assert_int_equal(vt_wr(&t, t.notify, 2, 0), VM_IO_ERROR); /* not enabled */
	vt_down(&t);
}

/* ---- reset of one queue ---- */

static void test_queue_reset(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	vt_up(&t, ALL, 16);
	vt_kick(&t, 1);
	vt_set(&t, VT_QSEL, 1);
	vt_set(&t, VT_QRESET, 0); /* nothing */
	assert_int_equal(y->queue_stops, 0);
	vt_set(&t, VT_QRESET, 1);
	assert_int_equal(y->queue_stops, 1);
	assert_int_equal(vt_get(&t, VT_QRESET), 0);
	assert_int_equal(vt_get(&t, VT_QENABLE), 0);
	assert_int_equal(vt_get(&t, VT_QVEC), 0xffff);
	assert_int_equal(t.fa->nioeventfds, TOY_QUEUES - 1);
	assert_int_equal(kicks(&t, 1), 0);
	vt_set(&t, VT_QRESET, 1); /* of one that is off */
	assert_int_equal(y->queue_stops, 1);
	vt_queue(&t, 1, 8, ALL);
	assert_int_equal(y->queue_starts, 1);
	assert_int_equal(vt_get(&t, VT_QENABLE), 1);
	assert_int_equal(t.fa->nioeventfds, TOY_QUEUES);
	/* A bad one is refused here too, and a device may fail. */
	vt_set(&t, VT_QRESET, 1);
	y->queue_start_rc = -ENOMEM;
	vt_queue(&t, 1, 8, ALL);
	assert_int_equal(vt_get(&t, VT_QENABLE), 0);
	assert_int_equal(vt_get(&t, VT_STATUS), 0x4f);
	vt_down(&t);
}

static void test_queue_reset_later(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	vt_up(&t, ALL, 16);
	y->queue_stop_rc = -EINPROGRESS;
	vt_set(&t, VT_QSEL, 2);
	vt_set(&t, VT_QRESET, 1);
	assert_int_equal(vt_get(&t, VT_QRESET), 1);
	assert_int_equal(vt_get(&t, VT_QENABLE), 1);
	vt_set(&t, VT_QRESET, 1);
	vt_queue(&t, 2, 8, ALL); /* too early */
	assert_int_equal(y->queue_stops, 1);
	assert_int_equal(y->queue_starts, 0);
	vio_stopped(&y->v, 2);
	assert_int_equal(vt_get(&t, VT_QRESET), 0);
	assert_int_equal(vt_get(&t, VT_QENABLE), 0);
	/* The device is reset while a queue is under way. */
	vt_queue(&t, 2, 8, ALL);
	vt_set(&t, VT_QRESET, 1);
	vt_set(&t, VT_STATUS, 0);
	assert_int_equal(vt_get(&t, VT_STATUS), 0);
	vio_stopped(&y->v, 2);
	vt_up(&t, ALL, 16);
	assert_int_equal(vt_get(&t, VT_STATUS), 0xf);
	vt_set(&t, VT_QSEL, 2);
	assert_int_equal(vt_get(&t, VT_QENABLE), 1);
	vt_down(&t);
}

/* ---- reset from outside ---- */

static void *stop_it(void *arg)
{
	struct toy *y = arg;

	while (!atomic_load(&y->v.stopping))
		sched_yield();
	y->running = false;
	vio_stopped(&y->v, -1);
	return NULL;
}

static void test_machine_reset(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);
	pthread_t th;

	for (unsigned int i = 0; i < 3; i++) {
		vt_up(&t, ALL, 16);
		/* The second time it takes another thread to stop it. */
		y->stop_rc = i == 1 ? -EINPROGRESS : 0;
		if (i == 1)
			assert_int_equal(pthread_create(&th, NULL, stop_it, y), 0);
		vio_dev_ops.reset(t.dev);
		assert_false(y->running);
		if (i == 1)
			pthread_join(th, NULL);
		vm_pci_reset(t.pci);
		assert_int_equal(t.fa->nioeventfds, 0);
		assert_int_equal(t.fa->nirqfds, 0);
		assert_int_equal(vm_pci_setup(t.pci, NULL), 0);
		vt_find(&t);
		assert_int_equal(vt_get(&t, VT_STATUS), 0);
		assert_int_equal(vt_cfg(&t, t.cap_msix + PCI_MSIX_FLAGS, 2), TOY_QUEUES);
		vt_msix_on(&t);
	}
	assert_int_equal(y->stops, 3);
	vt_down(&t);
}

/* A device that never answers: the machine goes on, and its driver waits. */
static void test_reset_hangs(void **state)
{
	unsigned int freed = 0;
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	y->freed = &freed;
	vt_up(&t, ALL, 16);
	y->stop_rc = -EINPROGRESS;
	vio_dev_ops.reset(t.dev);
	assert_int_equal(vt_get(&t, VT_STATUS), 0xf);
	vt_set(&t, VT_STATUS, 0);
	assert_int_equal(y->stops, 1);
	vt_down(&t); /* and the machine can end */
	assert_int_equal(freed, 1);
}

static void test_flr(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	vt_up(&t, ALL, 16);
	vt_cfg_set(&t, t.cap_exp + PCI_EXP_DEVCTL, 2, 0x8000 | 0x0f);
	assert_int_equal(y->stops, 1);
	assert_int_equal(vt_cfg(&t, PCI_COMMAND, 2), 0);
	assert_int_equal(vt_cfg(&t, PCI_BASE_ADDRESS_0 + 4, 4), 0);
	assert_int_equal(vt_cfg(&t, t.cap_exp + PCI_EXP_DEVCTL, 2), 0);
	/* The kernel restores what it saved. */
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0 + 4, 4, (uint32_t)(t.bar >> 32));
	vt_cfg_set(&t, PCI_BASE_ADDRESS_0, 4, (uint32_t)t.bar);
	vt_cfg_set(&t, PCI_COMMAND, 2, 6);
	vt_msix_on(&t);
	vt_up(&t, ALL, 16);
	assert_int_equal(y->starts, 2);
	vt_down(&t);
}

static void test_quiesce(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);

	assert_int_equal(vio_dev_ops.quiesce(t.dev, true), 0);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, false), 0);
	assert_int_equal(y->pauses, 0); /* nothing runs */
	vt_up(&t, ALL, 16);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, true), 0);
	assert_true(y->paused);
	assert_int_equal(vio_dev_ops.quiesce(t.dev, false), 0);
	assert_false(y->paused);
	vt_down(&t);
}

/* ---- failures of the host ---- */

static void test_sweep(void **state)
{
	unsigned int n = 0, freed, fds;
	struct viotest t;
	bool failed;

	do {
		struct toy *y = toy_new(0);

		freed = 0;
		y->freed = &freed;
		vt_machine(&t, true);
		fds = fakesys_open_fds(t.fs);
		fakesys_fail_nth(t.fs, ++n, -EMFILE);
		if (vm_dev_add(t.vm, &y->v.dev, NULL)) {
			assert_int_equal(freed, 1);
			assert_int_equal(fakesys_open_fds(t.fs), fds);
		}
		failed = fakesys_failed(t.fs);
		fakesys_fail_nth(t.fs, 0, 0);
		vt_down(&t);
		assert_int_equal(freed, 1);
	} while (failed);
	assert_true(n > TOY_QUEUES);
}

/* The eventfds of vectors are made when they are asked for: without them a vector reads back as
 * none, and the driver sees it. */
static void test_sweep_vectors(void **state)
{
	struct viotest t;
	struct toy *y;

	for (unsigned int n = 1; n < 12; n++) {
		y = toy_new(0);
		vt_machine(&t, true);
		assert_int_equal(vm_dev_add(t.vm, &y->v.dev, NULL), 0);
		t.v = &y->v;
		assert_int_equal(vm_pci_setup(t.pci, NULL), 0);
		vt_find(&t);
		vt_master(&t, true);
		fakesys_fail_nth(t.fs, n, -EMFILE);
		vt_up(&t, ALL, 16);
		for (unsigned int q = 0; q < TOY_QUEUES; q++)
			assert_int_equal(atomic_load(&y->v.q[q].call) >= 0,
					 y->v.q[q].vector != 0xffff);
		assert_true(y->running);
		fakesys_fail_nth(t.fs, 0, 0);
		vt_down(&t);
	}
}

/* A device that was made and never added. */
static void test_never_added(void **state)
{
	unsigned int freed = 0;
	struct toy *y = toy_new(0);

	y->freed = &freed;
	vm_dev_free(&y->v.dev);
	assert_int_equal(freed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_values),
		cmocka_unit_test(test_queue_out_of_turn),
		cmocka_unit_test(test_queue_late),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_kicks_follow_bar),
		cmocka_unit_test(test_kicks_trapped),
		cmocka_unit_test(test_queue_reset),
		cmocka_unit_test(test_queue_reset_later),
		cmocka_unit_test(test_machine_reset),
		cmocka_unit_test(test_reset_hangs),
		cmocka_unit_test(test_flr),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_sweep_vectors),
		cmocka_unit_test(test_never_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
