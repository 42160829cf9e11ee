// SPDX-License-Identifier: BSD-3-Clause
/* All processors of the MADT (cpus= many) start by INIT and SIPI, with APIC ids 0 to n-1 that CPUID
 * tells too. */
#include "guest.h"

static volatile uint32_t seen, bad;

extern const char ap_start[], ap_end[];
void ap_main(void);

void ap_main(void)
{
	uint32_t id = *mmio(LAPIC + 0x20) >> 24, r[4];

	cpuid(1, 0, r);
	if (r[1] >> 24 != id || id > 15)
		bad = 1 + id;
	__asm__ volatile("lock orl %1, %0" : "+m"(seen) : "r"(1u << (id & 31)) : "memory");
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
	unsigned int n = acpi_cpus(), i;

	say("processors", n);
	CHECK(n == arg_num(mbi, "cpus", n));
	memcpy((void *)AP_PAGE, ap_start, (size_t)(ap_end - ap_start));
	*mmio(LAPIC + 0xf0) = 0x12f;
	ap_main();
	ipi(0xc4500);
	ipi(0xc4600 | AP_PAGE >> 12);
	ipi(0xc4600 | AP_PAGE >> 12);
	for (i = 0; seen != (1u << n) - 1; i++) {
		if (i == 20000000)
			say("seen", seen);
		CHECK(i < 20000000);
		pause();
	}
	say("seen", seen);
	CHECK(!bad);
	return GUEST_PASS;
}
