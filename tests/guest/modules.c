// SPDX-License-Identifier: BSD-3-Clause
/* Each module lies on a page, behind the kernel, and begins with the second word of its string. */
#include "guest.h"

extern char stack_top[];

int guest_main(const struct mb_info *mbi)
{
	const struct mb_module *m = (const struct mb_module *)(uintptr_t)mbi->mods_addr;
	uint32_t i;

	CHECK(mbi->flags & 8);
	CHECK(mbi->mods_count == arg_num(mbi, "modules", 1));
	for (i = 0; i < mbi->mods_count; i++, m++) {
		const char *word = (const char *)(uintptr_t)m->string;
		const char *text = (const char *)(uintptr_t)m->start;

		put(word);
		say(" at", m->start);
		CHECK(m->start % 4096 == 0 && m->end >= m->start);
		while (*word && *word != ' ')
			word++;
		CHECK(*word++ == ' ');
		for (; *word; word++, text++)
			CHECK(text < (const char *)(uintptr_t)m->end && *text == *word);
	}
	return GUEST_PASS;
}
