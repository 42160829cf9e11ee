// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device of the VMM (virtio 1.2, 5.2): request queues (virtio/blk/blkq.h) on I/O threads.
 *
 * The disk is open as long as the device exists, so that its size and its lock do not depend on
 * the guest. The queues are made when the driver is up and freed at its reset: only then guest
 * memory and features are known. While started, a queue belongs to its thread; starting, stopping
 * and pausing go there and wait.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "virtio/blk.h"
#include "vmm/core/vm.h"

#define BLK_QSIZE   256
#define BLK_QUEUES  16
#define BLK_SEG_MAX 126
#define BLK_DEPTH   128
#define BLK_ROUNDS  16 /* before others on the thread have their turn */

struct bq {
	struct vblk *d;
	unsigned int i;
	struct vm_iothread *io;
	struct blkq *b; /* NULL: not started */
	struct ev_src *kick_src, *done_src;
	struct ev_poll poll;
	bool running;
	uint16_t avail_idx, used_idx; /* of a paused queue */
	struct blkq_count before;     /* earlier starts */
};

struct vblk {
	struct vio v; /* first */
	struct disk *disk;
	bool readonly;
	char serial[21];
	const struct log *log;
	struct bq q[BLK_QUEUES];
};

static struct vblk *vblk_of(struct vio *v)
{
	return container_of(v, struct vblk, v);
}

/* ---- on the I/O thread ---- */

/* A share of what there is; the loop comes back while there was something. */
static bool look(void *arg)
{
	struct bq *q = arg;
	unsigned int n = 0;

	while (n < BLK_ROUNDS && blkq_run(q->b))
		n++;
	return n;
}

static bool arm(void *arg)
{
	return blkq_arm(((struct bq *)arg)->b);
}

static void drain_fd(struct bq *q, int fd)
{
	uint64_t n;

	(void)!sys_read(q->d->v.dev.vm->sys, fd, &n, sizeof(n));
}

static void on_kick(void *arg, uint32_t events)
{
	struct bq *q = arg;

	drain_fd(q, q->d->v.q[q->i].kick);
	ev_poll_on(&q->poll);
}

static void on_done(void *arg, uint32_t events)
{
	struct bq *q = arg;

	drain_fd(q, blkq_fd(q->b));
	ev_poll_on(&q->poll);
}

static void on_call(void *arg)
{
	struct bq *q = arg;

	vio_call(&q->d->v, q->i);
}

/* Kicks mean nothing any more; what is with the disk still completes. */
static void on_broken(void *arg, const char *why)
{
	struct bq *q = arg;

	ev_del(q->kick_src);
	q->kick_src = NULL;
	vio_needs_reset(&q->d->v, why);
}

static void unwatch(struct bq *q)
{
	ev_poll_off(&q->poll);
	ev_del(q->kick_src);
	ev_del(q->done_src);
	q->kick_src = q->done_src = NULL;
}

/* ---- start, stop, pause: VM lock held, by way of the I/O thread ---- */

struct job {
	struct bq *q;
	struct vq_cfg cfg;
	int rc;
};

static void do_start(void *arg)
{
	struct job *j = arg;
	struct bq *q = j->q;
	struct ev *ev = vm_iothread_ev(q->io);

	j->rc = blkq_start(q->b, &q->d->v.mem, &j->cfg, NULL);
	if (j->rc)
		return;
	j->rc = ev_add(ev, q->d->v.q[q->i].kick, EPOLLIN, on_kick, q, &q->kick_src);
	if (!j->rc)
		j->rc = ev_add(ev, blkq_fd(q->b), EPOLLIN, on_done, q, &q->done_src);
	if (j->rc) {
		unwatch(q);
		blkq_stop(q->b, &q->avail_idx, &q->used_idx);
		return;
	}
	q->running = true;
	ev_poll_init(&q->poll, ev, look, arm, q);
	ev_poll_on(&q->poll); /* what was put there before is found without a kick */
}

static void do_stop(void *arg)
{
	struct job *j = arg;
	struct bq *q = j->q;

	unwatch(q);
	blkq_stop(q->b, &q->avail_idx, &q->used_idx);
	q->running = false;
}

static int run(struct bq *q, ev_fn fn, const struct vq_cfg *cfg)
{
	struct job j = { .q = q };

	if (cfg)
		j.cfg = *cfg;
	vm_iothread_call(q->io, fn, &j);
	return j.rc;
}

static void add_count(struct blkq_count *a, const struct blkq_count *b)
{
	a->reads += b->reads;
	a->writes += b->writes;
	a->flushes += b->flushes;
	a->others += b->others;
	a->errors += b->errors;
	a->bytes_read += b->bytes_read;
	a->bytes_written += b->bytes_written;
	a->enters += b->enters;
	a->calls += b->calls;
	a->calls_spared += b->calls_spared;
}

static void queue_down(struct bq *q)
{
	struct blkq_count n;

	if (!q->b)
		return;
	if (q->running)
		(void)run(q, do_stop, NULL);
	blkq_count(q->b, &n);
	add_count(&q->before, &n);
	blkq_free(q->b);
	q->b = NULL;
}

static int queue_up(struct bq *q)
{
	struct vblk *d = q->d;
	struct iovec fixed[VQ_REGIONS_MAX];
	struct blkq_cfg c = { .disk = d->disk,
			      .serial = d->serial,
			      .seg_max = BLK_SEG_MAX,
			      .depth = MIN(d->v.q[q->i].size, BLK_DEPTH),
			      .readonly = d->readonly,
			      .fixed = fixed,
			      .nfixed = d->v.mem.n,
			      .call = on_call,
			      .broken = on_broken,
			      .arg = q };
	struct err e = { 0 };
	struct vq_cfg cfg;
	int rc;

	for (unsigned int i = 0; i < d->v.mem.n; i++)
		fixed[i] = (struct iovec){ d->v.mem.r[i].hva, d->v.mem.r[i].size };
	rc = blkq_new(&c, &q->b, &e);
	if (rc) {
		log_err(d->log, "%s: %s", d->v.dev.id, e.text);
		return rc;
	}
	blkq_writethrough(q->b, !(d->v.acked & VIO_F(9))); /* VIRTIO_BLK_F_FLUSH */
	vio_vq_cfg(&d->v, q->i, &cfg);
	rc = run(q, do_start, &cfg);
	if (rc)
		queue_down(q);
	return rc;
}

static int blk_queue_start(struct vio *v, unsigned int i)
{
	return v->q[i].enabled ? queue_up(&vblk_of(v)->q[i]) : 0;
}

static int blk_queue_stop(struct vio *v, unsigned int i)
{
	queue_down(&vblk_of(v)->q[i]);
	return 0;
}

static int blk_stop(struct vio *v)
{
	for (unsigned int i = 0; i < v->nqueues; i++)
		queue_down(&vblk_of(v)->q[i]);
	return 0;
}

static int blk_start(struct vio *v)
{
	int rc = 0;

	for (unsigned int i = 0; i < v->nqueues && !rc; i++)
		rc = blk_queue_start(v, i);
	if (rc)
		blk_stop(v);
	return rc;
}

static int queue_pause(struct bq *q, bool on)
{
	struct vq_cfg cfg;

	if (!q->b || q->running != on)
		return 0;
	if (on)
		return run(q, do_stop, NULL);
	vio_vq_cfg(&q->d->v, q->i, &cfg);
	cfg.avail_idx = q->avail_idx;
	cfg.used_idx = q->used_idx;
	return run(q, do_start, &cfg);
}

static int blk_pause(struct vio *v, bool on)
{
	int rc = 0;

	for (unsigned int i = 0; i < v->nqueues; i++) {
		int one = queue_pause(&vblk_of(v)->q[i], on);

		rc = rc ? rc : one;
	}
	return rc;
}

/* ---- the device ---- */

static uint64_t blk_features(struct vio *v)
{
	struct disk_info i;

	disk_info(vblk_of(v)->disk, &i);
	return VIO_F_RING | VIO_F_RING_RESET | blkq_features(&i, v->nqueues);
}

static void blk_cfg_read(struct vio *v, unsigned int off, unsigned int len, void *buf)
{
	uint8_t cfg[BLKQ_CFG_SIZE];
	struct disk_info i;

	disk_info(vblk_of(v)->disk, &i);
	blkq_config(&i, v->nqueues, BLK_SEG_MAX, cfg);
	memcpy(buf, cfg + off, len);
}

static void blk_free(struct vio *v)
{
	disk_close(vblk_of(v)->disk);
	vblk_of(v)->disk = NULL;
}

static const struct vio_ops blk_ops = {
	.name = "blk",
	.type = 2,
	.cfg_size = BLKQ_CFG_SIZE,
	.features = blk_features,
	.cfg_read = blk_cfg_read,
	.start = blk_start,
	.stop = blk_stop,
	.pause = blk_pause,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.free = blk_free,
};

int vio_blk_new(struct sys *s, const char *id, const struct vio_blk_cfg *c, struct vm_dev **out,
		struct err *e)
{
	const char *serial = c->serial ? c->serial : id;
	struct disk *disk;
	struct vblk *d;
	struct vio *v;
	int rc;

	if (!c->queues || c->queues > BLK_QUEUES || !c->nio)
		return err_set(e, -EINVAL, "%s: %u queues: 1 to %u are possible", id, c->queues,
			       BLK_QUEUES);
	rc = disk_open(s, &c->disk, &disk, e);
	if (rc) {
		err_prefix(e, "%s: ", id);
		return rc;
	}
	rc = vio_new(&blk_ops, sizeof(*d), id, c->queues, c->qsize ? c->qsize : BLK_QSIZE, c->hide,
		     &v);
	if (rc) {
		disk_close(disk);
		return err_set(e, rc, "%s: out of memory", id);
	}
	d = vblk_of(v);
	d->disk = disk;
	d->readonly = c->disk.readonly;
	d->log = c->log;
	memcpy(d->serial, serial, strnlen(serial, sizeof(d->serial) - 1));
	for (unsigned int i = 0; i < c->queues; i++)
		d->q[i] = (struct bq){ .d = d, .i = i, .io = c->io[i % c->nio] };
	*out = &v->dev;
	return 0;
}

static struct vblk *blk_of(struct vm_dev *dev)
{
	struct vio *v = vio_of(dev);

	BUG_ON(!v || v->ops != &blk_ops);
	return vblk_of(v);
}

int vio_blk_resize(struct vm_dev *dev, struct err *e)
{
	struct vblk *d = blk_of(dev);
	int rc = disk_refresh(d->disk);

	if (rc < 0)
		return err_sys(e, rc, "%s: its size cannot be read", dev->id);
	if (rc)
		vio_config_changed(&d->v);
	return rc;
}

void vio_blk_count(struct vm_dev *dev, unsigned int queue, struct blkq_count *out)
{
	struct vblk *d = blk_of(dev);
	struct blkq_count n;

	*out = (struct blkq_count){ 0 };
	if (queue >= d->v.nqueues)
		return;
	*out = d->q[queue].before;
	if (!d->q[queue].b)
		return;
	blkq_count(d->q[queue].b, &n);
	add_count(out, &n);
}
