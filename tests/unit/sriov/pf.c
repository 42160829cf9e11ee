// SPDX-License-Identifier: BSD-3-Clause
/* What a user types, and what it is. */
#include "tests/unit/sriov/cm.h"

static void names(void **state)
{
	static const struct {
		const char *what, *bdf;
	} good[] = {
		{ "eth0", NET_PF },	     { NET_PF, NET_PF },   { "01:00.0", NET_PF },
		{ "/dev/nvme0", NVME_PF },   { "nvme0", NVME_PF }, { "nvme0n1", NVME_PF },
		{ "/dev/nvme0n1", NVME_PF },
	};
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	char b[BDF_STRLEN];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = { 0 };
		struct sriov_pf pf;

		assert_ok(sriov_pf_find(&p->c, good[i].what, &pf, &e), e);
		assert_string_equal(bdf_format(b, pf.fn.bdf), good[i].bdf);
	}
	world_free(w);
}

static void not_pfs(void **state)
{
	static const struct {
		const char *what;
		int code;
		const char *says;
	} bad[] = {
		{ "eth7", -ENODEV, "there is no network interface eth7" },
		{ "eth1", -EOPNOTSUPP,
		  "PF eth1 (0000:00:10.0, driver e1000): the device has no SR-IOV capability" },
		{ "0000:07:00.0", -ENODEV, "there is no PCI function 0000:07:00.0" },
		{ "/dev/nvme7", -ENODEV, "there is no NVMe controller /dev/nvme7" },
		{ "nvme7n1", -ENODEV, "there is no nvme7n1" },
		{ "vf0", -EOPNOTSUPP, "it is a VF itself, number 0 of PF 0000:01:00.0" },
		{ "../../etc", -ENODEV, "is no network interface" },
		{ "..", -ENODEV, "is no network interface" },
		{ "", -ENODEV, "is no network interface" },
		{ "/dev/sda", -ENODEV, "there is no network interface" },
		{ "lo", -EINVAL, "lo is not a PCI device" },
	};
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);

	world_set_numvfs(w, NET_PF, "1");
	fakesys_file(w->f, "/sys/class/net/lo/flags", "9");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };
		struct sriov_pf pf;

		assert_int_equal(sriov_pf_find(&p->c, bad[i].what, &pf, &e), bad[i].code);
		assert_has(e.text, bad[i].says);
	}
	world_free(w);
}

/* A disk of two controllers: which of them is meant? */
static void multipath(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	struct err e = { 0 };
	struct sriov_pf pf;

	fakesys_file(w->f, "/sys/class/nvme-subsystem/nvme-subsys0/nvme1/state", "live");
	assert_int_equal(sriov_pf_find(&p->c, "nvme0n1", &pf, &e), -EINVAL);
	assert_has(e.text, "2 controllers");
	world_free(w);
}

static void vfs(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	struct err e = { 0 };
	struct sriov_fn fn;
	char b[BDF_STRLEN];

	world_set_numvfs(w, NET_PF, "3");
	assert_ok(sriov_vf_find(&p->c, "eth0/2", &fn, &e), e);
	assert_string_equal(bdf_format(b, fn.bdf), "0000:01:10.4");
	assert_true(fn.is_vf);
	assert_int_equal(fn.vfn, 2);
	assert_int_equal(fn.group, 22);
	assert_string_equal(fn.driver, "igbvf");
	assert_ok(sriov_vf_find(&p->c, "vf1", &fn, &e), e);
	assert_int_equal(fn.vfn, 1);
	assert_int_equal(sriov_vf_find(&p->c, "eth0/3", &fn, &e), -ENODEV);
	assert_has(e.text, "has no VF 3, it has 3");
	assert_int_equal(sriov_vf_find(&p->c, "eth0/2x", &fn, &e), -EINVAL);
	/* 2^32: no VF 0 */
	assert_int_equal(sriov_vf_find(&p->c, "eth0/4294967296", &fn, &e), -EINVAL);
	assert_int_equal(sriov_vf_find(&p->c, "eth0/65536", &fn, &e), -ENODEV);
	assert_int_equal(sriov_vf_find(&p->c, "eth0", &fn, &e), -EINVAL);
	world_free(w);
}

static void list(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	struct sriov_list l;
	struct err e = { 0 };

	world_set_numvfs(w, NET_PF, "2");
	world_set_numvfs(w, NVME_PF, "1");
	w->net[1].mac = a_mac();
	fakesys_file(w->f, "/sys/class/net/vf1/flags", "0x1003");
	assert_ok(sriov_list_get(&p->c, &l, &e), e);
	assert_int_equal(l.npfs, 2);
	assert_int_equal(l.nvfs, 3);
	assert_true(l.vf[1].has_net && !l.vf[1].has_nvme);
	assert_memory_equal(&l.vf[1].net.mac, &w->net[1].mac, 6);
	assert_string_equal(l.vf[1].use, "interface vf1 is up");
	assert_string_equal(l.vf[0].use, "");
	assert_true(l.vf[2].has_nvme && !l.vf[2].has_net);
	assert_int_equal(l.vf[2].pf, 1);
	sriov_list_free(&l);
	assert_int_equal(fakesys_open_fds(w->f), 0);
	world_free(w);
}

/* Answers of a controller that has gone mad. */
static void nvme_lies(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	struct sriov_nvme_sec sec;
	struct err e = { 0 };

	assert_ok(sriov_nvme_sec_get(&p->sys, "nvme0", 3, &sec, &e), e);
	assert_int_equal(sec.cntlid, 4);
	assert_int_equal(sriov_nvme_sec_get(&p->sys, "nvme0", 4, &sec, &e), -ENOENT);
	w->list_n = 255;
	assert_int_equal(sriov_nvme_sec_get(&p->sys, "nvme0", 0, &sec, &e), -EPROTO);
	/* A full page in which the identifiers do not rise would be asked for again and again. */
	w->list_n = 127;
	assert_int_equal(sriov_nvme_sec_get(&p->sys, "nvme0", 9, &sec, &e), -EPROTO);
	w->list_n = 4;
	w->list_shuffled = true;
	assert_int_equal(sriov_nvme_sec_get(&p->sys, "nvme0", 0, &sec, &e), -EPROTO);
	assert_has(e.text, "makes no sense");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names), cmocka_unit_test(not_pfs), cmocka_unit_test(multipath),
		cmocka_unit_test(vfs),	 cmocka_unit_test(list),    cmocka_unit_test(nvme_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
