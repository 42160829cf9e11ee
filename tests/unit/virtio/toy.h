/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_VIRTIO_TOY_H
#define TESTS_VIRTIO_TOY_H

#include <errno.h>
#include <string.h>
#include "tests/unit/virtio/viotest.h"

#define TOY_QUEUES   3
#define TOY_QSIZE    16
#define TOY_CFG	     12
#define TOY_FEATURES (VIO_F_RING | VIO_F_RING_RESET | VIO_F(5) | VIO_F(50))

/* A device type that only remembers what it was asked. */
struct toy {
	struct vio v; /* first */
	unsigned int starts, stops, queue_starts, queue_stops, calls_changed, pauses, frees;
	atomic_bool running;
	bool paused;
	int start_rc, stop_rc, queue_start_rc, queue_stop_rc;
	uint8_t cfg[TOY_CFG];
	unsigned int *freed; /* where to count, since the toy is gone then */
};

static inline struct toy *toy_of(struct vio *v)
{
	return container_of(v, struct toy, v);
}

static inline uint64_t toy_features(struct vio *v)
{
	return TOY_FEATURES;
}

static inline void toy_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf)
{
	BUG_ON(!len || !range_ok(off, len, TOY_CFG));
	memcpy(buf, toy_of(v)->cfg + off, len);
}

static inline void toy_cfg_write(struct vio *v, unsigned int off, unsigned int len, const void *buf)
{
	BUG_ON(!len || !range_ok(off, len, TOY_CFG));
	memcpy(toy_of(v)->cfg + off, buf, len);
}

static inline int toy_start(struct vio *v)
{
	struct toy *t = toy_of(v);
	struct vq_cfg cfg;
	struct vq q;

	BUG_ON(t->running || !(v->acked & VIO_F_VERSION_1));
	for (unsigned int i = 0; i < v->nqueues; i++) {
		vio_vq_cfg(v, i, &cfg);
		BUG_ON(v->q[i].enabled && vq_start(&q, &v->mem, &cfg));
	}
	t->starts++;
	t->paused = false;
	t->running = !t->start_rc;
	return t->start_rc;
}

static inline int toy_stop(struct vio *v)
{
	struct toy *t = toy_of(v);

	BUG_ON(!t->running);
	t->stops++;
	if (t->stop_rc != -EINPROGRESS) /* else whoever calls vio_stopped() */
		t->running = false;
	return t->stop_rc;
}

static inline int toy_queue_start(struct vio *v, unsigned int q)
{
	BUG_ON(!toy_of(v)->running || toy_of(v)->paused || q >= v->nqueues);
	toy_of(v)->queue_starts++;
	return toy_of(v)->queue_start_rc;
}

static inline int toy_queue_stop(struct vio *v, unsigned int q)
{
	BUG_ON(!toy_of(v)->running || !v->q[q].enabled);
	toy_of(v)->queue_stops++;
	return toy_of(v)->queue_stop_rc;
}

static inline int toy_pause(struct vio *v, bool on)
{
	BUG_ON(!toy_of(v)->running || toy_of(v)->paused == on);
	toy_of(v)->paused = on;
	toy_of(v)->pauses++;
	return 0;
}

static inline void toy_call_changed(struct vio *v, unsigned int q)
{
	BUG_ON(!toy_of(v)->running || q >= v->nqueues);
	toy_of(v)->calls_changed++;
}

static inline void toy_free(struct vio *v)
{
	if (toy_of(v)->freed)
		++*toy_of(v)->freed;
}

static const struct vio_ops toy_ops = {
	.name = "toy",
	.type = 42,
	.cfg_size = TOY_CFG,
	.features = toy_features,
	.cfg_read = toy_cfg_read,
	.cfg_write = toy_cfg_write,
	.start = toy_start,
	.stop = toy_stop,
	.pause = toy_pause,
	.queue_start = toy_queue_start,
	.queue_stop = toy_queue_stop,
	.call_changed = toy_call_changed,
	.free = toy_free,
};

static inline struct toy *toy_new(uint64_t hide)
{
	struct vio *v;

	BUG_ON(vio_new(&toy_ops, sizeof(struct toy), "toy0", TOY_QUEUES, TOY_QSIZE, hide, &v));
	return toy_of(v);
}

static inline struct toy *toy_up(struct viotest *t, bool fs, uint64_t hide)
{
	struct toy *y = toy_new(hide);

	vt_machine(t, fs);
	BUG_ON(vt_add(t, &y->v.dev, NULL));
	return y;
}

#endif
