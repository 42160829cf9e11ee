/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_GROUP_H
#define IOMMU_GROUP_H

#include "base/bdf.h"
#include "base/err.h"
#include "base/sys.h"
#include "iommu/ioas.h"

/*
 * IOMMU groups as sysfs shows them; nothing here opens or changes anything. A group is the smallest
 * set of functions that the IOMMU can tell apart from others, so it is given away as a whole or not
 * at all.
 */

#define IOMMU_MEMBERS_MAX 64

/**
 * struct iommu_member - a device of a group
 * @name:   "0000:01:10.0"
 * @driver: bound driver, "" for none
 * @bridge: a PCI-to-PCI or CardBus bridge: does no DMA for itself, so it may stay bound
 */
struct iommu_member {
	char name[32], driver[32];
	bool bridge;
};

struct iommu_members {
	unsigned int n;
	struct iommu_member v[IOMMU_MEMBERS_MAX];
};

/**
 * iommu_group_of() - group number of a PCI function
 * Return: -ENODEV when the function does not exist, -ENXIO when it has no IOMMU group (no IOMMU is
 * active) or a group of the no-IOMMU mode; e says what to switch on.
 */
int iommu_group_of(struct sys *s, struct bdf b, unsigned int *id, struct err *e) __must_check;

/** iommu_group_members() - sorted by name; more than IOMMU_MEMBERS_MAX are cut off. */
int iommu_group_members(struct sys *s, unsigned int id, struct iommu_members *out,
			struct err *e) __must_check;

/** iommu_member_blocks() - does this member, as it is bound, keep the group from being given away?
 */
bool iommu_member_blocks(const struct iommu_member *m);

/**
 * iommu_group_viable() - may the whole group be given away, as far as sysfs tells?
 * Return: 0, or -EBUSY with e naming each member in the way, its driver and the fix.
 */
int iommu_group_viable(struct sys *s, unsigned int id, struct err *e) __must_check;

/**
 * iommu_group_reserved() - regions of /sys/kernel/iommu_groups/N/reserved_regions that IOVAs must
 * avoid Relaxable direct maps are left out, as the kernel does when it gives the group to user
 * space.
 * @out: free with ioas_ranges_free()
 */
int iommu_group_reserved(struct sys *s, unsigned int id, struct ioas_ranges *out,
			 struct err *e) __must_check;

#endif
