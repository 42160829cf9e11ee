// SPDX-License-Identifier: BSD-3-Clause
/* The host of world.h: sysfs, and what a write to it sets off. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/sriov/world_priv.h"

#define DEV "/sys/bus/pci/devices/"
#define DRV "/sys/bus/pci/drivers/"

static void put(struct world *w, const char *text, const char *fmt, ...) __printf(3, 4);

static void put(struct world *w, const char *text, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fakesys_file(w->f, path, text);
}

static void put_link(struct world *w, const char *target, const char *fmt, ...) __printf(3, 4);

static void put_link(struct world *w, const char *target, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fakesys_link(w->f, path, target);
}

static void drop(struct world *w, const char *fmt, ...) __printf(2, 3);

static void drop(struct world *w, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	fakesys_del(w->f, path);
}

static const char *get(struct world *w, const char *fmt, ...) __printf(2, 3);

static const char *get(struct world *w, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return fakesys_get(w->f, path);
}

/* ---- drivers ---- */

const char *world_driver(struct world *w, const char *bdf)
{
	const char *link = get(w, DEV "%s/driver", bdf);

	return link ? strrchr(link, '/') + 1 : "";
}

static unsigned int net_vf_number(const char *bdf)
{
	/* 0000:01:10.0, .2, .4, .6, 0000:01:11.0, ... */
	return (unsigned int)(bdf[9] - '0') * 4 + (unsigned int)(bdf[11] - '0') / 2;
}

/* What a network driver makes of a function: an interface, down. */
static void add_netdev(struct world *w, const char *bdf, const char *driver)
{
	char name[32], index[16];
	unsigned int n;

	if (!strcmp(driver, "igb")) {
		strcpy(name, "eth0");
		n = 2;
	} else if (!strcmp(driver, "e1000")) {
		strcpy(name, "eth1");
		n = 3;
	} else {
		n = 10 + net_vf_number(bdf);
		snprintf(name, sizeof(name), "vf%u", n - 10);
	}
	snprintf(index, sizeof(index), "%u", n);
	put(w, "x", DEV "%s/net/%s/type", bdf, name);
	put(w, "0x1002", "/sys/class/net/%s/flags", name);
	put(w, index, "/sys/class/net/%s/ifindex", name);
	put(w, "1", "/sys/class/net/%s/carrier", name);
	put_link(w, get(w, DEV "%s/at", bdf), "/sys/class/net/%s/device", name);
}

static void del_netdev(struct world *w, const char *bdf)
{
	static const char *const name[] = { "eth0", "eth1", "vf0", "vf1", "vf2",
					    "vf3",  "vf4",  "vf5", "vf6" };

	for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
		if (!get(w, DEV "%s/net/%s/type", bdf, name[i]))
			continue;
		drop(w, "/sys/class/net/%s", name[i]);
	}
	drop(w, DEV "%s/net", bdf);
}

void world_bind(struct world *w, const char *bdf, const char *driver)
{
	char target[128];

	if (*world_driver(w, bdf)) {
		drop(w, DEV "%s/driver", bdf);
		del_netdev(w, bdf);
		drop(w, DEV "%s/nvme", bdf);
	}
	if (!*driver)
		return;
	snprintf(target, sizeof(target), DRV "%s", driver);
	put_link(w, target, DEV "%s/driver", bdf);
	if (strstr(driver, "igb") || !strcmp(driver, "e1000"))
		add_netdev(w, bdf, driver);
	if (!strcmp(driver, "nvme") && !strcmp(bdf, NVME_PF))
		put(w, "x", DEV "%s/nvme/nvme0/nvme0n1/size", bdf);
}

static int on_unbind(void *arg, const char *path, const char *text)
{
	struct world *w = arg;
	char driver[64];

	snprintf(driver, sizeof(driver), "%s", path + strlen(DRV));
	*strchr(driver, '/') = 0;
	if (strcmp(world_driver(w, text), driver))
		return -ENODEV;
	world_bind(w, text, "");
	return 1;
}

static const char *native(const char *bdf)
{
	if (!strcmp(bdf, NET_PF))
		return "igb";
	if (!strcmp(bdf, E1000))
		return "e1000";
	return !strncmp(bdf, "0000:01:", 8) ? "igbvf" : "nvme";
}

static const char *pf_of(const char *bdf)
{
	return !strncmp(bdf, "0000:01:1", 9) ? NET_PF : NVME_PF;
}

/* A VF is probed with autoprobe off only if it has an override, as in the kernel. */
static int on_probe(void *arg, const char *path, const char *text)
{
	struct world *w = arg;
	const char *over = get(w, DEV "%s/driver_override", text);
	bool vf = get(w, DEV "%s/physfn", text);

	if (!over)
		return -ENODEV;
	if (*world_driver(w, text))
		return 1;
	over = strcmp(over, "(null)") ? over : "";
	if (*over)
		world_bind(w, text, get(w, DRV "%s/unbind", over) ? over : "");
	else if (!vf || !strcmp(get(w, DEV "%s/sriov_drivers_autoprobe", pf_of(text)), "1"))
		world_bind(w, text, native(text));
	return 1;
}

static int on_override(void *arg, const char *path, const char *text)
{
	fakesys_file(((struct world *)arg)->f, path, *text ? text : "(null)");
	return 1;
}

static int on_reset(void *arg, const char *path, const char *text)
{
	struct world *w = arg;

	/* 0000:02:00.N is VF N - 1 */
	w->sec[path[strlen(DEV) + 11] - '1'].resets++;
	return 1;
}

/* ---- functions ---- */

static void add_fn(struct world *w, const char *bdf, const char *class, int group)
{
	char target[64];

	put(w, class, DEV "%s/class", bdf);
	put(w, "0x8086", DEV "%s/vendor", bdf);
	put(w, "0x10c9", DEV "%s/device", bdf);
	put(w, "(null)", DEV "%s/driver_override", bdf);
	snprintf(target, sizeof(target), "/sys/devices/%s", bdf);
	put(w, target, DEV "%s/at", bdf);
	snprintf(target, sizeof(target), "/sys/kernel/iommu_groups/%d", group);
	put_link(w, target, DEV "%s/iommu_group", bdf);
	put(w, "", "/dev/vfio/%d", group);
}

static void vf_bdf(bool net, unsigned int n, char out[BDF_STRLEN])
{
	if (net)
		snprintf(out, BDF_STRLEN, "0000:01:1%u.%u", (n / 4) & 7, n % 4 * 2);
	else
		snprintf(out, BDF_STRLEN, "0000:02:00.%u", (n + 1) & 7);
}

static void add_vf(struct world *w, const char *pf, unsigned int n)
{
	bool net = !strcmp(pf, NET_PF);
	char bdf[BDF_STRLEN];

	vf_bdf(net, n, bdf);
	add_fn(w, bdf, net ? "0x020000" : "0x010802", (net ? 20 : 40) + (int)n);
	put_link(w, pf, DEV "%s/physfn", bdf);
	put_link(w, bdf, DEV "%s/virtfn%u", pf, n);
	put(w, "", DEV "%s/reset", bdf);
	if (net)
		w->net[n] = (struct sriov_netvf){ .spoofchk = 1, .proto = 0x8100 };
	if (!strcmp(get(w, DEV "%s/sriov_drivers_autoprobe", pf), "1"))
		world_bind(w, bdf, native(bdf));
}

static void del_vf(struct world *w, const char *pf, unsigned int n)
{
	bool net = !strcmp(pf, NET_PF);
	char bdf[BDF_STRLEN];

	vf_bdf(net, n, bdf);
	world_bind(w, bdf, "");
	drop(w, DEV "%s", bdf);
	drop(w, DEV "%s/virtfn%u", pf, n);
	drop(w, "/dev/vfio/%u", (net ? 20 : 40) + n);
	if (!net)
		w->sec[n].online = false;
}

static int on_numvfs(void *arg, const char *path, const char *text)
{
	struct world *w = arg;
	int now = atoi(fakesys_get(w->f, path)), n = atoi(text);
	char pf[BDF_STRLEN];

	snprintf(pf, sizeof(pf), "%.12s", path + strlen(DEV));
	if (n == now)
		return 0;
	if (n && now)
		return -EBUSY;
	if (n > atoi(get(w, DEV "%s/sriov_totalvfs", pf)))
		return -ERANGE;
	fakesys_file(w->f, path, text);
	for (int i = 0; i < now; i++)
		del_vf(w, pf, (unsigned int)i);
	for (int i = 0; i < n; i++)
		add_vf(w, pf, (unsigned int)i);
	return 0;
}

void world_set_numvfs(struct world *w, const char *pf, const char *n)
{
	char path[128];

	snprintf(path, sizeof(path), DEV "%s/sriov_numvfs", pf);
	BUG_ON(on_numvfs(w, path, n));
	fakesys_file(w->f, path, n);
}

static void add_pf(struct world *w, const char *bdf, const char *class, const char *total,
		   int group)
{
	char path[128];

	add_fn(w, bdf, class, group);
	put(w, total, DEV "%s/sriov_totalvfs", bdf);
	put(w, "0", DEV "%s/sriov_numvfs", bdf);
	put(w, "128", DEV "%s/sriov_offset", bdf);
	put(w, "2", DEV "%s/sriov_stride", bdf);
	put(w, "1", DEV "%s/sriov_drivers_autoprobe", bdf);
	snprintf(path, sizeof(path), DEV "%s/sriov_numvfs", bdf);
	fakesys_on_write(w->f, path, on_numvfs, w);
}

static void hook_fn(struct world *w, const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), DEV "%s/driver_override", bdf);
	fakesys_on_write(w->f, path, on_override, w);
	if (strncmp(bdf, "0000:02:00.", 11) || bdf[11] == '0')
		return;
	snprintf(path, sizeof(path), DEV "%s/reset", bdf);
	fakesys_on_write(w->f, path, on_reset, w);
}

static void add_hooks(struct world *w)
{
	static const char *const driver[] = {
		"igb", "igbvf", "e1000", "nvme", "vfio-pci", "other"
	};
	char path[128], bdf[BDF_STRLEN];

	for (size_t i = 0; i < ARRAY_SIZE(driver); i++) {
		snprintf(path, sizeof(path), DRV "%s/unbind", driver[i]);
		fakesys_file(w->f, path, "");
		fakesys_on_write(w->f, path, on_unbind, w);
	}
	fakesys_file(w->f, "/sys/bus/pci/drivers_probe", "");
	fakesys_on_write(w->f, "/sys/bus/pci/drivers_probe", on_probe, w);
	hook_fn(w, NET_PF);
	hook_fn(w, NVME_PF);
	hook_fn(w, E1000);
	for (unsigned int n = 0; n < NET_VFS; n++) {
		vf_bdf(true, n, bdf);
		hook_fn(w, bdf);
	}
	for (unsigned int n = 0; n < NVME_VFS; n++) {
		vf_bdf(false, n, bdf);
		hook_fn(w, bdf);
	}
}

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	BUG_ON(!w);
	w->f = fakesys_new();
	w->vq_total = 8;
	w->vi_total = 4;
	w->vq_max = 2;
	w->vi_max = 1;
	add_hooks(w);
	add_pf(w, NET_PF, "0x020000", "7", 10);
	add_pf(w, NVME_PF, "0x010802", "4", 11);
	add_fn(w, E1000, "0x020000", 12);
	add_fn(w, BRIDGE, "0x060400", 13);
	world_bind(w, NET_PF, "igb");
	world_bind(w, E1000, "e1000");
	world_bind(w, NVME_PF, "nvme");
	put(w, "0x1003", "/sys/class/net/eth0/flags");
	put_link(w, "/sys/devices/" NVME_PF, "/sys/class/nvme/nvme0/device");
	put(w, "0", "/sys/class/nvme/nvme0/cntlid");
	put(w, "", "/dev/nvme0");
	put(w, "", "/dev/nvme0n1");
	put_link(w, "/sys/class/nvme-subsystem/nvme-subsys0", "/sys/class/block/nvme0n1/device");
	put(w, "x", "/sys/class/nvme-subsystem/nvme-subsys0/nvme0/state");
	put(w, "\x51\x52\x53\x54\x55\x56\x57\x58", "/dev/urandom");
	fakesys_dir(w->f, "/run");
	world_add_peers(w);
	return w;
}

void world_free(struct world *w)
{
	while (w->procs) {
		struct proc *p = w->procs;

		w->procs = p->next;
		free(p);
	}
	fakesys_free(w->f);
	free(w);
}

/* Lock files stay for good, and scratch of the fake's own is nobody's business. */
static bool is_state(const char *line)
{
	static const char *const not [] = { "/run/sluice/0000:", "/proc/", "/dev/vfio/", DRV,
					    "/sys/bus/pci/drivers_probe" };

	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		if (!strncmp(line, not [i], strlen(not [i])))
			return false;
	return !strstr(line, "/reset =");
}

char *world_dump(struct world *w)
{
	char *all = fakesys_dump(w->f), *text = NULL, *save = NULL;
	size_t size;
	FILE *m = open_memstream(&text, &size);

	for (char *l = strtok_r(all, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (is_state(l))
			fprintf(m, "%s\n", l);
	free(all);
	for (int i = 0; i < atoi(get(w, DEV NET_PF "/sriov_numvfs")); i++) {
		const struct sriov_netvf *v = &w->net[i];
		char mac[MAC_STRLEN];

		fprintf(m,
			"net vf %d mac %s vlan %u qos %u proto %x trust %d spoof %d rate %u %u link %d\n",
			i, mac_format(mac, &v->mac), v->vlan, v->qos, v->proto, v->trust,
			v->spoofchk, v->min_rate, v->max_rate, v->link);
	}
	for (int i = 0; i < NVME_VFS; i++)
		fprintf(m, "nvme vf %d vq %u vi %u online %d\n", i, w->sec[i].vq, w->sec[i].vi,
			w->sec[i].online);
	fclose(m);
	return text;
}
