/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_GUEST_NVMECTL_H
#define TESTS_GUEST_NVMECTL_H

#include "guest.h"

/* An NVMe controller's admin queue, polled. (NVM Express base specification 1.4, 3.1, 4.2, 4.6) */
#define NVME_CLASS	 0x010802
#define NVME_REG_CSTS	 0x1c
#define NVME_CSTS_CFS	 2u
#define NVME_OP_IDENTIFY 0x06

struct nvme_sqe {
	uint32_t cdw0, nsid, cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_cqe {
	uint32_t dw0, dw1, sq, status;
};

/**
 * struct nvme_ctl - a controller
 * @regs:   set by the caller, before nvme_start()
 * @sq, @cq: a page each, the caller's
 * @stride: bytes between two doorbells
 * @sent:   commands since the start
 */
struct nvme_ctl {
	volatile uint8_t *regs;
	struct nvme_sqe *sq;
	volatile struct nvme_cqe *cq;
	uint32_t stride, sent;
};

static inline volatile uint32_t *nvme_reg(const struct nvme_ctl *c, unsigned int off)
{
	return (volatile uint32_t *)(c->regs + off);
}

/** nvme_doorbell() - of a queue pair: of the submission queue, or the completion queue. */
static inline volatile uint32_t *nvme_doorbell(const struct nvme_ctl *c, unsigned int queue,
					       bool completion)
{
	return nvme_reg(c, 0x1000 + (2 * queue + completion) * c->stride);
}

/** nvme_start() - disable, set up the admin queue, enable; false: it does not follow. */
bool nvme_start(struct nvme_ctl *c);
void nvme_stop(struct nvme_ctl *c);
/** nvme_admin() - one command; the status field without its phase bit, or -1 when none came. */
int nvme_admin(struct nvme_ctl *c, const struct nvme_sqe *cmd, uint32_t *dw0);

#endif
