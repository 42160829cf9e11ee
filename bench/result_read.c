// SPDX-License-Identifier: BSD-3-Clause
/*
 * result.json, version 1, read. The file may come from anybody, so nothing is guessed: members are
 * those of the schema, numbers are whole and not negative, strings fit and hold no control
 * characters (a terminal will show them), lists end somewhere. The reader knows the path of the
 * member it looks at, for the sentence that says what is wrong.
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "bench/result_priv.h"

/* struct rd - where the reader is; a path that does not fit is cut, which only spoils the words */
struct rd {
	struct bench_result *r;
	struct err *e;
	char path[200];
	size_t len;
};

static void __printf(2, 3) path_add(struct rd *rd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rd->path + rd->len, sizeof(rd->path) - rd->len, fmt, ap);
	va_end(ap);
	rd->len = strlen(rd->path);
}

/* Into a member; what it returns brings leave() back. */
static size_t enter(struct rd *rd, const char *key)
{
	size_t mark = rd->len;

	path_add(rd, "%s%.48s", mark ? "." : "", key);
	return mark;
}

static size_t enter_item(struct rd *rd, const char *list, size_t i)
{
	size_t mark = enter(rd, list);

	path_add(rd, "[%zu]", i);
	return mark;
}

static void leave(struct rd *rd, size_t mark)
{
	rd->path[mark] = 0;
	rd->len = mark;
}

static int __printf(2, 3) wrong(struct rd *rd, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(rd->e, -EINVAL, "%s: %s", rd->len ? rd->path : "the file", text);
}

static int no_memory(struct rd *rd)
{
	return err_set(rd->e, -ENOMEM, "%s: out of memory", rd->path);
}

/* An object with no other members than these; the list ends with NULL. */
static int check_object(struct rd *rd, json_t *o, const char *const *keys)
{
	char shown[BENCH_WORD_SIZE];
	const char *key;
	json_t *v;

	if (!json_is_object(o))
		return wrong(rd, "is no object");
	json_object_foreach (o, key, v) {
		const char *const *k = keys;

		while (*k && strcmp(*k, key))
			k++;
		if (*k)
			continue;
		bench_clean(shown, sizeof(shown), key);
		return wrong(rd,
			     "has a member \"%s\", which version %d of the format does not know",
			     shown, BENCH_SCHEMA);
	}
	return 0;
}

/* An array of at most max items, or absent. */
static int check_list(struct rd *rd, json_t *o, const char *key, size_t max, json_t **list)
{
	size_t mark = enter(rd, key);
	int ret = 0;

	*list = json_object_get(o, key);
	if (!*list)
		ret = wrong(rd, "is missing");
	else if (!json_is_array(*list))
		ret = wrong(rd, "is no list");
	else if (json_array_size(*list) > max)
		ret = wrong(rd, "has %zu items, at most %zu are read", json_array_size(*list), max);
	leave(rd, mark);
	return ret;
}

enum kind { TEXT, WORD, WORD_OR_EMPTY };

static int check_str(struct rd *rd, const json_t *v, enum kind kind, size_t size)
{
	const char *s = json_string_value(v);
	char copy[BENCH_TEXT_SIZE];

	if (!v)
		return wrong(rd, "is missing");
	if (!s)
		return wrong(rd, "is no string");
	if (strlen(s) >= size)
		return wrong(rd, "is longer than %zu bytes", size - 1);
	bench_clean(copy, sizeof(copy), s);
	if (strcmp(copy, s))
		return wrong(rd, "holds a control character");
	if (kind == TEXT || (kind == WORD_OR_EMPTY && !*s))
		return 0;
	return bench_is_word(s) ? 0
				: wrong(rd, "\"%s\" is no name (letters, digits, . _ + : / -)", s);
}

static int get_str(struct rd *rd, json_t *o, const char *key, enum kind kind, char *dst,
		   size_t size)
{
	size_t mark = enter(rd, key);
	const json_t *v = json_object_get(o, key);
	int ret = check_str(rd, v, kind, size);

	if (!ret)
		strcpy(dst, json_string_value(v));
	leave(rd, mark);
	return ret;
}

/* The index of a word among those that fn names. */
static int get_enum(struct rd *rd, json_t *o, const char *key, const char *(*fn)(int i), int n,
		    int *out)
{
	char word[BENCH_WORD_SIZE];
	size_t mark;
	int ret = get_str(rd, o, key, WORD, word, sizeof(word));

	if (ret)
		return ret;
	for (*out = 0; *out < n; ++*out)
		if (!strcmp(fn(*out), word))
			return 0;
	mark = enter(rd, key);
	ret = wrong(rd, "\"%s\" is not known here", word);
	leave(rd, mark);
	return ret;
}

static int check_count(struct rd *rd, const json_t *v, int64_t *out)
{
	if (!v || json_is_null(v)) {
		*out = BENCH_NONE;
		return 0;
	}
	*out = json_integer_value(v);
	if (!json_is_integer(v) || *out < 0)
		return wrong(rd, "is no whole number from 0 up");
	return 0;
}

static int get_count(struct rd *rd, json_t *o, const char *key, int64_t *out)
{
	size_t mark = enter(rd, key);
	int ret = check_count(rd, json_object_get(o, key), out);

	leave(rd, mark);
	return ret;
}

static int read_bucket(struct rd *rd, json_t *pair, struct bench_sample *s)
{
	int64_t upper, count;
	int ret;

	if (!json_is_array(pair) || json_array_size(pair) != 2)
		return wrong(rd, "is no pair of nanoseconds and a count");
	ret = check_count(rd, json_array_get(pair, 0), &upper);
	if (!ret)
		ret = check_count(rd, json_array_get(pair, 1), &count);
	if (ret)
		return ret;
	if (upper < 0 || count < 0)
		return wrong(rd, "holds null");
	ret = bench_sample_bucket(s, upper, count);
	return ret == -EINVAL ? wrong(rd, "does not ascend") : ret ? no_memory(rd) : 0;
}

static int read_hist(struct rd *rd, json_t *o, struct bench_sample *s)
{
	json_t *v = json_object_get(o, "hist"), *list;
	int ret = 0;

	if (!v || json_is_null(v))
		return 0;
	ret = check_list(rd, o, "hist", BENCH_BUCKETS_MAX, &list);
	for (size_t i = 0; !ret && i < json_array_size(list); i++) {
		size_t mark = enter_item(rd, "hist", i);

		ret = read_bucket(rd, json_array_get(list, i), s);
		leave(rd, mark);
	}
	return ret;
}

static int read_exit(struct rd *rd, struct bench_sample *s, const char *reason, json_t *v)
{
	int64_t count;
	size_t mark;
	int ret;

	if (strlen(reason) >= BENCH_WORD_SIZE || !bench_is_word(reason))
		return wrong(rd, "has a reason that is no name");
	mark = enter(rd, reason);
	ret = check_count(rd, v, &count);
	/* A null reason was not looked at, so that it is as good as absent. */
	if (!ret && count >= 0 && bench_sample_exit(s, reason, count))
		ret = no_memory(rd);
	leave(rd, mark);
	return ret;
}

static int read_exits(struct rd *rd, json_t *o, struct bench_sample *s)
{
	json_t *x = json_object_get(o, "exits"), *v;
	const char *reason;
	size_t mark;
	int ret = 0;

	if (!x || json_is_null(x))
		return 0;
	mark = enter(rd, "exits");
	s->exits_known = true;
	if (!json_is_object(x))
		ret = wrong(rd, "is no object");
	else if (json_object_size(x) > BENCH_EXITS_MAX)
		ret = wrong(rd, "has more than %d members", BENCH_EXITS_MAX);
	else
		json_object_foreach (x, reason, v) {
			ret = read_exit(rd, s, reason, v);
			if (ret)
				break;
		}
	leave(rd, mark);
	return ret;
}

static int read_cpu(struct rd *rd, json_t *o, struct bench_sample *s)
{
	static const char *const keys[] = { "vcpu", "io", "backend", NULL };
	json_t *c = json_object_get(o, "cpu_ns");
	size_t mark;
	int ret;

	if (!c || json_is_null(c))
		return 0;
	mark = enter(rd, "cpu_ns");
	ret = check_object(rd, c, keys);
	for (int i = 0; !ret && i < BENCH_CPUS; i++)
		ret = get_count(rd, c, bench_cpu_name(i), &s->cpu_ns[i]);
	leave(rd, mark);
	return ret;
}

static int read_sample(struct rd *rd, json_t *o, struct bench_column *c)
{
	const char *keys[BENCH_COUNTS + 4] = { "hist", "exits", "cpu_ns" };
	struct bench_sample *s;
	int ret;

	for (size_t i = 0; i < BENCH_COUNTS; i++)
		keys[3 + i] = bench_counts[i].key;
	ret = check_object(rd, o, keys);
	if (ret)
		return ret;
	s = bench_sample_add(c);
	if (!s)
		return no_memory(rd);
	for (size_t i = 0; !ret && i < BENCH_COUNTS; i++)
		ret = get_count(rd, o, bench_counts[i].key,
				(int64_t *)((char *)s + bench_counts[i].off));
	if (!ret)
		ret = read_hist(rd, o, s);
	if (!ret)
		ret = read_exits(rd, o, s);
	return ret ? ret : read_cpu(rd, o, s);
}

static int read_column(struct rd *rd, json_t *o, struct bench_test *t)
{
	static const char *const keys[] = { "mode", "vmm", "samples", NULL };
	char mode[BENCH_WORD_SIZE], vmm[BENCH_WORD_SIZE];
	struct bench_column *c;
	json_t *list;
	int ret = check_object(rd, o, keys);

	if (!ret)
		ret = get_str(rd, o, "mode", WORD, mode, sizeof(mode));
	if (!ret)
		ret = get_str(rd, o, "vmm", WORD, vmm, sizeof(vmm));
	if (!ret)
		ret = check_list(rd, o, "samples", BENCH_SAMPLES_MAX, &list);
	if (ret)
		return ret;
	if (bench_column_find(t, mode, vmm))
		return wrong(rd, "mode %s of %s is there twice", mode, vmm);
	c = bench_column_add(t, mode, vmm);
	if (!c)
		return no_memory(rd);
	for (size_t i = 0; !ret && i < json_array_size(list); i++) {
		size_t mark = enter_item(rd, "samples", i);

		ret = read_sample(rd, json_array_get(list, i), c);
		leave(rd, mark);
	}
	return ret;
}

static const char *unit_word(int i)
{
	return bench_unit_name(i);
}

static const char *better_word(int i)
{
	return i ? "higher" : "lower";
}

static int read_test(struct rd *rd, json_t *o)
{
	static const char *const keys[] = { "name", "title", "unit", "better", "columns", NULL };
	char name[BENCH_NAME_SIZE], title[BENCH_NAME_SIZE];
	int unit = 0, higher = 0, ret = check_object(rd, o, keys);
	struct bench_test *t;
	json_t *list;

	if (!ret)
		ret = get_str(rd, o, "name", WORD, name, sizeof(name));
	if (!ret)
		ret = get_str(rd, o, "title", TEXT, title, sizeof(title));
	if (!ret)
		ret = get_enum(rd, o, "unit", unit_word, BENCH_UNITS, &unit);
	if (!ret)
		ret = get_enum(rd, o, "better", better_word, 2, &higher);
	if (!ret)
		ret = check_list(rd, o, "columns", BENCH_COLUMNS_MAX, &list);
	if (ret)
		return ret;
	if (bench_test_find(rd->r, name))
		return wrong(rd, "test %s is there twice", name);
	t = bench_test_add(rd->r, name, title, unit, higher);
	if (!t)
		return no_memory(rd);
	for (size_t i = 0; !ret && i < json_array_size(list); i++) {
		size_t mark = enter_item(rd, "columns", i);

		ret = read_column(rd, json_array_get(list, i), t);
		leave(rd, mark);
	}
	return ret;
}

static int read_env_value(struct rd *rd, const char *key, const json_t *v)
{
	int ret;

	if (json_is_number(v)) {
		ret = bench_env_num(rd->r, key, json_number_value(v));
	} else {
		if (!json_is_string(v))
			return wrong(rd, "is no string and no number");
		ret = check_str(rd, v, TEXT, BENCH_TEXT_SIZE);
		if (ret)
			return ret;
		ret = bench_env_str(rd->r, key, "%s", json_string_value(v));
	}
	return ret ? no_memory(rd) : 0;
}

static int read_env(struct rd *rd, json_t *o)
{
	json_t *env = json_object_get(o, "environment"), *v;
	size_t mark = enter(rd, "environment"), inner;
	const char *key;
	int ret = 0;

	if (!json_is_object(env))
		ret = wrong(rd, "is no object");
	else if (json_object_size(env) > BENCH_ENV_MAX)
		ret = wrong(rd, "has more than %d members", BENCH_ENV_MAX);
	if (ret)
		goto out;
	json_object_foreach (env, key, v) {
		if (strlen(key) >= BENCH_WORD_SIZE || !bench_is_word(key)) {
			ret = wrong(rd, "has a key that is no name");
			goto out;
		}
		inner = enter(rd, key);
		ret = read_env_value(rd, key, v);
		leave(rd, inner);
		if (ret)
			goto out;
	}
out:
	leave(rd, mark);
	return ret;
}

static const char *level_word(int i)
{
	return bench_level_name(i);
}

static int read_warning(struct rd *rd, json_t *o)
{
	static const char *const keys[] = { "level", "about", "text", NULL };
	char about[BENCH_WORD_SIZE], text[BENCH_TEXT_SIZE];
	int level = 0, ret = check_object(rd, o, keys);

	if (!ret)
		ret = get_enum(rd, o, "level", level_word, BENCH_LEVELS, &level);
	if (!ret)
		ret = get_str(rd, o, "about", WORD, about, sizeof(about));
	if (!ret)
		ret = get_str(rd, o, "text", TEXT, text, sizeof(text));
	if (!ret && bench_warn(rd->r, level, about, "%s", text))
		ret = no_memory(rd);
	return ret;
}

static int read_skip(struct rd *rd, json_t *o)
{
	static const char *const keys[] = { "mode", "vmm", "test", "reason", NULL };
	char mode[BENCH_WORD_SIZE], vmm[BENCH_WORD_SIZE];
	char test[BENCH_NAME_SIZE], reason[BENCH_TEXT_SIZE];
	int ret = check_object(rd, o, keys);

	if (!ret)
		ret = get_str(rd, o, "mode", WORD_OR_EMPTY, mode, sizeof(mode));
	if (!ret)
		ret = get_str(rd, o, "vmm", WORD_OR_EMPTY, vmm, sizeof(vmm));
	if (!ret)
		ret = get_str(rd, o, "test", WORD_OR_EMPTY, test, sizeof(test));
	if (!ret)
		ret = get_str(rd, o, "reason", TEXT, reason, sizeof(reason));
	if (!ret && bench_skip_add(rd->r, mode, vmm, test, "%s", reason))
		ret = no_memory(rd);
	return ret;
}

/* Each item of a list at the top. */
static int read_list(struct rd *rd, json_t *o, const char *key, size_t max,
		     int (*fn)(struct rd *rd, json_t *o))
{
	json_t *list;
	int ret = check_list(rd, o, key, max, &list);

	for (size_t i = 0; !ret && i < json_array_size(list); i++) {
		size_t mark = enter_item(rd, key, i);

		ret = fn(rd, json_array_get(list, i));
		leave(rd, mark);
	}
	return ret;
}

static int read_top(struct rd *rd, json_t *o)
{
	static const char *const keys[] = { "sluice_bench", "version",	   "date",
					    "command",	    "environment", "warnings",
					    "skipped",	    "tests",	   NULL };
	struct bench_result *r = rd->r;
	json_t *schema = json_object_get(o, "sluice_bench");
	int ret;

	/* First, so that a newer file is not blamed for members we do not know. */
	if (!json_is_integer(schema))
		return wrong(rd, "is no result of sluice bench");
	if (json_integer_value(schema) != BENCH_SCHEMA)
		return wrong(rd, "is of format %lld, this program reads format %d",
			     (long long)json_integer_value(schema), BENCH_SCHEMA);
	ret = check_object(rd, o, keys);
	if (!ret)
		ret = get_str(rd, o, "version", TEXT, r->version, sizeof(r->version));
	if (!ret)
		ret = get_str(rd, o, "date", TEXT, r->date, sizeof(r->date));
	if (!ret)
		ret = get_str(rd, o, "command", TEXT, r->command, sizeof(r->command));
	if (!ret)
		ret = read_env(rd, o);
	if (!ret)
		ret = read_list(rd, o, "warnings", BENCH_WARNINGS_MAX, read_warning);
	if (!ret)
		ret = read_list(rd, o, "skipped", BENCH_SKIPPED_MAX, read_skip);
	return ret ? ret : read_list(rd, o, "tests", BENCH_TESTS_MAX, read_test);
}

int bench_result_parse(struct bench_result *r, const char *text, size_t len, struct err *e)
{
	struct rd rd = { .r = r, .e = e };
	json_error_t je;
	json_t *o;
	int ret;

	*r = (struct bench_result){ 0 };
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!o && json_error_code(&je) == json_error_out_of_memory)
		return err_set(e, -ENOMEM, "out of memory");
	if (!o) {
		char what[sizeof(je.text)];

		/* It quotes the file. */
		bench_clean(what, sizeof(what), je.text);
		return err_set(e, -EINVAL, "line %d: %s", je.line, what);
	}
	ret = read_top(&rd, o);
	json_decref(o);
	if (ret)
		bench_result_free(r);
	return ret;
}

int bench_result_load(struct bench_result *r, const char *path, struct err *e)
{
	char *text = malloc(BENCH_FILE_SIZE_MAX + 1);
	int ret;

	*r = (struct bench_result){ 0 };
	if (!text)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	ret = sys_file_read(sys_host(), text, BENCH_FILE_SIZE_MAX + 1, "%s", path);
	if (ret < 0) {
		err_sys(e, ret, "cannot read %s", path);
	} else {
		ret = bench_result_parse(r, text, (size_t)ret, e);
		if (ret)
			err_prefix(e, "%s: ", path);
	}
	free(text);
	return ret;
}
