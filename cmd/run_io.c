// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O threads. They are there before the machine and go after it: a device that is freed stops its
 * queues on them, and RAM goes after the devices. A port that comes up on an assigned function may
 * still fall back to virtio, so what the command line names decides, not the plan.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "cmd/run_priv.h"
#include "virtio/misc.h"
#include "vmm/devices/chr.h"

static bool needs_threads(const struct run_opts *o)
{
	unsigned int i;

	for (i = 0; i < o->nports; i++)
		if (port_names(o->ports[i], PORT_VHOST_USER) ||
		    port_names(o->ports[i], PORT_VIRTIO))
			return true;
	return o->rng || o->console;
}

/* The i-th of a set, counted round; the set is not empty. */
static unsigned int nth_cpu(const struct opt_set *set, unsigned int i)
{
	unsigned int cpu = 0;

	for (i %= opt_set_count(set);; cpu++)
		if (opt_set_has(set, cpu) && !i--)
			return cpu;
}

static int pin(struct run *r, unsigned int i, struct err *e)
{
	unsigned int cpu = nth_cpu(&r->o.io_pin, i);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(vm_iothread_tid(r->io[i]), sizeof(set), &set))
		return 0;
	return err_sys(e, -errno,
		       "--io-threads: thread %u cannot run on host CPU %u (see taskset -p)", i,
		       cpu);
}

int run_io_up(struct run *r, struct err *e)
{
	unsigned int i, k;
	char name[16];
	int ret = 0;

	while (needs_threads(&r->o) && r->nio < r->o.io_threads && !ret) {
		snprintf(name, sizeof(name), "io%u", r->nio);
		ret = vm_iothread_new(r->sys, name, &r->io[r->nio], e);
		if (ret)
			break;
		ev_poll_window(vm_iothread_ev(r->io[r->nio]), r->o.io_poll_ns);
		r->nio++;
		if (r->o.io_pin_given)
			ret = pin(r, r->nio - 1, e);
	}
	for (i = 0; i < r->nports; i++)
		for (k = 0; k < r->nio; k++)
			r->ports[i].io[k] = r->io[(i + k) % r->nio];
	if (ret)
		run_io_down(r);
	return ret;
}

void run_io_down(struct run *r)
{
	while (r->nio)
		vm_iothread_free(r->io[--r->nio]);
	sys_close(r->sys, &r->console_slave);
}

static int rng_add(struct run *r, struct err *e)
{
	struct vm_dev *d;
	int ret = vio_rng_new(r->sys, "rng0", r->io[0], 0, &d, e);

	return ret ? ret : vm_dev_add(&r->vm, d, e);
}

/* Where the console ends on the host: the device takes both descriptors over. */
static int console_open(struct run *r, int *in, int *out, struct err *e)
{
	const char *spec = r->o.console;
	char path[CHR_PTY_MAX];
	int ret;

	*in = *out = -1;
	if (!strncmp(spec, "file=", 5)) {
		*out = sys_open(r->sys, spec + 5,
				O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				0600);
		return *out < 0 ? err_sys(e, *out, "%s", spec + 5) : 0;
	}
	ret = chr_pty(r->sys, in, &r->console_slave, path, e);
	if (ret)
		return ret;
	*out = fcntl(*in, F_DUPFD_CLOEXEC, 0);
	if (*out < 0) {
		sys_close(r->sys, in);
		return err_sys(e, -errno, "pseudo terminal");
	}
	fprintf(stderr, "sluice: console: %s\n", path);
	return 0;
}

static int console_add(struct run *r, struct err *e)
{
	struct vm_dev *d;
	int in, out, ret = console_open(r, &in, &out, e);

	if (!ret)
		ret = vio_console_new(r->sys, "console0", r->io[0], in, out, 0, &d, e);
	return ret ? ret : vm_dev_add(&r->vm, d, e);
}

int run_virtio_add(struct run *r, struct err *e)
{
	int ret = 0;

	if (r->o.rng) {
		ret = rng_add(r, e);
		if (ret)
			err_prefix(e, "--rng: ");
	}
	if (!ret && r->o.console) {
		ret = console_add(r, e);
		if (ret)
			err_prefix(e, "--console: ");
	}
	return ret;
}
