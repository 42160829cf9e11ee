/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SRIOV_WORLD_PRIV_H
#define TESTS_SRIOV_WORLD_PRIV_H

#include <stdarg.h>
#include "tests/unit/sriov/world.h"

/* rtnetlink and the NVMe admin queue (world_peers.c). */
void world_add_peers(struct world *w);

#endif
