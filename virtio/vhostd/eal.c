// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starting DPDK, and giving up privilege.
 *
 * EAL gets lcore 0, the control loop, on any CPU that we may use, and lcore 1 + n on the n-th CPU
 * of the poll loops. Nothing is left in the file system (--in-memory), and no PCI function is
 * probed but those that ports name, later, one by one: a host's own card has DPDK drivers too.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtio/vhostd/daemon.h"
#include "virtio/vhostd/port.h"

#define MBUFS_USUAL 16384u
#define MBUF_BYTES  2560 /* with its data and what surrounds it */
#define ARGS_MAX    (TEXTS_MAX + 32)

unsigned int daemon_cpus(const struct daemon_opts *o, unsigned int cpu[LCORES_MAX])
{
	unsigned int i, n = 0;
	cpu_set_t set;

	for (i = 0; i < OPT_SET_MAX && n < LCORES_MAX; i++)
		if (opt_set_has(&o->lcores, i))
			cpu[n++] = i;
	if (n)
		return n;
	cpu[0] = 0;
	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			cpu[0] = i;
	return 1;
}

/* "0@(0,1,2),1@2": the control loop anywhere, loops where they were asked for. */
static void lcores_text(const struct daemon_opts *o, char *buf, size_t size)
{
	unsigned int i, cpu[LCORES_MAX], n = daemon_cpus(o, cpu);
	const char *sep = "";
	cpu_set_t set;
	size_t k;

	k = (size_t)snprintf(buf, size, "0@(");
	if (sched_getaffinity(0, sizeof(set), &set))
		CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE && k < size / 2; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		k += (size_t)snprintf(buf + k, size - k, "%s%u", sep, i);
		sep = ",";
	}
	k += (size_t)snprintf(buf + k, size - k, ")");
	for (i = 0; i < n && k < size; i++)
		k += (size_t)snprintf(buf + k, size - k, ",%u@%u", i + 1, cpu[i]);
}

/* DPDK answers a CPU that it may not have with its own usage text. */
static int lcores_check(const struct daemon_opts *o, struct err *e)
{
	cpu_set_t set;
	unsigned int i;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (i = 0; i < OPT_SET_MAX; i++)
		if (opt_set_has(&o->lcores, i) && (i >= CPU_SETSIZE || !CPU_ISSET(i, &set)))
			return err_set(
				e, -EINVAL,
				"--lcores: this process may not run on CPU %u (Cpus_allowed_list "
				"in /proc/self/status has those it may)",
				i);
	return 0;
}

int daemon_eal(const struct daemon_opts *o, struct err *e)
{
	char lcores[4096], memory[16], *argv[ARGS_MAX];
	unsigned int i;
	int argc = 0, ret = lcores_check(o, e);

	if (ret)
		return ret;
	lcores_text(o, lcores, sizeof(lcores));
	snprintf(memory, sizeof(memory), "%u", o->memory);
	argv[argc++] = (char *)"sluice-vhostd";
	argv[argc++] = (char *)"--lcores";
	argv[argc++] = lcores;
	argv[argc++] = (char *)"-m";
	argv[argc++] = memory;
	/* --no-pci would never find what ports name; a list of one that cannot be lets nothing else
	 * in. */
	argv[argc++] = (char *)"-a";
	argv[argc++] = (char *)"ffff:ff:1f.7";
	/* Without huge pages EAL refuses --in-memory, whose other half is this. */
	if (o->no_huge)
		argv[argc++] = (char *)"--no-huge";
	argv[argc++] = (char *)(o->no_huge ? "--no-shconf" : "--in-memory");
	for (i = 0; i < o->eal.n; i++)
		argv[argc++] = o->eal.text[i];
	argv[argc] = NULL;
	rte_log_set_global_level(o->log >= LOG_DEBUG ? RTE_LOG_INFO : RTE_LOG_WARNING);
	if (rte_eal_init(argc, argv) >= 0)
		return 0;
	err_sys(e, -rte_errno, "DPDK does not start");
	if (!o->no_huge)
		err_append(e,
			   " (are %u MiB of huge pages free? sysctl vm.nr_hugepages, or --no-huge)",
			   o->memory);
	return e->code;
}

/*
 * Half of the memory, which leaves room for the rings of devices. Huge pages are taken as they are
 * needed during set-up, so there the usual number is right for any --memory.
 */
uint32_t daemon_mbufs(const struct daemon_opts *o)
{
	uint32_t room = (uint32_t)(MIB((uint64_t)o->memory) / 2 / MBUF_BYTES);

	if (o->mbufs)
		return o->mbufs;
	return o->no_huge ? MIN(room, MBUFS_USUAL) : MBUFS_USUAL;
}

/* The kernel drops the capabilities of who stops being root; others may have brought some. */
static int caps_none(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	return syscall(SYS_capset, &h, none) ? -errno : 0;
}

/* What was made for others to come in by was made by who we are not any more. */
static int give(struct vhostd *d, const struct passwd *pw, struct err *e)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	int ret = ports_give(d->sw, pw->pw_uid, pw->pw_gid);

	if (!ret)
		ret = disks_give(d->disks, pw->pw_uid, pw->pw_gid);
	/* systemd made it for us, and what comes later is to go there: the control socket, new
	 * ports. */
	if (!ret && dir && lchown(dir, pw->pw_uid, pw->pw_gid))
		return err_sys(e, -errno, "cannot give %.200s to %.60s", dir, pw->pw_name);
	return ret ? err_sys(e, ret, "cannot give the sockets to %.60s", pw->pw_name) : 0;
}

int daemon_drop(struct vhostd *d, const char *user, struct err *e)
{
	struct passwd *pw = getpwnam(user);
	int ret;

	if (!pw)
		return err_set(e, -ENOENT, "there is no user %.60s", user);
	ret = give(d, pw, e);
	if (ret)
		return ret;
	/* glibc does these on all threads. */
	if (initgroups(user, pw->pw_gid) || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid))
		return err_sys(e, -errno, "cannot become %.60s", user);
	ret = caps_none();
	if (ret)
		return err_sys(e, ret, "cannot give up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, -errno, "cannot give up new privileges");
	return 0;
}
