/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_PLAN_PRIV_H
#define CMD_PLAN_PRIV_H

#include "cmd/plan.h"

/** plan_vfio() - can the port be an assigned function? Fills fn, group and what of @p. */
int plan_vfio(struct planner *pl, struct plan *p, struct err *e);

#endif
