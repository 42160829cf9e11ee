/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_GUEST_VIODEV_H
#define TESTS_GUEST_VIODEV_H

#include "guest.h"

/* A virtio function's registers, modern PCI transport. (virtio 1.2, 2.1, 4.1.4) */
#define VIO_TYPE_NET	 1
#define VIO_TYPE_BLK	 2
#define VIO_TYPE_CONSOLE 3
#define VIO_TYPE_RNG	 4

#define VIO_ACK		1
#define VIO_DRIVER	2
#define VIO_DRIVER_OK	4
#define VIO_FEATURES_OK 8
#define VIO_NEEDS_RESET 0x40
#define VIO_INDIRECT	(1u << 28) /* of word 0 */
#define VIO_VERSION_1	(1u << 0)  /* of word 1 */
#define VIO_PACKED	(1u << 2)

/* Registers of the common structure (4.1.4.3). */
enum {
	VIO_DEV_SEL = 0x00,
	VIO_DEV_FEATURES = 0x04,
	VIO_DRV_SEL = 0x08,
	VIO_DRV_FEATURES = 0x0c,
	VIO_STATUS = 0x14,
	VIO_QUEUE = 0x16,
	VIO_QUEUE_SIZE = 0x18,
	VIO_QUEUE_VECTOR = 0x1a,
	VIO_QUEUE_ENABLE = 0x1c,
	VIO_QUEUE_NOTIFY = 0x1e,
	VIO_QUEUE_DESC = 0x20,
	VIO_QUEUE_DRIVER = 0x28,
	VIO_QUEUE_DEVICE = 0x30,
};

struct viodev {
	struct pci_at at;
	uint16_t type;
	volatile uint8_t *common, *notify, *config;
	uint32_t notify_mult;
};

/** vio_find() - the n-th virtio function of this type, 0: any; false: no more, or not modern. */
bool vio_find(uint16_t type, unsigned int n, struct viodev *v);

static inline volatile uint16_t *vio_reg16(const struct viodev *v, unsigned int off)
{
	return (volatile uint16_t *)(v->common + off);
}

static inline volatile uint32_t *vio_reg32(const struct viodev *v, unsigned int off)
{
	return (volatile uint32_t *)(v->common + off);
}

static inline uint8_t vio_status(const struct viodev *v)
{
	return v->common[VIO_STATUS];
}

/** vio_status_is() - waits, bounded, until the bits of mask are want. */
bool vio_status_is(const struct viodev *v, uint8_t mask, uint8_t want);
/** vio_offered() - word sel of the device's features. */
uint32_t vio_offered(const struct viodev *v, uint32_t sel);
/** vio_features() - reset, and acknowledge these words of features; false: refused. */
bool vio_features(const struct viodev *v, uint32_t word0, uint32_t word1);
/** vio_queue() - place and enable queue q; its notification register. */
volatile uint16_t *vio_queue(const struct viodev *v, uint16_t q, uint16_t size, uint64_t desc,
			     uint64_t driver, uint64_t device);
void vio_go(const struct viodev *v); /* DRIVER_OK */

#endif
