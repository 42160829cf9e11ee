// SPDX-License-Identifier: BSD-3-Clause
/*
 * The files of the journals. The name says who the owner is, so that a file that was cut short
 * before its first line is still known. Whoever has the file open for writing holds its lock; a
 * file that is found after its last writer removed it is noticed by asking the path again once the
 * lock is there.
 *
 * An append that fails half way is cut off again; if that fails as well, nothing more may be
 * written, since a broken line in the middle would make the whole journal unreadable.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "sriov/priv.h"

#define SUFFIX ".journal"

struct sriov_journal {
	struct sriov *c;
	char path[PATH_MAX];
	int fd;
	size_t len, cap;
	unsigned int group; /* last one given out */
	bool broken, fresh; /* fresh: it was found without a first line */
	struct sriov_record rec;
};

bool sriov_owner_name_ok(const char *name)
{
	if (!name[0] || strlen(name) >= SRIOV_OWNER_MAX)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '-' && *name != '_')
			return false;
	return true;
}

int sriov_journal_name_parse(const char *file, struct sriov_owner *out)
{
	struct sriov_owner o = { .pid = 0 };
	size_t n = strcspn(file, ".");
	uint64_t start;
	int pid, end = 0;

	if (n >= sizeof(o.name))
		return -EINVAL;
	memcpy(o.name, file, n);
	if (!sriov_owner_name_ok(o.name) ||
	    sscanf(file + n, ".%d.%" SCNu64 SUFFIX "%n", &pid, &start, &end) != 2 || !end ||
	    file[n + (size_t)end] || pid < 0)
		return -EINVAL;
	o.pid = pid;
	o.start = start;
	*out = o;
	return 0;
}

static void path_of(struct sriov *c, const struct sriov_owner *o, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s.%d.%" PRIu64 SUFFIX, sriov_dir(c), o->name, (int)o->pid,
		 o->start);
}

int sriov_journal_slurp(struct sys *s, int fd, char **text, size_t *len)
{
	size_t n = 0, cap = 0;
	char *buf = NULL;
	ssize_t got = 0;

	do {
		n += (size_t)got;
		if (n == cap) {
			char *more = cap > JOURNAL_MAX ? NULL : realloc(buf, cap + 16384);

			if (!more) {
				free(buf);
				return cap > JOURNAL_MAX ? -EFBIG : -ENOMEM;
			}
			buf = more;
			cap += 16384;
		}
		got = sys_pread(s, fd, buf + n, cap - n, (off_t)n);
	} while (got > 0);
	if (got < 0) {
		free(buf);
		return (int)got;
	}
	*text = buf;
	*len = n;
	return 0;
}

/* ---- writing ---- */

/* One line, its newline in place of the NUL; takes the reference of o. NULL: memory is out. */
static char *line_of(json_t *o, size_t *n)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	*n = text ? strlen(text) : 0;
	if (text)
		text[(*n)++] = '\n';
	return text;
}

/* Appends a line and syncs; the line is not there when it fails. Takes the reference of o. */
static int append(struct sriov_journal *j, json_t *o, struct err *e)
{
	/* One write of one line: a reader sees it whole, or cut at the end of the file. */
	size_t n;
	char *text = line_of(o, &n);
	int rc = text ? 0 : -ENOMEM;

	if (!rc && j->broken)
		rc = -EIO;
	if (!rc) {
		rc = sys_write_all(j->c->sys, j->fd, text, n);
		if (!rc)
			rc = sys_fsync(j->c->sys, j->fd);
		if (rc)
			j->broken = sys_ftruncate(j->c->sys, j->fd, (off_t)j->len) != 0;
		else
			j->len += n;
	}
	free(text);
	return rc ? err_sys(e, rc, "cannot write the journal %s", j->path) : 0;
}

static json_t *header_json(const struct sriov_owner *o)
{
	return json_pack("{s:I, s:s, s:I, s:I}", "sluice-journal", (json_int_t)1, "owner", o->name,
			 "pid", (json_int_t)o->pid, "start", (json_int_t)o->start);
}

static json_t *step_json(const struct sriov_step *st)
{
	char fn[BDF_STRLEN], pf[BDF_STRLEN];
	json_t *o;

	o = json_pack("{s:s, s:I, s:s, s:s, s:I, s:s, s:s}", "step", sriov_step_name(st->kind),
		      "group", (json_int_t)st->group, "fn", bdf_format(fn, st->fn), "pf",
		      bdf_format(pf, st->pf), "vf", (json_int_t)st->vfn, "prior", st->prior, "ours",
		      st->ours);
	if (o && st->kind == SRIOV_STEP_BIND &&
	    json_object_set_new(o, "override", json_string(st->prior_override))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int keep(struct sriov_journal *j, const struct sriov_step *st, struct err *e)
{
	size_t cap = j->cap ? j->cap * 2 : 16;
	struct sriov_step *s;

	if (j->rec.n == j->cap) {
		s = realloc(j->rec.step, cap * sizeof(*s));
		if (!s)
			return err_set(e, -ENOMEM, "out of memory");
		j->rec.step = s;
		j->cap = cap;
	}
	j->rec.step[j->rec.n] = *st;
	return 0;
}

/* A reader refuses what is larger, and then nothing of it would ever be undone. */
static bool is_full(const struct sriov_journal *j)
{
	return j->rec.n >= JOURNAL_STEPS_MAX ||
	       j->len + JOURNAL_LINE_MAX + JOURNAL_STEPS_MAX * JOURNAL_MARK_MAX > JOURNAL_MAX;
}

int sriov_journal_add(struct sriov_journal *j, const struct sriov_step *st, struct err *e)
{
	int rc;

	BUG_ON(!sriov_step_value_ok(st->kind, st->prior) ||
	       !sriov_step_value_ok(st->kind, st->ours));
	if (is_full(j))
		return err_set(e, -ENOSPC,
			       "the journal %s is full: give back what is no longer needed "
			       "('sluice vf release')",
			       j->path);
	rc = keep(j, st, e);
	if (!rc)
		rc = append(j, step_json(st), e);
	if (!rc)
		j->rec.step[j->rec.n++].undone = false;
	return rc;
}

int sriov_journal_mark(struct sriov_journal *j, size_t i, struct err *e)
{
	int rc;

	BUG_ON(i >= j->rec.n || j->rec.step[i].undone);
	rc = append(j, json_pack("{s:I}", "undone", (json_int_t)i), e);
	if (!rc)
		j->rec.step[i].undone = true;
	return rc;
}

/* ---- opening ---- */

/* 1: the path is still this file; 0: it was removed or replaced while we waited for the lock. */
static int still_there(struct sriov_journal *j)
{
	struct stat a, b;
	int rc = sys_stat(j->c->sys, j->path, &a);

	if (!rc)
		rc = sys_fstat(j->c->sys, j->fd, &b);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int open_locked(struct sriov_journal *j, int flags, struct err *e)
{
	struct sriov *c = j->c;
	int rc;

	do {
		sys_close(c->sys, &j->fd);
		j->fd = sys_open(c->sys, j->path,
				 O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
		if (j->fd == -ENOENT)
			return -ENOENT;
		if (j->fd < 0)
			return err_sys(e, j->fd, "cannot open the journal %s", j->path);
		rc = sriov_flock(c, j->fd, LOCK_EX, sriov_wait_ms(c), j->path);
		if (rc)
			return err_sys(e, rc, "cannot lock the journal %s (its owner lives?)",
				       j->path);
		rc = still_there(j);
	} while (!rc);
	return rc < 0 ? err_sys(e, rc, "cannot look at the journal %s", j->path) : 0;
}

/* Reads what the file has, cuts off a broken last line, and writes the first line if there is none.
 */
static int load(struct sriov_journal *j, struct err *e)
{
	const struct sriov_owner o = j->rec.owner;
	size_t len = 0, good = 0;
	char *text = NULL;
	int rc;

	rc = sriov_journal_slurp(j->c->sys, j->fd, &text, &len);
	if (rc)
		return err_sys(e, rc, "cannot read the journal %s", j->path);
	rc = sriov_record_parse(text, len, &j->rec, &good, e);
	free(text);
	j->rec.owner = rc || !good ? o : j->rec.owner;
	if (!rc && (strcmp(o.name, j->rec.owner.name) || o.pid != j->rec.owner.pid ||
		    o.start != j->rec.owner.start))
		rc = err_set(e, -EBADMSG, "its first line names another owner than the file does");
	if (rc) {
		err_prefix(e, "journal %s: ", j->path);
		err_append(e, "; nothing was undone: look at it, and remove it");
		return rc;
	}
	if (good < len)
		rc = sys_ftruncate(j->c->sys, j->fd, (off_t)good);
	if (rc)
		return err_sys(e, rc, "cannot mend the journal %s", j->path);
	j->len = good;
	j->cap = j->rec.n;
	for (size_t i = 0; i < j->rec.n; i++)
		j->group = MAX(j->group, j->rec.step[i].group);
	j->fresh = !good;
	return good ? 0 : append(j, header_json(&j->rec.owner), e);
}

/* All lines of a record in one piece. */
static char *text_of(const struct sriov_record *r, size_t *len)
{
	char *all = NULL, *grown, *text;
	size_t n;

	*len = 0;
	for (size_t i = 0; i <= r->n; i++) {
		text = line_of(i ? step_json(&r->step[i - 1]) : header_json(&r->owner), &n);
		grown = text ? realloc(all, *len + n) : NULL;
		if (!grown) {
			free(text);
			free(all);
			return NULL;
		}
		all = grown;
		memcpy(all + *len, text, n);
		*len += n;
		free(text);
	}
	return all;
}

/* A file of a name that is no journal's, with the lock and the text that the journal shall have. */
static int write_new(struct sriov_journal *j, const char *path, const char *text, size_t len)
{
	struct sys *s = j->c->sys;
	int rc, fd;

	fd = sys_open(s, path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		      0600);
	if (fd < 0)
		return fd;
	rc = sys_flock(s, fd, LOCK_EX | LOCK_NB);
	if (!rc)
		rc = sys_write_all(s, fd, text, len);
	if (!rc)
		rc = sys_fsync(s, fd);
	if (!rc)
		rc = sys_rename(s, path, j->path);
	if (rc) {
		sys_unlink(s, path);
		sys_close(s, &fd);
	}
	return rc ? rc : fd;
}

#define COMPACT_FROM 64 /* steps: below, there is nothing to be gained */

/*
 * Puts a shorter journal in the place of a long one, by rename: a crash finds the one or the other.
 * Those who wait for the lock of the old file find that the path is another one. A failure is no
 * harm, the old one goes on.
 */
static void shorten(struct sriov_journal *j)
{
	struct sriov_record r = { 0 };
	char path[PATH_MAX + 8], *text;
	size_t len;
	int fd;

	if (j->rec.n < COMPACT_FROM || sriov_record_compact(&j->rec, &r))
		return;
	text = r.n <= j->rec.n / 2 ? text_of(&r, &len) : NULL;
	snprintf(path, sizeof(path), "%s.new", j->path);
	fd = text ? write_new(j, path, text, len) : -ENOMEM;
	free(text);
	if (fd < 0) {
		sriov_record_free(&r);
		return;
	}
	sys_close(j->c->sys, &j->fd);
	sriov_record_free(&j->rec);
	j->fd = fd;
	j->rec = r;
	j->cap = r.n;
	j->len = len;
}

static struct sriov_journal *journal_new(struct sriov *c, const struct sriov_owner *o)
{
	struct sriov_journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->c = c;
	j->fd = -1;
	j->rec.owner = *o;
	path_of(c, o, j->path);
	return j;
}

static void journal_free(struct sriov_journal *j)
{
	sys_close(j->c->sys, &j->fd);
	sriov_record_free(&j->rec);
	free(j);
}

static int journal_open(struct sriov *c, const struct sriov_owner *o, int flags,
			struct sriov_journal **out, struct err *e)
{
	struct sriov_journal *j = journal_new(c, o);
	int rc;

	if (!j)
		return err_set(e, -ENOMEM, "out of memory");
	rc = open_locked(j, flags, e);
	if (!rc) {
		rc = load(j, e);
		/* A file that we made and could not fill would only be in the way; one that could
		 * not be read may hold anything. */
		if (rc && (flags & O_CREAT) && j->fresh)
			sys_unlink(c->sys, j->path);
	}
	if (rc) {
		journal_free(j);
		return rc;
	}
	*out = j;
	return 0;
}

static int name_check(const char *name, struct sriov_owner *o, struct err *e)
{
	if (!sriov_owner_name_ok(name))
		return err_set(e, -EINVAL,
			       "'%s' cannot name an owner: letters, digits, '-' and '_', at most "
			       "%d",
			       name, SRIOV_OWNER_MAX - 1);
	strcpy(o->name, name);
	return 0;
}

int sriov_journal_open(struct sriov *c, const char *name, struct sriov_journal **out, struct err *e)
{
	struct sriov_owner o = { .pid = c->pid ? c->pid : getpid() };
	bool running;
	int rc = name_check(name, &o, e);

	if (!rc)
		rc = sriov_dir_make(c, e);
	if (rc)
		return rc;
	rc = sriov_proc(c, o.pid, &o.start, &running);
	if (rc)
		return err_sys(e, rc, "cannot read the start time of process %d from /proc",
			       (int)o.pid);
	return journal_open(c, &o, O_CREAT | O_EXCL, out, e);
}

int sriov_journal_open_admin(struct sriov *c, const char *name, struct sriov_journal **out,
			     struct err *e)
{
	struct sriov_owner o = { .pid = 0 };
	int rc = name_check(name, &o, e);

	if (!rc)
		rc = sriov_dir_make(c, e);
	if (!rc)
		rc = journal_open(c, &o, O_CREAT, out, e);
	if (!rc)
		shorten(*out);
	return rc;
}

int sriov_journal_adopt(struct sriov *c, const struct sriov_owner *o, struct sriov_journal **out,
			struct err *e)
{
	return journal_open(c, o, 0, out, e);
}

void sriov_journal_close(struct sriov_journal *j)
{
	size_t left = 0;

	if (!j)
		return;
	for (size_t i = 0; i < j->rec.n; i++)
		left += !j->rec.step[i].undone;
	/* Still locked: whoever waits for the lock finds that the path is another file, or none. */
	if (!left)
		sys_unlink(j->c->sys, j->path);
	journal_free(j);
}

const struct sriov_owner *sriov_journal_owner(const struct sriov_journal *j)
{
	return &j->rec.owner;
}

unsigned int sriov_journal_group(struct sriov_journal *j)
{
	return ++j->group;
}

const struct sriov_record *sriov_journal_record(const struct sriov_journal *j)
{
	return &j->rec;
}
