// SPDX-License-Identifier: BSD-3-Clause
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/boot/bootfix.h"

#define FD_BASE 100

static bool fails(struct memsys *m)
{
	return ++m->calls == m->fail_nth;
}

static int mem_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	struct memsys *m = container_of(s, struct memsys, sys);
	unsigned int i;

	if (fails(m))
		return -EMFILE;
	for (i = 0; i < m->nfiles; i++)
		if (!strcmp(m->file[i].path, path)) {
			m->open++;
			return FD_BASE + (int)i;
		}
	return -ENOENT;
}

static int mem_close(struct sys *s, int fd)
{
	container_of(s, struct memsys, sys)->open--;
	return 0;
}

static int mem_fstat(struct sys *s, int fd, struct stat *st)
{
	struct memsys *m = container_of(s, struct memsys, sys);

	if (fails(m))
		return -EIO;
	memset(st, 0, sizeof(*st));
	st->st_mode = m->file[fd - FD_BASE].mode;
	st->st_size = (off_t)m->file[fd - FD_BASE].n;
	return 0;
}

static ssize_t mem_pread(struct sys *s, int fd, void *buf, size_t len, off_t off)
{
	struct memsys *m = container_of(s, struct memsys, sys);
	size_t n = m->file[fd - FD_BASE].n;

	if (fails(m))
		return -EIO;
	if (off < 0 || (size_t)off >= n)
		return 0;
	len = MIN(len, n - (size_t)off);
	/* A NULL content stands for a huge file whose bytes nobody may want. */
	BUG_ON(!m->file[fd - FD_BASE].p);
	memcpy(buf, (const char *)m->file[fd - FD_BASE].p + off, len);
	m->bytes_read += len;
	return (ssize_t)len;
}

static const struct sys_ops mem_ops = {
	.open = mem_open, .close = mem_close, .fstat = mem_fstat, .pread = mem_pread
};

void memsys_init(struct memsys *m)
{
	memset(m, 0, sizeof(*m));
	m->sys.ops = &mem_ops;
}

void memsys_file(struct memsys *m, const char *path, const void *p, size_t n)
{
	BUG_ON(m->nfiles == MEMSYS_FILES);
	m->file[m->nfiles].path = path;
	m->file[m->nfiles].p = p;
	m->file[m->nfiles].n = n;
	m->file[m->nfiles++].mode = S_IFREG | 0644;
}

struct vm *bootfix_vm(struct sys *s, uint64_t size)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm_mem_region *r;
	struct err e;

	BUG_ON(!vm);
	vm->sys = s;
	vm->cfg.ncpus = 2;
	vm_mem_init(&vm->mem, 1ull << 40);
	r = &vm->ram.seg[0];
	*r = (struct vm_mem_region){ .name = "ram0", .size = size, .fd = -1, .page_size = 4096 };
	r->hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	BUG_ON(r->hva == MAP_FAILED);
	vm->ram.nsegs = 1;
	BUG_ON(vm_mem_add(&vm->mem, r, &e));
	return vm;
}

void bootfix_vm_free(struct vm *vm)
{
	struct vm_mem_region *r = &vm->ram.seg[0];

	vm_mem_del(&vm->mem, r);
	munmap(r->hva, r->size);
	free(vm);
}

size_t image_bzimage(uint8_t *buf)
{
	struct setup_header *h = (void *)(buf + 0x1f1);
	size_t n = 1024 + 4096;

	memset(buf, 0, 1024);
	memset(buf + 1024, 0xb2, 4096);
	h->setup_sects = 1;
	h->syssize = 4096 / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x66eb; /* the header ends at 0x202 + 0x66 */
	h->header = 0x53726448;
	h->version = 0x20f;
	h->loadflags = LOADED_HIGH;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	h->cmdline_size = 2047;
	h->pref_address = IMAGE_BZ_PREF;
	h->init_size = IMAGE_BZ_INIT;
	return n;
}

size_t image_pvh(uint8_t *buf)
{
	static const struct {
		Elf64_Nhdr h;
		char name[4];
		uint32_t desc;
	} note[2] = { { { 4, 4, 1 }, "Xen", 7 }, { { 4, 4, 18 }, "Xen", IMAGE_ELF_PADDR + 0x40 } };
	Elf64_Ehdr *h = (void *)buf;
	Elf64_Phdr *p = (void *)(buf + sizeof(*h));

	memset(buf, 0, 4096);
	memset(buf + 4096, 0xe1, 4096);
	memcpy(h->e_ident,
	       "\x7f"
	       "ELF\x02\x01\x01",
	       7);
	h->e_type = ET_EXEC;
	h->e_machine = EM_X86_64;
	h->e_entry = 0xffffffff81000000;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(*p);
	h->e_phnum = 3;
	p[0] =
		(Elf64_Phdr){ PT_LOAD,	       5,    4096, 0xffffffff81000000,
			      IMAGE_ELF_PADDR, 2048, 2048, 4096 };
	p[1] = (Elf64_Phdr){ PT_LOAD, 6,    6144, 0xffffffff81001000, IMAGE_ELF_PADDR + 4096,
			     2048,    8192, 4096 };
	p[2] = (Elf64_Phdr){ PT_NOTE, 4, 1024, 0, 0, sizeof(note), sizeof(note), 4 };
	memcpy(buf + 1024, note, sizeof(note));
	return 8192;
}

size_t image_multiboot(uint8_t *buf)
{
	/* header at 64 in the file, loaded at 1 MiB with the whole of the file, 4 KiB of .bss
	 * behind it */
	const uint32_t h[] = { 0x1badb002, 0x10003,  -(0x1badb002 + 0x10003),
			       0x100040,   0x100000, 0x101000,
			       0x102000,   0x100080 };

	memset(buf, 0x3b, 4096);
	memcpy(buf + 64, h, sizeof(h));
	return 4096;
}

size_t image_mb_elf(uint8_t *buf)
{
	const uint32_t mb[] = { 0x1badb002, 3, -(0x1badb002 + 3) };
	Elf32_Ehdr *h = (void *)buf;
	Elf32_Phdr *p = (void *)(buf + sizeof(*h));

	memset(buf, 0, 4096);
	memset(buf + 4096, 0x32, 4096);
	memcpy(h->e_ident,
	       "\x7f"
	       "ELF\x01\x01\x01",
	       7);
	h->e_type = ET_EXEC;
	h->e_machine = EM_386;
	h->e_entry = IMAGE_ELF_PADDR + 16;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(*p);
	h->e_phnum = 1;
	p[0] = (Elf32_Phdr){
		PT_LOAD, 4096, IMAGE_ELF_PADDR, IMAGE_ELF_PADDR, 4096, 12288, 7, 4096
	};
	memcpy(buf + 4096, mb, sizeof(mb));
	return 8192;
}
