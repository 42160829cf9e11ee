// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bdf.h"
#include "base/mac.h"
#include "base/opt.h"

struct target {
	bool pad; /* offset 0 means "no given flag" */
	char *id, *path;
	int flag, mode;
	uint32_t num;
	uint64_t bytes;
	struct mac mac;
	struct bdf bdf;
	struct opt_set cpus;
	bool num_given;
	unsigned int fn_calls, sub_calls;
	char fn_last[32];
};

static int record(void *target, const char *text, struct err *e)
{
	struct target *t = target;

	t->fn_calls++;
	if (!strcmp(text, "bad"))
		return err_set(e, -EINVAL, "refused by fn");
	snprintf(t->fn_last, sizeof(t->fn_last), "%s", text);
	return 0;
}

static int sub(void *target, const char *text, struct err *e)
{
	struct target *t = target;

	t->sub_calls++;
	return 0;
}

#define OFF(m) offsetof(struct target, m)
static const char *const modes[] = { "auto", "vfio", "virtio", NULL };
static const struct opt sub_table[] = {
	{ "serial", OPT_STR, .off = OFF(path), .help = "serial number" },
	{ .type = OPT_END },
};
static const struct opt table[] = {
	{ "id", OPT_STR, .off = OFF(id), .first = true, .arg = "NAME", .help = "name of the port" },
	{ "path", OPT_STR, .off = OFF(path), .arg = "FILE" },
	{ "flag", OPT_BOOL, .off = OFF(flag), .help = "a switch" },
	{ "num", OPT_U32, .off = OFF(num), .given = OFF(num_given), .min = 1, .max = 64,
	  .help = "a number" },
	{ "size", OPT_SIZE, .off = OFF(bytes), .min = 1 },
	{ "mode", OPT_ENUM, .off = OFF(mode), .choices = modes },
	{ "mac", OPT_MAC, .off = OFF(mac) },
	{ "bdf", OPT_BDF, .off = OFF(bdf) },
	{ "cpus", OPT_LIST, .off = OFF(cpus) },
	{ "fn", OPT_FN, .fn = record },
	{ "one", OPT_SUB, .fn = sub, .sub = sub_table, .help = "a nested argument" },
	{ "many", OPT_SUB, .fn = sub, .many = true },
	{ .type = OPT_END },
};

static void bad_kv(const char *text, const char *words)
{
	struct target t = { 0 };
	struct err e = { 0 };

	assert_int_equal(opt_parse_kv(table, &t, text, &e), -EINVAL);
	if (!strstr(e.text, words))
		fail_msg("\"%s\": \"%s\" does not say \"%s\"", text, e.text, words);
	opt_free(table, &t);
	assert_null(t.id);
}

static void test_kv_all_types(void **state)
{
	struct target t = { 0 };
	struct err e = { 0 };
	char buf[MAC_STRLEN];

	assert_int_equal(opt_parse_kv(table, &t,
				      "id=net0,path=/a,,b=c,flag=on,num=0x10,size=512M,mode=vfio,"
				      "mac=52:54:00:aa:bb:cc,bdf=01:10.2,cpus=0-3,7,fn=x,fn=y",
				      &e),
			 0);
	assert_string_equal(t.id, "net0");
	assert_string_equal(t.path, "/a,b=c");
	assert_int_equal(t.flag, 1);
	assert_int_equal(t.num, 16);
	assert_true(t.num_given);
	assert_int_equal(t.bytes, MIB(512));
	assert_int_equal(t.mode, 1);
	assert_string_equal(mac_format(buf, &t.mac), "52:54:00:aa:bb:cc");
	assert_int_equal(bdf_rid(t.bdf), 0x182);
	assert_int_equal(t.cpus.bits[0], 0x8f);
	assert_int_equal(t.fn_calls, 2);
	assert_string_equal(t.fn_last, "y");
	opt_free(table, &t);
	assert_null(t.path);
}

static void test_kv_first(void **state)
{
	struct target t = { 0 };

	assert_int_equal(opt_parse_kv(table, &t, "n,,0,num=2", NULL), 0);
	assert_string_equal(t.id, "n,0");
	opt_free(table, &t);
	assert_int_equal(opt_parse_kv(table, &t, "path", NULL),
			 0); /* first item, no '=': the value */
	assert_string_equal(t.id, "path");
	opt_free(table, &t);
	bad_kv("num=2,net0", "unknown key net0");
	bad_kv("net0,id=net1", "id is given twice");
}

static void test_kv_bad(void **state)
{
	bad_kv("", "empty");
	bad_kv(",", "empty item");
	bad_kv("num=1,", "empty item");
	bad_kv("=x", "key is missing");
	bad_kv("moed=vfio", "did you mean mode?");
	bad_kv("zzzzzzzz=1", "unknown key zzzzzzzz");
	bad_kv("num=1,num=2", "num is given twice");
	bad_kv("one=a,one=b", "one is given twice");
	bad_kv("num=1,flag", "flag needs a value");
	bad_kv("flag=maybe", "neither on nor off");
	bad_kv("num=65", "out of range (1 to 64)");
	bad_kv("num=0", "out of range");
	bad_kv("num=18446744073709551616", "out of range");
	bad_kv("num= 1", "not a number");
	bad_kv("num=-1", "not a number");
	bad_kv("num=1x", "not a number");
	bad_kv("num=0x", "not a number");
	bad_kv("size=0", "too small");
	bad_kv("size=12Q", "not a size");
	bad_kv("size=1MB", "not a size");
	bad_kv("size=99999999999999999999", "too large");
	bad_kv("size=16777216T", "too large");
	bad_kv("mode=vfi", "did you mean vfio?");
	bad_kv("mode=x", "not one of auto, vfio, virtio");
	bad_kv("mac=52:54:00", "not a MAC address");
	bad_kv("bdf=01:40.0", "not a PCI address");
	bad_kv("cpus=3-1", "not a list");
	bad_kv("cpus=1024", "not a list");
	bad_kv("cpus=0-3,7-", "not a list");
	bad_kv("id=", "empty");
	bad_kv("fn=bad", "fn: refused by fn");
}

static void test_kv_list_continues(void **state)
{
	struct target t = { 0 };

	assert_int_equal(opt_parse_kv(table, &t, "a,cpus=1,3-4,6+8,num=2", NULL), 0);
	assert_int_equal(t.cpus.bits[0], 0x15a);
	assert_int_equal(t.num, 2);
	assert_int_equal(opt_set_count(&t.cpus), 5);
	assert_true(opt_set_has(&t.cpus, 8));
	assert_false(opt_set_has(&t.cpus, 5000));
	opt_free(table, &t);
}

static void test_kv_long_text(void **state)
{
	char *text = calloc(1, 70000);
	struct target t = { 0 };
	struct err e = { 0 };

	memset(text, 'k', 69999);
	assert_int_equal(opt_parse_kv(table, &t, text, NULL), 0);
	assert_int_equal(strlen(t.id), 69999);
	opt_free(table, &t);
	memcpy(text, "num=", 4);
	assert_int_equal(opt_parse_kv(table, &t, text, &e), -EINVAL);
	assert_true(strlen(e.text) < 200);
	text[3] = 'x';
	text[60000] = '=';
	assert_int_equal(opt_parse_kv(table, &t, text, &e), -EINVAL);
	assert_true(strlen(e.text) < 200);
	free(text);
}

static int argv_parse(struct target *t, struct err *e, int *rest, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return opt_parse_argv(table, t, argc, argv, rest, e);
}

#define ARGV(...) ((char *[]){ __VA_ARGS__, NULL })

static void test_argv(void **state)
{
	struct target t = { 0 };
	struct err e = { 0 };
	int rest = -1;

	assert_int_equal(argv_parse(&t, &e, &rest,
				    ARGV("--id", "x", "--flag", "--num=3", "--many=a", "--many",
					 "b", "op", "--num=4")),
			 0);
	assert_int_equal(rest, 7);
	assert_string_equal(t.id, "x");
	assert_int_equal(t.flag, 1);
	assert_int_equal(t.num, 3);
	assert_int_equal(t.sub_calls, 2);
	opt_free(table, &t);
	assert_int_equal(argv_parse(&t, &e, &rest, ARGV("--flag=off", "--", "--num")), 0);
	assert_int_equal(rest, 2);
	assert_int_equal(t.flag, 0);
	assert_int_equal(argv_parse(&t, &e, &rest, ARGV("--num", "--help")), -EINVAL);
	assert_int_equal(argv_parse(&t, &e, &rest, ARGV("--flag", "--help")), -ECANCELED);
	assert_int_equal(argv_parse(&t, &e, &rest, ARGV("-h")), -ECANCELED);
	assert_int_equal(argv_parse(&t, &e, &rest, ARGV("-")), 0);
	assert_int_equal(rest, 0);
	assert_int_equal(opt_parse_argv(table, &t, 0, NULL, &rest, &e), 0);
}

static void bad_argv(char **argv, const char *words)
{
	struct target t = { 0 };
	struct err e = { 0 };
	int rest;

	assert_int_equal(argv_parse(&t, &e, &rest, argv), -EINVAL);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
	opt_free(table, &t);
}

static void test_argv_bad(void **state)
{
	bad_argv(ARGV("--nmu=3"), "unknown option --nmu (did you mean --num?)");
	bad_argv(ARGV("-n"), "unknown option -n");
	bad_argv(ARGV("--num"), "--num needs a value");
	bad_argv(ARGV("--num="), "--num: ");
	bad_argv(ARGV("--num=1", "--num=1"), "--num is given twice");
	bad_argv(ARGV("--id=a", "--id", "b"), "--id is given twice");
}

static const struct opt must_table[] = {
	{ "path", OPT_STR, .off = OFF(path), .required = true },
	{ .type = OPT_END },
};

static void test_required(void **state)
{
	struct target t = { 0 };
	struct err e = { 0 };
	int rest;

	assert_int_equal(opt_parse_argv(must_table, &t, 0, NULL, &rest, &e), -EINVAL);
	assert_string_equal(e.text, "--path is missing");
	assert_int_equal(opt_parse_kv(must_table, &t, "path=x", &e), 0);
	opt_free(must_table, &t);
}

static void test_size(void **state)
{
	uint64_t v = 1;

	assert_int_equal(opt_size_parse(&v, "0"), 0);
	assert_int_equal(v, 0);
	assert_int_equal(opt_size_parse(&v, "1k"), 0);
	assert_int_equal(v, 1024);
	assert_int_equal(opt_size_parse(&v, "0x10G"), 0);
	assert_int_equal(v, GIB(16));
	assert_int_equal(opt_size_parse(&v, "18446744073709551615"), 0);
	assert_int_equal(opt_size_parse(&v, "18446744073709551616"), -ERANGE);
	assert_int_equal(opt_size_parse(&v, "17179869184G"), -ERANGE);
	assert_int_equal(opt_size_parse(&v, "K"), -EINVAL);
	assert_int_equal(opt_size_parse(&v, "+1"), -EINVAL);
	assert_int_equal(opt_size_parse(&v, "1 M"), -EINVAL);
	assert_int_equal(opt_size_parse(&v, ""), -EINVAL);
}

static void test_list(void **state)
{
	struct opt_set s = { 0 };

	assert_int_equal(opt_list_parse(&s, "0-63+1023", '+'), 0);
	assert_int_equal(opt_set_count(&s), 65);
	assert_int_equal(opt_list_parse(&s, "0,1", '+'), -EINVAL);
	assert_int_equal(opt_set_count(&s), 65); /* untouched */
	assert_int_equal(opt_list_parse(&s, "", ','), -EINVAL);
	assert_int_equal(opt_list_parse(&s, ",1", ','), -EINVAL);
	assert_int_equal(opt_list_parse(&s, "0-99999999999999999999", ','), -EINVAL);
}

static void test_nearest(void **state)
{
	assert_string_equal(opt_nearest(table, "naem"), "num");
	assert_string_equal(opt_nearest(table, "pth"), "path");
	assert_null(opt_nearest(table, "quite-something-else"));
	assert_null(opt_nearest(table, ""));
	assert_null(opt_nearest(table, "xy"));
}

static void test_help(void **state)
{
	static const struct opt t[] = {
		{ "kernel", OPT_STR, .arg = "FILE", .group = "Guest", .help = "the kernel" },
		{ "mode", OPT_ENUM, .choices = modes,
		  .help = "a text that is so long that it cannot stay on the line it starts on, and goes on below" },
		{ "explain", OPT_BOOL, .help = "print the plan" },
		{ "disk", OPT_SUB, .sub = sub_table, .group = "Ports", .help = "a disk" },
		{ .type = OPT_END },
	};
	char *text = NULL, *line, *save = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	opt_help(t, true, f);
	fclose(f);
	assert_non_null(strstr(text, "Guest:\n  --kernel FILE            the kernel\n"));
	assert_non_null(strstr(text, "  --explain                print the plan\n"));
	assert_non_null(strstr(text, "Ports:\n  --disk KEY=VALUE,...     a disk\n"));
	assert_non_null(strstr(text, "      serial=TEXT  serial number\n"));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		assert_true(strlen(line) <= 80);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kv_all_types), cmocka_unit_test(test_kv_first),
		cmocka_unit_test(test_kv_bad),	     cmocka_unit_test(test_kv_list_continues),
		cmocka_unit_test(test_kv_long_text), cmocka_unit_test(test_argv),
		cmocka_unit_test(test_argv_bad),     cmocka_unit_test(test_required),
		cmocka_unit_test(test_size),	     cmocka_unit_test(test_list),
		cmocka_unit_test(test_nearest),	     cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
