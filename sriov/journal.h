/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_JOURNAL_H
#define SRIOV_JOURNAL_H

#include "sriov/pf.h"

/*
 * A journal is a file of JSON lines in the run directory, NAME.PID.START.journal, one for each
 * owner: what the owner is about to change, with the value needed to undo it, appended and synced
 * before the change is made. A reader trusts nothing in it.
 */

/** enum sriov_step_kind - what a step changes; see step.c for the form of the values. */
enum sriov_step_kind {
	SRIOV_STEP_AUTOPROBE, /* sriov_drivers_autoprobe of a PF */
	SRIOV_STEP_NUMVFS,    /* sriov_numvfs of a PF */
	SRIOV_STEP_USE,	      /* the function is taken; nothing to undo */
	SRIOV_STEP_TRUST,     /* administrative settings of a network VF */
	SRIOV_STEP_MAC,
	SRIOV_STEP_VLAN,
	SRIOV_STEP_SPOOFCHK,
	SRIOV_STEP_RATE,
	SRIOV_STEP_LINK,
	SRIOV_STEP_NVME_STATE, /* secondary controller: online, offline */
	SRIOV_STEP_NVME_VQ,    /* flexible queue resources of a secondary controller */
	SRIOV_STEP_NVME_VI,    /* flexible interrupt resources */
	SRIOV_STEP_UP,	       /* is the function's own interface up? */
	SRIOV_STEP_BIND,       /* driver and driver_override of a function */
	SRIOV_STEP_KINDS
};

#define SRIOV_VALUE_MAX 64

/**
 * struct sriov_step - one change
 * @kind:  what
 * @group: steps that are undone together (one function taken, one command); unique in its journal
 * @undone: it has been undone, or handed to the others that share the PF
 * @fn:    the function changed: the PF itself for AUTOPROBE and NUMVFS
 * @pf:    the PF where @fn is a VF, else equal to @fn
 * @vfn:   VF number
 * @prior: value before
 * @ours:  value we set
 * @prior_override: BIND only
 */
struct sriov_step {
	enum sriov_step_kind kind;
	unsigned int group;
	bool undone;
	struct bdf fn, pf;
	unsigned int vfn;
	char prior[SRIOV_VALUE_MAX], ours[SRIOV_VALUE_MAX];
	char prior_override[SRIOV_VALUE_MAX];
};

#define SRIOV_OWNER_MAX 64

/**
 * struct sriov_owner - who keeps a journal
 * @name:  letters, digits, '-', '_' (a VM's name; "admin" for what was done by hand)
 * @pid:   the process, 0: bound to no process
 * @start: start time of the process in clock ticks after boot, so that a reused pid is not taken
 * for the owner
 */
struct sriov_owner {
	char name[SRIOV_OWNER_MAX];
	pid_t pid;
	uint64_t start;
};

/** struct sriov_record - a journal that was read: @step[0..@n) in the order written. */
struct sriov_record {
	struct sriov_owner owner;
	size_t n;
	struct sriov_step *step;
};

/**
 * sriov_record_parse() - read a journal's text; pure, for any bytes
 * @good: set to the length up to the end of the last whole line (a shorter tail is normal after a
 * crash)
 *
 * A text without a first whole line is a journal without steps. Nothing is guessed: anything but
 * well-formed known steps with values in range fails as a whole. Return: 0, -EBADMSG with e filled
 * (line and reason), -EFBIG, -ENOMEM; on failure *out is empty.
 */
int sriov_record_parse(const char *text, size_t len, struct sriov_record *out, size_t *good,
		       struct err *e) __must_check;

/** sriov_record_free() - drop the steps; the struct may be all zero. */
void sriov_record_free(struct sriov_record *r);

struct sriov_journal;

#define SRIOV_ADMIN "admin"

/**
 * sriov_journal_open() - the journal of a VM: starts one for this process
 * @name: -EINVAL when it is not a legal owner name
 * The file is locked (flock) for as long as the journal is open, which shows others that the owner
 * lives.
 */
int sriov_journal_open(struct sriov *c, const char *name, struct sriov_journal **out,
		       struct err *e) __must_check;

/** sriov_journal_open_admin() - the journal of what is done by hand: continued, or started. Waits
 * for its lock. */
int sriov_journal_open_admin(struct sriov *c, const char *name, struct sriov_journal **out,
			     struct err *e) __must_check;

/** sriov_journal_close() - removes the file when no step is left to undo; else it stays. NULL is
 * fine. */
void sriov_journal_close(struct sriov_journal *j);

/** sriov_journal_owner() - who keeps it. */
const struct sriov_owner *sriov_journal_owner(const struct sriov_journal *j);

/** sriov_journal_group() - a number for the next group of steps. */
unsigned int sriov_journal_group(struct sriov_journal *j);

/** sriov_journal_add() - append a step and sync; when it fails the change must not be made. */
int sriov_journal_add(struct sriov_journal *j, const struct sriov_step *step,
		      struct err *e) __must_check;

/** sriov_journal_mark() - append that step i is undone. */
int sriov_journal_mark(struct sriov_journal *j, size_t i, struct err *e) __must_check;

/** sriov_journal_record() - the steps so far; valid until the next add or close. */
const struct sriov_record *sriov_journal_record(const struct sriov_journal *j);

#endif
