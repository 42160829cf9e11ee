/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VU_DEV_PRIV_H
#define VIRTIO_VU_DEV_PRIV_H

#include <pthread.h>
#include "base/log.h"
#include "virtio/vio_serve.h"
#include "virtio/vu_dev.h"
#include "virtio/wire/msg.h"

#define VU_NET_CFG 12u /* mac, status, max_virtqueue_pairs, mtu (virtio 1.2, 5.1.4) */
#define VU_BLK_CFG 60u /* up to write zeroes (5.2.4) */

/* Feature bits of the types that are not the backend's alone. */
#define NET_F_MAC     VIO_F(5)
#define NET_F_STATUS  VIO_F(16)
#define NET_F_CTRL_VQ VIO_F(17)
#define NET_F_MQ      VIO_F(22)
#define BLK_F_MQ      VIO_F(12)

struct vu;

/**
 * struct vu_step - a message of a program, sent count() times (NULL: once), i counting
 * @fill:  0: send it; 1: not this one; -errno with e filled ends the connection. Called again when
 *	   the socket was full
 * @reply: looks at the answer of a request that has one of its own
 * @slow:  the backend may take long over it (it maps, or touches, all of guest memory)
 * A program ends with a step whose req is 0.
 */
struct vu_step {
	uint32_t req;
	unsigned int (*count)(struct vu *u);
	int (*fill)(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e);
	int (*reply)(struct vu *u, unsigned int i, struct vu_msg *m, struct err *e);
	bool slow;
};

extern const struct vu_step vu_prog_negotiate[], vu_prog_setup[], vu_prog_update[], vu_prog_hold[],
	vu_prog_stop[];

/**
 * struct vu - a port. Everything belongs to the I/O thread but what is said otherwise.
 *
 * @pairs_on: net: pairs that the driver switched on
 * @running: between the driver's DRIVER_OK and its reset; the queues are final
 * @stop_wanted: a reset waits for the backend to let go
 * @hold:    a pause: no backend is to work on the queues, the driver stays as it is
 * @told: @told_base: queues that a backend has let go of for a pause, and where
 * @served: queues that a backend may have worked on since the start: their state is in the rings
 * @orderly: all of those backends offered IN_ORDER: they do things in order, asked for or not
 * @broken: ring state could not be recovered; until the next reset
 * @region: guest RAM as it is told to the backend
 * @fresh:  NULL, or what makes the rings anew before they are told to a backend (vu_end.c)
 *
 * @k: @src: the connection; @retry_ns: pause before the next try
 * @prog: @at: @i: the program being run; NULL: none. @wait: a reply to it is missing
 * @offer: @proto_offer: of the backend; @proto: negotiated
 * @ready: negotiated; @lit: rings are set up; @given: queues that this backend may work on
 * @slots: @mem_added: room for regions of memory; those that were added
 * @call_dirty: @enable_dirty: queues whose eventfd or state changed since it was told;
 *	       @call_work: @enable_work: those that the running program tells of
 *
 * @inflight: kept while the driver is, over any number of connections; inflight_fd -1: none
 * @offered: feature bits for the guest
 * @lock: guards info, config
 */
struct vu {
	struct vio v; /* first */
	struct sys *sys;
	const struct log *log;
	struct log_limit limit, limit_there;
	struct vm_iothread *io;
	struct ev *ev;
	char *path;
	bool disk, server;
	unsigned int queues, ndata;
	struct mac mac;
	struct vio_serve ctrl;
	unsigned int pairs_on;

	bool running, stop_wanted, hold;
	uint64_t served, told;
	uint32_t told_base[VIO_QUEUES_MAX];
	bool orderly;
	const char *broken;
	struct vu_region region[VQ_REGIONS_MAX];
	int region_fd[VQ_REGIONS_MAX];
	unsigned int nregions;
	int (*fresh)(struct vu *u);
	uint32_t base[VIO_QUEUES_MAX];

	int listen_fd, err_fd;
	struct ev_src *listen_src, *err_src, *src, *retry, *timer;
	uint64_t retry_ns;
	struct vu_sock k;
	const struct vu_step *prog;
	unsigned int at, i;
	bool wait, want_out, ready, lit;
	unsigned int slots, mem_added;
	uint64_t offer, proto_offer, proto;
	uint64_t given, call_dirty, enable_dirty, call_work, enable_work;

	struct vu_inflight_desc inflight;
	int inflight_fd;

	atomic_ullong offered;
	pthread_mutex_t lock;
	struct vu_dev_info info;
	uint8_t config[VU_BLK_CFG];
};

static inline struct vu *vu_of(struct vio *v)
{
	return container_of(v, struct vu, v);
}

/** vu_set() - did the driver set data queue q up? vu_on(): and switch it on? */
bool vu_set(const struct vu *u, unsigned int q);
bool vu_on(const struct vu *u, unsigned int q);
/** vu_ctrl_queue() - index of the control queue as the driver sees it. */
unsigned int vu_ctrl_queue(const struct vu *u);

/* ---- vu_dev_link.c: the connection; I/O thread ---- */
int vu_link_begin(struct vu *u,
		  struct err *e) __must_check; /* any thread, before the loop's turn */
void vu_link_try(void *arg);		       /* connect, or watch the listener */
void vu_link_end(struct vu *u);		       /* for good */
void vu_link_pump(struct vu *u);	       /* go on with what is to be done */
/** vu_state_set() - with the reason, NULL: none; seen by vu_dev_info(). */
void vu_state_set(struct vu *u, enum vu_state s, const char *why);

/* ---- vu_dev.c: for whoever embeds a struct vu, zeroed, whose vio was set up ---- */
void vu_init(struct vu *u, struct sys *s, const struct vu_dev_cfg *c);
/** vu_begin() - to listen or connect; also after a failure vu_finish() is what ends it. */
int vu_begin(struct vu *u, const char *path, struct err *e) __must_check;
void vu_finish(struct vu *u);			     /* not on the I/O thread */
void vu_info(struct vu *u, struct vu_dev_info *out); /* any thread */

/* ---- vu_dev.c: what a finished program means ---- */
void vu_negotiated(struct vu *u);
void vu_lit(struct vu *u);
void vu_stop_done(struct vu *u);

/* ---- vu_dev_feat.c: features and config space ---- */
uint64_t vu_feat_default(const struct vu *u);
uint64_t vu_feat_offer(const struct vu *u); /* for the guest, of what the backend has */
uint64_t vu_feat_back(const struct vu *u);  /* of the accepted ones, those that the backend needs */
uint64_t vu_proto_wanted(const struct vu *u);
void vu_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf);
void vu_cfg_init(struct vu *u);
/** vu_cfg_update() - a disk's config as the backend gave it; true: it is another one. */
bool vu_cfg_update(struct vu *u, const uint8_t *from);

/* ---- vu_dev_ring.c: where queues begin ---- */
/** vu_ring_bases() - fills u->base. -EAGAIN: not now; -EUCLEAN: never (e says why). */
int vu_ring_bases(struct vu *u, struct err *e) __must_check;
/** vu_ring_lost() - the backend is gone: before its connection is forgotten. */
void vu_ring_lost(struct vu *u);
/** vu_ring_wake() - let both sides look at the rings. */
void vu_ring_wake(struct vu *u);

/* ---- vu_dev_ctrl.c ---- */
bool vu_ctrl_serve(struct vio_serve *s);

#endif
