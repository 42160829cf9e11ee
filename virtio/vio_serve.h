/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VIO_SERVE_H
#define VIRTIO_VIO_SERVE_H

#include "virtio/vio.h"

/**
 * struct vio_serve - a queue served by an I/O thread
 * @serve: take buffers with vio_serve_pop(); true: until there were none (or vio_serve_yield()),
 *	   false: something else must happen first, and the device calls vio_serve_again() then. On
 *	   the I/O thread
 * @spared: batches handed back that the driver wanted no call for; with @kicks and @bufs since ever
 *
 * The first four are the device's; embed it, one for each queue.
 */
struct vio_serve {
	struct vio *v;
	unsigned int q;
	struct vm_iothread *io;
	bool (*serve)(struct vio_serve *s);
	struct vq vq;
	struct ev_src *src;
	struct ev_poll poll;
	bool on, paused; /* on: started; only then is vq valid */
	bool yielded;	 /* serve() has more to do, whatever the ring says */
	uint64_t kicks, bufs, spared;
};

/*
 * VM lock held: they run on the I/O thread and wait for it. vio_serve_start() of a queue that is
 * not enabled does nothing; vio_serve_stop() is idempotent.
 */
int vio_serve_start(struct vio_serve *s) __must_check;
void vio_serve_stop(struct vio_serve *s);
int vio_serve_pause(struct vio_serve *s, bool on) __must_check;

/* On the I/O thread. */

/** vio_serve_pop() - as vq_pop(), and a broken queue ends the service: NEEDS_RESET. */
bool vio_serve_pop(struct vio_serve *s, struct vq_chain *c) __must_check;
/** vio_serve_push() - hand one back. The driver hears of it when serve() returns. */
void vio_serve_push(struct vio_serve *s, const struct vq_chain *c, uint32_t written);
/** vio_serve_again() - run serve() now; nothing happens for a queue that is stopped or paused. */
void vio_serve_again(struct vio_serve *s);
/** vio_serve_yield() - serve() has had its share: true for it to return; it is called again when
 * others had their turn. */
bool vio_serve_yield(struct vio_serve *s);
/** vio_serve_broken() - the driver broke a rule of the device type: NEEDS_RESET, no more service.
 */
void vio_serve_broken(struct vio_serve *s, const char *why);

#endif
