// SPDX-License-Identifier: BSD-3-Clause
/* One owner: take a function, find it configured, give it back, and find the host as it was. */
#include "tests/unit/sriov/cm.h"

struct one {
	struct world *w;
	struct proc *p;
	struct sriov_journal *j;
	struct sriov_vf vf;
	struct err e;
	char *before;
};

static void start(struct one *o)
{
	memset(o, 0, sizeof(*o));
	o->w = world_new();
	o->p = world_proc(o->w, 100);
}

static void take(struct one *o, struct sriov_take req)
{
	o->before = world_dump(o->w);
	assert_ok(sriov_journal_open(&o->p->c, "vm0", &o->j, &o->e), o->e);
	assert_ok(sriov_take(&o->p->c, o->j, &req, &o->vf, &o->e), o->e);
	assert_string_equal(o->vf.fn.driver, "vfio-pci");
}

static void release(struct one *o)
{
	assert_ok(sriov_release(&o->p->c, o->j, &o->vf, &o->e), o->e);
	assert_int_equal(o->vf.lock_fd, -1);
	sriov_journal_close(o->j);
}

static void end(struct one *o)
{
	assert_int_equal(fakesys_open_fds(o->w->f), 0);
	world_free(o->w);
}

/* Nothing is taken, the sentence says so, and nothing has changed. */
static void refused(struct one *o, struct sriov_take req, int code, const char *says)
{
	char *before = world_dump(o->w);

	memset(&o->e, 0, sizeof(o->e));
	assert_ok(sriov_journal_open(&o->p->c, "vm0", &o->j, &o->e), o->e);
	assert_int_equal(sriov_take(&o->p->c, o->j, &req, &o->vf, &o->e), code);
	assert_has(o->e.text, says);
	sriov_journal_close(o->j);
	assert_same(o->w, before);
	assert_int_equal(fakesys_open_fds(o->w->f), 0);
}

static const char *file(struct one *o, const char *path)
{
	return fakesys_get(o->w->f, path);
}

static void net(void **state)
{
	const struct sriov_netvf *v;
	struct one o;

	start(&o);
	take(&o, of_pf_set("eth0"));
	v = &o.w->net[0];
	assert_string_equal(file(&o, "/sys/bus/pci/devices/" NET_PF "/sriov_numvfs"), "4");
	assert_string_equal(file(&o, "/sys/bus/pci/devices/" NET_PF "/sriov_drivers_autoprobe"),
			    "0");
	assert_int_equal(v->mac.b[5], 0xcc);
	assert_int_equal(v->vlan, 100);
	assert_int_equal(v->qos, 3);
	assert_int_equal(v->trust, 1);
	assert_int_equal(v->spoofchk, 0);
	assert_int_equal(v->max_rate, 500);
	assert_int_equal(o.vf.fn.group, 20);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

static void net_existing(void **state)
{
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "3"); /* bound to igbvf, as autoprobe is on */
	o.w->net[1].vlan = 7;
	o.w->net[1].proto = 0x88a8;
	o.w->net[1].min_rate = 5;
	o.w->net[1].max_rate = 50;
	fakesys_file(o.w->f, "/sys/class/net/vf0/flags", "0x1003"); /* in use */
	take(&o, of_pf_set("eth0"));
	assert_int_equal(o.vf.fn.vfn, 1);
	assert_int_equal(o.w->net[1].proto, 0x8100);
	assert_int_equal(o.w->net[1].min_rate, 5);
	assert_string_equal(world_driver(o.w, "0000:01:10.0"), "igbvf");
	release(&o);
	assert_int_equal(o.w->net[1].proto, 0x88a8);
	assert_same(o.w, o.before);
	end(&o);
}

/* An unbound VF goes first, then one of vfio-pci, then one with its native driver. */
static void preference(void **state)
{
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "4");
	world_bind(o.w, "0000:01:10.4", "vfio-pci");
	world_bind(o.w, "0000:01:10.6", "");
	take(&o, of_pf("eth0"));
	assert_int_equal(o.vf.fn.vfn, 3);
	release(&o);
	assert_same(o.w, o.before);
	world_bind(o.w, "0000:01:10.6", "other");
	take(&o, of_pf("eth0"));
	assert_int_equal(o.vf.fn.vfn, 2);
	release(&o);
	assert_same(o.w, o.before);
	o.w->held[22] = true; /* that of VF 2 */
	take(&o, of_pf("eth0"));
	assert_int_equal(o.vf.fn.vfn, 0);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

static void macs(void **state)
{
	struct one o;

	start(&o);
	take(&o, of_pf("eth0"));
	assert_int_equal(o.vf.mac.b[0] & 3, 2);
	assert_memory_equal(&o.vf.mac, &o.w->net[0].mac, 6);
	release(&o);
	assert_same(o.w, o.before);
	world_set_numvfs(o.w, NET_PF, "1");
	o.w->net[0].mac = a_mac();
	take(&o, of_pf("eth0"));
	assert_int_equal(o.vf.mac.b[5], 0xcc);
	assert_int_equal(o.w->net[0].mac.b[5], 0xcc);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

static void bad_settings(void **state)
{
	struct sriov_take t = of_pf_set("eth0");
	struct one o;

	start(&o);
	o.w->no_link_state = true;
	t.set.mac.b[0] = 0x53;
	refused(&o, t, -EINVAL, "multicast");
	memset(&t.set.mac, 0, 6);
	refused(&o, t, -EINVAL, "00:00:00:00:00:00");
	t = of_pf_set("eth0");
	t.set.vlan = 4095;
	refused(&o, t, -EINVAL, "VLANs are 0-4094");
	t = of_pf_set("eth0");
	t.set.has_link = true;
	t.set.link = SRIOV_LINK_ENABLE;
	refused(&o, t, -EOPNOTSUPP, "cannot set the link of a VF");
	t = of_pf_set("/dev/nvme0");
	refused(&o, t, -EINVAL, "settings of a network VF");
	t = of_pf("/dev/nvme0");
	t.kind = SRIOV_NET;
	refused(&o, t, -EINVAL, "is no network device");
	o.w->no_trust = true;
	refused(&o, of_pf_set("eth0"), -EOPNOTSUPP, "does not report the trust");
	end(&o);
}

static bool stop_third(void *arg)
{
	return ++*(unsigned int *)arg == 3;
}

static void pf_state(void **state)
{
	struct sriov_take t = of_pf("eth0");
	unsigned int asked = 0;
	struct one o;

	start(&o);
	t.count = 8;
	refused(&o, t, -ERANGE, "8 VFs asked for, and it can have 7");
	fakesys_file(o.w->f, "/sys/class/net/eth0/carrier", "0");
	refused(&o, of_pf("eth0"), -ENETDOWN, "no carrier on eth0 after 3 s");
	/* Whoever waits may lose patience: then all is as before, at once. */
	o.p->c.stop = stop_third;
	o.p->c.arg = &asked;
	refused(&o, of_pf("eth0"), -EINTR, "interrupted while it waited for a carrier");
	assert_int_equal(asked, 3);
	o.p->c.stop = NULL;
	fakesys_file(o.w->f, "/sys/class/net/eth0/flags", "0x1002");
	refused(&o, of_pf("eth0"), -ENETDOWN, "ip link set eth0 up");
	world_bind(o.w, NET_PF, "");
	refused(&o, of_pf(NET_PF), -ENXIO, "no network interface here");
	refused(&o, of_pf("eth1"), -EOPNOTSUPP, "no SR-IOV capability");
	end(&o);
}

static void busy_driver(void **state)
{
	struct one o;

	start(&o);
	o.w->busy = 3;
	take(&o, of_pf_set("eth0"));
	o.w->busy = 3;
	release(&o);
	assert_same(o.w, o.before);
	o.w->busy = 100000;
	refused(&o, of_pf_set("eth0"), -EBUSY, "the PF's driver refuses");
	end(&o);
}

/* A rate that the driver rounds is ours all the same. */
static void rounding(void **state)
{
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "1");
	o.w->rate_step = 300;
	take(&o, of_pf_set("eth0"));
	assert_int_equal(o.w->net[0].max_rate, 300);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

static void nvme(void **state)
{
	struct one o;

	start(&o);
	take(&o, of_pf("/dev/nvme0"));
	assert_int_equal(o.vf.vq, 2);
	assert_int_equal(o.vf.vi, 1);
	assert_true(o.w->sec[0].online);
	assert_int_equal(o.w->sec[0].resets, 1);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

/* Online with one resource more wanted: offline, change, online; and all the way back. */
static void nvme_change(bool drops)
{
	struct sriov_take t = of_pf("nvme0");
	struct one o;

	start(&o);
	o.w->nvme_drops = drops;
	world_set_numvfs(o.w, NVME_PF, "2");
	o.w->vq_max = 4;
	o.w->sec[0] = (struct world_sec){ .vq = 3, .vi = 1, .online = true };
	take(&o, t);
	assert_int_equal(o.vf.vq, 3); /* what it has will do */
	assert_int_equal(o.w->sec[0].resets, 0);
	release(&o);
	assert_same(o.w, o.before);
	t.vq = 4;
	take(&o, t);
	assert_int_equal(o.w->sec[0].vq, 4);
	assert_true(o.w->sec[0].online);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

static void nvme_online(void **state)
{
	nvme_change(false);
	nvme_change(true);
}

static void nvme_limits(void **state)
{
	struct sriov_take t = of_pf("nvme0");
	struct one o;

	start(&o);
	t.vq = 3;
	refused(&o, t, -ERANGE, "3 VQ resources asked for, and a VF can have 2");
	t.vq = 1;
	refused(&o, t, -EINVAL, "at least 2");
	o.w->sec[3].vq = 2;
	o.w->vq_total = 3;
	refused(&o, of_pf("nvme0"), -ENOSPC, "of 3 the other VFs have 2");
	end(&o);
}

static struct sriov_take this_one(struct bdf *b, const char *text)
{
	BUG_ON(bdf_parse(b, text));
	return (struct sriov_take){ .bdf = b };
}

static void whole(void **state)
{
	struct one o;
	struct bdf b;

	start(&o);
	fakesys_file(o.w->f, "/sys/class/net/eth1/flags", "0x1003");
	take(&o, this_one(&b, E1000));
	assert_int_equal(o.p->logged, 1);
	assert_has(o.p->last_log, "interface eth1 is up");
	release(&o);
	assert_same(o.w, o.before); /* up again, too */
	end(&o);
}

static void whole_refused(void **state)
{
	struct sriov_take t;
	struct one o;
	struct bdf b;

	start(&o);
	refused(&o, this_one(&b, BRIDGE), -EINVAL, "it is a bridge");
	refused(&o, this_one(&b, "0000:09:00.0"), -ENODEV, "there is no PCI function");
	world_set_numvfs(o.w, NET_PF, "2");
	refused(&o, this_one(&b, NET_PF), -EBUSY, "it has 2 VFs");
	o.w->addr_ifindex = 3;
	refused(&o, this_one(&b, E1000), -EBUSY, "interface eth1 has addresses");
	o.w->addr_ifindex = 0;
	fakesys_file(o.w->f, "/proc/net/route",
		     "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
		     "eth1\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
	refused(&o, this_one(&b, E1000), -EBUSY, "the default route goes through interface eth1");
	t = this_one(&b, E1000);
	t.force = true;
	take(&o, t);
	release(&o);
	assert_same(o.w, o.before);
	o.w->mounted = true;
	refused(&o, this_one(&b, NVME_PF), -EBUSY, "nvme0n1 is mounted");
	o.w->mounted = false;
	take(&o, this_one(&b, NVME_PF));
	release(&o);
	assert_same(o.w, o.before);
	world_bind(o.w, E1000, "vfio-pci");
	o.w->held[12] = true;
	t = this_one(&b, E1000);
	t.force = true; /* of the host, not of another process */
	refused(&o, t, -EBUSY, "group 12 is open in another process");
	end(&o);
}

/* A VF by its address is configured like any other. */
static void vf_by_bdf(void **state)
{
	struct sriov_take t = of_pf_set(NULL);
	struct one o;
	struct bdf b;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "3");
	t.bdf = this_one(&b, "0000:01:10.4").bdf;
	take(&o, t);
	assert_int_equal(o.w->net[2].vlan, 100);
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

/* Whoever changes a value after us keeps it. */
static void foreign_change(void **state)
{
	struct sriov_take t = of_pf_set("eth0");
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "1");
	t.set.trust = false;
	take(&o, t);
	o.w->net[0].mac.b[5] = 0x11;
	o.w->net[0].vlan = 9;
	release(&o);
	assert_int_equal(o.w->net[0].mac.b[5], 0x11);
	assert_int_equal(o.w->net[0].vlan, 9);
	assert_int_equal(o.w->net[0].max_rate, 0); /* that was ours still */
	assert_int_equal(o.p->logged, 2);
	assert_has(o.p->last_log, "somebody changed it since, left alone");
	free(o.before);
	end(&o);
}

static void foreign_driver(void **state)
{
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "1");
	take(&o, of_pf("eth0"));
	world_bind(o.w, "0000:01:10.0", "other");
	release(&o);
	assert_string_equal(world_driver(o.w, "0000:01:10.0"), "other");
	free(o.before);
	end(&o);
}

/* A trusted guest may have changed its MAC: that is no foreign change. */
static void guest_mac(void **state)
{
	struct one o;

	start(&o);
	world_set_numvfs(o.w, NET_PF, "1");
	take(&o, of_pf_set("eth0"));
	o.w->net[0].mac.b[5] = 0x11;
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

/* The VFs went away under us: nothing to give back, and no complaint. */
static void vanished(void **state)
{
	struct one o;

	start(&o);
	take(&o, of_pf_set("eth0"));
	world_set_numvfs(o.w, NET_PF, "0");
	release(&o);
	assert_same(o.w, o.before);
	end(&o);
}

/* VFs that we made and somebody else uses now stay until they are free. */
static void made_and_lent(void **state)
{
	struct one o;

	start(&o);
	take(&o, of_pf("eth0"));
	world_bind(o.w, "0000:01:10.6", "vfio-pci");
	o.w->held[23] = true;
	assert_int_equal(sriov_release(&o.p->c, o.j, &o.vf, &o.e), -EBUSY);
	assert_has(o.e.text, "VF 0000:01:10.6 (driver vfio-pci) is in use by somebody else");
	sriov_journal_close(o.j);
	assert_string_equal(file(&o, "/sys/bus/pci/devices/" NET_PF "/sriov_numvfs"), "4");
	o.w->held[23] = false;
	proc_kill(o.p);
	o.p = world_proc(o.w, 101);
	assert_ok(sriov_restore_dead(&o.p->c, false, NULL, &o.e), o.e);
	assert_same(o.w, o.before);
	end(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net),
		cmocka_unit_test(net_existing),
		cmocka_unit_test(preference),
		cmocka_unit_test(macs),
		cmocka_unit_test(bad_settings),
		cmocka_unit_test(pf_state),
		cmocka_unit_test(busy_driver),
		cmocka_unit_test(rounding),
		cmocka_unit_test(nvme),
		cmocka_unit_test(nvme_online),
		cmocka_unit_test(nvme_limits),
		cmocka_unit_test(whole),
		cmocka_unit_test(whole_refused),
		cmocka_unit_test(vf_by_bdf),
		cmocka_unit_test(foreign_change),
		cmocka_unit_test(foreign_driver),
		cmocka_unit_test(guest_mac),
		cmocka_unit_test(vanished),
		cmocka_unit_test(made_and_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
