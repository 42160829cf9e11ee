// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest that means harm, on a device that lies: the input first rewrites pieces of a fake device
 *(config space, interrupt counts, BAR sizes), then plays config and BAR accesses, interrupts,
 *events and resets.
 *
 *	count, count x { offset 16, value 32 }        config space of the device
 *	kind, ...                                     see play()
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "tests/unit/vfio/fakevfd.h"

struct in {
	const uint8_t *p;
	size_t n;
};

static uint32_t take(struct in *in, unsigned int bytes)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		v |= in->n ? (uint32_t)*in->p << 8 * i : 0;
		in->p += in->n != 0;
		in->n -= in->n != 0;
	}
	return v;
}

static void make_device(struct fakevfd *f, struct in *in)
{
	static const uint64_t sizes[] = {
		0, 0x10, 0x100, 0x1000, 0x4000, 0x10000, MIB(64), 0x3000
	};
	uint32_t knobs = take(in, 2);

	fakevfd_init(f);
	f->irq[VFIO_PCI_INTX_IRQ_INDEX] = (struct vfd_irq){ .count = knobs & 1, .eventfd = true };
	f->irq[VFIO_PCI_MSI_IRQ_INDEX] = (struct vfd_irq){ .count = knobs & 0x3f, .eventfd = true };
	f->irq[VFIO_PCI_MSIX_IRQ_INDEX].count = FAKEVFD_VECS;
	f->vfd.can_reset = !(knobs & 0x40);
	if (knobs & 0x80)
		f->region[VFIO_PCI_CONFIG_REGION_INDEX].size = 256;
	if (knobs & 0x100) {
		fakevfd_bar(f, 0, sizes[knobs >> 9 & 7], knobs >> 12 & 0xf);
		f->region[0].nareas = 1;
		f->region[0].areas[0] = (struct vfd_area){ take(in, 4), take(in, 4) };
	}
	for (uint32_t n = take(in, 1) & 31; n && in->n; n--) {
		unsigned int off = take(in, 2) & 0xffc;

		fakevfd_cfg(f, off, 4, take(in, 4));
	}
}

static void access_bar(struct vm *vm, struct vm_pci_fn *fn, struct in *in, bool write)
{
	uint32_t where = take(in, 1);
	const struct vm_pci_bar *b = &fn->bar[where % 6];
	struct vm_bus *bus = b->type == VM_BAR_IO ? &vm->pio : &vm->mmio;
	unsigned int len = 1u << (where >> 6);
	uint64_t at = b->at + take(in, 2), val = take(in, 4) * 0x100000001ull;

	if (!b->mapped)
		return;
	if (write)
		(void)vm_bus_write(bus, at, len, val);
	else
		(void)vm_bus_read(bus, at, len, &val);
}

static void access_config(struct vm_pci_fn *fn, struct in *in, bool write)
{
	uint32_t where = take(in, 2);
	unsigned int len = 1u << (where >> 14) % 3, off = where & 0xfff & ~(len - 1);

	if (write)
		fn->ops->cfg_write(fn, off, len,
				   take(in, 4) & (len == 4 ? ~0u : (1u << 8 * len) - 1));
	else
		(void)fn->ops->cfg_read(fn, off, len);
}

/* The device signals one of the eventfds it was given. */
static void signal_vector(struct fakesys *fs, struct fakevfd *dev, struct in *in)
{
	uint32_t which = take(in, 1);
	int fd = dev->trigger[which >> 6][which % FAKEVFD_VECS];
	uint64_t one = 1;

	if (fd >= 0)
		(void)!sys_write(fakesys_sys(fs), fd, &one, sizeof(one));
}

static void play(struct vm *vm, struct fakesys *fs, struct fakevfd *dev, struct vfio_pci *p,
		 struct in *in)
{
	struct vfio_pci_info info;
	struct err e = { 0 };
	uint8_t op = (uint8_t)take(in, 1);

	switch (op % 16) {
	default:
		access_config(&p->fn, in, op & 1);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		access_bar(vm, &p->fn, in, op & 1);
		break;
	case 12:
		signal_vector(fs, dev, in);
		break;
	case 13:
		p->dev.ops->reset(&p->dev);
		vm_pci_reset(vm->pci);
		(void)!vm_pci_setup(vm->pci, &e);
		break;
	case 14:
		dev->fail_irq[take(in, 1) % ARRAY_SIZE(dev->fail_irq)] = op & 0x40 ? -28 : 0;
		dev->fail_reset = op & 0x80 ? -5 : 0;
		break;
	case 15:
		if (op == 0xff)
			vfio_pci_release(p);
		else if (op & 0x40)
			vfio_pci_contain(p);
		vfio_pci_info(&p->dev, &info);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fakesys *fs = fakesys_new();
	struct vm *vm = fakeaccel_vm(fakesys_sys(fs), fakeaccel_new(), MIB(2));
	struct fakevfd *dev = calloc(1, sizeof(*dev));
	struct in in = { data, size };
	struct err e = { 0 };
	struct vfio_pci *p;

	BUG_ON(!dev || vm_pci_new(vm, true, &vm->pci, &e));
	make_device(dev, &in);
	p = fakevfd_dev(vm, dev, "net0", &e);
	BUG_ON(!p && !e.text[0]);
	if (p && vm_pci_setup(vm->pci, &e) == 0)
		for (unsigned int i = 0; i < 512 && in.n; i++)
			play(vm, fs, dev, p, &in);
	if (p)
		vm_dev_free(&p->dev);
	BUG_ON(dev->maps || !dev->closed);
	fakeaccel_vm_free(vm);
	BUG_ON(fakesys_open_fds(fs) || fakesys_maps(fs));
	fakesys_free(fs);
	free(dev);
	return 0;
}
