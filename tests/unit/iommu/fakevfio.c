// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fake/fakesys_priv.h"
#include "tests/unit/iommu/fakevfio.h"

#define DEVICE "/fake/vfio-device"

static int group_index(struct fakevfio *v, unsigned int id)
{
	for (unsigned int i = 0; i < v->ngroups; i++)
		if (v->group[i].id == id)
			return (int)i;
	return -1;
}

void fakevfio_dev(struct fakevfio *v, unsigned int group, const char *bdf, const char *driver,
		  const char *class)
{
	char path[128], to[128];

	snprintf(path, sizeof(path), "/sys/devices/%s/class", bdf);
	fakesys_file(v->fs, path, class);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	snprintf(to, sizeof(to), "/sys/devices/%s", bdf);
	fakesys_link(v->fs, path, to);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices/%s", group, bdf);
	fakesys_link(v->fs, path, to);
	if (driver) {
		snprintf(path, sizeof(path), "/sys/devices/%s/driver", bdf);
		snprintf(to, sizeof(to), "/sys/bus/pci/drivers/%s", driver);
		fakesys_link(v->fs, path, to);
	}
	snprintf(path, sizeof(path), "/sys/devices/%s/iommu_group", bdf);
	snprintf(to, sizeof(to), "/sys/kernel/iommu_groups/%u", group);
	fakesys_link(v->fs, path, to);
	if (group_index(v, group) >= 0)
		return;
	v->group[v->ngroups].id = group;
	v->group[v->ngroups++].viable = true;
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/reserved_regions", group);
	fakesys_file(v->fs, path, "0x00000000fee00000 0x00000000feefffff msi\n");
	snprintf(path, sizeof(path), "/dev/vfio/%u", group);
	fakesys_file(v->fs, path, "");
}

static int get_info(struct fakevfio *v, char *arg)
{
	struct {
		struct vfio_iommu_type1_info info;
		uint32_t pad;
		struct vfio_iommu_type1_info_dma_avail avail;
		uint32_t pad2;
		struct vfio_iommu_type1_info_cap_iova_range cap;
		struct vfio_iova_range v[4];
	} a = { 0 };
	uint32_t argsz;

	memcpy(&argsz, arg, sizeof(argsz));
	a.info.argsz = sizeof(a);
	a.info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	a.info.iova_pgsizes = 4096 | MIB(2) | GIB(1);
	a.info.cap_offset = (uint32_t)((char *)&a.avail - (char *)&a);
	if (v->cap_offset)
		a.info.cap_offset = v->cap_offset;
	a.avail.header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	a.avail.header.next = (uint32_t)((char *)&a.cap - (char *)&a);
	if (v->cap_cycle)
		a.avail.header.next = a.info.cap_offset;
	a.avail.avail = v->dma_avail;
	a.cap.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	a.cap.nr_iovas = v->claim_ranges ? v->claim_ranges : v->nranges;
	memcpy(a.v, v->range, sizeof(v->range));
	if (argsz < sizeof(a))
		memcpy(arg, &a.info, MIN((size_t)argsz, sizeof(a.info)));
	else
		memcpy(arg, &a, sizeof(a));
	return 0;
}

static int map_dma(struct fakevfio *v, const struct vfio_iommu_type1_dma_map *m)
{
	v->map_calls++;
	if (v->map_err)
		return v->map_err;
	BUG_ON(v->nmaps == FAKEVFIO_MAPS || !v->iommu_set);
	v->map[v->nmaps].iova = m->iova;
	v->map[v->nmaps++].size = m->size;
	return 0;
}

static int unmap_dma(struct fakevfio *v, struct vfio_iommu_type1_dma_unmap *u)
{
	for (unsigned int i = 0; i < v->nmaps; i++) {
		if (v->map[i].iova == u->iova && v->map[i].size == u->size) {
			v->map[i] = v->map[--v->nmaps];
			return 0;
		}
	}
	u->size = 0;
	return 0;
}

static int on_container(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fakevfio *v = arg;

	switch (req) {
	case VFIO_GET_API_VERSION:
		return v->api_version;
	case VFIO_CHECK_EXTENSION:
		return (uintptr_t)data == VFIO_TYPE1v2_IOMMU ? v->has_type1v2 : v->coherent;
	case VFIO_SET_IOMMU:
		if (v->set_iommu_err || !v->groups_in)
			return v->set_iommu_err ? v->set_iommu_err : -EINVAL;
		v->iommu_set = true;
		return 0;
	case VFIO_IOMMU_GET_INFO:
		return v->iommu_set ? get_info(v, data) : -EINVAL;
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(v, data);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(v, data);
	}
	return -ENOTTY;
}

static int on_group(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fakevfio *v = arg;
	unsigned int id;
	int i = sscanf(path, "/dev/vfio/%u", &id) == 1 ? group_index(v, id) : -1;
	struct vfio_group_status *st = data;

	BUG_ON(i < 0);
	switch (req) {
	case VFIO_GROUP_GET_STATUS:
		st->flags = v->group[i].viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
		if (v->group[i].in_container)
			st->flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		v->group[i].in_container = true;
		v->groups_in++;
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		v->group[i].in_container = false;
		if (!--v->groups_in) {
			v->iommu_set = false;
			v->nmaps = 0; /* the IOMMU goes with its last group */
		}
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		snprintf(v->device_arg, sizeof(v->device_arg), "%s", (const char *)data);
		return v->device_fd_err ? v->device_fd_err : fakesys_new_fd(v->fs, DEVICE);
	}
	return -ENOTTY;
}

/* BAR 0: registers; BAR 3: MSI-X table and PBA, 10 vectors; both 16 KiB, as an igb VF in the lab.
 */
static int region_info(struct vfio_region_info *r)
{
	static const uint64_t sizes[] = { 0x4000, 0, 0, 0x4000, 0, 0, 0, 0x1000 };

	if (r->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	r->size = r->index < 8 ? sizes[r->index] : 0;
	r->flags = r->size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	if (r->size && r->index < 6)
		r->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	r->offset =
		r->index == VFIO_PCI_CONFIG_REGION_INDEX ? FAKEVFIO_CFG : 0x100000 * (r->index + 1);
	return 0;
}

static int irq_info(struct vfio_irq_info *q)
{
	static const unsigned int counts[] = { 0, 0, 3, 1, 1 };

	if (q->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	q->count = counts[q->index];
	q->flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

static void note(struct fakevfio *v, const char *what, unsigned int a, unsigned int b)
{
	size_t n = strlen(v->order);

	snprintf(v->order + n, sizeof(v->order) - n, "%s%u=%u;", what, a, b);
}

static int on_device(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fakevfio *v = arg;
	struct vfio_device_info *info = data;
	struct vfio_irq_set *set = data;

	switch (req) {
	case VFIO_DEVICE_GET_INFO:
		info->flags = VFIO_DEVICE_FLAGS_PCI;
		if (!v->no_reset)
			info->flags |= VFIO_DEVICE_FLAGS_RESET;
		info->num_regions = VFIO_PCI_NUM_REGIONS;
		info->num_irqs = VFIO_PCI_NUM_IRQS;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(data);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_info(data);
	case VFIO_DEVICE_SET_IRQS:
		if (set->index >= VFIO_PCI_NUM_IRQS)
			return -EINVAL;
		v->irqs_on[set->index] = set->count;
		note(v, "irq", set->index, set->count);
		return 0;
	case VFIO_DEVICE_RESET:
		v->resets++;
		note(v, "reset", v->resets, 0);
		return 0;
	}
	return -ENOTTY;
}

/* Config space of an igb VF: MSI-X (BAR 3) and PCIe capabilities, DSN and ARI as extended ones. */
static void make_config(struct fakevfio *v)
{
	static const struct {
		unsigned int off, len;
		uint32_t val;
	} init[] = {
		{ 0x00, 4, 0x10ca8086 },  { 0x06, 2, 0x0010 },	    { 0x08, 4, 0x02000001 },
		{ 0x10, 4, 0x0000000c },  { 0x1c, 4, 0x0000000c },  { 0x34, 1, 0x70 },
		{ 0x70, 4, 0x8002a011 },  { 0x74, 4, 0x3 },	    { 0x78, 4, 0x2003 },
		{ 0xa0, 4, 0x00020010 },  { 0xa4, 4, 0x10008000 },  { 0x100, 4, 0x15010003 },
		{ 0x104, 4, 0x11223344 }, { 0x150, 4, 0x0001000e },
	};
	char *text = fakesys_need(calloc(1, FAKEVFIO_CFG + 4096));

	for (unsigned int i = 0; i < ARRAY_SIZE(init); i++)
		memcpy(text + FAKEVFIO_CFG + init[i].off, &init[i].val, init[i].len);
	fakesys_node_put(v->fs, DEVICE, NODE_FILE, text, FAKEVFIO_CFG + 4096);
	free(text);
}

void fakevfio_init(struct fakevfio *v, struct fakesys *fs)
{
	*v = (struct fakevfio){
		.fs = fs,
		.has_type1v2 = 1,
		.coherent = 1,
		.range = { { 0, 0xfedfffff }, { 0xfef00000, 0x7fffffffff } },
		.nranges = 2,
		.dma_avail = 65535,
	};
	fakesys_file(fs, "/dev/vfio/vfio", "");
	fakesys_dir(fs, "/sys/class/iommu/dmar0");
	fakesys_file(fs, "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
	fakesys_file(fs, "/proc/self/status", "Name:\tt\nVmLck:\t       0 kB\nCapEff:\t0\n");
	fakesys_on_ioctl(fs, "/dev/vfio/", on_group, v);
	fakesys_on_ioctl(fs, "/dev/vfio/vfio", on_container, v);
	fakesys_on_ioctl(fs, DEVICE, on_device, v);
	make_config(v);
}
