// SPDX-License-Identifier: BSD-3-Clause
/* The 16550A as drivers probe and use it. The chr's two callbacks are called as its loop would. */
#include "tests/unit/devices/devtest.h"
#include "vmm/devices/chr_priv.h"
#include "vmm/devices/serial.h"

#define COM 0x3f8
#define IRQ 4

#define RBR (COM + 0)
#define IER (COM + 1)
#define IIR (COM + 2)
#define FCR (COM + 2)
#define LCR (COM + 3)
#define MCR (COM + 4)
#define LSR (COM + 5)
#define MSR (COM + 6)
#define SCR (COM + 7)

struct ctx {
	struct board b;
	struct serial *s;
};

static int setup(void **state)
{
	static struct ctx c;
	struct vm_dev *d;

	board_init(&c.b);
	assert_int_equal(vm_dev_new(&serial_ops, "serial0", &d), 0);
	c.s = (struct serial *)d;
	c.s->port = COM;
	c.s->irq = IRQ;
	assert_int_equal(chr_open(sys_host(), c.b.ev, NULL, "null", NULL, &c.s->chr, NULL), 0);
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

static void receive(struct ctx *c, const char *text)
{
	struct chr *chr = c->s->chr;

	assert_true(strlen(text) <= chr->user->room(chr->arg));
	chr->user->rx(chr->arg, (const uint8_t *)text, strlen(text));
}

static unsigned int room(struct ctx *c)
{
	return (unsigned int)c->s->chr->user->room(c->s->chr->arg);
}

static void test_probe(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	/* The steps of a usual driver that asks: is it there, what is it? */
	assert_int_equal(inb_(b, LSR), 0x60);
	outb_(b, IER, 0xff);
	assert_int_equal(inb_(b, IER), 0x0f);
	outb_(b, IER, 0);
	outb_(b, MCR, 0x10 | 0x08 | 0x02);
	assert_int_equal(inb_(b, MSR) & 0xf0, 0x90);
	outb_(b, MCR, 0);
	outb_(b, SCR, 0xa5);
	assert_int_equal(inb_(b, SCR), 0xa5);
	assert_int_equal(inb_(b, IIR), 0x01);
	outb_(b, FCR, 0x01);
	assert_int_equal(inb_(b, IIR), 0xc1);
	outb_(b, FCR, 0x21); /* no 64-byte FIFO */
	assert_int_equal(inb_(b, IIR), 0xc1);
	outb_(b, LCR, 0x83);
	outb_(b, RBR, 0x01);
	outb_(b, IER, 0x02);
	assert_int_equal(inb_(b, RBR), 0x01);
	assert_int_equal(inb_(b, IER), 0x02);
	outb_(b, LCR, 0x03);
	assert_int_equal(inb_(b, IER), 0);
	assert_int_equal(inl_(b, COM, 2), 0xffff);
	assert_int_equal(inb_(b, MSR), 0xb0 | 0x02); /* DSR fell and rose: a change */
	assert_int_equal(inb_(b, MSR), 0xb0);
}

static void test_transmit_interrupt(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	outb_(b, FCR, 0x01);
	outb_(b, IER, 0x02);
	assert_int_equal(b->fa->line[IRQ], 1);
	assert_int_equal(inb_(b, IIR), 0xc2);
	assert_int_equal(b->fa->line[IRQ], 0);
	assert_int_equal(inb_(b, IIR), 0xc1);
	/* A burst raises it once. */
	for (unsigned int i = 0; i < 16; i++)
		outb_(b, RBR, 'x');
	assert_int_equal(c->s->irq_raised, 2);
	/* Off and on again reports it again, as drivers that test for a broken UART want it. */
	inb_(b, IIR);
	outb_(b, IER, 0);
	outb_(b, IER, 0x02);
	assert_int_equal(inb_(b, IIR), 0xc2);
}

static void test_receive(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	outb_(b, FCR, 0x41); /* trigger at 4 */
	assert_int_equal(room(c), 16);
	receive(c, "ab");
	assert_int_equal(b->fa->line[IRQ], 0);
	assert_int_equal(inb_(b, LSR), 0x61);
	outb_(b, IER, 0x01);
	assert_int_equal(b->fa->line[IRQ], 1);
	assert_int_equal(inb_(b, IIR), 0xcc);
	receive(c, "cd");
	assert_int_equal(inb_(b, IIR), 0xc4);
	assert_int_equal(room(c), 12);
	for (const char *p = "abcd"; *p; p++)
		assert_int_equal(inb_(b, RBR), *p);
	assert_int_equal(b->fa->line[IRQ], 0);
	assert_int_equal(inb_(b, LSR), 0x60);
	assert_int_equal(inb_(b, RBR), 0);
	/* Clearing the FIFO drops what is in it. */
	receive(c, "x");
	outb_(b, FCR, 0x03);
	assert_int_equal(inb_(b, LSR), 0x60);
	assert_int_equal(b->fa->line[IRQ], 0);
}

static void test_without_fifo(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	assert_int_equal(room(c), 1);
	receive(c, "a");
	assert_int_equal(room(c), 0);
	outb_(b, IER, 0x01);
	assert_int_equal(inb_(b, IIR), 0x04);
	assert_int_equal(inb_(b, RBR), 'a');
	assert_int_equal(room(c), 1);
}

static void test_loopback(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	outb_(b, FCR, 0x01);
	outb_(b, MCR, 0x10);
	assert_int_equal(room(c), 0);
	for (unsigned int i = 0; i < 17; i++)
		outb_(b, RBR, (uint8_t)('a' + i));
	assert_int_equal(inb_(b, LSR), 0x63); /* the 17th was lost */
	assert_int_equal(inb_(b, LSR), 0x61); /* reading clears that */
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(inb_(b, RBR), 'a' + i);
	outb_(b, MCR, 0);
	assert_int_equal(room(c), 16);
}

static void test_overrun_interrupt(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	outb_(b, IER, 0x04);
	outb_(b, MCR, 0x10);
	outb_(b, RBR, 'a');
	outb_(b, RBR, 'b');
	assert_int_equal(inb_(b, IIR), 0x06);
	assert_int_equal(b->fa->line[IRQ], 1);
	inb_(b, LSR);
	assert_int_equal(inb_(b, IIR), 0x01);
	assert_int_equal(b->fa->line[IRQ], 0);
}

static void test_modem_interrupt(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	inb_(b, MSR);
	outb_(b, IER, 0x08);
	outb_(b, MCR, 0x10);
	assert_int_equal(inb_(b, IIR), 0x00);
	assert_int_equal(inb_(b, MSR), 0x0b);
	assert_int_equal(inb_(b, IIR), 0x01);
}

/* The host does not keep up: the guest sees a full register, and hears when it is empty. */
static void test_backpressure(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;
	struct chr *chr = c->s->chr;

	chr->null = false; /* offline would be "nobody to wait for" */
	chr->online = true;
	chr->used = CHR_BUF;
	outb_(b, FCR, 0x01);
	outb_(b, IER, 0x02);
	assert_int_equal(inb_(b, LSR) & 0x60, 0);
	assert_int_equal(inb_(b, IIR), 0xc1);
	chr->used = 0;
	chr->user->tx_ready(chr->arg);
	assert_int_equal(b->fa->line[IRQ], 1);
	assert_int_equal(inb_(b, IIR), 0xc2);
	assert_int_equal(inb_(b, LSR) & 0x60, 0x60);
	chr->null = true;
}

static void test_reset(void **state)
{
	struct ctx *c = *state;
	struct board *b = &c->b;

	outb_(b, FCR, 0x01);
	outb_(b, IER, 0x03);
	receive(c, "abc");
	outb_(b, MCR, 0x0b);
	serial_ops.reset(&c->s->dev);
	assert_int_equal(b->fa->line[IRQ], 0);
	assert_int_equal(inb_(b, IER), 0);
	assert_int_equal(inb_(b, IIR), 0x01);
	assert_int_equal(inb_(b, MCR), 0);
	assert_int_equal(inb_(b, LSR), 0x60);
}

static void test_port_taken(void **state)
{
	struct ctx *c = *state;
	struct vm_dev *d;
	struct serial *s;
	struct err e = { 0 };

	assert_int_equal(vm_dev_new(&serial_ops, "serial1", &d), 0);
	s = (struct serial *)d;
	s->port = COM + 7;
	assert_int_equal(chr_open(sys_host(), c->b.ev, NULL, "null", NULL, &s->chr, NULL), 0);
	assert_int_not_equal(vm_dev_add(c->b.vm, d, &e), 0);
	assert_non_null(strstr(e.text, "serial0"));
}

static void test_quit(void **state)
{
	struct ctx *c = *state;

	c->s->chr->user->quit(c->s->chr->arg);
	assert_int_equal(c->b.vm->end, VM_END_QUIT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_probe),
		TEST(test_transmit_interrupt),
		TEST(test_receive),
		TEST(test_without_fifo),
		TEST(test_loopback),
		TEST(test_overrun_interrupt),
		TEST(test_modem_interrupt),
		TEST(test_backpressure),
		TEST(test_reset),
		TEST(test_port_taken),
		TEST(test_quit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
