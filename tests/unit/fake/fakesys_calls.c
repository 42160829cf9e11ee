// SPDX-License-Identifier: BSD-3-Clause
/* The fake kernel's system calls: each counts itself, may be the one that fails, and acts on the
 * tree. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fake/fakesys_priv.h"

static int fs_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	struct fakesys *f = fakesys_fs_of(s);
	char real[PATH_MAX];
	struct node *n;
	int rc = fakesys_tick(f);

	if (!rc)
		rc = fakesys_resolve(f, path, true, real);
	if (rc)
		return rc;
	n = fakesys_node_at(f, real);
	if (!n && !(flags & O_CREAT))
		return -ENOENT;
	if (n && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (n && n->kind == NODE_DIR && !(flags & O_DIRECTORY))
		return -EISDIR;
	if (!n)
		n = fakesys_node_put(f, real, NODE_FILE, "", 0);
	else if (flags & O_TRUNC)
		fakesys_node_put(f, real, NODE_FILE, "", 0);
	rc = fakesys_fd_new(f, real);
	if (rc >= 0)
		fakesys_fd_get(f, rc)->append = flags & O_APPEND;
	return rc;
}

static int fs_close(struct sys *s, int fd)
{
	struct fd *d = fakesys_fd_get(fakesys_fs_of(s), fd);

	if (!d)
		return -EBADF;
	d->open = false;
	return 0;
}

static ssize_t read_at(struct fakesys *f, struct fd *d, void *buf, size_t len, size_t pos)
{
	struct node *n = fakesys_node_at(f, d->path);

	if (!n)
		return -EIO;
	if (pos >= n->len)
		return 0;
	len = MIN(len, n->len - pos);
	memcpy(buf, n->text + pos, len);
	return (ssize_t)len;
}

static ssize_t fs_read(struct sys *s, int fd, void *buf, size_t len)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	int rc = fakesys_tick(f);
	ssize_t n;

	if (rc || !d)
		return rc ? rc : -EBADF;
	if (d->is_eventfd) {
		if (!d->counter)
			return -EAGAIN;
		memcpy(buf, &d->counter, sizeof(d->counter));
		d->counter = 0;
		return 8;
	}
	n = read_at(f, d, buf, len, d->pos);
	if (n > 0)
		d->pos += (size_t)n;
	return n;
}

static struct hook *write_hook(struct fakesys *f, const char *path)
{
	for (unsigned int i = 0; i < f->nhooks; i++)
		if (f->hook[i].on_write && !strcmp(f->hook[i].path, path))
			return &f->hook[i];
	return NULL;
}

static ssize_t write_at(struct fakesys *f, struct fd *d, const void *buf, size_t len, size_t pos)
{
	struct node *n = fakesys_node_at(f, d->path);
	char *text;

	if (!n)
		return -EIO;
	text = fakesys_need(calloc(1, MAX(n->len, pos + len) + 1));
	/* A write at 0 replaces the file, as in sysfs; any other extends or overwrites it. */
	if (pos)
		memcpy(text, n->text, n->len);
	memcpy(text + pos, buf, len);
	fakesys_node_put(f, d->path, NODE_FILE, text, pos ? MAX(n->len, pos + len) : len);
	free(text);
	return (ssize_t)len;
}

static ssize_t fs_write(struct sys *s, int fd, const void *buf, size_t len)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	struct hook *h;
	int rc = fakesys_tick(f);
	char line[4096];
	ssize_t n;

	if (rc || !d)
		return rc ? rc : -EBADF;
	if (d->is_eventfd) {
		uint64_t add;

		memcpy(&add, buf, sizeof(add));
		d->counter += add;
		return 8;
	}
	h = write_hook(f, d->path);
	if (h) {
		snprintf(line, sizeof(line), "%.*s", (int)len, (const char *)buf);
		line[strcspn(line, "\n")] = 0;
		rc = h->on_write(h->arg, h->path, line);
		if (rc)
			return rc < 0 ? rc : (ssize_t)len;
	}
	if (d->append)
		d->pos = fakesys_node_at(f, d->path) ? fakesys_node_at(f, d->path)->len : 0;
	n = write_at(f, d, buf, len, d->pos);
	if (n > 0)
		d->pos += (size_t)n;
	return n;
}

static ssize_t fs_pread(struct sys *s, int fd, void *buf, size_t len, off_t off)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	int rc = fakesys_tick(f);

	return rc || !d ? (rc ? rc : -EBADF) : read_at(f, d, buf, len, (size_t)off);
}

static ssize_t fs_pwrite(struct sys *s, int fd, const void *buf, size_t len, off_t off)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	int rc = fakesys_tick(f);

	return rc || !d ? (rc ? rc : -EBADF) : write_at(f, d, buf, len, (size_t)off);
}

static int fs_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	struct hook *best = NULL;
	int rc = fakesys_tick(f);

	if (rc || !d)
		return rc ? rc : -EBADF;
	for (unsigned int i = 0; i < f->nhooks; i++) {
		struct hook *h = &f->hook[i];

		if (h->on_ioctl && !strncmp(h->path, d->path, strlen(h->path)) &&
		    (!best || strlen(h->path) > strlen(best->path)))
			best = h;
	}
	return best ? best->on_ioctl(best->arg, fd, d->path, req, arg) : -ENOTTY;
}

static int node_stat(struct node *n, struct stat *st)
{
	if (!n)
		return -ENOENT;
	*st = (struct stat){ .st_size = (off_t)n->len,
			     .st_mode = n->kind == NODE_DIR ? S_IFDIR | 0755 : S_IFREG | 0644 };
	return 0;
}

static int fs_stat(struct sys *s, const char *path, struct stat *st)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	return rc ? rc : node_stat(fakesys_lookup(fakesys_fs_of(s), path, true), st);
}

static int fs_fstat(struct sys *s, int fd, struct stat *st)
{
	struct fd *d = fakesys_fd_get(fakesys_fs_of(s), fd);
	int rc = fakesys_tick(fakesys_fs_of(s));

	return rc || !d ? (rc ? rc : -EBADF)
			: node_stat(fakesys_node_at(fakesys_fs_of(s), d->path), st);
}

/* Calls that only need to be able to fail. */
static int fs_fsync(struct sys *s, int fd)
{
	return fakesys_tick(fakesys_fs_of(s));
}

static int fs_flock(struct sys *s, int fd, int op)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	struct node *n = d ? fakesys_node_at(f, d->path) : NULL;
	int rc = fakesys_tick(f);

	return rc || !n || !n->locked ? rc : -EWOULDBLOCK;
}

static int fs_ftruncate(struct sys *s, int fd, off_t len)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	struct node *n = d ? fakesys_node_at(f, d->path) : NULL;
	int rc = fakesys_tick(f);

	if (!rc && n && (size_t)len < n->len) {
		n->len = (size_t)len;
		n->text[len] = 0;
	}
	return rc;
}

static int fs_madvise(struct sys *s, void *p, size_t len, int advice)
{
	return fakesys_tick(fakesys_fs_of(s));
}

static int fs_mbind(struct sys *s, void *p, size_t len, unsigned int node)
{
	return fakesys_tick(fakesys_fs_of(s));
}

static int fs_fallocate(struct sys *s, int fd, int mode, off_t off, off_t len)
{
	return fakesys_tick(fakesys_fs_of(s));
}

/* Descriptors belong to files, not to names. */
static void fds_follow(struct fakesys *f, const char *from, const char *to)
{
	for (unsigned int i = 0; i < FDS; i++) {
		struct fd *d = f->fd[i];
		bool moved = d && d->open && d->path && !strcmp(d->path, from);

		if (!moved && !(d && d->open && d->path && !strcmp(d->path, to)))
			continue;
		free(d->path);
		d->path = fakesys_need(strdup(moved ? to : "a file without a name"));
	}
}

static int fs_rename(struct sys *s, const char *from, const char *to)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct node *n = fakesys_lookup(f, from, false);
	int rc = fakesys_tick(f);
	char *text;

	if (rc || !n)
		return rc ? rc : -ENOENT;
	text = fakesys_need(strdup(n->text));
	fakesys_node_put(f, to, n->kind, text, strlen(text));
	free(text);
	fakesys_del(f, from);
	fds_follow(f, from, to);
	return 0;
}

static int fs_unlink(struct sys *s, const char *path)
{
	struct node *n = fakesys_lookup(fakesys_fs_of(s), path, false);

	if (!n)
		return -ENOENT;
	fakesys_node_remove(fakesys_fs_of(s), (size_t)(n - fakesys_fs_of(s)->node));
	return 0;
}

static int fs_mkdir(struct sys *s, const char *path, mode_t mode)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	if (rc)
		return rc;
	if (fakesys_lookup(fakesys_fs_of(s), path, true))
		return -EEXIST;
	fakesys_node_put(fakesys_fs_of(s), path, NODE_DIR, "", 0);
	return 0;
}

static ssize_t fs_readlink(struct sys *s, const char *path, char *buf, size_t len)
{
	struct node *n = fakesys_lookup(fakesys_fs_of(s), path, false);
	int rc = fakesys_tick(fakesys_fs_of(s));

	if (rc || !n)
		return rc ? rc : -ENOENT;
	if (n->kind != NODE_LINK)
		return -EINVAL;
	len = MIN(len, n->len);
	memcpy(buf, n->text, len);
	return (ssize_t)len;
}

static int fs_listdir(struct sys *s, const char *path, int (*fn)(void *arg, const char *name),
		      void *arg)
{
	struct fakesys *f = fakesys_fs_of(s);
	char real[PATH_MAX], name[256];
	int rc = fakesys_tick(f);
	size_t n;

	if (!rc)
		rc = fakesys_resolve(f, path, true, real);
	if (rc)
		return rc;
	if (!fakesys_node_at(f, real))
		return -ENOENT;
	n = strlen(real);
	for (size_t i = 0; i < f->nnodes && !rc; i++) {
		const char *p = f->node[i].path;

		if (strncmp(p, real, n) || p[n] != '/' || strchr(p + n + 1, '/'))
			continue;
		snprintf(name, sizeof(name), "%s", p + n + 1);
		rc = fn(arg, name);
	}
	return rc;
}

/* Real anonymous memory, so that code may use it. */
static int fs_mmap(struct sys *s, void **out, size_t len, int prot, int flags, int fd, off_t off)
{
	int rc = fakesys_tick(fakesys_fs_of(s));
	void *p;

	if (rc)
		return rc;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	if (p == MAP_FAILED)
		return -errno;
	fakesys_fs_of(s)->maps++;
	*out = p;
	return 0;
}

static int fs_munmap(struct sys *s, void *p, size_t len)
{
	fakesys_fs_of(s)->maps--;
	return munmap(p, len) < 0 ? -errno : 0;
}

static int fs_memfd(struct sys *s, const char *name, unsigned int flags)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	return rc ? rc : fakesys_fd_new(fakesys_fs_of(s), "memfd:");
}

static int fs_eventfd(struct sys *s, unsigned int init, int flags)
{
	int rc = fakesys_tick(fakesys_fs_of(s));
	int fd = rc ? rc : fakesys_fd_new(fakesys_fs_of(s), "eventfd:");

	if (fd >= 0) {
		fakesys_fd_get(fakesys_fs_of(s), fd)->is_eventfd = true;
		fakesys_fd_get(fakesys_fs_of(s), fd)->counter = init;
	}
	return fd;
}

static int fs_epoll_create(struct sys *s)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	return rc ? rc : fakesys_fd_new(fakesys_fs_of(s), "epoll:");
}

static int fs_epoll_ctl(struct sys *s, int epfd, int op, int fd, struct epoll_event *ev)
{
	return op == EPOLL_CTL_DEL ? 0 : fakesys_tick(fakesys_fs_of(s));
}

static int fs_epoll_wait(struct sys *s, int epfd, struct epoll_event *evs, int n, int timeout_ms)
{
	return 0;
}

static int fs_socket(struct sys *s, int domain, int type, int proto)
{
	int rc = fakesys_tick(fakesys_fs_of(s));
	int fd = rc ? rc : fakesys_fd_new(fakesys_fs_of(s), "socket:");

	if (fd >= 0)
		fakesys_fd_get(fakesys_fs_of(s), fd)->domain = domain;
	return fd;
}

static int fs_bind(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	return fakesys_tick(fakesys_fs_of(s));
}

static int fs_listen(struct sys *s, int fd, int backlog)
{
	return fakesys_tick(fakesys_fs_of(s));
}

static int fs_accept(struct sys *s, int fd, int flags)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	return rc ? rc : -EAGAIN;
}

static ssize_t fs_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	ssize_t n;
	int rc = fakesys_tick(f);

	if (rc || !d)
		return rc ? rc : -EBADF;
	if (!f->on_socket || m->msg_iovlen != 1)
		return -ECONNREFUSED;
	n = f->on_socket(f->socket_arg, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len, d->answer,
			 sizeof(d->answer));
	if (n < 0)
		return n;
	d->answer_len = (size_t)n;
	return (ssize_t)m->msg_iov[0].iov_len;
}

static ssize_t fs_recvmsg(struct sys *s, int fd, struct msghdr *m, int flags)
{
	struct fakesys *f = fakesys_fs_of(s);
	struct fd *d = fakesys_fd_get(f, fd);
	int rc = fakesys_tick(f);
	size_t n;

	if (rc || !d)
		return rc ? rc : -EBADF;
	if (!d->answer_len)
		return -EAGAIN;
	n = MIN(d->answer_len, m->msg_iov[0].iov_len);
	memcpy(m->msg_iov[0].iov_base, d->answer, n);
	if (n < d->answer_len)
		m->msg_flags |= MSG_TRUNC;
	if (!(flags & MSG_PEEK))
		d->answer_len = 0;
	return flags & MSG_TRUNC ? (ssize_t)MAX(n, d->answer_len) : (ssize_t)n;
}

static int fs_getrlimit(struct sys *s, int what, struct rlimit *r)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	if (!rc)
		r->rlim_cur = r->rlim_max =
			what == RLIMIT_MEMLOCK ? fakesys_fs_of(s)->memlock : RLIM_INFINITY;
	return rc;
}

static int fs_setrlimit(struct sys *s, int what, const struct rlimit *r)
{
	int rc = fakesys_tick(fakesys_fs_of(s));

	if (!rc && what == RLIMIT_MEMLOCK)
		fakesys_fs_of(s)->memlock = r->rlim_cur;
	return rc;
}

/* Time moves by itself, so that bounded waits end. */
static uint64_t fs_now_ns(struct sys *s)
{
	return fakesys_fs_of(s)->now += 1000;
}

static void fs_sleep_ns(struct sys *s, uint64_t ns)
{
	fakesys_fs_of(s)->now += ns;
}

const struct sys_ops fakesys_ops = {
	.open = fs_open,
	.close = fs_close,
	.read = fs_read,
	.write = fs_write,
	.pread = fs_pread,
	.pwrite = fs_pwrite,
	.ioctl = fs_ioctl,
	.fstat = fs_fstat,
	.stat = fs_stat,
	.fsync = fs_fsync,
	.flock = fs_flock,
	.ftruncate = fs_ftruncate,
	.rename = fs_rename,
	.unlink = fs_unlink,
	.mkdir = fs_mkdir,
	.readlink = fs_readlink,
	.listdir = fs_listdir,
	.mmap = fs_mmap,
	.munmap = fs_munmap,
	.madvise = fs_madvise,
	.mbind = fs_mbind,
	.memfd = fs_memfd,
	.fallocate = fs_fallocate,
	.eventfd = fs_eventfd,
	.epoll_create = fs_epoll_create,
	.epoll_ctl = fs_epoll_ctl,
	.epoll_wait = fs_epoll_wait,
	.socket = fs_socket,
	.bind = fs_bind,
	.connect = fs_bind,
	.listen = fs_listen,
	.accept = fs_accept,
	.sendmsg = fs_sendmsg,
	.recvmsg = fs_recvmsg,
	.getrlimit = fs_getrlimit,
	.setrlimit = fs_setrlimit,
	.now_ns = fs_now_ns,
	.sleep_ns = fs_sleep_ns,
};
