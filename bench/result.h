/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include <stdio.h>
#include "base/err.h"

/*
 * What a benchmark found, as result.json holds it: tests, their columns (a mode of I/O under a
 * VMM), the samples of each, and what must be known to trust them.
 *
 * A result belongs to its maker: bench_result_init(), bench_result_free(). What the *_add()
 * functions return stays where it is until the result is freed, but for samples, which stay until
 * the column gets its next one. They return NULL without memory, or beyond a limit below.
 */

/* "Not measured": null or absent in the file, a dash in tables, never taken for 0. */
#define BENCH_NONE (-1)

/* Sizes of the strings, with their end, and of the lists. The reader refuses more; the functions
 * that fill a result cut a string at a character's end and refuse an entry too many. */
#define BENCH_WORD_SIZE	    48	/* modes, VMMs, reasons of exits, keys */
#define BENCH_NAME_SIZE	    96	/* names of tests, versions, dates */
#define BENCH_TEXT_SIZE	    600 /* sentences and values */
#define BENCH_ENV_MAX	    256
#define BENCH_WARNINGS_MAX  256
#define BENCH_SKIPPED_MAX   1024
#define BENCH_TESTS_MAX	    256
#define BENCH_COLUMNS_MAX   32
#define BENCH_SAMPLES_MAX   4096
#define BENCH_BUCKETS_MAX   2048
#define BENCH_EXITS_MAX	    64
#define BENCH_FILE_SIZE_MAX (64u << 20)

/** struct bench_bucket - @count operations took at most @upper_ns, and more than the bucket below
 */
struct bench_bucket {
	int64_t upper_ns, count;
};

/** struct bench_exit - how often the guest left for one reason: "pio", "mmio", "ioeventfd", "halt"
 */
struct bench_exit {
	char reason[BENCH_WORD_SIZE];
	int64_t count;
};

/* Threads whose CPU time is told apart. */
enum bench_cpu { BENCH_CPU_VCPU, BENCH_CPU_IO, BENCH_CPU_BACKEND, BENCH_CPUS };

/**
 * struct bench_sample - one run of one test in one mode; every number is BENCH_NONE or >= 0
 * @round: which round of the interleaved run, from 0
 * @order: the position in that round at which this column ran, from 0
 * @ns:    how long the load ran; with @ops and @bytes it gives the throughput
 * @p50_ns: @p99_ns: @p999_ns: latency of an operation
 * @hist:  latencies, ascending by upper_ns
 * @exit:  VM exits by reason; none when @exits_known is false
 * @cpu_ns: host CPU time by enum bench_cpu
 * @page_size: of the host's pages behind guest RAM
 */
struct bench_sample {
	int64_t round, order;
	int64_t ns, ops, bytes, errors;
	int64_t p50_ns, p99_ns, p999_ns;
	struct bench_bucket *hist;
	size_t n_hist;
	struct bench_exit *exit;
	size_t n_exit;
	bool exits_known;
	int64_t interrupts, cpu_ns[BENCH_CPUS], syscalls, page_size, instructions;
};

/** struct bench_column - one mode under one VMM; mode "none" where a test has no device */
struct bench_column {
	char mode[BENCH_WORD_SIZE]; /* "emulated", "virtio", "vhost-user", "vfio", ... */
	char vmm[BENCH_WORD_SIZE];  /* "sluice", "qemu" */
	struct bench_sample *sample;
	size_t n_sample;
};

/* What a test's figure is, and how it is made from a sample. */
enum bench_unit {
	BENCH_OPS,	    /* "ops/s": ops over ns */
	BENCH_PACKETS,	    /* "packets/s": the same, where operations are packets */
	BENCH_BYTES,	    /* "B/s": bytes over ns */
	BENCH_NS,	    /* "ns": ns over ops */
	BENCH_INSTRUCTIONS, /* "instructions": instructions over ops */
	BENCH_UNITS
};

/** struct bench_test - one load; @name is a word for programs, @title is for people */
struct bench_test {
	char name[BENCH_NAME_SIZE], title[BENCH_NAME_SIZE];
	enum bench_unit unit;
	bool higher; /* is more of the unit better? */
	struct bench_column **column;
	size_t n_column;
};

/** struct bench_env - one line of the environment's fingerprint: a text, or a number */
struct bench_env {
	char key[BENCH_WORD_SIZE];
	bool is_num;
	double num;
	char text[BENCH_TEXT_SIZE];
};

/* BENCH_REFUSE: no timing of this result may be compared. */
enum bench_level { BENCH_NOTE, BENCH_WARN, BENCH_REFUSE, BENCH_LEVELS };

/** struct bench_warning - why a comparison may be unfair; about: "build", "kvm", "load", ... */
struct bench_warning {
	enum bench_level level;
	char about[BENCH_WORD_SIZE];
	char text[BENCH_TEXT_SIZE];
};

/** struct bench_skip - what could not run, and why; test "" stands for all of the mode */
struct bench_skip {
	char mode[BENCH_WORD_SIZE], vmm[BENCH_WORD_SIZE], test[BENCH_NAME_SIZE];
	char reason[BENCH_TEXT_SIZE];
};

/** struct bench_result - all of it; date is ISO 8601 */
struct bench_result {
	char version[BENCH_NAME_SIZE], date[BENCH_NAME_SIZE], command[BENCH_TEXT_SIZE];
	struct bench_env *env;
	size_t n_env;
	struct bench_warning *warning;
	size_t n_warning;
	struct bench_skip *skip;
	size_t n_skip;
	struct bench_test **test;
	size_t n_test;
};

/** bench_result_init() - empty, with today's date; bench_result_free() is safe on it and again. */
void bench_result_init(struct bench_result *r, const char *version, const char *command);
void bench_result_free(struct bench_result *r);

/* Filling. 0 or -errno. In texts, control characters and what is not UTF-8 become blanks and '?';
 * in names (modes, VMMs, tests, keys, reasons), what is no letter, digit or one of . _ + : / -
 * becomes
 * '-'. A key that is there already gets the new value. */
int bench_env_str(struct bench_result *r, const char *key, const char *fmt, ...) __printf(3, 4);
int bench_env_num(struct bench_result *r, const char *key, double num);
int bench_warn(struct bench_result *r, enum bench_level level, const char *about, const char *fmt,
	       ...) __printf(4, 5);
int bench_skip_add(struct bench_result *r, const char *mode, const char *vmm, const char *test,
		   const char *fmt, ...) __printf(5, 6);

/** bench_test_add() - the test of this name, made when it is not there yet. */
struct bench_test *bench_test_add(struct bench_result *r, const char *name, const char *title,
				  enum bench_unit unit, bool higher);
/** bench_column_add() - the column of this mode and VMM, made when it is not there yet. */
struct bench_column *bench_column_add(struct bench_test *t, const char *mode, const char *vmm);
/** bench_sample_add() - a new sample in which nothing is measured yet. */
struct bench_sample *bench_sample_add(struct bench_column *c);
/** bench_sample_exit() - add count to a reason; count 0 says that the reason was looked at. */
int bench_sample_exit(struct bench_sample *s, const char *reason, int64_t count);
/** bench_sample_bucket() - append a bucket; upper_ns must ascend. */
int bench_sample_bucket(struct bench_sample *s, int64_t upper_ns, int64_t count);

/* Looking. NULL when it is not there. */
const struct bench_env *bench_env_find(const struct bench_result *r, const char *key);
const struct bench_test *bench_test_find(const struct bench_result *r, const char *name);
const struct bench_column *bench_column_find(const struct bench_test *t, const char *mode,
					     const char *vmm);

/** bench_timing_ok() - may times be compared? false when a warning of this result refuses it:
 * then counts and ratios of instructions are all that it can say. */
bool bench_timing_ok(const struct bench_result *r);

/* Words of the enums as the file has them: "ops/s", "warn", "vcpu". */
const char *bench_unit_name(enum bench_unit unit);
const char *bench_level_name(enum bench_level level);
const char *bench_cpu_name(enum bench_cpu cpu);

/** bench_result_json() - the text of result.json, to be freed; NULL without memory. */
char *bench_result_json(const struct bench_result *r);
/** bench_result_save() - write result.json under another name, then rename it into place. */
int bench_result_save(const struct bench_result *r, const char *path, struct err *e);

/**
 * bench_result_parse() - read result.json, which anybody may have written
 * Strict: an unknown member, a wrong type, a list or string beyond its limit, a name with other
 * characters than names have, a negative count: each is an error that names the member
 * ("tests[2].columns[0].samples[1].ns"). Return: 0, or -errno with e filled and r empty.
 */
int bench_result_parse(struct bench_result *r, const char *text, size_t len, struct err *e);
int bench_result_load(struct bench_result *r, const char *path, struct err *e);

#endif
