// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table, the sentences and the page. A result that somebody else wrote must not become markup
 * of the page, and a page must be whole whatever was measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bench/report.h"
#include "bench/words.h"
#include "tests/unit/bench/draw.h"

/* Two modes; the second is twice as fast, with two exits fewer and a backend's CPU time. */
static struct bench_test *fill(struct bench_result *r, unsigned int rounds)
{
	struct bench_test *t;
	uint64_t seed = 4;

	bench_result_init(r, "0.1.0", "sluice bench disk");
	bench_env_str(r, "cpu", "some");
	bench_skip_add(r, "vfio", "sluice", "", "no VF");
	t = bench_test_add(r, "disk-read", "read 4 KiB", BENCH_OPS, true);
	for (unsigned int m = 0; m < 2; m++) {
		struct bench_column *c =
			bench_column_add(t, m ? "vhost-user" : "emulated", "sluice");
		double v[64];

		draw(v, rounds, DRAW_NORMAL, 0.01, m ? 40000 : 20000, &seed);
		for (unsigned int i = 0; i < rounds; i++) {
			struct bench_sample *s = bench_sample_add(c);

			s->ns = 1000000000;
			s->ops = (int64_t)v[i];
			s->p50_ns = m ? 25000 : 50000;
			s->p99_ns = 2 * s->p50_ns;
			s->cpu_ns[BENCH_CPU_VCPU] = 5000 * s->ops;
			if (m)
				s->cpu_ns[BENCH_CPU_BACKEND] = 9000 * s->ops;
			bench_sample_exit(s, "mmio", m ? 0 : 2 * s->ops);
			bench_sample_exit(s, "kernel-irq", s->ops);
			bench_sample_bucket(s, s->p50_ns, s->ops / 2);
			bench_sample_bucket(s, s->p99_ns, s->ops / 2);
		}
	}
	return t;
}

static char *page(const struct bench_result *r)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(bench_report(r, f), 0);
	fclose(f);
	return text;
}

static char *table(const struct bench_result *r, unsigned int width)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	bench_table(r, width, f);
	fclose(f);
	return text;
}

/* Every element is closed, by the element that it was opened in; <meta> has no end. */
static void check_whole(const char *html)
{
	const char *open[64];
	size_t len[64];
	unsigned int n = 0;

	for (const char *p = strchr(html, '<'); p; p = strchr(p + 1, '<')) {
		const char *name = p + (p[1] == '/' ? 2 : 1), *close = strchr(p, '>');
		size_t k = strcspn(name, " >/\n");

		assert_non_null(close);
		if (*name == '!' || !strncmp(name, "meta", 4) || close[-1] == '/')
			continue;
		if (p[1] == '/') {
			assert_true(n && len[n - 1] == k && !strncmp(open[n - 1], name, k));
			n--;
		} else {
			assert_in_range(n, 0, ARRAY_SIZE(open) - 1);
			open[n] = name;
			len[n++] = k;
		}
	}
	assert_int_equal(n, 0);
	assert_null(strstr(html, "nan"));
	assert_null(strstr(html, "inf\""));
}

/* Nothing runs, nothing is fetched. */
static void check_inert(const char *html)
{
	static const char *const bad[] = { "<script",  "<img",	  "<link",   "http:",
					   "https:",   "src=",	  "@import", "onload=",
					   "onerror=", "<iframe", "<object" };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(strstr(html, bad[i]));
}

static void test_page(void **state)
{
	static const char *const parts[] = { "Throughput",
					     "VM exits",
					     "Latency",
					     "CPU time",
					     "Distribution of latency",
					     "kernel-irq",
					     "no VF",
					     "times as fast as",
					     "fewer exits to user space" };
	struct bench_result r;
	char *html;

	fill(&r, 7);
	html = page(&r);
	check_whole(html);
	check_inert(html);
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		assert_non_null(strstr(html, parts[i]));
	assert_null(strstr(html, "class=\"unfair\""));
	free(html);
	bench_warn(&r, BENCH_REFUSE, "tcg", "all is emulated");
	html = page(&r);
	check_whole(html);
	assert_non_null(strstr(html, "class=\"unfair\""));
	assert_null(strstr(html, "times as fast as"));
	assert_non_null(strstr(html, "fewer exits to user space"));
	free(html);
	bench_result_free(&r);
}

/* Instructions stand where times may not: in the verdict, at a glance, as a plot, in the table. */
static void test_work(void **state)
{
	struct bench_result r;
	char *html, *text;

	fill(&r, 7);
	html = page(&r);
	assert_null(strstr(html, "Instructions"));
	free(html);
	for (unsigned int m = 0; m < 2; m++)
		for (unsigned int i = 0; i < 7; i++) {
			struct bench_sample *s = &r.test[0]->column[m]->sample[i];

			s->instructions = (m ? 50000 : 200000) * s->ops + i;
		}
	bench_warn(&r, BENCH_REFUSE, "kvm", "all is emulated");
	html = page(&r);
	check_whole(html);
	assert_non_null(strstr(html, "<b>Instructions</b>"));
	assert_non_null(strstr(html, "instructions per operation"));
	assert_non_null(strstr(html, "× 0.25"));
	assert_null(strstr(html, "times as fast as"));
	free(html);
	text = table(&r, 0);
	assert_non_null(strstr(text, "vhost-user needs the fewest instructions, 50.0 k for each "
				     "operation, 0.25 times those of emulated (0.25 to 0.25)."));
	assert_non_null(strstr(text, "instr/op"));
	assert_non_null(strstr(text, "0.25 (0.25 to 0.25)"));
	free(text);
	/* one mode without them: a dash, and it is not the one with the fewest */
	for (unsigned int i = 0; i < 7; i++)
		r.test[0]->column[1]->sample[i].instructions = BENCH_NONE;
	text = table(&r, 0);
	assert_non_null(strstr(text, "emulated needs the fewest instructions, 200 k for each "
				     "operation. Times cannot be compared."));
	free(text);
	html = page(&r);
	check_whole(html);
	free(html);
	bench_result_free(&r);
}

/* All strings of a result that a stranger wrote; the reader takes any printable text. */
static void test_hostile_page(void **state)
{
	static const char *const evil =
		"</title><script>alert(1)</script>\"' onload=x <img src=y>&";
	struct bench_result r;
	struct bench_test *t;
	char *html;

	fill(&r, 5);
	t = r.test[0];
	snprintf(t->title, sizeof(t->title), "%s", evil);
	snprintf(t->name, sizeof(t->name), "%s", evil);
	snprintf(t->column[1]->mode, BENCH_WORD_SIZE, "<img src=y>");
	snprintf(t->column[1]->vmm, BENCH_WORD_SIZE, "\"><script>");
	snprintf(t->column[0]->sample[0].exit[0].reason, BENCH_WORD_SIZE, "<script>");
	snprintf(r.version, sizeof(r.version), "%s", evil);
	snprintf(r.date, sizeof(r.date), "%s", evil);
	snprintf(r.command, sizeof(r.command), "%s", evil);
	snprintf(r.env[0].key, BENCH_WORD_SIZE, "<script>");
	snprintf(r.env[0].text, BENCH_TEXT_SIZE, "%s", evil);
	bench_warn(&r, BENCH_WARN, "x", "%s", evil);
	snprintf(r.warning[0].about, BENCH_WORD_SIZE, "<script>");
	snprintf(r.skip[0].mode, BENCH_WORD_SIZE, "<img>");
	snprintf(r.skip[0].vmm, BENCH_WORD_SIZE, "<img>");
	snprintf(r.skip[0].test, BENCH_NAME_SIZE, "%s", evil);
	snprintf(r.skip[0].reason, BENCH_TEXT_SIZE, "%s", evil);
	html = page(&r);
	check_whole(html);
	assert_null(strstr(html, "<script"));
	assert_null(strstr(html, "<img"));
	assert_non_null(strstr(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;"));
	free(html);
	bench_result_free(&r);
}

/* Nothing measured, one sample, no tests, numbers at their ends. */
static void test_thin_pages(void **state)
{
	struct bench_result r;
	struct bench_sample *s;
	struct bench_test *t;
	char *text;

	bench_result_init(&r, "", "");
	text = page(&r);
	check_whole(text);
	free(text);
	t = bench_test_add(&r, "a", "a", BENCH_NS, false);
	text = page(&r);
	check_whole(text);
	assert_non_null(strstr(text, "Nothing was measured"));
	free(text);
	bench_column_add(t, "virtio", "sluice");
	s = bench_sample_add(bench_column_add(t, "vfio", "sluice"));
	s->ops = 1;
	s->ns = s->p50_ns = s->p999_ns = INT64_MAX;
	s->errors = INT64_MAX;
	bench_sample_exit(s, "pio", INT64_MAX);
	bench_sample_bucket(s, INT64_MAX, INT64_MAX);
	text = page(&r);
	check_whole(text);
	free(text);
	text = table(&r, 80);
	assert_non_null(strstr(text, "FAILED"));
	free(text);
	s->ns = s->ops = s->p50_ns = s->p999_ns = 0;
	text = page(&r);
	check_whole(text);
	free(text);
	bench_result_free(&r);
}

static void test_words(void **state)
{
	char text[BENCH_SENTENCE_SIZE];
	struct bench_result r;
	struct bench_test *t = fill(&r, 7);

	bench_verdict(&r, t, text);
	assert_int_equal(strncmp(text, "vhost-user is ahead with", 24), 0);
	assert_non_null(strstr(text, "times as fast as emulated"));
	assert_false(bench_explain(&r, t, t->column[0], text)); /* the base */
	assert_true(bench_explain(&r, t, t->column[1], text));
	assert_non_null(
		strstr(text, "2.00 fewer exits to user space (0.00 against 2.00, mostly mmio)"));
	assert_null(strstr(text, "backend")); /* not measured in the base, so not compared */
	for (size_t i = 0; i < t->column[1]->n_sample; i++)
		t->column[1]->sample[i].cpu_ns[BENCH_CPU_VCPU] *= 3;
	assert_true(bench_explain(&r, t, t->column[1], text));
	assert_non_null(strstr(text, "but 10.0 µs more of a vCPU's CPU time"));
	/* In two rounds of seven it needs a third of what it does else: the median is told no more.
	 */
	for (size_t i = 0; i < 2; i++)
		t->column[1]->sample[i].cpu_ns[BENCH_CPU_VCPU] /= 9;
	assert_true(bench_explain(&r, t, t->column[1], text));
	assert_null(strstr(text, "of a vCPU's CPU time"));
	bench_result_free(&r);
	t = fill(&r, 3);
	bench_verdict(&r, t, text);
	assert_non_null(strstr(text, "too few samples"));
	bench_result_free(&r);
}

static void test_numbers(void **state)
{
	static const struct {
		double v;
		enum bench_unit unit;
		const char *text;
	} figures[] = {
		{ 41234, BENCH_OPS, "41.2 k" },	    { 999.6, BENCH_OPS, "1.00 k" },
		{ 1.25e9, BENCH_BYTES, "1.25 GB" }, { 3100, BENCH_NS, "3.10 µs" },
		{ 7.25, BENCH_NS, "7.2 ns" },	    { 0, BENCH_OPS, "0.00" },
		{ (double)NAN, BENCH_NS, "-" },	    { 8e27, BENCH_PACKETS, "8000000000000 P" },
	};
	char buf[BENCH_NUM_SIZE];

	for (unsigned int i = 0; i < ARRAY_SIZE(figures); i++)
		assert_string_equal(bench_num_figure(buf, figures[i].v, figures[i].unit),
				    figures[i].text);
	assert_string_equal(bench_num_bytes(buf, 2097152), "2 MiB");
	assert_string_equal(bench_num_times(buf, 10.26), "10.3");
	assert_string_equal(bench_num_times(buf, (double)NAN), "-");
}

/* What matters stays where the terminal is narrow; all lines are as long as they look. */
static void test_table(void **state)
{
	struct bench_result r;
	char *wide, *narrow;

	fill(&r, 5);
	bench_skip_add(&r, "", "", "", "a whole topic");
	bench_skip_add(&r, "virtio", "qemu", "net-tx", "no wire");
	wide = table(&r, 0);
	narrow = table(&r, 60);
	assert_non_null(strstr(wide, "\n  vfio sluice: no VF\n  a whole topic\n"));
	assert_non_null(strstr(wide, "\n  virtio qemu net-tx: no wire\n"));
	assert_non_null(strstr(wide, "CPU/op"));
	assert_null(strstr(wide, "instr/op")); /* nobody measured it */
	assert_non_null(strstr(wide, "vfio sluice: no VF"));
	assert_null(strstr(narrow, "CPU/op"));
	assert_non_null(strstr(narrow, "exits/op"));
	assert_non_null(strstr(narrow, "more columns in a wider terminal"));
	free(wide);
	free(narrow);
	bench_result_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),	     cmocka_unit_test(test_work),
		cmocka_unit_test(test_hostile_page), cmocka_unit_test(test_thin_pages),
		cmocka_unit_test(test_words),	     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
