/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_LE_H
#define BASE_LE_H

#include <endian.h>
#include <string.h>
#include "base/util.h"

/* Little-endian numbers in the images that devices show; p need not be aligned. */
static inline void le16_put(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void le32_put(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void le64_put(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

#endif
