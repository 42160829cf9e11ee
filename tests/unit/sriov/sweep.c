// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two sweeps over taking and giving back: the owner is killed before its n-th change, for every n,
 * and a restore by another process must bring back the very state; and the n-th system call fails,
 * for every n, and nothing may leak.
 */
#include "tests/unit/sriov/cm.h"

struct scene {
	const char *name;
	void (*prepare)(struct world *w);
	struct sriov_take (*req)(struct bdf *b);
};

static void nothing(struct world *w)
{
}

static void vfs_there(struct world *w)
{
	world_set_numvfs(w, NET_PF, "2");
	w->net[0] = (struct sriov_netvf){
		.mac = { { 2, 2, 3, 4, 5, 6 } }, .vlan = 7, .proto = 0x88a8, .spoofchk = 1
	};
}

static void nvme_online(struct world *w)
{
	world_set_numvfs(w, NVME_PF, "1");
	w->vq_max = 4;
	w->sec[0] = (struct world_sec){ .vq = 3, .vi = 1, .online = true };
}

static void nvme_dropping(struct world *w)
{
	nvme_online(w);
	w->nvme_drops = true;
}

static void nic_up(struct world *w)
{
	fakesys_file(w->f, "/sys/class/net/eth1/flags", "0x1003");
}

static struct sriov_take net_req(struct bdf *b)
{
	struct sriov_take t = of_pf_set("eth0");

	t.set.has_link = true;
	t.set.link = SRIOV_LINK_ENABLE;
	return t;
}

static struct sriov_take nvme_req(struct bdf *b)
{
	return of_pf("/dev/nvme0");
}

static struct sriov_take nvme_more(struct bdf *b)
{
	struct sriov_take t = of_pf("/dev/nvme0");

	t.vq = 4;
	return t;
}

static struct sriov_take whole_req(struct bdf *b)
{
	BUG_ON(bdf_parse(b, E1000));
	return (struct sriov_take){ .bdf = b };
}

static const struct scene scenes[] = {
	{ "VFs made", nothing, net_req },
	{ "VFs there", vfs_there, net_req },
	{ "NVMe", nothing, nvme_req },
	{ "NVMe online", nvme_online, nvme_more },
	{ "NVMe that drops", nvme_dropping, nvme_more },
	{ "whole function", nic_up, whole_req },
};

/* A life from the first call to the last; true when nothing went wrong. */
static bool live(struct proc *p, const struct scene *s)
{
	struct sriov_journal *j = NULL;
	struct err e = { 0 };
	struct sriov_take t;
	struct sriov_vf vf;
	struct bdf b;
	bool ok;

	t = s->req(&b);
	ok = !sriov_journal_open(&p->c, "vm0", &j, &e);
	if (ok) {
		ok = !sriov_take(&p->c, j, &t, &vf, &e);
		ok = ok && !sriov_release(&p->c, j, &vf, &e);
		sriov_journal_close(j);
	}
	return ok;
}

static void crash(void **state)
{
	const struct scene *s = *state;
	unsigned int n = 0;
	bool done = false;

	while (!done) {
		struct world *w = world_new();
		struct proc *a = world_proc(w, 100), *b = world_proc(w, 101);
		struct sriov_restored r;
		struct err e = { 0 };
		char *before;

		s->prepare(w);
		before = world_dump(w);
		a->die_at = ++n;
		done = live(a, s) && !a->dead;
		proc_kill(a);
		if (sriov_restore_dead(&b->c, false, &r, &e))
			fail_msg("%s: killed before change %u: %s", s->name, n, e.text);
		assert_int_equal(r.foreign, 0);
		assert_same_at(w, before, s->name, n);
		assert_int_equal(fakesys_open_fds(w->f), 0);
		world_free(w);
	}
	print_message("%s: %u changes\n", s->name, n - 1);
	assert_true(n > 10);
}

/* The restore is killed, too: the next one goes on where it stopped. */
static void crash_of_restore(void **state)
{
	const struct scene *s = *state;
	unsigned int n = 0;
	bool done = false;

	while (!done) {
		struct world *w = world_new();
		struct proc *a = world_proc(w, 100), *b = world_proc(w, 101),
			    *c = world_proc(w, 102);
		struct sriov_journal *j;
		struct err e = { 0 };
		struct sriov_take t;
		struct sriov_vf vf;
		struct bdf at;
		char *before;

		s->prepare(w);
		before = world_dump(w);
		t = s->req(&at);
		assert_ok(sriov_journal_open(&a->c, "vm0", &j, &e), e);
		assert_ok(sriov_take(&a->c, j, &t, &vf, &e), e);
		proc_kill(a);
		sriov_journal_close(j);
		b->die_at = ++n;
		done = !sriov_restore_dead(&b->c, false, NULL, &e);
		proc_kill(b);
		if (sriov_restore_dead(&c->c, false, NULL, &e))
			fail_msg("%s: restore killed before change %u: %s", s->name, n, e.text);
		assert_same_at(w, before, s->name, n);
		world_free(w);
	}
}

/* Every call fails once. What could not be undone then must be in the journal for the next restore.
 */
static void fail_nth(void **state)
{
	const struct scene *s = *state;
	bool done = false;

	for (unsigned int n = 1; !done; n++) {
		struct world *w = world_new();
		struct proc *a = world_proc(w, 100), *b = world_proc(w, 101);
		struct err e = { 0 };
		char *before;

		s->prepare(w);
		before = world_dump(w);
		fakesys_fail_nth(w->f, n, -EIO);
		live(a, s);
		done = !fakesys_failed(w->f);
		fakesys_fail_nth(w->f, 0, 0);
		if (proc_fds(a))
			fail_msg("%s: call %u failed: %u fds stay open", s->name, n, proc_fds(a));
		proc_kill(a);
		if (sriov_restore_dead(&b->c, false, NULL, &e))
			fail_msg("%s: call %u failed: %s", s->name, n, e.text);
		assert_same_at(w, before, s->name, n);
		assert_int_equal(fakesys_open_fds(w->f), 0);
		world_free(w);
	}
}

int main(void)
{
	struct CMUnitTest tests[3 * ARRAY_SIZE(scenes)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
		void *s = (void *)&scenes[i];

		tests[n++] = (struct CMUnitTest){ "crash", crash, NULL, NULL, s };
		tests[n++] =
			(struct CMUnitTest){ "crash_of_restore", crash_of_restore, NULL, NULL, s };
		tests[n++] = (struct CMUnitTest){ "fail_nth", fail_nth, NULL, NULL, s };
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
