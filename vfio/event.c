// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two things the host tells about an assigned device: it reported a fatal error (AER), or the host
 * wants it back (unbind, sriov_numvfs=0) and waits until we let go. Without a handler the first is
 * lost and the second hangs the host's administrator for ever.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include "vfio/pci_priv.h"

static void drain(struct sys *s, int fd)
{
	uint64_t n;

	(void)!sys_read(s, fd, &n, sizeof(n));
}

static void tell(struct vfio_pci *p, enum vfio_pci_event ev, const char *what)
{
	char dev[BDF_STRLEN], text[256];

	snprintf(text, sizeof(text), "%s: %s %s", p->dev.id, bdf_format(dev, p->opts.bdf), what);
	if (p->opts.on_event)
		p->opts.on_event(p->opts.on_event_arg, &p->dev, ev, text);
	else
		log_warn(p->dev.vm->log, "%s", text);
}

static void on_error(void *arg, uint32_t events)
{
	struct vfio_pci *p = arg;
	struct vm *vm = p->dev.vm;

	vm_lock(vm);
	drain(vm->sys, p->err_fd);
	if (p->state == VFIO_PCI_OK) {
		vfio_pci_contain(p);
		tell(p, VFIO_PCI_EV_ERROR,
		     "reported a fatal error: cut off (no DMA, no interrupts) until it is reset");
	}
	vm_unlock(vm);
}

static void on_request(void *arg, uint32_t events)
{
	struct vfio_pci *p = arg;
	struct vm *vm = p->dev.vm;

	vm_lock(vm);
	drain(vm->sys, p->req_fd);
	if (p->vfd) {
		vfio_pci_release(p);
		tell(p, VFIO_PCI_EV_REQUEST, "is wanted back by the host: reset and released");
	}
	vm_unlock(vm);
}

static int watch(struct vfio_pci *p, unsigned int index, ev_fd_fn fn, int *fd, struct ev_src **src)
{
	struct vfd_irq info = { 0 };
	int r;

	/* Old kernels and conventional devices have no such index. */
	if (p->vfd->ops->irq_info(p->vfd, index, &info) < 0 || !info.count)
		return 0;
	r = sys_eventfd(p->dev.vm->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r < 0)
		return r;
	*fd = r;
	r = ev_add(p->dev.vm->ev, *fd, EPOLLIN, fn, p, src);
	if (r < 0)
		return r;
	return p->vfd->ops->irqs_set(p->vfd, index, VFD_IRQ_TRIGGER, 0, 1, fd);
}

int vfio_events_init(struct vfio_pci *p, struct err *e)
{
	int r = 0;

	if (p->dev.vm->ev)
		r = watch(p, VFIO_PCI_ERR_IRQ_INDEX, on_error, &p->err_fd, &p->err_src);
	if (r == 0 && p->dev.vm->ev)
		r = watch(p, VFIO_PCI_REQ_IRQ_INDEX, on_request, &p->req_fd, &p->req_src);
	return r < 0 ? err_sys(e, r, "error and request events") : 0;
}

void vfio_events_fini(struct vfio_pci *p)
{
	ev_del(p->err_src);
	ev_del(p->req_src);
	p->err_src = p->req_src = NULL;
	if (!p->dev.vm)
		return;
	sys_close(p->dev.vm->sys, &p->err_fd);
	sys_close(p->dev.vm->sys, &p->req_fd);
}
