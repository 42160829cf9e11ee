// SPDX-License-Identifier: BSD-3-Clause
/* Memory checks of "sluice run" against figures of a host. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/run_priv.h"
#include "tests/unit/fake/fakesys.h"

static struct fakesys *host(void)
{
	struct fakesys *f = fakesys_new();

	fakesys_file(f, "/proc/meminfo",
		     "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n");
	fakesys_file(f, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "100");
	fakesys_file(f, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
		     "10");
	return f;
}

static void check(uint64_t memory, int page, int node, const char *words)
{
	struct fakesys *f = host();
	struct run r = { .sys = fakesys_sys(f) };
	struct err e = { 0 };
	int ret;

	r.o.memory = memory;
	r.o.page = page;
	r.o.node_given = node >= 0;
	r.o.node = (uint32_t)node;
	ret = run_check_memory(&r, &e);
	assert_int_equal(fakesys_open_fds(f), 0);
	fakesys_free(f);
	if (!words) {
		assert_int_equal(ret, 0);
		return;
	}
	assert_true(ret < 0);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static void keep_line(void *arg, enum log_level level, const char *line)
{
	strncpy(arg, line, 255);
}

/* A wish that the host will not grant is allowed, but not passed over in silence. */
static void test_thp_that_is_off(void **state)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	struct fakesys *f = host();
	char said[256] = "";
	struct run r = { .sys = fakesys_sys(f),
			 .log = { LOG_WARN, keep_line, said },
			 .o = { .memory = MIB(64), .page = VM_PAGE_THP } };
	struct err e = { 0 };

	fakesys_file(f, path, "always within_size [advise] never deny force");
	assert_int_equal(run_check_memory(&r, &e), 0);
	assert_string_equal(said, "");
	fakesys_file(f, path, "always within_size advise [never] deny force");
	assert_int_equal(run_check_memory(&r, &e), 0);
	assert_string_equal(said, ""); /* nobody asked for it: it is the default */
	r.o.page_given = true;
	assert_int_equal(run_check_memory(&r, &e), 0);
	assert_non_null(strstr(said, "page=thp has no effect"));
	said[0] = 0;
	r.o.prefault = true;
	assert_int_equal(run_check_memory(&r, &e), 0);
	assert_string_equal(said, "");
	fakesys_free(f);
}

static void test_small_pages(void **state)
{
	check(0, VM_PAGE_4K, -1, "0 bytes are too few");
	check(1, VM_PAGE_THP, -1, "1 bytes are too few");
	check(MIB(16), VM_PAGE_4K, -1, NULL);
	check(MIB(16) + 1, VM_PAGE_4K, -1, "no multiple of the page size (4 KiB)");
	check(GIB(4), VM_PAGE_THP, -1, NULL);
	check(GIB(5), VM_PAGE_THP, -1,
	      "5120 MiB asked for, the host has 4096 MiB available (of 8192)");
	check(UINT64_MAX & ~0xfffull, VM_PAGE_4K, -1, "asked for");
}

static void test_huge_pages(void **state)
{
	check(MIB(200), VM_PAGE_2M, -1, NULL);
	check(MIB(201), VM_PAGE_2M, -1, "no multiple of the page size (2048 KiB)");
	check(MIB(202), VM_PAGE_2M, -1, "101 pages of 2 MiB are needed, 100 are free");
	check(GIB(1), VM_PAGE_1G, -1, "this host has no pages of 1024 MiB");
	check(MIB(20), VM_PAGE_2M, 0, NULL);
	check(MIB(22), VM_PAGE_2M, 0, "node0");
}

static void test_node(void **state)
{
	check(MIB(64), VM_PAGE_4K, 0, NULL);
	check(MIB(64), VM_PAGE_4K, 3, "no NUMA node 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thp_that_is_off),
		cmocka_unit_test(test_small_pages),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
