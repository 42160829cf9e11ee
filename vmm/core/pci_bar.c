// SPDX-License-Identifier: BSD-3-Clause
/*
 * Base address registers.
 *
 * A BAR is mapped exactly while decoding is on (MSE or IOSE), its register holds an address and
 * that address is free: every memory BAR takes its range as a claim of the address map before its
 * device maps it, so it can't come to lie on RAM, on another BAR, on ECAM or on the interrupt
 * controllers. A move that is refused leaves the BAR unmapped until the register, or the decode
 * bit, is written again; the guest reads back what it wrote.
 *
 * A register that holds the all-ones sizing pattern is no address, whether decoding is on or not.
 * While the halves of a 64-bit BAR are written one after the other with decoding on, the mapping
 * follows each half.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "vmm/core/pci_priv.h"
#include "vmm/core/vm.h"

#define BAR_IO	     0x1u
#define BAR_MEM64    0x4u
#define BAR_PREFETCH 0x8u

#define IO_LIMIT 0x10000u /* ports of the CPU */

static bool is_upper_half(const struct vm_pci_fn *f, unsigned int idx)
{
	return idx > 0 && f->bar[idx - 1].type == VM_BAR_MEM64;
}

/* A page is the least that can be mapped, so smaller memory BARs are rounded up by their devices.
 */
static bool bar_size_ok(const struct vm_pci_bar *b)
{
	if (!IS_POW2(b->size))
		return false;
	if (b->type == VM_BAR_IO)
		return b->size >= 4 && b->size <= IO_LIMIT;
	return b->size >= KIB(4) && (b->type == VM_BAR_MEM64 || b->size <= GIB(2));
}

int pci_bars_check(struct vm_pci_fn *f, struct err *e)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(f->bar); i++) {
		struct vm_pci_bar *b = &f->bar[i];

		snprintf(b->name, sizeof(b->name), "%s BAR%u", f->name, i);
		if (b->type == VM_BAR_NONE)
			continue;
		if (!bar_size_ok(b))
			return err_set(e, -EINVAL,
				       "%s: a size of %" PRIu64 " bytes is not possible", b->name,
				       b->size);
		if (is_upper_half(f, i) || (b->type == VM_BAR_MEM64 && i == 5))
			return err_set(e, -EINVAL, "%s: no register is left for the upper half",
				       b->name);
		BUG_ON(!f->bar_map || !f->bar_unmap);
	}
	return 0;
}

/* The address bits that exist: those above the size, 32 of them unless it is a 64-bit BAR. */
static uint64_t bar_mask(const struct vm_pci_bar *b)
{
	return ~(b->size - 1) & (b->type == VM_BAR_MEM64 ? UINT64_MAX : UINT32_MAX);
}

static void bar_unmap(struct vm_pci_fn *f, unsigned int i)
{
	struct vm_pci_bar *b = &f->bar[i];

	if (!b->mapped)
		return;
	f->bar_unmap(f, i);
	vm_mem_unclaim(&f->vm->mem, &b->claim);
	b->mapped = false;
}

/* Claim, then let the device map: whoever else wants the range from here on is refused. */
static int bar_try(struct vm_pci_fn *f, unsigned int i, struct err *e)
{
	struct vm_pci_bar *b = &f->bar[i];
	int ret;

	if (b->type == VM_BAR_IO) {
		if (!range_ok(b->reg, b->size, IO_LIMIT))
			return err_set(e, -ERANGE, "there are only %u ports", IO_LIMIT);
		return f->bar_map(f, i, b->reg, e);
	}
	ret = vm_mem_claim(&f->vm->mem, &b->claim, b->reg, b->size, b->name, e);
	if (ret)
		return ret;
	ret = f->bar_map(f, i, b->reg, e);
	if (ret)
		vm_mem_unclaim(&f->vm->mem, &b->claim);
	return ret;
}

/* A refusal is the guest's to see only by what does not answer; ours is the counter and the line.
 */
static void bar_map(struct vm_pci_fn *f, unsigned int i)
{
	struct vm_pci *p = f->port->pci;
	struct vm_pci_bar *b = &f->bar[i];

	err_clear(&p->last);
	if (bar_try(f, i, &p->last)) {
		b->refused++;
		log_limited(f->vm->log, &p->limit, LOG_WARN,
			    "%s at 0x%" PRIx64 " is not mapped: %s", b->name, b->reg, p->last.text);
		return;
	}
	b->at = b->reg;
	b->mapped = true;
}

/* Let the mapping be what the registers say. */
static void bar_sync(struct vm_pci_fn *f, unsigned int i)
{
	struct vm_pci_bar *b = &f->bar[i];
	uint16_t decode = b->type == VM_BAR_IO ? VM_PCI_CMD_IO : VM_PCI_CMD_MEM;
	/* Address 0 is how a BAR without an address looks after reset. */
	bool want = (f->command & decode) && !b->sizing && b->reg;

	if (b->mapped && (!want || b->at != b->reg))
		bar_unmap(f, i);
	if (want && !b->mapped)
		bar_map(f, i);
}

uint32_t vm_pci_bar_read(const struct vm_pci_fn *f, unsigned int idx)
{
	const struct vm_pci_bar *b;

	if (idx >= ARRAY_SIZE(f->bar))
		return 0;
	b = &f->bar[idx];
	if (is_upper_half(f, idx))
		return (uint32_t)(b[-1].reg >> 32);
	switch (b->type) {
	case VM_BAR_NONE:
		return 0;
	case VM_BAR_IO:
		return (uint32_t)b->reg | BAR_IO;
	case VM_BAR_MEM32:
	case VM_BAR_MEM64:
		break;
	}
	return (uint32_t)b->reg | (b->type == VM_BAR_MEM64 ? BAR_MEM64 : 0) |
	       (b->prefetch ? BAR_PREFETCH : 0);
}

void vm_pci_bar_write(struct vm_pci_fn *f, unsigned int idx, uint32_t val)
{
	bool upper;
	struct vm_pci_bar *b;
	uint64_t reg;

	if (idx >= ARRAY_SIZE(f->bar) || !f->port)
		return;
	upper = is_upper_half(f, idx);
	idx -= upper;
	b = &f->bar[idx];
	if (b->type == VM_BAR_NONE)
		return;
	if (upper)
		reg = (uint64_t)val << 32 | (uint32_t)b->reg;
	else
		reg = (b->reg & ~(uint64_t)UINT32_MAX) | val;
	b->reg = reg & bar_mask(b);
	b->sizing &= ~(1 << upper);
	/* Written with or without the type bits set: compare those bits of the half that exist. */
	if (upper ? val == UINT32_MAX : (val | 0xf) == UINT32_MAX)
		b->sizing |= 1 << upper;
	bar_sync(f, idx);
}

void vm_pci_command(struct vm_pci_fn *f, uint16_t command)
{
	uint16_t changed = f->command ^ command;

	f->command = command;
	if (!f->port)
		return;
	if (changed & VM_PCI_CMD_MASTER && f->ops->master)
		f->ops->master(f, command & VM_PCI_CMD_MASTER);
	for (unsigned int i = 0; i < ARRAY_SIZE(f->bar); i++)
		if (f->bar[i].type != VM_BAR_NONE)
			bar_sync(f, i);
}

void vm_pci_unmap_all(struct vm_pci_fn *f)
{
	vm_pci_command(f, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(f->bar); i++) {
		bar_unmap(f, i);
		f->bar[i].reg = 0;
		f->bar[i].sizing = 0;
	}
}

void pci_fn_reset(struct vm_pci_fn *f)
{
	vm_pci_unmap_all(f);
	if (f->ops->reset)
		f->ops->reset(f);
}
