/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_RUN_PRIV_H
#define CMD_RUN_PRIV_H

#include <signal.h>

#include "cmd/ctl.h"
#include "cmd/plan.h"
#include "cmd/run_opts.h"
#include "sriov/vf.h"
#include "vfio/ctx.h"
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"

/** struct run_port - a port on its way from plan to device. */
struct run_port {
	const struct port_spec *spec;
	struct plan *plan;
	struct sriov_vf vf; /* valid while taken */
	struct vm_dev *dev; /* the context's until it is on the machine, then the machine's */
	struct run *run;
	bool taken;
	char event[200]; /* the last error or request event, for "ctl ports" */
};

/**
 * struct run - one "sluice run"
 * The steps of run.c bring its parts up in order and take them down in reverse.
 *
 * @boot:    kernel and initrds, open for as long as the machine may reboot
 * @ev:      the main loop: serial port, control socket, signals, device events, resets
 * @sigs:    termination signals so far: the first is the power button
 * @vm:      all zero until its step is up
 * @planner: the plans of all ports, also of those that were refused
 * @journal: open from the first port taken to the last one given back; NULL without ports
 * @vfio:    NULL without ports
 */
struct run {
	struct sys *sys;
	struct log log;
	struct run_opts o;
	const char *name;

	struct vm_boot boot;
	struct ev *ev;
	sigset_t old_mask;
	int sigfd;
	struct ev_src *sig_src;
	unsigned int sigs;

	struct vm vm;
	struct ctl *ctl;

	struct sriov sriov;
	struct planner planner;
	struct sriov_journal *journal;
	struct vfio_ctx *vfio;
	struct run_port ports[RUN_PORTS_MAX];
	unsigned int nports;
};

/* run_check.c: what needs no change of the host. */
/** run_check_memory() - is there that much, of such pages, on that node? Says both numbers. */
int run_check_memory(struct run *r, struct err *e) __must_check;

/* run_sig.c: SIGTERM, SIGINT and SIGHUP arrive on the main loop. */
int run_sig_up(struct run *r, struct err *e) __must_check;
void run_sig_down(struct run *r);
/** run_sig_pending() - did a termination signal arrive while the main loop does not run yet? */
bool run_sig_pending(struct run *r);

/* run_ports.c */
/** run_plan() - plan all ports; the error is that of the first one refused. Changes nothing. */
int run_plan(struct run *r, struct err *e) __must_check;
/** run_take() - take a function for each port; all or none. run_give_back() undoes it. */
int run_take(struct run *r, struct err *e) __must_check;
void run_give_back(struct run *r);
/** run_vfio_open() - open groups and devices; all or none. run_vfio_close() undoes it. */
int run_vfio_open(struct run *r, struct err *e) __must_check;
void run_vfio_close(struct run *r);
/** run_ram_place() - lay RAM out where all devices reach it, and map it for them. */
int run_ram_place(struct run *r, struct err *e) __must_check;
/** run_ports_add() - put the devices on the machine's PCI hierarchy. */
int run_ports_add(struct run *r, struct err *e) __must_check;

/* run_devs.c: the fixed devices of the machine. */
int run_devs_add(struct run *r, struct err *e) __must_check;

/** run_tty() - the terminal's settings before the serial port made it raw; one for the process. */
struct chr_tty *run_tty(void);

/* run_ctl.c, run_stat.c: all take the VM lock themselves. NULL: memory is out. */
json_t *run_stat(struct run *r);

#endif
