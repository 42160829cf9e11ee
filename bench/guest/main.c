// SPDX-License-Identifier: BSD-3-Clause
/*
 * The benchmark's guest: runs the tests that its command line names and reports on the serial line.
 *
 *	tests=NAME[,NAME...] seconds=S|ops=N depth=D size=BYTES ring=0|3 sync=0|1 exit=PORT seed=N
 *
 *	SLUICE-BENCH 1
 *	info KEY=VALUE ...
 *	start test=NAME
 *	stop test=NAME
 *	result test=NAME ops=N ns=N bytes=N p50_ns=N p99_ns=N p999_ns=N max_ns=N errors=N
 *	hist test=NAME UPPER_NS:COUNT ...
 *	skip test=NAME reason=TEXT
 *	end status=0
 *
 * With sync=1 it waits for a byte of serial input after "start" and after "stop", so that whoever
 * runs it can read counters in between. A test that cannot run is skipped; nothing waits for ever.
 */
#include "bench/guest/bench.h"

#define OPS_SECONDS  120u /* with ops=, no test takes longer */
#define WARM_SECONDS 5u
#define SLOW_LOOP    50u /* cycles for an instruction: a software KVM takes hundreds */
#define LOOP	     10000u

void bench_start(const struct start_info *si);

static const struct test *const groups[] = { exit_tests, irq_tests, memory_tests, disk_tests,
					     net_tests };
static struct hist hist;

static void skip(const struct test *t, const char *name, const char *why)
{
	unsigned int n = 0;
	char word[40];

	/* A name from the command line ends at its comma. */
	while (name[n] && name[n] != ',' && name[n] != ' ' && n < sizeof(word) - 1) {
		word[n] = name[n];
		n++;
	}
	word[n] = 0;
	line_text("skip test=");
	line_text(t ? t->name : word);
	line_text(" reason=");
	line_text(why);
	line_end();
}

/* A point at which the runner may read counters. */
static void mark(const char *what, const struct run *r)
{
	line_text(what);
	line_text(" test=");
	line_text(r->test->name);
	line_end();
	if (r->args->sync && !serial_wait()) {
		line_text("info sync=timeout");
		line_end();
	}
}

/* Each test starts from an empty arena and a device that it resets. */
static void setup(void *arg)
{
	struct run *r = arg;

	arena_reset();
	r->why = NULL;
	r->depth = r->args->depth;
	r->size = r->args->size;
	r->test->setup(r);
	r->set_up = true;
}

/* The loop between two looks at the clock, in its ring. */
static void timed(void *arg)
{
	struct run *r = arg;

	r->begin = rdtsc();
	r->test->loop(r);
	r->end = rdtsc();
}

/* Some machines do not let ring 3 at the ports or registers: then ring 0 it is, and info says so.
 */
static bool in_ring(void (*fn)(void *), struct run *r)
{
	if (enter(fn, r, r->ring, false) == ENTER_DONE)
		return true;
	if (r->ring == 0)
		return false;
	r->ring = 0;
	return enter(fn, r, 0, false) == ENTER_DONE;
}

/* Run the loop, for so many operations and so long; false: an exception ended it. */
static bool loop_for(struct run *r, uint64_t ops, uint64_t seconds)
{
	r->ops = r->bytes = r->errors = 0;
	memset(r->hist, 0, sizeof(*r->hist));
	r->max_ops = ops;
	r->until = rdtsc() + seconds * tsc_hz;
	if (!r->test->enters)
		return in_ring(timed, r);
	timed(r);
	return true;
}

/* Set up and warmed up; else the reason why not. */
static const char *prepare(struct run *r)
{
	if (!in_ring(setup, r) || !r->set_up)
		return "an exception while the device was set up";
	if (r->why)
		return r->why;
	if (!r->test->warm)
		return NULL;
	if (!loop_for(r, r->test->warm, WARM_SECONDS))
		return r->why ? r->why : "an exception during the warm-up";
	if (r->why)
		return r->why;
	return r->silent ? "the device did not answer during the warm-up" : NULL;
}

static void info_of(const struct run *r)
{
	line_text("info test=");
	line_text(r->test->name);
	line_kv("ring", r->ring);
	if (r->device) {
		line_text(" device=");
		line_text(r->device);
	}
	if (r->depth)
		line_kv("depth", r->depth);
	if (r->size)
		line_kv("size", r->size);
	line_end();
}

static void run_test(const struct test *t, const struct args *a)
{
	struct run r = { .test = t,
			 .args = a,
			 .hist = &hist,
			 .ring = t->ring0 ? 0 : a->ring,
			 .stall = 2 * tsc_hz,
			 .rng = a->seed * 0x9e3779b97f4a7c15ull | 1 };
	const char *why = prepare(&r);
	bool ok;

	if (why) {
		skip(t, t->name, why);
	} else {
		info_of(&r);
		mark("start", &r);
		ok = loop_for(&r, a->ops ? a->ops : UINT64_MAX, a->ops ? OPS_SECONDS : a->seconds);
		mark("stop", &r);
		if (ok)
			report_result(&r);
		else
			skip(t, t->name, "an exception in the measured loop");
	}
	if (t->finish && r.set_up)
		t->finish(&r);
}

/* Is s, up to a comma or space, this name? */
static bool is_word(const char *s, const char *name)
{
	while (*name && *s == *name)
		s++, name++;
	return !*name && (!*s || *s == ',' || *s == ' ');
}

static const struct test *find(const char *s)
{
	const struct test *t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (t = groups[i]; t->name; t++)
			if (is_word(s, t->name))
				return t;
	return NULL;
}

static void args_read(const char *cmdline, struct args *a)
{
	*a = (struct args){
		.cmdline = cmdline,
		.tests = arg_text(cmdline, "tests"),
		.seconds = arg_number(cmdline, "seconds", 1),
		.ops = arg_number(cmdline, "ops", 0),
		.seed = arg_number(cmdline, "seed", 1),
		.depth = (uint32_t)arg_number(cmdline, "depth", 1),
		.size = (uint32_t)arg_number(cmdline, "size", 0),
		.ring = arg_number(cmdline, "ring", 0) ? 3 : 0,
		.sync = arg_number(cmdline, "sync", 0),
		.exit_port = (uint16_t)arg_number(cmdline, "exit", 0),
	};
}

bool ring0_emulated(void)
{
	uint64_t t = rdtsc(), n = LOOP;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
	return (rdtsc() - t) / (2 * LOOP) >= SLOW_LOOP;
}

static void info_machine(const struct args *a)
{
	uint32_t r[4], sig[4] = { 0 };

	cpuid(1, 0, r);
	if (r[2] >> 31) {
		cpuid(0x40000000, 0, r);
		sig[0] = r[1], sig[1] = r[2], sig[2] = r[3];
	}
	line_text("info");
	line_kv("ring", a->ring);
	line_text(ring0_emulated() ? " ring0=emulated" : " ring0=native");
	line_text(" hypervisor=");
	line_text(sig[0] ? (const char *)sig : "none");
	line_kv("ram", memory_size());
	line_text(" config=");
	line_text(pci_init() ? "ecam" : "ports");
	line_end();
}

void bench_start(const struct start_info *si)
{
	struct args a;
	const char *s;

	serial_init();
	line_text("SLUICE-BENCH 1");
	line_end();
	cpu_init(si);
	args_read(cpu_cmdline(si), &a);
	info_machine(&a);
	tsc_init();
	for (s = a.tests; s && *s && *s != ' ' && tsc_hz;) {
		const struct test *t = find(s);

		if (t)
			run_test(t, &a);
		else
			skip(NULL, s, "there is no such test");
		while (*s && *s != ' ' && *s != ',')
			s++;
		if (*s == ',')
			s++;
	}
	power_off(a.exit_port, tsc_hz ? 0 : 1);
}
