// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupt latency: from the doorbell of a small read to the first instruction of the interrupt's
 * handler. It holds what the device takes as well; disk-read at depth 1, of the same size, tells
 * how much that is.
 */
#include "bench/guest/device.h"

#define SIZE	   4096u
#define ERRORS_MAX 3u

static struct disk disk;
static uint64_t kicked, limit;

static void setup(struct run *r)
{
	r->depth = 1;
	r->size = SIZE;
	r->why = disk_open(&disk, 1, SIZE, true);
	r->device = disk.drv ? disk.drv->name : NULL;
}

/* Rings, and waits to be interrupted. */
static void wait(void *arg)
{
	kicked = rdtsc();
	disk.drv->kick(&disk);
	while (rdtsc() < limit)
		pause();
}

static void one(struct run *r)
{
	bool ok = false, came;

	if (!disk.drv->submit(&disk, 0, DISK_DO_READ, run_random(r) % (disk.bytes / SIZE) * SIZE)) {
		r->errors++;
		return;
	}
	limit = rdtsc() + r->stall;
	came = enter(wait, NULL, r->ring, true) == IRQ_VECTOR;
	if (came) {
		hist_add(r->hist, event_tsc - kicked);
		irq_eoi();
	}
	r->silent = !came;
	/* The completion is written before the interrupt is sent. */
	if (!came || disk.drv->poll(&disk, &ok) < 0 || !ok)
		r->errors++;
}

static void open_door(void *arg)
{
	for (int i = 0; i < 100; i++)
		pause();
}

static void loop(struct run *r)
{
	/* An NVMe controller's admin queue has the same vector: what it sent is not ours. */
	for (int i = 0; i < 4 && enter(open_door, NULL, r->ring, true) == IRQ_VECTOR; i++)
		irq_eoi();
	do {
		one(r);
		r->ops++;
	} while (!r->silent && r->errors < ERRORS_MAX && run_more(r, rdtsc()));
}

static void finish(struct run *r)
{
	if (disk.drv)
		disk.drv->close(&disk);
}

const struct test irq_tests[] = {
	{ .name = "irq-latency",
	  .setup = setup,
	  .loop = loop,
	  .finish = finish,
	  .warm = 4,
	  .hist = true,
	  .enters = true },
	{ .name = NULL },
};
