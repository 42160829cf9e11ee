// SPDX-License-Identifier: BSD-3-Clause
/* The emulated NVMe controller with a driver made of register writes, on a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/devices/devrig.h"
#include "vmm/devices/nvme/nvme_priv.h"

#define ASQ	0x10000u
#define ACQ	0x11000u
#define SQ	0x12000u
#define CQ	0x13000u
#define DATA	0x100000u
#define LIST	0x200000u
#define DISK	MIB(8)
#define DEPTH	16u
#define WAIT_MS 5000

struct queue {
	uint64_t sq, cq;
	unsigned int id, tail, head;
	bool phase;
};

struct ctl {
	struct devrig r;
	struct nvme *n;
	char path[64];
	int fd;
	uint16_t cid;
	struct queue admin, q;
};

static void ready(struct ctl *c, uint32_t want)
{
	unsigned int i;

	for (i = 0; i < WAIT_MS && (rd(&c->r, NVME_CSTS) & (NVME_CSTS_RDY | NVME_CSTS_CFS)) != want;
	     i++)
		usleep(1000);
	assert_int_equal(rd(&c->r, NVME_CSTS) & (NVME_CSTS_RDY | NVME_CSTS_CFS), want);
}

static void enable(struct ctl *c)
{
	memset(ram(&c->r, ACQ), 0, 4096);
	memset(ram(&c->r, CQ), 0, 4096);
	wr(&c->r, NVME_AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
	wr(&c->r, NVME_ASQ, ASQ);
	wr(&c->r, NVME_ACQ, ACQ);
	wr(&c->r, NVME_CC, 0x00460001);
	c->admin = (struct queue){ .sq = ASQ, .cq = ACQ, .phase = true };
	c->q = (struct queue){ .sq = SQ, .cq = CQ, .id = 1, .phase = true };
}

static int up(void **state, uint64_t window)
{
	static struct ctl c;
	struct nvme_cfg cfg = { .queues = 4, .serial = "S1", .shadow = true };
	struct err e = { 0 };

	memset(&c, 0, sizeof(c));
	devrig_init(&c.r);
	strcpy(c.path, "/tmp/sluice-nvme-XXXXXX");
	c.fd = mkstemp(c.path);
	assert_int_equal(ftruncate(c.fd, DISK), 0);
	ev_poll_window(vm_iothread_ev(c.r.io), window);
	cfg.disk.path = c.path;
	cfg.io = c.r.io;
	if (nvme_new(sys_host(), "disk0", &cfg, &c.r.dev, &e))
		fail_msg("%s", e.text);
	c.n = container_of(c.r.dev, struct nvme, dev);
	devrig_add(&c.r, &c.n->fn);
	enable(&c);
	ready(&c, NVME_CSTS_RDY);
	*state = &c;
	return 0;
}

static int setup(void **state)
{
	return up(state, 0);
}

static int setup_polled(void **state)
{
	return up(state, VM_IO_POLL_MAX_NS);
}

static int teardown(void **state)
{
	struct ctl *c = *state;

	devrig_fini(&c->r);
	close(c->fd);
	unlink(c->path);
	return 0;
}

static void put(struct ctl *c, struct queue *q, struct nvme_cmd *cmd)
{
	cmd->cid = ++c->cid;
	memcpy(ram(&c->r, q->sq + q->tail * NVME_SQE), cmd, sizeof(*cmd));
	q->tail = (q->tail + 1) % DEPTH;
}

static void ring(struct ctl *c, const struct queue *q)
{
	wr(&c->r, NVME_DOORBELLS + 8 * q->id, q->tail);
}

/* The next completion: its status; dw0 and cid where wanted. */
static uint16_t reap(struct ctl *c, struct queue *q, uint32_t *dw0, uint16_t *cid)
{
	uint32_t *e = ram(&c->r, q->cq + q->head * NVME_CQE), last = 0;
	unsigned int i;

	for (i = 0; i < WAIT_MS; i++) {
		last = __atomic_load_n(&e[3], __ATOMIC_ACQUIRE);
		if ((last >> 16 & 1) == q->phase)
			break;
		usleep(1000);
	}
	assert_int_equal(last >> 16 & 1, q->phase);
	if (dw0)
		*dw0 = e[0];
	if (cid)
		*cid = (uint16_t)last;
	q->head = (q->head + 1) % DEPTH;
	if (!q->head)
		q->phase = !q->phase;
	wr(&c->r, NVME_DOORBELLS + 8 * q->id + 4, q->head);
	return (uint16_t)(last >> 17);
}

static uint16_t run(struct ctl *c, struct queue *q, struct nvme_cmd cmd)
{
	put(c, q, &cmd);
	ring(c, q);
	return reap(c, q, NULL, NULL);
}

static void queues(struct ctl *c)
{
	struct nvme_cmd cq = {
		.opcode = 5, .prp1 = CQ, .cdw10 = 1 | (DEPTH - 1) << 16, .cdw11 = 3 | 1 << 16
	};
	struct nvme_cmd sq = {
		.opcode = 1, .prp1 = SQ, .cdw10 = 1 | (DEPTH - 1) << 16, .cdw11 = 1 | 1 << 16
	};

	assert_int_equal(run(c, &c->admin, cq), 0);
	assert_int_equal(run(c, &c->admin, sq), 0);
}

static struct nvme_cmd rw(uint8_t op, uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2)
{
	return (struct nvme_cmd){ .opcode = op,
				  .nsid = 1,
				  .prp1 = prp1,
				  .prp2 = prp2,
				  .cdw10 = (uint32_t)lba,
				  .cdw11 = (uint32_t)(lba >> 32),
				  .cdw12 = blocks - 1 };
}

static void test_identify(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd id = { .opcode = 6, .prp1 = DATA, .cdw10 = 1 };
	const uint8_t *p = ram(&c->r, DATA);
	uint64_t blocks;

	assert_int_equal(run(c, &c->admin, id), 0);
	assert_memory_equal(p + 4, "S1                  ", 20);
	assert_int_equal(p[512], 0x66);
	id.cdw10 = 0;
	id.nsid = 1;
	assert_int_equal(run(c, &c->admin, id), 0);
	memcpy(&blocks, p, 8);
	assert_int_equal(blocks << p[130], DISK);
	id.nsid = 2;
	assert_int_equal(run(c, &c->admin, id) & 0x7ff, NVME_BAD_NS);
	id.nsid = 0;
	id.cdw10 = 2;
	assert_int_equal(run(c, &c->admin, id), 0);
	assert_int_equal(p[0], 1);
	id.prp1 = DATA + 4096 - 64; /* two pages */
	id.prp2 = LIST;
	id.cdw10 = 1;
	assert_int_equal(run(c, &c->admin, id), 0);
	assert_int_equal(((uint8_t *)ram(&c->r, LIST))[512 - 64], 0x66);
}

/* Data of every size from a block to the most a command may have, through PRP lists. */
static void test_read_write(void **state)
{
	struct ctl *c = *state;
	static const uint32_t sizes[] = { 1, 8, 9, 16, 17, 100, 512 };
	uint64_t *list = ram(&c->r, LIST);
	unsigned int i, k;
	uint8_t *back;

	queues(c);
	back = malloc(256 << 10);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t len = sizes[i] * 512;
		struct nvme_cmd w = rw(1, 16 + i, sizes[i], DATA, LIST);

		for (k = 0; k < 256; k++)
			list[k] = DATA + 4096ull * (k + 1);
		if (len > 4096 && len <= 8192)
			w.prp2 = DATA + 4096;
		for (k = 0; k < len; k++)
			((uint8_t *)ram(&c->r, DATA))[k] = (uint8_t)(k * 7 + i);
		assert_int_equal(run(c, &c->q, w), 0);
		assert_int_equal(pread(c->fd, back, len, 512 * (16 + i)), len);
		assert_memory_equal(back, ram(&c->r, DATA), len);
		memset(ram(&c->r, DATA), 0, len);
		w.opcode = 2;
		assert_int_equal(run(c, &c->q, w), 0);
		assert_memory_equal(back, ram(&c->r, DATA), len);
	}
	free(back);
	assert_int_equal(run(c, &c->q, (struct nvme_cmd){ .opcode = 0, .nsid = 1 }), 0);
}

/* Many at once: as many completions, each command once. */
static void test_depth(void **state)
{
	struct ctl *c = *state;
	unsigned int round, i;
	uint16_t cid;

	queues(c);
	for (round = 0; round < 20; round++) {
		uint32_t seen = 0;
		uint16_t first = c->cid;

		for (i = 0; i < DEPTH - 1; i++) {
			struct nvme_cmd r = rw(2, i, 8, DATA + 4096ull * i, 0);

			put(c, &c->q, &r);
		}
		ring(c, &c->q);
		for (i = 0; i < DEPTH - 1; i++) {
			assert_int_equal(reap(c, &c->q, NULL, &cid), 0);
			seen |= 1u << (uint16_t)(cid - first - 1);
		}
		assert_int_equal(seen, (1u << (DEPTH - 1)) - 1);
	}
}

/* What is at the disk when bus mastering ends is done by then; what comes later waits, and both
 * reasons must have ended. */
static void test_still(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd w = rw(1, 0, 8, DATA, 0), r = rw(2, 0, 8, DATA + 4096, 0);
	uint8_t *back = ram(&c->r, DATA + 4096);

	queues(c);
	for (unsigned int i = 0; i < 30; i++) {
		memset(ram(&c->r, DATA), (int)(i + 1), 4096);
		put(c, &c->q, &w);
		ring(c, &c->q);
		if (i % 3 != 1)
			devrig_master(&c->r, false);
		if (i % 3)
			assert_int_equal(c->r.dev->ops->quiesce(c->r.dev, true), 0);
		assert_true(disk_ring_idle(c->n->ring));
		memset(back, 0, 4096);
		put(c, &c->q, &r);
		ring(c, &c->q);
		devrig_settle(&c->r);
		if (i % 3 == 2)
			devrig_master(&c->r, true);
		devrig_settle(&c->r);
		assert_int_equal(back[0], 0);
		if (i % 3)
			assert_int_equal(c->r.dev->ops->quiesce(c->r.dev, false), 0);
		devrig_master(&c->r, true);
		assert_int_equal(reap(c, &c->q, NULL, NULL), 0);
		assert_int_equal(reap(c, &c->q, NULL, NULL), 0);
		assert_int_equal(run(c, &c->q, r), 0);
		assert_int_equal(back[4095], i + 1);
	}
}

/* Set up, disabled and shut down without bus mastering. */
static void test_no_master(void **state)
{
	struct ctl *c = *state;

	devrig_master(&c->r, false);
	wr(&c->r, NVME_CC, 0);
	ready(c, 0);
	enable(c);
	ready(c, NVME_CSTS_RDY);
	wr(&c->r, NVME_CC, 0x00464001);
	for (unsigned int i = 0; i < WAIT_MS && (rd(&c->r, NVME_CSTS) & 0xc) != NVME_CSTS_SHUT; i++)
		usleep(1000);
	assert_int_equal(rd(&c->r, NVME_CSTS) & 0xc, NVME_CSTS_SHUT);
	c->r.dev->ops->reset(c->r.dev);
	enable(c);
	ready(c, NVME_CSTS_RDY);
	devrig_master(&c->r, true);
	queues(c);
}

/* Bus mastering flickers while commands are put in. */
static void test_flicker(void **state)
{
	struct ctl *c = *state;

	queues(c);
	for (unsigned int i = 0; i < 300; i++) {
		struct nvme_cmd r = rw(2, i, 8, DATA + 4096ull * (i % 8), 0);

		devrig_master(&c->r, i % 3);
		put(c, &c->q, &r);
		ring(c, &c->q);
		devrig_master(&c->r, i % 5);
		if (i % 6 != 5)
			continue;
		devrig_master(&c->r, true);
		for (unsigned int k = 0; k < 6; k++)
			assert_int_equal(reap(c, &c->q, NULL, NULL), 0);
	}
}

static void test_zero_and_trim(void **state)
{
	struct ctl *c = *state;
	struct nvme_range *r = ram(&c->r, DATA);
	uint8_t buf[8192];
	struct nvme_cmd z = rw(8, 8, 8, 0, 0);
	struct nvme_cmd dsm = { .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw10 = 1, .cdw11 = 4 };

	queues(c);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(pwrite(c->fd, buf, sizeof(buf), 4096), sizeof(buf));
	assert_int_equal(run(c, &c->q, z), 0);
	assert_int_equal(pread(c->fd, buf, sizeof(buf), 4096), sizeof(buf));
	assert_int_equal(buf[0] | buf[4095], 0);
	assert_int_equal(buf[4096], 0xee);
	r[0] = (struct nvme_range){ .slba = 16, .nlb = 8 };
	r[1] = (struct nvme_range){ .slba = 0, .nlb = 0 };
	assert_int_equal(run(c, &c->q, dsm), 0);
	r[1] = (struct nvme_range){ .slba = ~0ull, .nlb = 2 };
	assert_int_equal(run(c, &c->q, dsm) & 0x7ff, NVME_LBA_RANGE);
}

static uint32_t feature(struct ctl *c, uint32_t cdw10, uint32_t cdw11)
{
	struct nvme_cmd get = { .opcode = 10, .cdw10 = cdw10, .cdw11 = cdw11 };
	uint32_t dw0;
	uint16_t cid;

	put(c, &c->admin, &get);
	ring(c, &c->admin);
	assert_int_equal(reap(c, &c->admin, &dw0, &cid), 0);
	return dw0;
}

/* What is set is there, the default too, and a reset brings that back. */
static void test_features(void **state)
{
	enum { TEMP = 4, CACHE = 6, UNDER = 1 << 20, DEFAULT = 1 << 8, CAN = 3 << 8 };
	struct nvme_cmd set = { .opcode = 9, .cdw10 = TEMP, .cdw11 = 333 };
	struct ctl *c = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(feature(c, CACHE, 0), 1);
		assert_int_equal(feature(c, TEMP, 0), NVME_TEMP_WARN);
		assert_int_equal(feature(c, TEMP, UNDER), 0);
		assert_int_equal(run(c, &c->admin, set), 0);
		assert_int_equal(feature(c, TEMP, 0), 333);
		assert_int_equal(feature(c, TEMP, UNDER), 0);
		assert_int_equal(feature(c, TEMP | DEFAULT, 0), NVME_TEMP_WARN);
		assert_int_equal(feature(c, TEMP | CAN, 0), 4);
		wr(&c->r, NVME_CC, 0);
		ready(c, 0);
		enable(c);
		ready(c, NVME_CSTS_RDY);
	}
	set.cdw11 = 2 << 20; /* neither over nor under */
	assert_int_equal(run(c, &c->admin, set) & 0x7ff, NVME_BAD_FIELD);
	set.cdw11 = 1 << 16; /* a sensor that there is not */
	assert_int_equal(run(c, &c->admin, set) & 0x7ff, NVME_BAD_FIELD);
	set = (struct nvme_cmd){ .opcode = 9, .cdw10 = CACHE };
	assert_int_equal(run(c, &c->admin, set) & 0x7ff, NVME_NOT_CHANGEABLE);
	set.cdw10 = TEMP | 1u << 31; /* to be kept for ever */
	assert_int_equal(run(c, &c->admin, set) & 0x7ff, NVME_NOT_SAVEABLE);
	set.cdw10 = 12;
	assert_int_equal(run(c, &c->admin, set) & 0x7ff, NVME_BAD_FIELD);
}

static void test_refusals(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd cmd = { .opcode = 0x80, .nsid = 1 }; /* Format NVM */
	uint64_t *list = ram(&c->r, LIST);

	assert_int_equal(run(c, &c->admin, cmd) & 0x7ff, NVME_BAD_OPCODE);
	queues(c);
	assert_int_equal(run(c, &c->q, rw(2, DISK / 512, 1, DATA, 0)) & 0x7ff, NVME_LBA_RANGE);
	assert_int_equal(run(c, &c->q, rw(2, ~0ull, 2, DATA, 0)) & 0x7ff, NVME_LBA_RANGE);
	assert_int_equal(run(c, &c->q, rw(2, 0, 1, GIB(1), 0)) & 0x7ff, NVME_BAD_TRANSFER);
	assert_int_equal(run(c, &c->q, rw(2, 0, 1, ~0ull & ~3ull, 0)) & 0x7ff, NVME_BAD_TRANSFER);
	assert_int_equal(run(c, &c->q, rw(2, 0, 8, DATA + 1, 0)) & 0x7ff, NVME_BAD_PRP);
	assert_int_equal(run(c, &c->q, rw(2, 0, 16, DATA, LIST + 8)) & 0x7ff, NVME_BAD_PRP);
	list[511] = LIST + 511 * 8; /* a list that points to its own last entry */
	assert_int_equal(run(c, &c->q, rw(2, 0, 64, DATA, LIST + 511 * 8)) & 0x7ff, NVME_BAD_PRP);
	assert_int_equal(run(c, &c->q, rw(2, 0, 2000, DATA, LIST)) & 0x7ff, NVME_BAD_FIELD);
	cmd = (struct nvme_cmd){
		.opcode = 1, .prp1 = SQ, .cdw10 = 5 | 15 << 16, .cdw11 = 1 | 1 << 16
	};
	assert_int_equal(run(c, &c->admin, cmd) & 0x7ff, NVME_BAD_QID);
	cmd.cdw10 = 2 | 15 << 16;
	cmd.cdw11 = 1 | 3 << 16;
	assert_int_equal(run(c, &c->admin, cmd) & 0x7ff, NVME_BAD_CQ);
	cmd = (struct nvme_cmd){ .opcode = 4, .cdw10 = 1 };
	assert_int_equal(run(c, &c->admin, cmd) & 0x7ff, NVME_BAD_DELETE);
	cmd = (struct nvme_cmd){ .opcode = 2, .prp1 = DATA, .cdw10 = 0x77 | 127 << 16 };
	assert_int_equal(run(c, &c->admin, cmd) & 0x7ff, NVME_BAD_LOG);
}

/* A bad doorbell is an event, which waits until its log was read. */
static void test_events(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd aer = { .opcode = 12 };
	struct nvme_cmd log = { .opcode = 2, .prp1 = DATA, .cdw10 = 1 | 15 << 16 };
	uint32_t dw0;
	uint16_t cid;

	put(c, &c->admin, &aer);
	ring(c, &c->admin);
	queues(c);
	wr(&c->r, NVME_DOORBELLS + 8, 0x7777);
	assert_int_equal(reap(c, &c->admin, &dw0, &cid), 0);
	assert_int_equal(cid, 1);
	assert_int_equal(dw0, 0x00010100);
	assert_int_equal(run(c, &c->admin, log), 0);
}

static void test_shadow(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd db = { .opcode = 0x7c, .prp1 = LIST, .prp2 = LIST + 4096 };
	struct nvme_cmd r = rw(2, 0, 8, DATA, 0);
	uint32_t *shadow = ram(&c->r, LIST), *event = ram(&c->r, LIST + 4096);
	unsigned int i;

	memset(shadow, 0, 8192);
	assert_int_equal(run(c, &c->admin, db), 0);
	queues(c);
	put(c, &c->q, &r);
	__atomic_store_n(&shadow[2], c->q.tail, __ATOMIC_SEQ_CST);
	ring(c, &c->q);
	assert_int_equal(reap(c, &c->q, NULL, NULL), 0);
	shadow[3] = c->q.head;
	/* Where the driver has to ring again, once it is not looked at any more. */
	for (i = 0; i < WAIT_MS && __atomic_load_n(&event[2], __ATOMIC_ACQUIRE) != 1; i++)
		usleep(1000);
	assert_int_equal(event[2], 1);
}

/* More completions than there is room for: the rest comes when the driver has made some, which is
 * the only time that its head doorbell has to wake anybody. */
static void test_full(void **state)
{
	struct ctl *c = *state;
	struct nvme_cmd r = rw(2, 0, 8, DATA, 0);
	unsigned int round, i;
	uint64_t kicks;

	queues(c);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < DEPTH - 1; i++)
			put(c, &c->q, &r);
		ring(c, &c->q);
		for (i = 0; i < WAIT_MS && atomic_load(&c->n->commands) < 2 + (round + 1) * 15; i++)
			usleep(1000);
	}
	for (i = 0; i < WAIT_MS && !atomic_load(&c->n->cq_waits); i++)
		usleep(1000);
	assert_true(atomic_load(&c->n->cq_waits));
	for (i = 0; i < 2 * (DEPTH - 1); i++)
		assert_int_equal(reap(c, &c->q, NULL, NULL), 0);
	for (i = 0; i < WAIT_MS && (atomic_load(&c->n->awake) || atomic_load(&c->n->cq_waits)); i++)
		usleep(1000);
	kicks = atomic_load(&c->n->kicks);
	wr(&c->r, NVME_DOORBELLS + 12, c->q.head);
	usleep(1000);
	assert_int_equal(atomic_load(&c->n->kicks), kicks);
}

static void test_reset(void **state)
{
	struct ctl *c = *state;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		struct nvme_cmd r = rw(2, 0, 8, DATA, 0);
		unsigned int k;

		queues(c);
		for (k = 0; k < 8; k++)
			put(c, &c->q, &r);
		ring(c, &c->q);
		if (i % 2)
			c->r.dev->ops->reset(c->r.dev);
		else
			wr(&c->r, NVME_CC, 0);
		ready(c, 0);
		enable(c);
		ready(c, NVME_CSTS_RDY);
	}
	wr(&c->r, NVME_CC, 0x00464001); /* normal shutdown */
	for (i = 0; i < WAIT_MS && (rd(&c->r, NVME_CSTS) & 0xc) != NVME_CSTS_SHUT; i++)
		usleep(1000);
	assert_int_equal(rd(&c->r, NVME_CSTS) & 0xc, NVME_CSTS_SHUT);
}

static void test_bad_enable(void **state)
{
	struct ctl *c = *state;

	wr(&c->r, NVME_CC, 0);
	ready(c, 0);
	wr(&c->r, NVME_ASQ, 0xfffff000);
	wr(&c->r, NVME_CC, 0x00460001);
	ready(c, NVME_CSTS_CFS);
	wr(&c->r, NVME_CC, 0);
	ready(c, 0);
	enable(c);
	ready(c, NVME_CSTS_RDY);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define P(name)                                                       \
	{                                                             \
#name " (polled)", name, setup_polled, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identify), T(test_read_write), T(test_depth),	  T(test_zero_and_trim),
		T(test_features), T(test_refusals),   T(test_events),	  T(test_shadow),
		T(test_reset),	  T(test_bad_enable), T(test_still),	  T(test_no_master),
		T(test_flicker),  T(test_full),	      P(test_read_write), P(test_depth),
		P(test_shadow),	  P(test_full),	      P(test_reset),	  P(test_bad_enable),
		P(test_still),	  P(test_no_master),  P(test_flicker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
