// SPDX-License-Identifier: BSD-3-Clause
/* The transport's registers as a driver meets them: what is found, agreed on and refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include "tests/unit/virtio/toy.h"

#define ALL TOY_FEATURES

/* ---- enumeration ---- */

struct found {
	unsigned int off, len;
};

static void one_cap(struct viotest *t, unsigned int at, struct found *f)
{
	unsigned int type = vt_cfg(t, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);

	assert_in_range(type, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_PCI_CFG);
	assert_int_equal(f[type].len, 0); /* each once */
	assert_in_range(vt_cfg(t, at + VIRTIO_PCI_CAP_LEN, 1), 16, 20);
	assert_int_equal(vt_cfg(t, at + VIRTIO_PCI_CAP_BAR, 1), 0);
	f[type].off = vt_cfg(t, at + VIRTIO_PCI_CAP_OFFSET, 4);
	f[type].len = vt_cfg(t, at + VIRTIO_PCI_CAP_LENGTH, 4);
}

static void test_enumerate(void **state)
{
	struct found f[16] = { 0 };
	struct viotest t;
	unsigned int at, n = 0, msix = 0;

	toy_up(&t, true, 0);
	assert_int_equal(vt_cfg(&t, 0, 4), (0x1040 + 42) << 16 | 0x1af4);
	assert_int_equal(vt_cfg(&t, PCI_REVISION_ID, 1), 1);
	assert_true(vt_cfg(&t, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(vt_cfg(&t, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(vt_cfg(&t, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(vt_cfg(&t, 0x100, 4), 0);
	assert_true(vt_cfg(&t, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (at = vt_cfg(&t, PCI_CAPABILITY_LIST, 1); at; at = vt_cfg(&t, at + 1, 1)) {
		assert_true(IS_ALIGNED(at, 4) && at >= 0x40 && n++ < 16);
		if (vt_cfg(&t, at, 1) == PCI_CAP_ID_VNDR)
			one_cap(&t, at, f);
		msix += vt_cfg(&t, at, 1) == PCI_CAP_ID_MSIX;
	}
	assert_int_equal(msix, 1);
	assert_int_equal(vt_cfg(&t, t.cap_msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE,
			 TOY_QUEUES);
	assert_int_equal(f[VIRTIO_PCI_CAP_COMMON_CFG].len, 0x3c);
	assert_int_equal(f[VIRTIO_PCI_CAP_DEVICE_CFG].len, TOY_CFG);
	assert_int_equal(f[VIRTIO_PCI_CAP_NOTIFY_CFG].len, TOY_QUEUES * t.scale);
	f[0] = (struct found){ t.msix_table, 16 * (TOY_QUEUES + 1) };
	f[VIRTIO_PCI_CAP_PCI_CFG] = (struct found){ t.pba, 8 };
	for (unsigned int i = 0; i < 6; i++) {
		assert_true(f[i].len && range_ok(f[i].off, f[i].len, 0x8000));
		for (unsigned int k = 0; k < i; k++)
			assert_false(ranges_overlap(f[i].off, f[i].len, f[k].off, f[k].len));
	}
	vt_down(&t);
}

/* The whole of config space is walked by the least trusted of kernels: no access has an effect that
 * the mask does not allow. */
static void test_cfg_writes(void **state)
{
	static const uint32_t pattern[] = { UINT32_MAX, 0, 0xa5a5a5a5 };
	uint32_t before[64];
	struct viotest t;

	toy_up(&t, true, 0);
	for (unsigned int i = 0; i < 64; i++)
		before[i] = vt_cfg(&t, 4 * i, 4);
	for (unsigned int k = 0; k < ARRAY_SIZE(pattern); k++)
		for (unsigned int i = 0; i < 1024; i++)
			for (unsigned int len = 1; len <= 4; len *= 2)
				vt_cfg_set(&t, 4 * i, len, pattern[k]);
	assert_int_equal(vt_cfg(&t, 0, 4), before[0]);
	assert_int_equal(vt_cfg(&t, 8, 4), before[2]);
	assert_int_equal(vt_cfg(&t, PCI_CAPABILITY_LIST, 1), before[13] & 0xff);
	assert_int_equal(vt_cfg(&t, t.cap_msix + PCI_MSIX_TABLE, 4),
			 before[(t.cap_msix + PCI_MSIX_TABLE) / 4]);
	vt_down(&t);
}

/* Registers through config space (4.1.4.9), with the BAR off too. */
static void test_window(void **state)
{
	struct viotest t;
	unsigned int w;

	toy_up(&t, true, 0);
	w = t.cap_window;
	vt_cfg_set(&t, PCI_COMMAND, 2, 0);
	vt_cfg_set(&t, w + VIRTIO_PCI_CAP_OFFSET, 4, t.common + VT_NUM_QUEUES);
	vt_cfg_set(&t, w + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	assert_int_equal(vt_cfg(&t, w + 16, 2), TOY_QUEUES);
	vt_cfg_set(&t, w + VIRTIO_PCI_CAP_OFFSET, 4, t.common + VT_STATUS);
	vt_cfg_set(&t, w + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	vt_cfg_set(&t, w + 16, 1, 1);
	assert_int_equal(vt_cfg(&t, w + 16, 1), 1);
	assert_int_equal(atomic_load(&t.v->status), 1);
	vt_cfg_set(&t, w + VIRTIO_PCI_CAP_OFFSET, 4, t.common + VT_STATUS - 2);
	for (unsigned int i = 0; i < 4; i++) { /* misaligned; wrong width, BAR, place */
		static const struct {
			unsigned int reg, val;
		} bad[] = { { VIRTIO_PCI_CAP_LENGTH, 4 },
			    { VIRTIO_PCI_CAP_LENGTH, 3 },
			    { VIRTIO_PCI_CAP_BAR, 4 },
			    { VIRTIO_PCI_CAP_OFFSET, 0xfffffffe } };

		vt_cfg_set(&t, w + bad[i].reg, bad[i].reg == VIRTIO_PCI_CAP_BAR ? 1 : 4,
			   bad[i].val);
		vt_cfg_set(&t, w + 16, 1, 3);
		assert_int_equal(atomic_load(&t.v->status), 1);
		assert_int_equal(vt_cfg(&t, w + 16, 1), 0);
	}
	vt_down(&t);
}

/* ---- features ---- */

static void test_features(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, true, VIO_F(5) | VIO_F_VERSION_1 | VIO_F_PACKED);

	/* What is hidden is not offered, but for the one without which nothing works. */
	assert_int_equal(vt_offered(&t), ALL & ~(VIO_F(5) | VIO_F_PACKED));
	vt_set(&t, VT_DFSEL, 2);
	assert_int_equal(vt_get(&t, VT_DF), 0);
	vt_set(&t, VT_DFSEL, UINT32_MAX);
	assert_int_equal(vt_get(&t, VT_DF), 0);

	assert_false(vt_negotiate(&t, VIO_F(50)));
	assert_false(vt_negotiate(&t, VIO_F_VERSION_1 | VIO_F(5)));
	assert_false(vt_negotiate(&t, VIO_F_VERSION_1 | VIO_F(63)));
	assert_int_equal(y->v.acked, 0);
	assert_true(vt_negotiate(&t, VIO_F_VERSION_1));
	assert_int_equal(y->v.acked, VIO_F_VERSION_1);
	vt_set(&t, VT_GFSEL, 1);
	vt_set(&t, VT_GF, UINT32_MAX); /* too late */
	vt_driver_ok(&t);
	assert_int_equal(y->v.acked, VIO_F_VERSION_1);
	assert_int_equal(vt_get(&t, VT_GF), 1);
	assert_int_equal(y->starts, 1);

	/* A second try without a reset, after a refusal. */
	vt_negotiate(&t, 0);
	vt_set(&t, VT_GFSEL, 1);
	vt_set(&t, VT_GF, 1);
	for (unsigned int i = 2; i < 34; i++) { /* bits that nobody has names for */
		vt_set(&t, VT_GFSEL, i);
		vt_set(&t, VT_GF, UINT32_MAX);
	}
	vt_set(&t, VT_STATUS, 0xb);
	assert_int_equal(vt_get(&t, VT_STATUS), 0xb);
	vt_down(&t);
}

static void test_no_ring_reset(void **state)
{
	static struct vio_ops ops;
	struct viotest t;
	struct vio *v;

	ops = toy_ops;
	ops.queue_stop = NULL;
	vt_machine(&t, true);
	assert_int_equal(vio_new(&ops, sizeof(struct toy), "toy0", 1, 16, 0, &v), 0);
	assert_int_equal(vt_add(&t, &v->dev, NULL), 0);
	assert_int_equal(vt_offered(&t), ALL & ~VIO_F_RING_RESET);
	vt_down(&t);
}

/* ---- status ---- */

static void check_status(struct toy *y, unsigned int st)
{
	assert_int_equal(y->v.started, y->running);
	assert_true(!(st & 4) || (st & 8));
	assert_true(!(st & 8) || (st & 3) == 3);
	assert_int_equal(y->running, (st & 4) && !(st & 0x40));
}

/* Every order of five writes out of these; features are good ones at every time. */
static void test_status_orders(void **state)
{
	static const uint8_t step[] = { 0, 1, 3, 0xb, 0xf, 4, 8, 0x80, 0x40 };
	const unsigned int n = ARRAY_SIZE(step);
	struct viotest t;
	struct toy *y = toy_up(&t, true, 0);
	unsigned int started = 0;

	for (unsigned int k = 0; k < n * n * n * n * n; k++) {
		vt_set(&t, VT_STATUS, 0);
		assert_int_equal(vt_get(&t, VT_STATUS), 0);
		vt_set(&t, VT_GFSEL, 1);
		vt_set(&t, VT_GF, 1);
		for (unsigned int i = 0, r = k; i < 5; i++, r /= n) {
			unsigned int was = vt_get(&t, VT_STATUS), now;

			vt_set(&t, VT_STATUS, step[r % n]);
			now = vt_get(&t, VT_STATUS);
			check_status(y, now);
			assert_true(!step[r % n] ? !now : (now & was) == was);
			assert_false(now & ~(was | step[r % n]) || now & 0x40);
			if (!step[r % n]) {
				vt_set(&t, VT_GFSEL, 1);
				vt_set(&t, VT_GF, 1);
			}
		}
		started += y->running;
	}
	assert_true(started > 100);
	vt_down(&t);
}

static void test_start_fails(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	y->start_rc = -ENOMEM;
	vt_up(&t, ALL, 16);
	assert_int_equal(vt_get(&t, VT_STATUS), 0x4f);
	assert_false(y->v.started);
	assert_true(vt_irq_pending(&t, 0));
	vt_driver_ok(&t); /* no second try */
	assert_int_equal(y->starts, 1);
	vt_set(&t, VT_STATUS, 0);
	assert_int_equal(vt_get(&t, VT_STATUS), 0);
	assert_int_equal(y->stops, 0);
	y->start_rc = 0;
	vt_up(&t, ALL, 16);
	assert_int_equal(vt_get(&t, VT_STATUS), 0xf);
	vt_down(&t);
}

static void test_stop_later(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	y->stop_rc = -EINPROGRESS;
	vt_up(&t, ALL, 16);
	vt_set(&t, VT_STATUS, 0);
	for (unsigned int i = 0; i < 3; i++) {
		/* Nothing changes and nothing can be changed meanwhile. */
		vt_set(&t, VT_STATUS, 0);
		vt_set(&t, VT_STATUS, 1);
		vt_set(&t, VT_QSEL, 1);
		vt_set(&t, VT_CONFIG_VEC, 2);
		assert_int_equal(vt_get(&t, VT_STATUS), 0xf);
		assert_int_equal(vt_get(&t, VT_QSEL), TOY_QUEUES - 1);
		assert_int_equal(vt_get(&t, VT_CONFIG_VEC), 0);
	}
	assert_int_equal(y->stops, 1);
	assert_true(y->v.q[0].enabled);
	y->running = false;
	vio_stopped(&y->v, -1);
	assert_int_equal(vt_get(&t, VT_STATUS), 0);
	assert_false(y->v.q[0].enabled);
	assert_int_equal(t.fa->nioeventfds, 0);
	y->stop_rc = 0;
	vt_up(&t, ALL, 16);
	assert_int_equal(y->starts, 2);
	vt_down(&t);
}

static void test_needs_reset(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);
	struct vio_info i;

	vt_up(&t, ALL, 16);
	vio_needs_reset(&y->v, "first");
	vio_needs_reset(&y->v, "second");
	assert_int_equal(vt_get(&t, VT_STATUS), 0x4f);
	assert_true(vt_irq_pending(&t, 0));
	vio_info(&y->v, &i);
	assert_string_equal(i.why, "first");
	vt_set(&t, VT_STATUS, 0);
	vio_info(&y->v, &i);
	assert_null(i.why);
	assert_int_equal(y->stops, 1);
	vt_up(&t, ALL, 16);
	vio_needs_reset(&y->v, "another");
	vio_info(&y->v, &i);
	assert_string_equal(i.why, "another");
	vt_down(&t);
}

/* ---- device config space ---- */

static void test_device_cfg(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);
	unsigned int gen;

	for (unsigned int i = 0; i < TOY_CFG; i++)
		y->cfg[i] = (uint8_t)(0x10 + i);
	assert_int_equal(vt_rd(&t, t.device, 8), 0x1716151413121110);
	assert_int_equal(vt_rd(&t, t.device + 3, 1), 0x13);
	assert_int_equal(vt_rd(&t, t.device + 8, 8), 0x1b1a1918); /* cut at the end */
	assert_int_equal(vt_rd(&t, t.device + 12, 4), 0);
	assert_int_equal(vt_rd(&t, t.device + 4092, 4), 0);
	assert_int_equal(vt_wr(&t, t.device + 4, 4, 0xddccbbaa), VM_IO_OK);
	assert_int_equal(vt_rd(&t, t.device + 4, 4), 0xddccbbaa);
	assert_int_equal(vt_wr(&t, t.device + 10, 4, 0), VM_IO_ERROR);
	gen = vt_get(&t, VT_GENERATION);
	vio_config_changed(&y->v);
	assert_int_not_equal(vt_get(&t, VT_GENERATION), gen);
	assert_false(vt_irq_pending(&t, 0));
	vt_up(&t, ALL, 16);
	vio_config_changed(&y->v);
	assert_true(vt_irq_pending(&t, 0));
	vt_down(&t);
}

static void test_hammer(void **state)
{
	struct viotest t;
	struct toy *y = toy_up(&t, false, 0);

	vt_hammer(&t, ALL);
	assert_true(y->running);
	vt_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enumerate),     cmocka_unit_test(test_cfg_writes),
		cmocka_unit_test(test_window),	      cmocka_unit_test(test_features),
		cmocka_unit_test(test_no_ring_reset), cmocka_unit_test(test_status_orders),
		cmocka_unit_test(test_start_fails),   cmocka_unit_test(test_stop_later),
		cmocka_unit_test(test_needs_reset),   cmocka_unit_test(test_device_cfg),
		cmocka_unit_test(test_hammer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
