/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/util.h"

#define HASH_INIT 0xcbf29ce484222325ull

/** hash_text() - FNV-1a over a text, going on from h (HASH_INIT at first). Names only, no secrets.
 */
static inline uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h;
}

#endif
