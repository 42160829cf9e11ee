// SPDX-License-Identifier: BSD-3-Clause
/* The option parser on hostile text: the first byte picks key=value or command-line form. */
#include <stdlib.h>
#include <string.h>

#include "base/bdf.h"
#include "base/mac.h"
#include "base/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	char *str;
	int flag, mode;
	uint32_t num;
	uint64_t bytes;
	struct mac mac;
	struct bdf bdf;
	struct opt_set cpus;
	unsigned int fn_calls;
};

static int count_call(void *target, const char *text, struct err *e)
{
	struct target *t = target;

	t->fn_calls++;
	return strlen(text) > 100 ? err_set(e, -1, "too long: %s", text) : 0;
}

static const char *const modes[] = { "auto", "vfio", "virtio", NULL };
static const struct opt table[] = {
	{ "id", OPT_STR, .off = offsetof(struct target, str), .first = true },
	{ "flag", OPT_BOOL, .off = offsetof(struct target, flag) },
	{ "num", OPT_U32, .off = offsetof(struct target, num), .min = 1, .max = 64 },
	{ "size", OPT_SIZE, .off = offsetof(struct target, bytes), .min = 1 },
	{ "mode", OPT_ENUM, .off = offsetof(struct target, mode), .choices = modes },
	{ "mac", OPT_MAC, .off = offsetof(struct target, mac) },
	{ "bdf", OPT_BDF, .off = offsetof(struct target, bdf) },
	{ "cpus", OPT_LIST, .off = offsetof(struct target, cpus) },
	{ "fn", OPT_FN, .fn = count_call },
	{ "sub", OPT_SUB, .fn = count_call },
	{ .type = OPT_END },
};

static void one_argv(char *text, size_t size)
{
	char *argv[32];
	struct target t = { 0 };
	struct err e = { 0 };
	int argc = 0, rest = -1;
	size_t i;

	for (i = 0; i < size && argc < 32; i += strlen(text + i) + 1)
		argv[argc++] = text + i;
	if (!opt_parse_argv(table, &t, argc, argv, &rest, &e) && (rest < 0 || rest > argc))
		abort();
	opt_free(table, &t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t = { 0 };
	struct err e = { 0 };
	char *text = malloc(size + 1);
	int ret;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (size && data[0] == '-') {
		one_argv(text, size);
	} else {
		ret = opt_parse_kv(table, &t, text, &e);
		if (ret && !e.text[0])
			abort();
		if (!ret && t.num > 64)
			abort();
		opt_free(table, &t);
	}
	free(text);
	return 0;
}
