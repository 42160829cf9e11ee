/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_NVME_H
#define SRIOV_NVME_H

#include "sriov/ctx.h"

/*
 * NVMe virtualization enhancements (NVM Express base specification 2.0, 8.26): the PF is the
 * primary controller, each VF a secondary one that owns flexible queue (VQ) and interrupt (VI)
 * resources and is online or offline. All calls go through the admin queue of the PF, /dev/nvmeN.
 */

/** struct sriov_nvme_caps - of the primary controller (Identify, CNS 14h); 5.17.2.14. */
struct sriov_nvme_caps {
	bool vq, vi;		     /* are there such flexible resources? */
	uint32_t vq_total, vi_total; /* all flexible ones */
	uint32_t vq_used, vi_used;   /* assigned to secondary controllers */
	uint16_t vq_max,
		vi_max; /* at most this many for one secondary controller; 0: no limit told */
};

/** struct sriov_nvme_sec - one secondary controller (Identify, CNS 15h). */
struct sriov_nvme_sec {
	uint16_t cntlid;
	uint16_t vfn; /* VF number from 1, as the spec counts; 0: not a VF */
	uint16_t vq, vi;
	bool online;
};

/**
 * sriov_nvme_caps_get() - Return: 0; -EOPNOTSUPP: the controller has no such data; -errno.
 * @ctrl: "nvme0"
 */
int sriov_nvme_caps_get(struct sys *s, const char *ctrl, struct sriov_nvme_caps *out,
			struct err *e) __must_check;

/**
 * sriov_nvme_sec_get() - the secondary controller that is VF number vfn (from 0)
 * Return: 0; -ENOENT: the list has none for it; -EPROTO: the controller's answer makes no sense.
 */
int sriov_nvme_sec_get(struct sys *s, const char *ctrl, unsigned int vfn,
		       struct sriov_nvme_sec *out, struct err *e) __must_check;

enum sriov_nvme_res { SRIOV_NVME_VQ, SRIOV_NVME_VI };

/** sriov_nvme_assign() - give a secondary controller n flexible resources; it must be offline. */
int sriov_nvme_assign(struct sys *s, const char *ctrl, uint16_t cntlid, enum sriov_nvme_res r,
		      uint16_t n, struct err *e) __must_check;

/** sriov_nvme_online() - put a secondary controller online or offline. */
int sriov_nvme_online(struct sys *s, const char *ctrl, uint16_t cntlid, bool on,
		      struct err *e) __must_check;

#endif
