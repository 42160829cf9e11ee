// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading a kernel.
 *
 * vm_boot_open() reads the first 8 KiB of the file, lets each format's parser look at them, and
 * ends with a struct boot_image: a short list of "these bytes of the file go there". All checks
 * against the file's size and the machine's RAM happen there, before anything is set up.
 * vm_boot_load() only follows the list, reading straight into guest memory, and writes the little
 * tables of the protocol below 1 MiB. It runs again at each reset; the files stay open, so a reset
 * needs no name that could have changed its meaning.
 *
 * Guest RAM is a fresh memfd the first time, so what has to be zero is zero already and is not
 * touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/boot_priv.h"

int boot_pread(struct sys *s, int fd, void *buf, uint64_t len, uint64_t off, struct err *e)
{
	while (len) {
		ssize_t n = sys_pread(s, fd, buf, MIN(len, GIB(1)), (off_t)off);

		if (n < 0)
			return err_sys(e, (int)n, "cannot read at offset %llu",
				       (unsigned long long)off);
		if (n == 0)
			return err_set(e, -EIO, "the file became shorter while it was in use");
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Opens a file and learns its size; refuses what is no regular file in words. */
static int open_file(struct sys *s, const char *path, int *fd, uint64_t *size, struct err *e)
{
	struct stat st;
	int ret;

	/* O_NONBLOCK: a FIFO given by mistake must not hang us; it is refused below. */
	ret = sys_open(s, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (ret < 0)
		return err_sys(e, ret, "cannot open it");
	*fd = ret;
	ret = sys_fstat(s, *fd, &st);
	if (ret < 0)
		return err_sys(e, ret, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "is a directory, not a file");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "is not a regular file");
	*size = (uint64_t)st.st_size;
	return 0;
}

/* Cuts the next name off a comma-separated list, ",," standing for a comma; NULL when memory is
 * out. */
static char *next_name(const char **list)
{
	const char *p = *list;
	char *name = malloc(strlen(p) + 1), *w = name;

	if (!name)
		return NULL;
	for (; *p; p++) {
		if (*p == ',' && *++p != ',')
			break;
		*w++ = *p;
	}
	*w = '\0';
	/* p is behind the comma that ended the name, or at the end of the list. */
	*list = *p || p[-1] == ',' ? p : NULL;
	return name;
}

static int open_initrd(struct vm_boot *b, unsigned int i, struct err *e)
{
	char *path = b->initrd[i].path, *space = NULL;
	int ret;

	/* A Multiboot module may have arguments behind its name; its string keeps both. */
	if (b->kind == VM_BOOT_MULTIBOOT)
		space = strchr(path, ' ');
	if (space)
		*space = '\0';
	if (!*path)
		ret = err_set(e, -EINVAL, "an empty file name in the list");
	else
		ret = open_file(b->sys, path, &b->initrd[i].fd, &b->initrd[i].size, e);
	if (ret)
		err_prefix(e, "initrd %s: ", path);
	if (space)
		*space = ' ';
	return ret;
}

static int open_initrds(struct vm_boot *b, const char *list, struct err *e)
{
	int ret;

	while (list) {
		unsigned int i = b->ninitrd;

		if (i == BOOT_INITRDS_MAX)
			return err_set(e, -EINVAL, "more than %u initrd files", BOOT_INITRDS_MAX);
		b->initrd[i].path = next_name(&list);
		if (!b->initrd[i].path)
			return err_sys(e, -ENOMEM, "initrd");
		b->initrd[i].fd = -1;
		b->ninitrd++;
		ret = open_initrd(b, i, e);
		if (ret)
			return ret;
	}
	return 0;
}

/* Only the first 8 KiB are read here, and of an ELF its headers: the rest goes to guest memory
 * later. */
static int open_kernel(struct vm_boot *b, struct boot_image *img, struct err *e)
{
	uint8_t head[BOOT_HEAD_SIZE];
	struct boot_file f;
	int ret;

	ret = open_file(b->sys, b->kernel_path, &b->kernel_fd, &b->kernel_size, e);
	if (ret)
		return ret;
	f = (struct boot_file){ .sys = b->sys, .fd = b->kernel_fd, .size = b->kernel_size };
	f.head.p = head;
	f.head.n = (size_t)MIN(f.size, (uint64_t)sizeof(head));
	ret = boot_pread(f.sys, f.fd, head, f.head.n, 0, e);
	if (ret)
		return ret;
	ret = boot_recognise(&f, img, e);
	if (ret)
		return ret;
	b->kind = img->kind;
	b->is_linux = img->is_linux;
	if (strlen(b->cmdline) > img->cmdline_max)
		return err_set(
			e, -E2BIG,
			"the command line has %zu characters, this kernel takes at most %llu",
			strlen(b->cmdline), (unsigned long long)img->cmdline_max);
	return 0;
}

/* Does the kernel fit into the first segment of RAM, and do the initrds fit behind it? */
static int check_room(const struct vm_boot *b, const struct boot_image *img, uint64_t low_end,
		      struct boot_place *p, struct err *e)
{
	if (low_end < BOOT_RAM_MIN)
		return err_set(e, -ENOSPC,
			       "kernel %s: %llu bytes of memory are too few for any kernel "
			       "(give the machine more --memory)",
			       b->kernel_path, (unsigned long long)low_end);
	if (img->end > low_end)
		return err_set(
			e, -ENOSPC,
			"kernel %s: needs memory up to %llu KiB, the machine has %llu KiB there "
			"(give the machine more --memory)",
			b->kernel_path, (unsigned long long)(img->end + 1023) >> 10,
			(unsigned long long)low_end >> 10);
	return boot_place(b, img, low_end, p, e);
}

int vm_boot_open(struct sys *s, struct vm_boot *b, const char *kernel, const char *initrds,
		 const char *cmdline, uint64_t ram_size, struct err *e)
{
	struct boot_image *img;
	struct boot_place place;
	int ret;

	memset(b, 0, sizeof(*b));
	b->sys = s;
	b->kernel_fd = -1;
	b->kernel_path = kernel;
	b->cmdline = cmdline ? cmdline : "";
	b->priv = img = calloc(1, sizeof(*img));
	if (!img)
		return err_sys(e, -ENOMEM, "kernel %s", kernel);
	ret = open_kernel(b, img, e);
	if (ret) {
		err_prefix(e, "kernel %s: ", kernel);
		goto out;
	}
	ret = open_initrds(b, initrds, e);
	if (ret)
		goto out;
	ret = check_room(b, img, MIN(ram_size, (uint64_t)VM_RAM_HOLE), &place, e);
out:
	if (ret)
		vm_boot_close(b);
	return ret;
}

void vm_boot_close(struct vm_boot *b)
{
	unsigned int i;

	if (!b->sys)
		return;
	for (i = 0; i < b->ninitrd; i++) {
		sys_close(b->sys, &b->initrd[i].fd);
		free(b->initrd[i].path);
	}
	b->ninitrd = 0;
	sys_close(b->sys, &b->kernel_fd);
	free(b->priv);
	b->priv = NULL;
	b->sys = NULL;
}

/* len bytes of a file to gpa, with no copy in between; a length of 0 touches nothing. */
static int load_piece(struct vm *vm, int fd, uint64_t gpa, uint64_t len, uint64_t off,
		      struct err *e)
{
	void *p = len ? vm_mem_ptr(&vm->mem, gpa, len) : NULL;

	if (!len)
		return 0;
	if (!p)
		return err_set(e, -EFAULT, "no RAM at %#llx to %#llx", (unsigned long long)gpa,
			       (unsigned long long)(gpa + len));
	return boot_pread(vm->sys, fd, p, len, off, e);
}

/* What the last kernel left behind: RAM keeps its content over a reset. */
static int zero_piece(struct vm *vm, uint64_t gpa, uint64_t len, struct err *e)
{
	void *p = vm_mem_ptr(&vm->mem, gpa, len);

	if (!p)
		return err_set(e, -EFAULT, "no RAM at %#llx", (unsigned long long)gpa);
	memset(p, 0, (size_t)len);
	return 0;
}

static int load_kernel(struct vm *vm, const struct vm_boot *b, const struct boot_image *img,
		       struct err *e)
{
	const struct boot_seg *seg;
	int ret = 0;

	for (seg = img->seg; !ret && seg < img->seg + img->nsegs; seg++) {
		ret = load_piece(vm, b->kernel_fd, seg->gpa, seg->filesz, seg->off, e);
		if (!ret && img->loaded && seg->memsz > seg->filesz)
			ret = zero_piece(vm, seg->gpa + seg->filesz, seg->memsz - seg->filesz, e);
	}
	if (ret)
		err_prefix(e, "kernel %s: ", b->kernel_path);
	return ret;
}

/* The padding between archives has to be zero: the kernel skips zero bytes, nothing else. */
static int load_initrds(struct vm *vm, const struct vm_boot *b, const struct boot_place *p,
			struct err *e)
{
	static const uint8_t zero[4];
	unsigned int i;
	int ret;

	for (i = 0; i < b->ninitrd; i++) {
		uint64_t size = b->initrd[i].size, end = p->start[i] + size;

		ret = load_piece(vm, b->initrd[i].fd, p->start[i], size, 0, e);
		if (!ret)
			ret = vm_mem_write(&vm->mem, end, zero, ALIGN_UP(end, 4) - end);
		if (ret) {
			err_prefix(e, "initrd %s: ", b->initrd[i].path);
			return ret;
		}
	}
	return 0;
}

static int load_gdt(struct vm *vm, bool long_mode, struct vm_boot_regs *regs)
{
	/* Base 0, limit 4 GiB, present, ring 0, accessed: code 64-bit or 32-bit, then data (SDM
	 * 3A 3.4.5). */
	const uint64_t gdt[] = { 0, 0, long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
				 0x00cf93000000ffff };

	regs->gdt_base = VM_LOW_GDT;
	regs->gdt_limit = sizeof(gdt) - 1;
	regs->cs = BOOT_CS;
	regs->ds = BOOT_DS;
	return vm_mem_write(&vm->mem, VM_LOW_GDT, gdt, sizeof(gdt));
}

/* The part that differs by kind comes last, when all addresses are known. */
static int finish(struct vm *vm, struct vm_boot *b, const struct boot_image *img,
		  const struct boot_place *place, uint64_t rsdp, struct vm_boot_regs *regs,
		  struct err *e)
{
	memset(regs, 0, sizeof(*regs));
	switch (img->kind) {
	case VM_BOOT_BZIMAGE:
		return boot_linux_finish(vm, b, img, place, rsdp, regs);
	case VM_BOOT_PVH:
		return boot_pvh_finish(vm, b, img, place, rsdp, regs);
	case VM_BOOT_MULTIBOOT:
		return boot_mb_finish(vm, b, img, place, regs, e);
	}
	BUG_ON(1);
	return -EINVAL;
}

int vm_boot_load(struct vm *vm, struct vm_boot *b, struct vm_boot_regs *regs, struct err *e)
{
	struct boot_image *img = b->priv;
	struct boot_place place;
	uint64_t rsdp;
	int ret;

	if (!vm->ram.nsegs)
		return err_set(e, -EINVAL, "kernel %s: the machine has no memory", b->kernel_path);
	ret = check_room(b, img, vm->ram.seg[0].size, &place, e);
	if (!ret)
		ret = load_kernel(vm, b, img, e);
	if (!ret)
		ret = load_initrds(vm, b, &place, e);
	if (!ret)
		ret = vm_acpi_build(vm, &rsdp, e);
	if (ret)
		return ret;
	ret = finish(vm, b, img, &place, rsdp, regs, e);
	if (!ret)
		ret = load_gdt(vm, regs->mode == VM_BOOT_LONG64, regs);
	if (!ret)
		ret = vm_mem_write(&vm->mem, VM_LOW_CMDLINE, b->cmdline, strlen(b->cmdline) + 1);
	/* A write that failed below says no more than its number. */
	if (ret && e && !e->code)
		err_sys(e, ret, "kernel %s: cannot write its tables", b->kernel_path);
	img->loaded = true;
	return ret;
}
