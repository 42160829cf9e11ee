// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inflight memory of a packed ring: an entry for each descriptor. See inflight.c.
 *
 * Used elements overwrite descriptors, so the descriptors themselves are kept. A chain's entries
 * are linked by their next fields, and so are the free ones. The links are kept here too, and the
 * region's are only read at a start.
 *
 * Of a batch that a crash cut short, elements behind the first may lie in the ring already. They do
 * no harm there while the first is missing, but the successor may publish buffers of other lengths
 * in another order, and then one of them could be the next that the driver looks at. So a start
 * takes the flags of all slots that the device holds back to what the driver wrote.
 */
#include "virtio/ring/inflight_priv.h"

static struct vqi_packed *region(const struct vq_inflight *f)
{
	return f->region;
}

static uint64_t counter_of(const struct vq_inflight *f, uint16_t e)
{
	return __atomic_load_n(&region(f)->desc[e].counter, __ATOMIC_RELAXED);
}

static void set_inflight(struct vq_inflight *f, uint16_t e, uint8_t on)
{
	__atomic_store_n(&region(f)->desc[e].inflight, on, __ATOMIC_RELEASE);
}

static struct vqi_used used_get(const struct vq_inflight *f)
{
	uint64_t v = __atomic_load_n((uint64_t *)(void *)&region(f)->used, __ATOMIC_RELAXED);
	struct vqi_used u;

	memcpy(&u, &v, sizeof(u));
	return u;
}

static void used_set(struct vq_inflight *f, const struct vqi_used *u)
{
	uint64_t v;

	memcpy(&v, u, sizeof(v));
	__atomic_store_n((uint64_t *)(void *)&region(f)->used, v, __ATOMIC_RELEASE);
}

static void link_to(struct vq_inflight *f, uint16_t e, uint16_t next)
{
	f->s[e].next = next;
	wr16_release(&region(f)->desc[e].next, next);
}

static void set_free(struct vq_inflight *f, uint16_t head)
{
	f->free = head;
	wr16_release(&region(f)->free_head, head);
	wr16_release(&region(f)->old_free_head, head);
}

static void begin_anew(struct vq_inflight *f, const struct vq_cfg *cfg)
{
	struct vqi_used u = { 0 };

	u.used_idx = u.old_used_idx = cfg->used_idx & 0x7fff;
	u.used_wrap = u.old_used_wrap = cfg->used_idx >> 15;
	used_set(f, &u);
	for (unsigned int i = 0; i < f->size; i++)
		link_to(f, (uint16_t)i, (uint16_t)(i + 1));
	set_free(f, 0);
	region(f)->desc_num = f->size;
	wr16_release(&region(f)->version, VQI_VERSION);
}

/* Clears the marks of the first n free entries. */
static int unmark(struct vq_inflight *f, uint16_t e, unsigned int n)
{
	while (n--) {
		if (e >= f->size)
			return -EINVAL;
		set_inflight(f, e, 0);
		e = rd16(&region(f)->desc[e].next);
	}
	return 0;
}

/*
 * Settles what the crash cut short. The batch begins at the old used index: if its slot no longer
 * looks available in that lap, the driver was shown it, and its entries are the first of the free
 * list. Else it was not. Out of a batch, a pop may have been cut short: its entry is the first
 * free.
 */
static int settle(struct vq_inflight *f, const struct vq_pdesc *ring, uint16_t size)
{
	struct vqi_used u = used_get(f);
	uint16_t head = rd16(&region(f)->old_free_head);
	int n, rc = 0;

	if (u.used_idx >= size || u.old_used_idx >= size || u.used_wrap > 1 || u.old_used_wrap > 1)
		return -EINVAL;
	n = u.used_idx - u.old_used_idx + (u.used_wrap != u.old_used_wrap ? size : 0);
	if (n < 0 || n > size)
		return -EINVAL;
	if (n && !packed_is_avail(rd16(&ring[u.old_used_idx].flags), u.old_used_wrap)) {
		head = rd16(&region(f)->free_head);
		rc = unmark(f, head, (unsigned int)n);
		wr16_release(&region(f)->old_free_head, head);
		u.old_used_idx = u.used_idx;
		u.old_used_wrap = u.used_wrap;
	} else {
		u.used_idx = u.old_used_idx;
		u.used_wrap = u.old_used_wrap;
		if (head < f->size)
			set_inflight(f, head, 0);
	}
	wr16_release(&region(f)->free_head, head);
	used_set(f, &u);
	return rc;
}

/* Takes over one chain, whose links must be sound; returns its entries or -EINVAL. */
static int adopt(struct vq_inflight *f, uint16_t head)
{
	const struct vqi_pdesc *d = region(f)->desc;
	unsigned int num = rd16(&d[head].num);
	uint16_t e = head, id;

	if (!num || num > f->size)
		return -EINVAL;
	for (unsigned int i = 0;; i++) {
		if (e >= f->size || f->s[e].num)
			return -EINVAL;
		f->s[e].num = 1; /* taken */
		if (i + 1 == num)
			break;
		f->s[e].next = rd16(&d[e].next);
		e = f->s[e].next;
	}
	id = rd16(&d[e].id);
	if (id >= f->size || f->s[id].entry != VQI_NONE)
		return -EINVAL;
	f->s[id].entry = head;
	f->s[head].num = (uint16_t)num;
	f->s[head].last = e;
	f->s[head].id = id;
	f->s[f->nresubmit++].resubmit = head;
	return (int)num;
}

/* Links all entries that no chain has. Until the heads are set the list is that of before, of which
 * each entry is free too. */
static void link_free(struct vq_inflight *f)
{
	uint16_t head = f->size;

	for (unsigned int i = f->size; i--;) {
		if (f->s[i].num)
			continue;
		link_to(f, (uint16_t)i, head);
		head = (uint16_t)i;
	}
	set_free(f, head);
}

/* Takes the flags of n slots from at on back to "available". */
static void restore_slots(struct vq_pdesc *ring, uint16_t at, bool wrap, int n, uint16_t size)
{
	while (n--) {
		uint16_t keep = rd16(&ring[at].flags) & (uint16_t) ~(VQ_F_AVAIL | VQ_F_USED);

		wr16(&ring[at].flags, keep | packed_avail_flags(wrap));
		packed_advance(&at, &wrap, 1, size);
	}
}

int vqi_packed_recover(struct vq_inflight *f, const struct vq_mem *mem, struct vq_cfg *cfg)
{
	struct vq_pdesc *ring = vq_ring_ptr(mem, cfg->desc, 16ull * cfg->size, 16);
	uint16_t version = rd16(&region(f)->version), off;
	int rc, held = 0;
	struct vqi_used u;
	bool wrap;

	if (!ring)
		return -EINVAL;
	if (!version) {
		begin_anew(f, cfg);
		return 0;
	}
	if (version != VQI_VERSION || rd16(&region(f)->desc_num) != f->size)
		return -EINVAL;
	rc = settle(f, ring, cfg->size);
	for (unsigned int i = 0; !rc && i < f->size; i++) {
		if (!__atomic_load_n(&region(f)->desc[i].inflight, __ATOMIC_RELAXED))
			continue;
		rc = adopt(f, (uint16_t)i);
		held += rc;
		rc = MIN(rc, 0);
	}
	if (rc || held > cfg->size)
		return -EINVAL;
	link_free(f);
	u = used_get(f);
	off = u.used_idx;
	wrap = u.used_wrap;
	restore_slots(ring, off, wrap, held, cfg->size);
	cfg->used_idx = packed_pack(off, wrap);
	packed_advance(&off, &wrap, (unsigned int)held, cfg->size);
	cfg->avail_idx = packed_pack(off, wrap);
	return vqi_order(f, counter_of);
}

void vqi_packed_desc(struct vq_inflight *f, unsigned int k, struct vq_raw d)
{
	uint16_t e = k ? f->s[f->filling].next : f->free;
	struct vqi_pdesc *to = &region(f)->desc[e];

	BUG_ON(e >= f->size); /* the ring has no more slots than there are entries */
	to->addr = d.addr;
	to->len = raw_len(d);
	to->flags = raw_fourth(d);
	to->id = raw_third(d);
	f->filling = e;
}

const char *vqi_packed_pop(struct vq_inflight *f, uint16_t id, unsigned int n)
{
	uint16_t head = f->free, last = f->filling;
	struct vqi_pdesc *d = &region(f)->desc[head];
	const char *why = vqi_take(f, id, head);

	if (why)
		return why;
	f->s[head].num = (uint16_t)n;
	f->s[head].last = last;
	wr16_release(&d->num, (uint16_t)n);
	wr16_release(&d->last, last);
	__atomic_store_n(&d->counter, f->counter++, __ATOMIC_RELEASE);
	set_inflight(f, head, 1);
	set_free(f, f->s[last].next); /* until this, a start takes the mark away again */
	return NULL;
}

void vqi_packed_unpop(struct vq_inflight *f, uint16_t e)
{
	set_inflight(f, e, 0);
	link_to(f, f->s[e].last, f->free);
	set_free(f, e);
}

void vqi_packed_begin(struct vq_inflight *f, uint16_t used, bool wrap)
{
	struct vqi_used u = used_get(f);

	for (unsigned int i = 0; i < f->nstaged; i++) {
		uint16_t e = f->s[f->s[i].staged].entry;

		link_to(f, f->s[e].last, f->free);
		f->free = e;
	}
	wr16_release(&region(f)->free_head, f->free);
	u.used_idx = used;
	u.used_wrap = wrap;
	used_set(f, &u);
}

void vqi_packed_end(struct vq_inflight *f, uint16_t used, bool wrap)
{
	struct vqi_used u = { used, used, wrap, wrap, { 0 } };

	for (unsigned int i = 0; i < f->nstaged; i++) {
		struct vq_inflight_slot *s = &f->s[f->s[i].staged];

		set_inflight(f, s->entry, 0);
		s->entry = VQI_NONE;
	}
	wr16_release(&region(f)->old_free_head, f->free);
	used_set(f, &u);
	f->nstaged = 0;
}

struct vq_raw vqi_packed_get(const struct vq_inflight *f, uint16_t e)
{
	const struct vqi_pdesc *from = &region(f)->desc[e];
	uint64_t len = __atomic_load_n(&from->len, __ATOMIC_RELAXED);

	return (struct vq_raw){
		.addr = __atomic_load_n(&from->addr, __ATOMIC_RELAXED),
		.rest = len | (uint64_t)rd16(&from->id) << 32 | (uint64_t)rd16(&from->flags) << 48,
	};
}
