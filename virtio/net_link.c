// SPDX-License-Identifier: BSD-3-Clause
/*
 * The link as the guest sees it: up while the tap has carrier and nobody took it down. The kernel
 * announces changes of any interface on a netlink socket; what they say is not read, the tap is
 * asked instead, so that a lost announcement does no harm.
 */
#include <errno.h>
#include <string.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include "virtio/net_priv.h"

/* The change is made by the caller: tell the guest if that changed anything for it. */
static void link_told(struct vnet *n, bool was)
{
	if (net_link_is_up(n) != was)
		vio_config_changed(&n->vio);
}

void net_link_host(struct vnet *n, bool up)
{
	bool was = net_link_is_up(n);

	atomic_store(&n->host_up, up);
	link_told(n, was);
}

void vio_net_link(struct vm_dev *d, bool up)
{
	struct vnet *n = vnet_of(vio_of(d));
	bool was = net_link_is_up(n);

	atomic_store(&n->admin_up, up);
	link_told(n, was);
}

static void drain(struct vnet *n)
{
	uint8_t buf[8192];
	struct iovec iov = { buf, sizeof(buf) };

	for (unsigned int i = 0; i < 64; i++) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t len = sys_recvmsg(n->sys, n->watch_fd, &m, MSG_DONTWAIT);

		/* Too many at once (ENOBUFS) is as good as one. */
		if (len <= 0 && len != -ENOBUFS)
			return;
	}
}

static void link_event(void *arg, uint32_t events)
{
	struct vnet *n = arg;

	drain(n);
	net_link_host(n, tap_link(n->sys, &n->tap) > 0);
}

struct job {
	struct vnet *n;
	int rc;
};

static void do_watch(void *arg)
{
	struct job *j = arg;
	struct vnet *n = j->n;

	j->rc = ev_add(vm_iothread_ev(n->ctrl.s.io), n->watch_fd, EPOLLIN, link_event, n,
		       &n->watch);
}

static void do_unwatch(void *arg)
{
	struct job *j = arg;

	ev_del(j->n->watch);
	j->n->watch = NULL;
}

int net_watch_start(struct vnet *n, struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	struct job j = { .n = n };

	n->watch_fd = sys_socket(n->sys, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				 NETLINK_ROUTE);
	j.rc = MIN(n->watch_fd, 0);
	if (!j.rc)
		j.rc = sys_bind(n->sys, n->watch_fd, (const struct sockaddr *)&a, sizeof(a));
	if (!j.rc)
		vm_iothread_call(n->ctrl.s.io, do_watch, &j);
	if (j.rc)
		return err_sys(e, j.rc, "watching the link of interface %s", n->tap.name);
	/* After the watch has begun, so that no change is missed. */
	j.rc = tap_link(n->sys, &n->tap);
	if (j.rc < 0)
		return err_sys(e, j.rc, "reading the link of interface %s", n->tap.name);
	net_link_host(n, j.rc);
	return 0;
}

void net_watch_stop(struct vnet *n)
{
	struct job j = { .n = n };

	if (n->watch)
		vm_iothread_call(n->ctrl.s.io, do_unwatch, &j);
	sys_close(n->sys, &n->watch_fd);
}
