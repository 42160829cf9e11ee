// SPDX-License-Identifier: BSD-3-Clause
/*
 * The type1 backend: a VFIO container. The container has no IOMMU of its own; it gets one when the
 * first group is put in (VFIO_SET_IOMMU), loses it when the last one leaves, and each further group
 * narrows what the container can do. So info and IOVA ranges are asked anew after each group.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/caps.h"
#include "iommu/ioas_priv.h"
#include "iommu/ranges.h"

#define CONTAINER	  "/dev/vfio/vfio"
#define UNSAFE_INTERRUPTS "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"

struct type1 {
	struct ioas ioas;
	int fd;
};

static struct type1 *to_type1(struct ioas *a)
{
	return container_of(a, struct type1, ioas);
}

static void type1_free(struct ioas *a)
{
	struct type1 *t = to_type1(a);

	sys_close(a->sys, &t->fd);
	ioas_fini(a);
	free(t);
}

static int read_ranges(const void *buf, size_t size, uint32_t first, struct ioas_ranges *out)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	const char *p;
	size_t room;
	int r;

	p = vfio_cap_find(buf, size, first, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &room);
	if (!p)
		return 0;
	if (room < sizeof(cap))
		return -EPROTO;
	memcpy(&cap, p, sizeof(cap));
	if (cap.nr_iovas > (room - sizeof(cap)) / sizeof(struct vfio_iova_range))
		return -EPROTO;
	for (uint32_t i = 0; i < cap.nr_iovas; i++) {
		struct vfio_iova_range v;

		memcpy(&v, p + sizeof(cap) + i * sizeof(v), sizeof(v));
		if (v.start > v.end)
			return -EPROTO;
		r = ioas_ranges_add(out, v.start, v.end);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_info(struct ioas *a, const void *buf, size_t size, struct ioas_ranges *iova)
{
	struct vfio_iommu_type1_info_dma_avail avail;
	struct vfio_iommu_type1_info info;
	uint32_t first;
	const void *p;
	size_t room;
	int r;

	memcpy(&info, buf, sizeof(info));
	first = info.flags & VFIO_IOMMU_INFO_CAPS ? info.cap_offset : 0;
	r = read_ranges(buf, size, first, iova);
	if (r < 0)
		return r;
	a->info.pgsizes = info.flags & VFIO_IOMMU_INFO_PGSIZES ? info.iova_pgsizes : 0;
	p = vfio_cap_find(buf, size, first, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, &room);
	if (p && room >= sizeof(avail)) {
		memcpy(&avail, p, sizeof(avail));
		a->info.dma_avail = avail.avail;
	}
	return 0;
}

static int refresh_info(struct type1 *t, struct err *e)
{
	struct vfio_iommu_type1_info head = { 0 };
	struct ioas *a = &t->ioas;
	struct ioas_ranges iova = { 0 };
	void *buf = NULL;
	size_t size;
	int r;

	r = vfio_info_get(a->sys, t->fd, VFIO_IOMMU_GET_INFO, &head, sizeof(head), &buf, &size);
	if (r == 0)
		r = parse_info(a, buf, size, &iova);
	free(buf);
	if (r < 0) {
		ioas_ranges_free(&iova);
		return err_sys(e, r, "cannot ask the IOMMU what it can do");
	}
	ioas_ranges_free(&a->iova);
	a->iova = iova;
	a->info.ranges = iova.n > 0;
	a->info.coherent =
		sys_ioctl(a->sys, t->fd, VFIO_CHECK_EXTENSION, (void *)VFIO_DMA_CC_IOMMU) > 0;
	return 0;
}

static int set_iommu(struct type1 *t, struct iommu_group *g, struct err *e)
{
	int r = sys_ioctl(t->ioas.sys, t->fd, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);

	if (r == -EPERM)
		return err_set(
			e, r,
			"the IOMMU of group %u cannot remap interrupts, so a guest could forge "
			"interrupts of the host: switch interrupt remapping on in the firmware and "
			"boot without intremap=off",
			g->id);
	if (r < 0)
		return err_sys(e, r, "cannot attach the IOMMU to group %u", g->id);
	return 0;
}

static int type1_attach(struct ioas *a, struct iommu_group *g, struct err *e)
{
	struct type1 *t = to_type1(a);
	bool first = list_empty(&a->groups);
	int r;

	r = sys_ioctl(a->sys, g->fd, VFIO_GROUP_SET_CONTAINER, &t->fd);
	if (r == -EPERM && !first) /* a further group meets the check of set_iommu() here */
		return err_set(e, r, "the IOMMU of group %u cannot remap interrupts: refused",
			       g->id);
	if (r < 0)
		return err_sys(e, r, "cannot put group %u into the VFIO container", g->id);
	r = first ? set_iommu(t, g, e) : 0;
	if (r == 0)
		r = refresh_info(t, e);
	if (r < 0)
		(void)sys_ioctl(a->sys, g->fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
	return r;
}

static void type1_detach(struct ioas *a, struct iommu_group *g)
{
	(void)sys_ioctl(a->sys, g->fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static int type1_map(struct ioas *a, uint64_t iova, uint64_t size, void *hva)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = size,
	};
	int r = sys_ioctl(a->sys, to_type1(a)->fd, VFIO_IOMMU_MAP_DMA, &map);

	return r < 0 ? r : 0;
}

static int type1_unmap(struct ioas *a, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};
	int r = sys_ioctl(a->sys, to_type1(a)->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (r < 0)
		return r;
	return unmap.size == size ? 0 : -EIO;
}

static const struct ioas_ops type1_ops = {
	.free = type1_free,
	.attach = type1_attach,
	.detach = type1_detach,
	.map = type1_map,
	.unmap = type1_unmap,
};

static int open_container(struct type1 *t, struct err *e)
{
	struct sys *s = t->ioas.sys;
	int r;

	r = sys_open(s, CONTAINER, O_RDWR | O_CLOEXEC, 0);
	if (r == -ENOENT || r == -ENODEV)
		return err_set(e, r,
			       "there is no " CONTAINER ": load VFIO with \"modprobe vfio-pci\"");
	if (r < 0)
		return err_sys(e, r, "cannot open " CONTAINER);
	t->fd = r;
	r = sys_ioctl(s, t->fd, VFIO_GET_API_VERSION, NULL);
	if (r < 0)
		return err_sys(e, r, CONTAINER " does not answer as VFIO");
	if (r != VFIO_API_VERSION)
		return err_set(e, -EPROTO, CONTAINER " has API version %d, not %d", r,
			       VFIO_API_VERSION);
	r = sys_ioctl(s, t->fd, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU);
	if (r < 0)
		return err_sys(e, r, CONTAINER " does not answer as VFIO");
	if (r == 0)
		return err_set(e, -ENOTSUP,
			       "VFIO has no type1 (v2) IOMMU here: load it with "
			       "\"modprobe vfio_iommu_type1\"");
	return 0;
}

int ioas_safe_interrupts(struct sys *s, struct err *e)
{
	char text[16];
	int r = sys_file_read(s, text, sizeof(text), UNSAFE_INTERRUPTS);

	if (r == -ENOENT) /* built without the parameter, or the module is not there yet */
		return 0;
	if (r < 0)
		return err_sys(e, r, "cannot read " UNSAFE_INTERRUPTS);
	if (!strcmp(text, "Y") || !strcmp(text, "1"))
		return err_set(
			e, -EPERM,
			"vfio_iommu_type1 is loaded with allow_unsafe_interrupts=1, so a guest "
			"could forge interrupts of the host: refused; write N to " UNSAFE_INTERRUPTS);
	return 0;
}

int ioas_type1_new(struct sys *s, const struct log *log, struct ioas **out, struct err *e)
{
	struct type1 *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_sys(e, -ENOMEM, "IOMMU");
	ioas_init(&t->ioas, &type1_ops, s, log);
	t->ioas.info.backend = "type1";
	t->fd = -1;
	r = open_container(t, e);
	if (r == 0)
		r = ioas_safe_interrupts(s, e);
	if (r < 0) {
		type1_free(&t->ioas);
		return r;
	}
	*out = &t->ioas;
	return 0;
}
