// SPDX-License-Identifier: BSD-3-Clause
/*
 * What does a buffer cost the device's side of a virtqueue? The driver fills the ring, then the
 * device takes and gives back all of it in batches; only the device's part counts. Prints
 * nanoseconds a buffer, the least of several runs, and instructions, counted one by one with the
 * trap flag: those do not depend on what else the machine does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include "virtio/ring/vqd.h"

#define SIZE  256u
#define LAPS  2000u
#define RUNS  7u
#define CAP   8u
#define BATCH 32u

#define TRAP_FLAG 0x100

struct bench {
	uint8_t *ram;
	struct vq_mem mem;
	struct vqd *d;
	struct vq q;
};

struct shape {
	const char *name;
	unsigned int nout, nin;
	bool indirect;
};

/* For the signal handler only. */
static volatile sig_atomic_t stepping;
static volatile uint64_t steps;

static void on_trap(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	if (stepping)
		uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	else
		uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	steps++;
}

static void up(struct bench *b, bool packed, const struct shape *s)
{
	struct vqd_cfg c = {
		.size = SIZE, .packed = packed, .event_idx = true, .indirect = s->indirect
	};
	struct vq_cfg v;

	memset(b, 0, sizeof(*b));
	b->ram = aligned_alloc(4096, 1 << 20);
	c.hva = c.area = b->ram;
	if (!b->ram || vq_mem_add(&b->mem, 0, 1 << 20, b->ram) || vqd_new(&c, &b->d))
		exit(1);
	vqd_addrs(b->d, &v);
	if (vq_start(&b->q, &b->mem, &v))
		exit(1);
}

static void down(struct bench *b)
{
	vqd_free(b->d);
	free(b->ram);
}

static unsigned int fill(struct bench *b, const struct shape *s)
{
	struct iovec iov[CAP];
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->nout + s->nin; i++)
		iov[i] = (struct iovec){ b->ram + (1 << 19) + 2048 * i, 1024 };
	while (!vqd_add(b->d, iov, s->nout, s->nin, b))
		n++;
	(void)!vqd_publish(b->d);
	return n;
}

/* The device's part: all n buffers, batch at a time. */
static void serve(struct bench *b, unsigned int n, unsigned int batch)
{
	struct iovec iov[CAP];
	struct vq_chain c[BATCH];

	while (n) {
		unsigned int k = MIN(n, batch);

		for (unsigned int i = 0; i < k; i++) {
			c[i].iov = iov;
			c[i].cap = CAP;
			if (vq_pop(&b->q, &c[i]) != 1)
				exit(1);
		}
		for (unsigned int i = 0; i < k; i++)
			vq_push(&b->q, &c[i], 64);
		(void)!vq_publish(&b->q);
		n -= k;
	}
}

static void empty(struct bench *b)
{
	uint32_t len;

	while (vqd_get(b->d, &len))
		;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double nanoseconds(struct bench *b, const struct shape *s, unsigned int batch)
{
	uint64_t t = 0, from, bufs = 0;

	for (unsigned int i = 0; i < LAPS; i++) {
		unsigned int n = fill(b, s);

		from = now();
		serve(b, n, batch);
		t += now() - from;
		bufs += n;
		empty(b);
	}
	return (double)t / (double)bufs;
}

static double instructions(struct bench *b, const struct shape *s, unsigned int batch)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	unsigned int n = fill(b, s);

	if (sigaction(SIGTRAP, &sa, NULL))
		exit(1);
	steps = 0;
	stepping = 1;
	raise(SIGTRAP);
	serve(b, n, batch);
	stepping = 0;
	__asm__ volatile("nop; nop");
	empty(b);
	return (double)steps / n;
}

int main(void)
{
	static const struct shape shapes[] = {
		{ "1 readable", 1, 0, false },
		{ "1 writable", 0, 1, false },
		{ "chain of 3", 2, 1, false },
		{ "indirect, 3", 2, 1, true },
	};

	printf("%-8s %-12s %5s %10s %12s\n", "ring", "buffer", "batch", "ns", "instructions");
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(shapes) * 2; i++) {
		const struct shape *s = &shapes[i / 2 % ARRAY_SIZE(shapes)];
		bool packed = i / (2 * ARRAY_SIZE(shapes));
		unsigned int batch = i % 2 ? BATCH : 1;
		double ns = 1e9;
		struct bench b;

		up(&b, packed, s);
		for (unsigned int k = 0; k < RUNS; k++)
			ns = MIN(ns, nanoseconds(&b, s, batch));
		printf("%-8s %-12s %5u %10.1f %12.1f\n", packed ? "packed" : "split", s->name,
		       batch, ns, instructions(&b, s, batch));
		down(&b);
	}
	return 0;
}
