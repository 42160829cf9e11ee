/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_VF_LIST_H
#define CMD_VF_LIST_H

#include <stdio.h>

#include "sriov/vf.h"

/** vf_list_print() - "sluice vf list" as tables or JSON; -ENOMEM or 0. */
int vf_list_print(const struct sriov_list *l, bool as_json, FILE *f) __must_check;

#endif
