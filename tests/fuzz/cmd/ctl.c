// SPDX-License-Identifier: BSD-3-Clause
/* The control socket's reader: the first byte says in pieces of which size the rest arrives. */
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int do_echo(void *arg, const json_t *req, json_t **out, struct err *e)
{
	if (json_object_get(req, "fail"))
		return err_set(e, -1, "%s",
			       json_string_value(json_object_get(req, "fail")) ?: "no text");
	*out = json_deep_copy(req);
	return 0;
}

static const struct ctl_cmd cmds[] = { { "echo", "", do_echo, { 0 } }, { 0 } };

static int on_line(void *arg, const char *line, size_t len)
{
	json_t *o;
	char *text;

	if (line && len > CTL_LINE_MAX)
		abort();
	o = ctl_answer(cmds, NULL, line, len);
	if (!json_is_object(o) || !json_is_boolean(json_object_get(o, "ok")))
		abort();
	text = json_dumps(o, JSON_COMPACT);
	/* An answer is one line, whatever was asked. */
	if (!text || strchr(text, '\n'))
		abort();
	free(text);
	json_decref(o);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_reader r = { 0 };
	size_t piece, n;

	if (!size)
		return 0;
	piece = data[0] ? data[0] : 4096;
	for (data++, size--; size; data += n, size -= n) {
		n = size < piece ? size : piece;
		if (ctl_reader_feed(&r, (const char *)data, n, on_line, NULL))
			abort();
	}
	return 0;
}
