// SPDX-License-Identifier: BSD-3-Clause
/* What is answered on the control socket. All on the control loop. */
#include <errno.h>
#include <string.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/lcore.h"
#include "virtio/vhostd/port.h"

/* The argument of a command: {"command": "port-add", "arg": "name=..."}. */
static const char *arg_of(const json_t *req, struct err *e)
{
	const char *s = json_string_value(json_object_get(req, "arg"));

	if (!s || !*s) {
		err_set(e, -EINVAL, "the command needs an argument");
		return NULL;
	}
	return s;
}

static json_t *loops_json(struct vhostd *d)
{
	json_t *rows = json_array();
	struct lcore_count c;
	unsigned int i;

	for (i = 0; i < d->nlcores; i++) {
		lcore_count(d->lcore[i], &c);
		json_array_append_new(rows,
				      json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I}",
						"loop", (int)i, "cpu", (int)c.cpu, "pollers",
						(int)c.pollers, "cold", (int)c.cold, "rounds",
						(json_int_t)c.rounds, "work", (json_int_t)c.work,
						"cycles-busy", (json_int_t)c.cycles_busy, "sleeps",
						(json_int_t)c.sleeps, "naps", (json_int_t)c.naps));
	}
	return rows;
}

static json_t *stations_json(struct vhostd *d)
{
	struct fdb_count c;

	fdb_count(sw_fdb(d->sw), &c);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "known", (json_int_t)c.stations,
			 "learnt", (json_int_t)c.learnt, "moved", (json_int_t)c.moved, "aged",
			 (json_int_t)c.aged, "refused", (json_int_t)c.refused, "evicted",
			 (json_int_t)c.evicted);
}

json_t *daemon_ports(struct vhostd *d)
{
	json_t *rows = json_array();

	sw_ports_rows(d->sw, rows);
	return rows;
}

json_t *daemon_stat(struct vhostd *d)
{
	json_t *ports = json_array(), *disks = json_array();

	sw_stat_rows(d->sw, ports);
	disks_stat(d->disks, disks);
	return json_pack("{s:o, s:o, s:o, s:o}", "loops", loops_json(d), "stations",
			 stations_json(d), "ports", ports, "disks", disks);
}

static int do_ports(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = daemon_ports(arg);
	return 0;
}

static int do_disks(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = json_array();
	disks_rows(((struct vhostd *)arg)->disks, *out);
	return 0;
}

static int do_stat(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = daemon_stat(arg);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int do_macs(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = json_array();
	sw_macs_rows(((struct vhostd *)arg)->sw, *out);
	return 0;
}

static int do_port_add(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *text = arg_of(req, e);

	return text ? port_add(((struct vhostd *)arg)->sw, text, e) : -EINVAL;
}

static int do_port_del(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *text = arg_of(req, e);

	return text ? port_del(((struct vhostd *)arg)->sw, text, e) : -EINVAL;
}

static int do_disk_add(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *text = arg_of(req, e);

	return text ? disk_add(((struct vhostd *)arg)->disks, text, e) : -EINVAL;
}

static int do_disk_del(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *text = arg_of(req, e);

	return text ? disk_del(((struct vhostd *)arg)->disks, text, e) : -EINVAL;
}

static int do_quit(void *arg, const json_t *req, json_t **out, struct err *e)
{
	ev_stop(((struct vhostd *)arg)->ev);
	return 0;
}

const struct ctl_cmd daemon_cmds[] = {
	{ "ports", "ports with state, packets, bytes and drops", do_ports, { NULL } },
	{ "port-add", "add the port given as for --port", do_port_add, { "arg" } },
	{ "port-del", "remove the port of this name", do_port_del, { "arg" } },
	{ "disks", "disks with state and requests", do_disks, { NULL } },
	{ "disk-add", "add the disk given as for --disk", do_disk_add, { "arg" } },
	{ "disk-del", "remove the disk of this name", do_disk_del, { "arg" } },
	{ "stat",
	  "loops, stations, and queues with drops by cause and sizes of batches",
	  do_stat,
	  { NULL } },
	{ "macs",
	  "stations: address, VLAN, port, seconds since they were heard",
	  do_macs,
	  { NULL } },
	{ "quit", "end", do_quit, { NULL } },
	{ 0 },
};
