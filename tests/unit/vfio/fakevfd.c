// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/vfio/fakevfd.h"

static struct fakevfd *to_fake(struct vfd *d)
{
	return container_of(d, struct fakevfd, vfd);
}

static void note(struct fakevfd *f, const char *what, unsigned int a, int b, int c)
{
	size_t n = strlen(f->log);

	if (b < 0)
		snprintf(f->log + n, sizeof(f->log) - n, "%s%x ", what, a);
	else
		snprintf(f->log + n, sizeof(f->log) - n, "%s%x(%d,%d) ", what, a, b, c);
}

void fakevfd_log_clear(struct fakevfd *f)
{
	f->log[0] = 0;
}

static void f_close(struct vfd *d)
{
	to_fake(d)->closed++;
	note(to_fake(d), "close", 0, -1, 0);
}

static int f_region_info(struct vfd *d, unsigned int region, struct vfd_region *out)
{
	if (region >= ARRAY_SIZE(to_fake(d)->region))
		return -EINVAL;
	*out = to_fake(d)->region[region];
	return 0;
}

static int f_irq_info(struct vfd *d, unsigned int index, struct vfd_irq *out)
{
	if (index >= ARRAY_SIZE(to_fake(d)->irq))
		return -EINVAL;
	*out = to_fake(d)->irq[index];
	return 0;
}

static uint8_t *place(struct fakevfd *f, unsigned int region, uint64_t off, unsigned int len)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		return range_ok(off, len, sizeof(f->cfg)) ? &f->cfg[off] : NULL;
	if (region > 5 || !range_ok(off, len, f->region[region].size) ||
	    !range_ok(off, len, FAKEVFD_BAR_MAX))
		return NULL;
	return &f->bar[region][off];
}

static int f_read(struct vfd *d, unsigned int region, uint64_t off, void *buf, unsigned int len)
{
	struct fakevfd *f = to_fake(d);
	const uint8_t *p = place(f, region, off, len);

	if (f->fail_read)
		return f->fail_read;
	if (!p)
		return -EINVAL;
	memcpy(buf, p, len);
	return 0;
}

static int f_write(struct vfd *d, unsigned int region, uint64_t off, const void *buf,
		   unsigned int len)
{
	struct fakevfd *f = to_fake(d);
	uint8_t *p = place(f, region, off, len);
	uint16_t cmd;

	if (!p)
		return -EINVAL;
	memcpy(p, buf, len);
	if (region != VFIO_PCI_CONFIG_REGION_INDEX)
		return 0;
	memset(&f->cfg_written[off], 1, len);
	if (off == PCI_COMMAND) {
		memcpy(&cmd, p, 2);
		note(f, "cmd=", cmd, -1, 0);
	} else {
		note(f, "cfg", (unsigned int)off, -1, 0);
	}
	return 0;
}

static int f_map(struct vfd *d, unsigned int region, uint64_t off, uint64_t size, void **hva)
{
	struct fakevfd *f = to_fake(d);

	if (f->fail_map)
		return f->fail_map;
	/* Areas are whole pages inside the region, as the kernel insists. */
	BUG_ON(off % VFIO_PAGE || size % VFIO_PAGE || !size || region > 5);
	BUG_ON(!range_ok(off, size, ALIGN_UP(f->region[region].size, VFIO_PAGE)));
	*hva = malloc(1);
	BUG_ON(!*hva);
	f->maps++;
	return 0;
}

static void f_unmap(struct vfd *d, void *hva, uint64_t size)
{
	free(hva);
	to_fake(d)->maps--;
}

static int trigger(struct fakevfd *f, unsigned int index, unsigned int start, unsigned int count,
		   const int32_t *fds)
{
	if (!count) {
		f->on[index] = false;
		for (unsigned int i = 0; i < FAKEVFD_VECS; i++)
			f->trigger[index][i] = -1;
		note(f, "off", index, -1, 0);
		return 0;
	}
	BUG_ON(!fds || start + count > FAKEVFD_VECS);
	/* INTx, MSI and MSI-X exclude each other in the kernel: -EINVAL. */
	for (unsigned int i = 0; i < 3; i++)
		if (index < 3 && i != index && f->on[i])
			return -EINVAL;
	if (index == VFIO_PCI_MSIX_IRQ_INDEX && f->on[index] && start + count > f->allocated)
		return -EINVAL;
	if (!f->on[index])
		f->allocated = start + count;
	f->on[index] = true;
	memcpy(&f->trigger[index][start], fds, count * sizeof(*fds));
	note(f, "on", index, (int)start, (int)count);
	return 0;
}

static int f_irqs_set(struct vfd *d, unsigned int index, enum vfd_irq_action action,
		      unsigned int start, unsigned int count, const int32_t *fds)
{
	struct fakevfd *f = to_fake(d);

	if (index >= ARRAY_SIZE(f->irq))
		return -EINVAL;
	if (f->fail_irq[index] && count)
		return f->fail_irq[index];
	switch (action) {
	case VFD_IRQ_TRIGGER:
		return trigger(f, index, start, count, fds);
	case VFD_IRQ_MASK:
		f->intx_masked = true;
		note(f, "mask", index, -1, 0);
		return 0;
	case VFD_IRQ_UNMASK:
		if (fds)
			f->unmask_fd = fds[0];
		else
			f->intx_masked = false;
		note(f, fds ? "unmaskfd" : "unmask", index, -1, 0);
		return 0;
	}
	return -EINVAL;
}

static int f_reset(struct vfd *d)
{
	struct fakevfd *f = to_fake(d);

	note(f, "reset", ++f->resets, -1, 0);
	return f->fail_reset;
}

static const struct vfd_ops fakevfd_ops = {
	.close = f_close,
	.region_info = f_region_info,
	.irq_info = f_irq_info,
	.read = f_read,
	.write = f_write,
	.map = f_map,
	.unmap = f_unmap,
	.irqs_set = f_irqs_set,
	.reset = f_reset,
};

void fakevfd_cfg(struct fakevfd *f, unsigned int off, unsigned int len, uint32_t val)
{
	memcpy(&f->cfg[off], &val, len);
}

void fakevfd_bar(struct fakevfd *f, unsigned int i, uint64_t size, uint32_t flags)
{
	f->region[i] = (struct vfd_region){ .size = size, .read = true, .write = true };
	f->region[i].mmap = !(flags & PCI_BASE_ADDRESS_SPACE_IO);
	fakevfd_cfg(f, 0x10 + 4 * i, 4, flags);
}

void fakevfd_init(struct fakevfd *f)
{
	memset(f, 0, sizeof(*f));
	f->vfd.ops = &fakevfd_ops;
	f->vfd.can_reset = true;
	f->unmask_fd = -1;
	memset(f->trigger, 0xff, sizeof(f->trigger));
	f->region[VFIO_PCI_CONFIG_REGION_INDEX].size = sizeof(f->cfg);
	f->irq[VFIO_PCI_MSIX_IRQ_INDEX] = (struct vfd_irq){ .count = 3, .eventfd = true };
	f->irq[VFIO_PCI_ERR_IRQ_INDEX] = (struct vfd_irq){ .count = 1, .eventfd = true };
	f->irq[VFIO_PCI_REQ_IRQ_INDEX] = (struct vfd_irq){ .count = 1, .eventfd = true };
	fakevfd_bar(f, 0, 0x4000, 0xc);
	fakevfd_bar(f, 3, 0x4000, 0xc);
	fakevfd_cfg(f, 0x00, 4, 0x10ca8086);
	fakevfd_cfg(f, 0x06, 2, 0x0010);
	fakevfd_cfg(f, 0x08, 4, 0x02000001);
	fakevfd_cfg(f, 0x34, 1, 0x70);
	fakevfd_cfg(f, 0x70, 4, 0x0002a011); /* MSI-X, 3 vectors, next A0h */
	fakevfd_cfg(f, 0x74, 4, 0x00000003);
	fakevfd_cfg(f, 0x78, 4, 0x00002003);
	fakevfd_cfg(f, 0xa0, 4, 0x00020010);  /* PCIe endpoint */
	fakevfd_cfg(f, 0xa4, 4, 0x10008000);  /* FLR */
	fakevfd_cfg(f, 0x100, 4, 0x15010003); /* DSN, next 150h */
	fakevfd_cfg(f, 0x104, 4, 0x11223344);
	fakevfd_cfg(f, 0x150, 4, 0x0001000e); /* ARI */
}

struct vfio_pci *fakevfd_dev(struct vm *vm, struct fakevfd *f, const char *id, struct err *e)
{
	struct vfio_pci *p;
	struct vm_dev *d;

	BUG_ON(vm_dev_new(&vfio_pci_ops, id, &d));
	p = vfio_pci_of_dev(d);
	p->vfd = &f->vfd;
	list_init(&p->link);
	p->err_fd = p->req_fd = p->irq.intx_fd = p->irq.resample_fd = -1;
	return vm_dev_add(vm, d, e) ? NULL : p;
}
