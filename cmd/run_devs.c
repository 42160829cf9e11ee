// SPDX-License-Identifier: BSD-3-Clause
/* The board: devices that every machine has, in a table, and the few that depend on the command
 * line. */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"
#include "vmm/devices/pm.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/serial.h"

/* No constructors, no registration: what is not in this table, or added by name below, is not in
 * the machine. */
static const struct {
	const char *id;
	const struct vm_dev_ops *ops;
} board[] = {
	{ "pm", &pm_ops },
	{ "rtc", &rtc_ops },
	{ "legacy", &legacy_ops },
};

struct chr_tty *run_tty(void)
{
	/* The one thing a signal handler must find. */
	static struct chr_tty tty;

	return &tty;
}

static int dev_new(const struct vm_dev_ops *ops, const char *id, struct vm_dev **out, struct err *e)
{
	return vm_dev_new(ops, id, out) ? err_set(e, -ENOMEM, "out of memory") : 0;
}

static int board_add(struct run *r, struct err *e)
{
	struct vm_dev *d;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(board) && !ret; i++) {
		ret = dev_new(board[i].ops, board[i].id, &d, e);
		if (!ret)
			ret = vm_dev_add(&r->vm, d, e);
	}
	return ret;
}

/* The first serial port; the device takes the back end over. */
static int serial_add(struct run *r, struct err *e)
{
	struct vm_dev *d;
	struct serial *s;
	int ret = dev_new(&serial_ops, "serial0", &d, e);

	if (ret)
		return ret;
	s = container_of(d, struct serial, dev);
	s->port = VM_COM1_PORT;
	s->irq = VM_COM1_IRQ;
	ret = chr_open(r->sys, r->ev, &r->log, r->o.serial ? r->o.serial : "stdio", run_tty(),
		       &s->chr, e);
	if (ret) {
		err_prefix(e, "--serial: ");
		vm_dev_free(d);
		return ret;
	}
	if (chr_path(s->chr))
		fprintf(stderr, "sluice: serial port: %s\n", chr_path(s->chr));
	return vm_dev_add(&r->vm, d, e);
}

/* For test guests: a write ends the run with a status of their choice. */
static int debug_exit_add(struct run *r, struct err *e)
{
	struct vm_dev *d;
	int ret;

	if (!r->o.debug_exit_given)
		return 0;
	ret = dev_new(&debug_exit_ops, "debug-exit", &d, e);
	if (ret)
		return ret;
	container_of(d, struct debug_exit, dev)->port = (uint16_t)r->o.debug_exit;
	ret = vm_dev_add(&r->vm, d, e);
	if (ret)
		err_prefix(e, "--debug-exit: ");
	return ret;
}

int run_devs_add(struct run *r, struct err *e)
{
	int ret = board_add(r, e);

	if (!ret)
		ret = serial_add(r, e);
	return ret ? ret : debug_exit_add(r, e);
}
