/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_VHOSTD_SW_H
#define TESTS_UNIT_VHOSTD_SW_H

#include "virtio/vhostd/sw.h"

/** test_pool() - packet buffers in ordinary memory. */
struct rte_mempool *test_pool(void);

/* Tests of off.c. */
void off_checksums(void **st);
void off_cuts_tcp(void **st);
void off_refuses(void **st);

#endif
