// SPDX-License-Identifier: BSD-3-Clause
/*
 * Taking the pages of guest RAM before the guest runs, now or on a thread of its own. The kernel
 * has to clear them, which for large guests takes seconds, and little of the rest of the set-up
 * waits for memory: VFs are made, links come up and devices are reset meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/thread.h"
#include "vmm/core/core_priv.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PREFAULT_STEP MIB(64)

/*
 * Huge pages by asking (Linux 6.1): unlike a page fault it does not heed shmem_enabled, which
 * distributions leave at "never". Pieces that are all holes are not collapsed, so each gets one
 * page first. What fails stays with small pages. Worth it: taking 512 MiB costs a fifth.
 */
static void thp_collapse(struct sys *s, char *p, uint64_t n)
{
	/* Not by a store, which would be a SIGBUS where a bound node has no page left. */
	for (uint64_t off = 0; off < n; off += THP_SIZE)
		if (sys_madvise(s, p + off, KIB(4), MADV_POPULATE_WRITE))
			return;
	sys_madvise(s, p, n, MADV_COLLAPSE);
}

static bool stopped(const bool *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

/* A piece: out of the pool, where there is one, and mapped. */
static int fill_piece(struct sys *s, const struct vm_ram *r, bool touch, uint64_t off, uint64_t n,
		      struct err *e)
{
	char *p = (char *)r->hva + off;
	int rc = 0;

	if (r->page >= VM_PAGE_2M)
		rc = sys_fallocate(s, r->fd, 0, (off_t)off, (off_t)n);
	if (rc)
		return err_sys(e, rc,
			       "memory of %" PRIu64 " MiB needs %" PRIu64
			       " free %s hugepages (see /sys/kernel/mm/hugepages)",
			       r->size >> 20, r->size / r->page_size, ram_page_name(r));
	if (!touch)
		return 0;
	if (r->page == VM_PAGE_THP)
		thp_collapse(s, p, n);
	rc = sys_madvise(s, p, n, MADV_POPULATE_WRITE);
	return rc ? err_sys(e, rc, "prefault of memory stopped at %" PRIu64 " of %" PRIu64 " MiB",
			    off >> 20, r->size >> 20)
		  : 0;
}

int ram_fill(struct sys *s, const struct vm_ram *r, const struct vm_ram_cfg *cfg, const bool *stop,
	     struct err *e)
{
	uint64_t step = MAX(PREFAULT_STEP, r->page_size), start = sys_now_ns(s),
		 told = start + 800000000u;

	for (uint64_t off = 0; off < r->size && !stopped(stop); off += step) {
		uint64_t n = MIN(step, r->size - off);
		int rc = fill_piece(s, r, cfg->prefault, off, n, e);

		if (rc)
			return rc;
		if (cfg->progress && sys_now_ns(s) - told >= 200000000u && sys_now_ns(s) > told) {
			told = sys_now_ns(s);
			cfg->progress(cfg->progress_arg, off + n, r->size);
		}
	}
	if (cfg->progress && told != start + 800000000u)
		cfg->progress(cfg->progress_arg, r->size, r->size);
	return 0;
}

/* ---- on a thread ---- */

struct vm_ram_fill {
	struct sys *sys;
	const struct vm_ram *ram;
	struct vm_ram_cfg cfg;
	pthread_t thread;
	bool stop; /* atomic */
	int rc;	   /* and err: the thread's until it was joined */
	struct err err;
};

static void *fill_main(void *arg)
{
	struct vm_ram_fill *f = arg;

	pthread_setname_np(pthread_self(), "memory");
	f->rc = ram_fill(f->sys, f->ram, &f->cfg, &f->stop, &f->err);
	return NULL;
}

int ram_fill_start(struct sys *s, struct vm_ram *r, const struct vm_ram_cfg *cfg, struct err *e)
{
	struct vm_ram_fill *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, -ENOMEM, "no memory");
	*f = (struct vm_ram_fill){ .sys = s, .ram = r, .cfg = *cfg };
	rc = thread_start(&f->thread, NULL, 0, fill_main, f);
	if (rc) {
		free(f);
		return err_sys(e, rc, "memory: cannot start the thread that takes it");
	}
	r->fill = f;
	return 0;
}

int vm_ram_wait(struct vm_ram *r, struct err *e)
{
	struct vm_ram_fill *f = r->fill;
	int rc;

	if (!f)
		return 0;
	pthread_join(f->thread, NULL);
	r->fill = NULL;
	rc = f->rc;
	if (rc)
		err_set(e, rc, "%s", f->err.text);
	free(f);
	return rc;
}

void ram_fill_stop(struct vm_ram *r)
{
	if (!r->fill)
		return;
	__atomic_store_n(&r->fill->stop, true, __ATOMIC_RELAXED);
	(void)!vm_ram_wait(r, NULL);
}
