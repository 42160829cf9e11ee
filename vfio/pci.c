// SPDX-License-Identifier: BSD-3-Clause
/*
 * The assigned function as a device of the machine: config accesses of the guest, and its life from
 * vm_dev_add() to the end. What the guest may see and change is in cfg_table.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vfio/pci_priv.h"
#include "vmm/core/pci_cfg.h"

static uint32_t ones(unsigned int len)
{
	return len == 4 ? UINT32_MAX : (1u << 8 * len) - 1;
}

/* ---- config space ---- */

static unsigned int msi_pending_reg(const struct vfio_pci *p)
{
	uint32_t flags;

	if (!p->cfg.msi)
		return 0;
	flags = vfio_cfg_get(&p->cfg, p->cfg.msi + PCI_MSI_FLAGS, 2);
	if (!(flags & PCI_MSI_FLAGS_MASKBIT))
		return 0;
	return p->cfg.msi + (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_PENDING_64 : PCI_MSI_PENDING_32);
}

static uint32_t cfg_read(struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	struct vfio_pci *p = vfio_pci_of_fn(f);
	unsigned int pending = msi_pending_reg(p);

	if (!p->vfd)
		return ones(len);
	if (pci_cfg_is_bar(off))
		return pci_cfg_bar_read(f, off, len);
	if (pending && ranges_overlap(off, len, pending, 4))
		vfio_cfg_set(&p->cfg, pending, 4, vfio_irqs_msi_pending(p));
	return vfio_cfg_read(&p->cfg, p->vfd, off, len);
}

/* Did this write set bits `bits` of the byte at reg? For registers that read as zero. */
static bool wrote(unsigned int reg, uint8_t bits, unsigned int off, unsigned int len, uint32_t val)
{
	return reg >= off && reg < off + len && (val >> 8 * (reg - off) & bits);
}

/* Both kinds of function level reset are the same reset of ours. */
static void guest_flr(struct vfio_pci *p)
{
	if (!p->vfd->can_reset)
		return;
	p->flrs++;
	vfio_pci_reset(p);
}

static void run_hook(struct vfio_pci *p, enum vfio_cfg_hook hook, unsigned int off,
		     unsigned int len, uint32_t val)
{
	const struct vfio_cfg *c = &p->cfg;

	switch (hook) {
	case CFG_HOOK_COMMAND:
	case CFG_HOOK_PM:
		vfio_pci_command(p);
		break;
	case CFG_HOOK_DEVCTL: /* bit 15: Initiate Function Level Reset (7.5.3.4) */
		if (wrote(c->exp + PCI_EXP_DEVCTL + 1, 0x80, off, len, val))
			guest_flr(p);
		break;
	case CFG_HOOK_AF:
		if (wrote(c->af + PCI_AF_CTRL, PCI_AF_CTRL_FLR, off, len, val))
			guest_flr(p);
		break;
	case CFG_HOOK_MSI:
		vfio_irqs_msi(p);
		break;
	case CFG_HOOK_MSIX:
		vfio_irqs_msix_ctrl(p, (uint16_t)vfio_cfg_get(c, c->msix + PCI_MSIX_FLAGS, 2));
		break;
	case CFG_HOOK_BAR:
	case CFG_HOOK_NONE:
		break;
	}
}

static void cfg_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val)
{
	struct vfio_pci *p = vfio_pci_of_fn(f);
	uint8_t last = CFG_HOOK_NONE;

	if (!p->vfd)
		return;
	p->dirty = true;
	if (pci_cfg_is_bar(off)) {
		pci_cfg_bar_write(f, off, len, val);
		return;
	}
	vfio_cfg_write(&p->cfg, p->vfd, off, len, val);
	/* A dword may touch two registers: each hook once, in the order of their registers. */
	for (unsigned int i = off; i < off + len && p->vfd; i++) {
		uint8_t hook = p->cfg.hook[i];

		if (hook != last)
			run_hook(p, hook, off, len, val);
		last = hook;
	}
}

static void fn_reset(struct vm_pci_fn *f)
{
	struct vfio_pci *p = vfio_pci_of_fn(f);

	/* The machine's reset comes by way of the device and of the bus; once is enough. */
	if (p->dirty || p->state == VFIO_PCI_ERROR)
		vfio_pci_reset(p);
}

static const struct vm_pci_fn_ops fn_ops = {
	.cfg_read = cfg_read,
	.cfg_write = cfg_write,
	.reset = fn_reset,
};

/* ---- life ---- */

static int dev_init(struct vm_dev *d, struct err *e)
{
	struct vfio_pci *p = vfio_pci_of_dev(d);
	char dev[BDF_STRLEN];
	int r;

	p->fn.name = d->id;
	p->fn.ops = &fn_ops;
	p->fn.vm = d->vm;
	p->fn.bar_map = vfio_bar_map;
	p->fn.bar_unmap = vfio_bar_unmap;
	r = vfio_cfg_build(&p->cfg, p->vfd, e);
	if (r == 0)
		r = vfio_bars_init(p, e);
	if (r == 0)
		r = vfio_irqs_init(p, e);
	if (r < 0) {
		err_prefix(e, "%s: ", bdf_format(dev, p->opts.bdf));
		return r;
	}
	vfio_cfg_seal(&p->cfg); /* the interrupt pin is known now */
	return 0;
}

static int dev_realize(struct vm_dev *d, struct err *e)
{
	struct vfio_pci *p = vfio_pci_of_dev(d);
	int r;

	r = vm_pci_attach(d->vm->pci, &p->fn, e);
	if (r == 0)
		r = vfio_irqs_realize(p, e);
	if (r == 0)
		r = vfio_events_init(p, e);
	if (r < 0)
		return r;
	p->realized = true;
	/* Whatever the host left in the command register: decoding and bus mastering start off. */
	p->phys_cmd = UINT16_MAX;
	vfio_pci_command(p);
	vfio_irqs_intx(p);
	return 0;
}

static void dev_reset(struct vm_dev *d)
{
	fn_reset(&vfio_pci_of_dev(d)->fn);
}

static void dev_free(struct vm_dev *d)
{
	struct vfio_pci *p = vfio_pci_of_dev(d);

	vfio_pci_shutdown(p);
	vfio_events_fini(p);
	vm_pci_detach(&p->fn);
	vfio_irqs_fini(p);
	vfio_bars_fini(p);
	vfd_close(p->vfd);
	p->vfd = NULL;
	vfio_ctx_drop(p);
	vfio_ctx_forget(p);
	free((char *)p->opts.vf_token);
	p->opts.vf_token = NULL;
}

const struct vm_dev_ops vfio_pci_ops = {
	.name = "vfio-pci",
	.size = sizeof(struct vfio_pci),
	.init = dev_init,
	.realize = dev_realize,
	.reset = dev_reset,
	.free = dev_free,
};

/* ---- questions ---- */

struct vm_pci_fn *vfio_pci_fn(struct vm_dev *d)
{
	return &vfio_pci_of_dev(d)->fn;
}

static void bar_info(const struct vfio_pci *p, unsigned int i, struct vfio_pci_bar_info *out)
{
	const struct vm_pci_bar *bar = &p->fn.bar[i];
	const struct vfio_bar *b = &p->bar[i];

	out->gpa = bar->mapped ? bar->at : 0;
	out->size = bar->size;
	out->io = bar->type == VM_BAR_IO;
	out->msix_table = p->msix_place.n && p->msix_place.table_bar == i;
	out->msix_pba = p->msix_place.n && p->msix_place.pba_bar == i;
	out->nareas = b->nareas;
	for (unsigned int k = 0; k < b->nareas; k++)
		out->areas[k] = (struct vfd_area){ b->area_off[k], b->area[k].size };
	for (unsigned int k = 0; b->io.pages && k < b->io.npages; k++) {
		out->trapped_reads += b->io.pages[k].reads;
		out->trapped_writes += b->io.pages[k].writes;
	}
	out->io_region = &b->io;
}

static void irq_info(const struct vfio_pci *p, struct vfio_pci_info *out)
{
	const struct vfio_irqs *q = &p->irq;

	out->irq_mode = q->mode;
	out->irq_failures = q->failures;
	out->refused = q->refused;
	if (q->msix) {
		out->refused += vm_msix_refused(q->msix);
		out->mask_writes = vm_msix_mask_writes(q->msix);
	}
	switch (q->mode) {
	case VFIO_IRQ_NONE:
		break;
	case VFIO_IRQ_INTX:
		out->vectors = out->vectors_used = 1;
		break;
	case VFIO_IRQ_MSI:
		out->vectors = q->nmsi;
		out->vectors_used = q->msi_on;
		break;
	case VFIO_IRQ_MSIX:
		out->vectors = q->nmsix;
		out->vectors_used = vm_msix_used(q->msix);
		break;
	}
}

void vfio_pci_info(struct vm_dev *d, struct vfio_pci_info *out)
{
	const struct vfio_pci *p = vfio_pci_of_dev(d);

	*out = (struct vfio_pci_info){
		.host = p->opts.bdf,
		.guest = p->fn.bdf,
		.group = p->group_id,
		.is_vf = p->is_vf,
		.can_reset = p->vfd && p->vfd->can_reset,
		.vendor = (uint16_t)vfio_cfg_get(&p->cfg, 0, 2),
		.device = (uint16_t)vfio_cfg_get(&p->cfg, 2, 2),
		.resets = p->resets,
		.flrs = p->flrs,
		.cfg_reads = p->fn.cfg_reads,
		.cfg_writes = p->fn.cfg_writes,
		.state = p->state,
	};
	irq_info(p, out);
	for (unsigned int i = 0; i < ARRAY_SIZE(out->bar); i++)
		bar_info(p, i, &out->bar[i]);
}

const char *vfio_irq_mode_name(enum vfio_irq_mode m)
{
	static const char *const names[] = { "none", "intx", "msi", "msix" };

	return (unsigned int)m < ARRAY_SIZE(names) ? names[m] : "?";
}

const char *vfio_pci_state_name(enum vfio_pci_state s)
{
	static const char *const names[] = { "ok", "error", "gone" };

	return (unsigned int)s < ARRAY_SIZE(names) ? names[s] : "?";
}
