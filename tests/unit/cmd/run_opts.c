// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/cmd.h"
#include "cmd/run_opts.h"
#include "sriov/netvf.h"
#include "vmm/core/mem.h"

static int parse(struct run_opts *o, struct err *e, char **argv)
{
	int argc = 0, rest, ret;

	while (argv[argc])
		argc++;
	run_opts_init(o);
	ret = opt_parse_argv(run_opt_table, o, argc, argv, &rest, e);
	if (!ret)
		ret = run_opts_check(o, e);
	return ret;
}

#define ARGV(...) ((char *[]){ "--kernel", "/k", __VA_ARGS__, NULL })

static void bad(char **argv, const char *words)
{
	struct run_opts o;
	struct err e = { 0 };

	assert_int_equal(parse(&o, &e, argv), -EINVAL);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
	run_opts_free(&o);
}

static void test_defaults(void **state)
{
	struct run_opts o;
	struct err e = { 0 };

	assert_int_equal(parse(&o, &e, ARGV("--cmdline", "a=b,c quiet")), 0);
	assert_int_equal(o.cpus, 1);
	assert_int_equal(o.memory, MIB(512));
	assert_int_equal(o.page, VM_PAGE_THP);
	assert_string_equal(o.cmdline, "a=b,c quiet");
	assert_null(o.serial);
	run_opts_free(&o);
}

static void test_all(void **state)
{
	struct run_opts o;
	struct err e = { 0 };

	assert_int_equal(
		parse(&o, &e,
		      ARGV("--cpus", "4,pin=0-1,3", "--memory", "2G,page=2M,node=1,prefault=on",
			   "--net", "pf=eth0,mac=52:54:00:aa:bb:cc,vlan=7,trust=on,link=disable",
			   "--net", "id=x,bdf=01:10.0,mode=vfio", "--disk",
			   "pf=/dev/nvme0,queues=2", "--serial", "file=/tmp/x", "--debug-exit",
			   "0xf4", "--no-reboot")),
		0);
	assert_int_equal(o.cpus, 4);
	assert_int_equal(opt_set_count(&o.pin), 3);
	assert_int_equal(o.memory, GIB(2));
	assert_int_equal(o.page, VM_PAGE_2M);
	assert_int_equal(o.node, 1);
	assert_true(o.prefault);
	assert_int_equal(o.nports, 3);
	assert_string_equal(o.ports[0]->id, "net0");
	assert_int_equal(o.ports[0]->vlan, 7);
	assert_true(o.ports[0]->link_given && o.ports[0]->link == SRIOV_LINK_DISABLE);
	assert_int_equal(o.ports[1]->mode, PORT_VFIO);
	assert_string_equal(o.ports[2]->id, "disk0");
	assert_int_equal(o.ports[2]->kind, PORT_DISK);
	assert_string_equal(o.serial, "file=/tmp/x");
	assert_int_equal(o.debug_exit, 0xf4);
	run_opts_free(&o);
}

static void test_bad(void **state)
{
	bad(ARGV("--cpus", "0"), "--cpus: count: \"0\" is out of range (1 to 16)");
	bad(ARGV("--cpus", "17"), "out of range");
	bad(ARGV("--memory", "12X"), "not a size");
	bad(ARGV("--memory", "1G,pge=2M"), "did you mean page?");
	bad(ARGV("--memory", "1G", "--memory", "2G"), "--memory is given twice");
	bad(ARGV("--serial", "file="), "is not one of stdio");
	bad(ARGV("--serial", "tty"), "is not one of stdio");
	bad(ARGV("--serial", "null", "--serial", "null"), "given twice");
	bad(ARGV("--net", "id=a"), "port a: say which device");
	bad(ARGV("--net", "pf=eth0,bdf=01:00.0"), "port net0: pf= and bdf= exclude each other");
	bad(ARGV("--net", "pf=e,mac=00:00:00:00:00:00"), "must not be zero");
	bad(ARGV("--net", "pf=e,mac=01:00:5e:00:00:01"), "multicast");
	bad(ARGV("--net", "bdf=1:2"), "--net: bdf: \"1:2\" is not a PCI address");
	bad(ARGV("--net", "pf=e,vlan=4095"), "out of range");
	bad(ARGV("--net", "pf=e,mode=virtio"), "not one of auto, vfio");
	bad(ARGV("--net", "id=a,pf=e", "--disk", "id=a,pf=n"), "another port has the same id");
	bad(ARGV("--net", "id=a/b,pf=e"), "is not made of");
	bad(ARGV("--name", "../x"), "--name");
	bad(ARGV("--disk", "pf=n,mac=52:54:00:aa:bb:cc"), "unknown key mac");
}

static void test_missing_kernel(void **state)
{
	struct run_opts o;
	struct err e = { 0 };

	assert_int_equal(parse(&o, &e, (char *[]){ NULL }), -EINVAL);
	assert_string_equal(e.text, "--kernel is missing");
	run_opts_free(&o);
}

static void test_too_many_ports(void **state)
{
	char *argv[2 * (RUN_PORTS_MAX + 1) + 1] = { 0 };
	struct run_opts o;
	struct err e = { 0 };
	int i;

	for (i = 0; i <= RUN_PORTS_MAX; i++) {
		argv[2 * i] = "--net";
		argv[2 * i + 1] = "pf=eth0";
	}
	assert_int_equal(parse(&o, &e, argv), -EINVAL);
	assert_non_null(strstr(e.text, "more than 16 ports"));
	run_opts_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_missing_kernel),
		cmocka_unit_test(test_too_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
