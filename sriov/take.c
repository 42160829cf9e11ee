// SPDX-License-Identifier: BSD-3-Clause
/*
 * Taking a function:
 *
 *   under the PF's lock   make VFs where there are none, choose one, lock it, say so in the journal
 *                         bind it to vfio-pci (first, so that no native driver sees what follows)
 *                         configure it through the PF
 *   for as long as used   the function's lock
 *
 * A VF is chosen only if no journal has it, its lock is free, and nobody is seen using it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/setup.h"

struct take {
	struct setup t;
	const struct sriov_take *req;
	struct sriov_fn fn, pf; /* pf: the function itself when it is no VF */
	struct sriov_owner_info *owner;
	size_t nowners;
	int pf_lock, fn_lock;
	struct mac mac;
	unsigned int vq, vi;
};

/* ---- what was asked for ---- */

static int check_kind(const struct take *k, const struct sriov_fn *fn, bool vf, struct err *e)
{
	char label[SRIOV_LABEL_MAX];

	sriov_fn_label(label, fn);
	if (k->req->kind != SRIOV_OTHER && fn->kind != k->req->kind)
		return err_set(e, -EINVAL, "%s is no %s device", label,
			       k->req->kind == SRIOV_NET ? "network" : "NVMe");
	if (setup_any_set(&k->req->set) && (!vf || fn->kind != SRIOV_NET))
		return err_set(
			e, -EINVAL,
			"%s: MAC, VLAN and the like are settings of a network VF, which this "
			"is not",
			label);
	return 0;
}

static int resolve(struct take *k, struct err *e)
{
	struct sriov *c = k->t.c;
	struct sriov_pf pf;
	int rc;

	BUG_ON(!k->req->pf == !k->req->bdf);
	rc = setup_check_set(&k->req->set, e);
	if (rc)
		return rc;
	if (k->req->pf) {
		rc = sriov_pf_find(c, k->req->pf, &pf, e);
		k->pf = pf.fn;
	} else {
		rc = sriov_fn_get(c, *k->req->bdf, &k->fn, e);
		if (!rc)
			rc = sriov_fn_get(c, k->fn.pf, &k->pf, e);
	}
	if (!rc)
		rc = check_kind(k, &k->pf, k->req->pf || k->fn.is_vf, e);
	k->t.base.pf = k->pf.bdf;
	return rc;
}

/* Under the PF's lock nobody else adds a claim, so this view stays true until the lock is dropped.
 */
static int reread_owners(struct take *k, struct err *e)
{
	sriov_owners_free(k->owner, k->nowners);
	k->owner = NULL;
	k->nowners = 0;
	return sriov_owners(k->t.c, &k->owner, &k->nowners, e);
}

static int not_claimed(struct take *k, struct bdf fn, struct err *e)
{
	const struct sriov_owner_info *who = sriov_claim(k->owner, k->nowners, fn);
	char label[SRIOV_LABEL_MAX];

	if (!who)
		return 0;
	return err_set(e, -EBUSY, "taken by %s%s", sriov_owner_label(label, who),
		       who->alive ? "" : ": sluice vf restore gives it back");
}

/* ---- a VF of a PF ---- */

#define RANK_NONE 3

/* How well a VF would do: 0 unbound, 1 with vfio-pci already, 2 with its native driver; RANK_NONE
 * with e filled. */
static int rank(struct take *k, unsigned int n, struct sriov_fn *vf, struct err *e)
{
	char why[128];
	struct bdf at;
	int rc;

	rc = sriov_pf_vf(k->t.c, k->pf.bdf, n, &at);
	if (!rc)
		rc = sriov_fn_get(k->t.c, at, vf, e);
	else
		err_sys(e, rc, "cannot look at it");
	if (rc)
		return rc;
	if (not_claimed(k, at, e))
		return RANK_NONE;
	rc = sriov_fn_in_use(k->t.c, vf, why, sizeof(why));
	if (rc < 0)
		return err_sys(e, rc, "cannot tell whether it is in use");
	if (rc > 0) {
		err_set(e, -EBUSY, "%s", why);
		return RANK_NONE;
	}
	return !vf->driver[0] ? 0 : !strcmp(vf->driver, SRIOV_VFIO_DRIVER) ? 1 : 2;
}

/* Locks the best VF of rank r, if there is any that can be locked: 1, 0 or -errno. Adds to e why
 * not. */
static int choose_rank(struct take *k, unsigned int numvfs, int r, struct err *e)
{
	struct err one = { 0 };
	struct sriov_fn vf;
	char b[BDF_STRLEN];

	for (unsigned int n = 0; n < numvfs; n++) {
		int rc = rank(k, n, &vf, &one);

		if (rc < 0)
			return err_set(e, rc, "VF %u: %s", n, one.text);
		if (rc != r)
			continue;
		if (r != RANK_NONE)
			rc = sriov_lock(k->t.c, vf.bdf, LOCK_FN, 0, &k->fn_lock, &one);
		if (!rc) {
			k->fn = vf;
			return 1;
		}
		if (r != RANK_NONE && rc != -EBUSY)
			return err_set(e, rc, "VF %u: %s", n, one.text);
		err_append(e, " %s: %s;", bdf_format(b, vf.bdf), one.text);
	}
	return 0;
}

static int choose(struct take *k, unsigned int numvfs, struct err *e)
{
	char label[SRIOV_LABEL_MAX];
	int rc = 0;

	/* The sentence grows with each VF that will not do, and is forgotten when one does. */
	err_set(e, -EBUSY, "all its %u VFs are in use:", numvfs);
	for (int r = 0; r <= RANK_NONE && !rc; r++)
		rc = choose_rank(k, numvfs, r, e);
	if (rc < 0)
		return rc;
	if (!rc) {
		err_append(e, " free one, or make more (%s has to be without VFs for that)",
			   sriov_fn_label(label, &k->pf));
		return -EBUSY;
	}
	err_clear(e);
	return 0;
}

/* So many VFs are made unless told otherwise: few enough for any PF's queues. */
#define DEFAULT_VFS 4U

static int take_of_pf(struct take *k, struct err *e)
{
	struct sriov_pf pf;
	int rc;

	rc = not_claimed(k, k->pf.bdf, e);
	if (!rc)
		rc = setup_pf_up(k->t.c, &k->pf, e);
	/* Its state may have changed while we waited for the lock. */
	if (!rc)
		rc = sriov_pf_get(k->t.c, k->pf.bdf, &pf, e);
	if (rc)
		return rc;
	if (pf.numvfs) {
		rc = setup_inherit(&k->t, k->owner, k->nowners, e);
	} else {
		pf.numvfs = k->req->count ? k->req->count : MIN(pf.totalvfs, DEFAULT_VFS);
		rc = setup_pf_create(&k->t, &pf, pf.numvfs, e);
	}
	if (!rc)
		rc = setup_pf_carrier(k->t.c, &k->pf, e);
	return rc ? rc : choose(k, pf.numvfs, e);
}

/* ---- this function ---- */

static int check_use(struct take *k, struct err *e)
{
	char why[128], label[SRIOV_LABEL_MAX];
	int rc = sriov_fn_in_use(k->t.c, &k->fn, why, sizeof(why));

	if (rc < 0)
		return err_sys(e, rc, "cannot tell whether it is in use");
	/* No force against another process: the open would fail in the end anyway. */
	if (rc == SRIOV_HELD)
		return err_set(e, -EBUSY, "%s", why);
	if (rc == SRIOV_BUSY && !k->req->force)
		return err_set(e, -EBUSY, "the host uses it: %s (force takes it nevertheless)",
			       why);
	if (rc != SRIOV_IDLE)
		log_warn(k->t.c->log, "taking %s from the host: %s", sriov_fn_label(label, &k->fn),
			 why);
	return 0;
}

static int check_whole(struct take *k, struct err *e)
{
	uint64_t numvfs = 0;
	char b[BDF_STRLEN];
	int rc;

	bdf_format(b, k->fn.bdf);
	if (k->fn.class >> 16 == 0x06)
		return err_set(e, -EINVAL, "it is a bridge (class %06x), which cannot be assigned",
			       k->fn.class);
	rc = sys_file_read_u64(k->t.c->sys, &numvfs, PCI_DEV "%s/sriov_numvfs", b);
	if (rc && rc != -ENOENT)
		return err_sys(e, rc, "cannot read its number of VFs");
	if (numvfs)
		return err_set(
			e, -EBUSY,
			"it has %u VFs: with them it cannot be assigned as a whole (echo 0 > "
			"/sys/bus/pci/devices/%s/sriov_numvfs)",
			(unsigned int)numvfs, b);
	return 0;
}

static int take_this(struct take *k, struct err *e)
{
	int rc;

	/* As it is now, under the lock. */
	rc = sriov_fn_get(k->t.c, *k->req->bdf, &k->fn, e);
	if (!rc)
		rc = not_claimed(k, k->fn.bdf, e);
	if (!rc)
		rc = k->fn.is_vf ? setup_pf_up(k->t.c, &k->pf, e) : check_whole(k, e);
	if (!rc)
		rc = check_use(k, e);
	if (!rc && k->fn.is_vf)
		rc = setup_pf_carrier(k->t.c, &k->pf, e);
	if (!rc && k->fn.is_vf)
		rc = setup_inherit(&k->t, k->owner, k->nowners, e);
	return rc ? rc : sriov_lock(k->t.c, k->fn.bdf, LOCK_FN, 0, &k->fn_lock, e);
}

/* ---- both ---- */

static int configure(struct take *k, struct err *e)
{
	struct setup *t = &k->t;
	int rc;

	t->base.fn = k->fn.bdf;
	t->base.vfn = k->fn.vfn;
	rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_USE, "", e);
	/* So that the interface comes back as it was, not only its driver. */
	if (!rc)
		rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_UP, "0", e);
	if (!rc)
		rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_BIND, SRIOV_VFIO_DRIVER, e);
	if (rc || !k->fn.is_vf)
		return rc;
	if (k->fn.kind == SRIOV_NET) {
		rc = setup_net(t, &k->req->set, e);
		if (!rc)
			rc = setup_net_mac(t, &k->mac, e);
	} else if (k->fn.kind == SRIOV_NVME) {
		k->vq = k->req->vq;
		k->vi = k->req->vi;
		rc = setup_nvme(t, k->pf.nvme, &k->vq, &k->vi, e);
	}
	return rc;
}

static int take_locked(struct take *k, struct err *e)
{
	char label[SRIOV_LABEL_MAX];
	bool by_pf = k->req->pf;
	int rc;

	rc = reread_owners(k, e);
	if (!rc)
		rc = by_pf ? take_of_pf(k, e) : take_this(k, e);
	if (rc) {
		sriov_fn_label(label, by_pf ? &k->pf : &k->fn);
		err_prefix(e, "%s%s: ", by_pf ? "PF " : "", label);
		return rc;
	}
	sriov_fn_label(label, &k->fn);
	rc = configure(k, e);
	if (!rc)
		rc = sriov_fn_get(k->t.c, k->fn.bdf, &k->fn, e);
	if (rc)
		err_prefix(e, "%s %s: ", k->fn.is_vf ? "VF" : "function", label);
	return rc;
}

static void give_up(struct take *k, struct err *e)
{
	struct sriov_undo u = {
		.c = k->t.c, .j = k->t.j, .have_pf_lock = true, .have_fn_lock = true
	};
	struct err one = { 0 };

	if (sriov_undo_group(&u, k->t.base.group, &one))
		err_append(e,
			   "; and undoing what was done failed (sluice vf restore tries again): %s",
			   one.text);
}

int sriov_take(struct sriov *c, struct sriov_journal *j, const struct sriov_take *req,
	       struct sriov_vf *out, struct err *e)
{
	struct take k = { .t = { .c = c, .j = j }, .req = req, .pf_lock = -1, .fn_lock = -1 };
	int rc;

	sriov_clear_dead(c);
	rc = resolve(&k, e);
	if (rc)
		return rc;
	rc = sriov_lock(c, k.pf.bdf, LOCK_PF, sriov_wait_ms(c), &k.pf_lock, e);
	if (rc)
		return rc;
	k.t.base.group = sriov_journal_group(j);
	rc = take_locked(&k, e);
	if (rc) {
		give_up(&k, e);
		sys_close(c->sys, &k.fn_lock);
	} else {
		*out = (struct sriov_vf){
			.fn = k.fn,
			.pf = k.pf,
			.mac = k.mac,
			.vq = k.vq,
			.vi = k.vi,
			.group = k.t.base.group,
			.lock_fd = k.fn_lock,
		};
	}
	sys_close(c->sys, &k.pf_lock);
	sriov_owners_free(k.owner, k.nowners);
	return rc;
}

int sriov_release(struct sriov *c, struct sriov_journal *j, struct sriov_vf *vf, struct err *e)
{
	struct sriov_undo u = { .c = c, .j = j, .have_fn_lock = true };
	char label[SRIOV_LABEL_MAX];
	/* The lock of the function goes last, when nothing of it is in another state than found. */
	int rc = sriov_undo_group(&u, vf->group, e);

	sys_close(c->sys, &vf->lock_fd);
	if (rc)
		err_prefix(e, "giving back %s: ", sriov_fn_label(label, &vf->fn));
	return rc;
}
