/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_CTL_H
#define BASE_CTL_H

#include <jansson.h>

#include "base/err.h"
#include "base/ev.h"
#include "base/log.h"

/*
 * The control socket: one JSON object a line, {"command": "ports"}, answered by one line,
 * {"ok": true, "data": ...} or {"ok": false, "error": "..."}. An "id" member comes back unchanged.
 */

#define CTL_LINE_MAX	4096 /* longest request */
#define CTL_CLIENTS_MAX 16

/**
 * struct ctl_cmd - a control command; tables end with an entry without a name
 * @fn: main loop. 0 with *out set (or NULL: no data) or -errno with e filled
 * @args: string members of the request that the command needs, in the order in which people type
 *	  them; the client and the manual read it. Bounded by CTL_ARGS_MAX, the rest NULL
 */
#define CTL_ARGS_MAX 2
struct ctl_cmd {
	const char *name, *help;
	int (*fn)(void *arg, const json_t *req, json_t **out, struct err *e);
	const char *args[CTL_ARGS_MAX];
};

/**
 * struct ctl_reader - cuts a byte stream into lines; all zero is ready
 * @n:    bytes of an unfinished line in @buf
 * @skip: the rest of a line that was too long is thrown away
 */
struct ctl_reader {
	char buf[CTL_LINE_MAX];
	size_t n;
	bool skip;
};

/**
 * ctl_reader_feed() - take bytes in, call fn for each whole line (not NUL-terminated, no newline)
 * A line that is too long comes once, with line == NULL. fn returns non-zero to stop; so does this.
 */
int ctl_reader_feed(struct ctl_reader *r, const char *data, size_t n,
		    int (*fn)(void *arg, const char *line, size_t len), void *arg);

/** ctl_answer() - the answer to one request line (NULL: it was too long); NULL when memory is out.
 */
json_t *ctl_answer(const struct ctl_cmd *cmds, void *arg, const char *line, size_t len);

struct ctl;

/**
 * ctl_new() - listen on a Unix socket at path, mode 0600
 * A socket file that nobody listens on is replaced; anything else there is -EADDRINUSE. Only peers
 * of our user, or root, are answered.
 */
int ctl_new(struct sys *s, const struct log *log, struct ev *ev, const char *path,
	    const struct ctl_cmd *cmds, void *arg, struct ctl **out, struct err *e) __must_check;

/** ctl_free() - drop the clients and remove the socket file; NULL is fine. */
void ctl_free(struct ctl *c);

/* The asking side. */

/** ctl_connect() - a blocking connection to the socket at path. */
int ctl_connect(struct sys *s, const char *path, int *out, struct err *e) __must_check;

/**
 * ctl_ask() - send one request, wait for its answer
 * *out is the whole answer, {"ok": ...} and the rest, as a new reference. SIGPIPE is the caller's
 * to ignore; a receive timeout on fd ends the wait with -ETIMEDOUT.
 */
int ctl_ask(struct sys *s, int fd, const json_t *req, json_t **out, struct err *e) __must_check;

#endif
