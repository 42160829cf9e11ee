// SPDX-License-Identifier: BSD-3-Clause
/* What a running machine answers on its control socket. */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"

/* VM lock held. Plan and identity, also of a port whose device is gone. */
static json_t *port_row(struct run_port *p)
{
	char host[BDF_STRLEN] = "-", guest[BDF_STRLEN] = "-", mac[MAC_STRLEN] = "-";
	struct vfio_pci_info i = { 0 };
	json_t *o;

	if (p->dev) {
		vfio_pci_info(p->dev, &i);
		bdf_format(host, i.host);
		bdf_format(guest, i.guest);
	}
	if (!mac_is_zero(&p->vf.mac))
		mac_format(mac, &p->vf.mac);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:i, s:s}", "port",
		      p->spec->id, "kind", port_kind_name(p->spec->kind), "mode",
		      port_mode_name(p->plan->tries[p->plan->ntries - 1].mode), "host", host,
		      "guest", guest, "group", (int)i.group, "state", vfio_pci_state_name(i.state),
		      "irq", vfio_irq_mode_name(i.irq_mode), "vectors", (int)i.vectors, "used",
		      (int)i.vectors_used, "mac", mac);
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
	{ "ports", "plan, mode, addresses, group and interrupts of each port", do_ports, { 0 } },
	{ "dma", "every range that assigned devices can reach", do_dma, { 0 } },
	{ "stat", "exits by reason, trapped accesses, interrupts, page sizes", do_stat, { 0 } },
	{ "pause", "let all vCPUs stand still", do_pause, { 0 } },
	{ "resume", "go on after pause", do_resume, { 0 } },
	{ "powerdown", "press the ACPI power button", do_powerdown, { 0 } },
	{ "quit", "end the run now", do_quit, { 0 } },
	{ 0 },
};
