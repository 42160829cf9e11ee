// SPDX-License-Identifier: BSD-3-Clause
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet; register names as there).
 *
 * The transmitter is infinitely fast: what is written goes to the chr's buffer and the holding
 * register is empty again at once. Only when the host does not keep up does it stay full, and the
 * guest waits as it would for a slow line. The receiver's FIFO is filled from the main loop as far
 * as there is room, so nothing overruns.
 *
 * The baud rate, parity and stop bits are stored and mean nothing.
 */
#include <string.h>
#include "vmm/core/vm.h"
#include "vmm/devices/serial.h"

enum reg { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RDA	 0x01 /* received data available */
#define IER_THRE 0x02 /* transmitter holding register empty */
#define IER_RLS	 0x04 /* receiver line status */
#define IER_MS	 0x08 /* modem status */
#define IER_MASK 0x0f

#define IIR_NONE    0x01
#define IIR_MS	    0x00
#define IIR_THRE    0x02
#define IIR_RDA	    0x04
#define IIR_RLS	    0x06
#define IIR_TIMEOUT 0x0c /* data below the trigger level */
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_MASK     0xc9 /* what is kept: trigger level, DMA mode, enable */

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DR	 0x01
#define LSR_OE	 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_CTS	      0x10
#define MSR_DSR	      0x20
#define MSR_RI	      0x40
#define MSR_DCD	      0x80
#define MSR_CONNECTED (MSR_CTS | MSR_DSR | MSR_DCD)

/* ---- interrupts
 * ----------------------------------------------------------------------------------- */

static unsigned int trigger_level(const struct serial *s)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* The pending interrupt of the highest priority (data sheet, table IV). */
static uint8_t pending(const struct serial *s)
{
	if ((s->ier & IER_RLS) && (s->lsr & LSR_OE))
		return IIR_RLS;
	/* A real one waits four characters' time before it reports a few bytes; nobody is served by
	 * that. */
	if ((s->ier & IER_RDA) && s->n)
		return s->n >= trigger_level(s) ? IIR_RDA : IIR_TIMEOUT;
	if ((s->ier & IER_THRE) && s->thr_int)
		return IIR_THRE;
	if ((s->ier & IER_MS) && (s->msr & 0x0f))
		return IIR_MS;
	return IIR_NONE;
}

static void irq_update(struct serial *s)
{
	bool high = pending(s) != IIR_NONE;

	if (high == s->irq_high)
		return;
	s->irq_high = high;
	s->irq_raised += high;
	if (vm_irq_line(s->dev.vm->irqs, s->irq, high))
		log_debug(s->dev.vm->log, "%s: interrupt line", s->dev.id);
}

/* ---- the receiver
 * --------------------------------------------------------------------------------- */

static size_t fifo_room(const struct serial *s)
{
	unsigned int depth = s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;

	return s->n < depth ? depth - s->n : 0;
}

static void fifo_put(struct serial *s, uint8_t b)
{
	if (!fifo_room(s)) {
		s->lsr |= LSR_OE;
		return;
	}
	s->fifo[(s->head + s->n++) % SERIAL_FIFO] = b;
	s->lsr |= LSR_DR;
}

static uint8_t fifo_get(struct serial *s)
{
	uint8_t b;

	if (!s->n)
		return 0;
	b = s->fifo[s->head];
	s->head = (s->head + 1) % SERIAL_FIFO;
	if (--s->n == 0) {
		s->lsr &= ~LSR_DR;
		chr_rx_more(s->chr);
	}
	return b;
}

static void fifo_clear(struct serial *s)
{
	s->head = s->n = 0;
	s->lsr &= ~(LSR_DR | LSR_OE);
	chr_rx_more(s->chr);
}

/* ---- the chr's callbacks: main loop, the VM lock not held
 * ----------------------------------------- */

static size_t serial_room(void *arg)
{
	struct serial *s = arg;
	size_t room;

	vm_lock(s->dev.vm);
	/* In loopback the line is cut off. */
	room = s->mcr & MCR_LOOP ? 0 : fifo_room(s);
	vm_unlock(s->dev.vm);
	return room;
}

static void serial_rx(void *arg, const uint8_t *p, size_t n)
{
	struct serial *s = arg;

	vm_lock(s->dev.vm);
	for (size_t i = 0; i < n; i++)
		fifo_put(s, p[i]);
	irq_update(s);
	vm_unlock(s->dev.vm);
}

static void serial_tx_ready(void *arg)
{
	struct serial *s = arg;

	vm_lock(s->dev.vm);
	if (s->tx_wait) {
		s->tx_wait = false;
		s->thr_int = true;
		irq_update(s);
	}
	vm_unlock(s->dev.vm);
}

static void serial_quit(void *arg)
{
	struct serial *s = arg;

	vm_quit(s->dev.vm);
}

static const struct chr_user serial_user = {
	.room = serial_room,
	.rx = serial_rx,
	.tx_ready = serial_tx_ready,
	.quit = serial_quit,
};

/* ---- registers
 * ------------------------------------------------------------------------------------ */

static uint8_t loop_msr(const struct serial *s)
{
	/* The four outputs are wired to the four inputs. */
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* The state of the modem lines; a change sets the delta bits (the ring indicator's at its end
 * only). */
static void msr_update(struct serial *s)
{
	uint8_t lines = s->mcr & MCR_LOOP ? loop_msr(s) : MSR_CONNECTED;
	uint8_t delta = (s->msr ^ lines) >> 4;

	if (lines & MSR_RI)
		delta &= ~(MSR_RI >> 4);
	s->msr = lines | (s->msr & 0x0f) | delta;
}

static uint8_t iir_read(struct serial *s)
{
	uint8_t id = pending(s);

	/* Reading it is what acknowledges the transmitter's interrupt, if that is the one reported.
	 */
	if (id == IIR_THRE) {
		s->thr_int = false;
		irq_update(s);
	}
	return id | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t lsr_read(struct serial *s)
{
	uint8_t v = s->lsr;

	s->lsr &= ~LSR_OE;
	irq_update(s);
	if (s->mcr & MCR_LOOP || chr_can_write(s->chr))
		return v | LSR_THRE | LSR_TEMT;
	s->tx_wait = true;
	return v;
}

static uint8_t reg_read(struct serial *s, enum reg reg)
{
	uint8_t v = 0;

	switch (reg) {
	case RBR_THR_DLL:
		if (s->lcr & LCR_DLAB)
			return s->dll;
		v = fifo_get(s);
		irq_update(s);
		return v;
	case IER_DLM:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case IIR_FCR:
		return iir_read(s);
	case LCR:
		return s->lcr;
	case MCR:
		return s->mcr;
	case LSR:
		return lsr_read(s);
	case MSR:
		v = s->msr;
		s->msr &= 0xf0;
		irq_update(s);
		return v;
	case SCR:
		return s->scr;
	}
	return v;
}

static void thr_write(struct serial *s, uint8_t v)
{
	if (s->mcr & MCR_LOOP)
		fifo_put(s, v);
	else
		chr_write(s->chr, &v, 1);
	/* Empty again; while the host does not keep up the interrupt comes later, from
	 * serial_tx_ready(). */
	s->thr_int = s->mcr & MCR_LOOP || chr_can_write(s->chr);
	s->tx_wait = !s->thr_int;
	irq_update(s);
}

static void ier_write(struct serial *s, uint8_t v)
{
	/* Enabling it while the register is empty reports that at once (data sheet 8.6). */
	if (v & ~s->ier & IER_THRE) {
		s->thr_int = s->mcr & MCR_LOOP || chr_can_write(s->chr);
		s->tx_wait = !s->thr_int;
	}
	s->ier = v & IER_MASK;
	irq_update(s);
}

static void fcr_write(struct serial *s, uint8_t v)
{
	if ((v ^ s->fcr) & FCR_ENABLE || ((v & FCR_ENABLE) && (v & FCR_CLEAR_RX)))
		fifo_clear(s);
	s->fcr = v & FCR_ENABLE ? v & FCR_MASK : 0;
	irq_update(s);
}

static void mcr_write(struct serial *s, uint8_t v)
{
	uint8_t old = s->mcr;

	s->mcr = v & MCR_MASK;
	msr_update(s);
	if (old & ~s->mcr & MCR_LOOP)
		chr_rx_more(s->chr);
	irq_update(s);
}

static void reg_write(struct serial *s, enum reg reg, uint8_t v)
{
	switch (reg) {
	case RBR_THR_DLL:
		if (s->lcr & LCR_DLAB)
			s->dll = v;
		else
			thr_write(s, v);
		break;
	case IER_DLM:
		if (s->lcr & LCR_DLAB)
			s->dlm = v;
		else
			ier_write(s, v);
		break;
	case IIR_FCR:
		fcr_write(s, v);
		break;
	case LCR:
		s->lcr = v;
		break;
	case MCR:
		mcr_write(s, v);
		break;
	case LSR:
	case MSR:
		break; /* read-only but for factory tests */
	case SCR:
		s->scr = v;
		break;
	}
}

static enum vm_io_result io_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	if (len != 1)
		return VM_IO_UNHANDLED;
	*val = reg_read(dev, (enum reg)off);
	return VM_IO_OK;
}

static enum vm_io_result io_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	if (len != 1)
		return VM_IO_UNHANDLED;
	reg_write(dev, (enum reg)off, (uint8_t)val);
	return VM_IO_OK;
}

static const struct vm_io_ops io_ops = { .read = io_read, .write = io_write };

/* ---- life
 * ----------------------------------------------------------------------------------------- */

static void serial_reset(struct vm_dev *d)
{
	struct serial *s = (struct serial *)d;

	s->ier = s->fcr = s->lcr = s->mcr = s->lsr = s->scr = s->dlm = 0;
	s->dll = 12; /* 9600 baud */
	s->msr = MSR_CONNECTED;
	s->thr_int = s->tx_wait = false;
	fifo_clear(s);
	irq_update(s);
}

static int serial_realize(struct vm_dev *d, struct err *e)
{
	struct serial *s = (struct serial *)d;
	int ret;

	BUG_ON(!s->chr);
	s->io = (struct vm_io_region){
		.name = d->id, .base = s->port, .size = 8, .ops = &io_ops, .dev = s
	};
	serial_reset(d);
	ret = vm_bus_add(&d->vm->pio, &s->io, e);
	if (!ret)
		chr_start(s->chr, &serial_user, s);
	return ret;
}

static void serial_free(struct vm_dev *d)
{
	struct serial *s = (struct serial *)d;

	if (d->vm)
		vm_bus_del(&d->vm->pio, &s->io);
	vm_io_region_fini(&s->io);
	chr_close(s->chr);
	s->chr = NULL;
}

const struct vm_dev_ops serial_ops = {
	.name = "serial",
	.size = sizeof(struct serial),
	.realize = serial_realize,
	.reset = serial_reset,
	.free = serial_free,
};
