// SPDX-License-Identifier: BSD-3-Clause
/*
 * The policy: what the guest sees of each register of config space, and what it may change. A
 * register that has no row is hidden; so is a capability that is not in the two lists at the end.
 * Section numbers are those of the PCI Express base specification, 5.0.
 */
#include <linux/pci_regs.h>
#include "base/util.h"
#include "vfio/cfg.h"

#define ALL 0xffffffffu

/* clang-format off */

/* 7.5.1: the header, type 0 */
const struct vfio_cfg_rule vfio_cfg_header[] = {
	/* off		   len  policy	  hook		    seen	changed	    sent to the device */
	{ 0x00,		    4, CFG_RO,	  0,		    ALL,	0,	    0 }, /* vendor, device: a VF's come from the kernel */
	{ PCI_COMMAND,	    2, CFG_EMU,	  CFG_HOOK_COMMAND, 0,		0x0547,	    0 }, /* the hook sends IO, MEM, MASTER, INTX_DISABLE in order */
	{ PCI_STATUS,	    2, CFG_LIVE,  0,		    0x06a8,	0,	    0 }, /* INTx state, timing; error bits are the host's */
	{ 0x08,		    4, CFG_RO,	  0,		    ALL,	0,	    0 }, /* revision, class */
	{ 0x0c,		    1, CFG_EMU,	  0,		    0,		0xff,	    0 }, /* cache line size: means nothing on PCIe */
	{ PCI_HEADER_TYPE,  1, CFG_RO,	  0,		    0x7f,	0,	    0 }, /* single function for the guest */
	{ 0x10,		   24, CFG_EMU,	  CFG_HOOK_BAR,	    0,		0,	    0 }, /* BARs are the core's; the device's never move */
	{ 0x2c,		    4, CFG_RO,	  0,		    ALL,	0,	    0 }, /* subsystem */
	{ 0x34,		    1, CFG_EMU,	  0,		    0,		0,	    0 }, /* start of the chain we build; the ROM BAR at 30h is hidden */
	{ PCI_INTERRUPT_LINE, 1, CFG_EMU, 0,		    0,		0xff,	    0 }, /* a scratch register */
	{ PCI_INTERRUPT_PIN, 1, CFG_EMU,  0,		    0,		0,	    0 }, /* 0 or what INTx the device can deliver */
	{ 0x3e,		    2, CFG_RO,	  0,		    ALL,	0,	    0 }, /* min_gnt, max_lat */
};
const unsigned int vfio_cfg_header_n = ARRAY_SIZE(vfio_cfg_header);

/* 7.5.2: power management. D3 is ours: the device stays in D0, only its bus mastering stops. */
static const struct vfio_cfg_rule pm[] = {
	{ PCI_PM_PMC,	    2, CFG_RO,	  0,		    0x0027,	0,	    0 }, /* version; no D1, D2, PME */
	{ PCI_PM_CTRL,	    2, CFG_EMU,	  CFG_HOOK_PM,	    0,		0x0003,	    0 },
};

/* 7.5.3: PCI Express, an endpoint */
static const struct vfio_cfg_rule pcie[] = {
	{ PCI_EXP_FLAGS,    2, CFG_RO,	  0,		    0x3eff,	0,	    0 },
	{ PCI_EXP_DEVCAP,   4, CFG_RO,	  0,		    0x10008fe7,	0,	    0 }, /* no phantom functions, no slot power; FLR if we can */
	{ PCI_EXP_DEVCTL,   2, CFG_PASS,  CFG_HOOK_DEVCTL,  0x7fff,	0x7fff,	    0x7810 }, /* sent: read size, no snoop, relaxed order. Payload size and
												      error reporting are the host's; FLR is the hook's */
	{ PCI_EXP_DEVSTA,   2, CFG_LIVE,  0,		    0x0020,	0,	    0 }, /* transactions pending; errors are the host's */
	{ PCI_EXP_LNKCAP,   4, CFG_RO,	  0,		    0xfffb03ff,	0,	    0 }, /* no ASPM, no clock power management */
	{ PCI_EXP_LNKCTL,   2, CFG_EMU,	  0,		    0x0048,	0x0048,	    0 },
	{ PCI_EXP_LNKSTA,   2, CFG_RO,	  0,		    0x13ff,	0,	    0 },
	/* version 2 and later; rows that lie behind the end of a capability do not count */
	{ PCI_EXP_DEVCAP2,  4, CFG_RO,	  0,		    0x0000001f,	0,	    0 }, /* completion timeout; no ARI, atomics, LTR, OBFF, tags, prefixes */
	{ PCI_EXP_DEVCTL2,  2, CFG_EMU,	  0,		    0x001f,	0x001f,	    0 }, /* the timeout that counts is the host's */
	{ PCI_EXP_LNKCAP2,  4, CFG_RO,	  0,		    0x000000fe,	0,	    0 },
	{ PCI_EXP_LNKCTL2,  2, CFG_EMU,	  0,		    0x000f,	0x000f,	    0 },
};

/* 7.7.1: MSI, four layouts. The message is an address of the guest: never sent to the device. */
static const struct vfio_cfg_rule msi32[] = {
	{ PCI_MSI_FLAGS,      2, CFG_EMU, CFG_HOOK_MSI,	    0x018e,	0x0071,	    0 },
	{ PCI_MSI_ADDRESS_LO, 4, CFG_EMU, CFG_HOOK_MSI,	    0,		0xfffffffc, 0 },
	{ PCI_MSI_DATA_32,    2, CFG_EMU, CFG_HOOK_MSI,	    0,		0xffff,	    0 },
	{ PCI_MSI_MASK_32,    4, CFG_EMU, CFG_HOOK_MSI,	    0,		ALL,	    0 },
	{ PCI_MSI_PENDING_32, 4, CFG_EMU, CFG_HOOK_MSI,	    0,		0,	    0 },
};
static const struct vfio_cfg_rule msi64[] = {
	{ PCI_MSI_FLAGS,      2, CFG_EMU, CFG_HOOK_MSI,	    0x018e,	0x0071,	    0 },
	{ PCI_MSI_ADDRESS_LO, 4, CFG_EMU, CFG_HOOK_MSI,	    0,		0xfffffffc, 0 },
	{ PCI_MSI_ADDRESS_HI, 4, CFG_EMU, CFG_HOOK_MSI,	    0,		ALL,	    0 },
	{ PCI_MSI_DATA_64,    2, CFG_EMU, CFG_HOOK_MSI,	    0,		0xffff,	    0 },
	{ PCI_MSI_MASK_64,    4, CFG_EMU, CFG_HOOK_MSI,	    0,		ALL,	    0 },
	{ PCI_MSI_PENDING_64, 4, CFG_EMU, CFG_HOOK_MSI,	    0,		0,	    0 },
};

/* 7.7.2: MSI-X: control is vm_msix's; table and PBA stay where the device has them */
static const struct vfio_cfg_rule msix[] = {
	{ PCI_MSIX_FLAGS,   2, CFG_EMU,	  CFG_HOOK_MSIX,    0x07ff,	0xc000,	    0 },
	{ PCI_MSIX_TABLE,   4, CFG_RO,	  0,		    ALL,	0,	    0 },
	{ PCI_MSIX_PBA,	    4, CFG_RO,	  0,		    ALL,	0,	    0 },
};

/* Advanced features of conventional PCI: only a function level reset */
static const struct vfio_cfg_rule af[] = {
	{ 0x02,		    1, CFG_RO,	  0,		    0xff,	0,	    0 },
	{ PCI_AF_CAP,	    1, CFG_RO,	  0,		    0x03,	0,	    0 },
	{ PCI_AF_CTRL,	    1, CFG_EMU,	  CFG_HOOK_AF,	    0,		0x01,	    0 },
	{ PCI_AF_STATUS,    1, CFG_LIVE,  0,		    0x01,	0,	    0 },
};

#define CAP(i, l, r) { .id = (i), .len = (l), .rules = (r), .nrules = ARRAY_SIZE(r) }

/* Standard capabilities that are shown. Not: VPD (a write may hang a device), slots, bridges, PCI-X, AGP, EA... */
static const struct vfio_cfg_cap std[] = {
	CAP(PCI_CAP_ID_PM, 8, pm),
	CAP(PCI_CAP_ID_MSIX, 12, msix),
	CAP(PCI_CAP_ID_AF, 6, af),
	{ .id = PCI_CAP_ID_VNDR, .len = 3, .vlen = true },
};
static const struct vfio_cfg_cap exp_v1 = CAP(PCI_CAP_ID_EXP, 0x14, pcie);
static const struct vfio_cfg_cap exp_v2 = CAP(PCI_CAP_ID_EXP, 0x3c, pcie);
static const struct vfio_cfg_cap msi_32 = CAP(PCI_CAP_ID_MSI, 0x0a, msi32);
static const struct vfio_cfg_cap msi_64 = CAP(PCI_CAP_ID_MSI, 0x0e, msi64);
static const struct vfio_cfg_cap msi_32m = CAP(PCI_CAP_ID_MSI, 0x14, msi32);
static const struct vfio_cfg_cap msi_64m = CAP(PCI_CAP_ID_MSI, 0x18, msi64);

/*
 * Extended capabilities that are shown. Not, and this is the point of the list: SR-IOV, ARI and ReBAR (they move
 * what the host placed), ATS, PRI and PASID (they go around the IOMMU as we set it up), ACS, DPC, AER, LTR,
 * L1PM, TPH, PTM, VC, multicast, DOE (the host's business).
 */
static const struct vfio_cfg_cap ext[] = {
	{ .id = PCI_EXT_CAP_ID_DSN, .len = 12 },
	{ .id = PCI_EXT_CAP_ID_VNDR, .len = 8, .vlen = true },
	{ .id = PCI_EXT_CAP_ID_DVSEC, .len = 8, .vlen = true },
};
/* clang-format on */

const struct vfio_cfg_cap *vfio_cfg_cap_std(uint8_t id, uint32_t first)
{
	uint16_t flags = (uint16_t)(first >> 16);

	if (id == PCI_CAP_ID_MSI) {
		if (flags & PCI_MSI_FLAGS_64BIT)
			return flags & PCI_MSI_FLAGS_MASKBIT ? &msi_64m : &msi_64;
		return flags & PCI_MSI_FLAGS_MASKBIT ? &msi_32m : &msi_32;
	}
	if (id == PCI_CAP_ID_EXP)
		return (flags & PCI_EXP_FLAGS_VERS) < 2 ? &exp_v1 : &exp_v2;
	for (unsigned int i = 0; i < ARRAY_SIZE(std); i++)
		if (std[i].id == id)
			return &std[i];
	return NULL;
}

const struct vfio_cfg_cap *vfio_cfg_cap_ext(uint16_t id)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ext); i++)
		if (ext[i].id == id)
			return &ext[i];
	return NULL;
}
