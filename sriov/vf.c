// SPDX-License-Identifier: BSD-3-Clause
/* What is done by hand: in a journal that is bound to no process, until it is undone by hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/setup.h"

/* A group of steps under the PF's lock, undone as a whole when it fails. */
static int by_hand(struct sriov *c, struct sriov_journal *j, const struct sriov_fn *pf,
		   int (*fn)(struct setup *t, void *arg, struct err *e), struct setup *t, void *arg,
		   struct err *e)
{
	struct sriov_undo u = { .c = c, .j = j, .have_pf_lock = true };
	struct err one = { 0 };
	int lock = -1, rc;

	rc = sriov_lock(c, pf->bdf, LOCK_PF, sriov_wait_ms(c), &lock, e);
	if (rc)
		return rc;
	t->c = c;
	t->j = j;
	t->base.pf = pf->bdf;
	t->base.group = sriov_journal_group(j);
	rc = fn(t, arg, e);
	if (rc && sriov_undo_group(&u, t->base.group, &one))
		err_append(e, "; and undoing what was done failed: %s", one.text);
	sys_close(c->sys, &lock);
	return rc;
}

/* By hand nothing is changed under a running guest. */
static int check_claim(struct setup *t, struct bdf fn, struct sriov_owner_info **o, size_t *n,
		       struct err *e)
{
	const struct sriov_owner_info *who;
	char label[SRIOV_LABEL_MAX];
	int rc = sriov_owners(t->c, o, n, e);

	if (rc)
		return rc;
	who = sriov_claim(*o, *n, fn);
	if (!who)
		return 0;
	return err_set(e, -EBUSY, "taken by %s%s", sriov_owner_label(label, who),
		       who->alive ? "" : ": sluice vf restore gives it back");
}

/* ---- create ---- */

struct create {
	struct sriov_pf pf;
	unsigned int count;
};

/*
 * Making VFs resets many a NIC, and without its link some settings are refused (igb: the rate). A
 * link that was not there before is not waited for: by hand, VFs may be made beforehand.
 */
static int create_vfs(struct setup *t, const struct create *a, struct err *e)
{
	bool link = setup_pf_has_carrier(t->c, &a->pf.fn);
	struct err late = { 0 };
	int rc = setup_pf_create(t, &a->pf, a->count, e);

	if (!rc && link && setup_pf_carrier(t->c, &a->pf.fn, &late))
		log_warn(t->c->log, "%s", late.text);
	return rc;
}

static int do_create(struct setup *t, void *arg, struct err *e)
{
	struct sriov_owner_info *o = NULL;
	struct create *a = arg;
	size_t n = 0;
	int rc;

	rc = check_claim(t, t->base.pf, &o, &n, e);
	if (!rc)
		rc = sriov_pf_get(t->c, t->base.pf, &a->pf, e);
	if (!rc && a->pf.numvfs)
		rc = err_set(e, -EBUSY,
			     "it has %u VFs already, and their number can only be changed by way "
			     "of 0",
			     a->pf.numvfs);
	if (!rc)
		rc = create_vfs(t, a, e);
	sriov_owners_free(o, n);
	return rc;
}

int sriov_vf_create(struct sriov *c, struct sriov_journal *j, const char *what, unsigned int count,
		    struct err *e)
{
	struct create a = { .count = count };
	char label[SRIOV_LABEL_MAX];
	struct setup t = { .c = c };
	int rc;

	/* Their VFs would be taken for somebody else's. */
	sriov_clear_dead(c);
	rc = sriov_pf_find(c, what, &a.pf, e);
	if (rc)
		return rc;
	sriov_fn_label(label, &a.pf.fn);
	if (!count)
		return err_set(e, -EINVAL, "PF %s: 0 VFs asked for (1 to %u)", label,
			       a.pf.totalvfs);
	t.base.fn = a.pf.fn.bdf;
	rc = by_hand(c, j, &a.pf.fn, do_create, &t, &a, e);
	if (rc)
		err_prefix(e, "PF %s: ", label);
	return rc;
}

/* ---- set ---- */

/* "eth0/2": the third VF of eth0; "/dev/nvme0/1" is of that form as well. */
static int find_nth(struct sriov *c, const char *what, const char *slash, struct sriov_fn *out,
		    struct err *e)
{
	char name[SRIOV_NAME_MAX];
	struct sriov_pf pf;
	unsigned int n;
	struct bdf b;
	int rc, end = 0;

	/* Five digits at most: a longer number would wrap, and name another VF. */
	if ((size_t)(slash - what) >= sizeof(name) || sscanf(slash + 1, "%5u%n", &n, &end) != 1 ||
	    slash[1 + end])
		return err_set(e, -EINVAL,
			       "'%s' is no VF: give its PCI address, its interface, or PF/N", what);
	memcpy(name, what, (size_t)(slash - what));
	name[slash - what] = 0;
	rc = sriov_pf_find(c, name, &pf, e);
	if (rc)
		return rc;
	rc = sriov_pf_vf(c, pf.fn.bdf, n, &b);
	if (rc == -ENOENT)
		return err_set(e, -ENODEV, "PF %s has no VF %u, it has %u of them", name, n,
			       pf.numvfs);
	return rc ? err_sys(e, rc, "cannot look at VF %u of PF %s", n, name)
		  : sriov_fn_get(c, b, out, e);
}

int sriov_vf_find(struct sriov *c, const char *what, struct sriov_fn *out, struct err *e)
{
	const char *slash = strrchr(what, '/');
	char label[SRIOV_LABEL_MAX];
	struct sriov_fn fn;
	int rc;

	if (slash && slash != what && slash[1] >= '0' && slash[1] <= '9')
		return find_nth(c, what, slash, out, e);
	rc = sriov_fn_find(c, what, &fn, e);
	if (rc)
		return rc;
	if (!fn.is_vf)
		return err_set(e, -EINVAL, "%s is no VF", sriov_fn_label(label, &fn));
	*out = fn;
	return 0;
}

/* Did a group change nothing but take its share in the PF's steps? */
static bool changed_nothing(const struct setup *t)
{
	const struct sriov_record *r = sriov_journal_record(t->j);

	for (size_t i = 0; i < r->n; i++)
		if (r->step[i].group == t->base.group && !sriov_step_of_pf(&r->step[i]))
			return false;
	return true;
}

/* Drivers that leave the function alone until somebody opens it, and no driver. */
static bool is_idle_driver(const char *driver)
{
	return !driver[0] || !strcmp(driver, SRIOV_VFIO_DRIVER);
}

struct apply {
	const struct sriov_vf_hand *want;
	struct sriov_fn vf, pf;
};

static bool wants_nvme(const struct sriov_vf_hand *h)
{
	return h->online || h->vq || h->vi;
}

/* A driver is not taken from under those who use it. */
static int check_idle(struct setup *t, const struct apply *a, struct err *e)
{
	struct sriov_fn vf;
	char why[128];
	int rc = sriov_fn_get(t->c, a->vf.bdf, &vf, e);

	if (rc)
		return rc;
	rc = sriov_fn_in_use(t->c, &vf, why, sizeof(why));
	if (rc < 0)
		return err_sys(e, rc, "cannot tell whether it is in use");
	if (rc > 0)
		return err_set(e, -EBUSY, "in use: %s", why);
	if (wants_nvme(a->want) && !is_idle_driver(a->want->driver ? a->want->driver : vf.driver) &&
	    !is_idle_driver(vf.driver))
		return err_set(e, -EBUSY,
			       "driver %s is on it, which does not know of a change of the "
			       "controller (take it off first: --driver none)",
			       vf.driver);
	return 0;
}

static int apply_driver(struct setup *t, const struct apply *a, bool idle, struct err *e)
{
	const char *driver = a->want->driver;

	if (!driver || is_idle_driver(driver) != idle)
		return 0;
	return sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_BIND, driver, e);
}

static int apply_nvme(struct setup *t, const struct apply *a, struct err *e)
{
	unsigned int vq = a->want->vq, vi = a->want->vi;

	if (!wants_nvme(a->want))
		return 0;
	return setup_nvme(t, a->pf.nvme, &vq, &vi, e);
}

/* What is set is there before a driver looks at it. */
static int apply_all(struct setup *t, const struct apply *a, struct err *e)
{
	int rc = 0;

	if (a->want->driver || wants_nvme(a->want))
		rc = check_idle(t, a, e);
	if (!rc)
		rc = apply_driver(t, a, true, e);
	if (!rc)
		rc = setup_net(t, &a->want->net, e);
	if (!rc)
		rc = apply_nvme(t, a, e);
	return rc ? rc : apply_driver(t, a, false, e);
}

static int do_apply(struct setup *t, void *arg, struct err *e)
{
	struct sriov_undo u = { .c = t->c, .j = t->j, .have_pf_lock = true };
	struct sriov_owner_info *o = NULL;
	size_t n = 0;
	int rc;

	/* With a share in the PF's steps: the VF, and what is set on it, must not go with another
	 * owner. */
	rc = check_claim(t, t->base.fn, &o, &n, e);
	if (!rc)
		rc = setup_inherit(t, o, n, e);
	if (!rc)
		rc = apply_all(t, arg, e);
	/* All was so already: a share that nothing goes with would only make the journal long. */
	if (!rc && changed_nothing(t))
		rc = sriov_undo_group(&u, t->base.group, e);
	sriov_owners_free(o, n);
	return rc;
}

/* Does what is wanted fit such a VF? */
static int check_hand(const struct apply *a, struct err *e)
{
	const struct sriov_vf_hand *h = a->want;

	if (setup_any_set(&h->net) && a->vf.kind != SRIOV_NET)
		return err_set(e, -EINVAL,
			       "it is no network VF, and has no MAC address, VLAN and the like");
	if (wants_nvme(h) && a->vf.kind != SRIOV_NVME)
		return err_set(e, -EINVAL,
			       "it is no NVMe VF, and has no queue and interrupt resources");
	if (wants_nvme(h) && !a->pf.nvme[0])
		return err_set(e, -ENXIO,
			       "the nvme driver is not on its PF, whose admin queue is needed");
	if (h->driver && h->driver[0] && !sriov_driver_name_ok(h->driver))
		return err_set(e, -EINVAL, "'%.60s' is not the name of a driver", h->driver);
	return 0;
}

int sriov_vf_apply(struct sriov *c, struct sriov_journal *j, const char *what,
		   const struct sriov_vf_hand *want, struct err *e)
{
	struct apply a = { .want = want };
	struct setup t = { .c = c };
	char label[SRIOV_LABEL_MAX];
	int rc;

	rc = setup_check_set(&want->net, e);
	if (!rc)
		rc = sriov_vf_find(c, what, &a.vf, e);
	if (!rc)
		rc = sriov_fn_get(c, a.vf.pf, &a.pf, e);
	if (rc)
		return rc;
	sriov_fn_label(label, &a.vf);
	t.base.fn = a.vf.bdf;
	t.base.vfn = a.vf.vfn;
	rc = check_hand(&a, e);
	if (!rc)
		rc = by_hand(c, j, &a.pf, do_apply, &t, &a, e);
	if (rc)
		err_prefix(e, "VF %s: ", label);
	return rc;
}

static int find_vf_or_pf(struct sriov *c, const char *what, struct sriov_fn *out, struct err *e)
{
	struct err no_pf = { 0 };
	struct sriov_pf pf;

	if (sriov_pf_find(c, what, &pf, &no_pf))
		return sriov_vf_find(c, what, out, e);
	*out = pf.fn;
	return 0;
}

int sriov_vf_undo(struct sriov *c, struct sriov_journal *j, const char *what, struct err *e)
{
	const struct sriov_record *r = sriov_journal_record(j);
	struct sriov_undo u = { .c = c, .j = j };
	char label[SRIOV_LABEL_MAX];
	struct sriov_fn fn;
	size_t hits = 0;
	int rc;

	/* Latest first, so that each finds its own value. */
	rc = find_vf_or_pf(c, what, &fn, e);
	for (size_t i = r->n; i-- > 0 && !rc;) {
		const struct sriov_step *st = &r->step[i];

		if (st->undone || !bdf_eq(fn.is_vf ? st->fn : st->pf, fn.bdf))
			continue;
		hits++;
		rc = sriov_undo_group(&u, st->group, e);
	}
	if (!rc && !hits)
		return err_set(e, -ENOENT, "%s %s: nothing was done to it by hand",
			       fn.is_vf ? "VF" : "PF", sriov_fn_label(label, &fn));
	return rc;
}

/* ---- list ---- */

static void fill_row(struct sriov *c, const struct sriov_pf *pf, struct sriov_vf_info *r,
		     const struct sriov_owner_info *o, size_t n)
{
	const struct sriov_owner_info *who = sriov_claim(o, n, r->fn.bdf);
	uint64_t ifindex;

	if (pf->fn.netdev[0] &&
	    !sys_file_read_u64(c->sys, &ifindex, "/sys/class/net/%s/ifindex", pf->fn.netdev))
		r->has_net = !sriov_netvf_get(c->sys, (unsigned int)ifindex, r->fn.vfn, &r->net);
	if (pf->fn.nvme[0])
		r->has_nvme = !sriov_nvme_sec_get(c->sys, pf->fn.nvme, r->fn.vfn, &r->nvme, NULL);
	if (who) {
		r->owner = who->owner;
		r->owner_alive = who->alive;
	} else if (sriov_fn_in_use(c, &r->fn, r->use, sizeof(r->use)) < 0) {
		r->use[0] = 0;
	}
}

static int add_row(struct sriov_list *l, const struct sriov_vf_info *r)
{
	struct sriov_vf_info *v = realloc(l->vf, (l->nvfs + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	v[l->nvfs++] = *r;
	l->vf = v;
	return 0;
}

static int list_pf(struct sriov *c, struct sriov_list *l, size_t i,
		   const struct sriov_owner_info *o, size_t n, struct err *e)
{
	for (unsigned int v = 0; v < 65536; v++) {
		struct sriov_vf_info row = { .pf = i };
		struct bdf at;

		if (sriov_pf_vf(c, l->pf[i].fn.bdf, v, &at))
			break;
		if (sriov_fn_get(c, at, &row.fn, NULL))
			continue;
		fill_row(c, &l->pf[i], &row, o, n);
		if (add_row(l, &row))
			return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

int sriov_list_get(struct sriov *c, struct sriov_list *out, struct err *e)
{
	struct sriov_owner_info *o = NULL;
	struct sriov_list l = { 0 };
	size_t n = 0;
	int rc;

	rc = sriov_owners(c, &o, &n, e);
	if (!rc)
		rc = sriov_pf_list(c, &l.pf, &l.npfs, e);
	for (size_t i = 0; i < l.npfs && !rc; i++)
		rc = list_pf(c, &l, i, o, n, e);
	sriov_owners_free(o, n);
	if (rc)
		sriov_list_free(&l);
	else
		*out = l;
	return rc;
}

void sriov_list_free(struct sriov_list *l)
{
	free(l->pf);
	free(l->vf);
	memset(l, 0, sizeof(*l));
}
