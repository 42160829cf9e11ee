// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is a function in use? There is no one answer in the kernel, so the three ways of using one are
 * asked for: VFIO (a group can be open once only: opening it tells), a network interface (up,
 * addresses, bridge or bond, default route), NVMe namespaces (an exclusive open fails while the
 * disk or a partition is mounted, swap, or part of another block device).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/priv.h"

struct use {
	struct sriov *c;
	const struct sriov_fn *fn;
	int level;
	bool any;
	char *why;
	size_t size;
};

/* Records a use, unless a graver one is known. */
static void used(struct use *u, int level, const char *fmt, ...) __printf(3, 4);

static void used(struct use *u, int level, const char *fmt, ...)
{
	va_list ap;

	if (level <= u->level)
		return;
	u->level = level;
	va_start(ap, fmt);
	vsnprintf(u->why, u->size, fmt, ap);
	va_end(ap);
}

/* ---- VFIO ---- */

static int vfio_use(struct use *u)
{
	char path[64];
	int fd;

	if (u->fn->group < 0)
		return 0;
	snprintf(path, sizeof(path), "/dev/vfio/%d", u->fn->group);
	fd = sys_open(u->c->sys, path, O_RDWR | O_CLOEXEC, 0);
	if (fd == -EBUSY)
		used(u, SRIOV_HELD, "group %d is open in another process", u->fn->group);
	if (fd == -EBUSY || fd == -ENOENT || fd == -ENODEV)
		return 0;
	if (fd < 0)
		return fd;
	sys_close(u->c->sys, &fd);
	return 0;
}

/* ---- network ---- */

/* Does a line of the routing table send everything to this interface? */
static bool route4(const char *line, const char *name)
{
	char dev[IFNAMSIZ], dst[16], mask[16];

	return sscanf(line, "%15s %15s %*s %*s %*s %*s %*s %15s", dev, dst, mask) == 3 &&
	       !strcmp(dev, name) && !strcmp(dst, "00000000") && !strcmp(mask, "00000000");
}

static bool route6(const char *line, const char *name)
{
	char dst[40], plen[8], dev[IFNAMSIZ];

	return sscanf(line, "%39s %7s %*s %*s %*s %*s %*s %*s %*s %15s", dst, plen, dev) == 3 &&
	       !strcmp(dev, name) && strspn(dst, "0") == strlen(dst) && !strcmp(plen, "00");
}

/* 1, 0 or -errno; a table that is not there has no route. */
static int default_route(struct sys *s, const char *file, const char *name,
			 bool (*match)(const char *line, const char *name))
{
	char *text, *line, *save = NULL;
	size_t len;
	int fd, rc;

	fd = sys_open(s, file, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rc = sriov_journal_slurp(s, fd, &text, &len);
	sys_close(s, &fd);
	if (rc)
		return rc;
	/* Room for the NUL is made by giving up the last byte, a newline. */
	if (len)
		text[len - 1] = 0;
	for (line = len ? strtok_r(text, "\n", &save) : NULL; line && !rc;
	     line = strtok_r(NULL, "\n", &save))
		rc = match(line, name);
	free(text);
	return rc;
}

static int netdev_use(void *arg, const char *name)
{
	struct use *u = arg;
	struct sys *s = u->c->sys;
	uint64_t flags, ifindex;
	char path[PATH_MAX];
	struct stat st;
	int rc;

	u->any = true;
	rc = sys_file_read_u64(s, &flags, "/sys/class/net/%s/flags", name);
	if (!rc)
		rc = sys_file_read_u64(s, &ifindex, "/sys/class/net/%s/ifindex", name);
	if (rc)
		return rc;
	if (flags & IFF_UP)
		used(u, SRIOV_UP, "interface %s is up", name);
	rc = sriov_netdev_has_addr(s, (unsigned int)ifindex);
	if (rc > 0)
		used(u, SRIOV_BUSY, "interface %s has addresses", name);
	snprintf(path, sizeof(path), "/sys/class/net/%s/master", name);
	if (rc >= 0)
		rc = sys_stat(s, path, &st);
	if (!rc)
		used(u, SRIOV_BUSY, "interface %s is part of a bridge or bond", name);
	if (!rc || rc == -ENOENT)
		rc = default_route(s, "/proc/net/route", name, route4);
	if (!rc)
		rc = default_route(s, "/proc/net/ipv6_route", name, route6);
	if (rc > 0)
		used(u, SRIOV_BUSY, "the default route goes through interface %s", name);
	return MIN(rc, 0);
}

static int net_use(struct use *u, const char *bdf)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), PCI_DEV "%s/net", bdf);
	rc = sys_listdir(u->c->sys, path, netdev_use, u);
	if (rc && rc != -ENOENT)
		return rc;
	if (!u->any)
		used(u, SRIOV_BUSY,
		     "bound to %s, with no interface to be seen (a user-space driver, or another "
		     "network namespace)",
		     u->fn->driver);
	return 0;
}

/* ---- NVMe ---- */

/* "nvme0n1", or a path of it, "nvme0c1n1", below the controller: the disk is looked at. */
static int ns_use(void *arg, const char *name)
{
	unsigned int i, path_id, n;
	struct use *u = arg;
	char dev[64];
	int fd;

	if (sscanf(name, "nvme%uc%un%u", &i, &path_id, &n) != 3 &&
	    sscanf(name, "nvme%un%u", &i, &n) != 2)
		return 0;
	snprintf(dev, sizeof(dev), "/dev/nvme%un%u", i, n);
	fd = sys_open(u->c->sys, dev, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd == -EBUSY)
		used(u, SRIOV_BUSY, "nvme%un%u is mounted or claimed (lsblk shows by what)", i, n);
	if (fd < 0)
		return fd == -EBUSY || fd == -ENOENT || fd == -ENXIO ? 0 : fd;
	sys_close(u->c->sys, &fd);
	return 0;
}

static int nvme_use(struct use *u, const char *bdf)
{
	char path[PATH_MAX];
	int rc;

	if (!u->fn->nvme[0]) {
		/* An offline controller: the nvme driver gave up on it. */
		if (strcmp(u->fn->driver, "nvme"))
			used(u, SRIOV_BUSY, "bound to %s", u->fn->driver);
		return 0;
	}
	snprintf(path, sizeof(path), PCI_DEV "%s/nvme/%s", bdf, u->fn->nvme);
	rc = sys_listdir(u->c->sys, path, ns_use, u);
	return rc == -ENOENT ? 0 : rc;
}

int sriov_fn_in_use(struct sriov *c, const struct sriov_fn *fn, char *why, size_t size)
{
	struct use u = { .c = c, .fn = fn, .why = why, .size = size };
	char b[BDF_STRLEN];
	int rc = 0;

	why[0] = 0;
	bdf_format(b, fn->bdf);
	if (!fn->driver[0])
		return SRIOV_IDLE;
	if (!strncmp(fn->driver, "vfio", 4))
		rc = vfio_use(&u);
	else if (fn->kind == SRIOV_NET)
		rc = net_use(&u, b);
	else if (fn->kind == SRIOV_NVME)
		rc = nvme_use(&u, b);
	else if (fn->class >> 16 == 0x01)
		used(&u, SRIOV_BUSY, "bound to %s, which may serve disks", fn->driver);
	else
		used(&u, SRIOV_UP, "bound to %s", fn->driver);
	return rc < 0 ? rc : u.level;
}
