/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SRIOV_NETVF_H
#define SRIOV_NETVF_H

#include "base/mac.h"
#include "sriov/ctx.h"

/** enum sriov_link - what the VF sees of the PF's link (IFLA_VF_LINK_STATE_*). */
enum sriov_link { SRIOV_LINK_AUTO, SRIOV_LINK_ENABLE, SRIOV_LINK_DISABLE };

/** sriov_link_name() - "auto", "enable", "disable". */
const char *sriov_link_name(enum sriov_link l);

/**
 * struct sriov_netvf - administrative settings of a network VF, as the PF's driver reports them
 * @mac:      zero: none set
 * @vlan:     0: none; @qos: its priority 0-7; @proto: ethertype, 0x8100 or 0x88a8
 * @trust:    and @spoofchk: 0, 1, or -1 where the driver does not tell
 * @min_rate: and @max_rate: Mbit/s, 0: no limit
 * @link:     enum sriov_link
 */
struct sriov_netvf {
	struct mac mac;
	uint16_t vlan, proto;
	uint8_t qos;
	int trust, spoofchk;
	uint32_t min_rate, max_rate;
	int link;
};

/**
 * sriov_netvf_get() - ask the PF (RTM_GETLINK with RTEXT_FILTER_VF)
 * @ifindex: of the PF
 * Return: 0; -ENOENT: the PF has no such VF; -errno.
 */
int sriov_netvf_get(struct sys *s, unsigned int ifindex, unsigned int vfn,
		    struct sriov_netvf *out) __must_check;

/* One setting each; EBUSY is retried for a while. -EOPNOTSUPP: the driver has no such setting. */
int sriov_netvf_set_mac(struct sys *s, unsigned int ifindex, unsigned int vfn,
			const struct mac *m) __must_check;
int sriov_netvf_set_vlan(struct sys *s, unsigned int ifindex, unsigned int vfn, uint16_t vlan,
			 uint8_t qos, uint16_t proto) __must_check;
int sriov_netvf_set_trust(struct sys *s, unsigned int ifindex, unsigned int vfn,
			  bool on) __must_check;
int sriov_netvf_set_spoofchk(struct sys *s, unsigned int ifindex, unsigned int vfn,
			     bool on) __must_check;
int sriov_netvf_set_rate(struct sys *s, unsigned int ifindex, unsigned int vfn, uint32_t min,
			 uint32_t max) __must_check;
int sriov_netvf_set_link(struct sys *s, unsigned int ifindex, unsigned int vfn,
			 enum sriov_link l) __must_check;

/** sriov_netdev_set_up() - ip link set DEV up or down. */
int sriov_netdev_set_up(struct sys *s, unsigned int ifindex, bool up) __must_check;

/** sriov_netdev_has_addr() - 1 when the interface has an IPv4 or a global IPv6 address, 0, or
 * -errno. */
int sriov_netdev_has_addr(struct sys *s, unsigned int ifindex) __must_check;

#endif
