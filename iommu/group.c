// SPDX-License-Identifier: BSD-3-Clause
/*
 * What sysfs tells of groups. The kernel alone decides whether a group is viable, but it answers
 * with one bit; the sentences here name the device, its driver and the way out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/group.h"
#include "iommu/ranges.h"

#define GROUPS	 "/sys/kernel/iommu_groups"
#define PCI_DEVS "/sys/bus/pci/devices"

static int any_name(void *arg, const char *name)
{
	return 1;
}

/* /sys/class/iommu has an entry per active IOMMU. */
static bool iommu_active(struct sys *s)
{
	return sys_listdir(s, "/sys/class/iommu", any_name, NULL) > 0;
}

static int no_group(struct sys *s, const char *dev, struct err *e)
{
	if (iommu_active(s))
		return err_set(
			e, -ENXIO,
			"%s has no IOMMU group although an IOMMU is active: the firmware does "
			"not put this function behind it",
			dev);
	return err_set(e, -ENXIO,
		       "%s has no IOMMU group: no IOMMU is active; switch on VT-d or AMD-Vi in the "
		       "firmware (BIOS) and boot the host with intel_iommu=on (Intel) or "
		       "amd_iommu=on (AMD)",
		       dev);
}

int iommu_group_of(struct sys *s, struct bdf b, unsigned int *id, struct err *e)
{
	char dev[BDF_STRLEN], text[64], name[64], *end;
	unsigned long n;
	int r;

	bdf_format(dev, b);
	if (!sys_exists(s, PCI_DEVS "/%s", dev))
		return err_set(e, -ENODEV,
			       "there is no PCI function %s on this host (see lspci -D)", dev);
	r = sys_link_base(s, text, sizeof(text), PCI_DEVS "/%s/iommu_group", dev);
	if (r == -ENOENT)
		return no_group(s, dev, e);
	if (r < 0)
		return err_sys(e, r, "cannot read the IOMMU group of %s", dev);
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || n > INT32_MAX)
		return err_set(e, -EINVAL, "the IOMMU group of %s is \"%s\", not a number", dev,
			       text);
	r = sys_file_read(s, name, sizeof(name), GROUPS "/%lu/name", n);
	if (r >= 0 && !strcmp(name, "vfio-noiommu"))
		return err_set(
			e, -ENXIO,
			"%s is in VFIO's no-IOMMU mode, where a guest could overwrite all of "
			"the host's memory: this is refused; switch the IOMMU on",
			dev);
	*id = (unsigned int)n;
	return 0;
}

struct members_walk {
	struct sys *s;
	struct iommu_members *out;
	unsigned int id;
};

/* PCI-to-PCI and CardBus bridges: header type 1 or 2, which the kernel lets stay with their driver.
 */
static bool is_bridge(uint64_t class)
{
	uint64_t sub = class >> 8;

	return sub == 0x0604 || sub == 0x0607 || sub == 0x0609;
}

static int add_member(void *arg, const char *name)
{
	struct members_walk *w = arg;
	struct iommu_member *m;
	uint64_t class;
	int r;

	if (w->out->n == IOMMU_MEMBERS_MAX)
		return 0;
	m = &w->out->v[w->out->n];
	if ((size_t)snprintf(m->name, sizeof(m->name), "%s", name) >= sizeof(m->name))
		return 0;
	r = sys_link_base(w->s, m->driver, sizeof(m->driver), GROUPS "/%u/devices/%s/driver", w->id,
			  name);
	if (r == -ENOENT)
		m->driver[0] = 0;
	else if (r < 0)
		return r;
	r = sys_file_read_u64(w->s, &class, GROUPS "/%u/devices/%s/class", w->id, name);
	m->bridge = r == 0 && is_bridge(class);
	w->out->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct iommu_member *)a)->name,
		      ((const struct iommu_member *)b)->name);
}

int iommu_group_members(struct sys *s, unsigned int id, struct iommu_members *out, struct err *e)
{
	struct members_walk w = { s, out, id };
	char path[64];
	int r;

	out->n = 0;
	snprintf(path, sizeof(path), GROUPS "/%u/devices", id);
	r = sys_listdir(s, path, add_member, &w);
	if (r < 0)
		return err_sys(e, r, "cannot list the devices of IOMMU group %u", id);
	qsort(out->v, out->n, sizeof(out->v[0]), by_name);
	return 0;
}

bool iommu_member_blocks(const struct iommu_member *m)
{
	/* vfio-pci and its vendor variants (mlx5_vfio_pci...) give the device away; pci-stub does
	 * no DMA. */
	if (!m->driver[0] || m->bridge || strstr(m->driver, "vfio") ||
	    !strcmp(m->driver, "pci-stub"))
		return false;
	return true;
}

int iommu_group_viable(struct sys *s, unsigned int id, struct err *e)
{
	struct iommu_members all;
	char list[600] = "";
	size_t len = 0;
	unsigned int blocking = 0;
	int r;

	r = iommu_group_members(s, id, &all, e);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < all.n; i++) {
		if (!iommu_member_blocks(&all.v[i]))
			continue;
		blocking++;
		if (len < sizeof(list) - 1)
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						"%s%s is bound to %s", len ? ", " : "",
						all.v[i].name, all.v[i].driver);
	}
	if (!blocking)
		return 0;
	return err_set(e, -EBUSY,
		       "group %u is not viable: %s (bind %s to vfio-pci or leave %s without a "
		       "driver, or pick another function)",
		       id, list, blocking > 1 ? "them" : "it", blocking > 1 ? "them" : "it");
}

/* One line of reserved_regions: "0xSTART 0xEND TYPE". */
static int parse_reserved(const char *line, struct ioas_ranges *out)
{
	uint64_t start, end;
	char type[32];

	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %31s", &start, &end, type) != 3 || start > end)
		return -EINVAL;
	if (!strcmp(type, "direct-relaxable"))
		return 0;
	return ioas_ranges_add(out, start, end);
}

int iommu_group_reserved(struct sys *s, unsigned int id, struct ioas_ranges *out, struct err *e)
{
	char text[4096], *line, *save = NULL;
	struct ioas_ranges found = { 0 };
	int r;

	r = sys_file_read(s, text, sizeof(text), GROUPS "/%u/reserved_regions", id);
	if (r < 0)
		return err_sys(e, r, "cannot read the reserved regions of IOMMU group %u", id);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = parse_reserved(line, &found);
		if (r < 0) {
			ioas_ranges_free(&found);
			return err_sys(e, r, "reserved regions of IOMMU group %u: \"%s\"", id,
				       line);
		}
	}
	*out = found;
	return 0;
}
