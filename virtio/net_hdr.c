// SPDX-License-Identifier: BSD-3-Clause
/*
 * Features and packet headers of virtio-net, without any state (virtio 1.2, 5.1.3 and 5.1.6).
 *
 * The kernel behind a tap believes much of a packet's header, so what a guest wrote is checked
 * against the packet's length and against what was negotiated, and what has no meaning is zeroed.
 */
#include <errno.h>
#include "virtio/net_priv.h"

#define GUEST_TSO (NETF(GUEST_TSO4) | NETF(GUEST_TSO6))
#define GUEST_USO (NETF(GUEST_USO4) | NETF(GUEST_USO6))
#define HOST_TSO  (NETF(HOST_TSO4) | NETF(HOST_TSO6))

#define UDP_SEGMENTS_MAX 128 /* the kernel's */
#define TCP_SEGMENT_MIN	 8   /* likewise: less only makes the host work */

uint64_t net_offer(bool uso, unsigned int pairs, unsigned int mtu)
{
	uint64_t f = VIO_F_RING | VIO_F_RING_RESET | NETF(CSUM) | NETF(GUEST_CSUM) | NETF(MAC) |
		     NETF(STATUS) | NETF(MRG_RXBUF) | HOST_TSO | NETF(HOST_ECN) | GUEST_TSO |
		     NETF(GUEST_ECN) | NETF(CTRL_VQ) | NETF(CTRL_RX) | NETF(CTRL_MAC_ADDR) |
		     NETF(CTRL_GUEST_OFFLOADS);

	if (uso)
		f |= NETF(HOST_USO) | GUEST_USO;
	if (pairs > 1)
		f |= NETF(MQ);
	if (mtu >= 68 && mtu <= 65535)
		f |= NETF(MTU);
	return f;
}

uint64_t net_depend(uint64_t f)
{
	if (!(f & NETF(CSUM)))
		f &= ~(HOST_TSO | NETF(HOST_ECN) | NETF(HOST_USO));
	if (!(f & HOST_TSO))
		f &= ~NETF(HOST_ECN);
	if (!(f & NETF(GUEST_CSUM)))
		f &= ~(GUEST_TSO | NETF(GUEST_ECN) | GUEST_USO);
	if (!(f & GUEST_TSO))
		f &= ~NETF(GUEST_ECN);
	if (!(f & NETF(CTRL_VQ)))
		f &= ~(NETF(CTRL_RX) | NETF(CTRL_MAC_ADDR) | NETF(CTRL_GUEST_OFFLOADS) | NETF(MQ));
	return f;
}

unsigned int net_offloads(uint64_t f)
{
	unsigned int off = 0;

	f = net_depend(f);
	off |= f & NETF(GUEST_CSUM) ? TAP_CSUM : 0;
	off |= f & NETF(GUEST_TSO4) ? TAP_TSO4 : 0;
	off |= f & NETF(GUEST_TSO6) ? TAP_TSO6 : 0;
	off |= f & NETF(GUEST_ECN) ? TAP_ECN : 0;
	/* The tap cannot do it for one version of IP alone. */
	off |= (f & GUEST_USO) == GUEST_USO ? TAP_USO : 0;
	return off;
}

/* Start and place of a checksum: behind the Ethernet header and inside the frame. */
static bool csum_ok(const struct virtio_net_hdr_v1 *h, uint32_t frame, uint64_t acked)
{
	return (acked & NETF(CSUM)) && h->csum_start >= NET_FRAME_MIN &&
	       (uint32_t)h->csum_start + h->csum_offset + 2 <= frame;
}

static bool tcp_ok(const struct virtio_net_hdr_v1 *h, uint32_t frame, uint64_t acked)
{
	if ((h->gso_type & VIRTIO_NET_HDR_GSO_ECN) && !(acked & NETF(HOST_ECN)))
		return false;
	return h->csum_offset == 16 && h->csum_start + 20u < frame &&
	       h->gso_size >= TCP_SEGMENT_MIN;
}

static bool udp_ok(const struct virtio_net_hdr_v1 *h, uint32_t frame)
{
	return h->csum_offset == 6 && h->csum_start + 8u < frame && h->gso_size &&
	       frame - h->csum_start - 8u <= (uint32_t)h->gso_size * UDP_SEGMENTS_MAX;
}

static bool gso_ok(const struct virtio_net_hdr_v1 *h, uint32_t frame, uint64_t acked)
{
	/* 5.1.6.2.1: a segment always leaves its checksum to the device. hdr_len is only a hint,
	 * but the kernel reads that much in one go. */
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || h->hdr_len > frame)
		return false;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return (acked & NETF(HOST_TSO4)) && tcp_ok(h, frame, acked);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return (acked & NETF(HOST_TSO6)) && tcp_ok(h, frame, acked);
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return (acked & NETF(HOST_USO)) && h->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 &&
		       udp_ok(h, frame);
	}
	return false;
}

enum net_drop net_tx_check(struct virtio_net_hdr_v1 *h, uint32_t frame, uint64_t acked)
{
	if (frame < NET_FRAME_MIN)
		return NET_DROP_SHORT;
	if (frame > NET_FRAME_MAX)
		return NET_DROP_LONG;
	/* 5.1.6.2.2: other bits are to be ignored. */
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->num_buffers = 0;
	if (!h->flags)
		h->csum_start = h->csum_offset = 0;
	else if (!csum_ok(h, frame, acked))
		return NET_DROP_CSUM;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		h->gso_size = h->hdr_len = 0;
	else if (!gso_ok(h, frame, acked))
		return NET_DROP_GSO;
	return NET_OK;
}

/* The offload that a received segment needs; 0: there is none. */
static unsigned int rx_needs(uint8_t gso_type)
{
	unsigned int ecn = gso_type & VIRTIO_NET_HDR_GSO_ECN ? TAP_ECN : 0;

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return TAP_TSO4 | ecn;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return TAP_TSO6 | ecn;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return TAP_USO;
	}
	return 0;
}

/* A packet may have waited in the tap since before the guest's driver said what it accepts. */
enum net_drop net_rx_check(struct virtio_net_hdr_v1 *h, unsigned int offload)
{
	if (!(offload & TAP_CSUM)) {
		if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return NET_DROP_OFFLOAD;
		h->flags = 0;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		unsigned int needs = rx_needs(h->gso_type);

		if (!needs || (needs & ~offload))
			return NET_DROP_OFFLOAD;
	}
	return NET_OK;
}

unsigned int net_iov_cut(struct iovec *iov, unsigned int n, size_t len, struct iovec *save,
			 unsigned int *nsave)
{
	unsigned int i = 0;

	*nsave = 0;
	while (len && i < n) {
		size_t part = MIN(len, iov[i].iov_len);

		save[(*nsave)++] = (struct iovec){ iov[i].iov_base, part };
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		len -= part;
		if (!iov[i].iov_len)
			i++;
	}
	return i;
}
