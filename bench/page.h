/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H

#include "bench/words.h"

/* Parts of report.html. */

#define PAGE_REASONS 64

/**
 * struct page - one page in the making
 * @reason: reasons of exits in the whole result, so that each has one colour everywhere
 * @timing: may times be compared?
 */
struct page {
	FILE *f;
	const struct bench_result *r;
	const char *reason[PAGE_REASONS];
	unsigned int n_reason;
	bool timing;
};

/** page_text() - text, with what means something to HTML taken out of it. All that comes from a
 * result goes through here. */
void page_text(const struct page *p, const char *text);

/** struct page_paint - how something is filled: a colour, and a pattern over it where there is one
 */
struct page_paint {
	const char *colour, *pattern, *dash;
};
struct page_paint page_paint_column(const struct bench_column *c);
struct page_paint page_paint_reason(const struct page *p, unsigned int reason);
struct page_paint page_paint_cpu(enum bench_cpu cpu);

/** page_patterns() - the definitions that pattern names stand for; once a page. */
void page_patterns(const struct page *p);
extern const char page_style[];

/* The plots of a test: nothing is drawn where nothing was measured. */
void page_plot_figure(const struct page *p, const struct bench_test *t);
void page_plot_work(const struct page *p, const struct bench_test *t);
void page_plot_latency(const struct page *p, const struct bench_test *t);
void page_plot_exits(const struct page *p, const struct bench_test *t);
void page_plot_cpu(const struct page *p, const struct bench_test *t);
void page_plot_cdf(const struct page *p, const struct bench_test *t);

/* What plots are drawn with; all of it is PAGE_WIDTH units wide, about a phone's pixels. */
#define PAGE_WIDTH 360
void page_plot_begin(const struct page *p, const char *title, const char *sub, double height);
/** page_plot_end() - timed: the plot shows times, which may not be comparable. */
void page_plot_end(const struct page *p, bool timed);
void page_bar(const struct page *p, double x, double y, double w, double h,
	      struct page_paint paint);
void page_line(const struct page *p, const char *class, double x1, double y1, double x2, double y2);
/** page_label() - anchor: "start", "middle" or "end" */
void page_label(const struct page *p, const char *class, double x, double y, const char *anchor,
		const char *text);
/** page_legend() - below a plot, between page_legend_begin() and _end(). */
void page_legend_begin(const struct page *p);
void page_legend(const struct page *p, struct page_paint paint, const char *text);
void page_legend_end(const struct page *p);

/** struct page_scale - a logarithmic axis of nanoseconds */
struct page_scale {
	double low, high; /* powers of ten around the data */
	double x0, x1;
};
double page_scale_x(const struct page_scale *s, double ns);
void page_scale_axis(const struct page *p, const struct page_scale *s, double top, double bottom);

#endif
