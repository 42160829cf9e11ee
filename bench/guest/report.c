// SPDX-License-Identifier: BSD-3-Clause
/*
 * The serial line. A line is put together first and then sent by string output, 16 bytes at a time
 * (the UART's FIFO), so that it costs few exits: what the runner counts between two lines is
 * nearly all the test's.
 */
#include "bench/guest/bench.h"

#define COM1	   0x3f8
#define FCR	   2
#define LCR	   3
#define LSR	   5
#define LSR_DATA   1
#define LSR_EMPTY  0x20
#define FIFO	   16u
#define LINE_MAX   512u
#define LOOKS	   1000000u
#define HIST_PAIRS 16u

/* One line at a time; what does not fit is cut off. */
static char line[LINE_MAX];
static unsigned int used;

void serial_init(void)
{
	outb(COM1 + LCR, 3);	/* 8 bits */
	outb(COM1 + 1, 0);	/* no interrupts */
	outb(COM1 + FCR, 0x01); /* FIFOs on; what is in them stays */
}

static void send(const char *s, unsigned int n)
{
	unsigned int i, part;

	for (; n; n -= part) {
		part = MIN(n, FIFO);
		for (i = 0; !(inb(COM1 + LSR) & LSR_EMPTY) && i < LOOKS; i++)
			pause();
		i = part;
		__asm__ volatile("rep outsb" : "+S"(s), "+c"(i) : "d"(COM1) : "memory");
	}
}

void line_text(const char *s)
{
	for (; *s && used < LINE_MAX - 1; s++)
		line[used++] = *s;
}

void line_dec(uint64_t v)
{
	char buf[21];
	unsigned int i = sizeof(buf) - 1;

	buf[i] = 0;
	do {
		buf[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	line_text(buf + i);
}

void line_hex(uint64_t v)
{
	char buf[19];
	unsigned int i = sizeof(buf) - 1;

	buf[i] = 0;
	do {
		buf[--i] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	buf[--i] = 'x';
	buf[--i] = '0';
	line_text(buf + i);
}

void line_kv(const char *key, uint64_t v)
{
	line_text(" ");
	line_text(key);
	line_text("=");
	line_dec(v);
}

void line_end(void)
{
	line[used++] = '\n';
	send(line, used);
	used = 0;
}

bool serial_wait(void)
{
	uint64_t step = tsc_hz / 200, end = rdtsc() + tsc_hz * 60, next = 0;

	for (;;) {
		uint64_t now = rdtsc();

		if (now > end)
			return false;
		/* A look is an exit: not too many. */
		if (now >= next) {
			if (inb(COM1 + LSR) & LSR_DATA)
				break;
			next = now + step;
		}
		pause();
	}
	(void)inb(COM1);
	return true;
}

/* ---- histograms ---- */

/* The largest number of cycles that bucket i holds. */
static uint64_t upper(unsigned int i)
{
	unsigned int top = i / CYCLE_SUB;

	if (i < CYCLE_SUB)
		return i;
	return (((uint64_t)(i % CYCLE_SUB) + CYCLE_SUB + 1) << (top - 1)) - 1;
}

uint64_t hist_ns(const struct hist *h, unsigned int of_million)
{
	uint64_t want = h->n * of_million / 1000000, seen = 0;
	unsigned int i;

	for (i = 0; i < CYCLE_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want || (seen == h->n && seen))
			return tsc_to_ns(MIN(upper(i), h->max));
	}
	return 0;
}

static void hist_line(const struct run *r)
{
	line_text("hist test=");
	line_text(r->test->name);
}

/* Buckets in rising order, those without an entry left out, 16 on a line. */
static void hist_report(const struct run *r)
{
	uint64_t count, ns;
	unsigned int i = 0, pairs = 0;

	while (i < CYCLE_BUCKETS) {
		if (!r->hist->count[i]) {
			i++;
			continue;
		}
		/* Short times: several buckets of cycles may be one in nanoseconds. */
		ns = tsc_to_ns(upper(i));
		for (count = 0; i < CYCLE_BUCKETS && tsc_to_ns(upper(i)) == ns; i++)
			count += r->hist->count[i];
		if (!pairs++)
			hist_line(r);
		line_text(" ");
		line_dec(ns);
		line_text(":");
		line_dec(count);
		if (pairs == HIST_PAIRS) {
			line_end();
			pairs = 0;
		}
	}
	if (pairs)
		line_end();
}

void report_result(const struct run *r)
{
	line_text("result test=");
	line_text(r->test->name);
	line_kv("ops", r->ops);
	line_kv("ns", tsc_to_ns(r->end - r->begin));
	if (r->test->bytes)
		line_kv("bytes", r->bytes);
	if (r->test->hist && r->hist->n) {
		line_kv("p50_ns", hist_ns(r->hist, 500000));
		line_kv("p99_ns", hist_ns(r->hist, 990000));
		line_kv("p999_ns", hist_ns(r->hist, 999000));
		line_kv("max_ns", tsc_to_ns(r->hist->max));
	}
	line_kv("errors", r->errors);
	line_end();
	if (r->test->hist)
		hist_report(r);
}
