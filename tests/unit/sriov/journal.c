// SPDX-License-Identifier: BSD-3-Clause
/* Journals: what is written, who lives, and files that are not as they should be. */
#include "tests/unit/sriov/cm.h"

#define HEAD "{\"sluice-journal\":1,\"owner\":\"vm0\",\"pid\":7,\"start\":9}\n"
#define STEP(kind, prior, ours)                                                               \
	"{\"step\":\"" kind "\",\"group\":1,\"fn\":\"0000:01:10.0\",\"pf\":\"0000:01:00.0\"," \
	"\"vf\":0,\"prior\":\"" prior "\",\"ours\":\"" ours "\"}\n"

static int parse(const char *text, struct sriov_record *r, size_t *good, struct err *e)
{
	return sriov_record_parse(text, strlen(text), r, good, e);
}

static void good_texts(void **state)
{
	static const char two[] = HEAD STEP("mac", "00:00:00:00:00:00", "52:54:00:aa:bb:cc")
		STEP("numvfs", "0", "4") "{\"undone\":0}\n";
	struct sriov_record r;
	struct err e = { 0 };
	size_t good;

	assert_ok(parse(two, &r, &good, &e), e);
	assert_int_equal(good, strlen(two));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.owner.pid, 7);
	assert_true(r.step[0].undone && !r.step[1].undone);
	assert_string_equal(r.step[1].ours, "4");
	sriov_record_free(&r);
	/* Cut short at any byte: whole lines count, the rest is as if it had not been written. */
	for (size_t len = 0; len < sizeof(two) - 1; len++) {
		assert_ok(sriov_record_parse(two, len, &r, &good, &e), e);
		assert_true(good <= len && (!good || two[good - 1] == '\n'));
		sriov_record_free(&r);
	}
}

static const char *const bad_text[] = {
	"garbage\n",
	"\n",
	"{}\n",
	"[]\n",
	"{\"sluice-journal\":2,\"owner\":\"vm0\",\"pid\":7,\"start\":9}\n",
	"{\"sluice-journal\":1,\"owner\":\"../x\",\"pid\":7,\"start\":9}\n",
	"{\"sluice-journal\":1,\"owner\":\"vm0\",\"pid\":-7,\"start\":9}\n",
	"{\"sluice-journal\":1,\"owner\":\"vm0\",\"pid\":7,\"start\":9,\"x\":1}\n",
	HEAD HEAD,
	HEAD "{\"undone\":0}\n",
	HEAD STEP("mac", "00:00:00:00:00:00", "52:54:00:aa:bb:cc") "{\"undone\":1}\n",
	HEAD STEP("mac", "00:00:00:00:00:00",
		  "52:54:00:aa:bb:cc") "{\"undone\":0}\n{\"undone\":0}\n",
	HEAD STEP("format-disk", "", ""),
	HEAD STEP("mac", "nonsense", "52:54:00:aa:bb:cc"),
	HEAD STEP("numvfs", "0", "4; reboot"),
	HEAD STEP("numvfs", "0", "99999"),
	HEAD STEP("numvfs", "-1", "4"),
	HEAD STEP("trust", "0", "2"),
	HEAD STEP("vlan", "0.0", "5.0.33024"),
	HEAD STEP("vlan", "0.9.33024", "5.0.33024"),
	HEAD STEP("link", "0", "3"),
	/* a bind without its override */
	HEAD STEP("bind", "igbvf", "vfio-pci"),
	HEAD "{\"step\":\"bind\",\"group\":1,\"fn\":\"0000:01:10.0\",\"pf\":\"0000:01:00.0\","
	     "\"vf\":0,\"prior\":\"../../x\",\"ours\":\"vfio-pci\",\"override\":\"\"}\n",
	HEAD "{\"step\":\"numvfs\",\"group\":1,\"fn\":\"../..\",\"pf\":\"0000:01:00.0\","
	     "\"vf\":0,\"prior\":\"0\",\"ours\":\"1\"}\n",
	HEAD "{\"step\":\"numvfs\",\"group\":0,\"fn\":\"0000:01:10.0\","
	     "\"pf\":\"0000:01:00.0\",\"vf\":0,\"prior\":\"0\",\"ours\":\"1\"}\n",
	HEAD "{\"step\":\"numvfs\",\"step\":\"mac\"}\n",
};

static void bad_texts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_text); i++) {
		struct sriov_record r;
		struct err e = { 0 };
		size_t good;

		if (parse(bad_text[i], &r, &good, &e) != -EBADMSG)
			fail_msg("accepted: %s", bad_text[i]);
		assert_has(e.text, "line ");
		assert_null(r.step);
	}
}

static void big_texts(void **state)
{
	size_t len = 2 << 20, good;
	char *text = malloc(len);
	struct sriov_record r;
	struct err e = { 0 };

	memset(text, '\n', len);
	assert_int_equal(sriov_record_parse(text, len, &r, &good, &e), -EFBIG);
	memset(text, ' ', len);
	text[5000] = '\n';
	assert_int_equal(sriov_record_parse(text, 6000, &r, &good, &e), -EBADMSG);
	assert_has(e.text, "too long");
	free(text);
}

static struct sriov_step a_step(void)
{
	struct sriov_step st = { .kind = SRIOV_STEP_NUMVFS, .group = 1, .pf = { 0, 1, 0, 0 } };

	st.fn = st.pf;
	strcpy(st.prior, "0");
	strcpy(st.ours, "2");
	return st;
}

static void write_and_read(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	const struct sriov_step st = a_step();
	struct sriov_owner_info *o;
	struct sriov_journal *j;
	struct err e = { 0 };
	size_t n;

	assert_ok(sriov_journal_open(&p->c, "vm0", &j, &e), e);
	assert_ok(sriov_journal_add(j, &st, &e), e);
	assert_non_null(fakesys_get(w->f, "/run/sluice/vm0.100.1100.journal"));
	assert_ok(sriov_owners(&p->c, &o, &n, &e), e);
	assert_int_equal(n, 1);
	assert_true(o[0].alive && !o[0].bad && o[0].steps == 1);
	assert_string_equal(o[0].record.step[0].ours, "2");
	sriov_owners_free(o, n);
	assert_ok(sriov_journal_mark(j, 0, &e), e);
	sriov_journal_close(j);
	assert_null(fakesys_get(w->f, "/run/sluice/vm0.100.1100.journal"));
	assert_int_equal(proc_fds(p), 0);
	world_free(w);
}

static void owner_names(void **state)
{
	static const char *const bad[] = { "",
					   "a.b",
					   "../x",
					   "a/b",
					   "a b",
					   ("0123456789012345678901234567890123456789"
					    "012345678901234567890123456789") };
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sriov_journal *j;
		struct err e = { 0 };

		assert_int_equal(sriov_journal_open(&p->c, bad[i], &j, &e), -EINVAL);
	}
	assert_int_equal(fakesys_open_fds(w->f), 0);
	world_free(w);
}

static bool lives(struct proc *asks)
{
	struct sriov_owner_info *o;
	struct err e = { 0 };
	bool alive;
	size_t n;

	assert_ok(sriov_owners(&asks->c, &o, &n, &e), e);
	assert_int_equal(n, 1);
	alive = o[0].alive;
	sriov_owners_free(o, n);
	return alive;
}

static void liveness(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100), *q = world_proc(w, 101);
	struct sriov_journal *j;
	struct err e = { 0 };

	assert_ok(sriov_journal_open(&p->c, "vm0", &j, &e), e);
	assert_true(lives(q));
	/* /proc of another PID namespace: the lock tells. */
	fakesys_del(w->f, "/proc/100");
	assert_true(lives(q));
	proc_kill(p);
	assert_false(lives(q));
	/* The pid was given to somebody else since. */
	fakesys_file(w->f, "/proc/100/stat",
		     "100 (x) S 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 777777 1 1");
	assert_false(lives(q));
	fakesys_file(w->f, "/proc/100/stat",
		     "100 (x) S 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 1100 1 1");
	assert_true(lives(q));
	fakesys_file(w->f, "/proc/100/stat",
		     "100 (x) Z 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 1100 1 1");
	assert_false(lives(q));
	sriov_journal_close(j);
	world_free(w);
}

/* A journal that cannot be read is not acted upon, and says so; the others are. */
static void unreadable(void **state)
{
	static const char path[] = "/run/sluice/vm9.55.66.journal";
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	struct sriov_restored r;
	struct err e = { 0 };

	fakesys_file(w->f, path, HEAD STEP("numvfs", "0", "2") "rubbish\n");
	assert_int_equal(sriov_restore_dead(&p->c, false, &r, &e), -EBADMSG);
	assert_has(e.text, "journal /run/sluice/vm9.55.66.journal: line 3");
	assert_has(e.text, "nothing was undone");
	assert_int_equal(r.undone, 0);
	assert_non_null(fakesys_get(w->f, path));
	/* The name and the first line have to agree. */
	fakesys_file(w->f, path, HEAD);
	assert_int_equal(sriov_restore_dead(&p->c, false, &r, &e), -EBADMSG);
	assert_has(e.text, "another owner");
	/* Killed before the first line: nothing happened. */
	fakesys_file(w->f, path, "{\"sluice-jour");
	assert_ok(sriov_restore_dead(&p->c, false, &r, &e), e);
	assert_null(fakesys_get(w->f, path));
	/* Files of other names are none of ours. */
	fakesys_file(w->f, "/run/sluice/notes.journal", "rubbish");
	fakesys_file(w->f, "/run/sluice/vm0.1.journal", "rubbish");
	assert_ok(sriov_restore_dead(&p->c, false, &r, &e), e);
	world_free(w);
}

/* A full disk in the middle of a line must not spoil the lines that follow. */
static void failed_append(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100);
	const struct sriov_step st = a_step();
	struct sriov_record r;
	struct sriov_journal *j;
	struct err e = { 0 };
	const char *text;
	size_t good;

	assert_ok(sriov_journal_open(&p->c, "vm0", &j, &e), e);
	/* the write works, its sync does not: so the line goes */
	fakesys_fail_nth(w->f, 2, -EIO);
	assert_int_equal(sriov_journal_add(j, &st, &e), -EIO);
	fakesys_fail_nth(w->f, 0, 0);
	assert_int_equal(sriov_journal_record(j)->n, 0);
	assert_ok(sriov_journal_add(j, &st, &e), e);
	text = fakesys_get(w->f, "/run/sluice/vm0.100.1100.journal");
	assert_ok(parse(text, &r, &good, &e), e);
	assert_int_equal(r.n, 1);
	sriov_record_free(&r);
	sriov_journal_close(j);
	world_free(w);
}

/* A journal that cannot be read now, for want of memory or for a bad disk, is not thrown away. */
static void failed_read(void **state)
{
	static const char path[] = "/run/sluice/admin.0.0.journal";
	bool done = false;

	for (unsigned int n = 1; !done; n++) {
		struct world *w = world_new();
		struct proc *p = world_proc(w, 100);
		const struct sriov_step st = a_step();
		struct sriov_journal *j;
		struct err e = { 0 };

		assert_ok(sriov_journal_open_admin(&p->c, "admin", &j, &e), e);
		assert_ok(sriov_journal_add(j, &st, &e), e);
		sriov_journal_close(j);
		fakesys_fail_nth(w->f, n, -EIO);
		if (!sriov_journal_open_admin(&p->c, "admin", &j, &e))
			sriov_journal_close(j);
		done = !fakesys_failed(w->f);
		fakesys_fail_nth(w->f, 0, 0);
		if (!fakesys_get(w->f, path))
			fail_msg("call %u failed, and the journal is gone", n);
		assert_int_equal(proc_fds(p), 0);
		world_free(w);
	}
}

static void restore_by_name(void **state)
{
	struct world *w = world_new();
	struct proc *p = world_proc(w, 100), *q = world_proc(w, 101);
	struct sriov_journal *j;
	struct err e = { 0 };

	assert_int_equal(sriov_restore_owner(&q->c, "vm0", NULL, &e), -ENOENT);
	assert_ok(sriov_journal_open(&p->c, "vm0", &j, &e), e);
	assert_int_equal(sriov_restore_owner(&q->c, "vm0", NULL, &e), -EBUSY);
	assert_has(e.text, "vm0 lives (pid 100)");
	proc_kill(p);
	assert_ok(sriov_restore_owner(&q->c, "vm0", NULL, &e), e);
	sriov_journal_close(j);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts),	   cmocka_unit_test(bad_texts),
		cmocka_unit_test(big_texts),	   cmocka_unit_test(write_and_read),
		cmocka_unit_test(owner_names),	   cmocka_unit_test(liveness),
		cmocka_unit_test(unreadable),	   cmocka_unit_test(failed_append),
		cmocka_unit_test(restore_by_name), cmocka_unit_test(failed_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
