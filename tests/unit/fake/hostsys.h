/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_HOSTSYS_H
#define TESTS_HOSTSYS_H

#include "base/sys.h"

/*
 * The real kernel, with a count of the calls that set something up, one of which can be made to
 * fail, and of the mappings there are. For code whose peer is a real socket and real memory.
 */
struct hostsys {
	struct sys sys;
	struct sys_ops ops;
	unsigned int calls, fail_at, maps;
	int fail_code;
	bool failed;
};

/** hostsys_init() - nothing fails. */
void hostsys_init(struct hostsys *h);

/** hostsys_fail_nth() - call n from now (1 = the next) fails with code; 0: none does. */
void hostsys_fail_nth(struct hostsys *h, unsigned int n, int code);

#endif
