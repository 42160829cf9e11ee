/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_BOOT_H
#define VMM_CORE_BOOT_H

#include "vmm/core/vm.h"

/*
 * Loading a kernel: Linux bzImage (64-bit boot protocol), ELF with a PVH note, Multiboot 1 (ELF32
 * or a.out kludge). Files are untrusted input: everything is bounded, a bad one is an error with a
 * sentence.
 */
enum vm_boot_kind { VM_BOOT_BZIMAGE, VM_BOOT_PVH, VM_BOOT_MULTIBOOT };

/** struct vm_boot - what to boot; files are opened (and kept) by vm_boot_open() so that a reboot
 * can load them again. */
struct vm_boot {
	struct sys *sys;
	enum vm_boot_kind kind;
	bool is_linux; /* it finds config space by the MCFG table, and needs no CF8h/CFCh */
	const char *kernel_path, *cmdline;
	int kernel_fd;
	uint64_t kernel_size;
	unsigned int ninitrd;
	struct {
		char *path;
		int fd;
		uint64_t size;
	} initrd[16];
	void *priv;
};

/**
 * vm_boot_open() - open and recognise the kernel, open the initrds
 * @initrds: comma-separated, or NULL. Linux gets them concatenated as one; Multiboot gets a module
 * each.
 * @cmdline: NULL: empty
 * @ram_size: an image or initrd that cannot fit is refused here, before anything is set up, with
 * the numbers
 */
int vm_boot_open(struct sys *s, struct vm_boot *b, const char *kernel, const char *initrds,
		 const char *cmdline, uint64_t ram_size, struct err *e) __must_check;

/** vm_boot_load() - write kernel, initrd, tables (ACPI, E820, page tables, GDT) into RAM; regs for
 * vCPU 0. */
int vm_boot_load(struct vm *vm, struct vm_boot *b, struct vm_boot_regs *regs,
		 struct err *e) __must_check;

/** vm_boot_close() - idempotent, also after a failed vm_boot_open(). */
void vm_boot_close(struct vm_boot *b);

/** struct vm_blob - bytes of an untrusted file in memory; the parsers below take only this, so that
 * they can be fuzzed. */
struct vm_blob {
	const uint8_t *p;
	size_t n;
};

/** vm_acpi_build() - RSDP, XSDT, FADT, MADT, MCFG, DSDT into RAM; returns the RSDP's address
 * through *rsdp. */
int vm_acpi_build(struct vm *vm, uint64_t *rsdp, struct err *e) __must_check;

/* Where the pieces lie in low guest memory (below 1 MiB), so that all loaders agree. */
#define VM_LOW_GDT	 0x1000u
#define VM_LOW_BOOTINFO	 0x2000u  /* PVH start info, Multiboot info */
#define VM_LOW_PAGETABLE 0x9000u  /* 4-level, identity, first 4 GiB with 2 MiB pages: 6 pages */
#define VM_LOW_ZEROPAGE	 0x10000u /* Linux boot_params */
#define VM_LOW_CMDLINE	 0x20000u /* up to 64 KiB */
#define VM_LOW_RAM_END	 0x9fc00u /* E820: RAM below, reserved up to 1 MiB */
#define VM_ACPI_BASE \
	0xe0000u /* RSDP first (found by the scan of E0000h-FFFFFh too), tables behind it */
#define VM_ACPI_END 0x100000u

/* Fixed hardware of the machine; the DSDT, FADT and devices agree by these. */
#define VM_PM_PORT                                                                                \
	0x600u /* PM1a event (4 bytes), PM1a control at +4 (2), PM timer at +8 (4), GPE0 at +0x10 \
		*/
#define VM_PM_SCI	9u
#define VM_RESET_PORT	0xcf9u
#define VM_PVPANIC_PORT 0x505u
#define VM_COM1_PORT	0x3f8u
#define VM_COM1_IRQ	4u
#define VM_RTC_PORT	0x70u
#define VM_RTC_IRQ	8u
#define VM_IOAPIC_BASE	0xfec00000u
#define VM_LAPIC_BASE	0xfee00000u
#define VM_SLEEP_S5_TYP 5u /* SLP_TYP value of \_S5 */

#endif
