// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "rig.h"

uint32_t rig_rnd(uint64_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 33) % below;
}

void rig_queue(struct rig *r)
{
	struct vq_cfg c;

	vqd_addrs(r->d, &c);
	assert_int_equal(vq_start_inflight(&r->q, &r->mem, &c, r->region ? &r->inflight : NULL), 0);
}

void rig_track(struct rig *r)
{
	size_t n = vq_inflight_size(r->cfg.packed, r->cfg.size);

	r->region = aligned_alloc(64, n);
	assert_non_null(r->region);
	memset(r->region, 0, n);
	assert_int_equal(vq_inflight_init(&r->inflight, r->region, r->cfg.packed, r->cfg.size), 0);
	rig_queue(r);
}

static void drop_held(struct rig *r, unsigned int i)
{
	struct rig_held *h = &r->held[i];

	free(h->c.iov);
	memmove(h, h + 1, (r->nheld - i - 1) * sizeof(*h));
	r->nheld--;
}

void rig_crash(struct rig *r)
{
	uint64_t seq = 0;
	unsigned int n = 0;

	while (r->nheld)
		drop_held(r, 0);
	for (unsigned int i = 0; i < RIG_BUFS; i++) {
		r->buf[i].popped = false;
		n += r->buf[i].held;
	}
	vq_inflight_fini(&r->inflight);
	assert_int_equal(vq_inflight_init(&r->inflight, r->region, r->cfg.packed, r->cfg.size), 0);
	rig_queue(r);
	for (unsigned int i = 0; i < n; i++) {
		struct rig_buf *b;

		assert_true(rig_pop(r));
		b = &r->buf[r->held[i].buf];
		assert_true(b->held && b->pop_seq > seq);
		seq = b->pop_seq;
	}
}

void rig_up(struct rig *r, const struct vqd_cfg *flavour)
{
	memset(r, 0, sizeof(*r));
	r->seed = 0x9e3779b97f4a7c15ull + flavour->size;
	r->dev_seed = r->seed * 3;
	r->cfg = *flavour;
	assert_true(vqd_area(flavour) <= RIG_AREA);
	r->ram = aligned_alloc(4096, RIG_BYTES);
	assert_non_null(r->ram);
	r->cfg.hva = r->cfg.area = r->ram;
	r->cfg.gpa0 = RIG_GPA;
	assert_int_equal(vq_mem_add(&r->mem, RIG_GPA, RIG_BYTES, r->ram), 0);
	assert_int_equal(vqd_new(&r->cfg, &r->d), 0);
	rig_queue(r);
}

void rig_down(struct rig *r)
{
	for (unsigned int i = 0; i < r->nheld; i++)
		free(r->held[i].c.iov);
	vqd_free(r->d);
	vq_inflight_fini(&r->inflight);
	free(r->region);
	free(r->ram);
}

static uint8_t *buf_at(struct rig *r, unsigned int i)
{
	return r->ram + RIG_AREA + (size_t)i * RIG_BUF;
}

/* Byte k of buffer i in its present round; the device writes another one than the driver. */
static uint8_t mark(const struct rig *r, unsigned int i, size_t k, bool device)
{
	return (uint8_t)(k * 7 + i * 31 + r->buf[i].round * 13 + (device ? 101 : 0));
}

/* Cuts the buffer into pieces of random length; out ones first. */
static void shape(struct rig *r, unsigned int i, struct iovec *iov, unsigned int nout,
		  unsigned int nin)
{
	struct rig_buf *b = &r->buf[i];
	uint8_t *p = buf_at(r, i);

	b->out_len = b->in_len = 0;
	for (unsigned int k = 0; k < nout + nin; k++) {
		uint32_t len = 1 + rig_rnd(&r->seed, RIG_BUF / RIG_IOV - 1);

		iov[k] = (struct iovec){ p, len };
		*(k < nout ? &b->out_len : &b->in_len) += len;
		p += len;
	}
}

bool rig_add(struct rig *r)
{
	unsigned int i = 0, nout, nin, most = MIN((unsigned int)r->cfg.size, RIG_IOV);
	struct iovec iov[RIG_IOV];
	int rc;

	while (i < RIG_BUFS && r->buf[i].busy)
		i++;
	if (i == RIG_BUFS)
		return false;
	nout = rig_rnd(&r->seed, most / 2 + 1);
	nin = most - nout ? rig_rnd(&r->seed, most - nout + 1) : 0;
	if (!(nout + nin))
		nin = 1;
	shape(r, i, iov, nout, nin);
	rc = vqd_add(r->d, iov, nout, nin, &r->buf[i]);
	if (rc == -ENOSPC)
		return false;
	assert_int_equal(rc, 0);
	r->buf[i].busy = true;
	r->buf[i].round++;
	for (size_t k = 0; k < r->buf[i].out_len; k++)
		buf_at(r, i)[k] = mark(r, i, k, false);
	return true;
}

bool rig_get(struct rig *r)
{
	struct rig_buf *b;
	unsigned int i;
	uint32_t len;

	b = vqd_get(r->d, &len);
	if (!b)
		return false;
	i = (unsigned int)(b - r->buf);
	assert_true(b->busy && !b->popped);
	assert_int_equal(len, b->written);
	for (size_t k = 0; k < len; k++)
		assert_int_equal(buf_at(r, i)[b->out_len + k], mark(r, i, k, true));
	b->busy = false;
	return true;
}

bool rig_pop(struct rig *r)
{
	struct rig_held *h = &r->held[r->nheld];
	struct vq_chain c = { .cap = RIG_IOV };
	uint8_t got[RIG_BUF];
	int rc;

	c.iov = calloc(RIG_IOV, sizeof(*c.iov)); /* exact: a sanitizer sees one too many */
	assert_non_null(c.iov);
	rc = vq_pop(&r->q, &c);
	if (rc <= 0) {
		free(c.iov);
		assert_int_equal(rc, 0);
		return false;
	}
	h->c = c;
	h->buf = (unsigned int)(((uint8_t *)c.iov[0].iov_base - r->ram - RIG_AREA) / RIG_BUF);
	assert_true(r->buf[h->buf].busy && !r->buf[h->buf].popped);
	r->buf[h->buf].popped = true;
	if (!r->buf[h->buf].held)
		r->buf[h->buf].pop_seq = ++r->pop_seq;
	r->buf[h->buf].held = true;
	assert_int_equal(c.out_len, r->buf[h->buf].out_len);
	assert_int_equal(c.in_len, r->buf[h->buf].in_len);
	assert_int_equal(vq_iov_read(c.iov, c.nout, 0, got, sizeof(got)), c.out_len);
	for (size_t k = 0; k < c.out_len; k++)
		assert_int_equal(got[k], mark(r, h->buf, k, false));
	r->nheld++;
	return true;
}

void rig_push(struct rig *r, unsigned int which)
{
	struct rig_held *h = &r->held[which];
	struct rig_buf *b = &r->buf[h->buf];
	uint8_t put[RIG_BUF];

	b->written = rig_rnd(&r->dev_seed, h->c.in_len + 1);
	for (size_t k = 0; k < b->written; k++)
		put[k] = mark(r, h->buf, k, true);
	assert_int_equal(vq_iov_write(h->c.iov + h->c.nout, h->c.nin, 0, put, b->written),
			 b->written);
	b->popped = false;
	vq_push(&r->q, &h->c, b->written);
	drop_held(r, which);
}

void rig_publish(struct rig *r)
{
	r->calls += vq_publish(&r->q);
	for (unsigned int i = 0; i < RIG_BUFS; i++)
		r->buf[i].held &= r->buf[i].popped;
}

/* Gives the last few back; they are the last popped since no other push changed their order. */
static void unpop(struct rig *r)
{
	unsigned int n = 0, slots = 0;
	uint64_t seq = r->pop_seq;

	while (r->nheld && r->buf[r->held[r->nheld - 1].buf].pop_seq == seq && n < 3) {
		struct rig_held *h = &r->held[r->nheld - 1];

		slots += h->c.ndesc;
		r->buf[h->buf].popped = r->buf[h->buf].held = false;
		drop_held(r, r->nheld - 1);
		seq--;
		n++;
	}
	r->pop_seq = seq;
	vq_unpop(&r->q, n, slots);
}

void rig_shuffle(struct rig *r, unsigned int n)
{
	unsigned int added = 0, got = 0;

	for (unsigned int step = 0; got < n; step++) {
		assert_true(step < 200 * n + 10000); /* else it got stuck */
		switch (rig_rnd(&r->seed, 64)) {
		case 0 ... 9:
			if (added < n)
				added += rig_add(r);
			break;
		case 10 ... 19:
			r->kicks += vqd_publish(r->d);
			break;
		case 20 ... 29:
			rig_pop(r);
			break;
		case 30 ... 39:
			if (r->nheld)
				rig_push(r, r->cfg.in_order ? 0 : rig_rnd(&r->seed, r->nheld));
			break;
		case 40 ... 49:
			rig_publish(r);
			break;
		case 50:
			unpop(r);
			break;
		case 51:
			if (r->region)
				rig_crash(r);
			break;
		default:
			got += rig_get(r);
		}
	}
	assert_int_equal(r->nheld, 0);
	assert_false(vq_pending(&r->q));
}

void rig_flavours(uint16_t size, void (*f)(const struct vqd_cfg *flavour))
{
	for (unsigned int bits = 0; bits < 16; bits++) {
		struct vqd_cfg c = { .size = size,
				     .packed = bits & 1,
				     .event_idx = bits & 2,
				     .indirect = bits & 4,
				     .in_order = bits & 8 };

		f(&c);
	}
}
