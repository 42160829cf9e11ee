/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_OPENFDS_H
#define TESTS_OPENFDS_H

#include <dirent.h>
#include "base/util.h"

/** openfds() - descriptors that this process has open, that of the look itself not counted. */
static inline unsigned int openfds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	BUG_ON(!d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
