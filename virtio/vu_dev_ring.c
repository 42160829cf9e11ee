// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where queues begin: a fresh one at its beginning, one that a backend has worked on where that
 * backend stood when it vanished. It could not say, so the ring must:
 *
 * - Inflight memory tells the next backend itself what was held; the index sent along is the one of
 *   the first buffer that was not handed back.
 * - Without it, a device that uses buffers in the order of the ring is where its used index is.
 *   Whether it was such a device is agreed on (VIRTIO_F_IN_ORDER) or seen: all that the ring still
 *   remembers was used in order. A buffer held longer than that memory cannot be seen, but it would
 *   have been overtaken by all the others.
 * - A packed ring is searched for the first buffer that was not used; only with the agreement.
 *
 * Everything else would lose requests or do them twice, so the guest has to reset the device.
 */
#include <errno.h>
#include <stdatomic.h>
#include "virtio/ring/inflight.h"
#include "virtio/vu_dev_priv.h"

#define USED_ENTRY 8u /* id and length (virtio 1.2, 2.7.8) */

static uint16_t load16(const uint8_t *p)
{
	return atomic_load_explicit((const _Atomic uint16_t *)(const void *)p,
				    memory_order_acquire);
}

/* Are the buffers that were used last the ones that were made available at the same places? The
 * driver may write while we look; what it can break by that is its own ring. */
static bool seen_in_order(const struct vq_mem *mem, const struct vq_cfg *c)
{
	const uint8_t *avail = vq_mem_ptr(mem, c->driver, 4 + 2ull * c->size);
	const uint8_t *used = vq_mem_ptr(mem, c->device, 4 + (uint64_t)USED_ENTRY * c->size);
	uint16_t a, from, to;

	if (!avail || !used)
		return false;
	a = load16(avail + 2);
	to = load16(used + 2);
	from = (uint16_t)(a - c->size);
	/* The indices are free-running: a young ring has entries from 0 on. */
	if ((uint16_t)(a - to) > c->size)
		return false;
	for (uint16_t i = from; i != to; i++) {
		unsigned int at = i & (c->size - 1u);

		if (i > a && a < c->size)
			continue; /* before the first buffer ever; once in 65536 a look less */
		if (load16(avail + 4 + 2 * at) != load16(used + 4 + USED_ENTRY * at))
			return false;
	}
	return true;
}

static int recover_split(struct vu *u, struct vq_cfg *c, struct err *e)
{
	if (u->inflight_fd < 0 && !c->in_order && !seen_in_order(&u->v.mem, c))
		return err_set(
			e, -EUCLEAN,
			"requests were done out of order and the backend has no inflight "
			"memory: which ones are lost cannot be told; reset the device in the "
			"guest");
	if (vq_recover_split_used_idx(&u->v.mem, c))
		return err_set(e, -EUCLEAN, "a ring left the guest's memory");
	return 0;
}

static int recover_packed(struct vu *u, struct vq_cfg *c, struct err *e)
{
	int rc = c->in_order || u->inflight_fd >= 0 ? vq_recover_packed(&u->v.mem, c) : -EUCLEAN;

	if (rc == -EAGAIN)
		return err_set(e, rc, "the guest is adding a buffer");
	/* The inflight memory knows; the index is not looked at. */
	if (rc && u->inflight_fd >= 0)
		return 0;
	if (rc)
		return err_set(e, -EUCLEAN,
			       "where the backend stood in a packed ring cannot be told; reset the "
			       "device in the guest");
	return 0;
}

/* As SET_VRING_BASE has it: split: the available index; packed: both offsets, wrap counters in
 * their bit 15. */
static uint32_t wire_base(const struct vq_cfg *c)
{
	return c->packed ? c->avail_idx | (uint32_t)c->used_idx << 16 : c->avail_idx;
}

int vu_ring_bases(struct vu *u, struct err *e)
{
	for (unsigned int q = 0; q < u->ndata; q++) {
		struct vq_cfg c;
		int rc = 0;

		if (!vu_set(u, q))
			continue;
		vio_vq_cfg(&u->v, q, &c);
		if (u->served & 1ull << q)
			rc = c.packed ? recover_packed(u, &c, e) : recover_split(u, &c, e);
		if (rc) {
			err_prefix(e, "queue %u: ", q);
			return rc;
		}
		u->base[q] = wire_base(&c);
	}
	return 0;
}

static void signal_fd(struct vu *u, int fd)
{
	static const uint64_t one = 1;

	/* The only failure is a full counter, and then the other side has it coming already. */
	if (fd >= 0 && sys_write(u->sys, fd, &one, sizeof(one)) < 0)
		return;
}

void vu_ring_wake(struct vu *u)
{
	for (unsigned int q = 0; q < u->ndata; q++) {
		if (!vu_set(u, q))
			continue;
		signal_fd(u, u->v.q[q].kick);
		signal_fd(u, atomic_load(&u->v.q[q].call));
	}
}
