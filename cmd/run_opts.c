// SPDX-License-Identifier: BSD-3-Clause
#include "cmd/run_opts.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/hide.h"
#include "vmm/core/iothread.h"
#include "vmm/core/vm.h"

#define DISK_SERIAL_MAX 20 /* virtio 1.2, 5.2.6: a string of 20 bytes */

/* Offsets of a port's and of the run's options. */
#define P(m) offsetof(struct port_spec, m)
#define R(m) offsetof(struct run_opts, m)

/* In the order of enum port_mode. */
static const char *const mode_names[] = {
	"auto", "vfio", "vhost-user", "virtio", "emulated", NULL
};
static const char *const role_names[] = { "client", "server", NULL };

static int parse_hide_net(void *target, const char *text, struct err *e)
{
	return hide_parse(false, text, &((struct port_spec *)target)->hide, e);
}

static int parse_hide_disk(void *target, const char *text, struct err *e)
{
	return hide_parse(true, text, &((struct port_spec *)target)->hide, e);
}

/* Rows that every kind of port has, said once. */
#define PORT_OPT_MODE                                                                                  \
	{                                                                                              \
		"mode", OPT_ENUM,                                                                      \
			.off = P(mode), .choices = mode_names,                                         \
			.help = "how the guest gets it; auto: the first that is viable, in this order" \
	}

#define PORT_OPTS_VHOST_USER(modes)                                                        \
	{ "socket",	      OPT_STR,                                                     \
	  .off = P(socket),   .arg = "PATH",                                               \
	  .complete = "file", .help = modes ": socket of the backend" },                   \
	{                                                                                  \
		"role", OPT_ENUM,                                                          \
			.off = P(server), .given = P(server_given), .choices = role_names, \
			.help = modes ": connect to the socket, or listen on it (client)"  \
	}

#define PORT_OPTS_VF                                                                         \
	{ "vfs",    OPT_U32,	.off = P(vfs),                                               \
	  .min = 1, .max = 256, .help = "VFs to make when the PF has none (up to 4)" },      \
		{ "vf-token", OPT_STR, .off = P(vf_token), .arg = "UUID",                    \
		  .help = "VF token, when the PF belongs to vfio-pci" },                     \
	{                                                                                    \
		"force-no-reset", OPT_BOOL, .off = P(force_no_reset),                        \
					    .help = "take a function that nothing can reset" \
	}

static const struct opt net_opts[] = {
	{ "id", OPT_STR, .off = P(id), .arg = "NAME",
	  .help = "name of the port (net0, net1, ...)" },
	PORT_OPT_MODE,
	{ "pf", OPT_STR, .off = P(pf), .arg = "IFNAME|BDF", .complete = "netdev",
	  .help = "take a free VF of this physical function, or make VFs" },
	{ "bdf", OPT_BDF, .off = P(bdf), .given = P(bdf_given), .complete = "pci",
	  .help = "this PCI function as it is: a VF, or a whole device" },
	{ "mac", OPT_MAC, .off = P(mac), .given = P(mac_given), .help = "address of the port" },
	{ "vlan", OPT_U32, .off = P(vlan), .given = P(vlan_given), .max = 4094,
	  .help = "VLAN the PF tags the VF's packets with, 0: none" },
	{ "trust", OPT_BOOL, .off = P(trust), .given = P(trust_given),
	  .help = "may the guest change its address and listen to all?" },
	{ "spoofchk", OPT_BOOL, .off = P(spoofchk), .given = P(spoofchk_given),
	  .help = "drop packets with another source address" },
	{ "rate", OPT_U32, .off = P(rate), .given = P(rate_given), .arg = "MBIT",
	  .help = "limit of what the VF sends, Mbit/s, 0: none" },
	{ "link", OPT_ENUM, .off = P(link), .given = P(link_given), .choices = cmd_link_names,
	  .help = "what the VF sees of the PF's link" },
	PORT_OPTS_VF,
	PORT_OPTS_VHOST_USER("vhost-user, emulated"),
	{ "tap", OPT_STR, .off = P(tap), .arg = "IFNAME", .complete = "netdev",
	  .help = "virtio, emulated: tap interface of the host; made when it is not there" },
	{ "queues", OPT_U32, .off = P(queues), .given = P(queues_given), .min = 1,
	  .max = PORT_QUEUES_MAX, .help = "vhost-user, virtio: pairs of queues (1)" },
	{ "hide", OPT_FN, .fn = parse_hide_net, .arg = "NAME:NAME...",
	  .help = "vhost-user, virtio: features not offered: " HIDE_RING ", " HIDE_NET },
	{ .type = OPT_END },
};

static const struct opt disk_opts[] = {
	{ "id", OPT_STR, .off = P(id), .arg = "NAME",
	  .help = "name of the port (disk0, disk1, ...)" },
	PORT_OPT_MODE,
	{ "pf", OPT_STR, .off = P(pf), .arg = "/dev/nvmeN|BDF", .complete = "file",
	  .help = "take a free VF of this NVMe controller, or make VFs" },
	{ "bdf", OPT_BDF, .off = P(bdf), .given = P(bdf_given), .complete = "pci",
	  .help = "this PCI function as it is: a VF, or a whole device" },
	{ "queues", OPT_U32, .off = P(queues), .given = P(queues_given), .min = 1, .max = 65534,
	  .help = "I/O queues: of a VF (as many as it may have), up to 16 of other disks (1)" },
	PORT_OPTS_VF,
	PORT_OPTS_VHOST_USER("vhost-user"),
	{ "path", OPT_STR, .off = P(path), .arg = "FILE|null:SIZE", .complete = "file",
	  .help = "virtio, emulated: file or block device; null: nothing behind it, to measure" },
	{ "direct", OPT_BOOL, .off = P(direct), .given = P(direct_given),
	  .help = "virtio, emulated: go past the host's page cache" },
	{ "readonly", OPT_BOOL, .off = P(readonly),
	  .help = "virtio, emulated: the guest cannot write" },
	{ "serial", OPT_STR, .off = P(serial), .arg = "TEXT",
	  .help = "virtio, emulated: serial number, up to 20 bytes (the id)" },
	{ "shadow-doorbell", OPT_BOOL, .off = P(shadow),
	  .help = "emulated: the driver may keep its doorbells in memory (off)" },
	{ "ioeventfd", OPT_BOOL, .off = P(ioeventfd),
	  .help = "emulated: doorbells that still ring do not reach user space (off)" },
	{ "hide", OPT_FN, .fn = parse_hide_disk, .arg = "NAME:NAME...",
	  .help = "vhost-user, virtio: features not offered: " HIDE_RING ", " HIDE_DISK },
	{ .type = OPT_END },
};

static const struct opt cpu_opts[] = {
	{ "count", OPT_U32, .off = R(cpus), .min = 1, .max = VM_VCPUS_MAX, .first = true,
	  .required = true, .arg = "N", .help = "number of vCPUs, 1 to 16" },
	{ "pin", OPT_LIST, .off = R(pin), .given = R(pin_given),
	  .help = "host CPUs: the first vCPU runs on the first one, and so on" },
	{ .type = OPT_END },
};

static const struct opt io_opts[] = {
	{ "count", OPT_U32, .off = R(io_threads), .min = 1, .max = RUN_IO_MAX, .first = true,
	  .required = true, .arg = "N", .help = "number of threads, 1 to 16" },
	{ "pin", OPT_LIST, .off = R(io_pin), .given = R(io_pin_given),
	  .help = "host CPUs: the first thread runs on the first one, and so on" },
	{ "poll-max-ns", OPT_U32, .off = R(io_poll_ns), .max = 1000000, .arg = "NS",
	  .help = "longest time to look for work before sleeping, 0: never (32000)" },
	{ .type = OPT_END },
};

/* In the order of enum vm_page. */
static const char *const page_names[] = { "4K", "thp", "2M", "1G", NULL };

static const struct opt memory_opts[] = {
	{ "size", OPT_SIZE, .off = R(memory), .first = true, .required = true,
	  .help = "guest memory, a multiple of the page size" },
	{ "page", OPT_ENUM, .off = R(page), .given = R(page_given), .choices = page_names,
	  .help = "pages behind it; 2M and 1G are taken from the host's hugepage pool" },
	{ "node", OPT_U32, .off = R(node), .given = R(node_given), .max = 1023,
	  .help = "NUMA node of the host to take it from" },
	{ "prefault", OPT_BOOL, .off = R(prefault),
	  .help = "touch all of it before the guest starts" },
	{ .type = OPT_END },
};

/* --net and --disk: one more port, parsed into itself. */
static int parse_port(struct run_opts *o, enum port_kind kind, const struct opt *table,
		      const char *text, struct err *e)
{
	struct port_spec *p;

	if (o->nports == RUN_PORTS_MAX)
		return err_set(e, -EINVAL, "more than %d ports", RUN_PORTS_MAX);
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->kind = kind;
	o->ports[o->nports++] = p; /* freed with the others, also when the text is wrong */
	return opt_parse_kv(table, p, text, e);
}

static int parse_net(void *target, const char *text, struct err *e)
{
	return parse_port(target, PORT_NET, net_opts, text, e);
}

static int parse_disk(void *target, const char *text, struct err *e)
{
	return parse_port(target, PORT_DISK, disk_opts, text, e);
}

/* --cpus and --memory have keys of their own, which land in struct run_opts itself. */
static int parse_cpus(void *target, const char *text, struct err *e)
{
	return opt_parse_kv(cpu_opts, target, text, e);
}

static int parse_memory(void *target, const char *text, struct err *e)
{
	return opt_parse_kv(memory_opts, target, text, e);
}

static int parse_io(void *target, const char *text, struct err *e)
{
	return opt_parse_kv(io_opts, target, text, e);
}

/* Only the form is looked at here: what is named is opened later. words ends with NULL. */
static int parse_chr(char **out, const char *const *words, const char *text, struct err *e)
{
	unsigned int i;

	if (*out)
		return err_set(e, -EINVAL, "given twice");
	for (i = 0; words[i]; i++) {
		size_t n = strlen(words[i]);

		if (words[i][n - 1] == '=' ? !strncmp(words[i], text, n) && text[n]
					   : !strcmp(words[i], text))
			break;
	}
	if (!words[i]) {
		err_set(e, -EINVAL, "\"%.60s\" is not one of ", text);
		for (i = 0; words[i]; i++)
			err_append(e, "%s%s%s", i ? ", " : "", words[i],
				   strchr(words[i], '=') ? "PATH" : "");
		return -EINVAL;
	}
	*out = strdup(text);
	return *out ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int parse_serial(void *target, const char *text, struct err *e)
{
	static const char *const words[] = { "stdio", "null", "pty", "file=", "unix=", NULL };

	return parse_chr(&((struct run_opts *)target)->serial, words, text, e);
}

static int parse_console(void *target, const char *text, struct err *e)
{
	static const char *const words[] = { "pty", "file=", NULL };

	return parse_chr(&((struct run_opts *)target)->console, words, text, e);
}

/* The command line of "sluice run": help, manual and completion come from here too. */
const struct opt run_opt_table[] = {
	{ "kernel", OPT_STR, .off = R(kernel), .arg = "FILE", .complete = "file", .required = true,
	  .group = "Guest",
	  .help = "Linux bzImage, ELF with a PVH note (vmlinux), or Multiboot 1 image" },
	{ "initrd", OPT_STR, .off = R(initrd), .arg = "FILE[,FILE...]", .complete = "file",
	  .help = "initial RAM disks; a Multiboot kernel gets each as a module" },
	{ "cmdline", OPT_STR, .off = R(cmdline), .arg = "TEXT", .help = "kernel command line" },
	{ "cpus", OPT_SUB, .fn = parse_cpus, .sub = cpu_opts, .arg = "N[,pin=LIST]",
	  .help = "vCPUs (1)" },
	{ "memory", OPT_SUB, .fn = parse_memory, .sub = memory_opts, .arg = "SIZE[,KEY=VALUE...]",
	  .help = "guest memory (512M, transparent hugepages)" },
	{ "serial", OPT_FN, .fn = parse_serial, .arg = "stdio|null|pty|file=PATH|unix=PATH",
	  .help = "where the first serial port goes (stdio)" },
	{ "console", OPT_FN, .fn = parse_console, .arg = "pty|file=PATH",
	  .help = "a virtio console, and where it goes (none)" },
	{ "rng", OPT_BOOL, .off = R(rng),
	  .help = "a virtio entropy device, fed by the host (off)" },
	{ "io-threads", OPT_SUB, .fn = parse_io, .sub = io_opts, .arg = "N[,KEY=VALUE...]",
	  .help = "threads that serve virtio devices (1)" },
	{ "net", OPT_SUB, .fn = parse_net, .sub = net_opts, .many = true, .group = "Ports",
	  .help = "a network port" },
	{ "disk", OPT_SUB, .fn = parse_disk, .sub = disk_opts, .many = true,
	  .help = "a disk port" },
	{ "name", OPT_STR, .off = R(name), .arg = "NAME", .group = "Run",
	  .help = "name of the machine, also of its journal (vm)" },
	{ "control", OPT_STR, .off = R(control), .arg = "SOCKET", .complete = "file",
	  .help = "make a control socket for 'sluice ctl'" },
	{ "explain", OPT_BOOL, .off = R(explain), .help = "print the plan of each port and stop" },
	{ "no-reboot", OPT_BOOL, .off = R(no_reboot), .help = "end when the guest resets itself" },
	{ "debug-exit", OPT_U32, .off = R(debug_exit), .given = R(debug_exit_given), .max = 0xffff,
	  .arg = "PORT",
	  .help = "a write to this I/O port ends the run with status value * 2 + 1" },
	{ "stats", OPT_STR, .off = R(stats), .arg = "FILE", .complete = "file",
	  .help = "write what 'ctl stat' tells into FILE at the end, as JSON" },
	{ "log", OPT_ENUM, .off = R(log), .choices = cmd_log_levels,
	  .help = "how much to say (warning)" },
	{ .type = OPT_END },
};

void run_opts_init(struct run_opts *o)
{
	*o = (struct run_opts){
		.cpus = 1,
		.memory = MIB(512),
		.page = VM_PAGE_THP,
		.io_threads = 1,
		.io_poll_ns = VM_IO_POLL_MAX_NS,
		.log = LOG_WARN,
	};
}

const char *port_kind_name(enum port_kind k)
{
	return k == PORT_NET ? "net" : "disk";
}

const char *port_mode_name(enum port_mode m)
{
	return mode_names[m];
}

bool port_names(const struct port_spec *s, enum port_mode m)
{
	switch (m) {
	case PORT_VFIO:
		return s->pf || s->bdf_given;
	case PORT_VHOST_USER:
		return s->socket;
	case PORT_VIRTIO:
		return s->tap || s->path;
	case PORT_EMULATED:
		return s->tap || s->path || (s->kind == PORT_NET && s->socket);
	default:
		return true;
	}
}

const char *port_keys(enum port_kind k, enum port_mode m)
{
	switch (m) {
	case PORT_VFIO:
		return "pf= or bdf=";
	case PORT_VHOST_USER:
		return "socket=";
	case PORT_EMULATED:
		return k == PORT_NET ? "tap= or socket=" : "path=";
	default:
		return k == PORT_NET ? "tap=" : "path=";
	}
}

/* Names become parts of file names and of tables. */
static bool name_ok(const char *s, size_t max)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return n && !s[n] && n <= max;
}

static bool id_used(const struct run_opts *o, const struct port_spec *but, const char *id)
{
	unsigned int i;

	for (i = 0; i < o->nports; i++)
		if (o->ports[i] != but && o->ports[i]->id && !strcmp(o->ports[i]->id, id))
			return true;
	return false;
}

/* The first free of net0, net1, ... for a port that got no name. */
static int id_make(struct run_opts *o, struct port_spec *p)
{
	char id[PORT_ID_MAX];
	unsigned int n = 0;

	do {
		snprintf(id, sizeof(id), "%s%u", port_kind_name(p->kind), n++);
	} while (id_used(o, p, id));
	p->id = strdup(id);
	return p->id ? 0 : -ENOMEM;
}

/* Is what mode m needs of use in the mode asked for? An emulated device ends where others do. */
static bool serves(const struct port_spec *p, enum port_mode m)
{
	if (p->mode == PORT_AUTO || p->mode == (int)m)
		return true;
	return p->mode == PORT_EMULATED &&
	       (m == PORT_VIRTIO || (m == PORT_VHOST_USER && p->kind == PORT_NET));
}

/* What was named must fit the mode asked for. auto: anything, but something. */
static int check_named(const struct port_spec *p, struct err *e)
{
	enum port_mode mode = (enum port_mode)p->mode, m;
	bool any = false;

	if (!port_names(p, mode))
		return err_set(e, -EINVAL, "mode=%s: say which device: %s", mode_names[mode],
			       port_keys(p->kind, mode));
	for (m = PORT_AUTO + 1; m < PORT_EMULATED; m++) {
		any |= port_names(p, m);
		if (port_names(p, m) && !serves(p, m))
			return err_set(e, -EINVAL, "%s is for mode=%s, and mode=%s is asked for",
				       port_keys(p->kind, m), mode_names[m], mode_names[mode]);
	}
	if (any)
		return 0;
	return err_set(e, -EINVAL,
		       "say which device: pf= (take a VF of it), bdf= (this function), socket= "
		       "(vhost-user) or %s (virtio)",
		       port_keys(p->kind, PORT_VIRTIO));
}

/* Keys that mean nothing without another one. */
static int check_needs(const struct port_spec *p, struct err *e)
{
	bool virtio = p->socket || p->tap || p->path;
	const struct {
		bool given, has;
		const char *key, *needs;
	} rule[] = {
		{ p->vfs, p->pf, "vfs=", "pf=" },
		{ p->vf_token, p->pf || p->bdf_given, "vf-token=", "pf= or bdf=" },
		{ p->force_no_reset, p->pf || p->bdf_given, "force-no-reset=", "pf= or bdf=" },
		{ p->server_given, p->socket, "role=", "socket=" },
		{ p->direct_given, p->path, "direct=", "path=" },
		{ p->readonly, p->path, "readonly=", "path=" },
		{ p->serial, p->path, "serial=", "path=" },
		{ p->hide, virtio,
		  "hide=", p->kind == PORT_NET ? "socket= or tap=" : "socket= or path=" },
		{ p->ioeventfd, p->shadow, "ioeventfd=", "shadow-doorbell=on" },
		{ p->queues_given && p->kind == PORT_NET, virtio, "queues=", "socket= or tap=" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rule); i++)
		if (rule[i].given && !rule[i].has)
			return err_set(e, -EINVAL, "%s needs %s", rule[i].key, rule[i].needs);
	return 0;
}

/* An e1000 has one pair of queues and one wire, and neither card knows features of virtio. */
static int check_emulated(const struct port_spec *p, struct err *e)
{
	bool emulated = p->mode == PORT_EMULATED;

	if ((p->shadow || p->ioeventfd) && !emulated)
		return err_set(e, -EINVAL, "shadow-doorbell= and ioeventfd= are for mode=emulated");
	if (emulated && p->hide)
		return err_set(e, -EINVAL, "hide= is not for mode=emulated");
	if (emulated && p->kind == PORT_NET && p->queues > 1)
		return err_set(e, -EINVAL, "queues=%u: an emulated e1000 has one pair", p->queues);
	if (emulated && p->tap && p->socket)
		return err_set(e, -EINVAL, "mode=emulated: tap= or socket=, one of them");
	return 0;
}

/* What is wrong whatever the host looks like; the planner judges the rest. */
static int port_check(const struct port_spec *p, struct err *e)
{
	int ret = check_named(p, e);

	if (!ret)
		ret = check_needs(p, e);
	if (ret)
		return ret;
	ret = check_emulated(p, e);
	if (ret)
		return ret;
	if (p->pf && p->bdf_given)
		return err_set(e, -EINVAL, "pf= and bdf= exclude each other");
	if (p->readonly && (p->pf || p->bdf_given || p->socket))
		return err_set(e, -EINVAL,
			       "readonly= can be promised for path= alone, and another device is "
			       "named too");
	if (p->serial && strlen(p->serial) > DISK_SERIAL_MAX)
		return err_set(e, -EINVAL, "serial: \"%.60s\" is longer than %d bytes", p->serial,
			       DISK_SERIAL_MAX);
	if (p->tap && strlen(p->tap) >= IFNAMSIZ)
		return err_set(e, -EINVAL, "tap: \"%.60s\" is longer than %d bytes", p->tap,
			       IFNAMSIZ - 1);
	if (p->mac_given && mac_is_zero(&p->mac))
		return err_set(e, -EINVAL, "mac: the address must not be zero");
	if (p->mac_given && mac_is_multicast(&p->mac))
		return err_set(e, -EINVAL,
			       "mac: the address is a multicast one (first octet is odd)");
	return 0;
}

int run_opts_check(struct run_opts *o, struct err *e)
{
	unsigned int i;
	int ret;

	if (o->name && !name_ok(o->name, 32))
		return err_set(e, -EINVAL,
			       "--name: \"%.60s\" is not made of 1 to 32 letters, digits, - and _",
			       o->name);
	for (i = 0; i < o->nports; i++) {
		struct port_spec *p = o->ports[i];

		if (!p->id && id_make(o, p))
			return err_set(e, -ENOMEM, "out of memory");
		if (!name_ok(p->id, PORT_ID_MAX - 1))
			return err_set(
				e, -EINVAL,
				"port id \"%.60s\" is not made of 1 to %d letters, digits, - and _",
				p->id, PORT_ID_MAX - 1);
		if (id_used(o, p, p->id))
			return err_set(e, -EINVAL, "port %s: another port has the same id", p->id);
		ret = port_check(p, e);
		if (ret) {
			err_prefix(e, "port %s: ", p->id);
			return ret;
		}
	}
	return 0;
}

void run_opts_free(struct run_opts *o)
{
	unsigned int i;

	for (i = 0; i < o->nports; i++) {
		opt_free(o->ports[i]->kind == PORT_NET ? net_opts : disk_opts, o->ports[i]);
		free(o->ports[i]);
	}
	o->nports = 0;
	opt_free(run_opt_table, o);
	free(o->serial);
	free(o->console);
	o->serial = o->console = NULL;
}
