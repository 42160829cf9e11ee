// SPDX-License-Identifier: BSD-3-Clause
#include <math.h>
#include <string.h>

#include "bench/cells.h"

static void put(char *buf, size_t size, const char *text)
{
	snprintf(buf, size, "%s", text);
}

static void mode(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	put(buf, size, c->mode);
}

static void vmm(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	put(buf, size, c->vmm);
}

static void figure(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	char n[BENCH_NUM_SIZE];

	put(buf, size, bench_num_figure(n, bench_column_median(c, t->unit, BM_FIGURE), t->unit));
}

static void interval(const struct bench_test *t, const struct bench_column *c, char *buf,
		     size_t size)
{
	char low[BENCH_NUM_SIZE], high[BENCH_NUM_SIZE];
	struct bench_summary s;

	bench_summarise(c, t->unit, BM_FIGURE, &s);
	if (isnan(s.low))
		put(buf, size, "-");
	else
		snprintf(buf, size, "%s to %s", bench_num_figure(low, s.low, t->unit),
			 bench_num_figure(high, s.high, t->unit));
}

static void spread(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	struct bench_summary s;

	bench_summarise(c, t->unit, BM_FIGURE, &s);
	if (s.n < 2 || isnan(s.spread))
		put(buf, size, "-");
	else
		snprintf(buf, size, "%.1f %%", 100 * s.spread);
}

static void runs(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	snprintf(buf, size, "%zu", c->n_sample);
}

static void page(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	char n[BENCH_NUM_SIZE];
	int64_t first = c->n_sample ? c->sample[0].page_size : BENCH_NONE;

	for (size_t i = 1; i < c->n_sample; i++)
		if (c->sample[i].page_size != first) {
			put(buf, size, "mixed");
			return;
		}
	put(buf, size, bench_num_bytes(n, first < 0 ? (double)NAN : (double)first));
}

/* A count or a time for each operation, or a latency. */
#define METRIC(name, num, m)                                                                  \
	static void name(const struct bench_test *t, const struct bench_column *c, char *buf, \
			 size_t size)                                                         \
	{                                                                                     \
		char n[BENCH_NUM_SIZE];                                                       \
                                                                                              \
		put(buf, size, num(n, bench_column_median(c, t->unit, m)));                   \
	}
METRIC(p50, bench_num_ns, BM_P50)
METRIC(p99, bench_num_ns, BM_P99)
METRIC(p999, bench_num_ns, BM_P999)
METRIC(exits_user, bench_num_count, BM_EXITS_USER)
METRIC(exits_all, bench_num_count, BM_EXITS)
METRIC(interrupts, bench_num_count, BM_INTERRUPTS)
METRIC(syscalls, bench_num_count, BM_SYSCALLS)
METRIC(instructions, bench_num_count, BM_INSTRUCTIONS)

static void work(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	bench_times_text(t, c, BM_INSTRUCTIONS, buf, size);
}

static void cpu(const struct bench_test *t, const struct bench_column *c, char *buf, size_t size)
{
	char v[3][BENCH_NUM_SIZE];
	bool any = false;

	for (unsigned int i = 0; i < BENCH_CPUS; i++) {
		double ns = bench_column_median(c, t->unit, BM_CPU_VCPU + i);

		any |= !isnan(ns);
		bench_num_ns(v[i], ns);
	}
	snprintf(buf, size, any ? "%s + %s + %s" : "-", v[0], v[1], v[2]);
}

const struct bench_cell bench_cells[BENCH_CELLS] = {
	{ "mode", "mode of I/O", 16, true, mode },
	{ "vmm", "virtual machine monitor", 15, true, vmm },
	{ "", "median", 14, false, figure },
	{ "95 %", "interval of the median", 8, false, interval },
	{ "spread", "distance of the quartiles", 4, false, spread },
	{ "runs", "samples", 3, false, runs },
	{ "p50", "latency of half of all operations", 12, false, p50 },
	{ "p99", "latency of 99 % of all operations", 11, false, p99 },
	{ "p99.9", "latency of 99.9 % of all operations", 5, false, p999 },
	{ "exits/op", "exits to user space, each operation", 13, false, exits_user },
	{ "all exits/op", "exits of any kind, each operation", 7, false, exits_all },
	{ "irq/op", "interrupts, each operation", 10, false, interrupts },
	{ "syscalls/op", "system calls of VMM and backend, each operation", 9, false, syscalls },
	{ "CPU/op: vCPU + I/O + backend", "host CPU time, each operation", 6, false, cpu },
	{ "instr/op", "instructions of the host, each operation", 13, false, instructions },
	{ "instr ratio", "those against emulated, or else the first mode, with the interval", 12,
	  false, work },
	{ "pages", "size of the host's pages behind guest memory", 1, false, page },
};

bool bench_cell_used(const struct bench_test *t, const struct bench_cell *k)
{
	char buf[2 * BENCH_CELL_SIZE];

	for (size_t i = 0; i < t->n_column; i++) {
		k->text(t, t->column[i], buf, sizeof(buf));
		if (strcmp(buf, "-"))
			return true;
	}
	return false;
}

const char *bench_cell_head(const struct bench_test *t, const struct bench_cell *k)
{
	return *k->head ? k->head : bench_unit_name(t->unit);
}
