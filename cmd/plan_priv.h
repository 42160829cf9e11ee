/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_PLAN_PRIV_H
#define CMD_PLAN_PRIV_H

#include "cmd/plan.h"

/*
 * One look for each mode: 0 with what (and more) of @p filled, or -errno with the reason. The host
 * is not changed.
 */
/** plan_vfio() - can the port be an assigned function? Fills fn, group and what. */
int plan_vfio(struct planner *pl, struct plan *p, struct err *e);
/** plan_vhost_user() - would a backend answer at the socket? */
int plan_vhost_user(struct planner *pl, struct plan *p, struct err *e);
/** plan_virtio() - is there a tap interface, or a file or block device, for the VMM to serve? */
int plan_virtio(struct planner *pl, struct plan *p, struct err *e);

/** plan_emulated() - the host side of one of the other modes. */
int plan_emulated(struct planner *pl, struct plan *p, struct err *e);

/** plan_what() - fill what; for modes in which the settings of VFs mean nothing, that is added. */
void plan_what(struct plan *p, const char *fmt, ...) __printf(2, 3);

/** plan_earlier() - an earlier port of the same command line that uses what @p names, judged by
 * same(); NULL: none. */
const struct plan *plan_earlier(const struct planner *pl, const struct plan *p,
				bool (*same)(const struct plan *a, const struct plan *b));

#endif
