/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/result.h"

/* What is made of results: a table for the terminal, a page for the browser, a comparison. */

/** bench_table() - a table of each test, what was skipped, and the warnings; width of the terminal
 * in columns, 0 for any. */
void bench_table(const struct bench_result *r, unsigned int width, FILE *f);

/** bench_report() - report.html: one page that holds all it needs. Return: 0 or -EIO or -ENOMEM. */
int bench_report(const struct bench_result *r, FILE *f);
/** bench_report_save() - the same into a file, under another name, then renamed into place. */
int bench_report_save(const struct bench_result *r, const char *path, struct err *e);

/**
 * bench_compare() - say for each test and column of two result.json files whether they differ
 * Return: 0: no difference found; 1: at least one; -errno with e filled, -ENODATA when nothing
 * could be compared.
 */
int bench_compare(const char *a, const char *b, FILE *out, struct err *e);

#endif
