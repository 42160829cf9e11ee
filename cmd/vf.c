// SPDX-License-Identifier: BSD-3-Clause
/* "sluice vf": VFs by hand, and repair after a crash. Everything it changes is in the admin journal
 * first. */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/vf_list.h"
#include "sriov/own.h"
#include "sriov/vf.h"

/* struct vf_opts - of all actions; each has the table of those it takes. */
struct vf_opts {
	bool pad;
	int json, all, log;
	uint32_t count;
	struct mac mac;
	uint32_t vlan, qos, rate;
	uint32_t vq, vi;
	int trust, spoofchk, link, online;
	char *driver;
	bool vq_given, vi_given;
	bool mac_given, vlan_given, qos_given, rate_given, trust_given, spoofchk_given, link_given;
};

#define V(m) offsetof(struct vf_opts, m)
#define LOG_OPT                                                            \
	{                                                                  \
		"log", OPT_ENUM, .off = V(log), .choices = cmd_log_levels, \
				 .help = "how much to say (warning)"       \
	}

/* Not OPT_BOOL: these are set to a value, and "off" is as common as "on". */
static const char *const switch_names[] = { "off", "on", NULL };
const char *const cmd_link_names[] = { "auto", "enable", "disable", NULL };

static const struct opt list_opts[] = {
	{ "json", OPT_BOOL, .off = V(json), .help = "print JSON" },
	LOG_OPT,
	{ .type = OPT_END },
};

static const struct opt create_opts[] = {
	{ "count", OPT_U32, .off = V(count), .min = 1, .max = 65535, .help = "how many (1)" },
	LOG_OPT,
	{ .type = OPT_END },
};

static const struct opt set_opts[] = {
	{ "mac", OPT_MAC, .off = V(mac), .given = V(mac_given), .group = "Network",
	  .help = "administrative address" },
	{ "vlan", OPT_U32, .off = V(vlan), .given = V(vlan_given), .max = 4094,
	  .help = "VLAN the PF tags packets with, 0: none" },
	{ "qos", OPT_U32, .off = V(qos), .given = V(qos_given), .max = 7,
	  .help = "priority of that VLAN, 0 to 7" },
	{ "trust", OPT_ENUM, .off = V(trust), .given = V(trust_given), .choices = switch_names,
	  .help = "may the guest change its address and listen to all?" },
	{ "spoofchk", OPT_ENUM, .off = V(spoofchk), .given = V(spoofchk_given),
	  .choices = switch_names, .help = "drop packets with another source address" },
	{ "rate", OPT_U32, .off = V(rate), .given = V(rate_given), .arg = "MBIT",
	  .help = "limit of what the VF sends, Mbit/s, 0: none" },
	{ "link", OPT_ENUM, .off = V(link), .given = V(link_given), .choices = cmd_link_names,
	  .help = "what the VF sees of the PF's link" },
	{ "vq", OPT_U32, .off = V(vq), .given = V(vq_given), .min = 1, .max = 65535,
	  .group = "NVMe", .help = "queue resources, the admin queue among them; puts it online" },
	{ "vi", OPT_U32, .off = V(vi), .given = V(vi_given), .min = 1, .max = 65535,
	  .help = "interrupt resources; puts it online" },
	{ "online", OPT_BOOL, .off = V(online),
	  .help = "put it online, with as many of both as it may have" },
	{ "driver", OPT_STR, .off = V(driver), .arg = "NAME|none", .group = "All",
	  .help = "the driver it is bound to" },
	LOG_OPT,
	{ .type = OPT_END },
};

static const struct opt plain_opts[] = {
	LOG_OPT,
	{ .type = OPT_END },
};

static const struct opt restore_opts[] = {
	{ "all", OPT_BOOL, .off = V(all),
	  .help = "also what was done by hand with 'vf create' and 'vf set'" },
	LOG_OPT,
	{ .type = OPT_END },
};

/* struct vf_call - one action in progress. */
struct vf_call {
	struct sriov c;
	struct log log;
	struct vf_opts o;
	const char *what; /* the operand, or NULL */
	struct err e;
};

/* Parse options and the operand; true to go on. min: operands needed (at most one is taken). */
static bool vf_begin(struct vf_call *v, struct sys *s, const struct cmd *c, int argc, char **argv,
		     int min, int *status)
{
	int rest;

	*v = (struct vf_call){ .o = { .log = LOG_WARN, .count = 1 } };
	if (!cmd_parse(c, &v->o, argc, argv, &rest, status))
		return false;
	argc -= rest;
	if (argc < min || argc > (c->operands ? 1 : 0)) {
		if (argc < min)
			err_set(&v->e, -EINVAL, "give %s", c->operands);
		else
			err_set(&v->e, -EINVAL, "too many operands: %.60s", argv[rest + argc - 1]);
		cmd_err_prefix(&v->e, c);
		*status = cmd_fail(&v->e, true);
		return false;
	}
	v->what = argc ? argv[rest] : NULL;
	v->log = cmd_log(v->o.log);
	v->c = (struct sriov){ .sys = s, .log = &v->log };
	return true;
}

static int vf_end(struct vf_call *v, const struct cmd *c, int ret)
{
	if (!ret)
		return CMD_OK;
	cmd_err_prefix(&v->e, c);
	return cmd_fail(&v->e, false);
}

/* The actions: each parses, calls one function of the SR-IOV module, reports. */
static int list_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct sriov_list list = { 0 };
	struct vf_call v;
	int status, ret;

	if (!vf_begin(&v, s, c, argc, argv, 0, &status))
		return status;
	ret = sriov_list_get(&v.c, &list, &v.e);
	if (!ret)
		ret = vf_list_print(&list, v.o.json, stdout);
	sriov_list_free(&list);
	return vf_end(&v, c, ret);
}

/* What is done by hand is done under one owner, whose journal no process has to live for. */
static int by_hand(struct vf_call *v, const struct cmd *c,
		   int (*fn)(struct vf_call *v, struct sriov_journal *j))
{
	struct sriov_journal *j = NULL;
	int ret = sriov_journal_open_admin(&v->c, SRIOV_ADMIN, &j, &v->e);

	if (!ret)
		ret = fn(v, j);
	sriov_journal_close(j);
	return vf_end(v, c, ret);
}

static int create(struct vf_call *v, struct sriov_journal *j)
{
	return sriov_vf_create(&v->c, j, v->what, v->o.count, &v->e);
}

static int create_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct vf_call v;
	int status;

	return vf_begin(&v, s, c, argc, argv, 1, &status) ? by_hand(&v, c, create) : status;
}

/* Only what was given is touched. */
static void set_from_opts(struct sriov_vf_hand *want, const struct vf_opts *o)
{
	*want = (struct sriov_vf_hand){
		.vq = o->vq,
		.vi = o->vi,
		.online = o->online,
	};
	if (o->driver)
		want->driver = strcmp(o->driver, "none") ? o->driver : "";
	want->net = (struct sriov_vf_set){
		.has_mac = o->mac_given,
		.mac = o->mac,
		.has_vlan = o->vlan_given,
		.vlan = (uint16_t)o->vlan,
		.qos = (uint8_t)o->qos,
		.has_trust = o->trust_given,
		.trust = o->trust,
		.has_spoofchk = o->spoofchk_given,
		.spoofchk = o->spoofchk,
		.has_rate = o->rate_given,
		.rate = o->rate,
		.has_link = o->link_given,
		.link = (enum sriov_link)o->link,
	};
}

/* What is wrong whatever the host looks like. */
static int set_check(const struct vf_opts *o, struct err *e)
{
	bool nvme = o->vq_given || o->vi_given || o->online;

	if (!o->mac_given && !o->vlan_given && !o->qos_given && !o->trust_given &&
	    !o->spoofchk_given && !o->rate_given && !o->link_given && !nvme && !o->driver)
		return err_set(
			e, -EINVAL,
			"nothing to set: give --mac, --vlan, --trust, ..., --online, --driver");
	if (o->qos_given && !o->vlan)
		return err_set(e, -EINVAL, "--qos: a priority needs a VLAN (--vlan 1 to 4094)");
	if (!o->mac_given || !sriov_mac_check(&o->mac, e))
		return 0;
	err_prefix(e, "--mac: ");
	return -EINVAL;
}

static int set(struct vf_call *v, struct sriov_journal *j)
{
	struct sriov_vf_hand want;

	set_from_opts(&want, &v->o);
	return sriov_vf_apply(&v->c, j, v->what, &want, &v->e);
}

static int set_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct vf_call v;
	int status;

	if (vf_begin(&v, s, c, argc, argv, 1, &status)) {
		if (!set_check(&v.o, &v.e)) {
			status = by_hand(&v, c, set);
		} else {
			cmd_err_prefix(&v.e, c);
			status = cmd_fail(&v.e, true);
		}
	}
	opt_free(set_opts, &v.o);
	return status;
}

static int release(struct vf_call *v, struct sriov_journal *j)
{
	return sriov_vf_undo(&v->c, j, v->what, &v->e);
}

static int release_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct vf_call v;
	int status;

	return vf_begin(&v, s, c, argc, argv, 1, &status) ? by_hand(&v, c, release) : status;
}

/* Counts are printed after a failure too: some may have been restored. */
static int restore_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct sriov_restored r = { 0 };
	struct vf_call v;
	int status, ret;

	if (!vf_begin(&v, s, c, argc, argv, 0, &status))
		return status;
	if (v.what)
		ret = sriov_restore_owner(&v.c, v.what, &r, &v.e);
	else
		ret = sriov_restore_dead(&v.c, v.o.all, &r, &v.e);
	printf("%u owners gone, %u changes undone, %u left alone (changed by somebody else since)\n",
	       r.owners, r.undone, r.foreign);
	return vf_end(&v, c, ret);
}

static const struct cmd vf_actions[] = {
	{ .parent = "vf",
	  .name = "list",
	  .help = "show PFs, their VFs, and who has them",
	  .opts = list_opts,
	  .fn = list_main },
	{ .parent = "vf",
	  .name = "create",
	  .operands = "PF",
	  .help = "make VFs of a PF that has none",
	  .opts = create_opts,
	  .fn = create_main,
	  .complete = "netdev" },
	{ .parent = "vf",
	  .name = "set",
	  .operands = "VF",
	  .help = "change a VF (PF/N, interface, BDF): network or NVMe settings, driver",
	  .opts = set_opts,
	  .fn = set_main },
	{ .parent = "vf",
	  .name = "release",
	  .operands = "VF|PF",
	  .help = "undo what 'vf set' did to a VF, or all that was done by hand to a PF",
	  .opts = plain_opts,
	  .fn = release_main },
	{ .parent = "vf",
	  .name = "restore",
	  .operands = "[OWNER]",
	  .help = "undo what owners left behind whose process is gone",
	  .opts = restore_opts,
	  .fn = restore_main },
	{ 0 },
};

const struct cmd cmd_vf = {
	.name = "vf",
	.help = "list, make, set up and restore SR-IOV virtual functions",
	.about =
		"Life cycle of SR-IOV virtual functions. What an action or a machine changes on the host is in a "
		"journal in /run/sluice first, so that 'vf restore' can undo it after a crash",
	.actions = vf_actions,
};
