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
#include "vmm/core/iothread.h"
#include "vmm/core/vm.h"

struct run_port;

/** enum port_phase - how far a port is; undone in reverse. */
enum port_phase {
	PORT_PLANNED, /* nothing was done */
	PORT_TAKEN,   /* what it needs of the host is ours, and journaled */
	PORT_OPEN,    /* its device is made, the guest sees nothing yet */
	PORT_ADDED,   /* the device is on the machine, and the machine's */
};

/** struct port_view - a row of "ctl ports"; what is not filled is shown as "-". */
struct port_view {
	char host[112], state[200];
	int group;
	const char *irq;
	unsigned int vectors, used;
};

/**
 * struct port_ops - how a mode is brought up; a failure leaves nothing of its phase behind
 * @take:  change the host, journaled; @give_back: undo it. Both may be NULL
 * @open:  make the device: fills dev of the port
 * @ready: finish what @open has begun, once all ports were opened; may be NULL. A failure leaves
 *the device, which @close frees
 * @close: free the device, if there is one, and what is then needed no more
 * @view:  VM lock held, dev is there
 * @stat:  rows for "ctl stat", added to the lists of o; VM lock held, dev is there
 */
struct port_ops {
	enum port_mode mode;
	int (*take)(struct run_port *p, struct err *e);
	void (*give_back)(struct run_port *p);
	int (*open)(struct run_port *p, struct err *e);
	int (*ready)(struct run_port *p, struct err *e);
	void (*close)(struct run_port *p);
	void (*view)(struct run_port *p, struct port_view *out);
	void (*stat)(struct run_port *p, json_t *o);
};

/** run_port_close_dev() - close of a mode that made nothing but the device (run_virtio.c). */
void run_port_close_dev(struct run_port *p);

extern const struct port_ops port_vfio, port_vhost_user, port_virtio, port_emulated;

/**
 * struct run_port - a port on its way from plan to device
 * @mac: of a network port that is no VF
 * @io:  threads that serve it, the first one another for each port
 * @vf:  mode vfio, from PORT_TAKEN on
 * @dev: from PORT_OPEN on
 * @event: the last error or request event, for "ctl ports"
 */
struct run_port {
	const struct port_spec *spec;
	struct plan *plan;
	const struct port_ops *ops;
	enum port_phase phase;
	struct run *run;
	struct mac mac;
	struct vm_iothread *io[RUN_IO_MAX];
	struct sriov_vf vf;
	struct vm_dev *dev;
	char event[200];
};

/**
 * struct run - one "sluice run"
 * The steps of run.c bring its parts up in order and take them down in reverse.
 *
 * @background: what waits for the kernel does so on threads (not in tests over a fake kernel)
 * @boot:    kernel and initrds, open for as long as the machine may reboot
 * @ev:      the main loop: serial port, control socket, signals, device events, resets
 * @sigs:    termination signals so far: the first is the power button
 * @vm:      all zero until its step is up
 * @planner: the plans of all ports, also of those that were refused
 * @modes:   what runs a mode, by enum port_mode; NULL: the program's own (tests bring theirs)
 * @journal: open from the first port taken to the last one given back, else NULL
 * @vfio:    NULL without assigned functions
 * @io:      I/O threads, from before the machine to after it
 * @console_slave: the other end of the virtio console's pseudo terminal, or -1
 */
struct run {
	struct sys *sys;
	struct log log;
	struct run_opts o;
	const char *name;
	bool background;

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
	const struct port_ops *const *modes;
	struct run_port ports[RUN_PORTS_MAX];
	unsigned int nports;
	struct vm_iothread *io[RUN_IO_MAX];
	unsigned int nio;
	int console_slave;
};

/* run_check.c: what needs no change of the host. */
/** run_check_memory() - is there that much, of such pages, on that node? Says both numbers. */
int run_check_memory(struct run *r, struct err *e) __must_check;

/* run_sig.c: SIGTERM, SIGINT and SIGHUP arrive on the main loop. */
int run_sig_up(struct run *r, struct err *e) __must_check;
void run_sig_down(struct run *r);
/** run_sig_pending() - did a termination signal arrive while the main loop does not run yet? */
bool run_sig_pending(struct run *r);

/* run_ports.c: all ports together, from plan to device. A mode that fails is undone, the next one
 * is tried; each returns an error only when a port has no mode left. */
/** run_plan() - plan all ports; the error is that of the first one refused. Changes nothing. */
int run_plan(struct run *r, struct err *e) __must_check;
/** run_pins() - is a port planned that pins guest memory? */
bool run_pins(const struct run *r);
/** run_take() - take what each port needs of the host; all or none. run_give_back() undoes it. */
int run_take(struct run *r, struct err *e) __must_check;
void run_give_back(struct run *r);
/** run_open() - make the devices; all or none. run_close() undoes it, as far as devices are not the
 * machine's. */
int run_open(struct run *r, struct err *e) __must_check;
void run_close(struct run *r);
/** run_ram_place() - lay RAM out where all assigned functions reach it, and map it for them. */
int run_ram_place(struct run *r, struct err *e) __must_check;
/** run_ports_add() - put the devices on the machine's PCI hierarchy, in the order typed. */
int run_ports_add(struct run *r, struct err *e) __must_check;

struct vu_dev_info;
/** run_vu_state() - a connection to a backend, in words; its length (run_virtio.c). */
size_t run_vu_state(struct run *r, const struct vu_dev_info *i, char *buf, size_t size);

/* run_vfio.c */
/** run_vfio_free() - all assigned functions at once, which quiets them all first. */
void run_vfio_free(struct run *r);

/* run_io.c */
/** run_io_up() - the I/O threads, if the command line can need any. */
int run_io_up(struct run *r, struct err *e) __must_check;
void run_io_down(struct run *r);
/** run_virtio_add() - virtio devices that are no ports. */
int run_virtio_add(struct run *r, struct err *e) __must_check;

/* run_devs.c: the fixed devices of the machine. */
int run_devs_add(struct run *r, struct err *e) __must_check;

/** run_tty() - the terminal's settings before the serial port made it raw; one for the process. */
struct chr_tty *run_tty(void);

/* run_ctl.c, run_stat.c: all take the VM lock themselves. NULL: memory is out. */
json_t *run_stat(struct run *r);
/** run_stat_list() - the list of that name in o, made when it is not there; borrowed. */
json_t *run_stat_list(json_t *o, const char *name);

#endif
