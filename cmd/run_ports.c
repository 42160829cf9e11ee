// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ports, from plan to device, and back. All ports go through the same phases; what a phase does is
 * the business of the port's mode (struct port_ops). A phase that fails takes its port back to the
 * beginning, gives back what was taken, and lets the planner name the next mode; the port then
 * catches up with the others. So the order of ports, and their PCI slots, are those of the command
 * line whatever becomes of them. Every error names the port.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "cmd/run_priv.h"

static const struct port_ops *const port_modes[PORT_MODES] = {
	[PORT_VFIO] = &port_vfio,
	[PORT_VHOST_USER] = &port_vhost_user,
	[PORT_VIRTIO] = &port_virtio,
	[PORT_EMULATED] = &port_emulated,
};

/* A wait of seconds should not look like a hang; a log has no use for it. */
static void wait_progress(void *arg, const char *what)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "sluice: %s\n", what);
}

static bool wait_stop(void *arg)
{
	return run_sig_pending(arg);
}

/* The plan chose; what was refused on the way there is said, for it may surprise. */
static void mode_set(struct run_port *p)
{
	enum port_mode m = plan_mode(p->plan);
	struct err why;

	p->ops = (p->run->modes ? p->run->modes : port_modes)[m];
	plan_refusals(p->plan, &why);
	if (why.code && !p->run->o.explain) /* else the table says it */
		log_warn(&p->run->log, "port %s: comes up in mode %s, since %s", p->spec->id,
			 port_mode_name(m), why.text);
}

/*
 * An address for a port without one: the same at every start of a machine with a name, so that its
 * guest knows the interface again; machines without names get another one each time.
 */
static struct mac mac_make(struct run *r, const struct port_spec *s)
{
	uint64_t h = hash_text(HASH_INIT, r->name);
	struct mac m;

	h = hash_text(hash_text(h, "/"), s->id);
	if (!r->o.name)
		h ^= (uint64_t)getpid() << 32 ^ sys_now_ns(r->sys);
	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9;
	memcpy(m.b, &h, sizeof(m.b));
	m.b[0] = (m.b[0] & 0xfc) | 0x02; /* local, not multicast */
	return m;
}

/* All ports are planned, also after one was refused: --explain shows the whole table. */
int run_plan(struct run *r, struct err *e)
{
	unsigned int i;
	int ret = 0;

	r->sriov = (struct sriov){
		.sys = r->sys,
		.log = &r->log,
		.progress = wait_progress,
		.stop = wait_stop,
		.arg = r,
	};
	r->planner =
		(struct planner){ .sys = r->sys, .sriov = &r->sriov, .pin_bytes = r->o.memory };
	r->nports = r->o.nports;
	for (i = 0; i < r->nports; i++) {
		struct run_port *p = &r->ports[i];

		*p = (struct run_port){ .run = r, .spec = r->o.ports[i] };
		if (p->spec->kind == PORT_NET)
			p->mac = p->spec->mac_given ? p->spec->mac : mac_make(r, p->spec);
		p->plan = plan_port(&r->planner, p->spec);
		if (p->plan->viable)
			mode_set(p);
		else if (!ret)
			ret = plan_fail(p->plan, e);
	}
	return ret;
}

bool run_pins(const struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nports; i++)
		if (r->ports[i].plan && r->ports[i].plan->viable &&
		    plan_mode(r->ports[i].plan) == PORT_VFIO)
			return true;
	return false;
}

/* ---- one port ---- */

/* One phase up. */
static int port_step(struct run_port *p, struct err *e)
{
	int ret = 0;

	switch (p->phase) {
	case PORT_PLANNED:
		ret = p->ops->take ? p->ops->take(p, e) : 0;
		break;
	case PORT_TAKEN:
		ret = p->ops->open(p, e);
		break;
	case PORT_OPEN:
		ret = vm_dev_add(&p->run->vm, p->dev, e);
		if (ret)
			p->dev = NULL; /* freed by the failed vm_dev_add() */
		break;
	case PORT_ADDED:
		break;
	}
	if (!ret)
		p->phase++;
	return ret;
}

/* Back to the beginning, from any phase before PORT_ADDED. */
static void port_undo(struct run_port *p)
{
	if (p->phase >= PORT_OPEN)
		p->ops->close(p);
	if (p->phase >= PORT_TAKEN && p->ops->give_back)
		p->ops->give_back(p);
	p->phase = PORT_PLANNED;
}

/* The mode failed: the port is undone and has its next one, or e says why there is none. */
static int port_fall(struct run_port *p, const char *stage, struct err *e)
{
	port_undo(p);
	if (e->code == -EINTR) {
		err_prefix(e, "port %s: ", p->spec->id);
		return e->code; /* the user wants no machine at all */
	}
	if (!plan_next(&p->run->planner, p->plan, stage, e))
		return plan_fail(p->plan, e);
	err_clear(e);
	mode_set(p);
	return 0;
}

static int port_to(struct run_port *p, enum port_phase want, struct err *e)
{
	static const char *const stage[] = { "take", "open", "attach" };
	int ret = 0;

	while (!ret && p->phase < want) {
		enum port_phase at = p->phase;

		if (port_step(p, e))
			ret = port_fall(p, stage[at], e);
	}
	return ret;
}

/* ---- all ports ---- */

static int ports_to(struct run *r, enum port_phase want, struct err *e)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->nports && !ret; i++)
		ret = port_to(&r->ports[i], want, e);
	return ret;
}

/*
 * The step that changes the host. Every change is in the journal before it is made, so a crash from
 * here on can be undone by anybody. A failure gives back what earlier ports took.
 */
int run_take(struct run *r, struct err *e)
{
	int ret = ports_to(r, PORT_TAKEN, e);

	if (ret)
		run_give_back(r);
	return ret;
}

/* In reverse. */
void run_give_back(struct run *r)
{
	unsigned int i = r->nports;

	while (i--)
		port_undo(&r->ports[i]);
}

/* What was begun with a port's open. A mode that fails now falls as one whose open does. */
static int port_ready(struct run_port *p, struct err *e)
{
	int ret = 0;

	while (!ret && p->ops->ready && p->ops->ready(p, e)) {
		ret = port_fall(p, "open", e);
		if (!ret)
			ret = port_to(p, PORT_OPEN, e);
	}
	return ret;
}

int run_open(struct run *r, struct err *e)
{
	int ret = ports_to(r, PORT_OPEN, e);

	for (unsigned int i = 0; i < r->nports && !ret; i++)
		ret = port_ready(&r->ports[i], e);

	if (ret)
		run_close(r);
	return ret;
}

/* Devices that are on the machine are freed with it; not so assigned functions, which end before
 * the memory they reach. */
void run_close(struct run *r)
{
	unsigned int i = r->nports;

	run_vfio_free(r);
	while (i--) {
		struct run_port *p = &r->ports[i];

		if (p->phase == PORT_OPEN)
			p->ops->close(p);
		if (p->phase >= PORT_OPEN)
			p->phase = PORT_TAKEN;
		p->dev = NULL;
	}
}

/* RAM goes where all devices reach it; BARs must stay below what the IOMMU can address too. */
static int ram_place(struct run *r, struct err *e)
{
	struct vm_range *usable = NULL;
	unsigned int n = 0;
	int ret = r->vfio ? vfio_ctx_ranges(r->vfio, &usable, &n, e) : 0;

	if (!ret && n && usable[n - 1].end < r->vm.mem.gpa_limit - 1)
		r->vm.mem.gpa_limit = usable[n - 1].end + 1;
	if (!ret)
		ret = vm_ram_place(&r->vm.ram, &r->vm.mem, usable, n, e);
	free(usable);
	if (!ret && r->vfio)
		ret = vfio_ctx_attach(r->vfio, &r->vm, e);
	return ret;
}

/* They share one I/O address space: what it cannot do, no assigned function can have. */
static int vfio_fall(struct run *r, const struct err *why, struct err *e)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->nports && !ret; i++) {
		struct run_port *p = &r->ports[i];

		if (plan_mode(p->plan) != PORT_VFIO)
			continue;
		*e = *why;
		ret = port_fall(p, "memory map", e);
		if (!ret)
			ret = port_to(p, PORT_OPEN, e);
	}
	return ret;
}

int run_ram_place(struct run *r, struct err *e)
{
	uint64_t limit = r->vm.mem.gpa_limit;
	struct err why;
	int ret = ram_place(r, e);

	if (!ret || !r->vfio)
		return ret;
	why = *e;
	vm_ram_unplace(&r->vm.ram, &r->vm.mem);
	r->vm.mem.gpa_limit = limit;
	ret = vfio_fall(r, &why, e);
	return ret ? ret : ram_place(r, e);
}

/* Each function behind a root port of its own. */
int run_ports_add(struct run *r, struct err *e)
{
	return ports_to(r, PORT_ADDED, e);
}
