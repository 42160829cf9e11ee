// SPDX-License-Identifier: BSD-3-Clause
/* The loaders on good input: what lands where, registers, information blocks, reset, failing system
 * calls. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/boot/bootfix.h"

#define RAM MIB(64)

struct fix {
	struct memsys m;
	struct vm *vm;
	struct vm_boot b;
	struct vm_boot_regs regs;
	struct err e;
	uint8_t image[IMAGE_MAX] __attribute__((aligned(16)));
};

static void start(struct fix *f, size_t (*make)(uint8_t *buf))
{
	memset(f, 0, sizeof(*f));
	memsys_init(&f->m);
	memsys_file(&f->m, "/boot/kernel", f->image, make(f->image));
	f->vm = bootfix_vm(&f->m.sys, RAM);
}

static int open_and_load(struct fix *f, const char *initrds, const char *cmdline)
{
	int ret = vm_boot_open(&f->m.sys, &f->b, "/boot/kernel", initrds, cmdline, RAM, &f->e);

	return ret ? ret : vm_boot_load(f->vm, &f->b, &f->regs, &f->e);
}

static void end(struct fix *f)
{
	vm_boot_close(&f->b);
	vm_boot_close(&f->b);
	assert_int_equal(f->m.open, 0);
	bootfix_vm_free(f->vm);
}

static void *at(struct fix *f, uint64_t gpa)
{
	return vm_mem_ptr(&f->vm->mem, gpa, 1);
}

static void test_bzimage(void **state)
{
	struct fix f;
	struct boot_params *bp;
	uint64_t *pt;

	start(&f, image_bzimage);
	assert_int_equal(open_and_load(&f, NULL, "console=ttyS0"), 0);
	assert_int_equal(f.b.kind, VM_BOOT_BZIMAGE);
	assert_int_equal(f.regs.mode, VM_BOOT_LONG64);
	assert_int_equal(f.regs.rip, IMAGE_BZ_PREF + 0x200);
	assert_int_equal(f.regs.rsi, VM_LOW_ZEROPAGE);
	assert_int_equal(f.regs.cs, 0x10);
	assert_int_equal(f.regs.ds, 0x18);
	assert_memory_equal(at(&f, IMAGE_BZ_PREF), f.image + 1024, 4096);

	bp = at(&f, VM_LOW_ZEROPAGE);
	assert_int_equal(bp->hdr.type_of_loader, 0xff);
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.init_size, IMAGE_BZ_INIT);
	assert_int_equal(bp->hdr.ramdisk_size, 0);
	assert_int_equal(bp->hdr.cmd_line_ptr, VM_LOW_CMDLINE);
	assert_int_equal(bp->acpi_rsdp_addr, VM_ACPI_BASE);
	assert_string_equal(at(&f, VM_LOW_CMDLINE), "console=ttyS0");
	assert_int_equal(bp->e820_entries, 3);
	assert_int_equal(bp->e820_table[0].size, VM_LOW_RAM_END);
	assert_int_equal(bp->e820_table[1].type, 2);
	assert_int_equal(bp->e820_table[2].addr, 0x100000);
	assert_int_equal(bp->e820_table[2].size, RAM - 0x100000);

	/* The last 2 MiB below 4 GiB are mapped one to one. */
	pt = at(&f, f.regs.cr3);
	pt = at(&f, pt[0] & ~0xfffull);
	pt = at(&f, pt[3] & ~0xfffull);
	assert_int_equal(pt[511], 0xffe00083);
	/* Nothing but the image and its header was read: instructions count. */
	assert_int_equal(f.m.bytes_read, f.b.kernel_size + 4096);
	end(&f);
}

static void test_bzimage_initrds(void **state)
{
	struct fix f;
	struct boot_params *bp;
	uint8_t *rd;

	start(&f, image_bzimage);
	memsys_file(&f.m, "/boot/a", "0123456789", 10);
	memsys_file(&f.m, "/boot/b,c", "abcdef", 6);
	assert_int_equal(open_and_load(&f, "/boot/a,/boot/b,,c", NULL), 0);
	bp = at(&f, VM_LOW_ZEROPAGE);
	assert_int_equal(bp->hdr.ramdisk_size, 12 + 8);
	assert_int_equal(bp->hdr.ramdisk_image, RAM - 4096);
	rd = at(&f, bp->hdr.ramdisk_image);
	assert_memory_equal(rd, "0123456789\0\0abcdef\0\0", 20);
	assert_string_equal(at(&f, VM_LOW_CMDLINE), "");
	end(&f);
}

static void test_bzimage_initrd_limit(void **state)
{
	struct fix f;
	struct boot_params *bp;

	start(&f, image_bzimage);
	((struct setup_header *)(f.image + 0x1f1))->initrd_addr_max = 0x2ffffff;
	memsys_file(&f.m, "/boot/a", "0123456789", 10);
	assert_int_equal(open_and_load(&f, "/boot/a", NULL), 0);
	bp = at(&f, VM_LOW_ZEROPAGE);
	assert_int_equal(bp->hdr.ramdisk_image, 0x2fff000);
	end(&f);
}

static void test_pvh(void **state)
{
	struct fix f;
	uint32_t *si;
	uint64_t *q;

	start(&f, image_pvh);
	memsys_file(&f.m, "/boot/a", "0123456789", 10);
	assert_int_equal(open_and_load(&f, "/boot/a", "quiet"), 0);
	assert_int_equal(f.b.kind, VM_BOOT_PVH);
	assert_int_equal(f.regs.mode, VM_BOOT_PROT32);
	assert_int_equal(f.regs.rip, IMAGE_ELF_PADDR + 0x40);
	assert_int_equal(f.regs.rbx, VM_LOW_BOOTINFO);
	assert_memory_equal(at(&f, IMAGE_ELF_PADDR), f.image + 4096, 2048);
	assert_memory_equal(at(&f, IMAGE_ELF_PADDR + 4096), f.image + 6144, 2048);

	si = at(&f, VM_LOW_BOOTINFO);
	q = (uint64_t *)si;
	assert_int_equal(si[0], 0x336ec578);
	assert_int_equal(si[1], 1);
	assert_int_equal(si[3], 1);
	assert_int_equal(q[3], VM_LOW_CMDLINE);
	assert_int_equal(q[4], VM_ACPI_BASE);
	assert_int_equal(si[12], 3);
	q = at(&f, q[2]);
	assert_int_equal(q[0], RAM - 4096);
	assert_int_equal(q[1], 12);
	q = at(&f, ((uint64_t *)si)[5]);
	assert_int_equal(q[1], VM_LOW_RAM_END);
	assert_int_equal(q[2], 1);
	end(&f);
}

static void check_mbi(struct fix *f, uint64_t end_of_image)
{
	uint32_t *mbi = at(f, VM_LOW_BOOTINFO), *mod, *map;

	assert_int_equal(f->regs.mode, VM_BOOT_PROT32);
	assert_int_equal(f->regs.rax, 0x2badb002);
	assert_int_equal(f->regs.rbx, VM_LOW_BOOTINFO);
	assert_int_equal(mbi[0], 0x24d);
	assert_int_equal(mbi[1], 639);
	assert_int_equal(mbi[2], (RAM >> 10) - 1024);
	assert_string_equal(at(f, mbi[4]), "kernel one two");
	assert_int_equal(mbi[5], 2);
	mod = at(f, mbi[6]);
	assert_int_equal(mod[0], end_of_image);
	assert_int_equal(mod[1], end_of_image + 5);
	assert_string_equal(at(f, mod[2]), "/m/a x y");
	assert_int_equal(mod[4], end_of_image + 4096);
	assert_memory_equal(at(f, mod[4]), "second", 6);
	assert_string_equal(at(f, mod[6]), "/m/b");
	map = at(f, mbi[12]);
	assert_int_equal(mbi[11], 3 * 24);
	assert_int_equal(map[0], 20);
	assert_int_equal(map[3], VM_LOW_RAM_END);
	assert_int_equal(map[5], 1);
	assert_int_equal(map[6 + 5], 2);
}

/* The PVH image with one more note, behind the two of Xen, that only a Linux has. */
static size_t image_linux_pvh(uint8_t *buf)
{
	static const struct {
		Elf64_Nhdr h;
		char name[8];
		uint32_t desc;
	} note = { { 6, 4, 0x100 }, "Linux", 0 };
	size_t n = image_pvh(buf);
	Elf64_Phdr *p = (Elf64_Phdr *)(buf + sizeof(Elf64_Ehdr)) + 2;

	memcpy(buf + p->p_offset + p->p_filesz, &note, sizeof(note));
	p->p_filesz += sizeof(note);
	return n;
}

/* Who is Linux decides whether the machine gets the old way into config space. */
static void test_is_linux(void **state)
{
	static const struct {
		size_t (*make)(uint8_t *buf);
		bool is;
	} kernels[] = { { image_bzimage, true },
			{ image_linux_pvh, true },
			{ image_pvh, false },
			{ image_multiboot, false } };

	for (unsigned int i = 0; i < ARRAY_SIZE(kernels); i++) {
		struct fix f;

		start(&f, kernels[i].make);
		assert_int_equal(open_and_load(&f, NULL, NULL), 0);
		assert_int_equal(f.b.is_linux, kernels[i].is);
		end(&f);
	}
}

static void test_multiboot(void **state)
{
	struct fix f;

	start(&f, image_multiboot);
	memsys_file(&f.m, "/m/a", "first", 5);
	memsys_file(&f.m, "/m/b", "second", 6);
	assert_int_equal(open_and_load(&f, "/m/a x y,/m/b", "one two"), 0);
	assert_int_equal(f.b.kind, VM_BOOT_MULTIBOOT);
	assert_int_equal(f.regs.rip, 0x100080);
	assert_memory_equal(at(&f, 0x100000), f.image, 4096);
	check_mbi(&f, 0x102000);
	end(&f);
}

static void test_multiboot_elf(void **state)
{
	struct fix f;

	start(&f, image_mb_elf);
	memsys_file(&f.m, "/m/a", "first", 5);
	memsys_file(&f.m, "/m/b", "second", 6);
	assert_int_equal(open_and_load(&f, "/m/a x y,/m/b", "one two"), 0);
	assert_int_equal(f.regs.rip, IMAGE_ELF_PADDR + 16);
	assert_memory_equal(at(&f, IMAGE_ELF_PADDR), f.image + 4096, 4096);
	check_mbi(&f, IMAGE_ELF_PADDR + 12288);
	end(&f);
}

/* A reset: what the guest left in .bss and in the padding of the initrd has to go. */
static void test_reload(void **state)
{
	static const uint8_t zero[4096];
	struct fix f;
	uint8_t *bss;

	start(&f, image_pvh);
	memsys_file(&f.m, "/boot/a", "0123456789", 10);
	assert_int_equal(open_and_load(&f, "/boot/a", "quiet"), 0);
	memset(at(&f, IMAGE_ELF_PADDR), 0x77, 16384);
	memset(at(&f, RAM - 4096), 0x77, 4096);
	memset(at(&f, 0), 0x77, 0x30000);
	assert_int_equal(vm_boot_load(f.vm, &f.b, &f.regs, &f.e), 0);
	bss = at(&f, IMAGE_ELF_PADDR + 4096 + 2048);
	assert_memory_equal(bss, zero, 4096);
	assert_memory_equal(bss + 4096, zero, 2048);
	assert_int_equal(bss[4096 + 2048], 0x77);
	assert_memory_equal(at(&f, IMAGE_ELF_PADDR), f.image + 4096, 2048);
	assert_memory_equal(at(&f, RAM - 4096), "0123456789\0\0", 12);
	assert_int_equal(*(uint32_t *)at(&f, VM_LOW_BOOTINFO), 0x336ec578);
	end(&f);
}

static void test_file_shrinks(void **state)
{
	struct fix f;

	start(&f, image_bzimage);
	assert_int_equal(open_and_load(&f, NULL, NULL), 0);
	f.m.file[0].n = 2000;
	assert_int_equal(vm_boot_load(f.vm, &f.b, &f.regs, &f.e), -EIO);
	assert_string_equal(f.e.text,
			    "kernel /boot/kernel: the file became shorter while it was in use");
	end(&f);
}

static void test_fail_nth(void **state)
{
	size_t (*make[])(uint8_t *) = { image_bzimage, image_pvh, image_mb_elf };
	unsigned int i, n;
	int ret;

	for (i = 0; i < ARRAY_SIZE(make); i++) {
		for (n = 1, ret = -1; ret; n++) {
			struct fix f;

			start(&f, make[i]);
			memsys_file(&f.m, "/boot/a", "0123456789", 10);
			f.m.fail_nth = n;
			ret = open_and_load(&f, "/boot/a", "quiet");
			assert_true(!ret == (f.m.calls < n));
			assert_true(!ret || f.e.text[0]);
			end(&f);
		}
		assert_true(n > 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_bzimage_initrds),
		cmocka_unit_test(test_bzimage_initrd_limit),
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_is_linux),
		cmocka_unit_test(test_multiboot),
		cmocka_unit_test(test_multiboot_elf),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_file_shrinks),
		cmocka_unit_test(test_fail_nth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
