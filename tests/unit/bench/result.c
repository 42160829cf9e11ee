// SPDX-License-Identifier: BSD-3-Clause
/* The model of a result, its file written and read back, and files that nobody should have written.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "bench/result.h"

/* One of everything. */
static void fill(struct bench_result *r)
{
	struct bench_test *t;
	struct bench_column *c;
	struct bench_sample *s;

	bench_result_init(r, "0.1.0", "sluice bench disk");
	assert_int_equal(bench_env_str(r, "cpu", "Some %s", "CPU"), 0);
	assert_int_equal(bench_env_num(r, "load", 0.25), 0);
	assert_int_equal(bench_env_num(r, "hugepages", 512), 0);
	assert_int_equal(bench_warn(r, BENCH_WARN, "kvm", "software KVM"), 0);
	assert_int_equal(bench_skip_add(r, "vfio", "sluice", "", "no function"), 0);
	t = bench_test_add(r, "disk-read", "random read", BENCH_OPS, true);
	c = bench_column_add(t, "virtio", "sluice");
	s = bench_sample_add(c);
	s->round = 0;
	s->ns = 1000000000;
	s->ops = 40000;
	s->cpu_ns[BENCH_CPU_IO] = 7;
	s->instructions = 123456789;
	assert_int_equal(bench_sample_exit(s, "pio", 3), 0);
	assert_int_equal(bench_sample_exit(s, "pio", 4), 0);
	assert_int_equal(bench_sample_exit(s, "mmio", 0), 0);
	assert_int_equal(bench_sample_bucket(s, 1000, 5), 0);
	assert_int_equal(bench_sample_bucket(s, 2000, 6), 0);
	assert_non_null(bench_sample_add(c));
}

static void test_round_trip(void **state)
{
	const struct bench_sample *s;
	struct bench_result r, b;
	struct err e = { 0 };
	char *text, *again;

	fill(&r);
	text = bench_result_json(&r);
	assert_non_null(text);
	assert_int_equal(bench_result_parse(&b, text, strlen(text), &e), 0);
	again = bench_result_json(&b);
	assert_string_equal(text, again);
	s = &bench_column_find(bench_test_find(&b, "disk-read"), "virtio", "sluice")->sample[0];
	assert_int_equal(s->ops, 40000);
	assert_int_equal(s->errors, BENCH_NONE);
	assert_int_equal(s->instructions, 123456789);
	assert_int_equal(s[1].instructions, BENCH_NONE);
	assert_int_equal(s->cpu_ns[BENCH_CPU_IO], 7);
	assert_int_equal(s->cpu_ns[BENCH_CPU_VCPU], BENCH_NONE);
	assert_true(s->exits_known && s->n_exit == 2 && s->exit[0].count == 7);
	assert_true(s->n_hist == 2 && s->hist[1].upper_ns == 2000 && s->hist[1].count == 6);
	assert_false(s[1].exits_known);
	assert_string_equal(bench_env_find(&b, "cpu")->text, "Some CPU");
	assert_true(bench_env_find(&b, "load")->num == 0.25);
	assert_null(bench_env_find(&b, "nothing"));
	assert_true(bench_timing_ok(&b));
	free(text);
	free(again);
	bench_result_free(&r);
	bench_result_free(&b);
}

/* What the functions take, the reader takes: names and texts are mended on the way in. */
static void test_filling(void **state)
{
	struct bench_result r, b;
	struct bench_column *c;
	struct bench_sample *s;
	struct bench_test *t;
	struct err e = { 0 };
	char big[2000], *text;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	memcpy(big + BENCH_TEXT_SIZE - 2, "\xc3\xa4", 2); /* would be cut in the middle */
	bench_result_init(&r, "", "a\tb\x1b[2J \xff\xc2\x9b \xe2\x82\xac");
	assert_string_equal(r.command, "a b [2J ??? \xe2\x82\xac");
	assert_int_equal(bench_env_str(&r, "a key<", "%s", big), 0);
	assert_int_equal(strlen(r.env[0].text), BENCH_TEXT_SIZE - 2);
	assert_int_equal(bench_env_str(&r, "a key<", "new"), 0);
	assert_int_equal(r.n_env, 1);
	assert_int_equal(bench_env_num(&r, "nan", (double)NAN), -EINVAL);
	assert_int_equal(bench_warn(&r, BENCH_REFUSE, "", "\n"), 0);
	assert_false(bench_timing_ok(&r));
	t = bench_test_add(&r, "a b", "T", BENCH_NS, false);
	assert_ptr_equal(bench_test_add(&r, "a b", "", BENCH_OPS, true), t);
	c = bench_column_add(t, big, "");
	assert_ptr_equal(bench_column_add(t, big, ""), c);
	s = bench_sample_add(c);
	assert_int_equal(bench_sample_exit(s, "a b", 1), 0);
	assert_int_equal(bench_sample_exit(s, "a b", 1), 0);
	assert_int_equal(s->n_exit, 1);
	assert_int_equal(bench_sample_bucket(s, 5, 1), 0);
	assert_int_equal(bench_sample_bucket(s, 5, 1), -EINVAL);
	text = bench_result_json(&r);
	assert_int_equal(bench_result_parse(&b, text, strlen(text), &e), 0);
	free(text);
	bench_result_free(&b);
	bench_result_free(&r);
	bench_result_free(&r);
}

static void test_limits(void **state)
{
	struct bench_result r;
	struct bench_test *t;
	char name[32];
	unsigned int n;

	bench_result_init(&r, "", "");
	for (n = 0; n < BENCH_TESTS_MAX + 1; n++) {
		snprintf(name, sizeof(name), "t%u", n);
		if (!bench_test_add(&r, name, "", BENCH_OPS, true))
			break;
	}
	assert_int_equal(n, BENCH_TESTS_MAX);
	t = bench_test_add(&r, "t0", "", BENCH_OPS, true);
	assert_ptr_equal(t, r.test[0]); /* stays where it was */
	for (n = 0; n < BENCH_COLUMNS_MAX + 1; n++) {
		snprintf(name, sizeof(name), "m%u", n);
		if (!bench_column_add(t, name, "sluice"))
			break;
	}
	assert_int_equal(n, BENCH_COLUMNS_MAX);
	for (n = 0; bench_sample_add(t->column[0]);)
		n++;
	assert_int_equal(n, BENCH_SAMPLES_MAX);
	bench_result_free(&r);
}

#define TOP(rest)                                                                 \
	"{\"sluice_bench\":1,\"version\":\"1\",\"date\":\"d\",\"command\":\"c\"," \
	"\"environment\":{},\"warnings\":[],\"skipped\":[]," rest "}"
#define COLUMN(rest)                                                                            \
	TOP("\"tests\":[{\"name\":\"n\",\"title\":\"t\",\"unit\":\"ns\",\"better\":"            \
	    "\"lower\",\"columns\":[{\"mode\":\"virtio\",\"vmm\":\"sluice\",\"samples\":[" rest \
	    "]}]}]")

/* A file, and words that the error has; NULL where the file is good. */
static const struct hostile {
	const char *text, *words;
} hostile[] = {
	{ TOP("\"tests\":[]"), NULL },
	{ COLUMN("{}"), NULL },
	{ COLUMN("{\"ns\":null,\"exits\":null,\"hist\":null,\"cpu_ns\":null}"), NULL },
	{ "", "line 1" },
	{ "[]", "no result" },
	{ "{}", "no result" },
	{ "{\"sluice_bench\":\"1\"}", "no result" },
	{ "{\"sluice_bench\":2,\"more\":1}", "format 2" },
	{ "{\"sluice_bench\":1}", "version: is missing" },
	{ TOP("\"tests\":[],\"tests\":[]"), "duplicate" },
	{ TOP("\"tests\":[],\"x\\u001b\":0"), "\"x \"" },
	{ TOP("\"tests\":{}"), "tests: is no list" },
	{ TOP("\"test\":[]"), "member \"test\"" },
	{ TOP("\"tests\":[1]"), "tests[0]: is no object" },
	{ TOP("\"tests\":[{\"name\":\"a b\"}]"), "tests[0].name" },
	{ TOP("\"tests\":[{\"name\":\"\"}]"), "tests[0].name" },
	{ TOP("\"tests\":[{\"name\":7}]"), "tests[0].name: is no string" },
	{ TOP("\"tests\":[{\"name\":\"n\",\"title\":\"\\u001b[2J\"}]"), "control" },
	{ TOP("\"tests\":[{\"name\":\"n\",\"title\":\"\\u0000\"}]"), "line 1" },
	{ TOP("\"tests\":[{\"name\":\"n\",\"title\":\"t\",\"unit\":\"miles\"}]"), "tests[0].unit" },
	{ COLUMN("{\"ns\":-1}"), "tests[0].columns[0].samples[0].ns: is no whole number" },
	{ COLUMN("{},{\"ops\":1.5}"), "samples[1].ops" },
	{ COLUMN("{\"ops\":\"1\"}"), "samples[0].ops" },
	{ COLUMN("{\"ops\":99999999999999999999}"), "line 1" },
	{ COLUMN("{\"opps\":1}"), "\"opps\"" },
	{ COLUMN("{\"instructions\":null,\"ops\":1}"), NULL },
	{ COLUMN("{\"instructions\":-1}"), "samples[0].instructions: is no whole number" },
	{ COLUMN("{\"instructions\":1.5}"), "samples[0].instructions" },
	{ COLUMN("{\"instructions\":\"many\"}"), "samples[0].instructions" },
	{ COLUMN("{\"hist\":[[1,1],[1,1]]}"), "hist[1]: does not ascend" },
	{ COLUMN("{\"hist\":[[1]]}"), "hist[0]" },
	{ COLUMN("{\"hist\":[[1,null]]}"), "hist[0]" },
	{ COLUMN("{\"hist\":{}}"), "hist: is no list" },
	{ COLUMN("{\"exits\":[]}"), "exits: is no object" },
	{ COLUMN("{\"exits\":{\"a b\":1}}"), "no name" },
	{ COLUMN("{\"exits\":{\"pio\":-1}}"), "exits.pio" },
	{ COLUMN("{\"cpu_ns\":{\"gpu\":1}}"), "cpu_ns: has a member \"gpu\"" },
	{ COLUMN("]"), "line 1" },
};

static void test_hostile(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(hostile); i++) {
		const struct hostile *h = &hostile[i];
		struct bench_result r;
		struct err e = { 0 };
		int ret = bench_result_parse(&r, h->text, strlen(h->text), &e);

		if (!h->words) {
			assert_int_equal(ret, 0);
			bench_result_free(&r);
			continue;
		}
		if (!strstr(e.text, h->words))
			print_error("%s: %s, not %s\n", h->text, e.text, h->words);
		assert_int_equal(ret, -EINVAL);
		assert_non_null(strstr(e.text, h->words));
		assert_true(!r.test && !r.env);
	}
}

/* Lists and strings one beyond their limits, and nesting without an end. */
static void test_too_much(void **state)
{
	static const struct {
		const char *head, *item, *tail, *words;
		unsigned int n;
	} big[] = {
		{ "\"tests\":[", "0", "]", "256", BENCH_TESTS_MAX + 1 },
		{ "\"tests\":[", "[", "", "line", 100000 },
		{ "\"tests\":[{\"name\":\"", "x", "\"}]", "longer", BENCH_NAME_SIZE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(big); i++) {
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		struct bench_result r;
		struct err e = { 0 };

		fprintf(f,
			"{\"sluice_bench\":1,\"version\":\"1\",\"date\":\"d\",\"command\":\"c\","
			"\"environment\":{},\"warnings\":[],\"skipped\":[],%s",
			big[i].head);
		for (unsigned int k = 0; k < big[i].n; k++)
			fprintf(f, "%s%s", k && *big[i].item == '0' ? "," : "", big[i].item);
		fprintf(f, "%s}", big[i].tail);
		fclose(f);
		assert_int_equal(bench_result_parse(&r, text, len, &e), -EINVAL);
		assert_non_null(strstr(e.text, big[i].words));
		free(text);
	}
}

static void test_files(void **state)
{
	char dir[] = "/tmp/sluice-bench-XXXXXX", path[64], tmp[72];
	struct bench_result r, b;
	struct err e = { 0 };

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/result.json", dir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	fill(&r);
	assert_int_equal(bench_result_load(&b, path, &e), -ENOENT);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(bench_result_save(&r, path, &e), 0);
	assert_int_equal(bench_result_save(&r, path, &e), 0); /* over the old one */
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(bench_result_load(&b, path, &e), 0);
	assert_int_equal(b.n_test, 1);
	bench_result_free(&b);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(bench_result_save(&r, path, &e), -ENOENT);
	bench_result_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_filling),
		cmocka_unit_test(test_limits),	   cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_too_much),   cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
