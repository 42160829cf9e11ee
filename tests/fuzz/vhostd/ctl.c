// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control socket of sluice-vhostd, and its command line: requests as they come, in lines, to
 * its own table of commands, and their arguments to its own tables of options. No port is made of
 * what is right.
 */
#include <stdlib.h>
#include <string.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CMDS_MAX 32

/* As much as any of the tables writes. */
union target {
	struct port_cfg port;
	struct daemon_opts all;
	uint64_t room[64];
};

static void kv(const struct opt *table, const char *text)
{
	union target *t = calloc(1, sizeof(*t));
	struct err e = { 0 };

	if (!t)
		return;
	if (opt_parse_kv(table, t, text, &e) && !e.text[0])
		abort();
	opt_free(table, t);
	free(t);
}

static int take(void *arg, const json_t *req, json_t **out, struct err *e)
{
	const char *text = json_string_value(json_object_get(req, "arg"));

	if (!text)
		return err_set(e, -1, "the command needs an argument");
	kv(port_opts, text);
	kv(disk_opts, text);
	return 0;
}

static int line(void *arg, const char *text, size_t len)
{
	json_t *o = ctl_answer(arg, NULL, text, len);

	if (o && !json_is_boolean(json_object_get(o, "ok")))
		abort();
	json_decref(o);
	return 0;
}

/* Its names and arguments, and functions that do nothing. */
static void requests(const uint8_t *data, size_t size)
{
	struct ctl_cmd cmds[CMDS_MAX] = { 0 };
	struct ctl_reader *r = calloc(1, sizeof(*r));

	for (unsigned int i = 0; i < CMDS_MAX - 1 && daemon_cmds[i].name; i++) {
		cmds[i] = daemon_cmds[i];
		cmds[i].fn = take;
	}
	if (r)
		ctl_reader_feed(r, (const char *)data, size, line, cmds);
	free(r);
}

static void argv(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *word[64];
	union target *t = calloc(1, sizeof(*t));
	struct err e = { 0 };
	int n = 0, rest = 0;

	if (text && t) {
		memcpy(text, data, size);
		text[size] = 0;
		for (size_t i = 0; i < size && n < 64; i += strlen(text + i) + 1)
			word[n++] = text + i;
		if (!opt_parse_argv(daemon_opts_table, t, n, word, &rest, &e) && rest > n)
			abort();
		daemon_opts_free(&t->all);
	}
	free(text);
	free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == '-')
		argv(data, size);
	else
		requests(data, size);
	return 0;
}
