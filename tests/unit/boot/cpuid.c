// SPDX-License-Identifier: BSD-3-Clause
/* CPUID filter over made-up hosts of both vendors, whose topology leaves give away 64 threads. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "vmm/core/vm.h"

#define NCPUS 6

static const struct vm_cpuid amd_host[] = {
	{ .fn = 0, .eax = 0xd, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65 },
	{ .fn = 1, .eax = 0x800f12, .ebx = 0x3f400800, .ecx = ~0u, .edx = ~0u },
	{ .fn = 5, .eax = 64, .ebx = 64, .ecx = 3, .edx = 0x11 },
	{ .fn = 6, .eax = 0xff, .ecx = 1 },
	{ .fn = 7, .indexed = true, .ebx = ~0u, .ecx = ~0u, .edx = ~0u },
	{ .fn = 0xb, .indexed = true, .ebx = 2, .ecx = 0x100, .edx = 0x3f },
	{ .fn = 0xd, .indexed = true, .eax = 7, .ebx = 832, .ecx = 832 },
	{ .fn = 0xd, .index = 1, .indexed = true, .eax = 15 },
	{ .fn = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
	{ .fn = 0x80000000, .eax = 0x8000001f },
	{ .fn = 0x80000001, .eax = 0x800f12, .ecx = ~0u, .edx = ~0u },
	{ .fn = 0x80000007, .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u },
	{ .fn = 0x80000008, .eax = 0x343030, .ebx = 0x1005, .ecx = 0x703f },
	{ .fn = 0x8000000a, .eax = 1, .ebx = 16, .edx = ~0u },
	{ .fn = 0x8000001d, .indexed = true, .eax = 0x4121, .ebx = 0x1c0003f },
	{ .fn = 0x8000001d, .index = 3, .indexed = true, .eax = 0x1c163 },
	{ .fn = 0x8000001d, .index = 4, .indexed = true },
	{ .fn = 0x8000001e, .eax = 0x3f, .ebx = 0x11f, .ecx = 0x303 },
	{ .fn = 0x8000001f, .eax = ~0u },
};

static const struct vm_cpuid intel_host[] = {
	{ .fn = 0, .eax = 0x20, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
	{ .fn = 1, .eax = 0x606a6, .ebx = 0x3f400800, .ecx = ~(1u << 26), .edx = ~0u },
	{ .fn = 4, .indexed = true, .eax = 0xfc004121 },
	{ .fn = 4, .index = 3, .indexed = true, .eax = 0xfc1fc163 },
	{ .fn = 4, .index = 4, .indexed = true },
	{ .fn = 7, .indexed = true, .eax = 2, .ebx = ~0u, .ecx = ~0u, .edx = ~0u },
	{ .fn = 7, .index = 1, .indexed = true, .eax = 0x1c30 },
	{ .fn = 0xa, .eax = 0x8300805, .edx = 0x8604 },
	{ .fn = 0xb, .indexed = true, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x3f },
	{ .fn = 0xb, .index = 1, .indexed = true, .eax = 6, .ebx = 64, .ecx = 0x201, .edx = 0x3f },
	{ .fn = 0xd, .indexed = true, .eax = 0x602e7, .ebx = 11008, .ecx = 11008 },
	{ .fn = 0x1f, .indexed = true, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 0x3f },
	{ .fn = 0x80000001, .ecx = 0x121, .edx = 0x2c100800 },
	{ .fn = 0x80000008, .eax = 0x3934, .ecx = 0xff },
};

struct table {
	struct vm_cpuid c[32];
	unsigned int n;
};

#define FILTER(host, id, ncpus) filtered(host, ARRAY_SIZE(host), id, ncpus)

static struct table filtered(const struct vm_cpuid *host, unsigned int n, unsigned int id,
			     unsigned int ncpus)
{
	struct table t = { .n = n };

	memcpy(t.c, host, n * sizeof(*host));
	t.n = vm_cpuid_filter(t.c, n, n + VM_CPUID_EXTRA, id, ncpus, 44);
	return t;
}

static const struct vm_cpuid *leaf(const struct table *t, uint32_t fn, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (t->c[i].fn == fn && (!t->c[i].indexed || t->c[i].index == index))
			return &t->c[i];
	fail_msg("leaf %#x.%u is gone", fn, index);
	return NULL;
}

static void assert_zero(const struct vm_cpuid *c)
{
	assert_int_equal(c->eax | c->ebx | c->ecx | c->edx, 0);
}

static void check_common(const struct table *t, unsigned int id)
{
	const struct vm_cpuid *c = leaf(t, 1, 0);

	assert_int_equal(c->ebx >> 24, id);
	assert_int_equal(c->ebx >> 16 & 0xff, NCPUS);
	assert_int_equal(c->ebx & 0xffff, 0x0800);
	assert_false(c->ecx & (1u << 5 | 1u << 3 | 1u << 15));
	assert_true(c->ecx & 1u << 31);
	assert_true(c->ecx & 1u << 21);
	assert_true(c->ecx & 1u << 24);
	assert_true(c->edx & 1u << 28);
	c = leaf(t, 7, 0);
	assert_false(c->ebx & (1u << 2 | 1u << 25));
	assert_true(c->ecx & 1u << 3);
	c = leaf(t, 0xb, 0);
	assert_int_equal(c->eax, 0);
	assert_int_equal(c->ebx, 1);
	assert_int_equal(c->ecx, 0x100);
	assert_int_equal(c->edx, id);
	c = leaf(t, 0xb, 1);
	assert_int_equal(c->eax, 3);
	assert_int_equal(c->ebx, NCPUS);
	assert_int_equal(c->ecx, 0x201);
	assert_int_equal(c->edx, id);
	assert_int_equal(leaf(t, 0x80000008, 0)->eax & 0xff00ff, 44);
}

static void test_amd(void **state)
{
	struct table t = FILTER(amd_host, 5, NCPUS);
	const struct vm_cpuid *c;

	assert_int_equal(t.n, ARRAY_SIZE(amd_host) + 1);
	check_common(&t, 5);
	c = leaf(&t, 0x80000001, 0);
	assert_false(c->ecx & (1u << 2 | 1u << 23 | 1u << 29 | 1u << 19));
	assert_true(c->ecx & 1u << 1);
	assert_true(c->ecx & 1u << 22);
	assert_int_equal(leaf(&t, 0x80000008, 0)->ecx, 0x3005);
	assert_int_equal(leaf(&t, 0x80000008, 0)->ebx, 0x1005);
	assert_int_equal(leaf(&t, 0x80000007, 0)->edx, 0x100);
	assert_zero(leaf(&t, 0x8000000a, 0));
	assert_zero(leaf(&t, 0x8000001f, 0));
	assert_zero(leaf(&t, 5, 0));
	assert_int_equal(leaf(&t, 0x8000001d, 0)->eax, 0x121);
	assert_int_equal(leaf(&t, 0x8000001d, 3)->eax, 0x163 | 7 << 14);
	assert_zero(leaf(&t, 0x8000001d, 4));
	c = leaf(&t, 0x8000001e, 0);
	assert_int_equal(c->eax, 5);
	assert_int_equal(c->ebx, 5);
	assert_int_equal(c->ecx, 0);
	assert_int_equal(leaf(&t, 0xd, 0)->ecx, 832);
	assert_int_equal(leaf(&t, 0x40000000, 0)->ebx, 0x4b4d564b);
	assert_int_equal(leaf(&t, 6, 0)->eax, 4);
	assert_int_equal(leaf(&t, 6, 0)->ecx, 0);
}

static void test_intel(void **state)
{
	struct table t = FILTER(intel_host, 2, NCPUS);

	assert_int_equal(t.n, ARRAY_SIZE(intel_host));
	check_common(&t, 2);
	assert_int_equal(leaf(&t, 4, 0)->eax, 7u << 26 | 0x121);
	assert_int_equal(leaf(&t, 4, 3)->eax, 7u << 26 | 7u << 14 | 0x163);
	assert_zero(leaf(&t, 4, 4));
	assert_zero(leaf(&t, 0xa, 0));
	assert_zero(leaf(&t, 0x1f, 0));
	assert_int_equal(leaf(&t, 0x80000008, 0)->ecx, 0);
	assert_int_equal(leaf(&t, 0x80000001, 0)->ecx, 0x121);
	assert_int_equal(leaf(&t, 7, 1)->eax, 0x1c30);
	/* This one has the AMX states, and no XSAVE to reach them with. */
	assert_true(leaf(&t, 7, 0)->edx & 1u << 24);
	assert_zero(leaf(&t, 0xd, 0));
}

static void test_amx_needs_its_states(void **state)
{
	struct table t = FILTER(amd_host, 0, NCPUS);

	assert_false(leaf(&t, 7, 0)->edx & (1u << 22 | 1u << 24 | 1u << 25));
}

static void test_one_cpu(void **state)
{
	struct table t = FILTER(amd_host, 0, 1);

	assert_false(leaf(&t, 1, 0)->edx & 1u << 28);
	assert_int_equal(leaf(&t, 1, 0)->ebx, 0x10800);
	assert_false(leaf(&t, 0x80000001, 0)->ecx & 2);
	assert_int_equal(leaf(&t, 0x80000008, 0)->ecx, 0);
	assert_int_equal(leaf(&t, 0xb, 1)->ebx, 1);
	assert_int_equal(leaf(&t, 0x8000001d, 3)->eax, 0x163);
}

/* No room, or next to nothing to filter: no entry is written behind the array. */
static void test_small(void **state)
{
	struct vm_cpuid c[2] = { { .fn = 0xb, .indexed = true }, { .fn = 0x77 } };

	assert_int_equal(vm_cpuid_filter(c, 1, 1, 3, 4, 40), 1);
	assert_int_equal(c[0].edx, 3);
	assert_int_equal(c[1].fn, 0x77);
	assert_int_equal(vm_cpuid_filter(c, 0, 0, 0, 1, 40), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amd),	cmocka_unit_test(test_intel),
		cmocka_unit_test(test_one_cpu), cmocka_unit_test(test_amx_needs_its_states),
		cmocka_unit_test(test_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
