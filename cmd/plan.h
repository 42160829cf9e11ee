/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_PLAN_H
#define CMD_PLAN_H

#include <jansson.h>
#include <stdio.h>

#include "cmd/run_opts.h"
#include "sriov/pf.h"

/**
 * struct plan_try - one mode that was looked at
 * @named:  the port names what the mode needs; what was not named is no news in an error
 * @failed: the mode was viable, and then this stage of setting it up failed ("open"); else NULL
 * @why:    code 0: viable; else a sentence that names the thing in the way and what to do about it
 */
struct plan_try {
	enum port_mode mode;
	bool named;
	const char *failed;
	struct err why;
};

/**
 * struct plan - how one port will be attached, and why not in another way
 * @tries:  in the order tried; the last one is viable when @viable
 * @next:   mode to look at next, should the viable one fail
 * @what:   of the viable one, in words: "VF 2 of eth0 (0000:01:10.4), IOMMU group 8"
 * The rest belongs to mode vfio, and is only set while that is the viable one:
 * @fn:     the function that was looked at; @fn_known: it exists already
 * @pf:     of a port with pf=; @pf_known
 * @group:  IOMMU group of @fn
 */
struct plan {
	const struct port_spec *spec;
	unsigned int ntries, next;
	struct plan_try tries[PORT_MODES - 1];
	bool viable, fn_known, pf_known;
	char what[400];
	struct bdf fn, pf;
	int group;
};

/**
 * struct planner - plans all ports of one machine; changes nothing on the host
 * @pin_bytes: memory that assigned devices will pin
 * @plans:     of the ports planned so far: a VF is not planned twice
 */
struct planner {
	struct sys *sys;
	struct sriov *sriov;
	uint64_t pin_bytes;
	unsigned int nplans;
	struct plan plans[RUN_PORTS_MAX];
};

/** plan_port() - plan one more port; returns its plan, viable or not. */
struct plan *plan_port(struct planner *p, const struct port_spec *spec);

/**
 * plan_next() - the viable mode failed on the way: look at the modes after it
 * @stage: where it failed, a literal; @why: with what, kept with the plan
 * Return: is there another viable mode?
 */
bool plan_next(struct planner *p, struct plan *plan, const char *stage, const struct err *why);

/** plan_mode() - the mode that is, or was last, tried. */
enum port_mode plan_mode(const struct plan *p);

/** plan_refusals() - "vfio: reason; vhost-user: reason" of what was named and did not work. */
void plan_refusals(const struct plan *p, struct err *out);

/** plan_fail() - the error of a plan that is not viable: every refused mode and its reason. */
int plan_fail(const struct plan *p, struct err *e);

/** plan_print() - the table of --explain. */
void plan_print(const struct planner *p, FILE *f);

/** plan_json() - [{"mode": ..., "viable": ..., "why": ...}] for "ctl ports"; NULL when memory is
 * out. */
json_t *plan_json(const struct plan *p);

#endif
