// SPDX-License-Identifier: BSD-3-Clause
/*
 * Counters of a running machine, read twice: before and after a load, while the guest waits for a
 * byte on its serial port. What there is no honest source for stays BENCH_NONE:
 *
 * - exits: our own machine tells them over its control socket, in user space by reason and KVM's
 * own counters beside. For another VMM, KVM's directory in debugfs, when it is mounted.
 * - CPU time: the scheduler's account of each thread, in nanoseconds.
 * - system calls: the tracepoint behind each, counted by perf for each thread.
 * - pages: what the kernel says of the mapping that is the guest's memory.
 */
#include "bench/bench.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/ctl.h"

/* Accesses to the serial port that the lines around a load can take. Where there are more, the port
 * itself is what the load is about. */
#define LINES_MAX ((int64_t)300)

#define DEBUGFS_KVM "/sys/kernel/debug/kvm"

static const char *const tracefs[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

/* ---- exits ---- */

static void exit_set(struct bench_counts *c, const char *reason, int64_t n)
{
	struct bench_exit *x = &c->exit[c->n_exit];

	if (c->n_exit == ARRAY_SIZE(c->exit))
		return;
	snprintf(x->reason, sizeof(x->reason), "%s", reason);
	x->count = MAX(n, (int64_t)0);
	c->n_exit++;
}

/* Accesses to the serial port: the lines of the guest itself, which are no part of a load. */
static void serial_of(const json_t *data, struct bench_counts *out)
{
	const json_t *r;
	size_t i;

	json_array_foreach (json_object_get(data, "regions"), i, r) {
		const char *name = json_string_value(json_object_get(r, "name"));

		if (!name || strncmp(name, "serial", 6))
			continue;
		out->serial += json_integer_value(json_object_get(r, "reads")) +
			       json_integer_value(json_object_get(r, "writes"));
	}
}

/* Sum over the vCPUs of one of KVM's counters; *known: KVM has it. */
static int64_t kvm_sum(const json_t *data, const char *name, bool *known)
{
	const json_t *v, *n;
	int64_t sum = 0;
	size_t i;

	json_array_foreach (json_object_get(data, "vcpus"), i, v) {
		n = json_object_get(json_object_get(v, "accel"), name);
		*known |= json_is_integer(n);
		sum += json_integer_value(n);
	}
	return sum;
}

/*
 * Reasons that went to user space have their own names. KVM's total holds those and the ones it
 * served itself; of the latter "halt" and "irq" are told apart. io_exits holds both kinds of port
 * I/O where KVM counts it at all.
 */
void bench_count_stat(const json_t *data, struct bench_counts *out)
{
	const json_t *exits = json_object_get(data, "exits"), *v;
	int64_t user = 0, all, halt, irq, io;
	bool known = false, dummy = false;
	const char *reason;

	out->exits_known = json_is_object(exits);
	json_object_foreach ((json_t *)exits, reason, v) {
		int64_t n = json_integer_value(v);

		if (!strcmp(reason, "total"))
			continue;
		user += n;
		if (n || !strcmp(reason, "pio") || !strcmp(reason, "mmio"))
			exit_set(out, reason, n);
	}
	serial_of(data, out);
	all = kvm_sum(data, "exits", &known);
	if (known) {
		halt = kvm_sum(data, "halt_exits", &dummy);
		irq = kvm_sum(data, "irq_exits", &dummy);
		io = kvm_sum(data, "io_exits", &dummy) -
		     json_integer_value(json_object_get(exits, "pio"));
		io = MAX(io, (int64_t)0);
		exit_set(out, "kernel-pio", io);
		exit_set(out, "kernel-halt", halt);
		exit_set(out, "kernel-irq", irq);
		exit_set(out, "kernel-other", all - user - io - halt - irq);
	}
	known = false;
	out->interrupts = kvm_sum(data, "irq_injections", &known);
	if (!known)
		out->interrupts = BENCH_NONE;
}

static void stat_read(struct bench_probe *p, struct bench_counts *out)
{
	json_t *req = json_pack("{s:s}", "command", "stat"), *answer = NULL;

	if (p->ctl >= 0 && req && !ctl_ask(p->sys, p->ctl, req, &answer, NULL))
		bench_count_stat(json_object_get(answer, "data"), out);
	json_decref(req);
	json_decref(answer);
}

struct kvm_dir {
	char name[64], want[24];
};

static int kvm_dir_find(void *arg, const char *name)
{
	struct kvm_dir *d = arg;

	if (strncmp(name, d->want, strlen(d->want)))
		return 0;
	snprintf(d->name, sizeof(d->name), "%s", name);
	return 1;
}

/* KVM's directory of a machine is named after the process and a descriptor: "1234-12". */
static void debugfs_read(struct bench_probe *p, struct bench_counts *out)
{
	static const struct {
		const char *file, *reason;
	} parts[] = { { "io_exits", "pio" },
		      { "mmio_exits", "mmio" },
		      { "halt_exits", "kernel-halt" },
		      { "irq_exits", "kernel-irq" } };
	struct kvm_dir d = { { 0 }, { 0 } };
	uint64_t all, n, sum = 0;
	unsigned int i;

	snprintf(d.want, sizeof(d.want), "%d-", (int)p->pid);
	if (p->sys->ops->listdir(p->sys, DEBUGFS_KVM, kvm_dir_find, &d) != 1 ||
	    sys_file_read_u64(p->sys, &all, DEBUGFS_KVM "/%s/exits", d.name))
		return;
	out->exits_known = true;
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		if (sys_file_read_u64(p->sys, &n, DEBUGFS_KVM "/%s/%s", d.name, parts[i].file))
			continue;
		exit_set(out, parts[i].reason, (int64_t)n);
		sum += n;
	}
	exit_set(out, "kernel-other", (int64_t)(all - MIN(sum, all)));
	if (!sys_file_read_u64(p->sys, &n, DEBUGFS_KVM "/%s/irq_injections", d.name))
		out->interrupts = (int64_t)n;
}

/* ---- CPU time ---- */

static int task_add(void *arg, const char *name)
{
	struct bench_threads *t = arg;

	if (t->n < ARRAY_SIZE(t->tid))
		t->tid[t->n++] = atoi(name);
	return 0;
}

/* What a thread is for, by its name: ours are "vcpu0", QEMU's "CPU 0/KVM". */
static enum bench_cpu task_kind(struct sys *s, pid_t pid, int tid)
{
	char comm[32];

	if (sys_file_read(s, comm, sizeof(comm), "/proc/%d/task/%d/comm", (int)pid, tid) > 0 &&
	    (!strncmp(comm, "vcpu", 4) || !strncmp(comm, "CPU ", 4)))
		return BENCH_CPU_VCPU;
	return BENCH_CPU_IO;
}

void bench_threads(struct sys *s, pid_t pid, struct bench_threads *t)
{
	char path[64];
	unsigned int i;

	t->n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	(void)!s->ops->listdir(s, path, task_add, t);
	for (i = 0; i < t->n; i++)
		t->kind[i] = task_kind(s, pid, t->tid[i]);
}

static void cpu_of(struct sys *s, pid_t pid, bool backend, struct bench_counts *out)
{
	struct bench_threads t;
	char buf[128];
	unsigned int i;

	bench_threads(s, pid, &t);
	for (i = 0; i < t.n; i++) {
		enum bench_cpu k = backend ? BENCH_CPU_BACKEND : t.kind[i];

		/* "on-cpu waiting slices", the first two in nanoseconds */
		if (sys_file_read(s, buf, sizeof(buf), "/proc/%d/task/%d/schedstat", (int)pid,
				  t.tid[i]) <= 0)
			continue;
		out->cpu_ns[k] = MAX(out->cpu_ns[k], (int64_t)0) + strtoll(buf, NULL, 10);
	}
}

/* ---- pages ---- */

static uint64_t smaps_kib(const char *line, const char *key)
{
	size_t n = strlen(key);

	return strncmp(line, key, n) ? 0 : strtoull(line + n, NULL, 10);
}

/* "7f12-7f34 rw-s 00000000 00:01 42 /memfd:ram": is it a mapping that others may share? */
static bool smaps_shared(const char *line, bool *shared)
{
	char perms[5] = "";

	if (sscanf(line, "%*x-%*x %4s", perms) != 1)
		return false;
	*shared = perms[3] == 's';
	return true;
}

/*
 * The guest's memory is the shared mapping of its size, or the largest piece of that: pages of a
 * hugepage pool say so in KernelPageSize; transparent ones are counted beside the mapping, and half
 * of it will do.
 */
int64_t bench_page_size(FILE *smaps, uint64_t memory)
{
	uint64_t size = 0, page = 0, huge = 0;
	int64_t found = BENCH_NONE;
	bool shared = false;
	char line[512];

	while (fgets(line, sizeof(line), smaps)) {
		if (smaps_shared(line, &shared)) {
			size = page = huge = 0;
			continue;
		}
		size += smaps_kib(line, "Size:");
		page += smaps_kib(line, "KernelPageSize:");
		huge += smaps_kib(line, "AnonHugePages:") + smaps_kib(line, "ShmemPmdMapped:");
		if (shared && page && size >= memory / 2048 && !strncmp(line, "VmFlags:", 8))
			found = huge > size / 2 ? (int64_t)MIB(2) : (int64_t)(page * 1024);
	}
	return found;
}

static int64_t page_size_of(pid_t pid, uint64_t memory)
{
	int64_t found = BENCH_NONE;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (f) {
		found = bench_page_size(f, memory);
		fclose(f);
	}
	return found;
}

/* ---- system calls ---- */

static int perf_open(uint64_t id, int tid)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(a),
		.config = id,
	};

	return (int)syscall(SYS_perf_event_open, &a, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static bool perf_add(struct bench_probe *p, uint64_t id, pid_t pid)
{
	struct bench_threads t;
	unsigned int i;

	if (!pid)
		return true;
	bench_threads(p->sys, pid, &t);
	for (i = 0; i < t.n && p->n_perf < BENCH_THREADS_MAX; i++) {
		p->perf[p->n_perf] = perf_open(id, t.tid[i]);
		if (p->perf[p->n_perf] < 0)
			return false;
		p->n_perf++;
	}
	return t.n;
}

void bench_probe_start(struct bench_probe *p)
{
	bool ok = false;
	unsigned int i;
	uint64_t id;

	bench_probe_stop(p); /* a guest may say "start" and "start" again */
	p->n_perf = 0;
	for (i = 0; i < ARRAY_SIZE(tracefs) && !ok; i++)
		ok = !sys_file_read_u64(p->sys, &id, "%s/events/raw_syscalls/sys_enter/id",
					tracefs[i]);
	ok = ok && perf_add(p, id, p->pid) && perf_add(p, id, p->backend);
	if (!ok) {
		bench_probe_stop(p);
		p->n_perf = -1;
	}
}

void bench_probe_stop(struct bench_probe *p)
{
	while (p->n_perf > 0)
		close(p->perf[--p->n_perf]);
}

static int64_t perf_sum(const struct bench_probe *p)
{
	int64_t sum = 0;
	uint64_t v;
	int i;

	if (p->n_perf <= 0)
		return BENCH_NONE;
	for (i = 0; i < p->n_perf; i++) {
		if (read(p->perf[i], &v, sizeof(v)) != (ssize_t)sizeof(v))
			return BENCH_NONE;
		sum += (int64_t)v;
	}
	return sum;
}

/* ---- all of it ---- */

void bench_count(struct bench_probe *p, struct bench_counts *out)
{
	unsigned int k;

	*out = (struct bench_counts){ .interrupts = BENCH_NONE, .instructions = BENCH_NONE };
	for (k = 0; k < BENCH_CPUS; k++)
		out->cpu_ns[k] = BENCH_NONE;
	if (p->vmm == BENCH_SLUICE)
		stat_read(p, out);
	else
		debugfs_read(p, out);
	cpu_of(p->sys, p->pid, false, out);
	if (p->backend)
		cpu_of(p->sys, p->backend, true, out);
	out->syscalls = perf_sum(p);
	out->page_size = page_size_of(p->pid, p->memory);
}

static int64_t delta(int64_t a, int64_t b)
{
	return a < 0 || b < 0 ? BENCH_NONE : MAX(b - a, (int64_t)0);
}

static int64_t exit_get(const struct bench_counts *c, const char *reason)
{
	unsigned int i;

	for (i = 0; i < c->n_exit; i++)
		if (!strcmp(c->exit[i].reason, reason))
			return c->exit[i].count;
	return 0;
}

void bench_count_delta(const struct bench_counts *a, const struct bench_counts *b,
		       struct bench_sample *out)
{
	const int64_t lines = MIN(b->serial - a->serial, LINES_MAX);
	unsigned int i;

	out->exits_known = a->exits_known && b->exits_known;
	for (i = 0; out->exits_known && i < b->n_exit; i++) {
		int64_t n = delta(exit_get(a, b->exit[i].reason), b->exit[i].count);

		if (!strcmp(b->exit[i].reason, "pio"))
			n = MAX(n - lines, (int64_t)0);
		(void)!bench_sample_exit(out, b->exit[i].reason, n);
	}
	out->interrupts = delta(a->interrupts, b->interrupts);
	out->syscalls = delta(a->syscalls, b->syscalls);
	if (out->syscalls >= 0) /* the way back from each of those accesses is one */
		out->syscalls = MAX(out->syscalls - lines, (int64_t)0);
	out->page_size = b->page_size;
	/* A load that took none was not measured. */
	out->instructions = delta(a->instructions, b->instructions) ?: BENCH_NONE;
	for (i = 0; i < BENCH_CPUS; i++)
		out->cpu_ns[i] = delta(a->cpu_ns[i], b->cpu_ns[i]);
}
