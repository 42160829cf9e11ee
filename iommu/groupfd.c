// SPDX-License-Identifier: BSD-3-Clause
/*
 * Open groups. One file per group and VM, shared by the devices of the group: the kernel lets a
 * group be opened once, so a second device of the same group must find the first one's file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include "iommu/group.h"
#include "iommu/ioas_priv.h"

static int open_group(struct sys *s, struct iommu_group *g, struct err *e)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/dev/vfio/%u", g->id);
	r = sys_open(s, path, O_RDWR | O_CLOEXEC, 0);
	if (r >= 0) {
		g->fd = r;
		return 0;
	}
	switch (r) {
	case -ENOENT:
		/* The file appears when the first member is bound to a VFIO driver. */
		return err_set(e, r,
			       "there is no %s: no device of IOMMU group %u is bound to vfio-pci",
			       path, g->id);
	case -EBUSY:
		return err_set(e, r, "IOMMU group %u is in use by another process (fuser -v %s)",
			       g->id, path);
	case -EACCES:
	case -EPERM:
		return err_sys(e, r, "cannot open %s: run as root or give your user this file",
			       path);
	default:
		return err_sys(e, r, "cannot open %s", path);
	}
}

static int check_status(struct sys *s, struct iommu_group *g, struct err *e)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	int r;

	r = sys_ioctl(s, g->fd, VFIO_GROUP_GET_STATUS, &st);
	if (r < 0)
		return err_sys(e, r, "cannot read the state of IOMMU group %u", g->id);
	if (st.flags & VFIO_GROUP_FLAGS_CONTAINER_SET)
		return err_set(e, -EBUSY, "IOMMU group %u is already in another container", g->id);
	if (st.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	r = iommu_group_viable(s, g->id, e);
	if (r < 0)
		return r;
	return err_set(
		e, -EBUSY,
		"group %u is not viable: a driver of one of its devices does not let go (see "
		"/sys/kernel/iommu_groups/%u/devices)",
		g->id, g->id);
}

static void group_free(struct iommu_group *g)
{
	sys_close(g->ioas->sys, &g->fd);
	ioas_ranges_free(&g->reserved);
	free(g);
}

static int group_open(struct ioas *a, struct iommu_group *g, struct err *e)
{
	int r;

	/* sysfs first: it names who is in the way, the kernel would only say "not viable" or EBUSY.
	 */
	r = iommu_group_viable(a->sys, g->id, e);
	if (r == 0)
		r = iommu_group_reserved(a->sys, g->id, &g->reserved, e);
	if (r == 0)
		r = open_group(a->sys, g, e);
	if (r == 0)
		r = check_status(a->sys, g, e);
	if (r == 0)
		r = a->ops->attach(a, g, e);
	return r;
}

int ioas_group_get(struct ioas *a, unsigned int id, struct iommu_group **out, struct err *e)
{
	struct list *pos, *nxt;
	struct iommu_group *g;
	int r;

	list_for_each (pos, nxt, &a->groups) {
		g = list_entry(pos, struct iommu_group, link);
		if (g->id == id) {
			g->refs++;
			*out = g;
			return 0;
		}
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return err_sys(e, -ENOMEM, "IOMMU group %u", id);
	g->id = id;
	g->fd = -1;
	g->refs = 1;
	g->ioas = a;
	r = group_open(a, g, e);
	if (r < 0) {
		group_free(g);
		return r;
	}
	list_add_tail(&a->groups, &g->link);
	*out = g;
	return 0;
}

void iommu_group_put(struct iommu_group *g)
{
	if (!g || --g->refs)
		return;
	list_del(&g->link);
	g->ioas->ops->detach(g->ioas, g);
	/* The IOMMU goes with its last group, and what was mapped with it. */
	if (list_empty(&g->ioas->groups))
		ioas_forget_maps(g->ioas);
	group_free(g);
}

int iommu_group_fd(const struct iommu_group *g)
{
	return g->fd;
}

unsigned int iommu_group_id(const struct iommu_group *g)
{
	return g->id;
}
