// SPDX-License-Identifier: BSD-3-Clause
/*
 * ACPI fixed hardware (ACPI spec 6.5, 4.8.3). The machine is in ACPI mode from the start: SCI_EN
 * reads as one and there is no SMI command port. The GPE block is there for hot plug to come; no
 * event uses it yet.
 *
 * The timer's carry (TMR_STS) is not offered: no guest waits for it, and it would take a host
 * timer.
 */
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"
#include "vmm/devices/pm.h"

#define PM1_STS 0x00
#define PM1_EN	0x02
#define PM1_CNT 0x04
#define PM_TMR	0x08
#define GPE_STS 0x10
#define GPE_EN	0x12
#define PM_SIZE 0x14

#define PWRBTN	    0x0100
#define PM1_EN_MASK 0x0521 /* timer, global lock, power button, RTC */

#define CNT_SCI_EN 0x0001
#define CNT_MASK   0x1c03 /* SCI_EN, BM_RLD, SLP_TYP; SLP_EN reads as zero */
#define SLP_TYP(v) ((v) >> 10 & 7)
#define SLP_EN	   0x2000

#define PM_TMR_HZ 3579545u

/* Level-triggered, and shared by all that can raise it (ACPI spec 4.8.3.1.1). */
static void sci_update(struct pm *p)
{
	bool high = (p->sts & p->en) || (p->gpe_sts & p->gpe_en);

	if (high == p->sci)
		return;
	p->sci = high;
	if (vm_irq_line(p->dev.vm->irqs, VM_PM_SCI, high))
		log_debug(p->dev.vm->log, "pm: interrupt line");
}

static uint32_t timer_now(const struct pm *p)
{
	return (uint32_t)((unsigned __int128)sys_now_ns(p->dev.vm->sys) * PM_TMR_HZ / 1000000000u);
}

static void put16(uint8_t *img, unsigned int off, uint16_t v)
{
	img[off] = (uint8_t)v;
	img[off + 1] = (uint8_t)(v >> 8);
}

/* Guests read by byte, word or dword, at any offset: an image of the block serves them all. */
static enum vm_io_result pm_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct pm *p = dev;
	uint8_t img[PM_SIZE] = { 0 };
	uint32_t now = timer_now(p);
	uint64_t v = 0;

	put16(img, PM1_STS, p->sts);
	put16(img, PM1_EN, p->en);
	put16(img, PM1_CNT, p->cnt);
	put16(img, PM_TMR, (uint16_t)now);
	put16(img, PM_TMR + 2, (uint16_t)(now >> 16));
	put16(img, GPE_STS, p->gpe_sts);
	put16(img, GPE_EN, p->gpe_en);
	for (unsigned int i = len; i-- > 0;)
		v = v << 8 | img[off + i];
	*val = v;
	return VM_IO_OK;
}

static void cnt_write(struct pm *p, uint16_t v)
{
	p->cnt = (v & CNT_MASK) | CNT_SCI_EN;
	if (!(v & SLP_EN))
		return;
	if (SLP_TYP(v) == VM_SLEEP_S5_TYP)
		vm_end_locked(p->dev.vm, VM_END_POWEROFF, 0);
	else
		log_debug(p->dev.vm->log, "pm: sleep type %u is not offered", SLP_TYP(v));
}

/* One byte of a register; the wide ones are written byte by byte, low first. */
static void byte_write(struct pm *p, unsigned int off, uint8_t v)
{
	unsigned int sh = off % 2 * 8;
	uint16_t bits = (uint16_t)(v << sh), keep = (uint16_t) ~(0xff << sh);

	switch (off & ~1u) {
	case PM1_STS:
		p->sts &= ~bits; /* write one to clear */
		break;
	case PM1_EN:
		p->en = ((p->en & keep) | bits) & PM1_EN_MASK;
		break;
	case PM1_CNT:
		cnt_write(p, (p->cnt & keep) | bits);
		break;
	case GPE_STS:
		p->gpe_sts &= ~bits;
		break;
	case GPE_EN:
		p->gpe_en = (p->gpe_en & keep) | bits;
		break;
	}
}

static enum vm_io_result pm_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct pm *p = dev;

	for (unsigned int i = 0; i < len; i++, val >>= 8)
		byte_write(p, (unsigned int)off + i, (uint8_t)val);
	sci_update(p);
	return VM_IO_OK;
}

static const struct vm_io_ops io_ops = { .read = pm_read, .write = pm_write };

/* Nobody has to listen: without an enable bit the status waits for a guest that polls. */
static void power_button(void *arg)
{
	struct pm *p = arg;

	p->sts |= PWRBTN;
	sci_update(p);
}

static void pm_reset(struct vm_dev *d)
{
	struct pm *p = (struct pm *)d;

	p->sts = p->en = p->gpe_sts = p->gpe_en = 0;
	p->cnt = CNT_SCI_EN;
	sci_update(p);
}

static int pm_realize(struct vm_dev *d, struct err *e)
{
	struct pm *p = (struct pm *)d;
	int ret;

	p->io = (struct vm_io_region){
		.name = d->id, .base = VM_PM_PORT, .size = PM_SIZE, .ops = &io_ops, .dev = p
	};
	pm_reset(d);
	ret = vm_bus_add(&d->vm->pio, &p->io, e);
	if (ret)
		return ret;
	d->vm->power_button_arg = p;
	d->vm->power_button = power_button;
	return 0;
}

static void pm_free(struct vm_dev *d)
{
	struct pm *p = (struct pm *)d;

	if (d->vm) {
		vm_bus_del(&d->vm->pio, &p->io);
		if (d->vm->power_button_arg == p)
			d->vm->power_button = NULL;
	}
	vm_io_region_fini(&p->io);
}

const struct vm_dev_ops pm_ops = {
	.name = "pm",
	.size = sizeof(struct pm),
	.realize = pm_realize,
	.reset = pm_reset,
	.free = pm_free,
};
