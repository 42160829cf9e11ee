// SPDX-License-Identifier: BSD-3-Clause
/* The tables as a guest finds them: by the scan, by the pointers, checksums, and what the DSDT
 * agrees on with C. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/boot/bootfix.h"
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/dsdt.h"

struct fix {
	struct memsys m;
	struct vm *vm;
};

static void start(struct fix *f, unsigned int ncpus)
{
	uint64_t rsdp = 0;
	struct err e;

	memsys_init(&f->m);
	f->vm = bootfix_vm(&f->m.sys, MIB(16));
	f->vm->cfg.ncpus = ncpus;
	assert_int_equal(vm_acpi_build(f->vm, &rsdp, &e), 0);
	assert_int_equal(rsdp, VM_ACPI_BASE);
}

static uint8_t *at(struct fix *f, uint64_t gpa)
{
	return vm_mem_ptr(&f->vm->mem, gpa, 1);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void assert_sum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	assert_int_equal(sum, 0);
}

/* From the RSDP through the XSDT, as a guest goes. */
static uint8_t *table(struct fix *f, const char *sig)
{
	uint8_t *xsdt = at(f, get64(at(f, VM_ACPI_BASE) + 24));
	uint32_t i, n = (get32(xsdt + 4) - 36) / 8;

	for (i = 0; i < n; i++) {
		uint8_t *t = at(f, get64(xsdt + 36 + 8 * i));

		if (!memcmp(t, sig, 4)) {
			assert_sum(t, get32(t + 4));
			return t;
		}
	}
	return NULL;
}

static void test_root(void **state)
{
	struct fix f;
	uint8_t *rsdp, *xsdt;

	start(&f, 1);
	rsdp = at(&f, VM_ACPI_BASE);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_sum(rsdp, 20);
	assert_sum(rsdp, 36);
	xsdt = at(&f, get64(rsdp + 24));
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_sum(xsdt, get32(xsdt + 4));
	bootfix_vm_free(f.vm);
}

static void test_fadt(void **state)
{
	struct fix f;
	uint8_t *t, *dsdt;

	start(&f, 1);
	t = table(&f, "FACP");
	assert_non_null(t);
	assert_int_equal(get32(t + 4), 276);
	assert_int_equal(get32(t + 56), VM_PM_PORT);
	assert_int_equal(get32(t + 64), VM_PM_PORT + 4);
	assert_int_equal(get32(t + 76), VM_PM_PORT + 8);
	assert_int_equal(t[46], VM_PM_SCI);
	assert_int_equal(get64(t + 120), VM_RESET_PORT);
	assert_int_equal(t[128], 6);
	assert_memory_equal(at(&f, get32(t + 36)), "FACS", 4);
	assert_int_equal(get32(t + 36) % 64, 0);
	dsdt = at(&f, get64(t + 140));
	assert_int_equal(get32(t + 40), get64(t + 140));
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_sum(dsdt, get32(dsdt + 4));
	bootfix_vm_free(f.vm);
}

static void test_madt(void **state)
{
	unsigned int ncpus[] = { 1, 2, 16 }, i, k;

	for (i = 0; i < ARRAY_SIZE(ncpus); i++) {
		struct fix f;
		uint8_t *t, *p, *end;
		unsigned int seen[5] = { 0 };

		start(&f, ncpus[i]);
		t = table(&f, "APIC");
		assert_int_equal(get32(t + 36), VM_LAPIC_BASE);
		end = t + get32(t + 4);
		for (p = t + 44; p < end; p += p[1]) {
			assert_true(p[1] && p[0] < 5);
			k = seen[p[0]]++;
			if (p[0] == 0)
				assert_true(p[3] == k && p[4] == 1);
			if (p[0] == 1)
				assert_int_equal(get32(p + 4), VM_IOAPIC_BASE);
			if (p[0] == 2 && p[3] == VM_PM_SCI)
				assert_int_equal(p[8], 0xd);
		}
		assert_ptr_equal(p, end);
		assert_int_equal(seen[0], ncpus[i]);
		assert_int_equal(seen[1], 1);
		assert_int_equal(seen[2], 2);
		bootfix_vm_free(f.vm);
	}
}

static void test_no_pci(void **state)
{
	struct fix f;

	start(&f, 1);
	assert_null(table(&f, "MCFG"));
	bootfix_vm_free(f.vm);
}

/* With PCI: MCFG names ECAM, and the block in front of the tables what the DSDT reads from it. */
static void test_pci(void **state)
{
	struct fakesys *fs = fakesys_new();
	struct fakeaccel *a = fakeaccel_new();
	struct fix f = { .vm = fakeaccel_vm(fakesys_sys(fs), a, MIB(64)) };
	const struct vm_pci_windows *w;
	uint8_t *t, *info;
	uint64_t rsdp;
	struct err e;

	assert_int_equal(vm_pci_new(f.vm, false, &f.vm->pci, &e), 0);
	assert_int_equal(vm_pci_setup(f.vm->pci, &e), 0);
	w = vm_pci_windows(f.vm->pci);
	assert_int_equal(vm_acpi_build(f.vm, &rsdp, &e), 0);
	t = table(&f, "MCFG");
	assert_non_null(t);
	assert_int_equal(get64(t + 44), VM_PCI_ECAM_BASE);
	assert_int_equal(t[54], 0);
	assert_int_equal(t[55], w->nbuses - 1);
	info = at(&f, VM_ACPI_BASE + 0x40);
	assert_int_equal(get32(info), w->mmio32);
	assert_int_equal(get32(info + 4), w->mmio32_size);
	assert_int_equal(get32(info + 16), w->ecam);
	assert_int_equal(get32(info + 20), MIB(w->nbuses));
	assert_int_equal(get32(info + 24), w->nbuses);
	assert_int_equal(get64(info + 32), w->mmio64);
	assert_int_equal(get64(info + 40), w->mmio64_size);
	vm_pci_free(f.vm->pci);
	f.vm->pci = NULL;
	fakeaccel_vm_free(f.vm);
	fakesys_free(fs);
}

static void test_no_ram_there(void **state)
{
	struct memsys m;
	struct vm *vm;
	uint64_t rsdp;
	struct err e;

	memsys_init(&m);
	vm = bootfix_vm(&m.sys, KIB(512));
	assert_int_equal(vm_acpi_build(vm, &rsdp, &e), -EFAULT);
	assert_string_equal(e.text, "ACPI tables: no RAM at 0xe0000: Bad address");
	bootfix_vm_free(vm);
}

static bool dsdt_has(const void *p, size_t n)
{
	return memmem(dsdt_aml_code, sizeof(dsdt_aml_code), p, n);
}

/* dsdt.asl repeats numbers of boot.h; here they are compared in their compiled form. */
static void test_dsdt_agrees(void **state)
{
	const struct {
		uint16_t port;
		uint8_t len;
	} io[] = { { VM_PM_PORT, 0x20 },
		   { VM_RESET_PORT, 1 },
		   { VM_COM1_PORT, 8 },
		   { VM_RTC_PORT, 2 },
		   { VM_PVPANIC_PORT, 1 } };
	const uint8_t s5[] = { '_', 'S', '5', '_', 0x12, 0x07, 4, 0x0a, VM_SLEEP_S5_TYP };
	const uint8_t com_irq[] = { 0x22, 1 << VM_COM1_IRQ, 0 };
	const uint8_t rtc_irq[] = { 0x22, 0, 1 << (VM_RTC_IRQ - 8) };
	uint32_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(io); i++) {
		/* I/O port descriptor, 16-bit decode (6.4.2.5) */
		uint8_t d[8] = { 0x47, 1, (uint8_t)io[i].port, (uint8_t)(io[i].port >> 8) };

		memcpy(d + 4, d + 2, 2);
		d[6] = 1;
		d[7] = io[i].len;
		if (!dsdt_has(d, sizeof(d)))
			fail_msg("no port %#x in the DSDT", io[i].port);
	}
	assert_true(dsdt_has(s5, sizeof(s5)));
	assert_true(dsdt_has(com_irq, sizeof(com_irq)));
	assert_true(dsdt_has(rtc_irq, sizeof(rtc_irq)));
	v = VM_IOAPIC_BASE;
	assert_true(dsdt_has(&v, 4));
	v = VM_LAPIC_BASE;
	assert_true(dsdt_has(&v, 4));
	v = VM_ACPI_BASE + 0x40;
	assert_true(dsdt_has(&v, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),	    cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),	    cmocka_unit_test(test_no_pci),
		cmocka_unit_test(test_pci),	    cmocka_unit_test(test_no_ram_there),
		cmocka_unit_test(test_dsdt_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
