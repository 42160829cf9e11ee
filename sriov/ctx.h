/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_CTX_H
#define SRIOV_CTX_H

#include <sys/types.h>
#include "base/bdf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"

#define SRIOV_RUN_DIR "/run/sluice"

/**
 * struct sriov - what every call of this module works with; filled by the caller, read only here
 * @sys:      the kernel
 * @log:      warnings ("left alone: ..."), may be NULL
 * @run_dir:  directory of journals and locks; NULL: SRIOV_RUN_DIR. Made with mode 0700 when absent
 * @pid:      the process that owns what is taken; 0: the caller
 * @wait_ms:  bound of each wait (carrier, VFs to appear, locks, a dying owner); 0: 30 s
 * @progress: called before and now and then during a wait, with what is waited for; may be NULL
 * @stop:     asked during the wait for a carrier: true ends it with -EINTR, and what was done is
 *	      undone; may be NULL
 * @arg:      handed to @progress and @stop
 *
 * All calls block and belong to one thread at a time. Several processes may work on the same PF:
 * they are kept apart by locks in @run_dir.
 */
struct sriov {
	struct sys *sys;
	struct log *log;
	const char *run_dir;
	pid_t pid;
	unsigned int wait_ms;
	void (*progress)(void *arg, const char *what);
	bool (*stop)(void *arg);
	void *arg;
};

#endif
