// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device dies at every instruction. It is run one instruction at a time (the trap flag), and
 * all memory that outlives it, the rings and the inflight memory, is kept whenever it changed. From
 * each such state a successor starts, and must get exactly what the driver was not given back; the
 * driver must get each buffer once.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "rig.h"

#define SIZE	   8u
#define SNAPS	   400u
#define TRAP_FLAG  0x100
#define RING_BYTES 4096u
#define BUF	   64u

/* What survives, in one piece. Buffers are behind it and need no copy. */
struct world {
	uint8_t ring[RING_BYTES];
	uint8_t region[1024];
};

struct kill {
	struct vqd_cfg cfg;
	struct world *w; /* followed by the buffers' memory */
	struct vq_mem mem;
	struct vqd *d;
	struct vq q;
	struct vq_inflight inf;
	struct iovec iov[SIZE];
	struct world *snap;
	unsigned int nsnap;
};

/* For the signal handler only. */
static struct kill *stepped;

static void on_trap(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	struct kill *k = stepped;

	if (!k) { /* done */
		uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	if (k->nsnap && !memcmp(&k->snap[k->nsnap - 1], k->w, sizeof(*k->w)))
		return;
	if (k->nsnap == SNAPS)
		abort();
	k->snap[k->nsnap++] = *k->w;
}

static void *must_alloc(size_t n)
{
	void *p = aligned_alloc(4096, ALIGN_UP(n, 4096));

	assert_non_null(p);
	memset(p, 0, n);
	return p;
}

static void device_start(struct kill *k)
{
	struct vq_cfg c;

	vqd_addrs(k->d, &c);
	/* The front end knows nothing of where the device stood. */
	c.avail_idx = c.used_idx = VQ_FRESH(c.packed);
	assert_int_equal(vq_inflight_init(&k->inf, k->w->region, c.packed, SIZE), 0);
	assert_int_equal(vq_start_inflight(&k->q, &k->mem, &c, &k->inf), 0);
}

static void up(struct kill *k, const struct vqd_cfg *flavour)
{
	memset(k, 0, sizeof(*k));
	k->w = must_alloc(sizeof(*k->w) + SIZE * BUF);
	k->snap = must_alloc(SNAPS * sizeof(*k->snap));
	k->cfg = *flavour;
	k->cfg.hva = k->cfg.area = (uint8_t *)k->w;
	assert_true(vqd_area(&k->cfg) <= RING_BYTES);
	assert_true(vq_inflight_size(true, SIZE) <= sizeof(k->w->region));
	assert_int_equal(vq_mem_add(&k->mem, 0, sizeof(*k->w) + SIZE * BUF, k->w), 0);
	assert_int_equal(vqd_new(&k->cfg, &k->d), 0);
	device_start(k);
}

static void down(struct kill *k)
{
	vqd_free(k->d);
	vq_inflight_fini(&k->inf);
	free(k->w);
	free(k->snap);
}

/* Buffer i of n descriptors; its cookie is where it lies. */
static void add(struct kill *k, unsigned int i, unsigned int n)
{
	uint8_t *p = (uint8_t *)(k->w + 1) + i * BUF;
	struct iovec iov[4];

	for (unsigned int j = 0; j < n; j++)
		iov[j] = (struct iovec){ p + j * 8, 8 };
	assert_int_equal(vqd_add(k->d, iov, 1, n - 1, p), 0);
	(void)!vqd_publish(k->d);
}

static struct vq_chain pop(struct kill *k)
{
	struct vq_chain c = { .iov = k->iov, .cap = SIZE };

	assert_int_equal(vq_pop(&k->q, &c), 1);
	return c;
}

/*
 * What the device does under the knife: three buffers are given back in two batches, out of order
 * unless that is forbidden, then one more is taken, one returned to the ring and taken again.
 */
static void operate(struct kill *k, struct vq_chain c[5])
{
	bool in_order = k->cfg.in_order;

	vq_push(&k->q, &c[in_order ? 0 : 2], 1);
	vq_push(&k->q, &c[in_order ? 1 : 0], 2);
	(void)!vq_publish(&k->q);
	c[4].iov = k->iov;
	(void)!vq_pop(&k->q, &c[4]);
	vq_push(&k->q, &c[in_order ? 2 : 1], 3);
	vq_unpop(&k->q, 1, c[4].ndesc);
	(void)!vq_publish(&k->q);
	(void)!vq_pop(&k->q, &c[4]);
}

static void operate_stepped(struct kill *k, struct vq_chain c[5])
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, old;

	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	stepped = k;
	raise(SIGTRAP);
	operate(k, c);
	stepped = NULL;
	__asm__ volatile("nop; nop");
	sigaction(SIGTRAP, &old, NULL);
	assert_true(k->nsnap > 10);
}

/* Five buffers are with the device, the first four popped. Lengths of chains differ. */
static void prepare(struct kill *k, struct vq_chain c[5])
{
	static const unsigned int len[5] = { 2, 1, 2, 1, 2 };

	/* Not at the start of the ring: with chains, the batches wrap. */
	for (unsigned int i = 0; i < 5; i++) {
		struct vq_chain t;
		uint32_t n;

		add(k, i, 1);
		t = pop(k);
		vq_push(&k->q, &t, 0);
		(void)!vq_publish(&k->q);
		assert_non_null(vqd_get(k->d, &n));
	}
	for (unsigned int i = 0; i < 5; i++)
		add(k, i, len[i]);
	for (unsigned int i = 0; i < 4; i++)
		c[i] = pop(k);
}

struct tally {
	unsigned int held[5], back[5], got;
};

static unsigned int which(const struct kill *k, const void *p)
{
	return (unsigned int)(((const uint8_t *)p - (const uint8_t *)(k->w + 1)) / BUF);
}

static void collect(struct kill *k, struct tally *t)
{
	uint32_t len;
	void *p;

	while ((p = vqd_get(k->d, &len))) {
		t->back[which(k, p)]++;
		t->got++;
	}
}

/* The successor takes all there is and gives it back one by one, in the other direction where it
 * may: then chains of another length come to lie where the dead device had begun to write. */
static void succeed(struct kill *k, struct tally *t)
{
	struct vq_chain c[6];
	unsigned int n = 0;

	device_start(k);
	for (;; n++) {
		assert_true(n < 6);
		c[n] = (struct vq_chain){ .iov = k->iov, .cap = SIZE };
		if (vq_pop(&k->q, &c[n]) != 1)
			break;
		t->held[which(k, k->iov[0].iov_base)]++;
	}
	assert_null(k->q.broken);
	for (unsigned int i = 0; i < n; i++) {
		vq_push(&k->q, &c[k->cfg.in_order ? i : n - 1 - i], 7);
		(void)!vq_publish(&k->q);
		collect(k, t);
	}
}

/* Snapshot s, seen by a driver that did the same as the one of the run that was cut short. */
static void check_snap(const struct kill *cut, const struct vqd_cfg *flavour, unsigned int s)
{
	struct vq_chain c[5];
	struct tally t = { 0 };
	struct kill k;

	up(&k, flavour);
	prepare(&k, c);
	*k.w = cut->snap[s];
	vq_inflight_fini(&k.inf);
	if (s & 1) /* the driver looks before the successor comes */
		collect(&k, &t);
	succeed(&k, &t);
	for (unsigned int i = 0; i < 5; i++)
		if (t.back[i] != 1 || t.held[i] > 1)
			fail_msg("state %u of %u: buffer %u came back %u times, was taken %u times",
				 s, cut->nsnap, i, t.back[i], t.held[i]);
	assert_int_equal(t.got, 5);
	down(&k);
}

static void run(const struct vqd_cfg *flavour)
{
	struct vq_chain c[5] = { 0 };
	struct kill k;

	up(&k, flavour);
	prepare(&k, c);
	c[4].cap = SIZE;
	operate_stepped(&k, c);
	for (unsigned int s = 0; s < k.nsnap; s++)
		check_snap(&k, flavour, s);
	down(&k);
}

static void test_kill(void **state)
{
	rig_flavours(SIZE, run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
