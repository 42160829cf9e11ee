/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "base/util.h"

struct sys;

/*
 * The door to the kernel. Everything that sets up, changes or tears down host state goes through
 * it, so that the unit tests can stand a fake kernel behind it and make the n-th call fail.
 *
 * Every member returns a result >= 0 or -errno, never -1 with errno. EINTR is retried inside,
 * except by epoll_wait and by ioctl.
 */
struct sys_ops {
	int (*open)(struct sys *s, const char *path, int flags, mode_t mode);
	int (*close)(struct sys *s, int fd);
	ssize_t (*read)(struct sys *s, int fd, void *buf, size_t len);
	ssize_t (*write)(struct sys *s, int fd, const void *buf, size_t len);
	ssize_t (*pread)(struct sys *s, int fd, void *buf, size_t len, off_t off);
	ssize_t (*pwrite)(struct sys *s, int fd, const void *buf, size_t len, off_t off);
	int (*ioctl)(struct sys *s, int fd, unsigned long req, void *arg);
	int (*fstat)(struct sys *s, int fd, struct stat *st);
	int (*stat)(struct sys *s, const char *path, struct stat *st);
	int (*fsync)(struct sys *s, int fd);
	int (*flock)(struct sys *s, int fd, int op);
	int (*ftruncate)(struct sys *s, int fd, off_t len);
	int (*rename)(struct sys *s, const char *from, const char *to);
	int (*unlink)(struct sys *s, const char *path);
	int (*mkdir)(struct sys *s, const char *path, mode_t mode);
	ssize_t (*readlink)(struct sys *s, const char *path, char *buf, size_t len);
	/* fn for each name but "." and ".."; a non-zero return of fn ends the walk and is returned.
	 */
	int (*listdir)(struct sys *s, const char *path, int (*fn)(void *arg, const char *name),
		       void *arg);
	int (*mmap)(struct sys *s, void **out, size_t len, int prot, int flags, int fd, off_t off);
	int (*munmap)(struct sys *s, void *p, size_t len);
	int (*madvise)(struct sys *s, void *p, size_t len, int advice);
	int (*mbind)(struct sys *s, void *p, size_t len, unsigned int node);
	/* A file that never gets shorter, whoever else has it. */
	int (*memfd)(struct sys *s, const char *name, unsigned int flags);
	int (*fallocate)(struct sys *s, int fd, int mode, off_t off, off_t len);
	int (*eventfd)(struct sys *s, unsigned int init, int flags);
	int (*epoll_create)(struct sys *s);
	int (*epoll_ctl)(struct sys *s, int epfd, int op, int fd, struct epoll_event *ev);
	int (*epoll_wait)(struct sys *s, int epfd, struct epoll_event *evs, int n, int timeout_ms);
	int (*socket)(struct sys *s, int domain, int type, int proto);
	int (*bind)(struct sys *s, int fd, const struct sockaddr *a, socklen_t len);
	int (*connect)(struct sys *s, int fd, const struct sockaddr *a, socklen_t len);
	int (*listen)(struct sys *s, int fd, int backlog);
	int (*accept)(struct sys *s, int fd, int flags);
	ssize_t (*sendmsg)(struct sys *s, int fd, const struct msghdr *m, int flags);
	ssize_t (*recvmsg)(struct sys *s, int fd, struct msghdr *m, int flags);
	int (*getrlimit)(struct sys *s, int what, struct rlimit *r);
	int (*setrlimit)(struct sys *s, int what, const struct rlimit *r);
	/* CLOCK_MONOTONIC, nanoseconds. */
	uint64_t (*now_ns)(struct sys *s);
	void (*sleep_ns)(struct sys *s, uint64_t ns);
};

/** struct sys - a kernel to talk to; embed it first in a fake. Must outlive all that was opened
 * with it. */
struct sys {
	const struct sys_ops *ops;
};

/** sys_host() - the real kernel. Any thread. */
struct sys *sys_host(void);

/* Shorthands: sys_call(s, open, path, O_RDONLY, 0) reads badly, so each call has its wrapper. */
#define SYS_WRAP(ret, name, params, args)   \
	static inline ret sys_##name params \
	{                                   \
		return s->ops->name args;   \
	}

SYS_WRAP(int, open, (struct sys * s, const char *path, int flags, mode_t mode),
	 (s, path, flags, mode))
SYS_WRAP(ssize_t, read, (struct sys * s, int fd, void *buf, size_t len), (s, fd, buf, len))
SYS_WRAP(ssize_t, write, (struct sys * s, int fd, const void *buf, size_t len), (s, fd, buf, len))
SYS_WRAP(ssize_t, pread, (struct sys * s, int fd, void *buf, size_t len, off_t off),
	 (s, fd, buf, len, off))
SYS_WRAP(ssize_t, pwrite, (struct sys * s, int fd, const void *buf, size_t len, off_t off),
	 (s, fd, buf, len, off))
SYS_WRAP(int, ioctl, (struct sys * s, int fd, unsigned long req, void *arg), (s, fd, req, arg))
SYS_WRAP(int, fstat, (struct sys * s, int fd, struct stat *st), (s, fd, st))
SYS_WRAP(int, stat, (struct sys * s, const char *path, struct stat *st), (s, path, st))
SYS_WRAP(int, fsync, (struct sys * s, int fd), (s, fd))
SYS_WRAP(int, flock, (struct sys * s, int fd, int op), (s, fd, op))
SYS_WRAP(int, ftruncate, (struct sys * s, int fd, off_t len), (s, fd, len))
SYS_WRAP(int, rename, (struct sys * s, const char *from, const char *to), (s, from, to))
SYS_WRAP(int, unlink, (struct sys * s, const char *path), (s, path))
SYS_WRAP(int, mkdir, (struct sys * s, const char *path, mode_t mode), (s, path, mode))
SYS_WRAP(ssize_t, readlink, (struct sys * s, const char *path, char *buf, size_t len),
	 (s, path, buf, len))
SYS_WRAP(int, listdir,
	 (struct sys * s, const char *path, int (*fn)(void *, const char *), void *arg),
	 (s, path, fn, arg))
SYS_WRAP(int, mmap,
	 (struct sys * s, void **out, size_t len, int prot, int flags, int fd, off_t off),
	 (s, out, len, prot, flags, fd, off))
SYS_WRAP(int, munmap, (struct sys * s, void *p, size_t len), (s, p, len))
SYS_WRAP(int, madvise, (struct sys * s, void *p, size_t len, int advice), (s, p, len, advice))
SYS_WRAP(int, mbind, (struct sys * s, void *p, size_t len, unsigned int node), (s, p, len, node))
SYS_WRAP(int, memfd, (struct sys * s, const char *name, unsigned int flags), (s, name, flags))
SYS_WRAP(int, fallocate, (struct sys * s, int fd, int mode, off_t off, off_t len),
	 (s, fd, mode, off, len))
SYS_WRAP(int, eventfd, (struct sys * s, unsigned int init, int flags), (s, init, flags))
SYS_WRAP(int, epoll_create, (struct sys * s), (s))
SYS_WRAP(int, epoll_ctl, (struct sys * s, int epfd, int op, int fd, struct epoll_event *ev),
	 (s, epfd, op, fd, ev))
SYS_WRAP(int, epoll_wait,
	 (struct sys * s, int epfd, struct epoll_event *evs, int n, int timeout_ms),
	 (s, epfd, evs, n, timeout_ms))
SYS_WRAP(int, socket, (struct sys * s, int domain, int type, int proto), (s, domain, type, proto))
SYS_WRAP(int, bind, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len),
	 (s, fd, a, len))
SYS_WRAP(int, connect, (struct sys * s, int fd, const struct sockaddr *a, socklen_t len),
	 (s, fd, a, len))
SYS_WRAP(int, listen, (struct sys * s, int fd, int backlog), (s, fd, backlog))
SYS_WRAP(int, accept, (struct sys * s, int fd, int flags), (s, fd, flags))
SYS_WRAP(ssize_t, sendmsg, (struct sys * s, int fd, const struct msghdr *m, int flags),
	 (s, fd, m, flags))
SYS_WRAP(ssize_t, recvmsg, (struct sys * s, int fd, struct msghdr *m, int flags), (s, fd, m, flags))
SYS_WRAP(int, getrlimit, (struct sys * s, int what, struct rlimit *r), (s, what, r))
SYS_WRAP(int, setrlimit, (struct sys * s, int what, const struct rlimit *r), (s, what, r))
SYS_WRAP(uint64_t, now_ns, (struct sys * s), (s))
SYS_WRAP(void, sleep_ns, (struct sys * s, uint64_t ns), (s, ns))

/** sys_close() - close *fd if it is >= 0 and set it to -1. */
static inline void sys_close(struct sys *s, int *fd)
{
	if (*fd >= 0)
		s->ops->close(s, *fd);
	*fd = -1;
}

/*
 * Small files (sysfs, procfs). Paths are printf-style so that callers need no buffers. A path
 * longer than PATH_MAX is -ENAMETOOLONG.
 */

/**
 * sys_file_read() - read a whole small file as text
 * @buf: filled and NUL-terminated, trailing white space removed
 * @size: of buf; a longer file is -EFBIG
 * Return: length of the text, or -errno.
 */
int sys_file_read(struct sys *s, char *buf, size_t size, const char *fmt, ...)
	__printf(4, 5) __must_check;

/** sys_file_read_u64() - a number in C notation (decimal, 0x...); -EINVAL when it is none. */
int sys_file_read_u64(struct sys *s, uint64_t *out, const char *fmt, ...)
	__printf(3, 4) __must_check;

/** sys_file_write() - write text in one write(2); the file must exist. */
int sys_file_write(struct sys *s, const char *text, const char *fmt, ...)
	__printf(3, 4) __must_check;

/** sys_link_base() - last component of a symbolic link's target ("vfio-pci"); -ENOENT when absent.
 */
int sys_link_base(struct sys *s, char *buf, size_t size, const char *fmt, ...)
	__printf(4, 5) __must_check;

/** sys_exists() - does the path exist? */
bool sys_exists(struct sys *s, const char *fmt, ...) __printf(2, 3);

/** sys_write_all() - write all of it, in as many write(2) calls as needed. */
int sys_write_all(struct sys *s, int fd, const void *buf, size_t len) __must_check;

#endif
