// SPDX-License-Identifier: BSD-3-Clause
/*
 * The real kernel behind the door: each member is one system call, with -errno made of -1 and EINTR
 * retried.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/sys.h"

#define RET(call)                                 \
	({                                        \
		__typeof__(call) r_;              \
		do                                \
			r_ = (call);              \
		while (r_ < 0 && errno == EINTR); \
		r_ < 0 ? -errno : r_;             \
	})

static int host_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	return RET(open(path, flags, mode));
}

static int host_close(struct sys *s, int fd)
{
	/* Never retried: on Linux the descriptor is gone even when close() was interrupted. */
	return close(fd) < 0 ? -errno : 0;
}

static ssize_t host_read(struct sys *s, int fd, void *buf, size_t len)
{
	return RET(read(fd, buf, len));
}

static ssize_t host_write(struct sys *s, int fd, const void *buf, size_t len)
{
	return RET(write(fd, buf, len));
}

static ssize_t host_pread(struct sys *s, int fd, void *buf, size_t len, off_t off)
{
	return RET(pread(fd, buf, len, off));
}

static ssize_t host_pwrite(struct sys *s, int fd, const void *buf, size_t len, off_t off)
{
	return RET(pwrite(fd, buf, len, off));
}

static int host_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	int r = ioctl(fd, req, arg);

	return r < 0 ? -errno : r;
}

static int host_fstat(struct sys *s, int fd, struct stat *st)
{
	return RET(fstat(fd, st));
}

static int host_stat(struct sys *s, const char *path, struct stat *st)
{
	return RET(stat(path, st));
}

static int host_fsync(struct sys *s, int fd)
{
	return RET(fsync(fd));
}

static int host_flock(struct sys *s, int fd, int op)
{
	return RET(flock(fd, op));
}

static int host_ftruncate(struct sys *s, int fd, off_t len)
{
	return RET(ftruncate(fd, len));
}

static int host_rename(struct sys *s, const char *from, const char *to)
{
	return RET(rename(from, to));
}

static int host_unlink(struct sys *s, const char *path)
{
	return RET(unlink(path));
}

static int host_mkdir(struct sys *s, const char *path, mode_t mode)
{
	return RET(mkdir(path, mode));
}

static ssize_t host_readlink(struct sys *s, const char *path, char *buf, size_t len)
{
	return RET(readlink(path, buf, len));
}

static int host_listdir(struct sys *s, const char *path, int (*fn)(void *arg, const char *name),
			void *arg)
{
	struct dirent *de;
	int rc = 0;
	DIR *d;

	d = opendir(path);
	if (!d)
		return -errno;
	while (!rc && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			rc = fn(arg, de->d_name);
	}
	closedir(d);
	return rc;
}

static int host_mmap(struct sys *s, void **out, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

static int host_munmap(struct sys *s, void *p, size_t len)
{
	return RET(munmap(p, len));
}

static int host_madvise(struct sys *s, void *p, size_t len, int advice)
{
	return RET(madvise(p, len, advice));
}

static int host_mbind(struct sys *s, void *p, size_t len, unsigned int node)
{
	unsigned long mask[1024 / (8 * sizeof(long))] = { 0 };
	const unsigned long bits = 8 * sizeof(long);

	if (node >= 1024)
		return -EINVAL;
	mask[node / bits] = 1ul << node % bits;
	/* 2 is MPOL_BIND; libnuma would be a dependency for this one call. */
	return RET((int)syscall(SYS_mbind, p, len, 2, mask, 1025ul, 0u));
}

/*
 * Most of these are shared with other processes: guest RAM with a vhost-user back end. One that cut
 * the file short would have us die of a SIGBUS, so it can only grow, and nobody can seal it
 * further.
 */
static int host_memfd(struct sys *s, const char *name, unsigned int flags)
{
	int fd = RET(memfd_create(name, flags | MFD_ALLOW_SEALING));

	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int host_fallocate(struct sys *s, int fd, int mode, off_t off, off_t len)
{
	return RET(fallocate(fd, mode, off, len));
}

static int host_eventfd(struct sys *s, unsigned int init, int flags)
{
	return RET(eventfd(init, flags));
}

static int host_epoll_create(struct sys *s)
{
	return RET(epoll_create1(EPOLL_CLOEXEC));
}

static int host_epoll_ctl(struct sys *s, int epfd, int op, int fd, struct epoll_event *ev)
{
	return RET(epoll_ctl(epfd, op, fd, ev));
}

static int host_epoll_wait(struct sys *s, int epfd, struct epoll_event *evs, int n, int timeout_ms)
{
	int r = epoll_wait(epfd, evs, n, timeout_ms);

	return r < 0 ? -errno : r;
}

static int host_socket(struct sys *s, int domain, int type, int proto)
{
	return RET(socket(domain, type, proto));
}

static int host_bind(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	return RET(bind(fd, a, len));
}

static int host_connect(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	return RET(connect(fd, a, len));
}

static int host_listen(struct sys *s, int fd, int backlog)
{
	return RET(listen(fd, backlog));
}

static int host_accept(struct sys *s, int fd, int flags)
{
	return RET(accept4(fd, NULL, NULL, flags));
}

static ssize_t host_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	return RET(sendmsg(fd, m, flags | MSG_NOSIGNAL));
}

static ssize_t host_recvmsg(struct sys *s, int fd, struct msghdr *m, int flags)
{
	return RET(recvmsg(fd, m, flags));
}

static int host_getrlimit(struct sys *s, int what, struct rlimit *r)
{
	return RET(getrlimit((unsigned int)what, r));
}

static int host_setrlimit(struct sys *s, int what, const struct rlimit *r)
{
	return RET(setrlimit((unsigned int)what, r));
}

static uint64_t host_now_ns(struct sys *s)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void host_sleep_ns(struct sys *s, uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u),
			       .tv_nsec = (long)(ns % 1000000000u) };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static const struct sys_ops host_ops = {
	.open = host_open,
	.close = host_close,
	.read = host_read,
	.write = host_write,
	.pread = host_pread,
	.pwrite = host_pwrite,
	.ioctl = host_ioctl,
	.fstat = host_fstat,
	.stat = host_stat,
	.fsync = host_fsync,
	.flock = host_flock,
	.ftruncate = host_ftruncate,
	.rename = host_rename,
	.unlink = host_unlink,
	.mkdir = host_mkdir,
	.readlink = host_readlink,
	.listdir = host_listdir,
	.mmap = host_mmap,
	.munmap = host_munmap,
	.madvise = host_madvise,
	.mbind = host_mbind,
	.memfd = host_memfd,
	.fallocate = host_fallocate,
	.eventfd = host_eventfd,
	.epoll_create = host_epoll_create,
	.epoll_ctl = host_epoll_ctl,
	.epoll_wait = host_epoll_wait,
	.socket = host_socket,
	.bind = host_bind,
	.connect = host_connect,
	.listen = host_listen,
	.accept = host_accept,
	.sendmsg = host_sendmsg,
	.recvmsg = host_recvmsg,
	.getrlimit = host_getrlimit,
	.setrlimit = host_setrlimit,
	.now_ns = host_now_ns,
	.sleep_ns = host_sleep_ns,
};

struct sys *sys_host(void)
{
	/* Not a mutable global: the one member is never written. */
	static struct sys host = { .ops = &host_ops };

	return &host;
}
