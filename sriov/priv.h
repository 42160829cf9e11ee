/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_PRIV_H
#define SRIOV_PRIV_H

#include "sriov/own.h"
#include "sriov/vf.h"

#define PCI_DEV	   "/sys/bus/pci/devices/"
#define NSEC_MS(n) ((uint64_t)(n)*1000000)

/* ---- run.c: the run directory, waiting, processes ---- */

const char *sriov_dir(const struct sriov *c);
/* Makes the run directory; there already is fine. */
int sriov_dir_make(struct sriov *c, struct err *e) __must_check;
unsigned int sriov_wait_ms(const struct sriov *c);
void sriov_say(struct sriov *c, const char *fmt, ...) __printf(2, 3);

/*
 * Polls until done() is not 0 (1: yes, -errno: give up), saying what is waited for from the first
 * second on. -ETIMEDOUT after ms.
 */
int sriov_poll(struct sriov *c, unsigned int ms, const char *what, int (*done)(void *arg),
	       void *arg) __must_check;

/* flock on fd, waiting at most ms; -EBUSY when somebody else has it. */
int sriov_flock(struct sriov *c, int fd, int op, unsigned int ms, const char *what) __must_check;

/*
 * The lock files. "BDF.lock" is held as long as a function is taken; "BDF.pf.lock" while the state
 * that the VFs of a PF share is looked at and changed.
 */
#define LOCK_FN "lock"
#define LOCK_PF "pf.lock"
int sriov_lock(struct sriov *c, struct bdf b, const char *suffix, unsigned int ms, int *fd,
	       struct err *e) __must_check;

/* Start time of a process and whether it still runs; -ESRCH: there is none. */
int sriov_proc(struct sriov *c, pid_t pid, uint64_t *start, bool *running) __must_check;

/* ---- step.c ---- */

const char *sriov_step_name(enum sriov_step_kind k);
/* -EINVAL when the word is no step. */
int sriov_step_kind(const char *name, enum sriov_step_kind *out) __must_check;
/* One that all who have a VF of the PF share? */
static inline bool sriov_step_of_pf(const struct sriov_step *st)
{
	return st->kind == SRIOV_STEP_AUTOPROBE || st->kind == SRIOV_STEP_NUMVFS;
}
/* Is the text a value of such a step? What comes from a file is not used without this. */
bool sriov_step_value_ok(enum sriov_step_kind k, const char *text);
bool sriov_owner_name_ok(const char *name);
bool sriov_driver_name_ok(const char *name);

/* Present value; BIND: the driver. -ENODEV when what it belongs to is gone. */
int sriov_step_get(struct sriov *c, const struct sriov_step *st, char out[SRIOV_VALUE_MAX],
		   struct err *e) __must_check;
int sriov_step_set(struct sriov *c, const struct sriov_step *st, const char *value,
		   struct err *e) __must_check;

/* Journals and makes a change unless the value is so already; base has all but kind and values. */
int sriov_step_do(struct sriov *c, struct sriov_journal *j, const struct sriov_step *base,
		  enum sriov_step_kind kind, const char *want, struct err *e) __must_check;

/* ---- undo.c ---- */

struct sriov_undo {
	struct sriov *c;
	struct sriov_journal *j;
	bool have_pf_lock, have_fn_lock;
	struct sriov_restored *count;
};

/* All steps of a group, or of all groups, last first. Goes on after a failure; the first is
 * returned. */
int sriov_undo_group(struct sriov_undo *u, unsigned int group, struct err *e) __must_check;
int sriov_undo_all(struct sriov_undo *u, struct err *e) __must_check;

/* ---- compact.c ---- */

/* The steps of r that are left to undo, as few as will do; -ENOMEM. sriov_record_free() frees. */
int sriov_record_compact(const struct sriov_record *r, struct sriov_record *out) __must_check;

/* ---- own.c ---- */

/* Who of all owners has taken the function (a USE step that is left)? NULL: nobody. */
const struct sriov_owner_info *sriov_claim(const struct sriov_owner_info *o, size_t n,
					   struct bdf fn);
/* Undoes what dead owners left, which may be in the way of what comes next; failures are logged. */
void sriov_clear_dead(struct sriov *c);
char *sriov_owner_label(char buf[SRIOV_LABEL_MAX], const struct sriov_owner_info *o);

/* ---- journal.c ---- */

/* What a reader takes, and so what a writer keeps to. A mark is short, and may always be written.
 */
#define JOURNAL_MAX	  (1U << 20)
#define JOURNAL_STEPS_MAX 4096
#define JOURNAL_LINE_MAX  1024
#define JOURNAL_MARK_MAX  32

/* NAME.PID.START.journal and back; -EINVAL for any other name. */
int sriov_journal_name_parse(const char *file, struct sriov_owner *out) __must_check;
/* Reads a whole journal file into malloc'd text. */
int sriov_journal_slurp(struct sys *s, int fd, char **text, size_t *len) __must_check;
/* The journal of an owner that is gone, for its undo: waits for the lock. -ENOENT: somebody
 * finished it. */
int sriov_journal_adopt(struct sriov *c, const struct sriov_owner *o, struct sriov_journal **out,
			struct err *e) __must_check;

#endif
