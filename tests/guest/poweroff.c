// SPDX-License-Identifier: BSD-3-Clause
/*
 * Soft off as the FADT and \_S5 say (status 0). With button=1 it waits for the power button first,
 * by its status bit in the PM1 event block, so that SIGTERM of the VMM can be tested.
 */
#include "guest.h"

#define PWRBTN 0x100

int guest_main(const struct mb_info *mbi)
{
	const uint8_t *fadt = acpi_table("FACP");
	uint16_t evt, cnt;

	CHECK(fadt);
	evt = (uint16_t)get32(fadt + 56);
	cnt = (uint16_t)get32(fadt + 64);
	CHECK(inw(cnt) & 1); /* SCI_EN: there is no legacy mode */
	if (arg_num(mbi, "button", 0)) {
		outw(evt + 2, PWRBTN);
		CHECK(inw(evt + 2) & PWRBTN);
		put("guest: waiting for the power button\n");
		while (!(inw(evt) & PWRBTN))
			pause();
		outw(evt, PWRBTN);
		CHECK(!(inw(evt) & PWRBTN));
		put("guest: power button\n");
	}
	outw(cnt, 5 << 10 | 1 << 13);
	return GUEST_FAIL;
}
