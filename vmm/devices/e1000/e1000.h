/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_E1000_E1000_H
#define VMM_DEVICES_E1000_E1000_H

#include "base/mac.h"
#include "vmm/core/dev.h"
#include "vmm/core/iothread.h"

/*
 * An Intel 82540EM, emulated register by register, on a tap interface. The stock Linux driver
 * e1000 runs on it.
 */

/**
 * struct e1000_cfg
 * @tap: interface of the host
 * @mac: zero: made from the id
 * @io:  serves the rings
 */
struct e1000_cfg {
	const char *tap;
	struct mac mac;
	struct vm_iothread *io;
	const struct log *log;
};

/** e1000_new() - for vm_dev_add(). The tap is opened here: -errno with the reason. */
int e1000_new(struct sys *s, const char *id, const struct e1000_cfg *c, struct vm_dev **out,
	      struct err *e) __must_check;

/** struct e1000_count - @drops: frames that could not be sent or had no place; @bad: descriptors
 * that make no sense */
struct e1000_count {
	uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes, drops, bad, interrupts, throttled, kicks;
};
/** e1000_count() - relaxed; any thread. */
void e1000_count(const struct vm_dev *d, struct e1000_count *out);

#endif
