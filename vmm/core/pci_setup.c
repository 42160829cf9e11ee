// SPDX-License-Identifier: BSD-3-Clause
/*
 * The firmware's part: bus numbers, a place for every BAR, bridge windows, decoding on.
 *
 * Where a BAR goes:
 *   I/O                     the I/O window; one that does not fit stays without an address (I/O
 * BARs are optional on PCI Express, so drivers live without them) 32-bit memory           the
 * window below 4 GiB 64-bit, prefetchable    the window above RAM; below 4 GiB if that is out of
 * the CPU's or the IOMMU's reach 64-bit, others          below 4 GiB while there is room: a bridge
 * has no other window for them, and Linux reassigns one that it finds in a prefetchable window.
 * When they do not all fit, the largest move above RAM and are shown to the guest as prefetchable.
 * That is safe here: our ports and a PCI Express fabric never prefetch or merge on their own (PCIe
 * base spec 7.5.1.2.1, implementation note on the prefetchable bit).
 *
 * In each window the ports with the most demanding alignment come first, and within a port the
 * largest BAR, so nothing is wasted but what the grain of the bridge windows costs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "vmm/core/pci_priv.h"
#include "vmm/core/vm.h"

#define NBARS		6
#define GRAIN_IO	KIB(4)
#define GRAIN_MEM	MIB(1)
#define MMIO64_ALIGN	GIB(1)
#define MMIO64_SIZE_MIN GIB(64)

/* A BAR that needs a place; addr 0: it has none. */
struct place {
	struct vm_pci_fn *f;
	unsigned int port, bar;
	enum pci_window win;
	bool spilled; /* not prefetchable by itself, but moved above RAM */
	uint64_t size, addr;
};

struct span {
	uint64_t base, size;
};

struct plan {
	struct place v[VM_PCI_PORTS_MAX * NBARS];
	unsigned int n;
	struct span win[PCI_WIN_NR][VM_PCI_PORTS_MAX];
	struct span high; /* the host bridge's window above RAM */
};

static const struct vm_pci_bar *bar_of(const struct place *pl)
{
	return &pl->f->bar[pl->bar];
}

static int by_size(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return x->bar < y->bar ? -1 : x->bar > y->bar;
}

static enum pci_window first_choice(const struct vm_pci_bar *b)
{
	if (b->type == VM_BAR_IO)
		return PCI_WIN_IO;
	return b->type == VM_BAR_MEM64 && b->prefetch ? PCI_WIN_PREF : PCI_WIN_MEM;
}

static void plan_collect(struct plan *plan, struct vm_pci *p)
{
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++) {
		for (unsigned int b = 0; p->port[i] && b < NBARS; b++) {
			struct vm_pci_fn *f = p->port[i]->fn;

			if (f->bar[b].type == VM_BAR_NONE)
				continue;
			plan->v[plan->n++] = (struct place){ .f = f,
							     .port = i,
							     .bar = b,
							     .win = first_choice(&f->bar[b]),
							     .size = f->bar[b].size };
		}
	}
	qsort(plan->v, plan->n, sizeof(plan->v[0]), by_size);
}

/* The largest BAR of a port in a window, whose alignment serves all that follow it; never absent.
 */
static uint64_t port_align(const struct plan *plan, enum pci_window w, unsigned int port,
			   uint64_t grain)
{
	unsigned int i = 0;

	while (plan->v[i].win != w || plan->v[i].port != port)
		i++;
	return MAX(plan->v[i].size, grain);
}

/* The BARs of one port in one window, one after the other; false when they end above end. */
static bool lay_port(struct plan *plan, enum pci_window w, unsigned int port, uint64_t grain,
		     uint64_t *cursor, uint64_t end)
{
	uint64_t align = port_align(plan, w, port, grain), base, at;

	if (ckd_add(&base, *cursor, align - 1))
		return false;
	base = at = ALIGN_DOWN(base, align);
	for (unsigned int i = 0; i < plan->n; i++) {
		struct place *pl = &plan->v[i];

		if (pl->win != w || pl->port != port)
			continue;
		pl->addr = at;
		if (ckd_add(&at, at, pl->size))
			return false;
	}
	if (ckd_add(&at, at, grain - 1))
		return false;
	at = ALIGN_DOWN(at, grain);
	if (at > end)
		return false;
	plan->win[w][port] = (struct span){ base, at - base };
	*cursor = at;
	return true;
}

static void unlay_port(struct plan *plan, enum pci_window w, unsigned int port)
{
	for (unsigned int i = 0; i < plan->n; i++)
		if (plan->v[i].win == w && plan->v[i].port == port)
			plan->v[i].addr = 0;
	plan->win[w][port] = (struct span){ 0 };
}

/*
 * Fill the window [start, end) of the host bridge; *used is where it ends. A port that does not
 * fit: -ENOSPC and none has a place, unless it is an I/O window, where that port goes without.
 */
static int lay(struct plan *plan, enum pci_window w, uint64_t start, uint64_t end, uint64_t *used)
{
	uint64_t cursor = start, grain = w == PCI_WIN_IO ? GRAIN_IO : GRAIN_MEM;
	bool done[VM_PCI_PORTS_MAX] = { false };

	/* In the order of sizes, so a port comes when its largest BAR does. */
	for (unsigned int i = 0; i < plan->n; i++) {
		unsigned int port = plan->v[i].port;

		if (plan->v[i].win != w || done[port])
			continue;
		done[port] = true;
		if (lay_port(plan, w, port, grain, &cursor, end))
			continue;
		unlay_port(plan, w, port);
		if (w == PCI_WIN_IO)
			continue;
		for (unsigned int o = 0; o < VM_PCI_PORTS_MAX; o++)
			unlay_port(plan, w, o);
		return -ENOSPC;
	}
	*used = cursor;
	return 0;
}

/* ---- choosing between the two memory windows
 * ------------------------------------------------------ */

static uint64_t ram_end(const struct vm_mem *m)
{
	struct list *pos, *nxt;
	uint64_t end = GIB(4);

	list_for_each (pos, nxt, &m->regions) {
		const struct vm_mem_region *r = list_entry(pos, struct vm_mem_region, link);

		if (r->kind == VM_MEM_RAM)
			end = MAX(end, r->gpa + r->size);
	}
	return end;
}

/* The largest 64-bit BAR below 4 GiB goes above RAM; false when there is none. */
static bool spill_one(struct plan *plan)
{
	for (unsigned int i = 0; i < plan->n; i++) {
		struct place *pl = &plan->v[i];

		if (pl->win != PCI_WIN_MEM || bar_of(pl)->type != VM_BAR_MEM64)
			continue;
		pl->win = PCI_WIN_PREF;
		pl->spilled = !bar_of(pl)->prefetch;
		return true;
	}
	return false;
}

static bool lay_high(struct plan *plan, const struct vm_mem *m)
{
	uint64_t base = ALIGN_UP(ram_end(m), MMIO64_ALIGN), limit = MAX(m->gpa_limit, base), used;

	plan->high = (struct span){ 0 };
	if (lay(plan, PCI_WIN_PREF, base, limit, &used))
		return false;
	if (limit > base)
		plan->high =
			(struct span){ base, MIN(MAX(used - base, MMIO64_SIZE_MIN), limit - base) };
	return true;
}

static int no_room(struct plan *plan, enum pci_window w, const struct vm_mem *m, struct err *e)
{
	const struct place *pl = NULL;

	for (unsigned int i = 0; i < plan->n && !pl; i++)
		if (plan->v[i].win == w)
			pl = &plan->v[i];
	BUG_ON(!pl);
	if (w == PCI_WIN_MEM)
		return err_set(e, -ENOSPC,
			       "%s (%" PRIu64
			       " KiB) and the other BARs below 4 GiB do not fit into "
			       "%u MiB: give the machine fewer functions",
			       bar_of(pl)->name, pl->size >> 10,
			       (VM_PCI_MMIO32_END - VM_PCI_MMIO32_BASE) >> 20);
	return err_set(e, -ENOSPC,
		       "%s (%" PRIu64 " MiB) does not fit between the end of RAM and 0x%" PRIx64
		       ", what CPU and IOMMU can reach: give the machine less memory or leave the "
		       "device out",
		       bar_of(pl)->name, pl->size >> 20, m->gpa_limit);
}

static int plan_make(struct plan *plan, const struct vm_mem *m, struct err *e)
{
	uint64_t used;
	bool high = lay_high(plan, m);

	if (!high) {
		/* Out of reach: all go below 4 GiB, and come up again only if they must. */
		for (unsigned int i = 0; i < plan->n; i++)
			if (plan->v[i].win == PCI_WIN_PREF)
				plan->v[i].win = PCI_WIN_MEM;
		high = lay_high(plan, m);
	}
	while (lay(plan, PCI_WIN_MEM, VM_PCI_MMIO32_BASE, VM_PCI_MMIO32_END, &used)) {
		if (!spill_one(plan))
			return no_room(plan, PCI_WIN_MEM, m, e);
		if (!lay_high(plan, m))
			return no_room(plan, PCI_WIN_PREF, m, e);
	}
	return lay(plan, PCI_WIN_IO, VM_PCI_IO_BASE, VM_PCI_IO_END, &used);
}

/* ---- programming it
 * ------------------------------------------------------------------------------- */

static void program_port(struct vm_pci_port *o, const struct plan *plan, unsigned int i)
{
	pci_port_buses(o, (uint8_t)o->dev);
	for (enum pci_window w = PCI_WIN_IO; w < PCI_WIN_NR; w++)
		pci_port_window(o, w, plan->win[w][i].base, plan->win[w][i].size);
	pci_port_write(o, PCI_COMMAND, 2, VM_PCI_CMD_IO | VM_PCI_CMD_MEM | VM_PCI_CMD_MASTER);
}

static void program_bars(const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->n; i++) {
		const struct place *pl = &plan->v[i];
		unsigned int off = PCI_BAR0 + 4 * pl->bar;

		if (!pl->addr)
			continue;
		if (pl->spilled)
			pl->f->bar[pl->bar].prefetch = true;
		pl->f->ops->cfg_write(pl->f, off, 4, (uint32_t)pl->addr);
		if (bar_of(pl)->type == VM_BAR_MEM64)
			pl->f->ops->cfg_write(pl->f, off + 4, 4, (uint32_t)(pl->addr >> 32));
	}
}

/* Decoding on, for what has a place; the interrupt line register tells a guest without ACPI the
 * pin. */
static void program_fn(struct vm_pci_fn *f, const struct plan *plan)
{
	uint32_t pin = f->ops->cfg_read(f, PCI_INT_PIN, 1);
	uint16_t command = 0;

	for (unsigned int i = 0; i < plan->n; i++)
		if (plan->v[i].f == f && plan->v[i].addr)
			command |= plan->v[i].win == PCI_WIN_IO ? VM_PCI_CMD_IO : VM_PCI_CMD_MEM;
	if (pin >= 1 && pin <= 4)
		f->ops->cfg_write(f, PCI_INT_LINE, 1, vm_pci_intx_pin(f, pin));
	if (command)
		f->ops->cfg_write(f, PCI_COMMAND, 2, command);
}

static int program(struct vm_pci *p, const struct plan *plan, struct err *e)
{
	program_bars(plan);
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++) {
		if (!p->port[i])
			continue;
		program_port(p->port[i], plan, i);
		program_fn(p->port[i]->fn, plan);
		for (unsigned int j = 0; j < plan->n; j++) {
			const struct vm_pci_bar *b = bar_of(&plan->v[j]);

			/* The guest has not run yet: what fails now is the host's doing. */
			if (plan->v[j].port == i && plan->v[j].addr && !b->mapped)
				return err_set(e, p->last.code ? p->last.code : -EIO,
					       "%s at 0x%" PRIx64 ": %s", b->name, plan->v[j].addr,
					       p->last.text);
		}
	}
	return 0;
}

int vm_pci_setup(struct vm_pci *p, struct err *e)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	unsigned int nbuses = 1;
	int ret;

	if (!plan)
		return err_set(e, -ENOMEM, "PCI set-up: out of memory");
	plan_collect(plan, p);
	ret = plan_make(plan, &p->vm->mem, e);
	if (ret)
		goto out;
	p->win.mmio64 = plan->high.base;
	p->win.mmio64_size = plan->high.size;
	for (unsigned int i = 0; i < VM_PCI_PORTS_MAX; i++)
		if (p->port[i])
			nbuses = i + 2;
	ret = pci_ecam_buses(p, nbuses, e);
	if (!ret)
		ret = program(p, plan, e);
out:
	free(plan);
	return ret;
}
