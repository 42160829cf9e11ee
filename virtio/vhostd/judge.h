/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_JUDGE_H
#define VIRTIO_VHOSTD_JUDGE_H

#include "virtio/wire/msg.h"

/*
 * What librte_vhost does not look at in a message before it acts. See judge.c. One for each
 * connection; all zero is a new one's.
 */
#define JUDGE_RINGS   32
#define JUDGE_REGIONS 8

struct judge_ring {
	bool num_set, base_set, addr_set, live;
	uint32_t num, base;
	struct vu_vring_addr addr;
};

struct judge {
	bool mem_set;
	uint64_t features;
	unsigned int nregions;
	struct vu_region region[JUDGE_REGIONS];
	struct judge_ring ring[JUDGE_RINGS];
};

/**
 * judge_msg() - whether the library may see the message; descriptors do not matter
 * Return: 0, and what it says is remembered; -EPROTO with e filled, and it never came.
 */
int judge_msg(struct judge *j, const struct vu_hdr *h, const void *payload,
	      struct err *e) __must_check;

/**
 * judge_blunt() - change a message that judge_msg() refused into one that does no harm
 * For the library sees it all the same: who else would close the descriptors that came along? It
 * refuses some of them, and takes others for what it knows already.
 */
void judge_blunt(const struct judge *j, const struct vu_hdr *h, void *payload);

#endif
