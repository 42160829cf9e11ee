// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a vhost-user message must look like, in one table, and the judge of it. Messages whose size
 * or descriptors follow from their own content (a table of regions, a piece of config space, "no
 * descriptor" in a vring message) have a rule of their own beside the table's limits.
 */
#include <errno.h>
#include "virtio/wire/msg.h"

/* Without the padding that the compiler adds: some peers leave it off, some send it. */
#define INFLIGHT_MIN (offsetof(struct vu_inflight_desc, qsize) + sizeof(uint16_t))
#define CONFIG_HDR   offsetof(struct vu_config, data)
#define MEM_HDR	     offsetof(struct vu_mem_table, r)
#define VRING_NO_FD  0x100u

enum rule { RULE_NONE, RULE_VRING_FD, RULE_MEM_TABLE, RULE_CONFIG };

struct range {
	uint16_t min, max;
};

/**
 * struct form - a request, and its reply
 * @replies: has a reply of its own, of the form rsize and rfds; without one, the only answer that a
 *	     request can get is REPLY_ACK's number
 */
struct form {
	const char *name;
	struct range size;
	uint8_t fds_min, fds_max;
	uint8_t rule;
	bool replies;
	struct range rsize;
	uint8_t rfds_max;
};

#define EXACT(type)                        \
	{                                  \
		sizeof(type), sizeof(type) \
	}
#define PLAIN(n)            \
	{                   \
		.name = (n) \
	}
#define U64(n)                                       \
	{                                            \
		.name = (n), .size = EXACT(uint64_t) \
	}
#define ASK_U64(n)                                                     \
	{                                                              \
		.name = (n), .replies = true, .rsize = EXACT(uint64_t) \
	}
#define VRING(n)                                            \
	{                                                   \
		.name = (n), .size = EXACT(struct vu_vring) \
	}
#define VRING_FD(n)                                                                       \
	{                                                                                 \
		.name = (n), .size = EXACT(uint64_t), .fds_max = 1, .rule = RULE_VRING_FD \
	}

static const struct form forms[VU_REQ_MAX] = {
	[VU_GET_FEATURES] = ASK_U64("GET_FEATURES"),
	[VU_SET_FEATURES] = U64("SET_FEATURES"),
	[VU_SET_OWNER] = PLAIN("SET_OWNER"),
	[VU_RESET_OWNER] = PLAIN("RESET_OWNER"),
	[VU_SET_MEM_TABLE] = { .name = "SET_MEM_TABLE",
			       .size = { MEM_HDR + sizeof(struct vu_region),
					 sizeof(struct vu_mem_table) },
			       .fds_min = 1,
			       .fds_max = VU_MEM_MAX,
			       .rule = RULE_MEM_TABLE },
	[VU_SET_LOG_BASE] = { .name = "SET_LOG_BASE",
			      .size = { 8, 16 },
			      .fds_max = 1,
			      .replies = true,
			      .rsize = { 0, 16 } },
	[VU_SET_LOG_FD] = { .name = "SET_LOG_FD", .size = { 0, 8 }, .fds_max = 1 },
	[VU_SET_VRING_NUM] = VRING("SET_VRING_NUM"),
	[VU_SET_VRING_ADDR] = { .name = "SET_VRING_ADDR", .size = EXACT(struct vu_vring_addr) },
	[VU_SET_VRING_BASE] = VRING("SET_VRING_BASE"),
	[VU_GET_VRING_BASE] = { .name = "GET_VRING_BASE",
				.size = EXACT(struct vu_vring),
				.replies = true,
				.rsize = EXACT(struct vu_vring) },
	[VU_SET_VRING_KICK] = VRING_FD("SET_VRING_KICK"),
	[VU_SET_VRING_CALL] = VRING_FD("SET_VRING_CALL"),
	[VU_SET_VRING_ERR] = VRING_FD("SET_VRING_ERR"),
	[VU_GET_PROTOCOL_FEATURES] = ASK_U64("GET_PROTOCOL_FEATURES"),
	[VU_SET_PROTOCOL_FEATURES] = U64("SET_PROTOCOL_FEATURES"),
	[VU_GET_QUEUE_NUM] = ASK_U64("GET_QUEUE_NUM"),
	[VU_SET_VRING_ENABLE] = VRING("SET_VRING_ENABLE"),
	[VU_NET_SET_MTU] = U64("NET_SET_MTU"),
	[VU_GET_CONFIG] = { .name = "GET_CONFIG",
			    .size = { CONFIG_HDR, sizeof(struct vu_config) },
			    .rule = RULE_CONFIG,
			    .replies = true,
			    .rsize = { 0, sizeof(struct vu_config) } },
	[VU_SET_CONFIG] = { .name = "SET_CONFIG",
			    .size = { CONFIG_HDR, sizeof(struct vu_config) },
			    .rule = RULE_CONFIG },
	[VU_GET_INFLIGHT_FD] = { .name = "GET_INFLIGHT_FD",
				 .size = { INFLIGHT_MIN, sizeof(struct vu_inflight_desc) },
				 .replies = true,
				 .rsize = { INFLIGHT_MIN, sizeof(struct vu_inflight_desc) },
				 .rfds_max = 1 },
	[VU_SET_INFLIGHT_FD] = { .name = "SET_INFLIGHT_FD",
				 .size = { INFLIGHT_MIN, sizeof(struct vu_inflight_desc) },
				 .fds_min = 1,
				 .fds_max = 1 },
	[VU_RESET_DEVICE] = PLAIN("RESET_DEVICE"),
	[VU_GET_MAX_MEM_SLOTS] = ASK_U64("GET_MAX_MEM_SLOTS"),
	[VU_ADD_MEM_REG] = { .name = "ADD_MEM_REG",
			     .size = EXACT(struct vu_one_region),
			     .fds_min = 1,
			     .fds_max = 1 },
	[VU_REM_MEM_REG] = { .name = "REM_MEM_REG",
			     .size = EXACT(struct vu_one_region),
			     .fds_max = 1 },
	[VU_SET_STATUS] = U64("SET_STATUS"),
	[VU_GET_STATUS] = ASK_U64("GET_STATUS"),
};

static const struct form *form_of(uint32_t req)
{
	return req < ARRAY_SIZE(forms) && forms[req].name ? &forms[req] : NULL;
}

const char *vu_req_name(uint32_t req)
{
	const struct form *f = form_of(req);

	return f ? f->name : "?";
}

bool vu_req_replies(uint32_t req)
{
	const struct form *f = form_of(req);

	return f && f->replies;
}

static struct range size_of(const struct form *f, enum vu_dir dir)
{
	static const struct range ack = EXACT(uint64_t);

	if (dir == VU_TO_BACK)
		return f->size;
	return f->replies ? f->rsize : ack;
}

int vu_hdr_check(const struct vu_hdr *h, enum vu_dir dir, struct err *e)
{
	const struct form *f = form_of(h->req);
	struct range want;

	if (!f)
		return err_set(e, -EPROTO, "the peer sent request %u, which is not known", h->req);
	if ((h->flags & 3) != VU_VERSION)
		return err_set(e, -EPROTO, "%s has version %u, wanted %u", f->name, h->flags & 3,
			       VU_VERSION);
	if (!!(h->flags & VU_REPLY) != (dir == VU_TO_FRONT))
		return err_set(e, -EPROTO, "%s is a %s, which does not go in this direction",
			       f->name, h->flags & VU_REPLY ? "reply" : "request");
	want = size_of(f, dir);
	if (h->size < want.min || h->size > want.max)
		return err_set(e, -EPROTO, "%s has a payload of %u bytes, wanted %u to %u", f->name,
			       h->size, want.min, want.max);
	return 0;
}

/* The size and the descriptors that the content asks for; true when they agree. */
static bool rule_ok(const struct form *f, const struct vu_msg *m, enum vu_dir dir)
{
	switch (f->rule) {
	case RULE_VRING_FD:
		return dir == VU_TO_FRONT || m->nfds == (m->u.u64 & VRING_NO_FD ? 0 : 1);
	case RULE_MEM_TABLE:
		return dir == VU_TO_FRONT ||
		       (m->u.mem.n == m->nfds && m->u.mem.n <= VU_MEM_MAX &&
			m->h.size == MEM_HDR + m->u.mem.n * sizeof(struct vu_region));
	case RULE_CONFIG:
		/* SET_CONFIG is answered by a number; an empty GET_CONFIG reply says "cannot". */
		if (dir == VU_TO_FRONT && (!f->replies || !m->h.size))
			return true;
		return m->h.size >= CONFIG_HDR && m->u.cfg.size <= VU_CONFIG_MAX &&
		       m->h.size == CONFIG_HDR + m->u.cfg.size;
	default:
		return true;
	}
}

int vu_msg_check(const struct vu_msg *m, enum vu_dir dir, struct err *e)
{
	int rc = vu_hdr_check(&m->h, dir, e);
	unsigned int min, max;
	const struct form *f;

	if (rc)
		return rc;
	f = form_of(m->h.req);
	min = dir == VU_TO_BACK ? f->fds_min : 0;
	max = dir == VU_TO_BACK ? f->fds_max : f->rfds_max;
	if (m->nfds < min || m->nfds > max)
		return err_set(e, -EPROTO, "%s came with %u file descriptors, wanted %u to %u",
			       f->name, m->nfds, min, max);
	if (!rule_ok(f, m, dir))
		return err_set(e, -EPROTO,
			       "%s: its content asks for another size than %u bytes and %u file "
			       "descriptors",
			       f->name, m->h.size, m->nfds);
	return 0;
}
