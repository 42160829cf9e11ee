// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ports that are virtio devices: served by our own I/O threads (mode virtio), or by another process
 * (mode vhost-user). The guest sees the same device in either, with the same address and queues.
 */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"
#include "virtio/blk.h"
#include "virtio/net.h"
#include "virtio/vu_dev.h"

#define STATUS_DRIVER	   0x02 /* virtio 1.2, 2.1 */
#define STATUS_DRIVER_OK   0x04
#define STATUS_NEEDS_RESET 0x40
#define STATUS_FAILED	   0x80

static unsigned int queues(const struct port_spec *s)
{
	return s->queues ? s->queues : 1;
}

static int open_virtio(struct run_port *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	struct run *r = p->run;

	if (s->kind == PORT_NET) {
		struct vio_net_cfg c = {
			.tap = s->tap,
			.pairs = queues(s),
			.mac = p->mac,
			.hide = s->hide,
			.io = p->io,
			.nio = r->nio,
			.log = &r->log,
		};

		return vio_net_new(r->sys, s->id, &c, &p->dev, e);
	}
	struct vio_blk_cfg c = {
		.disk = { .path = s->path, .readonly = s->readonly, .direct = s->direct },
		.serial = s->serial,
		.queues = queues(s),
		.hide = s->hide,
		.io = p->io,
		.nio = r->nio,
		.log = &r->log,
	};

	return vio_blk_new(r->sys, s->id, &c, &p->dev, e);
}

static int open_vhost_user(struct run_port *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	struct vu_dev_cfg c = {
		.disk = s->kind == PORT_DISK,
		.socket = s->socket,
		.server = s->server,
		.queues = queues(s),
		.mac_given = s->kind == PORT_NET,
		.mac = p->mac,
		.hide = s->hide,
		.io = p->io[0],
		.log = &p->run->log,
	};

	return vu_dev_new(p->run->sys, s->id, &c, &p->dev, e);
}

void run_port_close_dev(struct run_port *p)
{
	vm_dev_free(p->dev);
	p->dev = NULL;
}

/* What the driver has made of the device so far. */
static void driver_state(const struct vio_info *i, char *buf, size_t size)
{
	if (i->status & STATUS_NEEDS_RESET)
		snprintf(buf, size, "needs reset: %s", i->why ? i->why : "?");
	else
		snprintf(buf, size, "%s",
			 i->status & STATUS_FAILED	? "given up by the driver"
			 : i->status & STATUS_DRIVER_OK ? "ok"
			 : i->status & STATUS_DRIVER	? "driver starts"
							: "no driver");
}

static void view(struct run_port *p, struct port_view *out)
{
	const struct vio *v = vio_of(p->dev);
	struct vio_info i;

	vio_info(v, &i);
	snprintf(out->host, sizeof(out->host), "%s",
		 p->spec->kind == PORT_NET ? p->spec->tap : p->spec->path);
	driver_state(&i, out->state, sizeof(out->state));
	out->irq = "msix";
	out->vectors = v->nqueues + 1;
	out->used = i.vectors_used;
}

size_t run_vu_state(struct run *r, const struct vu_dev_info *i, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s", vu_state_name(i->state));

	if (i->state != VU_CONNECTED)
		n += (size_t)snprintf(
			buf + n, size - n, " for %llu s%s%s",
			(unsigned long long)((sys_now_ns(r->sys) - i->since_ns) / 1000000000),
			i->why[0] ? ": " : "", i->why);
	return MIN(n, size - 1);
}

/* The backend's state comes first; the driver's is said when it is the news. */
static void view_vhost_user(struct run_port *p, struct port_view *out)
{
	struct vu_dev_info i;
	char driver[100];
	size_t n;

	view(p, out);
	snprintf(driver, sizeof(driver), "%.99s", out->state);
	snprintf(out->host, sizeof(out->host), "%s", p->spec->socket);
	vu_dev_info(p->dev, &i);
	n = run_vu_state(p->run, &i, out->state, sizeof(out->state));
	if (i.state == VU_CONNECTED && strcmp(driver, "ok"))
		snprintf(out->state + n, sizeof(out->state) - n, ", %s", driver);
}

/* What the transport knows; the same for both modes. */
static json_t *dev_row(struct run_port *p, json_t *o)
{
	const struct vio *v = vio_of(p->dev);
	struct vio_info i;
	uint64_t calls = 0;
	char acked[24];
	unsigned int q;
	json_t *row;

	vio_info(v, &i);
	snprintf(acked, sizeof(acked), "0x%llx", (unsigned long long)i.acked);
	for (q = 0; q < v->nqueues; q++)
		calls += v->q[q].calls;
	row = json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:i, s:I, s:I}", "port", p->spec->id,
			"mode", port_mode_name(plan_mode(p->plan)), "features", acked, "queues",
			(int)i.queues_on, "kicks_direct", (int)i.kicks_direct, "kicks_trapped",
			(json_int_t)i.kicks_trapped, "calls", (json_int_t)calls, "vectors",
			(int)i.vectors_used, "resets", (json_int_t)i.resets, "refused",
			(json_int_t)i.refused);
	json_array_append_new(run_stat_list(o, "virtio"), row);
	return row;
}

/* packets dropped, by cause; causes that never came are left out */
static json_t *net_drops(struct run_port *p, unsigned int q)
{
	uint64_t n[VIO_NET_DROPS];
	json_t *o = json_object();

	vio_net_drops(p->dev, q, n);
	for (unsigned int i = 0; i < VIO_NET_DROPS; i++)
		if (n[i])
			json_object_set_new(o, vio_net_drop_name(i),
					    json_integer((json_int_t)n[i]));
	return o;
}

static void net_queue_row(struct run_port *p, unsigned int q, json_t *o)
{
	struct vio_count c;

	vio_net_count(p->dev, q, &c);
	json_array_append_new(run_stat_list(o, "net_queues"),
			      json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
					"port", p->spec->id, "queue", (int)q, "kicks",
					(json_int_t)c.kicks, "calls", (json_int_t)c.calls,
					"calls_spared", (json_int_t)c.calls_spared, "bufs",
					(json_int_t)c.bufs, "bytes_in", (json_int_t)c.bytes_in,
					"bytes_out", (json_int_t)c.bytes_out, "errors",
					(json_int_t)c.errors, "drops", net_drops(p, q)));
}

static void disk_queue_row(struct run_port *p, unsigned int q, json_t *o)
{
	struct blkq_count c;

	vio_blk_count(p->dev, q, &c);
	json_array_append_new(
		run_stat_list(o, "disk_queues"),
		json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "port",
			  p->spec->id, "queue", (int)q, "reads", (json_int_t)c.reads, "writes",
			  (json_int_t)c.writes, "flushes", (json_int_t)c.flushes, "others",
			  (json_int_t)c.others, "errors", (json_int_t)c.errors, "bytes_read",
			  (json_int_t)c.bytes_read, "bytes_written", (json_int_t)c.bytes_written,
			  "enters", (json_int_t)c.enters, "calls", (json_int_t)c.calls,
			  "calls_spared", (json_int_t)c.calls_spared));
}

static void count(struct run_port *p, json_t *o)
{
	const struct vio *v = vio_of(p->dev);
	unsigned int q;

	dev_row(p, o);
	for (q = 0; q < v->nqueues; q++) {
		if (p->spec->kind == PORT_NET)
			net_queue_row(p, q, o);
		else
			disk_queue_row(p, q, o);
	}
}

static void count_vhost_user(struct run_port *p, json_t *o)
{
	json_t *row = dev_row(p, o);
	struct vu_dev_info i;

	vu_dev_info(p->dev, &i);
	json_object_set_new(row, "connects", json_integer((json_int_t)i.connects));
	json_object_set_new(row, "losses", json_integer((json_int_t)i.losses));
}

const struct port_ops port_virtio = {
	.mode = PORT_VIRTIO,
	.open = open_virtio,
	.close = run_port_close_dev,
	.view = view,
	.stat = count,
};

const struct port_ops port_vhost_user = {
	.mode = PORT_VHOST_USER,
	.open = open_vhost_user,
	.close = run_port_close_dev,
	.view = view_vhost_user,
	.stat = count_vhost_user,
};
