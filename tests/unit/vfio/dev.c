// SPDX-License-Identifier: BSD-3-Clause
/* Interrupts, resets and events of an assigned device. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/vfio/devfix.h"

#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define MSI  VFIO_PCI_MSI_IRQ_INDEX
#define INTX VFIO_PCI_INTX_IRQ_INDEX

/* A conventional device with INTA. */
static void with_intx(struct fix *f)
{
	f->dev.irq[INTX] = (struct vfd_irq){ .count = 1, .eventfd = true, .maskable = true };
	fakevfd_cfg(&f->dev, PCI_INTERRUPT_PIN, 1, 1);
}

/* MSI at E0h: 8 messages, 64 bits, maskable. */
static void with_msi(struct fix *f)
{
	f->dev.irq[MSI] = (struct vfd_irq){ .count = 8, .eventfd = true };
	fakevfd_cfg(&f->dev, 0xa0, 4, 0x0002e010);
	fakevfd_cfg(&f->dev, 0xe0, 4, 0x01860005);
}

static uint32_t rd(struct fix *f, unsigned int off, unsigned int len)
{
	return f->fn->ops->cfg_read(f->fn, off, len);
}

static void wr(struct fix *f, unsigned int off, unsigned int len, uint32_t val)
{
	f->fn->ops->cfg_write(f->fn, off, len, val);
}

static void table(struct fix *f, unsigned int vec, uint32_t addr, uint32_t data, uint32_t ctrl)
{
	uint64_t gpa = f->fn->bar[3].at + 16 * vec;

	assert_int_equal(vm_bus_write(&f->vm->mmio, gpa, 8, addr), VM_IO_OK);
	assert_int_equal(vm_bus_write(&f->vm->mmio, gpa + 8, 4, data), VM_IO_OK);
	assert_int_equal(vm_bus_write(&f->vm->mmio, gpa + 12, 4, ctrl), VM_IO_OK);
}

#define log_is(f, text)                                  \
	do {                                             \
		assert_string_equal((f)->dev.log, text); \
		fakevfd_log_clear(&(f)->dev);            \
	} while (0)

/* ---- MSI-X ---- */

static void msix_vectors_added(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_info i;
	int32_t first;

	devfix_add(f);
	f->dev.no_grow = true;
	wr(f, 0x72, 2, 0xc000); /* enable, all masked: as Linux does */
	log_is(f, "on2(0,3) ");
	assert_int_equal(f->dev.trigger[MSIX][0], -1);
	table(f, 0, 0xfee00000, 0x41, 0);
	table(f, 1, 0xfee01000, 0x42, 1);
	table(f, 2, 0xfee02000, 0x43, 1);
	log_is(f, "");
	wr(f, 0x72, 2, 0x8000);
	log_is(f, "on2(0,1) ");
	first = f->dev.trigger[MSIX][0];
	assert_non_null(fakeaccel_irqfd_of(f->a, first));
	table(f, 2, 0xfee02000, 0x43, 0);
	log_is(f, "on2(2,1) "); /* alone: the first is not touched, nothing goes off */
	assert_int_equal(f->dev.trigger[MSIX][0], first);
	/* Masked and unmasked: the kernel hears nothing of it. */
	table(f, 2, 0xfee02000, 0x43, 1);
	table(f, 2, 0xfee02000, 0x43, 0);
	log_is(f, "");
	vfio_pci_info(&f->p->dev, &i);
	assert_int_equal(i.irq_mode, VFIO_IRQ_MSIX);
	assert_int_equal(i.vectors, 3);
	assert_int_equal(i.vectors_used, 2);
	assert_true(i.mask_writes > 0);
	wr(f, 0x72, 2, 0);
	log_is(f, "off2 ");
	assert_int_equal(f->a->nirqfds, 0);
	/* Unmasked before enable: connected with the enable. */
	wr(f, 0x72, 2, 0x8000);
	log_is(f, "on2(0,3) on2(0,1) on2(2,1) ");
}

/* What the device signals while masked is the pending bit, and comes with the unmask. */
static void msix_pending(void **state)
{
	struct fix *f = *state;
	uint64_t one = 1, val;

	devfix_add(f);
	wr(f, 0x72, 2, 0x8000);
	table(f, 1, 0xfee00000, 0x41, 0);
	table(f, 1, 0xfee00000, 0x41, 1);
	assert_int_equal(sys_write(fakesys_sys(f->fs), f->dev.trigger[MSIX][1], &one, 8), 8);
	assert_int_equal(vm_bus_read(&f->vm->mmio, f->fn->bar[3].at + 0x2000, 8, &val), VM_IO_OK);
	assert_int_equal(val, 2);
}

static void msix_refused_by_host(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_info i;

	devfix_add(f);
	f->dev.fail_irq[MSIX] = -ENOSPC;
	wr(f, 0x72, 2, 0x8000);
	table(f, 0, 0xfee00000, 0x41, 0);
	vfio_pci_info(&f->p->dev, &i);
	assert_int_equal(i.irq_mode, VFIO_IRQ_NONE);
	assert_int_equal(i.vectors_used, 0);
	assert_true(i.irq_failures > 0);
	assert_int_equal(rd(f, 0x72, 2), 0x8002);
	f->dev.fail_irq[MSIX] = 0;
	wr(f, 0x72, 2, 0);
	wr(f, 0x72, 2, 0x8000);
	vfio_pci_info(&f->p->dev, &i);
	assert_int_equal(i.vectors_used, 1);
}

/* ---- MSI ---- */

static void msi_one_and_many(void **state)
{
	struct fix *f = *state;
	uint64_t one = 1;

	with_msi(f);
	devfix_add(f);
	assert_int_equal(rd(f, 0xe2, 2), 0x0186);
	wr(f, 0xe4, 4, 0xfee00000);
	wr(f, 0xec, 2, 0x51);
	log_is(f, "");
	wr(f, 0xe2, 2, 0x0001);
	log_is(f, "on1(0,1) ");
	assert_int_equal(f->a->nirqfds, 1);
	wr(f, 0xe2, 2, 0x0021); /* four messages */
	log_is(f, "off1 on1(0,4) ");
	assert_int_equal(f->a->nirqfds, 4);
	assert_int_equal(f->a->route[3].msi.data, 0x53);
	wr(f, 0xe2, 2, 0x0071); /* more than the device has: eight */
	log_is(f, "off1 on1(0,8) ");
	/* Masked: pending bit; unmasked: delivered. */
	wr(f, 0xf0, 4, 1u << 3);
	assert_int_equal(f->a->nirqfds, 7);
	assert_int_equal(sys_write(fakesys_sys(f->fs), f->dev.trigger[MSI][3], &one, 8), 8);
	assert_int_equal(rd(f, 0xf4, 4), 1u << 3);
	wr(f, 0xf0, 4, 0);
	assert_int_equal(f->a->nirqfds, 8);
	log_is(f, "");
	/* A message to memory is no interrupt. */
	wr(f, 0xe4, 4, 0x1000);
	assert_int_equal(f->a->nirqfds, 0);
	assert_true(f->p->irq.refused > 0);
	wr(f, 0xe2, 2, 0);
	log_is(f, "off1 ");
}

/* ---- INTx ---- */

static void intx_order(void **state)
{
	struct fix *f = *state;
	const struct fakeaccel_irqfd *q;

	with_intx(f);
	fakevfd_cfg(&f->dev, PCI_COMMAND, 2, 0x0407); /* as the host left it */
	f->p = fakevfd_dev(f->vm, &f->dev, "net0", &f->e);
	assert_non_null(f->p);
	f->fn = &f->p->fn;
	log_is(f, "cmd=0 on0(0,1) mask0 unmaskfd0 unmask0 ");
	assert_false(f->dev.intx_masked);
	q = fakeaccel_irqfd_of(f->a, f->dev.trigger[INTX][0]);
	assert_non_null(q);
	assert_int_equal(q->gsi, vm_pci_intx_pin(f->fn, 1));
	assert_int_equal(q->resample, f->dev.unmask_fd);
	assert_int_equal(rd(f, PCI_INTERRUPT_PIN, 1), 1);
}

static void modes_exclude_each_other(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_info i;

	with_intx(f);
	with_msi(f);
	devfix_add(f);
	wr(f, 0xe2, 2, 1);
	log_is(f, "off0 on1(0,1) ");
	wr(f, 0x72, 2, 0x8000);
	log_is(f, "off1 on2(0,3) ");
	wr(f, 0xe2, 2, 0x21); /* MSI while MSI-X is on: MSI-X stays */
	log_is(f, "");
	wr(f, 0x72, 2, 0);
	log_is(f, "off2 on1(0,4) "); /* the guest had asked for MSI */
	wr(f, 0xe2, 2, 0);
	log_is(f, "off1 on0(0,1) mask0 unmaskfd0 unmask0 ");
	vfio_pci_info(&f->p->dev, &i);
	assert_int_equal(i.irq_mode, VFIO_IRQ_INTX);
}

static void vf_has_no_intx(void **state)
{
	struct fix *f = *state;

	with_intx(f);
	f->dev.irq[INTX].count = 0;
	devfix_add(f);
	assert_int_equal(rd(f, PCI_INTERRUPT_PIN, 1), 0);
	log_is(f, "");
}

static void intx_busy_on_host(void **state)
{
	struct fix *f = *state;

	with_intx(f);
	f->dev.fail_irq[INTX] = -EBUSY;
	devfix_add(f);
	assert_int_equal(f->p->irq.mode, VFIO_IRQ_NONE);
	assert_int_equal(f->p->irq.failures, 1);
	assert_int_equal(f->a->nirqfds, 0);
}

/* ---- command register ---- */

static void decoding_order(void **state)
{
	struct fix *f = *state;

	devfix_add(f);
	assert_int_equal(f->dev.cfg[PCI_COMMAND], VM_PCI_CMD_MEM);
	wr(f, PCI_COMMAND, 2, 0x0546); /* MASTER, INTX_DISABLE, and two bits that stay with us */
	assert_int_equal(rd(f, PCI_COMMAND, 2), 0x0546);
	log_is(f, "cmd=406 ");
	wr(f, PCI_COMMAND, 2, 0x0546); /* nothing new, nothing sent */
	log_is(f, "");
	wr(f, PCI_COMMAND, 2, VM_PCI_CMD_MASTER);
	log_is(f, "cmd=4 ");
	assert_false(f->fn->bar[0].mapped);
}

static void d3_stops_dma(void **state)
{
	struct fix *f = *state;

	fakevfd_cfg(&f->dev, 0xa0, 4, 0x0002e010);
	fakevfd_cfg(&f->dev, 0xe0, 4, 0x00030001);
	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	log_is(f, "cmd=6 ");
	wr(f, 0xe4, 2, 3);
	log_is(f, "cmd=2 ");
	assert_int_equal(rd(f, 0xe4, 2), 0x000b);
	assert_int_equal(rd(f, PCI_COMMAND, 2), 6);
	wr(f, 0xe4, 2, 0);
	log_is(f, "cmd=6 ");
}

/* ---- reset ---- */

static void flr_by_guest(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_info i;

	with_intx(f);
	fakevfd_cfg(&f->dev, 0xa0, 4, 0x0002e010);
	fakevfd_cfg(&f->dev, 0xe0, 4, 0x00030001); /* PM */
	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	wr(f, 0x72, 2, 0x8000);
	table(f, 0, 0xfee00000, 0x41, 0);
	fakevfd_log_clear(&f->dev);
	wr(f, 0xa8, 2, 0x8000);
	/* (the register itself,) interrupts off, D0, command 0, reset, Device Control and command
	 * again, INTx back */
	log_is(f, "cfga8 off2 cfge4 cmd=0 reset1 cfga8 cmd=0 on0(0,1) mask0 unmaskfd0 unmask0 ");
	assert_int_equal(rd(f, PCI_COMMAND, 2), 0);
	assert_int_equal(rd(f, 0x72, 2), 2);
	assert_int_equal(rd(f, 0x10, 4), 0xc);
	assert_false(f->fn->bar[0].mapped);
	assert_int_equal(f->a->slots_used, 1);
	vfio_pci_info(&f->p->dev, &i);
	assert_true(i.flrs == 1 && i.resets == 1 && i.state == VFIO_PCI_OK);
	/* A byte write of the upper half is an FLR too; the lower byte is none. */
	wr(f, 0xa8, 1, 0xff);
	assert_int_equal(f->dev.resets, 1);
	wr(f, 0xa9, 1, 0x80);
	assert_int_equal(f->dev.resets, 2);
}

static void machine_reset_once(void **state)
{
	struct fix *f = *state;

	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	f->p->dev.ops->reset(&f->p->dev);
	vm_pci_reset(f->vm->pci);
	assert_int_equal(f->dev.resets, 1); /* asked twice, once is enough */
	assert_int_equal(vm_pci_setup(f->vm->pci, &f->e), 0);
	assert_true(f->fn->bar[0].mapped);
	assert_int_equal(f->dev.cfg[PCI_COMMAND], VM_PCI_CMD_MEM);
}

static void reset_fails(void **state)
{
	struct fix *f = *state;

	with_intx(f);
	devfix_add(f);
	f->dev.fail_reset = -EIO;
	f->p->dev.ops->reset(&f->p->dev);
	assert_int_equal(f->p->state, VFIO_PCI_ERROR);
	wr(f, PCI_COMMAND, 2, 7);
	assert_int_equal(f->dev.cfg[PCI_COMMAND] & VM_PCI_CMD_MASTER, 0);
	wr(f, 0x72, 2, 0x8000);
	assert_false(f->dev.on[MSIX] || f->dev.on[INTX]);
	f->dev.fail_reset = 0;
	f->p->dev.ops->reset(&f->p->dev);
	assert_int_equal(f->p->state, VFIO_PCI_OK);
	assert_true(f->dev.on[INTX]);
}

static void contained(void **state)
{
	struct fix *f = *state;

	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	wr(f, 0x72, 2, 0x8000);
	fakevfd_log_clear(&f->dev);
	vfio_pci_contain(f->p);
	log_is(f, "off2 cmd=2 ");
	wr(f, PCI_COMMAND, 2, 6); /* the guest tries to go on */
	wr(f, 0x72, 2, 0);
	wr(f, 0x72, 2, 0x8000);
	log_is(f, "");
	f->p->dev.ops->reset(&f->p->dev);
	assert_int_equal(f->p->state, VFIO_PCI_OK);
}

static void released(void **state)
{
	struct fix *f = *state;
	uint64_t gpa, val;

	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	gpa = f->fn->bar[3].at;
	wr(f, 0x72, 2, 0x8000);
	fakevfd_log_clear(&f->dev);
	vfio_pci_release(f->p);
	log_is(f, "cmd=0 reset1 off2 close0 ");
	assert_int_equal(f->dev.maps, 0);
	assert_int_equal(f->a->slots_used, 1);
	assert_int_equal(rd(f, 0, 4), 0xffffffff);
	wr(f, PCI_COMMAND, 2, 6);
	wr(f, 0x10, 4, 0xfe000000);
	assert_int_equal(vm_bus_read(&f->vm->mmio, gpa, 4, &val), VM_IO_UNHANDLED);
	f->p->dev.ops->reset(&f->p->dev); /* a machine reset does not bring it back */
	assert_int_equal(vm_pci_setup(f->vm->pci, &f->e), 0);
	assert_int_equal(f->dev.closed, 1);
}

static void teardown_order(void **state)
{
	struct fix *f = *state;

	devfix_add(f);
	wr(f, PCI_COMMAND, 2, 6);
	wr(f, 0x72, 2, 0x8000);
	fakevfd_log_clear(&f->dev);
	vm_dev_free(&f->p->dev);
	f->p = NULL;
	log_is(f, "cmd=0 reset1 off2 close0 ");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, devfix_setup, devfix_teardown)
	const struct CMUnitTest tests[] = {
		T(msix_vectors_added), T(msix_pending),	     T(msix_refused_by_host),
		T(msi_one_and_many),   T(intx_order),	     T(modes_exclude_each_other),
		T(vf_has_no_intx),     T(intx_busy_on_host), T(decoding_order),
		T(d3_stops_dma),       T(flr_by_guest),	     T(machine_reset_once),
		T(reset_fails),	       T(contained),	     T(released),
		T(teardown_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
