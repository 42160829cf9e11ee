// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel is trusted, but a wrong offset would be read as an address: the chain is bounded all
 * the same. An honest chain has at most one capability per id, so a walk longer than that is a
 * cycle.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/caps.h"

#define CAPS_SIZE_MAX 65536u
#define CAPS_WALK_MAX 64u

int vfio_info_get(struct sys *s, int fd, unsigned long req, const void *head, size_t head_size,
		  void **out, size_t *size)
{
	uint32_t argsz = (uint32_t)head_size;
	char *buf = NULL, *grown;
	int r;

	/* The second round is the one that fits; a third can only follow from a change in between.
	 */
	for (int round = 0; round < 4; round++) {
		size_t have = argsz;

		grown = realloc(buf, have);
		if (!grown) {
			r = -ENOMEM;
			goto out;
		}
		buf = grown;
		memset(buf, 0, have);
		memcpy(buf, head, head_size);
		memcpy(buf, &argsz, sizeof(argsz));
		r = sys_ioctl(s, fd, req, buf);
		if (r < 0)
			goto out;
		memcpy(&argsz, buf, sizeof(argsz));
		if (argsz <= have) {
			*out = buf;
			*size = have;
			return 0;
		}
		if (argsz > CAPS_SIZE_MAX) {
			r = -EFBIG;
			goto out;
		}
	}
	r = -EAGAIN;
out:
	free(buf);
	return r;
}

const void *vfio_cap_find(const void *buf, size_t size, uint32_t first, uint16_t id, size_t *room)
{
	struct vfio_info_cap_header h;
	uint32_t off = first;

	for (unsigned int i = 0; off && i < CAPS_WALK_MAX; i++) {
		if (!range_ok(off, sizeof(h), size))
			return NULL;
		memcpy(&h, (const char *)buf + off, sizeof(h));
		if (h.id == id) {
			*room = size - off;
			return (const char *)buf + off;
		}
		off = h.next;
	}
	return NULL;
}
