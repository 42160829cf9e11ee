// SPDX-License-Identifier: BSD-3-Clause
/* What a driver of a virtio function does before its queues run. */
#include "viodev.h"

#define SPINS	   200000u
#define VENDOR	   0x1af4
#define MODERN	   0x1040
#define CAP_VENDOR 9
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_CONFIG 4

/* The structures, by the vendor's capabilities (4.1.4). */
static bool find_structures(struct viodev *v)
{
	unsigned int cap = pci_read(v->at, 0x34) & 0xfc, n;

	v->common = v->notify = v->config = NULL;
	for (n = 0; cap && n < 48; n++, cap = pci_read(v->at, cap) >> 8 & 0xfc) {
		uint32_t head = pci_read(v->at, cap), kind = head >> 24;
		volatile uint8_t *at;

		if ((head & 0xff) != CAP_VENDOR ||
		    (kind != CAP_COMMON && kind != CAP_NOTIFY && kind != CAP_CONFIG))
			continue;
		at = pci_bar(v->at, pci_read(v->at, cap + 4) & 7);
		if (!at)
			continue;
		at += pci_read(v->at, cap + 8);
		if (kind == CAP_COMMON) {
			v->common = at;
		} else if (kind == CAP_NOTIFY) {
			v->notify = at;
			v->notify_mult = pci_read(v->at, cap + 16);
		} else {
			v->config = at;
		}
	}
	return v->common && v->notify;
}

/* Modern functions say their type in the device id; transitional ones, of an older numbering, in
 * the subsystem id (4.1.2). */
static uint16_t type_of(struct pci_at a)
{
	uint32_t id = pci_read(a, 0);

	if ((id & 0xffff) != VENDOR)
		return 0;
	if (id >> 16 > MODERN)
		return (uint16_t)((id >> 16) - MODERN);
	return id >> 16 >= 0x1000 && id >> 16 < MODERN ? (uint16_t)(pci_read(a, 0x2c) >> 16) : 0;
}

bool vio_find(uint16_t type, unsigned int n, struct viodev *v)
{
	unsigned int i;

	for (i = 0; pci_find(0, 0, i, &v->at); i++) {
		v->type = type_of(v->at);
		if (!v->type || (type && v->type != type) || n--)
			continue;
		return find_structures(v);
	}
	return false;
}

bool vio_status_is(const struct viodev *v, uint8_t mask, uint8_t want)
{
	unsigned int i;

	for (i = 0; i < SPINS; i++) {
		if ((vio_status(v) & mask) == want)
			return true;
		pause();
	}
	return false;
}

uint32_t vio_offered(const struct viodev *v, uint32_t sel)
{
	*vio_reg32(v, VIO_DEV_SEL) = sel;
	return *vio_reg32(v, VIO_DEV_FEATURES);
}

bool vio_features(const struct viodev *v, uint32_t word0, uint32_t word1)
{
	v->common[VIO_STATUS] = 0;
	if (!vio_status_is(v, 0xff, 0))
		return false;
	v->common[VIO_STATUS] = VIO_ACK | VIO_DRIVER;
	*vio_reg32(v, VIO_DRV_SEL) = 0;
	*vio_reg32(v, VIO_DRV_FEATURES) = word0;
	*vio_reg32(v, VIO_DRV_SEL) = 1;
	*vio_reg32(v, VIO_DRV_FEATURES) = word1;
	v->common[VIO_STATUS] = VIO_ACK | VIO_DRIVER | VIO_FEATURES_OK;
	return vio_status_is(v, VIO_FEATURES_OK, VIO_FEATURES_OK);
}

static void address(const struct viodev *v, unsigned int off, uint64_t at)
{
	*vio_reg32(v, off) = (uint32_t)at;
	*vio_reg32(v, off + 4) = (uint32_t)(at >> 32);
}

volatile uint16_t *vio_queue(const struct viodev *v, uint16_t q, uint16_t size, uint64_t desc,
			     uint64_t driver, uint64_t device)
{
	*vio_reg16(v, VIO_QUEUE) = q;
	*vio_reg16(v, VIO_QUEUE_SIZE) = size;
	address(v, VIO_QUEUE_DESC, desc);
	address(v, VIO_QUEUE_DRIVER, driver);
	address(v, VIO_QUEUE_DEVICE, device);
	*vio_reg16(v, VIO_QUEUE_ENABLE) = 1;
	return (volatile uint16_t *)(v->notify + *vio_reg16(v, VIO_QUEUE_NOTIFY) * v->notify_mult);
}

void vio_go(const struct viodev *v)
{
	v->common[VIO_STATUS] = VIO_ACK | VIO_DRIVER | VIO_FEATURES_OK | VIO_DRIVER_OK;
}
