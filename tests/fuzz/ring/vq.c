// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ring walkers over guest memory that is all the fuzzer's, and changes between the pops.
 *
 * Input: a header (how the queue is set up), guest memory as it is at the start, then steps: take a
 * buffer, give one back, write to guest memory, stop and go on, die and recover.
 * Checked: what comes out lies in guest memory and adds up, and the bounds that are promised.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/fuzz/ring/vq.h"
#include "virtio/ring/inflight_priv.h"

#define A_SIZE 1024u
#define B_SIZE 512u /* touches A in guest addresses, not here */
#define C_SIZE 256u
#define A_GPA  0x1000ull
#define B_GPA  (A_GPA + A_SIZE)
#define C_GPA  (B_GPA + B_SIZE + 64)
#define CAP    8u
#define HELD   16u

struct head {
	uint8_t size, flags;
	uint16_t avail, used;
};

struct fuzz {
	const uint8_t *p;
	size_t left;
	uint8_t *mem[3]; /* a block each, so that a sanitizer sees what is past their ends */
	struct vq_mem m;
	struct vq_cfg cfg;
	struct vq q;
	struct vq_inflight inf;
	uint8_t *region;
	struct vq_chain held[HELD];
	unsigned int nheld;
};

static void take(struct fuzz *f, void *to, size_t n)
{
	size_t have = MIN(n, f->left);

	memset(to, 0, n);
	if (have)
		memcpy(to, f->p, have);
	f->p += have;
	f->left -= have;
}

static uint8_t byte(struct fuzz *f)
{
	uint8_t v;

	take(f, &v, 1);
	return v;
}

static bool inside(const struct fuzz *f, const struct iovec *v)
{
	for (unsigned int i = 0; i < f->m.n; i++) {
		uint8_t *base = v->iov_base;

		if (base >= f->m.r[i].hva && base < f->m.r[i].hva + f->m.r[i].size)
			return v->iov_len &&
			       v->iov_len <= f->m.r[i].size - (size_t)(base - f->m.r[i].hva);
	}
	return false;
}

static void check(struct fuzz *f, const struct vq_chain *c)
{
	uint64_t len[2] = { 0, 0 };

	BUG_ON(c->nout + c->nin > CAP || c->nout + c->nin == 0);
	BUG_ON(!c->ndesc || c->ndesc > f->cfg.size);
	for (unsigned int i = 0; i < c->nout + c->nin; i++) {
		BUG_ON(!inside(f, &c->iov[i]));
		len[i >= c->nout] += c->iov[i].iov_len;
	}
	BUG_ON(len[0] != c->out_len || len[1] != c->in_len);
}

static void pop(struct fuzz *f)
{
	struct vq_chain c = { .cap = CAP };
	int rc;

	if (f->nheld == HELD)
		return;
	c.iov = malloc(CAP * sizeof(*c.iov));
	BUG_ON(!c.iov);
	rc = vq_pop(&f->q, &c);
	BUG_ON((rc < 0) != (f->q.broken != NULL));
	if (rc == 1) {
		check(f, &c);
		f->held[f->nheld++] = c;
	} else {
		free(c.iov);
	}
}

static void drop(struct fuzz *f, unsigned int i)
{
	free(f->held[i].iov);
	f->held[i] = f->held[--f->nheld];
}

/* Writes into all of the buffer, as a device does: rings and tables are not safe from that. */
static void push(struct fuzz *f)
{
	unsigned int i = f->nheld ? byte(f) % f->nheld : 0;
	struct vq_chain *c = &f->held[i];
	uint8_t junk[64];

	if (!f->nheld)
		return;
	take(f, junk, byte(f) % sizeof(junk));
	vq_push(&f->q, c, (uint32_t)vq_iov_write(c->iov + c->nout, c->nin, 0, junk, sizeof(junk)));
	drop(f, i);
}

static void scribble(struct fuzz *f)
{
	unsigned int at = byte(f) | byte(f) << 8, n = 1 + byte(f) % 16;
	struct vq_region *r = &f->m.r[at >> 14 ? f->m.n - 1 : at % f->m.n];

	at %= (unsigned int)r->size;
	take(f, r->hva + at, MIN(n, (unsigned int)r->size - at));
}

/* Takes one and gives it back unused. */
static void unpop(struct fuzz *f)
{
	unsigned int before = f->nheld;

	pop(f);
	if (f->nheld == before)
		return;
	vq_unpop(&f->q, 1, f->held[before].ndesc);
	drop(f, before);
}

static bool start(struct fuzz *f)
{
	while (f->nheld)
		drop(f, 0);
	return !vq_start_inflight(&f->q, &f->m, &f->cfg, f->region ? &f->inf : NULL);
}

static bool step(struct fuzz *f)
{
	struct vq_cfg c = f->cfg;
	int rc;

	switch (byte(f) % 10) {
	case 0 ... 2:
		pop(f);
		return true;
	case 3 ... 4:
		push(f);
		return true;
	case 5:
		(void)!vq_publish(&f->q);
		return true;
	case 6:
		vq_notify(&f->q, byte(f) & 1);
		vq_pending(&f->q);
		return true;
	case 7: /* die; with inflight memory, recover */
		vq_state(&f->q, &f->cfg.avail_idx, &f->cfg.used_idx);
		return start(f);
	case 8:
		rc = c.packed ? vq_recover_packed(&f->m, &c) : vq_recover_split_used_idx(&f->m, &c);
		BUG_ON(rc == 0 && c.packed && (c.used_idx & 0x7fff) >= c.size);
		unpop(f);
		return true;
	default:
		scribble(f);
		return true;
	}
}

static void set_up(struct fuzz *f, bool packed)
{
	static const uint64_t gpa[] = { A_GPA, B_GPA, C_GPA };
	static const size_t size[] = { A_SIZE, B_SIZE, C_SIZE };
	struct head h;

	take(f, &h, sizeof(h));
	for (unsigned int i = 0; i < 3; i++) {
		f->mem[i] = aligned_alloc(64, size[i]);
		BUG_ON(!f->mem[i] || vq_mem_add(&f->m, gpa[i], size[i], f->mem[i]));
		memset(f->mem[i], 0, size[i]);
	}
	take(f, f->mem[0], A_SIZE / 2); /* the rest is the device's to write, or zero */
	f->cfg = (struct vq_cfg){
		.size = packed ? 1 + h.size % 16 : (uint16_t)(1u << h.size % 5),
		.packed = packed,
		.event_idx = h.flags & 1,
		.indirect = h.flags & 2,
		.in_order = h.flags & 4,
		.desc = A_GPA,
		.driver = A_GPA + 256,
		.device = A_GPA + 320,
		.avail_idx = h.flags & 8 ? h.avail : VQ_FRESH(packed),
		.used_idx = h.flags & 8 ? h.used : VQ_FRESH(packed),
	};
	if (!(h.flags & 16))
		return;
	f->region = calloc(1, vq_inflight_size(packed, f->cfg.size));
	BUG_ON(!f->region || vq_inflight_init(&f->inf, f->region, packed, f->cfg.size));
	if (h.flags & 32) /* the region is foreign too */
		take(f, f->region, vq_inflight_size(packed, f->cfg.size));
}

int fuzz_vq(const uint8_t *data, size_t size, bool packed)
{
	struct fuzz f = { .p = data, .left = size };

	set_up(&f, packed);
	if (start(&f))
		while (f.left && step(&f))
			;
	while (f.nheld)
		drop(&f, 0);
	for (unsigned int i = 0; i < 3; i++)
		free(f.mem[i]);
	vq_inflight_fini(&f.inf);
	free(f.region);
	return 0;
}
