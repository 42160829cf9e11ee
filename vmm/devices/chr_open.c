// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opening and closing the host's end of a serial port.
 *
 * The standard output may be shared with a shell, so it is not made non-blocking in place (that
 * would stay behind): a terminal or a pipe is opened a second time through /proc, which gives a
 * file description of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
/* The kernel's struct termios, which the ioctls take; <termios.h> has another one of the same name.
 */
#include <asm/termbits.h>
#include "vmm/devices/chr_priv.h"

/* ---- the terminal
 * --------------------------------------------------------------------------------- */

void chr_tty_restore(struct chr_tty *t)
{
	if (!t || !t->raw)
		return;
	t->raw = 0;
	sys_ioctl(t->sys, t->fd, TCSETS, t->saved);
}

/* Keys arrive one by one and unchanged; output still gets its carriage returns, for our own
 * messages. */
static void raw_mode(struct termios *t)
{
	t->c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t->c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t->c_cflag = (t->c_cflag & ~(CSIZE | PARENB)) | CS8;
	t->c_cc[VMIN] = 1;
	t->c_cc[VTIME] = 0;
}

static int tty_raw(struct sys *s, struct chr_tty *t, int fd)
{
	struct termios now;
	int ret;

	_Static_assert(sizeof(now) <= sizeof(t->saved), "struct chr_tty is too small");
	ret = sys_ioctl(s, fd, TCGETS, &now);
	if (ret < 0)
		return ret;
	t->sys = s;
	t->fd = fd;
	memcpy(t->saved, &now, sizeof(now));
	raw_mode(&now);
	ret = sys_ioctl(s, fd, TCSETS, &now);
	t->raw = ret >= 0;
	return ret;
}

/* ---- back ends
 * ------------------------------------------------------------------------------------ */

/* Input that is no terminal is fine: a pipe, a file, /dev/null, or what has ended already. */
static int open_stdio(struct chr *c, struct chr_tty *tty, struct err *e)
{
	struct stat st;
	int fd;

	if (sys_fstat(c->sys, STDOUT_FILENO, &st))
		return err_set(e, -EBADF, "serial: standard output is closed: use --serial null");
	c->in.fd = STDIN_FILENO;
	c->out.fd = STDOUT_FILENO;
	c->out.always = S_ISREG(st.st_mode);
	fd = c->out.always ? -1
			   : sys_open(c->sys, "/proc/self/fd/1",
				      O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (fd >= 0) {
		c->out.fd = fd;
		c->out.owned = true;
	}
	/* Not a terminal: nothing to switch, and no escape key, so that a script can send any byte.
	 */
	if (tty && tty_raw(c->sys, tty, STDIN_FILENO) >= 0)
		c->tty = tty;
	c->online = true;
	return 0;
}

int chr_pty(struct sys *s, int *master, int *slave, char path[CHR_PTY_MAX], struct err *e)
{
	struct termios t;
	int ret, zero = 0;
	unsigned int n;

	*slave = -1;
	ret = *master = sys_open(s, "/dev/ptmx", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (ret < 0)
		return err_sys(e, ret, "no pseudo terminal (/dev/ptmx)");
	ret = sys_ioctl(s, *master, TIOCSPTLCK, &zero);
	if (ret >= 0)
		ret = sys_ioctl(s, *master, TIOCGPTN, &n);
	if (ret >= 0) {
		snprintf(path, CHR_PTY_MAX, "/dev/pts/%u", n);
		ret = *slave = sys_open(s, path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
	}
	if (ret >= 0)
		ret = sys_ioctl(s, *slave, TCGETS, &t);
	if (ret >= 0) {
		/* No echo: the guest would hear itself. */
		raw_mode(&t);
		t.c_oflag &= ~OPOST;
		ret = sys_ioctl(s, *slave, TCSETS, &t);
	}
	if (ret >= 0)
		return 0;
	sys_close(s, slave);
	sys_close(s, master);
	return err_sys(e, ret, "pseudo terminal");
}

static int open_pty(struct chr *c, struct err *e)
{
	int ret = chr_pty(c->sys, &c->in.fd, &c->peer_fd, c->path, e);

	if (ret) {
		err_prefix(e, "serial: ");
		return ret;
	}
	c->in.owned = true;
	c->online = true;
	return 0;
}

/* Truncated, since a log that mixes two runs helps nobody; a FIFO works too, once it has a reader.
 */
static int open_file(struct chr *c, const char *path, struct err *e)
{
	int ret = c->out.fd =
		sys_open(c->sys, path,
			 O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

	if (ret < 0)
		return err_sys(e, ret, "serial: %s", path);
	c->out.owned = true;
	c->online = true;
	return 0;
}

/* A socket that nobody listens on is left from a run that died; anything else is not ours to
 * remove. */
static int remove_stale(struct chr *c, const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	int fd, ret;

	if (sys_stat(c->sys, a->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "serial: %s exists and is not a socket", a->sun_path);
	ret = fd = sys_socket(c->sys, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, ret, "serial: %s", a->sun_path);
	ret = sys_connect(c->sys, fd, (const struct sockaddr *)a, sizeof(*a));
	sys_close(c->sys, &fd);
	if (ret != -ECONNREFUSED)
		return err_set(e, -EADDRINUSE, "serial: %s is in use by another program",
			       a->sun_path);
	ret = sys_unlink(c->sys, a->sun_path);
	return ret ? err_sys(e, ret, "serial: %s", a->sun_path) : 0;
}

static int open_unix(struct chr *c, const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t mask;
	int ret;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG,
			       "serial: %s: a socket's path has at most %zu bytes", path,
			       sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	ret = remove_stale(c, &a, e);
	if (ret)
		return ret;
	ret = c->listen.fd =
		sys_socket(c->sys, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret < 0)
		return err_sys(e, ret, "serial: %s", path);
	c->listen.owned = true;
	/* The socket is born with its mode: there is no moment at which others can connect. */
	mask = umask(0177);
	ret = sys_bind(c->sys, c->listen.fd, (const struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (!ret) {
		c->bound = true;
		strcpy(c->path, path);
		ret = sys_listen(c->sys, c->listen.fd, 1);
	}
	if (!ret)
		ret = ev_add(c->ev, c->listen.fd, EPOLLIN, chr_listen_event, c, &c->listen.src);
	return ret ? err_sys(e, ret, "serial: %s", path) : 0;
}

/* ---- life
 * ----------------------------------------------------------------------------------------- */

static void end_init(struct chr_end *end, struct chr *c)
{
	end->chr = c;
	end->fd = -1;
}

static int open_spec(struct chr *c, const char *spec, struct chr_tty *tty, struct err *e)
{
	if (!strcmp(spec, "stdio"))
		return open_stdio(c, tty, e);
	if (!strcmp(spec, "pty"))
		return open_pty(c, e);
	if (!strncmp(spec, "file=", 5) && spec[5])
		return open_file(c, spec + 5, e);
	if (!strncmp(spec, "unix=", 5) && spec[5])
		return open_unix(c, spec + 5, e);
	return err_set(e, -EINVAL, "serial: '%s' is none of stdio, null, pty, file=PATH, unix=PATH",
		       spec);
}

int chr_open(struct sys *s, struct ev *ev, const struct log *log, const char *spec,
	     struct chr_tty *tty, struct chr **out, struct err *e)
{
	struct chr *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return err_set(e, -ENOMEM, "serial: out of memory");
	c->sys = s;
	c->ev = ev;
	c->log = log;
	c->kick_fd = c->peer_fd = -1;
	end_init(&c->in, c);
	end_init(&c->out, c);
	end_init(&c->listen, c);
	pthread_mutex_init(&c->lock, NULL);
	c->null = !strcmp(spec, "null");
	if (c->null) {
		*out = c;
		return 0;
	}
	ret = c->kick_fd = sys_eventfd(s, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ret >= 0)
		ret = ev_add(ev, c->kick_fd, EPOLLIN, chr_kick_event, c, &c->kick_src);
	if (ret < 0)
		err_sys(e, ret, "serial: event loop");
	else
		ret = open_spec(c, spec, tty, e);
	if (ret < 0) {
		chr_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

/* The watch goes before the fd: epoll would keep one whose fd number is used again. */
static void end_fini(struct chr_end *end)
{
	ev_del(end->src);
	if (end->owned)
		sys_close(end->chr->sys, &end->fd);
}

void chr_close(struct chr *c)
{
	if (!c)
		return;
	c->user = NULL;
	if (!c->null)
		chr_flush(c);
	ev_del(c->kick_src);
	ev_del(c->flush_timer);
	ev_del(c->stuck_timer);
	end_fini(&c->in);
	end_fini(&c->out);
	end_fini(&c->listen);
	sys_close(c->sys, &c->peer_fd);
	sys_close(c->sys, &c->kick_fd);
	if (c->bound)
		sys_unlink(c->sys, c->path);
	chr_tty_restore(c->tty);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

const char *chr_path(const struct chr *c)
{
	return c->peer_fd >= 0 ? c->path : NULL;
}
