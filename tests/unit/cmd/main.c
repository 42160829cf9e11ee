// SPDX-License-Identifier: BSD-3-Clause
/* The program's front door over a fake host: exit statuses and messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/cmd.h"
#include "tests/unit/fake/fakesys.h"

static char out[20000];

/* Runs the program with stdout and stderr in one temporary file, whose text lands in out. */
static int run_on(struct fakesys *f, char **args)
{
	char *argv[24] = { "sluice" };
	int argc = 1, status, keep1 = dup(1), keep2 = dup(2);
	FILE *t = tmpfile();
	size_t n;

	while (*args)
		argv[argc++] = *args++;
	fflush(NULL);
	dup2(fileno(t), 1);
	dup2(fileno(t), 2);
	status = sluice_main(fakesys_sys(f), argc, argv);
	fflush(NULL);
	dup2(keep1, 1);
	dup2(keep2, 2);
	close(keep1);
	close(keep2);
	rewind(t);
	n = fread(out, 1, sizeof(out) - 1, t);
	out[n] = 0;
	fclose(t);
	return status;
}

static void expect(int status, const char *words, char **args)
{
	struct fakesys *f = fakesys_new();
	char *before = fakesys_dump(f), *after;
	int got = run_on(f, args);

	if (got != status || !strstr(out, words))
		fail_msg("status %d (wanted %d), output without \"%s\": %s", got, status, words,
			 out);
	after = fakesys_dump(f);
	assert_string_equal(after, before);
	assert_int_equal(fakesys_open_fds(f), 0);
	free(before);
	free(after);
	fakesys_free(f);
}

#define ARGV(...) ((char *[]){ __VA_ARGS__, NULL })

static void test_help(void **state)
{
	expect(CMD_USAGE, "usage: sluice COMMAND", (char *[]){ NULL });
	expect(CMD_OK, "usage: sluice COMMAND", ARGV("--help"));
	expect(CMD_OK, "--kernel FILE", ARGV("run", "--help"));
	expect(CMD_OK, "vf restore", ARGV("vf", "--help"));
	expect(CMD_OK, "usage: sluice vf set [OPTIONS] VF", ARGV("vf", "set", "--help"));
	expect(CMD_OK, "--json", ARGV("help", "ctl"));
	expect(CMD_USAGE, "did you mean run?", ARGV("help", "rnu"));
	expect(CMD_OK, "--disk-path FILE|null:SIZE", ARGV("bench", "--help"));
	expect(CMD_OK, "sluice 0", ARGV("version"));
	expect(CMD_OK, "sluice 0", ARGV("--version"));
}

static void test_usage(void **state)
{
	expect(CMD_USAGE, "sluice: there is no command rnu (did you mean run?)", ARGV("rnu"));
	expect(CMD_USAGE, "bench: \"dsik\" is none that is known (did you mean disk?)",
	       ARGV("bench", "dsik"));
	expect(CMD_USAGE, "bench: --modes: \"vfoi\" is none", ARGV("bench", "--modes", "vfoi"));
	expect(CMD_USAGE, "bench: --only: there is no test \"x\"", ARGV("bench", "--only", "x"));
	expect(CMD_USAGE, "bench: compare: give two result.json files",
	       ARGV("bench", "compare", "a"));
	expect(CMD_USAGE, "bench: report: give one folder", ARGV("bench", "report"));
	expect(CMD_USAGE, "bench: report: give one folder", ARGV("bench", "report", "a", "b"));
	expect(CMD_FAILED, "bench: report: cannot read /nonexistent: No such file",
	       ARGV("bench", "report", "/nonexistent"));
	expect(CMD_FAILED, "bench: report: /dev/null: line 1",
	       ARGV("bench", "report", "/dev/null"));
	expect(CMD_USAGE, "--clock", ARGV("bench", "--clock", "sundial"));
	expect(CMD_USAGE, "sluice: vf: there is no action lst (did you mean list?)",
	       ARGV("vf", "lst"));
	expect(CMD_USAGE, "usage: sluice vf ACTION", ARGV("vf"));
	expect(CMD_USAGE, "sluice: vf create: give PF", ARGV("vf", "create"));
	expect(CMD_USAGE, "sluice: vf create: too many operands: b",
	       ARGV("vf", "create", "a", "b"));
	expect(CMD_USAGE, "--mac: a VF cannot have the MAC",
	       ARGV("vf", "set", "eth0/0", "--mac", "00:00:00:00:00:00"));
	expect(CMD_OK, "--trust off|on", ARGV("vf", "set", "--help"));
	expect(CMD_FAILED, "there is no network interface eth0",
	       ARGV("vf", "set", "eth0/0", "--trust", "off"));
	expect(CMD_USAGE, "vf set: nothing to set", ARGV("vf", "set", "eth0/0"));
	expect(CMD_USAGE, "--qos: a priority needs a VLAN",
	       ARGV("vf", "set", "eth0/0", "--mac", "52:54:00:00:00:01", "--qos", "3"));
	expect(CMD_USAGE, "sluice: run: --kernel is missing", ARGV("run"));
	expect(CMD_USAGE, "sluice: run: there is no operand: x", ARGV("run", "--kernel", "k", "x"));
	expect(CMD_USAGE, "sluice: ctl: give a socket", ARGV("ctl", "x"));
}

static void test_failures(void **state)
{
	expect(CMD_FAILED, "sluice: kernel /k: ", ARGV("run", "--kernel", "/k"));
	expect(CMD_FAILED, "sluice: --stats: cannot write /nosuch/x: No such file",
	       ARGV("run", "--kernel", "/k", "--stats", "/nosuch/x"));
	expect(CMD_FAILED, "there is no network interface eth0",
	       ARGV("run", "--kernel", "/k", "--explain", "--net", "pf=eth0"));
	expect(CMD_OK, "PORT", ARGV("run", "--kernel", "/k", "--explain"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
