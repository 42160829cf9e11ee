/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_WIRE_BACK_H
#define VIRTIO_WIRE_BACK_H

#include "base/ev.h"
#include "base/log.h"
#include "virtio/ring/vq.h"
#include "virtio/wire/msg.h"

/*
 * The back-end half of vhost-user, for any device: a connection, its memory table, its queues, its
 * inflight memory. Runs on one control loop; queues are served elsewhere, so queue_start() and
 * queue_stop() wait for the serving thread.
 *
 * Protocol features: MQ, REPLY_ACK, CONFIG, INFLIGHT_SHMFD, CONFIGURE_MEM_SLOTS, STATUS.
 */
struct vu_back; /* a listening (or connecting) socket: one port */

/**
 * struct vu_back_ops - the device behind it; all on the control loop
 * @queue_start: ring q is set up, enabled and kicked: serve it. kick and call eventfds (call -1:
 *		 none) stay the connection's and stay open until queue_stop() returned
 * @queue_stop: let go of all guest memory of queue q; fills where it stands
 * @call_changed: another call eventfd for a running queue
 * @config_read: size bytes from off, zero filled behind the device's own
 * @config_write: may be NULL
 * @features: virtio features offered (without VU_F_PROTOCOL)
 * @state: connected or gone (for listings); may be NULL
 * @mapped: memory of the front end was mapped (on), or is unmapped next. The front end can still
 *	    cut its file short, and touching it is a SIGBUS then: for who installs a handler, see
 *	    vu_back_fault(); may be NULL
 */
struct vu_back_queue {
	unsigned int index;
	struct vq_cfg cfg;
	const struct vq_mem *mem;
	struct vq_inflight *inflight;
	int kick, call;
	uint64_t features;
};

struct vu_back_ops {
	uint64_t (*features)(void *dev);
	int (*queue_start)(void *dev, const struct vu_back_queue *q);
	void (*queue_stop)(void *dev, unsigned int q, uint16_t *avail_idx, uint16_t *used_idx);
	void (*call_changed)(void *dev, unsigned int q, int call);
	void (*config_read)(void *dev, unsigned int off, unsigned int size, uint8_t *buf);
	int (*config_write)(void *dev, unsigned int off, unsigned int size, const uint8_t *buf);
	void (*state)(void *dev, bool connected);
	void (*mapped)(void *dev, void *p, size_t len, bool on);
};

struct vu_back_cfg {
	const char *name, *path; /* of the port, for messages; of the socket */
	bool client;		 /* connect (and again, every 0.1 to 1 s) instead of listen */
	unsigned int queues;	 /* 1-VU_QUEUES_MAX */
	unsigned int mem_slots;	 /* offered by GET_MAX_MEM_SLOTS, up to VQ_REGIONS_MAX */
	const struct vu_back_ops *ops;
	void *dev;
};

int vu_back_new(struct sys *s, const struct log *log, struct ev *ev, const struct vu_back_cfg *c,
		struct vu_back **out, struct err *e) __must_check;
/** vu_back_free() - stops the queues, drops the peer, removes the socket file it made. */
void vu_back_free(struct vu_back *b);

/**
 * vu_back_fault() - p was touched and there is nothing
 * Return: true: it is in memory of the front end that is there, which is dropped for it. Not from
 * within an operation.
 */
bool vu_back_fault(struct vu_back *b, const void *p);

struct vu_back_info {
	bool connected;
	uint64_t features, protocol, mem_bytes,
		drops; /* drops: connections ended for bad messages */
	unsigned int regions, queues_up;
	char last[160]; /* why the last peer was dropped */
};
void vu_back_info(const struct vu_back *b, struct vu_back_info *out);

#endif
