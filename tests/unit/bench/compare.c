// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two result files compared. Honest in both ways: files of equal modes differ in at most 1 of 20
 * pairs, a mode that was slowed down by 20 % is named. All draws are seeded.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "bench/report.h"
#include "tests/unit/bench/draw.h"

static const char *const modes[] = { "emulated", "virtio", "vhost-user", "vfio" };
static const double speeds[] = { 20000, 45000, 60000, 90000 };

/* struct pair - two files in a folder of their own */
struct pair {
	char dir[32], a[48], b[48], *text;
	struct err e;
};

/* Two tests, four modes, rounds samples each; slow divides the speed of vhost-user in the first. */
static void make(struct bench_result *r, unsigned int rounds, double slow, uint64_t *seed)
{
	bench_result_init(r, "0.1.0", "sluice bench disk");
	for (unsigned int k = 0; k < 2; k++) {
		struct bench_test *t =
			bench_test_add(r, k ? "disk-write" : "disk-read", "4 KiB", BENCH_OPS, true);

		for (unsigned int m = 0; m < ARRAY_SIZE(modes); m++) {
			struct bench_column *c = bench_column_add(t, modes[m], "sluice");
			double v[64];

			draw(v, rounds, DRAW_SKEWED, 0.03, speeds[m] / (m == 2 && !k ? slow : 1),
			     seed);
			for (unsigned int i = 0; i < rounds; i++) {
				struct bench_sample *s = bench_sample_add(c);

				s->ns = 1000000000;
				s->ops = (int64_t)v[i];
				assert_int_equal(bench_sample_exit(s, "mmio", m ? 0 : 2 * s->ops),
						 0);
			}
		}
	}
}

static void begin(struct pair *p)
{
	*p = (struct pair){ .dir = "/tmp/sluice-bench-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->a, sizeof(p->a), "%s/a.json", p->dir);
	snprintf(p->b, sizeof(p->b), "%s/b.json", p->dir);
}

static void end(struct pair *p)
{
	unlink(p->a);
	unlink(p->b);
	rmdir(p->dir);
	free(p->text);
}

static void save(struct bench_result *r, const char *path)
{
	assert_int_equal(bench_result_save(r, path, NULL), 0);
	bench_result_free(r);
}

static int compare(struct pair *p)
{
	size_t len;
	FILE *f;
	int ret;

	free(p->text);
	p->text = NULL;
	f = open_memstream(&p->text, &len);
	ret = bench_compare(p->a, p->b, f, &p->e);
	fclose(f);
	return ret;
}

static void test_same(void **state)
{
	unsigned int wrong = 0;
	struct bench_result r;
	uint64_t seed = 5;
	struct pair p;

	begin(&p);
	for (unsigned int k = 0; k < 40; k++) {
		make(&r, 7, 1, &seed);
		save(&r, p.a);
		make(&r, 7, 1, &seed);
		save(&r, p.b);
		wrong += compare(&p) != 0;
	}
	assert_in_range(wrong, 0, 2);
	end(&p);
}

static void test_slower(void **state)
{
	unsigned int found = 0;
	struct bench_result r;
	uint64_t seed = 6;
	struct pair p;

	begin(&p);
	for (unsigned int k = 0; k < 20; k++) {
		const char *line;

		make(&r, 7, 1, &seed);
		save(&r, p.a);
		make(&r, 7, 1.25, &seed); /* 20 % fewer operations */
		save(&r, p.b);
		if (compare(&p) != 1)
			continue;
		line = strstr(p.text, "vhost-user"); /* disk-read comes first */
		found += line && memmem(line, strcspn(line, "\n"), "B is slower", 11) &&
			 strstr(p.text, "1 slower");
	}
	assert_in_range(found, 19, 20);
	make(&r, 7, 1, &seed); /* and the other way round */
	save(&r, p.b);
	make(&r, 7, 1.25, &seed);
	save(&r, p.a);
	assert_int_equal(compare(&p), 1);
	assert_non_null(strstr(p.text, "1 faster"));
	end(&p);
}

/* Where the times are refused, a slow-down is not told, and a count that rose is. */
static void test_counts_only(void **state)
{
	struct bench_result r;
	uint64_t seed = 8;
	struct pair p;

	begin(&p);
	make(&r, 7, 1, &seed);
	save(&r, p.a);
	make(&r, 7, 2, &seed);
	bench_warn(&r, BENCH_REFUSE, "kvm", "all in software");
	save(&r, p.b);
	assert_int_equal(compare(&p), 0);
	assert_non_null(strstr(p.text, "all in software"));
	assert_null(strstr(p.text, "slower"));
	make(&r, 7, 1, &seed);
	bench_warn(&r, BENCH_REFUSE, "kvm", "all in software");
	for (unsigned int i = 0; i < 7; i++) {
		struct bench_sample *s = &r.test[0]->column[1]->sample[i];

		assert_int_equal(bench_sample_exit(s, "mmio", s->ops), 0);
	}
	save(&r, p.b);
	assert_int_equal(compare(&p), 1);
	assert_non_null(strstr(p.text, "virtio: exits to user space"));
	assert_non_null(strstr(p.text, "B has more"));
	end(&p);
}

/* Work, where a clock counted it: the one mode that needs more of it is named, with its interval.
 */
static void work(struct bench_result *r, double slow)
{
	for (unsigned int m = 0; m < ARRAY_SIZE(modes); m++)
		for (unsigned int i = 0; i < 7; i++) {
			struct bench_sample *s = &r->test[0]->column[m]->sample[i];

			s->instructions = (int64_t)((double)s->ops * (100000 + i * 100) *
						    (m == 2 ? slow : 1));
		}
	bench_warn(r, BENCH_REFUSE, "kvm", "all in software");
}

static void test_work(void **state)
{
	struct bench_result r;
	uint64_t seed = 11;
	struct pair p;
	const char *line;

	begin(&p);
	make(&r, 7, 1, &seed);
	work(&r, 1);
	save(&r, p.a);
	make(&r, 7, 1, &seed);
	work(&r, 1);
	save(&r, p.b);
	assert_int_equal(compare(&p), 0);
	assert_non_null(strstr(p.text, "virtio: instructions"));
	make(&r, 7, 1, &seed);
	work(&r, 3);
	save(&r, p.b);
	assert_int_equal(compare(&p), 1);
	line = strstr(p.text, "vhost-user: instructions");
	assert_non_null(line);
	assert_non_null(memmem(line, strcspn(line, "\n"), " 3.00 (", 7));
	assert_non_null(memmem(line, strcspn(line, "\n"), "B has more", 10));
	assert_non_null(strstr(p.text, "1 differ,"));
	/* a file from before, or from another host, has none: nothing to compare, and no zero */
	make(&r, 7, 1, &seed);
	bench_warn(&r, BENCH_REFUSE, "kvm", "all in software");
	save(&r, p.b);
	assert_int_equal(compare(&p), 0);
	assert_null(strstr(p.text, ": instructions"));
	end(&p);
}

/* Different hosts, tests and columns that only one side has, too few samples, no file. */
static void test_odd_pairs(void **state)
{
	struct bench_result r;
	uint64_t seed = 9;
	struct pair p;

	begin(&p);
	make(&r, 7, 1, &seed);
	bench_env_str(&r, "cpu", "old");
	bench_env_num(&r, "load-1m", 3);
	save(&r, p.a);
	assert_int_equal(compare(&p), -ENOENT);
	make(&r, 7, 1, &seed);
	bench_env_str(&r, "cpu", "new");
	bench_env_num(&r, "load-1m", 4);
	bench_column_add(r.test[0], "virtio", "qemu");
	bench_test_add(&r, "net-tx", "send", BENCH_PACKETS, true);
	save(&r, p.b);
	assert_int_equal(compare(&p), 0);
	assert_non_null(strstr(p.text, "differs: cpu: old / new"));
	assert_null(strstr(p.text, "load-1m"));
	assert_non_null(strstr(p.text, "virtio (qemu)"));
	assert_non_null(strstr(p.text, "2 in one of the two only"));
	make(&r, 3, 1, &seed);
	save(&r, p.b);
	assert_int_equal(compare(&p), -ENODATA);
	assert_non_null(strstr(p.text, "too few samples"));
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	    cmocka_unit_test(test_slower),
		cmocka_unit_test(test_counts_only), cmocka_unit_test(test_work),
		cmocka_unit_test(test_odd_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
