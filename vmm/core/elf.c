// SPDX-License-Identifier: BSD-3-Clause
/*
 * ELF program headers and the PVH note, of 32-bit and 64-bit files alike (System V gABI, chapter
 * 5). Headers of both classes are brought into the 64-bit form first, so that there is one set of
 * checks.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

#define PHDRS_MAX		 64u
#define NOTES_MAX		 65536u
#define XEN_ELFNOTE_PHYS32_ENTRY 18u

/* -ENOENT: no ELF at all, or one of the other byte order. Only the fields that are used are kept.
 */
static int read_ehdr(const struct boot_file *f, struct boot_elf *elf, Elf64_Ehdr *h)
{
	const uint8_t *p = f->head.p;

	if (f->head.n < sizeof(Elf32_Ehdr) || memcmp(p, ELFMAG, SELFMAG) ||
	    p[EI_DATA] != ELFDATA2LSB)
		return -ENOENT;
	elf->is64 = p[EI_CLASS] == ELFCLASS64;
	if (elf->is64) {
		if (f->head.n < sizeof(*h))
			return -ENOENT;
		memcpy(h, p, sizeof(*h));
	} else {
		Elf32_Ehdr h32;

		memcpy(&h32, p, sizeof(h32));
		*h = (Elf64_Ehdr){ .e_type = h32.e_type,
				   .e_machine = h32.e_machine,
				   .e_entry = h32.e_entry,
				   .e_phoff = h32.e_phoff,
				   .e_phentsize = h32.e_phentsize,
				   .e_phnum = h32.e_phnum };
	}
	elf->machine = h->e_machine;
	elf->entry = h->e_entry;
	return 0;
}

/* The fields are in another order in the 32-bit form. */
static void widen(const Elf32_Phdr *p, Elf64_Phdr *h)
{
	*h = (Elf64_Phdr){ .p_type = p->p_type,
			   .p_offset = p->p_offset,
			   .p_vaddr = p->p_vaddr,
			   .p_paddr = p->p_paddr,
			   .p_filesz = p->p_filesz,
			   .p_memsz = p->p_memsz,
			   .p_align = p->p_align };
}

/* All of them with one read; a kernel has a handful, and no reason to have more than PHDRS_MAX. */
static int read_phdrs(const struct boot_file *f, bool is64, const Elf64_Ehdr *h, Elf64_Phdr *ph,
		      struct err *e)
{
	size_t size = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	Elf32_Phdr ph32[PHDRS_MAX];
	unsigned int i;
	int ret;

	if (!h->e_phnum || h->e_phnum > PHDRS_MAX || h->e_phentsize != size)
		return err_set(
			e, -ENOEXEC,
			"is an ELF file with %u program headers of %u bytes: nothing to load",
			h->e_phnum, h->e_phentsize);
	if (!range_ok(h->e_phoff, size * h->e_phnum, f->size))
		return err_set(
			e, -ENOEXEC,
			"is truncated: its program headers are at %llu, the file has %llu bytes",
			(unsigned long long)h->e_phoff, (unsigned long long)f->size);
	ret = boot_pread(f->sys, f->fd, is64 ? (void *)ph : ph32, size * h->e_phnum, h->e_phoff, e);
	for (i = 0; !ret && !is64 && i < h->e_phnum; i++)
		widen(&ph32[i], &ph[i]);
	return ret;
}

/* A note is three words, then name and contents, each padded to align. */
static void scan_notes(const struct vm_blob *b, unsigned int align, struct boot_elf *elf)
{
	Elf64_Nhdr n;
	size_t off = 0;

	while (range_ok(off, sizeof(n), b->n)) {
		uint64_t name, desc;

		memcpy(&n, b->p + off, sizeof(n));
		name = off + sizeof(n);
		desc = ALIGN_UP(name + n.n_namesz, align);
		if (!range_ok(desc, n.n_descsz, b->n))
			return;
		if (!elf->has_pvh && n.n_type == XEN_ELFNOTE_PHYS32_ENTRY && n.n_namesz == 4 &&
		    !memcmp(b->p + name, "Xen", 4) && (n.n_descsz == 4 || n.n_descsz == 8)) {
			elf->pvh_entry = 0;
			memcpy(&elf->pvh_entry, b->p + desc, n.n_descsz);
			elf->has_pvh = true;
		}
		/* Notes that every Linux has (build salt and the like). */
		if (n.n_namesz == 6 && !memcmp(b->p + name, "Linux", 6))
			elf->is_linux = true;
		off = ALIGN_UP(desc + n.n_descsz, align);
	}
}

/* The first PVH note wins. */
static int read_notes(const struct boot_file *f, const Elf64_Phdr *h, struct boot_elf *elf,
		      struct err *e)
{
	struct vm_blob b = { .n = (size_t)h->p_filesz };
	uint8_t *buf;
	int ret;

	if (h->p_filesz > NOTES_MAX || !range_ok(h->p_offset, h->p_filesz, f->size))
		return 0; /* notes that cannot be ours */
	buf = malloc(b.n ? b.n : 1);
	if (!buf)
		return err_sys(e, -ENOMEM, "notes");
	b.p = buf;
	ret = boot_pread(f->sys, f->fd, buf, b.n, h->p_offset, e);
	if (!ret)
		scan_notes(&b, h->p_align == 8 ? 8 : 4, elf);
	free(buf);
	return ret;
}

/* Loaded by physical address: paging is off at the entry. */
static int add_seg(const struct boot_file *f, const Elf64_Phdr *h, struct boot_image *img,
		   struct err *e)
{
	uint64_t end;

	if (!h->p_memsz)
		return 0;
	if (img->nsegs == BOOT_SEGS_MAX)
		return err_set(e, -ENOEXEC, "is an ELF file with more than %d parts to load",
			       BOOT_SEGS_MAX);
	if (h->p_filesz > h->p_memsz || ckd_add(&end, h->p_paddr, h->p_memsz))
		return err_set(e, -ENOEXEC, "is damaged: its part at %#llx has impossible sizes",
			       (unsigned long long)h->p_paddr);
	if (!range_ok(h->p_offset, h->p_filesz, f->size))
		return err_set(e, -ENOEXEC,
			       "is truncated: a part of it ends at %llu, the file has %llu bytes",
			       (unsigned long long)(h->p_offset + h->p_filesz),
			       (unsigned long long)f->size);
	img->seg[img->nsegs++] =
		(struct boot_seg){ h->p_paddr, h->p_memsz, h->p_offset, h->p_filesz };
	return 0;
}

int boot_elf_parse(const struct boot_file *f, struct boot_image *img, struct boot_elf *elf,
		   struct err *e)
{
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr h;
	unsigned int i;
	int ret;

	memset(elf, 0, sizeof(*elf));
	ret = read_ehdr(f, elf, &h);
	if (ret)
		return ret;
	/* Checked here so that a foreign file is called foreign, not damaged. */
	if (h.e_machine != EM_X86_64 && h.e_machine != EM_386)
		return boot_pvh_parse(elf, img, e);
	ret = read_phdrs(f, elf->is64, &h, ph, e);
	for (i = 0; !ret && i < h.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			ret = add_seg(f, &ph[i], img, e);
		else if (ph[i].p_type == PT_NOTE)
			ret = read_notes(f, &ph[i], elf, e);
	}
	return ret;
}
