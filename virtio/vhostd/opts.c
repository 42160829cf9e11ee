// SPDX-License-Identifier: BSD-3-Clause
/* The command line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/port.h"

const char daemon_about[] =
	"Switches frames between machines (vhost-user), network functions (any driver of DPDK) and virtual devices, "
	"and serves disks over vhost-user, on poll loops that sleep when nothing is to be done. Needs DPDK's "
	"drivers at run time. Ports and disks come and go by the control socket while it runs";

static int texts_add(struct texts *t, const char *text, struct err *e)
{
	if (t->n == TEXTS_MAX)
		return err_set(e, -E2BIG, "given more than %d times", TEXTS_MAX);
	t->text[t->n] = strdup(text);
	if (!t->text[t->n])
		return err_set(e, -ENOMEM, "out of memory");
	t->n++;
	return 0;
}

static int add_port(void *target, const char *text, struct err *e)
{
	return texts_add(&((struct daemon_opts *)target)->ports, text, e);
}

static int add_disk(void *target, const char *text, struct err *e)
{
	return texts_add(&((struct daemon_opts *)target)->disks, text, e);
}

static int add_eal(void *target, const char *text, struct err *e)
{
	return texts_add(&((struct daemon_opts *)target)->eal, text, e);
}

static const char *const levels[] = { "error", "warning", "info", "debug", NULL };

#define OFF(m) offsetof(struct daemon_opts, m)
const struct opt daemon_opts_table[] = {
	{ "port", OPT_SUB, .fn = add_port, .sub = port_opts, .many = true,
	  .help = "a network port; may be repeated" },
	{ "disk", OPT_SUB, .fn = add_disk, .sub = disk_opts, .many = true,
	  .help = "a disk; may be repeated" },
	{ "lcores", OPT_LIST, OFF(lcores), .arg = "CPUS",
	  .help = "one poll loop on each of these CPUs (one, on the last that we may use)" },
	{ "busy", OPT_BOOL, OFF(busy), .help = "poll always: loops never sleep" },
	{ "memory", OPT_U32, OFF(memory), .min = 32, .max = 1u << 20, .arg = "MIB",
	  .help = "memory for packet buffers and rings (128)" },
	{ "mbufs", OPT_U32, OFF(mbufs), .min = 1024, .max = 1u << 24,
	  .help = "packet buffers (16384; with --no-huge no more than half of --memory has room for)" },
	{ "no-huge", OPT_BOOL, OFF(no_huge), .help = "do without huge pages" },
	{ "age", OPT_U32, OFF(age), .min = 1, .max = 1000000, .arg = "SECONDS",
	  .help = "a station that is not heard of for so long is forgotten (300)" },
	{ "control", OPT_STR, OFF(control), .arg = "SOCKET", .complete = "file",
	  .help = "listen for commands ('sluice ctl SOCKET COMMAND')" },
	{ "user", OPT_STR, OFF(user), .arg = "NAME",
	  .help = "become this user when the ports given here are up. Sockets are then its own, and so "
		  "is the folder that the variable RUNTIME_DIRECTORY names" },
	{ "eal", OPT_FN, .fn = add_eal, .arg = "ARGUMENT",
	  .help = "one more argument for DPDK itself; may be repeated" },
	{ "log", OPT_ENUM, OFF(log), .choices = levels,
	  .help = "least important messages shown (info)" },
	{ "version", OPT_BOOL, OFF(version), .help = "show the version" },
	{ .type = OPT_END },
};

static void texts_free(struct texts *t)
{
	while (t->n)
		free(t->text[--t->n]);
}

void daemon_opts_free(struct daemon_opts *o)
{
	opt_free(daemon_opts_table, o);
	texts_free(&o->ports);
	texts_free(&o->disks);
	texts_free(&o->eal);
}
