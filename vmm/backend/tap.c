// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tap interfaces. The kernel tells little about why TUNSETIFF failed: EINVAL is a single-queue
 * interface asked for several queues, the reverse, or something that is no tap at all. So on
 * EINVAL the other kind is tried once, only to know which of them it was.
 *
 * Header size and offloads belong to the interface, not to the file: what we set on a foreign
 * (persistent) one is put back at the end. Its address, MTU and state are its owner's.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/if_tun.h>
#include "vmm/backend/tap.h"

#define TUN	 "/dev/net/tun"
#define HDR_SIZE 12

/* Linux 6.2; older headers do not have them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int if_ioctl(struct sys *s, unsigned long req, struct ifreq *r)
{
	int rc, fd;

	fd = sys_socket(s, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	rc = sys_ioctl(s, fd, req, r);
	sys_close(s, &fd);
	return rc;
}

static struct ifreq if_named(const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

static int check_name(const char *name, struct err *e)
{
	/* The kernel would make "tap0" of "tap%d". */
	if (!name[0] || strlen(name) >= IFNAMSIZ || strpbrk(name, "/:% \t\n") ||
	    !strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(e, -EINVAL,
			       "'%s' is no name of an interface: 1 to %d characters, none of them "
			       "'/', ':', '%%' or a space",
			       name, IFNAMSIZ - 1);
	return 0;
}

static int open_tun(struct sys *s, struct err *e)
{
	int fd = sys_open(s, TUN, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);

	if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO)
		return err_set(e, fd, "there is no " TUN ": load the driver (modprobe tun)");
	if (fd == -EACCES || fd == -EPERM)
		return err_set(e, fd,
			       "no access to " TUN ": run as root, or let your user write it");
	if (fd < 0)
		return err_sys(e, fd, "opening " TUN);
	return fd;
}

/* A new file attached as a queue: its fd, or -errno. */
static int attach(struct sys *s, const char *name, bool mq, struct err *e)
{
	struct ifreq r = if_named(name);
	int rc, fd;

	fd = open_tun(s, e);
	if (fd < 0)
		return fd;
	r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (mq ? IFF_MULTI_QUEUE : 0));
	rc = sys_ioctl(s, fd, TUNSETIFF, &r);
	if (rc < 0) {
		sys_close(s, &fd);
		return err_sys(e, rc, "attaching to interface %s", name);
	}
	return fd;
}

/* Is it a tap of the other kind (single queue or multiqueue)? Its fd, or -errno. */
static int attach_other(struct sys *s, const char *name, bool mq, int rc, struct err *e)
{
	struct err why = { 0 };
	int fd = attach(s, name, !mq, &why);

	/* With one queue a multiqueue interface does as well. */
	if (fd >= 0 && !mq) {
		err_clear(e);
		return fd;
	}
	if (fd >= 0 || fd == -EBUSY)
		rc = err_set(e, rc,
			     "interface %s has a single queue: make it with 'ip tuntap add dev %s "
			     "mode tap multi_queue', or use queues=1",
			     name, name);
	else if (fd == -EINVAL)
		rc = err_set(e, rc, "interface %s is no tap: name another one", name);
	else
		rc = err_set(e, fd, "%s", why.text);
	sys_close(s, &fd);
	return rc;
}

static int refused(const char *name, bool made, bool mq, int rc, struct err *e)
{
	const char *kind = mq ? " multi_queue" : "";

	if (rc == -EPERM && made)
		return err_set(e, rc,
			       "making interface %s needs CAP_NET_ADMIN: let root make it with "
			       "'ip tuntap add dev %s mode tap%s user $USER'",
			       name, name, kind);
	if (rc == -EPERM)
		return err_set(
			e, rc,
			"interface %s belongs to another user: run as that user or as root, "
			"or let root make it with 'ip tuntap add dev %s mode tap%s user $USER'",
			name, name, kind);
	if (rc == -EBUSY)
		return err_set(e, rc,
			       "interface %s is in use by another program: end it, or name another "
			       "tap",
			       name);
	return rc; /* attach() has said it */
}

static int open_first(struct sys *s, struct tap *t, struct err *e)
{
	struct ifreq r = if_named(t->name);
	bool mq = t->n > 1;
	int rc;

	rc = if_ioctl(s, SIOCGIFINDEX, &r);
	if (rc < 0 && rc != -ENODEV)
		return err_sys(e, rc, "looking for interface %s", t->name);
	t->made = rc == -ENODEV;
	rc = attach(s, t->name, mq, e);
	if (rc == -EINVAL && !t->made)
		rc = attach_other(s, t->name, mq, rc, e);
	if (rc < 0)
		return refused(t->name, t->made, mq, rc, e);
	t->fd[0] = rc;
	t->active = 1;
	return 0;
}

static int open_others(struct sys *s, struct tap *t, struct err *e)
{
	for (unsigned int i = 1; i < t->n; i++) {
		int fd = attach(s, t->name, true, e);

		if (fd < 0)
			return refused(t->name, t->made, true, fd, e);
		t->fd[i] = fd;
		t->active++;
	}
	return 0;
}

static int count_tx(void *arg, const char *name)
{
	*(unsigned int *)arg += !strncmp(name, "tx-", 3);
	return 0;
}

/* A multiqueue tap lets any number of programs in, which would then share its packets. */
static int check_alone(struct sys *s, const struct tap *t, struct err *e)
{
	unsigned int n = 0;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/sys/class/net/%s/queues", t->name);
	rc = sys_listdir(s, path, count_tx, &n);
	/* sysfs may be that of another network namespace, where the interface is not. */
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return err_sys(e, rc, "reading %s", path);
	if (n <= t->n)
		return 0;
	return err_set(e, -EBUSY,
		       "interface %s has %u queues in use by another program: end it, or name "
		       "another tap",
		       t->name, n - t->n);
}

static int bring_up(struct sys *s, const struct tap *t, struct err *e)
{
	struct ifreq r = if_named(t->name);
	int rc;

	rc = if_ioctl(s, SIOCGIFFLAGS, &r);
	if (rc >= 0) {
		r.ifr_flags |= IFF_UP;
		rc = if_ioctl(s, SIOCSIFFLAGS, &r);
	}
	return rc < 0 ? err_sys(e, rc, "bringing up interface %s", t->name) : 0;
}

static int set_header(struct sys *s, struct tap *t, struct err *e)
{
	int size = HDR_SIZE, was = 0, rc;

	rc = sys_ioctl(s, t->fd[0], TUNGETVNETHDRSZ, &was);
	if (rc >= 0)
		rc = sys_ioctl(s, t->fd[0], TUNSETVNETHDRSZ, &size);
	if (rc < 0)
		return err_sys(e, rc, "setting the packet header of interface %s", t->name);
	t->was_hdrsz = was;
	return 0;
}

static unsigned long tun_bits(unsigned int off)
{
	unsigned long b = 0;

	if (!(off & TAP_CSUM))
		return 0;
	b |= TUN_F_CSUM;
	b |= off & TAP_TSO4 ? TUN_F_TSO4 : 0;
	b |= off & TAP_TSO6 ? TUN_F_TSO6 : 0;
	/* The kernel refuses ECN without anything to apply it to. */
	b |= off & TAP_ECN && off & (TAP_TSO4 | TAP_TSO6) ? TUN_F_TSO_ECN : 0;
	/* It knows UDP segmentation for both versions of IP or none. */
	b |= off & TAP_USO ? TUN_F_USO4 | TUN_F_USO6 : 0;
	return b;
}

int tap_offload(struct sys *s, const struct tap *t, unsigned int off)
{
	int rc = sys_ioctl(s, t->fd[0], TUNSETOFFLOAD, (void *)tun_bits(off));

	return rc < 0 ? rc : 0;
}

/* Offloads off, to begin with; what the kernel can do is learned on the way. */
static int probe(struct sys *s, struct tap *t, struct err *e)
{
	struct ifreq r = if_named(t->name);
	int rc;

	rc = tap_offload(s, t, TAP_CSUM | TAP_USO);
	t->uso = !rc;
	if (!rc || rc == -EINVAL)
		rc = tap_offload(s, t, 0);
	if (rc)
		return err_sys(e, rc, "setting the offloads of interface %s", t->name);
	rc = if_ioctl(s, SIOCGIFMTU, &r);
	if (rc < 0)
		return err_sys(e, rc, "reading the MTU of interface %s", t->name);
	t->mtu = (unsigned int)r.ifr_mtu;
	return 0;
}

int tap_open(struct sys *s, const char *name, unsigned int n, struct tap *out, struct err *e)
{
	int rc;

	BUG_ON(!n || n > TAP_QUEUES_MAX);
	*out = (struct tap){ .n = n };
	for (unsigned int i = 0; i < TAP_QUEUES_MAX; i++)
		out->fd[i] = -1;
	rc = check_name(name, e);
	if (rc)
		return rc;
	snprintf(out->name, sizeof(out->name), "%s", name);
	rc = open_first(s, out, e);
	if (!rc)
		rc = open_others(s, out, e);
	if (!rc && !out->made)
		rc = check_alone(s, out, e);
	if (!rc)
		rc = set_header(s, out, e);
	if (!rc)
		rc = probe(s, out, e);
	if (!rc && out->made)
		rc = bring_up(s, out, e);
	if (rc)
		tap_close(s, out);
	return rc;
}

/* Nobody is left to tell about failures, and the interface may be gone. */
static void restore(struct sys *s, struct tap *t)
{
	int rc = tap_offload(s, t, 0);

	if (rc >= 0)
		rc = sys_ioctl(s, t->fd[0], TUNSETVNETHDRSZ, &t->was_hdrsz);
	(void)rc;
	t->was_hdrsz = 0;
}

void tap_close(struct sys *s, struct tap *t)
{
	if (!t->n)
		return;
	if (!t->made && t->was_hdrsz)
		restore(s, t);
	for (unsigned int i = 0; i < t->n; i++)
		sys_close(s, &t->fd[i]);
	t->n = t->active = 0;
}

static int set_queue(struct sys *s, const struct tap *t, unsigned int i, bool on)
{
	struct ifreq r = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };
	int rc = sys_ioctl(s, t->fd[i], TUNSETQUEUE, &r);

	return rc < 0 ? rc : 0;
}

int tap_queues(struct sys *s, struct tap *t, unsigned int n)
{
	unsigned int i, was = t->active;
	int rc = 0;

	BUG_ON(!n || n > t->n);
	while (t->active < n && !rc) {
		rc = set_queue(s, t, t->active, true);
		t->active += !rc;
	}
	while (t->active > n && !rc) {
		rc = set_queue(s, t, t->active - 1, false);
		t->active -= !rc;
	}
	/* Best effort: what is found detached or attached already was so before. */
	for (i = t->active; rc && i > was; i--)
		t->active -= !set_queue(s, t, i - 1, false);
	for (i = t->active; rc && i < was; i++)
		t->active += !set_queue(s, t, i, true);
	return rc;
}

int tap_link(struct sys *s, const struct tap *t)
{
	struct ifreq r = { 0 };
	int rc;

	/* By the file: it follows a change of the name. */
	rc = sys_ioctl(s, t->fd[0], TUNGETIFF, &r);
	if (rc >= 0)
		rc = if_ioctl(s, SIOCGIFFLAGS, &r);
	if (rc < 0)
		return rc;
	return (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING);
}
