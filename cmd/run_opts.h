/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_RUN_OPTS_H
#define CMD_RUN_OPTS_H

#include "base/bdf.h"
#include "base/mac.h"
#include "base/opt.h"

enum port_kind { PORT_NET, PORT_DISK };

/** enum port_mode - as the user asked; PORT_AUTO tries the others in this order, but not
 * PORT_EMULATED, which nobody wants who can have virtio. */
enum port_mode { PORT_AUTO, PORT_VFIO, PORT_VHOST_USER, PORT_VIRTIO, PORT_EMULATED, PORT_MODES };

#define PORT_ID_MAX 24

/**
 * struct port_spec - one --net or --disk as typed
 * @pad: keeps offset 0 free, which means "none" in option tables
 * @kind: from the option it was given with
 * @id:  unique among the ports; made up when not given
 * @pf: @bdf: at most one of them: any VF of that function, or this function as it is
 * @socket: of a vhost-user backend; @server: we listen for it
 * @tap: interface of the host; @path: file, block device or "null:SIZE"
 * @serial: of a virtio disk, NULL: the id
 * @vf_token: UUID that the owner of the PF has set
 * @mode: enum port_mode
 * @rate: Mbit/s; @vfs: to make when there are none, 0: the planner's default
 * @queues: of a disk, or pairs of a network port
 * @hide: feature bits that a virtio guest is not offered
 * @trust: @spoofchk: @force_no_reset: 0 or 1; the *_given members tell an option from its default
 */
struct port_spec {
	bool pad;
	enum port_kind kind;
	char *id, *pf, *vf_token, *socket, *tap, *path, *serial;
	int mode, server, readonly, direct, ioeventfd, shadow;
	uint64_t hide;
	struct bdf bdf;
	struct mac mac;
	uint32_t vlan, rate, vfs, queues;
	int trust, spoofchk, link, force_no_reset; /* link: enum sriov_link */
	bool bdf_given, mac_given, vlan_given, rate_given, queues_given, trust_given,
		spoofchk_given, link_given, server_given, direct_given;
};

#define RUN_PORTS_MAX 16
#define RUN_IO_MAX    16

/**
 * struct run_opts - the command line of "sluice run"
 * @initrd:  one file or several with commas between
 * @memory:  bytes; @page: enum vm_page, typed when @page_given; @node: NUMA node, when @node_given
 * @pin:     host CPUs for the vCPUs, when @pin_given; @io_pin: for the I/O threads
 * @control: path of the control socket, or NULL; @stats: of the file with the last statistics, or
 * NULL
 * @log:     enum log_level
 */
struct run_opts {
	bool pad;
	char *kernel, *initrd, *cmdline, *name, *control, *stats;
	uint32_t cpus, io_threads, io_poll_ns;
	struct opt_set pin, io_pin;
	uint64_t memory;
	int page, prefault, explain, no_reboot, rng, log;
	uint32_t node, debug_exit;
	char *serial;  /* as chr_open() wants it; NULL: stdio */
	char *console; /* "pty" or "file=PATH"; NULL: none */
	bool pin_given, io_pin_given, page_given, node_given, debug_exit_given;
	struct port_spec *ports[RUN_PORTS_MAX];
	unsigned int nports;
};

extern const struct opt run_opt_table[];

/** run_opts_init() - defaults. */
void run_opts_init(struct run_opts *o);

/** run_opts_check() - what no single option can tell: contradictions, names used twice; fills in
 * ids. */
int run_opts_check(struct run_opts *o, struct err *e) __must_check;

void run_opts_free(struct run_opts *o);

#define PORT_QUEUES_MAX 16 /* of a virtio device, network pairs or disk queues */

/** port_names() - does the port name what this mode needs? port_keys() - the keys that would. */
bool port_names(const struct port_spec *s, enum port_mode m);
const char *port_keys(enum port_kind k, enum port_mode m);

/** port_mode_name() - the word behind mode=. */
const char *port_mode_name(enum port_mode m);

/** port_kind_name() - "net", "disk": of the option, and in tables. */
const char *port_kind_name(enum port_kind k);

#endif
