// SPDX-License-Identifier: BSD-3-Clause
/* What only the 32-bit payloads have: entry and end, interrupts, and two ways to high memory. */
#include "guest.h"

void guest_start(uint32_t magic, const struct mb_info *mbi);

void debug_exit(uint8_t value)
{
	outb(DEBUG_EXIT, value);
	put("FAIL: debug exit did not end the run\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

void guest_start(uint32_t magic, const struct mb_info *mbi)
{
	int ret = GUEST_FAIL;

	if (magic == 0x2badb002)
		ret = guest_main(mbi);
	else
		say("FAIL: magic", magic);
	put(ret == GUEST_PASS ? "guest: pass\n" : "guest: done\n");
	debug_exit((uint8_t)ret);
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

#define LOW 0xd0000000u
#define MIB 0x100000u

/* Moves the function's BAR below 4 GiB, which needs no paging: the port's window, then the BAR. */
static bool bring_down(struct pci_at fn, unsigned int reg)
{
	struct pci_at port;
	unsigned int n;

	if (!pci_read(fn, reg + 4))
		return true;
	for (n = 0; pci_find(0x060400, 0xffffff, n, &port); n++) {
		uint32_t at = LOW + (uint32_t)fn.bus * MIB;

		if ((pci_read(port, 0x18) >> 8 & 0xff) != fn.bus)
			continue;
		pci_write(fn, 4, pci_read(fn, 4) & 0xfff8);
		pci_write(port, 0x20, (at >> 16 & 0xfff0) | (at & 0xfff00000));
		pci_write(port, 4, (pci_read(port, 4) & 0xffff) | 6);
		pci_write(fn, reg, at);
		pci_write(fn, reg + 4, 0);
		return true;
	}
	return false;
}

volatile uint8_t *pci_bar(struct pci_at a, unsigned int bar)
{
	unsigned int reg = 0x10 + 4 * bar;
	uint32_t low = pci_read(a, reg);

	if (low & 1 || ((low & 6) == 4 && !bring_down(a, reg)))
		return NULL;
	pci_write(a, 4, (pci_read(a, 4) & 0xffff) | 6);
	return (volatile uint8_t *)(uintptr_t)(pci_read(a, reg) & ~15u);
}
