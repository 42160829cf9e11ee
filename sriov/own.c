// SPDX-License-Identifier: BSD-3-Clause
/*
 * Owners are known by their journals. One is alive as long as its process runs: the pid with the
 * start time, so that a pid given out again is not mistaken for it, or the lock that it holds on
 * its journal, which also tells across PID namespaces. In doubt it is alive: a VF that is restored
 * too late is a nuisance, one that is restored under a running guest is a disaster. What was done
 * by hand belongs to no process and lives until it is undone by hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include "sriov/priv.h"

struct walk {
	struct sriov *c;
	struct sriov_owner_info *o;
	size_t n;
	int rc;
};

/* Alive unless its process is surely gone. */
static bool process_lives(struct sriov *c, const struct sriov_owner *o)
{
	uint64_t start;
	bool running;
	int rc;

	if (!o->pid)
		return true;
	rc = sriov_proc(c, o->pid, &start, &running);
	if (rc)
		return rc != -ESRCH;
	return running && start == o->start;
}

static void spoil(struct sriov_owner_info *o, const char *why)
{
	o->bad = true;
	snprintf(o->why, sizeof(o->why), "%.*s", (int)sizeof(o->why) - 1, why);
}

/* An owner holds the lock of its journal for life: this tells even where its pid means nothing
 * here. */
static void read_one(struct sriov *c, int fd, struct sriov_owner_info *o)
{
	struct err e = { 0 };
	size_t len, good;
	char *text;
	int rc;

	rc = sys_flock(c->sys, fd, LOCK_SH | LOCK_NB);
	o->alive = (rc && o->owner.pid) || process_lives(c, &o->owner);
	rc = sriov_journal_slurp(c->sys, fd, &text, &len);
	if (rc) {
		err_sys(&e, rc, "cannot read it");
		spoil(o, e.text);
		return;
	}
	rc = sriov_record_parse(text, len, &o->record, &good, &e);
	free(text);
	if (rc) {
		spoil(o, e.text);
		return;
	}
	for (size_t i = 0; i < o->record.n; i++)
		o->steps += !o->record.step[i].undone;
}

static int walk_one(void *arg, const char *name)
{
	struct sriov_owner_info info = { .alive = true }, *grown;
	struct walk *w = arg;
	char path[PATH_MAX];
	int fd;

	if (sriov_journal_name_parse(name, &info.owner))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", sriov_dir(w->c), name);
	fd = sys_open(w->c->sys, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	read_one(w->c, fd, &info);
	sys_close(w->c->sys, &fd);
	grown = realloc(w->o, (w->n + 1) * sizeof(*grown));
	if (!grown) {
		sriov_record_free(&info.record);
		return -ENOMEM;
	}
	w->o = grown;
	w->o[w->n++] = info;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct sriov_owner_info *x = a, *y = b;
	int d = strcmp(x->owner.name, y->owner.name);

	return d ? d : x->owner.pid < y->owner.pid ? -1 : x->owner.pid > y->owner.pid;
}

int sriov_owners(struct sriov *c, struct sriov_owner_info **out, size_t *n, struct err *e)
{
	struct walk w = { .c = c };
	int rc = sys_listdir(c->sys, sriov_dir(c), walk_one, &w);

	if (rc && rc != -ENOENT) {
		sriov_owners_free(w.o, w.n);
		return err_sys(e, rc, "cannot read the journals in %s", sriov_dir(c));
	}
	if (w.n)
		qsort(w.o, w.n, sizeof(*w.o), by_name);
	*out = w.o;
	*n = w.n;
	return 0;
}

void sriov_owners_free(struct sriov_owner_info *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sriov_record_free(&o[i].record);
	free(o);
}

const struct sriov_owner_info *sriov_claim(const struct sriov_owner_info *o, size_t n,
					   struct bdf fn)
{
	for (size_t i = 0; i < n; i++) {
		const struct sriov_record *r = &o[i].record;

		for (size_t k = 0; k < r->n; k++)
			if (r->step[k].kind == SRIOV_STEP_USE && !r->step[k].undone &&
			    bdf_eq(r->step[k].fn, fn))
				return &o[i];
	}
	return NULL;
}

int sriov_owner_of(struct sriov *c, struct bdf fn, struct sriov_owner *who, bool *alive,
		   struct err *e)
{
	const struct sriov_owner_info *found;
	struct sriov_owner_info *o;
	size_t n;
	int rc = sriov_owners(c, &o, &n, e);

	if (rc)
		return rc;
	found = sriov_claim(o, n, fn);
	if (found) {
		*who = found->owner;
		*alive = found->alive;
	}
	sriov_owners_free(o, n);
	return !!found;
}

char *sriov_owner_label(char buf[SRIOV_LABEL_MAX], const struct sriov_owner_info *o)
{
	if (o->owner.pid)
		snprintf(buf, SRIOV_LABEL_MAX, "%s (%spid %d)", o->owner.name,
			 o->alive ? "" : "gone, ", (int)o->owner.pid);
	else
		snprintf(buf, SRIOV_LABEL_MAX, "%s (by hand)", o->owner.name);
	return buf;
}

/* ---- restore ---- */

static int restore_one(struct sriov *c, const struct sriov_owner *o, struct sriov_restored *count,
		       struct err *e)
{
	struct sriov_undo u = { .c = c, .count = count };
	int rc;

	rc = sriov_journal_adopt(c, o, &u.j, e);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	rc = sriov_undo_all(&u, e);
	if (!rc)
		count->owners++;
	sriov_journal_close(u.j);
	if (rc)
		err_prefix(e, "owner %s: ", o->name);
	return rc;
}

/* name NULL: all the dead. */
static int restore(struct sriov *c, const char *name, bool admin, struct sriov_restored *out,
		   struct err *e)
{
	struct sriov_restored count = { 0 };
	struct sriov_owner_info *o = NULL, *lives = NULL;
	size_t n = 0, hits = 0;
	struct err one = { 0 };
	int rc, first;

	first = sriov_owners(c, &o, &n, e);
	for (size_t i = 0; i < n; i++) {
		bool by_hand = !o[i].owner.pid;

		if (name ? strcmp(o[i].owner.name, name) : by_hand && !admin)
			continue;
		hits++;
		rc = 0;
		if (!o[i].alive || by_hand)
			rc = restore_one(c, &o[i].owner, &count, &one);
		else
			lives = &o[i];
		if (rc && !first)
			first = err_set(e, rc, "%s", one.text);
	}
	/* Names may be used again: one that lives is in the way only where no other is gone. */
	if (!first && name && lives && !count.owners)
		first = err_set(e, -EBUSY, "%s lives (pid %d): stop it, it gives back itself", name,
				(int)lives->owner.pid);
	sriov_owners_free(o, n);
	if (!first && name && !hits)
		first = err_set(e, -ENOENT, "there is no journal of %s in %s", name, sriov_dir(c));
	if (out)
		*out = count;
	return first;
}

int sriov_restore_dead(struct sriov *c, bool admin, struct sriov_restored *out, struct err *e)
{
	return restore(c, NULL, admin, out, e);
}

int sriov_restore_owner(struct sriov *c, const char *name, struct sriov_restored *out,
			struct err *e)
{
	return restore(c, name, true, out, e);
}

void sriov_clear_dead(struct sriov *c)
{
	struct sriov_restored r = { 0 };
	struct err e = { 0 };

	if (sriov_restore_dead(c, false, &r, &e))
		log_warn(c->log, "restoring what a dead owner left: %s", e.text);
	if (r.owners)
		log_warn(c->log, "restored what %u dead owner%s left (%u changes)", r.owners,
			 r.owners == 1 ? "" : "s", r.undone);
}
