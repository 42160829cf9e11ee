// SPDX-License-Identifier: BSD-3-Clause
/*
 * How fast the time-stamp counter runs. Who says it, in this order: CPUID 15h, the hypervisor's
 * leaf 40000010h, KVM's clock page; the ACPI timer checks them, and is believed when they differ
 * by more than a fiftieth, as they do when the counter is scaled or software answers for CPUID.
 */
#include "bench/guest/bench.h"

#define PM_HZ	     3579545u
#define PM_TICKS     (PM_HZ / 50) /* 20 ms */
#define PM_LOOKS     4000000u
#define MSR_KVMCLOCK 0x4b564d01u
#define KVM_CLOCK2   (1u << 3)

uint64_t tsc_hz;

/* KVM's clock page (Documentation/virt/kvm/x86/msr.rst) */
struct pvclock {
	uint32_t version, pad;
	uint64_t tsc, system;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

/* In two steps, so that nothing overflows while the counter is slower than 18 GHz. */
uint64_t tsc_to_ns(uint64_t cycles)
{
	if (!tsc_hz)
		return 0;
	return cycles / tsc_hz * 1000000000u + cycles % tsc_hz * 1000000000u / tsc_hz;
}

/* The crystal's frequency and a ratio (Intel SDM 3B, 19.7.3). */
static uint64_t by_cpuid15(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	if (r[0] < 0x15)
		return 0;
	cpuid(0x15, 0, r);
	return r[0] && r[1] && r[2] ? (uint64_t)r[2] * r[1] / r[0] : 0;
}

/* A leaf that VMware began and others took up: kHz. */
static uint64_t by_hypervisor(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] >> 31))
		return 0;
	cpuid(0x40000000, 0, r);
	if (r[0] < 0x40000010 || r[0] > 0x4000ffff)
		return 0;
	cpuid(0x40000010, 0, r);
	return (uint64_t)r[0] * 1000;
}

static void kvmclock_on(void *page)
{
	uint64_t v = (uintptr_t)page | 1;

	__asm__ volatile("wrmsr" : : "c"(MSR_KVMCLOCK), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

/* The page says how nanoseconds are made of cycles: ns = (cycles << shift) * mul >> 32. */
static uint64_t by_kvmclock(void)
{
	static struct pvclock page __attribute__((aligned(64)));
	volatile struct pvclock *p = &page;
	uint64_t hz;
	uint32_t r[4];

	cpuid(0x40000000, 0, r);
	if (r[1] != 0x4b4d564b) /* "KVMK" */
		return 0;
	cpuid(0x40000001, 0, r);
	if (!(r[0] & KVM_CLOCK2) || enter(kvmclock_on, &page, 0, false) != ENTER_DONE)
		return 0;
	if (!p->mul)
		return 0;
	hz = (1000000000ull << 32) / p->mul;
	return p->shift < 0 ? hz << -p->shift : hz >> p->shift;
}

static uint32_t pm_port(void)
{
	const uint8_t *fadt = acpi_table("FACP");

	return fadt ? get32(fadt + 76) : 0;
}

/* 24 bits at 3.58 MHz (ACPI specification 6.4, 4.8.3.3); it wraps after 4.6 s. */
static uint64_t by_pm_timer(void)
{
	uint16_t port = (uint16_t)pm_port();
	uint64_t t0, t1;
	uint32_t p0, gone = 0, i;

	if (!port)
		return 0;
	p0 = inl(port);
	t0 = rdtsc();
	for (i = 0; gone < PM_TICKS && i < PM_LOOKS; i++)
		gone = (inl(port) - p0) & 0xffffff;
	t1 = rdtsc();
	return gone ? (t1 - t0) * PM_HZ / gone : 0;
}

void tsc_init(void)
{
	static uint64_t (*const by[])(void) = { by_cpuid15, by_hypervisor, by_kvmclock };
	static const char *const names[] = { "cpuid15", "cpuid40000010", "kvmclock" };
	uint64_t pm = by_pm_timer(), hz = 0, off;
	const char *source = "pmtimer";
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(by); i++) {
		hz = by[i]();
		off = hz > pm ? hz - pm : pm - hz;
		if (hz && (!pm || off < pm / 50)) {
			source = names[i];
			break;
		}
		hz = 0;
	}
	tsc_hz = hz ? hz : pm;
	line_text("info");
	line_kv("tsc_hz", tsc_hz);
	line_text(" tsc_source=");
	line_text(tsc_hz ? source : "none");
	line_kv("pmtimer_hz", pm);
	line_end();
}
