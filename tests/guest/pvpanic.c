// SPDX-License-Identifier: BSD-3-Clause
/* A guest that reports its panic: the run ends with status 3. */
#include "guest.h"

int guest_main(const struct mb_info *mbi)
{
	put("guest: pvpanic\n");
	CHECK(inb(0x505) & 1);
	outb(0x505, 1);
	return GUEST_FAIL;
}
