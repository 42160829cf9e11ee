// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/usock.h"

#define ACCEPT_AGAIN_NS 500000000ull

static int addr_of(struct sockaddr_un *a, const char *path, struct err *e)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		return err_set(e, -ENAMETOOLONG, "the path of the socket is longer than %zu bytes",
			       sizeof(a->sun_path) - 1);
	memcpy(a->sun_path, path, strlen(path) + 1);
	return 0;
}

static int new_socket(struct sys *s, struct err *e)
{
	int fd = sys_socket(s, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? err_sys(e, fd, "cannot make a socket") : fd;
}

/* A socket file whose owner is gone may be replaced; one that answers, or another file, may not. */
int usock_vacate(struct sys *s, const char *path, struct err *e)
{
	struct sockaddr_un a;
	struct stat st;
	int fd, ret = addr_of(&a, path, e);

	if (ret || sys_stat(s, path, &st))
		return ret;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EADDRINUSE, "%s exists and is no socket", path);
	/* Not blocking: a process that hangs with a full backlog uses it all the same. */
	fd = new_socket(s, e);
	if (fd < 0)
		return fd;
	ret = sys_connect(s, fd, (struct sockaddr *)&a, sizeof(a));
	sys_close(s, &fd);
	if (ret != -ECONNREFUSED)
		return err_set(e, -EADDRINUSE, "%s is in use by another process", path);
	ret = sys_unlink(s, path);
	return ret ? err_sys(e, ret, "cannot remove %s", path) : 0;
}

int usock_listen(struct sys *s, const char *path, int backlog, struct err *e)
{
	struct sockaddr_un a;
	int fd, ret = addr_of(&a, path, e);
	mode_t old;

	if (!ret)
		ret = usock_vacate(s, path, e);
	if (ret)
		return ret;
	fd = new_socket(s, e);
	if (fd < 0)
		return fd;
	/* The file is born 0600; a chmod after bind would leave a gap. */
	old = umask(0177);
	ret = sys_bind(s, fd, (struct sockaddr *)&a, sizeof(a));
	umask(old);
	if (ret) {
		sys_close(s, &fd); /* the file at path is not ours */
		return err_sys(e, ret, "cannot bind to %s", path);
	}
	ret = sys_listen(s, fd, backlog);
	if (ret) {
		sys_close(s, &fd);
		sys_unlink(s, path);
		return err_sys(e, ret, "cannot listen on %s", path);
	}
	return fd;
}

int usock_accept(struct sys *s, int fd, struct ev_src *src)
{
	int ret = sys_accept(s, fd, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM || ret == -ENOBUFS)
		ev_rest(src, EPOLLIN, ACCEPT_AGAIN_NS);
	return ret;
}

int usock_connect(struct sys *s, const char *path, struct err *e)
{
	struct sockaddr_un a;
	int fd, ret = addr_of(&a, path, e);

	if (ret)
		return ret;
	fd = new_socket(s, e);
	if (fd < 0)
		return fd;
	ret = sys_connect(s, fd, (struct sockaddr *)&a, sizeof(a));
	if (ret) {
		sys_close(s, &fd);
		return err_sys(e, ret, "cannot connect to %s", path);
	}
	return fd;
}

static int stat_dir(struct sys *s, const char *path, struct stat *st)
{
	char buf[PATH_MAX];

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return -ENAMETOOLONG;
	return sys_stat(s, dirname(buf), st);
}

/* Does uid own the folder of the socket file that fd was connected to? */
static bool owns_folder(struct sys *s, int fd, uid_t uid)
{
	struct sockaddr_un a = { 0 };
	socklen_t n = sizeof(a) - 1;
	struct stat st;

	if (getpeername(fd, (struct sockaddr *)&a, &n) || a.sun_path[0] != '/')
		return false;
	return !stat_dir(s, a.sun_path, &st) && st.st_uid == uid && !(st.st_mode & 022);
}

int usock_peer(struct sys *s, int fd, struct err *e)
{
	struct ucred u;
	socklen_t n = sizeof(u);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n))
		return err_sys(e, -errno, "cannot tell who the peer is");
	if (u.uid == 0 || u.uid == geteuid())
		return 0;
	if (geteuid() == 0 && owns_folder(s, fd, u.uid))
		return 0;
	return err_set(
		e, -EPERM,
		"the peer runs as user %u: it must be root, the user of this process, or the "
		"owner of the socket's folder",
		u.uid);
}

bool usock_dir_open(struct sys *s, const char *path)
{
	struct stat st;

	return !stat_dir(s, path, &st) && (st.st_mode & 022);
}

void usock_fds(struct msghdr *m, void *ctl, const int *fd, unsigned int n)
{
	size_t len = n * sizeof(*fd);
	struct cmsghdr *c;

	if (!n)
		return;
	m->msg_control = ctl;
	m->msg_controllen = CMSG_SPACE(len);
	memset(ctl, 0, CMSG_SPACE(len));
	c = CMSG_FIRSTHDR(m);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS,
			       .cmsg_len = CMSG_LEN(len) };
	memcpy(CMSG_DATA(c), fd, len);
}
