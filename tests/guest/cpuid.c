// SPDX-License-Identifier: BSD-3-Clause
/*
 * What CPUID tells is the machine's own topology (cpus=), with nothing in it that the guest must
 * not have; and the local APIC agrees with it in x2APIC mode.
 */
#include "guest.h"

#define APIC_BASE   0x1b
#define X2APIC_ID   0x802
#define APIC_X2APIC 0xc00

static uint64_t rdmsr(uint32_t msr)
{
	uint64_t v;

	__asm__ volatile("rdmsr" : "=A"(v) : "c"(msr));
	return v;
}

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "A"(v) : "memory");
}

static int check_x2apic(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	CHECK(r[2] & 1u << 21);
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | APIC_X2APIC);
	CHECK((rdmsr(APIC_BASE) & APIC_X2APIC) == APIC_X2APIC);
	cpuid(0xb, 0, r);
	CHECK(rdmsr(X2APIC_ID) == r[3]);
	return GUEST_PASS;
}

static int check_amd(uint32_t cpus)
{
	uint32_t r[4];

	cpuid(0x80000001, 0, r);
	CHECK(!(r[2] & (1u << 2 | 1u << 29))); /* SVM, MONITORX */
	CHECK(!(r[2] & 2) == (cpus == 1));
	cpuid(0x80000008, 0, r);
	CHECK((r[2] & 0xff) == cpus - 1);
	cpuid(0x8000001e, 0, r);
	CHECK(r[0] == 0 && (r[1] & 0xff00) == 0);
	return GUEST_PASS;
}

int guest_main(const struct mb_info *mbi)
{
	uint32_t cpus = (uint32_t)arg_num(mbi, "cpus", 1), r[4];

	cpuid(1, 0, r);
	say("leaf 1 ebx", r[1]);
	CHECK(r[2] & 1u << 31);		      /* hypervisor */
	CHECK(!(r[2] & (1u << 3 | 1u << 5))); /* MONITOR, VMX */
	CHECK((r[1] >> 16 & 0xff) == cpus && r[1] >> 24 == 0);
	CHECK(!(r[3] & 1u << 28) == (cpus == 1));
	cpuid(0xa, 0, r);
	CHECK((r[0] & 0xff) == 0);
	cpuid(0xb, 0, r);
	CHECK(r[0] == 0 && (r[1] & 0xffff) == 1 && (r[2] & 0xff00) == 0x100);
	cpuid(0xb, 1, r);
	CHECK(1u << r[0] >= cpus && (r[1] & 0xffff) == cpus && (r[2] & 0xff00) == 0x200);
	cpuid(0x40000000, 0, r);
	CHECK(r[1] == 0x4b4d564b); /* KVMK */
	cpuid(0, 0, r);
	if (r[1] == 0x68747541 && check_amd(cpus) != GUEST_PASS)
		return GUEST_FAIL;
	return check_x2apic();
}
