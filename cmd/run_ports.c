// SPDX-License-Identifier: BSD-3-Clause
/* Ports: from plan to devices, and back. Every error names the port. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run_priv.h"

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
		p->plan = plan_port(&r->planner, p->spec);
		if (!p->plan->viable && !ret)
			ret = plan_fail(p->plan, e);
	}
	return ret;
}

/* From what the user typed to what the SR-IOV module is asked for. */
static void take_request(const struct port_spec *s, struct sriov_take *t)
{
	*t = (struct sriov_take){
		.pf = s->pf,
		.bdf = s->bdf_given ? &s->bdf : NULL,
		.kind = s->kind == PORT_NET ? SRIOV_NET : SRIOV_NVME,
		.count = s->vfs,
		.vq = s->queues_given ? s->queues + 1 : 0, /* the admin queue is one of them */
		.set = {
			.has_mac = s->mac_given,
			.mac = s->mac,
			.has_vlan = s->vlan_given,
			.vlan = (uint16_t)s->vlan,
			.has_trust = s->trust_given,
			.trust = s->trust,
			.has_spoofchk = s->spoofchk_given,
			.spoofchk = s->spoofchk,
			.has_rate = s->rate_given,
			.rate = s->rate,
			.has_link = s->link_given,
			.link = (enum sriov_link)s->link,
		},
	};
}

/*
 * The step that changes the host. Every change is in the journal before it is made, so a crash from
 * here on can be undone by anybody. A failure gives back what earlier ports took.
 */
int run_take(struct run *r, struct err *e)
{
	struct sriov_take t;
	unsigned int i;
	int ret;

	if (!r->nports)
		return 0;
	ret = sriov_journal_open(&r->sriov, r->name, &r->journal, e);
	for (i = 0; i < r->nports && !ret; i++) {
		struct run_port *p = &r->ports[i];

		take_request(p->spec, &t);
		ret = sriov_take(&r->sriov, r->journal, &t, &p->vf, e);
		if (ret)
			err_prefix(e, "port %s: ", p->spec->id);
		else
			p->taken = true;
	}
	if (ret)
		run_give_back(r);
	return ret;
}

/* In reverse. A failure here is told and left to "vf restore": the run itself is over. */
void run_give_back(struct run *r)
{
	unsigned int i = r->nports;

	if (!r->journal)
		return;
	while (i--) {
		struct run_port *p = &r->ports[i];
		struct err e = { 0 };

		if (p->taken && sriov_release(&r->sriov, r->journal, &p->vf, &e))
			log_err(&r->log,
				"port %s: not all could be given back: %s ('sluice vf restore' tries again)",
				p->spec->id, e.text);
		p->taken = false;
	}
	sriov_journal_close(r->journal);
	r->journal = NULL;
}

/* Main loop, VM lock held. */
static void port_event(void *arg, struct vm_dev *d, enum vfio_pci_event ev, const char *text)
{
	struct run_port *p = arg;

	snprintf(p->event, sizeof(p->event), "%s", text);
	log_warn(&p->run->log, "port %s: %s", p->spec->id, text);
}

/* Groups and devices; the first look at the hardware itself. Undone as a whole on failure. */
int run_vfio_open(struct run *r, struct err *e)
{
	unsigned int i;
	int ret;

	if (!r->nports)
		return 0;
	ret = vfio_ctx_new(r->sys, &r->log, false, &r->vfio, e);
	for (i = 0; i < r->nports && !ret; i++) {
		struct run_port *p = &r->ports[i];
		struct vfio_pci_opts o = {
			.bdf = p->vf.fn.bdf,
			.force_no_reset = p->spec->force_no_reset,
			.vf_token = p->spec->vf_token,
			.on_event = port_event,
			.on_event_arg = p,
		};

		ret = vfio_ctx_add(r->vfio, p->spec->id, &o, &p->dev, e);
		if (ret)
			err_prefix(e, "port %s: ", p->spec->id);
	}
	if (ret)
		run_vfio_close(r);
	return ret;
}

void run_vfio_close(struct run *r)
{
	if (r->vfio)
		vfio_ctx_free(r->vfio);
	r->vfio = NULL;
}

/* RAM goes where all devices reach it; BARs must stay below what the IOMMU can address too. */
int run_ram_place(struct run *r, struct err *e)
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

/* Each function behind a root port of its own, in the order of the command line. */
int run_ports_add(struct run *r, struct err *e)
{
	unsigned int i;
	int ret;

	for (i = 0; i < r->nports; i++) {
		ret = vm_dev_add(&r->vm, r->ports[i].dev, e);
		if (ret) {
			r->ports[i].dev = NULL; /* freed by the failed vm_dev_add() */
			err_prefix(e, "port "); /* "net0: ..." */
			return ret;
		}
	}
	return 0;
}
