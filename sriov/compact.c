// SPDX-License-Identifier: BSD-3-Clause
/*
 * Making a record shorter without changing what its undoing does. The journal of what is done by
 * hand lives as long as anything of it is left, for months where VFs are made once and a script
 * sets them up again and again; so it must not grow with the number of commands.
 *
 *   undone steps                  go
 *   a value set, and set again    one step: the first value before, the last value set; none when
 *                                 those are equal
 *   a group left without a step   gives up its copies of the PF's steps, if another group has one
 *
 * A value that somebody else changed between two of ours breaks the chain: both steps stay. The
 * steps of NVMe controllers depend on each other and stay as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/priv.h"

static bool joins(const struct sriov_step *a, const struct sriov_step *b)
{
	switch (a->kind) {
	case SRIOV_STEP_AUTOPROBE:
	case SRIOV_STEP_NUMVFS:
	case SRIOV_STEP_USE:
	case SRIOV_STEP_NVME_STATE:
	case SRIOV_STEP_NVME_VQ:
	case SRIOV_STEP_NVME_VI:
	case SRIOV_STEP_BIND:
		return false;
	default:
		return a->kind == b->kind && bdf_eq(a->fn, b->fn);
	}
}

/* Steps that are not wanted any more are marked as undone; dropped[] says whose group lost one. */
static void join(struct sriov_step *s, size_t n, bool *dropped)
{
	for (size_t i = n; i-- > 0;) {
		for (size_t k = i; k-- > 0 && !s[i].undone;) {
			if (s[k].undone || !joins(&s[k], &s[i]))
				continue;
			/* Equal before: the driver made another value of it, the second step says.
			 */
			if (strcmp(s[i].prior, s[k].ours) && strcmp(s[i].prior, s[k].prior))
				break;
			strcpy(s[i].prior, s[k].prior);
			s[k].undone = dropped[k] = true;
			if (!strcmp(s[i].prior, s[i].ours))
				s[i].undone = dropped[i] = true;
		}
	}
}

/* Has the group of step i lost all it was made for? */
static bool is_shell(const struct sriov_step *s, size_t n, size_t i, const bool *dropped)
{
	bool lost = false;

	for (size_t k = 0; k < n; k++) {
		if (s[k].group != s[i].group)
			continue;
		if (!s[k].undone && !sriov_step_of_pf(&s[k]))
			return false;
		lost |= dropped[k];
	}
	return lost;
}

static bool has_twin(const struct sriov_step *s, size_t n, size_t i)
{
	for (size_t k = 0; k < n; k++)
		if (k != i && !s[k].undone && s[k].kind == s[i].kind && bdf_eq(s[k].pf, s[i].pf))
			return true;
	return false;
}

int sriov_record_compact(const struct sriov_record *r, struct sriov_record *out)
{
	bool *dropped = calloc(r->n + 1, sizeof(*dropped));
	struct sriov_step *s = malloc((r->n + 1) * sizeof(*s));
	size_t n = 0;

	if (!dropped || !s) {
		free(dropped);
		free(s);
		return -ENOMEM;
	}
	if (r->n)
		memcpy(s, r->step, r->n * sizeof(*s));
	join(s, r->n, dropped);
	for (size_t i = 0; i < r->n; i++)
		if (!s[i].undone && sriov_step_of_pf(&s[i]) && is_shell(s, r->n, i, dropped) &&
		    has_twin(s, r->n, i))
			s[i].undone = true;
	for (size_t i = 0; i < r->n; i++)
		if (!s[i].undone)
			s[n++] = s[i];
	free(dropped);
	*out = (struct sriov_record){ .owner = r->owner, .n = n, .step = s };
	return 0;
}
