/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VU_DEV_H
#define VIRTIO_VU_DEV_H

#include "base/mac.h"
#include "virtio/vio.h"

/*
 * The vhost-user front end: a virtio device whose queues are served by another process.
 *
 * Survival contract. The backend may vanish at any moment, for any time, and return. Nothing of the
 * VMM ever waits for it; the guest sees a device that is slow for a while. On return the whole
 * negotiation is run again as one transaction, ring state is recovered, and queues are kicked.
 */
enum vu_state {
	VU_WAITING,	/* no backend since the start */
	VU_CONNECTED,	/* negotiated */
	VU_LOST,	/* was there, is gone */
	VU_REPLAYING,	/* is back, being set up */
	VU_NEEDS_RESET, /* is back but cannot go on (lacks features, or rings broken): guest must
			   reset */
};

struct vu_dev_cfg {
	bool disk; /* else net */
	const char *socket;
	bool server;	     /* listen for the backend; else connect to it */
	unsigned int queues; /* net: pairs */
	uint16_t qsize;	     /* 0: 256 */
	bool mac_given;
	struct mac mac;
	uint64_t hide;		/* feature bits not to offer */
	struct vm_iothread *io; /* where the connection lives */
	const struct log *log;
};

int vu_dev_new(struct sys *s, const char *id, const struct vu_dev_cfg *c, struct vm_dev **out,
	       struct err *e) __must_check;

/** struct vu_dev_info - a snapshot; any thread. @since_ns: monotonic time of the last change. */
struct vu_dev_info {
	enum vu_state state;
	uint64_t since_ns, features, protocol, connects, losses;
	char why[160]; /* of the last loss or refusal */
};
void vu_dev_info(struct vm_dev *d, struct vu_dev_info *out);
const char *vu_state_name(enum vu_state s);

/**
 * vu_probe() - would a backend answer at this socket? For the planner; changes nothing
 * Connects (client role), asks for features, hangs up; bounded to 1 s. Server role: only looks at
 * the folder. *features: of the backend; server role: all, until one says otherwise.
 * -errno with the reason and the remedy.
 */
int vu_probe(struct sys *s, const char *path, bool server, bool disk, uint64_t *features,
	     struct err *e) __must_check;

#endif
