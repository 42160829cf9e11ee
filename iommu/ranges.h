/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_RANGES_H
#define IOMMU_RANGES_H

#include "iommu/ioas.h"

/* Arithmetic on sorted sets of inclusive ranges; -ENOMEM is the only failure, and changes nothing.
 */

/** ioas_ranges_add() - put one range in place; overlapping and touching ones become one. start <=
 * end. */
int ioas_ranges_add(struct ioas_ranges *r, uint64_t start, uint64_t end) __must_check;

/** ioas_ranges_sub() - take one range out, splitting what holds it. */
int ioas_ranges_sub(struct ioas_ranges *r, uint64_t start, uint64_t end) __must_check;

#endif
