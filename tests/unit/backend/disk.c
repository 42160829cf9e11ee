// SPDX-License-Identifier: BSD-3-Clause
/* The disk over real files and the real io_uring, with a door in between that lies where asked. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/fake/fakesys.h"
#include "vmm/backend/disk_priv.h"

#define SIZE  (2u << 20)
#define DEPTH 8

struct fix {
	char path[64];
	struct disk *d;
	struct disk_ring *r;
	struct disk_uring door;
};

struct one {
	struct disk_req req;
	struct iovec iov[8];
	uint8_t *mem; /* where the iovecs point */
	int res, calls;
};

/* What the lying door does to completions; single-threaded, as the tests are. */
static struct {
	int res;      /* put into completions, 0: none */
	int times;    /* how many of them */
	bool halve;   /* transfers come short */
	int enter;    /* what enter returns instead of entering */
	int fail_nth; /* of the set-up calls */
	int rings, calls;
} lie;

static void change_cqes(struct io_uring *r)
{
	unsigned int ready = io_uring_cq_ready(r), head = *r->cq.khead;

	for (unsigned int i = 0; i < ready && lie.times > 0; i++) {
		struct io_uring_cqe *c = &r->cq.cqes[(head + i) & *r->cq.kring_mask];

		if (lie.halve && c->res >= 1024)
			c->res = ALIGN_DOWN(c->res / 2, 512);
		else if (lie.res)
			c->res = lie.res;
		lie.times--;
	}
}

static int lying_enter(struct io_uring *r, unsigned int wait)
{
	int ret;

	if (lie.enter)
		return lie.enter;
	ret = disk_uring_host.enter(r, wait);
	change_cqes(r);
	return ret;
}

static int open_path(struct fix *f, const char *path, bool readonly, bool direct)
{
	struct disk_cfg c = { .path = path, .readonly = readonly, .direct = direct };
	struct err e = { 0 };
	int ret = disk_open(sys_host(), &c, &f->d, &e);

	assert_int_equal(!ret, !e.text[0]);
	return ret;
}

static void make_file(struct fix *f, off_t size)
{
	int fd;

	memset(&lie, 0, sizeof(lie));
	strcpy(f->path, "/var/tmp/sluice-disk-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void ring_of(struct fix *f, const struct iovec *fixed, unsigned int nfixed, bool poll)
{
	struct disk_ring_cfg c = { .depth = DEPTH, .fixed = fixed, .nfixed = nfixed, .poll = poll };

	f->door = disk_uring_host;
	f->door.enter = lying_enter;
	f->d->u = &f->door;
	assert_int_equal(disk_ring_new(f->d, &c, &f->r, NULL), 0);
}

static void setup(struct fix *f, bool direct)
{
	make_file(f, SIZE);
	if (open_path(f, f->path, false, direct)) {
		unlink(f->path);
		skip(); /* no direct I/O on this file system */
	}
	ring_of(f, NULL, 0, false);
}

static void teardown(struct fix *f)
{
	disk_ring_free(f->r);
	disk_close(f->d);
	unlink(f->path);
}

static void on_done(struct disk_req *q, int res)
{
	struct one *o = container_of(q, struct one, req);

	o->res = res;
	o->calls++;
}

static void fill(struct one *o, enum disk_op op, uint64_t off, uint64_t len)
{
	memset(&o->req, 0xee, sizeof(o->req));
	o->req = (struct disk_req){ .op = op, .off = off, .len = len, .iov = o->iov, .niov = 1 };
	o->req.done = on_done;
	o->iov[0] = (struct iovec){ o->mem, len };
	o->res = 1;
	o->calls = 0;
}

static int run_one(struct fix *f, struct one *o)
{
	disk_queue(f->r, &o->req);
	(void)!disk_submit(f->r);
	disk_drain(f->r);
	assert_int_equal(o->calls, 1);
	return o->res;
}

static int rw(struct fix *f, enum disk_op op, uint64_t off, void *mem, uint64_t len)
{
	struct one o = { .mem = mem };

	fill(&o, op, off, len);
	return run_one(f, &o);
}

/* ---- opening ---- */

static void test_refused(void **state)
{
	struct fix f = { 0 }, g = { 0 };

	make_file(&f, 100);
	assert_int_equal(open_path(&f, "/", false, false), -EINVAL);
	assert_int_equal(open_path(&f, "/dev/null", false, false), -EINVAL);
	assert_int_equal(open_path(&f, "/nonexistent/disk", false, false), -ENOENT);
	assert_int_equal(open_path(&f, f.path, false, false), -EINVAL); /* no whole block */
	assert_int_equal(open_path(&f, "null:", false, false), -EINVAL);
	assert_int_equal(open_path(&f, "null:1", false, false), -EINVAL);
	assert_int_equal(open_path(&f, "null:16777216T", false, false), -EINVAL);
	assert_int_equal(truncate(f.path, SIZE), 0);
	assert_int_equal(open_path(&f, f.path, false, false), 0);
	assert_int_equal(open_path(&g, f.path, false, false), -EBUSY);
	assert_int_equal(open_path(&g, f.path, true, false), -EBUSY);
	disk_close(f.d);
	assert_int_equal(open_path(&f, f.path, true, false), 0);
	assert_int_equal(open_path(&g, f.path, true, false), 0); /* readers share */
	disk_close(g.d);
	assert_int_equal(open_path(&g, f.path, false, false), -EBUSY);
	disk_close(f.d);
	unlink(f.path);
}

static void test_info(void **state)
{
	struct disk_info i;
	struct fix f = { 0 };

	make_file(&f, SIZE + 100);
	assert_int_equal(open_path(&f, f.path, false, false), 0);
	disk_info(f.d, &i);
	assert_int_equal(i.size, SIZE);
	assert_int_equal(i.block, 512);
	assert_true(i.write_zeroes && !i.is_blkdev && !i.null && !i.readonly);
	assert_int_equal(disk_refresh(f.d), 0);
	assert_int_equal(truncate(f.path, 2 * SIZE), 0);
	assert_int_equal(disk_refresh(f.d), 1);
	disk_info(f.d, &i);
	assert_int_equal(i.size, 2 * SIZE);
	disk_close(f.d);
	unlink(f.path);
}

static void test_open_sweep(void **state)
{
	for (unsigned int n = 1;; n++) {
		struct fakesys *s = fakesys_new();
		struct disk_cfg c = { .path = "/img" };
		struct disk *d;
		struct err e = { 0 };
		bool failed;
		char text[2048];
		int ret;

		memset(text, 'x', sizeof(text) - 1);
		text[sizeof(text) - 1] = 0;
		fakesys_file(s, "/img", text);
		fakesys_fail_nth(s, n, -EIO);
		ret = disk_open(fakesys_sys(s), &c, &d, &e);
		failed = fakesys_failed(s);
		/* a medium that punches no holes is fine all the same */
		assert_true(!ret || (failed && e.text[0] && !d));
		disk_close(d);
		assert_int_equal(fakesys_open_fds(s), 0);
		assert_int_equal(fakesys_maps(s), 0);
		fakesys_free(s);
		if (!failed)
			break;
		assert_true(n < 50);
	}
}

/* ---- the ring ---- */

static int count_call(void)
{
	return ++lie.calls == lie.fail_nth ? -EIO : 0;
}

static int fake_init(struct io_uring *r, unsigned int entries, unsigned int flags)
{
	int ret = count_call();

	memset(r, 0, sizeof(*r));
	lie.rings += !ret;
	return ret;
}

static void fake_exit(struct io_uring *r)
{
	lie.rings--;
}

static int fake_reg(struct io_uring *r, int fd)
{
	return count_call();
}

static int fake_reg_buffers(struct io_uring *r, const struct iovec *iov, unsigned int n)
{
	return count_call();
}

static const struct disk_uring fake_uring = {
	.init = fake_init,
	.exit = fake_exit,
	.reg_file = fake_reg,
	.reg_eventfd = fake_reg,
	.reg_buffers = fake_reg_buffers,
};

static void test_ring_sweep(void **state)
{
	struct iovec mem = { (void *)4096, GIB(3) + 4096 };
	struct disk_ring_cfg c = { .depth = DEPTH, .fixed = &mem, .nfixed = 1 };
	struct fakesys *s = fakesys_new();
	struct disk d = { .s = fakesys_sys(s), .u = &fake_uring, .direct = true };
	struct disk_ring *r;
	int ok = 0;

	memset(&lie, 0, sizeof(lie));
	for (lie.fail_nth = 1; lie.fail_nth <= 5; lie.fail_nth++) {
		struct err e = { 0 };
		int ret;

		lie.calls = 0;
		ret = disk_ring_new(&d, &c, &r, &e);
		assert_true(!ret || e.text[0]);
		if (!ret) {
			ok++;
			assert_int_equal(r->nfixed, lie.fail_nth == 4 ? 0 : 4);
			assert_int_equal(r->fixed_file, lie.fail_nth != 3);
		}
		disk_ring_free(r);
		assert_int_equal(lie.rings, 0);
		assert_int_equal(fakesys_open_fds(s), 0);
	}
	assert_int_equal(ok, 3); /* no fixed file, no fixed buffers, and the one without failure */
	fakesys_fail_nth(s, 1, -EMFILE);
	assert_int_equal(disk_ring_new(&d, &c, &r, NULL), -EMFILE);
	c.depth = 0;
	assert_int_equal(disk_ring_new(&d, &c, &r, NULL), -EINVAL);
	fakesys_free(s);
}

/* Random requests, more than the ring has places for, against a copy in memory. */
static void random_iov(struct one *o, uint64_t len, bool odd)
{
	unsigned int n = 0;
	uint8_t *p = o->mem + (odd ? rand() % 100 : 0);

	while (len) {
		uint64_t part = n == 7 ? len : (uint64_t)(1 + rand() % 24) * 512 + (odd ? 7 : 0);

		part = MIN(part, len);
		o->iov[n].iov_base = p;
		o->iov[n++].iov_len = part;
		p += part + (odd ? rand() % 50 : 0);
		len -= part;
	}
	o->req.niov = n;
}

static void copy_iov(struct one *o, uint8_t *flat, bool to_flat)
{
	for (unsigned int i = 0; i < o->req.niov; i++) {
		if (to_flat)
			memcpy(flat, o->iov[i].iov_base, o->iov[i].iov_len);
		else
			assert_memory_equal(flat, o->iov[i].iov_base, o->iov[i].iov_len);
		flat += o->iov[i].iov_len;
	}
}

#define BATCH 24
#define SLICE (SIZE / BATCH / 512 * 512) /* each request of a batch has a piece of its own */

static void random_req(struct one *o, unsigned int i, uint8_t *shadow, bool odd)
{
	static const enum disk_op ops[] = { DISK_READ,	DISK_READ, DISK_WRITE, DISK_WRITE,
					    DISK_WRITE, DISK_ZERO, DISK_FLUSH };
	uint64_t off = i * SLICE + rand() % 16 * 512, len = (uint64_t)(rand() % 130) * 512;
	enum disk_op op = ops[rand() % ARRAY_SIZE(ops)];

	fill(o, op, off, len);
	random_iov(o, len, odd);
	o->req.unmap = rand() % 2;
	o->req.fua = rand() % 8 == 0;
	if (op == DISK_WRITE) {
		for (uint64_t k = 0; k < SLICE + 2048; k++)
			o->mem[k] = (uint8_t)rand();
		copy_iov(o, shadow + off, true);
	} else if (op == DISK_ZERO) {
		memset(shadow + off, 0, len);
	}
}

static void read_file(const struct fix *f, uint8_t *buf)
{
	FILE *file = fopen(f->path, "rb");

	assert_non_null(file);
	assert_int_equal(fread(buf, 1, SIZE, file), SIZE);
	fclose(file);
}

static void random_batches(struct fix *f, unsigned int batches, bool odd)
{
	uint8_t *shadow = calloc(1, SIZE), *check = calloc(1, SIZE);
	struct one o[BATCH];

	read_file(f, shadow);
	for (unsigned int i = 0; i < BATCH; i++)
		assert_non_null(o[i].mem = aligned_alloc(4096, ALIGN_UP(SLICE + 4096, 4096u)));
	while (batches--) {
		for (unsigned int i = 0; i < BATCH; i++) {
			random_req(&o[i], i, shadow, odd);
			disk_queue(f->r, &o[i].req);
		}
		assert_int_equal(disk_submit(f->r), 0);
		disk_drain(f->r);
		for (unsigned int i = 0; i < BATCH; i++) {
			assert_int_equal(o[i].calls, 1);
			assert_int_equal(o[i].res, 0);
			if (o[i].req.op == DISK_READ)
				copy_iov(&o[i], shadow + o[i].req.off, false);
		}
	}
	for (unsigned int i = 0; i < BATCH; i++)
		free(o[i].mem);
	lie.times = 0;
	read_file(f, check);
	assert_memory_equal(check, shadow, SIZE);
	free(shadow);
	free(check);
}

static void test_random(void **state)
{
	struct disk_count c;
	struct fix f;

	setup(&f, false);
	srand(1);
	random_batches(&f, 40, true);
	disk_ring_count(f.r, &c);
	assert_true(c.reads && c.writes && c.flushes && c.others && !c.errors && c.enters);
	teardown(&f);
}

static void test_random_direct(void **state)
{
	struct fix f;

	setup(&f, true);
	srand(2);
	random_batches(&f, 8, false);
	random_batches(&f, 8, true); /* through the bounce buffer */
	teardown(&f);
}

static void test_random_short(void **state)
{
	struct fix f;

	setup(&f, false);
	srand(3);
	lie.halve = true;
	lie.times = 100000;
	random_batches(&f, 10, true);
	teardown(&f);
	setup(&f, true);
	lie.halve = true;
	lie.times = 100000;
	random_batches(&f, 4, true);
	teardown(&f);
}

static void test_zero_by_writing(void **state)
{
	struct fix f;

	setup(&f, false);
	srand(4);
	f.d->no_punch = f.d->no_zero_range = true;
	random_batches(&f, 10, true);
	f.d->no_punch = f.d->no_zero_range = false;
	lie.res = -EOPNOTSUPP;
	lie.times = 1;
	assert_int_equal(rw(&f, DISK_ZERO, 512, NULL, 1024), 0);
	assert_true(f.d->no_zero_range && !f.d->no_punch);
	lie.times = 1;
	assert_int_equal(rw(&f, DISK_DISCARD, 512, NULL, 1024), 0); /* a hint */
	assert_true(f.d->no_punch);
	teardown(&f);
}

static void test_fixed(void **state)
{
	struct iovec mem = { NULL, 1 << 20 };
	struct disk_count c;
	struct fix f;
	uint8_t *p;

	make_file(&f, SIZE);
	if (open_path(&f, f.path, false, true)) {
		unlink(f.path);
		skip();
	}
	p = mem.iov_base = aligned_alloc(4096, mem.iov_len);
	memset(p, 0x5a, mem.iov_len);
	ring_of(&f, &mem, 1, true);
	assert_int_equal(rw(&f, DISK_WRITE, 4096, p, 65536), 0);
	assert_int_equal(rw(&f, DISK_READ, 4096, p + 65536, 65536), 0);
	assert_int_equal(p[65536 + 777], 0x5a);
	disk_ring_count(f.r, &c);
	assert_int_equal(c.fixed, f.r->nfixed ? 2 : 0);
	teardown(&f);
	free(p);
}

static void test_errors(void **state)
{
	uint8_t *p = aligned_alloc(4096, 65536);
	struct disk_count c;
	struct fix f;
	struct one o = { .mem = p };

	setup(&f, false);
	assert_int_equal(rw(&f, DISK_READ, SIZE, p, 512), -EINVAL);
	assert_int_equal(rw(&f, DISK_WRITE, UINT64_MAX - 511, p, 512), -EINVAL);
	assert_int_equal(rw(&f, DISK_ZERO, 0, p, SIZE + 512ull), -EINVAL);
	fill(&o, DISK_READ, 0, 1024);
	o.iov[0].iov_len = 512; /* iovecs and length differ */
	assert_int_equal(run_one(&f, &o), -EINVAL);
	lie.res = -EIO;
	lie.times = 1;
	assert_int_equal(rw(&f, DISK_READ, 0, p, 512), -EIO);
	lie.times = 1;
	assert_int_equal(rw(&f, DISK_FLUSH, 0, NULL, 0), -EIO);
	lie.res = -EAGAIN;
	lie.times = 5;
	assert_int_equal(rw(&f, DISK_WRITE, 0, p, 512), 0);
	lie.times = 1000;
	assert_int_equal(rw(&f, DISK_WRITE, 0, p, 512), -EAGAIN); /* not for ever */
	lie.times = 0;
	lie.enter = -EBADF;
	assert_int_equal(rw(&f, DISK_WRITE, 0, p, 512), -EBADF);
	lie.enter = 0;
	assert_int_equal(rw(&f, DISK_WRITE, 0, p, 512), 0);
	assert_int_equal(truncate(f.path, 512), 0); /* behind our back */
	assert_int_equal(rw(&f, DISK_READ, 0, p, 1024), -EIO);
	disk_ring_count(f.r, &c);
	assert_int_equal(c.errors, 9);
	teardown(&f);
	free(p);
}

static void test_no_memory_for_a_while(void **state)
{
	uint8_t p[512];
	struct one o = { .mem = p };
	struct fix f;

	setup(&f, false);
	lie.enter = -EAGAIN;
	fill(&o, DISK_READ, 0, 512);
	disk_queue(f.r, &o.req);
	assert_int_equal(disk_submit(f.r), 0);
	assert_int_equal(disk_poll(f.r), 0);
	assert_true(disk_ring_arm(f.r, true)); /* does not sleep on it */
	lie.enter = 0;
	disk_drain(f.r);
	assert_int_equal(o.res, 0);
	teardown(&f);
}

static void test_readonly_and_direct_rules(void **state)
{
	uint8_t *p = aligned_alloc(4096, 65536);
	struct fix f;

	make_file(&f, SIZE);
	assert_int_equal(open_path(&f, f.path, true, false), 0);
	ring_of(&f, NULL, 0, false);
	assert_int_equal(rw(&f, DISK_READ, 0, p, 512), 0);
	assert_int_equal(rw(&f, DISK_WRITE, 0, p, 512), -EROFS);
	assert_int_equal(rw(&f, DISK_DISCARD, 0, p, 512), -EROFS);
	assert_int_equal(rw(&f, DISK_FLUSH, 0, NULL, 0), 0);
	teardown(&f);
	setup(&f, true);
	assert_int_equal(rw(&f, DISK_READ, 100, p, f.d->info.block), -EINVAL);
	assert_int_equal(rw(&f, DISK_READ, 0, p, 100), -EINVAL);
	teardown(&f);
	free(p);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void test_eventfd(const char *path)
{
	struct fix f = { 0 };
	uint8_t p[512];
	struct one o = { .mem = p };
	uint64_t n;

	make_file(&f, SIZE);
	assert_int_equal(open_path(&f, path ? path : f.path, false, false), 0);
	ring_of(&f, NULL, 0, true);
	fill(&o, DISK_READ, 0, 512);
	disk_queue(f.r, &o.req);
	assert_int_equal(disk_submit(f.r), 0);
	while (!disk_ring_arm(f.r, true)) /* it may still be under way: the eventfd tells */
		if (readable(disk_ring_fd(f.r), 50000))
			break;
	disk_drain(f.r);
	while (read(disk_ring_fd(f.r), &n, sizeof(n)) > 0)
		;
	assert_false(disk_ring_arm(f.r, true));
	fill(&o, DISK_READ, 0, 512);
	disk_queue(f.r, &o.req);
	assert_int_equal(disk_submit(f.r), 0);
	assert_true(readable(disk_ring_fd(f.r), 50000));
	while (!disk_ring_idle(f.r))
		disk_poll(f.r);
	assert_int_equal(o.res, 0);
	while (read(disk_ring_fd(f.r), &n, sizeof(n)) > 0)
		;
	disk_ring_arm(f.r, false);
	fill(&o, DISK_READ, 0, 512);
	disk_queue(f.r, &o.req);
	assert_int_equal(disk_submit(f.r), 0);
	while (!disk_poll(f.r))
		;
	assert_false(readable(disk_ring_fd(f.r), 0));
	teardown(&f);
}

static void test_eventfds(void **state)
{
	test_eventfd(NULL);
	test_eventfd("null:1G");
}

static void test_free_in_flight(void **state)
{
	uint8_t *p = aligned_alloc(4096, 65536 * 20);
	struct one o[20];
	struct fix f;

	setup(&f, false);
	for (unsigned int i = 0; i < 20; i++) {
		o[i].mem = p + i * 65536ul;
		fill(&o[i], DISK_READ, i * 65536ull, 65536);
		disk_queue(f.r, &o[i].req);
	}
	assert_int_equal(disk_submit(f.r), 0);
	teardown(&f);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(o[i].calls, 1);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_open_sweep),
		cmocka_unit_test(test_ring_sweep),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_direct),
		cmocka_unit_test(test_random_short),
		cmocka_unit_test(test_zero_by_writing),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_no_memory_for_a_while),
		cmocka_unit_test(test_readonly_and_direct_rules),
		cmocka_unit_test(test_eventfds),
		cmocka_unit_test(test_free_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
