// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues of the controller, on the I/O thread (4.1).
 *
 * The doorbells are looked at, new commands are copied out of guest memory and started, all that
 * goes to the disk goes in one system call, and what completed is posted; then all over again until
 * turns find nothing for a while (base/ev.h). Before sleeping the thread says so (@awake) and looks
 * once more, so that a vCPU that rings either sees it asleep, and wakes it, or is seen. A head
 * doorbell wakes nobody unless a completion waits for the room: it is read before the next one is
 * posted.
 *
 * With shadow doorbells (5.7, Annex B) the driver writes its indices to a page of its memory and
 * rings only when it passes the index that we left in the other page, which is moved on before
 * sleeping alone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "vmm/devices/nvme/nvme_priv.h"

#define BATCH 64 /* commands taken from one queue before the others get their turn */

static void fatal(struct nvme *n, const char *why)
{
	log_limited(n->cfg.log, &n->limit, LOG_WARN, "%s: %s", n->dev.id, why);
	atomic_fetch_or(&n->csts, NVME_CSTS_CFS);
}

/* ---- doorbells ---- */

/* Doorbell i: submission queue tails are even, completion queue heads odd (3.1.24). */
static uint32_t doorbell(struct nvme *n, unsigned int i)
{
	const uint32_t *p;

	/* The admin queue's doorbells are never shadowed by drivers. */
	if (!n->db_shadow || i < 2)
		return atomic_load_explicit(&n->db[i], memory_order_acquire);
	p = nvme_ptr(n, n->db_shadow + 4 * i, 4);
	return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

/* Tells the driver up to where its doorbell was seen. */
static void doorbell_seen(struct nvme *n, unsigned int i, uint32_t val)
{
	uint32_t *p = n->db_event && i >= 2 ? nvme_ptr(n, n->db_event + 4 * i, 4) : NULL;

	if (p)
		__atomic_store_n(p, val, __ATOMIC_RELEASE);
}

/* ---- completions ---- */

static bool cq_full(const struct nvme_cq *cq)
{
	return (cq->tail + 1) % cq->size == cq->head;
}

/* The driver took entries. A value outside of the queue is an error event (5.2). */
static bool cq_head(struct nvme *n, unsigned int id)
{
	struct nvme_cq *cq = &n->cq[id];
	uint32_t head = doorbell(n, 2 * id + 1), old = cq->head;

	if (head < cq->size)
		cq->head = head;
	else
		nvme_event(n, 0, 1);
	return cq->head != old;
}

/* One entry: the phase bit is written last, in one piece, so that the driver never sees half. */
static void post(struct nvme *n, struct nvme_cq *cq, const struct nvme_req *r)
{
	uint32_t *e = nvme_ptr(n, cq->gpa + (uint64_t)cq->tail * NVME_CQE, NVME_CQE);
	const struct nvme_sq *sq = &n->sq[r->sqid];

	if (!e)
		return;
	e[0] = r->dw0;
	e[1] = 0;
	e[2] = (sq->on ? sq->head : 0) | (uint32_t)r->sqid << 16;
	__atomic_store_n(&e[3], r->cid | (uint32_t)r->status << 17 | (uint32_t)cq->phase << 16,
			 __ATOMIC_RELEASE);
	cq->tail = (cq->tail + 1) % cq->size;
	if (!cq->tail)
		cq->phase = !cq->phase;
	cq->ring = true;
}

static void req_put(struct nvme_req *r)
{
	r->next = r->n->free;
	r->n->free = r;
}

static struct nvme_req *req_get(struct nvme *n)
{
	struct nvme_req *r = n->free;

	if (r)
		n->free = r->next;
	return r;
}

static void cq_flush(struct nvme *n, struct nvme_cq *cq)
{
	while (cq->wait && !cq_full(cq)) {
		struct nvme_req *r = cq->wait;

		cq->wait = r->next;
		if (!cq->wait)
			cq->wait_tail = &cq->wait;
		post(n, cq, r);
		req_put(r);
	}
}

struct nvme_req *nvme_req_get(struct nvme *n)
{
	struct nvme_req *r = req_get(n);

	if (!r)
		return NULL;
	r->sqid = 0;
	n->sq[0].busy++;
	return r;
}

void nvme_req_drop(struct nvme_req *r)
{
	r->n->sq[r->sqid].busy--;
	req_put(r);
}

static void error_log(struct nvme *n, const struct nvme_req *r, uint16_t status)
{
	unsigned int at = n->error_count++ % NVME_ERRORS;

	n->error[at].count = n->error_count;
	n->error[at].sqid = r->sqid;
	n->error[at].cid = r->cid;
	n->error[at].status = (uint16_t)(status << 1);
	atomic_fetch_add_explicit(&n->errors, 1, memory_order_relaxed);
}

void nvme_complete(struct nvme_req *r, uint16_t status)
{
	struct nvme *n = r->n;
	struct nvme_sq *sq = &n->sq[r->sqid];
	struct nvme_cq *cq = &n->cq[sq->cqid];

	r->status = status;
	sq->busy--;
	if (status)
		error_log(n, r, status);
	if (!n->up || !cq->on) {
		req_put(r);
		return;
	}
	r->next = NULL;
	*cq->wait_tail = r;
	cq->wait_tail = &r->next;
	cq_flush(n, cq);
}

/* One interrupt for all that was posted in this turn. */
static void interrupts(struct nvme *n)
{
	const uint64_t one = 1;
	unsigned int i;

	for (i = 0; i <= n->cfg.queues; i++) {
		struct nvme_cq *cq = &n->cq[i];
		int fd;

		if (!cq->on || !cq->ring)
			continue;
		cq->ring = false;
		fd = cq->irq ? atomic_load(&n->call[cq->vector]) : -1;
		if (fd >= 0 && write(fd, &one, sizeof(one)) > 0)
			atomic_fetch_add_explicit(&n->interrupts, 1, memory_order_relaxed);
	}
}

/* ---- submissions ---- */

static void start(struct nvme *n, struct nvme_req *r, unsigned int sqid, const struct nvme_cmd *c)
{
	uint16_t status;

	r->sqid = (uint16_t)sqid;
	r->cid = c->cid;
	r->dw0 = 0;
	n->sq[sqid].busy++;
	if (c->flags & 0xc3) /* fused operations, SGLs: not offered */
		status = NVME_BAD_FIELD | NVME_DNR;
	else
		status = sqid ? nvme_io(n, r, c) : nvme_admin(n, r, c);
	if (status != NVME_LATER)
		nvme_complete(r, status);
}

/* Takes up to BATCH commands; how many. */
static unsigned int sq_run(struct nvme *n, unsigned int id)
{
	struct nvme_sq *sq = &n->sq[id];
	uint32_t tail = doorbell(n, 2 * id);
	unsigned int done = 0;
	struct nvme_cmd c;

	if (tail >= sq->size) {
		if (tail != sq->tail)
			nvme_event(n, 0, 1);
		sq->tail = tail; /* told once */
		return 0;
	}
	sq->tail = tail;
	while (sq->on && sq->head != tail && done < BATCH) {
		const void *p = nvme_ptr(n, sq->gpa + (uint64_t)sq->head * NVME_SQE, NVME_SQE);
		struct nvme_req *r = req_get(n);

		if (!p || !r) {
			if (r)
				req_put(r);
			break;
		}
		memcpy(&c, p, sizeof(c));
		sq->head = (sq->head + 1) % sq->size;
		done++;
		start(n, r, id, &c);
	}
	return done;
}

/* One turn over all queues. A driver that takes completions is about to send more: that counts as
 * work, so that the loop goes on looking. */
static unsigned int turn(struct nvme *n)
{
	unsigned int i, work = 0, taken = 0;

	for (i = 0; i <= n->cfg.queues; i++)
		if (n->cq[i].on) {
			taken += cq_head(n, i);
			cq_flush(n, &n->cq[i]);
		}
	for (i = 0; i <= n->cfg.queues && n->up; i++)
		if (n->sq[i].on)
			work += sq_run(n, i);
	if (work) {
		atomic_fetch_add_explicit(&n->commands, work, memory_order_relaxed);
		disk_submit(n->ring);
	}
	work += disk_poll(n->ring);
	interrupts(n);
	return work + taken;
}

static bool goes(const struct nvme *n)
{
	return n->up && !n->still;
}

bool nvme_look(void *arg)
{
	struct nvme *n = arg;

	if (!atomic_load_explicit(&n->awake, memory_order_relaxed)) {
		atomic_store(&n->awake, true);
		disk_ring_arm(n->ring, false);
	}
	/* Else: a shutdown's flush. */
	return goes(n) ? turn(n) : disk_poll(n->ring);
}

bool nvme_arm(void *arg)
{
	struct nvme *n = arg;
	bool waits = false, more;
	unsigned int i;

	for (i = 0; i <= n->cfg.queues && goes(n); i++) {
		if (n->sq[i].on)
			doorbell_seen(n, 2 * i, n->sq[i].tail);
		if (n->cq[i].on && n->cq[i].wait) {
			doorbell_seen(n, 2 * i + 1, n->cq[i].head);
			waits = true;
		}
	}
	atomic_store(&n->cq_waits, waits);
	atomic_store(&n->awake, false);
	/* orders what was said before the doorbells that the last turn reads; pairs with
	 * doorbell_write() */
	atomic_thread_fence(memory_order_seq_cst);
	more = disk_ring_arm(n->ring, true);
	return (goes(n) && turn(n)) || more;
}

void nvme_still(struct nvme *n, bool on)
{
	if (on && !n->still) {
		disk_submit(n->ring);
		disk_drain(n->ring);
		interrupts(n);
	}
	n->still = on;
	ev_poll_on(&n->poll);
}

/* ---- creation and deletion ---- */

static bool cq_make(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, bool irq,
		    uint16_t vec)
{
	struct nvme_cq *cq = &n->cq[id];

	if (gpa % NVME_PAGE || !nvme_ptr(n, gpa, (uint64_t)size * NVME_CQE))
		return false;
	*cq = (struct nvme_cq){
		.on = true, .irq = irq, .vector = vec, .size = size, .gpa = gpa, .phase = true
	};
	cq->wait_tail = &cq->wait;
	atomic_store(&n->db[2 * id + 1], 0);
	return true;
}

static bool sq_make(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, uint16_t cqid)
{
	if (gpa % NVME_PAGE || !nvme_ptr(n, gpa, (uint64_t)size * NVME_SQE))
		return false;
	n->sq[id] = (struct nvme_sq){ .on = true, .cqid = cqid, .size = size, .gpa = gpa };
	n->cq[cqid].users++;
	atomic_store(&n->db[2 * id], 0);
	return true;
}

uint16_t nvme_cq_create(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, bool irq,
			uint16_t vector)
{
	if (!id || id > n->cfg.queues || n->cq[id].on)
		return NVME_BAD_QID | NVME_DNR;
	if (size < 2 || size > NVME_QSIZE_MAX)
		return NVME_BAD_QSIZE | NVME_DNR;
	if (irq && vector > n->cfg.queues)
		return NVME_BAD_VECTOR | NVME_DNR;
	return cq_make(n, id, size, gpa, irq, vector) ? NVME_OK : NVME_BAD_PRP | NVME_DNR;
}

uint16_t nvme_sq_create(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, uint16_t cqid)
{
	if (!cqid || cqid > n->cfg.queues || !n->cq[cqid].on)
		return NVME_BAD_CQ | NVME_DNR;
	if (!id || id > n->cfg.queues || n->sq[id].on || n->sq[id].busy)
		return NVME_BAD_QID | NVME_DNR;
	if (size < 2 || size > NVME_QSIZE_MAX)
		return NVME_BAD_QSIZE | NVME_DNR;
	return sq_make(n, id, size, gpa, cqid) ? NVME_OK : NVME_BAD_PRP | NVME_DNR;
}

/* Commands of it that are at the disk complete first: the driver expects no data after this. */
uint16_t nvme_sq_delete(struct nvme *n, uint16_t id)
{
	struct nvme_sq *sq;

	if (!id || id > n->cfg.queues || !n->sq[id].on)
		return NVME_BAD_QID | NVME_DNR;
	sq = &n->sq[id];
	disk_submit(n->ring);
	disk_drain(n->ring);
	sq->on = false;
	n->cq[sq->cqid].users--;
	return NVME_OK;
}

uint16_t nvme_cq_delete(struct nvme *n, uint16_t id)
{
	struct nvme_cq *cq;

	if (!id || id > n->cfg.queues || !n->cq[id].on)
		return NVME_BAD_QID | NVME_DNR;
	cq = &n->cq[id];
	if (cq->users)
		return NVME_BAD_DELETE | NVME_DNR;
	while (cq->wait) {
		struct nvme_req *r = cq->wait;

		cq->wait = r->next;
		req_put(r);
	}
	cq->on = false;
	return NVME_OK;
}

/* ---- enable, disable ---- */

void nvme_enable(struct nvme *n, uint32_t aqa, uint64_t asq, uint64_t acq)
{
	uint32_t asqs = (aqa & 0xfff) + 1, acqs = (aqa >> 16 & 0xfff) + 1;

	if (asqs < 2 || acqs < 2 || !cq_make(n, 0, acqs, acq, true, 0) ||
	    !sq_make(n, 0, asqs, asq, 0)) {
		n->cq[0].on = false;
		fatal(n,
		      "the driver enabled the controller with admin queues that are not in memory");
		return;
	}
	nvme_features_reset(n);
	n->up = true;
	atomic_fetch_or(&n->csts, NVME_CSTS_RDY);
	ev_poll_on(&n->poll);
}

void nvme_disable(struct nvme *n)
{
	unsigned int i;

	n->up = false;
	if (n->ring) {
		disk_submit(n->ring);
		disk_drain(n->ring);
	}
	n->free = NULL;
	for (i = 0; n->reqs && i < NVME_REQS; i++)
		req_put(&n->reqs[i]);
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->db_shadow = n->db_event = 0;
	n->naer = 0;
	n->aer_pending = n->aer_masked = 0;
	atomic_store(&n->csts, 0);
}

/* ---- asynchronous events (5.2) ---- */

void nvme_event_flush(struct nvme *n)
{
	uint32_t type;

	while (n->naer && (n->aer_pending & ~n->aer_masked)) {
		struct nvme_req *r = nvme_req_get(n);

		if (!r)
			return;
		type = (uint32_t)__builtin_ctz(n->aer_pending & ~n->aer_masked);
		n->aer_pending &= ~(1u << type);
		n->aer_masked |= 1u << type; /* until its log page was read */
		r->cid = n->aer[--n->naer];
		/* log page: error information, SMART, or changed namespaces (type 2) */
		r->dw0 = type | (uint32_t)n->aer_info << 8 |
			 (type == 0   ? 1u
			  : type == 1 ? 2u
				      : 4u)
				 << 16;
		nvme_complete(r, NVME_OK);
	}
}

void nvme_event(struct nvme *n, unsigned int type, uint8_t info)
{
	n->aer_info = info;
	n->aer_pending |= 1u << type;
	nvme_event_flush(n);
}
