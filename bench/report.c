// SPDX-License-Identifier: BSD-3-Clause
/*
 * report.html: what ran, what to be wary of and on which host, then a section for each test. One
 * file that fetches nothing and runs nothing, which its content security policy also says, so that
 * it can be mailed and opened anywhere.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/cells.h"
#include "bench/page.h"
#include "bench/report.h"
#include "bench/result_priv.h"

/* ---- what the page needs to know first */

static void find_reasons(struct page *p)
{
	for (size_t i = 0; i < p->r->n_test; i++)
		for (size_t k = 0; k < p->r->test[i]->n_column; k++) {
			const struct bench_column *c = p->r->test[i]->column[k];
			const struct bench_sample *s = c->sample;

			/* All samples of a column count the same reasons. */
			for (size_t m = 0; c->n_sample && m < s->n_exit; m++) {
				unsigned int n = 0;

				while (n < p->n_reason &&
				       strcmp(p->reason[n], s->exit[m].reason) != 0)
					n++;
				if (n == p->n_reason && n < PAGE_REASONS)
					p->reason[p->n_reason++] = s->exit[m].reason;
			}
		}
}

/* Columns of the table of all tests: each mode and VMM once, in the order of their first test. */
static unsigned int all_columns(const struct bench_result *r,
				const struct bench_column *out[BENCH_COLUMNS_MAX])
{
	unsigned int n = 0;

	for (size_t i = 0; i < r->n_test; i++)
		for (size_t k = 0; k < r->test[i]->n_column; k++) {
			const struct bench_column *c = r->test[i]->column[k];
			unsigned int m = 0;

			while (m < n && (strcmp(out[m]->mode, c->mode) != 0 ||
					 strcmp(out[m]->vmm, c->vmm) != 0))
				m++;
			if (m == n && n < BENCH_COLUMNS_MAX)
				out[n++] = c;
		}
	return n;
}

/* ---- top of the page */

/* Our modes, and who else ran: "emulated, virtio and vfio, next to qemu". */
static void heading(const struct page *p)
{
	const struct bench_column *c[BENCH_COLUMNS_MAX];
	unsigned int n = all_columns(p->r, c), ours = 0, left;
	const char *peer = NULL;

	for (unsigned int i = 0; i < n; i++) {
		if (strcmp(c[i]->vmm, "sluice") != 0)
			peer = c[i]->vmm;
		else if (strcmp(c[i]->mode, "none") != 0)
			c[ours++] = c[i];
	}
	left = ours;
	fputs("<h1>", p->f);
	for (unsigned int i = 0; i < ours; i++, left--) {
		fputs(!i ? "" : left == 1 ? " and " : ", ", p->f);
		page_text(p, c[i]->mode);
	}
	if (!ours)
		fprintf(p->f, "%zu test%s", p->r->n_test, p->r->n_test == 1 ? "" : "s");
	if (peer) {
		fputs(", next to ", p->f);
		page_text(p, peer);
	}
	fputs("</h1>\n", p->f);
}

static void head(const struct page *p)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'\">\n<title>sluice bench, ",
	      p->f);
	page_text(p, p->r->date);
	fprintf(p->f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", page_style);
	page_patterns(p);
	fputs("<header>\n<p class=\"eyebrow\">sluice bench ", p->f);
	page_text(p, p->r->version);
	fputs(", ", p->f);
	page_text(p, p->r->date);
	fputs("</p>\n", p->f);
	heading(p);
	fputs("<p class=\"sub\"><code>", p->f);
	page_text(p, p->r->command);
	fputs("</code></p>\n</header>\n<main>\n", p->f);
}

static void warnings(const struct page *p)
{
	static const char *const words[BENCH_LEVELS] = { "Note", "Warning", "Not comparable" };

	if (!p->r->n_warning)
		return;
	fputs("<ul class=\"warnings\">\n", p->f);
	/* The gravest first. */
	for (int level = BENCH_LEVELS - 1; level >= 0; level--)
		for (size_t i = 0; i < p->r->n_warning; i++) {
			const struct bench_warning *w = &p->r->warning[i];

			if ((int)w->level != level)
				continue;
			fprintf(p->f, "<li class=\"%s\"><b>%s, ", bench_level_name(w->level),
				words[level]);
			page_text(p, w->about);
			fputs(":</b> ", p->f);
			page_text(p, w->text);
			fputs("</li>\n", p->f);
		}
	fputs("</ul>\n", p->f);
}

/* What stands for a test: its figure, or where times say nothing its work, or else its exits. */
static enum bench_metric glance_metric(const struct page *p, const struct bench_test *t)
{
	if (bench_comparable(p->r, t))
		return BM_FIGURE;
	return bench_has_work(t) ? BM_INSTRUCTIONS : BM_EXITS_USER;
}

static const char *glance_unit(const struct page *p, const struct bench_test *t)
{
	switch (glance_metric(p, t)) {
	case BM_FIGURE:
		return bench_unit_text(t->unit);
	case BM_INSTRUCTIONS:
		return "instructions per operation";
	default:
		return t->unit == BENCH_PACKETS ? "exits to user space per packet"
						: "exits to user space per operation";
	}
}

/* What one mode did in one test. */
static void glance_cell(const struct page *p, const struct bench_test *t,
			const struct bench_column *c)
{
	const struct bench_column *base = bench_base(t);
	enum bench_metric m = glance_metric(p, t);
	char num[BENCH_NUM_SIZE];
	struct bench_ratio x;
	double v = c ? bench_column_median(c, t->unit, m) : (double)NAN;

	fputs("<td>", p->f);
	if (isnan(v)) {
		fputs("–</td>", p->f);
		return;
	}
	page_text(p, m == BM_FIGURE ? bench_num_figure(num, v, t->unit) : bench_num_count(num, v));
	if (m != BM_EXITS_USER && base && base != c) {
		if (m == BM_FIGURE)
			bench_speed(t, base, c, (unsigned int)t->n_column, &x);
		else
			bench_ratio_columns(base, c, t->unit, m, (unsigned int)t->n_column, &x);
		if (x.verdict == BENCH_SAME)
			fputs("<small>no difference</small>", p->f);
		else
			fprintf(p->f, "<small>× %s%s</small>", bench_num_times(num, x.ratio),
				x.verdict == BENCH_UNKNOWN ? " ?" : "");
	}
	fputs("</td>", p->f);
}

static const char *group_of(const struct bench_test *t)
{
	return !strncmp(t->name, "net-", 4)    ? "Network"
	       : !strncmp(t->name, "disk-", 5) ? "Disk"
					       : "CPU and memory";
}

/* A line above the first test of a group, where there is more than one. */
static void glance_group(const struct page *p, size_t i, unsigned int columns)
{
	const char *group = group_of(p->r->test[i]);
	bool more = false;

	if (i && group_of(p->r->test[i - 1]) == group)
		return;
	for (size_t k = 0; k < p->r->n_test; k++)
		more |= group_of(p->r->test[k]) != group;
	if (more)
		fprintf(p->f, "<tr class=\"group\"><th colspan=\"%u\">%s</th></tr>\n", columns + 1,
			group);
}

static void glance(const struct page *p)
{
	const struct bench_column *c[BENCH_COLUMNS_MAX];
	unsigned int n = all_columns(p->r, c);
	char name[BENCH_COLUMN_SIZE];

	if (!p->r->n_test)
		return;
	fputs("<h2>At a glance</h2>\n<div class=\"scroll glance\"><table>\n<tr><th>test</th>",
	      p->f);
	for (unsigned int k = 0; k < n; k++) {
		fputs("<th>", p->f);
		page_text(p, bench_column_name(name, c[k]));
		fputs("</th>", p->f);
	}
	fputs("</tr>\n", p->f);
	for (size_t i = 0; i < p->r->n_test; i++) {
		const struct bench_test *t = p->r->test[i];

		glance_group(p, i, n);
		fprintf(p->f, "<tr><td><a href=\"#t%zu\">", i);
		page_text(p, t->title);
		fprintf(p->f, "</a><small>%s</small></td>", glance_unit(p, t));
		for (unsigned int k = 0; k < n; k++)
			glance_cell(p, t, bench_column_find(t, c[k]->mode, c[k]->vmm));
		fputs("</tr>\n", p->f);
	}
	fprintf(p->f, "</table></div>\n<p class=\"sub\">%s</p>\n",
		p->timing
			? "× is the speed against emulated, or else the first mode that was measured; "
			  "“?” marks too few samples to be sure."
			: "Where times may not be compared, instructions or exits to user space for each "
			  "operation stand in their place; × is the number against emulated's, or else "
			  "the first mode's, “?” marks too few samples to be sure.");
}

static void environment(const struct page *p)
{
	if (!p->r->n_env)
		return;
	fputs("<h2>The host</h2>\n<dl class=\"env\">\n", p->f);
	for (size_t i = 0; i < p->r->n_env; i++) {
		const struct bench_env *v = &p->r->env[i];

		fputs("<div><dt>", p->f);
		page_text(p, v->key);
		fputs("</dt><dd>", p->f);
		if (v->is_num)
			fprintf(p->f, "%.10g", v->num);
		else
			page_text(p, v->text);
		fputs("</dd></div>\n", p->f);
	}
	fputs("</dl>\n", p->f);
}

static void skipped(const struct page *p)
{
	if (!p->r->n_skip)
		return;
	fputs("<h2>Not run</h2>\n<div class=\"scroll\"><table>\n"
	      "<tr><th>mode</th><th class=\"text\">test</th><th class=\"text\">why</th></tr>\n",
	      p->f);
	for (size_t i = 0; i < p->r->n_skip; i++) {
		const struct bench_skip *k = &p->r->skip[i];

		fputs("<tr><td>", p->f);
		page_text(p, *k->mode ? k->mode : "all");
		if (*k->vmm && strcmp(k->vmm, "sluice") != 0) {
			fputs(" (", p->f);
			page_text(p, k->vmm);
			fputs(")", p->f);
		}
		fputs("</td><td class=\"text\">", p->f);
		page_text(p, *k->test ? k->test : "all");
		fputs("</td><td class=\"text wrap\">", p->f);
		page_text(p, k->reason);
		fputs("</td></tr>\n", p->f);
	}
	fputs("</table></div>\n", p->f);
}

/* ---- a test */

static void explanations(const struct page *p, const struct bench_test *t)
{
	char text[BENCH_SENTENCE_SIZE];
	bool any = false;

	for (size_t i = 0; i < t->n_column; i++) {
		if (!bench_explain(p->r, t, t->column[i], text))
			continue;
		fputs(any ? "<li>" : "<ul class=\"why\">\n<li>", p->f);
		any = true;
		page_text(p, text);
		fputs("</li>\n", p->f);
	}
	if (any)
		fputs("</ul>\n", p->f);
}

static void test_row(const struct page *p, const struct bench_test *t, const struct bench_column *c)
{
	char text[2 * BENCH_CELL_SIZE];

	fputs("<tr>", p->f);
	for (unsigned int k = 0; k < BENCH_CELLS; k++) {
		if (!bench_cell_used(t, &bench_cells[k]))
			continue;
		bench_cells[k].text(t, c, text, sizeof(text));
		fputs(bench_cells[k].left ? "<td class=\"text\">" : "<td>", p->f);
		page_text(p, strcmp(text, "-") ? text : "–");
		fputs("</td>", p->f);
	}
	if (bench_errors(c))
		fprintf(p->f, "<td>%lld failed</td>", (long long)bench_errors(c));
	fputs("</tr>\n", p->f);
}

static void test_table(const struct page *p, const struct bench_test *t)
{
	fputs("<div class=\"scroll fine\"><table>\n<tr>", p->f);
	for (unsigned int k = 0; k < BENCH_CELLS; k++)
		if (bench_cell_used(t, &bench_cells[k]))
			fprintf(p->f, "<th%s title=\"%s\">%s</th>",
				bench_cells[k].left ? " class=\"text\"" : "", bench_cells[k].title,
				bench_cell_head(t, &bench_cells[k]));
	fputs("</tr>\n", p->f);
	for (size_t i = 0; i < t->n_column; i++)
		test_row(p, t, t->column[i]);
	fputs("</table></div>\n", p->f);
}

static void test_section(const struct page *p, const struct bench_test *t, size_t i)
{
	char text[BENCH_SENTENCE_SIZE];

	fprintf(p->f, "<section>\n<h2 id=\"t%zu\">", i);
	page_text(p, t->title);
	fputs("</h2>\n<p class=\"sub\"><code>", p->f);
	page_text(p, t->name);
	fputs("</code></p>\n<p class=\"verdict\">", p->f);
	page_text(p, bench_verdict(p->r, t, text));
	fputs("</p>\n", p->f);
	explanations(p, t);
	fputs("<div class=\"plots\">\n", p->f);
	/* What can be relied on comes first. */
	page_plot_work(p, t);
	if (!p->timing)
		page_plot_exits(p, t);
	page_plot_figure(p, t);
	if (p->timing)
		page_plot_exits(p, t);
	page_plot_latency(p, t);
	page_plot_cpu(p, t);
	page_plot_cdf(p, t);
	fputs("</div>\n", p->f);
	test_table(p, t);
	fputs("</section>\n", p->f);
}

int bench_report(const struct bench_result *r, FILE *f)
{
	struct page p = { .f = f, .r = r, .timing = bench_timing_ok(r) };

	find_reasons(&p);
	head(&p);
	warnings(&p);
	glance(&p);
	for (size_t i = 0; i < r->n_test; i++)
		test_section(&p, r->test[i], i);
	skipped(&p);
	environment(&p);
	fputs("<footer>Figures are medians; intervals hold the median at 95 % by bootstrap over the runs, which "
	      "were interleaved. Two modes differ when the interval of their ratio leaves out 1 and the ranks "
	      "of the samples agree. A dash is what was not measured. All samples are in result.json."
	      "</footer>\n</main>\n</body>\n</html>\n",
	      f);
	return ferror(f) ? -EIO : 0;
}

int bench_report_save(const struct bench_result *r, const char *path, struct err *e)
{
	return bench_save(path, r, bench_report, e);
}
