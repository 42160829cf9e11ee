// SPDX-License-Identifier: BSD-3-Clause
/*
 * Processes: a door of its own for each, in front of the one fake kernel. It keeps the fds and file
 * locks that belong to the process, and lets it die: from the fatal change on, nothing it does has
 * an effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include "tests/unit/sriov/world_priv.h"

static struct proc *of(struct sys *s)
{
	return container_of(s, struct proc, sys);
}

static struct sys *real(struct proc *p)
{
	return fakesys_sys(p->w->f);
}

/* About to change something: false when the process is dead, or dies here. */
static bool change(struct proc *p)
{
	if (!p->dead && ++p->changes == p->die_at)
		p->dead = true;
	return !p->dead;
}

static int p_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	struct proc *p = of(s);
	int fd;

	if (p->dead || ((flags & O_CREAT) && !sys_exists(real(p), "%s", path) && !change(p)))
		return -EIO;
	if (!strncmp(path, "/dev/vfio/", 10) && p->w->held[atoi(path + 10) % GROUPS])
		return -EBUSY;
	if (!strcmp(path, "/dev/nvme0n1") && (flags & O_EXCL) && p->w->mounted)
		return -EBUSY;
	fd = sys_open(real(p), path, flags, mode);
	if (fd >= 0) {
		BUG_ON(p->nfds == ARRAY_SIZE(p->fd));
		p->fd[p->nfds].fd = fd;
		p->fd[p->nfds].lock = 0;
		snprintf(p->fd[p->nfds++].path, sizeof(p->fd[0].path), "%s", path);
	}
	return fd;
}

static int p_close(struct sys *s, int fd)
{
	struct proc *p = of(s);

	for (unsigned int i = 0; i < p->nfds; i++)
		if (p->fd[i].fd == fd)
			p->fd[i] = p->fd[--p->nfds];
	return real(p)->ops->close(real(p), fd);
}

/* Does another open file hold a lock that keeps this one out? */
static bool locked_out(struct proc *p, unsigned int me, int op)
{
	for (struct proc *q = p->w->procs; q; q = q->next)
		for (unsigned int i = 0; i < q->nfds; i++)
			if (!(q == p && i == me) && q->fd[i].lock &&
			    !strcmp(q->fd[i].path, p->fd[me].path) &&
			    (op == LOCK_EX || q->fd[i].lock == LOCK_EX))
				return true;
	return false;
}

static int p_flock(struct sys *s, int fd, int op)
{
	struct proc *p = of(s);
	int rc = p->dead ? -EIO : sys_flock(real(p), fd, op);

	for (unsigned int i = 0; i < p->nfds && !rc; i++) {
		if (p->fd[i].fd != fd)
			continue;
		if (locked_out(p, i, op & ~LOCK_NB))
			return -EWOULDBLOCK;
		p->fd[i].lock = op & ~LOCK_NB;
	}
	return rc;
}

static ssize_t p_write(struct sys *s, int fd, const void *buf, size_t len)
{
	return change(of(s)) ? sys_write(real(of(s)), fd, buf, len) : -EIO;
}

static int p_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	return change(of(s)) ? sys_ioctl(real(of(s)), fd, req, arg) : -EIO;
}

static ssize_t p_sendmsg(struct sys *s, int fd, const struct msghdr *m, int flags)
{
	return change(of(s)) ? sys_sendmsg(real(of(s)), fd, m, flags) : -EIO;
}

static int p_ftruncate(struct sys *s, int fd, off_t len)
{
	return change(of(s)) ? sys_ftruncate(real(of(s)), fd, len) : -EIO;
}

static int p_unlink(struct sys *s, const char *path)
{
	return change(of(s)) ? sys_unlink(real(of(s)), path) : -EIO;
}

/* Open files keep their locks under the new name, or under none. */
static int p_rename(struct sys *s, const char *from, const char *to)
{
	int rc = change(of(s)) ? sys_rename(real(of(s)), from, to) : -EIO;

	for (struct proc *q = of(s)->w->procs; q && !rc; q = q->next)
		for (unsigned int i = 0; i < q->nfds; i++) {
			char *path = q->fd[i].path;

			if (!strcmp(path, to))
				strcpy(path, "no name");
			else if (!strcmp(path, from))
				snprintf(path, sizeof(q->fd[i].path), "%s", to);
		}
	return rc;
}

static int p_mkdir(struct sys *s, const char *path, mode_t mode)
{
	return change(of(s)) ? sys_mkdir(real(of(s)), path, mode) : -EIO;
}

static int p_fsync(struct sys *s, int fd)
{
	return of(s)->dead ? -EIO : sys_fsync(real(of(s)), fd);
}

static ssize_t p_read(struct sys *s, int fd, void *buf, size_t len)
{
	return of(s)->dead ? -EIO : sys_read(real(of(s)), fd, buf, len);
}

static ssize_t p_pread(struct sys *s, int fd, void *buf, size_t len, off_t off)
{
	return of(s)->dead ? -EIO : sys_pread(real(of(s)), fd, buf, len, off);
}

static int p_stat(struct sys *s, const char *path, struct stat *st)
{
	return of(s)->dead ? -EIO : sys_stat(real(of(s)), path, st);
}

static int p_fstat(struct sys *s, int fd, struct stat *st)
{
	return of(s)->dead ? -EIO : sys_fstat(real(of(s)), fd, st);
}

static ssize_t p_readlink(struct sys *s, const char *path, char *buf, size_t len)
{
	return of(s)->dead ? -EIO : sys_readlink(real(of(s)), path, buf, len);
}

static int p_listdir(struct sys *s, const char *path, int (*fn)(void *arg, const char *name),
		     void *arg)
{
	return of(s)->dead ? -EIO : sys_listdir(real(of(s)), path, fn, arg);
}

static int p_socket(struct sys *s, int domain, int type, int proto)
{
	struct proc *p = of(s);
	int fd = p->dead ? -EIO : sys_socket(real(p), domain, type, proto);

	if (fd >= 0) {
		BUG_ON(p->nfds == ARRAY_SIZE(p->fd));
		p->fd[p->nfds].fd = fd;
		p->fd[p->nfds].lock = 0;
		strcpy(p->fd[p->nfds++].path, "socket");
	}
	return fd;
}

static ssize_t p_recvmsg(struct sys *s, int fd, struct msghdr *m, int flags)
{
	return of(s)->dead ? -EIO : sys_recvmsg(real(of(s)), fd, m, flags);
}

static uint64_t p_now(struct sys *s)
{
	return sys_now_ns(real(of(s)));
}

static void p_sleep(struct sys *s, uint64_t ns)
{
	sys_sleep_ns(real(of(s)), ns);
}

static void p_log(void *arg, enum log_level level, const char *line)
{
	struct proc *p = arg;

	p->logged++;
	snprintf(p->last_log, sizeof(p->last_log), "%s", line);
}

struct proc *world_proc(struct world *w, pid_t pid)
{
	struct proc *p = calloc(1, sizeof(*p));
	char path[64], stat[128];

	BUG_ON(!p);
	p->w = w;
	p->pid = pid;
	p->next = w->procs;
	w->procs = p;
	p->ops = (struct sys_ops){
		.open = p_open,
		.close = p_close,
		.flock = p_flock,
		.write = p_write,
		.ioctl = p_ioctl,
		.sendmsg = p_sendmsg,
		.ftruncate = p_ftruncate,
		.unlink = p_unlink,
		.rename = p_rename,
		.mkdir = p_mkdir,
		.fsync = p_fsync,
		.read = p_read,
		.pread = p_pread,
		.stat = p_stat,
		.fstat = p_fstat,
		.readlink = p_readlink,
		.listdir = p_listdir,
		.socket = p_socket,
		.recvmsg = p_recvmsg,
		.now_ns = p_now,
		.sleep_ns = p_sleep,
	};
	p->sys.ops = &p->ops;
	p->log = (struct log){ LOG_WARN, p_log, p };
	p->c = (struct sriov){ .sys = &p->sys, .log = &p->log, .pid = pid, .wait_ms = 3000 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	snprintf(stat, sizeof(stat),
		 "%d (a) b) S 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 %d 1 1\n", (int)pid,
		 1000 + (int)pid);
	fakesys_file(w->f, path, stat);
	return p;
}

void proc_kill(struct proc *p)
{
	char path[64];

	p->dead = true;
	while (p->nfds)
		p_close(&p->sys, p->fd[0].fd);
	snprintf(path, sizeof(path), "/proc/%d", (int)p->pid);
	fakesys_del(p->w->f, path);
}

unsigned int proc_fds(const struct proc *p)
{
	return p->nfds;
}
