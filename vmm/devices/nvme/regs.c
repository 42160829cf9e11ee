// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controller registers and doorbells (3.1), written by vCPUs under the VM lock. What concerns the
 * queues is posted to the I/O thread; the driver sees the result in CSTS.
 */
#include <stdlib.h>
#include <unistd.h>
#include "vmm/devices/nvme/nvme_priv.h"

/* CAP (3.1.1): queues of up to 1024 entries that are contiguous, NVM command set, 4 KiB pages, and
 * 10 s for CSTS.RDY to follow CC.EN. */
#define CAP_CQR	    (1ull << 16)
#define CAP_TO	    (20ull << 24)
#define CAP_CSS_NVM (1ull << 37)
#define CAP	    ((NVME_QSIZE_MAX - 1) | CAP_CQR | CAP_TO | CAP_CSS_NVM)
#define VERSION_1_4 0x00010400u

#define CC_MPS(cc) ((cc) >> 7 & 15)
#define CC_AMS(cc) ((cc) >> 11 & 7)
#define CC_CSS(cc) ((cc) >> 4 & 7)
#define CC_KNOWN   0x00fffff1u
#define AQA_KNOWN  0x0fff0fffu

/* ---- calls to the I/O thread ---- */

/* struct post - a register write on its way; freed by the receiver */
struct post {
	struct nvme *n;
	uint32_t aqa;
	uint64_t asq, acq;
};

static void post_enable(void *arg)
{
	struct post *p = arg;

	nvme_enable(p->n, p->aqa, p->asq, p->acq);
	free(p);
}

static void post_disable(void *arg)
{
	struct post *p = arg;

	nvme_disable(p->n);
	free(p);
}

static void flushed(struct disk_req *d, int res)
{
	struct nvme_req *r = container_of(d, struct nvme_req, d);

	atomic_fetch_and(&r->n->csts, ~NVME_CSTS_SHST);
	atomic_fetch_or(&r->n->csts, NVME_CSTS_SHUT);
	nvme_req_drop(r);
}

/* Shutdown notification: what was written is on the medium when SHST says so (7.6.2). */
static void post_shutdown(void *arg)
{
	struct post *p = arg;
	struct nvme_req *r = nvme_req_get(p->n);

	if (r) {
		r->d.op = DISK_FLUSH;
		r->d.done = flushed;
		disk_queue(p->n->ring, &r->d);
		disk_submit(p->n->ring);
		ev_poll_on(&p->n->poll);
	} else { /* every request is in flight: the driver never waits for ever */
		atomic_fetch_and(&p->n->csts, ~NVME_CSTS_SHST);
		atomic_fetch_or(&p->n->csts, NVME_CSTS_SHUT);
	}
	free(p);
}

static void post(struct nvme *n, ev_fn fn)
{
	struct post *p = malloc(sizeof(*p));

	if (p) {
		*p = (struct post){ .n = n, .aqa = n->aqa, .asq = n->asq, .acq = n->acq };
		if (!ev_call(vm_iothread_ev(n->cfg.io), fn, p))
			return;
	}
	free(p);
	atomic_fetch_or(&n->csts, NVME_CSTS_CFS);
}

/* ---- registers ---- */

static void cc_write(struct nvme *n, uint32_t val)
{
	uint32_t old = n->cc;

	n->cc = val & CC_KNOWN;
	if (n->cc & ~old & NVME_CC_EN) {
		if (CC_MPS(val) || CC_AMS(val) || CC_CSS(val))
			atomic_fetch_or(&n->csts, NVME_CSTS_CFS);
		else
			post(n, post_enable);
	} else if (old & ~n->cc & NVME_CC_EN) {
		nvme_shadow_kicks(n, false);
		post(n, post_disable);
	}
	if (NVME_CC_SHN(n->cc) && !NVME_CC_SHN(old)) {
		atomic_fetch_or(&n->csts, NVME_CSTS_SHUTTING);
		post(n, post_shutdown);
	}
}

void nvme_reset_regs(struct nvme *n)
{
	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	atomic_store(&n->csts, 0);
}

/* The register at off as a dword; INTMS and INTMC are for pins, which there are none of. */
static uint32_t reg_get(const struct nvme *n, uint64_t off)
{
	switch (off) {
	case NVME_CAP:
		return (uint32_t)CAP;
	case NVME_CAP + 4:
		return (uint32_t)(CAP >> 32);
	case NVME_VS:
		return VERSION_1_4;
	case NVME_CC:
		return n->cc;
	case NVME_CSTS:
		return atomic_load(&n->csts);
	case NVME_AQA:
		return n->aqa;
	case NVME_ASQ:
		return (uint32_t)n->asq;
	case NVME_ASQ + 4:
		return (uint32_t)(n->asq >> 32);
	case NVME_ACQ:
		return (uint32_t)n->acq;
	case NVME_ACQ + 4:
		return (uint32_t)(n->acq >> 32);
	default:
		return 0;
	}
}

static void half_set(uint64_t *reg, bool high, uint32_t val)
{
	if (high)
		*reg = (uint32_t)*reg | (uint64_t)val << 32;
	else
		*reg = (*reg & ~(uint64_t)UINT32_MAX) | (val & ~(NVME_PAGE - 1));
}

static void reg_set(struct nvme *n, uint64_t off, uint32_t val)
{
	switch (off) {
	case NVME_CC:
		cc_write(n, val);
		break;
	case NVME_AQA:
		n->aqa = val & AQA_KNOWN;
		break;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		half_set(&n->asq, off & 4, val);
		break;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		half_set(&n->acq, off & 4, val);
		break;
	default:
		break;
	}
}

static enum vm_io_result reg_read(void *dev, uint64_t off, unsigned int len, uint64_t *val)
{
	struct nvme *n = dev;

	if (off + len > NVME_DOORBELLS) { /* doorbells read as nothing in particular (3.1.24) */
		*val = 0;
		return VM_IO_OK;
	}
	*val = reg_get(n, off & ~3ull);
	if (len == 8)
		*val |= (uint64_t)reg_get(n, (off & ~3ull) + 4) << 32;
	*val = len == 8 ? *val : *val >> 8 * (off & 3) & (UINT32_MAX >> (32 - 8 * len));
	return off % len ? VM_IO_ERROR : VM_IO_OK;
}

/* A trapped doorbell: the value, and a wake-up unless the I/O thread will look anyway, or there is
 * nothing to be done about a head. */
static enum vm_io_result doorbell_write(struct nvme *n, uint64_t off, unsigned int len,
					uint32_t val)
{
	const uint64_t one = 1;
	uint64_t i = (off - NVME_DOORBELLS) / 4;

	if (len != 4 || off % 4 || i >= 2 * (n->cfg.queues + 1ull))
		return VM_IO_ERROR;
	atomic_fetch_add_explicit(&n->doorbells, 1, memory_order_relaxed);
	/* orders the doorbell before the flags; pairs with nvme_arm() */
	atomic_store(&n->db[i], val & 0xffff);
	if (i & 1 && !atomic_load(&n->cq_waits))
		return VM_IO_OK;
	if (!atomic_load(&n->awake) && write(n->kick, &one, sizeof(one)) < 0)
		return VM_IO_ERROR; /* the counter is full: it is awake then */
	return VM_IO_OK;
}

static enum vm_io_result reg_write(void *dev, uint64_t off, unsigned int len, uint64_t val)
{
	struct nvme *n = dev;

	if (off >= NVME_DOORBELLS)
		return doorbell_write(n, off, len, (uint32_t)val);
	if (len < 4 || off % len)
		return VM_IO_ERROR;
	reg_set(n, off, (uint32_t)val);
	if (len == 8)
		reg_set(n, off + 4, (uint32_t)(val >> 32));
	return VM_IO_OK;
}

const struct vm_io_ops nvme_reg_ops = { reg_read, reg_write };
