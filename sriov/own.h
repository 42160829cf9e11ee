/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_OWN_H
#define SRIOV_OWN_H

#include "sriov/journal.h"

/**
 * struct sriov_owner_info - one journal of the run directory
 * @owner: who
 * @alive: its process lives (or the journal is bound to no process)
 * @bad:   the journal cannot be read; @why says so, nothing of it is ever undone
 * @steps: steps left to undo
 * @record: the steps; empty when @bad
 */
struct sriov_owner_info {
	struct sriov_owner owner;
	bool alive, bad;
	size_t steps;
	struct sriov_record record;
	char why[256];
};

/**
 * sriov_owners() - read all journals, in order of file name
 * Return: 0 (no run directory: 0 owners) or -errno; free with sriov_owners_free().
 */
int sriov_owners(struct sriov *c, struct sriov_owner_info **out, size_t *n,
		 struct err *e) __must_check;
void sriov_owners_free(struct sriov_owner_info *o, size_t n);

/** sriov_owner_of() - 1 and who has taken the function, by the journals; 0: nobody; -errno. */
int sriov_owner_of(struct sriov *c, struct bdf fn, struct sriov_owner *who, bool *alive,
		   struct err *e) __must_check;

/** struct sriov_restored - what a restore did: owners finished, steps undone, steps left because
 * the value is no longer ours. */
struct sriov_restored {
	unsigned int owners, undone, foreign;
};

/**
 * sriov_restore_dead() - undo what owners left behind whose process is gone
 * @admin: also undo what was done by hand
 * @out:   counts, may be NULL
 *
 * Goes on after a failure and reports the first; a journal that is not finished stays, so that the
 * next restore goes on. Calling it again is harmless.
 */
int sriov_restore_dead(struct sriov *c, bool admin, struct sriov_restored *out,
		       struct err *e) __must_check;

/**
 * sriov_restore_owner() - the same for owners of this name ("vm0", "admin")
 * Return: 0; -ENOENT: no journal of that name; -EBUSY: the owner lives.
 */
int sriov_restore_owner(struct sriov *c, const char *name, struct sriov_restored *out,
			struct err *e) __must_check;

#endif
