/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_PM_H
#define VMM_DEVICES_PM_H

#include "base/log.h"
#include "vmm/core/bus.h"
#include "vmm/core/dev.h"

/* struct pm - ACPI fixed hardware at VM_PM_PORT: power button, soft off, PM timer, an empty GPE
 * block. */
struct pm {
	struct vm_dev dev;
	struct vm_io_region io;
	uint16_t sts, en, cnt, gpe_sts, gpe_en;
	bool sci;
};

extern const struct vm_dev_ops pm_ops;

#define LEGACY_PORTS 6

/* struct legacy - what little of a PC's board guests expect: ports 60h, 61h, 64h, 80h, 92h, and
 * pvpanic. */
struct legacy {
	struct vm_dev dev;
	struct legacy_port {
		struct legacy *dev;
		uint16_t port;
		struct vm_io_region io;
	} port[LEGACY_PORTS];
	uint8_t port61, port92;
	unsigned int kbd_reads;
	struct log_limit limit;
};

extern const struct vm_dev_ops legacy_ops;

/**
 * struct debug_exit - a port whose first write ends the run with status (value << 1 | 1) & ffh
 * @port: set by the creator; 4 bytes from it are taken
 */
struct debug_exit {
	struct vm_dev dev;
	uint16_t port;
	struct vm_io_region io;
};

extern const struct vm_dev_ops debug_exit_ops;

#endif
