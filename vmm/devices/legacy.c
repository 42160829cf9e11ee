// SPDX-License-Identifier: BSD-3-Clause
/*
 * The rest of a PC's board, as far as guests trip over its absence.
 *
 *   60h, 64h  keyboard controller: no keyboard. Its command FEh resets the machine. The status
 * never says "busy", so that nobody waits, and says "data there" for a while, as an empty bus
 * would: drivers that find a buffer which can't be emptied conclude quickly that there is no
 * controller, and loops that drain it still end. 61h       refresh toggle, timer 2's output (always
 * high) and the speaker's gate, which is stored 80h       POST codes, and the delay that old
 * drivers use it for 92h       A20 gate (always on) and fast reset 505h      pvpanic: the guest
 * says that it has crashed
 */
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"
#include "vmm/devices/pm.h"

#define KBD_DATA    0x60
#define PORT61	    0x61
#define KBD_STATUS  0x64
#define POST	    0x80
#define PORT92	    0x92
#define KBD_RESET   0xfe
#define KBD_FULL    0x01 /* output buffer full */
#define KBD_SYSFLAG 0x04 /* self-test passed */
#define KBD_DRAIN   64	 /* reads after which the buffer is empty after all */

#define P61_STORED  0x0f
#define P61_REFRESH 0x10
#define P61_OUT2    0x20

#define P92_RESET 0x01
#define P92_A20	  0x02

#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02

static const uint16_t ports[LEGACY_PORTS] = { KBD_DATA, PORT61, KBD_STATUS,
					      POST,	PORT92, VM_PVPANIC_PORT };

static enum vm_io_result legacy_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	const struct legacy_port *p = dev;
	struct legacy *l = p->dev;

	if (len != 1)
		return VM_IO_UNHANDLED;
	switch (p->port) {
	case KBD_DATA:
		if (l->kbd_reads < KBD_DRAIN)
			l->kbd_reads++;
		*val = 0xff;
		break;
	case KBD_STATUS:
		*val = KBD_SYSFLAG | (l->kbd_reads < KBD_DRAIN ? KBD_FULL : 0);
		break;
	case PORT61:
		l->port61 ^= P61_REFRESH;
		*val = l->port61 | P61_OUT2;
		break;
	case PORT92:
		*val = l->port92 | P92_A20;
		break;
	case VM_PVPANIC_PORT:
		*val = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED; /* the events that are understood */
		break;
	default:
		return VM_IO_UNHANDLED;
	}
	return VM_IO_OK;
}

static void pvpanic_write(struct legacy *l, uint8_t v)
{
	if (v & PVPANIC_CRASH_LOADED)
		log_limited(l->dev.vm->log, &l->limit, LOG_WARN,
			    "the guest has panicked and boots its crash kernel");
	if (v & PVPANIC_PANICKED)
		vm_end_locked(l->dev.vm, VM_END_CRASH, 0);
}

static enum vm_io_result legacy_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	const struct legacy_port *p = dev;
	struct legacy *l = p->dev;

	switch (p->port) {
	case KBD_STATUS:
		if (val == KBD_RESET)
			vm_reset_locked(l->dev.vm);
		break;
	case PORT61:
		l->port61 = (l->port61 & P61_REFRESH) | (val & P61_STORED);
		break;
	case PORT92:
		if (val & ~l->port92 & P92_RESET)
			vm_reset_locked(l->dev.vm);
		l->port92 = val & P92_RESET;
		break;
	case VM_PVPANIC_PORT:
		pvpanic_write(l, (uint8_t)val);
		break;
	}
	return VM_IO_OK;
}

static const struct vm_io_ops io_ops = { .read = legacy_read, .write = legacy_write };

static void legacy_reset(struct vm_dev *d)
{
	struct legacy *l = (struct legacy *)d;

	l->port61 = l->port92 = 0;
	l->kbd_reads = 0;
}

static const char *port_name(uint16_t port)
{
	switch (port) {
	case KBD_DATA:
	case KBD_STATUS:
		return "keyboard";
	case POST:
		return "POST";
	case VM_PVPANIC_PORT:
		return "pvpanic";
	default:
		return "board";
	}
}

static int legacy_realize(struct vm_dev *d, struct err *e)
{
	struct legacy *l = (struct legacy *)d;
	int ret = 0;

	for (unsigned int i = 0; i < LEGACY_PORTS && !ret; i++) {
		struct legacy_port *p = &l->port[i];

		p->dev = l;
		p->port = ports[i];
		p->io = (struct vm_io_region){ .name = port_name(ports[i]),
					       .base = ports[i],
					       .size = 1,
					       .ops = &io_ops,
					       .dev = p };
		ret = vm_bus_add(&d->vm->pio, &p->io, e);
	}
	legacy_reset(d);
	return ret;
}

static void legacy_free(struct vm_dev *d)
{
	struct legacy *l = (struct legacy *)d;

	for (unsigned int i = 0; i < LEGACY_PORTS; i++) {
		if (d->vm)
			vm_bus_del(&d->vm->pio, &l->port[i].io);
		vm_io_region_fini(&l->port[i].io);
	}
}

const struct vm_dev_ops legacy_ops = {
	.name = "legacy",
	.size = sizeof(struct legacy),
	.realize = legacy_realize,
	.reset = legacy_reset,
	.free = legacy_free,
};
