// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model of a result. Lists grow by doubling up to the limits of the header. Tests and columns
 * are allocated one by one, so that a pointer to one stays good while others are added.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/result_priv.h"

static const char *const unit_names[BENCH_UNITS] = {
	[BENCH_OPS] = "ops/s", [BENCH_PACKETS] = "packets/s",	      [BENCH_BYTES] = "B/s",
	[BENCH_NS] = "ns",     [BENCH_INSTRUCTIONS] = "instructions",
};
static const char *const level_names[BENCH_LEVELS] = { "note", "warn", "refuse" };
static const char *const cpu_names[BENCH_CPUS] = { "vcpu", "io", "backend" };

#define COUNT(m)                                     \
	{                                            \
#m, offsetof(struct bench_sample, m) \
	}
const struct bench_count bench_counts[BENCH_COUNTS] = {
	COUNT(round),	 COUNT(order),	   COUNT(ns),		COUNT(ops),	COUNT(bytes),
	COUNT(errors),	 COUNT(p50_ns),	   COUNT(p99_ns),	COUNT(p999_ns), COUNT(interrupts),
	COUNT(syscalls), COUNT(page_size), COUNT(instructions),
};

const char *bench_unit_name(enum bench_unit unit)
{
	return unit_names[unit];
}

const char *bench_level_name(enum bench_level level)
{
	return level_names[level];
}

const char *bench_cpu_name(enum bench_cpu cpu)
{
	return cpu_names[cpu];
}

/* Bytes of the UTF-8 character at s, 0 when there is none: overlong forms, surrogates and the
 * controls of ISO 8859 (C2 80 to C2 9F) count as none. */
static size_t char_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
	    (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* A string that the reader would take: whole characters, none of them a control. */
void bench_clean(char *dst, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s) {
		size_t n = char_len(s);

		if (at + (n ? n : 1) >= size)
			break;
		if (n > 1)
			memcpy(dst + at, s, n);
		else
			dst[at] = (char)(!n ? '?' : *s < 0x20 || *s == 0x7f ? ' ' : *s);
		at += n ? n : 1;
		s += n ? n : 1;
	}
	dst[at] = 0;
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._+:/-", c));
}

bool bench_is_word(const char *s)
{
	if (!*s)
		return false;
	while (*s)
		if (!word_char(*s++))
			return false;
	return true;
}

/* A name that the reader would take. */
static void word(char *dst, size_t size, const char *text)
{
	size_t at;

	if (!*text)
		text = "none";
	for (at = 0; text[at] && at < size - 1; at++)
		dst[at] = word_char(text[at]) ? text[at] : '-';
	dst[at] = 0;
}

static __printf(3, 0) void vclean(char *dst, size_t size, const char *fmt, va_list ap)
{
	char text[4 * BENCH_TEXT_SIZE];

	vsnprintf(text, sizeof(text), fmt, ap);
	bench_clean(dst, size, text);
}

/* A zeroed element at the end of a list, or NULL; the length doubles at powers of two. */
static void *append(void *list, size_t *n, size_t size, size_t max)
{
	void **p = list, *bigger;

	if (*n >= max)
		return NULL;
	if (!*n || IS_POW2(*n)) {
		bigger = realloc(*p, (*n ? 2 * *n : 1) * size);
		if (!bigger)
			return NULL;
		*p = bigger;
	}
	return memset((char *)*p + (*n)++ * size, 0, size);
}

void bench_result_init(struct bench_result *r, const char *version, const char *command)
{
	time_t now = time(NULL);
	struct tm tm = { 0 };

	*r = (struct bench_result){ 0 };
	bench_clean(r->version, sizeof(r->version), version);
	bench_clean(r->command, sizeof(r->command), command);
	gmtime_r(&now, &tm);
	strftime(r->date, sizeof(r->date), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void column_free(struct bench_column *c)
{
	for (size_t i = 0; i < c->n_sample; i++) {
		free(c->sample[i].hist);
		free(c->sample[i].exit);
	}
	free(c->sample);
	free(c);
}

void bench_result_free(struct bench_result *r)
{
	for (size_t i = 0; i < r->n_test; i++) {
		struct bench_test *t = r->test[i];

		for (size_t k = 0; k < t->n_column; k++)
			column_free(t->column[k]);
		free(t->column);
		free(t);
	}
	free(r->test);
	free(r->env);
	free(r->warning);
	free(r->skip);
	*r = (struct bench_result){ 0 };
}

static struct bench_env *env_add(struct bench_result *r, const char *key)
{
	char name[BENCH_WORD_SIZE];
	struct bench_env *v;

	word(name, sizeof(name), key);
	v = (struct bench_env *)bench_env_find(r, name);
	if (!v)
		v = append(&r->env, &r->n_env, sizeof(*v), BENCH_ENV_MAX);
	if (v) {
		*v = (struct bench_env){ 0 };
		memcpy(v->key, name, sizeof(name));
	}
	return v;
}

int bench_env_str(struct bench_result *r, const char *key, const char *fmt, ...)
{
	struct bench_env *v = env_add(r, key);
	va_list ap;

	if (!v)
		return -ENOMEM;
	va_start(ap, fmt);
	vclean(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return 0;
}

int bench_env_num(struct bench_result *r, const char *key, double num)
{
	struct bench_env *v = isfinite(num) ? env_add(r, key) : NULL;

	if (!v)
		return isfinite(num) ? -ENOMEM : -EINVAL;
	v->is_num = true;
	v->num = num;
	return 0;
}

int bench_warn(struct bench_result *r, enum bench_level level, const char *about, const char *fmt,
	       ...)
{
	struct bench_warning *w =
		append(&r->warning, &r->n_warning, sizeof(*w), BENCH_WARNINGS_MAX);
	va_list ap;

	if (!w)
		return -ENOMEM;
	w->level = level;
	word(w->about, sizeof(w->about), about);
	va_start(ap, fmt);
	vclean(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
	return 0;
}

int bench_skip_add(struct bench_result *r, const char *mode, const char *vmm, const char *test,
		   const char *fmt, ...)
{
	struct bench_skip *k = append(&r->skip, &r->n_skip, sizeof(*k), BENCH_SKIPPED_MAX);
	va_list ap;

	if (!k)
		return -ENOMEM;
	if (*mode)
		word(k->mode, sizeof(k->mode), mode);
	if (*vmm)
		word(k->vmm, sizeof(k->vmm), vmm);
	if (*test)
		word(k->test, sizeof(k->test), test);
	va_start(ap, fmt);
	vclean(k->reason, sizeof(k->reason), fmt, ap);
	va_end(ap);
	return 0;
}

struct bench_test *bench_test_add(struct bench_result *r, const char *name, const char *title,
				  enum bench_unit unit, bool higher)
{
	char clean[BENCH_NAME_SIZE];
	struct bench_test *t, **slot;

	word(clean, sizeof(clean), name);
	t = (struct bench_test *)bench_test_find(r, clean);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	slot = t ? append(&r->test, &r->n_test, sizeof(t), BENCH_TESTS_MAX) : NULL;
	if (!slot) {
		free(t);
		return NULL;
	}
	*slot = t;
	memcpy(t->name, clean, sizeof(clean));
	bench_clean(t->title, sizeof(t->title), title);
	t->unit = unit;
	t->higher = higher;
	return t;
}

struct bench_column *bench_column_add(struct bench_test *t, const char *mode, const char *vmm)
{
	struct bench_column *c, **slot, named = { 0 };

	word(named.mode, sizeof(named.mode), mode);
	word(named.vmm, sizeof(named.vmm), vmm);
	c = (struct bench_column *)bench_column_find(t, named.mode, named.vmm);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	slot = c ? append(&t->column, &t->n_column, sizeof(c), BENCH_COLUMNS_MAX) : NULL;
	if (!slot) {
		free(c);
		return NULL;
	}
	*slot = c;
	memcpy(c->mode, named.mode, sizeof(c->mode));
	memcpy(c->vmm, named.vmm, sizeof(c->vmm));
	return c;
}

struct bench_sample *bench_sample_add(struct bench_column *c)
{
	struct bench_sample *s = append(&c->sample, &c->n_sample, sizeof(*s), BENCH_SAMPLES_MAX);

	if (s)
		*s = (struct bench_sample){
			.round = BENCH_NONE,
			.order = BENCH_NONE,
			.ns = BENCH_NONE,
			.ops = BENCH_NONE,
			.bytes = BENCH_NONE,
			.errors = BENCH_NONE,
			.p50_ns = BENCH_NONE,
			.p99_ns = BENCH_NONE,
			.p999_ns = BENCH_NONE,
			.interrupts = BENCH_NONE,
			.cpu_ns = { BENCH_NONE, BENCH_NONE, BENCH_NONE },
			.syscalls = BENCH_NONE,
			.page_size = BENCH_NONE,
			.instructions = BENCH_NONE,
		};
	return s;
}

int bench_sample_exit(struct bench_sample *s, const char *reason, int64_t count)
{
	char name[BENCH_WORD_SIZE];
	struct bench_exit *x;

	word(name, sizeof(name), reason);
	s->exits_known = true;
	for (size_t i = 0; i < s->n_exit; i++)
		if (!strcmp(s->exit[i].reason, name)) {
			s->exit[i].count += count;
			return 0;
		}
	x = append(&s->exit, &s->n_exit, sizeof(*x), BENCH_EXITS_MAX);
	if (!x)
		return -ENOMEM;
	memcpy(x->reason, name, sizeof(name));
	x->count = count;
	return 0;
}

int bench_sample_bucket(struct bench_sample *s, int64_t upper_ns, int64_t count)
{
	struct bench_bucket *b;

	if (s->n_hist && s->hist[s->n_hist - 1].upper_ns >= upper_ns)
		return -EINVAL;
	b = append(&s->hist, &s->n_hist, sizeof(*b), BENCH_BUCKETS_MAX);
	if (!b)
		return -ENOMEM;
	*b = (struct bench_bucket){ upper_ns, count };
	return 0;
}

const struct bench_env *bench_env_find(const struct bench_result *r, const char *key)
{
	for (size_t i = 0; i < r->n_env; i++)
		if (!strcmp(r->env[i].key, key))
			return &r->env[i];
	return NULL;
}

const struct bench_test *bench_test_find(const struct bench_result *r, const char *name)
{
	for (size_t i = 0; i < r->n_test; i++)
		if (!strcmp(r->test[i]->name, name))
			return r->test[i];
	return NULL;
}

const struct bench_column *bench_column_find(const struct bench_test *t, const char *mode,
					     const char *vmm)
{
	for (size_t i = 0; i < t->n_column; i++)
		if (!strcmp(t->column[i]->mode, mode) && !strcmp(t->column[i]->vmm, vmm))
			return t->column[i];
	return NULL;
}

bool bench_timing_ok(const struct bench_result *r)
{
	for (size_t i = 0; i < r->n_warning; i++)
		if (r->warning[i].level == BENCH_REFUSE)
			return false;
	return true;
}
