// SPDX-License-Identifier: BSD-3-Clause
/*
 * PVH: an ELF kernel that says in a note where its 32-bit entry is, and takes a hvm_start_info
 * block in ebx (Xen public headers, arch-x86/hvm/start_info.h, version 1; docs/misc/pvh). No
 * decompression.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

#define START_INFO_MAGIC 0x336ec578u

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap; /* since version 1 */
	uint32_t memmap_entries, reserved;
};

struct start_module {
	uint64_t paddr, size, cmdline, reserved;
};

struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* All in one write. */
struct start_block {
	struct start_info info;
	struct start_module module;
	struct start_memmap map[BOOT_MAP_MAX];
};

_Static_assert(sizeof(struct start_info) == 56, "as in start_info.h");
_Static_assert(VM_LOW_BOOTINFO + sizeof(struct start_block) <= BOOT_BOOTINFO_END, "too long");

int boot_pvh_parse(const struct boot_elf *elf, struct boot_image *img, struct err *e)
{
	if (elf->machine != EM_X86_64 && elf->machine != EM_386)
		return err_set(e, -ENOEXEC, "is an ELF file for another processor (machine %u)",
			       elf->machine);
	if (!elf->has_pvh && elf->is64)
		return err_set(
			e, -ENOEXEC,
			"is an ELF file for x86-64 without a PVH note: a Linux kernel has it when built with "
			"CONFIG_PVH; else use its bzImage");
	if (!elf->has_pvh)
		return err_set(
			e, -ENOEXEC,
			"is a 32-bit ELF file with neither a Multiboot 1 header nor a PVH note");
	img->kind = VM_BOOT_PVH;
	img->is_linux = elf->is_linux;
	img->entry = elf->pvh_entry;
	img->cmdline_max = BOOT_CMDLINE_MAX - 1;
	img->initrd_max = UINT32_MAX;
	return boot_segs_check(img, e);
}

/* Registers at the entry: ebx has the block's address, all else is free (docs/misc/pvh.pandoc). */
int boot_pvh_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		    const struct boot_place *p, uint64_t rsdp, struct vm_boot_regs *regs)
{
	struct boot_e820_entry map[BOOT_MAP_MAX];
	struct start_block blk = { 0 };
	unsigned int i, n = boot_map(vm, map);

	blk.info.magic = START_INFO_MAGIC;
	blk.info.version = 1;
	blk.info.cmdline = VM_LOW_CMDLINE;
	blk.info.rsdp = rsdp;
	blk.info.memmap = VM_LOW_BOOTINFO + offsetof(struct start_block, map);
	blk.info.memmap_entries = n;
	for (i = 0; i < n; i++)
		blk.map[i] = (struct start_memmap){ map[i].addr, map[i].size, map[i].type, 0 };
	if (p->total) {
		blk.info.nr_modules = 1;
		blk.info.modlist = VM_LOW_BOOTINFO + offsetof(struct start_block, module);
		blk.module.paddr = p->start[0];
		blk.module.size = p->total;
	}
	regs->mode = VM_BOOT_PROT32;
	regs->rip = img->entry;
	regs->rbx = VM_LOW_BOOTINFO;
	return vm_mem_write(&vm->mem, VM_LOW_BOOTINFO, &blk, sizeof(blk));
}
