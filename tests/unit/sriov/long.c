// SPDX-License-Identifier: BSD-3-Clause
/* The journal of what is done by hand, over years of commands: it stays short, stays readable, and
 * brings back what was there first. */
#include "tests/unit/sriov/cm.h"

#define ADMIN "/run/sluice/admin.0.0.journal"

/* A command of its own, as a script would call it. */
static void set_one(struct admin *a, const char *vf, const struct sriov_vf_set *set)
{
	admin_open(a);
	assert_ok(apply_net(&a->p->c, a->j, vf, set, &a->e), a->e);
	sriov_journal_close(a->j);
}

static void create(struct admin *a, unsigned int n)
{
	admin_open(a);
	assert_ok(sriov_vf_create(&a->p->c, a->j, "eth0", n, &a->e), a->e);
	sriov_journal_close(a->j);
}

static void release(struct admin *a, const char *what)
{
	admin_open(a);
	assert_ok(sriov_vf_undo(&a->p->c, a->j, what, &a->e), a->e);
	sriov_journal_close(a->j);
}

static size_t steps_of(struct admin *a)
{
	size_t n;

	admin_open(a);
	n = sriov_journal_record(a->j)->n;
	sriov_journal_close(a->j);
	return n;
}

/* Another MAC and VLAN each time, never released: the first values come back. */
static void changes(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w), *made;
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_vf_set set = of_pf_set("eth0").set, keep = { .has_vlan = true, .vlan = 9 };

	create(&a, 3);
	made = world_dump(w);
	set_one(&a, "eth0/2", &keep);
	for (unsigned int i = 0; i < 1200; i++) {
		set.mac.b[5] = (uint8_t)i;
		set.vlan = (uint16_t)(1 + i % 4000);
		set_one(&a, "eth0/1", &set);
	}
	assert_in_range(steps_of(&a), 1, 200);
	assert_in_range(strlen(fakesys_get(w->f, ADMIN)), 1, 100000);
	release(&a, "eth0/1");
	assert_int_equal(w->net[2].vlan, 9);
	release(&a, "eth0/2");
	free(made);
	release(&a, "eth0");
	assert_same(w, before);
	assert_int_equal(fakesys_open_fds(w->f), 0);
	world_free(w);
}

/* The same values again, and set and released in turn: nothing is left of either. */
static void again_and_again(void **state)
{
	struct world *w = world_new();
	char *before = world_dump(w);
	struct admin a = { .p = world_proc(w, 100) };
	const struct sriov_vf_set set = of_pf_set("eth0").set,
				  other = { .has_vlan = true, .vlan = 9 };

	create(&a, 2);
	set_one(&a, "eth0/0", &set);
	for (unsigned int i = 0; i < 300; i++)
		set_one(&a, "eth0/0", &set);
	assert_in_range(steps_of(&a), 1, 100);
	for (unsigned int i = 0; i < 300; i++) {
		set_one(&a, "eth0/1", &other);
		release(&a, "eth0/1");
	}
	assert_in_range(steps_of(&a), 1, 100);
	assert_string_equal(fakesys_get(w->f, "/sys/bus/pci/devices/" NET_PF "/sriov_numvfs"), "2");
	release(&a, "eth0");
	assert_same(w, before);
	world_free(w);
}

/* Somebody else's value between two of ours is left alone, as it is without a shorter journal. */
static void foreign_between(void **state)
{
	struct world *w = world_new();
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_vf_set set = { .has_vlan = true };

	create(&a, 1);
	for (unsigned int i = 0; i < 100; i++) {
		set.vlan = (uint16_t)(100 + i);
		set_one(&a, "eth0/0", &set);
		if (i == 50)
			w->net[0].vlan = 7;
	}
	assert_in_range(steps_of(&a), 1, 64);
	release(&a, "eth0/0");
	assert_int_equal(w->net[0].vlan, 7);
	release(&a, "eth0");
	world_free(w);
}

/* A journal that is due to be made shorter: n changes of one VF. */
static void grow(struct admin *a, unsigned int n)
{
	struct sriov_vf_set set = { .has_vlan = true };

	create(a, 1);
	admin_open(a);
	for (unsigned int i = 0; i < n; i++) {
		set.vlan = (uint16_t)(100 + i);
		assert_ok(apply_net(&a->p->c, a->j, "eth0/0", &set, &a->e), a->e);
	}
	sriov_journal_close(a->j);
}

/* Killed at any moment while it is made shorter: the next one finds the old or the new. */
static void killed(void **state)
{
	unsigned int n = 0;
	bool done = false;

	while (!done) {
		struct world *w = world_new();
		char *before = world_dump(w);
		struct admin a = { .p = world_proc(w, 100) }, b = { .p = world_proc(w, 101) },
			     c = { .p = world_proc(w, 102) };

		grow(&a, 60);
		b.p->die_at = ++n;
		if (!sriov_journal_open_admin(&b.p->c, SRIOV_ADMIN, &b.j, &b.e)) {
			done = !b.p->dead;
			sriov_journal_close(b.j);
		}
		proc_kill(b.p);
		assert_ok(sriov_restore_owner(&c.p->c, SRIOV_ADMIN, NULL, &c.e), c.e);
		fakesys_del(w->f, ADMIN ".new");
		assert_same_at(w, before, "killed before change", n);
		assert_int_equal(fakesys_open_fds(w->f), 0);
		world_free(w);
	}
	assert_true(n > 3);
}

/* A call that fails: the old journal goes on, and nothing stays open. */
static void fails(void **state)
{
	bool done = false;

	for (unsigned int n = 1; !done; n++) {
		struct world *w = world_new();
		char *before = world_dump(w);
		struct admin a = { .p = world_proc(w, 100) };
		struct sriov_vf_set set = { .has_vlan = true, .vlan = 5 };

		grow(&a, 60);
		fakesys_fail_nth(w->f, n, -EIO);
		if (!sriov_journal_open_admin(&a.p->c, SRIOV_ADMIN, &a.j, &a.e)) {
			done = !fakesys_failed(w->f);
			fakesys_fail_nth(w->f, 0, 0);
			assert_ok(apply_net(&a.p->c, a.j, "eth0/0", &set, &a.e), a.e);
			sriov_journal_close(a.j);
		}
		fakesys_fail_nth(w->f, 0, 0);
		assert_int_equal(proc_fds(a.p), 0);
		assert_null(fakesys_get(w->f, ADMIN ".new"));
		release(&a, "eth0");
		assert_same_at(w, before, "failed call", n);
		world_free(w);
	}
}

/* What a reader would refuse is not written. */
static void full(void **state)
{
	struct world *w = world_new();
	struct admin a = { .p = world_proc(w, 100) };
	struct sriov_step st = { .kind = SRIOV_STEP_VLAN,
				 .pf = { 0, 1, 0, 0 },
				 .fn = { 0, 1, 16, 0 } };
	unsigned int n = 0;
	int rc;

	admin_open(&a);
	strcpy(st.prior, "0.0.33024");
	strcpy(st.ours, "5.0.33024");
	do {
		st.group = sriov_journal_group(a.j);
		st.vfn = n++;
		rc = sriov_journal_add(a.j, &st, &a.e);
	} while (!rc && n < 5000);
	assert_int_equal(rc, -ENOSPC);
	assert_has(a.e.text, "journal " ADMIN " is full");
	assert_has(a.e.text, "sluice vf release");
	assert_true(n > 3000);
	for (size_t i = 0; i < 200; i++)
		assert_ok(sriov_journal_mark(a.j, i, &a.e), a.e);
	proc_kill(a.p);
	sriov_journal_close(a.j);
	a.p = world_proc(w, 101);
	admin_open(&a);
	sriov_journal_close(a.j);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),	   cmocka_unit_test(again_and_again),
		cmocka_unit_test(foreign_between), cmocka_unit_test(killed),
		cmocka_unit_test(fails),	   cmocka_unit_test(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
