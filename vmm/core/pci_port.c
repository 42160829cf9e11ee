// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCI Express root port: type 1 header and the PCI Express capability.
 *
 * The link is always up and there is no slot, no interrupt and no extended capability: what a
 * guest's port driver finds offers no service, so it binds and stays silent. What can be written is
 * said by one const mask; the only write with an effect is the secondary bus reset.
 */
#include <string.h>
#include "vmm/core/pci_priv.h"

#define CAP	    0x40 /* the PCI Express capability (PCIe base spec 7.5.3) */
#define CAP_DEVCAP  (CAP + 0x04)
#define CAP_DEVCTL  (CAP + 0x08)
#define CAP_LNKCAP  (CAP + 0x0c)
#define CAP_LNKCTL  (CAP + 0x10)
#define CAP_LNKSTA  (CAP + 0x12)
#define CAP_ROOTCTL (CAP + 0x1c)
#define CAP_DEVCTL2 (CAP + 0x28)
#define CAP_LNKCAP2 (CAP + 0x2c)
#define CAP_LNKCTL2 (CAP + 0x30)

#define CAP_ID	       0x10
#define CAP_FLAGS      0x0042 /* version 2, root port; slot implemented = 0 */
#define DEVCAP_VALUE   0x8001 /* role-based error reporting, payload up to 256 bytes */
#define LINK_SPEED     5      /* 32 GT/s: never what limits the function behind */
#define LINK_WIDTH     16
#define LNKCAP_DLLLARC (1u << 20) /* reports whether the data link layer is active */
#define LNKSTA_DLLLA   (1u << 13)
#define LNKCAP2_SPEEDS 0x3e /* 2.5 to 32 GT/s */

/* Which bits a guest can write. */
static const uint8_t writable[256] = {
	[PCI_COMMAND] = 0x47,
	[PCI_COMMAND + 1] = 0x05,
	[0x0c] = 0xff, /* cache line size: stored only */
	[PCI_PRIMARY] = 0xff,
	[PCI_SECONDARY] = 0xff,
	[PCI_SUBORDINATE] = 0xff,
	[PCI_IO_BASE] = 0xf0,
	[PCI_IO_LIMIT] = 0xf0,
	[PCI_MEM_BASE] = 0xf0,
	[PCI_MEM_BASE + 1] = 0xff,
	[PCI_MEM_LIMIT] = 0xf0,
	[PCI_MEM_LIMIT + 1] = 0xff,
	[PCI_PREF_BASE] = 0xf0,
	[PCI_PREF_BASE + 1] = 0xff,
	[PCI_PREF_LIMIT] = 0xf0,
	[PCI_PREF_LIMIT + 1] = 0xff,
	[PCI_PREF_BASE_HI... PCI_PREF_BASE_HI + 3] = 0xff,
	[PCI_PREF_LIMIT_HI... PCI_PREF_LIMIT_HI + 3] = 0xff,
	[PCI_INT_LINE] = 0xff,
	[PCI_BRIDGE_CTL] = 0x43, /* parity, SERR, secondary bus reset */
	[CAP_DEVCTL] = 0xef,
	[CAP_DEVCTL + 1] = 0x70,
	[CAP_LNKCTL] = 0xc8,
	[CAP_ROOTCTL] = 0x0f,
	[CAP_DEVCTL2] = 0x1f,
	[CAP_LNKCTL2] = 0x0f,
};

void pci_port_window(struct vm_pci_port *o, enum pci_window w, uint64_t base, uint64_t size)
{
	/* A closed window has its base above its limit (bridge spec 3.2.5.6, 3.2.5.8). */
	uint64_t first = size ? base : UINT32_MAX, last = size ? base + size - 1 : 0;

	switch (w) {
	case PCI_WIN_IO:
		o->cfg[PCI_IO_BASE] = first >> 8 & 0xf0;
		o->cfg[PCI_IO_LIMIT] = last >> 8 & 0xf0;
		break;
	case PCI_WIN_MEM:
		pci_put(o->cfg, PCI_MEM_BASE, 2, first >> 16 & 0xfff0);
		pci_put(o->cfg, PCI_MEM_LIMIT, 2, last >> 16 & 0xfff0);
		break;
	case PCI_WIN_PREF:
		/* The low nibble 1 says: 64-bit addresses. */
		pci_put(o->cfg, PCI_PREF_BASE, 2, (first >> 16 & 0xfff0) | 1);
		pci_put(o->cfg, PCI_PREF_LIMIT, 2, (last >> 16 & 0xfff0) | 1);
		pci_put(o->cfg, PCI_PREF_BASE_HI, 4, (uint32_t)(first >> 32));
		pci_put(o->cfg, PCI_PREF_LIMIT_HI, 4, (uint32_t)(last >> 32));
		break;
	case PCI_WIN_NR:
		break;
	}
}

void pci_port_reset(struct vm_pci_port *o)
{
	uint8_t *c = o->cfg;

	memset(c, 0, sizeof(o->cfg));
	pci_put(c, PCI_VENDOR, 2, PCI_OUR_VENDOR);
	pci_put(c, PCI_DEVICE, 2, PCI_OUR_ROOT_PORT);
	pci_put(c, PCI_STATUS, 2, 0x0010); /* capability list */
	pci_put(c, PCI_CLASS_REV, 4, 0x06040000);
	c[PCI_HEADER_TYPE] = 1;
	c[PCI_CAP_PTR] = CAP;
	for (enum pci_window w = PCI_WIN_IO; w < PCI_WIN_NR; w++)
		pci_port_window(o, w, 0, 0);

	c[CAP] = CAP_ID;
	pci_put(c, CAP + 2, 2, CAP_FLAGS);
	pci_put(c, CAP_DEVCAP, 4, DEVCAP_VALUE);
	pci_put(c, CAP_LNKCAP, 4, o->dev << 24 | LNKCAP_DLLLARC | LINK_WIDTH << 4 | LINK_SPEED);
	pci_put(c, CAP_LNKSTA, 2, LNKSTA_DLLLA | LINK_WIDTH << 4 | LINK_SPEED);
	pci_put(c, CAP_LNKCAP2, 4, LNKCAP2_SPEEDS);
	pci_put(c, CAP_LNKCTL2, 2, LINK_SPEED);
}

void pci_port_init(struct vm_pci_port *o, struct vm_pci *p, unsigned int dev)
{
	o->pci = p;
	o->dev = dev;
	pci_port_reset(o);
}

void pci_port_buses(struct vm_pci_port *o, uint8_t secondary)
{
	o->cfg[PCI_PRIMARY] = 0;
	o->cfg[PCI_SECONDARY] = secondary;
	o->cfg[PCI_SUBORDINATE] = secondary;
}

uint32_t pci_port_read(const struct vm_pci_port *o, unsigned int off, unsigned int len)
{
	/* No extended capabilities: the first header at 100h reads as zero. */
	return off + len <= sizeof(o->cfg) ? pci_get(o->cfg, off, len) : 0;
}

void pci_port_write(struct vm_pci_port *o, unsigned int off, unsigned int len, uint32_t val)
{
	uint8_t ctl = o->cfg[PCI_BRIDGE_CTL];

	if (off + len > sizeof(o->cfg))
		return;
	for (unsigned int i = 0; i < len; i++, val >>= 8) {
		uint8_t mask = writable[off + i];

		o->cfg[off + i] = (o->cfg[off + i] & ~mask) | (val & mask);
	}
	/* A rising secondary bus reset resets what is behind the port (bridge spec 3.2.5.17). */
	if (~ctl & o->cfg[PCI_BRIDGE_CTL] & PCI_BRIDGE_CTL_RESET)
		pci_fn_reset(o->fn);
}
