// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that a device reaches is pinned, and pinned memory counts against RLIMIT_MEMLOCK. The
 * kernel tells of a limit that is too low by -ENOMEM in the middle of the start, so it is checked
 * before.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/ioas.h"

/* A field of /proc/self/status: the number behind "\nName:"; 0 when it is not there. */
static uint64_t status_field(const char *status, const char *name, int base)
{
	size_t len = strlen(name);

	for (const char *p = status; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (!strncmp(p, name, len) && p[len] == ':')
			return strtoull(p + len + 1, NULL, base);
	}
	return 0;
}

int ioas_memlock_check(struct sys *s, uint64_t need, struct err *e)
{
	char status[8192] = "";
	struct rlimit lim;
	uint64_t locked, have;
	int r;

	r = sys_file_read(s, status, sizeof(status), "/proc/self/status");
	if (r < 0)
		status[0] = 0; /* no procfs: judge by the limit alone */
	/* Capabilities of another user namespace do not count for the kernel; its answer to the map
	 * tells then. */
	if (status_field(status, "CapEff", 16) >> CAP_IPC_LOCK & 1)
		return 0;
	r = sys_getrlimit(s, RLIMIT_MEMLOCK, &lim);
	if (r < 0)
		return err_sys(e, r, "cannot read the limit of locked memory");
	if (lim.rlim_cur == RLIM_INFINITY)
		return 0;
	locked = status_field(status, "VmLck", 10) << 10;
	have = lim.rlim_cur > locked ? lim.rlim_cur - locked : 0;
	if (need <= have)
		return 0;
	return err_set(
		e, -ENOMEM,
		"assigned devices need %" PRIu64 " KiB of locked memory, the limit allows %" PRIu64
		" KiB: run \"ulimit -l %" PRIu64 "\" as root, or set LimitMEMLOCK=%" PRIu64
		" in the service, or give the process CAP_IPC_LOCK",
		(need + 1023) >> 10, have >> 10, (need + locked + 1023) >> 10, need + locked);
}
