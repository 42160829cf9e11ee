// SPDX-License-Identifier: BSD-3-Clause
/*
 * The controller as a PCI function, and its life. One 64-bit memory BAR holds registers, doorbells,
 * the MSI-X table and the pending bits, a page each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include "vmm/core/pci_cfg.h"
#include "vmm/devices/nvme/nvme_priv.h"

#define BAR_SIZE  0x4000u
#define MSIX_AT	  0x2000u
#define PBA_AT	  0x3000u
#define MSIX_CTRL 2 /* offset of Message Control in the capability */

/* 1AF4h:10F0h-10FFh are for use without registration; the class says what it is (NVM, I/O). */
static const struct pci_cfg_id ids = {
	.vendor = 0x1af4,
	.device = 0x10f1,
	.sub_vendor = 0x1af4,
	.sub_device = 0x10f1,
	.class_code = 0x010802,
};

static struct nvme *of_fn(struct vm_pci_fn *f)
{
	return container_of(f, struct nvme, fn);
}

static struct nvme *of_dev(struct vm_dev *d)
{
	return container_of(d, struct nvme, dev);
}

/* ---- the BAR ---- */

static enum vm_io_result bar_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct nvme *n = dev;

	if (off >= PBA_AT)
		return vm_msix_pba_read(n->msix, off - PBA_AT, len, val);
	if (off >= MSIX_AT)
		return vm_msix_table_read(n->msix, off - MSIX_AT, len, val);
	return nvme_reg_ops.read(dev, off, len, val);
}

static enum vm_io_result bar_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct nvme *n = dev;

	if (off >= PBA_AT)
		return VM_IO_ERROR;
	if (off >= MSIX_AT)
		return vm_msix_table_write(n->msix, off - MSIX_AT, len, val);
	return nvme_reg_ops.write(dev, off, len, val);
}

static const struct vm_io_ops bar_ops = { bar_read, bar_write };

/* ioeventfds of the I/O submission doorbells, while the driver keeps their values in memory. */
static void shadow_kicks(struct nvme *n, bool on)
{
	struct vm_accel *a = n->dev.vm->accel;
	unsigned int i;

	if (n->shadow_kicks == on || !n->cfg.ioeventfd)
		return;
	n->shadow_kicks = on;
	for (i = 1; i <= n->cfg.queues; i++)
		if (a->ops->ioeventfd(a, n->kick, n->io.base + NVME_DOORBELLS + 8 * i, 4, false,
				      on))
			log_limited(n->cfg.log, &n->limit, LOG_WARN,
				    "%s: no ioeventfd for doorbell %u: it traps", n->dev.id, i);
}

static void shadow_kicks_on(void *arg)
{
	struct nvme *n = arg;

	vm_lock(n->dev.vm);
	/* A reset may have come first. */
	if (n->io.on_bus && n->cc & NVME_CC_EN)
		shadow_kicks(n, true);
	vm_unlock(n->dev.vm);
}

/* On: from the I/O thread, which must not take the VM lock, so the main loop does it. */
void nvme_shadow_kicks(struct nvme *n, bool on)
{
	if (!on)
		shadow_kicks(n, false);
	else if (n->cfg.ioeventfd && ev_call(n->dev.vm->ev, shadow_kicks_on, n))
		log_limited(n->cfg.log, &n->limit, LOG_WARN, "%s: out of memory", n->dev.id);
}

static int bar_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e)
{
	struct nvme *n = of_fn(f);

	n->io.base = gpa;
	return vm_bus_add(&f->vm->mmio, &n->io, e);
}

static void bar_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct nvme *n = of_fn(f);

	/* A driver that moves the BAR of a running controller pays with trapped doorbells. */
	shadow_kicks(n, false);
	vm_bus_del(&f->vm->mmio, &n->io);
}

/* ---- config space ---- */

static uint32_t cfg_read(struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	struct nvme *n = of_fn(f);

	if (pci_cfg_is_bar(off))
		return pci_cfg_bar_read(f, off, len);
	if (off + len > sizeof(n->cfgspace.v))
		return 0;
	pci_put(n->cfgspace.v, n->msix_cap + MSIX_CTRL, 2, vm_msix_ctrl_read(n->msix));
	return pci_get(n->cfgspace.v, off, len);
}

static void cfg_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val)
{
	struct nvme *n = of_fn(f);

	if (pci_cfg_is_bar(off)) {
		pci_cfg_bar_write(f, off, len, val);
		return;
	}
	if (off + len > sizeof(n->cfgspace.v))
		return;
	pci_cfg_write(&n->cfgspace, off, len, val);
	if (off < 6 && off + len > 4)
		vm_pci_command(f, (uint16_t)pci_get(n->cfgspace.v, 4, 2));
	if (off < n->msix_cap + 4 && off + len > n->msix_cap + MSIX_CTRL)
		vm_msix_ctrl(n->msix, (uint16_t)pci_get(n->cfgspace.v, n->msix_cap + MSIX_CTRL, 2));
}

static void cfg_init(struct nvme *n)
{
	pci_cfg_init(&n->cfgspace, &ids);
	pci_cfg_cap_express(&n->cfgspace);
	n->msix_cap = pci_cfg_cap(&n->cfgspace, 0x11, 12);
	pci_put(n->cfgspace.v, n->msix_cap + 4, 4, MSIX_AT);
	pci_put(n->cfgspace.v, n->msix_cap + 8, 4, PBA_AT);
	pci_put(n->cfgspace.mask, n->msix_cap + MSIX_CTRL, 2, 0xc000);
	pci_put(n->cfgspace.v, n->msix_cap + MSIX_CTRL, 2, n->cfg.queues);
}

static void fn_reset(struct vm_pci_fn *f)
{
	struct nvme *n = of_fn(f);

	cfg_init(n);
	vm_msix_reset(n->msix);
}

static void io_hold(void *arg)
{
	struct nvme *n = arg;

	nvme_still(n, n->held);
}

static void hold(struct nvme *n, unsigned int why, bool on)
{
	if (vm_held(&n->held, why, on))
		vm_iothread_call(n->cfg.io, io_hold, n);
}

/* What the last completions are worth an interrupt for is sent before there are no more. */
static void fn_master(struct vm_pci_fn *f, bool on)
{
	struct nvme *n = of_fn(f);

	if (on)
		vm_msix_master(n->msix, true);
	hold(n, VM_HELD_MASTER, !on);
	if (!on)
		vm_msix_master(n->msix, false);
}

static const struct vm_pci_fn_ops fn_ops = { cfg_read, cfg_write, fn_reset, fn_master };

/* The eventfd of a vector is the I/O thread's to write while the vector is in use. */
static int vector_use(void *dev, unsigned int vec, bool on)
{
	struct nvme *n = dev;
	int fd = on ? vm_irq_group_fd(n->irqs, vec) : -1;

	atomic_store(&n->call[vec], fd);
	return fd < 0 && on ? fd : 0;
}

static const struct vm_msix_ops msix_ops = { vector_use };

/* ---- life ---- */

static void drain(int fd, struct nvme *n)
{
	uint64_t v;

	(void)!sys_read(n->sys, fd, &v, sizeof(v));
}

static void on_kick(void *arg, uint32_t events)
{
	struct nvme *n = arg;

	drain(n->kick, n);
	atomic_fetch_add_explicit(&n->kicks, 1, memory_order_relaxed);
	ev_poll_on(&n->poll);
}

static void on_ring(void *arg, uint32_t events)
{
	struct nvme *n = arg;

	drain(disk_ring_fd(n->ring), n);
	ev_poll_on(&n->poll);
}

/* struct io_call - a call to the I/O thread that can fail. */
struct io_call {
	struct nvme *n;
	struct err *e;
	int ret;
};

static void io_up(void *arg)
{
	struct io_call *c = arg;
	struct nvme *n = c->n;
	struct disk_ring_cfg cfg = { .depth = NVME_REQS, .poll = true };
	struct ev *ev = vm_iothread_ev(n->cfg.io);

	c->ret = disk_ring_new(n->disk, &cfg, &n->ring, c->e);
	if (c->ret)
		return;
	ev_poll_init(&n->poll, ev, nvme_look, nvme_arm, n);
	c->ret = ev_add(ev, n->kick, EPOLLIN, on_kick, n, &n->kick_src);
	if (!c->ret)
		c->ret = ev_add(ev, disk_ring_fd(n->ring), EPOLLIN, on_ring, n, &n->ring_src);
	if (c->ret)
		err_sys(c->e, c->ret, "cannot watch the queues");
	nvme_disable(n);
}

static void io_down(void *arg)
{
	struct nvme *n = arg;

	nvme_disable(n);
	ev_poll_off(&n->poll);
	ev_del(n->kick_src);
	ev_del(n->ring_src);
	n->kick_src = n->ring_src = NULL;
	disk_ring_free(n->ring);
	n->ring = NULL;
}

static void io_disable(void *arg)
{
	nvme_disable(arg);
}

static int reqs_new(struct nvme *n, struct err *e)
{
	unsigned int i;

	n->reqs = calloc(NVME_REQS, sizeof(*n->reqs));
	if (!n->reqs)
		return err_set(e, -ENOMEM, "out of memory");
	for (i = 0; i < NVME_REQS; i++)
		n->reqs[i].n = n;
	return 0;
}

static int nvme_init(struct vm_dev *d, struct err *e)
{
	struct nvme *n = of_dev(d);
	struct io_call c = { .n = n, .e = e };
	int ret = reqs_new(n, e);

	if (ret)
		return ret;
	n->kick = sys_eventfd(n->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->kick < 0)
		return err_sys(e, n->kick, "cannot make an eventfd");
	vm_iothread_call(n->cfg.io, io_up, &c);
	return c.ret;
}

static int nvme_realize(struct vm_dev *d, struct err *e)
{
	struct nvme *n = of_dev(d);
	int ret;

	n->fn = (struct vm_pci_fn){ .name = d->id, .ops = &fn_ops, .vm = d->vm };
	n->fn.bar[0].type = VM_BAR_MEM64;
	n->fn.bar[0].size = BAR_SIZE;
	n->fn.bar_map = bar_map;
	n->fn.bar_unmap = bar_unmap;
	snprintf(n->bar_name, sizeof(n->bar_name), "%s BAR0", d->id);
	n->io = (struct vm_io_region){
		.name = n->bar_name, .size = BAR_SIZE, .ops = &bar_ops, .dev = n
	};
	ret = vm_pci_attach(d->vm->pci, &n->fn, e);
	if (ret)
		return ret;
	n->attached = true;
	ret = vm_irq_group_new(d->vm->irqs, d->id, n->cfg.queues + 1, bdf_rid(n->fn.bdf), &n->irqs);
	if (!ret)
		ret = vm_msix_new(n->irqs, n->cfg.queues + 1, &msix_ops, n, &n->msix);
	if (ret)
		return err_sys(e, ret, "cannot make %u interrupt vectors", n->cfg.queues + 1);
	vm_msix_master(n->msix, false);
	cfg_init(n);
	return 0;
}

static void nvme_reset(struct vm_dev *d)
{
	struct nvme *n = of_dev(d);

	vm_iothread_call(n->cfg.io, io_disable, n);
	nvme_reset_regs(n);
}

static int nvme_quiesce(struct vm_dev *d, bool on)
{
	hold(of_dev(d), VM_HELD_PAUSE, on);
	return 0;
}

static void reqs_free(struct nvme *n)
{
	unsigned int i;

	for (i = 0; n->reqs && i < NVME_REQS; i++)
		free(n->reqs[i].ranges);
	free(n->reqs);
	n->reqs = NULL;
}

static void nvme_free(struct vm_dev *d)
{
	struct nvme *n = of_dev(d);

	if (n->ring)
		vm_iothread_call(n->cfg.io, io_down, n);
	if (n->attached)
		vm_pci_detach(&n->fn);
	n->attached = false;
	vm_msix_free(n->msix);
	vm_irq_group_free(n->irqs);
	n->msix = NULL;
	n->irqs = NULL;
	vm_io_region_fini(&n->io);
	sys_close(n->sys, &n->kick);
	disk_close(n->disk);
	n->disk = NULL;
	reqs_free(n);
}

static const struct vm_dev_ops nvme_dev_ops = {
	.name = "nvme",
	.size = sizeof(struct nvme),
	.init = nvme_init,
	.realize = nvme_realize,
	.reset = nvme_reset,
	.quiesce = nvme_quiesce,
	.free = nvme_free,
};

int nvme_new(struct sys *s, const char *id, const struct nvme_cfg *c, struct vm_dev **out,
	     struct err *e)
{
	struct vm_dev *d;
	struct nvme *n;
	unsigned int i;
	int ret = vm_dev_new(&nvme_dev_ops, id, &d);

	if (ret)
		return err_set(e, ret, "out of memory");
	n = of_dev(d);
	n->cfg = *c;
	n->sys = s;
	n->kick = -1;
	n->held = VM_HELD_MASTER;
	n->still = true;
	snprintf(n->serial, sizeof(n->serial), "%s", c->serial ? c->serial : id);
	for (i = 0; i < ARRAY_SIZE(n->call); i++)
		atomic_init(&n->call[i], -1);
	ret = disk_open(s, &c->disk, &n->disk, e);
	if (ret) {
		vm_dev_free(d);
		return ret;
	}
	disk_info(n->disk, &n->info);
	n->lba_shift = (unsigned int)__builtin_ctz(n->info.block);
	*out = d;
	return 0;
}

void nvme_count(const struct vm_dev *d, struct nvme_count *out)
{
	const struct nvme *n = container_of(d, const struct nvme, dev);
	struct disk_count c = { 0 };

	if (n->ring)
		disk_ring_count(n->ring, &c);
	*out = (struct nvme_count){
		.doorbells = atomic_load_explicit(&n->doorbells, memory_order_relaxed),
		.kicks = atomic_load_explicit(&n->kicks, memory_order_relaxed),
		.commands = atomic_load_explicit(&n->commands, memory_order_relaxed),
		.admin = atomic_load_explicit(&n->admin, memory_order_relaxed),
		.errors = atomic_load_explicit(&n->errors, memory_order_relaxed),
		.interrupts = atomic_load_explicit(&n->interrupts, memory_order_relaxed),
		.bytes_read = atomic_load_explicit(&n->bytes_read, memory_order_relaxed),
		.bytes_written = atomic_load_explicit(&n->bytes_written, memory_order_relaxed),
		.enters = c.enters,
	};
}
