// SPDX-License-Identifier: BSD-3-Clause
/*
 * What makes a comparison unfair. Rules that look before the run can refuse it; those that look at
 * what was measured warn. A refusal that was overruled stays in the result: nothing that is made of
 * it calls its times comparable.
 */
#include <string.h>

#include "bench/bench.h"

/* Returns 1: it counts. */
static unsigned int refuse(struct bench_result *r, const char *about, const char *text)
{
	(void)!bench_warn(r, BENCH_REFUSE, about, "%s", text);
	return 1;
}

static unsigned int fair_build(const struct bench_facts *f, struct bench_result *r)
{
	if (f->sanitized)
		return refuse(r, "build",
			      "this program is built with sanitizers, which cost more than what is "
			      "measured: build without b_sanitize");
	if (f->debug)
		return refuse(r, "build",
			      "this program is built without optimization, its peers are not: use "
			      "--buildtype=debugoptimized or release");
	return 0;
}

/* These hold for all that is measured here, so they refuse times and not the run. */
static void fair_kvm(const struct bench_facts *f, struct bench_result *r)
{
	if (f->tcg)
		(void)!bench_warn(r, BENCH_REFUSE, "kvm",
				  "this host is emulated (TCG): counts can be compared%s, but no "
				  "times",
				  f->counting ? ", and instructions, which its clock counts"
					      : " (and instructions, if its clock counted them)");
	else if (f->software_kvm)
		(void)!bench_warn(
			r, BENCH_WARN, "kvm",
			"this KVM is made of software: what an exit or a page fault costs says "
			"nothing about hardware; counts, and the same mode under two VMMs, compare");
}

/* Not believed: then it is not measured, and whoever relied on it must know. */
static unsigned int fair_clock(const struct bench_facts *f, const struct bench_cfg *c,
			       struct bench_result *r)
{
	if (!c->counting || f->counting)
		return 0;
	(void)!bench_warn(r, BENCH_REFUSE, "clock",
			  "the clock is said to count instructions, but %s", f->clock.text);
	return 1;
}

static unsigned int fair_host(const struct bench_facts *f, const struct bench_cfg *c,
			      struct bench_result *r)
{
	if (f->governor[0] && strcmp(f->governor, "performance"))
		(void)!bench_warn(r, BENCH_WARN, "governor",
				  "the clock's governor is \"%s\": modes that sleep run at a "
				  "lower clock than modes that poll (performance is even)",
				  f->governor);
	if (c->cpu < 0)
		(void)!bench_warn(r, BENCH_WARN, "pinning",
				  "threads are not pinned: the scheduler places each mode anew");
	else if (c->cpu == c->io_cpu)
		(void)!bench_warn(r, BENCH_WARN, "pinning",
				  "vCPU, I/O thread and backend share CPU %d: what one does the "
				  "others wait for, and the backend sleeps where it would poll",
				  c->cpu);
	if (c->topics & 1u << BENCH_NET && c->cpu >= 0 && c->peer_cpu < 0)
		(void)!bench_warn(r, BENCH_NOTE, "peer",
				  "there is no third CPU for the far end of the network: it takes "
				  "its time from the vCPU or the backend");
	/* Where no times are compared, a busy host is no harm. */
	if (f->load < 0 || f->tcg || f->cpus < 1)
		return 0;
	if (f->load > f->cpus * 100)
		return refuse(r, "load",
			      "the host has more to do than it has CPUs: wait until it is quiet");
	if (f->load > f->cpus * 20)
		(void)!bench_warn(r, BENCH_WARN, "load",
				  "the host is busy with something else (load %.2f of %d CPUs)",
				  f->load / 100.0, f->cpus);
	return 0;
}

/* Everything has one queue, but where that is not ours to say. */
static void fair_queues(const struct bench_cfg *c, struct bench_result *r)
{
	const unsigned int net = 1u << BENCH_NET, disk = 1u << BENCH_DISK;

	if (c->topics & net && c->modes & 1u << BENCH_M_VFIO && c->net_pf)
		(void)!bench_warn(r, BENCH_NOTE, "queues",
				  "the network VF has the queues its maker gave it, the other "
				  "modes have one");
	if ((c->topics & net && c->net_socket) || (c->topics & disk && c->disk_socket))
		(void)!bench_warn(r, BENCH_WARN, "backend",
				  "the vhost-user backend is one of yours: whether it is pinned, "
				  "and has the same storage or network behind it, is not known");
}

unsigned int bench_fair_before(const struct bench_facts *f, const struct bench_cfg *c,
			       struct bench_result *r)
{
	unsigned int n = fair_build(f, r);

	if (f->no_kvm)
		n += refuse(r, "kvm", "there is no /dev/kvm");
	fair_kvm(f, r);
	n += fair_clock(f, c, r);
	n += fair_host(f, c, r);
	fair_queues(c, r);
	if (c->runs < 4)
		(void)!bench_warn(r, BENCH_NOTE, "runs",
				  "%u run%s: too few to tell noise from a difference", c->runs,
				  c->runs == 1 ? "" : "s");
	return n;
}

/* The page size of a column is that of its first sample that has one. */
static int64_t page_of(const struct bench_column *c)
{
	size_t i;

	for (i = 0; i < c->n_sample; i++)
		if (c->sample[i].page_size > 0)
			return c->sample[i].page_size;
	return BENCH_NONE;
}

static void fair_pages(struct bench_result *r, const struct bench_test *t)
{
	int64_t first = BENCH_NONE, page;
	size_t i;

	for (i = 0; i < t->n_column; i++) {
		page = page_of(t->column[i]);
		if (page < 0)
			continue;
		if (first >= 0 && page != first) {
			(void)!bench_warn(r, BENCH_WARN, "pages",
					  "%s: the guest's memory is in pages of %lld KiB in one "
					  "column and of %lld KiB in another",
					  t->name, (long long)first >> 10, (long long)page >> 10);
			return;
		}
		first = page;
	}
}

static void fair_errors(struct bench_result *r, const struct bench_test *t)
{
	const struct bench_column *c;
	size_t i, k;

	for (i = 0; i < t->n_column; i++) {
		c = t->column[i];
		for (k = 0; k < c->n_sample && c->sample[k].errors <= 0; k++)
			;
		if (k < c->n_sample)
			(void)!bench_warn(r, BENCH_WARN, "errors",
					  "%s: %s under %s failed %lld operations in round %lld",
					  t->name, c->mode, c->vmm, (long long)c->sample[k].errors,
					  (long long)c->sample[k].round + 1);
	}
}

/* A column that missed rounds saw another host than the others. */
static void fair_rounds(struct bench_result *r, const struct bench_test *t)
{
	size_t i, most = 0, least = SIZE_MAX;

	for (i = 0; i < t->n_column; i++) {
		most = MAX(most, t->column[i]->n_sample);
		least = MIN(least, t->column[i]->n_sample);
	}
	if (least < most)
		(void)!bench_warn(r, BENCH_WARN, "rounds",
				  "%s: not every column took part in every round", t->name);
}

void bench_fair_after(struct bench_result *r, int64_t stolen, uint64_t ns)
{
	size_t i;

	for (i = 0; i < r->n_test; i++) {
		fair_pages(r, r->test[i]);
		fair_errors(r, r->test[i]);
		fair_rounds(r, r->test[i]);
	}
	/* stolen is in hundredths of a second, and 1 % is enough to turn a close race. */
	if (stolen >= 0 && ns && (uint64_t)stolen * 10000000u > ns / 100)
		(void)!bench_warn(r, BENCH_WARN, "steal",
				  "the host itself lost %.1f s of CPU time to others meanwhile",
				  (double)stolen / 100);
}
