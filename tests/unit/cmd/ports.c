// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ports from plan to device over a fake host: VFs that are made and bound, groups that turn out
 * busy, maps that are refused. Whatever fails on the way, the port comes up in its next mode or the
 * run ends, and the host is as it was.
 */
#include <unistd.h>
#include "cmd/run_priv.h"
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/iommu/fakevfio.h"
#include "tests/unit/sriov/cm.h"

#define PORTS 3

struct fix {
	struct world *w;
	struct proc *p;
	struct fakevfio v;
	struct port_spec spec[PORTS];
	struct run r;
	unsigned int up;
	char *before, said[2000];
	struct err e;
};

/* ---- a mode without a host behind it ---- */

static unsigned int devs; /* of the fake mode that live */
static const char *bad_stage;

static int soft_realize(struct vm_dev *d, struct err *e)
{
	return bad_stage && !strcmp(bad_stage, "attach") ? err_set(e, -EIO, "soft attach") : 0;
}

static void soft_free(struct vm_dev *d)
{
	devs--;
}

static const struct vm_dev_ops soft_dev = {
	.name = "soft", .size = sizeof(struct vm_dev), .realize = soft_realize, .free = soft_free
};

static int soft_open(struct run_port *p, struct err *e)
{
	int ret;

	if (bad_stage && !strcmp(bad_stage, "open"))
		return err_set(e, -EIO, "soft open");
	ret = vm_dev_new(&soft_dev, p->spec->id, &p->dev);
	devs += !ret;
	return ret;
}

static void soft_close(struct run_port *p)
{
	vm_dev_free(p->dev);
	p->dev = NULL;
}

static void soft_view(struct run_port *p, struct port_view *out)
{
	snprintf(out->host, sizeof(out->host), "soft");
	snprintf(out->state, sizeof(out->state), "ok");
}

static const struct port_ops soft = {
	.mode = PORT_VIRTIO, .open = soft_open, .close = soft_close, .view = soft_view
};

static const struct port_ops *const modes[PORT_MODES] = {
	[PORT_VFIO] = &port_vfio,
	[PORT_VIRTIO] = &soft,
};

/* ---- the host and the run ---- */

static void sink(void *arg, enum log_level level, const char *line)
{
	struct fix *f = arg;
	size_t n = strlen(f->said);

	snprintf(f->said + n, sizeof(f->said) - n, "%s\n", line);
}

/* What the kernel's VFIO knows of a VF's group. */
static void group(struct fix *f, unsigned int id, const char *bdf)
{
	char path[100], to[100];

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices/%s", id, bdf);
	snprintf(to, sizeof(to), "/sys/bus/pci/devices/%s", bdf);
	fakesys_link(f->w->f, path, to);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/reserved_regions", id);
	fakesys_file(f->w->f, path, "");
	f->v.group[f->v.ngroups].id = id;
	f->v.group[f->v.ngroups++].viable = true;
}

static void start(struct fix *f)
{
	static const char *const ids[PORTS] = { "net0", "net1", "net2" };
	static const char *const taps[PORTS] = { "tap0", "tap1", "tap2" };
	unsigned int i;

	*f = (struct fix){ .w = world_new() };
	devs = 0;
	bad_stage = NULL;
	fakevfio_init(&f->v, f->w->f);
	group(f, 20, "0000:01:10.0");
	group(f, 21, "0000:01:10.2");
	fakesys_file(f->w->f, "/dev/net/tun", "");
	f->p = world_proc(f->w, getpid());
	f->r = (struct run){
		.sys = fakesys_sys(f->w->f),
		.name = "t",
		.modes = modes,
		.log = { LOG_WARN, sink, f },
		.o = { .memory = MIB(64), .nports = 2, .name = (char *)"t" },
	};
	for (i = 0; i < PORTS; i++) {
		f->spec[i] = (struct port_spec){ .kind = PORT_NET,
						 .id = (char *)ids[i],
						 .pf = (char *)"eth0",
						 .tap = (char *)taps[i],
						 .mac_given = true,
						 .mac = a_mac(),
						 .vfs = 2 };
		f->spec[i].mac.b[5] = (uint8_t)i;
		f->r.o.ports[i] = &f->spec[i];
	}
	f->before = world_dump(f->w);
}

static int vm_up(struct run *r, struct err *e)
{
	const struct vm_ram_cfg rc = { .size = r->o.memory, .node = -1 };
	const struct vm_cfg cfg = { .name = "t", .ncpus = 1 };
	int ret = vm_init(&r->vm, r->sys, NULL, NULL, &fakeaccel_new()->accel, &cfg, e);

	if (!ret)
		ret = vm_ram_alloc(r->sys, &r->vm.ram, &rc, e);
	if (ret)
		vm_fini(&r->vm);
	return ret;
}

static void vm_down(struct run *r)
{
	vm_fini(&r->vm);
}

static int pci_up(struct run *r, struct err *e)
{
	return vm_pci_new(&r->vm, true, &r->vm.pci, e);
}

static int pci_setup(struct run *r, struct err *e)
{
	return vm_pci_setup(r->vm.pci, e);
}

/* As in run.c. */
static const struct {
	int (*up)(struct run *r, struct err *e);
	void (*down)(struct run *r);
} steps[] = {
	{ run_plan, NULL },	 { vm_up, vm_down },	  { run_take, run_give_back },
	{ run_open, run_close }, { run_ram_place, NULL }, { pci_up, NULL },
	{ run_ports_add, NULL }, { pci_setup, NULL },
};

static int go(struct fix *f)
{
	int ret = 0;

	for (f->up = 0; f->up < ARRAY_SIZE(steps); f->up++) {
		ret = steps[f->up].up(&f->r, &f->e);
		if (ret)
			break;
	}
	return ret;
}

/* Everything is undone; a journal that could not be finished is, by the next owner. */
static void finish(struct fix *f, unsigned int n)
{
	struct proc *other;
	struct err e = { 0 };

	while (f->up--)
		if (steps[f->up].down)
			steps[f->up].down(&f->r);
	assert_null(f->r.vfio);
	assert_null(f->r.journal);
	assert_int_equal(devs, 0);
	assert_int_equal(f->v.nmaps, 0);
	assert_int_equal(f->v.groups_in, 0);
	assert_int_equal(fakesys_open_fds(f->w->f), 0);
	assert_int_equal(fakesys_maps(f->w->f), 0);
	fakesys_fail_nth(f->w->f, 0, 0);
	proc_kill(f->p);
	other = world_proc(f->w, getpid() + 1);
	assert_ok(sriov_restore_dead(&other->c, false, NULL, &e), e);
	assert_same_at(f->w, f->before, "after call", n);
	world_free(f->w);
}

static void expect_mode(struct fix *f, unsigned int port, enum port_mode m)
{
	struct run_port *p = &f->r.ports[port];

	assert_int_equal(plan_mode(p->plan), m);
	assert_int_equal(p->phase, PORT_ADDED);
	assert_non_null(p->dev);
	assert_string_equal(p->dev->id, p->spec->id);
}

/* ---- tests ---- */

static void test_all_vfio(void **state)
{
	struct fix f;

	start(&f);
	assert_ok(go(&f), f.e);
	expect_mode(&f, 0, PORT_VFIO);
	expect_mode(&f, 1, PORT_VFIO);
	assert_true(run_pins(&f.r));
	assert_string_equal(f.said, "");
	assert_int_equal(f.v.groups_in, 2);
	assert_int_equal(f.r.ports[1].vf.mac.b[5], 1);
	finish(&f, 0);
}

/* More ports than VFs: the plan already says so. */
static void test_third_port(void **state)
{
	struct fix f;

	start(&f);
	f.r.o.nports = 3;
	assert_ok(go(&f), f.e);
	expect_mode(&f, 1, PORT_VFIO);
	expect_mode(&f, 2, PORT_VIRTIO);
	assert_int_equal(f.r.ports[2].mac.b[5], 2);
	assert_has(f.said, "port net2: comes up in mode virtio, since vfio: 2 VFs of eth0");
	finish(&f, 0);
}

/* A VF is made, bound and configured, and then its group is not to be had. */
static void test_group_not_viable(void **state)
{
	struct fix f;

	start(&f);
	f.v.group[0].viable = false;
	assert_ok(go(&f), f.e);
	expect_mode(&f, 0, PORT_VIRTIO);
	expect_mode(&f, 1, PORT_VFIO);
	assert_string_equal(f.r.ports[0].plan->tries[0].failed, "open");
	assert_has(f.said, "port net0: comes up in mode virtio, since vfio: failed at open: ");
	/* What net0 had is given back while the machine runs. */
	assert_true(mac_is_zero(&f.w->net[0].mac));
	assert_int_equal(f.w->net[1].mac.b[5], 1);
	assert_string_equal(world_driver(f.w, "0000:01:10.0"), "");
	finish(&f, 0);
}

/* What nothing can reset is refused when it is opened: no reason to have no network. */
static void test_no_reset(void **state)
{
	struct fix f;

	start(&f);
	f.v.no_reset = true;
	assert_ok(go(&f), f.e);
	expect_mode(&f, 0, PORT_VIRTIO);
	expect_mode(&f, 1, PORT_VIRTIO);
	assert_null(f.r.journal); /* nothing is ours any more */
	assert_null(f.r.vfio);
	assert_has(f.said, "cannot be reset");
	finish(&f, 0);
}

/* The map is refused for all assigned functions together. */
static void test_map_refused(void **state)
{
	uint64_t limit;
	struct fix f;

	start(&f);
	f.v.map_err = -ENOMEM;
	assert_ok(go(&f), f.e);
	expect_mode(&f, 0, PORT_VIRTIO);
	expect_mode(&f, 1, PORT_VIRTIO);
	assert_string_equal(f.r.ports[1].plan->tries[0].failed, "memory map");
	assert_has(f.said, "vfio: failed at memory map: DMA map of ram0");
	/* The IOMMU's width is no limit any more. */
	limit = f.r.vm.mem.gpa_limit;
	assert_true(limit == 1ull << 40);
	finish(&f, 0);
}

/* An answer of the control socket; e.text when it is none. */
static json_t *ask(struct fix *f, const char *command, const char *port)
{
	json_t *req = json_pack("{s:s, s:s}", "port", port, "link", "down"), *out = NULL;
	const struct ctl_cmd *c = vm_ctl_cmds;

	while (strcmp(c->name, command))
		c++;
	err_clear(&f->e);
	if (c->fn(&f->r, req, &out, &f->e))
		assert_null(out);
	json_decref(req);
	return out;
}

static const char *member(const json_t *o, unsigned int i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(o, i), key));
}

/* What became of the ports, and why, can be asked later. */
static void test_ctl(void **state)
{
	struct fix f;
	json_t *o;

	start(&f);
	f.v.group[0].viable = false;
	assert_ok(go(&f), f.e);
	o = ask(&f, "ports", "");
	assert_int_equal(json_array_size(o), 2);
	assert_string_equal(member(o, 0, "mode"), "virtio");
	assert_string_equal(member(o, 0, "host"), "soft");
	assert_string_equal(member(o, 0, "mac"), "52:54:00:aa:bb:00");
	assert_true(json_is_null(json_object_get(json_array_get(o, 0), "group")));
	assert_string_equal(member(o, 1, "mode"), "vfio");
	assert_string_equal(member(o, 1, "host"), "0000:01:10.2");
	assert_string_equal(member(o, 1, "mac"), "52:54:00:aa:bb:01");
	assert_has(member(json_object_get(json_array_get(o, 0), "plan"), 0, "why"),
		   "failed at open: ");
	json_decref(o);
	assert_null(ask(&f, "link", "net7"));
	assert_has(f.e.text, "there is no port net7");
	assert_null(ask(&f, "link", "net1"));
	assert_has(f.e.text, "port net1 is a net in mode vfio: only a net in mode virtio can");
	assert_null(ask(&f, "resize", "net0"));
	assert_has(f.e.text, "only a disk in mode virtio can");
	finish(&f, 0);
}

static void test_explicit_mode_fails(void **state)
{
	struct fix f;

	start(&f);
	f.spec[1].mode = PORT_VFIO;
	f.v.group[1].viable = false;
	assert_int_not_equal(go(&f), 0);
	assert_has(f.e.text, "port net1: mode vfio: failed at open: ");
	finish(&f, 0);
}

/* The last mode fails too: the error tells of all of them. */
static void test_no_mode_left(void **state)
{
	static const char *const stages[] = { "open", "attach" };
	struct fix f;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stages); i++) {
		start(&f);
		f.v.group[1].viable = false;
		bad_stage = stages[i];
		assert_int_equal(go(&f), -ENODEV);
		assert_has(f.e.text, "port net1: no mode is viable; vfio: failed at open: ");
		assert_has(f.e.text, "; virtio: failed at ");
		finish(&f, i);
	}
}

/* The n-th call fails. Where a port was at work it falls back; nothing is ever left behind. */
static void sweep(unsigned int nports, enum port_mode mode)
{
	unsigned int n, fell = 0, failed = 0;
	struct fix f;

	for (n = 1;; n++) {
		bool all;

		start(&f);
		f.r.o.nports = nports;
		f.spec[0].mode = f.spec[1].mode = mode;
		fakesys_fail_nth(f.w->f, n, -EIO);
		if (go(&f))
			failed++;
		else if (strstr(f.said, "comes up in mode virtio"))
			fell++;
		all = !fakesys_failed(f.w->f);
		finish(&f, n);
		if (all)
			break;
		assert_true(n < 5000);
	}
	assert_true(n > 100);
	if (mode == PORT_AUTO)
		assert_true(fell > 50 && failed < n / 4);
	else
		assert_true(failed > 50 && !fell);
}

static void test_fail_nth(void **state)
{
	sweep(2, PORT_AUTO);
	sweep(2, PORT_VFIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_vfio),
		cmocka_unit_test(test_third_port),
		cmocka_unit_test(test_group_not_viable),
		cmocka_unit_test(test_no_reset),
		cmocka_unit_test(test_map_refused),
		cmocka_unit_test(test_ctl),
		cmocka_unit_test(test_explicit_mode_fails),
		cmocka_unit_test(test_no_mode_left),
		cmocka_unit_test(test_fail_nth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
