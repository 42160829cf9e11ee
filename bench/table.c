// SPDX-License-Identifier: BSD-3-Clause
/* Results in a terminal: warnings first, a table for each test, then what could not run. */
#include <string.h>

#include "bench/cells.h"
#include "bench/report.h"

#define GAP 2

/* struct layout - width of each column of the table, 0 where it is left out */
struct layout {
	unsigned int width[BENCH_CELLS], total, dropped;
};

static void measure(const struct bench_test *t, struct layout *l)
{
	*l = (struct layout){ 0 };
	for (unsigned int k = 0; k < BENCH_CELLS; k++) {
		char buf[2 * BENCH_CELL_SIZE];

		if (!bench_cell_used(t, &bench_cells[k]))
			continue;
		l->width[k] = bench_width(bench_cell_head(t, &bench_cells[k]));
		for (size_t i = 0; i < t->n_column; i++) {
			bench_cells[k].text(t, t->column[i], buf, sizeof(buf));
			l->width[k] = MAX(l->width[k], bench_width(buf));
		}
		l->total += l->width[k] + GAP;
	}
}

/* Leave out what matters least until it fits; the first columns stay. */
static void shrink(struct layout *l, unsigned int width)
{
	while (l->total > width) {
		unsigned int least = BENCH_CELLS;

		for (unsigned int k = 3; k < BENCH_CELLS; k++)
			if (l->width[k] &&
			    (least == BENCH_CELLS || bench_cells[k].keep < bench_cells[least].keep))
				least = k;
		if (least == BENCH_CELLS)
			return;
		l->total -= l->width[least] + GAP;
		l->width[least] = 0;
		l->dropped++;
	}
}

static void print_row(const struct bench_test *t, const struct bench_column *c,
		      const struct layout *l, FILE *f)
{
	for (unsigned int k = 0; k < BENCH_CELLS; k++) {
		char buf[2 * BENCH_CELL_SIZE];

		if (!l->width[k])
			continue;
		if (c)
			bench_cells[k].text(t, c, buf, sizeof(buf));
		else
			snprintf(buf, sizeof(buf), "%s", bench_cell_head(t, &bench_cells[k]));
		fprintf(f, "%*s", GAP, "");
		bench_pad(f, buf, l->width[k], bench_cells[k].left);
	}
	if (c && bench_errors(c))
		fprintf(f, "  %lld FAILED", (long long)bench_errors(c));
	fputc('\n', f);
}

static void print_test(const struct bench_result *r, const struct bench_test *t, unsigned int width,
		       FILE *f)
{
	char text[BENCH_SENTENCE_SIZE];
	struct layout l;

	fprintf(f, "\n%s: %s (%s, %s is better)\n", t->name, t->title, bench_unit_text(t->unit),
		t->higher ? "more" : "less");
	measure(t, &l);
	if (width)
		shrink(&l, width);
	print_row(t, NULL, &l, f);
	for (size_t i = 0; i < t->n_column; i++)
		print_row(t, t->column[i], &l, f);
	if (l.dropped)
		fprintf(f, "  (%u more columns in a wider terminal)\n", l.dropped);
	fprintf(f, "  %s\n", bench_verdict(r, t, text));
}

/* What it does not name is all there is of it. */
static void print_skip(const struct bench_skip *k, FILE *f)
{
	const char *const words[] = { k->mode, k->vmm, k->test };
	bool any = false;

	fputs(" ", f);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (*words[i])
			fprintf(f, " %s", words[i]);
		any |= *words[i];
	}
	fprintf(f, "%s %s\n", any ? ":" : "", k->reason);
}

void bench_table(const struct bench_result *r, unsigned int width, FILE *f)
{
	for (size_t i = 0; i < r->n_warning; i++)
		fprintf(f, "%s: %s: %s\n", bench_level_name(r->warning[i].level),
			r->warning[i].about, r->warning[i].text);
	for (size_t i = 0; i < r->n_test; i++)
		print_test(r, r->test[i], width, f);
	if (r->n_skip)
		fputs("\nNot run:\n", f);
	for (size_t i = 0; i < r->n_skip; i++)
		print_skip(&r->skip[i], f);
}
