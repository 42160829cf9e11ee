/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_OFF_H
#define VIRTIO_VHOSTD_OFF_H

#include <rte_mbuf.h>
#include "base/util.h"

/*
 * Checksums and segmentation that the sender left to us, for a receiver that does not take them. As
 * librte_vhost hands packets over: transmit flags, l2_len, l3_len, l4_len and tso_segsz set.
 */
#define OFF_SEGS_MAX 128
#define OFF_TSO	     (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)
#define OFF_ALL	     (OFF_TSO | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM)

static inline bool off_needed(uint64_t ol, bool tso, bool csum)
{
	return (ol & OFF_ALL) && (!csum || (!tso && (ol & OFF_TSO)));
}

/**
 * off_fix() - make m fit for a receiver
 * @tso: @csum: what it takes
 * @out: what is to be sent in its place: m itself, or pieces of it; OFF_SEGS_MAX
 * Return: how many, or -1 when it cannot be done: m is freed then.
 */
int off_fix(struct rte_mempool *pool, struct rte_mbuf *m, bool tso, bool csum,
	    struct rte_mbuf **out);

#endif
