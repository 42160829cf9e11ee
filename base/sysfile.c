// SPDX-License-Identifier: BSD-3-Clause
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sys.h"

static int path_v(char path[PATH_MAX], const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static int path_v(char path[PATH_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(path, PATH_MAX, fmt, ap);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int read_path(struct sys *s, char *buf, size_t size, const char *path)
{
	size_t len = 0;
	ssize_t n = 0;
	int fd;

	fd = sys_open(s, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	while (len < size) {
		n = sys_read(s, fd, buf + len, size - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	sys_close(s, &fd);
	if (n < 0)
		return (int)n;
	if (len == size)
		return -EFBIG;
	while (len && isspace((unsigned char)buf[len - 1]))
		len--;
	buf[len] = 0;
	return (int)len;
}

int sys_file_read(struct sys *s, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = path_v(path, fmt, ap);
	va_end(ap);
	return rc ? rc : read_path(s, buf, size, path);
}

int sys_file_read_u64(struct sys *s, uint64_t *out, const char *fmt, ...)
{
	char path[PATH_MAX], buf[64], *end;
	unsigned long long v;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = path_v(path, fmt, ap);
	va_end(ap);
	if (!rc)
		rc = read_path(s, buf, sizeof(buf), path);
	if (rc < 0)
		return rc;
	errno = 0;
	v = strtoull(buf, &end, 0);
	if (errno || end == buf || *end || buf[0] == '-')
		return -EINVAL;
	*out = v;
	return 0;
}

int sys_file_write(struct sys *s, const char *text, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	ssize_t n;
	int rc, fd;

	va_start(ap, fmt);
	rc = path_v(path, fmt, ap);
	va_end(ap);
	if (rc)
		return rc;
	fd = sys_open(s, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = sys_write(s, fd, text, strlen(text));
	sys_close(s, &fd);
	if (n < 0)
		return (int)n;
	return (size_t)n == strlen(text) ? 0 : -EIO;
}

int sys_link_base(struct sys *s, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *base;
	va_list ap;
	ssize_t n;
	int rc;

	va_start(ap, fmt);
	rc = path_v(path, fmt, ap);
	va_end(ap);
	if (rc)
		return rc;
	n = sys_readlink(s, path, target, sizeof(target) - 1);
	if (n < 0)
		return (int)n;
	target[n] = 0;
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (strlen(base) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, base);
	return 0;
}

bool sys_exists(struct sys *s, const char *fmt, ...)
{
	char path[PATH_MAX];
	struct stat st;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = path_v(path, fmt, ap);
	va_end(ap);
	return !rc && !sys_stat(s, path, &st);
}

int sys_write_all(struct sys *s, int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = sys_write(s, fd, p, len);

		if (n < 0)
			return (int)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
