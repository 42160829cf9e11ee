/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PROTO_H
#define BENCH_PROTO_H

#include "bench/result.h"

/*
 * What the guest says on its serial port, a line each:
 *
 *	SLUICE-BENCH 1
 *	info KEY=VALUE ...
 *	start test=NAME		then waits for a byte, so that counters can be read: 'g' go,
 *				's' leave it out (nothing more is said of it)
 *	stop test=NAME		the same
 *	result test=NAME ops=N ns=N [bytes=N p50_ns=N p99_ns=N p999_ns=N max_ns=N errors=N]
 *	hist test=NAME UPPER_NS:COUNT ...
 *	skip test=NAME reason=...
 *	end status=N
 *
 * A kernel's own messages may stand between. The guest is the thing measured, so nothing it says is
 * believed without a check.
 */
enum bench_msg_kind {
	BENCH_MSG_NOISE,
	BENCH_MSG_HELLO,
	BENCH_MSG_INFO,
	BENCH_MSG_START,
	BENCH_MSG_STOP,
	BENCH_MSG_RESULT,
	BENCH_MSG_HIST,
	BENCH_MSG_SKIP,
	BENCH_MSG_END,
};

#define BENCH_MSG_BUCKETS 512
#define BENCH_MSG_VERSION 1

/**
 * struct bench_msg - one line, parsed
 * @test:   of START, STOP, RESULT, HIST, SKIP
 * @text:   reason of SKIP; all after the word of INFO
 * @status: of END; HELLO: the version
 * @ops: and the following: of RESULT, BENCH_NONE where not said
 * @bucket: of HIST, none below the one before it
 */
struct bench_msg {
	enum bench_msg_kind kind;
	char test[BENCH_NAME_SIZE];
	char text[BENCH_TEXT_SIZE];
	int64_t status;
	int64_t ops, ns, bytes, p50_ns, p99_ns, p999_ns, max_ns, errors;
	struct bench_bucket bucket[BENCH_MSG_BUCKETS];
	size_t n_bucket;
};

/**
 * bench_msg_parse() - read one line, not NUL-terminated, a trailing '\r' is fine
 * Return: 0, BENCH_MSG_NOISE for what is not of the protocol; -EBADMSG for a line that begins like
 * one of it and then is not; e says what is wrong.
 */
int bench_msg_parse(struct bench_msg *m, const char *line, size_t len, struct err *e);

/** bench_info_get() - the value of a key of an INFO line; false when it is not there. */
bool bench_info_get(const struct bench_msg *m, const char *key, char *out, size_t size);

#endif
