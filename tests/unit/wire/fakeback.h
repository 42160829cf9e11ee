/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKEBACK_H
#define TESTS_FAKEBACK_H

#include "virtio/ring/inflight.h"
#include "virtio/vio.h"
#include "virtio/wire/msg.h"

/*
 * A vhost-user backend for tests, played by the test's own thread: it does what is right, unless
 * the test's hook does something else with a message. Rings are served when the test says so.
 */
#define FB_QUEUES 16

struct fb_queue {
	bool num_set, base_set, addr_set, enabled, running;
	uint16_t size;
	uint32_t base;
	struct vu_vring_addr addr;
	int kick, call, err;
	struct vq vq;
	struct vq_inflight inflight;
};

enum fb_act { FB_ANSWER, FB_HANG_UP, FB_SILENT };

struct fakeback {
	char path[64];
	int listen_fd;
	struct vu_sock k;
	/* what it has */
	uint64_t features, proto, queue_num, slots;
	uint8_t config[60];
	/* before the answer to a request goes out (reply->h.size 0 and no VU_REPLY: there is none)
	 */
	enum fb_act (*hook)(struct fakeback *f, const struct vu_msg *req, struct vu_msg *reply);
	void *arg;
	/* what came */
	unsigned int msgs, conns; /* ever */
	uint64_t acked, proto_acked;
	uint8_t status;
	struct vu_region region[VQ_REGIONS_MAX];
	void *map[VQ_REGIONS_MAX];
	unsigned int nregions;
	struct vq_mem mem;
	void *inflight;
	size_t inflight_len;
	uint64_t inflight_ino;
	struct fb_queue q[FB_QUEUES];
};

/** fb_init() - all features; listens at path. */
void fb_init(struct fakeback *f, const char *path);
void fb_listen(struct fakeback *f);
void fb_connect(struct fakeback *f); /* as a client */
/** fb_die() - connection and listener go, as with kill -9. */
void fb_die(struct fakeback *f);
void fb_hang_up(struct fakeback *f); /* only the connection */

/** fb_turn() - one wait of at most ms; true: something happened. */
bool fb_turn(struct fakeback *f, int ms);
/** fb_run() - until cond(arg); aborts after a long time. */
void fb_run(struct fakeback *f, bool (*cond)(void *arg), void *arg);

/** fb_ready() - n queues are set up and enabled. */
bool fb_ready(const struct fakeback *f, unsigned int n);

/** fb_pop() - the next buffer of queue q. fb_push(): hands it back with a call. */
bool fb_pop(struct fakeback *f, unsigned int q, struct vq_chain *c);
void fb_push(struct fakeback *f, unsigned int q, struct vq_chain *c);

#endif
