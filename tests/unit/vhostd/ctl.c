// SPDX-License-Identifier: BSD-3-Clause
/* Requests and options that are wrong; none of them may reach DPDK, which does not run here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/port.h"

static void expect_error(const char *line, const char *part)
{
	static struct vhostd d;
	json_t *o = ctl_answer(daemon_cmds, &d, line, strlen(line));
	const char *text = json_string_value(json_object_get(o, "error"));

	assert_true(json_is_false(json_object_get(o, "ok")));
	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
	json_decref(o);
}

static void wrong_requests(void **st)
{
	expect_error("{\"command\":\"port-add\"}", "needs a");
	expect_error("{\"command\":\"port-del\",\"arg\":7}", "needs a");
	expect_error("{\"command\":\"disk-add\",\"arg\":\"\"}", "needs a");
	expect_error("{\"command\":\"prots\"}", "unknown command");
	expect_error("[]", "no JSON object");
}

static void expect_bad_port(const char *text, const char *part)
{
	struct err e = { 0 };

	assert_int_not_equal(port_add(NULL, text, &e), 0);
	if (!strstr(e.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, e.text);
}

static void wrong_ports(void **st)
{
	expect_bad_port("name=a", "one of socket=");
	expect_bad_port("socket=/x", "name is missing");
	expect_bad_port("name=a,socket=/x,pci=01:10.0", "one of socket=");
	expect_bad_port("name=a,socket=/x,vlan=4095", "out of range");
	expect_bad_port("name=a,socket=/x,queues=17", "out of range");
	expect_bad_port("name=a,socket=/x,role=both", "not one of");
	expect_bad_port("name=abcdefghijklmnopqrstuvwxyz0123456789,socket=/x", "at most");
	expect_bad_port("name=a,sokcet=/x", "did you mean socket");
}

static void cpus(void **st)
{
	struct daemon_opts o = { 0 };
	unsigned int cpu[LCORES_MAX];

	assert_int_equal(daemon_cpus(&o, cpu), 1);
	assert_int_equal(opt_list_parse(&o.lcores, "1,3-5", ','), 0);
	assert_int_equal(daemon_cpus(&o, cpu), 4);
	assert_int_equal(cpu[0], 1);
	assert_int_equal(cpu[3], 5);
	assert_int_equal(opt_list_parse(&o.lcores, "0-99", ','), 0);
	assert_int_equal(daemon_cpus(&o, cpu), LCORES_MAX);
}

static void mbufs(void **st)
{
	struct daemon_opts o = { .memory = 128 };

	assert_int_equal(daemon_mbufs(&o), 16384);
	o.no_huge = 1;
	assert_int_equal(daemon_mbufs(&o), 16384);
	o.memory = 32;
	assert_in_range(daemon_mbufs(&o), 1024, 7000);
	o.memory = 1u << 20;
	assert_int_equal(daemon_mbufs(&o), 16384);
	o.mbufs = 5000;
	assert_int_equal(daemon_mbufs(&o), 5000);
}

static void no_such_user(void **st)
{
	struct err e = { 0 };

	assert_int_equal(daemon_drop(NULL, "no-such-user-here", &e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_requests), cmocka_unit_test(wrong_ports),
		cmocka_unit_test(cpus),		  cmocka_unit_test(mbufs),
		cmocka_unit_test(no_such_user),
	};

	return cmocka_run_group_tests_name("vhostd-ctl", tests, NULL, NULL);
}
