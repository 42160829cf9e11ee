// SPDX-License-Identifier: BSD-3-Clause
/*
 * The fingerprint, from files that a fake kernel has, and a clock that is said to count
 * instructions. What a file does not say, or says in words that make no sense, is not in the
 * result: never 0.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/bench.h"
#include "tests/unit/fake/fakesys.h"

#define CPU "/sys/devices/system/cpu"

/* struct host - a fake kernel, and what is found of it */
struct host {
	struct fakesys *f;
	struct sys *s;
	struct bench_cfg c;
	struct bench_result r;
	struct bench_facts facts;
};

static void begin(struct host *h)
{
	*h = (struct host){
		.f = fakesys_new(),
		.c = { .page = "4K", .disk_path = "null:1G", .cpu = -1, .io_cpu = -1 }
	};
	h->s = fakesys_sys(h->f);
}

static void look(struct host *h)
{
	bench_result_free(&h->r);
	bench_result_init(&h->r, "", "");
	bench_env_fill(h->s, &h->c, &h->r, &h->facts);
	assert_int_equal(fakesys_open_fds(h->f), 0);
}

static void end(struct host *h)
{
	bench_result_free(&h->r);
	fakesys_free(h->f);
}

static const char *text_of(const struct host *h, const char *key)
{
	const struct bench_env *v = bench_env_find(&h->r, key);

	return v && !v->is_num ? v->text : NULL;
}

static double num_of(const struct host *h, const char *key)
{
	const struct bench_env *v = bench_env_find(&h->r, key);

	return v && v->is_num ? v->num : -1;
}

static void test_host(void **state)
{
	struct host h;

	begin(&h);
	fakesys_file(h.f, "/proc/cpuinfo",
		     "processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nmicrocode\t: 0x1\n"
		     "processor\t: 1\nmodel name\t: Another\n");
	fakesys_dir(h.f, CPU "/cpu0");
	fakesys_dir(h.f, CPU "/cpu11");
	fakesys_dir(h.f, CPU "/cpufreq");
	fakesys_dir(h.f, CPU "/cpu");
	fakesys_file(h.f, CPU "/cpu0/cpufreq/scaling_governor", "powersave\n");
	fakesys_file(h.f, CPU "/vulnerabilities/meltdown", "Mitigation: PTI\n");
	fakesys_file(h.f, "/dev/kvm", "");
	fakesys_dir(h.f, "/sys/module/kvm_amd");
	fakesys_file(h.f, "/sys/module/kvm/parameters/halt_poll_ns", "200000\n");
	fakesys_file(h.f, "/proc/meminfo",
		     "MemTotal:  100 kB\nHugePages_Free:      7\nHugepagesize:  2048 kB\n");
	fakesys_file(h.f, "/proc/loadavg", "1.25 0.5 0.1 1/100 7\n");
	h.c.topics = 1u << BENCH_DISK;
	look(&h);
	assert_string_equal(text_of(&h, "cpu"), "Some CPU: 3 GHz");
	assert_string_equal(text_of(&h, "microcode"), "0x1");
	assert_int_equal(h.facts.cpus, 2);
	assert_string_equal(h.facts.governor, "powersave");
	assert_string_equal(text_of(&h, "vulnerability-meltdown"), "Mitigation: PTI");
	assert_string_equal(text_of(&h, "kvm"), "kvm_amd");
	assert_false(h.facts.no_kvm || h.facts.software_kvm);
	assert_true(num_of(&h, "halt-poll-ns") == 200000);
	assert_string_equal(text_of(&h, "memory"), "100 kB");
	assert_true(num_of(&h, "hugepages-free") == 7);
	assert_string_equal(text_of(&h, "hugepage-size"), "2048 kB");
	assert_true(num_of(&h, "load") == 1.25);
	assert_int_equal(h.facts.load, 125);
	assert_string_equal(text_of(&h, "disk"), "null:1G");
	assert_string_equal(text_of(&h, "clock"), "time");
	fakesys_dir(h.f, "/sys/module/kvm_pvm");
	look(&h);
	assert_true(h.facts.software_kvm);
	end(&h);
}

static void test_nothing(void **state)
{
	static const char *const absent[] = { "cpu",	      "microcode",  "governor",
					      "memory",	      "load",	    "hugepages-free",
					      "halt-poll-ns", "clocksource" };
	struct host h;

	begin(&h);
	look(&h);
	for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++)
		assert_null(bench_env_find(&h.r, absent[i]));
	assert_true(h.facts.no_kvm);
	assert_int_equal(h.facts.load, -1);
	assert_int_equal(h.facts.cpus, 0);
	assert_string_equal(text_of(&h, "kvm"), "none");
	assert_int_equal(bench_steal(h.s), -1);
	end(&h);
}

/* Words where numbers should be, keys without a value, values without an end. */
static void test_nonsense(void **state)
{
	static const char *const load[] = { "",
					    "lots",
					    "nan 1 1",
					    "inf",
					    "1e400",
					    "-1 0",
					    "1e300x",
					    "0x7p1",
					    "1.5.2",
					    " ",
					    "99999999999999999999",
					    "." };
	static const char *const cpuinfo[] = {
		"",	   "model name",	"model name\nflags : none",
		"\n\n:\n", "model name2 : x\n", " model name : x\n",
	};
	char big[20000];
	struct host h;

	begin(&h);
	for (unsigned int i = 0; i < ARRAY_SIZE(load); i++) {
		fakesys_file(h.f, "/proc/loadavg", load[i]);
		look(&h);
		assert_null(bench_env_find(&h.r, "load"));
		assert_int_equal(h.facts.load, -1);
	}
	fakesys_file(h.f, "/proc/loadavg", "99999999999 1 1");
	look(&h);
	assert_int_equal(h.facts.load, 100000000);
	for (unsigned int i = 0; i < ARRAY_SIZE(cpuinfo); i++) {
		fakesys_file(h.f, "/proc/cpuinfo", cpuinfo[i]);
		look(&h);
		assert_null(bench_env_find(&h.r, "cpu"));
	}
	fakesys_file(h.f, "/proc/cpuinfo", "model name:\x1b[2J\xff x");
	fakesys_file(h.f, "/proc/meminfo", "MemTotal:\nHugePages_Free: many\nHugepagesize");
	look(&h);
	assert_string_equal(text_of(&h, "cpu"), " [2J? x");
	assert_string_equal(text_of(&h, "memory"), "");
	assert_null(bench_env_find(&h.r, "hugepages-free"));
	assert_null(bench_env_find(&h.r, "hugepage-size"));
	/* one line that does not end: what fits of it */
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "model name: ", 12);
	big[sizeof(big) - 1] = 0;
	fakesys_file(h.f, "/proc/cpuinfo", big);
	fakesys_file(h.f, "/proc/meminfo", big);
	fakesys_file(h.f, CPU "/cpu0/cpufreq/scaling_governor", big);
	look(&h);
	assert_int_equal(strlen(text_of(&h, "cpu")), 199);
	assert_null(bench_env_find(&h.r, "memory"));
	assert_string_equal(h.facts.governor, "");
	end(&h);
}

/* A file that goes away, or cannot be read, in the middle of it. */
static void test_failures(void **state)
{
	struct host h;
	unsigned int n;

	begin(&h);
	fakesys_file(h.f, "/proc/cpuinfo", "model name : x\n");
	fakesys_file(h.f, "/proc/loadavg", "1 1 1");
	fakesys_file(h.f, "/dev/kvm", "");
	fakesys_file(h.f, CPU "/vulnerabilities/meltdown", "x");
	for (n = 1;; n++) {
		fakesys_fail_nth(h.f, n, -EIO);
		look(&h);
		if (!fakesys_failed(h.f))
			break;
		assert_true(h.facts.load == 100 || h.facts.load == -1);
	}
	assert_true(n > 10);
	end(&h);
}

static void test_steal(void **state)
{
	static const struct {
		const char *text;
		int64_t steal;
	} cases[] = {
		{ "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n", 8 },
		{ "cpu 1 2 3 4 5 6 7\n", -1 },
		{ "cpu 1 2 3 4 5 6 7 x\n", -1 },
		{ "cpu 1 2 3 4 5 6 7 -8\n", -1 },
		{ "intr 1 2 3 4 5 6 7 8\n", -1 },
		{ "", -1 },
	};
	struct host h;

	begin(&h);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		fakesys_file(h.f, "/proc/stat", cases[i].text);
		assert_int_equal(bench_steal(h.s), cases[i].steal);
	}
	end(&h);
}

/* ---- a clock of instructions ---- */

#define TIMERS "/proc/timer_list"
#define IDLE(idle, io)                                                                              \
	"Timer List Version: v0.10\ncpu: 0\n  .idle_entrytime : 1 nsecs\n  .idle_sleeptime : " idle \
	"\n  .iowait_sleeptime: " io "\n  .last_jiffies : 7\n"

static void test_idle(void **state)
{
	static const struct {
		const char *text;
		int64_t idle;
	} cases[] = {
		{ IDLE("100 nsecs", "20 nsecs"), 120 },
		{ IDLE("0 nsecs", "0 nsecs"), 0 },
		{ "", BENCH_NONE },
		{ "  .idle_sleeptime : 1 nsecs\n", BENCH_NONE },
		{ IDLE("100 nsecs", "20 nsecs") IDLE("1 nsecs", "2 nsecs"), BENCH_NONE },
		{ IDLE("-1 nsecs", "20 nsecs"), BENCH_NONE },
		{ IDLE("", ""), BENCH_NONE },
		{ IDLE("100 usecs", "20 nsecs"), BENCH_NONE },
		{ IDLE("100", "20"), BENCH_NONE },
		{ IDLE("99999999999999999999 nsecs", "0 nsecs"), BENCH_NONE },
		{ IDLE("9223372036854775807 nsecs", "1 nsecs"), BENCH_NONE },
		{ ".idle_sleeptime", BENCH_NONE },
		{ ".idle_sleeptime:", BENCH_NONE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(bench_clock_idle(cases[i].text), cases[i].idle);
}

/* A clock that moves by a step each time it is looked at; by late more the first time. */
static uint64_t clock_now, clock_step, clock_late;

static uint64_t now(struct sys *s)
{
	clock_now += clock_step + clock_late;
	clock_late = 0;
	return clock_now;
}

static int check(struct host *h, uint64_t step, struct err *e)
{
	struct bench_facts f = { .cpus = 1, .tcg = true };

	clock_now = 0;
	clock_step = step;
	return bench_clock_check(h->s, &f, e);
}

static void test_clock(void **state)
{
	struct bench_facts f = { .cpus = 2, .tcg = true };
	struct err e = { 0 };
	struct sys_ops ops;
	struct host h;

	begin(&h);
	ops = *h.s->ops;
	ops.now_ns = now;
	h.s->ops = &ops;
	fakesys_file(h.f, TIMERS, IDLE("100 nsecs", "20 nsecs"));
	assert_int_equal(bench_clock_check(h.s, &f, &e), -EINVAL);
	assert_non_null(strstr(e.text, "2 CPUs"));
	f = (struct bench_facts){ .cpus = 1 };
	assert_int_equal(bench_clock_check(h.s, &f, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not emulated"));
	/* two million instructions: as long, much faster, a bit slower by interrupts, slower */
	assert_int_equal(check(&h, 2000000, &e), 0);
	clock_late = 500000;
	assert_int_equal(check(&h, 2000000, &e), 0);
	assert_int_equal(check(&h, 2100000, &e), 0);
	assert_int_equal(check(&h, 300000, &e), -EINVAL);
	assert_non_null(strstr(e.text, "takes 300000 ns"));
	assert_int_equal(check(&h, 2500000, &e), -EINVAL);
	assert_int_equal(check(&h, 0, &e), -EINVAL);
	clock_now = 1000;
	clock_step = 0;
	assert_int_equal(bench_clock_work(h.s), 880);
	clock_now = 100; /* earlier than it was idle */
	assert_int_equal(bench_clock_work(h.s), BENCH_NONE);
	fakesys_del(h.f, TIMERS);
	assert_int_equal(bench_clock_work(h.s), BENCH_NONE);
	assert_int_equal(check(&h, 2000000, &e), -EINVAL);
	assert_non_null(strstr(e.text, "for root to read"));
	end(&h);
}

/* Said, but this processor is not emulated, or there is more than one: not believed, and told why.
 */
static void test_clock_claim(void **state)
{
	struct host h;

	begin(&h);
	fakesys_dir(h.f, CPU "/cpu0");
	fakesys_dir(h.f, CPU "/cpu1");
	fakesys_file(h.f, TIMERS, IDLE("100 nsecs", "20 nsecs"));
	h.c.counting = true;
	look(&h);
	assert_false(h.facts.counting);
	assert_string_equal(text_of(&h, "clock"), "time");
	assert_non_null(strstr(h.facts.clock.text, "2 CPUs"));
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),	 cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_failures),
		cmocka_unit_test(test_steal),	 cmocka_unit_test(test_idle),
		cmocka_unit_test(test_clock),	 cmocka_unit_test(test_clock_claim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
