// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host bridge and the dispatch of config accesses.
 *
 * Config space is reached two ways that end in the same pair of functions: ECAM, a piece of memory
 * with 4 KiB for each function, and the old index and data ports CF8h/CFCh for guests that know no
 * ACPI. ECAM is only as long as there are buses, so that a guest that scans all of it is done soon.
 *
 * The hierarchy is flat: bus 0 holds the host bridge and the root ports, and each port's secondary
 * bus holds one function at device 0. A bus number is looked up in the ports' secondary bus
 * registers, so a guest may renumber. The ports' windows and command registers are not consulted
 * when memory is dispatched: a BAR answers where its own register says, which no driver can tell
 * from a machine whose windows are right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/boot.h"
#include "vmm/core/pci_priv.h"
#include "vmm/core/vm.h"

#define ECAM_BUS_SIZE MIB(1)
#define ECAM_MAX      MIB(256)

/* I/O ports of the host bridge: CF8h address, CF9h reset control, CFCh data. */
#define CF8_BASE  0xcf8u
#define CF8_SIZE  8u
#define CF8_RESET 1u
#define CF8_DATA  4u

#define CONF1_ENABLE	0x80000000u
#define RESET_CTL_HARD	0x02
#define RESET_CTL_RESET 0x04

static uint32_t ones(unsigned int len)
{
	return len == 4 ? UINT32_MAX : (1u << (8 * len)) - 1;
}

/* Before a guest numbers them, or when it numbers two alike, the first that matches answers. */
static struct vm_pci_port *port_by_bus(const struct vm_pci *p, unsigned int bus)
{
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++)
		if (p->port[i] && p->port[i]->cfg[PCI_SECONDARY] == bus)
			return p->port[i];
	return NULL;
}

/* rid: bus 15:8, device 7:3, function 2:0. What is absent reads as all ones: master abort. */
static uint32_t cfg_read(struct vm_pci *p, unsigned int rid, unsigned int off, unsigned int len)
{
	unsigned int bus = rid >> 8, dev = rid >> 3 & 31;
	struct vm_pci_port *o;

	if (!bus && !(rid & 7) && (!dev || (dev <= VM_PCI_PORTS_MAX && p->port[dev - 1]))) {
		p->count.ports++;
		if (dev)
			return pci_port_read(p->port[dev - 1], off, len);
		return off + len <= sizeof(p->host_cfg) ? pci_get(p->host_cfg, off, len) : 0;
	}
	o = bus && !(rid & 0xff) ? port_by_bus(p, bus) : NULL;
	if (!o) {
		p->count.absent++;
		return ones(len);
	}
	o->fn->cfg_reads++;
	return o->fn->ops->cfg_read(o->fn, off, len) & ones(len);
}

static void cfg_write(struct vm_pci *p, unsigned int rid, unsigned int off, unsigned int len,
		      uint32_t val)
{
	unsigned int bus = rid >> 8, dev = rid >> 3 & 31;
	struct vm_pci_port *o;

	if (!bus && !(rid & 7) && (!dev || (dev <= VM_PCI_PORTS_MAX && p->port[dev - 1]))) {
		p->count.ports++;
		if (dev)
			pci_port_write(p->port[dev - 1], off, len, val);
		/* Nothing in the host bridge can be written. */
		return;
	}
	o = bus && !(rid & 0xff) ? port_by_bus(p, bus) : NULL;
	if (!o) {
		p->count.absent++;
		return;
	}
	o->fn->cfg_writes++;
	o->fn->ops->cfg_write(o->fn, off, len, val & ones(len));
}

/* ---- ECAM: bus 27:20, device 19:15, function 14:12, register 11:0 (PCIe base spec 7.2.2)
 * ---------- */

static enum vm_io_result ecam_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	if (len > 4 || !IS_ALIGNED(off, len))
		return VM_IO_ERROR;
	*val = cfg_read(dev, (unsigned int)(off >> 12), off & 0xfff, len);
	return VM_IO_OK;
}

static enum vm_io_result ecam_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	if (len > 4 || !IS_ALIGNED(off, len))
		return VM_IO_ERROR;
	cfg_write(dev, (unsigned int)(off >> 12), off & 0xfff, len, (uint32_t)val);
	return VM_IO_OK;
}

static const struct vm_io_ops ecam_ops = { .read = ecam_read, .write = ecam_write };

int pci_ecam_buses(struct vm_pci *p, unsigned int nbuses, struct err *e)
{
	if (p->ecam.on_bus && p->win.nbuses == nbuses)
		return 0;
	/* The counters are as many as the region has pages; they start again. */
	vm_bus_del(&p->vm->mmio, &p->ecam);
	vm_io_region_fini(&p->ecam);
	p->win.nbuses = nbuses;
	p->ecam.size = nbuses * ECAM_BUS_SIZE;
	return vm_bus_add(&p->vm->mmio, &p->ecam, e);
}

/* ---- CF8h/CFCh (PCI local bus spec 3.2.2.3.2) and the reset control register
 * ---------------------- */

static enum vm_io_result conf1_data(struct vm_pci *p, unsigned int off, unsigned int len,
				    bool write, uint64_t *val)
{
	unsigned int rid = p->conf1_addr >> 8 & 0xffff, reg = (p->conf1_addr & 0xfc) + off;

	if (!p->conf1 || !(p->conf1_addr & CONF1_ENABLE))
		return VM_IO_UNHANDLED;
	if (len > 4 || !IS_ALIGNED(off, len))
		return VM_IO_ERROR;
	p->count.conf1++;
	if (write)
		cfg_write(p, rid, reg, len, (uint32_t)*val);
	else
		*val = cfg_read(p, rid, reg, len);
	return VM_IO_OK;
}

static enum vm_io_result cf8_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct vm_pci *p = dev;

	if (off >= CF8_DATA)
		return conf1_data(p, (unsigned int)off - CF8_DATA, len, false, val);
	if (off == 0 && len == 4 && p->conf1)
		*val = p->conf1_addr;
	else if (off == CF8_RESET && len == 1)
		*val = p->reset_ctl;
	else
		return VM_IO_UNHANDLED;
	return VM_IO_OK;
}

static enum vm_io_result cf8_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct vm_pci *p = dev;

	if (off >= CF8_DATA)
		return conf1_data(p, (unsigned int)off - CF8_DATA, len, true, &val);
	if (off == 0 && len == 4 && p->conf1) {
		/* Bits 30:24 and 1:0 are reserved and read as zero. */
		p->conf1_addr = (uint32_t)val & 0x80fffffcu;
	} else if (off == CF8_RESET && len == 1) {
		p->reset_ctl = val & RESET_CTL_HARD;
		if (val & RESET_CTL_RESET)
			vm_reset_locked(p->vm);
	} else {
		return VM_IO_UNHANDLED;
	}
	return VM_IO_OK;
}

static const struct vm_io_ops cf8_ops = { .read = cf8_read, .write = cf8_write };

/* ---- life
 * ----------------------------------------------------------------------------------------- */

static void host_cfg_init(uint8_t *cfg)
{
	pci_put(cfg, PCI_VENDOR, 2, PCI_OUR_VENDOR);
	pci_put(cfg, PCI_DEVICE, 2, PCI_OUR_HOST);
	/* It decodes always, and nothing of it can be switched. */
	pci_put(cfg, PCI_COMMAND, 2, VM_PCI_CMD_IO | VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER);
	pci_put(cfg, PCI_CLASS_REV, 4, 0x06000000);
}

/*
 * Where no BAR may go. All 256 MiB of ECAM are taken even while few buses exist: no BAR may hide
 * where a bus could appear. At the local APICs' addresses a device's write is an interrupt message.
 */
static int claim_fixed(struct vm_pci *p, struct err *e)
{
	struct vm_mem *m = &p->vm->mem;
	int ret;

	ret = vm_mem_claim(m, &p->ecam_claim, VM_PCI_ECAM_BASE, ECAM_MAX, "PCI ECAM", e);
	if (!ret)
		ret = vm_mem_claim(m, &p->ioapic_claim, VM_IOAPIC_BASE, KIB(4), "IOAPIC", e);
	if (!ret)
		ret = vm_mem_claim(m, &p->lapic_claim, VM_LAPIC_BASE, MIB(1), "local APICs", e);
	return ret;
}

int vm_pci_new(struct vm *vm, bool conf1, struct vm_pci **out, struct err *e)
{
	struct vm_pci *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return err_set(e, -ENOMEM, "PCI host bridge: out of memory");
	p->vm = vm;
	p->conf1 = conf1;
	host_cfg_init(p->host_cfg);
	p->win.ecam = VM_PCI_ECAM_BASE;
	p->win.mmio32 = VM_PCI_MMIO32_BASE;
	p->win.mmio32_size = VM_PCI_MMIO32_END - VM_PCI_MMIO32_BASE;
	p->win.io = VM_PCI_IO_BASE;
	p->win.io_size = VM_PCI_IO_END - VM_PCI_IO_BASE;
	p->ecam = (struct vm_io_region){
		.name = "PCI ECAM", .base = VM_PCI_ECAM_BASE, .ops = &ecam_ops, .dev = p
	};
	p->cf8 = (struct vm_io_region){
		.name = "PCI CF8h", .base = CF8_BASE, .size = CF8_SIZE, .ops = &cf8_ops, .dev = p
	};
	ret = claim_fixed(p, e);
	if (ret)
		goto out;
	ret = pci_ecam_buses(p, 1, e);
	if (ret)
		goto out;
	ret = vm_bus_add(&vm->pio, &p->cf8, e);
	if (ret)
		goto out;
	*out = p;
	return 0;
out:
	vm_pci_free(p);
	return ret;
}

void vm_pci_free(struct vm_pci *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++)
		BUG_ON(p->port[i]);
	vm_bus_del(&p->vm->pio, &p->cf8);
	vm_bus_del(&p->vm->mmio, &p->ecam);
	vm_io_region_fini(&p->cf8);
	vm_io_region_fini(&p->ecam);
	vm_mem_unclaim(&p->vm->mem, &p->ecam_claim);
	vm_mem_unclaim(&p->vm->mem, &p->ioapic_claim);
	vm_mem_unclaim(&p->vm->mem, &p->lapic_claim);
	free(p);
}

int vm_pci_attach(struct vm_pci *p, struct vm_pci_fn *f, struct err *e)
{
	struct vm_pci_port *o;
	unsigned int i;
	int ret;

	for (i = 0; i < VM_PCI_PORTS_MAX && p->port[i]; i++)
		;
	if (i == VM_PCI_PORTS_MAX)
		return err_set(
			e, -ENOSPC,
			"%s: all %u root ports are taken: give the machine fewer PCI functions",
			f->name, VM_PCI_PORTS_MAX);
	ret = pci_bars_check(f, e);
	if (ret)
		return ret;
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_set(e, -ENOMEM, "%s: root port: out of memory", f->name);
	pci_port_init(o, p, i + 1);
	o->fn = f;
	f->port = o;
	f->vm = p->vm;
	f->bdf = (struct bdf){ .bus = (uint8_t)(i + 1) };
	p->port[i] = o;
	return 0;
}

void vm_pci_detach(struct vm_pci_fn *f)
{
	struct vm_pci_port *o = f->port;

	if (!o)
		return;
	/* Its device is on its way out and needs to hear of nothing. */
	f->port = NULL;
	vm_pci_unmap_all(f);
	o->pci->port[o->dev - 1] = NULL;
	free(o);
}

void vm_pci_reset(struct vm_pci *p)
{
	p->conf1_addr = 0;
	p->reset_ctl = 0;
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++) {
		if (!p->port[i])
			continue;
		pci_fn_reset(p->port[i]->fn);
		pci_port_reset(p->port[i]);
	}
}

/* ---- questions
 * ------------------------------------------------------------------------------------ */

const struct vm_pci_windows *vm_pci_windows(const struct vm_pci *p)
{
	return &p->win;
}

const struct vm_pci_count *vm_pci_count(const struct vm_pci *p)
{
	return &p->count;
}

unsigned int vm_pci_intx_pin(const struct vm_pci_fn *f, unsigned int pin)
{
	BUG_ON(!f->port || pin < 1 || pin > 4);
	return VM_IRQ_PCI_FIRST + (f->port->dev + pin - 1) % (VM_IRQ_PINS - VM_IRQ_PCI_FIRST);
}

void vm_pci_each(struct vm_pci *p, void (*fn)(void *arg, struct vm_pci_fn *f), void *arg)
{
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++)
		if (p->port[i])
			fn(arg, p->port[i]->fn);
}
