// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice with a kernel door whose N-th call fails, on the thread that sets up and tears down. A
 *sweep over N shows that each failure ends in one message and status 1 (or does not matter), with
 *nothing left behind.
 *
 *	SLUICE_FAIL_AT=N       call N (from 1) fails with EIO
 *	SLUICE_FAIL_COUNT=FILE the number of calls is written there at the end
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"

struct fail {
	struct sys sys;
	struct sys_ops ops;
	const struct sys_ops *host;
	unsigned long at, calls;
};

/* vCPU threads are left alone: how often they call depends on the guest and on time. */
static bool fails(struct sys *s)
{
	struct fail *f = container_of(s, struct fail, sys);

	return gettid() == getpid() && ++f->calls == f->at;
}

#define HOST(s) (container_of(s, struct fail, sys)->host)

#define WRAP(ret, name, params, args)                        \
	static ret fail_##name params                        \
	{                                                    \
		return fails(s) ? -EIO : HOST(s)->name args; \
	}

WRAP(int, open, (struct sys * s, const char *path, int flags, mode_t mode), (s, path, flags, mode))
WRAP(ssize_t, read, (struct sys * s, int fd, void *buf, size_t len), (s, fd, buf, len))
WRAP(ssize_t, write, (struct sys * s, int fd, const void *buf, size_t len), (s, fd, buf, len))
WRAP(ssize_t, pread, (struct sys * s, int fd, void *buf, size_t len, off_t off),
     (s, fd, buf, len, off))
WRAP(ssize_t, pwrite, (struct sys * s, int fd, const void *buf, size_t len, off_t off),
     (s, fd, buf, len, off))
WRAP(int, ioctl, (struct sys * s, int fd, unsigned long req, void *arg), (s, fd, req, arg))
WRAP(int, fstat, (struct sys * s, int fd, struct stat *st), (s, fd, st))
WRAP(int, stat, (struct sys * s, const char *path, struct stat *st), (s, path, st))
WRAP(int, fsync, (struct sys * s, int fd), (s, fd))
WRAP(int, flock, (struct sys * s, int fd, int op), (s, fd, op))
WRAP(int, ftruncate, (struct sys * s, int fd, off_t len), (s, fd, len))
WRAP(int, mkdir, (struct sys * s, const char *path, mode_t mode), (s, path, mode))
WRAP(ssize_t, readlink, (struct sys * s, const char *path, char *buf, size_t len),
     (s, path, buf, len))
WRAP(int, listdir, (struct sys * s, const char *path, int (*fn)(void *, const char *), void *arg),
     (s, path, fn, arg))
WRAP(int, mmap, (struct sys * s, void **out, size_t len, int prot, int flags, int fd, off_t off),
     (s, out, len, prot, flags, fd, off))
WRAP(int, madvise, (struct sys * s, void *p, size_t len, int advice), (s, p, len, advice))
WRAP(int, memfd, (struct sys * s, const char *name, unsigned int flags), (s, name, flags))
WRAP(int, fallocate, (struct sys * s, int fd, int mode, off_t off, off_t len),
     (s, fd, mode, off, len))
WRAP(int, eventfd, (struct sys * s, unsigned int init, int flags), (s, init, flags))
WRAP(int, epoll_create, (struct sys * s), (s))
WRAP(int, epoll_ctl, (struct sys * s, int epfd, int op, int fd, struct epoll_event *ev),
     (s, epfd, op, fd, ev))
WRAP(int, socket, (struct sys * s, int domain, int type, int proto), (s, domain, type, proto))
WRAP(int, bind, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len), (s, fd, a, len))
WRAP(int, connect, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len),
     (s, fd, a, len))
WRAP(int, listen, (struct sys * s, int fd, int backlog), (s, fd, backlog))
WRAP(ssize_t, sendmsg, (struct sys * s, int fd, const struct msghdr *m, int flags),
     (s, fd, m, flags))
WRAP(ssize_t, recvmsg, (struct sys * s, int fd, struct msghdr *m, int flags), (s, fd, m, flags))
WRAP(int, getrlimit, (struct sys * s, int what, struct rlimit *r), (s, what, r))

#define SET(f, name) ((f)->ops.name = fail_##name)

static void door(struct fail *f)
{
	f->host = sys_host()->ops;
	f->ops = *f->host;
	SET(f, open), SET(f, read), SET(f, write), SET(f, pread), SET(f, pwrite), SET(f, ioctl);
	SET(f, fstat), SET(f, stat), SET(f, fsync), SET(f, flock), SET(f, ftruncate), SET(f, mkdir);
	SET(f, readlink), SET(f, listdir), SET(f, mmap), SET(f, madvise), SET(f, memfd);
	SET(f, fallocate), SET(f, eventfd), SET(f, epoll_create), SET(f, epoll_ctl);
	SET(f, socket), SET(f, bind), SET(f, connect), SET(f, listen), SET(f, sendmsg);
	SET(f, recvmsg), SET(f, getrlimit);
	f->sys.ops = &f->ops;
}

int main(int argc, char **argv)
{
	static struct fail f;
	const char *at = getenv("SLUICE_FAIL_AT"), *count = getenv("SLUICE_FAIL_COUNT");
	FILE *out;
	int status;

	door(&f);
	f.at = at ? strtoul(at, NULL, 10) : 0;
	status = sluice_main(&f.sys, argc, argv);
	out = count ? fopen(count, "w") : NULL;
	if (out) {
		fprintf(out, "%lu\n", f.calls);
		fclose(out);
	}
	return status;
}
