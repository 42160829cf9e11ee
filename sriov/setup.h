/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_SETUP_H
#define SRIOV_SETUP_H

#include "sriov/priv.h"

/* A group of steps in the making; base has group, fn, pf and vfn filled. */
struct setup {
	struct sriov *c;
	struct sriov_journal *j;
	struct sriov_step base;
};

int setup_check_set(const struct sriov_vf_set *set, struct err *e) __must_check;
bool setup_any_set(const struct sriov_vf_set *set);

/* Is the PF in a state in which its VFs work? Texts go behind "PF name: ". */
int setup_pf_up(struct sriov *c, const struct sriov_fn *pf, struct err *e) __must_check;
int setup_pf_carrier(struct sriov *c, const struct sriov_fn *pf, struct err *e) __must_check;
/* Now, without a wait. */
bool setup_pf_has_carrier(struct sriov *c, const struct sriov_fn *pf);

/* Makes VFs of a PF that has none. */
int setup_pf_create(struct setup *t, const struct sriov_pf *pf, unsigned int count,
		    struct err *e) __must_check;

/* Copies what other journals hold of the PF's own steps: see undo.c. The PF's lock is held. */
int setup_inherit(struct setup *t, const struct sriov_owner_info *o, size_t n,
		  struct err *e) __must_check;

int setup_net(struct setup *t, const struct sriov_vf_set *set, struct err *e) __must_check;
/* Keeps the administrative MAC or gives a random one; *mac is what the VF has then. */
int setup_net_mac(struct setup *t, struct mac *mac, struct err *e) __must_check;

/* Resources (0: as many as a VF may have; what it got on return) and online. */
int setup_nvme(struct setup *t, const char *ctrl, unsigned int *vq, unsigned int *vi,
	       struct err *e) __must_check;

#endif
