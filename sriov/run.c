// SPDX-License-Identifier: BSD-3-Clause
/*
 * The run directory and what waits in it. Locks are flock(2) on files that are never removed: a
 * lock on a file that was unlinked in between would keep nobody out, and an empty file costs
 * nothing. The kernel drops a lock with the last descriptor, so a killed process leaves none
 * behind. Every wait has an end and says what it waits for.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "sriov/priv.h"

#define POLL_MS 50

const char *sriov_dir(const struct sriov *c)
{
	return c->run_dir ? c->run_dir : SRIOV_RUN_DIR;
}

int sriov_dir_make(struct sriov *c, struct err *e)
{
	/* Nobody else has business here: who can write a journal decides what root undoes. */
	int rc = sys_mkdir(c->sys, sriov_dir(c), 0700);

	if (rc && rc != -EEXIST)
		return err_sys(e, rc, "cannot make %s (journals and locks go there)", sriov_dir(c));
	return 0;
}

unsigned int sriov_wait_ms(const struct sriov *c)
{
	return c->wait_ms ? c->wait_ms : 30000;
}

void sriov_say(struct sriov *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_debug(c->log, "%s", text);
	if (c->progress)
		c->progress(c->arg, text);
}

int sriov_poll(struct sriov *c, unsigned int ms, const char *what, int (*done)(void *arg),
	       void *arg)
{
	uint64_t start = sys_now_ns(c->sys), say = start + NSEC_MS(1000), now;
	int rc;

	for (;;) {
		rc = done(arg);
		if (rc)
			return rc < 0 ? rc : 0;
		now = sys_now_ns(c->sys);
		if (now - start >= NSEC_MS(ms))
			return -ETIMEDOUT;
		if (now >= say) {
			sriov_say(c, "waiting for %s (%u s of at most %u)", what,
				  (unsigned int)((now - start) / NSEC_MS(1000)), (ms + 999) / 1000);
			say = now + NSEC_MS(2000);
		}
		sys_sleep_ns(c->sys, NSEC_MS(POLL_MS));
	}
}

struct flock_try {
	struct sys *s;
	int fd, op;
};

static int flock_try(void *arg)
{
	struct flock_try *t = arg;
	int rc = sys_flock(t->s, t->fd, t->op | LOCK_NB);

	/* Polled, not blocked in: a signal-free way to give up after a while. */
	return rc == -EWOULDBLOCK ? 0 : rc < 0 ? rc : 1;
}

int sriov_flock(struct sriov *c, int fd, int op, unsigned int ms, const char *what)
{
	struct flock_try t = { .s = c->sys, .fd = fd, .op = op };
	int rc = sriov_poll(c, ms, what, flock_try, &t);

	return rc == -ETIMEDOUT ? -EBUSY : rc;
}

int sriov_lock(struct sriov *c, struct bdf b, const char *suffix, unsigned int ms, int *fd,
	       struct err *e)
{
	char path[PATH_MAX], what[64], name[BDF_STRLEN];
	int rc, f;

	rc = sriov_dir_make(c, e);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/%s.%s", sriov_dir(c), bdf_format(name, b), suffix);
	snprintf(what, sizeof(what), "the lock of %s", name);
	f = sys_open(c->sys, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f < 0)
		return err_sys(e, f, "cannot open %s", path);
	rc = sriov_flock(c, f, LOCK_EX, ms, what);
	if (rc) {
		sys_close(c->sys, &f);
		return err_sys(e, rc, "cannot lock %s (another sluice process has it?)", path);
	}
	*fd = f;
	return 0;
}

/* proc(5): "pid (comm) state ppid ..."; comm may hold anything, so count from its last ')'. */
int sriov_proc(struct sriov *c, pid_t pid, uint64_t *start, bool *running)
{
	char text[2048], state, *p;
	uint64_t t;
	int rc;

	rc = sys_file_read(c->sys, text, sizeof(text), "/proc/%d/stat", (int)pid);
	if (rc < 0)
		return rc == -ENOENT ? -ESRCH : rc;
	p = strrchr(text, ')');
	/* After the state (field 3), 18 to skip, then starttime (22) in clock ticks since boot. */
	if (!p ||
	    sscanf(p + 1,
		   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		   "%" SCNu64,
		   &state, &t) != 2)
		return -EPROTO;
	*start = t;
	*running = state != 'Z' && state != 'X';
	return 0;
}
