// SPDX-License-Identifier: BSD-3-Clause
/* Ports that are emulated register by register: an e1000, an NVMe controller. */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"
#include "virtio/vu_end.h"
#include "vmm/devices/e1000/e1000.h"
#include "vmm/devices/nvme/nvme.h"

static int open_wire(struct run_port *p, struct net_end **out, struct err *e)
{
	const struct port_spec *s = p->spec;
	struct vu_end_cfg c = {
		.socket = s->socket, .server = s->server, .io = p->io[0], .log = &p->run->log
	};

	return s->socket ? vu_end_new(p->run->sys, s->id, &c, out, e)
			 : tap_end_open(p->run->sys, s->tap, out, e);
}

static int open_net(struct run_port *p, struct err *e)
{
	struct e1000_cfg c = { .mac = p->mac, .io = p->io[0], .log = &p->run->log };
	struct sys *sys = p->run->sys;
	struct net_end *end;
	int ret = open_wire(p, &end, e);

	if (ret)
		return ret;
	ret = e1000_new(sys, p->spec->id, &c, end, &p->dev);
	if (ret) {
		net_end_free(end);
		return err_set(e, ret, "out of memory");
	}
	return 0;
}

static int open_emulated(struct run_port *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	struct run *r = p->run;

	if (s->kind == PORT_NET)
		return open_net(p, e);
	struct nvme_cfg c = {
		.disk = { .path = s->path, .readonly = s->readonly, .direct = s->direct },
		.serial = s->serial,
		.queues = s->queues ? s->queues : 1,
		.shadow = s->shadow,
		.ioeventfd = s->ioeventfd,
		.io = p->io[0],
		.log = &r->log,
	};

	return nvme_new(r->sys, s->id, &c, &p->dev, e);
}

static void view_backend(struct run_port *p, struct port_view *out)
{
	size_t n = strlen(out->state);
	struct vu_dev_info i;

	vu_end_info(e1000_end(p->dev), &i);
	n += (size_t)snprintf(out->state + n, sizeof(out->state) - n, ", ");
	run_vu_state(p->run, &i, out->state + n, sizeof(out->state) - n);
}

static void view(struct run_port *p, struct port_view *out)
{
	const struct port_spec *s = p->spec;
	bool net = s->kind == PORT_NET;

	snprintf(out->host, sizeof(out->host), "%s", !net ? s->path : s->tap ? s->tap : s->socket);
	snprintf(out->state, sizeof(out->state), "%s", net ? "e1000" : "nvme");
	if (s->socket)
		view_backend(p, out);
	out->irq = net ? "intx" : "msix";
	out->vectors = net ? 1 : (s->queues ? s->queues : 1) + 1;
	out->used = out->vectors;
}

static void stat_net(struct run_port *p, json_t *o)
{
	struct vu_dev_info i;
	struct e1000_count c;
	json_t *row;

	e1000_count(p->dev, &c);
	row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "port", p->spec->id,
			"tx_frames", (json_int_t)c.tx_frames, "tx_bytes", (json_int_t)c.tx_bytes,
			"rx_frames", (json_int_t)c.rx_frames, "rx_bytes", (json_int_t)c.rx_bytes,
			"drops", (json_int_t)c.drops, "bad", (json_int_t)c.bad, "interrupts",
			(json_int_t)c.interrupts, "throttled", (json_int_t)c.throttled, "kicks",
			(json_int_t)c.kicks);
	json_array_append_new(run_stat_list(o, "e1000"), row);
	if (!p->spec->socket)
		return;
	vu_end_info(e1000_end(p->dev), &i);
	json_object_set_new(row, "connects", json_integer((json_int_t)i.connects));
	json_object_set_new(row, "losses", json_integer((json_int_t)i.losses));
}

static void stat_disk(struct run_port *p, json_t *o)
{
	struct nvme_count c;

	nvme_count(p->dev, &c);
	json_array_append_new(
		run_stat_list(o, "nvme"),
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "port", p->spec->id,
			  "doorbells", (json_int_t)c.doorbells, "kicks", (json_int_t)c.kicks,
			  "commands", (json_int_t)c.commands, "admin", (json_int_t)c.admin,
			  "errors", (json_int_t)c.errors, "interrupts", (json_int_t)c.interrupts,
			  "bytes_read", (json_int_t)c.bytes_read, "bytes_written",
			  (json_int_t)c.bytes_written, "enters", (json_int_t)c.enters));
}

static void stat_emulated(struct run_port *p, json_t *o)
{
	if (p->spec->kind == PORT_NET)
		stat_net(p, o);
	else
		stat_disk(p, o);
}

const struct port_ops port_emulated = {
	.mode = PORT_EMULATED,
	.open = open_emulated,
	.close = run_port_close_dev,
	.view = view,
	.stat = stat_emulated,
};
