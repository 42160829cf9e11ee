// SPDX-License-Identifier: BSD-3-Clause
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/virtio/viotest.h"

#define BUS	  1 /* behind the first root port */
#define HEAP	  MIB(2)
#define RAM	  MIB(64)
#define WAIT_MS	  20000 /* for ever, as far as a test is concerned */
#define BAR_INDEX 0

void vt_machine(struct viotest *t, bool fs)
{
	*t = (struct viotest){ .heap = HEAP };
	if (fs)
		t->fs = fakesys_new();
	t->sys = fs ? fakesys_sys(t->fs) : sys_host();
	t->fa = fakeaccel_new();
	t->vm = fakeaccel_vm(t->sys, t->fa, RAM);
	BUG_ON(vm_pci_new(t->vm, false, &t->pci, NULL));
	t->vm->pci = t->pci;
}

int vt_add(struct viotest *t, struct vm_dev *d, struct err *e)
{
	int rc = vm_dev_add(t->vm, d, e);

	if (rc)
		return rc;
	t->dev = d;
	t->v = vio_of(d);
	BUG_ON(!t->v || vm_pci_setup(t->pci, NULL));
	vt_find(t);
	vt_msix_on(t);
	return 0;
}

void vt_forget(struct viotest *t)
{
	for (unsigned int i = 0; i < VIO_QUEUES_MAX; i++) {
		vqd_free(t->q[i].d);
		t->q[i].d = NULL;
	}
	t->heap = HEAP;
}

void vt_down(struct viotest *t)
{
	fakeaccel_vm_free(t->vm);
	vt_forget(t);
	if (t->fs)
		fakesys_free(t->fs);
}

/* ---- config space ---- */

uint32_t vt_cfg(struct viotest *t, unsigned int off, unsigned int len)
{
	uint64_t v;

	vm_bus_read(&t->vm->mmio, VM_PCI_ECAM_BASE + (BUS << 20 | off), len, &v);
	return (uint32_t)v;
}

void vt_cfg_set(struct viotest *t, unsigned int off, unsigned int len, uint32_t val)
{
	vm_bus_write(&t->vm->mmio, VM_PCI_ECAM_BASE + (BUS << 20 | off), len, val);
}

static void structure(struct viotest *t, unsigned int at)
{
	uint32_t off = vt_cfg(t, at + VIRTIO_PCI_CAP_OFFSET, 4);

	switch (vt_cfg(t, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		t->common = off;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		t->notify = off;
		t->scale = vt_cfg(t, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		t->isr = off;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		t->device = off;
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		t->cap_window = at;
		break;
	}
}

void vt_find(struct viotest *t)
{
	unsigned int at = vt_cfg(t, PCI_CAPABILITY_LIST, 1);

	for (unsigned int i = 0; at && i < 64; i++, at = vt_cfg(t, at + 1, 1)) {
		switch (vt_cfg(t, at, 1)) {
		case PCI_CAP_ID_VNDR:
			structure(t, at);
			break;
		case PCI_CAP_ID_MSIX:
			t->cap_msix = at;
			t->msix_table = vt_cfg(t, at + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_OFFSET;
			t->pba = vt_cfg(t, at + PCI_MSIX_PBA, 4) & PCI_MSIX_PBA_OFFSET;
			break;
		case PCI_CAP_ID_EXP:
			t->cap_exp = at;
			break;
		}
	}
	t->bar = vt_cfg(t, PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK;
	t->bar |= (uint64_t)vt_cfg(t, PCI_BASE_ADDRESS_0 + 4, 4) << 32;
}

void vt_master(struct viotest *t, bool on)
{
	vt_cfg_set(t, PCI_COMMAND, 2,
		   (vt_cfg(t, PCI_COMMAND, 2) & ~PCI_COMMAND_MASTER) |
			   (on ? PCI_COMMAND_MASTER : 0));
}

void vt_msix_on(struct viotest *t)
{
	unsigned int n = 1 + (vt_cfg(t, t->cap_msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE);

	vt_master(t, true);
	vt_cfg_set(t, t->cap_msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int i = 0; i < n; i++) {
		vt_wr(t, t->msix_table + 16 * i, 4, 0xfee00000);
		vt_wr(t, t->msix_table + 16 * i + 4, 4, 0);
		vt_wr(t, t->msix_table + 16 * i + 8, 4, 0x40 + i);
		vt_wr(t, t->msix_table + 16 * i + 12, 4, 0);
	}
}

/* ---- registers ---- */

uint64_t vt_rd(struct viotest *t, unsigned int off, unsigned int len)
{
	uint64_t v;

	vm_bus_read(&t->vm->mmio, t->bar + off, len, &v);
	return v;
}

enum vm_io_result vt_wr(struct viotest *t, unsigned int off, unsigned int len, uint64_t val)
{
	return vm_bus_write(&t->vm->mmio, t->bar + off, len, val);
}

static unsigned int width(enum vt_field f)
{
	if (f < VT_CONFIG_VEC || (f >= VT_QDESC && f < VT_QNDATA))
		return 4;
	return f == VT_STATUS || f == VT_GENERATION ? 1 : 2;
}

uint32_t vt_get(struct viotest *t, enum vt_field f)
{
	return (uint32_t)vt_rd(t, t->common + f, width(f));
}

void vt_set(struct viotest *t, enum vt_field f, uint32_t val)
{
	(void)vt_wr(t, t->common + f, width(f), val);
}

/* ---- a driver ---- */

uint64_t vt_offered(struct viotest *t)
{
	uint64_t f;

	vt_set(t, VT_DFSEL, 0);
	f = vt_get(t, VT_DF);
	vt_set(t, VT_DFSEL, 1);
	return f | (uint64_t)vt_get(t, VT_DF) << 32;
}

bool vt_negotiate(struct viotest *t, uint64_t features)
{
	vt_set(t, VT_STATUS, 0);
	vt_set(t, VT_STATUS, 1);
	vt_set(t, VT_STATUS, 3);
	for (unsigned int i = 0; i < 2; i++) {
		vt_set(t, VT_GFSEL, i);
		vt_set(t, VT_GF, (uint32_t)(features >> 32 * i));
	}
	vt_set(t, VT_STATUS, 0xb);
	vt_set(t, VT_CONFIG_VEC, 0);
	return vt_get(t, VT_STATUS) & 8;
}

void *vt_alloc(struct viotest *t, size_t len)
{
	void *p = vm_mem_ptr(&t->vm->mem, t->heap, len);

	BUG_ON(!p);
	t->heap = ALIGN_UP(t->heap + len, 4096ull);
	return memset(p, 0, len);
}

uint64_t vt_gpa(const struct viotest *t, const void *p)
{
	return (uint64_t)((const uint8_t *)p - (const uint8_t *)t->vm->ram.hva);
}

static void put64(struct viotest *t, enum vt_field f, uint64_t val)
{
	vt_wr(t, t->common + f, 4, (uint32_t)val);
	vt_wr(t, t->common + f + 4, 4, (uint32_t)(val >> 32));
}

void vt_queue(struct viotest *t, unsigned int q, uint16_t size, uint64_t features)
{
	struct vqd_cfg c = {
		.size = size,
		.packed = features & VIO_F_PACKED,
		.event_idx = features & VIO_F_EVENT_IDX,
		.indirect = features & VIO_F_INDIRECT,
		.in_order = features & VIO_F_IN_ORDER,
		.hva = t->vm->ram.hva,
	};
	struct vq_cfg at;

	vqd_free(t->q[q].d);
	c.area = vt_alloc(t, vqd_area(&c));
	BUG_ON(vqd_new(&c, &t->q[q].d));
	vqd_addrs(t->q[q].d, &at);
	vt_set(t, VT_QSEL, q);
	vt_set(t, VT_QSIZE, size);
	put64(t, VT_QDESC, at.desc);
	put64(t, VT_QDRIVER, at.driver);
	put64(t, VT_QDEVICE, at.device);
	vt_set(t, VT_QVEC, q + 1);
	vt_set(t, VT_QENABLE, 1);
}

void vt_driver_ok(struct viotest *t)
{
	vt_set(t, VT_STATUS, 0xf);
}

void vt_up(struct viotest *t, uint64_t features, uint16_t qsize)
{
	BUG_ON(!vt_negotiate(t, features));
	for (unsigned int q = 0; q < t->v->nqueues; q++)
		vt_queue(t, q, qsize, features);
	vt_driver_ok(t);
}

bool vt_kick(struct viotest *t, unsigned int q)
{
	uint64_t noff;

	vt_set(t, VT_QSEL, q);
	noff = vt_get(t, VT_QNOFF);
	return fakeaccel_mmio_write(t->vm, t->bar + t->notify + noff * t->scale, 2, q);
}

void vt_publish(struct viotest *t, unsigned int q)
{
	if (vqd_publish(t->q[q].d))
		(void)vt_kick(t, q);
}

/* The eventfd that is the irqfd of the vector's message. */
static int irq_fd(struct viotest *t, unsigned int vec)
{
	for (unsigned int i = 0; i < t->fa->nroutes; i++) {
		if (t->fa->route[i].msi.data != 0x40 + vec)
			continue;
		for (unsigned int k = 0; k < t->fa->nirqfds; k++)
			if (t->fa->irqfd[k].gsi == t->fa->route[i].gsi)
				return t->fa->irqfd[k].fd;
	}
	return -1;
}

bool vt_irq_pending(struct viotest *t, unsigned int vec)
{
	int fd = irq_fd(t, vec);
	uint64_t n;

	return fd >= 0 && sys_read(t->sys, fd, &n, sizeof(n)) == sizeof(n);
}

void vt_irq(struct viotest *t, unsigned int vec)
{
	struct pollfd p = { .fd = irq_fd(t, vec), .events = POLLIN };

	BUG_ON(p.fd < 0);
	BUG_ON(poll(&p, 1, WAIT_MS) != 1);
	BUG_ON(!vt_irq_pending(t, vec));
}

void *vt_get_used(struct viotest *t, unsigned int q, uint32_t *len)
{
	void *c;

	while (!(c = vqd_get(t->q[q].d, len)))
		if (!vqd_notify(t->q[q].d, true))
			vt_irq(t, q + 1);
	return c;
}

static void hammer(struct viotest *t, unsigned int off, unsigned int len, bool select)
{
	static const uint64_t val[] = {
		0, 1, 2, 0x7f, 0xff, 0x8000, 0xffff, UINT32_MAX, UINT64_MAX, 0x5555555555555555
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(val); i++) {
		(void)vt_rd(t, off, len);
		(void)vt_wr(t, off, len, val[i]);
		if (select)
			vt_set(t, VT_QSEL, i % (t->v->nqueues + 2));
	}
}

void vt_hammer(struct viotest *t, uint64_t features)
{
	const unsigned int end = 0x8000;

	for (unsigned int round = 0; round < 3; round++) {
		if (round) {
			vt_forget(t);
			vt_up(t, features, 16);
		}
		/* The structures lie at the beginning of their pages. */
		for (unsigned int off = 0; off < end; off += off % 4096 < 80 ? 1 : 61)
			for (unsigned int len = 1; len <= 8 && off + len <= end; len *= 2)
				hammer(t, off, len, round == 2);
	}
	vt_set(t, VT_STATUS, 0);
	vt_msix_on(t);
	vt_forget(t);
	vt_up(t, features, 16);
}
