// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two results, side by side. Figures are compared by the statistics of stat.c, all of them one
 * family. Where one of the two results refuses its times, counts stand in: exits, interrupts,
 * system calls and instructions of an operation do not depend on the clock.
 *
 * The two may come from different days and hosts: what differs in their fingerprints is printed
 * first.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/report.h"
#include "bench/words.h"

/* struct cmp - the comparison so far */
struct cmp {
	const struct bench_result *a, *b;
	FILE *out;
	bool timing;
	unsigned int family, faster, slower, other, same, unknown, alone;
};

static const struct {
	enum bench_metric m;
	const char *name;
} counts[] = {
	{ BM_EXITS_USER, "exits to user space" }, { BM_EXITS, "exits" },
	{ BM_INTERRUPTS, "interrupts" },	  { BM_SYSCALLS, "system calls" },
	{ BM_INSTRUCTIONS, "instructions" },
};

/* Not part of what the host is: they differ in every run. */
static bool fleeting(const char *key)
{
	static const char *const keys[] = { "load", "steal", "date", "uptime", "time" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strncmp(key, keys[i], strlen(keys[i])))
			return true;
	return false;
}

static void print_env_value(FILE *f, const struct bench_env *v)
{
	if (!v)
		fputs("(not known)", f);
	else if (v->is_num)
		fprintf(f, "%g", v->num);
	else
		fprintf(f, "%s", v->text);
}

static void env_line(struct cmp *c, const struct bench_env *a, const struct bench_env *b)
{
	if (a && b && a->is_num == b->is_num &&
	    (a->is_num ? a->num == b->num : !strcmp(a->text, b->text)))
		return;
	fprintf(c->out, "  differs: %s: ", a ? a->key : b->key);
	print_env_value(c->out, a);
	fputs(" / ", c->out);
	print_env_value(c->out, b);
	fputc('\n', c->out);
}

static void print_env(struct cmp *c)
{
	for (size_t i = 0; i < c->a->n_env; i++)
		if (!fleeting(c->a->env[i].key))
			env_line(c, &c->a->env[i], bench_env_find(c->b, c->a->env[i].key));
	for (size_t i = 0; i < c->b->n_env; i++)
		if (!fleeting(c->b->env[i].key) && !bench_env_find(c->a, c->b->env[i].key))
			env_line(c, NULL, &c->b->env[i]);
}

static void print_head(struct cmp *c, const char *a, const char *b)
{
	const struct bench_result *r[] = { c->a, c->b };
	const char *path[] = { a, b };

	for (int i = 0; i < 2; i++) {
		fprintf(c->out, "%c: %s (%s, version %s)\n", 'A' + i, path[i], r[i]->date,
			r[i]->version);
		for (size_t k = 0; k < r[i]->n_warning; k++)
			if (r[i]->warning[k].level != BENCH_NOTE)
				fprintf(c->out, "  %s: %s\n",
					bench_level_name(r[i]->warning[k].level),
					r[i]->warning[k].text);
	}
	print_env(c);
	if (!c->timing)
		fputs("Times may not be compared, for the reason above; counts are.\n", c->out);
}

/* One line for a pair of medians, without the words behind it. */
static void print_pair(struct cmp *c, const char *name, const char *a, const char *b,
		       const struct bench_ratio *r)
{
	char x[BENCH_NUM_SIZE], low[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE];

	fputs("  ", c->out);
	bench_pad(c->out, name, 36, true);
	bench_pad(c->out, a, 11, false);
	bench_pad(c->out, b, 11, false);
	fputs("  ", c->out);
	if (!isnan(r->low))
		fprintf(c->out, "%5s (%s to %s)  ", bench_num_times(x, r->ratio),
			bench_num_times(low, r->low), bench_num_times(high, r->high));
	else
		fprintf(c->out, "%5s  ", bench_num_times(x, r->ratio));
}

static void compare_figure(struct cmp *c, const struct bench_test *t, const struct bench_column *a,
			   const struct bench_column *b, const char *name)
{
	char ta[BENCH_NUM_SIZE], tb[BENCH_NUM_SIZE];
	struct bench_ratio r;
	bool faster;

	bench_ratio_columns(a, b, t->unit, BM_FIGURE, c->family, &r);
	bench_num_figure(ta, bench_column_median(a, t->unit, BM_FIGURE), t->unit);
	bench_num_figure(tb, bench_column_median(b, t->unit, BM_FIGURE), t->unit);
	print_pair(c, name, ta, tb, &r);
	faster = (r.ratio > 1) == t->higher;
	if (r.verdict == BENCH_DIFFERENT)
		fprintf(c->out, "B is %s (%+.1f %%)\n", faster ? "faster" : "slower",
			100 * (r.ratio - 1));
	else if (r.verdict == BENCH_SAME)
		fputs("no difference\n", c->out);
	else
		fprintf(c->out, "%s\n",
			isnan(r.ratio) ? "not measured" : "too few samples to tell");
	c->faster += r.verdict == BENCH_DIFFERENT && faster;
	c->slower += r.verdict == BENCH_DIFFERENT && !faster;
	c->same += r.verdict == BENCH_SAME;
	c->unknown += r.verdict == BENCH_UNKNOWN;
}

/* A count may be 0 in one of the two, which has no ratio: then the samples must not overlap. */
static enum bench_verdict counts_verdict(const struct bench_column *a, const struct bench_column *b,
					 enum bench_unit unit, enum bench_metric m,
					 unsigned int family, struct bench_ratio *r)
{
	struct bench_summary sa, sb;

	bench_ratio_columns(a, b, unit, m, family, r);
	if (r->verdict != BENCH_UNKNOWN)
		return r->verdict;
	bench_summarise(a, unit, m, &sa);
	bench_summarise(b, unit, m, &sb);
	if (sa.n < BENCH_ENOUGH || sb.n < BENCH_ENOUGH)
		return BENCH_UNKNOWN;
	return fabs(sa.median - sb.median) >= 0.01 && (sa.min > sb.max || sb.min > sa.max)
		       ? BENCH_DIFFERENT
		       : BENCH_SAME;
}

/* Counts: all of them where they stand in for times, else those that differ. */
static void compare_counts(struct cmp *c, const struct bench_test *t, const struct bench_column *a,
			   const struct bench_column *b, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		double va = bench_column_median(a, t->unit, counts[i].m);
		double vb = bench_column_median(b, t->unit, counts[i].m);
		char ta[BENCH_NUM_SIZE], tb[BENCH_NUM_SIZE], label[BENCH_COLUMN_SIZE + 40];
		struct bench_ratio r;
		enum bench_verdict v;

		if (isnan(va) || isnan(vb))
			continue;
		v = counts_verdict(a, b, t->unit, counts[i].m, c->family, &r);
		if (c->timing && v != BENCH_DIFFERENT)
			continue;
		snprintf(label, sizeof(label), "%s: %s", name, counts[i].name);
		print_pair(c, label, bench_num_count(ta, va), bench_num_count(tb, vb), &r);
		fprintf(c->out, "%s\n",
			v == BENCH_DIFFERENT ? (vb > va ? "B has more" : "B has fewer")
			: v == BENCH_SAME    ? "no difference"
					     : "too few samples to tell");
		if (c->timing)
			continue; /* beside the figure, which is what counts then */
		c->other += v == BENCH_DIFFERENT;
		c->same += v == BENCH_SAME;
		c->unknown += v == BENCH_UNKNOWN;
	}
}

/* In one of the two only; said from the side that has it. */
static void print_alone(struct cmp *c, const char *name, char side)
{
	fprintf(c->out, "  %-36s only in %c\n", name, side);
	c->alone++;
}

static void compare_test(struct cmp *c, const struct bench_test *a, const struct bench_test *b)
{
	char name[BENCH_COLUMN_SIZE];

	fprintf(c->out, "\n%s: %s (%s, %s is better)\n", a->name, a->title,
		bench_unit_text(a->unit), a->higher ? "more" : "less");
	if (a->unit != b->unit || a->higher != b->higher) {
		print_alone(c, "measured in another unit in B", 'A');
		return;
	}
	for (size_t i = 0; i < a->n_column; i++) {
		const struct bench_column *x = a->column[i];
		const struct bench_column *y = bench_column_find(b, x->mode, x->vmm);

		bench_column_name(name, x);
		if (!y) {
			print_alone(c, name, 'A');
			continue;
		}
		if (c->timing || !bench_is_time(a->unit))
			compare_figure(c, a, x, y, name);
		compare_counts(c, a, x, y, name);
	}
	for (size_t i = 0; i < b->n_column; i++)
		if (!bench_column_find(a, b->column[i]->mode, b->column[i]->vmm))
			print_alone(c, bench_column_name(name, b->column[i]), 'B');
}

/* How many comparisons will be read together. */
static unsigned int family_size(const struct cmp *c)
{
	unsigned int n = 0;

	for (size_t i = 0; i < c->a->n_test; i++) {
		const struct bench_test *t = c->a->test[i];
		const struct bench_test *u = bench_test_find(c->b, t->name);

		for (size_t k = 0; u && k < t->n_column; k++)
			n += bench_column_find(u, t->column[k]->mode, t->column[k]->vmm) != NULL;
	}
	return n * (c->timing ? 1 : (unsigned int)ARRAY_SIZE(counts));
}

static void compare_tests(struct cmp *c)
{
	for (size_t i = 0; i < c->a->n_test; i++) {
		const struct bench_test *t = c->a->test[i];
		const struct bench_test *u = bench_test_find(c->b, t->name);

		if (u) {
			compare_test(c, t, u);
		} else {
			fprintf(c->out, "\n%s\n", t->name);
			print_alone(c, "the whole test", 'A');
		}
	}
	for (size_t i = 0; i < c->b->n_test; i++) {
		if (bench_test_find(c->a, c->b->test[i]->name))
			continue;
		fprintf(c->out, "\n%s\n", c->b->test[i]->name);
		print_alone(c, "the whole test", 'B');
	}
}

static void print_sum(struct cmp *c)
{
	fprintf(c->out, "\nB against A: ");
	if (c->timing)
		fprintf(c->out, "%u faster, %u slower", c->faster, c->slower);
	else
		fprintf(c->out, "%u differ", c->other + c->faster + c->slower);
	fprintf(c->out, ", %u without a difference", c->same);
	if (c->unknown)
		fprintf(c->out, ", %u cannot be told", c->unknown);
	if (c->alone)
		fprintf(c->out, ", %u in one of the two only", c->alone);
	fputs(".\n", c->out);
}

int bench_compare(const char *a, const char *b, FILE *out, struct err *e)
{
	struct bench_result ra = { 0 }, rb = { 0 };
	struct cmp c = { .a = &ra, .b = &rb, .out = out };
	int ret = bench_result_load(&ra, a, e);

	if (!ret)
		ret = bench_result_load(&rb, b, e);
	if (ret)
		goto out;
	c.timing = bench_timing_ok(&ra) && bench_timing_ok(&rb);
	c.family = family_size(&c);
	print_head(&c, a, b);
	compare_tests(&c);
	print_sum(&c);
	ret = c.faster + c.slower + c.other ? 1 : 0;
	if (!ret && !c.same)
		ret = err_set(
			e, -ENODATA,
			"%s and %s have nothing in common that can be compared: the same test and "
			"mode with at least %d samples",
			a, b, BENCH_ENOUGH);
out:
	bench_result_free(&ra);
	bench_result_free(&rb);
	return ret;
}
