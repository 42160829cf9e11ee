// SPDX-License-Identifier: BSD-3-Clause
/* PCI, interrupts, and a window to high memory. */
#include "guest.h"

unsigned int pci_buses;
static uint32_t ecam;

bool pci_init(void)
{
	const uint8_t *t = acpi_table("MCFG");

	if (!t || get32(t + 4) < 60)
		return false;
	ecam = get32(t + 44);
	pci_buses = t[55] + 1u;
	return true;
}

static volatile uint32_t *cfg(struct pci_at a, unsigned int off)
{
	return mmio(ecam + ((uint32_t)a.bus << 20) + ((uint32_t)a.dev << 15) +
		    ((uint32_t)a.fn << 12) + off);
}

uint32_t pci_read(struct pci_at a, unsigned int off)
{
	return *cfg(a, off);
}

void pci_write(struct pci_at a, unsigned int off, uint32_t v)
{
	*cfg(a, off) = v;
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

volatile uint32_t irq_count[16];

extern const char irq_stubs[];
void irq_entry(uint32_t vector);

void irq_entry(uint32_t vector)
{
	irq_count[vector & 15]++;
	*mmio(LAPIC + 0xb0) = 0; /* end of interrupt */
}

void irq_init(void)
{
	static uint64_t idt[48] __attribute__((aligned(8)));
	static struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} ptr;
	unsigned int v;

	for (v = 0x20; v < 0x30; v++) {
		uint32_t at = (uint32_t)(uintptr_t)irq_stubs + 16 * (v - 0x20);

		/* present, 32-bit interrupt gate */
		idt[v] = (at & 0xffff) | 0x08u << 16 | (uint64_t)((at & 0xffff0000) | 0x8e00) << 32;
	}
	ptr.limit = sizeof(idt) - 1;
	ptr.base = (uint32_t)(uintptr_t)idt;
	__asm__ volatile("lidt %0" : : "m"(ptr));
	outb(0x21, 0xff); /* both PICs masked */
	outb(0xa1, 0xff);
	*mmio(LAPIC + 0xf0) = 0x12f; /* APIC on, spurious vector 2Fh */
	*mmio(LAPIC + 0x80) = 0;     /* task priority */
	__asm__ volatile("sti");
}

void ioapic_set(unsigned int pin, uint32_t low)
{
	*mmio(IOAPIC) = 0x11 + 2 * pin;
	*mmio(IOAPIC + 0x10) = 0; /* to APIC 0 */
	*mmio(IOAPIC) = 0x10 + 2 * pin;
	*mmio(IOAPIC + 0x10) = low;
}

#define WINDOW 0xd0000000u
#define PAGE2M 0x200000u

/* PAE paging, everything one to one but for the window. */
volatile void *map_window(uint64_t phys)
{
	static uint64_t pdpt[4] __attribute__((aligned(32)));
	static uint64_t pd[2048] __attribute__((aligned(4096)));
	static bool on;
	unsigned int i;

	for (i = 0; !on && i < 2048; i++)
		pd[i] = (uint64_t)i << 21 | 0x83;
	for (i = 0; i < 4; i++)
		pdpt[i] = (uint32_t)(uintptr_t)&pd[i * 512] | 1;
	/* not cached: it is device memory */
	pd[WINDOW / PAGE2M] = (phys & ~(uint64_t)(PAGE2M - 1)) | 0x93;
	if (!on)
		__asm__ volatile("mov %%cr4, %%eax; or $0x20, %%eax; mov %%eax, %%cr4"
				 :
				 :
				 : "eax", "memory");
	__asm__ volatile("mov %0, %%cr3" : : "r"(pdpt) : "memory");
	if (!on)
		__asm__ volatile("mov %%cr0, %%eax; or $0x80000000, %%eax; mov %%eax, %%cr0"
				 :
				 :
				 : "eax", "memory");
	on = true;
	return (volatile void *)(uintptr_t)(WINDOW + (uint32_t)(phys & (PAGE2M - 1)));
}
