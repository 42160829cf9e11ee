// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sentences about a test. They claim no more than was measured: a difference is named only where
 * the statistics found one, and the counters stand beside it, told as what goes with the difference
 * or against it. Counts need no clock, so they are told where times may not be compared, too.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "bench/words.h"

/* Three digits that matter, with a prefix of the SI. */
static char *si(char buf[BENCH_NUM_SIZE], double v, const char *unit)
{
	static const char *const prefix[] = { "", "k", "M", "G", "T", "P" };
	unsigned int p = 0;

	if (isnan(v)) {
		snprintf(buf, BENCH_NUM_SIZE, "-");
		return buf;
	}
	while (fabs(v) >= 999.5 && p < ARRAY_SIZE(prefix) - 1) {
		v /= 1000;
		p++;
	}
	snprintf(buf, BENCH_NUM_SIZE, "%.*f%s%s%s",
		 fabs(v) < 9.995   ? 2
		 : fabs(v) < 99.95 ? 1
				   : 0,
		 v, p || *unit ? " " : "", prefix[p], unit);
	return buf;
}

char *bench_num_ns(char buf[BENCH_NUM_SIZE], double ns)
{
	static const char *const unit[] = { "ns", "µs", "ms", "s" };
	unsigned int p = 0;

	if (isnan(ns))
		return si(buf, ns, "");
	while (fabs(ns) >= 999.5 && p < ARRAY_SIZE(unit) - 1) {
		ns /= 1000;
		p++;
	}
	/* A clock of nanoseconds gives no fractions of them but in means. */
	snprintf(buf, BENCH_NUM_SIZE, "%.*f %s", fabs(ns) < 9.995 ? (p ? 2 : 1) : fabs(ns) < 99.95,
		 ns, unit[p]);
	return buf;
}

char *bench_num_count(char buf[BENCH_NUM_SIZE], double v)
{
	return si(buf, v, "");
}

char *bench_num_times(char buf[BENCH_NUM_SIZE], double ratio)
{
	snprintf(buf, BENCH_NUM_SIZE, isnan(ratio) ? "-" : "%.*f",
		 ratio < 9.995 ? 2 : ratio < 99.95, ratio);
	return buf;
}

char *bench_num_bytes(char buf[BENCH_NUM_SIZE], double v)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int p = 0;

	if (isnan(v))
		return si(buf, v, "");
	while (v >= 1024 && p < ARRAY_SIZE(unit) - 1) {
		v /= 1024;
		p++;
	}
	snprintf(buf, BENCH_NUM_SIZE, "%.4g %s", v, unit[p]);
	return buf;
}

char *bench_num_figure(char buf[BENCH_NUM_SIZE], double v, enum bench_unit unit)
{
	return unit == BENCH_NS ? bench_num_ns(buf, v) : si(buf, v, unit == BENCH_BYTES ? "B" : "");
}

/* Characters, not bytes: there is a µ in most times. */
unsigned int bench_width(const char *s)
{
	unsigned int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void bench_pad(FILE *f, const char *text, unsigned int width, bool left)
{
	unsigned int n = bench_width(text), room = width > n ? width - n : 0;

	if (left)
		fprintf(f, "%s%*s", text, (int)room, "");
	else
		fprintf(f, "%*s%s", (int)room, "", text);
}

const char *bench_unit_text(enum bench_unit unit)
{
	static const char *const text[BENCH_UNITS] = {
		"operations per second",   "packets per second",	 "bytes per second",
		"time for each operation", "instructions per operation",
	};

	return text[unit];
}

const char *bench_op_word(const struct bench_test *t)
{
	return t->unit == BENCH_PACKETS ? "packet" : "operation";
}

char *bench_column_name(char buf[BENCH_COLUMN_SIZE], const struct bench_column *c)
{
	if (!strcmp(c->mode, "none")) /* no device, so that the VMM is all there is */
		snprintf(buf, BENCH_COLUMN_SIZE, "%s", c->vmm);
	else if (!strcmp(c->vmm, "sluice"))
		snprintf(buf, BENCH_COLUMN_SIZE, "%s", c->mode);
	else
		snprintf(buf, BENCH_COLUMN_SIZE, "%s (%s)", c->mode, c->vmm);
	return buf;
}

bool bench_is_time(enum bench_unit unit)
{
	return unit != BENCH_INSTRUCTIONS;
}

bool bench_comparable(const struct bench_result *r, const struct bench_test *t)
{
	return bench_timing_ok(r) || !bench_is_time(t->unit);
}

/* b over a where more is better, else a over b. */
void bench_speed(const struct bench_test *t, const struct bench_column *a,
		 const struct bench_column *b, unsigned int family, struct bench_ratio *out)
{
	bench_ratio_columns(t->higher ? a : b, t->higher ? b : a, t->unit, BM_FIGURE, family, out);
}

static bool measured(const struct bench_test *t, const struct bench_column *c)
{
	return c->n_sample && !isnan(bench_column_median(c, t->unit, BM_FIGURE));
}

const struct bench_column *bench_base(const struct bench_test *t)
{
	const struct bench_column *c = bench_column_find(t, "emulated", "sluice");

	if (c && measured(t, c))
		return c;
	for (size_t i = 0; i < t->n_column; i++)
		if (measured(t, t->column[i]))
			return t->column[i];
	return NULL;
}

bool bench_has_work(const struct bench_test *t)
{
	for (size_t i = 0; i < t->n_column; i++)
		if (!isnan(bench_column_median(t->column[i], t->unit, BM_INSTRUCTIONS)))
			return true;
	return false;
}

char *bench_times_text(const struct bench_test *t, const struct bench_column *c,
		       enum bench_metric m, char *buf, size_t size)
{
	char x[BENCH_NUM_SIZE], low[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE];
	const struct bench_column *base = bench_base(t);
	struct bench_ratio r = { .ratio = (double)NAN, .low = (double)NAN };

	if (base)
		bench_ratio_columns(base, c, t->unit, m, (unsigned int)t->n_column, &r);
	bench_num_times(x, r.ratio);
	if (isnan(r.ratio) || base == c)
		snprintf(buf, size, isnan(r.ratio) ? "-" : "1");
	else if (isnan(r.low))
		snprintf(buf, size, "%s ?", x);
	else
		snprintf(buf, size, "%s (%s to %s)", x, bench_num_times(low, r.low),
			 bench_num_times(high, r.high));
	return buf;
}

/* struct words - a sentence in the making */
struct words {
	char *buf;
	size_t len;
};

static void __printf(2, 3) say(struct words *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->buf + w->len, BENCH_SENTENCE_SIZE - w->len, fmt, ap);
	va_end(ap);
	w->len += strlen(w->buf + w->len);
}

/* ---- verdict ---- */

static const struct bench_column *fastest(const struct bench_test *t, unsigned int *n)
{
	const struct bench_column *best = NULL;
	double top = (double)NAN;

	*n = 0;
	for (size_t i = 0; i < t->n_column; i++) {
		double v = bench_column_median(t->column[i], t->unit, BM_FIGURE);

		if (isnan(v))
			continue;
		++*n;
		if (!best || (t->higher ? v > top : v < top)) {
			best = t->column[i];
			top = v;
		}
	}
	return best;
}

static void say_times(struct words *w, const struct bench_ratio *r, const char *name)
{
	char x[BENCH_NUM_SIZE], low[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE];

	bench_num_times(x, r->ratio);
	if (r->verdict == BENCH_SAME)
		say(w, "no faster than %s for all these samples can tell", name);
	else
		say(w, "%s times as fast as %s", x, name);
	if (r->verdict == BENCH_UNKNOWN)
		say(w, " (too few samples to be sure)");
	else
		say(w, " (%s to %s)", bench_num_times(low, r->low), bench_num_times(high, r->high));
}

/* Where the clock counts instructions and no time: who needs the fewest, and the others' share. */
static bool say_work(struct words *w, const struct bench_test *t)
{
	const struct bench_column *least = NULL;
	char name[BENCH_COLUMN_SIZE], num[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE];
	struct bench_ratio r;
	double v, low = (double)NAN;

	for (size_t i = 0; i < t->n_column; i++) {
		v = bench_column_median(t->column[i], t->unit, BM_INSTRUCTIONS);
		if (isnan(v) || low <= v)
			continue;
		low = v;
		least = t->column[i];
	}
	if (!least)
		return false;
	say(w, "%s needs the fewest instructions, %s for each %s", bench_column_name(name, least),
	    bench_num_count(num, low), bench_op_word(t));
	if (least != bench_base(t)) {
		bench_ratio_columns(bench_base(t), least, t->unit, BM_INSTRUCTIONS,
				    (unsigned int)t->n_column, &r);
		if (!isnan(r.ratio))
			say(w, ", %s times those of %s", bench_num_times(num, r.ratio),
			    bench_column_name(name, bench_base(t)));
		if (!isnan(r.low))
			say(w, " (%s to %s)", bench_num_times(num, r.low),
			    bench_num_times(high, r.high));
		else if (!isnan(r.ratio))
			say(w, " (too few samples to be sure)");
	}
	say(w, ". Times cannot be compared.");
	return true;
}

char *bench_verdict(const struct bench_result *r, const struct bench_test *t,
		    char buf[BENCH_SENTENCE_SIZE])
{
	char name[BENCH_COLUMN_SIZE], figure[BENCH_NUM_SIZE];
	struct words w = { buf, 0 };
	const struct bench_column *best;
	unsigned int n, said = 0;

	*buf = 0;
	best = fastest(t, &n);
	if (!best) {
		say(&w, "Nothing was measured.");
		return buf;
	}
	if (!bench_comparable(r, t)) {
		if (!say_work(&w, t))
			say(&w, "Only counts can be compared: the warnings say why times may not.");
		return buf;
	}
	bench_num_figure(figure, bench_column_median(best, t->unit, BM_FIGURE), t->unit);
	say(&w, "%s%s %s%s%s", bench_column_name(name, best), n > 1 ? " is ahead with" : ":",
	    figure,
	    t->higher && t->unit != BENCH_BYTES ? t->unit == BENCH_PACKETS ? " packets/s" : " ops/s"
	    : t->higher				? "/s"
						: "",
	    n > 1 ? ": " : ".");
	for (size_t i = 0; i < t->n_column; i++) {
		struct bench_ratio x;

		if (t->column[i] == best || !measured(t, t->column[i]))
			continue;
		said++;
		bench_speed(t, t->column[i], best, n - 1, &x);
		if (said > 1)
			say(&w, said == n - 1 ? " and " : ", ");
		say_times(&w, &x, bench_column_name(name, t->column[i]));
	}
	if (n > 1)
		say(&w, ".");
	return buf;
}

/* ---- explanation ---- */

/* What is told, and from which difference on: below, it is noise or of no weight. */
static const struct told {
	enum bench_metric m;
	const char *one, *many;
	double least;
} told[] = {
	{ BM_EXITS_USER, "exit to user space", "exits to user space", 0.02 },
	{ BM_INTERRUPTS, "interrupt", "interrupts", 0.02 },
	{ BM_SYSCALLS, "system call", "system calls", 0.02 },
	{ BM_INSTRUCTIONS, "instruction", "instructions", 1 },
	{ BM_CPU_VCPU, NULL, "of a vCPU's CPU time", 0 },
	{ BM_CPU_IO, NULL, "of an I/O thread's CPU time", 0 },
	{ BM_CPU_BACKEND, NULL, "of the backend's CPU time", 0 },
};

/* The user-space reason in which the two columns differ most; NULL when it is not the larger part.
 */
static const char *main_reason(const struct bench_column *a, const struct bench_column *b, double d)
{
	const struct bench_column *both[] = { a, b };
	const char *reason = NULL;
	double top = fabs(d) / 2;

	for (unsigned int k = 0; k < 2; k++) {
		const struct bench_sample *s = both[k]->sample;

		for (size_t i = 0; both[k]->n_sample && i < s->n_exit; i++) {
			double x;

			if (!bench_exit_user(s->exit[i].reason))
				continue;
			x = (bench_column_exits(b, s->exit[i].reason) -
			     bench_column_exits(a, s->exit[i].reason)) *
			    (d < 0 ? -1 : 1);
			if (x > top) {
				top = x;
				reason = s->exit[i].reason;
			}
		}
	}
	return reason;
}

/* Of all pairs of rounds so many must differ in this direction: a median alone may be chance. */
#define AGREE 0.9

static bool rounds_agree(const struct bench_test *t, enum bench_metric m,
			 const struct bench_column *base, const struct bench_column *c, bool more)
{
	double below = bench_below(base, c, t->unit, m);

	return (more ? 1 - below : below) >= AGREE;
}

/* One counter: "1.98 fewer exits to user space (0.02 against 2.00)". false: not different enough.
 */
static bool say_counter(struct words *w, const struct bench_test *t, const struct told *k,
			const struct bench_column *base, const struct bench_column *c, bool more,
			unsigned int said)
{
	double a = bench_column_median(base, t->unit, k->m),
	       b = bench_column_median(c, t->unit, k->m);
	char diff[BENCH_NUM_SIZE], now[BENCH_NUM_SIZE], was[BENCH_NUM_SIZE];
	char *(*num)(char *, double) = k->one ? bench_num_count : bench_num_ns;
	double d = b - a;
	const char *reason;

	if (!(fabs(d) >= k->least && fabs(d) > (k->one ? 0.2 : 0.1) * fmax(a, b)) ||
	    (d > 0) != more || !rounds_agree(t, k->m, base, c, more))
		return false;
	say(w, "%s%s %s %s (%s against %s", said ? ", " : "", num(diff, fabs(d)),
	    k->one ? (more ? "more" : "fewer") : (more ? "more" : "less"),
	    k->one && fabs(fabs(d) - 1) < 0.005 ? k->one : k->many, num(now, b), num(was, a));
	reason = k->m == BM_EXITS_USER ? main_reason(base, c, d) : NULL;
	say(w, reason ? ", mostly %s)" : ")", reason);
	return true;
}

static unsigned int say_counters(struct words *w, const struct bench_result *r,
				 const struct bench_test *t, const struct bench_column *base,
				 const struct bench_column *c, bool more)
{
	unsigned int said = 0;

	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (told[i].one || bench_timing_ok(r))
			said += say_counter(w, t, &told[i], base, c, more, said);
	return said;
}

bool bench_explain(const struct bench_result *r, const struct bench_test *t,
		   const struct bench_column *c, char buf[BENCH_SENTENCE_SIZE])
{
	const struct bench_column *base = bench_base(t);
	char less[BENCH_SENTENCE_SIZE] = "", more[BENCH_SENTENCE_SIZE] = "";
	struct words w = { buf, 0 }, l = { less, 0 }, m = { more, 0 };
	char name[BENCH_COLUMN_SIZE], other[BENCH_COLUMN_SIZE], times[BENCH_NUM_SIZE];
	struct bench_ratio x = { .verdict = BENCH_UNKNOWN };
	bool differs;

	*buf = 0;
	if (!base || base == c || !c->n_sample)
		return false;
	if (bench_comparable(r, t))
		bench_speed(t, base, c, (unsigned int)t->n_column, &x);
	differs = x.verdict == BENCH_DIFFERENT;
	if (x.verdict == BENCH_SAME && !strcmp(base->mode, c->mode))
		return false;
	say_counters(&l, r, t, base, c, false);
	say_counters(&m, r, t, base, c, true);
	if (!l.len && !m.len && !differs)
		return false;
	bench_column_name(name, c);
	bench_column_name(other, base);
	if (differs)
		say(&w, "%s is %s times as fast as %s. ", name, bench_num_times(times, x.ratio),
		    other);
	if (!l.len && !m.len) {
		say(&w, "The counters do not explain it.");
		return true;
	}
	say(&w, "%s needs, for each %s, %s%s%s", differs ? "It" : name, bench_op_word(t), less,
	    !l.len || !m.len ? "" : ", but ", more);
	say(&w, differs ? "." : " than %s.", other);
	return true;
}
