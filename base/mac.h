/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_MAC_H
#define BASE_MAC_H

#include "base/util.h"

#define MAC_STRLEN 18 /* "52:54:00:aa:bb:cc" and the NUL */

struct mac {
	uint8_t b[6];
};

/** mac_parse() - six two-digit hex octets with ':' between; -EINVAL otherwise. Any address is
 * accepted. */
int mac_parse(struct mac *out, const char *text) __must_check;

/** mac_format() - lower case with colons; returns buf. */
char *mac_format(char buf[MAC_STRLEN], const struct mac *m);

/** mac_is_zero() / mac_is_multicast() - the two kinds a station must not have. */
bool mac_is_zero(const struct mac *m);
bool mac_is_multicast(const struct mac *m);

#endif
