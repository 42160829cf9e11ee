/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_GUEST_DEVICE_H
#define BENCH_GUEST_DEVICE_H

#include "bench/guest/bench.h"
#include "tests/guest/viodev.h"
#include "virtio/ring/vqd.h"

/*
 * What the loops drive. A driver is a table of functions over slots: a slot is a buffer that is
 * either the loop's or the device's.
 */
#define SLOTS_MAX 128u

enum disk_do { DISK_DO_READ, DISK_DO_WRITE, DISK_DO_FLUSH };

/**
 * struct disk_drv - a disk
 * @open:   finds and starts it; NULL: it did, else why not. irq: completions interrupt
 * @submit: queue a request on slot's buffer, told to the device by @kick; false: it cannot
 * @poll:   a slot that is done, -1: none; *ok: without an error
 */
struct disk;
struct disk_drv {
	const char *name;
	bool (*there)(void);
	const char *(*open)(struct disk *d, bool irq);
	bool (*submit)(struct disk *d, unsigned int slot, enum disk_do what, uint64_t off);
	void (*kick)(struct disk *d);
	int (*poll)(struct disk *d, bool *ok);
	void (*close)(struct disk *d);
};

/**
 * struct disk - the one that is open
 * @depth, @size: as the run asks; open lowers depth. @bytes: of the disk
 * @buf:   depth buffers of size bytes, on pages
 */
struct disk {
	const struct disk_drv *drv;
	uint32_t depth, size;
	uint64_t bytes;
	bool readonly;
	uint8_t *buf;
};

extern const struct disk_drv disk_nvme, disk_virtio;

static inline uint8_t *disk_buf(const struct disk *d, unsigned int slot)
{
	return d->buf + (size_t)slot * ALIGN_UP(d->size, 4096u);
}

/** disk_open() - the first NVMe controller or virtio disk; NULL: it is open, else why not. */
const char *disk_open(struct disk *d, uint32_t depth, uint32_t size, bool irq);

/**
 * struct net_drv - a network card
 * @send:  frame of len bytes in slot's buffer; told by @kick; false: no room
 * @sent:  a slot that the device is done with, -1: none
 * @recv:  a frame that came; NULL: none. It is the device's again at the next call or kick
 */
struct net;
struct net_drv {
	const char *name;
	bool (*there)(void);
	const char *(*open)(struct net *n);
	bool (*send)(struct net *n, unsigned int slot, uint32_t len);
	void (*kick)(struct net *n);
	int (*sent)(struct net *n);
	const uint8_t *(*recv)(struct net *n, uint32_t *len);
	void (*close)(struct net *n);
};

#define FRAME_ROOM 2048u
#define FRAME_HEAD 16u /* before the frame, for the device's header */

struct net {
	const struct net_drv *drv;
	uint8_t mac[6];
	bool receives; /* set before open: the test wants frames */
	uint8_t *buf;  /* SLOTS_MAX of FRAME_ROOM */
};

extern const struct net_drv net_e1000, net_virtio;

static inline uint8_t *net_frame(const struct net *n, unsigned int slot)
{
	return n->buf + slot * FRAME_ROOM + FRAME_HEAD;
}

/**
 * vring_start() - lay out and enable queue q of a virtio function
 * @vector: MSI-X entry 0 is its vector
 * @features: word 0 as acknowledged
 * Return: its notification register; NULL: there is no such queue, or no memory
 */
volatile uint16_t *vring_start(const struct viodev *v, uint16_t q, uint32_t features, bool vector,
			       struct vqd **out);

#endif
