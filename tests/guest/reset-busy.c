// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resets in the middle of another processor's device access. The one access that is under way was
 * answered, but the processor has not taken the answer yet; nothing of it may be left over when the
 * machine starts again. The boot processor and the application processor take turns in asking.
 */
#include "guest.h"

#define ROUNDS 12u
#define COUNT  mmio(0x90000) /* outside of the image: lives on over a reset */
#define NOBODY mmio(0xd0000000)

static volatile uint32_t seen;

extern const char ap_start[], ap_end[];
void ap_main(void);

static void access_for_ever(void)
{
	for (;;)
		seen += *NOBODY & 1;
}

static void ask_for_reset(void)
{
	outb(0xcf9, 6);
	for (;;)
		pause();
}

void ap_main(void)
{
	seen = 1;
	if (*COUNT & 1)
		access_for_ever();
	while (seen < 100)
		pause();
	ask_for_reset();
}

static void ipi(uint32_t low)
{
	*mmio(LAPIC + 0x310) = 0;
	*mmio(LAPIC + 0x300) = low; /* to all but self */
	while (*mmio(LAPIC + 0x300) & 0x1000)
		pause();
}

int guest_main(const struct mb_info *mbi)
{
	unsigned int i;

	CHECK(!seen);
	say("start", *COUNT);
	if (*COUNT == ROUNDS)
		return GUEST_PASS;
	++*COUNT;
	memcpy((void *)AP_PAGE, ap_start, (size_t)(ap_end - ap_start));
	*mmio(LAPIC + 0xf0) = 0x12f;
	ipi(0xc4500);
	ipi(0xc4600 | AP_PAGE >> 12);
	for (i = 0; !seen; i++) {
		CHECK(i < 20000000);
		pause();
	}
	if (*COUNT & 1) {
		while (seen < 100)
			pause();
		ask_for_reset();
	}
	access_for_ever();
	return GUEST_FAIL;
}
