/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_IOAS_PRIV_H
#define IOMMU_IOAS_PRIV_H

#include "iommu/ioas.h"

/**
 * struct ioas_ops - a backend
 * @attach: put the group in and refresh a->info and a->iova; on failure the group is out again
 * @detach: cannot fail
 * Bookkeeping, checks and sentences are in ioas.c; a backend only talks to its kernel interface.
 */
struct ioas_ops {
	void (*free)(struct ioas *a);
	int (*attach)(struct ioas *a, struct iommu_group *g, struct err *e);
	void (*detach)(struct ioas *a, struct iommu_group *g);
	int (*map)(struct ioas *a, uint64_t iova, uint64_t size, void *hva);
	int (*unmap)(struct ioas *a, uint64_t iova, uint64_t size);
};

/** struct ioas - embedded first in its backend. @iova: what the kernel allows; n == 0: it did not
 * say */
struct ioas {
	const struct ioas_ops *ops;
	struct sys *sys;
	const struct log *log;
	struct list maps, groups;
	struct ioas_info info;
	struct ioas_stats stats;
	struct ioas_ranges iova;
};

struct iommu_group {
	unsigned int id, refs;
	int fd;
	struct ioas *ioas;
	struct ioas_ranges reserved;
	struct list link;
};

void ioas_init(struct ioas *a, const struct ioas_ops *ops, struct sys *s, const struct log *log);

/** ioas_forget_maps() - the backend unmapped everything by itself. */
void ioas_forget_maps(struct ioas *a);

/** ioas_fini() - what ops->free calls last but for its own memory. */
void ioas_fini(struct ioas *a);

#endif
