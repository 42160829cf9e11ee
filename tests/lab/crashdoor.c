// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice with a door to the kernel that kills the process: SIGKILL right before the n-th call that changes
 * something on the host, n from SLUICE_CRASH_AT. SLUICE_CRASH_LOG names a file that hears of each such call, so that
 * a sweep knows how many there are and what it interrupted. The program under test is the real one but for this.
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/sys.h"
#include "cmd/cmd.h"

/* The n-th change is the one that does not happen any more; 0: count only. Written by main() and the door. */
static unsigned long crash_at, changes;
static int log_fd = -1;

static const struct sys_ops *real(void)
{
	return sys_host()->ops;
}

static void change(const char *what, const char *name)
{
	char line[300];
	int n;

	changes++;
	n = snprintf(line, sizeof(line), "%lu %s %.200s\n", changes, what, name);
	if (log_fd >= 0 && write(log_fd, line, (size_t)n) != n)
		_exit(99);
	if (changes == crash_at)
		kill(getpid(), SIGKILL);
}

/* Is fd a file whose content is host state: sysfs, procfs, or a journal? */
static bool is_state(int fd, char name[256])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, 255);
	if (n < 0)
		return false;
	name[n] = 0;
	return !strncmp(name, "/sys/", 5) || !strncmp(name, "/proc/", 6) || !strncmp(name, "/run/", 5);
}

static ssize_t door_write(struct sys *s, int fd, const void *buf, size_t len)
{
	char name[256];

	if (is_state(fd, name))
		change("write", name);
	return real()->write(s, fd, buf, len);
}

static int door_fsync(struct sys *s, int fd)
{
	change("fsync", "");
	return real()->fsync(s, fd);
}

static int door_rename(struct sys *s, const char *from, const char *to)
{
	change("rename", to);
	return real()->rename(s, from, to);
}

static int door_unlink(struct sys *s, const char *path)
{
	change("unlink", path);
	return real()->unlink(s, path);
}

static ssize_t door_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	change("sendmsg", "");
	return real()->sendmsg(s, fd, m, flags);
}

static int door_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	if (req == NVME_IOCTL_ADMIN_CMD)
		change("nvme admin", "");
	return real()->ioctl(s, fd, req, arg);
}

int main(int argc, char **argv)
{
	const char *at = getenv("SLUICE_CRASH_AT"), *log = getenv("SLUICE_CRASH_LOG");
	struct sys_ops ops = *real();
	struct sys door = { .ops = &ops };

	crash_at = at ? strtoul(at, NULL, 10) : 0;
	if (log)
		log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ops.write = door_write;
	ops.fsync = door_fsync;
	ops.rename = door_rename;
	ops.unlink = door_unlink;
	ops.sendmsg = door_sendmsg;
	ops.ioctl = door_ioctl;
	return sluice_main(&door, argc, argv);
}
