// SPDX-License-Identifier: BSD-3-Clause
/* Registers (13), by memory and through the I/O window; VM lock. */
#include <unistd.h>
#include "vmm/devices/e1000/e1000_priv.h"

#define EE_PRESENT 0x100u /* EECD */

void e1000_stat(struct e1000 *d, unsigned int reg, uint32_t n)
{
	uint32_t old = e1000_get(d, reg);

	/* Statistics stick at their maximum (13.7). A reading that comes between is not lost twice.
	 */
	if (old > UINT32_MAX - n)
		e1000_set(d, reg, UINT32_MAX);
	else
		atomic_fetch_add(&d->reg[reg / 4], n);
}

void e1000_stat64(struct e1000 *d, unsigned int reg, uint64_t n)
{
	uint32_t old = atomic_fetch_add(&d->reg[reg / 4], (uint32_t)n);

	if (old + (uint32_t)n < old)
		atomic_fetch_add(&d->reg[reg / 4 + 1], 1);
}

/* The I/O thread has something to do. The flags' order pairs with arm(). */
static void kick(struct e1000 *d, unsigned int what)
{
	const uint64_t one = 1;

	atomic_fetch_or(&d->rang, what);
	if (atomic_load(&d->awake))
		return;
	if (write(d->kick, &one, sizeof(one)) < 0)
		return; /* the counter is full: the thread has been woken */
}

void e1000_reset_regs(struct e1000 *d)
{
	unsigned int i;

	for (i = 0; i < E1000_REGS_END / 4; i++)
		atomic_store_explicit(&d->reg[i], 0, memory_order_relaxed);
	e1000_set(d, E1000_CTRL, 0x00000201); /* FD, 1000 */
	e1000_set(d, E1000_STATUS, E1000_STATUS_FD | E1000_STATUS_1000 | E1000_STATUS_LU);
	e1000_set(d, E1000_EECD, EE_PRESENT);
	e1000_set(d, E1000_PBA, 0x00100030);
	e1000_set(d, E1000_RXCSUM, 0x300);
	e1000_set(d, E1000_RA,
		  d->mac.b[0] | (uint32_t)d->mac.b[1] << 8 | (uint32_t)d->mac.b[2] << 16 |
			  (uint32_t)d->mac.b[3] << 24);
	e1000_set(d, E1000_RA + 4, d->mac.b[4] | (uint32_t)d->mac.b[5] << 8 | 0x80000000u);
	d->ee_bits = 0;
	e1000_phy_reset(d);
}

static void device_reset(struct e1000 *d)
{
	e1000_stop_rings(d);
	e1000_reset_regs(d);
	e1000_go(d);
}

static void ctrl_write(struct e1000 *d, uint32_t val)
{
	if (val & E1000_CTRL_RST) {
		device_reset(d);
		return;
	}
	if (val & E1000_CTRL_PHY_RST)
		e1000_phy_reset(d);
	if (val & ~e1000_get(d, E1000_CTRL) & E1000_CTRL_SLU)
		e1000_raise(d, E1000_I_LSC);
	e1000_set(d, E1000_CTRL, val & ~E1000_CTRL_PHY_RST);
}

/* Reading clears it, which also takes the level down at the next EOI. */
static uint32_t icr_read(struct e1000 *d)
{
	return atomic_exchange(&d->reg[E1000_ICR / 4], 0);
}

static uint32_t reg_read(struct e1000 *d, uint64_t reg)
{
	if (reg >= E1000_STATS && reg < E1000_STATS + 0x100)
		return atomic_exchange(&d->reg[reg / 4], 0);
	switch (reg) {
	case E1000_ICR:
		return icr_read(d);
	case E1000_ICS:
	case E1000_IMC:
		return 0;
	default:
		return reg < E1000_REGS_END ? e1000_get(d, (unsigned int)reg) : 0;
	}
}

/* Registers that only keep what was written: filters, rings, timers, LEDs, wake-up. */
static bool plain(uint64_t reg)
{
	return reg < E1000_REGS_END && !(reg >= E1000_STATS && reg < E1000_STATS + 0x100) &&
	       reg != E1000_STATUS;
}

static void reg_write(struct e1000 *d, uint64_t reg, uint32_t val)
{
	switch (reg) {
	case E1000_CTRL:
		ctrl_write(d, val);
		break;
	case E1000_EECD:
		e1000_eecd_write(d, val);
		break;
	case E1000_EERD:
		e1000_set(d, E1000_EERD, e1000_eerd(d, val));
		break;
	case E1000_MDIC:
		e1000_set(d, E1000_MDIC, e1000_mdic(d, val));
		break;
	case E1000_ICR: /* writing ones clears them */
		atomic_fetch_and(&d->reg[E1000_ICR / 4], ~val);
		break;
	case E1000_ICS:
		e1000_raise(d, val & E1000_I_ALL);
		break;
	case E1000_IMS:
		atomic_fetch_or(&d->reg[E1000_IMS / 4], val & E1000_I_ALL);
		e1000_irq_update(d);
		break;
	case E1000_IMC:
		atomic_fetch_and(&d->reg[E1000_IMS / 4], ~val);
		break;
	case E1000_RDT: /* in this order; pairs with no_room() */
		atomic_store(&d->reg[E1000_RDT / 4], val);
		if (atomic_load(&d->rx_waits))
			kick(d, E1000_RANG_RX);
		break;
	case E1000_RCTL:
		e1000_set(d, E1000_RCTL, val);
		kick(d, E1000_RANG_RX);
		break;
	case E1000_TCTL:
	case E1000_TDT:
		e1000_set(d, (unsigned int)reg, val);
		kick(d, E1000_RANG_TX);
		break;
	default:
		if (plain(reg))
			e1000_set(d, (unsigned int)reg, val);
	}
}

static enum vm_io_result mmio_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct e1000 *d = dev;

	if (len != 4 || off % 4)
		return VM_IO_ERROR;
	*val = reg_read(d, off);
	return VM_IO_OK;
}

static enum vm_io_result mmio_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	if (len != 4 || off % 4)
		return VM_IO_ERROR;
	reg_write(dev, off, (uint32_t)val);
	return VM_IO_OK;
}

const struct vm_io_ops e1000_mmio_ops = { mmio_read, mmio_write };

/* The I/O window (13.2.2): an address register and a data register. */
static enum vm_io_result port_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct e1000 *d = dev;

	if (len != 4 || off % 4 || off > 4)
		return VM_IO_ERROR;
	*val = off ? reg_read(d, d->io_addr) : d->io_addr;
	return VM_IO_OK;
}

static enum vm_io_result port_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct e1000 *d = dev;

	if (len != 4 || off % 4 || off > 4)
		return VM_IO_ERROR;
	if (off)
		reg_write(d, d->io_addr, (uint32_t)val);
	else
		d->io_addr = (uint32_t)val & 0x1fffc;
	return VM_IO_OK;
}

const struct vm_io_ops e1000_port_ops = { port_read, port_write };
