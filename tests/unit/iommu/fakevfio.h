/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKEVFIO_H
#define TESTS_FAKEVFIO_H

#include <linux/vfio.h>
#include "iommu/ioas.h"
#include "tests/unit/fake/fakesys.h"

#define FAKEVFIO_GROUPS 4
#define FAKEVFIO_MAPS	16
#define FAKEVFIO_CFG	4096 /* offset of config space in the device file */

/*
 * The kernel's VFIO for unit tests: a container, groups, and one kind of device (an igb VF), behind
 * a fakesys. It is as strict as the kernel where code under test depends on it.
 */
struct fakevfio {
	struct fakesys *fs;
	int api_version, has_type1v2, set_iommu_err, map_err, device_fd_err, coherent;
	/* chained answer of VFIO_IOMMU_GET_INFO */
	struct vfio_iova_range range[4];
	unsigned int nranges;
	uint32_t claim_ranges; /* nr_iovas to claim, 0: the honest number */
	uint32_t cap_offset;   /* 0: the honest one */
	bool cap_cycle, no_reset;
	uint32_t dma_avail;
	struct {
		unsigned int id;
		bool viable, in_container;
	} group[FAKEVFIO_GROUPS];
	unsigned int ngroups, groups_in;
	bool iommu_set;
	struct {
		uint64_t iova, size;
	} map[FAKEVFIO_MAPS];
	unsigned int nmaps, map_calls;
	char device_arg[80]; /* last argument of VFIO_GROUP_GET_DEVICE_FD */
	unsigned int resets, irqs_on[5];
	char order[256]; /* what was done to the device, in order: "reset1=0;irq2=0;" */
};

/** fakevfio_init() - /dev/vfio/vfio and an active IOMMU; no groups yet. */
void fakevfio_init(struct fakevfio *v, struct fakesys *fs);

/** fakevfio_dev() - a function of a group in sysfs; driver NULL: unbound. The first one makes the
 * group. */
void fakevfio_dev(struct fakevfio *v, unsigned int group, const char *bdf, const char *driver,
		  const char *class);

#endif
