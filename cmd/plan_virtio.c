// SPDX-License-Identifier: BSD-3-Clause
/*
 * Modes virtio and emulated: the VMM serves the device itself, a network port from a tap interface,
 * a disk from a file or block device. Whether another process has the interface or the file is only
 * known for sure when it is opened; the lock of a file is tried, and let go of.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>

#include "cmd/plan_priv.h"
#include "vmm/backend/disk.h"

#define NULL_DISK "null:"

static bool served_here(const struct plan *p)
{
	return plan_mode(p) == PORT_VIRTIO || plan_mode(p) == PORT_EMULATED;
}

static bool same_tap(const struct plan *a, const struct plan *b)
{
	return served_here(a) && a->spec->tap && !strcmp(a->spec->tap, b->spec->tap);
}

/* Two readers may share a file. */
static bool same_path(const struct plan *a, const struct plan *b)
{
	return served_here(a) && a->spec->path && !strcmp(a->spec->path, b->spec->path) &&
	       !(a->spec->readonly && b->spec->readonly) &&
	       strncmp(a->spec->path, NULL_DISK, strlen(NULL_DISK));
}

/* An interface that exists must be a tap of the right make, and free. */
static int check_tap_exists(struct planner *pl, const struct port_spec *s, struct err *e)
{
	uint64_t flags, carrier;

	if (sys_file_read_u64(pl->sys, &flags, "/sys/class/net/%s/tun_flags", s->tap))
		return err_set(e, -EINVAL,
			       "%s is no tap interface (ip tuntap add %s mode tap makes one)",
			       s->tap, s->tap);
	if (!(flags & IFF_TAP))
		return err_set(e, -EINVAL, "%s is a tun interface: mode tap is needed", s->tap);
	if (s->queues > 1 && !(flags & IFF_MULTI_QUEUE))
		return err_set(e, -EINVAL,
			       "%s has a single queue: make it with 'ip tuntap add %s mode tap "
			       "multi_queue', or use queues=1",
			       s->tap, s->tap);
	/* Carrier of a tap: a process has it open. An interface that is down does not tell. */
	if (!sys_file_read_u64(pl->sys, &carrier, "/sys/class/net/%s/carrier", s->tap) && carrier)
		return err_set(e, -EBUSY, "another process has %s open", s->tap);
	return 0;
}

static int check_tap(struct planner *pl, struct plan *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	const struct plan *other = plan_earlier(pl, p, same_tap);
	bool exists;
	int fd;

	if (other)
		return err_set(e, -EBUSY, "%s goes to port %s already", s->tap, other->spec->id);
	fd = sys_open(pl->sys, "/dev/net/tun", O_RDWR | O_CLOEXEC, 0);
	if (fd == -ENOENT || fd == -ENODEV)
		return err_set(e, fd, "/dev/net/tun is missing: modprobe tun");
	if (fd < 0)
		return err_sys(e, fd, "cannot open /dev/net/tun");
	sys_close(pl->sys, &fd);
	exists = sys_exists(pl->sys, "/sys/class/net/%s", s->tap);
	plan_what(p, "tap interface %s%s", s->tap, exists ? "" : ", which will be made");
	return exists ? check_tap_exists(pl, s, e) : 0;
}

/* A block device is opened for reading only: closing it after a writer makes udev look again. */
static int check_file(struct planner *pl, const struct port_spec *s, struct err *e)
{
	struct stat st;
	int fd, ret = sys_stat(pl->sys, s->path, &st);
	bool blk;

	if (ret)
		return err_sys(e, ret, "%s", s->path);
	blk = S_ISBLK(st.st_mode);
	if (!blk && !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is neither a file nor a block device", s->path);
	fd = sys_open(pl->sys, s->path, (blk || s->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, fd, "cannot open %s", s->path);
	ret = disk_lock(pl->sys, fd, s->path, s->readonly, e);
	sys_close(pl->sys, &fd);
	return ret;
}

static int check_disk(struct planner *pl, struct plan *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	const struct plan *other = plan_earlier(pl, p, same_path);
	uint64_t size;

	if (other)
		return err_set(e, -EBUSY, "%s goes to port %s already", s->path, other->spec->id);
	if (s->queues > PORT_QUEUES_MAX)
		return err_set(e, -EINVAL, "queues=%u: a device of the VMM has at most %u",
			       s->queues, PORT_QUEUES_MAX);
	plan_what(p, "%s%s", s->path, s->readonly ? ", read-only" : "");
	if (strncmp(s->path, NULL_DISK, strlen(NULL_DISK)))
		return check_file(pl, s, e);
	if (opt_size_parse(&size, s->path + strlen(NULL_DISK)) || size < 512)
		return err_set(e, -EINVAL, "%s: a size of at least 512 bytes is needed (%s1G)",
			       s->path, NULL_DISK);
	return 0;
}

int plan_emulated(struct planner *pl, struct plan *p, struct err *e)
{
	return p->spec->socket ? plan_vhost_user(pl, p, e) : plan_virtio(pl, p, e);
}

int plan_virtio(struct planner *pl, struct plan *p, struct err *e)
{
	return p->spec->kind == PORT_NET ? check_tap(pl, p, e) : check_disk(pl, p, e);
}
