/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the payloads share. A payload is one guest_main(): it checks one property of the machine and
 * returns GUEST_PASS, or says on the serial line what is wrong and returns GUEST_FAIL. The values
 * go through the debug-exit port, so a run ends with 65 or 67; no other status of the VMM is in
 * that place. AP_PAGE, where application processors start, comes from the build file: start.S needs
 * it too.
 *
 * lib.c, pcicfg.c, nvmectl.c and viodev.c are compiled for 32 and for 64 bits: the benchmark's
 * guest (bench/guest) stands on them as well. hw.c is the payloads' own, 32 bits.
 */
#define GUEST_PASS 0x20
#define GUEST_FAIL 0x21
#define DEBUG_EXIT 0xf4

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct mb_module {
	uint32_t start, end, string, reserved;
};

struct mb_mmap {
	uint32_t size;
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

int guest_main(const struct mb_info *mbi);

/* ---- the serial line and the end */
void put(const char *s);
void put_hex(uint64_t v);
void put_dec(uint32_t v);
void say(const char *what, uint64_t v); /* "what 0x...\n" */
void debug_exit(uint8_t value) __attribute__((noreturn));

/* In guest_main(): */
#define CHECK(cond)                           \
	do {                                  \
		if (!(cond)) {                \
			put("FAIL line ");    \
			put_dec(__LINE__);    \
			put(": " #cond "\n"); \
			return GUEST_FAIL;    \
		}                             \
	} while (0)

/* ---- words of the command line: "key=0x10"; NULL or dflt when it is not there */
const char *arg_text(const char *cmdline, const char *key); /* ends at a space or the end */
uint64_t arg_number(const char *cmdline, const char *key, uint64_t dflt);

static inline uint64_t arg_num(const struct mb_info *mbi, const char *key, uint64_t dflt)
{
	return arg_number((const char *)(uintptr_t)mbi->cmdline, key, dflt);
}

/* ---- ACPI */
const uint8_t *acpi_table(const char *sig); /* NULL: absent, or a checksum is wrong */
uint32_t get32(const void *p);
unsigned int acpi_cpus(void);

/* ---- PCI through ECAM (found by MCFG); pci_init() is false without it, and then config space is
 * reached through the ports CF8h and CFCh */
struct pci_at {
	uint8_t bus, dev, fn;
};
extern unsigned int pci_buses;
bool pci_init(void);
uint32_t pci_read(struct pci_at a, unsigned int off);
void pci_write(struct pci_at a, unsigned int off, uint32_t v);
/* class code (24 bits) of the n-th such function; false: no more */
bool pci_find(uint32_t class, uint32_t mask, unsigned int n, struct pci_at *out);

/* registers behind a memory BAR, decoding and bus mastering on; NULL: not a memory BAR, or out of
 * reach. Each runtime has its own. */
volatile uint8_t *pci_bar(struct pci_at a, unsigned int bar);

/* ---- interrupts: local APIC on, IOAPIC, vectors 0x20-0x2f counted */
#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u
extern volatile uint32_t irq_count[16];
void irq_init(void);
void ioapic_set(unsigned int pin, uint32_t low);

/* ---- memory above 4 GiB: the 2 MiB around phys, seen through a window; switches paging on */
volatile void *map_window(uint64_t phys);

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* ---- instructions */
static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline volatile uint32_t *mmio(uintptr_t at)
{
	return (volatile uint32_t *)at;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t fn, uint32_t index, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(fn), "c"(index));
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
