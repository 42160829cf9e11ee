/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_VF_H
#define SRIOV_VF_H

#include "sriov/journal.h"
#include "sriov/netvf.h"
#include "sriov/nvme.h"

/** struct sriov_vf_set - administrative settings wanted; only those with has_ are touched. */
struct sriov_vf_set {
	bool has_mac, has_vlan, has_trust, has_spoofchk, has_rate, has_link;
	struct mac mac; /* not zero, not multicast */
	uint16_t vlan;	/* 0-4094, 0: none */
	uint8_t qos;	/* 0-7, goes with vlan */
	bool trust, spoofchk;
	uint32_t rate; /* max_tx_rate in Mbit/s, 0: no limit */
	enum sriov_link link;
};

/**
 * struct sriov_take - what is to be taken
 * @pf:    PF as typed; any free VF of it. Exactly one of @pf and @bdf is given
 * @bdf:   this function as it is: a VF, or a whole function
 * @kind:  what the port needs, or SRIOV_OTHER for anything: a disk port on a NIC is -EINVAL
 * @count: VFs to make when the PF has none; 0: as many as it can, at most 4. Ignored where VFs
 * exist
 * @vq:    NVMe: flexible queue resources (one is the admin queue); 0: as many as one VF may have
 * @vi:    NVMe: flexible interrupt resources; 0: as many as one VF may have
 * @force: take a whole function although the host uses it (never one that another owner holds)
 * @set:   settings for a network VF; on another function any of them is -EINVAL
 *
 * A network VF without a MAC wanted keeps its administrative MAC, or gets a random local one when
 * it has none: a VF without one would show the guest a new address at every reset.
 */
struct sriov_take {
	const char *pf;
	const struct bdf *bdf;
	enum sriov_kind kind;
	unsigned int count;
	unsigned int vq, vi;
	bool force;
	struct sriov_vf_set set;
};

/**
 * struct sriov_vf - a function that is taken and bound to vfio-pci
 * @fn:     as it is now; @fn.group is the group to open
 * @pf:     its PF when @fn.is_vf
 * @mac:    network VF: the administrative MAC, else zero
 * @vq:     @vi: NVMe VF: resources it has
 * @group:  in the journal
 * @lock_fd: held as long as the function is taken (flock on RUN_DIR/BDF.lock)
 */
struct sriov_vf {
	struct sriov_fn fn;
	struct sriov_fn pf;
	struct mac mac;
	unsigned int vq, vi;
	unsigned int group;
	int lock_fd;
};

/** sriov_mac_check() - -EINVAL with e filled for a zero or multicast address. */
int sriov_mac_check(const struct mac *m, struct err *e) __must_check;

/**
 * sriov_take() - take a VF or a whole function for this process: choose, configure, bind, lock
 * @j: the owner's journal; every change is in it before it happens
 *
 * First undoes what dead owners left. Nothing that somebody else uses is touched. When it fails
 * everything is undone, e names PF or function and the remedy: -ENODEV (no such thing), -EOPNOTSUPP
 * (no SR-IOV), -ENETDOWN (PF down or without carrier), -EBUSY (in use, all VFs taken: names who has
 * them), -EINVAL (bridge, settings that do not fit), -EPERM and other -errno.
 */
int sriov_take(struct sriov *c, struct sriov_journal *j, const struct sriov_take *req,
	       struct sriov_vf *out, struct err *e) __must_check;

/**
 * sriov_release() - give back: undo through the journal, then drop the lock; all its file
 * descriptors must be closed Values that somebody else changed after us are left and logged. 0 or
 * the first error: the journal then keeps what is left, and "sluice vf restore" or another call
 * goes on. vf->lock_fd is -1 afterwards.
 */
int sriov_release(struct sriov *c, struct sriov_journal *j, struct sriov_vf *vf,
		  struct err *e) __must_check;

/* By hand. */

/**
 * sriov_vf_create() - make count VFs of a PF that has none, autoprobe off
 * @j: sriov_journal_open_admin(). -EBUSY when there are VFs already, -ERANGE over the PF's limit.
 */
int sriov_vf_create(struct sriov *c, struct sriov_journal *j, const char *pf, unsigned int count,
		    struct err *e) __must_check;

/**
 * sriov_vf_find() - a VF as typed: its BDF, its interface, or "PF/N" with N from 0 ("eth0/2")
 */
int sriov_vf_find(struct sriov *c, const char *what, struct sriov_fn *out,
		  struct err *e) __must_check;

/**
 * struct sriov_vf_hand - what is wanted of a VF by hand; only what has_ says, or is not 0, is
 * touched
 * @net:    settings of a network VF
 * @vq:     @vi: NVMe: flexible resources; asking for any puts the controller online
 * @online: NVMe: with what it has, or as many resources as a VF may have
 * @driver: the driver to bind it to, "" for none; NULL: the one it has
 */
struct sriov_vf_hand {
	struct sriov_vf_set net;
	bool online;
	unsigned int vq, vi;
	const char *driver;
};

/**
 * sriov_vf_apply() - change a VF by hand
 * Return: 0; -EBUSY when a VM has it, and where a driver or resources of a VF in use were to
 * change; -EINVAL: settings that a VF of its kind has not.
 */
int sriov_vf_apply(struct sriov *c, struct sriov_journal *j, const char *vf,
		   const struct sriov_vf_hand *want, struct err *e) __must_check;

/**
 * sriov_vf_undo() - undo what was done by hand ("sluice vf release"), in the admin journal
 * @what: a VF: its settings; a PF: those of all its VFs, and then the VFs themselves
 *
 * Return: 0; -ENOENT: nothing was done to it by hand; -EBUSY: a VM has it (stop that VM: it gives
 * back itself).
 */
int sriov_vf_undo(struct sriov *c, struct sriov_journal *j, const char *what,
		  struct err *e) __must_check;

/**
 * struct sriov_vf_info - a row of "sluice vf list"
 * @pf:      index of its PF in the array of PFs
 * @fn:      the VF
 * @has_net: @net is filled; @has_nvme: @nvme is filled
 * @owner:   who has taken it, name "" when nobody; @owner_alive
 * @use:     who uses it without owning it ("interface eth3 is up"), or ""
 */
struct sriov_vf_info {
	size_t pf;
	struct sriov_fn fn;
	bool has_net, has_nvme, owner_alive;
	struct sriov_netvf net;
	struct sriov_nvme_sec nvme;
	struct sriov_owner owner;
	char use[128];
};

/** struct sriov_list - all PFs and their VFs, in BDF and VF order. */
struct sriov_list {
	struct sriov_pf *pf;
	size_t npfs;
	struct sriov_vf_info *vf;
	size_t nvfs;
};

/** sriov_list_get() - what cannot be read of a single VF is left out of its row. sriov_list_free()
 * frees. */
int sriov_list_get(struct sriov *c, struct sriov_list *out, struct err *e) __must_check;
void sriov_list_free(struct sriov_list *l);

#endif
