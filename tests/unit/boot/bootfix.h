/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_BOOTFIX_H
#define TESTS_BOOTFIX_H

#include "vmm/core/boot.h"

/*
 * For the tests and the fuzz target of the loaders: files that are blobs in memory (binary, unlike
 * those of the fake kernel), a machine that is RAM and nothing else, and makers of small images.
 */
#define MEMSYS_FILES 20

struct memsys {
	struct sys sys;
	struct {
		const char *path;
		const void *p;
		size_t n;
		mode_t mode;
	} file[MEMSYS_FILES];
	unsigned int nfiles, open, calls, fail_nth;
	uint64_t bytes_read;
};

void memsys_init(struct memsys *m);
void memsys_file(struct memsys *m, const char *path, const void *p, size_t n);

/** bootfix_vm() - size bytes of RAM at 0, from fresh zero pages. */
struct vm *bootfix_vm(struct sys *s, uint64_t size);
void bootfix_vm_free(struct vm *vm);

/* Images of exactly the returned size in buf (at least IMAGE_MAX bytes); each can be loaded as it
 * is. */
#define IMAGE_MAX	16384u
#define IMAGE_BZ_PREF	0x1000000u
#define IMAGE_BZ_INIT	0x400000u
#define IMAGE_ELF_PADDR 0x200000u
size_t image_bzimage(uint8_t *buf);
size_t image_pvh(uint8_t *buf);
size_t image_multiboot(uint8_t *buf); /* load addresses in the header */
size_t image_mb_elf(uint8_t *buf);

#endif
