// SPDX-License-Identifier: BSD-3-Clause
/*
 * The clock, power management and the board's leftovers. Records of 6 bytes: what, port or
 * register, value (4). Time passes, forward and back, as the input says.
 */
#include <string.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"
#include "vmm/devices/pm.h"
#include "vmm/devices/rtc.h"

#define RECORD 6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t fuzz_clock(void *arg)
{
	return *(int64_t *)arg;
}

static struct vm_dev *add(struct vm *vm, const struct vm_dev_ops *ops, int64_t *clock)
{
	struct vm_dev *d;

	BUG_ON(vm_dev_new(ops, ops->name, &d));
	if (ops == &rtc_ops) {
		((struct rtc *)d)->clock = fuzz_clock;
		((struct rtc *)d)->clock_arg = clock;
	}
	if (ops == &debug_exit_ops)
		((struct debug_exit *)d)->port = 0xf4;
	BUG_ON(vm_dev_add(vm, d, NULL));
	return d;
}

static void step(struct vm *vm, struct vm_dev *rtc, int64_t *clock, const uint8_t *p)
{
	static const uint16_t ports[] = { 0x60, 0x61, 0x64, 0x80, 0x92, 0xf4, 0x505 };
	unsigned int len = 1u << p[0] / 64;
	uint32_t val;
	uint64_t v;

	memcpy(&val, p + 2, 4);
	switch (p[0] % 8) {
	case 0:
		vm_bus_write(&vm->pio, 0x70, 1, p[1]);
		vm_bus_write(&vm->pio, 0x71, 1, val);
		break;
	case 1:
		vm_bus_write(&vm->pio, 0x70, 1, p[1]);
		vm_bus_read(&vm->pio, 0x71, 1, &v);
		break;
	case 2:
		*clock += (int32_t)val;
		break;
	case 3:
		vm_bus_write(&vm->pio, VM_PM_PORT + p[1] % 0x20, len, val);
		break;
	case 4:
		vm_bus_read(&vm->pio, VM_PM_PORT + p[1] % 0x20, len, &v);
		break;
	case 5:
		vm_bus_write(&vm->pio, ports[p[1] % ARRAY_SIZE(ports)], len, val);
		vm_bus_read(&vm->pio, ports[p[1] % ARRAY_SIZE(ports)], len, &v);
		break;
	case 6:
		BUG_ON(vm_power_button(vm));
		break;
	case 7:
		if (p[1] & 1)
			rtc->ops->reset(rtc);
		*clock += (int64_t)val << 16;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fakesys *fs = fakesys_new();
	struct fakeaccel *fa = fakeaccel_new();
	struct vm *vm = fakeaccel_vm(fakesys_sys(fs), fa, MIB(16));
	int64_t clock = 1700000000000000;
	struct vm_dev *pm, *rtc;

	vm->cfg.no_reboot = true;
	pm = add(vm, &pm_ops, NULL);
	add(vm, &legacy_ops, NULL);
	add(vm, &debug_exit_ops, NULL);
	rtc = add(vm, &rtc_ops, &clock);
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		const struct pm *p = (const struct pm *)pm;
		const struct rtc *r = (const struct rtc *)rtc;

		step(vm, rtc, &clock, data);
		BUG_ON(fa->line[9] != ((p->sts & p->en) || (p->gpe_sts & p->gpe_en)));
		BUG_ON(!(p->cnt & 1));
		BUG_ON(fa->line[8] != r->irq_high);
		BUG_ON(r->ram[0x0d] != 0x80 || r->ram[0x0a] & 0x80);
		vm->end = VM_END_NONE;
	}
	fakeaccel_vm_free(vm);
	fakesys_free(fs);
	return 0;
}
