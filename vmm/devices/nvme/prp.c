// SPDX-License-Identifier: BSD-3-Clause
/*
 * Physical region pages (4.3): where a command's data lies in guest memory. The first entry may
 * begin inside a page; every other is a whole page. When more than two pages are needed, the second
 * entry points to a list, whose last entry points to the next list. Lists are copied before they
 * are looked at.
 */
#include <string.h>
#include "vmm/devices/nvme/nvme_priv.h"

#define ENTRIES (NVME_PAGE / sizeof(uint64_t))

void *nvme_ptr(const struct nvme *n, uint64_t gpa, uint64_t len)
{
	return vm_ram_ptr(&n->dev.vm->ram, gpa, len);
}

/* One more piece, joined to the one before where they touch. */
static uint16_t piece(struct nvme *n, uint64_t gpa, uint32_t len, struct iovec *iov,
		      unsigned int *niov)
{
	uint8_t *p = nvme_ptr(n, gpa, len);
	struct iovec *last = *niov ? &iov[*niov - 1] : NULL;

	if (!p)
		return NVME_BAD_TRANSFER | NVME_DNR;
	if (last && (uint8_t *)last->iov_base + last->iov_len == p) {
		last->iov_len += len;
		return NVME_OK;
	}
	if (*niov == NVME_IOV_MAX)
		return NVME_BAD_FIELD | NVME_DNR;
	iov[(*niov)++] = (struct iovec){ p, len };
	return NVME_OK;
}

/* Entries of lists until len bytes are found. At most NVME_IOV_MAX pages, so the walk ends. */
static uint16_t list(struct nvme *n, uint64_t gpa, uint32_t len, struct iovec *iov,
		     unsigned int *niov)
{
	uint64_t entry[ENTRIES];

	while (len) {
		unsigned int have = (unsigned int)(ENTRIES - gpa % NVME_PAGE / sizeof(*entry));
		unsigned int want = (len + NVME_PAGE - 1) / NVME_PAGE, i;
		const void *p;

		if (gpa % sizeof(*entry))
			return NVME_BAD_PRP | NVME_DNR;
		have = MIN(have, want);
		p = nvme_ptr(n, gpa, have * sizeof(*entry));
		if (!p)
			return NVME_BAD_TRANSFER | NVME_DNR;
		memcpy(entry, p, have * sizeof(*entry));
		for (i = 0; i < have - (want > have); i++) {
			uint32_t part = MIN(len, NVME_PAGE);
			uint16_t status;

			if (entry[i] % NVME_PAGE)
				return NVME_BAD_PRP | NVME_DNR;
			status = piece(n, entry[i], part, iov, niov);
			if (status)
				return status;
			len -= part;
		}
		/* A list of one entry that points to such a list would never end. */
		if (len && !i)
			return NVME_BAD_PRP | NVME_DNR;
		gpa = len ? entry[i] : 0;
	}
	return NVME_OK;
}

uint16_t nvme_prp(struct nvme *n, uint64_t prp1, uint64_t prp2, uint32_t len, struct iovec *iov,
		  unsigned int *niov)
{
	uint32_t first = MIN(len, NVME_PAGE - (uint32_t)(prp1 % NVME_PAGE));
	uint16_t status;

	*niov = 0;
	if (prp1 % 4)
		return NVME_BAD_PRP | NVME_DNR;
	status = piece(n, prp1, first, iov, niov);
	len -= first;
	if (status || !len)
		return status;
	if (len > NVME_PAGE)
		return list(n, prp2, len, iov, niov);
	if (prp2 % NVME_PAGE)
		return NVME_BAD_PRP | NVME_DNR;
	return piece(n, prp2, len, iov, niov);
}

/* Copies between buf and the data of an admin command. */
static uint16_t copy(struct nvme *n, const struct nvme_cmd *c, void *buf, uint32_t len, bool out)
{
	struct iovec iov[NVME_IOV_MAX];
	unsigned int niov, i;
	uint8_t *p = buf;
	uint16_t status = nvme_prp(n, c->prp1, c->prp2, len, iov, &niov);

	if (status)
		return status;
	for (i = 0; i < niov; p += iov[i].iov_len, i++)
		memcpy(out ? iov[i].iov_base : p, out ? p : iov[i].iov_base, iov[i].iov_len);
	return NVME_OK;
}

uint16_t nvme_prp_write(struct nvme *n, const struct nvme_cmd *c, const void *buf, uint32_t len)
{
	return copy(n, c, (void *)(uintptr_t)buf, len, true);
}

uint16_t nvme_prp_read(struct nvme *n, const struct nvme_cmd *c, void *buf, uint32_t len)
{
	return copy(n, c, buf, len, false);
}
