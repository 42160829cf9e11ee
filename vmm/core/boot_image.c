// SPDX-License-Identifier: BSD-3-Clause
/* What the formats share: recognising them, checking their segments, and the layout of memory. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

/* Files that people give by mistake, by their first bytes; for the error text only. */
static const struct {
	unsigned int off, len;
	const char *magic, *what;
} mistakes[] = {
	{ 0, 2, "\x1f\x8b", "gzip-compressed data" },
	{ 0, 6,
	  "\xfd"
	  "7zXZ\0",
	  "xz-compressed data" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed data" },
	{ 0, 5, "07070", "a cpio archive (an initrd?)" },
	{ 0, 2, "#!", "a script" },
	{ 0, 4, "QFI\xfb", "a qcow2 disk image" },
	{ 56, 4, "ARM\x64", "a kernel for arm64" },
	{ 0, 2, "MZ", "a PE program without a Linux header" },
	{ 510, 2, "\x55\xaa", "a boot sector" },
};

/* The first that matches; the order above goes from the particular to the vague. */
static const char *what_is_it(const struct vm_blob *h)
{
	size_t i;

	if (!h->n)
		return "an empty file";
	for (i = 0; i < ARRAY_SIZE(mistakes); i++)
		if (range_ok(mistakes[i].off, mistakes[i].len, h->n) &&
		    !memcmp(h->p + mistakes[i].off, mistakes[i].magic, mistakes[i].len))
			return mistakes[i].what;
	return "data of an unknown kind";
}

/*
 * A bzImage is known by its own magic. An ELF file may be PVH, Multiboot or both: 64-bit kernels
 * with both are meant to be started by PVH (Multiboot 1 knows no 64-bit ELF), 32-bit ones by
 * Multiboot. What is neither may still have a Multiboot header with load addresses in it.
 */
int boot_recognise(const struct boot_file *f, struct boot_image *img, struct err *e)
{
	struct boot_elf elf;
	int ret;

	memset(img, 0, sizeof(*img));
	ret = boot_bzimage_parse(f, img, e);
	if (ret != -ENOENT)
		return ret;
	ret = boot_elf_parse(f, img, &elf, e);
	if (ret && ret != -ENOENT)
		return ret;
	if (!ret && elf.is64 && elf.has_pvh)
		return boot_pvh_parse(&elf, img, e);
	if (!ret) {
		img->entry = elf.entry;
		ret = boot_mb_parse(f, img, e);
		return ret == -ENOENT ? boot_pvh_parse(&elf, img, e) : ret;
	}
	ret = boot_mb_parse(f, img, e);
	if (ret == -ENOENT)
		err_set(e, ret = -ENOEXEC,
			"is not a kernel but %s; wanted: a Linux bzImage, an ELF with a PVH note, "
			"or a Multiboot 1 image",
			what_is_it(&f->head));
	return ret;
}

/*
 * Below 1 MiB lie our tables, which the kernel is handed by address: a kernel on top of them would
 * be started with nonsense. Overlapping segments have no order that a file could rely on.
 */
static int seg_check(const struct boot_image *img, unsigned int i, struct err *e)
{
	const struct boot_seg *s = &img->seg[i], *t;
	bool low;

	low = s->gpa >= BOOT_LOW_FREE && s->gpa + s->memsz <= VM_LOW_RAM_END;
	if (!low && s->gpa < BOOT_LOW_1M)
		return err_set(e, -ENOEXEC,
			       "wants to be at %#llx to %#llx; below 1 MiB only %#x to %#x is free",
			       (unsigned long long)s->gpa, (unsigned long long)(s->gpa + s->memsz),
			       BOOT_LOW_FREE, VM_LOW_RAM_END);
	for (t = img->seg; t < s; t++)
		if (ranges_overlap(s->gpa, s->memsz, t->gpa, t->memsz))
			return err_set(e, -ENOEXEC, "is damaged: two of its parts overlap at %#llx",
				       (unsigned long long)MAX(s->gpa, t->gpa));
	return 0;
}

int boot_segs_check(struct boot_image *img, struct err *e)
{
	bool entry_ok = false;
	unsigned int i;
	int ret;

	if (!img->nsegs)
		return err_set(e, -ENOEXEC, "has nothing to load in it");
	for (i = 0; i < img->nsegs; i++) {
		const struct boot_seg *s = &img->seg[i];

		ret = seg_check(img, i, e);
		if (ret)
			return ret;
		img->end = MAX(img->end, s->gpa + s->memsz);
		entry_ok |= img->entry >= s->gpa && img->entry - s->gpa < s->memsz;
	}
	if (!entry_ok)
		return err_set(e, -ENOEXEC, "is damaged: its entry point %#llx is outside of it",
			       (unsigned long long)img->entry);
	return 0;
}

/* One sentence for all that does not fit, with the numbers to choose a size by. */
static int no_room(const struct vm_boot *b, const struct boot_image *img, uint64_t need,
		   uint64_t limit, struct err *e)
{
	uint64_t from = ALIGN_UP(img->end, BOOT_PAGE);

	return err_set(
		e, -ENOSPC,
		"initrd %s%s: %llu KiB do not fit between the kernel's end at %llu KiB and %llu KiB "
		"(give the machine more --memory)",
		b->initrd[0].path, b->ninitrd > 1 ? " and others" : "",
		(unsigned long long)(need + 1023) >> 10, (unsigned long long)from >> 10,
		(unsigned long long)limit >> 10);
}

/* Multiboot: modules follow the kernel, each on a page, where small kernels that map little memory
 * find them. */
static int place_modules(const struct vm_boot *b, const struct boot_image *img, uint64_t low_end,
			 struct boot_place *p, struct err *e)
{
	uint64_t at = ALIGN_UP(img->end, BOOT_PAGE);
	unsigned int i;

	for (i = 0; i < b->ninitrd; i++) {
		p->start[i] = at;
		at = ALIGN_UP(at + b->initrd[i].size, BOOT_PAGE);
		p->total += b->initrd[i].size;
	}
	return b->ninitrd && at > low_end ? no_room(b, img, p->total, low_end, e) : 0;
}

/* Linux: one piece, as high as kernel and RAM allow, out of the way of a kernel that unpacks
 * itself. */
int boot_place(const struct vm_boot *b, const struct boot_image *img, uint64_t low_end,
	       struct boot_place *p, struct err *e)
{
	uint64_t limit = low_end, at, total = 0;
	unsigned int i;

	memset(p, 0, sizeof(*p));
	/* Each one is smaller than RAM, so that no sum below can wrap. */
	for (i = 0; i < b->ninitrd; i++) {
		total += MIN(b->initrd[i].size, (uint64_t)VM_RAM_HOLE);
		total = ALIGN_UP(total, 4);
		if (b->initrd[i].size > low_end)
			return no_room(b, img, b->initrd[i].size, low_end, e);
	}
	if (img->kind == VM_BOOT_MULTIBOOT)
		return place_modules(b, img, low_end, p, e);
	if (img->initrd_max < limit)
		limit = img->initrd_max + 1;
	if (!total)
		return 0;
	if (total > limit)
		return no_room(b, img, total, limit, e);
	at = ALIGN_DOWN(limit - total, BOOT_PAGE);
	if (at < ALIGN_UP(img->end, BOOT_PAGE))
		return no_room(b, img, total, limit, e);
	p->total = total;
	for (i = 0; i < b->ninitrd; i++) {
		p->start[i] = at;
		at = ALIGN_UP(at + b->initrd[i].size, 4);
	}
	return 0;
}

/* ACPI 15.1, address range types */
#define E820_RAM      1
#define E820_RESERVED 2

unsigned int boot_map(const struct vm *vm, struct boot_e820_entry map[BOOT_MAP_MAX])
{
	const struct vm_mem_region *seg = vm->ram.seg;
	unsigned int i, n = 0;

	map[n++] = (struct boot_e820_entry){ 0, VM_LOW_RAM_END, E820_RAM };
	map[n++] = (struct boot_e820_entry){ VM_LOW_RAM_END, BOOT_LOW_1M - VM_LOW_RAM_END,
					     E820_RESERVED };
	/* The hole in between holds the ACPI tables, and no RAM that a kernel may take. */
	map[n++] = (struct boot_e820_entry){ BOOT_LOW_1M, seg[0].size - BOOT_LOW_1M, E820_RAM };
	for (i = 1; i < vm->ram.nsegs && seg[i].gpa < GIB(4); i++)
		map[n++] = (struct boot_e820_entry){ seg[i].gpa, seg[i].size, E820_RAM };
	/* Linux takes MCFG's word for ECAM only when the map reserves it. */
	if (vm->pci)
		map[n++] = (struct boot_e820_entry){ VM_PCI_ECAM_BASE,
						     MIB(vm_pci_windows(vm->pci)->nbuses),
						     E820_RESERVED };
	for (; i < vm->ram.nsegs; i++)
		map[n++] = (struct boot_e820_entry){ seg[i].gpa, seg[i].size, E820_RAM };
	return n;
}
