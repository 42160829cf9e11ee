// SPDX-License-Identifier: BSD-3-Clause
/*
 * When are two series different?
 *
 * A run gives few samples, five to fifteen, with now and then one that something else disturbed. So
 * the figure is the median, and two medians are compared by their ratio, on logarithms, where "20 %
 * slower" and "25 % faster" are the same distance. How far the ratio could be off is asked of the
 * samples themselves: each series is resampled with replacement some hundred times, and the medians
 * of these series scatter as much as ours does (bootstrap). With few samples that scatter is itself
 * uncertain, so the interval is that many times wider that Student's t asks for.
 *
 * Medians of series with two humps scatter less than they should. Hence a second condition, which
 * looks at ranks alone and assumes nothing of the shape (Mann and Whitney's rank sum): as sure as
 * the interval has to be, or, where so few samples cannot be that sure, all of one series above all
 * of the other.
 *
 * Where many comparisons are read together, each must be surer, or one of them errs in every run:
 * the chance of 1 in 20 is shared by all of a family (Bonferroni).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stat.h"

/* Resampled values in all, so that long series do not take forever; and the bounds of rounds. */
#define RESAMPLED_VALUES 200000
#define ROUNDS_MIN	 200
#define ROUNDS_MAX	 600

static double per_op(int64_t v, int64_t ops)
{
	return v < 0 || ops <= 0 ? NAN : (double)v / (double)ops;
}

static double figure(const struct bench_sample *s, enum bench_unit unit)
{
	switch (unit) {
	case BENCH_OPS:
	case BENCH_PACKETS:
		return per_op(s->ops, s->ns) * 1e9;
	case BENCH_BYTES:
		return per_op(s->bytes, s->ns) * 1e9;
	case BENCH_NS:
		return per_op(s->ns, s->ops);
	default:
		return per_op(s->instructions, s->ops);
	}
}

bool bench_exit_user(const char *reason)
{
	return strncmp(reason, "kernel-", 7);
}

static double exits(const struct bench_sample *s, bool user_only)
{
	double sum = 0;

	if (!s->exits_known || s->ops <= 0)
		return NAN;
	for (size_t i = 0; i < s->n_exit; i++)
		if (!user_only || bench_exit_user(s->exit[i].reason))
			sum += (double)s->exit[i].count;
	return sum / (double)s->ops;
}

/* Of the threads that were measured. */
static double cpu_all(const struct bench_sample *s)
{
	double sum = NAN;

	for (int i = 0; i < BENCH_CPUS; i++)
		if (s->cpu_ns[i] >= 0)
			sum = (isnan(sum) ? 0 : sum) + (double)s->cpu_ns[i];
	return s->ops > 0 ? sum / (double)s->ops : NAN;
}

double bench_value(const struct bench_sample *s, enum bench_unit unit, enum bench_metric m)
{
	switch (m) {
	case BM_FIGURE:
		return figure(s, unit);
	case BM_EXITS:
	case BM_EXITS_USER:
		return exits(s, m == BM_EXITS_USER);
	case BM_INTERRUPTS:
		return per_op(s->interrupts, s->ops);
	case BM_CPU_VCPU:
	case BM_CPU_IO:
	case BM_CPU_BACKEND:
		return per_op(s->cpu_ns[m - BM_CPU_VCPU], s->ops);
	case BM_CPU_ALL:
		return cpu_all(s);
	case BM_SYSCALLS:
		return per_op(s->syscalls, s->ops);
	case BM_INSTRUCTIONS:
		return per_op(s->instructions, s->ops);
	case BM_P50:
		return s->p50_ns < 0 ? NAN : (double)s->p50_ns;
	case BM_P99:
		return s->p99_ns < 0 ? NAN : (double)s->p99_ns;
	default:
		return s->p999_ns < 0 ? NAN : (double)s->p999_ns;
	}
}

double bench_exit_value(const struct bench_sample *s, const char *reason)
{
	if (!s->exits_known)
		return NAN;
	for (size_t i = 0; i < s->n_exit; i++)
		if (!strcmp(s->exit[i].reason, reason))
			return per_op(s->exit[i].count, s->ops);
	return s->ops > 0 ? 0 : NAN;
}

int64_t bench_errors(const struct bench_column *c)
{
	int64_t sum = 0;

	for (size_t i = 0; i < c->n_sample; i++)
		if (c->sample[i].errors > 0 && ckd_add(&sum, sum, c->sample[i].errors))
			return INT64_MAX;
	return sum;
}

size_t bench_values(const struct bench_column *c, enum bench_unit unit, enum bench_metric m,
		    double *v)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_sample; i++) {
		v[n] = bench_value(&c->sample[i], unit, m);
		n += !isnan(v[n]);
	}
	return n;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

double bench_median(double *v, size_t n)
{
	if (!n)
		return (double)NAN;
	qsort(v, n, sizeof(*v), ascending);
	return quantile(v, n, 0.5);
}

double bench_column_median(const struct bench_column *c, enum bench_unit unit, enum bench_metric m)
{
	double v[BENCH_SAMPLES_MAX];

	return bench_median(v, bench_values(c, unit, m, v));
}

double bench_column_exits(const struct bench_column *c, const char *reason)
{
	double v[BENCH_SAMPLES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < c->n_sample; i++) {
		v[n] = bench_exit_value(&c->sample[i], reason);
		n += !isnan(v[n]);
	}
	return bench_median(v, n);
}

/* ---- distributions ---- */

/* How far from the middle a normal variable is with probability p of being further, both sides. */
static double normal_tail(double p)
{
	double low = 0, high = 40;

	for (int i = 0; i < 60; i++) {
		double mid = (low + high) / 2;

		if (erfc(mid / M_SQRT2) > p)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* The same of Student's t, from the normal one by the first terms of Fisher's expansion in 1/f. */
static double student_tail(double p, double f)
{
	double z = normal_tail(p), z2 = z * z;

	return z + z * (z2 + 1) / (4 * f) + z * ((5 * z2 + 16) * z2 + 3) / (96 * f * f) +
	       z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * f * f * f);
}

static uint64_t rnd(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* How much the median of such a series scatters: its standard deviation over resampled ones. */
static double median_scatter(const double *v, size_t n, uint64_t seed)
{
	unsigned int rounds = (unsigned int)MAX(
		(size_t)ROUNDS_MIN, MIN((size_t)ROUNDS_MAX, (size_t)RESAMPLED_VALUES / n));
	double w[BENCH_SAMPLES_MAX], first = 0, sum = 0, squares = 0, mean;

	for (unsigned int k = 0; k < rounds; k++) {
		double m;

		for (size_t i = 0; i < n; i++)
			w[i] = v[(rnd(&seed) >> 32) * n >> 32];
		m = bench_median(w, n);
		if (!k)
			first = m; /* near the mean, so that the squares do not cancel out */
		sum += m - first;
		squares += (m - first) * (m - first);
	}
	mean = sum / rounds;
	return sqrt(fmax(0, squares / rounds - mean * mean));
}

/* ---- one series, two series ---- */

/* Logarithms; 0 when a value has none. */
static size_t logs(double *out, const double *v, size_t n)
{
	if (n > BENCH_SAMPLES_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!(v[i] > 0) || isinf(v[i]))
			return 0;
		out[i] = log(v[i]);
	}
	return n;
}

void bench_summarise(const struct bench_column *c, enum bench_unit unit, enum bench_metric m,
		     struct bench_summary *out)
{
	double v[BENCH_SAMPLES_MAX], l[BENCH_SAMPLES_MAX], off;
	size_t n = bench_values(c, unit, m, v);

	*out = (struct bench_summary){ .n = n, .low = (double)NAN, .high = (double)NAN };
	out->median = bench_median(v, n);
	out->min = n ? v[0] : (double)NAN;
	out->max = n ? v[n - 1] : (double)NAN;
	out->spread = n && out->median > 0
			      ? (quantile(v, n, 0.75) - quantile(v, n, 0.25)) / out->median
			      : (double)NAN;
	if (n < BENCH_ENOUGH || !logs(l, v, n))
		return;
	off = student_tail(0.05, (double)n - 1) * median_scatter(l, n, 1);
	out->low = out->median * exp(-off);
	out->high = out->median * exp(off);
}

/* Pairs in which b's value is below a's; equal ones count half. Both are sorted. */
static double pairs_below(const double *a, size_t n_a, const double *b, size_t n_b)
{
	double u = 0;
	size_t below = 0, upto = 0;

	for (size_t i = 0; i < n_a; i++) {
		while (below < n_b && b[below] < a[i])
			below++;
		while (upto < n_b && b[upto] <= a[i])
			upto++;
		u += (double)below + (double)(upto - below) / 2;
	}
	return u;
}

double bench_below(const struct bench_column *a, const struct bench_column *b, enum bench_unit unit,
		   enum bench_metric m)
{
	double va[BENCH_SAMPLES_MAX], vb[BENCH_SAMPLES_MAX];
	size_t n_a = bench_values(a, unit, m, va), n_b = bench_values(b, unit, m, vb);

	qsort(va, n_a, sizeof(*va), ascending);
	qsort(vb, n_b, sizeof(*vb), ascending);
	return n_a && n_b ? pairs_below(va, n_a, vb, n_b) / ((double)n_a * (double)n_b)
			  : (double)NAN;
}

/* Do the ranks differ with less than the chance p of being wrong, or as much as they can? */
static bool ranks_differ(const double *a, size_t n_a, const double *b, size_t n_b, double p)
{
	double na = (double)n_a, nb = (double)n_b, u = pairs_below(a, n_a, b, n_b), z;

	if (u <= 0 || u >= na * nb)
		return true;
	z = (fabs(u - na * nb / 2) - 0.5) / sqrt(na * nb * (na + nb + 1) / 12);
	return z > normal_tail(p);
}

void bench_ratio(const double *a, size_t n_a, const double *b, size_t n_b, unsigned int family,
		 struct bench_ratio *out)
{
	double la[BENCH_SAMPLES_MAX], lb[BENCH_SAMPLES_MAX], d, off, p;

	*out = (struct bench_ratio){ n_a, n_b, NAN, NAN, NAN, BENCH_UNKNOWN };
	if (!n_a || !n_b || !logs(la, a, n_a) || !logs(lb, b, n_b))
		return;
	/* As means of the middle two, not of their logarithms: what the tables show. */
	d = log(bench_median(memcpy(lb, b, n_b * sizeof(*b)), n_b)) -
	    log(bench_median(memcpy(la, a, n_a * sizeof(*a)), n_a));
	out->ratio = exp(d);
	if (n_a < BENCH_ENOUGH || n_b < BENCH_ENOUGH)
		return;
	logs(la, a, n_a);
	logs(lb, b, n_b);
	qsort(la, n_a, sizeof(*la), ascending);
	qsort(lb, n_b, sizeof(*lb), ascending);
	p = 0.05 / MAX(family, 1u);
	off = student_tail(p, (double)(n_a + n_b - 2)) *
	      hypot(median_scatter(la, n_a, 1), median_scatter(lb, n_b, 2));
	out->low = exp(d - off);
	out->high = exp(d + off);
	out->verdict = fabs(d) > off && fabs(out->ratio - 1) >= BENCH_RELEVANT &&
				       ranks_differ(la, n_a, lb, n_b, p)
			       ? BENCH_DIFFERENT
			       : BENCH_SAME;
}

void bench_ratio_columns(const struct bench_column *a, const struct bench_column *b,
			 enum bench_unit unit, enum bench_metric m, unsigned int family,
			 struct bench_ratio *out)
{
	double va[BENCH_SAMPLES_MAX], vb[BENCH_SAMPLES_MAX];
	size_t na = bench_values(a, unit, m, va), nb = bench_values(b, unit, m, vb);

	bench_ratio(va, na, vb, nb, family, out);
}

/* ---- histograms ---- */

static int bucket_order(const void *a, const void *b)
{
	const struct bench_bucket *x = a, *y = b;

	return x->upper_ns < y->upper_ns ? -1 : x->upper_ns > y->upper_ns;
}

int bench_hist_merge(const struct bench_column *c, struct bench_hist *h)
{
	size_t n = 0, out = 0;

	*h = (struct bench_hist){ 0 };
	for (size_t i = 0; i < c->n_sample; i++)
		n += c->sample[i].n_hist;
	if (!n)
		return 0;
	h->bucket = malloc(n * sizeof(*h->bucket));
	if (!h->bucket)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_sample; i++)
		for (size_t k = 0; k < c->sample[i].n_hist; k++)
			h->bucket[h->n++] = c->sample[i].hist[k];
	qsort(h->bucket, n, sizeof(*h->bucket), bucket_order);
	for (size_t i = 0; i < n; i++) {
		/* The sum stops growing where it would overflow; a bucket never exceeds it. */
		int64_t add = MIN(h->bucket[i].count, INT64_MAX - h->total);

		h->total += add;
		if (out && h->bucket[out - 1].upper_ns == h->bucket[i].upper_ns)
			h->bucket[out - 1].count += add;
		else
			h->bucket[out++] = (struct bench_bucket){ h->bucket[i].upper_ns, add };
	}
	h->n = out;
	return 0;
}

int64_t bench_hist_percentile(const struct bench_hist *h, double q)
{
	double sum = 0, want = q * (double)h->total * (1 - 1e-12);

	for (size_t i = 0; i < h->n; i++) {
		sum += (double)h->bucket[i].count;
		if (h->bucket[i].count && sum >= want)
			return h->bucket[i].upper_ns;
	}
	return BENCH_NONE;
}
