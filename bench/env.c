// SPDX-License-Identifier: BSD-3-Clause
/* The fingerprint: what must be known of a host to read a figure of it. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench/bench.h"

#define CPUID_HYPERVISOR 0x40000000u /* vendor of the hypervisor in EBX, ECX, EDX */
#define LOAD_MAX	 1e6
#define VULNERABILITIES	 "/sys/devices/system/cpu/vulnerabilities"

/* A field of a file with lines "key : value"; false when it is not there. */
static bool field(const char *text, const char *key, char *out, size_t size)
{
	size_t n = strlen(key), end;
	const char *p, *v;

	for (p = text; *p; p += end + (p[end] == '\n')) {
		end = strcspn(p, "\n");
		if (strncmp(p, key, n))
			continue;
		v = p + n + strspn(p + n, " \t");
		if (*v != ':')
			continue;
		v += 1 + strspn(v + 1, " \t");
		snprintf(out, size, "%.*s", (int)MIN((size_t)(p + end - v), size - 1), v);
		return true;
	}
	return false;
}

/* A number from 0 up at the start of a text; what is none was not measured, and is no 0. */
static bool number(const char *text, double *out)
{
	size_t n = strspn(text, "0123456789.");
	char *end;

	*out = strtod(text, &end);
	/* the length also keeps it finite */
	return n && n < 16 && end == text + n && (!*end || strchr(" \t\n", *end));
}

/* A text file as one value; nothing when it is not there. */
static bool file_env(struct sys *s, struct bench_result *r, const char *key, const char *path)
{
	char buf[BENCH_TEXT_SIZE];

	if (sys_file_read(s, buf, sizeof(buf), "%s", path) <= 0)
		return false;
	(void)!bench_env_str(r, key, "%s", buf);
	return true;
}

static void num_env(struct sys *s, struct bench_result *r, const char *key, const char *path)
{
	uint64_t v;

	if (!sys_file_read_u64(s, &v, "%s", path))
		(void)!bench_env_num(r, key, (double)v);
}

/* An emulated processor says so; everything it times is the emulator's. */
static bool hypervisor(char vendor[13])
{
	unsigned int a, b, c, d;

	vendor[0] = 0;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 31))
		return false;
	__cpuid(CPUID_HYPERVISOR, a, b, c, d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &c, 4);
	memcpy(vendor + 8, &d, 4);
	vendor[12] = 0;
	return true;
}

static void cpu_env(struct sys *s, struct bench_result *r, struct bench_facts *f)
{
	/* cpuinfo of a large host is long, and its first processor says it all */
	char text[8192], v[200];
	int n, fd = sys_open(s, "/proc/cpuinfo", 0, 0);

	n = fd >= 0 ? (int)sys_read(s, fd, text, sizeof(text) - 1) : -1;
	sys_close(s, &fd);
	text[MAX(n, 0)] = 0;
	if (field(text, "model name", v, sizeof(v)))
		(void)!bench_env_str(r, "cpu", "%s", v);
	if (field(text, "microcode", v, sizeof(v)))
		(void)!bench_env_str(r, "microcode", "%s", v);
	(void)!bench_env_num(r, "cpus", f->cpus);
	if (hypervisor(v)) {
		(void)!bench_env_str(r, "hypervisor", "%s", v);
		f->tcg = !strncmp(v, "TCG", 3);
	}
	if (sys_file_read(s, f->governor, sizeof(f->governor),
			  "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") > 0)
		(void)!bench_env_str(r, "governor", "%s", f->governor);
	else
		f->governor[0] = 0;
	file_env(s, r, "turbo-off", "/sys/devices/system/cpu/intel_pstate/no_turbo");
	file_env(s, r, "smt", "/sys/devices/system/cpu/smt/control");
}

static int mitigation_env(void *arg, const char *name)
{
	void **a = arg;
	char key[80], path[200];

	snprintf(key, sizeof(key), "vulnerability-%.40s", name);
	snprintf(path, sizeof(path), VULNERABILITIES "/%.100s", name);
	file_env(a[0], a[1], key, path);
	return 0;
}

static void kernel_env(struct sys *s, struct bench_result *r)
{
	void *arg[] = { s, r };
	struct utsname u;

	if (!uname(&u))
		(void)!bench_env_str(r, "kernel", "%s %s", u.release, u.version);
	file_env(s, r, "kernel-cmdline", "/proc/cmdline");
	(void)!s->ops->listdir(s, VULNERABILITIES, mitigation_env, arg);
	file_env(s, r, "clocksource",
		 "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* The kinds are those that 'sluice ctl stat' tells as "accel"; read here before a machine is there.
 */
static void kvm_env(struct sys *s, struct bench_result *r, struct bench_facts *f)
{
	const char *kind = "none";
	char v[8];

	f->no_kvm = !sys_exists(s, "/dev/kvm");
	f->software_kvm = sys_exists(s, "/sys/module/kvm_pvm");
	if (f->software_kvm)
		kind = "kvm_pvm, software";
	else if (sys_exists(s, "/sys/module/kvm_amd"))
		kind = "kvm_amd";
	else if (sys_exists(s, "/sys/module/kvm_intel"))
		kind = "kvm_intel";
	else if (!f->no_kvm)
		kind = "kvm";
	(void)!bench_env_str(r, "kvm", "%s", kind);
	if (sys_file_read(s, v, sizeof(v), "/sys/module/kvm_amd/parameters/npt") > 0)
		(void)!bench_env_str(r, "nested-paging", "%s", v);
	if (sys_file_read(s, v, sizeof(v), "/sys/module/kvm_intel/parameters/ept") > 0)
		(void)!bench_env_str(r, "nested-paging", "%s", v);
	num_env(s, r, "halt-poll-ns", "/sys/module/kvm/parameters/halt_poll_ns");
}

static void memory_env(struct sys *s, struct bench_result *r)
{
	char text[8192], v[64];
	double n;

	if (sys_file_read(s, text, sizeof(text), "/proc/meminfo") > 0) {
		if (field(text, "MemTotal", v, sizeof(v)))
			(void)!bench_env_str(r, "memory", "%s", v);
		if (field(text, "HugePages_Free", v, sizeof(v)) && number(v, &n))
			(void)!bench_env_num(r, "hugepages-free", n);
		if (field(text, "Hugepagesize", v, sizeof(v)))
			(void)!bench_env_str(r, "hugepage-size", "%s", v);
	}
	file_env(s, r, "thp", "/sys/kernel/mm/transparent_hugepage/enabled");
	file_env(s, r, "thp-shmem", "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
	file_env(s, r, "numa-distance", "/sys/devices/system/node/node0/distance");
}

static void build_env(struct bench_result *r, struct bench_facts *f)
{
#ifdef __OPTIMIZE__
	f->debug = false;
#else
	f->debug = true;
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	f->sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	f->sanitized = true;
#endif
#endif
	(void)!bench_env_str(r, "build", "%s%s", f->debug ? "debug" : "optimized",
			     f->sanitized ? ", sanitizers" : "");
	(void)!bench_env_str(r, "compiler", "%s", __VERSION__);
}

static void wish_env(const struct bench_cfg *c, struct bench_result *r)
{
	(void)!bench_env_str(r, "guest", c->on_linux ? "linux" : "payload");
	(void)!bench_env_num(r, "guest-memory", (double)c->memory);
	(void)!bench_env_str(r, "guest-page", "%s", c->page);
	if (c->ops)
		(void)!bench_env_num(r, "operations", (double)c->ops);
	else
		(void)!bench_env_num(r, "seconds", c->seconds);
	(void)!bench_env_num(r, "runs", c->runs);
	(void)!bench_env_num(r, "queues", 1);
	if (c->cpu >= 0)
		(void)!bench_env_str(r, "pinning", "vCPU on %d, I/O and backend on %d", c->cpu,
				     c->io_cpu);
	else
		(void)!bench_env_str(r, "pinning", "none");
	if (c->topics & 1u << BENCH_DISK)
		(void)!bench_env_str(r, "disk", "%s", c->disk_path);
	if (c->topics & 1u << BENCH_NET && c->net_tap)
		(void)!bench_env_str(r, "tap", "%s", c->net_tap);
	if (c->topics & 1u << BENCH_NET && c->net_pf)
		(void)!bench_env_str(r, "net-pf", "%s", c->net_pf);
}

static int load_env(struct sys *s, struct bench_result *r)
{
	char text[128];
	double n;

	if (sys_file_read(s, text, sizeof(text), "/proc/loadavg") <= 0 || !number(text, &n))
		return -1;
	(void)!bench_env_num(r, "load", n);
	return (int)(MIN(n, LOAD_MAX) * 100);
}

static int cpu_count(void *arg, const char *name)
{
	*(int *)arg += !strncmp(name, "cpu", 3) && name[3] >= '0' && name[3] <= '9';
	return 0;
}

/* What a clock counts is asked last, since it takes a moment. */
static void clock_env(struct sys *s, const struct bench_cfg *c, struct bench_result *r,
		      struct bench_facts *f)
{
	f->counting = c->counting && !bench_clock_check(s, f, &f->clock);
	(void)!bench_env_str(r, "clock", "%s", f->counting ? "instructions, 1 ns each" : "time");
}

void bench_env_fill(struct sys *s, const struct bench_cfg *c, struct bench_result *r,
		    struct bench_facts *f)
{
	*f = (struct bench_facts){ 0 };
	(void)!s->ops->listdir(s, "/sys/devices/system/cpu", cpu_count, &f->cpus);
	cpu_env(s, r, f);
	kernel_env(s, r);
	kvm_env(s, r, f);
	memory_env(s, r);
	build_env(r, f);
	wish_env(c, r);
	f->load = load_env(s, r);
	clock_env(s, c, r, f);
}

int64_t bench_steal(struct sys *s)
{
	long long v[8];
	char text[256];
	int n = 0, fd = sys_open(s, "/proc/stat", 0, 0);

	if (fd < 0)
		return -1;
	/* "cpu user nice system idle iowait irq softirq steal", the first line */
	n = (int)sys_read(s, fd, text, sizeof(text) - 1);
	sys_close(s, &fd);
	text[MAX(n, 0)] = 0;
	n = sscanf(text, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", v, v + 1, v + 2, v + 3,
		   v + 4, v + 5, v + 6, v + 7);
	return n == 8 && v[7] >= 0 ? v[7] : -1;
}
