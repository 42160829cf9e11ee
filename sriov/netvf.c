// SPDX-License-Identifier: BSD-3-Clause
/*
 * The administrative side of network VFs: rtnetlink messages to the PF's interface. A socket is
 * opened for each request, so there is nothing to keep in step with the kernel between two of them.
 */
#include <errno.h>
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/netvf.h"

/* A link message holds all VFs of the PF in attributes of 16-bit length: 64 KiB and the rest. */
#define ANSWER_SIZE (128 * 1024)
#define BUSY_TRIES  40
#define BUSY_NS	    50000000

struct rtnl {
	struct sys *s;
	int fd;
	char req[1024];
	struct nlmsghdr *h;
	char *answer; /* ANSWER_SIZE bytes */
};

const char *sriov_link_name(enum sriov_link l)
{
	static const char *const name[] = { "auto", "enable", "disable" };

	return l <= SRIOV_LINK_DISABLE ? name[l] : "unknown";
}

static int rtnl_init(struct rtnl *r, struct sys *s)
{
	r->s = s;
	r->fd = -1;
	r->answer = malloc(ANSWER_SIZE);
	if (!r->answer)
		return -ENOMEM;
	r->fd = sys_socket(s, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return r->fd < 0 ? r->fd : 0;
}

static void rtnl_fini(struct rtnl *r)
{
	sys_close(r->s, &r->fd);
	free(r->answer);
}

static void *rtnl_start(struct rtnl *r, uint16_t type, uint16_t flags, size_t body)
{
	memset(r->req, 0, sizeof(r->req));
	r->h = mnl_nlmsg_put_header(r->req);
	r->h->nlmsg_type = type;
	r->h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->h->nlmsg_seq = 1; /* one request a socket: no answer can be to another */
	return mnl_nlmsg_put_extra_header(r->h, body);
}

static int rtnl_send(struct rtnl *r)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct iovec iov = { r->req, r->h->nlmsg_len };
	struct msghdr m = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t n = sys_sendmsg(r->s, r->fd, &m, 0);

	return n < 0 ? (int)n : 0;
}

/* One datagram of the kernel's; its length. */
static ssize_t rtnl_recv(struct rtnl *r)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { r->answer, ANSWER_SIZE };
	struct msghdr m = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t n = sys_recvmsg(r->s, r->fd, &m, 0);

	if (n < 0)
		return n;
	if (m.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	/* Only the kernel has port 0; any process may send to ours. */
	return from.nl_pid ? -EPROTO : n;
}

/*
 * Hands each message of the answer to fn until the end of the dump, the acknowledgement, or a
 * non-zero return of fn (returned). A single answer without acknowledgement ends through fn, too.
 */
static int rtnl_answers(struct rtnl *r, int (*fn)(void *arg, const struct nlmsghdr *h), void *arg)
{
	for (;;) {
		ssize_t got = rtnl_recv(r);
		const struct nlmsghdr *h = (const void *)r->answer;
		int left = (int)got, rc;

		if (got <= 0)
			return got ? (int)got : -EPROTO;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *er = mnl_nlmsg_get_payload(h);

				return mnl_nlmsg_get_payload_len(h) < sizeof(*er) ? -EPROTO
										  : er->error;
			}
			rc = fn ? fn(arg, h) : 0;
			if (rc)
				return rc;
		}
	}
}

/* ---- reading ---- */

struct vf_find {
	unsigned int vfn;
	struct sriov_netvf vf;
};

static bool attr_is(const struct nlattr *a, int type, size_t size)
{
	return mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= size;
}

/* The VLAN with its protocol, where the driver tells it. */
static void vlan_list(const struct nlattr *list, struct sriov_netvf *v)
{
	const struct ifla_vf_vlan_info *i;
	const struct nlattr *a;

	mnl_attr_for_each_nested (a, list) {
		if (!attr_is(a, IFLA_VF_VLAN_INFO, sizeof(*i)))
			continue;
		i = mnl_attr_get_payload(a);
		v->proto = ntohs(i->vlan_proto);
		return;
	}
}

/* The kernel presets these to all ones, which stays where the driver has nothing to say. */
static int tri_state(uint32_t setting)
{
	return setting == 0 || setting == 1 ? (int)setting : -1;
}

/* Fills *v; the VF number the entry speaks of, or -1. */
static long one_vf(const struct nlattr *info, struct sriov_netvf *v)
{
	const struct nlattr *a;
	long vfn = -1;

	*v = (struct sriov_netvf){ .trust = -1, .spoofchk = -1, .proto = ETH_P_8021Q };
	mnl_attr_for_each_nested (a, info) {
		const void *p = mnl_attr_get_payload(a);

		if (attr_is(a, IFLA_VF_MAC, sizeof(struct ifla_vf_mac))) {
			const struct ifla_vf_mac *m = p;

			vfn = m->vf;
			memcpy(v->mac.b, m->mac, sizeof(v->mac.b));
		} else if (attr_is(a, IFLA_VF_VLAN, sizeof(struct ifla_vf_vlan))) {
			v->vlan = (uint16_t)((const struct ifla_vf_vlan *)p)->vlan;
			v->qos = (uint8_t)((const struct ifla_vf_vlan *)p)->qos;
		} else if (attr_is(a, IFLA_VF_VLAN_LIST, 0)) {
			vlan_list(a, v);
		} else if (attr_is(a, IFLA_VF_RATE, sizeof(struct ifla_vf_rate))) {
			v->min_rate = ((const struct ifla_vf_rate *)p)->min_tx_rate;
			v->max_rate = ((const struct ifla_vf_rate *)p)->max_tx_rate;
		} else if (attr_is(a, IFLA_VF_SPOOFCHK, sizeof(struct ifla_vf_spoofchk))) {
			v->spoofchk = tri_state(((const struct ifla_vf_spoofchk *)p)->setting);
		} else if (attr_is(a, IFLA_VF_TRUST, sizeof(struct ifla_vf_trust))) {
			v->trust = tri_state(((const struct ifla_vf_trust *)p)->setting);
		} else if (attr_is(a, IFLA_VF_LINK_STATE, sizeof(struct ifla_vf_link_state))) {
			v->link = (int)((const struct ifla_vf_link_state *)p)->link_state;
		}
	}
	/* The kernel calls it 802.1Q even where there is no VLAN, and drivers may leave it 0. */
	if (v->proto != ETH_P_8021AD)
		v->proto = ETH_P_8021Q;
	return vfn;
}

static int link_answer(void *arg, const struct nlmsghdr *h)
{
	struct vf_find *f = arg;
	const struct nlattr *a, *info;

	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(struct ifinfomsg))
		return -EPROTO;
	mnl_attr_for_each (a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) != IFLA_VFINFO_LIST)
			continue;
		mnl_attr_for_each_nested (info, a) {
			if (mnl_attr_get_type(info) == IFLA_VF_INFO &&
			    one_vf(info, &f->vf) == (long)f->vfn)
				return 1;
		}
	}
	return -ENOENT;
}

int sriov_netvf_get(struct sys *s, unsigned int ifindex, unsigned int vfn, struct sriov_netvf *out)
{
	struct vf_find find = { .vfn = vfn };
	struct ifinfomsg *ifi;
	struct rtnl r;
	int rc = rtnl_init(&r, s);

	if (rc)
		goto out;
	ifi = rtnl_start(&r, RTM_GETLINK, 0, sizeof(*ifi));
	ifi->ifi_index = (int)ifindex;
	mnl_attr_put_u32(r.h, IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);
	rc = rtnl_send(&r);
	if (!rc)
		rc = rtnl_answers(&r, link_answer, &find);
	if (rc == 1) {
		*out = find.vf;
		rc = 0;
	} else if (!rc) {
		rc = -EPROTO;
	}
out:
	rtnl_fini(&r);
	return rc;
}

/* ---- writing ---- */

static int set_once(struct sys *s, unsigned int ifindex, uint16_t type, const void *data,
		    size_t len)
{
	struct nlattr *list, *info, *vlans = NULL;
	struct ifinfomsg *ifi;
	struct rtnl r;
	int rc = rtnl_init(&r, s);

	if (rc)
		goto out;
	ifi = rtnl_start(&r, RTM_SETLINK, NLM_F_ACK, sizeof(*ifi));
	ifi->ifi_index = (int)ifindex;
	list = mnl_attr_nest_start(r.h, IFLA_VFINFO_LIST);
	info = mnl_attr_nest_start(r.h, IFLA_VF_INFO);
	if (type == IFLA_VF_VLAN_LIST) {
		vlans = mnl_attr_nest_start(r.h, IFLA_VF_VLAN_LIST);
		type = IFLA_VF_VLAN_INFO;
	}
	mnl_attr_put(r.h, type, len, data);
	if (vlans)
		mnl_attr_nest_end(r.h, vlans);
	mnl_attr_nest_end(r.h, info);
	mnl_attr_nest_end(r.h, list);
	rc = rtnl_send(&r);
	if (!rc)
		rc = rtnl_answers(&r, NULL, NULL);
out:
	rtnl_fini(&r);
	return rc;
}

/* Drivers answer EBUSY while the VF is being reset. */
static int set_vf(struct sys *s, unsigned int ifindex, uint16_t type, const void *data, size_t len)
{
	int rc = 0;

	for (int i = 0; i < BUSY_TRIES; i++) {
		rc = set_once(s, ifindex, type, data, len);
		if (rc != -EBUSY && rc != -EAGAIN)
			return rc;
		sys_sleep_ns(s, BUSY_NS);
	}
	return rc;
}

int sriov_netvf_set_mac(struct sys *s, unsigned int ifindex, unsigned int vfn, const struct mac *m)
{
	struct ifla_vf_mac v = { .vf = vfn };

	memcpy(v.mac, m->b, sizeof(m->b));
	return set_vf(s, ifindex, IFLA_VF_MAC, &v, sizeof(v));
}

int sriov_netvf_set_vlan(struct sys *s, unsigned int ifindex, unsigned int vfn, uint16_t vlan,
			 uint8_t qos, uint16_t proto)
{
	struct ifla_vf_vlan v = { .vf = vfn, .vlan = vlan, .qos = qos };
	struct ifla_vf_vlan_info i = {
		.vf = vfn, .vlan = vlan, .qos = qos, .vlan_proto = htons(proto)
	};

	/* Some drivers know the plain form only, which means 802.1Q. */
	if (proto == ETH_P_8021Q)
		return set_vf(s, ifindex, IFLA_VF_VLAN, &v, sizeof(v));
	return set_vf(s, ifindex, IFLA_VF_VLAN_LIST, &i, sizeof(i));
}

int sriov_netvf_set_trust(struct sys *s, unsigned int ifindex, unsigned int vfn, bool on)
{
	struct ifla_vf_trust v = { .vf = vfn, .setting = on };

	return set_vf(s, ifindex, IFLA_VF_TRUST, &v, sizeof(v));
}

int sriov_netvf_set_spoofchk(struct sys *s, unsigned int ifindex, unsigned int vfn, bool on)
{
	struct ifla_vf_spoofchk v = { .vf = vfn, .setting = on };

	return set_vf(s, ifindex, IFLA_VF_SPOOFCHK, &v, sizeof(v));
}

int sriov_netvf_set_rate(struct sys *s, unsigned int ifindex, unsigned int vfn, uint32_t min,
			 uint32_t max)
{
	struct ifla_vf_rate v = { .vf = vfn, .min_tx_rate = min, .max_tx_rate = max };

	return set_vf(s, ifindex, IFLA_VF_RATE, &v, sizeof(v));
}

int sriov_netvf_set_link(struct sys *s, unsigned int ifindex, unsigned int vfn, enum sriov_link l)
{
	struct ifla_vf_link_state v = { .vf = vfn, .link_state = l };

	return set_vf(s, ifindex, IFLA_VF_LINK_STATE, &v, sizeof(v));
}

/* ---- the interface itself ---- */

int sriov_netdev_set_up(struct sys *s, unsigned int ifindex, bool up)
{
	struct ifinfomsg *ifi;
	struct rtnl r;
	int rc = rtnl_init(&r, s);

	if (!rc) {
		ifi = rtnl_start(&r, RTM_SETLINK, NLM_F_ACK, sizeof(*ifi));
		ifi->ifi_index = (int)ifindex;
		ifi->ifi_flags = up ? IFF_UP : 0;
		ifi->ifi_change = IFF_UP;
		rc = rtnl_send(&r);
	}
	if (!rc)
		rc = rtnl_answers(&r, NULL, NULL);
	rtnl_fini(&r);
	return rc;
}

static int addr_answer(void *arg, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*a))
		return -EPROTO;
	/* The kernel gives each interface a link-local IPv6 address: that alone is no use of it. */
	return a->ifa_index == *(unsigned int *)arg &&
	       (a->ifa_family == AF_INET || a->ifa_scope == RT_SCOPE_UNIVERSE);
}

int sriov_netdev_has_addr(struct sys *s, unsigned int ifindex)
{
	struct rtnl r;
	int rc = rtnl_init(&r, s);

	if (!rc) {
		rtnl_start(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
		rc = rtnl_send(&r);
	}
	if (!rc)
		rc = rtnl_answers(&r, addr_answer, &ifindex);
	rtnl_fini(&r);
	return rc;
}
