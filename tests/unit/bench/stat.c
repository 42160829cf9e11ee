// SPDX-License-Identifier: BSD-3-Clause
/*
 * Statistics, and whether they are honest: of many pairs of series drawn from one distribution at
 * most 1 in 20 may be called different, and a true slow-down of 20 % has to be found. The draws
 * have fixed seeds, so that a run is as good as any other.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "bench/stat.h"
#include "tests/unit/bench/draw.h"

static void near(double a, double b)
{
	if (!(fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b))))
		fail_msg("%g is not %g", a, b);
}

static void test_values(void **state)
{
	struct bench_exit x[] = { { "pio", 30 }, { "kernel-irq", 10 } };
	struct bench_sample s = {
		.ns = 2000000000,
		.ops = 10,
		.bytes = 4096,
		.p50_ns = 7,
		.p99_ns = BENCH_NONE,
		.exit = x,
		.n_exit = 2,
		.cpu_ns = { 100, BENCH_NONE, 50 },
		.interrupts = 0,
		.syscalls = BENCH_NONE,
		.instructions = 40,
	};

	near(bench_value(&s, BENCH_OPS, BM_FIGURE), 5);
	near(bench_value(&s, BENCH_BYTES, BM_FIGURE), 2048);
	near(bench_value(&s, BENCH_NS, BM_FIGURE), 2e8);
	near(bench_value(&s, BENCH_INSTRUCTIONS, BM_FIGURE), 4);
	near(bench_value(&s, BENCH_OPS, BM_CPU_ALL), 15);
	near(bench_value(&s, BENCH_OPS, BM_P50), 7);
	assert_true(isnan(bench_value(&s, BENCH_OPS, BM_P99)));
	assert_true(isnan(bench_value(&s, BENCH_OPS, BM_CPU_IO)));
	assert_true(isnan(bench_value(&s, BENCH_OPS, BM_SYSCALLS)));
	assert_true(bench_value(&s, BENCH_OPS, BM_INTERRUPTS) == 0);
	assert_true(isnan(bench_value(&s, BENCH_OPS, BM_EXITS))); /* counted, but not known */
	s.exits_known = true;
	near(bench_value(&s, BENCH_OPS, BM_EXITS), 4);
	near(bench_value(&s, BENCH_OPS, BM_EXITS_USER), 3);
	near(bench_exit_value(&s, "kernel-irq"), 1);
	assert_true(bench_exit_value(&s, "mmio") == 0);
	s.ops = 0;
	assert_true(isnan(bench_value(&s, BENCH_NS, BM_FIGURE)));
	assert_true(isnan(bench_exit_value(&s, "mmio")));
}

static void test_median(void **state)
{
	double v[] = { 5, 1, 4, 2 }, one[] = { 3 };

	near(bench_median(v, 4), 3);
	near(bench_median(one, 1), 3);
	assert_true(isnan(bench_median(NULL, 0)));
}

static void test_ratio_edges(void **state)
{
	static const double zero[] = { 0, 1, 2, 3, 4 }, five[] = { 5, 5, 5, 5, 5 },
			    six[] = { 6, 6, 6, 6, 6 }, close[] = { 5.01, 5.01, 5.01, 5.01 };
	static double many[BENCH_SAMPLES_MAX];
	struct bench_ratio r;

	bench_ratio(zero, 5, five, 5, 1, &r);
	assert_int_equal(r.verdict, BENCH_UNKNOWN);
	assert_true(isnan(r.ratio));
	bench_ratio(five, 0, five, 5, 1, &r);
	assert_int_equal(r.verdict, BENCH_UNKNOWN);
	bench_ratio(five, 3, six, 5, 1, &r); /* a ratio, but no word on its weight */
	assert_int_equal(r.verdict, BENCH_UNKNOWN);
	near(r.ratio, 1.2);
	assert_true(isnan(r.low));
	bench_ratio(five, 5, six, 5, 1, &r); /* counts do not scatter */
	assert_int_equal(r.verdict, BENCH_DIFFERENT);
	near(r.low, 1.2);
	near(r.high, 1.2);
	bench_ratio(five, 5, five, 5, 1, &r);
	assert_int_equal(r.verdict, BENCH_SAME);
	bench_ratio(five, 5, close, 4, 1, &r); /* sure, and of no interest */
	assert_int_equal(r.verdict, BENCH_SAME);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = 1e18 + (double)i;
	bench_ratio(many, ARRAY_SIZE(many), many, ARRAY_SIZE(many), 1, &r);
	assert_int_equal(r.verdict, BENCH_SAME);
}

/* Of families like those of a real comparison, how many have a word of difference in them? */
static unsigned int alarms(enum draw_kind kind, unsigned int n, unsigned int family, double slow,
			   unsigned int runs)
{
	unsigned int wrong = 0;
	uint64_t seed = 20261 + n;

	for (unsigned int k = 0; k < runs; k++) {
		bool any = false;

		for (unsigned int i = 0; i < family; i++) {
			double a[64], b[64];
			struct bench_ratio r;

			draw(a, n, kind, 0.04, 1000, &seed);
			draw(b, n, kind, 0.04, i ? 1000 : 1000 / slow, &seed);
			bench_ratio(a, n, b, n, family, &r);
			any |= r.verdict == BENCH_DIFFERENT;
		}
		wrong += any;
	}
	return wrong;
}

static void test_no_false_alarm(void **state)
{
	for (enum draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
		assert_in_range(alarms(kind, 5, 1, 1, 200), 0, 10);
		assert_in_range(alarms(kind, 9, 1, 1, 200), 0, 10);
		assert_in_range(alarms(kind, 7, 8, 1, 60), 0, 3);
	}
}

static void test_slow_down_found(void **state)
{
	for (enum draw_kind kind = 0; kind < DRAW_KINDS; kind++) {
		unsigned int least = kind == DRAW_DISTURBED ? 80 : 95;

		assert_in_range(alarms(kind, 7, 1, 1.25, 100), least, 100);
		assert_in_range(alarms(kind, 11, 8, 1.25, 100), least, 100);
	}
}

/* The interval holds the truth as often as it says. */
static void test_interval_covers(void **state)
{
	uint64_t seed = 7;
	unsigned int in = 0;

	for (unsigned int k = 0; k < 200; k++) {
		double a[16], b[16];
		struct bench_ratio r;

		draw(a, 9, DRAW_NORMAL, 0.05, 1000, &seed);
		draw(b, 9, DRAW_NORMAL, 0.05, 1300, &seed);
		bench_ratio(a, 9, b, 9, 1, &r);
		assert_true(r.low <= r.ratio && r.ratio <= r.high);
		in += r.low <= 1.3 && 1.3 <= r.high;
	}
	assert_in_range(in, 188, 200);
}

static void test_summary(void **state)
{
	struct bench_sample s[5];
	struct bench_column c = { .sample = s, .n_sample = 5 };
	struct bench_summary m;

	for (int i = 0; i < 5; i++)
		s[i] = (struct bench_sample){ .ns = 1000000000,
					      .ops = 100 + i,
					      .errors = i ? 1 : -1 };
	bench_summarise(&c, BENCH_OPS, BM_FIGURE, &m);
	near(m.median, 102);
	near(m.min, 100);
	near(m.max, 104);
	near(m.spread, 2. / 102);
	assert_true(m.low < 102 && m.low > 95 && m.high > 102 && m.high < 109);
	assert_int_equal(bench_errors(&c), 4);
	c.n_sample = 2;
	bench_summarise(&c, BENCH_OPS, BM_FIGURE, &m);
	assert_true(m.n == 2 && isnan(m.low) && m.median == 100.5);
	c.n_sample = 0;
	bench_summarise(&c, BENCH_OPS, BM_FIGURE, &m);
	assert_true(m.n == 0 && isnan(m.median) && isnan(m.min));
}

static void test_hist(void **state)
{
	struct bench_bucket b0[] = { { 10, 50 }, { 20, 0 }, { 30, 40 } };
	struct bench_bucket b1[] = { { 10, 5 }, { 25, 5 }, { 90, INT64_MAX } };
	struct bench_sample s[] = { { .hist = b0, .n_hist = 3 }, { .hist = b1, .n_hist = 2 } };
	struct bench_column c = { .sample = s, .n_sample = 2 };
	struct bench_hist h;

	assert_int_equal(bench_hist_merge(&c, &h), 0);
	assert_int_equal(h.total, 100);
	assert_int_equal(h.n, 4);
	assert_int_equal(h.bucket[0].count, 55);
	assert_int_equal(bench_hist_percentile(&h, 0), 10);
	assert_int_equal(bench_hist_percentile(&h, 0.55), 10);
	assert_int_equal(bench_hist_percentile(&h, 0.56), 25);
	assert_int_equal(bench_hist_percentile(&h, 1), 30);
	free(h.bucket);
	s[1].n_hist = 3; /* more than can be counted */
	assert_int_equal(bench_hist_merge(&c, &h), 0);
	assert_true(h.total == INT64_MAX);
	assert_int_equal(bench_hist_percentile(&h, 1), 90);
	free(h.bucket);
	c.n_sample = 0;
	assert_int_equal(bench_hist_merge(&c, &h), 0);
	assert_int_equal(bench_hist_percentile(&h, 0.5), BENCH_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),		cmocka_unit_test(test_median),
		cmocka_unit_test(test_ratio_edges),	cmocka_unit_test(test_no_false_alarm),
		cmocka_unit_test(test_slow_down_found), cmocka_unit_test(test_interval_covers),
		cmocka_unit_test(test_summary),		cmocka_unit_test(test_hist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
