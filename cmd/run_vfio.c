// SPDX-License-Identifier: BSD-3-Clause
/* Ports in mode vfio: a function of the host is taken through the journal, opened, and given back.
 */
#include <errno.h>
#include <string.h>

#include "cmd/run_priv.h"

/* From what the user typed to what the SR-IOV module is asked for. */
static void take_request(const struct port_spec *s, struct sriov_take *t)
{
	bool nvme = s->kind == PORT_DISK;

	*t = (struct sriov_take){
		.pf = s->pf,
		.bdf = s->bdf_given ? &s->bdf : NULL,
		.kind = nvme ? SRIOV_NVME : SRIOV_NET,
		.count = s->vfs,
		/* the admin queue is one of them */
		.vq = nvme && s->queues_given ? s->queues + 1 : 0,
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

/* Is another port of mode vfio at least so far? */
static bool others(const struct run_port *p, enum port_phase phase)
{
	const struct run *r = p->run;
	unsigned int i;

	for (i = 0; i < r->nports; i++)
		if (&r->ports[i] != p && r->ports[i].ops == p->ops && r->ports[i].phase >= phase)
			return true;
	return false;
}

static void journal_close(struct run_port *p)
{
	if (others(p, PORT_TAKEN))
		return;
	sriov_journal_close(p->run->journal);
	p->run->journal = NULL;
}

/* The journal is opened with the first function taken. */
static int take(struct run_port *p, struct err *e)
{
	struct run *r = p->run;
	struct sriov_take t;
	int ret = 0;

	take_request(p->spec, &t);
	if (!r->journal)
		ret = sriov_journal_open(&r->sriov, r->name, &r->journal, e);
	if (!ret)
		ret = sriov_take(&r->sriov, r->journal, &t, &p->vf, e);
	if (ret)
		journal_close(p);
	return ret;
}

/* A failure here is told and left to "vf restore": the run itself goes on, or is over. */
static void give_back(struct run_port *p)
{
	struct run *r = p->run;
	struct err e = { 0 };

	if (sriov_release(&r->sriov, r->journal, &p->vf, &e))
		log_err(&r->log,
			"port %s: not all could be given back: %s ('sluice vf restore' tries again)",
			p->spec->id, e.text);
	p->vf = (struct sriov_vf){ .lock_fd = -1 };
	journal_close(p);
}

/* Main loop, VM lock held. */
static void port_event(void *arg, struct vm_dev *d, enum vfio_pci_event ev, const char *text)
{
	struct run_port *p = arg;

	snprintf(p->event, sizeof(p->event), "%s", text);
	log_warn(&p->run->log, "port %s: %s", p->spec->id, text);
}

static void ctx_close(struct run_port *p)
{
	if (!others(p, PORT_OPEN))
		run_vfio_free(p->run);
}

/* Group and device: the first look at the hardware itself. The kernel resets the device meanwhile.
 */
static int open_fn(struct run_port *p, struct err *e)
{
	struct run *r = p->run;
	struct vfio_pci_opts o = {
		.bdf = p->vf.fn.bdf,
		.force_no_reset = p->spec->force_no_reset,
		.vf_token = p->spec->vf_token,
		.on_event = port_event,
		.on_event_arg = p,
	};
	int ret = 0;

	if (!r->vfio)
		ret = vfio_ctx_new(r->sys, &r->log, false, &r->vfio, e);
	if (!ret && r->background)
		vfio_ctx_background(r->vfio);
	if (!ret)
		ret = vfio_ctx_begin(r->vfio, p->spec->id, &o, &p->dev, e);
	if (ret)
		ctx_close(p);
	return ret;
}

static int ready_fn(struct run_port *p, struct err *e)
{
	return vfio_ctx_ready(p->run->vfio, p->dev, e);
}

static void close_fn(struct run_port *p)
{
	vm_dev_free(p->dev);
	p->dev = NULL;
	ctx_close(p);
}

void run_vfio_free(struct run *r)
{
	unsigned int i;

	vfio_ctx_free(r->vfio);
	r->vfio = NULL;
	for (i = 0; i < r->nports; i++)
		if (r->ports[i].ops == &port_vfio)
			r->ports[i].dev = NULL;
}

static void view(struct run_port *p, struct port_view *out)
{
	struct vfio_pci_info i;

	vfio_pci_info(p->dev, &i);
	bdf_format(out->host, i.host);
	snprintf(out->state, sizeof(out->state), "%s", vfio_pci_state_name(i.state));
	out->group = (int)i.group;
	out->irq = vfio_irq_mode_name(i.irq_mode);
	out->vectors = i.vectors;
	out->used = i.vectors_used;
}

/* What a port cost the VMM: on the fast path all of these stand still. */
static void count(struct run_port *p, json_t *o)
{
	json_int_t reads = 0, writes = 0;
	struct vfio_pci_info i;
	unsigned int b;

	vfio_pci_info(p->dev, &i);
	for (b = 0; b < ARRAY_SIZE(i.bar); b++) {
		reads += (json_int_t)i.bar[b].trapped_reads;
		writes += (json_int_t)i.bar[b].trapped_writes;
	}
	json_array_append_new(
		run_stat_list(o, "ports"),
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I}", "port", p->spec->id,
			  "bar_reads", reads, "bar_writes", writes, "mask_writes",
			  (json_int_t)i.mask_writes, "config_reads", (json_int_t)i.cfg_reads,
			  "config_writes", (json_int_t)i.cfg_writes, "vectors", (int)i.vectors_used,
			  "resets", (json_int_t)i.resets, "refused", (json_int_t)i.refused));
}

const struct port_ops port_vfio = {
	.mode = PORT_VFIO,
	.take = take,
	.give_back = give_back,
	.open = open_fn,
	.ready = ready_fn,
	.close = close_fn,
	.view = view,
	.stat = count,
};
