// SPDX-License-Identifier: BSD-3-Clause
/*
 * The journal reader takes any bytes. What it accepts is in range, and accepted again when it is
 * cut at the end of the part it called good. Made shorter it is in range as well, no step of a PF
 * is lost, and there is nothing left to make shorter.
 */
#include <stdlib.h>
#include <string.h>
#include "sriov/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sriov_record *r)
{
	BUG_ON(!r->step && r->n);
	for (size_t i = 0; i < r->n; i++) {
		const struct sriov_step *st = &r->step[i];

		BUG_ON(st->kind >= SRIOV_STEP_KINDS || !st->group);
		BUG_ON(!sriov_step_value_ok(st->kind, st->prior));
		BUG_ON(!sriov_step_value_ok(st->kind, st->ours));
		BUG_ON(strchr(st->prior, '/') || strchr(st->ours, '/') ||
		       strchr(st->prior_override, '/'));
	}
}

static bool has_step_of(const struct sriov_record *r, const struct sriov_step *st)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->step[i].kind == st->kind && bdf_eq(r->step[i].pf, st->pf))
			return true;
	return false;
}

static void check_compact(const struct sriov_record *r)
{
	struct sriov_record c, again;
	size_t live = 0;

	BUG_ON(sriov_record_compact(r, &c));
	check(&c);
	for (size_t i = 0; i < r->n; i++) {
		const struct sriov_step *st = &r->step[i];

		live += !st->undone;
		BUG_ON(!st->undone && sriov_step_of_pf(st) && !has_step_of(&c, st));
	}
	for (size_t i = 0; i < c.n; i++)
		BUG_ON(c.step[i].undone);
	BUG_ON(c.n > live || sriov_record_compact(&c, &again));
	BUG_ON(again.n > c.n);
	sriov_record_free(&again);
	sriov_record_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sriov_record r, again;
	struct err e = { 0 };
	size_t good, same;
	char name[128];
	struct sriov_owner o;

	if (sriov_record_parse((const char *)data, size, &r, &good, &e)) {
		BUG_ON(!e.code || !e.text[0] || r.step);
	} else {
		BUG_ON(good > size);
		check(&r);
		check_compact(&r);
		BUG_ON(sriov_record_parse((const char *)data, good, &again, &same, &e));
		BUG_ON(same != good || again.n != r.n);
		sriov_record_free(&again);
		sriov_record_free(&r);
	}
	if (size < sizeof(name)) {
		memcpy(name, data, size);
		name[size] = 0;
		if (!sriov_journal_name_parse(name, &o))
			BUG_ON(!sriov_owner_name_ok(o.name) || o.pid < 0);
	}
	return 0;
}
