/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_GUEST_BENCH_H
#define BENCH_GUEST_BENCH_H

#include "base/util.h"
#include "tests/guest/guest.h"

/*
 * The benchmark's guest: one program, no interrupts but where they are measured, every wait
 * bounded by the time-stamp counter. See main.c for the command line and the protocol.
 */

/* ---- cpu.c: rings, exceptions, memory */

#define ENTER_DONE 0x100u /* enter(): the function returned */
#define IRQ_VECTOR 0x40u

struct start_info; /* PVH */

/** cpu_init() - exceptions, memory map. */
void cpu_init(const struct start_info *si);
const char *cpu_cmdline(const struct start_info *si);

/**
 * enter() - run fn(arg) in ring 0 or 3
 * Any exception or interrupt ends it. Ports are open to ring 3, where the machine allows that.
 * @irqs: interrupts are on meanwhile
 * Return: ENTER_DONE, or the vector.
 */
unsigned int enter(void (*fn)(void *arg), void *arg, unsigned int ring, bool irqs);
extern uint64_t event_tsc, event_rip; /* of the vector */

/** ring0_emulated() - instructions of ring 0 take hundreds of cycles: a software KVM. */
bool ring0_emulated(void);

/** arena_alloc() - zeroed pages of guest memory; NULL: no more. arena_reset() takes all back. */
void *arena_alloc(size_t n);
void arena_reset(void);
/** memory_fresh() - RAM that nothing has touched since the start; its size. */
size_t memory_fresh(uint8_t **at);
uint64_t memory_size(void);

/** map_phys() - device memory, one to one; NULL: out of reach. */
volatile uint8_t *map_phys(uint64_t at, size_t size);
/** msix_first() - vector IRQ_VECTOR behind the first MSI-X entry, local APIC on; false: no MSI-X.
 */
bool msix_first(struct pci_at a);
void irq_eoi(void);

/* ---- tsc.c */
extern uint64_t tsc_hz;
void tsc_init(void);
uint64_t tsc_to_ns(uint64_t cycles);

/* ---- report.c: the serial line */
#define CYCLE_SUB     32u
#define CYCLE_BUCKETS (64 * CYCLE_SUB)

/** struct hist - cycles, log-linear: 32 buckets for each power of two */
struct hist {
	uint64_t n, max;
	uint32_t count[CYCLE_BUCKETS];
};

static inline void hist_add(struct hist *h, uint64_t cycles)
{
	unsigned int top = cycles < CYCLE_SUB ? 0 : 58 - (unsigned int)__builtin_clzll(cycles);

	h->n++;
	h->count[cycles < CYCLE_SUB ? cycles
				    : (top + 1) * CYCLE_SUB + (cycles >> top) - CYCLE_SUB]++;
	if (cycles > h->max)
		h->max = cycles;
}

/** hist_ns() - upper bound of the bucket that holds the value of this rank, of a million. */
uint64_t hist_ns(const struct hist *h, unsigned int of_million);

void line_text(const char *s);
void line_dec(uint64_t v);
void line_hex(uint64_t v);
void line_kv(const char *key, uint64_t v); /* " key=v" */
void line_end(void);			   /* sends it */
/** serial_wait() - one byte from outside; false: none came within a minute. */
bool serial_wait(void);
void serial_init(void);

struct run;
void report_result(const struct run *r);

/* ---- power.c */
void power_off(uint16_t exit_port, int status) __attribute__((noreturn));

/* ---- tests */

struct args {
	const char *cmdline, *tests;
	uint64_t seconds, ops, seed;
	uint32_t depth, size;
	unsigned int ring;
	bool sync;
	uint16_t exit_port;
};

/**
 * struct run - one test as it runs
 * @until:  when the loop ends (TSC); @max_ops: or after so many
 * @stall:  cycles without any progress after which a device is given up
 * @depth, @size: as asked for; setup lowers them to what the device can do
 * @why:    of a skip, set by setup
 * @silent: the device stopped answering
 * @device: what it runs on
 */
struct run {
	const struct test *test;
	const struct args *args;
	uint64_t until, max_ops, stall, rng;
	uint32_t depth, size;
	unsigned int ring;
	uint64_t ops, bytes, errors, begin, end;
	bool set_up, silent;
	const char *why, *device;
	struct hist *hist;
};

/**
 * struct test - a loop to measure
 * @setup:  finds and prepares the device; sets why if it cannot
 * @loop:   until run_more() is false; counts into the run
 * @finish: device to rest; may be NULL
 * @warm:   operations before the measured ones; 0: none
 * @hist:   operations are recorded one by one
 * @ring0:  has no meaning in ring 3; @enters: calls enter() by itself
 */
struct test {
	const char *name;
	void (*setup)(struct run *r);
	void (*loop)(struct run *r);
	void (*finish)(struct run *r);
	unsigned int warm;
	bool hist, bytes, ring0, enters;
};

static inline bool run_more(const struct run *r, uint64_t now)
{
	return now < r->until && r->ops < r->max_ops;
}

/** run_random() - xorshift64*; never the same for two seeds. */
static inline uint64_t run_random(struct run *r)
{
	r->rng ^= r->rng >> 12;
	r->rng ^= r->rng << 25;
	r->rng ^= r->rng >> 27;
	return r->rng * 0x2545f4914f6cdd1dull;
}

extern const struct test exit_tests[], memory_tests[], disk_tests[], net_tests[], irq_tests[];

#endif
