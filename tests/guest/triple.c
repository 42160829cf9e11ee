// SPDX-License-Identifier: BSD-3-Clause
/* A triple fault: the run ends with status 3. */
#include "guest.h"

int guest_main(const struct mb_info *mbi)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} none;

	put("guest: triple fault\n");
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
	return GUEST_FAIL;
}
