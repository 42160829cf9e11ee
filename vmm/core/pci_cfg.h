/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_PCI_CFG_H
#define VMM_CORE_PCI_CFG_H

#include "vmm/core/pci.h"

/*
 * The config space of an emulated function: an image, a mask of the bits that a guest can write,
 * and a builder that chains capabilities. BARs are not in the image: the core keeps them.
 *
 * Thread: the VM lock.
 */
struct pci_cfg {
	uint8_t v[256], mask[256];
	unsigned int next, link; /* first free byte; where the next capability's offset goes */
};

struct pci_cfg_id {
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_code; /* 24 bits: base class, sub-class, interface */
	uint8_t revision;
};

/** pci_cfg_init() - a type 0 header (PCI local bus spec 6.1) without capabilities. */
void pci_cfg_init(struct pci_cfg *c, const struct pci_cfg_id *id);

/** pci_cfg_cap() - append a capability of len bytes, zeroed but for id and link; read only until
 * the mask says otherwise. Return: its offset. */
unsigned int pci_cfg_cap(struct pci_cfg *c, uint8_t id, unsigned int len);

/** pci_cfg_cap_express() - the PCI Express capability (PCIe base spec 7.5.3) of an endpoint that
 * can be reset alone. Return: its offset. */
unsigned int pci_cfg_cap_express(struct pci_cfg *c);

/** pci_cfg_write() - what the mask lets through; off + len <= 256. */
void pci_cfg_write(struct pci_cfg *c, unsigned int off, unsigned int len, uint32_t val);

/* Little-endian bytes of a config space image. */
static inline uint32_t pci_get(const uint8_t *cfg, unsigned int off, unsigned int len)
{
	uint32_t v = 0;

	for (unsigned int i = len; i-- > 0;)
		v = v << 8 | cfg[off + i];
	return v;
}

static inline void pci_put(uint8_t *cfg, unsigned int off, unsigned int len, uint32_t v)
{
	for (unsigned int i = 0; i < len; i++)
		cfg[off + i] = (uint8_t)(v >> (8 * i));
}

/* Accesses of any width to the base address registers of a type 0 header. */
static inline bool pci_cfg_is_bar(unsigned int off)
{
	return off >= 0x10 && off < 0x28;
}
uint32_t pci_cfg_bar_read(const struct vm_pci_fn *f, unsigned int off, unsigned int len);
void pci_cfg_bar_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val);

#endif
