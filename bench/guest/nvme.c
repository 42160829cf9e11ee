// SPDX-License-Identifier: BSD-3-Clause
/*
 * NVMe: one pair of I/O queues, completions polled. Shadow doorbells are used where the
 * controller has them, as Linux does. (NVM Express base specification 1.4: 4, 5.3, 5.4, 5.7,
 * 5.15, 6, 7.13)
 */
#include "bench/guest/device.h"
#include "tests/guest/nvmectl.h"

#define QSIZE	     256u
#define OP_CREATE_SQ 0x01
#define OP_CREATE_CQ 0x05
#define OP_DBBUF     0x7c
#define OP_FLUSH     0x00
#define OP_WRITE     0x01
#define OP_READ	     0x02
#define CNS_NS	     0
#define CNS_CTRL     1
#define OACS_DBBUF   0x100
#define CONTIGUOUS   1u
#define CQ_IRQ	     2u
#define PAGE	     4096u
#define CTRL_MDTS    77
#define CTRL_OACS    256
#define NS_FLBAS     26
#define NS_LBAF	     128

static struct nvme_ctl ctl;
static struct nvme_sqe *sq;
static volatile struct nvme_cqe *cq;
static uint64_t *lists;			  /* a page of PRPs for each slot */
static volatile uint32_t *shadow, *event; /* by doorbell; NULL: only registers */
/* The I/O queues: next entries, what their doorbells say, the phase of entries that are new (4.6),
 * and a block's size as a power of two. */
static uint32_t qsize, tail, told_tail, head, told_head, phase, shift;

static bool there(void)
{
	struct pci_at a;

	return pci_find(NVME_CLASS, 0xffffff, 0, &a);
}

/* Identify (5.15): of the controller, or of a namespace. */
static bool identify(uint8_t *page, uint32_t cns, uint32_t nsid)
{
	const struct nvme_sqe cmd = {
		.cdw0 = NVME_OP_IDENTIFY, .nsid = nsid, .prp1 = (uintptr_t)page, .cdw10 = cns
	};

	return nvme_admin(&ctl, &cmd, NULL) == 0;
}

/* Pages that both sides know: doorbells as written, and from where on they must ring. */
static void shadow_on(void)
{
	uint32_t *s = arena_alloc(PAGE), *e = arena_alloc(PAGE);
	const struct nvme_sqe cmd = { .cdw0 = OP_DBBUF,
				      .prp1 = (uintptr_t)s,
				      .prp2 = (uintptr_t)e };

	if (!s || !e || nvme_admin(&ctl, &cmd, NULL))
		return;
	shadow = s;
	event = e;
}

/* The completion queue first: the submission queue names it (5.3, 5.4). */
static bool create_queues(bool irq)
{
	uint32_t sizes = (qsize - 1) << 16 | 1;
	struct nvme_sqe cmd = { .cdw0 = OP_CREATE_CQ,
				.prp1 = (uintptr_t)cq,
				.cdw10 = sizes,
				.cdw11 = CONTIGUOUS | (irq ? CQ_IRQ : 0) };

	if (nvme_admin(&ctl, &cmd, NULL))
		return false;
	cmd = (struct nvme_sqe){ .cdw0 = OP_CREATE_SQ,
				 .prp1 = (uintptr_t)sq,
				 .cdw10 = sizes,
				 .cdw11 = 1 << 16 | CONTIGUOUS };
	return nvme_admin(&ctl, &cmd, NULL) == 0;
}

/* What the controller takes and how its blocks are (5.15.2.1, 5.15.2.2). */
static const char *open_namespace(struct disk *d, uint8_t *page)
{
	unsigned int mdts;
	bool dbbuf;

	if (!identify(page, CNS_CTRL, 0))
		return "the NVMe controller does not identify itself";
	mdts = page[CTRL_MDTS];
	dbbuf = (page[CTRL_OACS] | page[CTRL_OACS + 1] << 8) & OACS_DBBUF;
	if (mdts && mdts < 16 && d->size > PAGE << mdts)
		return "requests of this size are more than the NVMe controller takes";
	if (!identify(page, CNS_NS, 1))
		return "the NVMe controller has no namespace 1";
	shift = page[NS_LBAF + 4 * (page[NS_FLBAS] & 15) + 2];
	if (shift < 9 || shift > 12 || d->size & ((1u << shift) - 1))
		return "requests of this size are not of whole blocks";
	d->bytes = (get32(page) | (uint64_t)get32(page + 4) << 32) << shift;
	if (dbbuf)
		shadow_on();
	return NULL;
}

static const char *open(struct disk *d, bool irq)
{
	uint8_t *page = arena_alloc(PAGE);
	struct pci_at a;
	const char *why;

	pci_find(NVME_CLASS, 0xffffff, 0, &a);
	ctl = (struct nvme_ctl){ .regs = pci_bar(a, 0),
				 .sq = arena_alloc(PAGE),
				 .cq = arena_alloc(PAGE) };
	sq = arena_alloc(QSIZE * sizeof(*sq));
	cq = arena_alloc(QSIZE * sizeof(*cq));
	lists = arena_alloc((size_t)d->depth * PAGE);
	shadow = event = NULL;
	if (!page || !ctl.regs || !ctl.sq || !ctl.cq || !sq || !cq || !lists)
		return "too little memory, or the NVMe controller's registers are out of reach";
	if (!nvme_start(&ctl))
		return "the NVMe controller does not become ready";
	why = open_namespace(d, page);
	if (why)
		return why;
	if (irq && !msix_first(a))
		return "the NVMe controller has no MSI-X";
	qsize = MIN(QSIZE, (*nvme_reg(&ctl, 0) & 0xffff) + 1);
	tail = told_tail = head = told_head = 0;
	phase = 1;
	d->depth = MIN(d->depth, qsize - 1);
	return create_queues(irq) ? NULL : "the NVMe controller makes no I/O queues";
}

/* PRPs (4.3): a page, two, or a page and a list of the others. */
static void prps(struct disk *d, unsigned int slot, struct nvme_sqe *c)
{
	uint64_t at = (uintptr_t)disk_buf(d, slot), *list = lists + slot * (PAGE / 8);
	unsigned int i, n = (d->size + PAGE - 1) / PAGE;

	c->prp1 = at;
	c->prp2 = n == 2 ? at + PAGE : n > 2 ? (uintptr_t)list : 0;
	for (i = 1; n > 2 && i < n; i++)
		list[i - 1] = at + i * PAGE;
}

static bool submit(struct disk *d, unsigned int slot, enum disk_do what, uint64_t off)
{
	static const uint8_t op[] = { OP_READ, OP_WRITE, OP_FLUSH };
	struct nvme_sqe c = { .cdw0 = op[what] | slot << 16, .nsid = 1 };

	if (what != DISK_DO_FLUSH) {
		prps(d, slot, &c);
		c.cdw10 = (uint32_t)(off >> shift);
		c.cdw11 = (uint32_t)(off >> shift >> 32);
		c.cdw12 = (d->size >> shift) - 1;
	}
	sq[tail] = c;
	tail = tail + 1 == qsize ? 0 : tail + 1;
	return true;
}

/* Shadow first; the register only if the controller passed the old value's mark (7.13, B.5). */
static void ring(bool completion, uint32_t old, uint32_t val)
{
	unsigned int i = (2 + completion) * (ctl.stride / 4);

	__asm__ volatile("" : : : "memory");
	if (shadow) {
		shadow[i] = val;
		__asm__ volatile("lock addl $0, (%%rsp)" : : : "memory");
		if ((uint16_t)(val - event[i] - 1) >= (uint16_t)(val - old))
			return;
	}
	*nvme_doorbell(&ctl, 1, completion) = val;
}

/* What is told is noted first: an interrupt may end this at the write. */
static void kick(struct disk *d)
{
	uint32_t old_head = told_head, old_tail = told_tail;

	told_head = head;
	told_tail = tail;
	if (head != old_head)
		ring(true, old_head, head);
	if (tail != old_tail)
		ring(false, old_tail, tail);
}

/* An entry is new when its phase is the one of this round (4.6). */
static int poll(struct disk *d, bool *ok)
{
	uint32_t status = cq[head].status;

	if ((status >> 16 & 1) != phase)
		return -1;
	head = head + 1 == qsize ? 0 : head + 1;
	phase ^= !head;
	*ok = !(status >> 17);
	__asm__ volatile("" : : : "memory");
	return (status & 0xffff) < d->depth ? (int)(status & 0xffff) : -1;
}

static void close(struct disk *d)
{
	if (ctl.regs)
		nvme_stop(&ctl);
}

const struct disk_drv disk_nvme = { .name = "nvme",
				    .there = there,
				    .open = open,
				    .submit = submit,
				    .kick = kick,
				    .poll = poll,
				    .close = close };
