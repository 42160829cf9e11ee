// SPDX-License-Identifier: BSD-3-Clause
/*
 * The text of a journal. One JSON object a line: first who the owner is, then steps and marks:
 *
 *   {"sluice-journal":1,"owner":"vm0","pid":812,"start":40211}
 *   {"step":"mac","group":1,"fn":"0000:01:10.0","pf":"0000:01:00.0","vf":0,"prior":"...","ours":"..."}
 *   {"undone":0}
 *
 * The file may have been cut short by a crash, which shows as a last line without its newline: the
 * change it announces was not made. Anything else that is not as we write it means that the file is
 * not ours to act upon, so the whole of it is refused.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/priv.h"

struct parse {
	struct sriov_record rec;
	size_t cap;
	unsigned int line;
	struct err *e;
};

static int bad(struct parse *p, const char *why)
{
	return err_set(p->e, -EBADMSG, "line %u: %s", p->line, why);
}

static int header(struct parse *p, json_t *o)
{
	json_int_t version, pid, start;
	const char *owner;

	if (json_unpack_ex(o, NULL, JSON_STRICT, "{s:I, s:s, s:I, s:I}", "sluice-journal", &version,
			   "owner", &owner, "pid", &pid, "start", &start))
		return bad(p, "not the head of a journal");
	if (version != 1)
		return bad(p, "a version this program does not know");
	if (!sriov_owner_name_ok(owner) || pid < 0 || pid > INT32_MAX || start < 0)
		return bad(p, "an owner that cannot be");
	strcpy(p->rec.owner.name, owner);
	p->rec.owner.pid = (pid_t)pid;
	p->rec.owner.start = (uint64_t)start;
	return 0;
}

static int mark(struct parse *p, json_t *o)
{
	json_int_t i;

	if (json_unpack_ex(o, NULL, JSON_STRICT, "{s:I}", "undone", &i))
		return bad(p, "a mark with something else in it");
	if (i < 0 || (size_t)i >= p->rec.n || p->rec.step[i].undone)
		return bad(p, "a mark for a step that is not there");
	p->rec.step[i].undone = true;
	return 0;
}

static int grow(struct parse *p)
{
	size_t cap = p->cap ? p->cap * 2 : 16;
	struct sriov_step *s;

	if (p->rec.n < p->cap)
		return 0;
	if (p->rec.n >= JOURNAL_STEPS_MAX)
		return err_set(p->e, -EFBIG, "more than %d steps", JOURNAL_STEPS_MAX);
	s = realloc(p->rec.step, cap * sizeof(*s));
	if (!s)
		return err_set(p->e, -ENOMEM, "out of memory");
	p->rec.step = s;
	p->cap = cap;
	return 0;
}

static bool values_ok(const struct sriov_step *st, const char *prior, const char *ours,
		      const char *override)
{
	if (!sriov_step_value_ok(st->kind, prior) || !sriov_step_value_ok(st->kind, ours))
		return false;
	if (st->kind != SRIOV_STEP_BIND)
		return !override;
	return override && (!*override || sriov_driver_name_ok(override));
}

static int step(struct parse *p, json_t *o)
{
	/* Strings stay jansson's; each is checked before it is copied into the fixed fields. */
	const char *name, *fn, *pf, *prior, *ours, *override = NULL;
	struct sriov_step st = { .undone = false };
	json_int_t group, vf;
	int rc;

	if (json_unpack_ex(o, NULL, JSON_STRICT, "{s:s, s:I, s:s, s:s, s:I, s:s, s:s, s?s}", "step",
			   &name, "group", &group, "fn", &fn, "pf", &pf, "vf", &vf, "prior", &prior,
			   "ours", &ours, "override", &override))
		return bad(p, "a step with members missing, unknown or of the wrong type");
	if (sriov_step_kind(name, &st.kind))
		return bad(p, "a step of a kind this program does not know");
	if (group < 1 || group > INT32_MAX || vf < 0 || vf > 65535 || bdf_parse(&st.fn, fn) ||
	    bdf_parse(&st.pf, pf))
		return bad(p, "a step for a function that cannot be");
	if (!values_ok(&st, prior, ours, override))
		return bad(p, "a value out of range");
	st.group = (unsigned int)group;
	st.vfn = (unsigned int)vf;
	strcpy(st.prior, prior);
	strcpy(st.ours, ours);
	if (override)
		strcpy(st.prior_override, override);
	rc = grow(p);
	if (!rc)
		p->rec.step[p->rec.n++] = st;
	return rc;
}

static int line(struct parse *p, const char *text, size_t len)
{
	json_t *o;
	int rc;

	p->line++;
	if (len > JOURNAL_LINE_MAX)
		return bad(p, "it is too long");
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o))
		rc = bad(p, "not a JSON object");
	else if (p->line == 1)
		rc = header(p, o);
	else if (json_object_get(o, "undone"))
		rc = mark(p, o);
	else
		rc = step(p, o);
	json_decref(o);
	return rc;
}

int sriov_record_parse(const char *text, size_t len, struct sriov_record *out, size_t *good,
		       struct err *e)
{
	struct parse p = { .e = e };
	size_t pos = 0;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	*good = 0;
	if (len > JOURNAL_MAX)
		return err_set(e, -EFBIG, "it is larger than %u bytes", JOURNAL_MAX);
	while (pos < len && !rc) {
		const char *nl = memchr(text + pos, '\n', len - pos);

		if (!nl)
			break;
		rc = line(&p, text + pos, (size_t)(nl - text) - pos);
		pos = (size_t)(nl - text) + 1;
	}
	if (rc) {
		free(p.rec.step);
		return rc;
	}
	*out = p.rec;
	*good = pos;
	return 0;
}

void sriov_record_free(struct sriov_record *r)
{
	free(r->step);
	r->step = NULL;
	r->n = 0;
}
