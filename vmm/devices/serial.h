/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_SERIAL_H
#define VMM_DEVICES_SERIAL_H

#include "vmm/core/bus.h"
#include "vmm/core/dev.h"
#include "vmm/devices/chr.h"

#define SERIAL_FIFO 16u

/**
 * struct serial - a 16550A UART
 * @chr: where its bytes go, taken over (closed with the device)
 * @port: @irq: I/O ports (8 of them) and the IOAPIC pin
 * The rest is the device's own. Make it with vm_dev_new(&serial_ops, "serial0", ...), fill these
 * three, vm_dev_add().
 */
struct serial {
	struct vm_dev dev;
	struct chr *chr;
	uint16_t port;
	uint8_t irq;

	struct vm_io_region io;
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
	uint8_t fifo[SERIAL_FIFO];
	unsigned int head, n;
	bool thr_int;  /* the transmitter-empty interrupt is pending */
	bool tx_wait;  /* the guest was told to wait for the host */
	bool irq_high; /* level of the line */
	uint64_t irq_raised;
};

extern const struct vm_dev_ops serial_ops;

#endif
