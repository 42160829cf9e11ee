// SPDX-License-Identifier: BSD-3-Clause
/*
 * The planner. A port names what the guest shall have; the plan says how. Each mode has one
 * function that looks at the host without changing it and says yes, or why not. The first yes wins;
 * the reasons of the others are kept and shown.
 */
#include "cmd/plan_priv.h"

#include <errno.h>
#include <string.h>

/* struct mode_ops - a way to attach a port; viable() answers 0, or -errno with the reason. */
struct mode_ops {
	enum port_mode mode;
	const char *name;
	int (*viable)(struct planner *pl, struct plan *p, struct err *e);
};

/* In the order in which PORT_AUTO tries them: best data path first. */
static const struct mode_ops modes[] = {
	{ PORT_VFIO, "vfio", plan_vfio },
};

const char *port_mode_name(enum port_mode m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].mode == m)
			return modes[i].name;
	return "auto";
}

struct plan *plan_port(struct planner *pl, const struct port_spec *spec)
{
	struct plan *p = &pl->plans[pl->nplans];
	unsigned int i;

	*p = (struct plan){ .spec = spec, .group = -1 };
	for (i = 0; i < ARRAY_SIZE(modes) && !p->viable; i++) {
		struct plan_try *t = &p->tries[p->ntries];

		if (spec->mode != PORT_AUTO && spec->mode != (int)modes[i].mode)
			continue;
		t->mode = modes[i].mode;
		p->viable = !modes[i].viable(pl, p, &t->why);
		p->ntries++;
	}
	pl->nplans++;
	return p;
}

/* One mode asked for: its reason. Several tried: all reasons, in one sentence. */
int plan_fail(const struct plan *p, struct err *e)
{
	const struct plan_try *t = p->tries;
	unsigned int i;

	if (p->ntries == 1)
		return err_set(e, t->why.code, "port %s: mode %s: %s", p->spec->id,
			       port_mode_name(t->mode), t->why.text);
	err_set(e, -ENODEV, "port %s: no mode is viable", p->spec->id);
	for (i = 0; i < p->ntries; i++)
		err_append(e, "; %s: %s", port_mode_name(p->tries[i].mode), p->tries[i].why.text);
	return -ENODEV;
}

void plan_print(const struct planner *pl, FILE *f)
{
	unsigned int i, k;

	fprintf(f, "%-12s %-11s %-8s %s\n", "PORT", "MODE", "VIABLE", "WHAT");
	for (i = 0; i < pl->nplans; i++) {
		const struct plan *p = &pl->plans[i];

		for (k = 0; k < p->ntries; k++) {
			const struct plan_try *t = &p->tries[k];
			bool yes = p->viable && k + 1 == p->ntries;

			fprintf(f, "%-12s %-11s %-8s %s\n", k ? "" : p->spec->id,
				port_mode_name(t->mode), yes ? "yes" : "no",
				yes ? p->what : t->why.text);
		}
	}
}

json_t *plan_json(const struct plan *p)
{
	json_t *a = json_array();
	unsigned int k;

	for (k = 0; a && k < p->ntries; k++) {
		bool yes = p->viable && k + 1 == p->ntries;

		json_array_append_new(a, json_pack("{s:s, s:b, s:s}", "mode",
						   port_mode_name(p->tries[k].mode), "viable", yes,
						   "why", yes ? p->what : p->tries[k].why.text));
	}
	return a;
}
