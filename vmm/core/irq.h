/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_IRQ_H
#define VMM_CORE_IRQ_H

#include "base/list.h"
#include "vmm/core/accel.h"

/*
 * Interrupts. A device has a *group* of message vectors; behind each vector is an eventfd that is
 * an irqfd of the accelerator while the vector is unmasked. Nobody outside this module sees a GSI
 * of a message.
 *
 * A masked vector's eventfd is no irqfd: what the device signals stays in its counter, which is
 * exactly the pending bit (PBA), and is delivered when the irqfd is assigned again. No user-space
 * handler is involved.
 *
 * Thread: the VM lock.
 */
struct vm_irqs;
struct vm_irq_group;

#define VM_IRQ_PINS	 24 /* IOAPIC pins, GSI 0-23 */
#define VM_IRQ_PCI_FIRST 16 /* PCI INTx use GSI 16-23 */

/** vm_irqs_new() - all messages of a machine; the accelerator outlives it. */
int vm_irqs_new(struct sys *s, struct vm_accel *a, struct vm_irqs **out) __must_check;
void vm_irqs_free(struct vm_irqs *q); /* all groups are gone by then */

/** vm_irq_line() - level of an IOAPIC/PIC pin, driven from user space; a pin has one such driver.
 */
int vm_irq_line(struct vm_irqs *q, unsigned int pin, bool level) __must_check;

/** vm_irq_line_fd() - couple (or uncouple) a level-triggered pin to an eventfd, and a resample
 * eventfd signalled at EOI. */
int vm_irq_line_fd(struct vm_irqs *q, unsigned int pin, int fd, int resample_fd,
		   bool on) __must_check;

/** vm_irq_group_new() - n vectors (1-2048), all masked; eventfds are made when first asked for. */
int vm_irq_group_new(struct vm_irqs *q, const char *name, unsigned int n, uint32_t devid,
		     struct vm_irq_group **out) __must_check;
/** vm_irq_group_free() - mask all, give the GSIs back, close the eventfds. */
void vm_irq_group_free(struct vm_irq_group *g); /* NULL is fine */

/** vm_irq_group_fd() - the eventfd (non-blocking) behind a vector, made on demand; it stays the
 * group's. -errno */
int vm_irq_group_fd(struct vm_irq_group *g, unsigned int vec) __must_check;

/** vm_irq_group_route() - stage a message for a vector, or NULL: masked. Takes effect at the
 * commit. */
void vm_irq_group_route(struct vm_irq_group *g, unsigned int vec, const struct vm_msi *msi);

/** vm_irq_group_commit() - apply what was staged: at most one routing table update, then the
 * irqfds. */
int vm_irq_group_commit(struct vm_irq_group *g) __must_check;

/** vm_irq_group_pending() - was a masked vector signalled since? (its bit in the PBA) */
bool vm_irq_group_pending(struct vm_irq_group *g, unsigned int vec);

/** vm_irq_group_clear() - mask all vectors and forget what is pending: device reset. */
void vm_irq_group_clear(struct vm_irq_group *g);

/** vm_irq_commits() - number of routing table updates so far. */
uint64_t vm_irq_commits(const struct vm_irqs *q);

#endif
