// SPDX-License-Identifier: BSD-3-Clause
/* The guest of a benchmark: lines of anything, cut as the runner cuts them. */
#include <stdlib.h>
#include <string.h>

#include "base/ctl.h"
#include "bench/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_line(void *arg, const char *line, size_t len)
{
	struct bench_msg *m = arg;
	struct err e = { 0 };
	char v[8];
	size_t i;

	if (!line)
		return 0;
	if (bench_msg_parse(m, line, len, &e))
		return e.code ? 0 : (abort(), 0);
	if (m->kind == BENCH_MSG_RESULT && (m->ops < 0 || m->ns < 0))
		abort();
	for (i = 1; i < m->n_bucket; i++)
		if (m->bucket[i].upper_ns < m->bucket[i - 1].upper_ns || m->bucket[i].count < 0)
			abort();
	if (strlen(m->test) >= sizeof(m->test) || strlen(m->text) >= sizeof(m->text))
		abort();
	bench_info_get(m, "k", v, sizeof(v));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_reader r = { 0 };
	struct bench_msg m;

	if (ctl_reader_feed(&r, (const char *)data, size, on_line, &m))
		abort();
	return 0;
}
