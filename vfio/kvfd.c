// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device behind the kernel's VFIO group interface. Regions lie at offsets of the device file that
 * only the kernel knows, so they are asked for once at open and looked up for each access.
 *
 * The kernel resets a device when its file is asked for, and the specification makes it wait 100 ms
 * for that (PCIe base spec 6.6.2). So the asking is done on a thread, if that is wanted: devices,
 * and the rest of the set-up, wait side by side.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/thread.h"
#include "iommu/caps.h"
#include "iommu/group.h"
#include "vfio/vfd.h"

#define IRQ_FDS_MAX 2048 /* MSI-X cannot have more vectors */

struct kvfd {
	struct vfd vfd;
	struct sys *sys;
	int fd;
	int group_fd;
	char dev[BDF_STRLEN], name[96]; /* name: as the kernel wants it, with the token */
	bool token, opening;		/* opening: the thread runs, or has run */
	pthread_t thread;
	int got; /* the thread's until it was joined: the file, or -errno */
	uint64_t off[VFIO_PCI_NUM_REGIONS];
	struct vfd_region region[VFIO_PCI_NUM_REGIONS];
};

static struct kvfd *to_kvfd(struct vfd *d)
{
	return container_of(d, struct kvfd, vfd);
}

static void kvfd_close(struct vfd *d)
{
	struct kvfd *k = to_kvfd(d);

	if (k->opening) {
		pthread_join(k->thread, NULL);
		k->fd = k->got;
	}
	sys_close(k->sys, &k->fd);
	free(k);
}

static int kvfd_region_info(struct vfd *d, unsigned int region, struct vfd_region *out)
{
	if (region >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	*out = to_kvfd(d)->region[region];
	return 0;
}

static int kvfd_irq_info(struct vfd *d, unsigned int index, struct vfd_irq *out)
{
	struct vfio_irq_info q = { .argsz = sizeof(q), .index = index };
	int r = sys_ioctl(to_kvfd(d)->sys, to_kvfd(d)->fd, VFIO_DEVICE_GET_IRQ_INFO, &q);

	if (r < 0)
		return r;
	*out = (struct vfd_irq){
		.count = q.count,
		.eventfd = q.flags & VFIO_IRQ_INFO_EVENTFD,
		.maskable = q.flags & VFIO_IRQ_INFO_MASKABLE,
		.automasked = q.flags & VFIO_IRQ_INFO_AUTOMASKED,
		.noresize = q.flags & VFIO_IRQ_INFO_NORESIZE,
	};
	return 0;
}

static int kvfd_read(struct vfd *d, unsigned int region, uint64_t off, void *buf, unsigned int len)
{
	struct kvfd *k = to_kvfd(d);
	ssize_t n;

	if (region >= VFIO_PCI_NUM_REGIONS || !range_ok(off, len, k->region[region].size))
		return -EINVAL;
	n = sys_pread(k->sys, k->fd, buf, len, (off_t)(k->off[region] + off));
	if (n < 0)
		return (int)n;
	return n == (ssize_t)len ? 0 : -EIO;
}

static int kvfd_write(struct vfd *d, unsigned int region, uint64_t off, const void *buf,
		      unsigned int len)
{
	struct kvfd *k = to_kvfd(d);
	ssize_t n;

	if (region >= VFIO_PCI_NUM_REGIONS || !range_ok(off, len, k->region[region].size))
		return -EINVAL;
	n = sys_pwrite(k->sys, k->fd, buf, len, (off_t)(k->off[region] + off));
	if (n < 0)
		return (int)n;
	return n == (ssize_t)len ? 0 : -EIO;
}

static int kvfd_map(struct vfd *d, unsigned int region, uint64_t off, uint64_t size, void **hva)
{
	struct kvfd *k = to_kvfd(d);
	const struct vfd_region *r;
	int prot;

	if (region >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	r = &k->region[region];
	prot = (r->read ? PROT_READ : 0) | (r->write ? PROT_WRITE : 0);
	return sys_mmap(k->sys, hva, size, prot, MAP_SHARED, k->fd, (off_t)(k->off[region] + off));
}

static void kvfd_unmap(struct vfd *d, void *hva, uint64_t size)
{
	sys_munmap(to_kvfd(d)->sys, hva, size);
}

static int kvfd_irqs_set(struct vfd *d, unsigned int index, enum vfd_irq_action action,
			 unsigned int start, unsigned int count, const int32_t *fds)
{
	static const uint32_t actions[] = {
		[VFD_IRQ_TRIGGER] = VFIO_IRQ_SET_ACTION_TRIGGER,
		[VFD_IRQ_MASK] = VFIO_IRQ_SET_ACTION_MASK,
		[VFD_IRQ_UNMASK] = VFIO_IRQ_SET_ACTION_UNMASK,
	};
	struct kvfd *k = to_kvfd(d);
	struct vfio_irq_set *set;
	size_t size = sizeof(*set);
	int r;

	if (count > IRQ_FDS_MAX)
		return -EINVAL;
	if (fds)
		size += count * sizeof(*fds);
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = actions[action] | (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = count;
	if (fds)
		memcpy(set->data, fds, count * sizeof(*fds));
	r = sys_ioctl(k->sys, k->fd, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	/* A positive answer is how many vectors there would have been; none is connected then. */
	return r > 0 ? -ENOSPC : r;
}

static int kvfd_reset(struct vfd *d)
{
	struct kvfd *k = to_kvfd(d);
	int r = -EAGAIN;

	/* EAGAIN: somebody else holds the device's lock, for the length of a sysfs write. */
	for (unsigned int i = 0; i < 20; i++) {
		r = sys_ioctl(k->sys, k->fd, VFIO_DEVICE_RESET, NULL);
		if (r != -EAGAIN)
			break;
		sys_sleep_ns(k->sys, 10 * 1000 * 1000);
	}
	return r;
}

static const struct vfd_ops kvfd_ops = {
	.close = kvfd_close,
	.region_info = kvfd_region_info,
	.irq_info = kvfd_irq_info,
	.read = kvfd_read,
	.write = kvfd_write,
	.map = kvfd_map,
	.unmap = kvfd_unmap,
	.irqs_set = kvfd_irqs_set,
	.reset = kvfd_reset,
};

/* Sparse-mmap areas of a region's capability chain. More than we hold are left trapped. */
static int parse_sparse(const void *buf, size_t size, uint32_t first, struct vfd_region *out)
{
	struct vfio_region_info_cap_sparse_mmap cap;
	const char *p;
	size_t room;

	p = vfio_cap_find(buf, size, first, VFIO_REGION_INFO_CAP_SPARSE_MMAP, &room);
	if (!p)
		return 0;
	if (room < sizeof(cap))
		return -EPROTO;
	memcpy(&cap, p, sizeof(cap));
	if (cap.nr_areas > (room - sizeof(cap)) / sizeof(struct vfio_region_sparse_mmap_area))
		return -EPROTO;
	for (uint32_t i = 0; i < cap.nr_areas && out->nareas < VFD_AREAS_MAX; i++) {
		struct vfio_region_sparse_mmap_area a;

		memcpy(&a, p + sizeof(cap) + i * sizeof(a), sizeof(a));
		if (a.size)
			out->areas[out->nareas++] = (struct vfd_area){ a.offset, a.size };
	}
	/* The capability says what may be mapped; with no area, or empty ones, that is nothing. */
	out->mmap = out->nareas > 0;
	return 0;
}

static int query_region(struct kvfd *k, unsigned int index)
{
	struct vfio_region_info head = { .index = index }, info;
	struct vfd_region *out = &k->region[index];
	void *buf = NULL;
	size_t size, room;
	uint32_t first;
	int r;

	r = vfio_info_get(k->sys, k->fd, VFIO_DEVICE_GET_REGION_INFO, &head, sizeof(head), &buf,
			  &size);
	if (r == -EINVAL) /* this function has no such region (VGA) */
		return 0;
	if (r < 0)
		return r;
	memcpy(&info, buf, sizeof(info));
	first = info.flags & VFIO_REGION_INFO_FLAG_CAPS ? info.cap_offset : 0;
	k->off[index] = info.offset;
	out->size = info.size;
	out->read = info.flags & VFIO_REGION_INFO_FLAG_READ;
	out->write = info.flags & VFIO_REGION_INFO_FLAG_WRITE;
	out->mmap = info.flags & VFIO_REGION_INFO_FLAG_MMAP;
	out->msix_mappable =
		vfio_cap_find(buf, size, first, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, &room) != NULL;
	r = parse_sparse(buf, size, first, out);
	free(buf);
	return r;
}

static int device_fd_failed(struct sys *s, const char *dev, int code, bool token, struct err *e)
{
	char driver[64];

	if (sys_link_base(s, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", dev) < 0)
		driver[0] = 0;
	if (!strstr(driver, "vfio"))
		return err_set(e, code, "%s is %s%s, not to vfio-pci: bind it with driver_override",
			       dev, driver[0] ? "bound to " : "not bound to a driver", driver);
	if (token)
		return err_sys(e, code,
			       "cannot open %s with this vf-token (wrong, or not asked for)", dev);
	if (code == -EACCES)
		return err_set(
			e, code,
			"%s is a VF whose PF is driven by vfio-pci: give the token of the PF's "
			"owner (vf-token=UUID)",
			dev);
	return err_sys(e, code, "cannot open %s", dev);
}

static int get_device(struct kvfd *k)
{
	return sys_ioctl(k->sys, k->group_fd, VFIO_GROUP_GET_DEVICE_FD, k->name);
}

static void *get_device_main(void *arg)
{
	struct kvfd *k = arg;

	k->got = get_device(k);
	return NULL;
}

/* Without a thread it is done later, which is slower and no more. */
static void get_device_start(struct kvfd *k)
{
	k->opening = !thread_start(&k->thread, NULL, 0, get_device_main, k);
}

static int query_device(struct kvfd *k, const char *dev, struct err *e)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int r = sys_ioctl(k->sys, k->fd, VFIO_DEVICE_GET_INFO, &info);

	if (r < 0)
		return err_sys(e, r, "cannot ask VFIO about %s", dev);
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return err_set(e, -ENODEV, "VFIO does not show %s as a PCI function", dev);
	k->vfd.can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	for (unsigned int i = 0; i < MIN(info.num_regions, (uint32_t)VFIO_PCI_NUM_REGIONS); i++) {
		r = query_region(k, i);
		if (r < 0)
			return err_sys(e, r, "cannot ask VFIO about region %u of %s", i, dev);
	}
	return 0;
}

int vfd_kernel_begin(struct sys *s, struct iommu_group *g, struct bdf b, const char *vf_token,
		     bool background, struct vfd **out, struct err *e)
{
	struct kvfd *k = calloc(1, sizeof(*k));
	int n;

	if (!k)
		return err_sys(e, -ENOMEM, "device file");
	k->vfd.ops = &kvfd_ops;
	k->sys = s;
	k->fd = -1;
	k->group_fd = iommu_group_fd(g);
	k->token = vf_token;
	bdf_format(k->dev, b);
	n = snprintf(k->name, sizeof(k->name), "%s%s%s", k->dev, vf_token ? " vf_token=" : "",
		     vf_token ? vf_token : "");
	if ((size_t)n >= sizeof(k->name)) {
		kvfd_close(&k->vfd);
		return err_set(e, -EINVAL, "vf-token is not a UUID: %s", vf_token);
	}
	if (background)
		get_device_start(k);
	*out = &k->vfd;
	return 0;
}

int vfd_kernel_ready(struct vfd *d, struct err *e)
{
	struct kvfd *k = to_kvfd(d);
	int r;

	if (k->opening)
		pthread_join(k->thread, NULL);
	r = k->opening ? k->got : get_device(k);
	k->opening = false;
	if (r < 0)
		return device_fd_failed(k->sys, k->dev, r, k->token, e);
	k->fd = r;
	return query_device(k, k->dev, e);
}
