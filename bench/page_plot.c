// SPDX-License-Identifier: BSD-3-Clause
/*
 * The plots of a test. A row for each column of the result: its name and its value in words above,
 * the bar below, so that a row is as wide as a phone and needs no axis to be read.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/page.h"

#define ROW	36
#define BAR	13
#define MARGIN	3
#define SPAN	(PAGE_WIDTH - 2 * MARGIN)
#define CDF_TOP 8
#define CDF_H	190
#define CDF_X0	38

static bool has(const struct bench_column *c, enum bench_unit unit, enum bench_metric m)
{
	return !isnan(bench_column_median(c, unit, m));
}

/* Rows of a plot: columns that have the metric. */
static unsigned int rows_of(const struct bench_test *t, enum bench_metric m)
{
	unsigned int n = 0;

	for (size_t i = 0; i < t->n_column; i++)
		n += has(t->column[i], t->unit, m);
	return n;
}

static void row_words(const struct page *p, const struct bench_column *c, double y,
		      const char *value)
{
	char name[BENCH_COLUMN_SIZE];

	page_label(p, "name", MARGIN, y + 13, "start", bench_column_name(name, c));
	page_label(p, "value", PAGE_WIDTH - MARGIN, y + 13, "end", value);
}

/* ---- the figure, or the work, with its interval */

/* The words of a row: the median, then its interval, or how it stands to the base's. */
static void bar_words(const struct bench_test *t, const struct bench_column *c, enum bench_metric m,
		      const struct bench_summary *s, char *buf, size_t size)
{
	char mid[BENCH_NUM_SIZE], low[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE], x[3 * BENCH_NUM_SIZE];

	if (m != BM_FIGURE) {
		bench_num_count(mid, s->median);
		if (c == bench_base(t))
			snprintf(buf, size, "%s", mid);
		else
			snprintf(buf, size, "%s, × %s", mid,
				 bench_times_text(t, c, m, x, sizeof(x)));
		return;
	}
	bench_num_figure(mid, s->median, t->unit);
	if (isnan(s->low))
		snprintf(buf, size, "%s", mid);
	else
		snprintf(buf, size, "%s (%s to %s)", mid, bench_num_figure(low, s->low, t->unit),
			 bench_num_figure(high, s->high, t->unit));
}

static void bar_row(const struct page *p, const struct bench_test *t, const struct bench_column *c,
		    enum bench_metric m, double y, double per_unit)
{
	char value[5 * BENCH_NUM_SIZE];
	struct bench_summary s;
	double bar = y + 18;

	bench_summarise(c, t->unit, m, &s);
	bar_words(t, c, m, &s, value, sizeof(value));
	row_words(p, c, y, value);
	page_bar(p, MARGIN, bar, s.median * per_unit, BAR, page_paint_column(c));
	if (isnan(s.low))
		return;
	s.low = MARGIN + s.low * per_unit;
	s.high = MARGIN + fmin(s.high * per_unit, SPAN);
	page_line(p, "halo", s.low, bar + BAR / 2., s.high, bar + BAR / 2.);
	page_line(p, "whisker", s.low, bar + BAR / 2., s.high, bar + BAR / 2.);
	page_line(p, "whisker", s.low, bar + 3, s.low, bar + BAR - 3);
	page_line(p, "whisker", s.high, bar + 3, s.high, bar + BAR - 3);
}

static void plot_bars(const struct page *p, const struct bench_test *t, enum bench_metric m,
		      const char *title, const char *sub)
{
	unsigned int n = rows_of(t, m);
	double top = 0, y = 0;

	if (!n)
		return;
	for (size_t i = 0; i < t->n_column; i++) {
		struct bench_summary s;

		bench_summarise(t->column[i], t->unit, m, &s);
		/* A hopelessly wide interval must not flatten all bars. */
		top = fmax(top, fmin(fmax(s.median, s.high), 3 * s.median));
	}
	page_plot_begin(p, title, sub, n * ROW);
	for (size_t i = 0; i < t->n_column; i++) {
		if (!has(t->column[i], t->unit, m))
			continue;
		bar_row(p, t, t->column[i], m, y, top > 0 ? SPAN / top : 0);
		y += ROW;
	}
	fputs("</svg>\n", p->f);
	page_plot_end(p, m == BM_FIGURE && bench_is_time(t->unit));
}

void page_plot_figure(const struct page *p, const struct bench_test *t)
{
	char sub[100];

	snprintf(sub, sizeof(sub), "%s; %s is better", bench_unit_text(t->unit),
		 t->higher ? "more" : "less");
	plot_bars(p, t, BM_FIGURE, t->higher ? "Throughput" : "Cost", sub);
}

void page_plot_work(const struct page *p, const struct bench_test *t)
{
	char sub[100];

	snprintf(sub, sizeof(sub), "of the host, for each %s; less is better", bench_op_word(t));
	plot_bars(p, t, BM_INSTRUCTIONS, "Instructions", sub);
}

/* ---- latency */

static void scale_grow(struct page_scale *s, double ns)
{
	if (isnan(ns))
		return;
	ns = fmin(fmax(ns, 1), 9e18);
	s->low = fmin(s->low, pow(10, floor(log10(ns))));
	s->high = fmax(s->high, pow(10, ceil(log10(ns))));
}

static void scale_end(struct page_scale *s, double x0, double x1)
{
	if (s->high <= s->low)
		s->high = 10 * s->low;
	s->x0 = x0;
	s->x1 = x1;
}

static void latency_row(const struct page *p, const struct bench_test *t,
			const struct bench_column *c, const struct page_scale *s, double y)
{
	static const enum bench_metric ms[] = { BM_P50, BM_P99, BM_P999 };
	struct page_paint paint = page_paint_column(c);
	char value[4 * BENCH_NUM_SIZE] = "", num[BENCH_NUM_SIZE];
	double at = y + 25, x[3], last = (double)NAN;

	for (int i = 0; i < 3; i++) {
		double ns = bench_column_median(c, t->unit, ms[i]);
		size_t n = strlen(value);

		snprintf(value + n, sizeof(value) - n, "%s%s", i ? " · " : "",
			 bench_num_ns(num, ns));
		x[i] = isnan(ns) ? ns : page_scale_x(s, ns);
		last = isnan(x[i]) ? last : x[i];
	}
	row_words(p, c, y, value);
	page_line(p, "stem", x[0], at, last, at);
	if (!isnan(x[2]))
		page_line(p, "whisker", x[2], at - 6, x[2], at + 6);
	if (!isnan(x[1]))
		fprintf(p->f,
			"<path class=\"bar\" fill=\"%s\" d=\"M%.1f %.1fl5.5 -5.5l5.5 5.5l-5.5 5.5z\"/>\n",
			paint.colour, x[1] - 5.5, at);
	fprintf(p->f, "<circle class=\"bar\" cx=\"%.1f\" cy=\"%.1f\" r=\"5.5\" fill=\"%s\"/>\n",
		x[0], at, paint.colour);
}

void page_plot_latency(const struct page *p, const struct bench_test *t)
{
	struct page_scale s = { .low = 1e19, .high = 1 };
	unsigned int n = rows_of(t, BM_P50);
	double y = 0;

	if (!n)
		return;
	for (size_t i = 0; i < t->n_column; i++) {
		if (!has(t->column[i], t->unit, BM_P50))
			continue;
		scale_grow(&s, bench_column_median(t->column[i], t->unit, BM_P50));
		scale_grow(&s, bench_column_median(t->column[i], t->unit, BM_P99));
		scale_grow(&s, bench_column_median(t->column[i], t->unit, BM_P999));
	}
	scale_end(&s, MARGIN + 6, PAGE_WIDTH - MARGIN - 6);
	page_plot_begin(p, "Latency", "● p50, ◆ p99, | p99.9; less is better", n * ROW + 22);
	page_scale_axis(p, &s, 2, n * ROW + 2);
	for (size_t i = 0; i < t->n_column; i++) {
		if (!has(t->column[i], t->unit, BM_P50))
			continue;
		latency_row(p, t, t->column[i], &s, y);
		y += ROW;
	}
	fputs("</svg>\n", p->f);
	page_plot_end(p, true);
}

/* ---- exits by reason */

static void exits_row(const struct page *p, const struct bench_test *t,
		      const struct bench_column *c, double y, double per_unit)
{
	double all = bench_column_median(c, t->unit, BM_EXITS), x = MARGIN;
	double user = bench_column_median(c, t->unit, BM_EXITS_USER);
	char value[3 * BENCH_NUM_SIZE], a[BENCH_NUM_SIZE], u[BENCH_NUM_SIZE];

	snprintf(value, sizeof(value), "%s, %s to user space", bench_num_count(a, all),
		 bench_num_count(u, user));
	row_words(p, c, y, value);
	for (unsigned int i = 0; i < p->n_reason; i++) {
		double w = bench_column_exits(c, p->reason[i]) * per_unit;

		if (!(w >= 0.05)) /* or is NAN, which fmin() would drop */
			continue;
		w = fmin(w, MARGIN + SPAN - x); /* medians of parts may exceed that of the sum */
		page_bar(p, x, y + 18, w, BAR, page_paint_reason(p, i));
		x += w;
	}
	page_line(p, "base", MARGIN, y + 16, MARGIN, y + 20 + BAR);
}

static bool reason_used(const struct bench_test *t, const char *reason)
{
	for (size_t i = 0; i < t->n_column; i++)
		if (bench_column_exits(t->column[i], reason) > 0)
			return true;
	return false;
}

void page_plot_exits(const struct page *p, const struct bench_test *t)
{
	unsigned int n = rows_of(t, BM_EXITS);
	double top = 0, y = 0;
	char sub[100];

	if (!n)
		return;
	for (size_t i = 0; i < t->n_column; i++)
		top = fmax(top, bench_column_median(t->column[i], t->unit, BM_EXITS));
	snprintf(sub, sizeof(sub), "for each %s, by reason; less is better", bench_op_word(t));
	page_plot_begin(p, "VM exits", sub, n * ROW);
	for (size_t i = 0; i < t->n_column; i++) {
		if (!has(t->column[i], t->unit, BM_EXITS))
			continue;
		exits_row(p, t, t->column[i], y, top > 0 ? SPAN / top : 0);
		y += ROW;
	}
	fputs("</svg>\n", p->f);
	page_legend_begin(p);
	for (unsigned int i = 0; i < p->n_reason; i++)
		if (reason_used(t, p->reason[i]))
			page_legend(p, page_paint_reason(p, i), p->reason[i]);
	page_legend_end(p);
	page_plot_end(p, false);
}

/* ---- CPU time */

static void cpu_row(const struct page *p, const struct bench_test *t, const struct bench_column *c,
		    double y, double per_unit)
{
	char value[BENCH_NUM_SIZE];
	double x = MARGIN;

	row_words(p, c, y, bench_num_ns(value, bench_column_median(c, t->unit, BM_CPU_ALL)));
	for (unsigned int i = 0; i < BENCH_CPUS; i++) {
		double w = bench_column_median(c, t->unit, BM_CPU_VCPU + i) * per_unit;

		if (!(w >= 0.05))
			continue;
		w = fmin(w, MARGIN + SPAN - x);
		page_bar(p, x, y + 18, w, BAR, page_paint_cpu(i));
		x += w;
	}
	page_line(p, "base", MARGIN, y + 16, MARGIN, y + 20 + BAR);
}

void page_plot_cpu(const struct page *p, const struct bench_test *t)
{
	unsigned int n = rows_of(t, BM_CPU_ALL);
	double top = 0, y = 0;
	char sub[100];

	if (!n)
		return;
	for (size_t i = 0; i < t->n_column; i++)
		top = fmax(top, bench_column_median(t->column[i], t->unit, BM_CPU_ALL));
	snprintf(sub, sizeof(sub), "of the host, for each %s; less is better", bench_op_word(t));
	page_plot_begin(p, "CPU time", sub, n * ROW);
	for (size_t i = 0; i < t->n_column; i++) {
		if (!has(t->column[i], t->unit, BM_CPU_ALL))
			continue;
		cpu_row(p, t, t->column[i], y, top > 0 ? SPAN / top : 0);
		y += ROW;
	}
	fputs("</svg>\n", p->f);
	page_legend_begin(p);
	page_legend(p, page_paint_cpu(BENCH_CPU_VCPU), "vCPU");
	page_legend(p, page_paint_cpu(BENCH_CPU_IO), "I/O thread");
	page_legend(p, page_paint_cpu(BENCH_CPU_BACKEND), "backend");
	page_legend_end(p);
	page_plot_end(p, true);
}

/* ---- distribution of latencies */

static double cdf_y(double share)
{
	return CDF_TOP + CDF_H * (1 - share);
}

/* A step for each bucket; those that move the line by less than can be seen are left out. */
static void cdf_line(const struct page *p, const struct bench_column *c, const struct bench_hist *h,
		     const struct page_scale *s)
{
	struct page_paint paint = page_paint_column(c);
	double sum = 0, drawn = 0;

	fprintf(p->f, "<path class=\"cdf%s\" stroke=\"%s\" stroke-dasharray=\"%s\" d=\"M%.1f %.1f",
		paint.pattern ? " peer" : "", paint.colour, paint.dash, s->x0, cdf_y(0));
	for (size_t i = 0; i < h->n; i++) {
		sum += (double)h->bucket[i].count / (double)h->total;
		if (sum - drawn < 0.001 && i + 1 < h->n)
			continue;
		fprintf(p->f, "H%.1fV%.1f", page_scale_x(s, (double)h->bucket[i].upper_ns),
			cdf_y(fmin(sum, 1)));
		drawn = sum;
	}
	fprintf(p->f, "H%.1f\"/>\n", s->x1);
}

/* One line for each column that has a histogram; what has no memory is not drawn. */
static void cdf_draw(const struct page *p, const struct bench_test *t, const struct bench_hist *h,
		     const struct page_scale *s)
{
	char name[BENCH_COLUMN_SIZE];

	page_plot_begin(p, "Distribution of latency",
			"share of operations that took at most so long", CDF_TOP + CDF_H + 24);
	page_scale_axis(p, s, CDF_TOP, CDF_TOP + CDF_H);
	for (int k = 0; k <= 4; k++) {
		snprintf(name, sizeof(name), "%d%%", 25 * k);
		page_line(p, "grid", s->x0, cdf_y(k / 4.), s->x1, cdf_y(k / 4.));
		page_label(p, "tick", CDF_X0 - 3, cdf_y(k / 4.) + 4, "end", name);
	}
	for (size_t i = 0; i < t->n_column; i++)
		if (h[i].total)
			cdf_line(p, t->column[i], &h[i], s);
	fputs("</svg>\n", p->f);
	page_legend_begin(p);
	for (size_t i = 0; i < t->n_column; i++) {
		struct page_paint paint = page_paint_column(t->column[i]);

		if (!h[i].total)
			continue;
		fprintf(p->f,
			"<li><svg viewBox=\"0 0 30 12\" class=\"wide\" aria-hidden=\"true\"><path class=\"cdf%s\" "
			"stroke=\"%s\" stroke-dasharray=\"%s\" d=\"M0 6H30\"/></svg>",
			paint.pattern ? " peer" : "", paint.colour, paint.dash);
		page_text(p, bench_column_name(name, t->column[i]));
		fputs("</li>\n", p->f);
	}
	page_legend_end(p);
	page_plot_end(p, true);
}

void page_plot_cdf(const struct page *p, const struct bench_test *t)
{
	struct bench_hist h[BENCH_COLUMNS_MAX] = { { 0 } };
	struct page_scale s = { .low = 1e19, .high = 1 };
	bool any = false;

	for (size_t i = 0; i < t->n_column; i++) {
		if (bench_hist_merge(t->column[i], &h[i]))
			continue;
		if (!h[i].total)
			continue;
		any = true;
		/* The last thousandth would squeeze the rest. */
		scale_grow(&s, (double)bench_hist_percentile(&h[i], 0.001));
		scale_grow(&s, (double)bench_hist_percentile(&h[i], 0.999));
	}
	scale_end(&s, CDF_X0, PAGE_WIDTH - MARGIN);
	if (any)
		cdf_draw(p, t, h, &s);
	for (size_t i = 0; i < t->n_column; i++)
		free(h[i].bucket);
}
