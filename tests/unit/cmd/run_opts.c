// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/cmd.h"
#include "cmd/hide.h"
#include "cmd/run_opts.h"
#include "sriov/netvf.h"
#include "virtio/vio.h"
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

static void test_virtio(void **state)
{
	struct run_opts o;
	struct err e = { 0 };

	assert_int_equal(
		parse(&o, &e,
		      ARGV("--net", "pf=eth0,socket=/s,role=server,tap=t,queues=4,hide=packed:mq",
			   "--disk", "path=/p,direct=on,readonly=on,serial=abc,hide=event-idx",
			   "--disk", "path=null:1G,mode=virtio", "--io-threads", "2,pin=4-5",
			   "--rng", "--console", "file=/c")),
		0);
	assert_true(o.ports[0]->server && o.ports[0]->queues == 4);
	assert_true(o.ports[0]->hide == (VIO_F_PACKED | VIO_F(22)));
	assert_true(o.ports[1]->direct && o.ports[1]->readonly);
	assert_string_equal(o.ports[1]->serial, "abc");
	assert_true(o.ports[1]->hide == VIO_F_EVENT_IDX);
	assert_int_equal(o.ports[2]->mode, PORT_VIRTIO);
	assert_int_equal(o.io_threads, 2);
	assert_true(o.io_pin_given && opt_set_has(&o.io_pin, 5) && o.rng);
	assert_string_equal(o.console, "file=/c");
	run_opts_free(&o);
}

/* The help lists what the parser takes. */
static void test_hide_words(void **state)
{
	static const struct {
		bool disk;
		const char *words;
	} all[] = { { false, HIDE_RING ", " HIDE_NET }, { true, HIDE_RING ", " HIDE_DISK } };
	char text[300], *w, *save;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t sum = 0, before;

		snprintf(text, sizeof(text), "%s", all[i].words);
		for (w = strtok_r(text, ", ", &save); w; w = strtok_r(NULL, ", ", &save)) {
			before = sum;
			assert_int_equal(hide_parse(all[i].disk, w, &sum, NULL), 0);
			assert_true(sum != before);
		}
	}
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
	bad(ARGV("--net", "pf=e,mode=virtoi"),
	    "not one of auto, vfio, vhost-user, virtio, emulated (did you mean virtio?)");
	bad(ARGV("--net", "pf=e,mode=virtio"), "port net0: mode=virtio: say which device: tap=");
	bad(ARGV("--net", "pf=e,tap=t,mode=virtio"),
	    "port net0: pf= or bdf= is for mode=vfio, and mode=virtio is asked for");
	bad(ARGV("--disk", "socket=/s,mode=vfio"), "mode=vfio: say which device: pf= or bdf=");
	bad(ARGV("--net", "tap=t,vfs=3"), "vfs= needs pf=");
	bad(ARGV("--net", "tap=t,role=server"), "role= needs socket=");
	bad(ARGV("--net", "pf=e,queues=2"), "queues= needs socket= or tap=");
	bad(ARGV("--net", "pf=e,hide=mq"), "hide= needs socket= or tap=");
	bad(ARGV("--net", "tap=t,queues=17"), "out of range (1 to 16)");
	bad(ARGV("--net", "tap=t,mode=emulated,queues=2"), "an emulated e1000 has one pair");
	bad(ARGV("--net", "tap=t,mode=emulated,hide=mq"), "hide= is not for mode=emulated");
	bad(ARGV("--net", "pf=e,mode=emulated"),
	    "mode=emulated: say which device: tap= or socket=");
	bad(ARGV("--net", "tap=t,socket=/s,mode=emulated"), "tap= or socket=, one of them");
	bad(ARGV("--net", "socket=/s,pf=e,mode=emulated"), "pf= or bdf= is for mode=vfio");
	bad(ARGV("--net", "socket=/s,queues=2,mode=emulated"), "an emulated e1000 has one pair");
	bad(ARGV("--disk", "socket=/s,mode=emulated"), "mode=emulated: say which device: path=");
	bad(ARGV("--disk", "socket=/s,path=/p,mode=emulated"), "socket= is for mode=vhost-user");
	bad(ARGV("--net", "socket=/s,tap=t,mode=vhost-user"), "tap= is for mode=virtio");
	bad(ARGV("--disk", "path=/d,shadow-doorbell=on"), "are for mode=emulated");
	bad(ARGV("--disk", "path=/d,mode=emulated,ioeventfd=on"),
	    "ioeventfd= needs shadow-doorbell=on");
	bad(ARGV("--net", "tap=averylongnameoftap"), "longer than 15 bytes");
	bad(ARGV("--net", "tap=t,hide=packd"), "is not one of packed, event-idx");
	bad(ARGV("--net", "tap=t,hide=packd"), "(did you mean packed?)");
	bad(ARGV("--net", "tap=t,hide=packed:"), "\"\" is not one of");
	bad(ARGV("--net", "tap=t,hide=discard"), "\"discard\" is not one of");
	bad(ARGV("--disk", "path=/p,tap=t"), "unknown key tap");
	bad(ARGV("--disk", "pf=n,readonly=on"), "readonly= needs path=");
	bad(ARGV("--disk", "pf=n,path=/p,readonly=on"), "can be promised for path= alone");
	bad(ARGV("--disk", "path=/p,serial=123456789012345678901"), "longer than 20 bytes");
	bad(ARGV("--console", "stdio"), "is not one of pty, file=PATH");
	bad(ARGV("--io-threads", "0"), "out of range (1 to 16)");
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
		cmocka_unit_test(test_virtio),
		cmocka_unit_test(test_hide_words),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_missing_kernel),
		cmocka_unit_test(test_too_many_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
