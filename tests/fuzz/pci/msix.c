// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest that writes an MSI-X table. The first byte is the number of vectors, then records of 12
 * bytes: what, vector to signal or width, offset (2), value (8). After each, exactly the vectors
 * that should be live have an irqfd.
 */
#include <string.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/msix.h"

#define RECORD 12u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fakesys *fs;
	struct fakeaccel *fa;
	struct vm *vm;
	struct vm_irq_group *g;
	struct vm_msix *m;
	unsigned int n, in_use;
	bool used[256], fail, failed; /* failed: connecting did so once */
};

static int use(void *dev, unsigned int vec, bool on)
{
	struct fuzz *f = dev;

	BUG_ON(vec >= f->n || f->used[vec] == on);
	if (on && f->fail) {
		f->failed = true;
		return -1;
	}
	f->used[vec] = on;
	f->in_use += on ? 1 : -1u;
	return 0;
}

static void check(struct fuzz *f)
{
	uint16_t ctrl = vm_msix_ctrl_read(f->m);
	bool on = (ctrl & 0xc000) == 0x8000;

	BUG_ON((ctrl & 0x3fff) != f->n - 1);
	BUG_ON(vm_msix_used(f->m) != f->in_use);
	for (unsigned int i = 0; i < f->n; i++) {
		uint64_t addr, data;
		bool live;

		BUG_ON(vm_msix_table_read(f->m, 16 * i, 8, &addr) != VM_IO_OK);
		BUG_ON(vm_msix_table_read(f->m, 16 * i + 8, 8, &data) != VM_IO_OK);
		live = on && !(data >> 32 & 1) && addr >> 20 == 0xfee;
		BUG_ON(live != (fakeaccel_irqfd_of(f->fa, vm_irq_group_fd(f->g, i)) != NULL));
		BUG_ON(live && !f->used[i] && !f->failed);
	}
}

static void step(struct fuzz *f, const uint8_t *p)
{
	unsigned int len = 1u << p[1] % 4;
	uint64_t val, out = 1;
	uint16_t off;

	memcpy(&off, p + 2, 2);
	memcpy(&val, p + 4, 8);
	switch (p[0] % 8) {
	case 0:
		(void)vm_msix_table_write(f->m, off, len, val);
		break;
	case 1: /* more often what a driver does */
		(void)vm_msix_table_write(f->m, off % f->n * 16 + (p[1] & 12), 4, val);
		break;
	case 2:
		(void)vm_msix_table_write(f->m, off % f->n * 16, 8,
					  0xfee00000 | (val & 0xffffffff000));
		break;
	case 3:
		vm_msix_ctrl(f->m, (uint16_t)val);
		break;
	case 4:
		(void)vm_msix_pba_read(f->m, off, len, &out);
		break;
	case 5:
		(void)vm_msix_table_read(f->m, val, len, &out);
		break;
	case 6:
		BUG_ON(sys_write(f->vm->sys, vm_irq_group_fd(f->g, off % f->n), &out, 8) != 8);
		break;
	case 7:
		f->fail = p[1] & 1;
		if (p[1] & 2)
			vm_msix_reset(f->m);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vm_msix_ops ops = { .use = use };
	struct fuzz f = { .fs = fakesys_new(), .fa = fakeaccel_new() };

	f.n = size ? 1 + data[0] % 64 : 1;
	f.vm = fakeaccel_vm(fakesys_sys(f.fs), f.fa, MIB(16));
	BUG_ON(vm_irq_group_new(f.vm->irqs, "fuzz", f.n, 0, &f.g));
	BUG_ON(vm_msix_new(f.g, f.n, &ops, &f, &f.m));
	if (size) {
		data++;
		size--;
	}
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		step(&f, data);
		check(&f);
	}
	vm_msix_free(f.m);
	vm_irq_group_free(f.g);
	fakeaccel_vm_free(f.vm);
	fakesys_free(f.fs);
	return 0;
}
