/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VIO_H
#define VIRTIO_VIO_H

#include <stdatomic.h>
#include "base/ev.h"
#include "vmm/core/dev.h"
#include "vmm/core/iothread.h"
#include "virtio/ring/vq.h"

/*
 * A virtio device on the modern PCI transport (virtio 1.2, 4.1): what all device types share.
 *
 * Threads. Registers are written by vCPUs under the VM lock; queues are served on I/O threads, or
 * by another process. Between the two there are only: the ops below (called under the VM lock; they
 * go to the I/O thread with vm_iothread_call(), which waits), and the functions marked "any
 * thread". An I/O thread never takes the VM lock, so waiting for it under the lock is safe.
 */
struct vio;
struct vio_pci; /* the transport */

/**
 * struct vio_ops - a device type
 * @type:      virtio device id (1 net, 2 block, 3 console, 4 entropy)
 * @features:  what is offered, VERSION_1 and ring features included where the device can do them;
 *	       the per-port mask is taken off by the transport
 * @cfg_read:  device config space, off + len <= cfg_size; in any order of sizes
 * @cfg_write: may be NULL: ignored
 * @start:     DRIVER_OK, and the function may master the bus: v->acked and the enabled queues are
 *	       final. Must not block on a peer. -errno: NEEDS_RESET
 * @stop:      reset: no more access to guest memory, no interrupt, once it is done. 0: done;
 *	       -EINPROGRESS: vio_stopped() will be called from any thread; until then the guest
 *	       reads the old status. Only for those that wait for a peer
 * @pause:     on: neither touch guest memory nor interrupt until off; ring positions are kept. It
 *	       may wait for the I/O thread, not for a peer: -EINPROGRESS, and vio_paused() when it
 *	       is so. Only while started; a stop may come while paused, or off before it is so. A
 *	       start is never paused
 * @queue_stop: single queue reset (VIRTIO_F_RING_RESET); the same; NULL: not offered
 * @queue_start: the queue is enabled again while the driver is up; NULL with queue_stop
 * @call_changed: the eventfd behind a queue's vector is another now (may be NULL)
 * @free:      the end, not of the struct itself. After stop, which may still be in progress when it
 *	       waits for a peer: no vio_stopped() after this
 */
struct vio_ops {
	const char *name;
	uint16_t type;
	unsigned int cfg_size;
	uint64_t (*features)(struct vio *v);
	void (*cfg_read)(struct vio *v, unsigned int off, unsigned int len, void *buf);
	void (*cfg_write)(struct vio *v, unsigned int off, unsigned int len, const void *buf);
	int (*start)(struct vio *v);
	int (*stop)(struct vio *v);
	int (*pause)(struct vio *v, bool on);
	int (*queue_start)(struct vio *v, unsigned int q);
	int (*queue_stop)(struct vio *v, unsigned int q);
	void (*call_changed)(struct vio *v, unsigned int q);
	void (*free)(struct vio *v);
};

#define VIO_QUEUES_MAX 64 /* 16 queue pairs and a control queue fit */

/**
 * struct vio_queue - as the driver set it up
 * @kick:  eventfd signalled by the driver's notification (an ioeventfd); made by vio_init()
 * @call:  eventfd behind the queue's MSI-X vector, -1: none; belongs to the interrupt group
 */
struct vio_queue {
	uint16_t size_max, size, vector;
	bool enabled;
	uint64_t desc, driver, device;
	int kick;
	atomic_int call;
	atomic_ullong calls; /* sent by vio_call() */
};

/**
 * struct vio - embedded second in a device instance; see vio_dev
 * @hide:   feature bits never offered (the port's mask)
 * @acked:  features that the driver accepted; final at start
 * @mem:    guest RAM as it was when the features were settled
 * @held:   why guest memory is not to be touched (VM_HELD_*), @start_due: the start that waits
 *	    for its end, @queues_due: and the queues that do
 */
struct vio {
	struct vm_dev dev; /* first */
	const struct vio_ops *ops;
	struct vio_pci *pci;
	uint64_t hide, acked;
	unsigned int nqueues;
	struct vio_queue q[VIO_QUEUES_MAX];
	struct vq_mem mem;
	atomic_uchar status;
	atomic_uint generation;
	atomic_int config_call;
	atomic_bool stopping, pausing;
	bool started, start_due;
	unsigned int held;
	uint64_t queues_due;
	_Atomic(const char *) why; /* of NEEDS_RESET, NULL: none */
};

/** vio_dev_ops - of every instance: its life on the bus. */
extern const struct vm_dev_ops vio_dev_ops;

/**
 * vio_setup() - fill a zeroed struct vio of an instance; before vm_dev_add()
 * The instance's vm_dev_ops are vio_dev_ops (init, realize, reset, free come from the transport).
 */
void vio_setup(struct vio *v, const struct vio_ops *ops, unsigned int nqueues, uint16_t qsize,
	       uint64_t hide);

/** vio_new() - allocate an instance of size bytes whose first member is a struct vio; named id.
 * The caller fills the rest, then vm_dev_add(); vm_dev_free() frees it. */
int vio_new(const struct vio_ops *ops, size_t size, const char *id, unsigned int nqueues,
	    uint16_t qsize, uint64_t hide, struct vio **out) __must_check;

/** vio_call() - interrupt for queue q. Any thread. */
void vio_call(struct vio *v, unsigned int q);

/** vio_config_changed() - the device config space changed: generation, interrupt. Any thread. */
void vio_config_changed(struct vio *v);

/** vio_needs_reset() - the guest broke a rule (why, a literal): DEVICE_NEEDS_RESET and a config
 * interrupt, once. Any thread. */
void vio_needs_reset(struct vio *v, const char *why);

/** vio_stopped() - a stop or queue stop that was in progress is done. Any thread. */
void vio_stopped(struct vio *v, int queue); /* -1: the whole device */

/** vio_paused() - a pause that was in progress is so, or there is nothing left to pause. Any
 * thread. */
void vio_paused(struct vio *v);

/** vio_vq_cfg() - queue q as vq_start() wants it, by v->acked, from its beginning. */
void vio_vq_cfg(const struct vio *v, unsigned int q, struct vq_cfg *out);

/* Feature bits (virtio 1.2, 6) that have names here. */
#define VIO_F(bit)	      (1ull << (bit))
#define VIO_F_INDIRECT	      VIO_F(28)
#define VIO_F_EVENT_IDX	      VIO_F(29)
#define VIO_F_VERSION_1	      VIO_F(32)
#define VIO_F_ACCESS_PLATFORM VIO_F(33)
#define VIO_F_PACKED	      VIO_F(34)
#define VIO_F_IN_ORDER	      VIO_F(35)
#define VIO_F_RING_RESET      VIO_F(40)
#define VIO_F_RING	      (VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1 | VIO_F_PACKED)

/**
 * struct vio_count - for "ctl stat" and the benchmarks
 * @kicks: seen by the device's own loop (0 for a vhost-user port: the VMM does not see them)
 */
struct vio_count {
	uint64_t kicks, calls, calls_spared, bufs, bytes_in, bytes_out, errors;
};

/**
 * struct vio_info - what "ctl" tells of the transport
 * @kicks_direct: queues whose notifications go to their eventfds without leaving the kernel
 * @kicks_trapped: notifications that came as register writes all the same
 * @refused: accesses and set-ups that broke a rule
 * @io:  the trapped registers with their counters, a page for each structure
 */
struct vio_info {
	uint8_t status;
	const char *why; /* of NEEDS_RESET, or NULL */
	uint64_t acked, kicks_trapped, refused, resets;
	unsigned int queues_on, kicks_direct, vectors_used;
	const struct vm_io_region *io;
};
/** vio_info() - VM lock held. */
void vio_info(const struct vio *v, struct vio_info *out);

/** vio_of() - the device behind an instance; NULL when it is no virtio device. */
struct vio *vio_of(struct vm_dev *d);

#endif
