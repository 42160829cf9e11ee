/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_BOOT_PRIV_H
#define VMM_CORE_BOOT_PRIV_H

#include <asm/bootparam.h>
#include "vmm/core/boot.h"

#define BOOT_SEGS_MAX	 32
#define BOOT_INITRDS_MAX 16
#define BOOT_MAP_MAX	 (VM_RAM_SEGS_MAX + 3)
#define BOOT_HEAD_SIZE	 8192u /* Multiboot's header lies in here, and so do those of the others */
#define BOOT_PAGE	 4096u
#define BOOT_CMDLINE_MAX \
	0x10000u /* with the NUL; what lies between VM_LOW_CMDLINE and the next piece */
#define BOOT_LOW_FREE	  (VM_LOW_CMDLINE + BOOT_CMDLINE_MAX) /* below it are our own tables */
#define BOOT_BOOTINFO_END VM_LOW_PAGETABLE
#define BOOT_LOW_1M	  0x100000u
#define BOOT_RAM_MIN	  MIB(2)

/* Selectors in the table at VM_LOW_GDT; Linux wants these very numbers (boot.rst, 64-bit protocol).
 */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u

/** struct boot_seg - bytes [off, off + filesz) of the file go to gpa, then zeroes up to memsz */
struct boot_seg {
	uint64_t gpa, memsz, off, filesz;
};

/** struct boot_file - an untrusted file and its first bytes */
struct boot_file {
	struct sys *sys;
	int fd;
	uint64_t size;
	struct vm_blob head;
};

/**
 * struct boot_image - what a parser found; every number in it was checked against the file's size
 * @entry: guest address
 * @end:   first byte behind all that the kernel occupies before it can look after itself
 * @cmdline_max: bytes without the NUL
 * @initrd_max: last address an initrd may touch
 * @hdr:   setup header of a bzImage, as it goes into the zero page
 * @loaded: RAM is not fresh any more: what has to be zero must be written
 */
struct boot_image {
	enum vm_boot_kind kind;
	uint64_t entry, end, cmdline_max, initrd_max;
	unsigned int nsegs;
	struct boot_seg seg[BOOT_SEGS_MAX];
	struct setup_header hdr;
	bool loaded, is_linux;
};

/** struct boot_place - where the initrds go; for Linux they are one piece, in order */
struct boot_place {
	uint64_t start[BOOT_INITRDS_MAX];
	uint64_t total; /* Linux: with the padding between archives */
};

struct boot_elf {
	bool is64, has_pvh, is_linux;
	uint16_t machine;
	uint64_t entry, pvh_entry;
};

/* Parsers: 0, -ENOENT when the file is of another kind (e untouched), or another -errno with e
 * filled. */
int boot_bzimage_parse(const struct boot_file *f, struct boot_image *img, struct err *e);
int boot_elf_parse(const struct boot_file *f, struct boot_image *img, struct boot_elf *elf,
		   struct err *e);
int boot_mb_parse(const struct boot_file *f, struct boot_image *img, struct err *e);

/** boot_pvh_parse() - takes what boot_elf_parse() found; says what is missing in an ELF that cannot
 * be started. */
int boot_pvh_parse(const struct boot_elf *elf, struct boot_image *img, struct err *e);

/** boot_segs_check() - segments do not overlap, keep off our low tables; the entry is in one; fills
 * img->end. */
int boot_segs_check(struct boot_image *img, struct err *e);

/** boot_recognise() - find the kind of the file and parse it. */
int boot_recognise(const struct boot_file *f, struct boot_image *img, struct err *e);

/** boot_pread() - exactly len bytes; -EIO when the file has become shorter. */
int boot_pread(struct sys *s, int fd, void *buf, uint64_t len, uint64_t off, struct err *e);

/** boot_place() - where the initrds go when RAM's first segment is low_end bytes; -ENOSPC with the
 * numbers. */
int boot_place(const struct vm_boot *b, const struct boot_image *img, uint64_t low_end,
	       struct boot_place *p, struct err *e);

/** boot_map() - the memory map of the guest, in order; returns the number of entries. */
unsigned int boot_map(const struct vm *vm, struct boot_e820_entry map[BOOT_MAP_MAX]);

/* The last step of each kind: information blocks in low memory, and the first registers. */
int boot_linux_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		      const struct boot_place *p, uint64_t rsdp, struct vm_boot_regs *regs);
int boot_pvh_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		    const struct boot_place *p, uint64_t rsdp, struct vm_boot_regs *regs);
int boot_mb_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		   const struct boot_place *p, struct vm_boot_regs *regs, struct err *e);

#endif
