/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_MSIX_H
#define VMM_CORE_MSIX_H

#include "vmm/core/bus.h"
#include "vmm/core/irq.h"

/*
 * MSI-X table and pending bits as the guest sees them (PCIe base spec 7.7.2), for assigned and
 * emulated functions alike. The owner traps the pages the table and the PBA live in and hands
 * accesses over.
 */
struct vm_msix;

/**
 * struct vm_msix_ops - how the owner hears of vectors
 * @use: vector vec is used for the first time since enable (on) or no longer (off, on disable and
 *reset): connect vm_irq_group_fd() to the device's signal. Vectors in use are never dropped to add
 *one. May be NULL.
 */
struct vm_msix_ops {
	int (*use)(void *dev, unsigned int vec, bool on);
};

/** vm_msix_new() - n vectors 1-2048, masked, disabled. The group is the caller's and outlives it.
 */
int vm_msix_new(struct vm_irq_group *g, unsigned int n, const struct vm_msix_ops *ops, void *dev,
		struct vm_msix **out) __must_check;
/** vm_msix_free() - the group stays its owner's; NULL is fine. */
void vm_msix_free(struct vm_msix *m);

/** vm_msix_ctrl() - Message Control was written: bit 15 enable, bit 14 function mask; other bits
 * are ignored. */
void vm_msix_ctrl(struct vm_msix *m, uint16_t ctrl);

/** vm_msix_master() - may the function write to memory, which messages are? They wait while it may
 * not. It may at first, and a reset changes nothing of it. */
void vm_msix_master(struct vm_msix *m, bool on);

/** vm_msix_ctrl_read() - Message Control as the guest reads it: table size - 1, mask, enable. */
uint16_t vm_msix_ctrl_read(const struct vm_msix *m);

/**
 * vm_msix_table_read() / _write() - off from the table's start; aligned 4 or 8 bytes (anything else
 * is VM_IO_ERROR: the spec leaves it undefined); off + len may be past the table: VM_IO_UNHANDLED.
 */
enum vm_io_result vm_msix_table_read(struct vm_msix *m, uint64_t off, unsigned int len,
				     uint64_t *val);
enum vm_io_result vm_msix_table_write(struct vm_msix *m, uint64_t off, unsigned int len,
				      uint64_t val);
/** vm_msix_pba_read() - as the table; a bit is set while its masked vector has a signal waiting. */
enum vm_io_result vm_msix_pba_read(struct vm_msix *m, uint64_t off, unsigned int len,
				   uint64_t *val);

/** vm_msix_reset() - off, every vector masked and let go, nothing pending. */
void vm_msix_reset(struct vm_msix *m);
/** vm_msix_enabled() - the enable bit of message control, whatever is masked. */
bool vm_msix_enabled(const struct vm_msix *m);

/** vm_msix_refused() - messages outside FEE00000h-FEEFFFFFh that were not routed, and commits that
 * failed. */
uint64_t vm_msix_refused(const struct vm_msix *m);
unsigned int vm_msix_used(const struct vm_msix *m); /* vectors in use */
uint64_t vm_msix_mask_writes(
	const struct vm_msix *m); /* writes to vector control, for the statistics */

#endif
