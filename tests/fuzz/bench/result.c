// SPDX-License-Identifier: BSD-3-Clause
/* The reader of result.json takes any bytes; what it accepts is in range, comes back the same after
 * it was written, and can be shown. */
#include <stdlib.h>
#include <string.h>
#include "bench/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sample(const struct bench_sample *s)
{
	BUG_ON(s->ns < BENCH_NONE || s->instructions < BENCH_NONE || s->n_exit > BENCH_EXITS_MAX);
	for (size_t i = 0; i < s->n_hist; i++)
		BUG_ON(s->hist[i].count < 0 ||
		       (i && s->hist[i].upper_ns <= s->hist[i - 1].upper_ns));
	for (size_t i = 0; i < s->n_exit; i++)
		BUG_ON(s->exit[i].count < 0 || !s->exit[i].reason[0]);
}

static void check(const struct bench_result *r)
{
	for (size_t i = 0; i < r->n_test; i++)
		for (size_t k = 0; k < r->test[i]->n_column; k++)
			for (size_t m = 0; m < r->test[i]->column[k]->n_sample; m++)
				check_sample(&r->test[i]->column[k]->sample[m]);
}

static void show(const struct bench_result *r)
{
	char *page = NULL;
	size_t len;
	FILE *f = open_memstream(&page, &len);

	BUG_ON(!f || bench_report(r, f));
	fclose(f);
	BUG_ON(strstr(page, "<script"));
	free(page);
	page = NULL;
	f = open_memstream(&page, &len);
	BUG_ON(!f);
	bench_table(r, 80, f); /* for a terminal, so that only controls would be bad */
	fclose(f);
	BUG_ON(strchr(page, '\033'));
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench_result r, again;
	struct err e = { 0 };
	char *one, *two;

	if (bench_result_parse(&r, (const char *)data, size, &e)) {
		BUG_ON(!e.code || !e.text[0] || r.test || r.env || r.warning || r.skip);
		return 0;
	}
	check(&r);
	show(&r);
	one = bench_result_json(&r);
	BUG_ON(!one || bench_result_parse(&again, one, strlen(one), &e));
	two = bench_result_json(&again);
	BUG_ON(!two || strcmp(one, two));
	free(one);
	free(two);
	bench_result_free(&r);
	bench_result_free(&again);
	return 0;
}
