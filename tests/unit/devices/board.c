// SPDX-License-Identifier: BSD-3-Clause
/* Power management, board leftovers, the debug exit, and the clock. */
#include <errno.h>
#include "tests/unit/devices/devtest.h"
#include "vmm/devices/pm.h"
#include "vmm/devices/rtc.h"

struct ctx {
	struct board b;
	struct pm *pm;
	struct rtc *rtc;
	int64_t clock;
};

static int64_t fake_clock(void *arg)
{
	return *(int64_t *)arg;
}

static struct vm_dev *add(struct board *b, const struct vm_dev_ops *ops)
{
	struct vm_dev *d;

	assert_int_equal(vm_dev_new(ops, ops->name, &d), 0);
	assert_int_equal(vm_dev_add(b->vm, d, NULL), 0);
	return d;
}

static int setup(void **state)
{
	static struct ctx c;
	struct vm_dev *d;

	board_init(&c.b);
	c.pm = (struct pm *)add(&c.b, &pm_ops);
	add(&c.b, &legacy_ops);
	assert_int_equal(vm_dev_new(&debug_exit_ops, "exit", &d), 0);
	((struct debug_exit *)d)->port = 0xf4;
	assert_int_equal(vm_dev_add(c.b.vm, d, NULL), 0);
	assert_int_equal(vm_dev_new(&rtc_ops, "rtc", &d), 0);
	c.rtc = (struct rtc *)d;
	c.rtc->clock = fake_clock;
	c.rtc->clock_arg = &c.clock;
	/* 2024-02-29 23:59:58.25 UTC, a Thursday */
	c.clock = 1709251198250000;
	assert_int_equal(vm_dev_add(c.b.vm, d, NULL), 0);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	board_fini(&c->b);
	return 0;
}

/* ---- power management
 * ----------------------------------------------------------------------------- */

static void test_power_button(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	assert_int_equal(inl_(b, 0x604, 2), 1); /* ACPI mode */
	assert_int_equal(vm_power_button(b->vm), 0);
	assert_int_equal(b->fa->line[9], 0);
	assert_int_equal(inl_(b, 0x600, 2), 0x0100);
	vm_bus_write(&b->vm->pio, 0x602, 2, 0x0100);
	assert_int_equal(b->fa->line[9], 1);
	/* A zero clears nothing, a one does. */
	vm_bus_write(&b->vm->pio, 0x600, 2, 0);
	assert_int_equal(b->fa->line[9], 1);
	outb_(b, 0x601, 0x01);
	assert_int_equal(b->fa->line[9], 0);
	assert_int_equal(inl_(b, 0x600, 4), 0x01000000);
	vm_power_button(b->vm);
	assert_int_equal(b->fa->line[9], 1);
	pm_ops.reset(&c->pm->dev);
	assert_int_equal(b->fa->line[9], 0);
}

static void test_soft_off(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	vm_bus_write(&b->vm->pio, 0x604, 2, 0x2000 | 1 << 10); /* another sleep state */
	vm_bus_write(&b->vm->pio, 0x604, 2, 5 << 10);	       /* no SLP_EN */
	assert_int_equal(b->vm->end, VM_END_NONE);
	assert_int_equal(inl_(b, 0x604, 2), 5 << 10 | 1);
	vm_bus_write(&b->vm->pio, 0x604, 2, 0x2000 | 5 << 10);
	assert_int_equal(b->vm->end, VM_END_POWEROFF);
}

static void test_pm_timer(void **state)
{
	struct ctx *c = *state;
	uint32_t a = (uint32_t)inl_(&c->b, 0x608, 4);

	sys_sleep_ns(c->b.vm->sys, 1000000000);
	assert_true((uint32_t)inl_(&c->b, 0x608, 4) - a >= 3579545);
	vm_bus_write(&c->b.vm->pio, 0x608, 4, 0); /* read-only */
}

static void test_gpe(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	vm_bus_write(&b->vm->pio, 0x612, 2, 0xffff);
	assert_int_equal(inl_(b, 0x610, 4), 0xffff0000);
	assert_int_equal(b->fa->line[9], 0);
	for (unsigned int p = 0x600; p < 0x614; p++)
		for (unsigned int len = 1; len <= 4; len *= 2)
			vm_bus_write(&b->vm->pio, p, len, 0);
	assert_int_equal(b->vm->end, VM_END_NONE);
}

/* ---- leftovers
 * ------------------------------------------------------------------------------------ */

static void test_keyboard(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;
	unsigned int n = 0;

	/* A driver that empties the buffer gives up after 16 bytes; a loop that drains it ends. */
	while (n < 1000 && (inb_(b, 0x64) & 1)) {
		assert_false(inb_(b, 0x64) & 2);
		inb_(b, 0x60);
		n++;
	}
	assert_in_range(n, 17, 100);
	outb_(b, 0x64, 0xd1);
	assert_int_equal(b->vm->end, VM_END_NONE);
	outb_(b, 0x64, 0xfe);
	assert_int_equal(b->vm->end, VM_END_RESET);
}

static void test_port92(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	assert_int_equal(inb_(b, 0x92), 0x02);
	outb_(b, 0x92, 0x02);
	assert_int_equal(b->vm->end, VM_END_NONE);
	outb_(b, 0x92, 0x01);
	assert_int_equal(b->vm->end, VM_END_RESET);
}

static void test_port61(void **state)
{
	struct ctx *c = *state;
	uint8_t a = inb_(&c->b, 0x61);

	assert_int_equal((a ^ inb_(&c->b, 0x61)) & 0x10, 0x10);
	outb_(&c->b, 0x61, 0xff);
	assert_int_equal(inb_(&c->b, 0x61) & 0x2f, 0x2f);
}

static void test_pvpanic(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	assert_int_equal(inb_(b, 0x505), 3);
	outb_(b, 0x505, 2);
	assert_int_equal(b->vm->end, VM_END_NONE);
	outb_(b, 0x505, 1);
	assert_int_equal(b->vm->end, VM_END_CRASH);
}

static void test_debug_exit(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(inb_(&c->b, 0xf4), 0xff);
	vm_bus_write(&c->b.vm->pio, 0xf4, 4, 0x10);
	assert_int_equal(c->b.vm->end, VM_END_DEBUG_EXIT);
	assert_int_equal(c->b.vm->end_status, 0x21);
}

/* ---- the clock
 * ------------------------------------------------------------------------------------ */

static uint8_t cmos(struct ctx *c, uint8_t i)
{
	outb_(&c->b, 0x70, i);
	return inb_(&c->b, 0x71);
}

static void cmos_set(struct ctx *c, uint8_t i, uint8_t v)
{
	outb_(&c->b, 0x70, i);
	outb_(&c->b, 0x71, v);
}

static void check_time(struct ctx *c, const uint8_t want[8])
{
	static const uint8_t reg[8] = { 0x32, 9, 8, 7, 6, 4, 2, 0 };

	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(cmos(c, reg[i]), want[i]);
}

static void test_time(void **state)
{
	struct ctx *c = *state;

	check_time(c, (const uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58 });
	c->clock += 2000000;
	check_time(c, (const uint8_t[]){ 0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00 });
	cmos_set(c, 0x0b, 0x06); /* binary */
	check_time(c, (const uint8_t[]){ 20, 24, 3, 1, 6, 0, 0, 0 });
	cmos_set(c, 0x0b, 0x00); /* BCD, 12 hours */
	assert_int_equal(cmos(c, 4), 0x12);
	c->clock += 13ll * 3600 * 1000000;
	assert_int_equal(cmos(c, 4), 0x81);
	assert_int_equal(cmos(c, 0x0d), 0x80);
	assert_int_equal(inb_(&c->b, 0x70), 0xff);
	assert_int_equal(cmos(c, 0x80 | 9), 0x24); /* the NMI mask is not part of the index */
}

static void test_update_in_progress(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(cmos(c, 0x0a), 0x26);
	c->clock += 749800;
	assert_int_equal(cmos(c, 0x0a), 0xa6);
	c->clock += 200;
	assert_int_equal(cmos(c, 0x0a), 0x26);
	cmos_set(c, 0x0a, 0xff);
	assert_int_equal(cmos(c, 0x0a), 0x7f);
}

static void test_set_time(void **state)
{
	struct ctx *c = *state;

	cmos_set(c, 0x0b, 0x82);
	cmos_set(c, 0x32, 0x19);
	cmos_set(c, 9, 0x99);
	cmos_set(c, 8, 0x12);
	cmos_set(c, 7, 0x31);
	cmos_set(c, 4, 0x23);
	cmos_set(c, 2, 0x59);
	cmos_set(c, 0, 0x59);
	c->clock += 5000000; /* stopped meanwhile */
	assert_int_equal(cmos(c, 0), 0x59);
	cmos_set(c, 0x0b, 0x02);
	check_time(c, (const uint8_t[]){ 0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59 });
	c->clock += 1000000;
	check_time(c, (const uint8_t[]){ 0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0 });
	/* One field alone, and what is no time at all. */
	cmos_set(c, 2, 0x30);
	assert_int_equal(cmos(c, 2), 0x30);
	for (unsigned int i = 0; i < 128; i++)
		cmos_set(c, (uint8_t)i, 0xff);
	for (unsigned int i = 0; i < 128; i++)
		cmos(c, (uint8_t)i);
}

static void test_flags(void **state)
{
	struct ctx *c = *state;

	cmos(c, 0x0c);
	assert_int_equal(cmos(c, 0x0c), 0);
	c->clock += 1000000;
	assert_int_equal(cmos(c, 0x0c), 0x10);
	cmos_set(c, 1, 0x01);
	cmos_set(c, 3, 0xff);
	cmos_set(c, 5, 0xc0);
	c->clock += 1000000;
	assert_int_equal(cmos(c, 0x0c), 0x10);
	c->clock += 1000000; /* 00:00:01 */
	assert_int_equal(cmos(c, 0x0c), 0x30);
	c->clock -= 100000000ll; /* the host's clock is set back */
	assert_int_equal(cmos(c, 0x0c), 0);
}

static void test_alarm_interrupt(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	cmos_set(c, 1, 0x59);
	cmos_set(c, 3, 0x59);
	cmos_set(c, 5, 0x23);
	cmos_set(c, 0x0b, 0x22);
	c->clock += 740000; /* 10 ms before the second */
	assert_int_equal(ev_turn(b->ev, 0), 0);
	assert_int_equal(b->fa->line[8], 0);
	c->clock += 20000;
	for (unsigned int i = 0; i < 50 && !b->fa->line[8]; i++)
		assert_int_equal(ev_turn(b->ev, 20), 0);
	assert_int_equal(b->fa->line[8], 1);
	assert_int_equal(cmos(c, 0x0c), 0xb0);
	assert_int_equal(b->fa->line[8], 0);
	assert_non_null(c->rtc->timer);
	rtc_ops.reset(&c->rtc->dev);
	assert_int_equal(cmos(c, 0x0b), 0x02);
}

static void test_memory_size(void **state)
{
	struct ctx *c = *state;

	assert_int_equal(cmos(c, 0x15) | cmos(c, 0x16) << 8, 640);
	assert_int_equal(cmos(c, 0x17) | cmos(c, 0x18) << 8, 63 << 10);
	assert_int_equal(cmos(c, 0x34) | cmos(c, 0x35) << 8, 48 << 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_power_button),
		TEST(test_soft_off),
		TEST(test_pm_timer),
		TEST(test_gpe),
		TEST(test_keyboard),
		TEST(test_port92),
		TEST(test_port61),
		TEST(test_pvpanic),
		TEST(test_debug_exit),
		TEST(test_time),
		TEST(test_update_in_progress),
		TEST(test_set_time),
		TEST(test_flags),
		TEST(test_alarm_interrupt),
		TEST(test_memory_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
