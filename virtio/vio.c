// SPDX-License-Identifier: BSD-3-Clause
/*
 * A virtio device between its registers and its type: status, features, queues, resets
 * (virtio 1.2, 2.1, 2.2, 2.6, 3.1, 4.1.4.3).
 *
 * The driver may write anything in any order. Three rules keep the device types simple: they are
 * started only when features were accepted, with queues that lie in guest memory and do not change
 * any more; they are stopped before anything is forgotten; and nothing that the driver writes while
 * a stop is under way has an effect.
 *
 * A stop may take time (a disk has requests in flight, a backend in another process must answer),
 * and no vCPU waits for it: the driver polls the status, which keeps its old value (4.1.4.3.1).
 * Whoever finishes the stop only clears a flag; the registers are reset by the next access that
 * finds it cleared, so that they are touched under the VM lock alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include "virtio/vio_priv.h"

/* How long a reset of the machine waits for a device; a backend that hangs must not hold it up. */
#define STOP_WAIT_S 1

void vio_refuse(struct vio *v, const char *what)
{
	v->pci->refused++;
	log_limited(v->dev.vm->log, &v->pci->limit, LOG_WARN, "%s: the guest's driver %s",
		    v->dev.id, what);
}

/* ---- any thread ---- */

static void signal_fd(struct vio *v, int fd)
{
	static const uint64_t one = 1;

	/* The only failure is a full counter, and then an interrupt is pending already. */
	if (fd >= 0 && sys_write(v->dev.vm->sys, fd, &one, sizeof(one)) < 0)
		return;
}

void vio_call(struct vio *v, unsigned int q)
{
	atomic_fetch_add_explicit(&v->q[q].calls, 1, memory_order_relaxed);
	signal_fd(v, atomic_load_explicit(&v->q[q].call, memory_order_relaxed));
}

void vio_config_changed(struct vio *v)
{
	atomic_fetch_add(&v->generation, 1);
	/* Before the driver is up it reads the config space anyway. */
	if (atomic_load(&v->status) & ST_DRIVER_OK)
		signal_fd(v, atomic_load(&v->config_call));
}

void vio_needs_reset(struct vio *v, const char *why)
{
	uint8_t old = atomic_load(&v->status);
	const char *none = NULL;

	/* The first reason stays; it is there before the bit is. */
	atomic_compare_exchange_strong(&v->why, &none, why);
	do {
		if (old & ST_NEEDS_RESET)
			return;
	} while (!atomic_compare_exchange_weak(&v->status, &old, old | ST_NEEDS_RESET));
	if (old & ST_DRIVER_OK)
		signal_fd(v, atomic_load(&v->config_call));
}

void vio_stopped(struct vio *v, int queue)
{
	struct vio_pci *p = v->pci;

	pthread_mutex_lock(&p->lock);
	if (queue < 0)
		atomic_store(&v->stopping, false);
	else
		atomic_store(&p->queue_stopping[queue], false);
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

void vio_paused(struct vio *v)
{
	struct vio_pci *p = v->pci;

	pthread_mutex_lock(&p->lock);
	atomic_store(&v->pausing, false);
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

/* ---- features ---- */

uint64_t vio_offered(const struct vio *v)
{
	uint64_t f = v->ops->features((struct vio *)v) & ~v->hide;

	if (!v->ops->queue_stop || !v->ops->queue_start)
		f &= ~VIO_F_RING_RESET;
	return f | VIO_F_VERSION_1; /* there is no transport for anything older here */
}

/* A copy, so that device threads need no lock; RAM does not change while a machine runs. */
static int mem_snapshot(struct vio *v)
{
	struct list *pos, *nxt;
	int rc = 0;

	v->mem.n = 0;
	list_for_each (pos, nxt, &v->dev.vm->mem.regions) {
		const struct vm_mem_region *r = list_entry(pos, struct vm_mem_region, link);

		if (r->kind == VM_MEM_RAM && !rc)
			rc = vq_mem_add(&v->mem, r->gpa, r->size, r->hva);
	}
	return rc;
}

static bool features_ok(struct vio *v)
{
	uint64_t want = v->pci->driver_features;

	if (want & ~vio_offered(v)) {
		vio_refuse(v, "accepted features that are not offered");
		return false;
	}
	if (!(want & VIO_F_VERSION_1)) {
		vio_refuse(v, "does not know virtio 1");
		return false;
	}
	if (mem_snapshot(v)) {
		vio_refuse(v, "cannot be served: guest RAM is in too many pieces");
		return false;
	}
	v->acked = want;
	return true;
}

/* ---- queues ---- */

void vio_vq_cfg(const struct vio *v, unsigned int q, struct vq_cfg *out)
{
	const struct vio_queue *vq = &v->q[q];
	bool packed = v->acked & VIO_F_PACKED;

	*out = (struct vq_cfg){
		.size = vq->size,
		.packed = packed,
		.event_idx = v->acked & VIO_F_EVENT_IDX,
		.indirect = v->acked & VIO_F_INDIRECT,
		.in_order = v->acked & VIO_F_IN_ORDER,
		.desc = vq->desc,
		.driver = vq->driver,
		.device = vq->device,
		.avail_idx = VQ_FRESH(packed),
		.used_idx = VQ_FRESH(packed),
	};
}

/* By trying: the walker knows sizes and alignments of either layout, and a start has no effect. */
static bool queue_valid(const struct vio *v, unsigned int q)
{
	struct vq_cfg cfg;
	struct vq probe;

	if (!v->q[q].size || v->q[q].size > v->q[q].size_max)
		return false;
	vio_vq_cfg(v, q, &cfg);
	return !vq_start(&probe, &v->mem, &cfg);
}

static void queue_begin(struct vio *v, unsigned int q)
{
	if (v->held) {
		v->queues_due |= 1ull << q;
	} else if (v->ops->queue_start(v, q)) {
		v->q[q].enabled = false;
		vio_needs_reset(v, "a queue could not be started again");
	}
}

void vio_queue_enable(struct vio *v, unsigned int q)
{
	uint8_t status = atomic_load(&v->status);

	if (v->q[q].enabled || !(status & ST_FEATURES_OK) || v->pci->queue_resetting[q]) {
		vio_refuse(v, "enabled a queue out of turn");
		return;
	}
	if ((status & ST_DRIVER_OK) && !(v->acked & VIO_F_RING_RESET)) {
		vio_refuse(v, "enabled a queue after it said that it is ready");
		return;
	}
	if (!queue_valid(v, q)) {
		vio_refuse(v, "set a queue up outside its memory, misaligned or with a bad size");
		vio_needs_reset(v, "a queue with a bad size or address was enabled");
		return;
	}
	v->q[q].enabled = true;
	if (v->started)
		queue_begin(v, q);
	vio_pci_kicks(v->pci);
}

static void queue_power_on(struct vio *v, unsigned int q)
{
	struct vio_queue *vq = &v->q[q];
	uint64_t n;

	vq->size = vq->size_max;
	vq->vector = VIO_NO_VECTOR;
	vq->enabled = false;
	vq->desc = vq->driver = vq->device = 0;
	atomic_store(&vq->call, -1);
	v->queues_due &= ~(1ull << q);
	v->pci->queue_resetting[q] = false;
	atomic_store(&v->pci->queue_stopping[q], false);
	/* A kick of the past is none of the next driver's. */
	if (vq->kick >= 0 && sys_read(v->dev.vm->sys, vq->kick, &n, sizeof(n)) < 0)
		n = 0;
}

void vio_queue_reset(struct vio *v, unsigned int q)
{
	struct vio_pci *p = v->pci;

	if (!(v->acked & VIO_F_RING_RESET) || p->queue_resetting[q])
		return;
	p->queue_resetting[q] = true;
	if (v->started && v->q[q].enabled && !(v->queues_due & 1ull << q)) {
		atomic_store(&p->queue_stopping[q], true);
		if (v->ops->queue_stop(v, q) != -EINPROGRESS)
			atomic_store(&p->queue_stopping[q], false);
	}
	vio_settle(v);
}

/* ---- reset ---- */

static void power_on(struct vio *v)
{
	struct vio_pci *p = v->pci;

	v->started = v->start_due = false;
	atomic_store(&v->pausing, false);
	v->acked = 0;
	p->device_sel = p->driver_sel = 0;
	p->driver_features = 0;
	p->queue_sel = 0;
	p->config_vector = VIO_NO_VECTOR;
	atomic_store(&v->config_call, -1);
	for (unsigned int q = 0; q < v->nqueues; q++)
		queue_power_on(v, q);
	vio_pci_kicks(p);
	p->resetting = false;
	atomic_store(&v->why, NULL);
	atomic_store(&v->status, 0);
}

void vio_settle(struct vio *v)
{
	struct vio_pci *p = v->pci;

	if (p->resetting) {
		if (!atomic_load(&v->stopping))
			power_on(v);
		return;
	}
	for (unsigned int q = 0; q < v->nqueues; q++) {
		if (!p->queue_resetting[q] || atomic_load(&p->queue_stopping[q]))
			continue;
		queue_power_on(v, q);
		vio_pci_kicks(p);
	}
}

void vio_restart(struct vio *v)
{
	struct vio_pci *p = v->pci;

	if (p->resetting)
		return;
	p->resets++;
	p->resetting = true;
	if (v->started) {
		/* Set first: the answer may come before the call has returned. */
		atomic_store(&v->stopping, true);
		if (v->ops->stop(v) != -EINPROGRESS)
			atomic_store(&v->stopping, false);
	}
	vio_settle(v);
}

/* ---- status ---- */

static void start(struct vio *v)
{
	if (atomic_load(&v->status) & ST_NEEDS_RESET)
		return;
	/* Before the device may interrupt: a driver that is told something looks at this bit. */
	atomic_fetch_or(&v->status, ST_DRIVER_OK);
	v->start_due = v->held;
	if (v->held)
		return;
	v->started = true;
	if (v->ops->start(v)) {
		v->started = false;
		vio_needs_reset(v, "the device could not be started");
	}
}

static int pause_begin(struct vio *v)
{
	int rc;

	/* Set first: the answer may come before the call has returned. */
	atomic_store(&v->pausing, true);
	rc = v->ops->pause(v, true);
	if (rc == -EINPROGRESS)
		return 0;
	atomic_store(&v->pausing, false);
	return rc;
}

static int resume(struct vio *v)
{
	uint64_t due = v->queues_due;
	int rc = v->ops->pause(v, false);

	atomic_store(&v->pausing, false);
	v->queues_due = 0;
	for (unsigned int q = 0; q < v->nqueues; q++)
		if (due & 1ull << q)
			queue_begin(v, q);
	vio_pci_kicks(v->pci);
	return rc;
}

/*
 * Guest memory is not to be touched for a reason, or no longer for that one. What is running is
 * paused, with its place in the rings; what would begin waits; kicks stay in their eventfds. So
 * nothing of it costs anything while there is no reason.
 */
static int hold(struct vio *v, unsigned int why, bool on)
{
	if (!vm_held(&v->held, why, on) || v->pci->resetting)
		return 0;
	if (v->start_due && !v->held)
		start(v);
	else if (v->started && v->held)
		return pause_begin(v);
	else if (v->started)
		return resume(v);
	return 0;
}

void vio_master(struct vio *v, bool on)
{
	vio_settle(v);
	if (hold(v, VM_HELD_MASTER, !on))
		vio_needs_reset(v, on ? "the device could not go on"
				      : "the device could not be paused");
}

/*
 * Bits are only ever added; what a write leaves out stays (a driver must not clear them, 2.1.1).
 * Each bit needs those before it; the order within one write is that of the specification.
 */
void vio_status_write(struct vio *v, uint8_t val)
{
	uint8_t old = atomic_load(&v->status), add = val & ~old;

	if (!val) {
		vio_restart(v);
		return;
	}
	if (old & ~val & ~ST_NEEDS_RESET)
		vio_refuse(v, "cleared bits of the status");
	atomic_fetch_or(&v->status, add & (ST_ACKNOWLEDGE | ST_DRIVER | ST_FAILED));
	old = atomic_load(&v->status);
	if (add & ST_FEATURES_OK) {
		if (!(old & ST_DRIVER) || !(old & ST_ACKNOWLEDGE))
			vio_refuse(v, "skipped a step of the initialization");
		else if (features_ok(v))
			atomic_fetch_or(&v->status, ST_FEATURES_OK);
	}
	if (!(add & ST_DRIVER_OK))
		return;
	if (atomic_load(&v->status) & ST_FEATURES_OK)
		start(v);
	else
		vio_refuse(v, "said that it is ready before features were accepted");
}

/* ---- life ---- */

void vio_setup(struct vio *v, const struct vio_ops *ops, unsigned int nqueues, uint16_t qsize,
	       uint64_t hide)
{
	BUG_ON(!nqueues || nqueues > VIO_QUEUES_MAX || !qsize || qsize > VQ_SIZE_MAX);
	v->ops = ops;
	v->nqueues = nqueues;
	v->hide = hide;
	v->held = VM_HELD_MASTER;
	atomic_store(&v->config_call, -1);
	for (unsigned int q = 0; q < nqueues; q++) {
		v->q[q].size_max = v->q[q].size = qsize;
		v->q[q].vector = VIO_NO_VECTOR;
		v->q[q].kick = -1;
		atomic_store(&v->q[q].call, -1);
	}
}

int vio_new(const struct vio_ops *ops, size_t size, const char *id, unsigned int nqueues,
	    uint16_t qsize, uint64_t hide, struct vio **out)
{
	struct vio *v;

	BUG_ON(size < sizeof(*v));
	v = calloc(1, size);
	if (!v)
		return -ENOMEM;
	vm_dev_init(&vio_dev_ops, id, &v->dev);
	vio_setup(v, ops, nqueues, qsize, hide);
	*out = v;
	return 0;
}

struct vio *vio_of(struct vm_dev *d)
{
	return d->ops == &vio_dev_ops ? container_of(d, struct vio, dev) : NULL;
}

static int dev_init(struct vm_dev *d, struct err *e)
{
	struct vio *v = vio_of(d);
	int rc = vio_pci_new(v, e);

	for (unsigned int q = 0; q < v->nqueues && !rc; q++) {
		v->q[q].kick = sys_eventfd(d->vm->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->q[q].kick < 0)
			rc = err_sys(e, v->q[q].kick, "eventfd of queue %u", q);
	}
	return rc;
}

static int dev_realize(struct vm_dev *d, struct err *e)
{
	struct vio *v = vio_of(d);
	int rc = vio_pci_realize(v, e);

	if (!rc)
		power_on(v);
	return rc;
}

/* Bounded: false when the device is still at it. */
static bool wait_for(struct vio *v, const atomic_bool *busy)
{
	struct vio_pci *p = v->pci;
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_WAIT_S;
	pthread_mutex_lock(&p->lock);
	while (atomic_load(busy) && !rc)
		rc = pthread_cond_clockwait(&p->cond, &p->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&p->lock);
	return !atomic_load(busy);
}

/*
 * The machine is reset: guest memory is written by the loader next, so the device should be off it.
 * One that takes too long is waited for by the next driver, as after any reset.
 */
static void dev_reset(struct vm_dev *d)
{
	struct vio *v = vio_of(d);

	vio_restart(v);
	if (v->pci->resetting && !wait_for(v, &v->stopping))
		log_warn(d->vm->log, "%s: has not stopped yet; the machine is reset without it",
			 d->id);
	vio_settle(v);
	vio_pci_power_on(v->pci);
}

static int dev_quiesce(struct vm_dev *d, bool on)
{
	struct vio *v = vio_of(d);
	int rc = hold(v, VM_HELD_PAUSE, on);

	if (on && !rc && !wait_for(v, &v->pausing))
		log_warn(d->vm->log, "%s: has not paused yet; the machine is paused without it",
			 d->id);
	return rc;
}

static void dev_free(struct vm_dev *d)
{
	struct vio *v = vio_of(d);

	/* A stop that takes its time is a peer's; nobody waits for one at the end. */
	if (v->pci)
		vio_restart(v);
	if (v->ops->free)
		v->ops->free(v);
	vio_pci_free(v);
	for (unsigned int q = 0; q < v->nqueues && d->vm; q++)
		sys_close(d->vm->sys, &v->q[q].kick);
}

const struct vm_dev_ops vio_dev_ops = {
	.name = "virtio",
	.size = sizeof(struct vio),
	.init = dev_init,
	.realize = dev_realize,
	.reset = dev_reset,
	.quiesce = dev_quiesce,
	.free = dev_free,
};

void vio_info(const struct vio *v, struct vio_info *out)
{
	const struct vio_pci *p = v->pci;

	*out = (struct vio_info){
		.status = atomic_load(&v->status),
		.acked = v->acked,
		.kicks_trapped = p->kicks_trapped,
		.refused = p->refused + (p->msix ? vm_msix_refused(p->msix) : 0),
		.resets = p->resets,
		.kicks_direct = p->kicks_direct,
		.vectors_used = p->msix ? vm_msix_used(p->msix) : 0,
		.io = &p->io,
	};
	if (out->status & ST_NEEDS_RESET)
		out->why = atomic_load(&v->why);
	for (unsigned int q = 0; q < v->nqueues; q++)
		out->queues_on += v->q[q].enabled;
}
