// SPDX-License-Identifier: BSD-3-Clause
/*
 * Everything about a function is read from sysfs when it is asked for: names, drivers and group
 * numbers change under us, a BDF does not. An error other than "not there" is never taken for "not
 * there": what is undone depends on these answers.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/priv.h"

const char *sriov_kind_name(enum sriov_kind k)
{
	static const char *const name[] = { "other", "net", "nvme" };

	return name[k];
}

static enum sriov_kind kind_of(uint32_t class)
{
	if (class >> 16 == 0x02) /* network controller */
		return SRIOV_NET;
	if (class == 0x010802) /* non-volatile memory, NVM Express */
		return SRIOV_NVME;
	return SRIOV_OTHER;
}

/* A file or link that need not be there: "" then. */
static int maybe(int rc, char *buf)
{
	if (rc == -ENOENT)
		buf[0] = 0;
	return rc == -ENOENT || rc > 0 ? 0 : rc;
}

static int first_name(void *arg, const char *name)
{
	snprintf(arg, SRIOV_NAME_MAX, "%s", name);
	return 1;
}

static int read_names(struct sys *s, const char *bdf, struct sriov_fn *f)
{
	char path[PATH_MAX], group[32];
	int rc;

	rc = maybe(sys_link_base(s, f->driver, sizeof(f->driver), PCI_DEV "%s/driver", bdf),
		   f->driver);
	if (!rc)
		rc = maybe(sys_file_read(s, f->override, sizeof(f->override),
					 PCI_DEV "%s/driver_override", bdf),
			   f->override);
	if (!rc && !strcmp(f->override, "(null)"))
		f->override[0] = 0;
	if (!rc)
		rc = maybe(sys_link_base(s, group, sizeof(group), PCI_DEV "%s/iommu_group", bdf),
			   group);
	if (rc)
		return rc;
	f->group = group[0] ? atoi(group) : -1;
	snprintf(path, sizeof(path), PCI_DEV "%s/net", bdf);
	rc = maybe(sys_listdir(s, path, first_name, f->netdev), f->netdev);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), PCI_DEV "%s/nvme", bdf);
	return maybe(sys_listdir(s, path, first_name, f->nvme), f->nvme);
}

static int read_physfn(struct sriov *c, const char *bdf, struct sriov_fn *f)
{
	char pf[32];
	struct bdf vf;
	int rc;

	rc = maybe(sys_link_base(c->sys, pf, sizeof(pf), PCI_DEV "%s/physfn", bdf), pf);
	if (rc || !pf[0])
		return rc;
	rc = bdf_parse(&f->pf, pf);
	if (rc)
		return rc;
	f->is_vf = true;
	/* sysfs has no file with the number: the PF's link to this VF has it in its name. */
	for (f->vfn = 0; f->vfn < 65536; f->vfn++) {
		rc = sriov_pf_vf(c, f->pf, f->vfn, &vf);
		if (rc || bdf_eq(vf, f->bdf))
			return rc;
	}
	return -EPROTO;
}

int sriov_fn_get(struct sriov *c, struct bdf bdf, struct sriov_fn *out, struct err *e)
{
	struct sriov_fn f = { .bdf = bdf, .pf = bdf, .group = -1 };
	uint64_t class, vendor, device;
	char b[BDF_STRLEN];
	int rc;

	bdf_format(b, bdf);
	rc = sys_file_read_u64(c->sys, &class, PCI_DEV "%s/class", b);
	if (rc == -ENOENT)
		return err_set(e, -ENODEV, "there is no PCI function %s (lspci -D lists them)", b);
	if (!rc)
		rc = sys_file_read_u64(c->sys, &vendor, PCI_DEV "%s/vendor", b);
	if (!rc)
		rc = sys_file_read_u64(c->sys, &device, PCI_DEV "%s/device", b);
	if (!rc)
		rc = read_names(c->sys, b, &f);
	if (!rc)
		rc = read_physfn(c, b, &f);
	if (rc)
		return err_sys(e, rc, "cannot read the state of %s from sysfs", b);
	f.class = (uint32_t) class;
	f.vendor = (uint16_t)vendor;
	f.device = (uint16_t)device;
	f.kind = kind_of(f.class);
	*out = f;
	return 0;
}

int sriov_pf_vf(struct sriov *c, struct bdf pf, unsigned int n, struct bdf *out)
{
	char b[BDF_STRLEN], vf[32];
	int rc;

	rc = sys_link_base(c->sys, vf, sizeof(vf), PCI_DEV "%s/virtfn%u", bdf_format(b, pf), n);
	return rc ? rc : bdf_parse(out, vf);
}

char *sriov_fn_label(char buf[SRIOV_LABEL_MAX], const struct sriov_fn *fn)
{
	const char *name = fn->netdev[0] ? fn->netdev : fn->nvme;
	char b[BDF_STRLEN], drv[SRIOV_NAME_MAX + 16] = "no driver";

	bdf_format(b, fn->bdf);
	if (fn->driver[0])
		snprintf(drv, sizeof(drv), "driver %s", fn->driver);
	if (name[0])
		snprintf(buf, SRIOV_LABEL_MAX, "%s (%s, %s)", name, b, drv);
	else
		snprintf(buf, SRIOV_LABEL_MAX, "%s (%s)", b, drv);
	return buf;
}

/* ---- from what the user typed ---- */

/* A name that may become a path component. */
static bool name_ok(const char *name)
{
	if (!name[0] || name[0] == '.' || strlen(name) >= SRIOV_NAME_MAX)
		return false;
	for (; *name; name++)
		if (*name == '/' || !isgraph((unsigned char)*name))
			return false;
	return true;
}

/* "nvme3", "nvme3n1", "nvme3n1p2": 1 when the whole text is of that form. */
static bool nvme_name(const char *name, bool *ns)
{
	unsigned int c, n;
	int end = 0;

	*ns = false;
	if (sscanf(name, "nvme%u%n", &c, &end) == 1 && end && !name[end])
		return true;
	end = 0;
	*ns = true;
	return sscanf(name, "nvme%un%u%n", &c, &n, &end) == 2 && end && !name[end];
}

struct ctrl_pick {
	char name[SRIOV_NAME_MAX];
	unsigned int n;
};

static int pick_ctrl(void *arg, const char *name)
{
	struct ctrl_pick *p = arg;
	bool ns;

	if (nvme_name(name, &ns) && !ns) {
		snprintf(p->name, sizeof(p->name), "%s", name);
		p->n++;
	}
	return 0;
}

/*
 * The controller of a namespace. With native multipath the disk hangs below its subsystem, whose
 * number need not be the controller's.
 */
static int ns_ctrl(struct sys *s, const char *ns, char out[SRIOV_NAME_MAX], struct err *e)
{
	struct ctrl_pick p = { .n = 0 };
	char dev[SRIOV_NAME_MAX], path[PATH_MAX];
	int rc;

	rc = sys_link_base(s, dev, sizeof(dev), "/sys/class/block/%s/device", ns);
	if (rc)
		return err_sys(e, rc, "there is no NVMe namespace %s", ns);
	pick_ctrl(&p, dev);
	if (!p.n && name_ok(dev)) {
		snprintf(path, sizeof(path), "/sys/class/nvme-subsystem/%s", dev);
		rc = sys_listdir(s, path, pick_ctrl, &p);
		if (rc)
			return err_sys(e, rc, "cannot list the controllers of %s", dev);
	}
	if (p.n != 1)
		return err_set(e, -EINVAL,
			       "%s is served by %u controllers: name the controller itself "
			       "(/dev/nvmeN)",
			       ns, p.n);
	snprintf(out, SRIOV_NAME_MAX, "%s", p.name);
	return 0;
}

/* The PCI function of a class device. */
static int by_class(struct sriov *c, const char *what, const char *class, const char *name,
		    struct sriov_fn *out, struct err *e)
{
	char dev[PATH_MAX];
	struct bdf b;
	int rc;

	rc = sys_link_base(c->sys, dev, sizeof(dev), "/sys/class/%s/%s/device", class, name);
	if (rc && rc != -ENOENT)
		return err_sys(e, rc, "cannot read the device of %s", what);
	if (rc || bdf_parse(&b, dev))
		return err_set(e, -EINVAL, "%s is not a PCI device", what);
	return sriov_fn_get(c, b, out, e);
}

static int find_nvme(struct sriov *c, const char *what, const char *name, bool ns,
		     struct sriov_fn *out, struct err *e)
{
	char ctrl[SRIOV_NAME_MAX];
	struct stat st;
	char path[PATH_MAX];
	int rc;

	snprintf(ctrl, sizeof(ctrl), "%s", name);
	rc = ns ? ns_ctrl(c->sys, name, ctrl, e) : 0;
	if (rc)
		return rc == -ENOENT ? err_set(e, -ENODEV, "there is no %s", what) : rc;
	snprintf(path, sizeof(path), "/sys/class/nvme/%s", ctrl);
	rc = sys_stat(c->sys, path, &st);
	if (rc)
		return err_set(e, rc == -ENOENT ? -ENODEV : rc,
			       "there is no NVMe controller %s (ls /sys/class/nvme lists them)",
			       what);
	return by_class(c, what, "nvme", ctrl, out, e);
}

int sriov_fn_find(struct sriov *c, const char *what, struct sriov_fn *out, struct err *e)
{
	const char *name = what;
	char path[PATH_MAX];
	struct stat st;
	struct bdf b;
	bool ns;
	int rc;

	if (!bdf_parse(&b, what))
		return sriov_fn_get(c, b, out, e);
	if (!strncmp(name, "/dev/", 5))
		name += 5;
	if (!name_ok(name))
		return err_set(e, -ENODEV,
			       "'%s' is no network interface, PCI address (0000:01:00.0) or NVMe "
			       "controller (/dev/nvme0)",
			       what);
	if (nvme_name(name, &ns))
		return find_nvme(c, what, name, ns, out, e);
	snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	rc = name == what ? sys_stat(c->sys, path, &st) : -ENOENT;
	if (rc == -ENOENT)
		return err_set(
			e, -ENODEV,
			"there is no network interface %s (ip link lists them; a PCI address "
			"or /dev/nvmeN will do, too)",
			what);
	if (rc)
		return err_sys(e, rc, "cannot look for interface %s", what);
	return by_class(c, what, "net", name, out, e);
}

/* ---- PFs ---- */

static int pf_of(struct sriov *c, const struct sriov_fn *fn, struct sriov_pf *out, struct err *e)
{
	struct sriov_pf pf = { .fn = *fn };
	char b[BDF_STRLEN], label[SRIOV_LABEL_MAX], phys[BDF_STRLEN];
	uint64_t total = 0, num = 0, v;
	int rc;

	bdf_format(b, fn->bdf);
	sriov_fn_label(label, fn);
	if (fn->is_vf)
		return err_set(
			e, -EOPNOTSUPP,
			"PF %s: it is a VF itself, number %u of PF %s: name that PF, or this VF "
			"with bdf=%s",
			label, fn->vfn, bdf_format(phys, fn->pf), b);
	rc = sys_file_read_u64(c->sys, &total, PCI_DEV "%s/sriov_totalvfs", b);
	if (rc == -ENOENT)
		return err_set(e, -EOPNOTSUPP, "PF %s: the device has no SR-IOV capability", label);
	if (!rc)
		rc = sys_file_read_u64(c->sys, &num, PCI_DEV "%s/sriov_numvfs", b);
	if (rc)
		return err_sys(e, rc, "PF %s: cannot read its VF counts", label);
	if (!total)
		return err_set(
			e, -EOPNOTSUPP,
			"PF %s: its SR-IOV capability allows 0 VFs (switched off in firmware?)",
			label);
	pf.totalvfs = (unsigned int)MIN(total, UINT64_C(65535));
	pf.numvfs = (unsigned int)MIN(num, UINT64_C(65535));
	if (!sys_file_read_u64(c->sys, &v, PCI_DEV "%s/sriov_offset", b))
		pf.offset = (unsigned int)v;
	if (!sys_file_read_u64(c->sys, &v, PCI_DEV "%s/sriov_stride", b))
		pf.stride = (unsigned int)v;
	rc = sys_file_read_u64(c->sys, &v, PCI_DEV "%s/sriov_drivers_autoprobe", b);
	pf.autoprobe = rc || v;
	*out = pf;
	return 0;
}

int sriov_pf_get(struct sriov *c, struct bdf bdf, struct sriov_pf *out, struct err *e)
{
	struct sriov_fn fn;
	int rc = sriov_fn_get(c, bdf, &fn, e);

	return rc ? rc : pf_of(c, &fn, out, e);
}

int sriov_pf_find(struct sriov *c, const char *what, struct sriov_pf *out, struct err *e)
{
	struct sriov_fn fn;
	int rc = sriov_fn_find(c, what, &fn, e);

	return rc ? rc : pf_of(c, &fn, out, e);
}

struct pf_walk {
	struct sriov *c;
	struct sriov_pf *pf;
	size_t n;
	struct err *e;
};

static int pf_walk(void *arg, const char *name)
{
	struct pf_walk *w = arg;
	struct sriov_pf pf, *grown;
	char path[PATH_MAX];
	struct stat st;
	struct bdf b;

	snprintf(path, sizeof(path), PCI_DEV "%s/sriov_totalvfs", name);
	if (bdf_parse(&b, name) || sys_stat(w->c->sys, path, &st) ||
	    sriov_pf_get(w->c, b, &pf, NULL))
		return 0;
	grown = realloc(w->pf, (w->n + 1) * sizeof(*grown));
	if (!grown)
		return err_set(w->e, -ENOMEM, "out of memory");
	grown[w->n++] = pf;
	w->pf = grown;
	return 0;
}

static int by_bdf(const void *a, const void *b)
{
	const struct sriov_pf *x = a, *y = b;
	uint32_t i = (uint32_t)x->fn.bdf.seg << 16 | bdf_rid(x->fn.bdf);
	uint32_t k = (uint32_t)y->fn.bdf.seg << 16 | bdf_rid(y->fn.bdf);

	return i < k ? -1 : i > k;
}

int sriov_pf_list(struct sriov *c, struct sriov_pf **out, size_t *n, struct err *e)
{
	struct pf_walk w = { .c = c, .e = e };
	int rc = sys_listdir(c->sys, "/sys/bus/pci/devices", pf_walk, &w);

	if (rc) {
		free(w.pf);
		return rc == -ENOMEM ? rc : err_sys(e, rc, "cannot list the PCI devices");
	}
	if (w.n)
		qsort(w.pf, w.n, sizeof(*w.pf), by_bdf);
	*out = w.pf;
	*n = w.n;
	return 0;
}
