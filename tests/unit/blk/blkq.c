// SPDX-License-Identifier: BSD-3-Clause
/* The request parser and a queue's life: random layouts over each kind of ring, and hostile
 * requests, each of which gets the answer it deserves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/blk/blkrig.h"
#include "tests/unit/fake/fakesys.h"

#define OK    VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define UNSUP VIRTIO_BLK_S_UNSUPP

static const struct vqd_cfg plain = { .size = 128, .indirect = true };
static struct br rig; /* too large for a stack */

/* ---- integrity ---- */

struct plan {
	uint32_t type, len, off;
};

static struct plan plans[BR_REQS];

static void make_request(struct br *r, unsigned int i)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN,	    VIRTIO_BLK_T_IN,
					  VIRTIO_BLK_T_OUT,	    VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH,	    VIRTIO_BLK_T_GET_ID,
					  VIRTIO_BLK_T_WRITE_ZEROES };
	struct plan *p = &plans[i];
	struct br_req *q = &r->req[i];
	struct virtio_blk_discard_write_zeroes w = { 0 };
	uint8_t *shadow;

	p->type = types[br_rnd(r, ARRAY_SIZE(types))];
	p->off = br_rnd(r, 64) * 512;
	p->len = br_rnd(r, 64) * 512;
	shadow = r->shadow + i * BR_SLICE + p->off;
	br_hdr(r, i, p->type, (i * BR_SLICE + p->off) / 512);
	if (p->type == VIRTIO_BLK_T_IN) {
		q->in_len = p->len + 1;
		memset(q->in, 0xcc, q->in_len);
	} else if (p->type == VIRTIO_BLK_T_OUT) {
		for (uint32_t k = 0; k < p->len; k++)
			shadow[k] = q->out[16 + k] = (uint8_t)br_rnd(r, 256);
		q->out_len += p->len;
	} else if (p->type == VIRTIO_BLK_T_GET_ID) {
		q->in_len = 21;
	} else if (p->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		w.sector = (i * BR_SLICE + p->off) / 512;
		w.num_sectors = p->len / 512;
		w.flags = br_rnd(r, 2);
		memcpy(q->out + 16, &w, sizeof(w));
		q->out_len += sizeof(w);
		memset(shadow, 0, p->len);
	}
}

static void check_request(struct br *r, unsigned int i)
{
	const struct plan *p = &plans[i];
	const struct br_req *q = &r->req[i];

	assert_int_equal(br_status(r, i), OK);
	assert_int_equal(q->used_len, q->in_len);
	if (p->type == VIRTIO_BLK_T_IN)
		assert_memory_equal(q->in, r->shadow + i * BR_SLICE + p->off, p->len);
	else if (p->type == VIRTIO_BLK_T_GET_ID)
		assert_memory_equal(q->in, "serial-0123456789-ab", 20);
}

static void shuffle(struct br *r, unsigned int requests)
{
	unsigned int added = 0, done = 0, i = 0;
	bool made = false;

	while (done < requests) {
		int got;

		if (!made)
			i = br_rnd(r, BR_REQS);
		if (added < requests && !r->req[i].busy) {
			if (!made)
				make_request(r, i);
			made = br_add(r, i, 1 + br_rnd(r, 5)); /* no room: once more, later */
			added += !made;
		}
		(void)!vqd_publish(r->d);
		if (br_rnd(r, 4) == 0 && !blkq_run(r->b) && added > done && !blkq_arm(r->b))
			br_sleep(r);
		while ((got = br_get(r)) >= 0) {
			check_request(r, (unsigned int)got);
			done++;
		}
	}
}

static void each_flavour(void (*f)(const struct vqd_cfg *c))
{
	for (unsigned int k = 0; k < 16; k++) {
		struct vqd_cfg c = { .size = 64,
				     .packed = k & 1,
				     .event_idx = k & 2,
				     .indirect = k & 4,
				     .in_order = k & 8 };

		f(&c);
	}
}

static void integrity(const struct vqd_cfg *c)
{
	struct blkq_count n;

	br_up(&rig, c, NULL, NULL);
	shuffle(&rig, 400);
	blkq_count(rig.b, &n);
	assert_int_equal(n.errors, 0);
	assert_true(n.reads && n.writes && n.flushes && n.others && n.enters);
	assert_int_equal(n.calls, rig.calls);
	assert_int_equal(rig.broken, 0);
	br_down(&rig);
}

static void test_integrity(void **state)
{
	each_flavour(integrity);
}

/* ---- requests that are wrong ---- */

static void test_wrong_requests(void **state)
{
	const uint64_t end = BR_DISK / 512;
	uint8_t buf[4096] = { 0 };

	br_up(&rig, &plain, NULL, NULL);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, end - 1, NULL, 0, 512), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, end, NULL, 0, 512), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, end - 1, NULL, 0, 1024), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 1ull << 55, NULL, 0, 512), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, UINT64_MAX, NULL, 0, 512), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, UINT64_MAX / 512, NULL, 0, 1024), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, end - 1, buf, 1024, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 0, buf, 511, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 0, NULL, 0, 513), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 0, NULL, 0, 0), OK); /* nothing is read */
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 0, buf, 100, 512), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 0, buf, 512, 100), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, 5), OK);
	assert_memory_equal(rig.req[0].in, "seria", 5);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_FLUSH, 77, buf, 512, 512), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_SCSI_CMD, 0, buf, 512, 512), UNSUP);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_SECURE_ERASE, 0, buf, 16, 0), UNSUP);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_BARRIER, 0, NULL, 0, 0), UNSUP);
	assert_int_equal(br_do(&rig, UINT32_MAX, 0, NULL, 0, 0), UNSUP);
	assert_int_equal(rig.broken, 0);
	br_down(&rig);
}

/* No readable part, or a short one, is answered all the same. */
static void test_short_header(void **state)
{
	br_up(&rig, &plain, NULL, NULL);
	for (uint32_t len = 0; len < 16; len++) {
		br_hdr(&rig, 0, VIRTIO_BLK_T_IN, 0);
		rig.req[0].out_len = len;
		assert_int_equal(br_add(&rig, 0, 3), 0);
		(void)!vqd_publish(rig.d);
		assert_int_equal(br_wait(&rig), 0);
		assert_int_equal(br_status(&rig, 0), IOERR);
	}
	br_down(&rig);
}

static void test_ranges(void **state)
{
	const uint32_t end = BR_DISK / 512;
	struct virtio_blk_discard_write_zeroes w[17] = { 0 };
	uint8_t one[512];

	br_up(&rig, &plain, NULL, NULL);
	memset(one, 1, sizeof(one));
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 7, one, 512, 0), OK);
	w[0].sector = 7;
	w[0].num_sectors = 1;
	w[1].sector = end; /* the second is wrong: the first does not happen either */
	w[1].num_sectors = 1;
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 32, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 7, NULL, 0, 512), OK);
	assert_memory_equal(rig.req[0].in, one, 512);
	w[1].sector = UINT64_MAX;
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 32, 0), IOERR);
	w[1].sector = 0;
	w[1].num_sectors = UINT32_MAX;
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, w, 32, 0), IOERR);
	w[1].num_sectors = 0; /* empty ones are skipped */
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 32, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 7, NULL, 0, 512), OK);
	memset(one, 0, sizeof(one));
	assert_memory_equal(rig.req[0].in, one, 512);
	for (unsigned int i = 0; i < 16; i++)
		w[i] = (struct virtio_blk_discard_write_zeroes){ .sector = i * 100,
								 .num_sectors = 50 };
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, w, 16 * 16, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 16 * 16, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, w, 17 * 16, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, w, 15, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, NULL, 0, 0), IOERR);
	w[3].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 16 * 4, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, w, 16 * 4, 0), UNSUP);
	w[3].flags = 2;
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 16 * 4, 0), UNSUP);
	blkq_writethrough(rig.b, true);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, w, 16, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 7, one, 512, 0), OK);
	br_down(&rig);
}

static void test_readonly(void **state)
{
	struct disk_cfg d = { .readonly = true };
	struct virtio_blk_discard_write_zeroes w = { .num_sectors = 1 };
	uint8_t buf[512];

	br_up(&rig, &plain, &d, NULL);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 0, buf, 512, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, &w, 16, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_DISCARD, 0, &w, 16, 0), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 0, NULL, 0, 512), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), OK);
	br_down(&rig);
}

static void test_medium_error(void **state)
{
	struct blkq_count n;

	br_up(&rig, &plain, NULL, NULL);
	assert_int_equal(truncate(rig.path, 4096), 0); /* the disk does not know */
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 8, NULL, 0, 512), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 7, NULL, 0, 1024), IOERR);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 7, NULL, 0, 512), OK);
	blkq_count(rig.b, &n);
	assert_int_equal(n.errors, 2);
	assert_int_equal(rig.broken, 0);
	br_down(&rig);
}

/* As many segments as told are fine; one more is an error, not the end. */
static void test_segments(void **state)
{
	struct vqd_cfg ring = { .size = 256, .indirect = true };
	struct iovec v[BR_SEGS + 3];

	br_up(&rig, &ring, NULL, NULL);
	for (unsigned int more = 0; more < 2; more++) {
		unsigned int n = BR_SEGS + more;

		br_hdr(&rig, 0, VIRTIO_BLK_T_IN, 0);
		v[0] = (struct iovec){ rig.req[0].out, 16 };
		for (unsigned int k = 0; k < n; k++)
			v[1 + k] = (struct iovec){ rig.req[0].in + k * 1024, 512 };
		v[1 + n] = (struct iovec){ rig.req[0].in + n * 1024, 1 };
		assert_int_equal(vqd_add(rig.d, v, 1, n + 1, &rig.req[0]), 0);
		rig.req[0].busy = true;
		(void)!vqd_publish(rig.d);
		assert_int_equal(br_wait(&rig), 0);
		assert_int_equal(rig.req[0].in[n * 1024], more ? IOERR : OK);
	}
	assert_int_equal(rig.broken, 0);
	br_down(&rig);
}

static void test_no_status(void **state)
{
	br_up(&rig, &plain, NULL, NULL);
	br_hdr(&rig, 0, VIRTIO_BLK_T_FLUSH, 0);
	rig.req[0].in_len = 0;
	assert_int_equal(br_add(&rig, 0, 1), 0);
	br_hdr(&rig, 1, VIRTIO_BLK_T_FLUSH, 0);
	assert_int_equal(br_add(&rig, 1, 1), 0);
	(void)!vqd_publish(rig.d);
	for (unsigned int i = 0; i < 3; i++)
		blkq_run(rig.b);
	assert_int_equal(rig.broken, 1); /* said once */
	assert_non_null(strstr(rig.why, "status"));
	assert_int_equal(br_get(&rig), -1);
	assert_false(blkq_arm(rig.b)); /* and it does not keep its thread awake */
	br_down(&rig);
}

static void test_broken_ring(void **state)
{
	struct iovec v[2];

	br_up(&rig, &plain, NULL, NULL);
	br_hdr(&rig, 0, VIRTIO_BLK_T_IN, 0);
	v[0] = (struct iovec){ rig.req[0].out, 16 };
	v[1] = (struct iovec){ rig.ram - (1 << 20), 512 }; /* not memory of the guest */
	assert_int_equal(vqd_add(rig.d, v, 1, 1, &rig.req[0]), 0);
	(void)!vqd_publish(rig.d);
	blkq_run(rig.b);
	blkq_run(rig.b);
	assert_int_equal(rig.broken, 1);
	assert_true(rig.why[0]);
	br_down(&rig);
}

/* ---- a queue's life ---- */

/* Stopped with all slots busy, what was taken is finished; the rest is there for the next. */
static void stop_in_flight(const struct vqd_cfg *c)
{
	struct vq_cfg vc;
	unsigned int done = 0;
	int i;

	br_up(&rig, c, NULL, NULL);
	for (unsigned int k = 0; k < 12; k++) {
		make_request(&rig, k);
		assert_int_equal(br_add(&rig, k, 2), 0);
	}
	(void)!vqd_publish(rig.d);
	blkq_run(rig.b);
	blkq_stop(rig.b, &rig.avail_idx, &rig.used_idx);
	while ((i = br_get(&rig)) >= 0) {
		check_request(&rig, (unsigned int)i);
		done++;
	}
	assert_int_equal(done, 8); /* as many as it has slots */
	assert_int_equal(blkq_run(rig.b), 0);
	vqd_addrs(rig.d, &vc);
	vc.avail_idx = rig.avail_idx;
	vc.used_idx = rig.used_idx;
	assert_int_equal(blkq_start(rig.b, &rig.mem, &vc, NULL), 0);
	assert_int_equal(blkq_start(rig.b, &rig.mem, &vc, NULL), -EBUSY);
	for (; done < 12; done++)
		check_request(&rig, (unsigned int)br_wait(&rig));
	br_down(&rig);
}

static void test_stop(void **state)
{
	each_flavour(stop_in_flight);
}

/* A loop that sleeps whenever the queue says it may: nothing is missed. */
static void sleeper(const struct vqd_cfg *c)
{
	struct blkq_cfg opts = { .depth = 2 };

	br_up(&rig, c, NULL, &opts);
	for (unsigned int k = 0; k < 60; k++) {
		for (unsigned int i = 0; i < 3; i++) {
			make_request(&rig, i);
			assert_int_equal(br_add(&rig, i, 2), 0);
		}
		while (blkq_arm(rig.b))
			blkq_run(rig.b);
		assert_true(vqd_publish(rig.d));
		for (unsigned int done = 0; done < 3; done++)
			check_request(&rig, (unsigned int)br_wait(&rig));
	}
	br_down(&rig);
}

static void test_sleeping(void **state)
{
	each_flavour(sleeper);
}

static void test_null(void **state)
{
	struct disk_cfg d = { .path = "null:1G" };
	uint8_t buf[512] = { 0 };

	br_up(&rig, &plain, &d, NULL);
	memset(rig.req[0].in, 0x77, 600);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, 0, NULL, 0, 512), OK);
	assert_int_equal(rig.req[0].in[100], 0x77); /* no storage: memory stays as it is */
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_OUT, 0, buf, 512, 0), OK);
	assert_int_equal(br_do(&rig, VIRTIO_BLK_T_IN, GIB(1) / 512, NULL, 0, 512), IOERR);
	br_down(&rig);
}

static void test_new_sweep(void **state)
{
	struct disk_cfg dc = { .path = "null:1G" };
	struct blkq_cfg c = { .depth = 4, .seg_max = 4 };
	struct fakesys *s = fakesys_new();
	struct blkq *b;

	for (unsigned int n = 1;; n++) {
		struct err e = { 0 };
		bool failed;
		int ret;

		assert_int_equal(disk_open(fakesys_sys(s), &dc, &c.disk, &e), 0);
		fakesys_fail_nth(s, n, -EMFILE);
		ret = blkq_new(&c, &b, &e);
		failed = fakesys_failed(s);
		fakesys_fail_nth(s, 0, 0);
		assert_int_equal(ret, failed ? -EMFILE : 0);
		assert_true(!failed || (!b && e.text[0]));
		blkq_free(b);
		disk_close(c.disk);
		assert_int_equal(fakesys_open_fds(s), 0);
		if (!failed)
			break;
	}
	fakesys_free(s);
	c.seg_max = 0;
	assert_int_equal(blkq_new(&c, &b, NULL), -EINVAL);
	c.seg_max = 4096;
	assert_int_equal(blkq_new(&c, &b, NULL), -EINVAL);
}

static void test_config(void **state)
{
	struct disk_info i = { .size = GIB(1) + 1024, .block = 512, .phys_block = 4096 };
	struct virtio_blk_config c;
	uint8_t buf[BLKQ_CFG_SIZE];

	assert_false(blkq_features(&i, 1) & (1ull << VIRTIO_BLK_F_DISCARD |
					     1ull << VIRTIO_BLK_F_MQ | 1ull << VIRTIO_BLK_F_RO));
	i.discard = i.write_zeroes = true;
	blkq_config(&i, 4, 126, buf);
	memcpy(&c, buf, MIN(sizeof(c), sizeof(buf)));
	assert_int_equal(c.capacity, (GIB(1) + 1024) / 512);
	assert_int_equal(c.seg_max, 126);
	assert_int_equal(c.blk_size, 512);
	assert_int_equal(c.physical_block_exp, 3);
	assert_int_equal(c.num_queues, 4);
	assert_int_equal(c.max_discard_seg, 16);
	assert_int_equal(c.discard_sector_alignment, 8);
	assert_int_equal(c.write_zeroes_may_unmap, 1);
	assert_true(blkq_features(&i, 4) & (1ull << VIRTIO_BLK_F_MQ));
	assert_true(blkq_features(&i, 4) & (1ull << VIRTIO_BLK_F_DISCARD));
	i.readonly = true;
	assert_true(blkq_features(&i, 4) & (1ull << VIRTIO_BLK_F_RO));
	assert_false(blkq_features(&i, 4) & (1ull << VIRTIO_BLK_F_WRITE_ZEROES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integrity),    cmocka_unit_test(test_wrong_requests),
		cmocka_unit_test(test_short_header), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_readonly),     cmocka_unit_test(test_medium_error),
		cmocka_unit_test(test_segments),     cmocka_unit_test(test_no_status),
		cmocka_unit_test(test_broken_ring),  cmocka_unit_test(test_stop),
		cmocka_unit_test(test_sleeping),     cmocka_unit_test(test_null),
		cmocka_unit_test(test_new_sweep),    cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
