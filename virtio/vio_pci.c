// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PCI side of a virtio device (virtio 1.2, 4.1): a modern function only, so there is no I/O BAR
 * and nothing below virtio 1. One 64-bit BAR holds all structures and the MSI-X table; nothing of
 * it is memory of the guest, so each access that is left is trapped and counted.
 *
 * What is left is set-up. Notifications, the only registers on the path of data, are ioeventfds:
 * one for each enabled queue, at the address where the BAR is. They come and go with the queue, not
 * with the BAR, since each costs the kernel a grace period and firmware and kernels move BARs
 * before any queue exists. Where the hypervisor has no room for one, the write is trapped and
 * signals the same eventfd.
 *
 * Interrupts are MSI-X. A driver without it finds an ISR status that stays zero and no interrupt
 * pin; it may poll.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/vio_priv.h"

#define VENDOR_VIRTIO	 0x1af4u
#define DEVICE_FIRST	 0x1040u /* plus the type (4.1.2) */
#define REVISION_MODERN	 1
#define CAP_LEN		 16u /* struct virtio_pci_cap */
#define KICK_LEN_ANY	 0
#define KICK_LEN_WRITTEN 2 /* a queue number, as VIRTIO_F_NOTIFICATION_DATA is not offered */

static struct vio_pci *of_fn(struct vm_pci_fn *f)
{
	return container_of(f, struct vio_pci, fn);
}

/* ---- notifications ---- */

static int kick_assign(struct vio_pci *p, unsigned int q, int len, bool on)
{
	struct vm_accel *a = p->fn.vm->accel;
	uint64_t addr = p->at + VIO_BAR_NOTIFY + (uint64_t)q * VIO_NOTIFY_SCALE;

	return a->ops->ioeventfd(a, p->v->q[q].kick, addr, (unsigned int)len, false, on);
}

static void kick_on(struct vio_pci *p, unsigned int q)
{
	/* Whatever its width first: the kernel then need not look at the instruction. */
	static const int widths[] = { KICK_LEN_ANY, KICK_LEN_WRITTEN };
	int rc = -EINVAL;

	for (unsigned int i = 0; i < ARRAY_SIZE(widths) && rc; i++) {
		rc = kick_assign(p, q, widths[i], true);
		if (!rc)
			p->kick_len[q] = widths[i];
	}
	if (!rc)
		p->kicks_direct++;
	else
		log_limited(p->fn.vm->log, &p->limit, LOG_WARN,
			    "%s: no ioeventfd for queue %u (error %d): its notifications are slow",
			    p->fn.name, q, -rc);
}

static void kick_off(struct vio_pci *p, unsigned int q)
{
	/* Fails only for one that is not there. */
	(void)!kick_assign(p, q, p->kick_len[q], false);
	p->kick_len[q] = -1;
	p->kicks_direct--;
}

void vio_pci_kicks(struct vio_pci *p)
{
	for (unsigned int q = 0; q < p->v->nqueues; q++) {
		bool want = p->mapped && p->v->q[q].enabled, have = p->kick_len[q] >= 0;

		if (want && !have)
			kick_on(p, q);
		if (!want && have)
			kick_off(p, q);
	}
}

/* One that was trapped all the same. Reads have no meaning; they say nothing. */
static enum vm_io_result notify_write(struct vio_pci *p, unsigned int off)
{
	static const uint64_t one = 1;
	unsigned int q = off / VIO_NOTIFY_SCALE;

	if (q >= p->v->nqueues || off % VIO_NOTIFY_SCALE || !p->v->q[q].enabled) {
		p->refused++;
		return VM_IO_ERROR;
	}
	p->kicks_trapped++;
	/* A full counter is a kick that waits already. */
	if (sys_write(p->fn.vm->sys, p->v->q[q].kick, &one, sizeof(one)) < 0)
		return VM_IO_OK;
	return VM_IO_OK;
}

/* ---- the BAR ---- */

/* Beyond the end it reads as zeroes: the length is in the capability. */
static enum vm_io_result device_read(struct vio_pci *p, unsigned int off, unsigned int len,
				     uint64_t *val)
{
	struct vio *v = p->v;
	uint8_t buf[8] = { 0 };

	if (range_ok(off, len, v->ops->cfg_size))
		v->ops->cfg_read(v, off, len, buf);
	else if (off < v->ops->cfg_size)
		v->ops->cfg_read(v, off, v->ops->cfg_size - off, buf);
	memcpy(val, buf, sizeof(*val));
	return VM_IO_OK;
}

static enum vm_io_result device_write(struct vio_pci *p, unsigned int off, unsigned int len,
				      uint64_t val)
{
	struct vio *v = p->v;

	if (!range_ok(off, len, v->ops->cfg_size) || p->resetting) {
		p->refused++;
		return VM_IO_ERROR;
	}
	if (v->ops->cfg_write)
		v->ops->cfg_write(v, off, len, &val);
	return VM_IO_OK;
}

static enum vm_io_result bar_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct vio_pci *p = dev;
	unsigned int in = off % VIO_PAGE;

	*val = 0;
	switch (ALIGN_DOWN(off, VIO_PAGE)) {
	case VIO_BAR_COMMON:
		return vio_common_read(p, in, len, val);
	case VIO_BAR_DEVICE:
		return device_read(p, in, len, val);
	case VIO_BAR_TABLE:
		return vm_msix_table_read(p->msix, in, len, val);
	case VIO_BAR_PBA:
		return vm_msix_pba_read(p->msix, in, len, val);
	case VIO_BAR_ISR:
	case VIO_BAR_NOTIFY:
		return VM_IO_OK;
	default:
		return VM_IO_UNHANDLED;
	}
}

static enum vm_io_result bar_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct vio_pci *p = dev;
	unsigned int in = off % VIO_PAGE;

	switch (ALIGN_DOWN(off, VIO_PAGE)) {
	case VIO_BAR_COMMON:
		return vio_common_write(p, in, len, val);
	case VIO_BAR_DEVICE:
		return device_write(p, in, len, val);
	case VIO_BAR_NOTIFY:
		return notify_write(p, in);
	case VIO_BAR_TABLE:
		return vm_msix_table_write(p->msix, in, len, val);
	case VIO_BAR_ISR:
	case VIO_BAR_PBA:
		return VM_IO_OK; /* read only */
	default:
		return VM_IO_UNHANDLED;
	}
}

static const struct vm_io_ops bar_ops = { .read = bar_read, .write = bar_write };

static int bar_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e)
{
	struct vio_pci *p = of_fn(f);
	int rc;

	p->io.base = gpa;
	rc = vm_bus_add(&f->vm->mmio, &p->io, e);
	if (rc)
		return rc;
	p->at = gpa;
	p->mapped = true;
	vio_pci_kicks(p);
	return 0;
}

static void bar_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct vio_pci *p = of_fn(f);

	p->mapped = false;
	vio_pci_kicks(p);
	vm_bus_del(&f->vm->mmio, &p->io);
}

/* ---- config space ---- */

/*
 * The window of VIRTIO_PCI_CAP_PCI_CFG (4.1.4.9): registers of the BAR through config space, also
 * while the BAR is not mapped. False when what it is set to is no register.
 */
static bool window(const struct vio_pci *p, uint32_t *off, uint32_t *len)
{
	const uint8_t *c = p->cfg.v + p->cap_window;

	*off = pci_get(c, VIRTIO_PCI_CAP_OFFSET, 4);
	*len = pci_get(c, VIRTIO_PCI_CAP_LENGTH, 4);
	return c[VIRTIO_PCI_CAP_BAR] == VIO_BAR && (*len == 1 || *len == 2 || *len == 4) &&
	       IS_ALIGNED(*off, *len) && range_ok(*off, *len, VIO_BAR_SIZE);
}

static uint32_t cfg_read(struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	struct vio_pci *p = of_fn(f);
	uint32_t at, size;
	uint64_t val;

	/* No extended capabilities: their space reads as zeroes. */
	if (off >= sizeof(p->cfg.v))
		return 0;
	if (pci_cfg_is_bar(off))
		return pci_cfg_bar_read(f, off, len);
	if (off == p->cap_window + CAP_LEN && window(p, &at, &size))
		return bar_read(p, at, size, &val) == VM_IO_OK ? (uint32_t)val : UINT32_MAX;
	return pci_get(p->cfg.v, off, len);
}

static bool touches(unsigned int reg, unsigned int off, unsigned int len)
{
	return reg >= off && reg < off + len;
}

/* A function level reset is the reset of the machine, for one function. */
static void flr(struct vio_pci *p)
{
	vm_pci_unmap_all(&p->fn);
	vio_restart(p->v);
	vio_pci_power_on(p);
}

static void cfg_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val)
{
	struct vio_pci *p = of_fn(f);
	unsigned int msix = p->cap_msix + PCI_MSIX_FLAGS, devctl = p->cap_exp + PCI_EXP_DEVCTL + 1;
	uint32_t at, size;

	if (off >= sizeof(p->cfg.v))
		return;
	if (pci_cfg_is_bar(off)) {
		pci_cfg_bar_write(f, off, len, val);
		return;
	}
	if (off == p->cap_window + CAP_LEN && window(p, &at, &size)) {
		(void)bar_write(p, at, size, size == 4 ? val : val & ((1u << 8 * size) - 1));
		return;
	}
	pci_cfg_write(&p->cfg, off, len, val);
	if (touches(PCI_COMMAND, off, len) || touches(PCI_COMMAND + 1, off, len))
		vm_pci_command(f, (uint16_t)pci_get(p->cfg.v, PCI_COMMAND, 2));
	if (touches(msix + 1, off, len)) {
		vm_msix_ctrl(p->msix, (uint16_t)pci_get(p->cfg.v, msix, 2));
		pci_put(p->cfg.v, msix, 2, vm_msix_ctrl_read(p->msix));
	}
	if (touches(devctl, off, len) && val >> 8 * (devctl - off) & 0x80)
		flr(p);
}

static void fn_reset(struct vm_pci_fn *f)
{
	struct vio_pci *p = of_fn(f);

	vio_restart(p->v);
	vio_pci_power_on(p);
}

/* What the last buffers are worth an interrupt for is sent before there are no more. */
static void fn_master(struct vm_pci_fn *f, bool on)
{
	struct vio_pci *p = of_fn(f);

	if (on)
		vm_msix_master(p->msix, true);
	vio_master(p->v, on);
	if (!on)
		vm_msix_master(p->msix, false);
}

static const struct vm_pci_fn_ops fn_ops = {
	.cfg_read = cfg_read,
	.cfg_write = cfg_write,
	.reset = fn_reset,
	.master = fn_master,
};

/* ---- the image of config space ---- */

/* A structure of the BAR (4.1.4); len bytes of capability. */
static unsigned int cap_structure(struct pci_cfg *c, unsigned int len, uint8_t type, uint32_t off,
				  uint32_t size)
{
	unsigned int at = pci_cfg_cap(c, PCI_CAP_ID_VNDR, len);

	c->v[at + VIRTIO_PCI_CAP_LEN] = (uint8_t)len;
	c->v[at + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	c->v[at + VIRTIO_PCI_CAP_BAR] = VIO_BAR;
	pci_put(c->v, at + VIRTIO_PCI_CAP_OFFSET, 4, off);
	pci_put(c->v, at + VIRTIO_PCI_CAP_LENGTH, 4, size);
	return at;
}

static void caps_virtio(struct vio_pci *p)
{
	struct pci_cfg *c = &p->cfg;
	unsigned int at;

	cap_structure(c, CAP_LEN, VIRTIO_PCI_CAP_COMMON_CFG, VIO_BAR_COMMON, VIO_COMMON_LEN);
	at = cap_structure(c, CAP_LEN + 4, VIRTIO_PCI_CAP_NOTIFY_CFG, VIO_BAR_NOTIFY,
			   p->v->nqueues * VIO_NOTIFY_SCALE);
	pci_put(c->v, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VIO_NOTIFY_SCALE);
	cap_structure(c, CAP_LEN, VIRTIO_PCI_CAP_ISR_CFG, VIO_BAR_ISR, 1);
	if (p->v->ops->cfg_size)
		cap_structure(c, CAP_LEN, VIRTIO_PCI_CAP_DEVICE_CFG, VIO_BAR_DEVICE,
			      p->v->ops->cfg_size);
	at = cap_structure(c, CAP_LEN + 4, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	p->cap_window = at;
	c->mask[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(c->mask + at + VIRTIO_PCI_CAP_OFFSET, 0xff, 8);
}

static uint32_t class_of(uint16_t type)
{
	switch (type) {
	case 1:
		return 0x020000; /* Ethernet */
	case 2:
		return 0x018000; /* mass storage, of no other kind */
	case 3:
		return 0x078000; /* communication, of no other kind */
	default:
		return 0xff0000;
	}
}

static void cfg_build(struct vio_pci *p)
{
	uint16_t type = p->v->ops->type;
	const struct pci_cfg_id id = {
		.vendor = VENDOR_VIRTIO,
		.device = (uint16_t)(DEVICE_FIRST + type),
		.sub_vendor = VENDOR_VIRTIO,
		.sub_device = (uint16_t)(0x40 + type), /* 0x40 or more: not transitional */
		.class_code = class_of(type),
		.revision = REVISION_MODERN,
	};
	struct pci_cfg *c = &p->cfg;

	pci_cfg_init(c, &id);
	p->cap_exp = pci_cfg_cap_express(c);
	p->cap_msix = pci_cfg_cap(c, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_put(c->v, p->cap_msix + PCI_MSIX_FLAGS, 2, p->v->nqueues); /* vectors less one */
	pci_put(c->v, p->cap_msix + PCI_MSIX_TABLE, 4, VIO_BAR_TABLE | VIO_BAR);
	pci_put(c->v, p->cap_msix + PCI_MSIX_PBA, 4, VIO_BAR_PBA | VIO_BAR);
	pci_put(c->mask, p->cap_msix + PCI_MSIX_FLAGS, 2,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	caps_virtio(p);
}

void vio_pci_power_on(struct vio_pci *p)
{
	cfg_build(p);
	vm_msix_reset(p->msix);
}

int vio_pci_vector(struct vio_pci *p, uint16_t *vec)
{
	int fd = -1;

	/* One that does not exist reads back as none, which tells the driver (4.1.5.1.2). */
	if (*vec != VIO_NO_VECTOR)
		fd = vm_irq_group_fd(p->irqs, *vec);
	if (fd >= 0)
		return fd;
	*vec = VIO_NO_VECTOR;
	return -1;
}

/* ---- life ---- */

int vio_pci_new(struct vio *v, struct err *e)
{
	struct vio_pci *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	v->pci = p;
	p->v = v;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	for (unsigned int q = 0; q < VIO_QUEUES_MAX; q++)
		p->kick_len[q] = -1;
	p->fn = (struct vm_pci_fn){
		.name = v->dev.id,
		.ops = &fn_ops,
		.vm = v->dev.vm,
		.bar_map = bar_map,
		.bar_unmap = bar_unmap,
	};
	p->fn.bar[VIO_BAR] = (struct vm_pci_bar){
		.type = VM_BAR_MEM64,
		.prefetch = true, /* or a bridge could not have it above 4 GiB */
		.size = VIO_BAR_SIZE,
	};
	return 0;
}

int vio_pci_realize(struct vio *v, struct err *e)
{
	struct vio_pci *p = v->pci;
	unsigned int vectors = v->nqueues + 1;
	int rc = vm_pci_attach(v->dev.vm->pci, &p->fn, e);

	if (rc)
		return rc;
	p->io = (struct vm_io_region){
		.name = p->fn.bar[VIO_BAR].name, .size = VIO_BAR_SIZE, .ops = &bar_ops, .dev = p
	};
	rc = vm_irq_group_new(v->dev.vm->irqs, v->dev.id, vectors, bdf_rid(p->fn.bdf), &p->irqs);
	if (!rc)
		rc = vm_msix_new(p->irqs, vectors, NULL, NULL, &p->msix);
	if (rc)
		return err_sys(e, rc, "interrupts");
	vm_msix_master(p->msix, false);
	cfg_build(p);
	return 0;
}

void vio_pci_free(struct vio *v)
{
	struct vio_pci *p = v->pci;

	if (!p)
		return;
	vm_pci_detach(&p->fn);
	vm_io_region_fini(&p->io);
	vm_msix_free(p->msix);
	vm_irq_group_free(p->irqs);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
	free(p);
	v->pci = NULL;
}
