// SPDX-License-Identifier: BSD-3-Clause
/* Several owners of one PF, and changes by hand. */
#include "tests/unit/sriov/cm.h"

#define NUMVFS	  "/sys/bus/pci/devices/" NET_PF "/sriov_numvfs"
#define AUTOPROBE "/sys/bus/pci/devices/" NET_PF "/sriov_drivers_autoprobe"

struct vm {
	struct proc *p;
	struct sriov_journal *j;
	struct sriov_vf vf;
	struct err e;
};

static void vm_start(struct world *w, struct vm *v, pid_t pid, const char *name)
{
	memset(v, 0, sizeof(*v));
	v->p = world_proc(w, pid);
	assert_ok(sriov_journal_open(&v->p->c, name, &v->j, &v->e), v->e);
}

static void vm_take(struct vm *v, struct sriov_take t)
{
	assert_ok(sriov_take(&v->p->c, v->j, &t, &v->vf, &v->e), v->e);
}

static void vm_stop(struct vm *v)
{
	assert_ok(sriov_release(&v->p->c, v->j, &v->vf, &v->e), v->e);
	sriov_journal_close(v->j);
}

/* The first makes the VFs and leaves first; the second keeps them, and takes them away when it
 * leaves. */
static void last_one_out(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct vm a, b;

	vm_start(w, &a, 100, "a");
	vm_start(w, &b, 101, "b");
	vm_take(&a, of_pf_set("eth0"));
	vm_take(&b, of_pf("eth0"));
	assert_int_equal(a.vf.fn.vfn, 0);
	assert_int_equal(b.vf.fn.vfn, 1);
	vm_stop(&a);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "4");
	assert_string_equal(fakesys_get(w->f, AUTOPROBE), "0");
	assert_string_equal(world_driver(w, "0000:01:10.2"), "vfio-pci");
	vm_stop(&b);
	assert_same(w, before);
	assert_int_equal(fakesys_open_fds(w->f), 0);
	world_free(w);
}

/* One VM with two VFs of a PF gives them back one by one. */
static void two_of_one(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct sriov_vf second;
	struct vm a;

	vm_start(w, &a, 100, "a");
	vm_take(&a, of_pf("eth0"));
	second = a.vf;
	vm_take(&a, of_pf("eth0"));
	assert_ok(sriov_release(&a.p->c, a.j, &second, &a.e), a.e);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "4");
	vm_stop(&a);
	assert_same(w, before);
	world_free(w);
}

static void all_taken(void **state)
{
	struct sriov_take t = of_pf("eth0");
	struct world *w = world_new();
	struct vm a, b;
	struct bdf at;

	t.count = 1;
	vm_start(w, &a, 100, "a");
	vm_start(w, &b, 101, "b");
	vm_take(&a, t);
	assert_int_equal(sriov_take(&b.p->c, b.j, &t, &b.vf, &b.e), -EBUSY);
	assert_has(b.e.text, "PF eth0 (0000:01:00.0, driver igb): all its 1 VFs are in use: "
			     "0000:01:10.0: taken by a (pid 100)");
	/* nor by its address, with force or without */
	at = a.vf.fn.bdf;
	t = (struct sriov_take){ .bdf = &at, .force = true };
	assert_int_equal(sriov_take(&b.p->c, b.j, &t, &b.vf, &b.e), -EBUSY);
	assert_has(b.e.text, "taken by a (pid 100)");
	/* nor the PF below it */
	at = a.vf.fn.pf;
	assert_int_equal(sriov_take(&b.p->c, b.j, &t, &b.vf, &b.e), -EBUSY);
	assert_has(b.e.text, "it has 1 VFs");
	sriov_journal_close(b.j);
	vm_stop(&a);
	world_free(w);
}

/* The lock alone keeps a VF, too: an owner whose journal cannot be seen. */
static void lock_alone(void **state)
{
	struct world *w = world_new();
	struct vm a, b;
	int fd;

	world_set_numvfs(w, NET_PF, "2");
	vm_start(w, &a, 100, "a");
	fd = sys_open(&a.p->sys, "/run/sluice/0000:01:10.0.lock", 0102, 0600);
	assert_true(fd >= 0);
	assert_int_equal(sys_flock(&a.p->sys, fd, 2), 0);
	vm_start(w, &b, 101, "b");
	vm_take(&b, of_pf("eth0"));
	assert_int_equal(b.vf.fn.vfn, 1);
	vm_stop(&b);
	sys_close(&a.p->sys, &fd);
	sriov_journal_close(a.j);
	world_free(w);
}

/* A dead owner's VF is restored by whoever comes next, without being asked. */
static void after_the_dead(void **state)
{
	struct sriov_take t = of_pf_set("eth0");
	struct world *w = world_new();
	char *before = world_dump(w);
	struct vm a, b;

	t.count = 1;
	vm_start(w, &a, 100, "a");
	vm_take(&a, t);
	proc_kill(a.p);
	sriov_journal_close(a.j);
	vm_start(w, &b, 101, "b");
	vm_take(&b, of_pf("eth0"));
	assert_has(b.p->last_log, "restored what 1 dead owner left");
	assert_int_equal(w->net[0].vlan, 0);
	vm_stop(&b);
	assert_same(w, before);
	world_free(w);
}

/* One of two dies: its VF comes back, and the other's is not touched. */
static void one_dies(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct proc *fixer = world_proc(w, 102);
	struct sriov_restored r;
	struct err e = { 0 };
	struct vm a, b;

	vm_start(w, &a, 100, "a");
	vm_start(w, &b, 101, "b");
	vm_take(&a, of_pf_set("eth0"));
	vm_take(&b, of_pf_set("eth0"));
	proc_kill(a.p);
	sriov_journal_close(a.j);
	assert_ok(sriov_restore_dead(&fixer->c, true, &r, &e), e);
	assert_int_equal(r.owners, 1);
	assert_int_equal(w->net[0].vlan, 0);
	assert_int_equal(w->net[1].vlan, 100);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "4");
	vm_stop(&b);
	assert_same(w, before);
	world_free(w);
}

static void by_hand(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w), *made;
	struct admin a = { .p = world_proc(w, 100) };
	const struct sriov_vf_set set = of_pf_set("eth0").set;

	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "eth0", 3, &a.e), a.e);
	made = world_dump(w);
	assert_int_equal(sriov_vf_create(&a.p->c, a.j, "eth0", 4, &a.e), -EBUSY);
	assert_has(a.e.text, "it has 3 VFs already");
	assert_ok(apply_net(&a.p->c, a.j, "eth0/1", &set, &a.e), a.e);
	sriov_journal_close(a.j);
	assert_int_equal(w->net[1].vlan, 100);
	/* another command */
	admin_open(&a);
	assert_int_equal(sriov_vf_undo(&a.p->c, a.j, "eth0/2", &a.e), -ENOENT);
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "eth0/1", &a.e), a.e);
	sriov_journal_close(a.j);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "3");
	free(made);
	/* what was done by hand is left alone unless all is asked for */
	assert_ok(sriov_restore_dead(&a.p->c, false, NULL, &a.e), a.e);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "3");
	assert_ok(sriov_restore_dead(&a.p->c, true, NULL, &a.e), a.e);
	assert_same(w, before);
	world_free(w);
}

/* All that was done by hand to a PF and its VFs, in whatever order, and nothing of another PF. */
static void by_hand_pf(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_vf_set set = of_pf_set("eth0").set;

	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "eth0", 3, &a.e), a.e);
	assert_ok(apply_net(&a.p->c, a.j, "eth0/1", &set, &a.e), a.e);
	set.vlan = 7;
	assert_ok(apply_net(&a.p->c, a.j, "eth0/1", &set, &a.e), a.e);
	assert_ok(apply_net(&a.p->c, a.j, "eth0/0", &set, &a.e), a.e);
	assert_int_equal(sriov_vf_undo(&a.p->c, a.j, "/dev/nvme0", &a.e), -ENOENT);
	assert_has(a.e.text, "PF nvme0 (0000:02:00.0, driver nvme): nothing was done");
	assert_ok(sriov_vf_create(&a.p->c, a.j, "/dev/nvme0", 2, &a.e), a.e);
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "eth0", &a.e), a.e);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "0");
	assert_string_equal(fakesys_get(w->f, "/sys/bus/pci/devices/" NVME_PF "/sriov_numvfs"),
			    "2");
	assert_ok(sriov_vf_undo(&a.p->c, a.j, NVME_PF, &a.e), a.e);
	sriov_journal_close(a.j);
	assert_same(w, before);
	world_free(w);
}

/* Two machines of one name, of which one is gone: that one is restored. */
static void same_name(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct proc *fixer = world_proc(w, 102);
	struct err e = { 0 };
	struct vm a, b;

	vm_start(w, &a, 100, "vm");
	vm_start(w, &b, 101, "vm");
	vm_take(&a, of_pf_set("eth0"));
	vm_take(&b, of_pf_set("eth0"));
	assert_int_equal(sriov_restore_owner(&fixer->c, "vm", NULL, &e), -EBUSY);
	assert_has(e.text, "vm lives (pid 101)");
	proc_kill(a.p);
	sriov_journal_close(a.j);
	assert_ok(sriov_restore_owner(&fixer->c, "vm", NULL, &e), e);
	assert_int_equal(w->net[0].vlan, 0);
	assert_int_equal(w->net[1].vlan, 100);
	vm_stop(&b);
	assert_same(w, before);
	world_free(w);
}

/* What a dead VM left is not taken for somebody else's VFs. */
static void create_after_crash(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 101) };
	struct vm v;

	vm_start(w, &v, 100, "v");
	vm_take(&v, of_pf_set("eth0"));
	proc_kill(v.p);
	sriov_journal_close(v.j);
	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "eth0", 2, &a.e), a.e);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "2");
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "eth0", &a.e), a.e);
	sriov_journal_close(a.j);
	assert_same(w, before);
	world_free(w);
}

/* By hand first, then a VM: the VM gives back to what was set by hand, and only then may that go.
 */
static void hand_then_vm(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_vf_set set = { .has_vlan = true, .vlan = 5 };
	struct vm b;

	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "eth0", 1, &a.e), a.e);
	assert_ok(apply_net(&a.p->c, a.j, "eth0/0", &set, &a.e), a.e);
	sriov_journal_close(a.j);
	vm_start(w, &b, 101, "b");
	vm_take(&b, of_pf_set("eth0"));
	admin_open(&a);
	assert_int_equal(apply_net(&a.p->c, a.j, "eth0/0", &set, &a.e), -EBUSY);
	assert_has(a.e.text, "taken by b (pid 101)");
	assert_int_equal(sriov_vf_undo(&a.p->c, a.j, "eth0/0", &a.e), -EBUSY);
	sriov_journal_close(a.j);
	assert_int_equal(w->net[0].vlan, 100);
	vm_stop(&b);
	assert_int_equal(w->net[0].vlan, 5);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "1");
	assert_ok(sriov_restore_owner(&a.p->c, SRIOV_ADMIN, NULL, &a.e), a.e);
	assert_same(w, before);
	world_free(w);
}

/* By hand, then gone while a VM uses it: the VM takes the VFs away with it. */
static void hand_leaves_first(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 100) };
	struct vm b;

	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "eth0", 2, &a.e), a.e);
	sriov_journal_close(a.j);
	vm_start(w, &b, 101, "b");
	vm_take(&b, of_pf_set("eth0"));
	assert_ok(sriov_restore_owner(&a.p->c, SRIOV_ADMIN, NULL, &a.e), a.e);
	assert_string_equal(fakesys_get(w->f, NUMVFS), "2");
	vm_stop(&b);
	assert_same(w, before);
	world_free(w);
}

/* A change by hand that fails half way leaves nothing. */
static void hand_fails(void **state)
{
	struct world *w = world_new();
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_vf_set set = of_pf_set("eth0").set;
	char *before;

	world_set_numvfs(w, NET_PF, "1");
	w->no_link_state = true;
	set.has_link = true;
	set.link = SRIOV_LINK_DISABLE;
	before = world_dump(w);
	admin_open(&a);
	assert_int_equal(apply_net(&a.p->c, a.j, "eth0/0", &set, &a.e), -EOPNOTSUPP);
	sriov_journal_close(a.j);
	assert_same(w, before);
	world_free(w);
}

/* An NVMe VF for another VMM: driver, resources and state by hand, and all of it back. */
static void nvme_by_hand(bool drops)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 100) };
	const struct sriov_vf_hand all = { .driver = "vfio-pci", .vq = 2, .vi = 1 },
				   more = { .vq = 3 },
				   native = { .driver = "nvme", .online = true },
				   net = { .net = { .has_trust = true } };

	w->vq_max = 4;
	w->nvme_drops = drops;
	admin_open(&a);
	assert_ok(sriov_vf_create(&a.p->c, a.j, "/dev/nvme0", 2, &a.e), a.e);
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "nvme0/1", &net, &a.e), -EINVAL);
	assert_has(a.e.text, "is no network VF");
	assert_ok(sriov_vf_apply(&a.p->c, a.j, "nvme0/1", &all, &a.e), a.e);
	assert_true(w->sec[1].online && w->sec[1].vq == 2 && w->sec[1].vi == 1);
	assert_int_equal(w->sec[1].resets, 1);
	assert_string_equal(world_driver(w, "0000:02:00.2"), "vfio-pci");
	assert_ok(sriov_vf_apply(&a.p->c, a.j, "nvme0/1", &more, &a.e), a.e);
	assert_true(w->sec[1].online && w->sec[1].vq == 3);
	assert_ok(sriov_vf_apply(&a.p->c, a.j, "nvme0/0", &native, &a.e), a.e);
	assert_true(w->sec[0].online);
	assert_string_equal(world_driver(w, "0000:02:00.1"), "nvme");
	/* under the feet of a driver nothing changes */
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "nvme0/0", &more, &a.e), -EBUSY);
	assert_has(a.e.text, "--driver none");
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "nvme0/1", &a.e), a.e);
	assert_true(!w->sec[1].online && !w->sec[1].vq && !w->sec[1].vi);
	assert_string_equal(world_driver(w, "0000:02:00.2"), "");
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "nvme0", &a.e), a.e);
	sriov_journal_close(a.j);
	assert_same(w, before);
	world_free(w);
}

static void hand_nvme(void **state)
{
	nvme_by_hand(false);
	nvme_by_hand(true);
}

/* The driver of a network VF, and who may not have his taken. */
static void hand_driver(void **state)
{
	struct world *w = world_new();
	struct admin a = { .p = world_proc(w, 100) };
	const struct sriov_vf_hand vfio = { .driver = "vfio-pci" }, bad = { .driver = "../x" },
				   none = { .driver = "" }, absent = { .driver = "nosuch" },
				   vq = { .vq = 2 };
	char *before;

	world_set_numvfs(w, NET_PF, "2");
	before = world_dump(w);
	admin_open(&a);
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &bad, &a.e), -EINVAL);
	assert_has(a.e.text, "'../x' is not the name of a driver");
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &vq, &a.e), -EINVAL);
	assert_has(a.e.text, "is no NVMe VF");
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &absent, &a.e), -ENODEV);
	assert_has(a.e.text, "there is no driver nosuch");
	fakesys_file(w->f, "/sys/class/net/vf0/flags", "0x1003");
	assert_int_equal(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &vfio, &a.e), -EBUSY);
	assert_has(a.e.text, "interface vf0 is up");
	fakesys_file(w->f, "/sys/class/net/vf0/flags", "0x1002");
	assert_ok(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &vfio, &a.e), a.e);
	assert_string_equal(world_driver(w, "0000:01:10.0"), "vfio-pci");
	assert_ok(sriov_vf_apply(&a.p->c, a.j, "eth0/0", &none, &a.e), a.e);
	assert_string_equal(world_driver(w, "0000:01:10.0"), "");
	assert_ok(sriov_vf_undo(&a.p->c, a.j, "eth0/0", &a.e), a.e);
	sriov_journal_close(a.j);
	assert_same(w, before);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_one_out),	  cmocka_unit_test(two_of_one),
		cmocka_unit_test(all_taken),	  cmocka_unit_test(lock_alone),
		cmocka_unit_test(after_the_dead), cmocka_unit_test(one_dies),
		cmocka_unit_test(by_hand_pf),	  cmocka_unit_test(create_after_crash),
		cmocka_unit_test(same_name),	  cmocka_unit_test(by_hand),
		cmocka_unit_test(hand_then_vm),	  cmocka_unit_test(hand_leaves_first),
		cmocka_unit_test(hand_fails),	  cmocka_unit_test(hand_nvme),
		cmocka_unit_test(hand_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
