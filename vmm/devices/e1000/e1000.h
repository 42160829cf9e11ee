/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_E1000_E1000_H
#define VMM_DEVICES_E1000_E1000_H

#include "base/mac.h"
#include "vmm/backend/net_end.h"
#include "vmm/core/dev.h"
#include "vmm/core/iothread.h"

/*
 * An Intel 82540EM, emulated register by register. The stock Linux driver e1000 runs on it.
 */

/**
 * struct e1000_cfg
 * @mac: zero: made from the id
 * @io:  serves the rings
 */
struct e1000_cfg {
	struct mac mac;
	struct vm_iothread *io;
	const struct log *log;
};

/** e1000_new() - for vm_dev_add(); the device takes the end of its wire over: -ENOMEM or 0. */
int e1000_new(struct sys *s, const char *id, const struct e1000_cfg *c, struct net_end *end,
	      struct vm_dev **out) __must_check;

/** e1000_end() - the end it was given; still the device's. */
struct net_end *e1000_end(const struct vm_dev *d);

/** struct e1000_count - @drops: frames that could not be sent or had no place; @bad: descriptors
 * that make no sense */
struct e1000_count {
	uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes, drops, bad, interrupts, throttled, kicks;
};
/** e1000_count() - relaxed; any thread. */
void e1000_count(const struct vm_dev *d, struct e1000_count *out);

#endif
