// SPDX-License-Identifier: BSD-3-Clause
/* Interrupt causes, the level, and throttling (3.5, 13.4.17 to 13.4.21). */
#include <unistd.h>
#include "vmm/devices/e1000/e1000_priv.h"

#define ITR_NS 256u /* unit of the interval between interrupts */

void e1000_irq_update(struct e1000 *d)
{
	const uint64_t one = 1;

	if (!(e1000_get(d, E1000_ICR) & e1000_get(d, E1000_IMS)) || d->irq < 0)
		return;
	if (atomic_exchange(&d->asserted, true))
		return; /* looked at again at the guest's EOI */
	if (write(d->irq, &one, sizeof(one)) > 0)
		atomic_fetch_add_explicit(&d->interrupts, 1, memory_order_relaxed);
}

void e1000_raise(struct e1000 *d, uint32_t causes)
{
	atomic_fetch_or(&d->reg[E1000_ICR / 4], causes);
	e1000_irq_update(d);
}

static void itr_over(void *arg)
{
	struct e1000 *d = arg;

	d->itr_timer = NULL;
	d->irq_ns = sys_now_ns(d->sys);
	e1000_irq_update(d);
}

void e1000_raise_io(struct e1000 *d, uint32_t causes)
{
	uint64_t gap = (uint64_t)(e1000_get(d, E1000_ITR) & 0xffff) * ITR_NS, now;

	atomic_fetch_or(&d->reg[E1000_ICR / 4], causes);
	if (d->itr_timer)
		return;
	now = sys_now_ns(d->sys);
	if (gap && now - d->irq_ns < gap &&
	    !ev_timer(vm_iothread_ev(d->cfg.io), gap - (now - d->irq_ns), itr_over, d,
		      &d->itr_timer)) {
		atomic_fetch_add_explicit(&d->throttled, 1, memory_order_relaxed);
		return;
	}
	d->irq_ns = now;
	e1000_irq_update(d);
}
