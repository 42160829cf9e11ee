// SPDX-License-Identifier: BSD-3-Clause
/*
 * Multiboot 1 (Multiboot Specification 0.6.96): a header in the first 8 KiB, either in an ELF file
 * or with the load addresses in itself ("a.out kludge"); the kernel is entered in 32-bit protected
 * mode.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

#define MB_HEADER_MAGIC 0x1badb002u
#define MB_LOADER_MAGIC 0x2badb002u

/* Header flags (3.1.2): the low half is "must be understood". */
#define MB_PAGE_ALIGN 0x1u
#define MB_MEM_INFO   0x2u
#define MB_VIDEO      0x4u /* there is no display: the information block says so by lacking it */
#define MB_ADDRESSES  0x10000u
#define MB_KNOWN      (MB_PAGE_ALIGN | MB_MEM_INFO | MB_VIDEO)

struct mb_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

/* Information block (3.3) */
#define MBI_MEMORY  0x1u
#define MBI_CMDLINE 0x4u
#define MBI_MODULES 0x8u
#define MBI_MMAP    0x40u
#define MBI_LOADER  0x200u

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr;
	uint32_t config_table, loader_name, apm_table, vbe[4];
};

struct mb_module {
	uint32_t start, end, string, reserved;
};

struct mb_mmap {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

/* The fixed part; strings follow it up to the end of the boot information area. */
struct mb_block {
	struct mb_info info;
	struct mb_module mod[BOOT_INITRDS_MAX];
	struct mb_mmap map[BOOT_MAP_MAX];
	char text[BOOT_BOOTINFO_END - VM_LOW_BOOTINFO - 1024];
};

_Static_assert(VM_LOW_BOOTINFO + sizeof(struct mb_block) <= BOOT_BOOTINFO_END, "too long");
_Static_assert(sizeof(struct mb_info) == 88, "as in the specification");

/* Four-byte aligned, whole within the first 8 KiB, magic + flags + checksum == 0 (3.1.1) */
static bool find_header(const struct vm_blob *head, struct mb_header *h, uint64_t *at)
{
	size_t i;

	for (i = 0; i + 12 <= head->n; i += 4) {
		memset(h, 0, sizeof(*h));
		memcpy(h, head->p + i, MIN(sizeof(*h), head->n - i));
		if (h->magic != MB_HEADER_MAGIC || h->magic + h->flags + h->checksum)
			continue;
		*at = i;
		return true;
	}
	return false;
}

/* The header's own addresses say what to load (3.1.3). */
static int parse_addresses(const struct boot_file *f, const struct mb_header *h, uint64_t at,
			   struct boot_image *img, struct err *e)
{
	struct boot_seg *seg = &img->seg[0];
	uint64_t back = (uint64_t)h->header_addr - h->load_addr;
	uint64_t load_end, bss_end;

	if (at + sizeof(*h) > f->head.n)
		return err_set(e, -ENOEXEC, "is truncated inside its Multiboot header");
	if (h->header_addr < h->load_addr || back > at)
		return err_set(e, -ENOEXEC,
			       "is damaged: Multiboot header at %#x, load address %#x, offset %llu",
			       h->header_addr, h->load_addr, (unsigned long long)at);
	seg->gpa = h->load_addr;
	seg->off = at - back;
	load_end = h->load_end_addr ? h->load_end_addr : seg->gpa + (f->size - seg->off);
	bss_end = h->bss_end_addr ? h->bss_end_addr : load_end;
	if (load_end < seg->gpa || bss_end < load_end)
		return err_set(
			e, -ENOEXEC,
			"is damaged: Multiboot load end %#llx, bss end %#llx are out of order",
			(unsigned long long)load_end, (unsigned long long)bss_end);
	seg->filesz = load_end - seg->gpa;
	seg->memsz = bss_end - seg->gpa;
	if (!range_ok(seg->off, seg->filesz, f->size))
		return err_set(
			e, -ENOEXEC, "is truncated: it wants %llu bytes loaded, the file has %llu",
			(unsigned long long)seg->filesz, (unsigned long long)(f->size - seg->off));
	img->nsegs = 1;
	img->entry = h->entry_addr;
	return 0;
}

/* Without load addresses in the header, the ELF's program headers were taken before (img->nsegs).
 */
int boot_mb_parse(const struct boot_file *f, struct boot_image *img, struct err *e)
{
	struct mb_header h;
	uint64_t at;
	int ret;

	if (!find_header(&f->head, &h, &at))
		return -ENOENT;
	img->kind = VM_BOOT_MULTIBOOT;
	if (h.flags & 0xffff & ~MB_KNOWN)
		return err_set(e, -ENOEXEC,
			       "needs Multiboot features that are not known (flags %#x)", h.flags);
	if (h.flags & MB_ADDRESSES) {
		ret = parse_addresses(f, &h, at, img, e);
		if (ret)
			return ret;
	} else if (!img->nsegs) {
		return err_set(
			e, -ENOEXEC,
			"has a Multiboot header without load addresses, and is no ELF file with "
			"something to load");
	}
	img->cmdline_max = BOOT_CMDLINE_MAX - 1;
	return boot_segs_check(img, e);
}

/* Appends text and returns its guest address; 0 when there is no room. */
static uint32_t put_text(struct mb_block *blk, size_t *used, const char *a, const char *b)
{
	size_t off = *used, n = strlen(a) + strlen(b) + 1;

	if (n > sizeof(blk->text) - off)
		return 0;
	memcpy(blk->text + off, a, strlen(a));
	memcpy(blk->text + off + strlen(a), b, strlen(b) + 1);
	*used = off + n;
	return (uint32_t)(VM_LOW_BOOTINFO + offsetof(struct mb_block, text) + off);
}

/* The same map as Linux gets; mem_lower and mem_upper are its first two pieces of RAM, in KiB. */
static void put_map(struct vm *vm, struct mb_block *blk)
{
	struct boot_e820_entry map[BOOT_MAP_MAX];
	unsigned int i, n = boot_map(vm, map);

	for (i = 0; i < n; i++)
		blk->map[i] = (struct mb_mmap){ sizeof(struct mb_mmap) - 4, map[i].addr,
						map[i].size, map[i].type };
	blk->info.mmap_addr = VM_LOW_BOOTINFO + offsetof(struct mb_block, map);
	blk->info.mmap_length = n * (uint32_t)sizeof(struct mb_mmap);
	blk->info.mem_lower = VM_LOW_RAM_END >> 10;
	blk->info.mem_upper = (uint32_t)((vm->ram.seg[0].size - BOOT_LOW_1M) >> 10);
}

/* A module's string is what the user wrote, arguments included. */
static int put_modules(const struct vm_boot *b, const struct boot_place *p, struct mb_block *blk,
		       size_t *used, struct err *e)
{
	unsigned int i;

	for (i = 0; i < b->ninitrd; i++) {
		struct mb_module *m = &blk->mod[i];

		m->start = (uint32_t)p->start[i];
		m->end = (uint32_t)(p->start[i] + b->initrd[i].size);
		m->string = put_text(blk, used, b->initrd[i].path, "");
		if (!m->string)
			return err_set(e, -E2BIG,
				       "kernel %s: the strings of its modules are too long",
				       b->kernel_path);
	}
	blk->info.mods_count = b->ninitrd;
	blk->info.mods_addr = VM_LOW_BOOTINFO + offsetof(struct mb_block, mod);
	return 0;
}

/* Multiboot's command line begins with the kernel's name: it goes right in front of the rest. */
static int put_name(struct vm *vm, const struct vm_boot *b, struct mb_block *blk)
{
	const char *slash = strrchr(b->kernel_path, '/');
	char name[256];
	int n = snprintf(name, sizeof(name), "%s%s", slash ? slash + 1 : b->kernel_path,
			 *b->cmdline ? " " : "");

	/* A file that could be opened has a name of at most 255 bytes; cut, it would still be
	 * terminated. */
	n = MIN(n, (int)sizeof(name) - 1);
	blk->info.cmdline = VM_LOW_CMDLINE - (uint32_t)n;
	return vm_mem_write(&vm->mem, blk->info.cmdline, name, (uint64_t)n);
}

int boot_mb_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		   const struct boot_place *p, struct vm_boot_regs *regs, struct err *e)
{
	struct mb_block *blk = calloc(1, sizeof(*blk));
	size_t used = 0;
	int ret;

	if (!blk)
		return err_sys(e, -ENOMEM, "kernel %s", b->kernel_path);
	blk->info.flags = MBI_MEMORY | MBI_CMDLINE | MBI_MODULES | MBI_MMAP | MBI_LOADER;
	blk->info.loader_name = put_text(blk, &used, "Sluice", "");
	put_map(vm, blk);
	ret = put_modules(b, p, blk, &used, e);
	if (!ret)
		ret = put_name(vm, b, blk);
	if (!ret)
		ret = vm_mem_write(&vm->mem, VM_LOW_BOOTINFO, blk,
				   offsetof(struct mb_block, text) + used);
	free(blk);
	regs->mode = VM_BOOT_PROT32;
	regs->rip = img->entry;
	regs->rax = MB_LOADER_MAGIC;
	regs->rbx = VM_LOW_BOOTINFO;
	return ret;
}
