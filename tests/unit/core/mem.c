// SPDX-License-Identifier: BSD-3-Clause
/* The address map, its listeners, and where RAM is laid. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/mem.h"

struct spy {
	struct vm_mem_listener l;
	unsigned int on;
	int fail;
};

static int spy_add(struct vm_mem_listener *l, const struct vm_mem_region *r, struct err *e)
{
	struct spy *s = container_of(l, struct spy, l);

	if (s->fail)
		return err_set(e, s->fail, "spy refuses %s", r->name);
	s->on++;
	return 0;
}

static void spy_del(struct vm_mem_listener *l, const struct vm_mem_region *r)
{
	struct spy *s = container_of(l, struct spy, l);

	assert_true(s->on > 0);
	s->on--;
}

#define SPY                                                           \
	{                                                             \
		.l = {.name = "spy", .add = spy_add, .del = spy_del } \
	}

static void test_claims(void **state)
{
	struct vm_mem_claim a = { 0 }, b = { 0 }, c = { 0 };
	struct err e = { 0 };
	struct vm_mem m;

	vm_mem_init(&m, GIB(64));
	assert_int_equal(vm_mem_claim(&m, &a, 0x10000, 0x10000, "a", &e), 0);
	assert_int_equal(vm_mem_claim(&m, &b, 0x1ffff, 1, "b", &e), -EEXIST);
	assert_non_null(strstr(e.text, "overlaps a"));
	assert_int_equal(vm_mem_claim(&m, &b, 0x20000, 0x1000, "b", &e), 0);
	assert_int_equal(vm_mem_claim(&m, &c, 0, 0x10001, "c", &e), -EEXIST);
	assert_int_equal(vm_mem_claim(&m, &c, UINT64_MAX - 1, 4, "c", &e), -EINVAL);
	assert_int_equal(vm_mem_claim(&m, &c, 0, 0, "c", &e), -EINVAL);
	assert_int_equal(vm_mem_claim(&m, &c, GIB(64) - 1, 2, "c", &e), -ERANGE);
	vm_mem_unclaim(&m, &a);
	vm_mem_unclaim(&m, &a);
	assert_int_equal(vm_mem_claim(&m, &c, 0, 0x20000, "c", &e), 0);
}

static void test_listeners_all_or_none(void **state)
{
	struct vm_mem_region r = { .name = "r", .gpa = 0x1000, .size = 0x1000 };
	struct vm_mem_region r2 = { .name = "r2", .gpa = 0x1000, .size = 0x1000 };
	struct spy a = SPY, b = SPY, late = SPY;
	struct err e = { 0 };
	struct vm_mem m;

	vm_mem_init(&m, GIB(64));
	assert_int_equal(vm_mem_listen(&m, &a.l, &e), 0);
	assert_int_equal(vm_mem_listen(&m, &b.l, &e), 0);
	b.fail = -EPERM;
	assert_int_equal(vm_mem_add(&m, &r, &e), -EPERM);
	assert_int_equal(a.on, 0);
	vm_mem_del(&m, &r); /* was never added */
	b.fail = 0;
	assert_int_equal(vm_mem_add(&m, &r, &e), 0);
	assert_int_equal(vm_mem_add(&m, &r2, &e), -EEXIST);
	assert_int_equal(a.on + b.on, 2);
	assert_int_equal(vm_mem_listen(&m, &late.l, &e), 0);
	assert_int_equal(late.on, 1);
	vm_mem_unlisten(&m, &late.l);
	vm_mem_unlisten(&m, &late.l);
	assert_int_equal(late.on, 0);
	vm_mem_del(&m, &r);
	vm_mem_del(&m, &r);
	assert_int_equal(a.on + b.on, 0);
}

static void test_unaligned_region(void **state)
{
	struct vm_mem_region r = { .name = "r", .gpa = 0x1000, .size = 0x1001 };
	struct err e = { 0 };
	struct vm_mem m;

	vm_mem_init(&m, GIB(64));
	assert_int_equal(vm_mem_add(&m, &r, &e), -EINVAL);
}

static void test_copy(void **state)
{
	static uint8_t lo[4096], hi[4096], buf[4096];
	struct vm_mem_region a = { .name = "a", .gpa = 0, .size = 4096, .hva = lo };
	struct vm_mem_region b = { .name = "b", .gpa = 4096, .size = 4096, .hva = hi };
	struct vm_mem_region bar = {
		.name = "bar", .kind = VM_MEM_BAR, .gpa = 8192, .size = 4096, .hva = hi
	};
	struct err e = { 0 };
	struct vm_mem m;

	vm_mem_init(&m, GIB(64));
	assert_int_equal(vm_mem_add(&m, &b, &e), 0);
	assert_int_equal(vm_mem_add(&m, &a, &e), 0);
	assert_int_equal(vm_mem_add(&m, &bar, &e), 0);
	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(vm_mem_write(&m, 4000, buf, 200), 0);
	assert_int_equal(lo[3999], 0);
	assert_int_equal(lo[4000], 0x5a);
	assert_int_equal(hi[103], 0x5a);
	assert_int_equal(hi[104], 0);
	assert_int_equal(vm_mem_write(&m, 8191, buf, 2), -EFAULT); /* the BAR is not RAM */
	assert_int_equal(hi[4095], 0);				   /* and nothing was copied */
	assert_int_equal(vm_mem_read(&m, UINT64_MAX, buf, 2), -EFAULT);
	assert_null(vm_mem_ptr(&m, 4000, 200));
	assert_ptr_equal(vm_mem_ptr(&m, 4000, 96), lo + 4000);
	assert_null(vm_mem_ptr(&m, 4000, UINT64_MAX));
	assert_null(vm_mem_ptr(&m, 8192, 1));
}

static void test_layout(void **state)
{
	/* What VT-d and an AMD host with the HyperTransport hole report. */
	static const struct vm_range vtd[] = { { 0, 0xfedfffff }, { 0xfef00000, 0x7fffffffffull } };
	static const struct vm_range amd[] = { { 0, 0xfcffffffffull },
					       { 0x10000000000ull, UINT64_MAX } };
	static const struct vm_range low_hole[] = { { 0, MIB(64) - 1 }, { MIB(65), UINT64_MAX } };
	static const struct vm_range none[] = { { MIB(1), UINT64_MAX } };
	static const struct vm_range narrow[] = { { 0, GIB(4) - 1 } };
	struct vm_mem_region s[VM_RAM_SEGS_MAX];
	struct err e = { 0 };

	assert_int_equal(vm_ram_layout(MIB(512), vtd, 2, 4096, s, &e), 1);
	assert_int_equal(s[0].size, MIB(512));
	assert_int_equal(vm_ram_layout(GIB(5), vtd, 2, 4096, s, &e), 2);
	assert_int_equal(s[0].size, GIB(3));
	assert_int_equal(s[1].gpa, GIB(4));
	assert_int_equal(s[1].size, GIB(2));
	assert_int_equal(vm_ram_layout(GIB(1024), amd, 2, GIB(1), s, &e), 3);
	assert_int_equal(s[2].gpa, 0x10000000000ull);
	assert_int_equal(s[0].size + s[1].size + s[2].size, GIB(1024));
	assert_int_equal(vm_ram_layout(MIB(256), low_hole, 2, MIB(2), s, &e), 2);
	assert_int_equal(s[0].size, MIB(64));
	assert_int_equal(s[1].gpa, MIB(66)); /* whole 2 MiB pages only */
	assert_int_equal(vm_ram_layout(MIB(256), none, 1, 4096, s, &e), -ENOSPC);
	assert_int_equal(vm_ram_layout(GIB(4), narrow, 1, 4096, s, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "3072 MiB of the 4096 MiB"));
	assert_int_equal(vm_ram_layout(4097, NULL, 0, 4096, s, &e), -EINVAL);
	assert_int_equal(vm_ram_layout(0, NULL, 0, 4096, s, &e), -EINVAL);
	assert_int_equal(vm_ram_layout(UINT64_MAX - 4095, vtd, 2, 4096, s, &e), -ENOSPC);
}

static void test_layout_pieces(void **state)
{
	struct vm_range many[40];
	struct vm_mem_region s[VM_RAM_SEGS_MAX];
	struct err e = { 0 };

	many[0] = (struct vm_range){ 0, MIB(32) - 1 };
	for (unsigned int i = 1; i < ARRAY_SIZE(many); i++)
		many[i] = (struct vm_range){ MIB(32) + i * MIB(2), MIB(33) + i * MIB(2) - 1 };
	assert_int_equal(vm_ram_layout(MIB(64), many, ARRAY_SIZE(many), 4096, s, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "too many pieces"));
}

static void test_ram_fail_nth(void **state)
{
	const struct vm_ram_cfg cfg = {
		.size = MIB(32), .node = 0, .prefault = true, .page = VM_PAGE_2M
	};
	struct fakesys *f = fakesys_new();
	struct sys *s = fakesys_sys(f);
	struct spy spy = SPY;
	struct vm_ram r = { 0 };
	unsigned int n = 0, bind = 0, take = 0;
	struct vm_mem m;
	int rc;

	do {
		struct err e = { 0 };

		vm_mem_init(&m, GIB(64));
		spy.on = 0;
		assert_int_equal(vm_mem_listen(&m, &spy.l, &e), 0);
		fakesys_fail_nth(f, ++n, -ENOMEM);
		rc = vm_ram_alloc(s, &r, &cfg, &e);
		/* Huge pages and THP advice are wishes; the others are reported with words. */
		if (rc)
			assert_true(e.code == rc && strstr(e.text, "memory"));
		else
			assert_int_equal(vm_ram_place(&r, &m, NULL, 0, &e), 0);
		bind = rc && strstr(e.text, "NUMA node 0") ? n : bind;
		take = rc && strstr(e.text, "16 free 2M hugepages") ? n : take;
		assert_int_equal(spy.on, rc ? 0 : 1);
		vm_ram_free(s, &r, &m);
		vm_ram_free(s, &r, &m);
		assert_int_equal(spy.on, 0);
		assert_int_equal(fakesys_open_fds(f), 0);
		assert_int_equal(fakesys_maps(f), 0);
	} while (fakesys_failed(f));
	assert_true(n > 5);
	assert_true(bind && bind < take); /* huge pages that are taken stay where they are */
	fakesys_free(f);
}

/* Transparent huge pages: aligned, asked for page by page, and no failure of a wish is an error. */
static void test_ram_thp(void **state)
{
	const struct vm_ram_cfg cfg = {
		.size = MIB(33), .node = -1, .prefault = true, .page = VM_PAGE_THP
	};
	struct fakesys *f = fakesys_new();
	struct sys *s = fakesys_sys(f);
	struct vm_ram r = { 0 };
	unsigned int n = 0, failures = 0;

	do {
		struct err e = { 0 };

		fakesys_fail_nth(f, n++, -EINVAL);
		if (vm_ram_alloc(s, &r, &cfg, &e))
			failures++;
		else if (n == 1)
			assert_int_equal((uintptr_t)r.hva % MIB(2), 0);
		vm_ram_free(s, &r, NULL);
		assert_int_equal(fakesys_open_fds(f), 0);
		assert_int_equal(fakesys_maps(f), 0);
	} while (n == 1 || fakesys_failed(f));
	assert_true(failures >= 4 && failures < n - 2);
	fakesys_free(f);
}

/* On a thread: whatever fails is told by the wait, as the prefault itself would; or by nobody, when
 * the memory goes before. */
static void test_ram_background(void **state)
{
	struct vm_ram_cfg cfg = { .size = MIB(256),
				  .node = -1,
				  .prefault = true,
				  .background = true,
				  .page = VM_PAGE_4K };
	struct fakesys *f = fakesys_new();
	struct sys *s = fakesys_sys(f);
	struct vm_ram r = { 0 };
	unsigned int n = 0, late = 0;
	bool failed;

	do {
		struct err e = { 0 };
		int rc;

		fakesys_fail_nth(f, n++, -ENOMEM);
		rc = vm_ram_alloc(s, &r, &cfg, &e);
		if (!rc && n % 2) {
			rc = vm_ram_wait(&r, &e);
			late += rc != 0;
			assert_int_equal(vm_ram_wait(&r, &e), 0);
		}
		assert_true(!rc || (e.code == rc && strstr(e.text, "memory")));
		vm_ram_free(s, &r, NULL);
		failed = fakesys_failed(f);
		assert_int_equal(fakesys_open_fds(f), 0);
		assert_int_equal(fakesys_maps(f), 0);
	} while (n < 3 || failed);
	assert_in_range(late, 1, 3);
	/* pages of a pool are taken, whether they are touched or not */
	cfg.prefault = false;
	cfg.page = VM_PAGE_2M;
	for (late = 0, n = 1; n == 1 || failed; n++) {
		struct err e = { 0 };

		fakesys_fail_nth(f, n, -ENOMEM);
		if (!vm_ram_alloc(s, &r, &cfg, &e) && vm_ram_wait(&r, &e)) {
			late++;
			assert_non_null(strstr(e.text, "needs 128 free 2M hugepages"));
		}
		vm_ram_free(s, &r, NULL);
		failed = fakesys_failed(f);
		assert_int_equal(fakesys_open_fds(f), 0);
	}
	assert_int_equal(late, 4);
	fakesys_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram_background),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_listeners_all_or_none),
		cmocka_unit_test(test_unaligned_region),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_layout_pieces),
		cmocka_unit_test(test_ram_fail_nth),
		cmocka_unit_test(test_ram_thp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
