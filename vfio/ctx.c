// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/group.h"
#include "vfio/pci_priv.h"

struct vfio_ctx {
	struct sys *sys;
	const struct log *log;
	struct ioas *ioas;
	struct vfio_dma dma;
	struct vm *vm; /* once attached */
	bool background;
	struct list devs;
};

int vfio_ctx_new(struct sys *s, const struct log *log, bool p2p, struct vfio_ctx **out,
		 struct err *e)
{
	struct vfio_ctx *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_sys(e, -ENOMEM, "VFIO");
	c->sys = s;
	c->log = log;
	list_init(&c->devs);
	r = ioas_type1_new(s, log, &c->ioas, e);
	if (r < 0) {
		free(c);
		return r;
	}
	vfio_dma_init(&c->dma, c->ioas, log, p2p);
	*out = c;
	return 0;
}

void vfio_ctx_background(struct vfio_ctx *c)
{
	c->background = true;
}

/* ---- adding a function ---- */

static int refuse_bridge(struct vfio_ctx *c, const char *dev, struct err *e)
{
	uint64_t class;
	int r = sys_file_read_u64(c->sys, &class, "/sys/bus/pci/devices/%s/class", dev);

	if (r < 0)
		return err_sys(e, r, "cannot read the class of %s", dev);
	if (class >> 16 == 0x06)
		return err_set(e, -EINVAL, "%s is a bridge: only endpoints can be assigned", dev);
	return 0;
}

static int refuse_twice(struct vfio_ctx *c, struct bdf b, struct err *e)
{
	struct list *pos, *nxt;
	char dev[BDF_STRLEN];

	list_for_each (pos, nxt, &c->devs) {
		struct vfio_pci *p = list_entry(pos, struct vfio_pci, link);

		if (bdf_eq(p->opts.bdf, b))
			return err_set(e, -EEXIST, "%s is already assigned to %s of this machine",
				       bdf_format(dev, b), p->dev.id);
	}
	return 0;
}

static int open_device(struct vfio_ctx *c, struct vfio_pci *p, const char *dev, struct err *e)
{
	unsigned int id;
	int r;

	r = iommu_group_of(c->sys, p->opts.bdf, &id, e);
	if (r == 0)
		r = refuse_bridge(c, dev, e);
	if (r == 0)
		r = ioas_group_get(c->ioas, id, &p->group, e);
	if (r < 0)
		return r;
	p->group_id = id;
	return vfd_kernel_begin(c->sys, p->group, p->opts.bdf, p->opts.vf_token, c->background,
				&p->vfd, e);
}

int vfio_ctx_ready(struct vfio_ctx *c, struct vm_dev *d, struct err *e)
{
	struct vfio_pci *p = vfio_pci_of_dev(d);
	char dev[BDF_STRLEN];
	int r = vfd_kernel_ready(p->vfd, e);

	if (r < 0)
		return r;
	bdf_format(dev, p->opts.bdf);
	p->is_vf = sys_exists(c->sys, "/sys/bus/pci/devices/%s/physfn", dev);
	if (!p->vfd->can_reset && !p->opts.force_no_reset)
		return err_set(
			e, -ENOTSUP,
			"%s cannot be reset, so a guest would meet what the last user left in "
			"it, and leave its own: refused (force-no-reset=on takes it anyway)",
			dev);
	return 0;
}

int vfio_ctx_begin(struct vfio_ctx *c, const char *id, const struct vfio_pci_opts *o,
		   struct vm_dev **out, struct err *e)
{
	char dev[BDF_STRLEN];
	struct vm_dev *d;
	struct vfio_pci *p;
	int r;

	BUG_ON(c->vm);
	r = refuse_twice(c, o->bdf, e);
	if (r < 0)
		return r;
	r = vm_dev_new(&vfio_pci_ops, id, &d);
	if (r < 0)
		return err_sys(e, r, "%s", id);
	p = vfio_pci_of_dev(d);
	p->ctx = c;
	p->opts = *o;
	p->opts.vf_token = NULL;
	p->err_fd = p->req_fd = p->irq.intx_fd = p->irq.resample_fd = -1;
	list_add_tail(&c->devs, &p->link);
	r = 0;
	if (o->vf_token) {
		p->opts.vf_token = strdup(o->vf_token);
		if (!p->opts.vf_token)
			r = err_sys(e, -ENOMEM, "%s", id);
	}
	if (r == 0)
		r = open_device(c, p, bdf_format(dev, o->bdf), e);
	if (r < 0) {
		vm_dev_free(d);
		return r;
	}
	*out = d;
	return 0;
}

int vfio_ctx_add(struct vfio_ctx *c, const char *id, const struct vfio_pci_opts *o,
		 struct vm_dev **out, struct err *e)
{
	struct vm_dev *d = NULL;
	int r = vfio_ctx_begin(c, id, o, &d, e);

	if (r == 0)
		r = vfio_ctx_ready(c, d, e);
	if (r < 0)
		vm_dev_free(d);
	else
		*out = d;
	return r;
}

/* ---- memory ---- */

int vfio_ctx_ranges(struct vfio_ctx *c, struct vm_range **out, unsigned int *n, struct err *e)
{
	struct ioas_ranges got = { 0 };
	struct vm_range *v = NULL;
	int r;

	r = ioas_usable_ranges(c->ioas, &got, e);
	if (r < 0)
		return r;
	if (got.n) {
		v = calloc(got.n, sizeof(*v));
		if (!v) {
			ioas_ranges_free(&got);
			return err_sys(e, -ENOMEM, "usable addresses");
		}
	}
	for (unsigned int i = 0; i < got.n; i++)
		v[i] = (struct vm_range){ got.v[i].start, got.v[i].end };
	*out = v;
	*n = got.n;
	ioas_ranges_free(&got);
	return 0;
}

/* What will be pinned, in how many pieces, against what is allowed. */
static int check_limits(struct vfio_ctx *c, const struct vm *vm, struct err *e)
{
	const struct list *pos;
	uint64_t bytes = 0;
	unsigned int n = 0;

	for (pos = vm->mem.regions.next; pos != &vm->mem.regions; pos = pos->next) {
		const struct vm_mem_region *r = list_entry(pos, struct vm_mem_region, link);

		if (r->kind != VM_MEM_RAM)
			continue;
		bytes += r->size;
		n++;
	}
	if (n > ioas_info(c->ioas)->dma_avail)
		return err_set(
			e, -ENOSPC,
			"the IOMMU has %u map entries left, %u are needed: raise the parameter "
			"dma_entry_limit of vfio_iommu_type1",
			ioas_info(c->ioas)->dma_avail, n);
	return ioas_memlock_check(c->sys, bytes, e);
}

/* 64-bit BARs go below what the IOMMU can address, as RAM does. */
static int limit_addresses(struct vfio_ctx *c, struct vm *vm, struct err *e)
{
	struct ioas_ranges got = { 0 };
	int r = ioas_usable_ranges(c->ioas, &got, e);

	if (r == 0 && got.n && got.v[got.n - 1].end < vm->mem.gpa_limit)
		vm->mem.gpa_limit = got.v[got.n - 1].end + 1;
	ioas_ranges_free(&got);
	return r;
}

static void kvm_mark(struct vfio_ctx *c, const struct iommu_group *g, bool on)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &c->devs) {
		struct vfio_pci *p = list_entry(pos, struct vfio_pci, link);

		if (p->group == g)
			p->in_kvm = on;
	}
}

/* Tell KVM of each group once, whatever number of devices it has; off: of those it was told of. */
static int kvm_groups(struct vfio_ctx *c, bool on)
{
	struct vm_accel *a = c->vm->accel;
	struct list *pos, *nxt;
	int r;

	list_for_each (pos, nxt, &c->devs) {
		struct vfio_pci *p = list_entry(pos, struct vfio_pci, link);

		if (!p->group || p->in_kvm == on)
			continue;
		r = a->ops->vfio_file(a, iommu_group_fd(p->group), on);
		if (on && r < 0)
			return r;
		kvm_mark(c, p->group, on);
	}
	return 0;
}

static void detach(struct vfio_ctx *c)
{
	if (!c->vm)
		return;
	vm_mem_unlisten(&c->vm->mem, &c->dma.listener);
	(void)kvm_groups(c, false);
	c->vm = NULL;
}

int vfio_ctx_attach(struct vfio_ctx *c, struct vm *vm, struct err *e)
{
	int r;

	BUG_ON(c->vm);
	if (list_empty(&c->devs))
		return 0;
	r = check_limits(c, vm, e);
	if (r == 0)
		r = limit_addresses(c, vm, e);
	if (r == 0)
		r = vm_mem_listen(&vm->mem, &c->dma.listener, e);
	if (r < 0)
		return r;
	c->vm = vm;
	/*
	 * KVM must know of devices that may write around the caches, and lets their interrupts
	 * through to the guest directly. An IOMMU that enforces snooping can do without.
	 */
	r = kvm_groups(c, true);
	if (r < 0 && ioas_info(c->ioas)->coherent) {
		log_warn(c->log,
			 "KVM does not take VFIO groups (error %d): not needed here, the "
			 "IOMMU enforces cache coherency",
			 -r);
		r = 0;
	}
	if (r < 0) {
		detach(c);
		return err_sys(e, r,
			       "KVM does not take the VFIO group, and this IOMMU does not "
			       "enforce cache coherency");
	}
	return 0;
}

struct ioas *vfio_ctx_ioas(struct vfio_ctx *c)
{
	return c->ioas;
}

void vfio_ctx_each(struct vfio_ctx *c, void (*fn)(void *arg, struct vm_dev *d), void *arg)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &c->devs)
		fn(arg, &list_entry(pos, struct vfio_pci, link)->dev);
}

/* ---- the end ---- */

static bool group_shared(struct vfio_ctx *c, const struct vfio_pci *than)
{
	struct list *pos, *nxt;

	list_for_each (pos, nxt, &c->devs) {
		const struct vfio_pci *p = list_entry(pos, struct vfio_pci, link);

		if (p != than && p->group == than->group)
			return true;
	}
	return false;
}

void vfio_ctx_drop(struct vfio_pci *p)
{
	struct vfio_ctx *c = p->ctx;

	if (p->in_kvm && !group_shared(c, p))
		(void)c->vm->accel->ops->vfio_file(c->vm->accel, iommu_group_fd(p->group), false);
	p->in_kvm = false;
	iommu_group_put(p->group);
	p->group = NULL;
	/* A released device stays in the list until it is freed, for `ctl ports`. */
}

void vfio_ctx_forget(struct vfio_pci *p)
{
	list_del(&p->link);
}

void vfio_ctx_free(struct vfio_ctx *c)
{
	struct vm *vm = c ? c->vm : NULL;
	struct list *pos, *nxt;

	if (!c)
		return;
	if (vm)
		vm_lock(vm);
	/* All devices are quiet before memory is taken from any: they may reach each other. */
	list_for_each (pos, nxt, &c->devs)
		vfio_pci_shutdown(list_entry(pos, struct vfio_pci, link));
	if (vm)
		vm_mem_unlisten(&vm->mem, &c->dma.listener);
	list_for_each (pos, nxt, &c->devs)
		vm_dev_free(&list_entry(pos, struct vfio_pci, link)->dev);
	detach(c);
	if (vm)
		vm_unlock(vm);
	ioas_free(c->ioas);
	free(c);
}
