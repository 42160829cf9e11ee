/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FUZZ_RING_VQ_H
#define TESTS_FUZZ_RING_VQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** fuzz_vq() - one input, for a split or a packed ring. */
int fuzz_vq(const uint8_t *data, size_t size, bool packed);

#endif
