// SPDX-License-Identifier: BSD-3-Clause
/*
 * The card as a PCI function, and its life. BAR 0 has the registers, BAR 2 the I/O window, which
 * the Linux driver resets the card through.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include "vmm/devices/e1000/e1000_priv.h"

#define MMIO_SIZE 0x20000u
#define PORT_BAR  2
#define PORT_SIZE 64u

static const struct pci_cfg_id ids = {
	.vendor = 0x8086,
	.device = 0x100e,
	.sub_vendor = 0x8086,
	.sub_device = 0x001e,
	.class_code = 0x020000,
	.revision = 2,
};

static struct e1000 *of_fn(struct vm_pci_fn *f)
{
	return container_of(f, struct e1000, fn);
}

static struct e1000 *of_dev(struct vm_dev *d)
{
	return container_of(d, struct e1000, dev);
}

/* ---- PCI ---- */

static int bar_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e)
{
	struct e1000 *d = of_fn(f);
	struct vm_io_region *r = i == PORT_BAR ? &d->port : &d->mmio;

	r->base = gpa;
	return vm_bus_add(i == PORT_BAR ? &f->vm->pio : &f->vm->mmio, r, e);
}

static void bar_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct e1000 *d = of_fn(f);

	vm_bus_del(i == PORT_BAR ? &f->vm->pio : &f->vm->mmio, i == PORT_BAR ? &d->port : &d->mmio);
}

static uint32_t cfg_read(struct vm_pci_fn *f, unsigned int off, unsigned int len)
{
	struct e1000 *d = of_fn(f);

	if (pci_cfg_is_bar(off))
		return pci_cfg_bar_read(f, off, len);
	return off + len > sizeof(d->cfgspace.v) ? 0 : pci_get(d->cfgspace.v, off, len);
}

static void cfg_write(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val)
{
	struct e1000 *d = of_fn(f);

	if (pci_cfg_is_bar(off)) {
		pci_cfg_bar_write(f, off, len, val);
		return;
	}
	if (off + len > sizeof(d->cfgspace.v))
		return;
	pci_cfg_write(&d->cfgspace, off, len, val);
	if (off < 6 && off + len > 4)
		vm_pci_command(f, (uint16_t)pci_get(d->cfgspace.v, 4, 2));
}

static void cfg_init(struct e1000 *d)
{
	pci_cfg_init(&d->cfgspace, &ids);
	d->cfgspace.mask[4] |= VM_PCI_CMD_IO;
	d->cfgspace.v[0x3d] = 1; /* INTA */
	d->cfgspace.v[0x3c] = (uint8_t)vm_pci_intx_pin(&d->fn, 1);
}

static void fn_reset(struct vm_pci_fn *f)
{
	cfg_init(of_fn(f));
}

/* ---- the I/O thread ---- */

static void drain(struct e1000 *d, int fd)
{
	uint64_t v;

	(void)!sys_read(d->sys, fd, &v, sizeof(v));
}

static void on_kick(void *arg, uint32_t events)
{
	struct e1000 *d = arg;

	drain(d, d->kick);
	atomic_fetch_add_explicit(&d->kicks, 1, memory_order_relaxed);
	ev_poll_on(&d->poll);
}

/* Registers were written, whichever. */
static bool look(void *arg)
{
	struct e1000 *d = arg;
	unsigned int what;

	if (!atomic_load_explicit(&d->awake, memory_order_relaxed))
		atomic_store(&d->awake, true);
	if (!atomic_load_explicit(&d->rang, memory_order_relaxed))
		return false;
	/* in this order: what is written from here on is looked at again */
	what = atomic_exchange(&d->rang, 0);
	if (d->up && what & E1000_RANG_TX)
		e1000_tx(d);
	if (d->up && what & E1000_RANG_RX)
		e1000_rx(d);
	return true;
}

static bool arm(void *arg)
{
	struct e1000 *d = arg;

	atomic_store(&d->awake, false);
	/* pairs with kick() */
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load(&d->rang);
}

static void on_frame(void *arg)
{
	struct e1000 *d = arg;

	if (d->up)
		e1000_rx(d);
}

/* The guest's EOI: the level is down, and goes up again if there is still a reason. */
static void on_resample(void *arg, uint32_t events)
{
	struct e1000 *d = arg;

	drain(d, d->resample);
	atomic_store(&d->asserted, false);
	e1000_irq_update(d);
}

/* struct io_call - a call to the I/O thread that can fail. */
struct io_call {
	struct e1000 *d;
	struct err *e;
	int ret;
};

static void io_up(void *arg)
{
	struct io_call *c = arg;
	struct e1000 *d = c->d;
	struct ev *ev = vm_iothread_ev(d->cfg.io);

	ev_poll_init(&d->poll, ev, look, arm, d);
	d->poll.files = true;
	c->ret = ev_add(ev, d->kick, EPOLLIN, on_kick, d, &d->kick_src);
	if (!c->ret)
		c->ret = ev_add(ev, d->resample, EPOLLIN, on_resample, d, &d->resample_src);
	if (!c->ret)
		c->ret = d->end->ops->start(d->end, ev, on_frame, d);
	if (c->ret)
		err_sys(c->e, c->ret, "cannot watch the wire");
	else
		d->up = true;
}

static void io_stop(void *arg)
{
	struct e1000 *d = arg;

	d->up = false;
	d->tx_len = 0;
	d->tx_bad = false;
	atomic_store(&d->rx_waits, false);
	ev_del(d->itr_timer);
	d->itr_timer = NULL;
}

static void io_go(void *arg)
{
	struct e1000 *d = arg;

	d->up = true;
}

static void io_down(void *arg)
{
	struct e1000 *d = arg;

	io_stop(d);
	ev_poll_off(&d->poll);
	ev_del(d->kick_src);
	ev_del(d->resample_src);
	d->end->ops->stop(d->end);
	d->kick_src = d->resample_src = NULL;
}

void e1000_stop_rings(struct e1000 *d)
{
	vm_iothread_call(d->cfg.io, io_stop, d);
}

void e1000_go(struct e1000 *d)
{
	vm_iothread_call(d->cfg.io, io_go, d);
}

/* ---- standing still ---- */

static void io_hold(void *arg)
{
	struct e1000 *d = arg;

	d->still = d->held;
	if (d->up) {
		e1000_tx(d);
		e1000_rx(d);
	}
	/* A pin needs no bus mastering. */
	if (!(d->held & VM_HELD_PAUSE)) {
		e1000_irq_update(d);
		return;
	}
	ev_del(d->itr_timer);
	d->itr_timer = NULL;
}

static void hold(struct e1000 *d, unsigned int why, bool on)
{
	(void)vm_held(&d->held, why, on);
	vm_iothread_call(d->cfg.io, io_hold, d);
}

static void fn_master(struct vm_pci_fn *f, bool on)
{
	hold(of_fn(f), VM_HELD_MASTER, !on);
}

static const struct vm_pci_fn_ops fn_ops = { cfg_read, cfg_write, fn_reset, fn_master };

static int e1000_quiesce(struct vm_dev *dev, bool on)
{
	hold(of_dev(dev), VM_HELD_PAUSE, on);
	return 0;
}

/* ---- life ---- */

static int e1000_init(struct vm_dev *dev, struct err *e)
{
	struct e1000 *d = of_dev(dev);
	struct io_call c = { .d = d, .e = e };
	int *fds[] = { &d->kick, &d->irq, &d->resample };
	unsigned int i;

	d->tx_buf = malloc(E1000_BUF);
	d->rx_buf = malloc(E1000_BUF);
	if (!d->tx_buf || !d->rx_buf)
		return err_set(e, -ENOMEM, "out of memory");
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		*fds[i] = sys_eventfd(d->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (*fds[i] < 0)
			return err_sys(e, *fds[i], "cannot make an eventfd");
	}
	e1000_eeprom_init(d);
	e1000_reset_regs(d);
	vm_iothread_call(d->cfg.io, io_up, &c);
	return c.ret;
}

static void regions_init(struct e1000 *d)
{
	snprintf(d->names[0], sizeof(d->names[0]), "%s BAR0", d->dev.id);
	snprintf(d->names[1], sizeof(d->names[1]), "%s BAR2", d->dev.id);
	d->mmio = (struct vm_io_region){
		.name = d->names[0], .size = MMIO_SIZE, .ops = &e1000_mmio_ops, .dev = d
	};
	d->port = (struct vm_io_region){
		.name = d->names[1], .size = PORT_SIZE, .ops = &e1000_port_ops, .dev = d
	};
}

static int e1000_realize(struct vm_dev *dev, struct err *e)
{
	struct e1000 *d = of_dev(dev);
	int ret;

	d->fn = (struct vm_pci_fn){ .name = dev->id, .ops = &fn_ops, .vm = dev->vm };
	d->fn.bar[0].type = VM_BAR_MEM32;
	d->fn.bar[0].size = MMIO_SIZE;
	d->fn.bar[PORT_BAR].type = VM_BAR_IO;
	d->fn.bar[PORT_BAR].size = PORT_SIZE;
	d->fn.bar_map = bar_map;
	d->fn.bar_unmap = bar_unmap;
	regions_init(d);
	ret = vm_pci_attach(dev->vm->pci, &d->fn, e);
	if (ret)
		return ret;
	d->attached = true;
	cfg_init(d);
	ret = vm_irq_line_fd(dev->vm->irqs, vm_pci_intx_pin(&d->fn, 1), d->irq, d->resample, true);
	if (ret)
		return err_sys(e, ret, "cannot connect the interrupt");
	d->line = true;
	return 0;
}

static void e1000_reset(struct vm_dev *dev)
{
	struct e1000 *d = of_dev(dev);

	e1000_stop_rings(d);
	e1000_reset_regs(d);
	atomic_store(&d->asserted, false);
	e1000_go(d);
}

static void e1000_free(struct vm_dev *dev)
{
	struct e1000 *d = of_dev(dev);

	if (d->kick_src)
		vm_iothread_call(d->cfg.io, io_down, d);
	if (d->line)
		(void)!vm_irq_line_fd(dev->vm->irqs, vm_pci_intx_pin(&d->fn, 1), d->irq,
				      d->resample, false);
	d->line = false;
	if (d->attached)
		vm_pci_detach(&d->fn);
	d->attached = false;
	vm_io_region_fini(&d->mmio);
	vm_io_region_fini(&d->port);
	sys_close(d->sys, &d->kick);
	sys_close(d->sys, &d->irq);
	sys_close(d->sys, &d->resample);
	net_end_free(d->end);
	free(d->tx_buf);
	free(d->rx_buf);
	d->tx_buf = d->rx_buf = NULL;
}

static const struct vm_dev_ops e1000_dev_ops = {
	.name = "e1000",
	.size = sizeof(struct e1000),
	.init = e1000_init,
	.realize = e1000_realize,
	.reset = e1000_reset,
	.quiesce = e1000_quiesce,
	.free = e1000_free,
};

int e1000_new(struct sys *s, const char *id, const struct e1000_cfg *c, struct net_end *end,
	      struct vm_dev **out)
{
	struct vm_dev *dev;
	struct e1000 *d;
	int ret = vm_dev_new(&e1000_dev_ops, id, &dev);

	if (ret)
		return ret;
	d = of_dev(dev);
	d->cfg = *c;
	d->sys = s;
	d->mac = c->mac;
	d->end = end;
	d->kick = d->irq = d->resample = -1;
	d->held = VM_HELD_MASTER;
	d->still = true;
	*out = dev;
	return 0;
}

struct net_end *e1000_end(const struct vm_dev *dev)
{
	return container_of(dev, const struct e1000, dev)->end;
}

void e1000_count(const struct vm_dev *dev, struct e1000_count *out)
{
	const struct e1000 *d = container_of(dev, const struct e1000, dev);

	*out = (struct e1000_count){
		.tx_frames = atomic_load_explicit(&d->tx_frames, memory_order_relaxed),
		.tx_bytes = atomic_load_explicit(&d->tx_bytes, memory_order_relaxed),
		.rx_frames = atomic_load_explicit(&d->rx_frames, memory_order_relaxed),
		.rx_bytes = atomic_load_explicit(&d->rx_bytes, memory_order_relaxed),
		.drops = atomic_load_explicit(&d->drops, memory_order_relaxed),
		.bad = atomic_load_explicit(&d->bad, memory_order_relaxed),
		.interrupts = atomic_load_explicit(&d->interrupts, memory_order_relaxed),
		.throttled = atomic_load_explicit(&d->throttled, memory_order_relaxed),
		.kicks = atomic_load_explicit(&d->kicks, memory_order_relaxed),
	};
}
