// SPDX-License-Identifier: BSD-3-Clause
/*
 * CPUID: from what the accelerator offers to what a vCPU sees.
 *
 * Three steps. A table takes away what the guest must not have: nested virtualization, performance
 * counters that are not there, power and thermal management, resource control. Then the topology is
 * replaced: one package, one core per vCPU, one thread per core, APIC id = vCPU number; nothing of
 * the host's own topology stays. Last, leaves that depend on each other are brought into step. (SDM
 * 2A, CPUID; AMD APM 3, appendix E.)
 */
#include <string.h>
#include "vmm/core/vm.h"

#define ALL  UINT32_MAX
#define ANY  UINT32_MAX /* sub-leaf */
#define NONE 0, 0, 0, 0

/* Leaf 1 */
#define F1_ECX_OFF                                                                                 \
	(1u << 2 /* DTES64 */ | 1u << 3 /* MONITOR */ | 1u << 4 /* DS-CPL */ | 1u << 5 /* VMX */ | \
	 1u << 6 /* SMX */ | 1u << 7 /* EIST */ | 1u << 8 /* TM2 */ | 1u << 15 /* PDCM */ |        \
	 1u << 18 /* DCA */)
#define F1_EDX_OFF \
	(1u << 21 /* DS */ | 1u << 22 /* ACPI */ | 1u << 29 /* TM */ | 1u << 31 /* PBE */)
#define F1_ECX_HYPERVISOR (1u << 31)
#define F1_ECX_XSAVE	  (1u << 26)
#define F1_EDX_HTT	  (1u << 28)

/* Leaf 7.0 */
#define F7_EBX_OFF \
	(1u << 2 /* SGX */ | 1u << 12 /* RDT-M */ | 1u << 15 /* RDT-A */ | 1u << 25 /* PT */)
#define F7_ECX_OFF (1u << 30 /* SGX_LC */)
#define F7_EDX_OFF (1u << 18 /* PCONFIG */ | 1u << 19 /* LBR */)
#define F7_EDX_AMX (1u << 22 | 1u << 24 | 1u << 25)
#define XCR0_AMX   (3u << 17)

/* Leaf 6: the APIC timer runs in all C-states */
#define F6_EAX_ARAT (1u << 2)

/* Leaf 8000_0001h */
#define FE1_ECX_OFF                                                                              \
	(1u << 2 /* SVM */ | 1u << 10 /* IBS */ | 1u << 12 /* SKINIT */ | 1u << 13 /* WDT */ |   \
	 1u << 15 /* LWP */ | 1u << 19 /* node id MSR */ | 1u << 23 /* core counters */ |        \
	 1u << 24 /* NB counters */ | 1u << 27 /* TSC counter */ | 1u << 28 /* LLC counters */ | \
	 1u << 29 /* MONITORX */)
#define FE1_ECX_CMP_LEGACY (1u << 1)
#define FE7_EDX_TSC	   (1u << 8) /* invariant TSC */

/* Bits that stay. */
static const struct keep {
	uint32_t fn, index, eax, ebx, ecx, edx;
} keep[] = {
	{ 0x1, ANY, ALL, ALL, ~F1_ECX_OFF, ~F1_EDX_OFF },
	{ 0x5, ANY, NONE }, /* MONITOR/MWAIT */
	{ 0x6, ANY, F6_EAX_ARAT, 0, 0, 0 },
	{ 0x7, 0, ALL, ~F7_EBX_OFF, ~F7_ECX_OFF, ~F7_EDX_OFF },
	{ 0xa, ANY, NONE }, /* performance counters */
	{ 0xb, ANY, NONE }, /* topology; filled below */
	{ 0xf, ANY, NONE }, /* RDT */
	{ 0x10, ANY, NONE },
	{ 0x12, ANY, NONE }, /* SGX */
	{ 0x14, ANY, NONE }, /* PT */
	{ 0x17, ANY, NONE }, /* SoC vendor */
	{ 0x1b, ANY, NONE }, /* PCONFIG */
	{ 0x1c, ANY, NONE }, /* LBR */
	{ 0x1f, ANY, NONE }, /* topology again; Bh is enough */
	{ 0x23, ANY, NONE }, /* performance counters again */
	{ 0x80000001, ANY, ALL, ALL, ~FE1_ECX_OFF, ALL },
	{ 0x80000007, ANY, 0, 0, 0, FE7_EDX_TSC },
	{ 0x8000000a, ANY, NONE }, /* SVM */
	{ 0x8000001b, ANY, NONE }, /* IBS */
	{ 0x8000001c, ANY, NONE }, /* LWP */
	{ 0x8000001e, ANY, NONE }, /* topology; filled below */
	{ 0x8000001f, ANY, NONE }, /* SEV */
	{ 0x80000020, ANY, NONE }, /* QoS */
	{ 0x80000022, ANY, NONE }, /* performance counters */
	{ 0x80000026, ANY, NONE }, /* topology, AMD's extended form */
};

static void take_away(struct vm_cpuid *c)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keep); i++) {
		const struct keep *k = &keep[i];

		if (k->fn != c->fn || (k->index != ANY && k->index != c->index))
			continue;
		c->eax &= k->eax;
		c->ebx &= k->ebx;
		c->ecx &= k->ecx;
		c->edx &= k->edx;
	}
}

static struct vm_cpuid *find(struct vm_cpuid *c, unsigned int n, uint32_t fn, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (c[i].fn == fn && (!c[i].indexed || c[i].index == index))
			return &c[i];
	return NULL;
}

/* Width of an APIC id field that tells ncpus apart */
static unsigned int id_bits(unsigned int ncpus)
{
	unsigned int bits = 0;

	while (1u << bits < ncpus)
		bits++;
	return bits;
}

/* Leaf 4 and 8000_001Dh: level 3 belongs to all, the others to one; type 0 ends the list. */
static void cache_sharing(struct vm_cpuid *c, unsigned int ncpus, bool intel)
{
	uint32_t ids = (1u << id_bits(ncpus)) - 1;
	uint32_t level = c->eax >> 5 & 7;

	if (!(c->eax & 0x1f))
		return;
	c->eax &= 0x3fff;
	if (level >= 3)
		c->eax |= ids << 14;
	if (intel)
		c->eax |= ids << 26;
}

static void topology(struct vm_cpuid *c, unsigned int id, unsigned int ncpus, bool amd)
{
	switch (c->fn) {
	case 0x1:
		c->ebx = (c->ebx & 0xffff) | ncpus << 16 | id << 24;
		c->edx = (c->edx & ~F1_EDX_HTT) | (ncpus > 1 ? F1_EDX_HTT : 0);
		c->ecx |= F1_ECX_HYPERVISOR;
		break;
	case 0x4:
		cache_sharing(c, ncpus, true);
		break;
	case 0xb: /* sub-leaf 0: threads of a core; 1: cores of the package */
		c->ecx = c->index;
		c->edx = id;
		if (c->index < 2) {
			c->eax = c->index ? id_bits(ncpus) : 0;
			c->ebx = c->index ? ncpus : 1;
			c->ecx |= (c->index + 1) << 8;
		}
		break;
	case 0x80000001:
		c->ecx &= ~FE1_ECX_CMP_LEGACY;
		if (amd && ncpus > 1)
			c->ecx |= FE1_ECX_CMP_LEGACY;
		break;
	case 0x80000008:
		c->ecx = amd ? (ncpus - 1) | id_bits(ncpus) << 12 : 0;
		break;
	case 0x8000001d:
		cache_sharing(c, ncpus, false);
		break;
	case 0x8000001e: /* one thread a core, one node */
		c->eax = id;
		c->ebx = id;
		break;
	}
}

/* Leaf Bh needs its second sub-leaf, which the accelerator does not list. */
static unsigned int add_core_level(struct vm_cpuid *c, unsigned int n, unsigned int cap)
{
	struct vm_cpuid *level0 = find(c, n, 0xb, 0);

	if (!level0)
		return n;
	level0->indexed = true;
	if (!find(c, n, 0xb, 1) && n < cap)
		c[n++] = (struct vm_cpuid){ .fn = 0xb, .index = 1, .indexed = true };
	return n;
}

/* Without XSAVE there are no states; without the AMX states (which need a permit) no AMX
 * instructions. */
static void into_step(struct vm_cpuid *c, unsigned int n)
{
	const struct vm_cpuid *f1 = find(c, n, 1, 0), *xcr0 = find(c, n, 0xd, 0);
	struct vm_cpuid *f7 = find(c, n, 7, 0);
	unsigned int i;

	if (f7 && (!xcr0 || (xcr0->eax & XCR0_AMX) != XCR0_AMX))
		f7->edx &= ~F7_EDX_AMX;
	if (f1 && f1->ecx & F1_ECX_XSAVE)
		return;
	for (i = 0; i < n; i++)
		if (c[i].fn == 0xd)
			c[i].eax = c[i].ebx = c[i].ecx = c[i].edx = 0;
}

unsigned int vm_cpuid_filter(struct vm_cpuid *c, unsigned int n, unsigned int cap, unsigned int id,
			     unsigned int ncpus, unsigned int phys_bits)
{
	const struct vm_cpuid *vendor = find(c, n, 0, 0);
	struct vm_cpuid *sizes;
	bool amd;
	unsigned int i;

	/* "Auth"enticAMD and "Hygo"nGenuine */
	amd = vendor && (vendor->ebx == 0x68747541 || vendor->ebx == 0x6f677948);
	n = add_core_level(c, n, cap);
	for (i = 0; i < n; i++) {
		take_away(&c[i]);
		topology(&c[i], id, ncpus, amd);
	}
	into_step(c, n);
	/* What the hardware can map bounds what the guest may name; bits 16-23 would override it.
	 */
	sizes = find(c, n, 0x80000008, 0);
	if (sizes)
		sizes->eax = (sizes->eax & 0xff00) | (phys_bits & 0xff);
	return n;
}
