// SPDX-License-Identifier: BSD-3-Clause
/*
 * MC146818 real-time clock (Motorola data sheet) with the PC's CMOS memory around it.
 *
 * There is no counting: the time of day is the host's UTC plus an offset, put into the registers
 * when they are read. A guest that sets the clock changes the offset only. The century is at 32h,
 * as the FADT says.
 *
 * Flags are set for the seconds that have passed whenever register C is read, and by a timer once a
 * second while an interrupt is enabled, so a machine that does not use them costs nothing.
 */
#include <string.h>
#include <time.h>
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"
#include "vmm/devices/rtc.h"

enum {
	SEC = 0x00,
	SEC_ALARM = 0x01,
	MIN_ = 0x02,
	MIN_ALARM = 0x03,
	HOUR = 0x04,
	HOUR_ALARM = 0x05,
	WDAY = 0x06,
	MDAY = 0x07,
	MONTH = 0x08,
	YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CENTURY = 0x32,
};

#define A_UIP	  0x80
#define A_DEFAULT 0x26 /* 32 kHz base, 1024 Hz */

#define B_SET	  0x80
#define B_PIE	  0x40
#define B_AIE	  0x20
#define B_UIE	  0x10
#define B_SQWE	  0x08
#define B_BINARY  0x04
#define B_24H	  0x02
#define B_ENABLES (B_PIE | B_AIE | B_UIE | B_SQWE)

#define C_IRQF 0x80
#define C_AF   0x20
#define C_UF   0x10

#define D_VALID 0x80 /* the battery is fine */

#define HOUR_PM	  0x80
#define DONT_CARE 0xc0 /* an alarm register from here up matches always */

#define US_PER_S  1000000
#define UIP_US	  244 /* how long before an update the flag is set */
#define CATCH_UP  120 /* seconds looked at for an alarm after a pause */
#define INDEX_MAX 0x7f

static int64_t host_us(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static int64_t now_us(const struct rtc *r)
{
	return (r->clock ? r->clock(r->clock_arg) : host_us(NULL)) + r->offset_us;
}

static int64_t floor_sec(int64_t us)
{
	return us / US_PER_S - (us % US_PER_S < 0);
}

/* ---- registers from and to broken-down time
 * ------------------------------------------------------- */

static uint8_t encode(const struct rtc *r, int v)
{
	return (uint8_t)(r->ram[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int decode(const struct rtc *r, uint8_t v)
{
	return r->ram[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t hour_encode(const struct rtc *r, int hour)
{
	if (r->ram[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int hour_decode(const struct rtc *r, uint8_t v)
{
	if (r->ram[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Put the present time into the registers. */
static void time_to_regs(struct rtc *r)
{
	time_t t = (time_t)floor_sec(now_us(r));
	struct tm tm;
	int year;

	if (!gmtime_r(&t, &tm))
		return;
	year = MAX(tm.tm_year + 1900, 0);
	r->ram[SEC] = encode(r, tm.tm_sec);
	r->ram[MIN_] = encode(r, tm.tm_min);
	r->ram[HOUR] = hour_encode(r, tm.tm_hour);
	r->ram[WDAY] = encode(r, tm.tm_wday + 1);
	r->ram[MDAY] = encode(r, tm.tm_mday);
	r->ram[MONTH] = encode(r, tm.tm_mon + 1);
	r->ram[YEAR] = encode(r, year % 100);
	r->ram[CENTURY] = encode(r, year / 100);
}

/* Take the offset from the registers. Whatever a guest wrote there, timegm() makes a time of it. */
static void regs_to_time(struct rtc *r)
{
	struct tm tm = {
		.tm_sec = decode(r, r->ram[SEC]),
		.tm_min = decode(r, r->ram[MIN_]),
		.tm_hour = hour_decode(r, r->ram[HOUR]),
		.tm_mday = decode(r, r->ram[MDAY]),
		.tm_mon = decode(r, r->ram[MONTH]) - 1,
		.tm_year = decode(r, r->ram[CENTURY]) * 100 + decode(r, r->ram[YEAR]) - 1900,
	};

	r->offset_us += (int64_t)timegm(&tm) * US_PER_S - now_us(r);
	r->last_sec = floor_sec(now_us(r));
}

static bool is_time(unsigned int i)
{
	return i == SEC || i == MIN_ || i == HOUR || (i >= WDAY && i <= YEAR) || i == CENTURY;
}

/* ---- flags and interrupts
 * ------------------------------------------------------------------------- */

static void irq_update(struct rtc *r)
{
	bool high = r->ram[REG_C] & r->ram[REG_B] & (C_AF | C_UF);

	r->ram[REG_C] = (r->ram[REG_C] & ~C_IRQF) | (high ? C_IRQF : 0);
	if (high == r->irq_high)
		return;
	r->irq_high = high;
	if (vm_irq_line(r->dev.vm->irqs, VM_RTC_IRQ, high))
		log_debug(r->dev.vm->log, "rtc: interrupt line");
}

static bool alarm_at(const struct rtc *r, int64_t sec)
{
	time_t t = (time_t)sec;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return false;
	return (r->ram[SEC_ALARM] >= DONT_CARE || r->ram[SEC_ALARM] == encode(r, tm.tm_sec)) &&
	       (r->ram[MIN_ALARM] >= DONT_CARE || r->ram[MIN_ALARM] == encode(r, tm.tm_min)) &&
	       (r->ram[HOUR_ALARM] >= DONT_CARE ||
		r->ram[HOUR_ALARM] == hour_encode(r, tm.tm_hour));
}

/* Set the flags for the seconds since the last look. */
static void flags_update(struct rtc *r)
{
	int64_t sec = floor_sec(now_us(r));

	if (r->ram[REG_B] & B_SET)
		return; /* updates are stopped */
	if (sec > r->last_sec)
		r->ram[REG_C] |= C_UF;
	if (sec > r->last_sec + CATCH_UP)
		r->last_sec = sec - CATCH_UP;
	while (r->last_sec < sec)
		if (alarm_at(r, ++r->last_sec))
			r->ram[REG_C] |= C_AF;
	r->last_sec = sec; /* the clock may have been set back */
	irq_update(r);
}

static void tick_arm(struct rtc *r);

static void tick_fn(void *arg)
{
	struct rtc *r = arg;

	vm_lock(r->dev.vm);
	r->timer = NULL;
	flags_update(r);
	tick_arm(r);
	vm_unlock(r->dev.vm);
}

/* The next second, if anybody waits for it; loop's thread, VM lock held. */
static void tick_arm(struct rtc *r)
{
	int64_t us = now_us(r), left = US_PER_S - (us - floor_sec(us) * US_PER_S);

	r->ticking = r->ram[REG_B] & (B_AIE | B_UIE);
	if (r->ticking && !r->timer &&
	    ev_timer(r->dev.vm->ev, (uint64_t)left * 1000, tick_fn, r, &r->timer))
		r->ticking = false;
}

static void tick_start_fn(void *arg)
{
	struct rtc *r = arg;

	vm_lock(r->dev.vm);
	tick_arm(r);
	vm_unlock(r->dev.vm);
}

/* ---- registers
 * ------------------------------------------------------------------------------------ */

static uint8_t ram_read(struct rtc *r, unsigned int i)
{
	uint8_t v;

	if (is_time(i) && !(r->ram[REG_B] & B_SET))
		time_to_regs(r);
	if (i == REG_A) {
		int64_t us = now_us(r), in = us - floor_sec(us) * US_PER_S;
		bool uip = in >= US_PER_S - UIP_US && !(r->ram[REG_B] & B_SET);

		return r->ram[REG_A] | (uip ? A_UIP : 0);
	}
	if (i != REG_C)
		return r->ram[i];
	flags_update(r);
	v = r->ram[REG_C];
	r->ram[REG_C] = 0;
	irq_update(r);
	return v;
}

static void b_write(struct rtc *r, uint8_t v)
{
	uint8_t old = r->ram[REG_B];

	/* Setting stops the clock with the time in the registers, in the format of before. */
	if (v & ~old & B_SET) {
		flags_update(r);
		time_to_regs(r);
		v &= ~B_UIE; /* data sheet: SET clears it */
	}
	r->ram[REG_B] = v;
	if (old & ~v & B_SET)
		regs_to_time(r);
	if ((v & (B_AIE | B_UIE)) && !r->ticking) {
		r->last_sec = floor_sec(now_us(r));
		/* The device goes after the last turn of the loop, so the call can't come too late.
		 */
		r->ticking = r->dev.vm->ev && !ev_call(r->dev.vm->ev, tick_start_fn, r);
	}
	irq_update(r);
}

static void ram_write(struct rtc *r, unsigned int i, uint8_t v)
{
	switch (i) {
	case REG_A:
		r->ram[i] = v & ~A_UIP;
		return;
	case REG_B:
		b_write(r, v);
		return;
	case REG_C:
	case REG_D:
		return; /* read-only */
	}
	if (is_time(i) && !(r->ram[REG_B] & B_SET)) {
		time_to_regs(r);
		r->ram[i] = v;
		regs_to_time(r);
		return;
	}
	r->ram[i] = v;
}

static enum vm_io_result rtc_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct rtc *r = dev;

	if (len != 1 || off == 0)
		return VM_IO_UNHANDLED; /* the index is write-only */
	*val = ram_read(r, r->index);
	return VM_IO_OK;
}

static enum vm_io_result rtc_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct rtc *r = dev;

	if (len != 1)
		return VM_IO_UNHANDLED;
	if (off == 0)
		r->index = val & INDEX_MAX; /* bit 7 masks NMI on a PC */
	else
		ram_write(r, r->index, (uint8_t)val);
	return VM_IO_OK;
}

static const struct vm_io_ops io_ops = { .read = rtc_read, .write = rtc_write };

/* ---- life
 * ----------------------------------------------------------------------------------------- */

static void put(struct rtc *r, unsigned int lo, unsigned int hi, uint64_t v)
{
	v = MIN(v, (uint64_t)UINT16_MAX);
	r->ram[lo] = (uint8_t)v;
	r->ram[hi] = (uint8_t)(v >> 8);
}

/* The memory size where firmware leaves it, for kernels that ask nobody else. */
static void memory_size(struct rtc *r)
{
	uint64_t low = MIN(r->dev.vm->ram.size, VM_RAM_HOLE);
	uint64_t ext = low > MIB(1) ? low - MIB(1) : 0, above16 = low > MIB(16) ? low - MIB(16) : 0;

	put(r, 0x15, 0x16, 640);
	put(r, 0x17, 0x18, ext >> 10);
	put(r, 0x30, 0x31, ext >> 10);
	put(r, 0x34, 0x35, above16 >> 16);
}

static void rtc_reset(struct vm_dev *d)
{
	struct rtc *r = (struct rtc *)d;

	/* The clock and the CMOS memory have a battery; the interrupts go off. */
	r->index = 0;
	if (r->ram[REG_B] & B_SET)
		b_write(r, r->ram[REG_B] & ~(B_ENABLES | B_SET));
	r->ram[REG_B] &= ~B_ENABLES;
	r->ram[REG_C] = 0;
	irq_update(r);
	memory_size(r);
}

static int rtc_realize(struct vm_dev *d, struct err *e)
{
	struct rtc *r = (struct rtc *)d;

	r->ram[REG_A] = A_DEFAULT;
	r->ram[REG_B] = B_24H;
	r->ram[REG_D] = D_VALID;
	r->last_sec = floor_sec(now_us(r));
	rtc_reset(d);
	r->io = (struct vm_io_region){
		.name = d->id, .base = VM_RTC_PORT, .size = 2, .ops = &io_ops, .dev = r
	};
	return vm_bus_add(&d->vm->pio, &r->io, e);
}

static void rtc_free(struct vm_dev *d)
{
	struct rtc *r = (struct rtc *)d;

	ev_del(r->timer);
	r->timer = NULL;
	if (d->vm)
		vm_bus_del(&d->vm->pio, &r->io);
	vm_io_region_fini(&r->io);
}

const struct vm_dev_ops rtc_ops = {
	.name = "rtc",
	.size = sizeof(struct rtc),
	.realize = rtc_realize,
	.reset = rtc_reset,
	.free = rtc_free,
};
