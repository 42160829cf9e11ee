/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#include "bench/stat.h"

/* Numbers and sentences, as table, page and comparison print them. NAN is a dash. */

#define BENCH_NUM_SIZE 32

/** bench_num_figure() - in a test's unit: "41.2 k", "1.25 G", "3.1 µs"; returns buf. */
char *bench_num_figure(char buf[BENCH_NUM_SIZE], double v, enum bench_unit unit);
/** bench_num_ns() - "870 ns", "3.1 µs"; bench_num_count() - "0.02", "1.98", "12". */
char *bench_num_ns(char buf[BENCH_NUM_SIZE], double ns);
char *bench_num_count(char buf[BENCH_NUM_SIZE], double v);
/** bench_num_times() - a ratio: "1.04", "12". */
char *bench_num_times(char buf[BENCH_NUM_SIZE], double ratio);
/** bench_num_bytes() - "4 KiB". */
char *bench_num_bytes(char buf[BENCH_NUM_SIZE], double v);

/** bench_width() - columns of a terminal that a text takes; bench_pad() - print it in at least so
 * many. */
unsigned int bench_width(const char *s);
void bench_pad(FILE *f, const char *text, unsigned int width, bool left);

/** bench_unit_text() - "ops/s" for a heading, without the SI prefix; what one operation is called.
 */
const char *bench_unit_text(enum bench_unit unit);
const char *bench_op_word(const struct bench_test *t);
/** bench_column_name() - "virtio", "virtio (qemu)" for another VMM's, "qemu" where there is no
 * device; returns buf. */
#define BENCH_COLUMN_SIZE (2 * BENCH_WORD_SIZE + 4)
char *bench_column_name(char buf[BENCH_COLUMN_SIZE], const struct bench_column *c);

/** bench_is_time() - is the figure made of wall-clock time? Instructions are not. */
bool bench_is_time(enum bench_unit unit);
/** bench_comparable() - may the figures of this test be compared at all, in this result? */
bool bench_comparable(const struct bench_result *r, const struct bench_test *t);
/** bench_speed() - the ratio as a speed: how many times as fast as a is b; NAN-safe. */
void bench_speed(const struct bench_test *t, const struct bench_column *a,
		 const struct bench_column *b, unsigned int family, struct bench_ratio *out);

/** bench_base() - the column that the others of a test are measured against: emulated if it is
 * there and was measured; NULL when nothing was. */
const struct bench_column *bench_base(const struct bench_test *t);

/** bench_times_text() - a metric against the base's, with the interval: "0.43 (0.41 to 0.45)",
 * "0.43
 * ?" of too few samples, "1" of the base itself, "-" of what was not measured; returns buf. */
char *bench_times_text(const struct bench_test *t, const struct bench_column *c,
		       enum bench_metric m, char *buf, size_t size);
/** bench_has_work() - were instructions counted in any column? */
bool bench_has_work(const struct bench_test *t);

/* Sentences of at most this many bytes; longer ones are cut. */
#define BENCH_SENTENCE_SIZE 900

/** bench_verdict() - who is fastest and by how much, or why nobody can say; returns buf. */
char *bench_verdict(const struct bench_result *r, const struct bench_test *t,
		    char buf[BENCH_SENTENCE_SIZE]);
/** bench_explain() - what the counters say of a column against the base; false: nothing to say. */
bool bench_explain(const struct bench_result *r, const struct bench_test *t,
		   const struct bench_column *c, char buf[BENCH_SENTENCE_SIZE]);

#endif
