// SPDX-License-Identifier: BSD-3-Clause
/*
 * Undoing, last step first. A step may have been made, or not (the crash came between journal and
 * change), or been undone before (the crash came between undo and mark); so the present value
 * decides:
 *
 *   it is the prior value        nothing to do
 *   it is ours                   the prior value goes back, and is looked at
 *   it is neither                somebody changed it after us: left alone, and said
 *   what it belongs to is gone   nothing to do
 *
 * numvfs and autoprobe belong to all who have a VF of the PF. Each of them has a copy of those
 * steps in its journal. So whoever finds another copy only drops his own, and the last one out
 * undoes it. The PF's lock is held from the look to the mark.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/priv.h"

static bool is_nvme_step(const struct sriov_step *st)
{
	return st->kind == SRIOV_STEP_NVME_STATE || st->kind == SRIOV_STEP_NVME_VQ ||
	       st->kind == SRIOV_STEP_NVME_VI;
}

/* 1: gone, 0: there. A secondary controller is there as long as its primary is, VF or no VF. */
static int gone(struct sriov *c, const struct sriov_step *st)
{
	bool own = sriov_step_of_pf(st) || is_nvme_step(st) || bdf_eq(st->fn, st->pf);
	char b[BDF_STRLEN], path[64];
	struct bdf vf;
	struct stat sb;
	int rc;

	snprintf(path, sizeof(path), PCI_DEV "%s", bdf_format(b, own ? st->pf : st->fn));
	rc = sys_stat(c->sys, path, &sb);
	if (rc || own)
		return rc == -ENOENT ? 1 : rc;
	rc = sriov_pf_vf(c, st->pf, st->vfn, &vf);
	if (rc)
		return rc == -ENOENT ? 1 : rc;
	return !bdf_eq(vf, st->fn);
}

static void left_alone(struct sriov_undo *u, const struct sriov_step *st, const char *now)
{
	char b[BDF_STRLEN];

	u->count->foreign++;
	log_warn(u->c->log,
		 "%s of %s: it is %s, neither what it was (%s) nor what was set (%s): somebody "
		 "changed it since, left alone",
		 sriov_step_name(st->kind), bdf_format(b, st->fn), *now ? now : "none",
		 *st->prior ? st->prior : "none", *st->ours ? st->ours : "none");
}

/* ---- PF steps ---- */

/* Same PF step in another journal, or in another group of this one? 1, 0 or -errno. */
static int shared(struct sriov_undo *u, const struct sriov_step *st, struct err *e)
{
	const struct sriov_owner *me = sriov_journal_owner(u->j);
	struct sriov_owner_info *o = NULL;
	size_t n = 0;
	int rc;

	rc = sriov_owners(u->c, &o, &n, e);
	for (size_t i = 0; i < n && !rc; i++) {
		bool mine = !strcmp(o[i].owner.name, me->name) && o[i].owner.pid == me->pid &&
			    o[i].owner.start == me->start;
		const struct sriov_record *r = mine ? sriov_journal_record(u->j) : &o[i].record;

		if (o[i].bad && !mine && o[i].alive)
			rc = err_set(
				e, -EBUSY,
				"the journal of %s cannot be read (%s), so it may need the VFs",
				o[i].owner.name, o[i].why);
		for (size_t k = 0; k < r->n && !rc; k++)
			rc = r->step[k].kind == st->kind && !r->step[k].undone &&
			     bdf_eq(r->step[k].pf, st->pf) &&
			     !(mine && r->step[k].group == st->group);
	}
	sriov_owners_free(o, n);
	return rc;
}

/* VFs go away with numvfs: none may be in use by whoever is not in the journals. */
static int vfs_idle(struct sriov *c, const struct sriov_step *st, struct err *e)
{
	char label[SRIOV_LABEL_MAX], b[BDF_STRLEN], why[128];
	struct sriov_fn vf;
	struct bdf at;
	int rc;

	/* virtfn links are numbered without gaps: the first that is missing ends them. */
	for (unsigned int n = 0; n < 65536; n++) {
		rc = sriov_pf_vf(c, st->pf, n, &at);
		if (rc == -ENOENT)
			return 0;
		if (!rc)
			rc = sriov_fn_get(c, at, &vf, e);
		else
			err_sys(e, rc, "cannot look at VF %u", n);
		if (rc)
			return rc;
		rc = sriov_fn_in_use(c, &vf, why, sizeof(why));
		if (rc < 0)
			return err_sys(e, rc, "cannot tell whether VF %s is in use",
				       sriov_fn_label(label, &vf));
		if (rc)
			return err_set(e, -EBUSY,
				       "the VFs of %s stay: VF %s is in use by somebody else: %s",
				       bdf_format(b, st->pf), sriov_fn_label(label, &vf), why);
	}
	return 0;
}

static int undo_numvfs(struct sriov_undo *u, const struct sriov_step *st, struct err *e)
{
	int rc = vfs_idle(u->c, st, e);

	/* The kernel takes a change of the count by way of 0 only. */
	if (!rc && strcmp(st->prior, "0"))
		rc = sriov_step_set(u->c, st, "0", e);
	return rc ? rc : sriov_step_set(u->c, st, st->prior, e);
}

/* ---- VF steps ---- */

static int not_open(void *arg)
{
	const struct sriov_undo *u = ((void **)arg)[0];
	const struct sriov_fn *fn = ((void **)arg)[1];
	char why[128];
	int rc = sriov_fn_in_use(u->c, fn, why, sizeof(why));

	return rc < 0 ? rc : !rc;
}

/*
 * Unbinding vfio-pci waits in the kernel until the last user has closed the device: better to wait
 * here, where there is an end to it.
 */
static int undo_bind(struct sriov_undo *u, const struct sriov_step *st, struct err *e)
{
	char label[SRIOV_LABEL_MAX];
	struct sriov_fn fn;
	void *arg[] = { u, &fn };
	int rc;

	rc = sriov_fn_get(u->c, st->fn, &fn, e);
	if (rc)
		return rc;
	if (!strcmp(fn.driver, SRIOV_VFIO_DRIVER) && strcmp(st->prior, fn.driver)) {
		rc = sriov_poll(u->c, sriov_wait_ms(u->c), "the VFIO group to be closed", not_open,
				arg);
		if (rc)
			return err_sys(e, rc == -ETIMEDOUT ? -EBUSY : rc,
				       "%s is still open for VFIO (another process has its group)",
				       sriov_fn_label(label, &fn));
	}
	rc = sriov_bind_undo(u->c, st->fn, st->ours, st->prior, st->prior_override, e);
	if (rc > 0) {
		left_alone(u, st, fn.driver);
		return 0;
	}
	return rc;
}

/* With trust on, the guest may set its MAC through the PF: then any MAC is ours. */
static bool guest_may_change(const struct sriov_undo *u, const struct sriov_step *st)
{
	const struct sriov_record *r = sriov_journal_record(u->j);

	for (size_t i = 0; i < r->n && st->kind == SRIOV_STEP_MAC; i++)
		if (r->step[i].kind == SRIOV_STEP_TRUST && bdf_eq(r->step[i].fn, st->fn) &&
		    (r->step[i].group == st->group || !r->step[i].undone) &&
		    !strcmp(r->step[i].ours, "1"))
			return true;
	return false;
}

static int put_back(struct sriov_undo *u, const struct sriov_step *st, const char *now,
		    struct err *e)
{
	char b[BDF_STRLEN], then[SRIOV_VALUE_MAX];
	int rc;

	if (strcmp(now, st->ours) && !guest_may_change(u, st)) {
		left_alone(u, st, now);
		return 0;
	}
	rc = st->kind == SRIOV_STEP_NUMVFS ? undo_numvfs(u, st, e)
					   : sriov_step_set(u->c, st, st->prior, e);
	if (!rc)
		rc = sriov_step_get(u->c, st, then, e);
	if (!rc && strcmp(then, st->prior))
		rc = err_set(e, -EIO, "%s of %s stays %s, though %s was written",
			     sriov_step_name(st->kind), bdf_format(b, st->fn), then, st->prior);
	if (!rc)
		u->count->undone++;
	return rc;
}

static int undo_step(struct sriov_undo *u, const struct sriov_step *st, struct err *e)
{
	char now[SRIOV_VALUE_MAX], b[BDF_STRLEN];
	int rc;

	if (st->kind == SRIOV_STEP_USE)
		return 0;
	rc = gone(u->c, st);
	if (rc < 0)
		return err_sys(e, rc, "cannot look at %s", bdf_format(b, st->fn));
	if (rc)
		return 0;
	/* The others have a copy: from here on it is their concern. */
	rc = sriov_step_of_pf(st) ? shared(u, st, e) : 0;
	if (rc)
		return rc < 0 ? rc : 0;
	if (st->kind == SRIOV_STEP_BIND) {
		rc = undo_bind(u, st, e);
		u->count->undone += !rc;
		return rc;
	}
	rc = sriov_step_get(u->c, st, now, e);
	/* Never made, or undone before the mark could be written. */
	if (rc || !strcmp(now, st->prior))
		return rc;
	return put_back(u, st, now, e);
}

/* ---- groups ---- */

/* What was done by hand waits while a VM that came later has the function. */
static int later_claim(struct sriov_undo *u, const struct sriov_step *st, struct err *e)
{
	const struct sriov_owner_info *who;
	char label[SRIOV_LABEL_MAX], b[BDF_STRLEN];
	struct sriov_owner_info *o;
	size_t n;
	int rc;

	rc = sriov_owners(u->c, &o, &n, e);
	if (rc)
		return rc;
	who = sriov_claim(o, n, st->fn);
	if (who)
		rc = err_set(e, -EBUSY, "%s is taken by %s, which gives it back when it ends",
			     bdf_format(b, st->fn), sriov_owner_label(label, who));
	sriov_owners_free(o, n);
	return rc;
}

/* What a group is about, and whether it has taken a function. */
struct group {
	bool any, uses;
	struct sriov_step first;
};

static struct group look(const struct sriov_record *r, unsigned int group)
{
	struct group g = { .any = false };

	for (size_t i = 0; i < r->n; i++) {
		const struct sriov_step *st = &r->step[i];

		if (st->group != group || st->undone)
			continue;
		/* The one that says most about what is locked: the function, rather than its PF. */
		if (!g.any || st->kind == SRIOV_STEP_USE)
			g.first = *st;
		g.any = true;
		g.uses |= st->kind == SRIOV_STEP_USE;
	}
	return g;
}

/*
 * A later change of the same value that is not undone yet: its prior value is what this step knows
 * as ours, so this one has to wait, or would take the present value for somebody else's. The NVMe
 * steps are a chain: resources change hands only while the controller is offline.
 */
static bool waits(const struct sriov_record *r, size_t i)
{
	const struct sriov_step *st = &r->step[i];

	for (size_t k = i + 1; k < r->n && !sriov_step_of_pf(st); k++)
		if (!r->step[k].undone && bdf_eq(r->step[k].fn, st->fn) &&
		    (r->step[k].kind == st->kind ||
		     (is_nvme_step(&r->step[k]) && is_nvme_step(st))))
			return true;
	return false;
}

static int undo_locked(struct sriov_undo *u, unsigned int group, bool uses, struct err *e)
{
	struct err one = { 0 };
	int first = 0, rc;

	for (size_t i = sriov_journal_record(u->j)->n; i-- > 0;) {
		struct sriov_step st = sriov_journal_record(u->j)->step[i];

		if (st.group != group || st.undone)
			continue;
		/* A function of which something is left to undo is still taken. */
		rc = st.kind == SRIOV_STEP_USE && first ? first : 0;
		if (!rc && waits(sriov_journal_record(u->j), i))
			rc = err_set(&one, -EBUSY, "the %s was changed again later",
				     sriov_step_name(st.kind));
		if (!rc && !uses && !sriov_step_of_pf(&st))
			rc = later_claim(u, &st, &one);
		if (!rc)
			rc = undo_step(u, &st, &one);
		if (!rc)
			rc = sriov_journal_mark(u->j, i, &one);
		if (rc && !first)
			first = err_set(e, rc, "%s", one.text);
	}
	return first;
}

int sriov_undo_group(struct sriov_undo *u, unsigned int group, struct err *e)
{
	struct group g = look(sriov_journal_record(u->j), group);
	unsigned int ms = sriov_wait_ms(u->c);
	struct sriov_restored none = { 0 };
	int pf_lock = -1, fn_lock = -1, rc = 0;

	if (!g.any)
		return 0;
	if (!u->count)
		u->count = &none;
	/* First the lock that is held for long, then the one that all wait for. */
	if (g.uses && !u->have_fn_lock)
		rc = sriov_lock(u->c, g.first.fn, LOCK_FN, ms, &fn_lock, e);
	if (!rc && !u->have_pf_lock)
		rc = sriov_lock(u->c, g.first.pf, LOCK_PF, ms, &pf_lock, e);
	if (!rc)
		rc = undo_locked(u, group, g.uses, e);
	sys_close(u->c->sys, &pf_lock);
	sys_close(u->c->sys, &fn_lock);
	if (u->count == &none)
		u->count = NULL;
	return rc;
}

int sriov_undo_all(struct sriov_undo *u, struct err *e)
{
	const struct sriov_record *r = sriov_journal_record(u->j);
	struct err one = { 0 };
	int first = 0, rc;

	for (size_t i = r->n; i-- > 0;) {
		bool seen = r->step[i].undone;

		/* Each group once, by its last step. */
		for (size_t k = i + 1; k < r->n && !seen; k++)
			seen = r->step[k].group == r->step[i].group && !r->step[k].undone;
		if (seen)
			continue;
		rc = sriov_undo_group(u, r->step[i].group, &one);
		if (rc && !first)
			first = err_set(e, rc, "%s", one.text);
	}
	return first;
}
