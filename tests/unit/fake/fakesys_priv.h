/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKESYS_PRIV_H
#define TESTS_FAKESYS_PRIV_H

#include <limits.h>
#include "tests/unit/fake/fakesys.h"

#define FDS	 512
#define HOOKS	 64
#define FIRST_FD 100 /* so that a stray 0, 1 or 2 is noticed */

enum node_kind { NODE_DIR, NODE_FILE, NODE_LINK };

struct node {
	char *path, *text;
	size_t len;
	enum node_kind kind;
	bool locked;
};

struct fd {
	bool open;
	char *path; /* of the node, or a name */
	size_t pos;
	uint64_t counter; /* eventfd */
	bool is_eventfd, append;
	int domain;
	char answer[65536];
	size_t answer_len;
};

struct hook {
	char *path;
	int (*on_write)(void *arg, const char *path, const char *text);
	int (*on_ioctl)(void *arg, int fd, const char *path, unsigned long req, void *data);
	void *arg;
};

struct fakesys {
	struct sys sys;
	struct node *node;
	size_t nnodes;
	struct fd *fd[FDS];
	struct hook hook[HOOKS];
	unsigned int nhooks;
	ssize_t (*on_socket)(void *arg, const void *msg, size_t len, void *answer, size_t size);
	void *socket_arg;
	unsigned int fail_at, calls, maps;
	int fail_code;
	bool failed;
	uint64_t memlock, now;
};

/* The table of calls (fakesys_calls.c). */
extern const struct sys_ops fakesys_ops;

void *fakesys_need(void *p);
struct fakesys *fakesys_fs_of(struct sys *s);
/* Counts a call that may fail; the planned failure's code, or 0. */
int fakesys_tick(struct fakesys *f);
struct node *fakesys_node_at(struct fakesys *f, const char *path);
struct node *fakesys_node_put(struct fakesys *f, const char *path, enum node_kind kind,
			      const char *text, size_t len);
void fakesys_node_remove(struct fakesys *f, size_t i);
/* The path with all links (a final one only if follow) resolved, into out. */
int fakesys_resolve(struct fakesys *f, const char *path, bool follow, char out[PATH_MAX]);
struct node *fakesys_lookup(struct fakesys *f, const char *path, bool follow);
int fakesys_fd_new(struct fakesys *f, const char *path);
struct fd *fakesys_fd_get(struct fakesys *f, int fd);

#endif
