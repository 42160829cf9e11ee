/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_BDF_H
#define BASE_BDF_H

#include "base/util.h"

/** struct bdf - a PCI function on the host or in a guest: segment (domain), bus, device 0-31,
 * function 0-7. */
struct bdf {
	uint16_t seg;
	uint8_t bus, dev, fn;
};

#define BDF_STRLEN 13 /* "0000:00:00.0" and the NUL */

/**
 * bdf_parse() - "0000:01:10.0" or "01:10.0" (segment 0)
 * Return: 0, or -EINVAL when anything is out of range or left over; *out untouched then.
 */
int bdf_parse(struct bdf *out, const char *text) __must_check;

/** bdf_format() - always the long form; returns buf, which has BDF_STRLEN bytes. */
char *bdf_format(char buf[BDF_STRLEN], struct bdf b);

/** bdf_rid() - the 16-bit requester id: bus 15:8, device 7:3, function 2:0 (PCIe base
 * spec, 2.2.6.2). */
static inline uint16_t bdf_rid(struct bdf b)
{
	return (uint16_t)(b.bus << 8 | b.dev << 3 | b.fn);
}

static inline bool bdf_eq(struct bdf a, struct bdf b)
{
	return a.seg == b.seg && bdf_rid(a) == bdf_rid(b);
}

#endif
