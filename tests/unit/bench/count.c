// SPDX-License-Identifier: BSD-3-Clause
/* Counters of a running machine: of its own statistics, of the kernel's text about its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/bench.h"

static const char *const stat_text[] = {
	"{\"exits\":{\"pio\":100,\"mmio\":10,\"hlt\":0,\"total\":110},\"regions\":[{\"name\":"
	"\"serial0\",\"reads\":30,\"writes\":60}],\"vcpus\":[{\"accel\":{\"exits\":200,\"halt_exits\":"
	"1,\"irq_exits\":2,\"io_exits\":100,\"irq_injections\":5}}]}",
	"{\"exits\":{\"pio\":125,\"mmio\":40,\"hlt\":1,\"total\":166},\"regions\":[{\"name\":"
	"\"serial0\",\"reads\":35,\"writes\":80}],\"vcpus\":[{\"accel\":{\"exits\":300,\"halt_exits\":"
	"5,\"irq_exits\":4,\"io_exits\":135,\"irq_injections\":8}}]}",
};

static int64_t exits(const struct bench_sample *s, const char *reason)
{
	size_t i;

	for (i = 0; i < s->n_exit; i++)
		if (!strcmp(s->exit[i].reason, reason))
			return s->exit[i].count;
	return -1;
}

static void test_counts(void **state)
{
	struct bench_counts c[2] = { 0 };
	struct bench_result r;
	struct bench_sample *s;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		json_t *o = json_loads(stat_text[i], 0, NULL);

		assert_non_null(o);
		bench_count_stat(o, &c[i]);
		json_decref(o);
	}
	bench_result_init(&r, "", "");
	s = bench_sample_add(
		bench_column_add(bench_test_add(&r, "x", "x", BENCH_OPS, true), "m", "v"));
	c[0].syscalls = BENCH_NONE;
	c[0].instructions = 1000;
	c[1].instructions = 7000;
	bench_count_delta(&c[0], &c[1], s);
	assert_true(s->exits_known);
	assert_int_equal(exits(s, "pio"), 0); /* 25 more, 25 of them the serial port's */
	assert_int_equal(exits(s, "mmio"), 30);
	assert_int_equal(exits(s, "hlt"), 1);
	assert_int_equal(exits(s, "kernel-pio"), 10);
	assert_int_equal(exits(s, "kernel-halt"), 4);
	assert_int_equal(exits(s, "kernel-irq"), 2);
	assert_int_equal(exits(s, "kernel-other"), 100 - 56 - 10 - 4 - 2);
	assert_int_equal(s->interrupts, 3);
	assert_int_equal(s->syscalls, BENCH_NONE);
	assert_int_equal(s->instructions, 6000);
	/* 25 times back into the guest from its serial port */
	c[0].syscalls = 10;
	c[1].syscalls = 50;
	bench_count_delta(&c[0], &c[1], s);
	assert_int_equal(s->syscalls, 15);
	c[1].syscalls = 20;
	bench_count_delta(&c[0], &c[1], s);
	assert_int_equal(s->syscalls, 0);
	bench_result_free(&r);
}

/* No work, less than none, or not known on one side: absent, never 0. */
static void test_no_work(void **state)
{
	static const int64_t work[][2] = {
		{ 5, 5 }, { 5, 4 }, { BENCH_NONE, 5 }, { 5, BENCH_NONE }, { BENCH_NONE, BENCH_NONE }
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(work); i++) {
		struct bench_counts a = { .instructions = work[i][0] },
				    b = { .instructions = work[i][1] };
		struct bench_sample s = { 0 };

		bench_count_delta(&a, &b, &s);
		assert_int_equal(s.instructions, BENCH_NONE);
	}
}

/* A mapping as /proc/PID/smaps has it; sizes in KiB. */
#define MAP(perms, size, page, huge)                                                       \
	"7f0000000000-7f0004000000 " perms " 00000000 00:01 7   /memfd:ram (deleted)\n"    \
	"Size:              " size " kB\nKernelPageSize:        " page " kB\nRss:  1 kB\n" \
	"AnonHugePages:     " huge                                                         \
	" kB\nShmemPmdMapped:        0 kB\nVmFlags: rd wr mr mw me ac\n"

static int64_t page_size(const char *smaps)
{
	FILE *f = fmemopen((void *)smaps, strlen(smaps), "r");
	int64_t n;

	assert_non_null(f);
	n = bench_page_size(f, MIB(64));
	fclose(f);
	return n;
}

static void test_pages(void **state)
{
	static const struct {
		const char *smaps;
		int64_t size;
	} cases[] = {
		{ MAP("rw-s", "65536", "4", "0"), 4096 },
		{ MAP("rw-s", "65536", "2048", "0"), 2 << 20 },
		{ MAP("rw-s", "65536", "4", "65536"), 2 << 20 },
		{ MAP("rw-s", "65536", "4", "32768"), 4096 },
		/* another's large mapping, before and behind it */
		{ MAP("rw-p", "65536", "4", "65536") MAP("rw-s", "65536", "4", "0")
			  MAP("rw-p", "999999", "4", "999999"),
		  4096 },
		{ MAP("rw-s", "4096", "4", "4096") MAP("rw-s", "32768", "2048", "0")
			  MAP("rw-s", "1024", "4", "0"),
		  2 << 20 },
		{ MAP("rw-p", "65536", "4", "0"), BENCH_NONE },
		{ MAP("rw-s", "1024", "4", "0"), BENCH_NONE },
		{ MAP("rw-s", "many", "few", "0"), BENCH_NONE },
		{ MAP("r", "65536", "4", "0"), BENCH_NONE },
		{ "Size: 65536 kB\nKernelPageSize: 4 kB\nVmFlags:\n", BENCH_NONE },
		{ "VmFlags:\n\n-\n", BENCH_NONE },
		{ "\n", BENCH_NONE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		if (page_size(cases[i].smaps) != cases[i].size)
			fail_msg("case %u: %lld", i, (long long)page_size(cases[i].smaps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_no_work),
		cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
