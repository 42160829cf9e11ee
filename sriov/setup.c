// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a taking and a change by hand have in common: steps on a PF and on a VF, each through the
 * journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/setup.h"

int sriov_mac_check(const struct mac *m, struct err *e)
{
	char text[MAC_STRLEN];

	if (mac_is_zero(m))
		return err_set(e, -EINVAL, "a VF cannot have the MAC address 00:00:00:00:00:00");
	if (mac_is_multicast(m))
		return err_set(e, -EINVAL,
			       "%s is a multicast address, which a station cannot have (the first "
			       "octet must be even)",
			       mac_format(text, m));
	return 0;
}

int setup_check_set(const struct sriov_vf_set *set, struct err *e)
{
	if (set->has_vlan && (set->vlan > 4094 || set->qos > 7))
		return err_set(e, -EINVAL, "VLAN %u priority %u: VLANs are 0-4094, priorities 0-7",
			       set->vlan, set->qos);
	if (set->has_link && (unsigned int)set->link > SRIOV_LINK_DISABLE)
		return err_set(e, -EINVAL, "there is no link state %d", set->link);
	return set->has_mac ? sriov_mac_check(&set->mac, e) : 0;
}

bool setup_any_set(const struct sriov_vf_set *set)
{
	return set->has_mac || set->has_vlan || set->has_trust || set->has_spoofchk ||
	       set->has_rate || set->has_link;
}

/* ---- the PF ---- */

static int pf_file(struct sriov *c, const struct sriov_fn *pf, const char *file, uint64_t *v)
{
	return sys_file_read_u64(c->sys, v, "/sys/class/net/%s/%s", pf->netdev, file);
}

static int down(const struct sriov_fn *pf, struct err *e)
{
	return err_set(e, -ENETDOWN,
		       "its interface is down, and then its VFs do not work: ip link set %s up",
		       pf->netdev);
}

int setup_pf_up(struct sriov *c, const struct sriov_fn *pf, struct err *e)
{
	uint64_t flags;
	int rc;

	if (pf->kind == SRIOV_NVME && !pf->nvme[0])
		return err_set(e, -ENXIO,
			       "the nvme driver is not on it, and its VFs need its admin queue");
	if (pf->kind != SRIOV_NET)
		return 0;
	if (!pf->netdev[0])
		return err_set(e, -ENXIO,
			       "it has no network interface here (no driver, or moved to another "
			       "network namespace?)");
	rc = pf_file(c, pf, "flags", &flags);
	if (rc)
		return err_sys(e, rc, "cannot read the flags of %s", pf->netdev);
	return flags & IFF_UP ? 0 : down(pf, e);
}

struct carrier {
	struct sriov *c;
	const struct sriov_fn *pf;
};

static int has_carrier(void *arg)
{
	struct carrier *w = arg;
	uint64_t v = 0;
	int rc = pf_file(w->c, w->pf, "carrier", &v);

	if (w->c->stop && w->c->stop(w->c->arg))
		return -EINTR;
	/* The kernel answers EINVAL for the carrier of an interface that is down. */
	return rc ? (rc == -EINVAL ? -ENETDOWN : rc) : v == 1;
}

bool setup_pf_has_carrier(struct sriov *c, const struct sriov_fn *pf)
{
	struct carrier w = { c, pf };

	return pf->kind == SRIOV_NET && pf->netdev[0] && has_carrier(&w) > 0;
}

int setup_pf_carrier(struct sriov *c, const struct sriov_fn *pf, struct err *e)
{
	struct carrier w = { c, pf };
	char what[128];
	int rc;

	if (pf->kind != SRIOV_NET)
		return 0;
	snprintf(what, sizeof(what), "the carrier of %s", pf->netdev);
	rc = sriov_poll(c, sriov_wait_ms(c), what, has_carrier, &w);
	if (rc == -ENETDOWN)
		return down(pf, e);
	if (rc == -EINTR)
		return err_set(e, rc, "interrupted while it waited for a carrier");
	if (rc == -ETIMEDOUT)
		return err_set(e, -ENETDOWN,
			       "no carrier on %s after %u s, and without it its VFs do not work: "
			       "check cable and switch port",
			       pf->netdev, sriov_wait_ms(c) / 1000);
	return rc ? err_sys(e, rc, "cannot read the carrier of %s", pf->netdev) : 0;
}

struct appear {
	struct sriov *c;
	struct bdf pf;
	unsigned int count;
};

static int vfs_there(void *arg)
{
	struct appear *w = arg;
	struct bdf at;

	for (unsigned int n = 0; n < w->count; n++) {
		int rc = sriov_pf_vf(w->c, w->pf, n, &at);

		if (rc)
			return rc == -ENOENT ? 0 : rc;
	}
	return 1;
}

int setup_pf_create(struct setup *t, const struct sriov_pf *pf, unsigned int count, struct err *e)
{
	struct appear w = { t->c, pf->fn.bdf, count };
	struct sriov_step base = t->base;
	char num[16];
	int rc;

	base.fn = base.pf;
	base.vfn = 0;
	if (count > pf->totalvfs)
		return err_set(e, -ERANGE, "%u VFs asked for, and it can have %u", count,
			       pf->totalvfs);
	/*
	 * Autoprobe off first: else each VF would get its native driver, and an interface that
	 * others (a network manager, udev) start to use before we have it.
	 */
	snprintf(num, sizeof(num), "%u", count);
	sriov_say(t->c, "making %u VFs", count);
	rc = sriov_step_do(t->c, t->j, &base, SRIOV_STEP_AUTOPROBE, "0", e);
	if (!rc)
		rc = sriov_step_do(t->c, t->j, &base, SRIOV_STEP_NUMVFS, num, e);
	if (rc)
		return rc;
	rc = sriov_poll(t->c, sriov_wait_ms(t->c), "the VFs to appear", vfs_there, &w);
	return rc ? err_sys(e, rc, "its %u VFs do not appear", count) : 0;
}

int setup_inherit(struct setup *t, const struct sriov_owner_info *o, size_t n, struct err *e)
{
	static const enum sriov_step_kind kind[] = { SRIOV_STEP_AUTOPROBE, SRIOV_STEP_NUMVFS };
	int rc = 0;

	for (unsigned int k = 0; k < ARRAY_SIZE(kind) && !rc; k++) {
		const struct sriov_step *found = NULL;

		for (size_t i = 0; i < n; i++)
			for (size_t s = 0; s < o[i].record.n; s++) {
				const struct sriov_step *st = &o[i].record.step[s];

				if (st->kind == kind[k] && !st->undone &&
				    bdf_eq(st->pf, t->base.pf))
					found = st;
			}
		if (found) {
			struct sriov_step copy = *found;

			copy.group = t->base.group;
			rc = sriov_journal_add(t->j, &copy, e);
		}
	}
	return rc;
}

/* ---- network VFs ---- */

static int random_mac(struct sys *s, struct mac *m)
{
	int fd = sys_open(s, "/dev/urandom", O_RDONLY | O_CLOEXEC, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = sys_read(s, fd, m->b, sizeof(m->b));
	sys_close(s, &fd);
	if (n != sizeof(m->b))
		return n < 0 ? (int)n : -EIO;
	/* Locally administered, one station. */
	m->b[0] = (uint8_t)((m->b[0] & 0xfe) | 0x02);
	return 0;
}

static int do_flag(struct setup *t, bool wanted, enum sriov_step_kind kind, unsigned int v,
		   struct err *e)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", v);
	return wanted ? sriov_step_do(t->c, t->j, &t->base, kind, text, e) : 0;
}

static int do_rate(struct setup *t, uint32_t rate, struct err *e)
{
	struct sriov_step st = t->base;
	char now[SRIOV_VALUE_MAX], want[SRIOV_VALUE_MAX];
	uint32_t min = 0;
	int rc;

	/* The lower bound is not ours to change. */
	st.kind = SRIOV_STEP_RATE;
	rc = sriov_step_get(t->c, &st, now, e);
	if (rc)
		return rc;
	if (sscanf(now, "%u", &min) != 1)
		min = 0;
	snprintf(want, sizeof(want), "%u.%u", min, rate);
	return sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_RATE, want, e);
}

int setup_net(struct setup *t, const struct sriov_vf_set *set, struct err *e)
{
	char text[SRIOV_VALUE_MAX];
	int rc;

	/* Trust first: the undo of the MAC asks for it. */
	rc = do_flag(t, set->has_trust, SRIOV_STEP_TRUST, set->trust, e);
	if (!rc && set->has_mac)
		rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_MAC,
				   mac_format(text, &set->mac), e);
	if (!rc && set->has_vlan) {
		snprintf(text, sizeof(text), "%u.%u.%u", set->vlan, set->vlan ? set->qos : 0,
			 0x8100);
		rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_VLAN, text, e);
	}
	if (!rc)
		rc = do_flag(t, set->has_spoofchk, SRIOV_STEP_SPOOFCHK, set->spoofchk, e);
	if (!rc && set->has_rate)
		rc = do_rate(t, set->rate, e);
	if (!rc)
		rc = do_flag(t, set->has_link, SRIOV_STEP_LINK, set->link, e);
	return rc;
}

int setup_net_mac(struct setup *t, struct mac *mac, struct err *e)
{
	struct sriov_step st = t->base;
	char now[SRIOV_VALUE_MAX];
	int rc;

	st.kind = SRIOV_STEP_MAC;
	rc = sriov_step_get(t->c, &st, now, e);
	if (rc)
		return rc;
	rc = mac_parse(mac, now);
	if (rc || !mac_is_zero(mac))
		return rc;
	/* Without one the guest's driver makes up another address at each start. */
	rc = random_mac(t->c->sys, mac);
	if (rc)
		return err_sys(e, rc, "cannot make a random MAC address");
	return sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_MAC, mac_format(now, mac), e);
}

/* ---- NVMe VFs ---- */

/* How many resources of a kind the VF is to have. */
static int share(const char *what, unsigned int asked, unsigned int has, unsigned int max,
		 uint32_t total, uint32_t used, unsigned int least, unsigned int *out,
		 struct err *e)
{
	uint32_t others = used > has ? used - has : 0;
	uint32_t avail = total > others ? total - others : 0;
	unsigned int n = asked;

	/* Unless told, what it has will do; else as much as a VF may have and is left. */
	if (!asked)
		n = has >= least ? has : MIN(max ? max : least, MAX(avail, least));
	if (n < least)
		return err_set(e, -EINVAL, "%u %s resources are too few: at least %u", n, what,
			       least);
	if (max && n > max)
		return err_set(e, -ERANGE, "%u %s resources asked for, and a VF can have %u", n,
			       what, max);
	if (n > avail)
		return err_set(
			e, -ENOSPC,
			"%u %s resources wanted, and of %u the other VFs have %u (release one, or "
			"ask for fewer)",
			n, what, total, others);
	*out = n;
	return 0;
}

static int do_res(struct setup *t, enum sriov_step_kind kind, unsigned int n, struct err *e)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return sriov_step_do(t->c, t->j, &t->base, kind, text, e);
}

/*
 * Resources change hands only while the controller is offline (base specification 2.0, 8.26.3).
 * Some controllers lose theirs on the way there, and without them none goes online again: so what
 * it has is in the journal before it leaves, and its undo gives it back before the state's does.
 */
static int go_offline(struct setup *t, const struct sriov_nvme_caps *caps,
		      const struct sriov_nvme_sec *sec, struct err *e)
{
	const struct {
		enum sriov_step_kind kind;
		unsigned int has;
	} what[] = { { SRIOV_STEP_NVME_STATE, sec->online },
		     { SRIOV_STEP_NVME_VQ, caps->vq ? sec->vq : 0 },
		     { SRIOV_STEP_NVME_VI, caps->vi ? sec->vi : 0 } };
	struct sriov_step st = t->base;
	int rc = 0;

	strcpy(st.ours, "0");
	for (unsigned int i = 0; i < ARRAY_SIZE(what) && sec->online && !rc; i++) {
		st.kind = what[i].kind;
		snprintf(st.prior, sizeof(st.prior), "%u", what[i].has);
		rc = what[i].has ? sriov_journal_add(t->j, &st, e) : 0;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(what) && sec->online && !rc; i++) {
		st.kind = what[i].kind;
		rc = what[i].has ? sriov_step_set(t->c, &st, "0", e) : 0;
	}
	return rc;
}

int setup_nvme(struct setup *t, const char *ctrl, unsigned int *vq, unsigned int *vi, struct err *e)
{
	struct sriov_nvme_caps caps;
	struct sriov_nvme_sec sec;
	unsigned int q = 0, i = 0;
	int rc;

	rc = sriov_nvme_sec_get(t->c->sys, ctrl, t->base.vfn, &sec, e);
	if (!rc)
		rc = sriov_nvme_caps_get(t->c->sys, ctrl, &caps, e);
	/* One queue is the admin queue: with it alone there is no I/O. */
	if (!rc && caps.vq)
		rc = share("VQ", *vq, sec.vq, caps.vq_max, caps.vq_total, caps.vq_used, 2, &q, e);
	if (!rc && caps.vi)
		rc = share("VI", *vi, sec.vi, caps.vi_max, caps.vi_total, caps.vi_used, 1, &i, e);
	if (rc)
		return rc;
	*vq = q;
	*vi = i;
	if (sec.online && (!caps.vq || sec.vq == q) && (!caps.vi || sec.vi == i))
		return 0;
	rc = go_offline(t, &caps, &sec, e);
	if (!rc && caps.vq)
		rc = do_res(t, SRIOV_STEP_NVME_VQ, q, e);
	if (!rc && caps.vi)
		rc = do_res(t, SRIOV_STEP_NVME_VI, i, e);
	/* They count from the controller's next reset on. */
	if (!rc)
		rc = sriov_reset(t->c, t->base.fn, e);
	if (!rc)
		rc = sriov_step_do(t->c, t->j, &t->base, SRIOV_STEP_NVME_STATE, "1", e);
	return rc;
}
