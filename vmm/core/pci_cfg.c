// SPDX-License-Identifier: BSD-3-Clause
#include <linux/pci_regs.h>
#include <string.h>
#include "vmm/core/pci_cfg.h"

#define CAPS_FIRST 0x40u
#define EXP_LEN	   0x3cu /* version 2, without the slot registers of a third */

void pci_cfg_init(struct pci_cfg *c, const struct pci_cfg_id *id)
{
	*c = (struct pci_cfg){ .next = CAPS_FIRST, .link = PCI_CAPABILITY_LIST };
	pci_put(c->v, PCI_VENDOR_ID, 2, id->vendor);
	pci_put(c->v, PCI_DEVICE_ID, 2, id->device);
	pci_put(c->v, PCI_CLASS_REVISION, 4, id->class_code << 8 | id->revision);
	pci_put(c->v, PCI_SUBSYSTEM_VENDOR_ID, 2, id->sub_vendor);
	pci_put(c->v, PCI_SUBSYSTEM_ID, 2, id->sub_device);
	pci_put(c->mask, PCI_COMMAND, 2,
		PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
			PCI_COMMAND_INTX_DISABLE);
	c->mask[PCI_CACHE_LINE_SIZE] = 0xff; /* stored only */
	c->mask[PCI_INTERRUPT_LINE] = 0xff;
}

unsigned int pci_cfg_cap(struct pci_cfg *c, uint8_t id, unsigned int len)
{
	unsigned int at = c->next;

	BUG_ON(len < 2 || at + len > sizeof(c->v));
	c->v[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	c->v[c->link] = (uint8_t)at;
	c->v[at] = id;
	c->link = at + 1;
	c->next = ALIGN_UP(at + len, 4u);
	return at;
}

unsigned int pci_cfg_cap_express(struct pci_cfg *c)
{
	unsigned int at = pci_cfg_cap(c, PCI_CAP_ID_EXP, EXP_LEN);
	/* Never what limits: 32 GT/s, 16 lanes; the root ports say the same. */
	const uint32_t speed = 5, link = 16u << 4 | speed;

	pci_put(c->v, at + PCI_EXP_FLAGS, 2, PCI_EXP_TYPE_ENDPOINT << 4 | 2);
	pci_put(c->v, at + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER | 1);
	pci_put(c->v, at + PCI_EXP_LNKCAP, 4, link);
	pci_put(c->v, at + PCI_EXP_LNKSTA, 2, link);
	pci_put(c->v, at + PCI_EXP_LNKCAP2, 4, 0x3e); /* 2.5 to 32 GT/s */
	pci_put(c->v, at + PCI_EXP_LNKCTL2, 2, speed);
	/* Bit 15 begins a function level reset and reads as zero: no bit of the image. */
	pci_put(c->mask, at + PCI_EXP_DEVCTL, 2, 0x70ef);
	pci_put(c->mask, at + PCI_EXP_LNKCTL, 2, 0x00c8);
	pci_put(c->mask, at + PCI_EXP_DEVCTL2, 2, 0x001f);
	return at;
}

void pci_cfg_write(struct pci_cfg *c, unsigned int off, unsigned int len, uint32_t val)
{
	for (unsigned int i = off; i < off + len; i++, val >>= 8)
		c->v[i] = (uint8_t)((c->v[i] & ~c->mask[i]) | (val & c->mask[i]));
}

static uint32_t ones(unsigned int len)
{
	return len == 4 ? UINT32_MAX : (1u << 8 * len) - 1;
}

uint32_t pci_cfg_bar_read(const struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	return vm_pci_bar_read(f, (off - PCI_BASE_ADDRESS_0) / 4) >> 8 * (off % 4) & ones(len);
}

void pci_cfg_bar_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val)
{
	unsigned int idx = (off - PCI_BASE_ADDRESS_0) / 4, shift = 8 * (off % 4);
	uint32_t mask = ones(len) << shift;

	vm_pci_bar_write(f, idx, (vm_pci_bar_read(f, idx) & ~mask) | (val << shift & mask));
}
