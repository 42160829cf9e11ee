// SPDX-License-Identifier: BSD-3-Clause
/* The asking side of the control socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/ctl.h"

/* Beyond any answer; the machine is our own program, but a socket may be anybody's. */
#define ANSWER_MAX (64u << 20)

int ctl_connect(struct sys *s, const char *path, int *out, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: the path is too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = sys_socket(s, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, fd, "cannot make a socket");
	ret = sys_connect(s, fd, (struct sockaddr *)&a, sizeof(a));
	if (ret) {
		sys_close(s, &fd);
		if (ret == -ENOENT || ret == -ECONNREFUSED)
			return err_set(e, ret, "%s: no machine listens there", path);
		return err_sys(e, ret, "cannot connect to %s", path);
	}
	*out = fd;
	return 0;
}

static int hung_up(struct err *e)
{
	return err_set(e, -EPIPE,
		       "the machine hung up without an answer (it serves at most %d clients)",
		       CTL_CLIENTS_MAX);
}

/* Read up to the newline that ends the answer. */
static int answer_read(struct sys *s, int fd, char **out, size_t *len, struct err *e)
{
	size_t n = 0, cap = 0;
	char *buf = NULL, *p;
	ssize_t got;

	while (!n || buf[n - 1] != '\n') {
		if (n == cap) {
			cap = cap ? 2 * cap : 65536;
			p = cap > ANSWER_MAX ? NULL : realloc(buf, cap);
			if (!p) {
				free(buf);
				return err_set(e, -ENOMEM, "the answer is too long");
			}
			buf = p;
		}
		got = sys_read(s, fd, buf + n, cap - n);
		if (got == -EAGAIN) {
			free(buf);
			return err_set(e, -ETIMEDOUT, "the machine does not answer");
		}
		if (got <= 0) {
			free(buf);
			return hung_up(e);
		}
		n += (size_t)got;
	}
	*out = buf;
	*len = n;
	return 0;
}

int ctl_ask(struct sys *s, int fd, const json_t *req, json_t **out, struct err *e)
{
	char *text = json_dumps(req, JSON_COMPACT);
	size_t len = 0;
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	ret = sys_write_all(s, fd, text, strlen(text));
	if (!ret)
		ret = sys_write_all(s, fd, "\n", 1);
	free(text);
	if (ret == -EPIPE)
		return hung_up(e);
	if (ret)
		return err_sys(e, ret, "cannot send the request");
	ret = answer_read(s, fd, &text, &len, e);
	if (ret)
		return ret;
	*out = json_loadb(text, len, 0, NULL);
	free(text);
	return *out ? 0 : err_set(e, -EBADMSG, "the answer is no JSON");
}
