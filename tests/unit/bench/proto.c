// SPDX-License-Identifier: BSD-3-Clause
/* What the guest says: lines of the protocol, noise, and what only looks like it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/proto.h"

static struct bench_msg m;

static int parse(const char *line)
{
	return bench_msg_parse(&m, line, strlen(line), NULL);
}

static void test_lines(void **state)
{
	char v[16];

	assert_int_equal(parse("SLUICE-BENCH 1\r"), 0);
	assert_int_equal(m.kind, BENCH_MSG_HELLO);
	assert_int_equal(m.status, 1);
	assert_int_equal(parse("info tsc_hz=2000000000 ring=3"), 0);
	assert_int_equal(m.kind, BENCH_MSG_INFO);
	assert_true(bench_info_get(&m, "ring", v, sizeof(v)));
	assert_string_equal(v, "3");
	assert_false(bench_info_get(&m, "hz", v, sizeof(v)));
	assert_int_equal(parse("start test=disk-read"), 0);
	assert_int_equal(m.kind, BENCH_MSG_START);
	assert_string_equal(m.test, "disk-read");
	assert_int_equal(parse("stop test=disk-read"), 0);
	assert_int_equal(m.kind, BENCH_MSG_STOP);
	assert_int_equal(parse("end status=3"), 0);
	assert_int_equal(m.kind, BENCH_MSG_END);
	assert_int_equal(m.status, 3);
}

static void test_result(void **state)
{
	assert_int_equal(parse("result test=a ops=5 ns=9223372036854775807 later=x p50_ns=7"), 0);
	assert_int_equal(m.kind, BENCH_MSG_RESULT);
	assert_int_equal(m.ops, 5);
	assert_true(m.ns == INT64_MAX);
	assert_int_equal(m.p50_ns, 7);
	assert_int_equal(m.p99_ns, BENCH_NONE);
	assert_int_equal(parse("hist test=a 10:1 10:2 4000:0"), 0);
	assert_int_equal(m.n_bucket, 3);
	assert_int_equal(m.bucket[1].count, 2);
	assert_int_equal(parse("skip test=net-rx reason=there is no NIC"), 0);
	assert_int_equal(m.kind, BENCH_MSG_SKIP);
	assert_string_equal(m.test, "net-rx");
	assert_string_equal(m.text, "there is no NIC");
}

static void test_noise(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"[    0.0] Linux version",
		"end of trace",
		"starting",
		"stop",
		"result of the day",
		"info",
		"hist",
		"SLUICE-BENCHMARK 1",
		"\x01\xff\xfe",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i]), 0);
		assert_int_equal(m.kind, BENCH_MSG_NOISE);
	}
	assert_int_equal(bench_msg_parse(&m, "end status=0\0x", 14, NULL), 0);
	assert_int_equal(m.kind, BENCH_MSG_NOISE);
}

static void test_broken(void **state)
{
	static const char *const lines[] = {
		"SLUICE-BENCH x",
		"SLUICE-BENCH -1",
		"SLUICE-BENCH 99999999999999999999",
		"start test=",
		"start test=a/b",
		"start test=../../etc",
		"start test=a\"b",
		"stop test=a b",
		"result test=a",
		"result test=a ops=1",
		"result test=a ops=-1 ns=1",
		"result test=a ops=1e9 ns=1",
		"result test=a ops=9223372036854775808 ns=1",
		"result test=a ops= ns=1",
		"hist test=a 10",
		"hist test=a 10:",
		"hist test=a :1",
		"hist test=a 20:1 10:1",
		"hist test=a 1:99999999999999999999",
		"skip test=",
		"end status=",
		"end status=0x1",
	};
	struct err e = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		if (bench_msg_parse(&m, lines[i], strlen(lines[i]), &e) != -EBADMSG)
			fail_msg("taken: %s", lines[i]);
	assert_non_null(strstr(e.text, "end status=0x1"));
}

/* Names and lists that are longer than what holds them. */
static void test_long(void **state)
{
	char line[4000] = "start test=";
	size_t n;
	int i;

	memset(line + strlen(line), 'a', BENCH_NAME_SIZE);
	assert_int_equal(parse(line), -EBADMSG);
	line[strlen("start test=") + BENCH_NAME_SIZE - 1] = 0;
	assert_int_equal(parse(line), 0);
	n = (size_t)snprintf(line, sizeof(line), "hist test=a");
	for (i = 0; i < BENCH_MSG_BUCKETS + 1; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %d:1", i);
	assert_int_equal(parse(line), -EBADMSG);
	*strrchr(line, ' ') = 0;
	assert_int_equal(parse(line), 0);
	assert_int_equal(m.n_bucket, BENCH_MSG_BUCKETS);
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "skip test=a reason=", strlen("skip test=a reason="));
	line[sizeof(line) - 1] = 0;
	assert_int_equal(parse(line), 0);
	assert_int_equal(strlen(m.text), sizeof(m.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_result),
		cmocka_unit_test(test_noise), cmocka_unit_test(test_broken),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
