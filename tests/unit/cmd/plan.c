// SPDX-License-Identifier: BSD-3-Clause
/* The planner over a tree of files: a NIC with VFs, a plain NIC, an NVMe controller, a bridge. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/plan.h"
#include "tests/unit/fake/fakesys.h"

#define PCI "/sys/bus/pci/devices/"

struct fix {
	struct fakesys *f;
	struct sriov sriov;
	struct planner pl;
	char *before;
};

static void put(struct fakesys *f, const char *content, const char *fmt, ...) __printf(3, 4);

static void put(struct fakesys *f, const char *content, const char *fmt, ...)
{
	char path[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (!strncmp(content, "->", 2))
		fakesys_link(f, path, content + 2);
	else
		fakesys_file(f, path, content);
}

static void device(struct fakesys *f, const char *bdf, const char *class, const char *driver,
		   int group)
{
	char to[100];

	put(f, class, PCI "%s/class", bdf);
	put(f, "0x8086", PCI "%s/vendor", bdf);
	put(f, "0x10c9", PCI "%s/device", bdf);
	put(f, "(null)", PCI "%s/driver_override", bdf);
	if (*driver) {
		snprintf(to, sizeof(to), "->../../../bus/pci/drivers/%s", driver);
		put(f, to, PCI "%s/driver", bdf);
	}
	if (group >= 0) {
		snprintf(to, sizeof(to), "->../../../kernel/iommu_groups/%d", group);
		put(f, to, PCI "%s/iommu_group", bdf);
		snprintf(to, sizeof(to), "->../../../../bus/pci/devices/%s", bdf);
		put(f, to, "/sys/kernel/iommu_groups/%d/devices/%s", group, bdf);
	}
}

static void netdev(struct fakesys *f, const char *bdf, const char *name, const char *flags)
{
	char to[100];

	fakesys_dir(f, PCI); /* the parents of what follows */
	put(f, "2", PCI "%s/net/%s/ifindex", bdf, name);
	snprintf(to, sizeof(to), "->../../bus/pci/devices/%s", bdf);
	put(f, to, "/sys/class/net/%s/device", name);
	put(f, flags, "/sys/class/net/%s/flags", name);
	put(f, "2", "/sys/class/net/%s/ifindex", name);
}

static void sriov_pf(struct fakesys *f, const char *bdf, const char *total, const char *num)
{
	put(f, total, PCI "%s/sriov_totalvfs", bdf);
	put(f, num, PCI "%s/sriov_numvfs", bdf);
	put(f, "1", PCI "%s/sriov_drivers_autoprobe", bdf);
	put(f, "128", PCI "%s/sriov_offset", bdf);
	put(f, "2", PCI "%s/sriov_stride", bdf);
}

static void vf(struct fakesys *f, const char *pf, const char *bdf, unsigned int n, int group)
{
	char to[100];

	device(f, bdf, "0x020000", "", group);
	snprintf(to, sizeof(to), "->../%s", pf);
	put(f, to, PCI "%s/physfn", bdf);
	snprintf(to, sizeof(to), "->../%s", bdf);
	put(f, to, PCI "%s/virtfn%u", pf, n);
}

static int setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));
	struct fakesys *f = fakesys_new();

	x->f = f;
	device(f, "0000:01:00.0", "0x020000", "igb", 3);
	netdev(f, "0000:01:00.0", "eth0", "0x1003");
	sriov_pf(f, "0000:01:00.0", "7", "0");
	device(f, "0000:00:10.0", "0x020000", "e1000", 4);
	netdev(f, "0000:00:10.0", "eth1", "0x1002");
	device(f, "0000:02:00.0", "0x010802", "nvme", 5);
	sriov_pf(f, "0000:02:00.0", "4", "0");
	put(f, "->../../bus/pci/devices/0000:02:00.0", "/sys/class/nvme/nvme0/device");
	put(f, "x", PCI "0000:02:00.0/nvme/nvme0/cntlid");
	device(f, "0000:00:01.0", "0x060400", "pcieport", 2);
	put(f, "x", "/sys/class/iommu/dmar0/x");
	fakesys_dir(f, "/sys/bus/pci/drivers/vfio-pci");
	fakesys_file(f, "/dev/vfio/vfio", "");
	put(f, "VmLck:\t0 kB\nCapEff:\tffffffffffffffff\n", "/proc/self/status");
	x->sriov = (struct sriov){ .sys = fakesys_sys(f), .run_dir = "/run/sluice" };
	x->pl = (struct planner){ .sys = fakesys_sys(f),
				  .sriov = &x->sriov,
				  .pin_bytes = MIB(512) };
	x->before = fakesys_dump(f);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fix *x = *state;

	assert_int_equal(fakesys_open_fds(x->f), 0);
	fakesys_free(x->f);
	free(x->before);
	free(x);
	return 0;
}

/* Planning must never change the host. */
static void check_unchanged(struct fix *x)
{
	char *after = fakesys_dump(x->f);

	assert_string_equal(after, x->before);
	free(after);
}

static struct plan *plan(struct fix *x, struct port_spec *s)
{
	struct plan *p = plan_port(&x->pl, s);

	assert_int_equal(p->ntries, 1);
	return p;
}

static void refused(struct fix *x, struct port_spec *s, int code, const char *words)
{
	struct plan *p = plan(x, s);

	assert_false(p->viable);
	if (!strstr(p->tries[0].why.text, words))
		fail_msg("\"%s\" does not say \"%s\"", p->tries[0].why.text, words);
	assert_int_equal(p->tries[0].why.code, code);
}

static struct port_spec net_pf(const char *pf)
{
	return (struct port_spec){
		.kind = PORT_NET, .mode = PORT_VFIO, .id = "net0", .pf = (char *)pf
	};
}

static struct port_spec fn(enum port_kind kind, const char *bdf)
{
	struct port_spec s = { .kind = kind, .mode = PORT_VFIO, .id = "p", .bdf_given = true };

	assert_int_equal(bdf_parse(&s.bdf, bdf), 0);
	return s;
}

static void test_new_vfs(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0");
	struct plan *p;
	int i;

	for (i = 0; i < 4; i++) {
		p = plan(x, &s);
		if (!p->viable)
			fail_msg("%s", p->tries[0].why.text);
	}
	assert_non_null(strstr(p->what, "VF 3 of eth0"));
	refused(x, &s, -EBUSY, "earlier ports have them all");
	check_unchanged(x);
}

static void test_vfs_asked_for(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0");

	s.vfs = 8;
	refused(x, &s, -ERANGE, "can have at most 7 VFs, not 8");
	s.vfs = 7;
	assert_true(plan(x, &s)->viable);
}

static void test_existing_vfs(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0"), one = fn(PORT_NET, "0000:01:10.0");
	struct plan *p;

	sriov_pf(x->f, "0000:01:00.0", "7", "2");
	vf(x->f, "0000:01:00.0", "0000:01:10.0", 0, 10);
	vf(x->f, "0000:01:00.0", "0000:01:10.2", 1, 11);
	p = plan(x, &one);
	assert_true(p->viable);
	p = plan(x, &s);
	assert_true(p->viable);
	assert_non_null(strstr(p->what, "0000:01:10.2, IOMMU group 11"));
	refused(x, &s, -EBUSY, "all 2 VFs of eth0");
	refused(x, &one, -EBUSY, "goes to port p already");
}

static void test_group(void **state)
{
	struct fix *x = *state;
	struct port_spec s = fn(PORT_NET, "0000:00:10.0");

	device(x->f, "0000:00:10.1", "0x020000", "igb", 4);
	refused(x, &s, -EBUSY, "IOMMU group 4 is not viable: 0000:00:10.1 in it is bound to igb");
}

static void test_wrong_things(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth1");

	refused(x, &s, -EOPNOTSUPP, "no SR-IOV");
	s = net_pf("eth9");
	refused(x, &s, -ENODEV, "eth9");
	s = net_pf("/dev/nvme0");
	refused(x, &s, -EINVAL, "not a network device");
	s = fn(PORT_NET, "0000:00:01.0");
	refused(x, &s, -EINVAL, "is a bridge");
	s = fn(PORT_DISK, "0000:00:10.0");
	refused(x, &s, -EINVAL, "not a NVMe device");
	s = fn(PORT_NET, "0000:00:10.0");
	s.link_given = true;
	refused(x, &s, -EINVAL, "link= are settings of network VFs");
	s = fn(PORT_DISK, "0000:77:00.0");
	refused(x, &s, -ENODEV, "there is no PCI function");
	fakesys_file(x->f, "/sys/class/net/eth0/flags", "0x1002");
	s = net_pf("eth0");
	refused(x, &s, -ENETDOWN, "ip link set eth0 up");
}

static void test_host_lacks(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0");

	fakesys_del(x->f, "/sys/bus/pci/drivers/vfio-pci");
	refused(x, &s, -ENODEV, "modprobe vfio-pci");
	fakesys_dir(x->f, "/sys/bus/pci/drivers/vfio-pci");
	fakesys_del(x->f, "/dev/vfio/vfio");
	refused(x, &s, -ENOENT, "/dev/vfio/vfio is missing");
	fakesys_file(x->f, "/dev/vfio/vfio", "");
	put(x->f, "Y", "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
	refused(x, &s, -EPERM, "allow_unsafe_interrupts=1");
	put(x->f, "N", "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
	put(x->f, "VmLck:\t0 kB\nCapEff:\t0000000000000000\n", "/proc/self/status");
	fakesys_set_memlock(x->f, KIB(64));
	refused(x, &s, -ENOMEM, "the limit allows 64 KiB");
}

static void test_no_iommu(void **state)
{
	struct fix *x = *state;
	struct port_spec s = fn(PORT_NET, "0000:00:10.0");

	fakesys_del(x->f, "/sys/kernel/iommu_groups");
	fakesys_del(x->f, "/sys/class/iommu");
	fakesys_del(x->f, PCI "0000:00:10.0/iommu_group");
	fakesys_del(x->f, PCI "0000:01:00.0/iommu_group");
	refused(x, &s, -ENXIO, "IOMMU");
	s = net_pf("eth0");
	refused(x, &s, -ENXIO, "IOMMU");
}

/* Any failing call refuses the port, with a reason, and leaves nothing open. */
static void test_fail_nth(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0");
	unsigned int n;

	for (n = 1; n < 500; n++) {
		struct plan *p;

		x->pl.nplans = 0;
		fakesys_fail_nth(x->f, n, -EIO);
		p = plan(x, &s);
		if (!fakesys_failed(x->f)) {
			assert_true(p->viable);
			break;
		}
		if (!p->viable)
			assert_true(strlen(p->tries[0].why.text) > 10);
		assert_int_equal(fakesys_open_fds(x->f), 0);
	}
	assert_true(n > 5 && n < 500);
	fakesys_fail_nth(x->f, 0, 0);
	check_unchanged(x);
}

static void test_output(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_pf("eth0"), bad = net_pf("eth1");
	struct err e = { 0 };
	char *text = NULL;
	size_t size;
	json_t *j;
	FILE *f = open_memstream(&text, &size);

	bad.id = "net1";
	plan(x, &s);
	assert_int_equal(plan_fail(plan(x, &bad), &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "port net1: mode vfio: PF eth1"));
	plan_print(&x->pl, f);
	fclose(f);
	assert_non_null(strstr(text, "net0         vfio        yes      VF 0 of eth0"));
	assert_non_null(strstr(text, "net1         vfio        no       PF eth1"));
	free(text);
	j = plan_json(&x->pl.plans[1]);
	assert_int_equal(json_array_size(j), 1);
	assert_true(json_is_false(json_object_get(json_array_get(j, 0), "viable")));
	json_decref(j);
}

/* A machine's own journal tells who has a VF, and more than an open group would. */
static void test_owner(void **state)
{
	struct fix *x = *state;
	struct port_spec s = fn(PORT_NET, "0000:01:10.0");

	sriov_pf(x->f, "0000:01:00.0", "7", "1");
	vf(x->f, "0000:01:00.0", "0000:01:10.0", 0, 10);
	fakesys_file(x->f, "/run/sluice/web.812.40.journal",
		     "{\"sluice-journal\":1,\"owner\":\"web\",\"pid\":812,\"start\":40}\n"
		     "{\"step\":\"use\",\"group\":1,\"fn\":\"0000:01:10.0\",\"pf\":"
		     "\"0000:01:00.0\",\"vf\":0,\"prior\":\"\",\"ours\":\"\"}\n");
	put(x->f, "812 (s) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 40 1", "/proc/812/stat");
	refused(x, &s, -EBUSY, "0000:01:10.0 (no driver) belongs to web (pid 812)");
	s = net_pf("eth0");
	refused(x, &s, -EBUSY, "0000:01:10.0 belongs to web (pid 812)");
	fakesys_del(x->f, "/proc/812");
	assert_true(plan(x, &s)->viable);
}

/* ---- several modes ---- */

/* A port that names a VF and, behind it, a tap that does not exist yet. */
static struct port_spec net_auto(struct fix *x)
{
	struct port_spec s = net_pf("eth0");

	s.mode = PORT_AUTO;
	s.tap = (char *)"tap0";
	fakesys_file(x->f, "/dev/net/tun", "");
	return s;
}

/* On virtio for this reason, and no other is told. */
static struct plan *falls(struct fix *x, struct port_spec *s, const char *words)
{
	struct plan *p = plan_port(&x->pl, s);
	struct err why;

	if (!p->viable || plan_mode(p) != PORT_VIRTIO)
		fail_msg("not on virtio: %s", p->tries[p->ntries - 1].why.text);
	assert_int_equal(p->ntries, 3);
	assert_false(p->fn_known || p->pf_known);
	assert_int_equal(p->group, -1);
	plan_refusals(p, &why);
	if (strncmp(why.text, "vfio: ", 6) || !strstr(why.text, words) ||
	    strstr(why.text, "vhost-user"))
		fail_msg("\"%s\" does not say \"%s\"", why.text, words);
	return p;
}

static void test_auto_reasons(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_auto(x), other = net_auto(x);
	struct plan *p = plan_port(&x->pl, &s);

	assert_true(p->viable);
	assert_int_equal(p->ntries, 1);
	x->pl.nplans = 0;
	fakesys_file(x->f, "/sys/class/net/eth0/flags", "0x1002");
	p = falls(x, &s, "ip link set eth0 up");
	assert_string_equal(p->what, "tap interface tap0, which will be made");
	/* One tap is not for two ports. */
	other.id = "net1";
	p = plan_port(&x->pl, &other);
	assert_false(p->viable);
	assert_non_null(strstr(p->tries[2].why.text, "tap0 goes to port net0 already"));
	fakesys_file(x->f, "/sys/class/net/eth0/flags", "0x1003");
	put(x->f, "VmLck:\t0 kB\nCapEff:\t0000000000000000\n", "/proc/self/status");
	fakesys_set_memlock(x->f, KIB(64));
	x->pl.nplans = 0;
	falls(x, &s, "the limit allows 64 KiB");
	x->pl.nplans = 0;
	fakesys_del(x->f, "/sys/kernel/iommu_groups");
	falls(x, &s, "no IOMMU is active: switch it on in the firmware");
}

/* The two VFs go to the first two; what was refused does not count as taken. */
static void test_auto_limited(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_auto(x), t = net_pf("eth0");

	s.vfs = t.vfs = 2;
	s.vlan_given = true;
	s.vlan = 7;
	assert_true(plan(x, &t)->viable);
	assert_true(plan(x, &t)->viable);
	assert_non_null(strstr(falls(x, &s, "2 VFs of eth0")->what, "the host applies no vlan="));
	refused(x, &t, -EBUSY, "2 VFs of eth0");
}

/* A mode that fails while it is set up is a refusal like others, and says where it failed. */
static void test_half_way(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_auto(x);
	struct plan *p = plan_port(&x->pl, &s);
	struct err why = { 0 }, e = { 0 };
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	json_t *j;

	assert_int_equal(plan_mode(p), PORT_VFIO);
	err_set(&why, -EBUSY, "group 20 is open");
	assert_true(plan_next(&x->pl, p, "open", &why));
	assert_int_equal(plan_mode(p), PORT_VIRTIO);
	assert_false(p->pf_known);
	plan_print(&x->pl, f);
	fclose(f);
	assert_non_null(strstr(
		text, "net0         vfio        no       failed at open: group 20 is open\n"));
	assert_non_null(strstr(text, "             vhost-user  no       no socket= given\n"));
	assert_non_null(strstr(text, "             virtio      yes      tap interface tap0"));
	free(text);
	j = plan_json(p);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "failed")),
			    "open");
	assert_true(json_is_null(json_object_get(json_array_get(j, 1), "failed")));
	json_decref(j);
	/* The last one too: all that was named is in the error. */
	err_set(&why, -EPERM, "tap0 is not ours");
	assert_false(plan_next(&x->pl, p, "open", &why));
	assert_int_equal(plan_fail(p, &e), -ENODEV);
	assert_string_equal(e.text,
			    "port net0: no mode is viable; vfio: failed at open: group 20 is open; "
			    "virtio: failed at open: tap0 is not ours");
}

/* With one mode asked for there is no other. */
static void test_no_fallback(void **state)
{
	struct fix *x = *state;
	struct port_spec s = net_auto(x);
	struct err why = { 0 }, e = { 0 };
	struct plan *p;

	s.mode = PORT_VFIO;
	p = plan_port(&x->pl, &s);
	err_set(&why, -EBUSY, "group 20 is open");
	assert_false(plan_next(&x->pl, p, "open", &why));
	assert_int_equal(plan_fail(p, &e), -EBUSY);
	assert_string_equal(e.text, "port net0: mode vfio: failed at open: group 20 is open");
}

static void test_tap(void **state)
{
	struct fix *x = *state;
	struct port_spec s = { .kind = PORT_NET, .mode = PORT_VIRTIO, .id = "net0", .tap = "tap0" };

	refused(x, &s, -ENOENT, "modprobe tun");
	fakesys_file(x->f, "/dev/net/tun", "");
	assert_true(plan(x, &s)->viable);
	x->pl.nplans = 0;
	s.tap = (char *)"eth0";
	refused(x, &s, -EINVAL, "eth0 is no tap interface");
	put(x->f, "0x1001", "/sys/class/net/tap0/tun_flags");
	s.tap = (char *)"tap0";
	refused(x, &s, -EINVAL, "is a tun interface");
	put(x->f, "0x5002", "/sys/class/net/tap0/tun_flags");
	assert_true(plan(x, &s)->viable);
	x->pl.nplans = 0;
	s.queues = 4;
	refused(x, &s, -EINVAL, "multi_queue");
	put(x->f, "0x5102", "/sys/class/net/tap0/tun_flags");
	put(x->f, "1", "/sys/class/net/tap0/carrier");
	refused(x, &s, -EBUSY, "another process has tap0 open");
	put(x->f, "0", "/sys/class/net/tap0/carrier");
	assert_true(plan(x, &s)->viable);
}

static void test_path(void **state)
{
	struct fix *x = *state;
	struct port_spec s = { .kind = PORT_DISK, .mode = PORT_VIRTIO, .id = "a", .path = "/img" };
	struct port_spec t = s;

	refused(x, &s, -ENOENT, "/img");
	fakesys_dir(x->f, "/img");
	refused(x, &s, -EINVAL, "neither a file nor a block device");
	fakesys_del(x->f, "/img");
	fakesys_file(x->f, "/img", "data");
	assert_true(plan(x, &s)->viable);
	refused(x, &t, -EBUSY, "/img goes to port a already");
	x->pl.nplans = 0;
	fakesys_lock(x->f, "/img", true);
	refused(x, &s, -EBUSY, "disk /img: another machine or sluice-vhostd has it open: stop");
	s.readonly = true;
	refused(x, &s, -EBUSY, "has it open for writing");
	s.readonly = false;
	fakesys_lock(x->f, "/img", false);
	x->pl.nplans = 0;
	s.readonly = t.readonly = true;
	assert_non_null(strstr(plan(x, &s)->what, "/img, read-only"));
	assert_true(plan(x, &t)->viable);
	s.path = (char *)"null:7";
	refused(x, &s, -EINVAL, "at least 512 bytes");
	s.path = (char *)"null:1G";
	assert_true(plan(x, &s)->viable);
	assert_true(plan(x, &s)->viable);
	s.queues = 17;
	refused(x, &s, -EINVAL, "at most 16");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_new_vfs),  T(test_vfs_asked_for), T(test_existing_vfs),
		T(test_group),	  T(test_wrong_things),	 T(test_host_lacks),
		T(test_no_iommu), T(test_fail_nth),	 T(test_output),
		T(test_owner),	  T(test_auto_reasons),	 T(test_auto_limited),
		T(test_half_way), T(test_no_fallback),	 T(test_tap),
		T(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
