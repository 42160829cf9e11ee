// SPDX-License-Identifier: BSD-3-Clause
/* Each call that sets something up goes to the real kernel, unless it is the one to fail. */
#include "tests/unit/fake/hostsys.h"

static int tick(struct sys *s)
{
	struct hostsys *h = container_of(s, struct hostsys, sys);

	if (++h->calls != h->fail_at)
		return 0;
	h->failed = true;
	return h->fail_code;
}

#define VIA(ret, name, params, args)                \
	static ret via_##name params                \
	{                                           \
		int bad = tick(s);                  \
                                                    \
		return bad ? bad : sys_##name args; \
	}

VIA(int, ioctl, (struct sys * s, int fd, unsigned long req, void *arg), (sys_host(), fd, req, arg))
VIA(int, eventfd, (struct sys * s, unsigned int init, int flags), (sys_host(), init, flags))
VIA(int, fstat, (struct sys * s, int fd, struct stat *st), (sys_host(), fd, st))
VIA(int, ftruncate, (struct sys * s, int fd, off_t len), (sys_host(), fd, len))
VIA(int, memfd, (struct sys * s, const char *name, unsigned int flags), (sys_host(), name, flags))
VIA(int, epoll_ctl, (struct sys * s, int epfd, int op, int fd, struct epoll_event *ev),
    (sys_host(), epfd, op, fd, ev))
VIA(int, socket, (struct sys * s, int domain, int type, int proto),
    (sys_host(), domain, type, proto))
VIA(int, bind, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len),
    (sys_host(), fd, a, len))
VIA(int, connect, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len),
    (sys_host(), fd, a, len))
VIA(int, listen, (struct sys * s, int fd, int backlog), (sys_host(), fd, backlog))
VIA(int, accept, (struct sys * s, int fd, int flags), (sys_host(), fd, flags))
VIA(ssize_t, sendmsg, (struct sys * s, int fd, const struct msghdr *m, int flags),
    (sys_host(), fd, m, flags))
VIA(ssize_t, recvmsg, (struct sys * s, int fd, struct msghdr *m, int flags),
    (sys_host(), fd, m, flags))

static int via_mmap(struct sys *s, void **out, size_t len, int prot, int flags, int fd, off_t off)
{
	int ret = tick(s) ?: sys_mmap(sys_host(), out, len, prot, flags, fd, off);

	if (!ret)
		container_of(s, struct hostsys, sys)->maps++;
	return ret;
}

static int via_munmap(struct sys *s, void *p, size_t len)
{
	int ret = sys_munmap(sys_host(), p, len);

	BUG_ON(ret);
	container_of(s, struct hostsys, sys)->maps--;
	return ret;
}

void hostsys_init(struct hostsys *h)
{
	*h = (struct hostsys){ .ops = *sys_host()->ops };
	h->ops.ioctl = via_ioctl;
	h->ops.eventfd = via_eventfd;
	h->ops.fstat = via_fstat;
	h->ops.ftruncate = via_ftruncate;
	h->ops.memfd = via_memfd;
	h->ops.epoll_ctl = via_epoll_ctl;
	h->ops.socket = via_socket;
	h->ops.bind = via_bind;
	h->ops.connect = via_connect;
	h->ops.listen = via_listen;
	h->ops.accept = via_accept;
	h->ops.sendmsg = via_sendmsg;
	h->ops.recvmsg = via_recvmsg;
	h->ops.mmap = via_mmap;
	h->ops.munmap = via_munmap;
	h->sys.ops = &h->ops;
}

void hostsys_fail_nth(struct hostsys *h, unsigned int n, int code)
{
	h->calls = 0;
	h->fail_at = n;
	h->fail_code = code;
	h->failed = false;
}
