// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice with a kernel door that kills the process, as kill -9 would, just before one of the calls
 *that change the host or the journal. A sweep over all of them, each followed by "sluice vf
 *restore", shows that no crash leaves anything behind (tests/lab/t). The production program knows
 *nothing of it.
 *
 *	SLUICE_CRASH_AT=N    die before step N (from 1)
 *	SLUICE_CRASH_LIST=1  name each step on standard error
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/nvme_ioctl.h>
#include <linux/vfio.h>

#include "cmd/cmd.h"

#define FDS 1024

struct crash {
	struct sys sys;
	struct sys_ops ops;
	const struct sys_ops *host;
	unsigned long at, step;
	bool list;
	char path[FDS][96]; /* of descriptors whose writes are steps, else empty */
};

static struct crash *crash_of(struct sys *s)
{
	return container_of(s, struct crash, sys);
}

static void step(struct sys *s, const char *call, const char *what)
{
	struct crash *c = crash_of(s);
	unsigned long n = __atomic_add_fetch(&c->step, 1, __ATOMIC_RELAXED); /* any thread */

	if (c->list)
		fprintf(stderr, "crash: step %lu: %s %s\n", n, call, what);
	if (n == c->at)
		kill(getpid(), SIGKILL);
}

static bool watched(const char *path)
{
	return !strncmp(path, "/sys/", 5) || !strncmp(path, "/run/sluice", 11);
}

static int crash_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	struct crash *c = crash_of(s);
	int fd;

	if (watched(path) && (flags & O_CREAT))
		step(s, "create", path);
	fd = c->host->open(s, path, flags, mode);
	if (fd >= 0 && fd < FDS)
		snprintf(c->path[fd], sizeof(c->path[fd]), "%s",
			 watched(path) && (flags & O_ACCMODE) != O_RDONLY ? path : "");
	return fd;
}

static const char *path_of(struct sys *s, int fd)
{
	return fd >= 0 && fd < FDS && crash_of(s)->path[fd][0] ? crash_of(s)->path[fd] : NULL;
}

static int crash_close(struct sys *s, int fd)
{
	if (fd >= 0 && fd < FDS)
		crash_of(s)->path[fd][0] = 0;
	return crash_of(s)->host->close(s, fd);
}

static ssize_t crash_write(struct sys *s, int fd, const void *buf, size_t len)
{
	if (path_of(s, fd))
		step(s, "write", path_of(s, fd));
	return crash_of(s)->host->write(s, fd, buf, len);
}

static ssize_t crash_pwrite(struct sys *s, int fd, const void *buf, size_t len, off_t off)
{
	if (path_of(s, fd))
		step(s, "pwrite", path_of(s, fd));
	return crash_of(s)->host->pwrite(s, fd, buf, len, off);
}

static int crash_fsync(struct sys *s, int fd)
{
	if (path_of(s, fd))
		step(s, "fsync", path_of(s, fd));
	return crash_of(s)->host->fsync(s, fd);
}

static int crash_ftruncate(struct sys *s, int fd, off_t len)
{
	if (path_of(s, fd))
		step(s, "ftruncate", path_of(s, fd));
	return crash_of(s)->host->ftruncate(s, fd, len);
}

static int crash_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	switch (req) {
	case NVME_IOCTL_ADMIN_CMD:
		step(s, "ioctl", "NVMe admin");
		break;
	case VFIO_SET_IOMMU:
	case VFIO_GROUP_GET_DEVICE_FD:
	case VFIO_IOMMU_MAP_DMA:
	case VFIO_DEVICE_RESET:
		step(s, "ioctl", "VFIO");
		break;
	}
	return crash_of(s)->host->ioctl(s, fd, req, arg);
}

static ssize_t crash_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	int domain = 0;
	socklen_t n = sizeof(domain);

	if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) && domain == AF_NETLINK)
		step(s, "send", "netlink");
	return crash_of(s)->host->sendmsg(s, fd, m, flags);
}

static int crash_rename(struct sys *s, const char *from, const char *to)
{
	step(s, "rename", to);
	return crash_of(s)->host->rename(s, from, to);
}

static int crash_unlink(struct sys *s, const char *path)
{
	step(s, "unlink", path);
	return crash_of(s)->host->unlink(s, path);
}

static int crash_mkdir(struct sys *s, const char *path, mode_t mode)
{
	step(s, "mkdir", path);
	return crash_of(s)->host->mkdir(s, path, mode);
}

int main(int argc, char **argv)
{
	static struct crash c;
	const char *at = getenv("SLUICE_CRASH_AT");

	c.host = sys_host()->ops;
	c.ops = *c.host;
	c.ops.open = crash_open;
	c.ops.close = crash_close;
	c.ops.write = crash_write;
	c.ops.pwrite = crash_pwrite;
	c.ops.fsync = crash_fsync;
	c.ops.ftruncate = crash_ftruncate;
	c.ops.ioctl = crash_ioctl;
	c.ops.sendmsg = crash_sendmsg;
	c.ops.rename = crash_rename;
	c.ops.unlink = crash_unlink;
	c.ops.mkdir = crash_mkdir;
	c.sys.ops = &c.ops;
	c.at = at ? strtoul(at, NULL, 10) : 0;
	c.list = getenv("SLUICE_CRASH_LIST");
	return sluice_main(&c.sys, argc, argv);
}
