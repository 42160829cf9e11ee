// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reading side of the control socket, free of sockets so that it can be fuzzed. A client may
 * send anything, in any pieces: a line has a fixed bound, a longer one is answered with an error
 * and skipped to its end.
 */
#include "base/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int ctl_reader_feed(struct ctl_reader *r, const char *data, size_t n,
		    int (*fn)(void *arg, const char *line, size_t len), void *arg)
{
	int ret;

	while (n) {
		const char *nl = memchr(data, '\n', n);
		size_t take = nl ? (size_t)(nl - data) : n;

		if (!r->skip && take > sizeof(r->buf) - r->n) {
			r->skip = true;
			ret = fn(arg, NULL, 0);
			if (ret)
				return ret;
		}
		if (!r->skip) {
			memcpy(r->buf + r->n, data, take);
			r->n += take;
		}
		data += take;
		n -= take;
		if (!nl)
			break;
		data++;
		n--;
		ret = r->skip || !r->n ? 0 : fn(arg, r->buf, r->n);
		r->n = 0;
		r->skip = false;
		if (ret)
			return ret;
	}
	return 0;
}

static json_t *answer_error(const char *text)
{
	/* %s refuses text that is not UTF-8, which an echo of the request could be. */
	json_t *o = json_pack("{s:b,s:s}", "ok", 0, "error", text);

	return o ? o : json_pack("{s:b,s:s}", "ok", 0, "error", "unreadable request");
}

static const struct ctl_cmd *cmd_find(const struct ctl_cmd *cmds, const char *name)
{
	for (; cmds->name; cmds++)
		if (!strcmp(cmds->name, name))
			return cmds;
	return NULL;
}

/* The first member that the command needs and the request has not, as text; NULL: all are there. */
static const char *arg_missing(const struct ctl_cmd *c, const json_t *req)
{
	unsigned int i;

	for (i = 0; i < CTL_ARGS_MAX && c->args[i]; i++)
		if (!json_is_string(json_object_get(req, c->args[i])))
			return c->args[i];
	return NULL;
}

/* One well-formed object. */
static json_t *answer_request(const struct ctl_cmd *cmds, void *arg, const json_t *req)
{
	const char *name = json_string_value(json_object_get(req, "command"));
	const struct ctl_cmd *c = name ? cmd_find(cmds, name) : NULL;
	json_t *data = NULL, *o;
	struct err e = { 0 };
	char text[128];

	if (!name)
		return answer_error("a request is an object with a \"command\"");
	if (!c) {
		snprintf(text, sizeof(text), "unknown command \"%.60s\"", name);
		return answer_error(text);
	}
	if (arg_missing(c, req)) {
		snprintf(text, sizeof(text), "%s needs a \"%s\"", c->name, arg_missing(c, req));
		return answer_error(text);
	}
	if (c->fn(arg, req, &data, &e)) {
		json_decref(data);
		return answer_error(e.text);
	}
	/* A command without data answers {"ok": true}. */
	o = json_pack("{s:b}", "ok", 1);
	if (o && data)
		json_object_set_new(o, "data", data);
	else
		json_decref(data);
	return o;
}

json_t *ctl_answer(const struct ctl_cmd *cmds, void *arg, const char *line, size_t len)
{
	json_t *req, *o, *id;
	json_error_t je;

	if (!line)
		return answer_error("the request is too long");
	req = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(req)) {
		json_decref(req);
		return answer_error("the request is no JSON object");
	}
	o = answer_request(cmds, arg, req);
	id = json_object_get(req, "id");
	if (o && id)
		json_object_set(o, "id", id);
	json_decref(req);
	return o;
}
