// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio-net: one pair of queues, polled, no offloads. (virtio 1.2, 5.1)
 *
 * A buffer is a descriptor: header and frame are in one piece. The receive queue is kept full; what
 * was handed out goes back when the next frame is asked for, and the device is told after every 16.
 */
#include <sys/uio.h>
#include "bench/guest/device.h"

#define F_MAC	(1u << 5)
#define RX	0
#define TX	1
#define HEAD	12u /* struct virtio_net_hdr with num_buffers */
#define RX_STEP 16u

static struct viodev dev;
static struct vqd *rxq, *txq;
static volatile uint16_t *rx_notify, *tx_notify;
static uint8_t *rx_buf, *held; /* held: the frame that was handed out last */
static unsigned int rx_given;

static bool there(void)
{
	return vio_find(VIO_TYPE_NET, 0, &dev);
}

/* To the device; seen after the next publish. */
static bool give(uint8_t *buf)
{
	struct iovec iov = { buf, FRAME_ROOM };

	return !vqd_add(rxq, &iov, 0, 1, buf);
}

static void rx_kick(void)
{
	if (vqd_publish(rxq))
		*rx_notify = RX;
	rx_given = 0;
}

/* The rings are as long as the device has them, up to 256. */
static const char *open(struct net *n)
{
	struct vq_cfg at;
	unsigned int i;

	if (!vio_features(&dev, 0, VIO_VERSION_1) ||
	    !vio_features(&dev, vio_offered(&dev, 0) & F_MAC, VIO_VERSION_1))
		return "the virtio network function refuses its features";
	for (i = 0; dev.config && i < 6; i++)
		n->mac[i] = dev.config[i];
	rx_notify = vring_start(&dev, RX, 0, false, &rxq);
	tx_notify = vring_start(&dev, TX, 0, false, &txq);
	if (!rx_notify || !tx_notify)
		return "the virtio network function has no queues";
	vio_go(&dev);
	vqd_addrs(rxq, &at);
	rx_buf = arena_alloc((size_t)at.size * FRAME_ROOM);
	if (!rx_buf)
		return "too little memory";
	held = NULL;
	for (i = 0; i < at.size; i++)
		if (!give(rx_buf + i * FRAME_ROOM))
			break;
	rx_kick();
	return NULL;
}

/* The header before the frame stays zero: nothing is asked of the device. */
static bool send(struct net *n, unsigned int slot, uint32_t len)
{
	struct iovec iov = { net_frame(n, slot) - HEAD, HEAD + len };

	return !vqd_add(txq, &iov, 1, 0, (void *)(uintptr_t)(slot + 1));
}

static void kick(struct net *n)
{
	if (vqd_publish(txq))
		*tx_notify = TX;
}

static int sent(struct net *n)
{
	uint32_t len;

	return (int)(uintptr_t)vqd_get(txq, &len) - 1;
}

static const uint8_t *recv(struct net *n, uint32_t *len)
{
	if (held && give(held))
		rx_given++;
	if (rx_given >= RX_STEP)
		rx_kick();
	held = vqd_get(rxq, len);
	if (!held)
		return NULL;
	*len = *len > HEAD ? *len - HEAD : 0;
	return held + HEAD;
}

static void close(struct net *n)
{
	if (dev.common)
		dev.common[VIO_STATUS] = 0;
}

const struct net_drv net_virtio = { .name = "virtio-net",
				    .there = there,
				    .open = open,
				    .send = send,
				    .kick = kick,
				    .sent = sent,
				    .recv = recv,
				    .close = close };
