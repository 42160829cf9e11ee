/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_CELLS_H
#define BENCH_CELLS_H

#include "bench/words.h"

/* The columns of a table that has a row for each mode, in a terminal and on a page. */

/**
 * struct bench_cell - one of them
 * @head:  heading; "" stands for the test's unit
 * @title: what it is, at length
 * @keep:  those with the lowest number go first where the terminal is too narrow
 * @left:  is text, not a number
 */
struct bench_cell {
	const char *head, *title;
	unsigned int keep;
	bool left;
	void (*text)(const struct bench_test *t, const struct bench_column *c, char *buf,
		     size_t size);
};

#define BENCH_CELLS	17
#define BENCH_CELL_SIZE 64
extern const struct bench_cell bench_cells[BENCH_CELLS];

/** bench_cell_used() - has any row of the test something there? */
bool bench_cell_used(const struct bench_test *t, const struct bench_cell *k);
/** bench_cell_head() - its heading in this test's table. */
const char *bench_cell_head(const struct bench_test *t, const struct bench_cell *k);

#endif
