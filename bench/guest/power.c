// SPDX-License-Identifier: BSD-3-Clause
/*
 * The end: the debug-exit port if the command line names one, then soft off. What to write for S5
 * stands in the DSDT (ACPI specification 6.4, 7.4.2), of which only the package named _S5_ is
 * looked for.
 */
#include "bench/guest/bench.h"

#define SLP_EN	    (1u << 13)
#define AML_PACKAGE 0x12
#define AML_BYTE    0x0a

/* SLP_TYP of S5: the package's first element. */
static unsigned int s5_type(const uint8_t *fadt)
{
	const uint8_t *dsdt = (const uint8_t *)(uintptr_t)get32(fadt + 40), *p, *end;

	if (!dsdt || memcmp(dsdt, "DSDT", 4))
		return 0;
	end = dsdt + get32(dsdt + 4) - 12;
	for (p = dsdt + 36; p < end; p++) {
		if (memcmp(p, "_S5_", 4) || p[4] != AML_PACKAGE)
			continue;
		p += 6 + (p[5] >> 6) + 1; /* PkgLength, NumElements */
		if (*p == AML_BYTE)
			p++;
		else if (*p > 1) /* neither ZeroOp nor OneOp */
			return 0;
		return *p & 7;
	}
	return 0;
}

void power_off(uint16_t exit_port, int status)
{
	const uint8_t *fadt = acpi_table("FACP");
	uint16_t cnt;

	line_text("end");
	line_kv("status", (uint64_t)status);
	line_end();
	if (exit_port)
		outb(exit_port, status ? GUEST_FAIL : GUEST_PASS);
	if (fadt) {
		cnt = (uint16_t)get32(fadt + 64);
		outw(cnt, (uint16_t)(s5_type(fadt) << 10 | SLP_EN));
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}
