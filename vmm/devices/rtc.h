/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_RTC_H
#define VMM_DEVICES_RTC_H

#include "base/ev.h"
#include "vmm/core/bus.h"
#include "vmm/core/dev.h"

/**
 * struct rtc - MC146818 clock and CMOS memory at VM_RTC_PORT
 * @clock: UTC in microseconds since 1970; NULL: the host's clock
 * Alarm and update-ended interrupts come; the periodic one (which Linux emulates with a timer of
 * its own) does not.
 */
struct rtc {
	struct vm_dev dev;
	int64_t (*clock)(void *arg);
	void *clock_arg;

	struct vm_io_region io;
	uint8_t index, ram[128];
	int64_t offset_us; /* the guest's clock less the host's */
	int64_t last_sec;  /* up to here flags have been set */
	struct ev_src *timer;
	bool ticking, irq_high;
};

extern const struct vm_dev_ops rtc_ops;

#endif
