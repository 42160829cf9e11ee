// SPDX-License-Identifier: BSD-3-Clause
/* The clock (MC146818) shows a date between 2020 and 2099, its seconds go on, and its RAM keeps
 * bytes. */
#include "guest.h"

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static unsigned int field(uint8_t reg)
{
	uint8_t v = cmos(reg);

	/* register B, DM: binary or BCD */
	return cmos(0x0b) & 4 ? v : (v >> 4) * 10u + (v & 15);
}

int guest_main(const struct mb_info *mbi)
{
	unsigned int century, year, sec, i;

	while (cmos(0x0a) & 0x80)
		pause();
	CHECK(cmos(0x0d) & 0x80); /* the time is valid */
	century = field(0x32);
	year = field(9);
	put_dec(century * 100 + year);
	put("-");
	put_dec(field(8));
	put("-");
	put_dec(field(7));
	put("\n");
	CHECK(century == 20 && year >= 20);
	CHECK(field(8) >= 1 && field(8) <= 12);
	CHECK(field(7) >= 1 && field(7) <= 31);
	CHECK(field(4) < 24 && field(2) < 60);
	sec = field(0);
	CHECK(sec < 60);
	for (i = 0; field(0) == sec; i++)
		CHECK(i < 100000000);
	outb(0x70, 0x40);
	outb(0x71, 0xa5);
	CHECK(cmos(0x40) == 0xa5);
	return GUEST_PASS;
}
