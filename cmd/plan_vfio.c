// SPDX-License-Identifier: BSD-3-Clause
/*
 * Mode vfio: would the function named by a port, or some VF of the PF named by it, go to the guest?
 * The checks are those that taking it would fail on, made beforehand with read-only means, in the
 * order in which a user would mend them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cmd/plan_priv.h"
#include "iommu/group.h"
#include "sriov/bind.h"
#include "sriov/own.h"
#include "sriov/vf.h"

#define CLASS_BRIDGE 0x06 /* base class of PCI bridges, PCI code and ID assignment 1.7 */
#define VFS_DEFAULT  4u	  /* made when the PF has none and vfs= is not given */

/* Ends a walk at the first name: is a directory empty? */
static int name_any(void *arg, const char *name)
{
	return 1;
}

static int check_iommu(struct planner *pl, struct err *e)
{
	if (sys_listdir(pl->sys, "/sys/kernel/iommu_groups", name_any, NULL) > 0)
		return 0;
	return err_set(e, -ENXIO,
		       "no IOMMU is active: switch it on in the firmware (VT-d, AMD-Vi) and boot "
		       "with intel_iommu=on or amd_iommu=on");
}

/* What any assigned device needs of the host. */
static int check_host(struct planner *pl, struct err *e)
{
	int fd, ret = check_iommu(pl, e);

	if (ret)
		return ret;
	if (!sys_exists(pl->sys, "/sys/bus/pci/drivers/%s", SRIOV_VFIO_DRIVER))
		return err_set(e, -ENODEV, "the driver %s is not loaded: modprobe %s",
			       SRIOV_VFIO_DRIVER, SRIOV_VFIO_DRIVER);
	fd = sys_open(pl->sys, "/dev/vfio/vfio", O_RDWR | O_CLOEXEC, 0);
	if (fd == -ENOENT)
		return err_set(e, fd, "/dev/vfio/vfio is missing: modprobe vfio_iommu_type1");
	if (fd < 0)
		return err_sys(e, fd, "cannot open /dev/vfio/vfio (run as root)");
	sys_close(pl->sys, &fd);
	ret = ioas_safe_interrupts(pl->sys, e);
	return ret ? ret : ioas_memlock_check(pl->sys, pl->pin_bytes, e);
}

/* Another port of the same command line that was promised this function. */
static const struct plan *planned_for(const struct planner *pl, struct bdf b)
{
	unsigned int i;

	for (i = 0; i < pl->nplans; i++)
		if (pl->plans[i].viable && pl->plans[i].fn_known && bdf_eq(pl->plans[i].fn, b))
			return &pl->plans[i];
	return NULL;
}

/* A machine that has the function keeps a journal of it, which tells more than an open group. */
static int check_owner(struct planner *pl, struct bdf b, const char *label, struct err *e)
{
	struct sriov_owner who;
	bool alive;
	int ret = sriov_owner_of(pl->sriov, b, &who, &alive, e);

	if (ret <= 0 || !alive)
		return MIN(ret, 0); /* what the dead left is undone when something is taken */
	return err_set(e, -EBUSY, "%s belongs to %s (pid %d)", label, who.name, (int)who.pid);
}

/* A disk port must not get a NIC, however free it is. */
static int check_kind(const struct port_spec *s, enum sriov_kind kind, const char *label,
		      struct err *e)
{
	enum sriov_kind want = s->kind == PORT_NET ? SRIOV_NET : SRIOV_NVME;

	if (kind == want)
		return 0;
	return err_set(e, -EINVAL, "%s is not a %s device", label,
		       s->kind == PORT_NET ? "network" : "NVMe");
}

/* What the PF's driver keeps for a VF, a whole function does not have. */
static int check_settings(const struct port_spec *s, const struct sriov_fn *fn, const char *label,
			  struct err *e)
{
	if (fn->is_vf || !(s->mac_given || s->vlan_given || s->trust_given || s->spoofchk_given ||
			   s->rate_given || s->link_given))
		return 0;
	return err_set(e, -EINVAL,
		       "%s is not a VF: mac=, vlan=, trust=, spoofchk=, rate= and link= are "
		       "settings of network VFs",
		       label);
}

/* All other members of the function's group must be out of the way; the function itself will be
 * rebound. */
static int check_group(struct planner *pl, const struct sriov_fn *fn, struct err *e)
{
	struct iommu_members m;
	char name[BDF_STRLEN];
	unsigned int id, i;
	int ret = iommu_group_of(pl->sys, fn->bdf, &id, e);

	if (!ret)
		ret = iommu_group_members(pl->sys, id, &m, e);
	if (ret)
		return ret;
	bdf_format(name, fn->bdf);
	for (i = 0; i < m.n; i++) {
		if (!strcmp(m.v[i].name, name) || !iommu_member_blocks(&m.v[i]))
			continue;
		return err_set(
			e, -EBUSY,
			"%s: IOMMU group %u is not viable: %s in it is bound to %s (bind it to vfio-pci, unbind "
			"it, or pick another function)",
			name, id, m.v[i].name, m.v[i].driver);
	}
	return 0;
}

/* bdf=: this function, or nothing. */
static int plan_fn(struct planner *pl, struct plan *p, struct err *e)
{
	const struct plan *other = planned_for(pl, p->spec->bdf);
	char label[SRIOV_LABEL_MAX], why[128];
	struct sriov_fn fn;
	int ret = sriov_fn_get(pl->sriov, p->spec->bdf, &fn, e);

	if (ret)
		return ret;
	sriov_fn_label(label, &fn);
	if (other)
		return err_set(e, -EBUSY, "%s goes to port %s already", label, other->spec->id);
	if (fn.class >> 16 == CLASS_BRIDGE)
		return err_set(e, -EINVAL, "%s is a bridge: only endpoints can be assigned", label);
	ret = check_kind(p->spec, fn.kind, label, e);
	if (!ret)
		ret = check_settings(p->spec, &fn, label, e);
	if (!ret)
		ret = check_group(pl, &fn, e);
	if (ret)
		return ret;
	ret = check_owner(pl, fn.bdf, label, e);
	if (ret)
		return ret;
	ret = sriov_fn_in_use(pl->sriov, &fn, why, sizeof(why));
	if (ret)
		return ret < 0 ? err_sys(e, ret, "%s", label)
			       : err_set(e, -EBUSY, "%s is in use: %s%s", label, why,
					 ret == SRIOV_UP
						 ? " (if nobody needs it: ip link set it down)"
						 : "");
	p->fn = fn.bdf;
	p->fn_known = true;
	p->group = fn.group;
	snprintf(p->what, sizeof(p->what), "%s, IOMMU group %d", label, fn.group);
	return 0;
}

/* A VF that nobody has, that no earlier port was promised, and whose group is viable. */
static const struct sriov_vf_info *free_vf(struct planner *pl, const struct sriov_list *l,
					   struct bdf pf, struct err *why)
{
	const struct sriov_vf_info *v;
	char name[BDF_STRLEN];

	for (v = l->vf; v < l->vf + l->nvfs; v++) {
		const struct plan *other = planned_for(pl, v->fn.bdf);
		struct err g = { 0 };

		if (!bdf_eq(l->pf[v->pf].fn.bdf, pf))
			continue;
		bdf_format(name, v->fn.bdf);
		if (other)
			err_append(why, "; %s goes to port %s", name, other->spec->id);
		else if (v->owner.name[0] && v->owner_alive)
			err_append(why, "; %s belongs to %s (pid %d)", name, v->owner.name,
				   (int)v->owner.pid);
		else if (v->use[0])
			err_append(why, "; %s is in use: %s", name, v->use);
		else if (check_group(pl, &v->fn, &g))
			err_append(why, "; %s", g.text);
		else
			return v;
	}
	return NULL;
}

/* pf= where there are VFs: they are taken as they are, none is made. */
static int plan_free_vf(struct planner *pl, struct plan *p, const struct sriov_pf *pf,
			const char *label, struct err *e)
{
	const struct sriov_vf_info *v;
	struct sriov_list list = { 0 };
	struct err why = { 0 };
	char name[BDF_STRLEN];
	int ret = sriov_list_get(pl->sriov, &list, e);

	if (ret)
		return ret;
	v = free_vf(pl, &list, pf->fn.bdf, &why);
	if (v) {
		p->fn = v->fn.bdf;
		p->fn_known = true;
		p->group = v->fn.group;
		snprintf(p->what, sizeof(p->what), "VF %u of %s: %s, IOMMU group %d", v->fn.vfn,
			 label, bdf_format(name, v->fn.bdf), v->fn.group);
	} else {
		ret = err_set(e, -EBUSY, "all %u VFs of %s are taken%.600s", pf->numvfs, label,
			      why.text);
	}
	sriov_list_free(&list);
	return ret;
}

/* The PF has no VFs yet: they will be made, so count what earlier ports were promised. */
static int plan_new_vf(struct planner *pl, struct plan *p, const struct sriov_pf *pf,
		       const char *label, struct err *e)
{
	unsigned int i, nth = 0,
			count = p->spec->vfs ? p->spec->vfs : MIN(VFS_DEFAULT, pf->totalvfs);

	if (count > pf->totalvfs)
		return err_set(e, -ERANGE, "%s can have at most %u VFs, not %u", label,
			       pf->totalvfs, count);
	for (i = 0; i < pl->nplans; i++)
		nth += pl->plans[i].viable && pl->plans[i].pf_known &&
		       bdf_eq(pl->plans[i].pf, pf->fn.bdf);
	if (nth >= count)
		return err_set(
			e, -EBUSY,
			"%u VFs of %s will be made, and earlier ports have them all (say vfs=)",
			count, label);
	snprintf(p->what, sizeof(p->what), "VF %u of %s, which gets %u VFs", nth, label, count);
	return 0;
}

/* VFs of a PF that is down see no link, and some drivers refuse them altogether. */
static int check_link(struct planner *pl, const struct sriov_pf *pf, const char *label,
		      struct err *e)
{
	uint64_t flags;

	if (pf->fn.kind != SRIOV_NET || !pf->fn.netdev[0])
		return 0;
	if (sys_file_read_u64(pl->sys, &flags, "/sys/class/net/%s/flags", pf->fn.netdev))
		return 0;
	if (flags & 1) /* IFF_UP */
		return 0;
	return err_set(e, -ENETDOWN, "%s is down, so its VFs have no link: ip link set %s up",
		       label, pf->fn.netdev);
}

/* pf=: any VF of it. */
static int plan_pf(struct planner *pl, struct plan *p, struct err *e)
{
	char label[SRIOV_LABEL_MAX];
	struct sriov_pf pf;
	int ret = sriov_pf_find(pl->sriov, p->spec->pf, &pf, e);

	if (ret)
		return ret;
	sriov_fn_label(label, &pf.fn);
	ret = check_kind(p->spec, pf.fn.kind, label, e);
	if (!ret)
		ret = check_link(pl, &pf, label, e);
	if (!ret)
		ret = check_iommu(pl, e);
	if (!ret && pf.fn.group < 0)
		ret = err_set(e, -ENXIO,
			      "%s is in no IOMMU group: the firmware says that no IOMMU is in "
			      "front of it (pick another device)",
			      label);
	if (!ret)
		ret = pf.numvfs ? plan_free_vf(pl, p, &pf, label, e)
				: plan_new_vf(pl, p, &pf, label, e);
	p->pf = pf.fn.bdf;
	p->pf_known = true;
	return ret;
}

int plan_vfio(struct planner *pl, struct plan *p, struct err *e)
{
	/* What the user named comes before what the host lacks: a typo is the likelier mistake. */
	int ret = p->spec->bdf_given ? plan_fn(pl, p, e) : plan_pf(pl, p, e);

	return ret ? ret : check_host(pl, e);
}
