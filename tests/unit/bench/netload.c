// SPDX-License-Identifier: BSD-3-Clause
/*
 * Network loads from one end to the other: the runner's boot with its peer, and the program of the
 * Linux guest. In the place of the machine is a script that starts the program in another network
 * namespace, with a pair of interfaces between.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/bench.h"
#include "bench/peer.h"

#define LONG "fourteen-chars"

static char dir[] = "/tmp/bench-test-XXXXXX";
static char exe[64], netload[512];
static pid_t other; /* whose namespace is the guest's */

static const struct bench_load *load(const char *name)
{
	const struct bench_load *l = bench_loads;

	while (strcmp(l->name, name))
		l++;
	return l;
}

/* The machine: for each load, what the guest's script does of it. */
static void script(const struct bench_load *const *l, unsigned int n, unsigned int ops)
{
	FILE *f = fopen(exe, "w");
	unsigned int i;

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\necho SLUICE-BENCH 1\n");
	for (i = 0; i < n; i++)
		fprintf(f, "nsenter -t %d -n %s vb %s %s %u %u %u 1\n", (int)other, netload,
			l[i]->name, l[i]->guest, l[i]->depth, l[i]->size, ops);
	fprintf(f, "echo end status=0\n");
	fclose(f);
	assert_int_equal(chmod(exe, 0755), 0);
}

static int boot(const char *tap, const char *const *names, unsigned int n, unsigned int ops,
		struct bench_result *r, struct err *e)
{
	struct bench_cfg c = { .exe = exe,
			       .kernel = "k",
			       .seconds = 1,
			       .memory = MIB(64),
			       .page = "4K",
			       .on_linux = true,
			       .net_tap = tap,
			       .cpu = -1,
			       .io_cpu = -1,
			       .peer_cpu = -1 };
	struct bench_boot b = { .sys = sys_host(),
				.cfg = &c,
				.side = { BENCH_M_VIRTIO, BENCH_SLUICE },
				.n_loads = n,
				.stop = -1,
				.result = r };
	unsigned int i;

	for (i = 0; i < n; i++)
		b.loads[i] = load(names[i]);
	script(b.loads, n, ops);
	bench_result_init(r, "", "");
	return bench_boot(&b, e);
}

static const struct bench_sample *sample(const struct bench_result *r, const char *name)
{
	const struct bench_test *t = bench_test_find(r, name);
	const struct bench_column *c = t ? bench_column_find(t, "virtio", "sluice") : NULL;

	if (!c || c->n_sample != 1)
		fail_msg("%s: no sample%s%s", name, r->n_skip ? ": " : "",
			 r->n_skip ? r->skip[0].reason : "");
	return c->sample;
}

static void test_all(void **state)
{
	static const char *const names[] = { "net-echo-64", "net-tx-64",  "net-tx-1518",
					     "net-rx-64",   "net-tcp-tx", "net-tcp-rx" };
	struct bench_result r;
	struct err e = { 0 };
	unsigned int i;
	int64_t seen = 0;

	if (boot("va", names, ARRAY_SIZE(names), 50, &r, &e))
		fail_msg("%s", e.text);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const struct bench_sample *s = sample(&r, names[i]);

		/* more may have come than the guest waited for */
		if (strstr(names[i], "rx"))
			assert_true(s->ops >= 50);
		else
			assert_int_equal(s->ops, 50);
		assert_int_equal(s->errors, 0);
		assert_int_equal(s->bytes, s->ops * load(names[i])->size);
		assert_true(s->ns > 0);
	}
	for (i = 0; i < sample(&r, "net-echo-64")->n_hist; i++)
		seen += sample(&r, "net-echo-64")->hist[i].count;
	assert_int_equal(seen, 50);
	assert_true(sample(&r, "net-echo-64")->p50_ns <= sample(&r, "net-echo-64")->p99_ns);
	assert_true(sample(&r, "net-echo-64")->p999_ns > 0);
	assert_int_equal(r.n_skip, 0);
	bench_result_free(&r);
}

/* Loads that end by time. */
static void test_seconds(void **state)
{
	static const char *const names[] = { "net-echo-64", "net-tcp-rx" };
	struct bench_result r;
	struct err e = { 0 };

	if (boot("va", names, ARRAY_SIZE(names), 0, &r, &e))
		fail_msg("%s", e.text);
	assert_true(sample(&r, "net-echo-64")->ns >= 1000000000);
	assert_true(sample(&r, "net-tcp-rx")->ns >= 1000000000);
	assert_int_equal(sample(&r, "net-tcp-rx")->bytes % 65536, 0);
	bench_result_free(&r);
}

/* The host's end cannot do TCP: that load is left out with the reason, the other is there. */
static void test_left_out(void **state)
{
	static const char *const names[] = { "net-tcp-tx", "net-echo-64" };
	struct bench_result r;
	struct err e = { 0 };

	assert_int_equal(system("ip link set va down && ip link set va name " LONG
				" && ip link set " LONG " up"),
			 0);
	if (boot(LONG, names, ARRAY_SIZE(names), 5, &r, &e))
		fail_msg("%s", e.text);
	assert_int_equal(sample(&r, "net-echo-64")->ops, 5);
	assert_int_equal(r.n_skip, 1);
	assert_string_equal(r.skip[0].test, "net-tcp-tx");
	assert_non_null(strstr(r.skip[0].reason, "a shorter name"));
	bench_result_free(&r);
	assert_int_equal(system("ip link set " LONG " down && ip link set " LONG " name va && "
				"ip link set va up"),
			 0);
}

static unsigned int received(const char *ifname)
{
	const struct rtnl_link_stats *stats;
	struct ifaddrs *all, *a;
	unsigned int n = 0;

	assert_int_equal(getifaddrs(&all), 0);
	for (a = all; a; a = a->ifa_next) {
		if (strcmp(a->ifa_name, ifname) || !a->ifa_addr ||
		    a->ifa_addr->sa_family != AF_PACKET)
			continue;
		stats = a->ifa_data;
		n = stats->rx_packets;
	}
	freeifaddrs(all);
	return n;
}

/*
 * A switch that gives a broadcast back to its sender, as that of a card with VFs may: all that the
 * guest sends comes to the host's end all the same.
 */
static void test_mirror(void **state)
{
	static const char *const names[] = { "net-echo-64" };
	struct bench_result r;
	struct err e = { 0 };
	unsigned int before;

	if (system("ip link add br0 type bridge 2>/dev/null"))
		skip();
	assert_int_equal(
		system("ip link set va master br0 && "
		       "ip link set va type bridge_slave hairpin on && ip link set br0 up"),
		0);
	before = received("br0");
	if (boot("br0", names, 1, 50, &r, &e))
		fail_msg("%s", e.text);
	assert_int_equal(sample(&r, "net-echo-64")->ops, 50);
	assert_true(received("br0") - before >= 50);
	bench_result_free(&r);
	assert_int_equal(system("ip link del br0"), 0);
}

static void test_down(void **state)
{
	static const char *const names[] = { "net-echo-64" };
	struct bench_result r;
	struct err e = { 0 };

	assert_int_equal(system("ip link set va down"), 0);
	assert_int_equal(boot("va", names, 1, 5, &r, &e), -ENETDOWN);
	assert_non_null(strstr(e.text, "ip link set va up"));
	bench_result_free(&r);
	assert_int_equal(system("ip link set va up"), 0);
}

/* ---- set-up ---- */

/* A process that does nothing, in a network namespace of its own, until this one ends. */
static pid_t other_start(void)
{
	int p[2];
	pid_t pid;
	char c;

	if (pipe(p))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c = unshare(CLONE_NEWNET) ? 'n' : 'y';
		(void)!write(p[1], &c, 1);
		for (;;)
			pause();
	}
	if (pid < 0 || read(p[0], &c, 1) != 1 || c != 'y')
		pid = -1;
	close(p[0]);
	close(p[1]);
	return pid;
}

static bool wire_make(void)
{
	char cmd[200];

	snprintf(cmd, sizeof(cmd),
		 "ip link add va type veth peer name vb && ip link set vb netns %d && "
		 "ip link set va up && nsenter -t %d -n true",
		 (int)other, (int)other);
	return !system(cmd);
}

static int clean(void **state)
{
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	unlink(exe);
	/* a folder that a boot left in here is not empty */
	return rmdir(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	 cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_left_out), cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_down),
	};

	/* as root or as nobody in particular: who has a namespace rules there */
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 77;
	other = other_start();
	if (other < 0 || !wire_make()) {
		print_message("no second network namespace on this host, or no ip and nsenter\n");
		return 77;
	}
	if (!mkdtemp(dir))
		return 1;
	snprintf(exe, sizeof(exe), "%s/machine", dir);
	snprintf(netload, sizeof(netload), "%.*s/../../bench/netload",
		 (int)(strrchr(argv[0], '/') - argv[0]), argv[0]);
	setenv("TMPDIR", dir, 1);
	return cmocka_run_group_tests(tests, NULL, clean);
}
