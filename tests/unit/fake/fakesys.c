// SPDX-License-Identifier: BSD-3-Clause
/*
 * The fake kernel: nodes in one sorted array of absolute paths, fds in a table, and hooks. Links
 * are followed component by component, as sysfs needs it
 * ("/sys/class/net/eth0/device/sriov_numvfs").
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/fake/fakesys_priv.h"

void *fakesys_need(void *p)
{
	BUG_ON(!p);
	return p;
}

struct fakesys *fakesys_fs_of(struct sys *s)
{
	return container_of(s, struct fakesys, sys);
}

/* Counts a call that may fail; the planned failure's code, or 0. */
int fakesys_tick(struct fakesys *f)
{
	if (++f->calls != f->fail_at)
		return 0;
	f->failed = true;
	return f->fail_code;
}

/* ---- nodes -------------------------------------------------------------------------------------
 */

/* The array is sorted: long sweeps spend their time here. */
struct node *fakesys_node_at(struct fakesys *f, const char *path)
{
	size_t lo = 0, hi = f->nnodes;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int d = strcmp(f->node[mid].path, path);

		if (!d)
			return &f->node[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct node *fakesys_node_put(struct fakesys *f, const char *path, enum node_kind kind,
			      const char *text, size_t len)
{
	char up[PATH_MAX];
	struct node *n = fakesys_node_at(f, path);
	size_t i;

	if (!n) {
		snprintf(up, sizeof(up), "%s", path);
		*strrchr(up, '/') = 0;
		if (*up && !fakesys_node_at(f, up))
			fakesys_node_put(f, up, NODE_DIR, "", 0);
		f->node = fakesys_need(realloc(f->node, (f->nnodes + 1) * sizeof(*n)));
		for (i = f->nnodes; i && strcmp(f->node[i - 1].path, path) > 0; i--)
			f->node[i] = f->node[i - 1];
		f->nnodes++;
		n = &f->node[i];
		*n = (struct node){ .path = fakesys_need(strdup(path)) };
	}
	free(n->text);
	n->text = fakesys_need(malloc(len + 1));
	memcpy(n->text, text, len);
	n->text[len] = 0;
	n->len = len;
	n->kind = kind;
	return n;
}

/* Text of the path with all links but a final one (unless follow) resolved into out. */
int fakesys_resolve(struct fakesys *f, const char *path, bool follow, char out[PATH_MAX])
{
	char rest[PATH_MAX], next[PATH_MAX * 2];
	int links = 0;

	snprintf(rest, sizeof(rest), "%s", path);
	out[0] = 0;
	for (char *p = rest; *p;) {
		size_t n;
		struct node *nd;

		while (*p == '/')
			p++;
		n = strcspn(p, "/");
		if (!n)
			break;
		if (n == 2 && !strncmp(p, "..", 2)) {
			char *up = strrchr(out, '/');

			if (up)
				*up = 0;
			p += n;
			continue;
		}
		if (n == 1 && *p == '.') {
			p += n;
			continue;
		}
		if (strlen(out) + n + 2 > PATH_MAX)
			return -ENAMETOOLONG;
		snprintf(next, sizeof(next), "%s/%.*s", out, (int)n, p);
		nd = fakesys_node_at(f, next);
		p += n;
		if (nd && nd->kind == NODE_LINK && (*p || follow)) {
			if (++links > 16)
				return -ELOOP;
			snprintf(next, sizeof(next), "%s%s", nd->text, p);
			if (nd->text[0] == '/')
				out[0] = 0;
			snprintf(rest, sizeof(rest), "%.*s", PATH_MAX - 1, next);
			p = rest;
			continue;
		}
		snprintf(out, PATH_MAX, "%.*s", PATH_MAX - 1, next);
	}
	return 0;
}

struct node *fakesys_lookup(struct fakesys *f, const char *path, bool follow)
{
	char real[PATH_MAX];

	return fakesys_resolve(f, path, follow, real) ? NULL : fakesys_node_at(f, real);
}

void fakesys_node_remove(struct fakesys *f, size_t i)
{
	free(f->node[i].path);
	free(f->node[i].text);
	memmove(&f->node[i], &f->node[i + 1], (f->nnodes - i - 1) * sizeof(*f->node));
	f->nnodes--;
}

/* ---- fds ---------------------------------------------------------------------------------------
 */

int fakesys_fd_new(struct fakesys *f, const char *path)
{
	for (int i = 0; i < FDS; i++) {
		if (f->fd[i] && f->fd[i]->open)
			continue;
		if (!f->fd[i])
			f->fd[i] = fakesys_need(calloc(1, sizeof(struct fd)));
		free(f->fd[i]->path);
		memset(f->fd[i], 0, offsetof(struct fd, answer));
		f->fd[i]->answer_len = 0;
		f->fd[i]->open = true;
		f->fd[i]->path = fakesys_need(strdup(path));
		return i + FIRST_FD;
	}
	return -EMFILE;
}

struct fd *fakesys_fd_get(struct fakesys *f, int fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + FDS || !f->fd[fd - FIRST_FD] ||
	    !f->fd[fd - FIRST_FD]->open)
		return NULL;
	return f->fd[fd - FIRST_FD];
}

/* ---- what tests call ---------------------------------------------------------------------------
 */

struct fakesys *fakesys_new(void)
{
	struct fakesys *f = fakesys_need(calloc(1, sizeof(*f)));

	f->sys.ops = &fakesys_ops;
	f->memlock = RLIM_INFINITY;
	return f;
}

void fakesys_free(struct fakesys *f)
{
	while (f->nnodes)
		fakesys_node_remove(f, f->nnodes - 1);
	free(f->node);
	for (int i = 0; i < FDS; i++) {
		if (f->fd[i])
			free(f->fd[i]->path);
		free(f->fd[i]);
	}
	for (unsigned int i = 0; i < f->nhooks; i++)
		free(f->hook[i].path);
	free(f);
}

struct sys *fakesys_sys(struct fakesys *f)
{
	return &f->sys;
}

void fakesys_file(struct fakesys *f, const char *path, const char *content)
{
	fakesys_node_put(f, path, NODE_FILE, content, strlen(content));
}

void fakesys_link(struct fakesys *f, const char *path, const char *target)
{
	fakesys_node_put(f, path, NODE_LINK, target, strlen(target));
}

void fakesys_dir(struct fakesys *f, const char *path)
{
	fakesys_node_put(f, path, NODE_DIR, "", 0);
}

void fakesys_del(struct fakesys *f, const char *path)
{
	size_t n = strlen(path);

	for (size_t i = f->nnodes; i-- > 0;) {
		const char *p = f->node[i].path;

		if (!strncmp(p, path, n) && (!p[n] || p[n] == '/'))
			fakesys_node_remove(f, i);
	}
}

void fakesys_lock(struct fakesys *f, const char *path, bool locked)
{
	fakesys_lookup(f, path, false)->locked = locked;
}

const char *fakesys_get(struct fakesys *f, const char *path)
{
	struct node *n = fakesys_lookup(f, path, false);

	return n ? n->text : NULL;
}

static struct hook *hook_new(struct fakesys *f, const char *path, void *arg)
{
	struct hook *h = &f->hook[f->nhooks++];

	BUG_ON(f->nhooks > HOOKS);
	h->path = fakesys_need(strdup(path));
	h->arg = arg;
	return h;
}

void fakesys_on_write(struct fakesys *f, const char *path,
		      int (*fn)(void *arg, const char *path, const char *text), void *arg)
{
	hook_new(f, path, arg)->on_write = fn;
}

void fakesys_on_ioctl(struct fakesys *f, const char *prefix,
		      int (*fn)(void *arg, int fd, const char *path, unsigned long req, void *data),
		      void *arg)
{
	hook_new(f, prefix, arg)->on_ioctl = fn;
}

void fakesys_on_socket(struct fakesys *f, int domain,
		       ssize_t (*fn)(void *arg, const void *msg, size_t len, void *answer,
				     size_t size),
		       void *arg)
{
	f->on_socket = fn;
	f->socket_arg = arg;
}

int fakesys_new_fd(struct fakesys *f, const char *path)
{
	return fakesys_fd_new(f, path);
}

const char *fakesys_fd_path(struct fakesys *f, int fd)
{
	struct fd *d = fakesys_fd_get(f, fd);

	return d ? d->path : NULL;
}

void fakesys_fail_nth(struct fakesys *f, unsigned int n, int code)
{
	f->fail_at = n;
	f->fail_code = code;
	f->calls = 0;
	f->failed = false;
}

unsigned int fakesys_calls(const struct fakesys *f)
{
	return f->calls;
}

bool fakesys_failed(const struct fakesys *f)
{
	return f->failed;
}

unsigned int fakesys_open_fds(const struct fakesys *f)
{
	unsigned int n = 0;

	for (int i = 0; i < FDS; i++)
		n += f->fd[i] && f->fd[i]->open;
	return n;
}

unsigned int fakesys_maps(const struct fakesys *f)
{
	return f->maps;
}

char *fakesys_dump(struct fakesys *f)
{
	size_t size = 0;
	char *text = NULL;
	FILE *m = fakesys_need(open_memstream(&text, &size));

	for (size_t i = 0; i < f->nnodes; i++) {
		struct node *n = &f->node[i];

		if (n->kind != NODE_DIR)
			fprintf(m, "%s %s %s\n", n->path, n->kind == NODE_LINK ? "->" : "=",
				n->text);
	}
	fclose(m);
	return text;
}

void fakesys_set_memlock(struct fakesys *f, uint64_t bytes)
{
	f->memlock = bytes;
}
