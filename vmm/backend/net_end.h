/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_BACKEND_NET_END_H
#define VMM_BACKEND_NET_END_H

#include "base/err.h"
#include "base/ev.h"

/*
 * Where the frames of an emulated network card come from and go to. Every frame has a struct
 * virtio_net_hdr_v1 in front: on the way out it may ask for a checksum and for segmentation (TCP),
 * on the way in it never does.
 *
 * All but net_end_free() belong to the thread of the loop given to start().
 */
struct net_end;

/**
 * struct net_end_ops
 * @start: from now on fn(arg) is called when frames wait and are wanted; at first they are not
 * @stop:  the reverse; idempotent
 * @want:  shall fn be called?
 * @recv:  the next frame with its header; -EAGAIN: none
 * @send:  -errno: the frame is lost, as on a wire
 * @flush: all that was sent or received since is passed on; may be NULL
 * @free:  the end of it, stopped
 */
struct net_end_ops {
	int (*start)(struct net_end *n, struct ev *ev, ev_fn fn, void *arg);
	void (*stop)(struct net_end *n);
	int (*want)(struct net_end *n, bool on);
	ssize_t (*recv)(struct net_end *n, void *buf, size_t size);
	ssize_t (*send)(struct net_end *n, const void *buf, size_t len);
	void (*flush)(struct net_end *n);
	void (*free)(struct net_end *n);
};

/** struct net_end - embedded in its kind. */
struct net_end {
	const struct net_end_ops *ops;
};

/** net_end_free() - NULL is fine. */
static inline void net_end_free(struct net_end *n)
{
	if (n)
		n->ops->free(n);
}

static inline void net_end_flush(struct net_end *n)
{
	if (n->ops->flush)
		n->ops->flush(n);
}

struct tap;
/** tap_end_new() - an end on the first queue of a tap, which it takes over: -ENOMEM or 0. */
int tap_end_new(struct sys *s, const struct tap *t, struct net_end **out) __must_check;
/** tap_end_open() - the same, and opens it by name. */
int tap_end_open(struct sys *s, const char *name, struct net_end **out, struct err *e) __must_check;

#endif
