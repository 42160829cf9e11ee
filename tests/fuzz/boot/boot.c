// SPDX-License-Identifier: BSD-3-Clause
/* The input is a kernel file. What is accepted is loaded twice: at start and as after a reset. */
#include <stdlib.h>
#include "tests/unit/boot/bootfix.h"

#define RAM MIB(32)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_boot_regs regs;
	struct vm_boot b;
	struct memsys m;
	struct vm *vm;
	struct err e;

	memsys_init(&m);
	memsys_file(&m, "k", data, size);
	memsys_file(&m, "a b", data, MIN(size, (size_t)100));
	if (vm_boot_open(&m.sys, &b, "k", "a b,a b", "x y", RAM, &e))
		return 0;
	vm = bootfix_vm(&m.sys, RAM);
	if (vm_boot_load(vm, &b, &regs, &e) || vm_boot_load(vm, &b, &regs, &e))
		abort();
	if (regs.rip >= RAM || !vm_mem_ptr(&vm->mem, regs.rip, 1))
		abort();
	bootfix_vm_free(vm);
	vm_boot_close(&b);
	return 0;
}
