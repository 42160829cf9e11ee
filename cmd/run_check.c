// SPDX-License-Identifier: BSD-3-Clause
/* Checks that need nothing but a look: they come first, so that a hopeless command line changes
 * nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/run_priv.h"

#define MEMORY_MIN MIB(16) /* what a loader needs at least, see vm_ram_layout() */

/* For messages. */
static unsigned long long mib(uint64_t bytes)
{
	return (unsigned long long)(bytes >> 20);
}

/* A field of /proc/meminfo in bytes. */
static int meminfo(struct sys *s, const char *key, uint64_t *out)
{
	char buf[8192], *p;
	int ret = sys_file_read(s, buf, sizeof(buf), "/proc/meminfo");

	if (ret < 0)
		return ret;
	p = strstr(buf, key);
	if (!p)
		return -ENOENT;
	*out = strtoull(p + strlen(key), NULL, 10) * 1024;
	return 0;
}

/* MemAvailable is the kernel's own estimate of what can be had without swapping. */
static int check_small_pages(struct run *r, struct err *e)
{
	uint64_t avail, total;

	if (meminfo(r->sys, "MemAvailable:", &avail) || meminfo(r->sys, "MemTotal:", &total))
		return 0; /* no such figures: the allocation will tell */
	if (r->o.memory > avail)
		return err_set(
			e, -ENOMEM,
			"--memory: %llu MiB asked for, the host has %llu MiB available (of %llu)",
			mib(r->o.memory), mib(avail), mib(total));
	return 0;
}

/* Nothing is planned yet: could a port pin the memory? */
static bool may_pin(const struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->o.nports; i++)
		if (port_names(r->o.ports[i], PORT_VFIO))
			return true;
	return false;
}

/* For who asked for huge pages. Guest RAM is a memfd, and those have a switch of their own; Debian
 * has it on "never". Memory that is taken at once gets its huge pages all the same
 * (vmm/core/ram.c). */
static void warn_thp(struct run *r)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	char v[128];

	if (!r->o.page_given || r->o.page != VM_PAGE_THP || r->o.prefault || may_pin(r) ||
	    sys_file_read(r->sys, v, sizeof(v), path) < 0)
		return;
	if (strstr(v, "[never]") || strstr(v, "[deny]"))
		log_warn(&r->log,
			 "--memory: page=thp has no effect, pages will be of 4K "
			 "(add prefault=on, or echo advise > %s)",
			 path);
}

/* The pool of the node asked for, else that of the host. */
static int check_huge_pages(struct run *r, uint64_t page, struct err *e)
{
	uint64_t pool, need = r->o.memory / page;
	char dir[128];
	int ret;

	if (r->o.node_given)
		snprintf(dir, sizeof(dir),
			 "/sys/devices/system/node/node%u/hugepages/hugepages-%llukB", r->o.node,
			 (unsigned long long)page >> 10);
	else
		snprintf(dir, sizeof(dir), "/sys/kernel/mm/hugepages/hugepages-%llukB",
			 (unsigned long long)page >> 10);
	ret = sys_file_read_u64(r->sys, &pool, "%s/free_hugepages", dir);
	if (ret == -ENOENT)
		return err_set(e, -ENOTSUP, "--memory: this host has no pages of %llu MiB",
			       mib(page));
	if (!ret && pool < need)
		return err_set(
			e, -ENOMEM,
			"--memory: %llu pages of %llu MiB are needed, %llu are free (echo N > "
			"%s/nr_hugepages)",
			(unsigned long long)need, mib(page), (unsigned long long)pool, dir);
	return 0;
}

int run_check_memory(struct run *r, struct err *e)
{
	uint64_t page = r->o.page == VM_PAGE_1G	  ? GIB(1)
			: r->o.page == VM_PAGE_2M ? MIB(2)
						  : KIB(4);

	if (r->o.memory < MEMORY_MIN)
		return err_set(e, -EINVAL,
			       "--memory: %llu bytes are too few: at least %llu MiB are needed",
			       (unsigned long long)r->o.memory, mib(MEMORY_MIN));
	if (!IS_ALIGNED(r->o.memory, page))
		return err_set(e, -EINVAL,
			       "--memory: %llu bytes are no multiple of the page size (%llu KiB)",
			       (unsigned long long)r->o.memory, (unsigned long long)page >> 10);
	if (r->o.node_given && !sys_exists(r->sys, "/sys/devices/system/node/node%u", r->o.node))
		return err_set(e, -EINVAL, "--memory: the host has no NUMA node %u", r->o.node);
	warn_thp(r);
	return page == KIB(4) ? check_small_pages(r, e) : check_huge_pages(r, page, e);
}
