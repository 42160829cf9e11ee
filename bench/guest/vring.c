// SPDX-License-Identifier: BSD-3-Clause
/* Queues of virtio functions: virtio/ring's driver end, on memory of the arena. */
#include "bench/guest/device.h"

#define RING_MAX 256u

volatile uint16_t *vring_start(const struct viodev *v, uint16_t q, uint32_t features, bool vector,
			       struct vqd **out)
{
	struct vqd_cfg c = { .indirect = features & VIO_INDIRECT };
	struct vq_cfg at;

	*vio_reg16(v, VIO_QUEUE) = q;
	c.size = MIN(*vio_reg16(v, VIO_QUEUE_SIZE), (uint16_t)RING_MAX);
	if (!IS_POW2(c.size))
		return NULL;
	c.area = arena_alloc(vqd_area(&c));
	/* Guest-physical addresses are pointers here. */
	if (!c.area || vqd_new(&c, out))
		return NULL;
	vqd_addrs(*out, &at);
	if (vector) {
		*vio_reg16(v, VIO_QUEUE_VECTOR) = 0;
		if (*vio_reg16(v, VIO_QUEUE_VECTOR) != 0)
			return NULL;
	} else {
		vqd_notify(*out, false);
	}
	return vio_queue(v, q, at.size, at.desc, at.driver, at.device);
}
