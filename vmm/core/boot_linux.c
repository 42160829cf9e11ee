// SPDX-License-Identifier: BSD-3-Clause
/*
 * Linux bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst, "64-bit Boot
 * Protocol").
 *
 * The real-mode part of the file gives us only its setup header. The rest is loaded at the kernel's
 * preferred address, so that the decompressor's output buffer needs no move, and entered at its
 * 64-bit entry, 200h in, with paging on and everything below 4 GiB mapped one to one.
 */
#include <errno.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

#define HDR_OFF	       0x1f1u
#define HDR_MAGIC      0x53726448u /* "HdrS" */
#define BOOT_FLAG      0xaa55
#define ENTRY64	       0x200u
#define SECTOR	       512u
#define PROTOCOL_MIN   0x020c /* 2.12: xloadflags tell of the 64-bit entry */
#define TYPE_OF_LOADER 0xff
#define VID_NORMAL     0xffff

#define PT_PRESENT_RW 0x3ull
#define PT_LARGE      0x80ull

_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");

static int check_size(const struct boot_file *f, const struct setup_header *h, struct boot_seg *seg,
		      struct err *e)
{
	/* boot.rst: 0 means 4, for the sake of very old loaders */
	unsigned int sects = h->setup_sects ? h->setup_sects : 4;
	uint64_t len = (uint64_t)h->syssize * 16;

	seg->off = (uint64_t)(sects + 1) * SECTOR;
	if (!len)
		return err_set(e, -ENOEXEC, "is damaged: its header gives a length of 0");
	/* syssize counts in 16 bytes; the file may end in the middle of the last of them */
	if (seg->off + len > ALIGN_UP(f->size, 16))
		return err_set(e, -ENOEXEC,
			       "is truncated: its header promises %llu bytes, the file has %llu",
			       (unsigned long long)(seg->off + len), (unsigned long long)f->size);
	seg->filesz = MIN(len, f->size - seg->off);
	return 0;
}

static int check_place(const struct setup_header *h, struct boot_image *img, struct err *e)
{
	struct boot_seg *seg = &img->seg[0];

	if (h->pref_address < BOOT_LOW_1M || h->pref_address >= VM_RAM_HOLE ||
	    !IS_ALIGNED(h->pref_address, BOOT_PAGE))
		return err_set(e, -ENOEXEC, "wants to be at %#llx, which is no place for a kernel",
			       (unsigned long long)h->pref_address);
	if (seg->filesz > h->init_size)
		return err_set(e, -ENOEXEC,
			       "is damaged: its init_size (%u) is smaller than the image",
			       h->init_size);
	seg->gpa = h->pref_address;
	/* The kernel clears its own .bss, on a reset too; init_size is only room. */
	seg->memsz = seg->filesz;
	img->entry = seg->gpa + ENTRY64;
	img->end = seg->gpa + h->init_size;
	if (seg->filesz <= ENTRY64)
		return err_set(e, -ENOEXEC, "is damaged: no room for its entry point");
	return 0;
}

/* The header ends where the jump instruction at its start leads to; later kernels have longer ones.
 */
static size_t hdr_len(const struct boot_file *f)
{
	size_t end = 0x202u + f->head.p[0x201];

	end = MIN(end, f->head.n);
	return MIN(end - HDR_OFF, sizeof(struct setup_header));
}

int boot_bzimage_parse(const struct boot_file *f, struct boot_image *img, struct err *e)
{
	struct setup_header *h = &img->hdr;
	int ret;

	if (f->head.n < 0x208)
		return -ENOENT;
	memcpy(h, f->head.p + HDR_OFF, hdr_len(f));
	if (h->header != HDR_MAGIC || h->boot_flag != BOOT_FLAG)
		return -ENOENT;
	img->kind = VM_BOOT_BZIMAGE;
	img->is_linux = true;
	if (h->version < PROTOCOL_MIN)
		return err_set(e, -ENOEXEC, "speaks boot protocol %u.%02u; 2.12 or later is needed",
			       h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return err_set(e, -ENOEXEC, "is a 32-bit kernel without a 64-bit entry point");
	if (!(h->loadflags & LOADED_HIGH))
		return err_set(e, -ENOEXEC, "is a zImage; a bzImage is needed");
	ret = check_size(f, h, &img->seg[0], e);
	if (!ret)
		ret = check_place(h, img, e);
	if (ret)
		return ret;
	img->nsegs = 1;
	img->initrd_max = h->initrd_addr_max;
	img->cmdline_max = MIN(h->cmdline_size, BOOT_CMDLINE_MAX - 1);
	return 0;
}

/* Four levels, the first 4 GiB one to one in 2 MiB pages; the kernel builds its own soon. */
static int write_page_tables(struct vm *vm)
{
	uint64_t *pt = vm_mem_ptr(&vm->mem, VM_LOW_PAGETABLE, 6 * BOOT_PAGE);
	uint64_t *pd, i;

	if (!pt)
		return -EFAULT;
	memset(pt, 0, 2 * BOOT_PAGE);
	pd = pt + 1024;
	pt[0] = (VM_LOW_PAGETABLE + BOOT_PAGE) | PT_PRESENT_RW;
	for (i = 0; i < 4; i++)
		pt[512 + i] = (VM_LOW_PAGETABLE + (2 + i) * BOOT_PAGE) | PT_PRESENT_RW;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PT_PRESENT_RW | PT_LARGE;
	return 0;
}

int boot_linux_finish(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		      const struct boot_place *p, uint64_t rsdp, struct vm_boot_regs *regs)
{
	struct boot_params bp = { .hdr = img->hdr, .acpi_rsdp_addr = rsdp };
	int ret;

	bp.hdr.type_of_loader = TYPE_OF_LOADER;
	bp.hdr.vid_mode = VID_NORMAL;
	bp.hdr.cmd_line_ptr = VM_LOW_CMDLINE;
	bp.hdr.code32_start = (uint32_t)img->seg[0].gpa;
	bp.hdr.setup_data = 0;
	bp.hdr.ramdisk_image = 0;
	bp.hdr.ramdisk_size = 0;
	if (p->total) {
		bp.hdr.ramdisk_image = (uint32_t)p->start[0];
		bp.hdr.ramdisk_size = (uint32_t)p->total;
	}
	bp.e820_entries = (uint8_t)boot_map(vm, bp.e820_table);
	ret = vm_mem_write(&vm->mem, VM_LOW_ZEROPAGE, &bp, sizeof(bp));
	if (!ret)
		ret = write_page_tables(vm);
	regs->mode = VM_BOOT_LONG64;
	regs->rip = img->entry;
	regs->rsi = VM_LOW_ZEROPAGE;
	regs->cr3 = VM_LOW_PAGETABLE;
	regs->rsp = VM_LOW_BOOTINFO; /* unused by Linux; the page below is free */
	return ret;
}
