// SPDX-License-Identifier: BSD-3-Clause
#include "vmm/core/vm.h"

void vm_cpuid_filter(struct vm_cpuid *c, unsigned int n, unsigned int id, unsigned int ncpus, unsigned int phys_bits)
{
	for (unsigned int i = 0; i < n; i++) {
		if (c[i].fn == 1)
			c[i].ebx = (c[i].ebx & 0x00ffffff) | id << 24;
		if (c[i].fn == 0xb || c[i].fn == 0x1f)
			c[i].edx = id;
	}
}
