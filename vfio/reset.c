// SPDX-License-Identifier: BSD-3-Clause
/*
 * Putting a device back: at a reset of the machine or of the function, when it fails, and at the
 * end.
 *
 * A device is quiet before it is reset. Interrupts go off, it is put into D0 (a device in D3 may
 * not answer the reset), and decoding, bus mastering and INTX_DISABLE are cleared: no DMA is in
 * flight when the reset comes, and none starts before the next guest asks for it. At the end the
 * same comes before memory is taken out of the IOMMU, so that no transfer meets a page that has
 * gone.
 */
#include <errno.h>
#include "vfio/pci_priv.h"

#define CMD_SENT (VM_PCI_CMD_IO | VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER | VM_PCI_CMD_INTX_OFF)

static void write_config(struct vfio_pci *p, unsigned int off, uint16_t val)
{
	int r = p->vfd->ops->write(p->vfd, VFIO_PCI_CONFIG_REGION_INDEX, off, &val, 2);

	if (r < 0)
		log_limited(p->dev.vm->log, &p->limit, LOG_WARN,
			    "%s: config register 0x%x cannot be written (error %d)", p->dev.id, off,
			    -r);
}

static void send_command(struct vfio_pci *p, uint16_t cmd)
{
	if (cmd == p->phys_cmd)
		return;
	write_config(p, PCI_COMMAND, cmd);
	p->phys_cmd = cmd;
}

static bool in_d3(const struct vfio_pci *p)
{
	return p->cfg.pm &&
	       (vfio_cfg_get(&p->cfg, p->cfg.pm + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK);
}

void vfio_pci_command(struct vfio_pci *p)
{
	uint16_t want = (uint16_t)vfio_cfg_get(&p->cfg, PCI_COMMAND, 2);
	uint16_t off = p->fn.command & ~want & (VM_PCI_CMD_IO | VM_PCI_CMD_MEM);
	uint16_t send = want & CMD_SENT;

	if (p->state != VFIO_PCI_OK || in_d3(p))
		send &= (uint16_t)~VM_PCI_CMD_MASTER;
	/*
	 * Memory slots go before the device stops to decode, and come after it has started: a slot
	 * over memory that is not decoded is a fault that KVM cannot handle. (The kernel plays MSE
	 * for VFs.)
	 */
	if (off)
		vm_pci_command(&p->fn, p->fn.command & (uint16_t)~off);
	send_command(p, send);
	vm_pci_command(&p->fn, want);
}

/* Everything off: what comes before a reset. */
static void quiesce(struct vfio_pci *p)
{
	vfio_irqs_off(p);
	vm_pci_unmap_all(&p->fn);
	if (p->cfg.pm)
		write_config(p, p->cfg.pm + PCI_PM_CTRL, 0); /* D0, no PME */
	p->phys_cmd = UINT16_MAX;			     /* write it whatever we believe */
	send_command(p, 0);
}

static int reset_device(struct vfio_pci *p)
{
	int r = p->vfd->can_reset ? p->vfd->ops->reset(p->vfd) : 0;

	p->dirty = false;
	p->resets++;
	if (r == 0)
		return 0;
	p->reset_failures++;
	log_err(p->dev.vm->log, "%s: the device cannot be reset (error %d): it stays cut off",
		p->dev.id, -r);
	return r;
}

void vfio_pci_reset(struct vfio_pci *p)
{
	if (!p->vfd || !p->realized)
		return;
	quiesce(p);
	p->state = reset_device(p) == 0 ? VFIO_PCI_OK : VFIO_PCI_ERROR;
	p->phys_cmd = UINT16_MAX; /* the reset, or the kernel's restore after it, has set it */
	vfio_cfg_reset(&p->cfg, p->vfd);
	send_command(p, 0);
	vfio_irqs_intx(p);
}

void vfio_pci_contain(struct vfio_pci *p)
{
	if (!p->vfd || p->state != VFIO_PCI_OK)
		return;
	p->state = VFIO_PCI_ERROR;
	vfio_irqs_off(p);
	vfio_pci_command(p);
}

void vfio_pci_shutdown(struct vfio_pci *p)
{
	if (!p->vfd || !p->realized)
		return;
	vm_pci_unmap_all(&p->fn);
	send_command(p, 0);
	if (p->dirty)
		(void)reset_device(p);
	vfio_irqs_off(p);
	p->realized = false;
}

void vfio_pci_release(struct vfio_pci *p)
{
	if (!p->vfd)
		return;
	p->state = VFIO_PCI_GONE;
	vfio_pci_shutdown(p);
	/* Nothing to place at the next reset of the machine. */
	for (unsigned int i = 0; i < ARRAY_SIZE(p->fn.bar); i++)
		p->fn.bar[i].type = VM_BAR_NONE;
	vfio_events_fini(p);
	vfio_bars_fini(p);
	vfd_close(p->vfd);
	p->vfd = NULL;
	vfio_ctx_drop(p);
}
