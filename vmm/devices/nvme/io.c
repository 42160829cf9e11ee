// SPDX-License-Identifier: BSD-3-Clause
/*
 * The NVM command set (6): data goes between guest memory and the disk without a copy of ours.
 */
#include <errno.h>
#include <stdlib.h>
#include "vmm/devices/nvme/nvme_priv.h"

enum {
	OP_FLUSH = 0x00,
	OP_WRITE = 0x01,
	OP_READ = 0x02,
	OP_WRITE_ZEROES = 0x08,
	OP_DSM = 0x09,
};

#define WZ_DEALLOCATE (1u << 25) /* of cdw12 (6.17) */
#define DSM_AD	      0x4u	 /* of cdw11: deallocate (6.7) */

static uint16_t failed(const struct nvme_req *r, int res)
{
	if (res == -EINVAL)
		return NVME_LBA_RANGE | NVME_DNR;
	if (res == -EROFS)
		return NVME_READ_ONLY | NVME_DNR;
	if (r->d.op == DISK_READ)
		return NVME_READ_ERROR;
	return r->d.op == DISK_FLUSH ? NVME_INTERNAL : NVME_WRITE_FAULT;
}

static void done(struct disk_req *d, int res)
{
	struct nvme_req *r = container_of(d, struct nvme_req, d);
	atomic_ullong *bytes = d->op == DISK_READ ? &r->n->bytes_read : &r->n->bytes_written;

	if (!res && (d->op == DISK_READ || d->op == DISK_WRITE))
		atomic_fetch_add_explicit(bytes, d->len, memory_order_relaxed);
	nvme_complete(r, res ? failed(r, res) : NVME_OK);
}

/* Blocks of a command as bytes, checked against the namespace. */
static uint16_t range(const struct nvme *n, uint64_t slba, uint64_t nlb, struct disk_req *d)
{
	uint64_t total = n->info.size >> n->lba_shift, end;

	if (ckd_add(&end, slba, nlb) || end > total)
		return NVME_LBA_RANGE | NVME_DNR;
	d->off = slba << n->lba_shift;
	d->len = nlb << n->lba_shift;
	return NVME_OK;
}

static uint64_t slba_of(const struct nvme_cmd *c)
{
	return c->cdw10 | (uint64_t)c->cdw11 << 32;
}

static uint16_t queue(struct nvme *n, struct nvme_req *r, enum disk_op op)
{
	r->d.op = op;
	r->d.done = done;
	disk_queue(n->ring, &r->d);
	return NVME_LATER;
}

static uint16_t read_write(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	uint64_t nlb = (uint64_t)(c->cdw12 & 0xffff) + 1;
	uint16_t status = range(n, slba_of(c), nlb, &r->d);

	if (status)
		return status;
	if (r->d.len > (uint64_t)NVME_PAGE << NVME_MDTS)
		return NVME_BAD_FIELD | NVME_DNR;
	if (c->opcode == OP_WRITE && n->info.readonly)
		return NVME_READ_ONLY | NVME_DNR;
	status = nvme_prp(n, c->prp1, c->prp2, (uint32_t)r->d.len, r->iov, &r->d.niov);
	if (status)
		return status;
	r->d.iov = r->iov;
	return queue(n, r, c->opcode == OP_WRITE ? DISK_WRITE : DISK_READ);
}

static uint16_t write_zeroes(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	uint16_t status = range(n, slba_of(c), (uint64_t)(c->cdw12 & 0xffff) + 1, &r->d);

	if (status)
		return status;
	if (n->info.readonly)
		return NVME_READ_ONLY | NVME_DNR;
	r->d.unmap = c->cdw12 & WZ_DEALLOCATE;
	return queue(n, r, DISK_ZERO);
}

/* The next range of a Dataset Management command, one after the other. */
static void dsm_next(struct nvme_req *r);

static void dsm_done(struct disk_req *d, int res)
{
	struct nvme_req *r = container_of(d, struct nvme_req, d);

	/* Deallocation is a hint: a medium that cannot do it has kept the data, which is fine. */
	if (res && res != -EOPNOTSUPP) {
		nvme_complete(r, failed(r, res));
		return;
	}
	r->range++;
	dsm_next(r);
}

static void dsm_next(struct nvme_req *r)
{
	while (r->range < r->nranges && !r->ranges[r->range].nlb)
		r->range++;
	if (r->range == r->nranges) {
		nvme_complete(r, NVME_OK);
		return;
	}
	/* checked when the command came */
	(void)!range(r->n, r->ranges[r->range].slba, r->ranges[r->range].nlb, &r->d);
	r->d.op = DISK_DISCARD;
	r->d.done = dsm_done;
	disk_queue(r->n->ring, &r->d);
}

static uint16_t dsm(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	unsigned int count = (c->cdw10 & 0xff) + 1, i;
	uint16_t status;

	if (!r->ranges) /* kept with the request from its first time on */
		r->ranges = calloc(NVME_DSM_MAX, sizeof(*r->ranges));
	if (!r->ranges)
		return NVME_INTERNAL;
	status = nvme_prp_read(n, c, r->ranges, count * (uint32_t)sizeof(*r->ranges));
	for (i = 0; i < count && !status; i++)
		status = range(n, r->ranges[i].slba, r->ranges[i].nlb, &r->d);
	if (status)
		return status;
	if (n->info.readonly)
		return NVME_READ_ONLY | NVME_DNR;
	if (!(c->cdw11 & DSM_AD)) /* the other attributes are hints that nobody takes */
		return NVME_OK;
	r->range = 0;
	r->nranges = count;
	dsm_next(r);
	return NVME_LATER;
}

uint16_t nvme_io(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	if (c->opcode == OP_FLUSH && c->nsid == UINT32_MAX)
		return queue(n, r, DISK_FLUSH);
	if (c->nsid != 1)
		return NVME_BAD_NS | NVME_DNR;
	switch (c->opcode) {
	case OP_FLUSH:
		return queue(n, r, DISK_FLUSH);
	case OP_READ:
	case OP_WRITE:
		return read_write(n, r, c);
	case OP_WRITE_ZEROES:
		return write_zeroes(n, r, c);
	case OP_DSM:
		return dsm(n, r, c);
	default:
		return NVME_BAD_OPCODE | NVME_DNR;
	}
}
