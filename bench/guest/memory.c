// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory: what the first touch of a page costs, by steps of 4 KiB and of 2 MiB, and a stream of
 * writes over memory that is there. No page is first touched twice, so each touch test takes memory
 * of its own: half of what is left.
 */
#include "bench/guest/bench.h"

#define STREAM_MAX  (32u << 20)
#define STREAM_STEP 65536u

static uint8_t *at;
static size_t len;   /* of what the test takes, from at on */
static size_t taken; /* by touch tests before */

static void take(struct run *r, size_t least)
{
	size_t left = memory_fresh(&at);

	r->depth = r->size = 0;
	at += taken;
	left = left > taken ? left - taken : 0;
	len = ALIGN_DOWN(left / 2, (size_t)2 << 20);
	if (len < least)
		r->why = "too little memory that was never touched: give the machine more";
}

static void setup_touch(struct run *r)
{
	take(r, 4 << 20);
	if (!r->why)
		taken += len;
}

/* One write makes the page: what follows it is not touched. */
static void touch(struct run *r, size_t step)
{
	size_t off;

	for (off = 0; off < len; off += step) {
		*(volatile uint64_t *)(at + off) = off;
		r->ops++;
		if (!(r->ops & 15) && !run_more(r, rdtsc()))
			break;
	}
}

static void loop_touch_4k(struct run *r)
{
	touch(r, 4096);
}

static void loop_touch_2m(struct run *r)
{
	touch(r, 2 << 20);
}

/* The same memory each time: the end of what is left. */
static void setup_stream(struct run *r)
{
	take(r, 2 << 20);
	if (r->why)
		return;
	at += len;
	len = MIN(len, STREAM_MAX);
}

static void loop_stream(struct run *r)
{
	size_t off = 0;

	do {
		uint8_t *p = at + off;
		uint64_t n = STREAM_STEP / 8;

		__asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(off) : "memory");
		off += STREAM_STEP;
		if (off >= len)
			off = 0;
		r->ops++;
		r->bytes += STREAM_STEP;
	} while (run_more(r, rdtsc()));
}

const struct test memory_tests[] = {
	{ .name = "touch-4k", .setup = setup_touch, .loop = loop_touch_4k },
	{ .name = "touch-2m", .setup = setup_touch, .loop = loop_touch_2m },
	{ .name = "touch-stream",
	  .setup = setup_stream,
	  .loop = loop_stream,
	  .warm = STREAM_MAX / STREAM_STEP,
	  .bytes = true },
	{ .name = NULL },
};
