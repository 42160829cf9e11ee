// SPDX-License-Identifier: BSD-3-Clause
/* Whom the module talks to: rtnetlink for VFs and interfaces, the admin queue of an NVMe PF. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ioctl.h>
#include <linux/nvme_ioctl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/sriov/world_priv.h"

/* ---- rtnetlink ---- */

static unsigned int numvfs(struct world *w)
{
	return (unsigned int)atoi(
		fakesys_get(w->f, "/sys/bus/pci/devices/" NET_PF "/sriov_numvfs"));
}

static ssize_t answer_error(void *answer, const struct nlmsghdr *req, int code)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(answer);
	struct nlmsgerr *er = mnl_nlmsg_put_extra_header(h, sizeof(*er));

	h->nlmsg_type = NLMSG_ERROR;
	er->error = code;
	er->msg = *req;
	return (ssize_t)h->nlmsg_len;
}

static void put_vf(struct nlmsghdr *h, struct world *w, unsigned int n)
{
	const struct sriov_netvf *v = &w->net[n];
	struct ifla_vf_mac mac = { .vf = n };
	struct ifla_vf_vlan vlan = { n, v->vlan, v->qos };
	struct ifla_vf_vlan_info info = { n, v->vlan, v->qos, htons(v->proto) };
	struct ifla_vf_rate rate = { n, v->min_rate, v->max_rate };
	struct ifla_vf_spoofchk spoof = { n, (uint32_t)v->spoofchk };
	struct ifla_vf_trust trust = { n, w->no_trust ? UINT32_MAX : (uint32_t)v->trust };
	struct ifla_vf_link_state link = { n, (uint32_t)v->link };
	struct nlattr *nest = mnl_attr_nest_start(h, IFLA_VF_INFO), *list;

	memcpy(mac.mac, v->mac.b, 6);
	mnl_attr_put(h, IFLA_VF_MAC, sizeof(mac), &mac);
	mnl_attr_put(h, IFLA_VF_VLAN, sizeof(vlan), &vlan);
	mnl_attr_put(h, IFLA_VF_RATE, sizeof(rate), &rate);
	mnl_attr_put(h, IFLA_VF_SPOOFCHK, sizeof(spoof), &spoof);
	mnl_attr_put(h, IFLA_VF_LINK_STATE, sizeof(link), &link);
	mnl_attr_put(h, IFLA_VF_TRUST, sizeof(trust), &trust);
	list = mnl_attr_nest_start(h, IFLA_VF_VLAN_LIST);
	mnl_attr_put(h, IFLA_VF_VLAN_INFO, sizeof(info), &info);
	mnl_attr_nest_end(h, list);
	mnl_attr_nest_end(h, nest);
}

static ssize_t get_link(struct world *w, const struct nlmsghdr *req, void *answer)
{
	const struct ifinfomsg *ask = mnl_nlmsg_get_payload(req);
	struct nlmsghdr *h = mnl_nlmsg_put_header(answer);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	struct nlattr *list;

	h->nlmsg_type = RTM_NEWLINK;
	ifi->ifi_index = ask->ifi_index;
	mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
	if (ask->ifi_index != 2)
		return (ssize_t)h->nlmsg_len;
	list = mnl_attr_nest_start(h, IFLA_VFINFO_LIST);
	for (unsigned int n = 0; n < numvfs(w); n++)
		put_vf(h, w, n);
	mnl_attr_nest_end(h, list);
	return (ssize_t)h->nlmsg_len;
}

static int set_one(struct world *w, const struct nlattr *a)
{
	const void *p = mnl_attr_get_payload(a);
	uint32_t n = *(const uint32_t *)p;
	struct sriov_netvf *v = &w->net[n % NET_VFS];

	if (n >= numvfs(w))
		return -EINVAL;
	switch (mnl_attr_get_type(a)) {
	case IFLA_VF_MAC:
		memcpy(v->mac.b, ((const struct ifla_vf_mac *)p)->mac, 6);
		return 0;
	case IFLA_VF_VLAN:
		v->vlan = (uint16_t)((const struct ifla_vf_vlan *)p)->vlan;
		v->qos = (uint8_t)((const struct ifla_vf_vlan *)p)->qos;
		v->proto = 0x8100;
		return 0;
	case IFLA_VF_RATE:
		v->min_rate = ((const struct ifla_vf_rate *)p)->min_tx_rate;
		v->max_rate = ((const struct ifla_vf_rate *)p)->max_tx_rate;
		if (w->rate_step)
			v->max_rate -= v->max_rate % w->rate_step;
		return 0;
	case IFLA_VF_SPOOFCHK:
		v->spoofchk = (int)((const struct ifla_vf_spoofchk *)p)->setting;
		return 0;
	case IFLA_VF_TRUST:
		v->trust = (int)((const struct ifla_vf_trust *)p)->setting;
		return 0;
	case IFLA_VF_LINK_STATE:
		if (w->no_link_state)
			return -EOPNOTSUPP;
		v->link = (int)((const struct ifla_vf_link_state *)p)->link_state;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int set_vlan_list(struct world *w, const struct nlattr *list)
{
	const struct ifla_vf_vlan_info *i = mnl_attr_get_payload(mnl_attr_get_payload(list));
	struct sriov_netvf *v = &w->net[i->vf % NET_VFS];

	v->vlan = (uint16_t)i->vlan;
	v->qos = (uint8_t)i->qos;
	v->proto = ntohs(i->vlan_proto);
	return 0;
}

static void set_flags(struct world *w, int ifindex, unsigned int flags)
{
	static const char *const name[] = { [2] = "eth0", [3] = "eth1" };
	char path[64];

	if (ifindex < 2 || ifindex > 3)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/flags", name[ifindex]);
	fakesys_file(w->f, path, flags & IFF_UP ? "0x1003" : "0x1002");
}

static int set_link(struct world *w, const struct nlmsghdr *req)
{
	const struct ifinfomsg *ask = mnl_nlmsg_get_payload(req);
	const struct nlattr *a, *info, *one;
	int rc = 0;

	if (w->busy) {
		w->busy--;
		return -EBUSY;
	}
	if (ask->ifi_change & IFF_UP)
		set_flags(w, ask->ifi_index, ask->ifi_flags);
	mnl_attr_for_each (a, req, sizeof(*ask)) {
		mnl_attr_for_each_nested (info, a) {
			mnl_attr_for_each_nested (one, info) {
				if (mnl_attr_get_type(one) == IFLA_VF_VLAN_LIST)
					rc = set_vlan_list(w, one);
				else
					rc = set_one(w, one);
			}
		}
	}
	return rc;
}

static ssize_t get_addr(struct world *w, void *answer)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(answer);
	size_t len = 0;

	if (w->addr_ifindex) {
		struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));

		h->nlmsg_type = RTM_NEWADDR;
		a->ifa_family = AF_INET;
		a->ifa_index = w->addr_ifindex;
		len = NLMSG_ALIGN(h->nlmsg_len);
		h = mnl_nlmsg_put_header((char *)answer + len);
	}
	h->nlmsg_type = NLMSG_DONE;
	return (ssize_t)(len + h->nlmsg_len);
}

static ssize_t on_socket(void *arg, const void *msg, size_t len, void *answer, size_t size)
{
	const struct nlmsghdr *req = msg;
	struct world *w = arg;

	switch (req->nlmsg_type) {
	case RTM_GETLINK:
		return get_link(w, req, answer);
	case RTM_SETLINK:
		return answer_error(answer, req, set_link(w, req));
	case RTM_GETADDR:
		return get_addr(w, answer);
	default:
		return answer_error(answer, req, -EOPNOTSUPP);
	}
}

/* ---- NVMe ---- */

static void le16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void used(struct world *w, unsigned int *vq, unsigned int *vi)
{
	*vq = *vi = 0;
	for (int i = 0; i < NVME_VFS; i++) {
		*vq += w->sec[i].vq;
		*vi += w->sec[i].vi;
	}
}

static int identify(struct world *w, const struct nvme_admin_cmd *cmd)
{
	uint8_t *d = (void *)(uintptr_t)cmd->addr;
	unsigned int vq, vi;

	switch (cmd->cdw10 & 0xff) {
	case 0x14:
		used(w, &vq, &vi);
		d[4] = 3;
		le16(d + 32, w->vq_total);
		le16(d + 36, vq);
		le16(d + 44, w->vq_max);
		le16(d + 64, w->vi_total);
		le16(d + 68, vi);
		le16(d + 76, w->vi_max);
		return 0;
	case 0x15:
		d[0] = (uint8_t)(w->list_n ? w->list_n : NVME_VFS);
		for (unsigned int i = 0; i < NVME_VFS; i++) {
			uint8_t *e = d + 32 + 32 * (size_t)i;

			le16(e, w->list_shuffled ? 10 - i : i + 1);
			e[4] = w->sec[i].online;
			le16(e + 8, w->list_shuffled ? 77 : i + 1);
			le16(e + 10, w->sec[i].vq);
			le16(e + 12, w->sec[i].vi);
		}
		return 0;
	default:
		return 0x4002;
	}
}

/* Resources move only while offline; online needs some of both (base specification 2.0, 8.26). */
static int virt_mgmt(struct world *w, const struct nvme_admin_cmd *cmd)
{
	unsigned int id = cmd->cdw10 >> 16, nr = cmd->cdw11 & 0xffff, vq, vi;
	struct world_sec *s;

	if (id < 1 || id > NVME_VFS)
		return 0x411f;
	s = &w->sec[id - 1];
	used(w, &vq, &vi);
	switch (cmd->cdw10 & 0xf) {
	case 7:
		s->online = false;
		if (w->nvme_drops)
			s->vq = s->vi = 0;
		return 0;
	case 8:
		if (s->online)
			return 0x4120;
		if (cmd->cdw10 >> 8 & 7) {
			if (nr > w->vi_max || vi - s->vi + nr > w->vi_total)
				return 0x4121;
			s->vi = (uint16_t)nr;
		} else {
			if (nr > w->vq_max || vq - s->vq + nr > w->vq_total)
				return 0x4121;
			s->vq = (uint16_t)nr;
		}
		return 0;
	case 9:
		if (s->vq < 2 || !s->vi)
			return 0x4120;
		s->online = true;
		return 0;
	default:
		return 0x4002;
	}
}

static int on_ioctl(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	const struct nvme_admin_cmd *cmd = data;

	if (req != NVME_IOCTL_ADMIN_CMD || strcmp(path, "/dev/nvme0"))
		return -ENOTTY;
	return cmd->opcode == 0x06 ? identify(arg, cmd) : virt_mgmt(arg, cmd);
}

void world_add_peers(struct world *w)
{
	fakesys_on_socket(w->f, AF_NETLINK, on_socket, w);
	fakesys_on_ioctl(w->f, "/dev/nvme", on_ioctl, w);
}
