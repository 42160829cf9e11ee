// SPDX-License-Identifier: BSD-3-Clause
/* Admin commands (5), on the I/O thread. What the specification makes optional and nobody needs is
 * refused as an unknown opcode, Format NVM above all. */
#include <string.h>
#include "vmm/devices/nvme/nvme_priv.h"

enum {
	OP_DELETE_SQ = 0x00,
	OP_CREATE_SQ = 0x01,
	OP_GET_LOG = 0x02,
	OP_DELETE_CQ = 0x04,
	OP_CREATE_CQ = 0x05,
	OP_IDENTIFY = 0x06,
	OP_ABORT = 0x08,
	OP_SET_FEATURES = 0x09,
	OP_GET_FEATURES = 0x0a,
	OP_AER = 0x0c,
	OP_DBBUF = 0x7c,
};

/* Features (5.21.1). */
enum {
	F_ARBITRATION = 1,
	F_POWER = 2,
	F_TEMPERATURE = 4,
	F_ERROR_RECOVERY = 5,
	F_WRITE_CACHE = 6,
	F_QUEUES = 7,
	F_COALESCING = 8,
	F_VECTOR = 9,
	F_ATOMICITY = 10,
	F_EVENTS = 11,
};

#define KNOWN                                                                                 \
	(1u << F_ARBITRATION | 1u << F_POWER | 1u << F_TEMPERATURE | 1u << F_ERROR_RECOVERY | \
	 1u << F_WRITE_CACHE | 1u << F_QUEUES | 1u << F_COALESCING | 1u << F_VECTOR |         \
	 1u << F_ATOMICITY | 1u << F_EVENTS)

#define SAVE	(1u << 31) /* of cdw10: Set Features */
#define CD_NODR 0x10000u   /* Interrupt Vector Configuration: coalescing disabled */

static uint16_t create_cq(struct nvme *n, const struct nvme_cmd *c)
{
	if (!(c->cdw11 & 1)) /* physically contiguous only: CAP.CQR */
		return NVME_BAD_FIELD | NVME_DNR;
	return nvme_cq_create(n, (uint16_t)c->cdw10, (c->cdw10 >> 16) + 1, c->prp1, c->cdw11 & 2,
			      (uint16_t)(c->cdw11 >> 16));
}

static uint16_t create_sq(struct nvme *n, const struct nvme_cmd *c)
{
	if (!(c->cdw11 & 1))
		return NVME_BAD_FIELD | NVME_DNR;
	return nvme_sq_create(n, (uint16_t)c->cdw10, (c->cdw10 >> 16) + 1, c->prp1,
			      (uint16_t)(c->cdw11 >> 16));
}

/* The commands are short-lived: none is ever found to be aborted (5.1). */
static uint16_t abort_cmd(struct nvme_req *r)
{
	r->dw0 = 1;
	return NVME_OK;
}

/* Kept without a request, which would be one less for I/O, until there is an event. */
static uint16_t aer(struct nvme *n, struct nvme_req *r)
{
	if (n->naer == NVME_AER_MAX)
		return NVME_AER_LIMIT | NVME_DNR;
	n->aer[n->naer++] = r->cid;
	nvme_req_drop(r);
	nvme_event_flush(n);
	return NVME_LATER;
}

/* Nothing can be saved, so a reset brings these back (5.21, 7.3.2). */
static uint32_t feature_default(uint32_t id)
{
	return id == F_WRITE_CACHE ? 1 : 0;
}

void nvme_features_reset(struct nvme *n)
{
	for (uint32_t id = 0; id < ARRAY_SIZE(n->feature); id++)
		n->feature[id] = feature_default(id);
	n->threshold[0] = NVME_TEMP_WARN;
	n->threshold[1] = 0;
	memset(n->vector_cfg, 0, sizeof(n->vector_cfg));
}

/* Temperature Threshold (5.21.1.4): which one is meant; NULL: there is none. Sensors there are none
 * but the composite; 15 stands for all. */
static uint16_t *threshold(struct nvme *n, uint32_t cdw11)
{
	uint32_t sensor = cdw11 >> 16 & 15, under = cdw11 >> 20 & 3;

	return (sensor && sensor != 15) || under > 1 ? NULL : &n->threshold[under];
}

static uint32_t queues_value(const struct nvme *n)
{
	return (n->cfg.queues - 1) | (n->cfg.queues - 1) << 16;
}

static uint16_t get_features(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	uint32_t id = c->cdw10 & 0xff, sel = c->cdw10 >> 8 & 7, vec = c->cdw11 & 0xffff;

	if (id > 15 || !(KNOWN & 1u << id) || sel > 3)
		return NVME_BAD_FIELD | NVME_DNR;
	if (sel == 3) { /* what it can: changed, but not saved */
		r->dw0 = id == F_ERROR_RECOVERY ? 0x6 : 0x4;
	} else if (id == F_QUEUES) {
		r->dw0 = queues_value(n);
	} else if (id == F_VECTOR) {
		if (vec > n->cfg.queues)
			return NVME_BAD_FIELD | NVME_DNR;
		r->dw0 = vec | (n->vector_cfg[vec] ? CD_NODR : 0);
	} else if (id == F_TEMPERATURE) {
		const uint16_t *t = threshold(n, c->cdw11);

		if (!t)
			return NVME_BAD_FIELD | NVME_DNR;
		r->dw0 = !sel ? *t : t == n->threshold ? NVME_TEMP_WARN : 0;
	} else {
		r->dw0 = sel ? feature_default(id) : n->feature[id];
	}
	return NVME_OK;
}

static uint16_t set_features(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	uint32_t id = c->cdw10 & 0xff, vec = c->cdw11 & 0xffff;

	if (id > 15 || !(KNOWN & 1u << id))
		return NVME_BAD_FIELD | NVME_DNR;
	if (c->cdw10 & SAVE)
		return NVME_NOT_SAVEABLE | NVME_DNR;
	switch (id) {
	case F_QUEUES:
		if (vec == 0xffff || c->cdw11 >> 16 == 0xffff)
			return NVME_BAD_FIELD | NVME_DNR;
		r->dw0 = queues_value(n);
		return NVME_OK;
	case F_VECTOR:
		if (vec > n->cfg.queues)
			return NVME_BAD_FIELD | NVME_DNR;
		n->vector_cfg[vec] = c->cdw11 & CD_NODR ? 1 : 0;
		return NVME_OK;
	case F_WRITE_CACHE: /* the host's page cache or the medium's: not ours to switch off */
		return c->cdw11 & 1 ? NVME_OK : NVME_NOT_CHANGEABLE | NVME_DNR;
	case F_TEMPERATURE: {
		uint16_t *t = threshold(n, c->cdw11);

		if (!t)
			return NVME_BAD_FIELD | NVME_DNR;
		*t = (uint16_t)c->cdw11;
		return NVME_OK;
	}
	case F_POWER: /* there is one state */
		if (c->cdw11 & 0x1f)
			return NVME_BAD_FIELD | NVME_DNR;
		break;
	default:
		break;
	}
	n->feature[id] = c->cdw11;
	return NVME_OK;
}

/* Doorbell Buffer Config (5.7): two pages of the driver's. */
static uint16_t dbbuf(struct nvme *n, const struct nvme_cmd *c)
{
	if (!n->cfg.shadow)
		return NVME_BAD_OPCODE | NVME_DNR;
	if (c->prp1 % NVME_PAGE || c->prp2 % NVME_PAGE || !nvme_ptr(n, c->prp1, NVME_PAGE) ||
	    !nvme_ptr(n, c->prp2, NVME_PAGE))
		return NVME_BAD_FIELD | NVME_DNR;
	n->db_shadow = c->prp1;
	n->db_event = c->prp2;
	nvme_shadow_kicks(n, true);
	return NVME_OK;
}

uint16_t nvme_admin(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c)
{
	atomic_fetch_add_explicit(&n->admin, 1, memory_order_relaxed);
	switch (c->opcode) {
	case OP_DELETE_SQ:
		return nvme_sq_delete(n, (uint16_t)c->cdw10);
	case OP_CREATE_SQ:
		return create_sq(n, c);
	case OP_GET_LOG:
		return nvme_log_page(n, c);
	case OP_DELETE_CQ:
		return nvme_cq_delete(n, (uint16_t)c->cdw10);
	case OP_CREATE_CQ:
		return create_cq(n, c);
	case OP_IDENTIFY:
		return nvme_identify(n, c);
	case OP_ABORT:
		return abort_cmd(r);
	case OP_SET_FEATURES:
		return set_features(n, r, c);
	case OP_GET_FEATURES:
		return get_features(n, r, c);
	case OP_AER:
		return aer(n, r);
	case OP_DBBUF:
		return dbbuf(n, c);
	default:
		return NVME_BAD_OPCODE | NVME_DNR;
	}
}
