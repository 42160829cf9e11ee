// SPDX-License-Identifier: BSD-3-Clause
/*
 * Features and config space of a vhost-user port.
 *
 * A bit is the backend's (offered when it has it), or ours: the MAC address, the link status and
 * the control queue of a network port are made up here, since the protocol has no way to ask for
 * them. What is in neither mask is not offered, whatever the backend has.
 *
 * Before any backend was seen the guest is offered what every known one has: nothing that a
 * backend which turns up later could lack.
 */
#include <string.h>
#include "virtio/vu_dev_priv.h"

/* Checksum and segmentation both ways (0, 1, 7-14, 54-56), mergeable buffers (15). */
#define NET_BACKEND \
	(0x3ull | 0xff80ull | VIO_F(54) | VIO_F(55) | VIO_F(56) | VIO_F_RING | VIO_F_IN_ORDER)
#define NET_DEFAULT (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F(15))

/* Limits (1, 2), geometry (4), read only (5), block size (6), flush (9), topology (10), discard
 * (13), write zeroes (14). */
#define BLK_BACKEND                                                                                \
	(VIO_F(1) | VIO_F(2) | VIO_F(4) | VIO_F(5) | VIO_F(6) | VIO_F(9) | VIO_F(10) | VIO_F(13) | \
	 VIO_F(14) | VIO_F_RING | VIO_F_IN_ORDER)
#define BLK_DEFAULT (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F(2) | VIO_F(9))

/* Offsets in the config spaces (5.1.4, 5.2.4). */
#define NET_STATUS    6
#define NET_PAIRS     8
#define NET_LINK_UP   1
#define BLK_SEGMENTS  12
#define BLK_NUMQUEUES 34

/* Segments of a request that every known backend takes. A driver that does not hear of any makes a
 * request of each page, for as long as it lives: the number is read once. */
#define SEGMENTS 126u

static uint64_t mine(const struct vu *u)
{
	if (u->disk)
		return u->queues > 1 ? BLK_F_MQ : 0;
	/* Without an address of ours the driver makes one up. */
	return NET_F_STATUS | (mac_is_zero(&u->mac) ? 0 : NET_F_MAC) |
	       (u->queues > 1 ? NET_F_CTRL_VQ | NET_F_MQ : 0);
}

uint64_t vu_feat_default(const struct vu *u)
{
	return (u->disk ? BLK_DEFAULT : NET_DEFAULT) | mine(u);
}

uint64_t vu_feat_offer(const struct vu *u)
{
	uint64_t f = u->offer & (u->disk ? BLK_BACKEND : NET_BACKEND);

	/* A packed ring could not be taken up again after an outage. */
	if (!(u->proto & VU_P(VU_P_INFLIGHT)) && !(f & VIO_F_IN_ORDER))
		f &= ~VIO_F_PACKED;
	return f | mine(u);
}

/* Of ours a backend is told those that it has a word for; it does not have to know them. */
uint64_t vu_feat_back(const struct vu *u)
{
	return u->v.acked & ~(mine(u) & ~u->offer);
}

uint64_t vu_proto_wanted(const struct vu *u)
{
	uint64_t f = VU_P(VU_P_MQ) | VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_INFLIGHT) |
		     VU_P(VU_P_MEM_SLOTS) | VU_P(VU_P_STATUS);

	return u->disk ? f | VU_P(VU_P_CONFIG) : f;
}

void vu_cfg_init(struct vu *u)
{
	if (u->disk) {
		memcpy(u->config + BLK_SEGMENTS, &(uint32_t){ SEGMENTS }, 4);
		memcpy(u->config + BLK_NUMQUEUES, &(uint16_t){ (uint16_t)u->queues }, 2);
		return;
	}
	memcpy(u->config, u->mac.b, sizeof(u->mac.b));
	/* Up, also while the backend is away: an outage is a delay, not a pulled cable. */
	memcpy(u->config + NET_STATUS, &(uint16_t){ NET_LINK_UP }, 2);
	memcpy(u->config + NET_PAIRS, &(uint16_t){ (uint16_t)u->queues }, 2);
}

bool vu_cfg_update(struct vu *u, const uint8_t *from)
{
	uint8_t now[VU_BLK_CFG];
	bool changed;

	memcpy(now, from, sizeof(now));
	memcpy(now + BLK_NUMQUEUES, &(uint16_t){ (uint16_t)u->queues }, 2);
	pthread_mutex_lock(&u->lock);
	changed = memcmp(u->config, now, sizeof(now)) != 0;
	memcpy(u->config, now, sizeof(now));
	pthread_mutex_unlock(&u->lock);
	return changed;
}

void vu_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf)
{
	struct vu *u = vu_of(v);

	pthread_mutex_lock(&u->lock);
	memcpy(buf, u->config + off, len);
	pthread_mutex_unlock(&u->lock);
}
