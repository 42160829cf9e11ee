// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings, exceptions, memory, interrupts.
 *
 * All memory is mapped one to one and open to ring 3, so that a loop can run there with its rings
 * and device registers: where ring 0 is emulated, ring 3 runs at the processor's speed.
 */
#include "bench/guest/bench.h"

#define VECTORS	    256
#define SEL_CODE    0x10u
#define SEL_TSS	    0x38
#define FLAGS	    0x3002u /* I/O privilege level 3 */
#define FLAG_IF	    0x200u
#define PTE_2M	    0x9fu /* present, writable, user, not cached, 2 MiB */
#define PTE_TABLE   0x07u
#define PAGE_2M	    0x200000ull
#define TABLES	    16
#define LOW_END	    0x100000000ull
#define ARENA_MAX   (64ull << 20)
#define LAPIC_SVR   0xf0
#define LAPIC_TPR   0x80
#define LAPIC_EOI   0xb0
#define CAP_MSIX    0x11
#define MSIX_ON	    0x80000000u
#define CMD_ON	    0x406u /* memory, bus master, no INTx */
#define MAP_RAM	    1
#define START_MAGIC 0x336ec578u

/* Xen public headers, arch-x86/hvm/start_info.h */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

extern char event_stubs[], user_end[], image_end[], event_stack_top[];
extern uint64_t gdt_tss[2], page_pml4[512], enter_rsp;

unsigned int enter_asm(void (*fn)(void *), void *arg, unsigned int ring, uint64_t flags);
unsigned int event_seen(unsigned int vector, const uint64_t *sp);
void bug(const char *file, int line, const char *what);
void *calloc(size_t n, size_t size);
void free(void *p);

uint64_t event_rip;
static struct {
	uint64_t at, end, next; /* RAM behind the image; first free byte of the arena */
	uint64_t arena_end;	/* from here on nothing has been touched */
	uint64_t total;
} ram;

/* ---- exceptions ---- */

/* Vectors that push an error code (Intel SDM 3A, table 6-1). */
static bool has_error(unsigned int vector)
{
	return vector < 32 && (0x20227d00u >> vector & 1);
}

unsigned int event_seen(unsigned int vector, const uint64_t *sp)
{
	event_rip = sp[has_error(vector)];
	if (enter_rsp)
		return event_rip == (uintptr_t)user_end ? ENTER_DONE : vector;
	line_text("info");
	line_kv("fault", vector);
	line_text(" at=");
	line_hex(event_rip);
	line_end();
	power_off(0, 1);
}

unsigned int enter(void (*fn)(void *), void *arg, unsigned int ring, bool irqs)
{
	return enter_asm(fn, arg, ring, FLAGS | (irqs ? FLAG_IF : 0));
}

static void exceptions_init(void)
{
	static uint64_t idt[VECTORS][2] __attribute__((aligned(16)));
	static uint32_t tss[26] __attribute__((aligned(16)));
	static struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} ptr;
	uint64_t at = (uintptr_t)tss, stack = (uintptr_t)event_stack_top;
	unsigned int v;

	for (v = 0; v < VECTORS; v++) {
		uint64_t to = (uintptr_t)event_stubs + 16 * v;

		/* present, 64-bit interrupt gate */
		idt[v][0] = (to & 0xffff) | SEL_CODE << 16 | 0x8e00ull << 32 | (to >> 16) << 48;
		idt[v][1] = to >> 32;
	}
	ptr.limit = sizeof(idt) - 1;
	ptr.base = (uintptr_t)idt;
	tss[1] = (uint32_t)stack; /* of ring 0 */
	tss[2] = (uint32_t)(stack >> 32);
	tss[25] = sizeof(tss) << 16; /* no I/O permission map */
	gdt_tss[0] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24) << 56;
	gdt_tss[1] = at >> 32;
	__asm__ volatile("lidt %0; ltr %w1" : : "m"(ptr), "r"(SEL_TSS));
	outb(0x21, 0xff); /* both PICs masked */
	outb(0xa1, 0xff);
}

/* ---- memory ---- */

/* RAM that holds the image, to its end or 3 GiB; a page of it is lost to rounding. */
static void memory_init(const struct start_info *si)
{
	const struct start_memmap *m = (const void *)si->memmap;
	uint64_t from = ALIGN_UP((uint64_t)(uintptr_t)image_end, 4096);
	uint32_t i;

	ram.at = ram.next = ram.arena_end = ram.end = from;
	for (i = 0; si->version && m && i < si->memmap_entries; i++) {
		if (m[i].type != MAP_RAM)
			continue;
		ram.total += m[i].size;
		if (m[i].addr <= from && m[i].addr + m[i].size > from)
			ram.end = MIN(m[i].addr + m[i].size, 0xc0000000ull);
	}
	/* Firmware may have put its tables at the end. */
	if (ram.end - from > 4 * PAGE_2M)
		ram.end = ALIGN_DOWN(ram.end - PAGE_2M, PAGE_2M);
	ram.arena_end = ALIGN_UP(from + MIN(ARENA_MAX, (ram.end - from) / 2), PAGE_2M);
}

void cpu_init(const struct start_info *si)
{
	exceptions_init();
	memory_init(si);
}

const char *cpu_cmdline(const struct start_info *si)
{
	return si->magic == START_MAGIC && si->cmdline ? (const char *)si->cmdline : "";
}

void *arena_alloc(size_t n)
{
	void *p = (void *)ram.next;

	n = ALIGN_UP(n, 4096);
	if (n > ram.arena_end - ram.next)
		return NULL;
	ram.next += n;
	memset(p, 0, n);
	return p;
}

void arena_reset(void)
{
	ram.next = ram.at;
}

size_t memory_fresh(uint8_t **at)
{
	*at = (uint8_t *)ram.arena_end;
	return ram.end > ram.arena_end ? ram.end - ram.arena_end : 0;
}

uint64_t memory_size(void)
{
	return ram.total;
}

/* What virtio/ring asks of a C library. */
void *calloc(size_t n, size_t size)
{
	return arena_alloc(n * size);
}

void free(void *p)
{
}

void bug(const char *file, int line, const char *what)
{
	line_text("info bug=");
	line_text(file);
	line_kv("line", (uint64_t)line);
	line_end();
	power_off(0, 1);
}

/* The table below entry i of t; made when it is not there. */
static uint64_t *table_below(uint64_t *t, unsigned int i)
{
	static uint64_t pool[TABLES][512] __attribute__((aligned(4096)));
	static unsigned int used;

	if (!(t[i] & 1)) {
		if (used == TABLES)
			return NULL;
		t[i] = (uintptr_t)pool[used++] | PTE_TABLE;
	}
	return (uint64_t *)(t[i] & 0x000ffffffffff000ull);
}

/* Entries only ever come into being, so no TLB has to be told. */
volatile uint8_t *map_phys(uint64_t at, size_t size)
{
	uint64_t p, *pdpt, *pd;

	for (p = at & ~(PAGE_2M - 1); p < at + size && at >= LOW_END; p += PAGE_2M) {
		if (p >> 47) /* beyond the lower half of the address space */
			return NULL;
		pdpt = table_below(page_pml4, (unsigned int)(p >> 39 & 511));
		pd = pdpt ? table_below(pdpt, (unsigned int)(p >> 30 & 511)) : NULL;
		if (!pd)
			return NULL;
		pd[p >> 21 & 511] = p | PTE_2M;
	}
	return (volatile uint8_t *)at;
}

volatile uint8_t *pci_bar(struct pci_at a, unsigned int bar)
{
	unsigned int reg = 0x10 + 4 * bar;
	uint64_t at = pci_read(a, reg);
	bool wide = (at & 6) == 4;

	if (at & 1)
		return NULL;
	at &= ~15ull;
	if (wide)
		at |= (uint64_t)pci_read(a, reg + 4) << 32;
	pci_write(a, 4, (pci_read(a, 4) & 0xffff) | CMD_ON);
	return at ? map_phys(at, 0x20000) : NULL;
}

/* ---- interrupts ---- */

bool msix_first(struct pci_at a)
{
	unsigned int cap = pci_read(a, 0x34) & 0xfc, n;
	volatile uint32_t *entry;
	uint32_t where;

	for (n = 0; cap && n < 48 && (pci_read(a, cap) & 0xff) != CAP_MSIX; n++)
		cap = pci_read(a, cap) >> 8 & 0xfc;
	if (!cap || n == 48)
		return false;
	where = pci_read(a, cap + 4);
	entry = (volatile uint32_t *)pci_bar(a, where & 7);
	if (!entry)
		return false;
	entry += (where & ~7u) / 4;
	pci_write(a, cap, pci_read(a, cap) | MSIX_ON);
	entry[0] = LAPIC; /* physical, to APIC 0 */
	entry[1] = 0;
	entry[2] = IRQ_VECTOR;
	entry[3] = 0;
	*mmio(LAPIC + LAPIC_SVR) = 0x1ff; /* on, spurious vector FFh */
	*mmio(LAPIC + LAPIC_TPR) = 0;
	return true;
}

void irq_eoi(void)
{
	*mmio(LAPIC + LAPIC_EOI) = 0;
}
