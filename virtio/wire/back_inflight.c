// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inflight memory: where a back end notes which buffers it has taken and not given back, so that
 * its successor can take them up. The front end keeps it: it asks us to make it (GET_INFLIGHT_FD),
 * and hands it to whoever serves the rings next (SET_INFLIGHT_FD), us included. What is in it is
 * as foreign as any guest memory; vq_inflight checks it.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "virtio/wire/back_priv.h"

#define F_PACKED 34

static bool packed(const struct vu_back *b)
{
	return b->peer.features & (1ull << F_PACKED);
}

static int shape_check(const struct vu_back *b, const struct vu_inflight_desc *d, struct err *e)
{
	if (!d->nqueues || d->nqueues > b->cfg.queues || !d->qsize || d->qsize > VQ_SIZE_MAX)
		return err_set(e, -EPROTO, "inflight memory for %u queues of %u entries",
			       d->nqueues, d->qsize);
	return 0;
}

int back_get_inflight(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	struct vu_inflight_desc *d = &m->u.inflight;
	int fd, ret = shape_check(b, d, e);

	if (ret)
		return ret;
	d->mmap_off = 0;
	d->mmap_size = d->nqueues * vq_inflight_size(packed(b), d->qsize);
	fd = sys_memfd(b->sys, "vhost-inflight", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, fd, "cannot make inflight memory");
	ret = sys_ftruncate(b->sys, fd, (off_t)d->mmap_size);
	if (ret) {
		sys_close(b->sys, &fd);
		return err_sys(e, ret, "cannot make %" PRIu64 " bytes of inflight memory",
			       d->mmap_size);
	}
	/* Closed with the message, after it was sent. */
	m->fd[0] = fd;
	m->nfds = 1;
	return 1;
}

static int shape_fits(const struct vu_back *b, const struct vu_inflight_desc *d, size_t stride,
		      int fd, struct err *e)
{
	struct stat st;
	int ret;

	if (d->mmap_size < d->nqueues * stride || d->mmap_size > GIB(1) ||
	    !IS_ALIGNED(d->mmap_off, 64))
		return err_set(e, -EPROTO,
			       "inflight memory has %" PRIu64 " bytes at %" PRIu64 ", not %zu",
			       d->mmap_size, d->mmap_off, d->nqueues * stride);
	ret = sys_fstat(b->sys, fd, &st);
	if (ret)
		return err_sys(e, ret, "cannot look at the file of inflight memory");
	if (!S_ISREG(st.st_mode) || st.st_size < 0 ||
	    !range_ok(d->mmap_off, d->mmap_size, (uint64_t)st.st_size))
		return err_set(e, -EPROTO,
			       "inflight memory of %" PRIu64 " bytes at %" PRIu64
			       " is not in its file",
			       d->mmap_size, d->mmap_off);
	return 0;
}

int back_set_inflight(struct vu_back *b, struct vu_msg *m, struct err *e)
{
	const struct vu_inflight_desc *d = &m->u.inflight;
	size_t stride = vq_inflight_size(packed(b), d->qsize);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start = ALIGN_DOWN(d->mmap_off, page);
	struct back_inflight f = { .nqueues = d->nqueues, .qsize = d->qsize, .stride = stride };
	void *map;
	int ret;

	if (back_rings_running(b))
		return err_set(e, -EPROTO, "other inflight memory while rings run");
	ret = shape_check(b, d, e) ?: shape_fits(b, d, stride, m->fd[0], e);
	if (ret)
		return ret;
	f.skip = d->mmap_off - start;
	f.len = f.skip + d->mmap_size;
	f.packed = packed(b);
	ret = sys_mmap(b->sys, &map, f.len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd[0],
		       (off_t)start);
	if (ret)
		return err_sys(e, ret, "cannot map inflight memory");
	f.map = map;
	back_inflight_free(b);
	b->peer.inflight = f;
	back_mapped(b, f.map, f.len, true);
	return 0;
}

void back_inflight_free(struct vu_back *b)
{
	struct back_inflight *f = &b->peer.inflight;

	if (!f->map)
		return;
	back_mapped(b, f->map, f->len, false);
	sys_munmap(b->sys, f->map, f->len);
	*f = (struct back_inflight){ 0 };
}

int back_inflight_queue(struct vu_back *b, unsigned int q, const struct vq_cfg *cfg,
			struct vq_inflight *out)
{
	const struct back_inflight *f = &b->peer.inflight;

	/* Queues that the memory was not made for go without. */
	if (!f->map || q >= f->nqueues)
		return 0;
	if (f->packed != cfg->packed || cfg->size > f->qsize)
		return -EINVAL;
	return vq_inflight_init(out, f->map + f->skip + q * f->stride, f->packed, f->qsize) ?: 1;
}
