// SPDX-License-Identifier: BSD-3-Clause
/* Interrupts arrive: the PIT on pin 2 of the IOAPIC (where the MADT moves IRQ 0), and the timer of
 * the local APIC. */
#include "guest.h"

#define PIT_HZ 1193182

static bool wait_for(volatile uint32_t *count, uint32_t n)
{
	uint32_t i;

	for (i = 0; *count < n; i++) {
		if (i == 200000000)
			return false;
		pause();
	}
	return true;
}

int guest_main(const struct mb_info *mbi)
{
	irq_init();
	outb(0x43, 0x34); /* channel 0, rate generator */
	outb(0x40, (PIT_HZ / 100) & 0xff);
	outb(0x40, PIT_HZ / 100 >> 8);
	ioapic_set(2, 0x20);
	CHECK(wait_for(&irq_count[0], 5));
	put("PIT\n");
	ioapic_set(2, 0x10020); /* masked */

	*mmio(LAPIC + 0x3e0) = 3;	/* divide by 16 */
	*mmio(LAPIC + 0x320) = 0x21;	/* once */
	*mmio(LAPIC + 0x380) = 1000000; /* initial count */
	CHECK(wait_for(&irq_count[1], 1));
	put("APIC timer\n");
	CHECK(irq_count[15] == 0);
	return GUEST_PASS;
}
