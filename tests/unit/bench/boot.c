// SPDX-License-Identifier: BSD-3-Clause
/*
 * A boot with a shell script in the place of the machine: the talk with the guest, what is made of
 * a guest that breaks off, lies or stays silent, and that nothing is left behind.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/bench.h"

static char dir[] = "/tmp/bench-test-XXXXXX";
static char exe[64];

static void script(const char *body)
{
	FILE *f = fopen(exe, "w");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\necho \"$$\" >%s/pid\n%s\n", dir, body);
	fclose(f);
	assert_int_equal(chmod(exe, 0755), 0);
}

static struct sys *kernel; /* that boots are run with */
static bool counting;

/* Runs the script as the machine of disk-read-4k-d1; the error's text goes to e. */
static int boot(const char *body, int stop, struct bench_result *r, struct err *e)
{
	struct bench_cfg c = { .exe = exe,
			       .kernel = "k",
			       .seconds = 1,
			       .memory = MIB(64),
			       .page = "4K",
			       .disk_path = "null:1G",
			       .cpu = -1,
			       .io_cpu = -1,
			       .peer_cpu = -1 };
	struct bench_boot b = { .sys = kernel ? kernel : sys_host(),
				.cfg = &c,
				.side = { BENCH_M_VIRTIO, BENCH_SLUICE },
				.loads = { bench_loads },
				.n_loads = 1,
				.round = 1,
				.order = 2,
				.stop = stop,
				.counting = counting,
				.result = r };

	script(body);
	bench_result_init(r, "", "");
	return bench_boot(&b, e);
}

#define GO "dd bs=1 count=1 2>/dev/null >/dev/null;"

static void test_talk(void **state)
{
	const struct bench_column *c;
	struct bench_result r;
	struct err e = { 0 };

	assert_int_equal(boot("echo noise; echo SLUICE-BENCH 1; echo start test=disk-read;" GO
			      "echo stop test=disk-read;" GO
			      "echo result test=disk-read ops=7 ns=9 p50_ns=3 errors=0;"
			      "echo hist test=disk-read 1:2 5:3; echo hist test=disk-read 5:1 8:1;"
			      "echo end status=0",
			      -1, &r, &e),
			 0);
	assert_int_equal(r.n_test, 1);
	assert_string_equal(r.test[0]->name, "disk-read-4k-d1");
	c = bench_column_find(r.test[0], "virtio", "sluice");
	assert_non_null(c);
	assert_int_equal(c->n_sample, 1);
	assert_int_equal(c->sample->round, 1);
	assert_int_equal(c->sample->order, 2);
	assert_int_equal(c->sample->ops, 7);
	assert_int_equal(c->sample->bytes, BENCH_NONE);
	assert_int_equal(c->sample->n_hist, 3);
	assert_int_equal(c->sample->hist[1].count, 4);
	/* a script has no control socket, but its threads take time */
	assert_false(c->sample->exits_known);
	assert_true(c->sample->cpu_ns[BENCH_CPU_IO] >= 0);
	assert_int_equal(c->sample->cpu_ns[BENCH_CPU_BACKEND], BENCH_NONE);
	bench_result_free(&r);
}

/* A host with an account of its idle time of its own. */
static char timers[80];

static int open_timers(struct sys *s, const char *path, int flags, mode_t mode)
{
	return sys_open(sys_host(), strcmp(path, "/proc/timer_list") ? path : timers, flags, mode);
}

#define TALK                                                                                \
	"echo SLUICE-BENCH 1; echo start test=disk-read;" GO "echo stop test=disk-read;" GO \
	"echo result test=disk-read ops=7 ns=9;"                                            \
	"echo end status=0"

/* The instructions of the one sample of a boot on it. */
static int64_t work_of(const char *idle)
{
	struct sys_ops ops = *sys_host()->ops;
	struct sys sys = { .ops = &ops };
	FILE *f = fopen(timers, "w");
	struct bench_result r;
	struct err e = { 0 };
	int64_t work;

	assert_non_null(f);
	fputs(idle, f);
	fclose(f);
	ops.open = open_timers;
	kernel = &sys;
	assert_int_equal(boot(TALK, -1, &r, &e), 0);
	kernel = NULL;
	work = r.test[0]->column[0]->sample->instructions;
	bench_result_free(&r);
	unlink(timers);
	return work;
}

/* Work is there when the clock counts it and idle time is known, and is absent otherwise. */
static void test_work(void **state)
{
	snprintf(timers, sizeof(timers), "%s/timers", dir);
	counting = true;
	assert_true(work_of(".idle_sleeptime : 5 nsecs\n.iowait_sleeptime: 0 nsecs\n") > 0);
	assert_int_equal(work_of("nothing\n"), BENCH_NONE);
	counting = false;
	assert_int_equal(work_of(".idle_sleeptime : 5 nsecs\n.iowait_sleeptime: 0 nsecs\n"),
			 BENCH_NONE);
}

/* A guest that says "start" and "start" again costs no descriptors. */
static void test_starts(void **state)
{
	struct bench_result r;
	struct err e = { 0 };

	assert_int_equal(boot("echo SLUICE-BENCH 1; i=0; while [ $i -lt 40 ]; do"
			      " echo start test=disk-read;" GO " i=$((i + 1)); done;"
			      "echo stop test=disk-read;" GO "echo end status=0",
			      -1, &r, &e),
			 0);
	bench_result_free(&r);
}

static void expect_failure(const char *body, int code, const char *words)
{
	struct bench_result r;
	struct err e = { 0 };

	assert_int_equal(boot(body, -1, &r, &e), code);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" has no \"%s\"", e.text, words);
	bench_result_free(&r);
}

static void test_failures(void **state)
{
	expect_failure("echo no such disk >&2; exit 1", -EIO,
		       "ended before its guest spoke: no such disk");
	expect_failure("echo SLUICE-BENCH 1; kill -9 $$", -EIO, "ended in the middle");
	expect_failure("echo SLUICE-BENCH 2; sleep 100", -EPROTO, "version 2");
	expect_failure("echo SLUICE-BENCH 1; echo result test=other ops=1 ns=1; sleep 100", -EPROTO,
		       "nobody asked for");
	expect_failure("echo SLUICE-BENCH 1; echo hist test=disk-read 5:1 3:1; sleep 100", -EPROTO,
		       "not well formed");
	expect_failure("echo SLUICE-BENCH 1; echo end status=5; exec sleep 100", -EIO, "status 5");
}

/* The user wants an end: the machine goes too, even one that does not listen. */
static void test_stop(void **state)
{
	struct bench_result r;
	struct err e = { 0 };
	char path[80];
	int p[2], pid = 0;
	FILE *f;

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(
		boot("trap '' HUP TERM; echo SLUICE-BENCH 1; while :; do :; done", p[0], &r, &e),
		-EINTR);
	snprintf(path, sizeof(path), "%s/pid", dir);
	f = fopen(path, "r");
	/* it may have been stopped before its first line */
	if (f) {
		if (fscanf(f, "%d", &pid) == 1)
			assert_int_equal(kill(pid, 0), -1);
		fclose(f);
	}
	bench_result_free(&r);
	close(p[0]);
	close(p[1]);
}

static void test_no_program(void **state)
{
	struct bench_args a = { .v = { "/nonexistent/program" }, .n = 1 };
	struct bench_proc p;
	struct err e = { 0 };

	assert_int_equal(bench_spawn(&p, &a, 0, 2, SIGKILL, -1, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/program"));
	assert_int_equal(p.pid, 0);
}

/* Descriptors open in this process: the same before and after. */
static unsigned int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_leaks(void **state)
{
	unsigned int before = open_fds();

	test_talk(state);
	test_failures(state);
	test_starts(state);
	assert_int_equal(open_fds(), before);
}

static int clean(void **state)
{
	char path[80];

	unlink(exe);
	snprintf(path, sizeof(path), "%s/pid", dir);
	unlink(path);
	/* a folder that a boot left in here is not empty */
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_talk),  cmocka_unit_test(test_failures),
		cmocka_unit_test(test_stop),  cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_leaks), cmocka_unit_test(test_work),
	};

	if (!mkdtemp(dir))
		return 1;
	snprintf(exe, sizeof(exe), "%s/machine", dir);
	setenv("TMPDIR", dir, 1);
	return cmocka_run_group_tests(tests, NULL, clean);
}
