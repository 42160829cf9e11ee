// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupts of an assigned device: INTx, MSI or MSI-X, one at a time, since the device has only
 * one of them on and the kernel refuses a second.
 *
 * MSI-X. A kernel without dynamic vectors (VFIO_IRQ_INFO_NORESIZE) fixes their number at the call
 * that switches MSI-X on, and adding one later would mean off and on again, with interrupts lost.
 * So all vectors are taken when the guest switches MSI-X on, with -1 for an eventfd: that allocates
 * them and connects none, in one call. A vector is then connected, alone, when it is first
 * unmasked, and stays so. Masking goes no further than the irqfd: the device signals on, into an
 * eventfd whose counter is the pending bit.
 *
 * INTx. The line is level: the kernel masks it when it fires and signals the eventfd; KVM raises
 * the pin and signals the resample eventfd at the guest's EOI, which unmasks the line in the
 * kernel. The order of the set-up is that of a line that may be up already: irqfd, trigger, mask,
 * unmask eventfd, unmask.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include "vfio/pci_priv.h"

#define MSI_BASE 0xfee00000u
#define MSI_MASK 0xfff00000u

static int irqs_set(struct vfio_pci *p, unsigned int index, enum vfd_irq_action a,
		    unsigned int start, unsigned int count, const int32_t *fds)
{
	int r = p->vfd ? p->vfd->ops->irqs_set(p->vfd, index, a, start, count, fds) : -ENODEV;

	if (r < 0)
		p->irq.failures++;
	return r;
}

static void switch_off(struct vfio_pci *p, unsigned int index)
{
	(void)irqs_set(p, index, VFD_IRQ_TRIGGER, 0, 0, NULL);
}

static void complain(struct vfio_pci *p, int code, const char *what)
{
	log_limited(p->fn.vm->log, &p->limit, LOG_WARN, "%s: cannot switch %s on (error %d)%s",
		    p->dev.id, what, -code,
		    code == -ENOSPC ? ": the host has not that many interrupt vectors left" : "");
}

/* ---- INTx ---- */

static void intx_off(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;

	if (q->mode != VFIO_IRQ_INTX)
		return;
	switch_off(p, VFIO_PCI_INTX_IRQ_INDEX);
	(void)!vm_irq_line_fd(p->fn.vm->irqs, q->gsi, q->intx_fd, q->resample_fd, false);
	sys_close(p->fn.vm->sys, &q->intx_fd);
	sys_close(p->fn.vm->sys, &q->resample_fd);
	q->mode = VFIO_IRQ_NONE;
}

static int intx_fds(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;
	struct sys *s = p->fn.vm->sys;

	q->intx_fd = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->intx_fd < 0)
		return q->intx_fd;
	q->resample_fd = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->resample_fd < 0 ? q->resample_fd : 0;
}

static int intx_connect(struct vfio_pci *p)
{
	const unsigned int idx = VFIO_PCI_INTX_IRQ_INDEX;
	struct vfio_irqs *q = &p->irq;
	int r;

	r = vm_irq_line_fd(p->fn.vm->irqs, q->gsi, q->intx_fd, q->resample_fd, true);
	if (r < 0)
		return r;
	q->mode = VFIO_IRQ_INTX; /* from here on intx_off() undoes all */
	r = irqs_set(p, idx, VFD_IRQ_TRIGGER, 0, 1, &q->intx_fd);
	if (r == 0)
		r = irqs_set(p, idx, VFD_IRQ_MASK, 0, 1, NULL);
	if (r == 0)
		r = irqs_set(p, idx, VFD_IRQ_UNMASK, 0, 1, &q->resample_fd);
	/* Looks at the line again: what fired between trigger and unmask eventfd is not lost. */
	if (r == 0)
		r = irqs_set(p, idx, VFD_IRQ_UNMASK, 0, 1, NULL);
	if (r < 0)
		intx_off(p);
	return r;
}

void vfio_irqs_intx(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;
	int r;

	if (!q->pin || q->mode != VFIO_IRQ_NONE || p->state != VFIO_PCI_OK || !p->realized)
		return;
	r = intx_fds(p);
	if (r == 0)
		r = intx_connect(p);
	if (r == 0)
		return;
	sys_close(p->fn.vm->sys, &q->intx_fd);
	sys_close(p->fn.vm->sys, &q->resample_fd);
	complain(p, r, "INTx");
}

/* ---- MSI ---- */

static unsigned int msi_reg(const struct vfio_pci *p, unsigned int if32, unsigned int if64)
{
	uint32_t flags = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_FLAGS, 2);

	return p->cfg.msi + (flags & PCI_MSI_FLAGS_64BIT ? if64 : if32);
}

static uint32_t msi_masked(const struct vfio_pci *p)
{
	uint32_t flags = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_FLAGS, 2);

	if (!(flags & PCI_MSI_FLAGS_MASKBIT))
		return 0;
	return vfio_cfg_get(&p->cfg, msi_reg(p, PCI_MSI_MASK_32, PCI_MSI_MASK_64), 4);
}

/* How many vectors the guest has asked for and may have. */
static unsigned int msi_wanted(const struct vfio_pci *p)
{
	uint32_t flags = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_FLAGS, 2);
	unsigned int want = (flags & PCI_MSI_FLAGS_QSIZE) >> 4;
	unsigned int can = (flags & PCI_MSI_FLAGS_QMASK) >> 1;
	unsigned int n = 1u << MIN(want, can);

	if (!(flags & PCI_MSI_FLAGS_ENABLE))
		return 0;
	return MIN(n, p->irq.nmsi);
}

/* Multiple messages differ in the low bits of the data (7.7.1.4). */
static void msi_route(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;
	uint32_t lo = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_ADDRESS_LO, 4);
	uint32_t data = vfio_cfg_get(&p->cfg, msi_reg(p, PCI_MSI_DATA_32, PCI_MSI_DATA_64), 2);
	uint32_t flags = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_FLAGS, 2);
	uint32_t hi = flags & PCI_MSI_FLAGS_64BIT
			      ? vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_ADDRESS_HI, 4)
			      : 0;
	uint32_t masked = msi_masked(p);
	/* Elsewhere the "interrupt" would be a write to memory. */
	bool valid = !hi && (lo & MSI_MASK) == MSI_BASE;

	if (!valid && q->msi_on)
		q->refused++;
	for (unsigned int i = 0; i < q->nmsi; i++) {
		struct vm_msi msi = { .addr = lo, .data = (data & ~(q->msi_on - 1)) | i };

		if (i < q->msi_on && valid && !(masked >> i & 1))
			vm_irq_group_route(q->msi_group, i, &msi);
		else
			vm_irq_group_route(q->msi_group, i, NULL);
	}
	if (vm_irq_group_commit(q->msi_group))
		q->refused++;
}

static void msi_off(struct vfio_pci *p)
{
	if (p->irq.mode != VFIO_IRQ_MSI)
		return;
	switch_off(p, VFIO_PCI_MSI_IRQ_INDEX);
	vm_irq_group_clear(p->irq.msi_group);
	p->irq.mode = VFIO_IRQ_NONE;
	p->irq.msi_on = 0;
}

static void msi_on(struct vfio_pci *p, unsigned int n)
{
	struct vfio_irqs *q = &p->irq;
	int32_t fds[32];
	int r = 0;

	intx_off(p);
	for (unsigned int i = 0; i < n && r >= 0; i++)
		r = fds[i] = vm_irq_group_fd(q->msi_group, i);
	if (r >= 0)
		r = irqs_set(p, VFIO_PCI_MSI_IRQ_INDEX, VFD_IRQ_TRIGGER, 0, n, fds);
	if (r < 0) {
		complain(p, r, "MSI");
		return;
	}
	q->mode = VFIO_IRQ_MSI;
	q->msi_on = n;
}

void vfio_irqs_msi(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;
	unsigned int want = msi_wanted(p);

	if (!q->msi_group || p->state != VFIO_PCI_OK)
		return;
	if (want && q->mode == VFIO_IRQ_MSIX) { /* undefined for the guest; MSI-X stays (7.7.2.2) */
		q->refused++;
		return;
	}
	if (q->mode == VFIO_IRQ_MSI && want != q->msi_on)
		msi_off(p);
	if (want && q->mode != VFIO_IRQ_MSI)
		msi_on(p, want);
	if (q->mode == VFIO_IRQ_MSI)
		msi_route(p);
	else
		vfio_irqs_intx(p);
}

uint32_t vfio_irqs_msi_pending(struct vfio_pci *p)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < p->irq.msi_on; i++)
		if (vm_irq_group_pending(p->irq.msi_group, i))
			bits |= 1u << i;
	return bits;
}

/* ---- MSI-X ---- */

static int msix_use(void *dev, unsigned int vec, bool on)
{
	struct vfio_pci *p = dev;
	int32_t fd = -1;

	/* Off goes with the whole index: nothing to do for one vector. */
	if (p->irq.mode != VFIO_IRQ_MSIX)
		return on ? -ENODEV : 0;
	if (on) {
		fd = vm_irq_group_fd(p->irq.msix_group, vec);
		if (fd < 0)
			return fd;
	}
	return irqs_set(p, VFIO_PCI_MSIX_IRQ_INDEX, VFD_IRQ_TRIGGER, vec, 1, &fd);
}

static const struct vm_msix_ops msix_ops = { .use = msix_use };

static void msix_on(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;
	int32_t *none;
	int r = -ENOMEM;

	msi_off(p);
	intx_off(p);
	none = malloc(q->nmsix * sizeof(*none));
	if (none) {
		for (unsigned int i = 0; i < q->nmsix; i++)
			none[i] = -1;
		r = irqs_set(p, VFIO_PCI_MSIX_IRQ_INDEX, VFD_IRQ_TRIGGER, 0, q->nmsix, none);
	}
	free(none);
	if (r < 0)
		complain(p, r, "MSI-X");
	else
		q->mode = VFIO_IRQ_MSIX;
}

static void msix_off(struct vfio_pci *p)
{
	if (p->irq.mode != VFIO_IRQ_MSIX)
		return;
	switch_off(p, VFIO_PCI_MSIX_IRQ_INDEX);
	p->irq.mode = VFIO_IRQ_NONE;
}

void vfio_irqs_msix_ctrl(struct vfio_pci *p, uint16_t ctrl)
{
	bool on = ctrl & PCI_MSIX_FLAGS_ENABLE;

	if (!p->irq.msix)
		return;
	/* Before the vectors are looked at, so that those already unmasked are connected at once.
	 */
	if (on && p->irq.mode != VFIO_IRQ_MSIX && p->state == VFIO_PCI_OK)
		msix_on(p);
	if (!on)
		msix_off(p);
	vm_msix_ctrl(p->irq.msix, ctrl);
	if (!on && p->irq.mode == VFIO_IRQ_NONE)
		p->cfg.msi ? vfio_irqs_msi(p) : vfio_irqs_intx(p);
}

/* ---- all of them ---- */

void vfio_irqs_off(struct vfio_pci *p)
{
	msix_off(p);
	msi_off(p);
	intx_off(p);
	if (p->irq.msix)
		vm_msix_reset(p->irq.msix);
}

static int irq_count(struct vfio_pci *p, unsigned int index, unsigned int *n, struct err *e)
{
	struct vfd_irq info = { 0 };
	int r = p->vfd->ops->irq_info(p->vfd, index, &info);

	if (r < 0)
		return err_sys(e, r, "cannot ask about its interrupts");
	*n = info.eventfd ? info.count : 0;
	return 0;
}

int vfio_irqs_init(struct vfio_pci *p, struct err *e)
{
	struct vfio_irqs *q = &p->irq;
	unsigned int n = 0;
	uint8_t pin = 0;
	int r;

	q->intx_fd = q->resample_fd = -1;
	r = p->vfd->ops->read(p->vfd, VFIO_PCI_CONFIG_REGION_INDEX, PCI_INTERRUPT_PIN, &pin, 1);
	if (r < 0)
		return err_sys(e, r, "cannot read its interrupt pin");
	r = irq_count(p, VFIO_PCI_INTX_IRQ_INDEX, &n, e);
	if (r < 0)
		return r;
	q->pin = n && !p->is_vf && pin >= 1 && pin <= 4 ? pin : 0; /* VFs have none (9.3.4.1.7) */
	vfio_cfg_set(&p->cfg, PCI_INTERRUPT_PIN, 1, q->pin);
	if (p->cfg.msi) {
		r = irq_count(p, VFIO_PCI_MSI_IRQ_INDEX, &n, e);
		/* A power of two, as the data of the messages wants it. */
		for (q->nmsi = MIN(n, 32u); q->nmsi && !IS_POW2(q->nmsi);)
			q->nmsi--;
	}
	if (r == 0 && p->cfg.msix) {
		r = irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX, &n, e);
		q->nmsix = p->msix_place.n;
		if (r == 0 && n < q->nmsix)
			r = err_set(e, -EINVAL,
				    "it has %u MSI-X vectors, of which VFIO delivers %u only",
				    q->nmsix, n);
	}
	return r;
}

int vfio_irqs_realize(struct vfio_pci *p, struct err *e)
{
	struct vfio_irqs *q = &p->irq;
	struct vm_irqs *irqs = p->fn.vm->irqs;
	uint32_t rid = bdf_rid(p->fn.bdf);
	int r = 0;

	if (q->pin)
		q->gsi = vm_pci_intx_pin(&p->fn, q->pin);
	if (q->nmsi)
		r = vm_irq_group_new(irqs, p->dev.id, q->nmsi, rid, &q->msi_group);
	if (r == 0 && q->nmsix)
		r = vm_irq_group_new(irqs, p->dev.id, q->nmsix, rid, &q->msix_group);
	if (r == 0 && q->nmsix)
		r = vm_msix_new(q->msix_group, q->nmsix, &msix_ops, p, &q->msix);
	return r < 0 ? err_sys(e, r, "interrupts") : 0;
}

void vfio_irqs_fini(struct vfio_pci *p)
{
	struct vfio_irqs *q = &p->irq;

	vm_msix_free(q->msix);
	vm_irq_group_free(q->msix_group);
	vm_irq_group_free(q->msi_group);
	q->msix = NULL;
	q->msix_group = q->msi_group = NULL;
}
