// SPDX-License-Identifier: BSD-3-Clause
#include "vmm/core/vm.h"
#include "vmm/devices/pm.h"

static enum vm_io_result debug_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct debug_exit *x = dev;

	/* What teaching kernels know: an odd status, so never 0. */
	vm_end_locked(x->dev.vm, VM_END_DEBUG_EXIT, (int)((val << 1 | 1) & 0xff));
	return VM_IO_OK;
}

static enum vm_io_result debug_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	return VM_IO_UNHANDLED;
}

static const struct vm_io_ops io_ops = { .read = debug_read, .write = debug_write };

static void debug_exit_reset(struct vm_dev *d)
{
}

static int debug_exit_realize(struct vm_dev *d, struct err *e)
{
	struct debug_exit *x = (struct debug_exit *)d;

	x->io = (struct vm_io_region){
		.name = d->id, .base = x->port, .size = 4, .ops = &io_ops, .dev = x
	};
	return vm_bus_add(&d->vm->pio, &x->io, e);
}

static void debug_exit_free(struct vm_dev *d)
{
	struct debug_exit *x = (struct debug_exit *)d;

	if (d->vm)
		vm_bus_del(&d->vm->pio, &x->io);
	vm_io_region_fini(&x->io);
}

const struct vm_dev_ops debug_exit_ops = {
	.name = "debug-exit",
	.size = sizeof(struct debug_exit),
	.realize = debug_exit_realize,
	.reset = debug_exit_reset,
	.free = debug_exit_free,
};
