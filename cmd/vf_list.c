// SPDX-License-Identifier: BSD-3-Clause
#include "cmd/vf_list.h"

#include <errno.h>
#include <jansson.h>
#include <pci/pci.h>

#include "cmd/ctl.h"

/* An empty cell would shift the columns for scripts that split at blanks. */
static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

/* The name as lspci has it; where pci.ids does not know it, its numbers. */
static json_t *pf_row(struct pci_access *ids, const struct sriov_pf *p)
{
	char bdf[BDF_STRLEN], device[128];

	if (!pci_lookup_name(ids, device, sizeof(device), PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE,
			     p->fn.vendor, p->fn.device))
		snprintf(device, sizeof(device), "%04x:%04x", p->fn.vendor, p->fn.device);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:s}", "pf", bdf_format(bdf, p->fn.bdf),
		"name", or_dash(p->fn.netdev[0] ? p->fn.netdev : p->fn.nvme), "kind",
		sriov_kind_name(p->fn.kind), "driver", or_dash(p->fn.driver), "vfs", (int)p->numvfs,
		"max", (int)p->totalvfs, "autoprobe", p->autoprobe, "device", device);
}

/* on, off, or - where the driver does not tell. */
static void tri(char buf[4], int v)
{
	snprintf(buf, 4, "%s", v < 0 ? "-" : v ? "on" : "off");
}

/* One column for what differs by kind: address and policy, or controller state and resources. */
static void vf_detail(const struct sriov_vf_info *v, char *buf, size_t size)
{
	char mac[MAC_STRLEN], trust[4], spoof[4];

	buf[0] = 0;
	if (v->has_net) {
		tri(trust, v->net.trust);
		tri(spoof, v->net.spoofchk);
		snprintf(buf, size, "mac %s vlan %u trust %s spoofchk %s rate %u link %s",
			 mac_format(mac, &v->net.mac), v->net.vlan, trust, spoof, v->net.max_rate,
			 sriov_link_name((enum sriov_link)v->net.link));
	} else if (v->has_nvme) {
		snprintf(buf, size, "%s vq %u vi %u", v->nvme.online ? "online" : "offline",
			 v->nvme.vq, v->nvme.vi);
	}
}

/* -1, where the driver does not tell, is null. */
static json_t *tri_json(int v)
{
	return v < 0 ? json_null() : json_boolean(v);
}

/* For programs, the same facts as values of their own. */
static void add_facts(json_t *o, const struct sriov_vf_info *v)
{
	char mac[MAC_STRLEN];

	if (v->owner.name[0])
		json_object_set_new(o, "taken_by",
				    json_pack("{s:s, s:i, s:b}", "name", v->owner.name, "pid",
					      (int)v->owner.pid, "alive", v->owner_alive));
	if (v->has_net)
		json_object_set_new(
			o, "net",
			json_pack("{s:s, s:i, s:i, s:o, s:o, s:I, s:I, s:s}", "mac",
				  mac_format(mac, &v->net.mac), "vlan", (int)v->net.vlan, "qos",
				  (int)v->net.qos, "trust", tri_json(v->net.trust), "spoofchk",
				  tri_json(v->net.spoofchk), "min_rate",
				  (json_int_t)v->net.min_rate, "rate", (json_int_t)v->net.max_rate,
				  "link", sriov_link_name((enum sriov_link)v->net.link)));
	if (v->has_nvme)
		json_object_set_new(o, "nvme",
				    json_pack("{s:i, s:b, s:i, s:i}", "controller",
					      (int)v->nvme.cntlid, "online", v->nvme.online, "vq",
					      (int)v->nvme.vq, "vi", (int)v->nvme.vi));
}

/* The owner is a machine, or whoever typed a "vf" command; the rest of the host is in "used". */
static json_t *vf_row(const struct sriov_list *l, const struct sriov_vf_info *v)
{
	char bdf[BDF_STRLEN], owner[SRIOV_OWNER_MAX + 32] = "-", detail[128];
	const struct sriov_fn *pf = &l->pf[v->pf].fn;
	char pf_bdf[BDF_STRLEN];

	if (v->owner.name[0])
		snprintf(owner, sizeof(owner), "%s (%s%d)", v->owner.name,
			 v->owner_alive ? "pid " : "dead, pid ", (int)v->owner.pid);
	vf_detail(v, detail, sizeof(detail));
	return json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:s}", "pf",
			 pf->netdev[0] ? pf->netdev
			 : pf->nvme[0] ? pf->nvme
				       : bdf_format(pf_bdf, pf->bdf),
			 "vf", (int)v->fn.vfn, "address", bdf_format(bdf, v->fn.bdf), "group",
			 v->fn.group, "driver", or_dash(v->fn.driver), "owner", owner, "used",
			 or_dash(v->use), "settings", or_dash(detail));
}

int vf_list_print(const struct sriov_list *l, bool as_json, FILE *f)
{
	json_t *pfs = json_array(), *vfs = json_array(), *o;
	struct pci_access *ids = pci_alloc();
	size_t i;
	int ret = 0;

	for (i = 0; i < l->npfs; i++)
		ret |= json_array_append_new(pfs, pf_row(ids, &l->pf[i]));
	pci_cleanup(ids);
	for (i = 0; i < l->nvfs; i++) {
		o = vf_row(l, &l->vf[i]);
		if (o && as_json)
			add_facts(o, &l->vf[i]);
		ret |= json_array_append_new(vfs, o);
	}
	if (ret) {
		ret = -ENOMEM;
	} else if (as_json) {
		o = json_pack("{s:O, s:O}", "pfs", pfs, "vfs", vfs);
		ret = o ? json_dumpf(o, f, JSON_INDENT(2)) : -ENOMEM;
		fputc('\n', f);
		json_decref(o);
	} else if (!l->npfs) {
		fprintf(f, "no function of this host has SR-IOV\n");
	} else {
		ctl_print(pfs, f);
		if (l->nvfs) {
			fputc('\n', f);
			ctl_print(vfs, f);
		}
	}
	json_decref(pfs);
	json_decref(vfs);
	return ret ? -ENOMEM : 0;
}
