// SPDX-License-Identifier: BSD-3-Clause
/* result.json, version 1, written. What was not measured is left out. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/result_priv.h"

/* Jansson checks a NULL value on every set, so failures are summed up and looked at once. */
static int set_count(json_t *o, const char *key, int64_t v)
{
	return v < 0 ? 0 : json_object_set_new(o, key, json_integer(v));
}

static int set_str(json_t *o, const char *key, const char *text)
{
	return json_object_set_new(o, key, json_string(text));
}

static int set_exits(json_t *o, const struct bench_sample *s)
{
	json_t *x = json_object();
	int bad = 0;

	for (size_t i = 0; i < s->n_exit; i++)
		bad |= json_object_set_new(x, s->exit[i].reason, json_integer(s->exit[i].count));
	return bad | json_object_set_new(o, "exits", x);
}

static int set_cpu(json_t *o, const struct bench_sample *s)
{
	json_t *c = json_object();
	int bad = 0;

	for (int i = 0; i < BENCH_CPUS; i++)
		bad |= set_count(c, bench_cpu_name(i), s->cpu_ns[i]);
	return bad | json_object_set_new(o, "cpu_ns", c);
}

static int set_hist(json_t *o, const struct bench_sample *s)
{
	json_t *h = json_array();
	int bad = 0;

	for (size_t i = 0; i < s->n_hist; i++)
		bad |= json_array_append_new(h, json_pack("[I, I]", (json_int_t)s->hist[i].upper_ns,
							  (json_int_t)s->hist[i].count));
	return bad | json_object_set_new(o, "hist", h);
}

static json_t *sample_json(const struct bench_sample *s, int *bad)
{
	json_t *o = json_object();

	for (size_t i = 0; i < BENCH_COUNTS; i++)
		*bad |= set_count(o, bench_counts[i].key,
				  *(const int64_t *)((const char *)s + bench_counts[i].off));
	if (s->n_hist)
		*bad |= set_hist(o, s);
	if (s->exits_known)
		*bad |= set_exits(o, s);
	for (int i = 0; i < BENCH_CPUS; i++)
		if (s->cpu_ns[i] >= 0) {
			*bad |= set_cpu(o, s);
			break;
		}
	return o;
}

static json_t *column_json(const struct bench_column *c, int *bad)
{
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < c->n_sample; i++)
		*bad |= json_array_append_new(list, sample_json(&c->sample[i], bad));
	*bad |= set_str(o, "mode", c->mode) | set_str(o, "vmm", c->vmm) |
		json_object_set_new(o, "samples", list);
	return o;
}

static json_t *test_json(const struct bench_test *t, int *bad)
{
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < t->n_column; i++)
		*bad |= json_array_append_new(list, column_json(t->column[i], bad));
	*bad |= set_str(o, "name", t->name) | set_str(o, "title", t->title) |
		set_str(o, "unit", bench_unit_name(t->unit)) |
		set_str(o, "better", t->higher ? "higher" : "lower") |
		json_object_set_new(o, "columns", list);
	return o;
}

static json_t *env_json(const struct bench_result *r, int *bad)
{
	json_t *o = json_object();

	for (size_t i = 0; i < r->n_env; i++) {
		const struct bench_env *v = &r->env[i];
		bool whole = fabs(v->num) < 1e15 && v->num == (double)(int64_t)v->num;

		*bad |= json_object_set_new(o, v->key,
					    !v->is_num ? json_string(v->text)
					    : whole    ? json_integer((json_int_t)v->num)
						       : json_real(v->num));
	}
	return o;
}

static json_t *warnings_json(const struct bench_result *r, int *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_warning; i++)
		*bad |= json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "level",
							      bench_level_name(r->warning[i].level),
							      "about", r->warning[i].about, "text",
							      r->warning[i].text));
	return list;
}

static json_t *skipped_json(const struct bench_result *r, int *bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_skip; i++)
		*bad |= json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s}", "mode", r->skip[i].mode, "vmm",
					r->skip[i].vmm, "test", r->skip[i].test, "reason",
					r->skip[i].reason));
	return list;
}

char *bench_result_json(const struct bench_result *r)
{
	json_t *o = json_object(), *tests = json_array();
	char *text = NULL;
	int bad = 0;

	for (size_t i = 0; i < r->n_test; i++)
		bad |= json_array_append_new(tests, test_json(r->test[i], &bad));
	bad |= json_object_set_new(o, "sluice_bench", json_integer(BENCH_SCHEMA)) |
	       set_str(o, "version", r->version) | set_str(o, "date", r->date) |
	       set_str(o, "command", r->command) |
	       json_object_set_new(o, "environment", env_json(r, &bad)) |
	       json_object_set_new(o, "warnings", warnings_json(r, &bad)) |
	       json_object_set_new(o, "skipped", skipped_json(r, &bad)) |
	       json_object_set_new(o, "tests", tests);
	if (!bad)
		text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return text;
}

int bench_save(const char *path, const struct bench_result *r,
	       int (*fn)(const struct bench_result *r, FILE *f), struct err *e)
{
	char tmp[4096];
	FILE *f;
	int ret;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "%.60s...: the name is too long", path);
	f = fopen(tmp, "we");
	if (!f)
		return err_sys(e, -errno, "cannot create %s", tmp);
	ret = fn(r, f);
	if (!ret && fflush(f))
		ret = -errno;
	if (fclose(f) && !ret)
		ret = -errno;
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (ret) {
		unlink(tmp);
		return err_sys(e, ret, "cannot write %s", path);
	}
	return 0;
}

static int write_json(const struct bench_result *r, FILE *f)
{
	char *text = bench_result_json(r);
	int ret = text ? 0 : -ENOMEM;

	if (text && (fputs(text, f) == EOF || fputc('\n', f) == EOF))
		ret = -EIO;
	free(text);
	return ret;
}

int bench_result_save(const struct bench_result *r, const char *path, struct err *e)
{
	return bench_save(path, r, write_json, e);
}
