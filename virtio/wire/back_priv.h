/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_WIRE_BACK_PRIV_H
#define VIRTIO_WIRE_BACK_PRIV_H

#include "virtio/ring/inflight.h"
#include "virtio/wire/back.h"

/* One mapped region; r as the front end described it; hva: where its first byte is, which page
 * rounding may have put behind the mapping's. */
struct back_region {
	struct vu_region r;
	void *map;
	size_t len;
	uint8_t *hva;
};

/* A memory table. Never changed once a queue may have seen it: another one takes its place. */
struct back_mem {
	unsigned int n;
	struct back_region reg[VQ_REGIONS_MAX];
	struct vq_mem vm;
};

/* Without SET_VRING_ENABLE a ring is enabled unless protocol features were negotiated. */
enum back_enable { RING_DEFAULT, RING_ON, RING_OFF };

/*
 * What the front end said about a ring. It runs while all of it is there (back_ring_update()).
 * @base: as SET_VRING_BASE had it, until a run of the ring put avail_idx and used_idx in its place
 */
struct back_ring {
	uint32_t num, base;
	uint16_t avail_idx, used_idx;
	bool addr_set, kick_set, ran, running;
	enum back_enable enable;
	struct vu_vring_addr addr;
	int kick, call;
	struct vq_inflight inflight;
};

/* Inflight memory of all queues; queue q's part is at map + skip + q * stride. */
struct back_inflight {
	uint8_t *map;
	size_t len, skip, stride;
	uint16_t nqueues, qsize;
	bool packed;
};

/* What lives as long as a connection. */
struct back_peer {
	bool owner, features_set;
	uint64_t features, protocol;
	uint8_t status;
	struct back_mem *mem; /* NULL: none yet */
	struct back_inflight inflight;
};

struct vu_back {
	struct sys *sys;
	const struct log *log;
	struct log_limit limit, limit_refused, limit_connect;
	struct ev *ev;
	struct vu_back_cfg cfg;
	char *name, *path;
	int listen_fd;
	struct ev_src *listen_src, *retry, *src;
	uint64_t backoff_ns;
	bool connected, out_wanted;
	struct vu_sock sock;
	struct back_peer peer;
	uint64_t drops;
	char last[160];
	struct back_ring ring[]; /* cfg.queues of them */
};

/* back.c */
static inline bool back_has(const struct vu_back *b, unsigned int protocol)
{
	return b->peer.protocol & VU_P(protocol);
}

/* The u64 payload of an answer. */
int back_reply_u64(struct vu_msg *m, uint64_t value);

/*
 * Handlers of messages. 0: done; 1: *m is the answer; -EPROTO: the front end broke a rule and is to
 * go; another -errno: refused, which the front end learns if it asked for it, and else goes too.
 */
int back_set_mem_table(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_add_mem_reg(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_rem_mem_reg(struct vu_back *b, struct vu_msg *m, struct err *e);
void back_mem_free(struct vu_back *b, struct back_mem *mem);
/* Guest-physical address of a front end's one; -EFAULT. */
int back_mem_gpa(const struct back_mem *mem, uint64_t uva, uint64_t *gpa);

int back_set_vring_num(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_addr(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_base(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_get_vring_base(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_kick(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_call(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_err(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_vring_enable(struct vu_back *b, struct vu_msg *m, struct err *e);
/* Make each ring run that can, and stop each that cannot any more. */
int back_rings_update(struct vu_back *b, struct err *e) __must_check;
void back_rings_stop(struct vu_back *b);
bool back_rings_running(const struct vu_back *b);
/* Stop a ring and forget what was said about it. */
void back_ring_reset(struct vu_back *b, unsigned int q);

int back_get_inflight(struct vu_back *b, struct vu_msg *m, struct err *e);
int back_set_inflight(struct vu_back *b, struct vu_msg *m, struct err *e);
void back_inflight_free(struct vu_back *b);
/* Queue q's inflight memory into out; 1: there is some, 0: none; -errno. */
int back_inflight_queue(struct vu_back *b, unsigned int q, const struct vq_cfg *cfg,
			struct vq_inflight *out) __must_check;

/* Whether p is in anything that the front end gave us. */
bool back_maps(const struct vu_back *b, const void *p);

/* Tells the device of a mapping of foreign memory that came (on) or goes. */
void back_mapped(struct vu_back *b, void *p, size_t len, bool on);

#endif
