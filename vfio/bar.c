// SPDX-License-Identifier: BSD-3-Clause
/*
 * BARs. The whole of a BAR is a region of the bus, which forwards to the device; above it lie
 * memory slots for the pages that the guest reaches directly, and KVM asks the bus only where there
 * is no slot. So a page without a slot needs no code of its own, and the counters of the region are
 * the trapped accesses.
 *
 * Never mapped are the pages that hold the MSI-X table (the guest would write host interrupt
 * messages) and the pending bits (which are ours, since masking is). Registers that share those
 * pages are trapped. All offsets are those of the physical BAR: the guest's BAR has the same
 * layout.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "iommu/ranges.h"
#include "vfio/pci_priv.h"

/* ---- which areas are mapped ---- */

static int plan_areas(const struct vfd_region *r, struct ioas_ranges *got)
{
	struct vfd_area all = { 0, r->size };
	const struct vfd_area *v = r->nareas ? r->areas : &all;
	unsigned int n = r->nareas ? r->nareas : 1;
	uint64_t end = ALIGN_UP(r->size, VFIO_PAGE);
	int rc = 0;

	for (unsigned int i = 0; i < n && rc == 0; i++) {
		uint64_t from = v[i].off, to;

		/* A foreign area: cut to the region, and inwards to whole pages. */
		if (from >= r->size || ckd_add(&to, from, v[i].size))
			continue;
		from = ALIGN_UP(from, VFIO_PAGE);
		/* The last page of a small BAR is all its own, or the kernel would not offer it. */
		to = to >= r->size ? end : ALIGN_DOWN(to, VFIO_PAGE);
		if (from < to)
			rc = ioas_ranges_add(got, from, to - 1);
	}
	return rc;
}

int vfio_bar_plan(const struct vfd_region *r, const struct vfd_area *holes, unsigned int nholes,
		  struct vfd_area *out, unsigned int max)
{
	struct ioas_ranges got = { 0 };
	unsigned int n = 0;
	int rc = 0;

	if (!r->mmap || !r->size || r->size > INT64_MAX)
		return 0;
	rc = plan_areas(r, &got);
	for (unsigned int i = 0; i < nholes && rc == 0; i++)
		if (holes[i].size)
			rc = ioas_ranges_sub(&got, ALIGN_DOWN(holes[i].off, VFIO_PAGE),
					     ALIGN_UP(holes[i].off + holes[i].size, VFIO_PAGE) - 1);
	for (unsigned int i = 0; i < got.n && n < max && rc == 0; i++)
		out[n++] = (struct vfd_area){ got.v[i].start, got.v[i].end - got.v[i].start + 1 };
	ioas_ranges_free(&got);
	return rc < 0 ? rc : (int)n;
}

static unsigned int msix_holes(const struct vfio_msix_place *m, unsigned int bar,
			       struct vfd_area holes[2])
{
	unsigned int n = 0;

	if (m->n && m->table_bar == bar)
		holes[n++] = (struct vfd_area){ m->table_off, m->table_size };
	if (m->n && m->pba_bar == bar)
		holes[n++] = (struct vfd_area){ m->pba_off, m->pba_size };
	return n;
}

/* ---- trapped accesses ---- */

enum place { PLACE_DEVICE, PLACE_TABLE, PLACE_PBA, PLACE_EDGE };

static enum place place_in(uint64_t off, unsigned int len, uint64_t start, uint64_t size,
			   enum place what)
{
	if (!ranges_overlap(off, len, start, size))
		return PLACE_DEVICE;
	return off >= start && off - start <= size - len ? what : PLACE_EDGE;
}

static enum place place_of(const struct vfio_bar *b, uint64_t off, unsigned int len)
{
	const struct vfio_msix_place *m = &b->dev->msix_place;
	enum place p = PLACE_DEVICE;

	if (m->n && m->table_bar == b->idx)
		p = place_in(off, len, m->table_off, m->table_size, PLACE_TABLE);
	if (p == PLACE_DEVICE && m->n && m->pba_bar == b->idx)
		p = place_in(off, len, m->pba_off, m->pba_size, PLACE_PBA);
	return p;
}

static enum vm_io_result bar_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct vfio_bar *b = dev;
	struct vfio_pci *p = b->dev;

	if (!p->vfd || !range_ok(off, len, b->region.size))
		return VM_IO_UNHANDLED;
	switch (place_of(b, off, len)) {
	case PLACE_TABLE:
		return vm_msix_table_read(p->irq.msix, off - p->msix_place.table_off, len, val);
	case PLACE_PBA:
		return vm_msix_pba_read(p->irq.msix, off - p->msix_place.pba_off, len, val);
	case PLACE_EDGE:
		return VM_IO_ERROR;
	case PLACE_DEVICE:
		break;
	}
	*val = 0;
	return p->vfd->ops->read(p->vfd, b->idx, off, val, len) < 0 ? VM_IO_ERROR : VM_IO_OK;
}

static enum vm_io_result bar_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct vfio_bar *b = dev;
	struct vfio_pci *p = b->dev;

	if (!p->vfd || !range_ok(off, len, b->region.size))
		return VM_IO_UNHANDLED;
	switch (place_of(b, off, len)) {
	case PLACE_TABLE:
		return vm_msix_table_write(p->irq.msix, off - p->msix_place.table_off, len, val);
	case PLACE_PBA:
		return VM_IO_OK; /* read only; software should not write it (7.7.2.6) */
	case PLACE_EDGE:
		return VM_IO_ERROR;
	case PLACE_DEVICE:
		break;
	}
	return p->vfd->ops->write(p->vfd, b->idx, off, &val, len) < 0 ? VM_IO_ERROR : VM_IO_OK;
}

static const struct vm_io_ops bar_io_ops = { .read = bar_read, .write = bar_write };

/* ---- mapping for the guest ---- */

static struct vm_bus *bus_of(struct vfio_pci *p, unsigned int i)
{
	return p->fn.bar[i].type == VM_BAR_IO ? &p->fn.vm->pio : &p->fn.vm->mmio;
}

int vfio_bar_map(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e)
{
	struct vfio_pci *p = vfio_pci_of_fn(f);
	struct vfio_bar *b = &p->bar[i];
	int r;

	if (!p->vfd)
		return err_set(e, -ENODEV, "%s: the device has gone", b->name);
	b->io.base = gpa;
	r = vm_bus_add(bus_of(p, i), &b->io, e);
	if (r < 0)
		return r;
	p->dirty = true;
	for (unsigned int k = 0; k < b->nareas; k++) {
		b->area[k].gpa = gpa + b->area_off[k];
		r = vm_mem_add(&f->vm->mem, &b->area[k], e);
		if (r < 0) {
			while (k--)
				vm_mem_del(&f->vm->mem, &b->area[k]);
			vm_bus_del(bus_of(p, i), &b->io);
			return r;
		}
	}
	return 0;
}

void vfio_bar_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct vfio_pci *p = vfio_pci_of_fn(f);
	struct vfio_bar *b = &p->bar[i];

	for (unsigned int k = b->nareas; k--;)
		vm_mem_del(&f->vm->mem, &b->area[k]);
	vm_bus_del(bus_of(p, i), &b->io);
}

/* ---- set-up ---- */

static int map_areas(struct vfio_pci *p, struct vfio_bar *b, struct err *e)
{
	struct vfd_area v[VFIO_PCI_AREAS_MAX], holes[2];
	int n, r;

	n = vfio_bar_plan(&b->region, holes, msix_holes(&p->msix_place, b->idx, holes), v,
			  ARRAY_SIZE(v));
	if (n < 0)
		return err_sys(e, n, "%s", b->name);
	for (int k = 0; k < n; k++) {
		struct vm_mem_region *m = &b->area[k];

		r = p->vfd->ops->map(p->vfd, b->idx, v[k].off, v[k].size, &m->hva);
		if (r < 0)
			return err_sys(e, r, "%s: cannot map 0x%" PRIx64 "-0x%" PRIx64, b->name,
				       v[k].off, v[k].off + v[k].size - 1);
		m->name = b->name;
		m->kind = VM_MEM_BAR;
		m->size = v[k].size;
		m->fd = -1;
		m->page_size = VFIO_PAGE;
		b->area_off[k] = v[k].off;
		b->nareas = (unsigned int)k + 1;
	}
	return 0;
}

/* What kind of BAR the register says; the kernel makes up those of a VF from its PF's. */
static int bar_kind(struct vfio_pci *p, unsigned int i, struct vm_pci_bar *bar, struct err *e)
{
	uint32_t reg = 0;
	int r = p->vfd->ops->read(p->vfd, VFIO_PCI_CONFIG_REGION_INDEX, 0x10 + 4 * i, &reg, 4);

	if (r < 0)
		return err_sys(e, r, "cannot read BAR %u", i);
	if (reg & PCI_BASE_ADDRESS_SPACE_IO) {
		bar->type = VM_BAR_IO;
		return 0;
	}
	bar->type = (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64
			    ? VM_BAR_MEM64
			    : VM_BAR_MEM32;
	bar->prefetch = reg & PCI_BASE_ADDRESS_MEM_PREFETCH;
	return 0;
}

static int bar_init(struct vfio_pci *p, unsigned int i, struct err *e)
{
	struct vm_pci_bar *bar = &p->fn.bar[i];
	struct vfio_bar *b = &p->bar[i];
	int r;

	b->dev = p;
	b->idx = i;
	snprintf(b->name, sizeof(b->name), "%s BAR%u", p->dev.id, i);
	r = p->vfd->ops->region_info(p->vfd, i, &b->region);
	if (r < 0)
		return err_sys(e, r, "cannot ask about BAR %u", i);
	if (!b->region.size)
		return 0;
	r = bar_kind(p, i, bar, e);
	if (r < 0)
		return r;
	if (!IS_POW2(b->region.size))
		return err_set(e, -EINVAL, "BAR %u has %" PRIu64 " bytes, which no BAR can have", i,
			       b->region.size);
	/* The guest gets whole pages, so that two BARs never share one. */
	bar->size = bar->type == VM_BAR_IO ? MAX(b->region.size, (uint64_t)4)
					   : MAX(b->region.size, (uint64_t)VFIO_PAGE);
	b->io = (struct vm_io_region){
		.name = b->name, .size = bar->size, .ops = &bar_io_ops, .dev = b
	};
	return bar->type == VM_BAR_IO ? 0 : map_areas(p, b, e);
}

static int find_msix(struct vfio_pci *p, struct err *e)
{
	struct vfio_msix_place *m = &p->msix_place;
	const struct vfio_cfg *c = &p->cfg;
	uint32_t table, pba;

	if (!c->msix)
		return 0;
	table = vfio_cfg_get(c, c->msix + PCI_MSIX_TABLE, 4);
	pba = vfio_cfg_get(c, c->msix + PCI_MSIX_PBA, 4);
	m->n = (vfio_cfg_get(c, c->msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
	m->table_bar = table & PCI_MSIX_TABLE_BIR;
	m->table_off = table & PCI_MSIX_TABLE_OFFSET;
	m->table_size = (uint64_t)m->n * PCI_MSIX_ENTRY_SIZE;
	m->pba_bar = pba & PCI_MSIX_PBA_BIR;
	m->pba_off = pba & PCI_MSIX_PBA_OFFSET;
	m->pba_size = (uint64_t)ALIGN_UP(m->n, 64u) / 8;
	if (m->table_bar > 5 || m->pba_bar > 5)
		return err_set(e, -EINVAL,
			       "its MSI-X table is in BAR %u, its PBA in BAR %u: there "
			       "are only BARs 0-5",
			       m->table_bar, m->pba_bar);
	return 0;
}

static int check_msix(const struct vfio_pci *p, struct err *e)
{
	const struct vfio_msix_place *m = &p->msix_place;

	if (!m->n || (range_ok(m->table_off, m->table_size, p->bar[m->table_bar].region.size) &&
		      range_ok(m->pba_off, m->pba_size, p->bar[m->pba_bar].region.size) &&
		      p->fn.bar[m->table_bar].type != VM_BAR_IO))
		return 0;
	return err_set(e, -EINVAL,
		       "its MSI-X table of %u vectors (BAR %u, 0x%" PRIx64 ") or PBA (BAR %u, "
		       "0x%" PRIx64 ") does not fit its BAR",
		       m->n, m->table_bar, m->table_off, m->pba_bar, m->pba_off);
}

int vfio_bars_init(struct vfio_pci *p, struct err *e)
{
	int r = find_msix(p, e);

	for (unsigned int i = 0; i < ARRAY_SIZE(p->bar) && r == 0; i++) {
		if (i && p->fn.bar[i - 1].type == VM_BAR_MEM64) {
			p->bar[i].dev = p; /* the upper half of the one before */
			continue;
		}
		r = bar_init(p, i, e);
	}
	return r ? r : check_msix(p, e);
}

void vfio_bars_fini(struct vfio_pci *p)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(p->bar); i++) {
		struct vfio_bar *b = &p->bar[i];

		for (unsigned int k = 0; p->vfd && k < b->nareas; k++)
			p->vfd->ops->unmap(p->vfd, b->area[k].hva, b->area[k].size);
		b->nareas = 0;
		vm_io_region_fini(&b->io);
	}
}
