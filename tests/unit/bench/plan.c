// SPDX-License-Identifier: BSD-3-Clause
/* What is run, in which order, with which words; and when a comparison is not fair. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/bench.h"

static void test_order(void **state)
{
	unsigned int n, round, k;

	for (n = 1; n <= 8; n++) {
		unsigned int at[8][8] = { 0 };

		for (round = 0; round < n; round++) {
			unsigned int seen = 0;

			for (k = 0; k < n; k++) {
				unsigned int s = bench_order(n, round, k);

				assert_true(s < n);
				seen |= 1u << s;
				at[s][k]++;
			}
			/* each side once in a round */
			assert_int_equal(seen, (1u << n) - 1);
		}
		/* and once at each position in n rounds */
		for (round = 0; round < n; round++)
			for (k = 0; k < n; k++)
				assert_int_equal(at[round][k], 1);
	}
}

static void test_words(void **state)
{
	unsigned int mask;
	struct err e = { 0 };

	assert_int_equal(bench_mode_parse(&mask, "virtio,emulated", NULL), 0);
	assert_int_equal(mask, 1u << BENCH_M_VIRTIO | 1u << BENCH_M_EMULATED);
	assert_int_equal(bench_mode_parse(&mask, "all", NULL), 0);
	assert_int_equal(mask, 1u << BENCH_M_EMULATED | 1u << BENCH_M_VIRTIO |
				       1u << BENCH_M_VHOST_USER | 1u << BENCH_M_VFIO);
	assert_int_equal(bench_mode_parse(&mask, "virtoi", &e), -EINVAL);
	assert_non_null(strstr(e.text, "did you mean virtio?"));
	assert_int_equal(bench_mode_parse(&mask, "none", NULL), -EINVAL);
	assert_int_equal(bench_mode_parse(&mask, "", NULL), -EINVAL);
	assert_int_equal(bench_mode_parse(&mask, "virtio,", NULL), -EINVAL);
	assert_int_equal(bench_topic_parse(&mask, "disk", NULL), 0);
	assert_int_equal(mask, 1u << BENCH_DISK);
	assert_int_equal(bench_topic_parse(&mask, "disc", NULL), -EINVAL);
}

static struct bench_cfg cfg(void)
{
	return (struct bench_cfg){ .exe = "sluice",
				   .qemu = "qemu",
				   .vhostd = "vhostd",
				   .kernel = "k",
				   .modes = 1u << BENCH_M_EMULATED | 1u << BENCH_M_VIRTIO,
				   .runs = 5,
				   .seconds = 1,
				   .memory = MIB(256),
				   .page = "thp",
				   .disk_path = "a,b",
				   .cpu = 0,
				   .io_cpu = 1 };
}

static void test_only(void **state)
{
	struct bench_cfg c = cfg();
	struct err e = { 0 };

	assert_true(bench_load_wanted(&c, bench_loads));
	c.only = "disk-read-4k-d32,disk-flush";
	assert_false(bench_load_wanted(&c, bench_loads));
	assert_true(bench_load_wanted(&c, bench_loads + 1));
	assert_int_equal(bench_only_check(c.only, NULL), 0);
	assert_int_equal(bench_only_check("disk-flush,disk", &e), -EINVAL);
	assert_non_null(strstr(e.text, "\"disk\"; there are disk-read-4k-d1"));
	assert_int_equal(bench_only_check("", NULL), -EINVAL);
}

static void test_sides(void **state)
{
	struct bench_side s[BENCH_SIDES_MAX];
	struct bench_cfg c = cfg();

	assert_int_equal(bench_sides(&c, BENCH_DISK, s), 2);
	assert_int_equal(s[1].mode, BENCH_M_VIRTIO);
	assert_int_equal(bench_sides(&c, BENCH_CPU_TOPIC, s), 1);
	assert_int_equal(s[0].mode, BENCH_M_NONE);
	c.peer_qemu = true;
	assert_int_equal(bench_sides(&c, BENCH_NET, s), 4);
	assert_int_equal(s[1].vmm, BENCH_QEMU);
}

/* All arguments with blanks between. */
static char *joined(struct bench_args *a)
{
	static char text[4000];
	unsigned int i;

	text[0] = 0;
	assert_false(a->bad);
	for (i = 0; i < a->n; i++) {
		strncat(text, a->v[i], sizeof(text) - strlen(text) - 2);
		strcat(text, " ");
	}
	bench_args_free(a);
	return text;
}

static char *vmm_line(const struct bench_cfg *c, enum bench_mode m, enum bench_vmm v,
		      const struct bench_load *l)
{
	const struct bench_place p = { "/tmp/d",   "/tmp/d/c", "/tmp/d/b",
				       "/tmp/d/l", "w",	       { 2, 0, 0, 0, 0, 0x1a } };
	const struct bench_side s = { m, v };
	struct bench_args a = { 0 };

	bench_vmm_args(c, &s, &l, 1, &p, 1, &a);
	return joined(&a);
}

static void test_args(void **state)
{
	const struct bench_load *l = bench_loads; /* a disk's */
	struct bench_cfg c = cfg();
	char *t = vmm_line(&c, BENCH_M_EMULATED, BENCH_SLUICE, l);

	assert_non_null(strstr(t, "--disk id=bench,mode=emulated,queues=1,path=a,,b "));
	assert_non_null(strstr(t, "--cpus 1,pin=0 --io-threads 1,pin=1 "));
	assert_non_null(strstr(t, "tests=disk-read ring=3 sync=1"));
	t = vmm_line(&c, BENCH_M_EMULATED_SHADOW, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "mode=emulated,shadow-doorbell=on,queues=1"));
	t = vmm_line(&c, BENCH_M_EMULATED_IOEVENTFD, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "mode=emulated,shadow-doorbell=on,ioeventfd=on,queues=1"));
	t = vmm_line(&c, BENCH_M_VHOST_USER, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "mode=vhost-user,queues=1,socket=/tmp/d/b "));
	t = vmm_line(&c, BENCH_M_VFIO, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "mode=vfio,queues=1 ")); /* the planner says what is missing */
	t = vmm_line(&c, BENCH_M_EMULATED, BENCH_QEMU, l);
	assert_non_null(strstr(t, "nvme,drive=n,serial=bench,max_ioqpairs=1,ioeventfd=off"));
	assert_non_null(strstr(t, "file.filename=a,,b"));
	c.disk_path = "null:1G";
	t = vmm_line(&c, BENCH_M_VIRTIO, BENCH_QEMU, l);
	assert_non_null(strstr(t, "driver=null-co,node-name=n,size=1073741824"));
	c.on_linux = true;
	t = vmm_line(&c, BENCH_M_VIRTIO, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "bench.loads=disk-read-4k-d1:disk-read:1:4096"));
}

static char *backend_line(const struct bench_cfg *c, enum bench_topic topic)
{
	const struct bench_place p = { "/tmp/d", "/tmp/d/c", "/tmp/d/b", "/tmp/d/l", "w", { 0 } };
	const struct bench_side s = { BENCH_M_VHOST_USER, BENCH_SLUICE };
	struct bench_args a = { 0 };

	bench_backend_args(c, &s, topic, &p, &a);
	return joined(&a);
}

/* It polls, but not on the one CPU that the guest has as well. */
static void test_backend(void **state)
{
	struct bench_cfg c = cfg();
	char *t = backend_line(&c, BENCH_DISK);

	assert_non_null(strstr(t, "--busy "));
	assert_non_null(strstr(t, "--disk name=bench,socket=/tmp/d/b,path=a,,b "));
	c.io_cpu = c.cpu;
	assert_null(strstr(backend_line(&c, BENCH_DISK), "--busy"));
	c.io_cpu = c.cpu = -1;
	assert_non_null(strstr(backend_line(&c, BENCH_DISK), "--busy --lcores 0 "));
	c.disk_socket = "/run/theirs";
	assert_string_equal(backend_line(&c, BENCH_DISK), "");
}

/* What the user typed is one word of one option, whatever is in it; or there is no command line. */
static void test_hostile_args(void **state)
{
	static const char *const paths[] = {
		"a b", "a\"b'c", ",,x=y,", "-drive", "null:lots", "", "null:1G,read-zeroes=on"
	};
	const struct bench_place p = { "/tmp/d", "/tmp/d/c", "/tmp/d/b", "/tmp/d/l", "w", { 0 } };
	const struct bench_load *l = bench_loads;
	struct bench_cfg c = cfg();
	static char path[2 * 4096];

	for (unsigned int v = 0; v < BENCH_VMMS; v++) {
		const struct bench_side s = { BENCH_M_VIRTIO, (enum bench_vmm)v };
		struct bench_args a = { 0 };
		unsigned int n;

		bench_vmm_args(&c, &s, &l, 1, &p, 1, &a);
		n = a.n;
		bench_args_free(&a);
		for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++) {
			c.disk_path = paths[i];
			bench_vmm_args(&c, &s, &l, 1, &p, 1, &a);
			assert_false(a.bad);
			assert_int_equal(a.n, n); /* no word more */
			bench_args_free(&a);
		}
		/* all commas: each of them doubled, and too long is no other file's name */
		memset(path, ',', sizeof(path) - 1);
		c.disk_path = path;
		bench_vmm_args(&c, &s, &l, 1, &p, 1, &a);
		assert_true(a.bad);
		bench_args_free(&a);
		c = cfg();
	}
	c.disk_path = ",x=y";
	assert_non_null(strstr(vmm_line(&c, BENCH_M_VIRTIO, BENCH_QEMU, l),
			       "driver=raw,node-name=n,file.driver=file,file.filename=,,x=y,file"));
	c.disk_path = "null:1G,x=y"; /* no size, so the name of a file */
	assert_non_null(
		strstr(vmm_line(&c, BENCH_M_VIRTIO, BENCH_QEMU, l), "file.filename=null:1G,,x=y,"));
}

static void test_args_limit(void **state)
{
	struct bench_args a = { 0 };
	struct bench_proc p;
	struct err e = { 0 };

	for (unsigned int i = 0; i < BENCH_ARGS_MAX; i++)
		bench_arg(&a, "%u", i);
	assert_false(a.bad);
	assert_null(a.v[BENCH_ARGS_MAX]);
	bench_arg(&a, "one more");
	assert_true(a.bad);
	assert_int_equal(bench_spawn(&p, &a, 0, 2, 9, -1, &e), -E2BIG);
	assert_int_equal(p.pid, 0);
	bench_args_free(&a);
}

/* QEMU's nearest device of each mode, and its memory as ours. */
static void test_qemu(void **state)
{
	const struct bench_load *disk = bench_loads, *net = bench_loads;
	struct bench_cfg c = cfg();
	char *t;

	while (net->topic != BENCH_NET)
		net++;
	t = vmm_line(&c, BENCH_M_EMULATED_IOEVENTFD, BENCH_QEMU, disk);
	assert_non_null(strstr(t, "max_ioqpairs=1,ioeventfd=on"));
	assert_non_null(strstr(t, "-m 256M "));
	assert_null(strstr(t, "hugetlb"));
	assert_null(strstr(t, "-initrd"));
	t = vmm_line(&c, BENCH_M_VIRTIO, BENCH_QEMU, disk);
	assert_non_null(strstr(t, "virtio-blk-pci,drive=n,num-queues=1,iothread=io0"));
	c.page = "2M";
	c.initrd = "i";
	c.on_linux = true;
	t = vmm_line(&c, BENCH_M_VHOST_USER, BENCH_QEMU, disk);
	assert_non_null(strstr(t, "share=on,prealloc=on,hugetlb=on,hugetlbsize=2M"));
	assert_non_null(strstr(t, "socket,id=c,path=/tmp/d/b "));
	assert_non_null(strstr(t, "vhost-user-blk-pci,chardev=c,num-queues=1"));
	assert_null(strstr(t, "-blockdev"));
	assert_non_null(strstr(t, "-initrd i -append console=ttyS0"));
	c.net_tap = "tap,0";
	t = vmm_line(&c, BENCH_M_EMULATED, BENCH_QEMU, net);
	assert_non_null(strstr(t, "tap,id=n,ifname=tap,,0,script=no"));
	assert_non_null(strstr(t, "-device e1000,netdev=n"));
	c.page = "1G";
	t = vmm_line(&c, BENCH_M_VHOST_USER, BENCH_QEMU, net);
	assert_non_null(strstr(t, "hugetlbsize=1G"));
	assert_non_null(strstr(t, "vhost-user,id=n,chardev=c"));
	assert_non_null(strstr(t, "virtio-net-pci,"));
}

/* The guest's card has an address of ours, and the far end is where the guest's frames come
 * out. */
static void test_net(void **state)
{
	const struct bench_place p = { .backend = "/tmp/d/b", .wire = "w" };
	struct bench_side s = { BENCH_M_VHOST_USER, BENCH_SLUICE };
	const struct bench_load *l = bench_loads;
	struct bench_args a = { 0 };
	struct bench_cfg c = cfg();
	char *t;

	while (strcmp(l->name, "net-echo-64"))
		l++;
	c.net_tap = "tap0";
	c.net_pf = "01:00.0";
	c.net_wire = (char *)"eth0";
	t = vmm_line(&c, BENCH_M_VIRTIO, BENCH_SLUICE, l);
	assert_non_null(
		strstr(t, "--net id=bench,mode=virtio,queues=1,mac=02:00:00:00:00:1a,tap=tap0 "));
	t = vmm_line(&c, BENCH_M_VFIO, BENCH_SLUICE, l);
	assert_non_null(strstr(t, "--net id=bench,mode=vfio,mac=02:00:00:00:00:1a,pf=01:00.0 "));
	t = vmm_line(&c, BENCH_M_EMULATED, BENCH_QEMU, l);
	assert_non_null(strstr(t, "e1000,netdev=n,mac=02:00:00:00:00:1a "));
	bench_backend_args(&c, &s, BENCH_NET, &p, &a);
	assert_non_null(strstr(joined(&a), "vdev=net_tap0,,iface=w "));
	assert_string_equal(bench_wire(&c, &s, &p), "w");
	c.net_socket = "/run/theirs";
	assert_null(bench_wire(&c, &s, &p));
	s.mode = BENCH_M_VFIO;
	assert_string_equal(bench_wire(&c, &s, &p), "eth0");
	s.mode = BENCH_M_EMULATED;
	assert_string_equal(bench_wire(&c, &s, &p), "tap0");
}

/* ---- fairness ---- */

static enum bench_level level_of(const struct bench_result *r, const char *about)
{
	size_t i;

	for (i = 0; i < r->n_warning; i++)
		if (!strcmp(r->warning[i].about, about))
			return r->warning[i].level;
	return BENCH_LEVELS;
}

/* One rule at a time, from facts that no rule objects to. */
static void expect(struct bench_facts f, struct bench_cfg c, unsigned int refusals,
		   const char *about, enum bench_level level)
{
	struct bench_result r;

	bench_result_init(&r, "", "");
	assert_int_equal(bench_fair_before(&f, &c, &r), refusals);
	if (about)
		assert_int_equal(level_of(&r, about), level);
	else
		assert_int_equal(r.n_warning, 0);
	bench_result_free(&r);
}

static void test_before(void **state)
{
	const struct bench_facts good = { .cpus = 2, .load = 10, .governor = "performance" };
	struct bench_facts f = good;
	struct bench_cfg c = cfg();

	expect(good, c, 0, NULL, 0);
	f.debug = true;
	expect(f, c, 1, "build", BENCH_REFUSE);
	f = good;
	f.sanitized = true;
	expect(f, c, 1, "build", BENCH_REFUSE);
	f = good;
	f.no_kvm = true;
	expect(f, c, 1, "kvm", BENCH_REFUSE);
	f = good;
	f.software_kvm = true;
	expect(f, c, 0, "kvm", BENCH_WARN);
	f.tcg = true;
	f.load = 10000; /* no times, so no harm */
	expect(f, c, 0, "kvm", BENCH_REFUSE);
	expect(f, c, 0, "load", BENCH_LEVELS);
	/* a clock of instructions changes nothing about times; one that is none is refused
	 */
	c.counting = f.counting = true;
	expect(f, c, 0, "kvm", BENCH_REFUSE);
	expect(f, c, 0, "clock", BENCH_LEVELS);
	f.counting = false;
	expect(f, c, 1, "clock", BENCH_REFUSE);
	c = cfg();
	f = good;
	f.load = 100;
	expect(f, c, 0, "load", BENCH_WARN);
	f.load = 201;
	expect(f, c, 1, "load", BENCH_REFUSE);
	f = good;
	strcpy(f.governor, "powersave");
	expect(f, c, 0, "governor", BENCH_WARN);
	c.io_cpu = 0;
	expect(good, c, 0, "pinning", BENCH_WARN);
	c.cpu = c.io_cpu = -1;
	expect(good, c, 0, "pinning", BENCH_WARN);
	c = cfg();
	c.runs = 3;
	expect(good, c, 0, "runs", BENCH_NOTE);
	c = cfg();
	c.topics = 1u << BENCH_DISK;
	c.disk_socket = "/run/theirs";
	expect(good, c, 0, "backend", BENCH_WARN);
	c.topics = 1u << BENCH_NET;
	expect(good, c, 0, NULL, 0);
	c.peer_cpu = -1;
	expect(good, c, 0, "peer", BENCH_NOTE);
	c.peer_cpu = 2;
	c.net_pf = "eth0";
	expect(good, c, 0, NULL, 0);
	c.modes |= 1u << BENCH_M_VFIO;
	expect(good, c, 0, "queues", BENCH_NOTE);
}

static void test_after(void **state)
{
	struct bench_result r;
	struct bench_test *t;
	struct bench_sample *a, *b;

	bench_result_init(&r, "", "");
	t = bench_test_add(&r, "x", "x", BENCH_OPS, true);
	a = bench_sample_add(bench_column_add(t, "virtio", "sluice"));
	b = bench_sample_add(bench_column_add(t, "vfio", "sluice"));
	a->page_size = b->page_size = 4096;
	bench_fair_after(&r, 1, 1000000000);
	assert_int_equal(r.n_warning, 0);
	b->page_size = 2 << 20;
	b->errors = 4;
	assert_non_null(bench_sample_add(bench_column_add(t, "vfio", "sluice")));
	bench_fair_after(&r, 2, 1000000000);
	assert_int_equal(level_of(&r, "pages"), BENCH_WARN);
	assert_int_equal(level_of(&r, "errors"), BENCH_WARN);
	assert_int_equal(level_of(&r, "rounds"), BENCH_WARN);
	assert_int_equal(level_of(&r, "steal"), BENCH_WARN);
	bench_result_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_words),
		cmocka_unit_test(test_only),	     cmocka_unit_test(test_sides),
		cmocka_unit_test(test_args),	     cmocka_unit_test(test_before),
		cmocka_unit_test(test_after),	     cmocka_unit_test(test_backend),
		cmocka_unit_test(test_hostile_args), cmocka_unit_test(test_args_limit),
		cmocka_unit_test(test_qemu),	     cmocka_unit_test(test_net),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
