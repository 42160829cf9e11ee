// SPDX-License-Identifier: BSD-3-Clause
/* The loaders on bad input: every refusal says what was found; every header field at its extremes
 * is survived. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/boot/bootfix.h"

#define RAM MIB(64)

static uint8_t image[IMAGE_MAX] __attribute__((aligned(16)));

static struct setup_header *const bz = (void *)(image + 0x1f1);
static Elf64_Ehdr *const eh = (void *)image;
static Elf64_Phdr *const ph = (void *)(image + sizeof(Elf64_Ehdr));

/* Opens image[0, n) and wants it refused with code and with words in the text. */
static void refused_with(size_t n, uint64_t ram, const char *cmdline, int code, const char *words)
{
	struct memsys m;
	struct vm_boot b;
	struct err e = { 0 };

	memsys_init(&m);
	memsys_file(&m, "k", image, n);
	assert_int_equal(vm_boot_open(&m.sys, &b, "k", NULL, cmdline, ram, &e), code);
	if (strncmp(e.text, "kernel k: ", 10) || !strstr(e.text, words))
		fail_msg("\"%s\" lacks \"%s\"", e.text, words);
	assert_int_equal(m.open, 0);
	vm_boot_close(&b);
}

static void refused(size_t n, const char *words)
{
	refused_with(n, RAM, NULL, -ENOEXEC, words);
}

static void test_no_file(void **state)
{
	struct memsys m;
	struct vm_boot b;
	struct err e;

	memsys_init(&m);
	assert_int_equal(vm_boot_open(&m.sys, &b, "nix", NULL, NULL, RAM, &e), -ENOENT);
	assert_string_equal(e.text, "kernel nix: cannot open it: No such file or directory");
	memsys_file(&m, "dir", image, 0);
	m.file[0].mode = S_IFDIR;
	assert_int_equal(vm_boot_open(&m.sys, &b, "dir", NULL, NULL, RAM, &e), -EISDIR);
	memsys_file(&m, "fifo", image, 0);
	m.file[1].mode = S_IFIFO;
	assert_int_equal(vm_boot_open(&m.sys, &b, "fifo", NULL, NULL, RAM, &e), -EINVAL);
	assert_int_equal(m.open, 0);
}

static void test_not_a_kernel(void **state)
{
	memset(image, 0, sizeof(image));
	refused(0, "not a kernel but an empty file");
	refused(1, "data of an unknown kind");
	refused(IMAGE_MAX, "data of an unknown kind");
	memcpy(image, "\x1f\x8b", 2);
	refused(512, "gzip");
	memcpy(image, "070701", 6);
	refused(512, "cpio");
	memcpy(image, "#!/bin/sh", 9);
	refused(9, "a script");
	memset(image, 0, sizeof(image));
	image[510] = 0x55;
	image[511] = 0xaa;
	refused(512, "boot sector");
}

static void test_bzimage_refused(void **state)
{
	size_t n = image_bzimage(image);

	refused(n - 16, "is truncated: its header promises 5120 bytes, the file has 5104");
	refused(0x260, "truncated");
	bz->version = 0x20b;
	refused(n, "protocol 2.11");
	image_bzimage(image);
	bz->xloadflags = 0;
	refused(n, "32-bit kernel");
	image_bzimage(image);
	bz->loadflags = 0;
	refused(n, "zImage");
	image_bzimage(image);
	bz->syssize = 0;
	refused(n, "length of 0");
	bz->syssize = UINT32_MAX;
	refused(n, "truncated");
	image_bzimage(image);
	bz->init_size = 4095;
	refused(n, "init_size");
	bz->init_size = UINT32_MAX;
	refused_with(n, RAM, NULL, -ENOSPC,
		     "needs memory up to 4210688 KiB, the machine has 65536");
	image_bzimage(image);
	bz->pref_address = UINT64_MAX;
	refused(n, "no place");
	bz->pref_address = 0;
	refused(n, "no place");
	image_bzimage(image);
	bz->setup_sects = 255;
	refused(n, "truncated");
}

static void test_too_little(void **state)
{
	size_t n = image_bzimage(image);

	refused_with(n, 0, NULL, -ENOSPC, "0 bytes of memory are too few");
	refused_with(n, 1, NULL, -ENOSPC, "1 bytes of memory are too few");
	refused_with(n, MIB(20) - 1, NULL, -ENOSPC, "give the machine more --memory");
	bz->cmdline_size = 3;
	refused_with(n, RAM, "four", -E2BIG, "4 characters, this kernel takes at most 3");
	bz->cmdline_size = 0;
	refused_with(n, RAM, "four", -E2BIG, "at most 0");
}

static void test_elf_refused(void **state)
{
	size_t n = image_pvh(image);

	refused(7000, "is truncated: a part of it ends at 8192, the file has 7000 bytes");
	eh->e_machine = EM_AARCH64;
	refused(n, "another processor");
	image_pvh(image);
	ph[2].p_type = PT_NULL;
	refused(n, "CONFIG_PVH");
	image_pvh(image);
	ph[2].p_offset = UINT64_MAX;
	refused(n, "CONFIG_PVH");
	image_pvh(image);
	eh->e_phnum = UINT16_MAX;
	refused(n, "65535 program headers");
	eh->e_phnum = 0;
	refused(n, "nothing to load");
	image_pvh(image);
	eh->e_phoff = UINT64_MAX - 8;
	refused(n, "truncated");
	image_pvh(image);
	ph[0].p_filesz = UINT64_MAX;
	ph[0].p_memsz = UINT64_MAX;
	refused(n, "impossible sizes");
	image_pvh(image);
	ph[0].p_memsz = 0;
	ph[1].p_memsz = 0;
	refused(n, "nothing to load");
	image_pvh(image);
	ph[1].p_paddr = IMAGE_ELF_PADDR + 2047;
	refused(n, "overlap");
	image_pvh(image);
	ph[1].p_paddr = 0x9000;
	refused(n, "below 1 MiB only 0x30000 to 0x9fc00 is free");
	image_pvh(image);
	ph[1].p_memsz = 1ull << 50;
	refused_with(n, RAM, NULL, -ENOSPC, "needs memory up to");
}

static void test_multiboot_refused(void **state)
{
	size_t n = image_multiboot(image);
	uint32_t *h = (uint32_t *)(image + 64);

	refused(4095, "truncated");
	refused(64 + 31, "truncated inside its Multiboot header");
	refused(64 + 11, "not a kernel");
	h[2]++;
	refused(n, "not a kernel");
	image_multiboot(image);
	h[1] |= 8;
	h[2] -= 8;
	refused(n, "features that are not known (flags 0x1000b)");
	image_multiboot(image);
	h[3] = 0x200000;
	refused(n, "load address 0x100000, offset 64");
	image_multiboot(image);
	h[6] = 0x100800;
	refused(n, "out of order");
	image_multiboot(image);
	h[7] = 0x102000;
	refused(n, "entry point 0x102000 is outside");
	image_multiboot(image);
	h[1] &= 0xffff;
	h[2] = -(h[0] + h[1]);
	refused(n, "without load addresses");
}

static void open_initrds(const char *list, int code, const char *text)
{
	static char big[16];
	struct memsys m;
	struct vm_boot b;
	struct err e = { 0 };
	size_t n = image_bzimage(image);

	memsys_init(&m);
	memsys_file(&m, "k", image, n);
	memsys_file(&m, "small", "abc", 3);
	memsys_file(&m, "fits", NULL, RAM - IMAGE_BZ_PREF - IMAGE_BZ_INIT);
	memsys_file(&m, "over", NULL, RAM - IMAGE_BZ_PREF - IMAGE_BZ_INIT + 1);
	memsys_file(&m, "huge", NULL, INT64_MAX);
	memsys_file(&m, "empty", big, 0);
	assert_int_equal(vm_boot_open(&m.sys, &b, "k", list, NULL, RAM, &e), code);
	assert_string_equal(e.text, text);
	vm_boot_close(&b);
	assert_int_equal(m.open, 0);
}

static void test_initrds(void **state)
{
	open_initrds("small,empty", 0, "");
	open_initrds("empty", 0, "");
	open_initrds("fits", 0, "");
	open_initrds("nix", -ENOENT, "initrd nix: cannot open it: No such file or directory");
	open_initrds("small,", -EINVAL, "initrd : an empty file name in the list");
	open_initrds("over", -ENOSPC,
		     "initrd over: 45057 KiB do not fit between the kernel's end at 20480 KiB and "
		     "65536 KiB (give the machine more --memory)");
	open_initrds(
		"fits,small", -ENOSPC,
		"initrd fits and others: 45057 KiB do not fit between the kernel's end at 20480 "
		"KiB and 65536 KiB (give the machine more --memory)");
	open_initrds(
		"huge,huge,huge", -ENOSPC,
		"initrd huge and others: 9007199254740992 KiB do not fit between the kernel's end "
		"at 20480 KiB and 65536 KiB (give the machine more --memory)");
	open_initrds(
		"small,small,small,small,small,small,small,small,small,small,small,small,small,"
		"small,small,small,small",
		-EINVAL, "more than 16 initrd files");
}

/* Each 2, 4 and 8 byte field of the headers at its extremes; whatever is accepted must also load,
 * twice. */
static void test_extremes(void **state)
{
	static const uint64_t v[] = { 0,	  1,	      0x7f,	  0xfff,
				      0x1000,	  0x9fc00,    0x100000,	  0x7fffffff,
				      0x80000000, 0xffffffff, 1ull << 63, UINT64_MAX - 4095,
				      UINT64_MAX };
	size_t (*make[])(uint8_t *) = { image_bzimage, image_pvh, image_multiboot, image_mb_elf };
	struct memsys m;
	struct vm *vm;
	unsigned int i, k, w, off, tried = 0, loaded = 0;

	memsys_init(&m);
	vm = bootfix_vm(&m.sys, RAM);
	for (i = 0; i < ARRAY_SIZE(make); i++)
		for (off = i ? 0 : 0x1f0; off < (i ? 0x140 : 0x270); off += 2)
			for (k = 0; k < ARRAY_SIZE(v) * 3; k++) {
				struct vm_boot_regs regs;
				struct vm_boot b;
				struct err e = { 0 };
				size_t n = make[i](image);

				w = 2u << (k % 3);
				memcpy(image + off, &v[k / 3], w);
				memsys_init(&m);
				memsys_file(&m, "k", image, n);
				memsys_file(&m, "a", "abc", 3);
				tried++;
				if (vm_boot_open(&m.sys, &b, "k", "a", "x", RAM, &e)) {
					assert_true(e.text[0]);
					continue;
				}
				assert_int_equal(vm_boot_load(vm, &b, &regs, &e), 0);
				assert_int_equal(vm_boot_load(vm, &b, &regs, &e), 0);
				assert_true(regs.rip < RAM);
				loaded++;
				vm_boot_close(&b);
			}
	bootfix_vm_free(vm);
	assert_true(loaded > tried / 20);
	assert_true(loaded < tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_file),		cmocka_unit_test(test_not_a_kernel),
		cmocka_unit_test(test_bzimage_refused), cmocka_unit_test(test_too_little),
		cmocka_unit_test(test_elf_refused),	cmocka_unit_test(test_multiboot_refused),
		cmocka_unit_test(test_initrds),		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
