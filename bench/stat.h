/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_STAT_H
#define BENCH_STAT_H

#include "bench/result.h"

/*
 * Statistics of samples. "Not measured" is NAN here, and NAN goes through all of it. What is random
 * has a fixed seed: the same samples give the same words.
 */

/* What can be asked of a sample; all but latencies and the figure are per operation. */
enum bench_metric {
	BM_FIGURE,     /* in the test's unit */
	BM_EXITS,      /* all that are counted */
	BM_EXITS_USER, /* those that reached user space */
	BM_INTERRUPTS,
	BM_CPU_VCPU, /* nanoseconds, in the order of enum bench_cpu */
	BM_CPU_IO,
	BM_CPU_BACKEND,
	BM_CPU_ALL,
	BM_SYSCALLS,
	BM_INSTRUCTIONS,
	BM_P50,
	BM_P99,
	BM_P999,
	BENCH_METRICS
};

/** bench_value() - one metric of one sample. */
double bench_value(const struct bench_sample *s, enum bench_unit unit, enum bench_metric m);
/** bench_exit_value() - exits per operation for one reason. */
double bench_exit_value(const struct bench_sample *s, const char *reason);
/** bench_exit_user() - does this reason lead to user space? The others begin with "kernel-". */
bool bench_exit_user(const char *reason);
/** bench_errors() - failed operations of all samples. */
int64_t bench_errors(const struct bench_column *c);

/** bench_values() - a metric of all samples that have it; v has room for BENCH_SAMPLES_MAX. */
size_t bench_values(const struct bench_column *c, enum bench_unit unit, enum bench_metric m,
		    double *v);

/** bench_median() - of n values, which are sorted by it; NAN of none. */
double bench_median(double *v, size_t n);
/** bench_column_median() / bench_column_exits() - medians over a column's samples. */
double bench_column_median(const struct bench_column *c, enum bench_unit unit, enum bench_metric m);
double bench_column_exits(const struct bench_column *c, const char *reason);

/**
 * struct bench_summary - of one column's metric
 * @low: @high: 95 % interval of the median, NAN below BENCH_ENOUGH samples
 * @spread: distance of the quartiles over the median
 */
struct bench_summary {
	size_t n;
	double median, low, high, min, max, spread;
};

/* Fewer samples support no statement about a difference. */
#define BENCH_ENOUGH 4

void bench_summarise(const struct bench_column *c, enum bench_unit unit, enum bench_metric m,
		     struct bench_summary *out);

enum bench_verdict {
	BENCH_UNKNOWN, /* not measured, zero, or too few samples */
	BENCH_SAME,    /* no difference that these samples could show */
	BENCH_DIFFERENT,
};

/**
 * struct bench_ratio - b's median over a's
 * @low: @high: interval at 95 % for the whole family: wider when more is compared at once
 */
struct bench_ratio {
	size_t n_a, n_b;
	double ratio, low, high;
	enum bench_verdict verdict;
};

/* Differences below this are called none, however sure they are: code lay-out alone makes them. */
#define BENCH_RELEVANT 0.01

/**
 * bench_ratio() - compare the medians of two series of positive values
 * @family: how many comparisons the reader sees together, of which one in 20 families may be
 * wrong
 */
void bench_ratio(const double *a, size_t n_a, const double *b, size_t n_b, unsigned int family,
		 struct bench_ratio *out);
void bench_ratio_columns(const struct bench_column *a, const struct bench_column *b,
			 enum bench_unit unit, enum bench_metric m, unsigned int family,
			 struct bench_ratio *out);

/** bench_below() - the share of pairs, a sample of each, in which b's is lower; NAN: no pairs. */
double bench_below(const struct bench_column *a, const struct bench_column *b, enum bench_unit unit,
		   enum bench_metric m);

/** struct bench_hist - a histogram; @total is the sum, which does not overflow but stops */
struct bench_hist {
	struct bench_bucket *bucket;
	size_t n;
	int64_t total;
};

/** bench_hist_merge() - of all samples of a column. 0 or -ENOMEM; free(h->bucket). */
int bench_hist_merge(const struct bench_column *c, struct bench_hist *h);
/** bench_hist_percentile() - the upper bound of the bucket where the share q of all is reached;
 * BENCH_NONE of an empty one. */
int64_t bench_hist_percentile(const struct bench_hist *h, double q);

#endif
