/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_BLK_BLKRIG_H
#define TESTS_UNIT_BLK_BLKRIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/virtio_blk.h>
#include "virtio/blk/blkq.h"
#include "virtio/ring/vqd.h"

/*
 * A block queue over a temporary file, and a driver that lays its requests out in any way. Each
 * request has a slice of the disk and of memory for itself.
 */
#define BR_GPA	 0x40000000ull
#define BR_REQS	 32u
#define BR_SLICE 65536u /* of the disk, and the most data in a request */
#define BR_BUF	 (BR_SLICE + 8192u)
#define BR_DISK	 (BR_REQS * BR_SLICE)
#define BR_AREA	 MIB(8)
#define BR_SEGS	 64u

struct br_req {
	bool busy;
	uint32_t out_len, in_len, used_len;
	uint8_t *out, *in; /* in memory of the guest: header and data; data and status */
	uint8_t data[BR_SLICE];
};

struct br {
	char path[64];
	struct disk *disk;
	struct blkq *b;
	uint8_t *ram;
	struct vq_mem mem;
	struct vqd_cfg ring;
	struct vqd *d;
	uint16_t avail_idx, used_idx;
	struct br_req req[BR_REQS];
	uint8_t shadow[BR_DISK];
	unsigned int calls, broken;
	char why[128];
	uint64_t seed;
};

uint32_t br_rnd(struct br *r, uint32_t below);
/* A queue of a flavour; opts are the fields of struct blkq_cfg that a test cares for. */
void br_up(struct br *r, const struct vqd_cfg *flavour, const struct disk_cfg *disk,
	   const struct blkq_cfg *opts);
void br_down(struct br *r);

/* Header of request i; data, if any, is put behind it by the caller. */
void br_hdr(struct br *r, unsigned int i, uint32_t type, uint64_t sector);
/* Hand request i to the device, its bytes cut into up to pieces descriptors a part. */
int br_add(struct br *r, unsigned int i, unsigned int pieces);
/* One finished request, -1: none. br_wait(): runs the device until there is one. */
int br_get(struct br *r);
/* Blocks for the completions' eventfd. */
void br_sleep(struct br *r);
int br_wait(struct br *r);
/* All of it for a request of its own: returns the status. */
int br_do(struct br *r, uint32_t type, uint64_t sector, const void *out, uint32_t out_len,
	  uint32_t in_len);
uint8_t br_status(const struct br *r, unsigned int i);

#endif
