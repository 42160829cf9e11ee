/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SRIOV_WORLD_H
#define TESTS_SRIOV_WORLD_H

#include <linux/if_link.h>
#include "sriov/netvf.h"
#include "sriov/own.h"
#include "sriov/vf.h"
#include "tests/unit/fake/fakesys.h"

/*
 * A host with an igb PF (eth0, 0000:01:00.0, 7 VFs), an NVMe PF (nvme0, 0000:02:00.0, 4 VFs), an
 * e1000 (eth1, 0000:00:10.0), and a bridge (0000:00:04.0): a sysfs tree whose files behave, an
 * rtnetlink peer, an NVMe admin queue, and processes that can die in the middle of anything.
 */
#define NET_VFS	 7
#define NVME_VFS 4
#define GROUPS	 64

struct world_sec {
	uint16_t vq, vi;
	bool online;
	unsigned int resets;
};

struct world {
	struct fakesys *f;
	struct sriov_netvf net[NET_VFS];
	struct world_sec sec[NVME_VFS];
	unsigned int vq_total, vi_total, vq_max, vi_max;
	bool held[GROUPS]; /* VFIO group open in a foreign process */
	bool mounted;	   /* nvme0n1 */
	unsigned int addr_ifindex;
	unsigned int busy;   /* so many answers of EBUSY to come */
	bool no_link_state;  /* as igb */
	bool no_trust;	     /* a driver that does not tell trust */
	uint32_t rate_step;  /* the driver rounds rates down to these */
	unsigned int list_n; /* NVMe: what the list claims its length is; 0: the truth */
	bool list_shuffled;  /* NVMe: identifiers that do not rise */
	bool nvme_drops;     /* NVMe: going offline takes the resources away */
	struct proc *procs;
};

/* A process: its own door to the fake kernel, with its fds and locks. */
struct proc {
	struct sys sys;
	struct sys_ops ops;
	struct world *w;
	struct proc *next;
	struct sriov c;
	pid_t pid;
	unsigned int die_at, changes; /* dies when about to make change number die_at; 0: never */
	bool dead;
	struct {
		int fd, lock; /* lock: LOCK_SH, LOCK_EX or 0 */
		char path[128];
	} fd[64];
	unsigned int nfds;
	char last_log[1200];
	unsigned int logged;
	struct log log;
};

struct world *world_new(void);
void world_free(struct world *w);

/* A process with that pid; it lives in /proc. */
struct proc *world_proc(struct world *w, pid_t pid);
/* kill -9: all it has is closed, and it leaves /proc. */
void proc_kill(struct proc *p);
/* fds it has open. */
unsigned int proc_fds(const struct proc *p);

/* All state that a user could see, but for lock files; malloc'd. */
char *world_dump(struct world *w);

void world_bind(struct world *w, const char *bdf, const char *driver);
const char *world_driver(struct world *w, const char *bdf);
void world_set_numvfs(struct world *w, const char *pf, const char *n);

#define NET_PF	"0000:01:00.0"
#define NVME_PF "0000:02:00.0"
#define E1000	"0000:00:10.0"
#define BRIDGE	"0000:00:04.0"

#endif
