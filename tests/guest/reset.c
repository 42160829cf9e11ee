// SPDX-License-Identifier: BSD-3-Clause
/*
 * A reset through CF9h. With --no-reboot the run ends with status 4. Else the payload is loaded
 * again: .data and .bss are as they were linked, while RAM outside of the image keeps what was in
 * it. The edge/level register of the second PIC can be written both times.
 */
#include "guest.h"

#define KEPT  mmio(0x90000)
#define MAGIC 0x52455345
#define ELCR2 0x4d1

static volatile uint32_t data = 0x1234, bss;

int guest_main(const struct mb_info *mbi)
{
	CHECK(data == 0x1234 && bss == 0);
	CHECK(inb(ELCR2) == 0);
	outb(ELCR2, 0xff);
	CHECK(inb(ELCR2) == 0xde); /* IRQ 8 and 13 are edges on every PC */
	if (*KEPT == MAGIC) {
		put("guest: back after the reset\n");
		return GUEST_PASS;
	}
	data = bss = 0x55;
	*KEPT = MAGIC;
	put("guest: reset\n");
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	for (;;)
		__asm__ volatile("hlt");
}
