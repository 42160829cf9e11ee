// SPDX-License-Identifier: BSD-3-Clause
/* virtio-blk: one queue, completions polled. (virtio 1.2, 5.2) */
#include <sys/uio.h>
#include "bench/guest/device.h"

#define F_RO	(1u << 5)
#define F_FLUSH (1u << 9)
#define T_IN	0
#define T_OUT	1
#define T_FLUSH 4
#define BROKEN	0xff

/* What stands before the data (5.2.6). */
struct head {
	uint32_t type, reserved;
	uint64_t sector;
};

static struct viodev dev;
static struct vqd *q;
static volatile uint16_t *notify;
static struct head *heads;
static volatile uint8_t *status; /* a byte for each slot, behind the data */

static bool there(void)
{
	return vio_find(VIO_TYPE_BLK, 0, &dev);
}

static const char *open(struct disk *d, bool irq)
{
	const volatile uint32_t *capacity;
	uint32_t features;
	struct vq_cfg at;

	heads = arena_alloc(SLOTS_MAX * sizeof(*heads));
	status = arena_alloc(SLOTS_MAX);
	if (!heads || !status)
		return "too little memory";
	if (irq && !msix_first(dev.at))
		return "the virtio disk has no MSI-X";
	/* What is offered can be read after a reset only, which this is. */
	if (!vio_features(&dev, 0, VIO_VERSION_1))
		return "the virtio disk refuses its features";
	features = vio_offered(&dev, 0) & (VIO_INDIRECT | F_FLUSH | F_RO);
	if (!vio_features(&dev, features, VIO_VERSION_1))
		return "the virtio disk refuses its features";
	notify = vring_start(&dev, 0, features, irq, &q);
	if (!notify)
		return "the virtio disk has no queue";
	vio_go(&dev);
	capacity = (const volatile uint32_t *)dev.config;
	d->bytes = capacity ? (capacity[0] | (uint64_t)capacity[1] << 32) << 9 : 0;
	d->readonly = features & F_RO;
	/* A request takes three descriptors of the ring, or one that names a table. */
	vqd_addrs(q, &at);
	d->depth = MIN(d->depth, features & VIO_INDIRECT ? at.size : at.size / 3u);
	return NULL;
}

/* Header, data, status: readable ones first (2.7.4.2). */
static bool submit(struct disk *d, unsigned int slot, enum disk_do what, uint64_t off)
{
	struct iovec iov[3];
	unsigned int n = 0, nout;

	heads[slot] = (struct head){ .type = what == DISK_DO_READ    ? T_IN
					     : what == DISK_DO_WRITE ? T_OUT
								     : T_FLUSH,
				     .sector = what == DISK_DO_FLUSH ? 0 : off >> 9 };
	status[slot] = BROKEN;
	iov[n++] = (struct iovec){ &heads[slot], sizeof(heads[slot]) };
	if (what != DISK_DO_FLUSH)
		iov[n++] = (struct iovec){ disk_buf(d, slot), d->size };
	nout = what == DISK_DO_READ ? 1 : n;
	iov[n++] = (struct iovec){ (void *)&status[slot], 1 };
	return !vqd_add(q, iov, nout, n - nout, (void *)(uintptr_t)(slot + 1));
}

static void kick(struct disk *d)
{
	if (vqd_publish(q))
		*notify = 0;
}

static int poll(struct disk *d, bool *ok)
{
	uint32_t len;
	uintptr_t slot = (uintptr_t)vqd_get(q, &len);

	if (!slot)
		return -1;
	*ok = status[slot - 1] == 0;
	return (int)slot - 1;
}

static void close(struct disk *d)
{
	if (dev.common)
		dev.common[VIO_STATUS] = 0;
}

const struct disk_drv disk_virtio = { .name = "virtio-blk",
				      .there = there,
				      .open = open,
				      .submit = submit,
				      .kick = kick,
				      .poll = poll,
				      .close = close };
