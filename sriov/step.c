// SPDX-License-Identifier: BSD-3-Clause
/*
 * A step changes one value, which can be read, written and put into words that go into the journal:
 *
 *   autoprobe, trust, spoofchk, nvme-state, up 0 or 1
 *   numvfs, link, nvme-vq, nvme-vi             a number
 *   mac                                        52:54:00:aa:bb:cc
 *   vlan                                       id.priority.ethertype
 *   rate                                       min.max (Mbit/s)
 *   bind                                       a driver, "" for none
 *   use                                        "", it only says that the function is taken
 *
 * With that one table doing and undoing are the same few lines for all of them.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sriov/bind.h"
#include "sriov/priv.h"

#define LINK_MS 5000

static const char *const step_name[SRIOV_STEP_KINDS] = {
	[SRIOV_STEP_AUTOPROBE] = "autoprobe",
	[SRIOV_STEP_NUMVFS] = "numvfs",
	[SRIOV_STEP_USE] = "use",
	[SRIOV_STEP_TRUST] = "trust",
	[SRIOV_STEP_MAC] = "mac",
	[SRIOV_STEP_VLAN] = "vlan",
	[SRIOV_STEP_SPOOFCHK] = "spoofchk",
	[SRIOV_STEP_RATE] = "rate",
	[SRIOV_STEP_LINK] = "link",
	[SRIOV_STEP_NVME_STATE] = "nvme-state",
	[SRIOV_STEP_NVME_VQ] = "nvme-vq",
	[SRIOV_STEP_NVME_VI] = "nvme-vi",
	[SRIOV_STEP_UP] = "up",
	[SRIOV_STEP_BIND] = "bind",
};

const char *sriov_step_name(enum sriov_step_kind k)
{
	return step_name[k];
}

int sriov_step_kind(const char *name, enum sriov_step_kind *out)
{
	for (unsigned int k = 0; k < SRIOV_STEP_KINDS; k++) {
		if (!strcmp(name, step_name[k])) {
			*out = k;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- values ---- */

bool sriov_driver_name_ok(const char *name)
{
	if (!name[0] || name[0] == '.' || strlen(name) >= SRIOV_VALUE_MAX)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	return true;
}

/* n decimal numbers with '.' between, each up to its max. */
static bool numbers(const char *text, unsigned int n, const uint32_t *max, uint32_t *out)
{
	for (unsigned int i = 0; i < n; i++) {
		unsigned long long v;
		char *end;

		if (!isdigit((unsigned char)*text))
			return false;
		errno = 0;
		v = strtoull(text, &end, 10);
		if (errno || v > max[i] || *end != (i + 1 < n ? '.' : 0))
			return false;
		out[i] = (uint32_t)v;
		text = end + 1;
	}
	return true;
}

/* The numbers of a value that is made of numbers; false when it is none. */
static bool value_numbers(enum sriov_step_kind k, const char *text, uint32_t v[3])
{
	static const uint32_t bit[] = { 1 }, u16[] = { 65535 }, link[] = { SRIOV_LINK_DISABLE };
	static const uint32_t vlan[] = { 4095, 7, 65535 }, rate[] = { UINT32_MAX, UINT32_MAX };

	switch (k) {
	case SRIOV_STEP_AUTOPROBE:
	case SRIOV_STEP_TRUST:
	case SRIOV_STEP_SPOOFCHK:
	case SRIOV_STEP_NVME_STATE:
	case SRIOV_STEP_UP:
		return numbers(text, 1, bit, v);
	case SRIOV_STEP_NUMVFS:
	case SRIOV_STEP_NVME_VQ:
	case SRIOV_STEP_NVME_VI:
		return numbers(text, 1, u16, v);
	case SRIOV_STEP_LINK:
		return numbers(text, 1, link, v);
	case SRIOV_STEP_VLAN:
		return numbers(text, 3, vlan, v);
	case SRIOV_STEP_RATE:
		return numbers(text, 2, rate, v);
	default:
		return false;
	}
}

bool sriov_step_value_ok(enum sriov_step_kind k, const char *text)
{
	uint32_t v[3];
	struct mac m;

	if (strlen(text) >= SRIOV_VALUE_MAX)
		return false;
	switch (k) {
	case SRIOV_STEP_USE:
		return !*text;
	case SRIOV_STEP_MAC:
		return !mac_parse(&m, text);
	case SRIOV_STEP_BIND:
		return !*text || sriov_driver_name_ok(text);
	default:
		return value_numbers(k, text, v);
	}
}

/* ---- reading ---- */

static int pf_file_get(struct sriov *c, const struct sriov_step *st, const char *file,
		       char out[SRIOV_VALUE_MAX], struct err *e)
{
	char b[BDF_STRLEN];
	uint64_t v;
	int rc;

	rc = sys_file_read_u64(c->sys, &v, PCI_DEV "%s/%s", bdf_format(b, st->pf), file);
	if (rc)
		return err_sys(e, rc == -ENOENT ? -ENODEV : rc, "cannot read %s of PF %s", file, b);
	snprintf(out, SRIOV_VALUE_MAX, "%" PRIu64, v);
	return 0;
}

/* Interface number of the PF. */
static int pf_ifindex(struct sriov *c, const struct sriov_step *st, unsigned int *out,
		      struct err *e)
{
	struct sriov_fn pf;
	uint64_t v;
	int rc;

	rc = sriov_fn_get(c, st->pf, &pf, e);
	if (rc)
		return rc;
	if (!pf.netdev[0]) {
		char label[SRIOV_LABEL_MAX];

		return err_set(
			e, -ENXIO,
			"PF %s has no network interface here (no driver, or moved to another "
			"network namespace?)",
			sriov_fn_label(label, &pf));
	}
	rc = sys_file_read_u64(c->sys, &v, "/sys/class/net/%s/ifindex", pf.netdev);
	if (rc)
		return err_sys(e, rc, "cannot read the number of interface %s", pf.netdev);
	*out = (unsigned int)v;
	return 0;
}

static int net_get(struct sriov *c, const struct sriov_step *st, char out[SRIOV_VALUE_MAX],
		   struct err *e)
{
	struct sriov_netvf v = { .link = 0 };
	unsigned int ifindex;
	int rc, n = -1;

	rc = pf_ifindex(c, st, &ifindex, e);
	if (rc)
		return rc;
	rc = sriov_netvf_get(c->sys, ifindex, st->vfn, &v);
	if (rc)
		return err_sys(e, rc, "cannot read the %s of VF %u from its PF",
			       sriov_step_name(st->kind), st->vfn);
	if (st->kind == SRIOV_STEP_MAC)
		mac_format(out, &v.mac);
	else if (st->kind == SRIOV_STEP_VLAN)
		snprintf(out, SRIOV_VALUE_MAX, "%u.%u.%u", v.vlan, v.qos, v.proto);
	else if (st->kind == SRIOV_STEP_RATE)
		snprintf(out, SRIOV_VALUE_MAX, "%u.%u", v.min_rate, v.max_rate);
	else
		n = st->kind == SRIOV_STEP_TRUST      ? v.trust
		    : st->kind == SRIOV_STEP_SPOOFCHK ? v.spoofchk
						      : v.link;
	if (n >= 0)
		snprintf(out, SRIOV_VALUE_MAX, "%d", n);
	/* No value at all: the driver's silence, which no later write could bring back. */
	if (!sriov_step_value_ok(st->kind, out))
		return err_set(
			e, -EOPNOTSUPP,
			"the PF's driver does not report the %s of its VFs, so it could not be "
			"brought back",
			sriov_step_name(st->kind));
	return 0;
}

/* The controller name of the PF, "nvme0". */
static int pf_ctrl(struct sriov *c, const struct sriov_step *st, char ctrl[SRIOV_NAME_MAX],
		   struct err *e)
{
	struct sriov_fn pf;
	int rc = sriov_fn_get(c, st->pf, &pf, e);

	if (rc)
		return rc;
	if (!pf.nvme[0]) {
		char label[SRIOV_LABEL_MAX];

		return err_set(
			e, -ENXIO,
			"PF %s: the nvme driver is not on it, and its VFs need its admin queue",
			sriov_fn_label(label, &pf));
	}
	strcpy(ctrl, pf.nvme);
	return 0;
}

static int nvme_get(struct sriov *c, const struct sriov_step *st, char out[SRIOV_VALUE_MAX],
		    struct err *e)
{
	struct sriov_nvme_sec sec;
	char ctrl[SRIOV_NAME_MAX];
	int rc;

	rc = pf_ctrl(c, st, ctrl, e);
	if (!rc)
		rc = sriov_nvme_sec_get(c->sys, ctrl, st->vfn, &sec, e);
	if (!rc)
		snprintf(out, SRIOV_VALUE_MAX, "%u",
			 st->kind == SRIOV_STEP_NVME_VQ	  ? sec.vq
			 : st->kind == SRIOV_STEP_NVME_VI ? sec.vi
							  : sec.online);
	return rc;
}

/* The function's interface, "" when it has none: one that is not there is not up. */
static int fn_up(struct sriov *c, const struct sriov_step *st, char netdev[SRIOV_NAME_MAX],
		 uint64_t *ifindex, bool *up, struct err *e)
{
	struct sriov_fn fn;
	uint64_t flags;
	int rc;

	netdev[0] = 0;
	*up = false;
	rc = sriov_fn_get(c, st->fn, &fn, e);
	if (rc || !fn.netdev[0])
		return rc;
	strcpy(netdev, fn.netdev);
	rc = sys_file_read_u64(c->sys, &flags, "/sys/class/net/%s/flags", fn.netdev);
	if (!rc)
		rc = sys_file_read_u64(c->sys, ifindex, "/sys/class/net/%s/ifindex", fn.netdev);
	if (rc)
		return err_sys(e, rc, "cannot read the state of interface %s", fn.netdev);
	*up = flags & IFF_UP;
	return 0;
}

static int up_get(struct sriov *c, const struct sriov_step *st, char out[SRIOV_VALUE_MAX],
		  struct err *e)
{
	char netdev[SRIOV_NAME_MAX];
	uint64_t ifindex;
	bool up;
	int rc = fn_up(c, st, netdev, &ifindex, &up, e);

	if (!rc)
		strcpy(out, up ? "1" : "0");
	return rc;
}

int sriov_step_get(struct sriov *c, const struct sriov_step *st, char out[SRIOV_VALUE_MAX],
		   struct err *e)
{
	struct sriov_fn fn;
	int rc;

	out[0] = 0;
	switch (st->kind) {
	case SRIOV_STEP_AUTOPROBE:
		return pf_file_get(c, st, "sriov_drivers_autoprobe", out, e);
	case SRIOV_STEP_NUMVFS:
		return pf_file_get(c, st, "sriov_numvfs", out, e);
	case SRIOV_STEP_NVME_STATE:
	case SRIOV_STEP_NVME_VQ:
	case SRIOV_STEP_NVME_VI:
		return nvme_get(c, st, out, e);
	case SRIOV_STEP_BIND:
		rc = sriov_fn_get(c, st->fn, &fn, e);
		if (!rc)
			strcpy(out, fn.driver);
		return rc;
	case SRIOV_STEP_UP:
		return up_get(c, st, out, e);
	case SRIOV_STEP_USE:
		return 0;
	default:
		return net_get(c, st, out, e);
	}
}

/* ---- writing ---- */

static int pf_file_set(struct sriov *c, const struct sriov_step *st, const char *file,
		       const char *value, struct err *e)
{
	char b[BDF_STRLEN];
	int rc;

	rc = sys_file_write(c->sys, value, PCI_DEV "%s/%s", bdf_format(b, st->pf), file);
	return rc ? err_sys(e, rc, "cannot write %s to %s of PF %s", value, file, b) : 0;
}

static int net_write(struct sriov *c, const struct sriov_step *st, unsigned int ifindex,
		     const char *value)
{
	struct mac mac = { { 0 } };
	uint32_t v[3] = { 0 };

	if (st->kind == SRIOV_STEP_MAC ? mac_parse(&mac, value)
				       : !value_numbers(st->kind, value, v))
		return -EINVAL;
	switch (st->kind) {
	case SRIOV_STEP_MAC:
		return sriov_netvf_set_mac(c->sys, ifindex, st->vfn, &mac);
	case SRIOV_STEP_VLAN:
		return sriov_netvf_set_vlan(c->sys, ifindex, st->vfn, (uint16_t)v[0], (uint8_t)v[1],
					    (uint16_t)v[2]);
	case SRIOV_STEP_TRUST:
		return sriov_netvf_set_trust(c->sys, ifindex, st->vfn, v[0]);
	case SRIOV_STEP_SPOOFCHK:
		return sriov_netvf_set_spoofchk(c->sys, ifindex, st->vfn, v[0]);
	case SRIOV_STEP_RATE:
		return sriov_netvf_set_rate(c->sys, ifindex, st->vfn, v[0], v[1]);
	default:
		return sriov_netvf_set_link(c->sys, ifindex, st->vfn, v[0]);
	}
}

static int net_set(struct sriov *c, const struct sriov_step *st, const char *value, struct err *e)
{
	unsigned int ifindex;
	int rc;

	rc = pf_ifindex(c, st, &ifindex, e);
	if (rc)
		return rc;
	rc = net_write(c, st, ifindex, value);
	if (rc == -EOPNOTSUPP)
		return err_set(e, rc, "the PF's driver cannot set the %s of a VF",
			       sriov_step_name(st->kind));
	return rc ? err_sys(e, rc, "the PF's driver refuses %s %s for VF %u",
			    sriov_step_name(st->kind), value, st->vfn)
		  : 0;
}

static int nvme_set(struct sriov *c, const struct sriov_step *st, const char *value, struct err *e)
{
	struct sriov_nvme_sec sec;
	char ctrl[SRIOV_NAME_MAX];
	uint32_t v[3] = { 0 };
	int rc;

	if (!value_numbers(st->kind, value, v))
		return err_set(e, -EINVAL, "%s is no %s", value, sriov_step_name(st->kind));
	rc = pf_ctrl(c, st, ctrl, e);
	if (!rc)
		rc = sriov_nvme_sec_get(c->sys, ctrl, st->vfn, &sec, e);
	if (rc)
		return rc;
	if (st->kind == SRIOV_STEP_NVME_STATE)
		return sriov_nvme_online(c->sys, ctrl, sec.cntlid, v[0], e);
	return sriov_nvme_assign(c->sys, ctrl, sec.cntlid,
				 st->kind == SRIOV_STEP_NVME_VQ ? SRIOV_NVME_VQ : SRIOV_NVME_VI,
				 (uint16_t)v[0], e);
}

struct link_wait {
	struct sys *s;
	char netdev[SRIOV_NAME_MAX];
};

static int has_link(void *arg)
{
	struct link_wait *w = arg;
	uint64_t v = 0;

	return !sys_file_read_u64(w->s, &v, "/sys/class/net/%s/carrier", w->netdev) && v;
}

static int up_set(struct sriov *c, const struct sriov_step *st, const char *value, struct err *e)
{
	struct link_wait w = { .s = c->sys };
	bool up, want = !strcmp(value, "1");
	char b[BDF_STRLEN];
	uint64_t ifindex;
	int rc;

	rc = fn_up(c, st, w.netdev, &ifindex, &up, e);
	if (rc)
		return rc;
	if (!w.netdev[0])
		return err_set(e, -ENXIO, "%s has no interface to set up or down",
			       bdf_format(b, st->fn));
	rc = sriov_netdev_set_up(c->sys, (unsigned int)ifindex, want);
	if (rc)
		return err_sys(e, rc, "cannot set interface %s up or down", w.netdev);
	/* The link follows a little later, if there is one: whoever comes next finds it as it was.
	 */
	if (want && sriov_poll(c, LINK_MS, "the link", has_link, &w))
		log_debug(c->log, "%s is up and has no link", w.netdev);
	return 0;
}

int sriov_step_set(struct sriov *c, const struct sriov_step *st, const char *value, struct err *e)
{
	switch (st->kind) {
	case SRIOV_STEP_AUTOPROBE:
		return pf_file_set(c, st, "sriov_drivers_autoprobe", value, e);
	case SRIOV_STEP_NUMVFS:
		return pf_file_set(c, st, "sriov_numvfs", value, e);
	case SRIOV_STEP_NVME_STATE:
	case SRIOV_STEP_NVME_VQ:
	case SRIOV_STEP_NVME_VI:
		return nvme_set(c, st, value, e);
	case SRIOV_STEP_BIND:
		return sriov_bind(c, st->fn, value, e);
	case SRIOV_STEP_UP:
		return up_set(c, st, value, e);
	case SRIOV_STEP_USE:
		return 0;
	default:
		return net_set(c, st, value, e);
	}
}

/* ---- doing ---- */

static int read_prior(struct sriov *c, struct sriov_step *st, struct err *e)
{
	struct sriov_fn fn;
	int rc;

	rc = sriov_step_get(c, st, st->prior, e);
	if (rc || st->kind != SRIOV_STEP_BIND)
		return rc;
	rc = sriov_fn_get(c, st->fn, &fn, e);
	if (rc)
		return rc;
	if (fn.driver[0] && !sriov_driver_name_ok(fn.driver))
		return err_set(e, -EINVAL, "driver '%s' has a name that cannot be kept", fn.driver);
	if (fn.override[0] && !sriov_driver_name_ok(fn.override))
		return err_set(e, -EINVAL, "driver_override '%s' cannot be kept", fn.override);
	strcpy(st->prior_override, fn.override);
	return 0;
}

int sriov_step_do(struct sriov *c, struct sriov_journal *j, const struct sriov_step *base,
		  enum sriov_step_kind kind, const char *want, struct err *e)
{
	struct sriov_step st = *base;
	char now[SRIOV_VALUE_MAX];
	int rc;

	st.kind = kind;
	snprintf(st.ours, sizeof(st.ours), "%s", want);
	rc = read_prior(c, &st, e);
	if (rc)
		return rc;
	if (kind != SRIOV_STEP_USE && !strcmp(st.prior, want))
		return 0;
	/* The order that everything rests on: first the journal, then the change. */
	rc = sriov_journal_add(j, &st, e);
	if (!rc)
		rc = sriov_step_set(c, &st, want, e);
	if (!rc)
		rc = sriov_step_get(c, &st, now, e);
	if (rc || !strcmp(now, want))
		return rc;
	/*
	 * The driver made something else of it (a rate it has in steps): then that is the value by
	 * which the undo knows it as ours.
	 */
	if (!strcmp(now, st.prior))
		return err_set(e, -EIO, "%s %s of %s had no effect", sriov_step_name(kind), want,
			       bdf_format(now, st.fn));
	strcpy(st.ours, now);
	return sriov_journal_add(j, &st, e);
}
