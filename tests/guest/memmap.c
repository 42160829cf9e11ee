// SPDX-License-Identifier: BSD-3-Clause
/* The memory map is in order, adds up to ram= (KiB), and what it calls RAM keeps what is written to
 * it. */
#include "guest.h"

static bool holds(uint32_t at)
{
	volatile uint32_t *p = mmio(at);
	uint32_t old = *p;
	bool ok;

	*p = at ^ 0x5a5a5a5a;
	ok = *p == (at ^ 0x5a5a5a5a);
	*p = old;
	return ok;
}

int guest_main(const struct mb_info *mbi)
{
	uint32_t at = mbi->mmap_addr, end = at + mbi->mmap_length;
	uint64_t last = 0, kib = 0;

	CHECK((mbi->flags & 0x41) == 0x41);
	CHECK(mbi->mem_lower == 639);
	for (; at < end; at += 24) {
		const struct mb_mmap *m = (const struct mb_mmap *)(uintptr_t)at;

		say("map", m->addr);
		say("  length", m->len);
		say("  type", m->type);
		CHECK(m->size == 20 && m->len);
		CHECK(m->addr >= last);
		last = m->addr + m->len;
		if (m->type != 1)
			continue;
		kib += m->len >> 10;
		if (m->addr == 0x100000)
			CHECK(m->len >> 10 == mbi->mem_upper);
		if (last > 0xfffffff0)
			continue;
		/* first and last word, and the middle one */
		CHECK(holds((uint32_t)last - 4));
		CHECK(holds((uint32_t)(m->addr + m->len / 2) & ~3u));
		CHECK(m->addr < 0x200000 || holds((uint32_t)m->addr));
	}
	/* 640 KiB less 1 is all of the first MiB that is RAM */
	CHECK(kib + 1024 - 639 == arg_num(mbi, "ram", kib + 1024 - 639));
	/* Nothing is there: all ones, and a write that vanishes */
	CHECK(*mmio(0xc0000000) == 0xffffffff);
	*mmio(0xc0000000) = 0;
	CHECK(*mmio(0xc0000000) == 0xffffffff);
	return GUEST_PASS;
}
