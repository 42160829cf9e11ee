// SPDX-License-Identifier: BSD-3-Clause
/*
 * The UART's registers, with input from the host in between. Records of 3 bytes: what, port, value.
 * The line is up exactly while an interrupt is pending, and the FIFO never takes more than it said.
 */
#include <string.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/vm.h"
#include "vmm/devices/chr_priv.h"
#include "vmm/devices/serial.h"

#define RECORD 3u
#define COM    0x3f8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void receive(struct chr *c, size_t n)
{
	static const uint8_t bytes[SERIAL_FIFO];
	size_t room = c->user->room(c->arg);

	BUG_ON(room > SERIAL_FIFO);
	c->user->rx(c->arg, bytes, MIN(n, room));
}

static void step(struct vm *vm, struct serial *s, const uint8_t *p)
{
	struct chr *c = s->chr;
	uint64_t v;

	switch (p[0] % 8) {
	case 0:
	case 1:
	case 2:
		vm_bus_write(&vm->pio, COM + p[1] % 8, 1, p[2]);
		break;
	case 3:
	case 4:
		vm_bus_read(&vm->pio, COM + p[1] % 8, 1, &v);
		break;
	case 5:
		vm_bus_write(&vm->pio, COM + p[1] % 10 - 1, 1u << p[1] / 64, p[2]);
		vm_bus_read(&vm->pio, COM + p[1] % 10 - 1, 1u << p[1] / 64, &v);
		break;
	case 6:
		receive(c, p[2] % 32);
		break;
	case 7: /* the host does not keep up, or does again */
		c->null = false;
		c->online = true;
		c->used = p[2] & 1 ? CHR_BUF : 0;
		if (!c->used)
			c->user->tx_ready(c->arg);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fakesys *fs = fakesys_new();
	struct fakeaccel *fa = fakeaccel_new();
	struct vm *vm = fakeaccel_vm(fakesys_sys(fs), fa, MIB(16));
	struct vm_dev *d;
	struct serial *s;

	BUG_ON(vm_dev_new(&serial_ops, "serial0", &d));
	s = (struct serial *)d;
	s->port = COM;
	s->irq = 4;
	BUG_ON(chr_open(vm->sys, NULL, NULL, "null", NULL, &s->chr, NULL));
	BUG_ON(vm_dev_add(vm, d, NULL));
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		step(vm, s, data);
		BUG_ON(s->n > SERIAL_FIFO || s->head >= SERIAL_FIFO);
		BUG_ON((s->n > 0) != (s->lsr & 1));
		BUG_ON(fa->line[4] != s->irq_high);
		BUG_ON(fa->line[4] && !s->ier);
	}
	s->chr->null = true;
	fakeaccel_vm_free(vm);
	fakesys_free(fs);
	return 0;
}
