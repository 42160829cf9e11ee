/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_RESULT_PRIV_H
#define BENCH_RESULT_PRIV_H

#include "bench/result.h"

/* Of the file's lay-out; another number is refused. */
#define BENCH_SCHEMA 1

/* The members of a sample that are plain counts, for reader and writer alike. */
struct bench_count {
	const char *key;
	size_t off;
};
#define BENCH_COUNTS 13
extern const struct bench_count bench_counts[BENCH_COUNTS];

/** bench_clean() - copy what fits, as whole characters; what a terminal or JSON would not take is
 * replaced. */
void bench_clean(char *dst, size_t size, const char *text);
/** bench_is_word() - one or more letters, digits, . _ + : / - */
bool bench_is_word(const char *s);

/** bench_save() - fn writes path.new, which then replaces path; nothing is left when it fails. */
int bench_save(const char *path, const struct bench_result *r,
	       int (*fn)(const struct bench_result *r, FILE *f), struct err *e);

#endif
