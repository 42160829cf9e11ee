/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_PF_H
#define SRIOV_PF_H

#include "sriov/ctx.h"

#define SRIOV_NAME_MAX 64

/** enum sriov_kind - by the PCI class code: decides what a VF of the PF needs beyond a driver. */
enum sriov_kind { SRIOV_OTHER, SRIOV_NET, SRIOV_NVME };

/** sriov_kind_name() - "other", "net", "nvme". */
const char *sriov_kind_name(enum sriov_kind k);

/**
 * struct sriov_fn - a PCI function of the host, as sysfs shows it now
 * @bdf:     where it is
 * @kind:    by class code
 * @class:   24-bit class code
 * @vendor:  and @device: PCI ids (a VF's are those sysfs shows)
 * @driver:  bound driver, "" when unbound
 * @override: driver_override, "" when none
 * @netdev:  first network interface of it, or ""
 * @nvme:    controller name ("nvme0"), or ""
 * @group:   IOMMU group number, -1 without an IOMMU
 * @is_vf:   it is a VF of @pf, number @vfn (from 0)
 */
struct sriov_fn {
	struct bdf bdf;
	enum sriov_kind kind;
	uint32_t class;
	uint16_t vendor, device;
	char driver[SRIOV_NAME_MAX], override[SRIOV_NAME_MAX];
	char netdev[SRIOV_NAME_MAX], nvme[SRIOV_NAME_MAX];
	int group;
	bool is_vf;
	struct bdf pf;
	unsigned int vfn;
};

/**
 * struct sriov_pf - a function with the SR-IOV capability
 * @fn:        the function itself
 * @totalvfs:  VFs it can have
 * @numvfs:    VFs it has now
 * @offset:    and @stride: of the VFs' requester ids, 0 where sysfs does not tell
 * @autoprobe: are drivers bound to VFs as they appear?
 */
struct sriov_pf {
	struct sriov_fn fn;
	unsigned int totalvfs, numvfs;
	unsigned int offset, stride;
	bool autoprobe;
};

/**
 * sriov_fn_get() - look at a function
 * Return: 0; -ENODEV (absent) or another -errno with e filled; *out untouched then.
 */
int sriov_fn_get(struct sriov *c, struct bdf bdf, struct sriov_fn *out, struct err *e) __must_check;

/**
 * sriov_fn_find() - the function behind what a user typed
 * @what: a network interface ("eth0"), a BDF, an NVMe controller or namespace ("/dev/nvme0",
 * "nvme0n1") Return: 0; -ENODEV: there is no such thing; -EINVAL: it is something, but no PCI
 * function. e filled.
 */
int sriov_fn_find(struct sriov *c, const char *what, struct sriov_fn *out,
		  struct err *e) __must_check;

/**
 * sriov_pf_find() - as sriov_fn_find(), and it must have SR-IOV
 * Return: also -EOPNOTSUPP: no SR-IOV capability, or a VF itself.
 */
int sriov_pf_find(struct sriov *c, const char *what, struct sriov_pf *out,
		  struct err *e) __must_check;

/** sriov_pf_get() - the PF at a BDF; errors as sriov_pf_find(). */
int sriov_pf_get(struct sriov *c, struct bdf bdf, struct sriov_pf *out, struct err *e) __must_check;

/** sriov_pf_vf() - where VF number n is (virtfn link): 0, or -ENOENT when it does not exist now. */
int sriov_pf_vf(struct sriov *c, struct bdf pf, unsigned int n, struct bdf *out) __must_check;

/** sriov_pf_list() - all PFs of the host in BDF order; *out is malloc'd, free() it. */
int sriov_pf_list(struct sriov *c, struct sriov_pf **out, size_t *n, struct err *e) __must_check;

#define SRIOV_LABEL_MAX 256

/** sriov_fn_label() - "eth0 (0000:00:03.0, driver igb)" for messages; returns buf. */
char *sriov_fn_label(char buf[SRIOV_LABEL_MAX], const struct sriov_fn *fn);

#endif
