// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where did a device stand that vanished? It used buffers in order, so one index says it all.
 *
 * Split: the used index. Packed: the AVAIL flag of a slot is the parity of the lap in which it was
 * last written, whoever did it, so the slot where the parity changes is the driver's next one, A.
 * Going back from there, the first slot that looks used, P, is the last used element: the device's
 * place U is behind the buffer that P stands for. Slots between P and U still look available, as a
 * used element covers the first slot of its buffer (or batch) only:
 *
 *	... used(P) [rest of that buffer] U avail avail ... A
 *
 * The rest ends with the descriptor that has the id which P reports. When there is no such slot
 * between P and A, P stood for one slot. When there is, it is the rest, or the driver has used the
 * id again meanwhile: the latter is believed if none of the buffers before P left a rest behind.
 *
 * The first buffers of a ring are too few to believe that. There an older place of the device
 * helps: while the driver is in its first lap, every used element is still to be seen, so if there
 * is none from the old place on the device never left it.
 */
#include "virtio/ring/inflight.h"
#include "virtio/ring/vq_priv.h"

int vq_recover_split_used_idx(const struct vq_mem *mem, struct vq_cfg *cfg)
{
	const struct vq_sused *u = vq_ring_ptr(mem, cfg->device, split_used_bytes(cfg->size), 4);

	if (!u)
		return -EINVAL;
	cfg->avail_idx = cfg->used_idx = rd16_acquire(&u->idx);
	return 0;
}

/* A ring as it is found: slot i counts from the driver's next one, so n - 1 is what it wrote last.
 */
struct look {
	const struct vq_pdesc *ring;
	unsigned int n, at; /* at: the driver's next slot */
	bool wrap;	    /* of the driver */
	bool indirect;	    /* lists have tables of their own */
};

static struct vq_pdesc slot(const struct look *l, unsigned int i)
{
	struct vq_raw d = desc_copy(&l->ring[(l->at + i) % l->n]);

	return (struct vq_pdesc){ d.addr, raw_len(d), raw_third(d), raw_fourth(d) };
}

static const struct vq_pdesc untouched; /* of a ring in its first lap */

static bool looks_used(const struct vq_pdesc *d)
{
	return !(d->flags & VQ_F_AVAIL) == !(d->flags & VQ_F_USED);
}

static bool parity(const struct look *l, unsigned int i)
{
	return rd16(&l->ring[i].flags) & VQ_F_AVAIL;
}

/* The driver writes the first flags of a list last, so a list half written makes the parity change
 * more than once. */
static int find_driver(struct look *l)
{
	unsigned int changes = 0;

	l->at = 0;
	for (unsigned int i = 1; i < l->n; i++) {
		if (parity(l, i) == parity(l, i - 1))
			continue;
		l->at = i;
		changes++;
	}
	/* No change: the lap is complete, the next one begins at slot 0. */
	l->wrap = changes ? parity(l, 0) : !parity(l, 0);
	return changes > 1 ? -EAGAIN : 0;
}

/* The slot behind the buffer that the used element at p stands for. */
static int end_of(const struct look *l, unsigned int p, bool in_order)
{
	struct vq_pdesc e = slot(l, p);
	bool chained = true;

	for (unsigned int i = p + 1; i < l->n; i++) {
		struct vq_pdesc d = slot(l, i);

		if (!(d.flags & VQ_F_NEXT) && d.id == e.id) {
			/* An in-order device may have skipped whole buffers up to this one. */
			if (in_order)
				return (int)i + 1;
			if (chained)
				return -EUCLEAN;
		}
		chained &= !!(d.flags & VQ_F_NEXT);
	}
	return (int)p + 1;
}

/*
 * Enough used elements to believe that the driver does not chain descriptors in this ring. One that
 * may use indirect tables does so for its lists (all that are known do), and one element is enough:
 * else a backend that dies within the first packets would take the port with it.
 */
#define SAMPLE	      16u
#define SAMPLE_TABLES 1u

/*
 * What do the slots before p tell? Slots that look available there must be rests: the last of them
 * has the id of the used element before them. Else a device died between the elements of a batch,
 * of which the first, still missing, is the one that counts. Return: 1: there were no rests, among
 * enough elements or all of the ring; 0: there were, or too few elements; -EUCLEAN.
 */
static int only_singles(const struct look *l, unsigned int p)
{
	unsigned int rests = 0, elems = 0, enough = l->indirect ? SAMPLE_TABLES : SAMPLE;
	struct vq_pdesc d, last = slot(l, 0), e = last;
	bool known = false; /* e is the used element that the run of rests belongs to */

	for (unsigned int i = 0; i <= p; i++, last = d) {
		d = slot(l, i);
		if (!looks_used(&d)) {
			rests++;
			continue;
		}
		if (i && known && !looks_used(&last) &&
		    ((last.flags & VQ_F_NEXT) || last.id != e.id))
			return -EUCLEAN;
		elems += !!memcmp(&d, &untouched, sizeof(d));
		e = d;
		known = true;
	}
	return !rests && elems >= MIN(l->n - 1, enough);
}

/*
 * No slot looks used: all are available, but for a rest at the beginning whose used element the
 * driver has written over. A rest has an id that the driver had back, so if it is also that of a
 * buffer further on, it is one.
 */
static int find_full(const struct look *l)
{
	struct vq_pdesc d, end = slot(l, 0);
	unsigned int k = 0, chained = 0;

	while ((end.flags & VQ_F_NEXT) && ++k < l->n)
		end = slot(l, k);
	for (unsigned int i = 0; i < l->n; i++) {
		d = slot(l, i);
		chained += !!(d.flags & VQ_F_NEXT);
		if (i > k && d.id == end.id && !(d.flags & VQ_F_NEXT))
			return (int)k + 1;
	}
	return chained || k == l->n ? -EUCLEAN : 0;
}

/* Is this place of old still the device's? Known in the driver's first lap only. */
static bool still_at(const struct look *l, uint16_t place)
{
	struct vq_pdesc next = slot(l, 0);

	if (!l->wrap || memcmp(&next, &untouched, sizeof(next)) || !(place & 0x8000))
		return false;
	/* A batch whose first element is missing shows here, too. */
	for (unsigned int i = place & 0x7fffu; i < l->at; i++)
		if (packed_is_used(rd16(&l->ring[i].flags), true))
			return false;
	return (place & 0x7fffu) <= l->at;
}

static int find_device(const struct look *l, bool in_order)
{
	unsigned int p = l->n;
	struct vq_pdesc d;
	int singles, rc;

	/* All slots in the driver's order: oldest first. */
	for (unsigned int i = 0; i < l->n; i++) {
		d = slot(l, i);
		if (looks_used(&d))
			p = i;
	}
	if (p == l->n)
		return find_full(l);
	d = slot(l, p);
	if (!memcmp(&d, &untouched, sizeof(d)))
		return (int)p + 1; /* the ring is new here: nothing was ever used */
	singles = only_singles(l, p);
	if (singles < 0)
		return singles;
	rc = end_of(l, p, in_order);
	return rc == -EUCLEAN && singles ? (int)p + 1 : rc;
}

int vq_recover_packed(const struct vq_mem *mem, struct vq_cfg *cfg)
{
	struct look l = { .n = cfg->size, .indirect = cfg->indirect };
	bool wrap;
	int rc;

	l.ring = vq_ring_ptr(mem, cfg->desc, 16ull * cfg->size, 16);
	if (!l.ring || !l.n)
		return -EINVAL;
	rc = find_driver(&l);
	if (!rc && still_at(&l, cfg->used_idx)) {
		cfg->avail_idx = cfg->used_idx;
		return 0;
	}
	if (!rc)
		rc = find_device(&l, cfg->in_order);
	if (rc < 0)
		return rc;
	/* Slot 0 of the view is one lap before the driver's place. */
	wrap = l.at + (unsigned int)rc >= l.n ? l.wrap : !l.wrap;
	cfg->used_idx = packed_pack((uint16_t)((l.at + (unsigned int)rc) % l.n), wrap);
	cfg->avail_idx = cfg->used_idx;
	return 0;
}
