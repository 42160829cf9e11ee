/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_DAEMON_H
#define VIRTIO_VHOSTD_DAEMON_H

#include "virtio/vhostd/vhostd_priv.h"

#define TEXTS_MAX 256

/** struct texts - arguments of options that may be repeated */
struct texts {
	char *text[TEXTS_MAX];
	unsigned int n;
};

struct daemon_opts {
	bool pad; /* offset 0 means "none" in option tables */
	struct texts ports, disks, eal;
	struct opt_set lcores;
	int no_huge, busy, log, version;
	uint32_t memory, mbufs, age;
	char *control, *user;
};

extern const struct opt daemon_opts_table[];
extern const struct ctl_cmd daemon_cmds[];
extern const char daemon_about[];

void daemon_opts_free(struct daemon_opts *o);

/** daemon_eal() - start DPDK: no PCI device is touched that no port names. Once in a process. */
int daemon_eal(const struct daemon_opts *o, struct err *e) __must_check;

/** daemon_mbufs() - how many packet buffers: those asked for, or what is usual, or what there is
 * room for where memory cannot grow. */
uint32_t daemon_mbufs(const struct daemon_opts *o);

/** daemon_drop() - become user, for good: no privilege and no capability stays. Sockets that were
 * made become the user's. */
int daemon_drop(struct vhostd *d, const char *user, struct err *e) __must_check;

/** daemon_cpus() - fills CPUs of the poll loops: those given, or one that we may run on. */
unsigned int daemon_cpus(const struct daemon_opts *o, unsigned int cpu[LCORES_MAX]);

/** daemon_stat() - everything that is counted: the answer of "stat". */
json_t *daemon_stat(struct vhostd *d);
json_t *daemon_ports(struct vhostd *d);

#endif
