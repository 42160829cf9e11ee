// SPDX-License-Identifier: BSD-3-Clause
/*
 * Command lines of the machines and of the backend. What must be equal for a fair comparison is
 * said here once for both VMMs: one vCPU, memory of one size and page, one queue, one storage.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define EXIT_PORT 0xf4u
#define NULL_DISK "null:"
#define MAC_TEXT  18

void bench_arg(struct bench_args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == BENCH_ARGS_MAX || a->bad) {
		a->bad = true;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&a->v[a->n], fmt, ap) < 0)
		a->bad = true;
	else
		a->v[++a->n] = NULL;
	va_end(ap);
}

void bench_args_free(struct bench_args *a)
{
	while (a->n)
		free(a->v[--a->n]);
}

#define ESCAPED_SIZE (2 * PATH_MAX)

/*
 * A comma in a value of a key=value list is doubled, for us as for QEMU. A value that does not fit
 * spoils the command line: cut, it would be the name of another file.
 */
static const char *escaped(struct bench_args *a, const char *s, char buf[ESCAPED_SIZE])
{
	size_t n = 0;

	for (; *s && n + 3 < ESCAPED_SIZE; s++) {
		buf[n++] = *s;
		if (*s == ',')
			buf[n++] = ',';
	}
	a->bad |= *s != 0;
	buf[n] = 0;
	return buf;
}

/* The guest's address is given to it, so that what is sent to it goes nowhere else. */
static const char *mac_text(const struct bench_place *p, char buf[MAC_TEXT])
{
	const uint8_t *m = p->mac;

	snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	return buf;
}

/* ---- the guest's command line ---- */

static void payload_cmdline(const struct bench_cfg *c, const struct bench_load *l,
			    unsigned int seed, char *buf, size_t size)
{
	int n = snprintf(buf, size, "tests=%s ring=3 sync=1 exit=%u seed=%u", l->guest, EXIT_PORT,
			 seed);

	if (c->ops)
		n += snprintf(buf + n, size - (size_t)n, " ops=%llu", (unsigned long long)c->ops);
	else
		n += snprintf(buf + n, size - (size_t)n, " seconds=%u", c->seconds);
	if (l->depth)
		snprintf(buf + n, size - (size_t)n, " depth=%u size=%u", l->depth, l->size);
}

/* The script in the guest reads these words from /proc/cmdline (bench/guest-linux.sh). */
static void linux_cmdline(const struct bench_cfg *c, const struct bench_load *const *l,
			  unsigned int n, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size,
				     "console=ttyS0 quiet panic=-1 bench.seconds=%u bench.ops=%llu "
				     "bench.loads=",
				     c->seconds, (unsigned long long)c->ops);
	unsigned int i;

	for (i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s:%s:%u:%u", i ? "," : "",
				       l[i]->name, l[i]->guest, l[i]->depth, l[i]->size);
}

/* ---- sluice ---- */

static const char *sluice_mode(enum bench_mode m)
{
	switch (m) {
	case BENCH_M_EMULATED:
		return "emulated";
	case BENCH_M_EMULATED_SHADOW:
		return "emulated,shadow-doorbell=on";
	case BENCH_M_EMULATED_IOEVENTFD: /* what rings a doorbell that is also in memory */
		return "emulated,shadow-doorbell=on,ioeventfd=on";
	case BENCH_M_VHOST_USER:
		return "vhost-user";
	case BENCH_M_VFIO:
		return "vfio";
	default:
		return "virtio";
	}
}

/* What the port names; without it the planner says what is missing, which is then the reason. */
static void sluice_port(const struct bench_cfg *c, const struct bench_side *s,
			enum bench_topic topic, const struct bench_place *p, struct bench_args *out)
{
	const char *key = NULL, *value = NULL;
	bool net = topic == BENCH_NET;
	char buf[ESCAPED_SIZE], mac[MAC_TEXT];

	if (s->mode == BENCH_M_VFIO) {
		key = "pf";
		value = net ? c->net_pf : c->disk_pf;
	} else if (s->mode == BENCH_M_VHOST_USER) {
		key = "socket";
		value = net ? c->net_socket : c->disk_socket;
		value = value ? value : p->backend;
	} else {
		key = net ? "tap" : "path";
		value = net ? c->net_tap : c->disk_path;
	}
	bench_arg(out, net ? "--net" : "--disk");
	bench_arg(out, "id=bench,mode=%s%s%s%s%s%s%s%s", sluice_mode(s->mode),
		  net && s->mode == BENCH_M_VFIO ? "" : ",queues=1", net ? ",mac=" : "",
		  net ? mac_text(p, mac) : "", value ? "," : "", value ? key : "", value ? "=" : "",
		  value ? escaped(out, value, buf) : "");
}

static void sluice_args(const struct bench_cfg *c, const struct bench_side *s,
			enum bench_topic topic, const struct bench_place *p, const char *cmdline,
			struct bench_args *out)
{
	bench_arg(out, "%s", c->exe);
	bench_arg(out, "run");
	bench_arg(out, "--name");
	bench_arg(out, "%s", strrchr(p->dir, '/') ? strrchr(p->dir, '/') + 1 : "bench");
	bench_arg(out, "--kernel");
	bench_arg(out, "%s", c->kernel);
	if (c->initrd) {
		bench_arg(out, "--initrd");
		bench_arg(out, "%s", c->initrd);
	}
	bench_arg(out, "--cmdline");
	bench_arg(out, "%s", cmdline);
	bench_arg(out, "--memory");
	bench_arg(out, "%llu,page=%s,prefault=on", (unsigned long long)c->memory, c->page);
	bench_arg(out, "--cpus");
	bench_arg(out, c->cpu >= 0 ? "1,pin=%d" : "1", c->cpu);
	bench_arg(out, "--io-threads");
	bench_arg(out, c->io_cpu >= 0 ? "1,pin=%d" : "1", c->io_cpu);
	bench_arg(out, "--serial");
	bench_arg(out, "stdio");
	bench_arg(out, "--control");
	bench_arg(out, "%s", p->control);
	bench_arg(out, "--no-reboot");
	bench_arg(out, "--debug-exit");
	bench_arg(out, "%u", EXIT_PORT);
	sluice_port(c, s, topic, p, out);
}

/* ---- QEMU: the nearest device of each mode ---- */

static void qemu_disk_node(const char *path, struct bench_args *out)
{
	uint64_t size;
	char buf[ESCAPED_SIZE];

	bench_arg(out, "-blockdev");
	if (!strncmp(path, NULL_DISK, strlen(NULL_DISK)) &&
	    !opt_size_parse(&size, path + strlen(NULL_DISK)))
		bench_arg(out, "driver=null-co,node-name=n,size=%llu,read-zeroes=off",
			  (unsigned long long)size);
	else
		bench_arg(out,
			  "driver=raw,node-name=n,file.driver=file,file.filename=%s,"
			  "file.aio=io_uring",
			  escaped(out, path, buf));
}

static void qemu_socket(const char *path, struct bench_args *out)
{
	char buf[ESCAPED_SIZE];

	bench_arg(out, "-chardev");
	bench_arg(out, "socket,id=c,path=%s", escaped(out, path, buf));
}

static void qemu_disk(const struct bench_cfg *c, const struct bench_side *s,
		      const struct bench_place *p, struct bench_args *out)
{
	if (s->mode == BENCH_M_VHOST_USER) {
		qemu_socket(c->disk_socket ? c->disk_socket : p->backend, out);
		bench_arg(out, "-device");
		bench_arg(out, "vhost-user-blk-pci,chardev=c,num-queues=1");
		return;
	}
	qemu_disk_node(c->disk_path, out);
	if (s->mode == BENCH_M_EMULATED || s->mode == BENCH_M_EMULATED_IOEVENTFD) {
		bench_arg(out, "-device");
		bench_arg(out, "nvme,drive=n,serial=bench,max_ioqpairs=1,ioeventfd=%s",
			  s->mode == BENCH_M_EMULATED ? "off" : "on");
		return;
	}
	bench_arg(out, "-object");
	bench_arg(out, "iothread,id=io0");
	bench_arg(out, "-device");
	bench_arg(out, "virtio-blk-pci,drive=n,num-queues=1,iothread=io0,disable-legacy=on");
}

static void qemu_net(const struct bench_cfg *c, const struct bench_side *s,
		     const struct bench_place *p, struct bench_args *out)
{
	char buf[ESCAPED_SIZE], mac[MAC_TEXT];

	if (s->mode == BENCH_M_VHOST_USER) {
		qemu_socket(c->net_socket ? c->net_socket : p->backend, out);
		bench_arg(out, "-netdev");
		bench_arg(out, "vhost-user,id=n,chardev=c");
	} else {
		bench_arg(out, "-netdev");
		bench_arg(out, "tap,id=n,ifname=%s,script=no,downscript=no,vhost=off",
			  escaped(out, c->net_tap ? c->net_tap : "", buf));
	}
	bench_arg(out, "-device");
	bench_arg(out, "%s,netdev=n,mac=%s",
		  s->mode == BENCH_M_EMULATED ? "e1000" : "virtio-net-pci,disable-legacy=on",
		  mac_text(p, mac));
}

static void qemu_args(const struct bench_cfg *c, const struct bench_side *s, enum bench_topic topic,
		      const struct bench_place *p, const char *cmdline, struct bench_args *out)
{
	bench_arg(out, "%s", c->qemu);
	bench_arg(out, "-nodefaults");
	bench_arg(out, "-no-user-config");
	bench_arg(out, "-no-reboot");
	bench_arg(out, "-display");
	bench_arg(out, "none");
	bench_arg(out, "-name");
	bench_arg(out, "bench,debug-threads=on");
	bench_arg(out, "-machine");
	bench_arg(out, "q35,accel=kvm,memory-backend=m,kernel-irqchip=on");
	bench_arg(out, "-cpu");
	bench_arg(out, "host");
	bench_arg(out, "-m");
	bench_arg(out, "%lluM", (unsigned long long)c->memory >> 20);
	bench_arg(out, "-object");
	bench_arg(out, "memory-backend-memfd,id=m,size=%llu,share=on,prealloc=on%s",
		  (unsigned long long)c->memory,
		  !strcmp(c->page, "2M")   ? ",hugetlb=on,hugetlbsize=2M"
		  : !strcmp(c->page, "1G") ? ",hugetlb=on,hugetlbsize=1G"
					   : "");
	bench_arg(out, "-serial");
	bench_arg(out, "stdio");
	bench_arg(out, "-device");
	bench_arg(out, "isa-debug-exit,iobase=%#x,iosize=4", EXIT_PORT);
	bench_arg(out, "-kernel");
	bench_arg(out, "%s", c->kernel);
	if (c->initrd) {
		bench_arg(out, "-initrd");
		bench_arg(out, "%s", c->initrd);
	}
	bench_arg(out, "-append");
	bench_arg(out, "%s", cmdline);
	if (topic == BENCH_NET)
		qemu_net(c, s, p, out);
	else
		qemu_disk(c, s, p, out);
}

void bench_vmm_args(const struct bench_cfg *c, const struct bench_side *s,
		    const struct bench_load *const *loads, unsigned int n,
		    const struct bench_place *p, unsigned int seed, struct bench_args *out)
{
	char cmdline[2048];

	if (c->on_linux)
		linux_cmdline(c, loads, n, cmdline, sizeof(cmdline));
	else
		payload_cmdline(c, loads[0], seed, cmdline, sizeof(cmdline));
	if (s->vmm == BENCH_QEMU)
		qemu_args(c, s, loads[0]->topic, p, cmdline, out);
	else
		sluice_args(c, s, loads[0]->topic, p, cmdline, out);
}

/* ---- the backend of vhost-user ---- */

void bench_backend_args(const struct bench_cfg *c, const struct bench_side *s,
			enum bench_topic topic, const struct bench_place *p, struct bench_args *out)
{
	const char *given = topic == BENCH_NET ? c->net_socket : c->disk_socket;
	char buf[ESCAPED_SIZE];

	if (s->mode != BENCH_M_VHOST_USER || given)
		return;
	bench_arg(out, "%s", c->vhostd);
	bench_arg(out, "--no-huge");
	/* On the guest's own CPU a poll loop would only keep it from what is polled for. */
	if (c->cpu < 0 || c->cpu != c->io_cpu)
		bench_arg(out, "--busy");
	bench_arg(out, "--lcores");
	bench_arg(out, "%d", c->io_cpu >= 0 ? c->io_cpu : 0);
	bench_arg(out, "--log");
	bench_arg(out, "warning");
	if (topic == BENCH_DISK) {
		bench_arg(out, "--disk");
		bench_arg(out, "name=bench,socket=%s,path=%s", p->backend,
			  escaped(out, c->disk_path, buf));
		return;
	}
	/* The payload's frames are broadcasts: as many as in the other modes. The socket, which
	 * says that all is there, comes last.
	 */
	bench_arg(out, "--port");
	bench_arg(out, "name=host,flood=0,vdev=net_tap0,,iface=%s", p->wire);
	bench_arg(out, "--port");
	bench_arg(out, "name=guest,queues=1,flood=0,socket=%s", p->backend);
}

/* DPDK makes a tap interface of its own: one that is there already has another kind of queues. */
const char *bench_wire(const struct bench_cfg *c, const struct bench_side *s,
		       const struct bench_place *p)
{
	switch (s->mode) {
	case BENCH_M_VFIO: /* VF and PF meet in the card's own switch */
		return c->net_wire;
	case BENCH_M_VHOST_USER:
		return c->net_socket ? NULL : p->wire;
	default:
		return c->net_tap;
	}
}
