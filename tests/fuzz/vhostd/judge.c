// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages to librte_vhost, one after another: what passes leaves every ring in memory, and what
 * does not is harmless after it was blunted.
 */
#include <stdlib.h>
#include <string.h>

#include "virtio/vhostd/judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 512 /* the library's payload has it, whatever the header says */

/* A message again that says what is so already must pass. */
static void settled(const struct judge *j)
{
	struct judge copy = *j;
	struct vu_hdr h = { .req = VU_SET_FEATURES, .size = 8 };

	if (judge_msg(&copy, &h, &j->features, NULL))
		abort();
}

static void one(struct judge *j, const struct vu_hdr *h, uint8_t *payload)
{
	struct err e = { 0 };

	if (judge_msg(j, h, payload, &e)) {
		if (!e.text[0])
			abort();
		judge_blunt(j, h, payload);
	}
	settled(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct judge fresh;
	struct judge j = fresh;
	uint8_t payload[ROOM];
	struct vu_hdr h;

	while (size > sizeof(h)) {
		size_t n;

		memcpy(&h, data, sizeof(h));
		data += sizeof(h);
		size -= sizeof(h);
		/* One byte of the request is enough, and lets mutations find requests. */
		h.req &= 63;
		h.size &= ROOM - 1;
		n = h.size < size ? h.size : size;
		memset(payload, 0, sizeof(payload));
		memcpy(payload, data, n);
		data += n;
		size -= n;
		one(&j, &h, payload);
	}
	return 0;
}
