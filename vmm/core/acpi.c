// SPDX-License-Identifier: BSD-3-Clause
/*
 * ACPI tables (ACPI specification 6.4, chapter 5).
 *
 * All of them lie in the reserved area E0000h-FFFFFh, the RSDP first, where a scan finds it. They
 * are put together in a buffer and written at once. The DSDT is compiled from dsdt.asl at build
 * time; what it cannot know then, the PCI windows above all, it reads from struct acpi_vminfo.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/boot.h"
#include "vmm/core/dsdt.h"

#define AREA_SIZE   (VM_ACPI_END - VM_ACPI_BASE)
#define INFO_OFF    0x40u /* as in dsdt.asl */
#define FACS_OFF    0x80u /* aligned to 64 (5.2.10) */
#define TABLES_OFF  0xc0u
#define IRQ_TIMER   0u /* the PIT is on pin 2 of the IOAPIC, as on every PC */
#define TIMER_GSI   2u
#define PM1_EVT_LEN 4
#define PM1_CNT_LEN 2
#define PM_TMR_LEN  4
#define RTC_CENTURY 0x32
#define RESET_VALUE 6 /* full reset through CF9h */

/* FADT flags (table 5.10) */
#define FADT_WBINVD  (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_SLP_BTN \
	(1u << 5) /* no fixed sleep button; bit 4 clear: there is a fixed power button */
#define FADT_FIX_RTC   (1u << 6) /* the RTC cannot wake the machine by a fixed event */
#define FADT_RESET_REG (1u << 10)

/* IA-PC boot architecture flags (table 5.11); no 8042, so bit 1 is clear */
#define IAPC_LEGACY  (1u << 0)
#define IAPC_NO_VGA  (1u << 2)
#define IAPC_NO_ASPM (1u << 4)

/* MADT interrupt override flags (table 5.26) */
#define ISO_HIGH  1u
#define ISO_LEVEL (3u << 2)

/* What dsdt.asl reads through its region VMIN. */
struct acpi_vminfo {
	uint32_t mmio32, mmio32_size, io, io_size, ecam, ecam_size, nbuses, ndevs;
	uint64_t mmio64, mmio64_size;
};

struct __attribute__((packed)) acpi_rsdp {
	char sig[8];
	uint8_t sum;
	char oem[6];
	uint8_t rev;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t sum_ext, reserved[3];
};

struct __attribute__((packed)) acpi_hdr {
	char sig[4];
	uint32_t length;
	uint8_t rev, sum;
	char oem[6], oem_table[8];
	uint32_t oem_rev;
	char creator[4];
	uint32_t creator_rev;
};

struct __attribute__((packed)) acpi_gas {
	uint8_t space, width, offset, access;
	uint64_t addr;
};

struct __attribute__((packed)) acpi_fadt {
	struct acpi_hdr hdr;
	uint32_t facs, dsdt;
	uint8_t reserved, profile;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t enable, disable, s4bios, pstate;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t iapc;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_gas reset;
	uint8_t reset_value;
	uint16_t arm;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor;
};

struct __attribute__((packed)) acpi_facs {
	char sig[4];
	uint32_t length, signature, waking, lock, flags;
	uint64_t x_waking;
	uint8_t version, reserved[31];
};

/* One struct for each MADT entry we use (5.2.12). */
struct __attribute__((packed)) madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
};

struct __attribute__((packed)) madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t addr, gsi_base;
};

struct __attribute__((packed)) madt_iso {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
};

struct __attribute__((packed)) madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
};

struct __attribute__((packed)) acpi_madt {
	struct acpi_hdr hdr;
	uint32_t lapic, flags;
	struct madt_ioapic ioapic;
	struct madt_iso timer, sci;
	struct madt_nmi nmi;
	struct madt_lapic cpu[VM_VCPUS_MAX];
};

struct __attribute__((packed)) acpi_mcfg {
	struct acpi_hdr hdr;
	uint64_t reserved, base;
	uint16_t segment;
	uint8_t bus_start, bus_end;
	uint32_t reserved2;
};

_Static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
_Static_assert(sizeof(struct acpi_hdr) == 36, "5.2.6");
_Static_assert(sizeof(struct acpi_fadt) == 276, "5.2.9");
_Static_assert(sizeof(struct acpi_facs) == 64, "5.2.10");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware 4.1.2");
_Static_assert(INFO_OFF + sizeof(struct acpi_vminfo) <= FACS_OFF, "the region is 40h bytes");
_Static_assert(sizeof(dsdt_aml_code) < AREA_SIZE - 4096,
	       "the area must hold the DSDT and the rest");

/* struct acpi_area - the buffer, and the tables for the XSDT */
struct acpi_area {
	uint8_t *buf;
	uint32_t used;
	uint64_t xsdt[4];
	unsigned int nxsdt;
};

/* All bytes of a table add up to zero. */
static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *b++);
	return (uint8_t)-sum;
}

/* Lengths and checksums come last: put() sees the finished table. */
static void hdr_fill(struct acpi_hdr *h, const char *sig, size_t length, uint8_t rev)
{
	*h = (struct acpi_hdr){ .length = (uint32_t)length, .rev = rev, .oem_rev = 1 };
	memcpy(h->sig, sig, sizeof(h->sig));
	memcpy(h->oem, "SLUICE", sizeof(h->oem));
	memcpy(h->oem_table, "SLUICE\0", sizeof(h->oem_table));
	memcpy(h->creator, "SLCE", sizeof(h->creator));
	h->creator_rev = 1;
}

/* Puts a table behind the others, its checksum put right, and returns its guest address. */
static uint32_t put(struct acpi_area *a, const void *table, size_t length, bool listed)
{
	uint32_t at = ALIGN_UP(a->used, 16u);
	struct acpi_hdr *h = (struct acpi_hdr *)(void *)(a->buf + at);

	BUG_ON(!range_ok(at, length, AREA_SIZE));
	memcpy(h, table, length);
	h->sum = (uint8_t)(h->sum + checksum(h, length)); /* the DSDT comes with the right one */
	a->used = at + (uint32_t)length;
	if (listed)
		a->xsdt[a->nxsdt++] = VM_ACPI_BASE + at;
	return VM_ACPI_BASE + at;
}

/* Generic address (5.2.3.2): space 1 is I/O, access 1-3 are bytes, words, dwords. */
static struct acpi_gas io_gas(uint64_t port, unsigned int bytes)
{
	return (struct acpi_gas){ .space = 1,
				  .width = (uint8_t)(bytes * 8),
				  .access = bytes == 4 ? 3 : (uint8_t)bytes,
				  .addr = port };
}

static void put_fadt(struct acpi_area *a, uint32_t dsdt)
{
	struct acpi_fadt f = {
		.facs = VM_ACPI_BASE + FACS_OFF,
		.dsdt = dsdt,
		/* smi_cmd stays 0: the machine is always in ACPI mode */
		.sci = VM_PM_SCI,
		.pm1a_evt = VM_PM_PORT,
		.pm1a_cnt = VM_PM_PORT + 4,
		.pm_tmr = VM_PM_PORT + 8,
		.pm1_evt_len = PM1_EVT_LEN,
		.pm1_cnt_len = PM1_CNT_LEN,
		.pm_tmr_len = PM_TMR_LEN,
		.c2_latency = 0xfff, /* no C2, C3 */
		.c3_latency = 0xffff,
		.century = RTC_CENTURY,
		.iapc = IAPC_LEGACY | IAPC_NO_VGA | IAPC_NO_ASPM,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BTN | FADT_FIX_RTC | FADT_RESET_REG,
		.reset = io_gas(VM_RESET_PORT, 1),
		.reset_value = RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_evt = io_gas(VM_PM_PORT, PM1_EVT_LEN),
		.x_pm1a_cnt = io_gas(VM_PM_PORT + 4, PM1_CNT_LEN),
		.x_pm_tmr = io_gas(VM_PM_PORT + 8, PM_TMR_LEN),
	};

	/* The event block is two registers of two bytes, status and enable (4.8.3.1). */
	f.x_pm1a_evt.access = 2;
	memcpy(&f.hypervisor, "SLUICE\0", 8);
	hdr_fill(&f.hdr, "FACP", sizeof(f), 6);
	put(a, &f, sizeof(f), true);
}

/* APIC id = vCPU number, as cpuid.c tells the guest; the IOAPIC's id is the next free one. */
static void put_madt(struct acpi_area *a, unsigned int ncpus)
{
	struct acpi_madt m = {
		.lapic = VM_LAPIC_BASE,
		.flags = 1, /* there are 8259s too */
		.ioapic = { 1, sizeof(m.ioapic), (uint8_t)ncpus, 0, VM_IOAPIC_BASE, 0 },
		.timer = { 2, sizeof(m.timer), 0, IRQ_TIMER, TIMER_GSI, 0 },
		.sci = { 2, sizeof(m.sci), 0, VM_PM_SCI, VM_PM_SCI, ISO_LEVEL | ISO_HIGH },
		.nmi = { 4, sizeof(m.nmi), 0xff, 0, 1 }, /* LINT1 of every processor */
	};
	size_t length = offsetof(struct acpi_madt, cpu) + ncpus * sizeof(m.cpu[0]);
	unsigned int i;

	for (i = 0; i < ncpus; i++)
		m.cpu[i] = (struct madt_lapic){ 0, sizeof(m.cpu[0]), (uint8_t)i, (uint8_t)i, 1 };
	hdr_fill(&m.hdr, "APIC", length, 5);
	put(a, &m, length, true);
}

/* One segment, from bus 0; PCI Firmware specification 4.1.2. */
static void put_mcfg(struct acpi_area *a, const struct vm_pci_windows *w)
{
	struct acpi_mcfg m = { .base = w->ecam, .bus_end = (uint8_t)(w->nbuses - 1) };

	hdr_fill(&m.hdr, "MCFG", sizeof(m), 1);
	put(a, &m, sizeof(m), true);
}

static void put_info(struct acpi_area *a, const struct vm_pci_windows *w)
{
	struct acpi_vminfo i = {
		.mmio32 = (uint32_t)w->mmio32,
		.mmio32_size = (uint32_t)w->mmio32_size,
		.io = w->io,
		.io_size = w->io_size,
		.ecam = (uint32_t)w->ecam,
		.ecam_size = (uint32_t)MIB(w->nbuses),
		.nbuses = w->nbuses,
		/* root port i is device i and leads to bus i */
		.ndevs = MIN(w->nbuses, 32u),
		.mmio64 = w->mmio64,
		.mmio64_size = w->mmio64_size,
	};
	struct acpi_facs f = { .sig = "FACS", .length = sizeof(f), .version = 2 };

	memcpy(a->buf + INFO_OFF, &i, sizeof(i));
	memcpy(a->buf + FACS_OFF, &f, sizeof(f));
}

/* XSDT only: a guest that wants the RSDT of ACPI 1.0 does not run on this machine. */
static void put_root(struct acpi_area *a)
{
	struct {
		struct acpi_hdr hdr;
		uint64_t entry[ARRAY_SIZE(a->xsdt)];
	} __attribute__((packed)) x = { 0 };
	size_t length = sizeof(x.hdr) + a->nxsdt * sizeof(x.entry[0]);
	struct acpi_rsdp r = { .rev = 2, .length = sizeof(r) };

	memcpy(x.entry, a->xsdt, a->nxsdt * sizeof(x.entry[0]));
	hdr_fill(&x.hdr, "XSDT", length, 1);
	r.xsdt = put(a, &x, length, false);
	memcpy(r.sig, "RSD PTR ", sizeof(r.sig));
	memcpy(r.oem, "SLUICE", sizeof(r.oem));
	r.sum = checksum(&r, 20); /* the part of ACPI 1.0 */
	r.sum_ext = checksum(&r, sizeof(r));
	memcpy(a->buf, &r, sizeof(r));
}

int vm_acpi_build(struct vm *vm, uint64_t *rsdp, struct err *e)
{
	static const struct vm_pci_windows no_pci;
	const struct vm_pci_windows *w = vm->pci ? vm_pci_windows(vm->pci) : &no_pci;
	unsigned int ncpus = MIN(MAX(vm->cfg.ncpus, 1u), (unsigned int)VM_VCPUS_MAX);
	struct acpi_area a = { .used = TABLES_OFF };
	uint32_t dsdt;
	int ret;

	a.buf = calloc(1, AREA_SIZE);
	if (!a.buf)
		return err_sys(e, -ENOMEM, "ACPI tables");
	put_info(&a, w);
	dsdt = put(&a, dsdt_aml_code, sizeof(dsdt_aml_code), false);
	put_fadt(&a, dsdt);
	put_madt(&a, ncpus);
	if (w->nbuses)
		put_mcfg(&a, w);
	put_root(&a);
	ret = vm_mem_write(&vm->mem, VM_ACPI_BASE, a.buf, a.used);
	if (ret)
		err_sys(e, ret, "ACPI tables: no RAM at %#x", VM_ACPI_BASE);
	else
		*rsdp = VM_ACPI_BASE;
	free(a.buf);
	return ret;
}
