// SPDX-License-Identifier: BSD-3-Clause
/* PCI configuration space: by ECAM (PCI Express base specification 7.2.2), else by ports. */
#include "guest.h"

unsigned int pci_buses;
static uint32_t ecam; /* 0: through the ports */

bool pci_init(void)
{
	const uint8_t *t = acpi_table("MCFG");

	if (!t || get32(t + 4) < 60) {
		pci_buses = 1;
		return false;
	}
	ecam = get32(t + 44);
	pci_buses = t[55] + 1u;
	return true;
}

static volatile uint32_t *cfg(struct pci_at a, unsigned int off)
{
	return mmio(ecam + ((uint32_t)a.bus << 20) + ((uint32_t)a.dev << 15) +
		    ((uint32_t)a.fn << 12) + off);
}

static void cf8(struct pci_at a, unsigned int off)
{
	outl(0xcf8, 0x80000000u | (uint32_t)a.bus << 16 | (uint32_t)a.dev << 11 |
			    (uint32_t)a.fn << 8 | (off & 0xfc));
}

uint32_t pci_read(struct pci_at a, unsigned int off)
{
	if (ecam)
		return *cfg(a, off);
	cf8(a, off);
	return inl(0xcfc);
}

void pci_write(struct pci_at a, unsigned int off, uint32_t v)
{
	if (ecam) {
		*cfg(a, off) = v;
		return;
	}
	cf8(a, off);
	outl(0xcfc, v);
}

/* Behind a root port there is one device; bus 0 may have 32. */
bool pci_find(uint32_t class, uint32_t mask, unsigned int n, struct pci_at *out)
{
	unsigned int bus, dev;

	for (bus = 0; bus < pci_buses; bus++)
		for (dev = 0; dev < (bus ? 1u : 32u); dev++) {
			struct pci_at a = { (uint8_t)bus, (uint8_t)dev, 0 };

			if (pci_read(a, 0) == 0xffffffff)
				continue;
			if (((pci_read(a, 8) >> 8) & mask) != class)
				continue;
			if (!n--) {
				*out = a;
				return true;
			}
		}
	return false;
}
