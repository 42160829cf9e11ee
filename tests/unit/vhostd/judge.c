// SPDX-License-Identifier: BSD-3-Clause
/* What may not reach librte_vhost, and what must. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "virtio/vhostd/judge.h"

#define UVA 0x7f0000000000ull
#define LEN 0x100000ull

static int say(struct judge *j, uint32_t req, const void *payload, uint32_t size)
{
	const struct vu_hdr h = { .req = req, .flags = VU_VERSION, .size = size };

	return judge_msg(j, &h, payload, NULL);
}

static int say_u64(struct judge *j, uint32_t req, uint64_t v)
{
	return say(j, req, &v, sizeof(v));
}

static int say_ring(struct judge *j, uint32_t req, uint32_t q, uint32_t num)
{
	const struct vu_vring v = { q, num };

	return say(j, req, &v, sizeof(v));
}

static int say_addr(struct judge *j, uint32_t q, uint64_t desc, uint64_t avail, uint64_t used)
{
	const struct vu_vring_addr a = {
		.index = q, .desc = UVA + desc, .avail = UVA + avail, .used = UVA + used
	};

	return say(j, VU_SET_VRING_ADDR, &a, sizeof(a));
}

static int say_mem(struct judge *j, uint32_t n, const struct vu_region *r)
{
	struct vu_mem_table t = { .n = n };

	memcpy(t.r, r, MIN(n, 8u) * sizeof(*r));
	return say(j, VU_SET_MEM_TABLE, &t, 8 + MIN(n, 8u) * (uint32_t)sizeof(*r));
}

static const struct vu_region whole = { .gpa = 0, .size = LEN, .uva = UVA };

static struct judge running(bool packed)
{
	struct judge j = { 0 };

	assert_int_equal(say_u64(&j, VU_SET_FEATURES, VU_F_PROTOCOL | (packed ? 1ull << 34 : 0)),
			 0);
	assert_int_equal(say_mem(&j, 1, &whole), 0);
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 1, 256), 0);
	assert_int_equal(say_ring(&j, VU_SET_VRING_BASE, 1, 0), 0);
	assert_int_equal(say_addr(&j, 1, 0, 0x1000, 0x2000), 0);
	assert_int_equal(say_u64(&j, VU_SET_VRING_KICK, 1), 0);
	return j;
}

static void rings_in_memory(void **st)
{
	struct judge j = running(false);

	/* To the last byte, and one further. */
	assert_int_equal(say_addr(&j, 1, LEN - 4096, 0, 0), 0);
	assert_int_equal(say_addr(&j, 1, LEN - 4095, 0, 0), -EPROTO);
	assert_int_equal(say_addr(&j, 1, 0, LEN - 518, 0), 0);
	assert_int_equal(say_addr(&j, 1, 0, LEN - 517, 0), -EPROTO);
	assert_int_equal(say_addr(&j, 1, 0, 0, LEN - 2054), 0);
	assert_int_equal(say_addr(&j, 1, 0, 0, LEN - 2053), -EPROTO);
	assert_int_equal(say_addr(&j, 1, -UVA, 0, 0), -EPROTO);
	assert_int_equal(say_addr(&j, 1, UINT64_MAX - UVA - 8, 0, 0), -EPROTO);
	/* What was refused never came. */
	assert_int_equal(j.ring[1].addr.used, UVA + LEN - 2054);
}

static void memory_of_rings(void **st)
{
	struct judge j = running(false);
	struct vu_region r[9] = { whole, { .gpa = LEN, .size = LEN, .uva = 2 * UVA } };

	assert_int_equal(say_mem(&j, 2, r), 0);
	assert_int_equal(say_mem(&j, 1, r + 1), -EPROTO);
	r[1].uva = UVA + LEN - 1;
	assert_int_equal(say_mem(&j, 2, r), -EPROTO);
	r[1].uva = 2 * UVA;
	r[1].gpa = LEN - 1;
	assert_int_equal(say_mem(&j, 2, r), -EPROTO);
	assert_int_equal(say_mem(&j, 0, r), -EPROTO);
	assert_int_equal(say_mem(&j, 9, r), -EPROTO);
	r[0].size = 0;
	assert_int_equal(say_mem(&j, 1, r), -EPROTO);
	r[0].size = UINT64_MAX;
	assert_int_equal(say_mem(&j, 1, r), -EPROTO);
	r[0] = whole;
	r[0].mmap_off = UINT64_MAX - 4095;
	assert_int_equal(say_mem(&j, 1, r), -EPROTO);
	/* A ring that was stopped may be left out. */
	assert_int_equal(say_ring(&j, VU_GET_VRING_BASE, 1, 0), 0);
	r[1].gpa = LEN;
	assert_int_equal(say_mem(&j, 1, r + 1), 0);
}

static void sizes_and_indices(void **st)
{
	struct judge j = running(false), p = running(true);

	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 1, 512), -EPROTO);
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 1, 256), 0);
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 2, 0), -EPROTO);
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 2, 3), -EPROTO);
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 2, 65536), -EPROTO);
	assert_int_equal(say_ring(&p, VU_SET_VRING_NUM, 2, 3), 0);
	assert_int_equal(say_ring(&j, VU_SET_VRING_BASE, 1, 0xffff), 0);
	assert_int_equal(say_ring(&p, VU_SET_VRING_BASE, 1, 0x80ff80ff), 0);
	assert_int_equal(say_ring(&p, VU_SET_VRING_BASE, 1, 0x80ff8100), -EPROTO);
	assert_int_equal(say_ring(&p, VU_SET_VRING_BASE, 1, 0x81008000), -EPROTO);
	/* A packed ring of the same size needs less than a split one. */
	assert_int_equal(say_addr(&p, 1, 0, LEN - 4, LEN - 4), 0);
	assert_int_equal(say_u64(&p, VU_SET_FEATURES, VU_F_PROTOCOL), -EPROTO);
	/* Queues that no port serves are the library's. */
	assert_int_equal(say_ring(&j, VU_SET_VRING_NUM, 99, 7), 0);
	/* Without protocol features addresses stay while the ring runs. */
	assert_int_equal(say_u64(&j, VU_SET_FEATURES, 0), 0);
	assert_int_equal(say_addr(&j, 1, 0, 0x1000, 0x2000), -EPROTO);
	assert_int_equal(say_ring(&j, VU_GET_VRING_BASE, 1, 0), 0);
	assert_int_equal(say_addr(&j, 1, 0, 0x1000, 0x2000), 0);
	assert_int_equal(say(&j, VU_SET_VRING_NUM, "1234567", 7), -EPROTO);
	assert_int_equal(say(&j, 22, "", 0), -EPROTO);
}

/* What is refused becomes what is so already, or what the library refuses. */
static void blunt(void **st)
{
	struct judge j = running(false);
	struct vu_vring v = { 1, 512 };
	struct vu_vring_addr a = { .index = 1, .desc = 7 };
	struct vu_mem_table t = { .n = 1 };
	struct vu_hdr h = { .req = VU_SET_VRING_NUM };

	judge_blunt(&j, &h, &v);
	assert_int_equal(v.index, 1);
	assert_int_equal(v.num, 256);
	v = (struct vu_vring){ 5, 77777 };
	judge_blunt(&j, &h, &v);
	assert_int_equal(v.num, 1);
	h.req = VU_SET_VRING_ADDR;
	judge_blunt(&j, &h, &a);
	assert_int_equal(a.desc, UVA);
	assert_int_equal(a.index, 1);
	h.req = VU_SET_MEM_TABLE;
	judge_blunt(&j, &h, &t);
	assert_true(t.n > VU_MEM_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_in_memory),
		cmocka_unit_test(memory_of_rings),
		cmocka_unit_test(sizes_and_indices),
		cmocka_unit_test(blunt),
	};

	return cmocka_run_group_tests_name("vhostd-judge", tests, NULL, NULL);
}
