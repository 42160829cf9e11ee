// SPDX-License-Identifier: BSD-3-Clause
/*
 * Work, where the host's clock counts instructions.
 *
 * An emulator can let its clock advance by one nanosecond for each instruction that its one CPU
 * executes (QEMU's -icount shift=0, the lab's --icount). Time that passes is then work that was
 * done, but for one thing: a CPU that halts executes nothing, and the clock jumps over that to the
 * next timer or interrupt. So
 *
 *	instructions = time that passed - time in the idle loop
 *
 * The kernel's account of its idle loop leaves out the interrupts that were taken in it, which are
 * work, and /proc/timer_list has it in nanoseconds. /proc/stat has it too, in steps of 10 ms, which
 * is ten million instructions; the CPU time of threads has no interrupts that came in between, nor
 * any of the kernel's own threads, so that it says where work was done and not how much.
 *
 * That a clock is of this kind is for the user to say. It is believed when the CPU is alone and
 * emulated, and a loop of known length takes as long as it has instructions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define TIMERS	    "/proc/timer_list"
#define TIMERS_SIZE (1u << 20)
#define LOOPS	    1000000u
#define LOOP_NS	    (2u * LOOPS) /* a decrement and a jump each */
#define TRIES	    5

/* The number of the one line "  .key : N nsecs". False: there is none, or more than one. */
static bool timers_get(const char *text, const char *key, int64_t *out)
{
	const char *p = strstr(text, key);
	char *end;

	if (!p || strstr(p + 1, key))
		return false;
	p += strlen(key);
	p += strspn(p, " \t");
	if (*p != ':')
		return false;
	p += 1 + strspn(p + 1, " \t");
	if (*p < '0' || *p > '9')
		return false;
	errno = 0;
	*out = strtoll(p, &end, 10);
	return !errno && !strncmp(end, " nsecs", 6);
}

int64_t bench_clock_idle(const char *timers)
{
	int64_t idle, io, sum;

	/* more than one CPU has more than one of them */
	if (!timers_get(timers, ".idle_sleeptime", &idle) ||
	    !timers_get(timers, ".iowait_sleeptime", &io) || ckd_add(&sum, idle, io))
		return BENCH_NONE;
	return sum;
}

int64_t bench_clock_work(struct sys *s)
{
	char *text = malloc(TIMERS_SIZE);
	int64_t idle = BENCH_NONE, now;

	if (text && sys_file_read(s, text, TIMERS_SIZE, TIMERS) > 0)
		idle = bench_clock_idle(text);
	free(text);
	now = (int64_t)sys_now_ns(s);
	return idle >= 0 && now >= idle ? now - idle : BENCH_NONE;
}

/* The shortest of a few: an interrupt may come in between. */
static uint64_t loop_ns(struct sys *s)
{
	uint64_t best = UINT64_MAX, t, n;
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		n = LOOPS;
		t = sys_now_ns(s);
		__asm__ volatile("1:\tdec %0\n\tjnz 1b" : "+r"(n) : : "cc");
		best = MIN(best, sys_now_ns(s) - t);
	}
	return best;
}

int bench_clock_check(struct sys *s, const struct bench_facts *f, struct err *e)
{
	uint64_t ns;

	if (f->cpus != 1)
		return err_set(e, -EINVAL,
			       "there are %d CPUs, and such a clock can count the instructions of "
			       "one",
			       f->cpus);
	if (!f->tcg)
		return err_set(e, -EINVAL,
			       "this CPU is not emulated, and a clock of hardware counts no "
			       "instructions");
	ns = loop_ns(s);
	if (ns < LOOP_NS - LOOP_NS / 50 || ns > LOOP_NS + LOOP_NS / 10)
		return err_set(e, -EINVAL, "a loop of %u instructions takes %llu ns by it", LOOP_NS,
			       (unsigned long long)ns);
	if (bench_clock_work(s) < 0)
		return err_set(e, -EINVAL,
			       TIMERS " does not say for how long the CPU was idle (it is for root "
				      "to read)");
	return 0;
}
