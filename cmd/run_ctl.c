// SPDX-License-Identifier: BSD-3-Clause
/* What a running machine answers on its control socket. */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"
#include "virtio/blk.h"
#include "virtio/net.h"

/* "-" stands for what the mode has not, in text and in numbers. */
static json_t *or_none(bool has, long long n)
{
	return has ? json_integer(n) : json_null();
}

struct guest_find {
	const char *name;
	char bdf[BDF_STRLEN];
};

static void guest_find(void *arg, struct vm_pci_fn *f)
{
	struct guest_find *g = arg;

	if (!strcmp(f->name, g->name))
		bdf_format(g->bdf, f->bdf);
}

/* VM lock held. Plan and identity, also of a port whose device is gone. */
static json_t *port_row(struct run_port *p)
{
	const struct mac *m = mac_is_zero(&p->vf.mac) ? &p->mac : &p->vf.mac;
	struct port_view v = { .host = "-", .state = "-", .group = -1, .irq = "-" };
	struct guest_find g = { p->spec->id, "-" };
	char mac[MAC_STRLEN] = "-";
	json_t *o;

	if (p->dev) {
		p->ops->view(p, &v);
		vm_pci_each(p->run->vm.pci, guest_find, &g);
	}
	if (!mac_is_zero(m))
		mac_format(mac, m);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:i, s:i, s:s}", "port",
		      p->spec->id, "kind", port_kind_name(p->spec->kind), "mode",
		      port_mode_name(plan_mode(p->plan)), "host", v.host, "guest", g.bdf, "group",
		      or_none(v.group >= 0, v.group), "state", v.state, "irq", v.irq, "vectors",
		      (int)v.vectors, "used", (int)v.used, "mac", mac);
	if (o && p->event[0])
		json_object_set_new(o, "event", json_string(p->event));
	if (o)
		json_object_set_new(o, "plan", plan_json(p->plan));
	return o;
}

/* The handlers run on the main loop; vm_pause() and its like take the VM lock themselves. */
static int do_ports(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;
	unsigned int i;

	*out = json_array();
	vm_lock(&r->vm);
	for (i = 0; i < r->nports; i++)
		json_array_append_new(*out, port_row(&r->ports[i]));
	vm_unlock(&r->vm);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* Ranges are printed as first and last address: no arithmetic for the reader. */
static void dma_row(void *arg, const struct ioas_map *m)
{
	const char *why = strncmp(m->name, "ram", 3) ? "device memory, for peers" : "guest memory";
	char first[24], last[24];

	snprintf(first, sizeof(first), "0x%llx", (unsigned long long)m->iova);
	snprintf(last, sizeof(last), "0x%llx", (unsigned long long)(m->iova + m->size - 1));
	json_array_append_new(arg,
			      json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", m->name, "why",
					why, "first", first, "last", last, "size",
					(json_int_t)m->size, "page", (json_int_t)m->page_size));
}

static int do_dma(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;

	*out = json_array();
	if (!*out)
		return err_set(e, -ENOMEM, "out of memory");
	vm_lock(&r->vm);
	if (r->vfio)
		ioas_each(vfio_ctx_ioas(r->vfio), dma_row, *out);
	vm_unlock(&r->vm);
	return 0;
}

static int do_stat(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = run_stat(arg);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* The port that a request names, if its device is served by this process. VM lock held. */
static struct run_port *find_port(struct run *r, const json_t *req, enum port_kind kind,
				  struct err *e)
{
	const char *id = json_string_value(json_object_get(req, "port"));
	unsigned int i;

	for (i = 0; i < r->nports; i++) {
		struct run_port *p = &r->ports[i];

		if (strcmp(p->spec->id, id))
			continue;
		if (p->dev && p->spec->kind == kind && plan_mode(p->plan) == PORT_VIRTIO)
			return p;
		err_set(e, -EOPNOTSUPP, "port %s is a %s in mode %s: only a %s in mode virtio can",
			id, port_kind_name(p->spec->kind), port_mode_name(plan_mode(p->plan)),
			port_kind_name(kind));
		return NULL;
	}
	err_set(e, -ENODEV, "there is no port %.60s", id);
	return NULL;
}

/* The file behind a disk has another size now. */
static int do_resize(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;
	struct run_port *p;
	int ret;

	vm_lock(&r->vm);
	p = find_port(r, req, PORT_DISK, e);
	ret = p ? vio_blk_resize(p->dev, e) : e->code;
	vm_unlock(&r->vm);
	if (ret < 0)
		return ret;
	*out = json_pack("{s:b}", "changed", ret);
	return 0;
}

static int do_link(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *to = json_string_value(json_object_get(req, "link"));
	struct run *r = arg;
	struct run_port *p;

	if (strcmp(to, "up") && strcmp(to, "down"))
		return err_set(e, -EINVAL, "\"%.60s\" is neither up nor down", to);
	vm_lock(&r->vm);
	p = find_port(r, req, PORT_NET, e);
	if (p)
		vio_net_link(p->dev, !strcmp(to, "up"));
	vm_unlock(&r->vm);
	return p ? 0 : e->code;
}

static int do_pause(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;
	int ret = vm_pause(&r->vm);

	if (ret == -EALREADY)
		return err_set(e, ret, "the machine is paused already");
	return ret ? err_sys(e, ret, "cannot pause") : 0;
}

static int do_resume(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;
	int ret = vm_resume(&r->vm);

	if (ret == -EALREADY)
		return err_set(e, ret, "the machine is running already");
	return ret ? err_sys(e, ret, "cannot resume") : 0;
}

static int do_powerdown(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;
	int ret = vm_power_button(&r->vm);

	return ret ? err_set(e, ret, "this machine has no power button") : 0;
}

static int do_quit(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct run *r = arg;

	vm_quit(&r->vm);
	return 0;
}

const struct ctl_cmd vm_ctl_cmds[] = {
	{ "ports", "plan, mode, addresses, state and interrupts of each port", do_ports, { 0 } },
	{ "dma", "every range that assigned devices can reach", do_dma, { 0 } },
	{ "stat", "exits by reason, trapped accesses, interrupts, page sizes", do_stat, { 0 } },
	{ "resize",
	  "the file behind a virtio disk has another size: tell the guest",
	  do_resize,
	  { "port" } },
	{ "link",
	  "pull or plug the cable of a virtio network port (up, down)",
	  do_link,
	  { "port", "link" } },
	{ "pause", "let all vCPUs stand still", do_pause, { 0 } },
	{ "resume", "go on after pause", do_resume, { 0 } },
	{ "powerdown", "press the ACPI power button", do_powerdown, { 0 } },
	{ "quit", "end the run now", do_quit, { 0 } },
	{ 0 },
};
