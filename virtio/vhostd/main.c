// SPDX-License-Identifier: BSD-3-Clause
/*
 * sluice-vhostd: set-up in order, the control loop, teardown in reverse.
 */
#include <errno.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/lcore.h"
#include "virtio/vhostd/port.h"

struct daemon {
	struct vhostd d;
	struct daemon_opts o;
	struct log log;
	int sig_fd;
	struct ev_src *sig_src, *bus_src;
	struct log_limit bus_limit;
	bool eal, launched;
};

/* ---- telemetry: on a thread of DPDK's ---- */

static void tel_number(struct rte_tel_data *t, const char *dir, unsigned int q, const char *what,
		       const char *which, uint64_t v)
{
	char name[RTE_TEL_MAX_STRING_LEN];

	snprintf(name, sizeof(name), "%s_q%u_%s%s", dir, q, what, which);
	rte_tel_data_add_dict_u64(t, name, v);
}

static void tel_count(struct rte_tel_data *t, const char *dir, unsigned int q,
		      const struct sw_count *c)
{
	unsigned int i;

	tel_number(t, dir, q, "packets", "", c->packets);
	tel_number(t, dir, q, "bytes", "", c->bytes);
	for (i = 0; i < DROP_N; i++)
		if (c->drops[i])
			tel_number(t, dir, q, "drop_", sw_drop_names[i], c->drops[i]);
	for (i = 0; i < SW_HIST; i++)
		if (c->hist[i])
			tel_number(t, dir, q, "batch_", sw_hist_names[i], c->hist[i]);
}

struct tel_arg {
	const char *name;
	struct rte_tel_data *t;
	int ret;
};

static void tel_port(void *arg)
{
	struct tel_arg *a = arg;
	struct sw_port *p = a->name ? sw_port_find(glue_sw(), a->name) : NULL;
	struct sw_count tx;
	unsigned int q;

	if (!p)
		return;
	rte_tel_data_start_dict(a->t);
	for (q = 0; q < SW_QUEUES; q++) {
		sw_tx_count(p, q, &tx);
		if (!p->rxq[q] && !tx.packets)
			continue;
		tel_count(a->t, "out", q, &tx);
		if (p->rxq[q])
			tel_count(a->t, "in", q, &p->rxq[q]->count);
	}
	a->ret = 0;
}

static int tel_port_cmd(const char *cmd, const char *params, struct rte_tel_data *t)
{
	struct tel_arg a = { .name = params, .t = t, .ret = -1 };

	if (glue_sw())
		glue_locked(tel_port, &a);
	return a.ret;
}

static void tel_list(void *t)
{
	unsigned int i;

	rte_tel_data_start_array(t, RTE_TEL_STRING_VAL);
	for (i = 0; i < SW_PORTS; i++) {
		struct sw_port *p = sw_port_at(glue_sw(), i);

		if (p)
			rte_tel_data_add_array_string(t, p->name);
	}
}

static int tel_ports_cmd(const char *cmd, const char *params, struct rte_tel_data *t)
{
	if (!glue_sw())
		return -1;
	glue_locked(tel_list, t);
	return 0;
}

static void telemetry(const struct log *log)
{
	if (rte_telemetry_register_cmd("/sluice/ports", tel_ports_cmd,
				       "Names of ports. No parameters") ||
	    rte_telemetry_register_cmd("/sluice/port", tel_port_cmd,
				       "Counters of a port's queues. Parameter: name"))
		log_warn(log, "no telemetry: DPDK does not take our commands");
}

/* ---- set-up ---- */

static void on_signal(void *arg, uint32_t events)
{
	struct daemon *m = arg;

	ev_stop(m->d.ev);
}

/* Before any other thread is: all of them inherit the mask. */
static int signals(struct daemon *m, struct err *e)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	m->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->sig_fd < 0)
		return err_sys(e, -errno, "cannot watch for signals");
	ret = ev_add(m->d.ev, m->sig_fd, EPOLLIN, on_signal, m, &m->sig_src);
	return ret ? err_sys(e, ret, "cannot watch for signals") : 0;
}

/* Somebody's memory went away while it was in use. */
static void on_bus(void *arg, uint32_t events)
{
	struct daemon *m = arg;
	const void *p;

	while ((p = bus_take(m->d.bus)))
		if (!disks_fault(m->d.disks, p) && !port_fault(m->d.sw, p))
			log_limited(
				m->d.log, &m->bus_limit, LOG_WARN,
				"memory was cut short by a front end that is not there any more");
}

static int bus(struct daemon *m, struct err *e)
{
	int ret = bus_new(&m->d.bus, e);

	if (ret)
		return ret;
	ret = ev_add(m->d.ev, bus_fd(m->d.bus), EPOLLIN, on_bus, m, &m->bus_src);
	return ret ? err_sys(e, ret, "cannot watch for memory that goes") : 0;
}

static int loops(struct daemon *m, struct err *e)
{
	unsigned int i, cpu[LCORES_MAX], n = daemon_cpus(&m->o, cpu);
	int ret;

	for (i = 0; i < n; i++) {
		struct lcore_cfg c = { .index = i, .cpu = cpu[i], .busy = m->o.busy };

		ret = lcore_new(&c, &m->d.lcore[i], e);
		if (ret)
			return ret;
		m->d.nlcores++;
	}
	return 0;
}

static int launch(struct daemon *m, struct err *e)
{
	unsigned int i;
	int ret;

	m->launched = true;
	for (i = 0; i < m->d.nlcores; i++) {
		ret = rte_eal_remote_launch(lcore_main, m->d.lcore[i], i + 1);
		if (ret)
			return err_sys(e, ret, "cannot start a poll loop");
	}
	return 0;
}

static int ports(struct daemon *m, struct err *e)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < m->o.ports.n; i++)
		ret = port_add(m->d.sw, m->o.ports.text[i], e);
	for (i = 0; !ret && i < m->o.disks.n; i++)
		ret = disk_add(m->d.disks, m->o.disks.text[i], e);
	return ret;
}

static int start(struct daemon *m, struct err *e)
{
	struct sw_cfg sc = { .d = &m->d, .mbufs = daemon_mbufs(&m->o), .age_s = m->o.age };
	int ret = ev_new(m->d.sys, &m->d.ev);

	if (ret)
		return err_sys(e, ret, "cannot make an event loop");
	ret = signals(m, e);
	if (!ret)
		ret = daemon_eal(&m->o, e);
	if (ret)
		return ret;
	m->eal = true;
	ret = bus(m, e);
	if (!ret)
		ret = loops(m, e);
	if (!ret)
		ret = sw_new(&sc, &m->d.sw, e);
	if (!ret) {
		glue_set_sw(m->d.sw);
		telemetry(m->d.log);
		ret = disks_new(&m->d, e);
	}
	if (!ret)
		ret = launch(m, e);
	if (!ret)
		ret = ports(m, e);
	bus_pages_stay();
	if (!ret && m->o.user)
		ret = daemon_drop(&m->d, m->o.user, e);
	if (!ret && m->o.control)
		ret = ctl_new(m->d.sys, m->d.log, m->d.ev, m->o.control, daemon_cmds, &m->d,
			      &m->d.ctl, e);
	return ret;
}

static void stop(struct daemon *m)
{
	unsigned int i;

	ctl_free(m->d.ctl);
	disks_free(m->d.disks);
	sw_ports_free(m->d.sw);
	for (i = 0; m->launched && i < m->d.nlcores; i++)
		lcore_stop(m->d.lcore[i]);
	if (m->launched)
		rte_eal_mp_wait_lcore();
	glue_set_sw(NULL);
	sw_free(m->d.sw);
	for (i = 0; i < m->d.nlcores; i++)
		lcore_free(m->d.lcore[i]);
	ev_del(m->bus_src);
	bus_free(m->d.bus);
	ev_del(m->sig_src);
	sys_close(m->d.sys, &m->sig_fd);
	ev_free(m->d.ev);
	if (m->eal)
		rte_eal_cleanup();
}

static int run(struct daemon *m)
{
	struct err e = { 0 };
	int ret = start(m, &e);

	if (!ret) {
		log_info(m->d.log, "ready: %u poll loop%s", m->d.nlcores,
			 m->d.nlcores == 1 ? "" : "s");
		ret = ev_run(m->d.ev);
		if (ret)
			err_sys(&e, ret, "the control loop failed");
	}
	if (ret)
		fprintf(stderr, "sluice-vhostd: %s\n", e.text);
	stop(m);
	return ret ? 1 : 0;
}

static void usage(void)
{
	printf("usage: sluice-vhostd [OPTIONS]\n\n");
	opt_help_text(daemon_about, stdout);
	putchar('\n');
	opt_help(daemon_opts_table, true, stdout);
}

int main(int argc, char **argv)
{
	struct daemon m = { .sig_fd = -1, .o = { .memory = 128, .age = 300, .log = LOG_INFO } };
	struct err e = { 0 };
	int rest = 0, ret = opt_parse_argv(daemon_opts_table, &m.o, argc - 1, argv + 1, &rest, &e);

	m.d.sys = sys_host();
	m.log = (struct log){ .level = (enum log_level)m.o.log, .sink = log_stderr_sink };
	m.d.log = &m.log;
	umask(077);
	if (!ret && rest < argc - 1)
		ret = err_set(&e, -EINVAL, "there is no operand \"%.60s\"", argv[1 + rest]);
	if (ret == -ECANCELED)
		usage();
	else if (ret)
		fprintf(stderr, "sluice-vhostd: %s\n", e.text);
	else if (m.o.version)
		printf("sluice-vhostd %s\n", SLUICE_VERSION);
	else
		ret = run(&m);
	daemon_opts_free(&m.o);
	return ret == -ECANCELED ? 0 : ret < 0 ? 2 : ret;
}
