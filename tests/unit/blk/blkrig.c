// SPDX-License-Identifier: BSD-3-Clause
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/blk/blkrig.h"

#define RAM (BR_AREA + BR_REQS * 2ul * BR_BUF)

uint32_t br_rnd(struct br *r, uint32_t below)
{
	r->seed = r->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(r->seed >> 33) % below;
}

static void on_call(void *arg)
{
	((struct br *)arg)->calls++;
}

static void on_broken(void *arg, const char *why)
{
	struct br *r = arg;

	r->broken++;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static void make_file(struct br *r)
{
	int fd;

	/* memory, where there is: the tests flush a thousand times */
	strcpy(r->path, access("/dev/shm", W_OK) ? "/var/tmp/sluice-blkq-XXXXXX"
						 : "/dev/shm/sluice-blkq-XXXXXX");
	fd = mkstemp(r->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BR_DISK), 0);
	close(fd);
}

static void make_ring(struct br *r, const struct vqd_cfg *flavour)
{
	assert_int_equal(posix_memalign((void **)&r->ram, 4096, RAM), 0);
	memset(r->ram, 0xa5, RAM);
	assert_int_equal(vq_mem_add(&r->mem, BR_GPA, RAM, r->ram), 0);
	r->ring = *flavour;
	r->ring.hva = r->ring.area = r->ram;
	r->ring.gpa0 = BR_GPA;
	assert_true(vqd_area(&r->ring) <= BR_AREA);
	assert_int_equal(vqd_new(&r->ring, &r->d), 0);
	for (unsigned int i = 0; i < BR_REQS; i++) {
		r->req[i].out = r->ram + BR_AREA + 2ul * i * BR_BUF;
		r->req[i].in = r->req[i].out + BR_BUF;
	}
}

void br_up(struct br *r, const struct vqd_cfg *flavour, const struct disk_cfg *disk,
	   const struct blkq_cfg *opts)
{
	struct disk_cfg dc = disk ? *disk : (struct disk_cfg){ 0 };
	struct blkq_cfg c = opts ? *opts : (struct blkq_cfg){ .depth = 8 };
	struct vq_cfg vc;

	memset(r, 0, sizeof(*r));
	r->seed = 42;
	make_file(r);
	if (!dc.path)
		dc.path = r->path;
	assert_int_equal(disk_open(sys_host(), &dc, &r->disk, NULL), 0);
	make_ring(r, flavour);
	c.disk = r->disk;
	c.readonly = dc.readonly;
	c.serial = c.serial ? c.serial : "serial-0123456789-abcdef";
	c.seg_max = c.seg_max ? c.seg_max : BR_SEGS;
	c.call = on_call;
	c.broken = on_broken;
	c.arg = r;
	assert_int_equal(blkq_new(&c, &r->b, NULL), 0);
	vqd_addrs(r->d, &vc);
	assert_int_equal(blkq_start(r->b, &r->mem, &vc, NULL), 0);
}

void br_down(struct br *r)
{
	blkq_stop(r->b, &r->avail_idx, &r->used_idx);
	blkq_free(r->b);
	disk_close(r->disk);
	vqd_free(r->d);
	free(r->ram);
	unlink(r->path);
}

void br_hdr(struct br *r, unsigned int i, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .ioprio = 0xdead, .sector = sector };

	memcpy(r->req[i].out, &h, sizeof(h));
	r->req[i].out_len = sizeof(h);
	r->req[i].in_len = 1;
}

/* Cuts at random places; each piece has a byte at least. */
static unsigned int cut(struct br *r, struct iovec *v, uint8_t *p, uint32_t len,
			unsigned int pieces)
{
	unsigned int n = 0;

	while (len) {
		uint32_t part = n + 1 >= pieces ? len : 1 + br_rnd(r, len);

		if (n + 1 < pieces && br_rnd(r, 3) == 0)
			part = MIN(len, 1 + br_rnd(r, 20)); /* through the header, often */
		v[n].iov_base = p;
		v[n++].iov_len = part;
		p += part;
		len -= part;
	}
	return n;
}

int br_add(struct br *r, unsigned int i, unsigned int pieces)
{
	struct br_req *q = &r->req[i];
	struct iovec v[2048];
	unsigned int nout, nin;
	int ret;

	assert_true(pieces <= 1000);
	q->in[q->in_len - (q->in_len > 0)] = 0xee;
	nout = cut(r, v, q->out, q->out_len, pieces);
	nin = cut(r, v + nout, q->in, q->in_len, pieces);
	ret = vqd_add(r->d, v, nout, nin, q);
	if (!ret)
		q->busy = true;
	return ret;
}

int br_get(struct br *r)
{
	struct br_req *q;
	uint32_t len;

	q = vqd_get(r->d, &len);
	if (!q)
		return -1;
	assert_true(q->busy);
	q->busy = false;
	q->used_len = len;
	return (int)(q - r->req);
}

void br_sleep(struct br *r)
{
	struct pollfd p = { .fd = blkq_fd(r->b), .events = POLLIN };
	uint64_t n;

	assert_int_equal(poll(&p, 1, 50000), 1); /* or else it would be for ever */
	assert_int_equal(read(p.fd, &n, sizeof(n)), sizeof(n));
}

int br_wait(struct br *r)
{
	int i;

	while ((i = br_get(r)) < 0)
		if (!blkq_run(r->b) && !blkq_arm(r->b))
			br_sleep(r);
	return i;
}

uint8_t br_status(const struct br *r, unsigned int i)
{
	return r->req[i].in[r->req[i].in_len - 1];
}

int br_do(struct br *r, uint32_t type, uint64_t sector, const void *out, uint32_t out_len,
	  uint32_t in_len)
{
	br_hdr(r, 0, type, sector);
	if (out_len)
		memcpy(r->req[0].out + r->req[0].out_len, out, out_len);
	r->req[0].out_len += out_len;
	r->req[0].in_len += in_len;
	assert_int_equal(br_add(r, 0, 1 + br_rnd(r, 6)), 0);
	(void)!vqd_publish(r->d);
	assert_int_equal(br_wait(r), 0);
	assert_int_equal(r->req[0].used_len, r->req[0].in_len);
	return br_status(r, 0);
}
