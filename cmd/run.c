// SPDX-License-Identifier: BSD-3-Clause
/*
 * "sluice run". Setting up a machine is a table of steps, each with its undoing. They go up in
 * order; the first that fails, or the end of the run, takes down those that are up in reverse. The
 * order is the design: what needs no change of the host comes first, then the journaled changes,
 * then the parts that only hold file descriptors and memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/run_priv.h"

/* It is written at the end of the run, which is late to hear that it cannot be. */
static int stats_up(struct run *r, struct err *e)
{
	char dir[PATH_MAX];
	struct stat st;
	int fd, ret;

	if (!r->o.stats)
		return 0;
	fd = sys_open(r->sys, r->o.stats, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	ret = MIN(fd, 0);
	sys_close(r->sys, &fd);
	/* Not made yet: a set-up that fails leaves nothing behind. */
	if (ret == -ENOENT && snprintf(dir, sizeof(dir), "%s", r->o.stats) < (int)sizeof(dir))
		ret = sys_stat(r->sys, dirname(dir), &st);
	return ret ? err_sys(e, ret, "--stats: cannot write %s", r->o.stats) : 0;
}

/* The files stay open, so that a reboot loads what the first boot loaded. */
static int boot_up(struct run *r, struct err *e)
{
	return vm_boot_open(r->sys, &r->boot, r->o.kernel, r->o.initrd, r->o.cmdline, r->o.memory,
			    e);
}

static void boot_down(struct run *r)
{
	vm_boot_close(&r->boot);
}

static int ev_up(struct run *r, struct err *e)
{
	int ret = ev_new(r->sys, &r->ev);

	return ret ? err_sys(e, ret, "cannot make an event loop") : 0;
}

static void ev_down(struct run *r)
{
	ev_free(r->ev);
}

static int ctl_up(struct run *r, struct err *e)
{
	int ret;

	if (!r->o.control)
		return 0;
	ret = ctl_new(r->sys, &r->log, r->ev, r->o.control, vm_ctl_cmds, r, &r->ctl, e);
	if (ret)
		err_prefix(e, "--control: ");
	return ret;
}

static void ctl_down(struct run *r)
{
	ctl_free(r->ctl);
}

static int load(struct vm *vm, void *arg, struct vm_boot_regs *regs, struct err *e)
{
	return vm_boot_load(vm, arg, regs, e);
}

static int vm_up(struct run *r, struct err *e)
{
	struct vm_cfg cfg = {
		.name = r->name,
		.ncpus = r->o.cpus,
		.pin = r->o.pin_given ? &r->o.pin : NULL,
		.no_reboot = r->o.no_reboot,
	};
	struct vm_accel *accel;
	int ret = vm_kvm_new(r->sys, &r->log, &accel, e);

	if (!ret)
		ret = vm_init(&r->vm, r->sys, &r->log, r->ev, accel, &cfg, e);
	r->vm.boot = load;
	r->vm.boot_arg = &r->boot;
	return ret;
}

static void vm_down(struct run *r)
{
	vm_fini(&r->vm);
}

/* On a terminal only: a log has no use for a line that changes. */
static void ram_progress(void *arg, uint64_t done, uint64_t total)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rsluice: memory: %llu of %llu MiB%s",
			(unsigned long long)done >> 20, (unsigned long long)total >> 20,
			done == total ? "\n" : "");
}

static int ram_up(struct run *r, struct err *e)
{
	struct vm_ram_cfg cfg = {
		.size = r->o.memory,
		.page = (enum vm_page)r->o.page,
		.node = r->o.node_given ? (int)r->o.node : -1,
		/* An assigned device pins all of it: taken at once, it comes in huge pages. */
		.prefault = r->o.prefault || run_pins(r),
		.background = r->background,
		.progress = ram_progress,
	};
	int ret = vm_ram_alloc(r->sys, &r->vm.ram, &cfg, e);

	if (ret)
		err_prefix(e, "--memory: ");
	return ret;
}

/* From here on pages are needed: the IOMMU's map pins them. */
static int ram_wait(struct run *r, struct err *e)
{
	int ret = vm_ram_wait(&r->vm.ram, e);

	if (ret)
		err_prefix(e, "--memory: ");
	return ret;
}

/*
 * Linux uses CF8h/CFCh whenever they are there, at two exits an access, and does as well with ECAM
 * at one. Others, and a Linux that is told to live without ACPI, find nothing without them.
 */
static bool wants_conf1(const struct run *r)
{
	const char *line = r->o.cmdline ? r->o.cmdline : "";

	return !r->boot.is_linux || strstr(line, "acpi=off") || strstr(line, "pci=conf1");
}

static int pci_up(struct run *r, struct err *e)
{
	int ret = vm_pci_new(&r->vm, wants_conf1(r), &r->vm.pci, e);

	return ret ? ret : run_devs_add(r, e);
}

static int cpus_up(struct run *r, struct err *e)
{
	int ret = vm_pci_setup(r->vm.pci, e);

	return ret ? ret : vm_vcpus_new(&r->vm, e);
}

static int start_up(struct run *r, struct err *e)
{
	return vm_start(&r->vm, e);
}

static void start_down(struct run *r)
{
	vm_stop(&r->vm);
}

/*
 * vm_fini() frees RAM, so the steps behind "machine" that have no undoing of their own are undone
 * there. The VFIO context goes before: devices must not write into memory that is about to go.
 */
static const struct run_step {
	const char *name;
	int (*up)(struct run *r, struct err *e);
	void (*down)(struct run *r);
} steps[] = {
	{ "statistics", stats_up, NULL },
	{ "kernel", boot_up, boot_down },
	{ "memory check", run_check_memory, NULL },
	{ "event loop", ev_up, ev_down },
	{ "signals", run_sig_up, run_sig_down },
	{ "plan", run_plan, NULL },
	{ "control socket", ctl_up, ctl_down },
	{ "I/O threads", run_io_up, run_io_down },
	{ "machine", vm_up, vm_down },
	{ "memory", ram_up, NULL },
	{ "ports: take", run_take, run_give_back },
	{ "ports: open", run_open, run_close },
	{ "memory: wait", ram_wait, NULL },
	{ "memory: place", run_ram_place, NULL },
	{ "devices", pci_up, NULL },
	{ "ports: attach", run_ports_add, NULL },
	{ "virtio", run_virtio_add, NULL },
	{ "vCPUs", cpus_up, NULL },
	{ "start", start_up, start_down },
};

/* Returns how many steps are up; fewer than all with e filled. */
static unsigned int steps_up(struct run *r, struct err *e)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		if (run_sig_pending(r)) {
			err_set(e, -EINTR, "interrupted by a signal before the guest ran");
			return i;
		}
		log_debug(&r->log, "set-up: %s", steps[i].name);
		if (steps[i].up(r, e))
			return i;
	}
	return i;
}

static void steps_down(struct run *r, unsigned int n)
{
	while (n--)
		if (steps[n].down)
			steps[n].down(r);
}

/* enum vm_end in terms of the shell; see cmd_exit_texts. */
static int exit_status(const struct run *r)
{
	switch (r->vm.end) {
	case VM_END_POWEROFF:
	case VM_END_QUIT:
	case VM_END_NONE:
		return CMD_OK;
	case VM_END_RESET:
		return CMD_REBOOTED;
	case VM_END_DEBUG_EXIT:
		return r->vm.end_status & 0xff;
	case VM_END_CRASH:
	case VM_END_FAIL:
		return CMD_CRASHED;
	}
	return CMD_CRASHED;
}

static void stats_write(struct run *r)
{
	json_t *o = r->o.stats ? run_stat(r) : NULL;

	if (!r->o.stats)
		return;
	if (!o || json_dump_file(o, r->o.stats, JSON_INDENT(2)))
		log_err(&r->log, "--stats: cannot write %s", r->o.stats);
	json_decref(o);
}

/* Up, run, down. The VFIO devices are still open when the statistics are written. */
static int run_machine(struct run *r, struct err *e)
{
	unsigned int up = steps_up(r, e);
	int status = CMD_FAILED, ret;

	if (up == ARRAY_SIZE(steps)) {
		ret = ev_run(r->ev);
		if (ret)
			log_err(&r->log, "the event loop gave up: %s", strerror(-ret));
		vm_stop(&r->vm);
		status = ret ? CMD_FAILED : exit_status(r);
		stats_write(r);
	}
	steps_down(r, up);
	/* The terminal is itself again only now, so the error comes last. */
	return up == ARRAY_SIZE(steps) ? status : cmd_fail(e, false);
}

/* --explain: needs neither KVM nor a kernel that can be read. */
static int run_explain(struct run *r, struct err *e)
{
	int ret = run_plan(r, e);

	plan_print(&r->planner, stdout);
	return ret ? CMD_FAILED : CMD_OK;
}

static int run_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct run r = { .sys = s, .background = true, .sigfd = -1, .console_slave = -1 };
	struct err e = { 0 };
	int rest, status = CMD_USAGE;

	run_opts_init(&r.o);
	if (!cmd_parse(c, &r.o, argc, argv, &rest, &status))
		goto out;
	if (rest != argc)
		err_set(&e, -EINVAL, "there is no operand: %.60s", argv[rest]);
	if (e.code || run_opts_check(&r.o, &e)) {
		cmd_err_prefix(&e, c);
		status = cmd_fail(&e, true);
		goto out;
	}
	r.log = cmd_log(r.o.log);
	r.name = r.o.name ? r.o.name : "vm";
	status = r.o.explain ? run_explain(&r, &e) : run_machine(&r, &e);
out:
	run_opts_free(&r.o);
	return status;
}

const struct cmd cmd_run = {
	.name = "run",
	.help = "run a virtual machine",
	.about =
		"Boots a kernel in a virtual machine whose ports are given the best I/O path the host offers: an "
		"assigned function (vfio), another process (vhost-user) or the VMM itself (virtio), whichever of those "
		"that a port names works first. Ends when the guest powers off; SIGTERM presses its power button, a second one stops it. What is changed "
		"on the host is given back at the end, and can be given back by 'sluice vf restore' after a crash",
	.opts = run_opt_table,
	.fn = run_main,
};
