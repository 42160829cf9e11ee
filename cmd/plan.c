// SPDX-License-Identifier: BSD-3-Clause
/*
 * The planner. A port names what the guest shall have; the plan says how. Each mode has one
 * function that looks at the host without changing it and says yes, or why not. The first yes wins;
 * the reasons of the others are kept and shown. A mode that looked viable and fails while it is set
 * up is one more refusal: its reason joins the others, and the modes after it are looked at.
 */
#include "cmd/plan_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Answers 0, or -errno with the reason. In the order in which PORT_AUTO tries them: best data path
 * first. */
typedef int (*plan_fn_t)(struct planner *pl, struct plan *p, struct err *e);

static const plan_fn_t looks[PORT_MODES] = {
	[PORT_VFIO] = plan_vfio,
	[PORT_VHOST_USER] = plan_vhost_user,
	[PORT_VIRTIO] = plan_virtio,
	[PORT_EMULATED] = plan_emulated,
};

const struct plan *plan_earlier(const struct planner *pl, const struct plan *p,
				bool (*same)(const struct plan *a, const struct plan *b))
{
	unsigned int i;

	for (i = 0; i < pl->nplans; i++)
		if (&pl->plans[i] != p && pl->plans[i].viable && same(&pl->plans[i], p))
			return &pl->plans[i];
	return NULL;
}

/* A user who asks for a VLAN must not believe that somebody else's bridge knows of it. */
void plan_what(struct plan *p, const char *fmt, ...)
{
	const struct port_spec *s = p->spec;
	const char *sep = "; the host applies no ";
	size_t n;
	va_list ap;
	unsigned int i;
	const struct {
		bool given;
		const char *key;
	} of_vf[] = {
		{ s->vlan_given && s->vlan, "vlan=" },
		{ s->trust_given, "trust=" },
		{ s->spoofchk_given, "spoofchk=" },
		{ s->rate_given && s->rate, "rate=" },
		{ s->link_given, "link=" },
	};

	va_start(ap, fmt);
	vsnprintf(p->what, sizeof(p->what), fmt, ap);
	va_end(ap);
	for (i = 0; i < ARRAY_SIZE(of_vf); i++) {
		if (!of_vf[i].given)
			continue;
		n = strlen(p->what);
		snprintf(p->what + n, sizeof(p->what) - n, "%s%s", sep, of_vf[i].key);
		sep = ", ";
	}
}

/* A mode is tried when it is the one asked for, or any will do that is as good as any. */
static bool wanted(const struct port_spec *s, unsigned int mode)
{
	return s->mode == (int)mode || (s->mode == PORT_AUTO && mode != PORT_EMULATED);
}

/* What one look found must not mislead the next, or the plans of other ports. */
static void forget(struct plan *p)
{
	p->viable = p->fn_known = p->pf_known = false;
	p->group = -1;
	p->what[0] = 0;
}

static bool look(struct planner *pl, struct plan *p)
{
	while (!p->viable && p->next < PORT_MODES) {
		unsigned int mode = p->next++;
		struct plan_try *t = &p->tries[p->ntries];

		if (!looks[mode] || !wanted(p->spec, mode))
			continue;
		t->mode = (enum port_mode)mode;
		t->named = port_names(p->spec, t->mode);
		if (!t->named)
			err_set(&t->why, -ENODEV, "no %s given", port_keys(p->spec->kind, t->mode));
		else
			p->viable = !looks[mode](pl, p, &t->why);
		if (!p->viable)
			forget(p);
		p->ntries++;
	}
	return p->viable;
}

struct plan *plan_port(struct planner *pl, const struct port_spec *spec)
{
	struct plan *p = &pl->plans[pl->nplans];

	*p = (struct plan){ .spec = spec, .next = PORT_AUTO + 1 };
	forget(p);
	look(pl, p);
	pl->nplans++;
	return p;
}

bool plan_next(struct planner *pl, struct plan *p, const char *stage, const struct err *why)
{
	struct plan_try *t = &p->tries[p->ntries - 1];

	t->why = *why;
	t->failed = stage;
	forget(p);
	return look(pl, p);
}

enum port_mode plan_mode(const struct plan *p)
{
	return p->ntries ? p->tries[p->ntries - 1].mode : PORT_AUTO;
}

/* The last try of a viable plan is the one that works. */
static bool works(const struct plan *p, unsigned int k)
{
	return p->viable && k + 1 == p->ntries;
}

/* As shown: a mode that was refused reads otherwise than one that was tried. */
static void try_text(const struct plan *p, unsigned int k, char *buf, size_t size)
{
	const struct plan_try *t = &p->tries[k];

	if (works(p, k))
		snprintf(buf, size, "%s", p->what);
	else
		snprintf(buf, size, "%s%s%s%s", t->failed ? "failed at " : "",
			 t->failed ? t->failed : "", t->failed ? ": " : "", t->why.text);
}

#define TRY_TEXT_MAX (sizeof(((struct err *)NULL)->text) + 32)

void plan_refusals(const struct plan *p, struct err *out)
{
	char text[TRY_TEXT_MAX];
	unsigned int k;

	err_clear(out);
	for (k = 0; k < p->ntries; k++) {
		if (works(p, k) || !p->tries[k].named)
			continue;
		try_text(p, k, text, sizeof(text));
		if (!out->code)
			err_set(out, p->tries[k].why.code, "%s: %s",
				port_mode_name(p->tries[k].mode), text);
		else
			err_append(out, "; %s: %s", port_mode_name(p->tries[k].mode), text);
	}
}

/* One mode to speak of: its reason. Several: all reasons, in one sentence. */
int plan_fail(const struct plan *p, struct err *e)
{
	unsigned int k, named = 0;

	for (k = 0; k < p->ntries; k++)
		named += p->tries[k].named;
	plan_refusals(p, e);
	err_prefix(e, "port %s: %s", p->spec->id, named > 1 ? "no mode is viable; " : "mode ");
	if (named > 1)
		e->code = -ENODEV;
	return e->code;
}

void plan_print(const struct planner *pl, FILE *f)
{
	char text[TRY_TEXT_MAX];
	unsigned int i, k;

	fprintf(f, "%-12s %-11s %-8s %s\n", "PORT", "MODE", "VIABLE", "WHAT");
	for (i = 0; i < pl->nplans; i++) {
		const struct plan *p = &pl->plans[i];

		for (k = 0; k < p->ntries; k++) {
			try_text(p, k, text, sizeof(text));
			fprintf(f, "%-12s %-11s %-8s %s\n", k ? "" : p->spec->id,
				port_mode_name(p->tries[k].mode), works(p, k) ? "yes" : "no", text);
		}
	}
}

json_t *plan_json(const struct plan *p)
{
	char text[TRY_TEXT_MAX];
	json_t *a = json_array();
	unsigned int k;

	for (k = 0; a && k < p->ntries; k++) {
		const struct plan_try *t = &p->tries[k];

		try_text(p, k, text, sizeof(text));
		json_array_append_new(a, json_pack("{s:s, s:b, s:b, s:s?, s:s}", "mode",
						   port_mode_name(t->mode), "viable", works(p, k),
						   "named", t->named, "failed", t->failed, "why",
						   text));
	}
	return a;
}
