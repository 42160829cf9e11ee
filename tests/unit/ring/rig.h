/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_RING_RIG_H
#define TESTS_UNIT_RING_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "virtio/ring/inflight.h"
#include "virtio/ring/vqd.h"

/*
 * A queue with both of its ends over one piece of memory, and buffers whose content follows from
 * where they are and how often they were used, so that either end can check what the other wrote.
 * The ends may be in two threads: what they share is handed over by the ring itself.
 */
#define RIG_GPA	  0x100000000ull
#define RIG_BUFS  64u	/* buffers under way at most */
#define RIG_BUF	  2048u /* bytes of each */
#define RIG_IOV	  12u
#define RIG_AREA  MIB(20) /* rings and tables, at the start of memory */
#define RIG_BYTES (RIG_AREA + RIG_BUFS * RIG_BUF)

struct rig_buf {
	bool busy, popped;
	bool held;	  /* popped, and not yet published */
	uint64_t pop_seq; /* of the first pop */
	uint32_t round, out_len, in_len, written;
};

struct rig {
	uint8_t *ram;
	struct vq_mem mem;
	struct vqd_cfg cfg;
	struct vqd *d;
	struct vq q;
	struct vq_inflight inflight;
	void *region; /* of inflight memory; NULL: the queue does without */
	struct rig_buf buf[RIG_BUFS];
	struct rig_held {
		struct vq_chain c;
		unsigned int buf;
	} held[RIG_BUFS]; /* by the device, in order of the pops */
	unsigned int nheld;
	uint64_t seed, dev_seed, kicks, calls, pop_seq;
};

uint32_t rig_rnd(uint64_t *seed, uint32_t below);
void rig_up(struct rig *r, const struct vqd_cfg *flavour);
void rig_down(struct rig *r);
void rig_track(struct rig *r); /* give it inflight memory */
void rig_queue(struct rig *r); /* start the device's end over */

/* The device dies, and another takes over: it must get all that was held, in order. */
void rig_crash(struct rig *r);

/* The driver: add a buffer of random shape; false: no room. Take what is used and check it. */
bool rig_add(struct rig *r);
bool rig_get(struct rig *r);

/* The device: take a buffer and check it; hand back one of those held. */
bool rig_pop(struct rig *r);
void rig_push(struct rig *r, unsigned int which);
void rig_publish(struct rig *r);

/* Run n buffers through in random interleaving; now and then the device gives buffers back unused
 * and, if it is tracked, crashes. */
void rig_shuffle(struct rig *r, unsigned int n);

/* All kinds of ring of a size: calls f once for each. */
void rig_flavours(uint16_t size, void (*f)(const struct vqd_cfg *flavour));

#endif
