// SPDX-License-Identifier: BSD-3-Clause
/*
 * Disks on vhost-user-blk. The connection lives on the control loop (virtio/wire/back.c), each
 * queue on a poll loop, where its requests go straight to an io_uring of its own (virtio/blk). A
 * queue starts, stops and changes its call eventfd on its poll loop, which the control loop waits
 * for: so when guest memory is unmapped, nobody looks at it any more.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "virtio/blk/blkq.h"
#include "virtio/vhostd/bus.h"
#include "virtio/vhostd/vhostd_priv.h"
#include "virtio/wire/back.h"

#define QUEUES_MAX 16
#define SEG_MAX	   126
#define DEPTH	   256 /* requests in flight of a queue */
#define SERIAL_MAX 20
#define F(bit)	   (1ull << (bit))
#define F_RING	   (F(28) | F(29) | F(32) | F(34)) /* indirect, event index, version 1, packed */
#define NAP_US	   1000 /* without a kick eventfd the front end expects to be polled */

struct disk_spec {
	bool pad; /* keeps offset 0 free, which means "none" in option tables */
	char *name, *socket, *path, *serial;
	int client, readonly, direct;
	uint32_t queues;
};

/**
 * struct disk_queue - one queue; the control loop's but for the poller while it is on its loop
 * @old: counters of its runs before this one
 */
struct disk_queue {
	struct vdisk *k;
	unsigned int index;
	struct blkq *b;
	struct poller poller;
	struct lcore *l;
	int kick, call;
	uint64_t starts;
	const char *broken;
	struct blkq_count old;
};

struct vdisk {
	struct list link;
	struct disks *all;
	char name[VHOSTD_NAME], *socket, *path, serial[SERIAL_MAX + 1];
	struct disk *disk;
	struct disk_info info;
	struct vu_back *back;
	unsigned int nqueues;
	bool readonly, client;
	struct log_limit life;
	struct disk_queue q[QUEUES_MAX];
};

struct disks {
	struct vhostd *d;
	struct list list;
};

static const char *const roles[] = { "server", "client", NULL };

#define OFF(m) offsetof(struct disk_spec, m)
const struct opt disk_opts[] = {
	{ "name", OPT_STR, OFF(name), .required = true, .arg = "NAME",
	  .help = "name of the disk, in listings and commands" },
	{ "socket", OPT_STR, OFF(socket), .required = true, .arg = "PATH", .complete = "file",
	  .help = "the front end (a machine) meets us at this socket" },
	{ "role", OPT_ENUM, OFF(client), .choices = roles,
	  .help = "our role at the socket. server (the default) makes it, client connects, again and again" },
	{ "path", OPT_STR, OFF(path), .required = true, .arg = "FILE|null:SIZE", .complete = "file",
	  .help = "file or block device; null: nothing behind it, to measure" },
	{ "queues", OPT_U32, OFF(queues), .min = 1, .max = QUEUES_MAX,
	  .help = "queues at most (16)" },
	{ "readonly", OPT_BOOL, OFF(readonly), .help = "the guest cannot write" },
	{ "direct", OPT_BOOL, OFF(direct), .help = "go past the host's page cache" },
	{ "serial", OPT_STR, OFF(serial), .arg = "TEXT",
	  .help = "serial number, up to 20 bytes (the name)" },
	{ .type = OPT_END },
};

/* ---- a queue on its poll loop ---- */

static unsigned int queue_poll(void *arg)
{
	struct disk_queue *q = arg;

	return q->broken ? 0 : blkq_run(q->b);
}

static bool queue_arm(void *arg)
{
	struct disk_queue *q = arg;

	return !q->broken && blkq_arm(q->b);
}

static void queue_call(void *arg)
{
	const uint64_t one = 1;
	struct disk_queue *q = arg;

	if (q->call >= 0 && write(q->call, &one, sizeof(one)) < 0)
		return; /* the counter is full: the driver has been called */
}

static void queue_broken(void *arg, const char *why)
{
	struct disk_queue *q = arg;

	q->broken = why;
}

/* struct start - what a poll loop is asked to do */
struct start {
	struct disk_queue *q;
	const struct vu_back_queue *from;
	uint16_t avail_idx, used_idx;
	int ret;
};

static void start_here(void *arg)
{
	struct start *s = arg;

	s->ret = blkq_start(s->q->b, s->from->mem, &s->from->cfg, s->from->inflight);
}

static void stop_here(void *arg)
{
	struct start *s = arg;

	blkq_stop(s->q->b, &s->avail_idx, &s->used_idx);
}

static void call_here(void *arg)
{
	struct start *s = arg;

	s->q->call = s->from->call;
}

static void count_add(struct blkq_count *sum, const struct blkq_count *c)
{
	sum->reads += c->reads;
	sum->writes += c->writes;
	sum->flushes += c->flushes;
	sum->others += c->others;
	sum->errors += c->errors;
	sum->bytes_read += c->bytes_read;
	sum->bytes_written += c->bytes_written;
	sum->enters += c->enters;
	sum->calls += c->calls;
	sum->calls_spared += c->calls_spared;
}

static void fds_del(struct disk_queue *q)
{
	lcore_fd_del(q->l, blkq_fd(q->b));
	if (q->kick >= 0)
		lcore_fd_del(q->l, q->kick);
}

/* Both may end the loop's sleep: a kick, and a completion. */
static int fds_add(struct disk_queue *q)
{
	int ret = lcore_fd_add(q->l, blkq_fd(q->b));

	if (ret || q->kick < 0)
		return ret;
	ret = lcore_fd_add(q->l, q->kick);
	if (ret)
		lcore_fd_del(q->l, blkq_fd(q->b));
	return ret;
}

static void queue_free(struct disk_queue *q)
{
	struct blkq_count c;

	blkq_count(q->b, &c);
	count_add(&q->old, &c);
	blkq_free(q->b);
	q->b = NULL;
	q->l = NULL;
}

static int queue_new(struct disk_queue *q, uint64_t features)
{
	struct blkq_cfg c = {
		.disk = q->k->disk,
		.serial = q->k->serial,
		.seg_max = SEG_MAX,
		.depth = DEPTH,
		.readonly = q->k->info.readonly,
		.poll = true,
		.call = queue_call,
		.broken = queue_broken,
		.arg = q,
	};
	struct err e = { 0 };
	int ret = blkq_new(&c, &q->b, &e);

	if (ret)
		log_err(q->k->all->d->log, "disk %s: queue %u: %s", q->k->name, q->index, e.text);
	else
		blkq_writethrough(q->b, !(features & F(VIRTIO_BLK_F_FLUSH)));
	return ret;
}

/* ---- what the connection asks for; control loop ---- */

static int queue_start(void *dev, const struct vu_back_queue *from)
{
	struct vdisk *k = dev;
	struct disk_queue *q = &k->q[from->index];
	struct start s = { .q = q, .from = from };
	int ret = queue_new(q, from->features);

	if (ret)
		return ret;
	q->l = vhostd_lcore(k->all->d);
	q->kick = from->kick;
	q->call = from->call;
	q->broken = NULL;
	q->poller = (struct poller){
		.poll = queue_poll,
		.arm = queue_arm,
		.arg = q,
		.nap_us = q->kick < 0 ? NAP_US : 0,
	};
	lcore_call(q->l, start_here, &s);
	ret = s.ret ? s.ret : fds_add(q);
	if (!ret) {
		ret = lcore_add(q->l, &q->poller);
		if (ret)
			fds_del(q);
	}
	if (ret) {
		if (!s.ret)
			lcore_call(q->l, stop_here, &s);
		queue_free(q);
		return ret;
	}
	q->starts++;
	return 0;
}

static void queue_stop(void *dev, unsigned int i, uint16_t *avail_idx, uint16_t *used_idx)
{
	struct vdisk *k = dev;
	struct disk_queue *q = &k->q[i];
	struct start s = { .q = q };

	lcore_del(q->l, &q->poller);
	fds_del(q);
	lcore_call(q->l, stop_here, &s);
	*avail_idx = s.avail_idx;
	*used_idx = s.used_idx;
	queue_free(q);
}

static void call_changed(void *dev, unsigned int i, int call)
{
	struct vdisk *k = dev;
	struct vu_back_queue from = { .call = call };
	struct start s = { .q = &k->q[i], .from = &from };

	lcore_call(k->q[i].l, call_here, &s);
}

static uint64_t features(void *dev)
{
	struct vdisk *k = dev;

	return blkq_features(&k->info, k->nqueues) | F_RING;
}

/* What lies behind the device's own config space reads as zero. */
static void config_read(void *dev, unsigned int off, unsigned int size, uint8_t *buf)
{
	struct vdisk *k = dev;
	uint8_t all[BLKQ_CFG_SIZE];

	blkq_config(&k->info, k->nqueues, SEG_MAX, all);
	memset(buf, 0, size);
	if (off < sizeof(all))
		memcpy(buf, all + off, MIN((size_t)size, sizeof(all) - off));
}

static void state(void *dev, bool connected)
{
	struct vdisk *k = dev;

	log_limited(k->all->d->log, &k->life, LOG_INFO, "disk %s: %s", k->name,
		    connected ? "a front end is there" : "the front end is gone");
}

static void mapped(void *dev, void *p, size_t len, bool on)
{
	struct vdisk *k = dev;

	if (!on)
		bus_forget(k->all->d->bus, p, len);
}

static const struct vu_back_ops back_ops = {
	.features = features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.call_changed = call_changed,
	.config_read = config_read,
	.state = state,
	.mapped = mapped,
};

/* ---- disks ---- */

static struct vdisk *find(struct disks *all, const char *name)
{
	struct list *l, *next;

	list_for_each (l, next, &all->list)
		if (!strcmp(list_entry(l, struct vdisk, link)->name, name))
			return list_entry(l, struct vdisk, link);
	return NULL;
}

static void vdisk_free(struct vdisk *k)
{
	if (!k)
		return;
	list_del(&k->link);
	vu_back_free(k->back);
	disk_close(k->disk);
	free(k->socket);
	free(k->path);
	free(k);
}

static int vdisk_open(struct vdisk *k, const struct disk_spec *s, struct err *e)
{
	struct vhostd *d = k->all->d;
	struct disk_cfg c = { .path = s->path, .readonly = s->readonly, .direct = s->direct };
	struct vu_back_cfg b = {
		.name = k->name,
		.path = k->socket,
		.client = s->client,
		.queues = k->nqueues,
		.mem_slots = VQ_REGIONS_MAX,
		.ops = &back_ops,
		.dev = k,
	};
	int ret = disk_open(d->sys, &c, &k->disk, e);

	if (ret)
		return ret;
	disk_info(k->disk, &k->info);
	return vu_back_new(d->sys, d->log, d->ev, &b, &k->back, e);
}

static int vdisk_new(struct disks *all, const struct disk_spec *s, struct err *e)
{
	struct vdisk *k = calloc(1, sizeof(*k));
	unsigned int i;
	int ret;

	if (!k)
		return err_set(e, -ENOMEM, "out of memory");
	list_init(&k->link);
	k->all = all;
	k->nqueues = s->queues;
	k->client = s->client;
	snprintf(k->name, sizeof(k->name), "%s", s->name);
	snprintf(k->serial, sizeof(k->serial), "%s", s->serial ? s->serial : s->name);
	k->socket = strdup(s->socket);
	k->path = strdup(s->path);
	for (i = 0; i < QUEUES_MAX; i++) {
		k->q[i].k = k;
		k->q[i].index = i;
		k->q[i].call = k->q[i].kick = -1;
	}
	ret = k->socket && k->path ? vdisk_open(k, s, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret)
		vdisk_free(k);
	else
		list_add_tail(&all->list, &k->link);
	return ret;
}

static int spec_check(struct disks *all, const struct disk_spec *s, struct err *e)
{
	if (strlen(s->name) >= VHOSTD_NAME)
		return err_set(e, -EINVAL, "a name has at most %d characters", VHOSTD_NAME - 1);
	if (s->serial && strlen(s->serial) > SERIAL_MAX)
		return err_set(e, -EINVAL, "a serial number has at most %d characters", SERIAL_MAX);
	if (find(all, s->name))
		return err_set(e, -EEXIST, "there is a disk of this name already");
	return 0;
}

int disk_add(struct disks *all, const char *text, struct err *e)
{
	struct disk_spec s = { .queues = QUEUES_MAX };
	int ret = opt_parse_kv(disk_opts, &s, text, e);

	if (!ret)
		ret = spec_check(all, &s, e);
	if (!ret)
		ret = vdisk_new(all, &s, e);
	if (ret && s.name)
		err_prefix(e, "disk %.31s: ", s.name);
	else if (ret)
		err_prefix(e, "disk: ");
	opt_free(disk_opts, &s);
	return ret;
}

int disk_del(struct disks *all, const char *name, struct err *e)
{
	struct vdisk *k = find(all, name);

	if (!k)
		return err_set(e, -ENOENT, "there is no disk %.31s", name);
	vdisk_free(k);
	return 0;
}

int disks_give(struct disks *all, uid_t uid, gid_t gid)
{
	struct list *l, *next;

	list_for_each (l, next, &all->list) {
		const struct vdisk *k = list_entry(l, struct vdisk, link);

		if (!k->client && lchown(k->socket, uid, gid))
			return -errno;
	}
	return 0;
}

bool disks_fault(struct disks *all, const void *p)
{
	struct list *l, *next;

	list_for_each (l, next, &all->list)
		if (vu_back_fault(list_entry(l, struct vdisk, link)->back, p))
			return true;
	return false;
}

int disks_new(struct vhostd *d, struct err *e)
{
	struct disks *all = calloc(1, sizeof(*all));

	if (!all)
		return err_set(e, -ENOMEM, "out of memory");
	all->d = d;
	list_init(&all->list);
	d->disks = all;
	return 0;
}

void disks_free(struct disks *all)
{
	struct list *l, *next;

	if (!all)
		return;
	list_for_each (l, next, &all->list)
		vdisk_free(list_entry(l, struct vdisk, link));
	free(all);
}

/* ---- listings ---- */

static json_t *row_of(const struct vdisk *k)
{
	struct vu_back_info i;

	vu_back_info(k->back, &i);
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:i, s:i, s:I, s:I, s:s}", "disk", k->name,
			 "socket", k->socket, "path", k->path, "size", (json_int_t)k->info.size,
			 "readonly", k->info.readonly, "connected", i.connected, "queues_up",
			 (int)i.queues_up, "regions", (int)i.regions, "memory",
			 (json_int_t)i.mem_bytes, "drops", (json_int_t)i.drops, "last", i.last);
}

void disks_rows(struct disks *all, json_t *rows)
{
	struct list *l, *next;

	list_for_each (l, next, &all->list)
		json_array_append_new(rows, row_of(list_entry(l, struct vdisk, link)));
}

static json_t *queue_row(const struct vdisk *k, const struct disk_queue *q)
{
	struct blkq_count sum = q->old, now;

	if (q->b) {
		blkq_count(q->b, &now);
		count_add(&sum, &now);
	}
	return json_pack(
		"{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
		"disk", k->name, "queue", (int)q->index, "loop", q->l ? (int)lcore_index(q->l) : -1,
		"starts", (json_int_t)q->starts, "reads", (json_int_t)sum.reads, "writes",
		(json_int_t)sum.writes, "flushes", (json_int_t)sum.flushes, "others",
		(json_int_t)sum.others, "errors", (json_int_t)sum.errors, "bytes_read",
		(json_int_t)sum.bytes_read, "bytes_written", (json_int_t)sum.bytes_written,
		"enters", (json_int_t)sum.enters, "calls", (json_int_t)sum.calls, "calls_spared",
		(json_int_t)sum.calls_spared, "broken", q->broken ? q->broken : "");
}

void disks_stat(struct disks *all, json_t *rows)
{
	struct list *l, *next;
	unsigned int i;

	list_for_each (l, next, &all->list) {
		const struct vdisk *k = list_entry(l, struct vdisk, link);

		for (i = 0; i < k->nqueues; i++)
			if (k->q[i].starts)
				json_array_append_new(rows, queue_row(k, &k->q[i]));
	}
}
