/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_CTL_H
#define CMD_CTL_H

#include <stdio.h>

#include "base/ctl.h"

/** ctl_print() - an answer's data for people: scalars as "key  value", arrays of objects as tables.
 */
void ctl_print(const json_t *data, FILE *f);

/** vm_ctl_cmds - what a running machine answers; arg is its struct run. */
extern const struct ctl_cmd vm_ctl_cmds[];

#endif
