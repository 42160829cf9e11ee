// SPDX-License-Identifier: BSD-3-Clause
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/bdf.h"
#include "base/mac.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Between one and max hex digits at *p; -1 when there are none or more. */
static long hex_field(const char **p, int max)
{
	long v = 0;
	int n = 0, d;

	while ((d = hex_digit(**p)) >= 0) {
		if (++n > max)
			return -1;
		v = v << 4 | d;
		(*p)++;
	}
	return n ? v : -1;
}

int bdf_parse(struct bdf *out, const char *text)
{
	long f[4] = { 0, -1, -1, -1 };
	const char *p = text;

	f[1] = hex_field(&p, 4);
	if (f[1] < 0 || *p++ != ':')
		return -EINVAL;
	f[2] = hex_field(&p, 2);
	if (f[2] >= 0 && *p == ':') {
		p++;
		f[0] = f[1];
		f[1] = f[2];
		f[2] = hex_field(&p, 2);
	}
	if (f[2] < 0 || *p++ != '.')
		return -EINVAL;
	f[3] = hex_field(&p, 1);
	if (*p || f[1] > 0xff || f[2] > 0x1f || f[3] < 0 || f[3] > 7)
		return -EINVAL;
	*out = (struct bdf){ .seg = (uint16_t)f[0],
			     .bus = (uint8_t)f[1],
			     .dev = (uint8_t)f[2],
			     .fn = (uint8_t)f[3] };
	return 0;
}

char *bdf_format(char buf[BDF_STRLEN], struct bdf b)
{
	snprintf(buf, BDF_STRLEN, "%04x:%02x:%02x.%x", b.seg, b.bus, b.dev & 0x1fu, b.fn & 7u);
	return buf;
}

int mac_parse(struct mac *out, const char *text)
{
	struct mac m;

	for (unsigned int i = 0; i < 6; i++, text += 3) {
		int hi = hex_digit(text[0]);
		int lo = hi < 0 ? -1 : hex_digit(text[1]);

		if (lo < 0 || text[2] != (i < 5 ? ':' : 0))
			return -EINVAL;
		m.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*out = m;
	return 0;
}

char *mac_format(char buf[MAC_STRLEN], const struct mac *m)
{
	snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		 m->b[3], m->b[4], m->b[5]);
	return buf;
}

bool mac_is_zero(const struct mac *m)
{
	static const struct mac zero;

	return !memcmp(m, &zero, sizeof(zero));
}

bool mac_is_multicast(const struct mac *m)
{
	return m->b[0] & 1; /* the group bit, IEEE 802 */
}
