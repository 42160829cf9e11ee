// SPDX-License-Identifier: BSD-3-Clause
/* The admin queue of an NVMe controller. Waits are bounded by a number of looks. */
#include "nvmectl.h"

#define REG_CAP_HI 0x04
#define REG_CC	   0x14
#define REG_AQA	   0x24
#define REG_ASQ	   0x28
#define REG_ACQ	   0x30

#define CC_ENABLE 0x00460001 /* 64-byte and 16-byte queue entries, 4 KiB pages */
#define CSTS_RDY  1u
#define DEPTH	  16u
#define SPINS	  3000000u

static bool wait_ready(const struct nvme_ctl *c, uint32_t want)
{
	unsigned int i;

	for (i = 0; (*nvme_reg(c, NVME_REG_CSTS) & CSTS_RDY) != want; i++) {
		if (i == SPINS)
			return false;
		pause();
	}
	return true;
}

static void address(const struct nvme_ctl *c, unsigned int off, const volatile void *p)
{
	*nvme_reg(c, off) = (uint32_t)(uintptr_t)p;
	*nvme_reg(c, off + 4) = (uint32_t)((uint64_t)(uintptr_t)p >> 32);
}

bool nvme_start(struct nvme_ctl *c)
{
	c->stride = 4u << (*nvme_reg(c, REG_CAP_HI) & 15);
	*nvme_reg(c, REG_CC) = 0;
	if (!wait_ready(c, 0))
		return false;
	memset(c->sq, 0, DEPTH * sizeof(*c->sq));
	memset((void *)c->cq, 0, DEPTH * sizeof(*c->cq));
	c->sent = 0;
	*nvme_reg(c, REG_AQA) = (DEPTH - 1) << 16 | (DEPTH - 1);
	address(c, REG_ASQ, c->sq);
	address(c, REG_ACQ, c->cq);
	*nvme_reg(c, REG_CC) = CC_ENABLE;
	return wait_ready(c, CSTS_RDY);
}

void nvme_stop(struct nvme_ctl *c)
{
	*nvme_reg(c, REG_CC) = 0;
	wait_ready(c, 0);
}

int nvme_admin(struct nvme_ctl *c, const struct nvme_sqe *cmd, uint32_t *dw0)
{
	uint32_t slot = c->sent % DEPTH, phase = ~(c->sent / DEPTH) & 1, i;
	volatile const struct nvme_cqe *q = &c->cq[slot];

	c->sq[slot] = *cmd;
	c->sq[slot].cdw0 |= c->sent << 16;
	c->sent++;
	__asm__ volatile("" : : : "memory");
	*nvme_doorbell(c, 0, false) = c->sent % DEPTH;
	for (i = 0; (q->status >> 16 & 1) != phase; i++) {
		if (i == SPINS)
			return -1;
		pause();
	}
	*nvme_doorbell(c, 0, true) = c->sent % DEPTH;
	if (dw0)
		*dw0 = q->dw0;
	return (int)(q->status >> 17);
}
