// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile guest: it makes its NVMe function write to an address that is not its memory.
 *
 *	target=0x...   where an Identify command is told to put its 4 KiB; 0xfee00000 forges
 *interrupt messages
 *
 * First the function is proven to work with the payload's own memory, so that a refusal afterwards
 *means something. The serial line tells the status of each command. Ends with GUEST_PASS when the
 *controller reported an error, DEVICE_SAYS_OK when it believes that the write was done (whether it
 *was, only the host can tell), GUEST_FAIL when the test itself did not work. (NVM Express base
 *specification 1.4, 3.1, 4.2, 5.15)
 */
#include "guest.h"

#define DEVICE_SAYS_OK 0x22

#define CLASS_NVME 0x010802
#define REG_CAP_HI 0x04
#define REG_CC	   0x14
#define REG_CSTS   0x1c
#define REG_AQA	   0x24
#define REG_ASQ	   0x28
#define REG_ACQ	   0x30
#define REG_SQ0	   0x1000

#define CC_ENABLE   0x00460001 /* 64-byte and 16-byte queue entries, 4 KiB pages */
#define CSTS_RDY    1u
#define CSTS_CFS    2u
#define OP_IDENTIFY 0x06
#define CNS_CTRL    1
#define DEPTH	    16u
#define SPINS	    3000000u

struct sqe {
	uint32_t cdw0, nsid, cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct cqe {
	uint32_t dw0, dw1, sq, status;
};

static struct sqe sq[64] __attribute__((aligned(4096)));
static volatile struct cqe cq[256] __attribute__((aligned(4096)));
static uint8_t own[4096] __attribute__((aligned(4096)));
static volatile uint8_t *regs;
static uint32_t stride, sent;

static volatile uint32_t *reg(unsigned int off)
{
	return (volatile uint32_t *)(regs + off);
}

static bool wait_ready(uint32_t want)
{
	unsigned int i;

	for (i = 0; (*reg(REG_CSTS) & CSTS_RDY) != want; i++) {
		if (i == SPINS)
			return false;
		pause();
	}
	return true;
}

static bool start(void)
{
	*reg(REG_CC) = 0;
	if (!wait_ready(0))
		return false;
	memset(sq, 0, sizeof(sq));
	memset((void *)cq, 0, sizeof(cq));
	sent = 0;
	*reg(REG_AQA) = (DEPTH - 1) << 16 | (DEPTH - 1);
	*reg(REG_ASQ) = (uint32_t)(uintptr_t)sq;
	*reg(REG_ASQ + 4) = 0;
	*reg(REG_ACQ) = (uint32_t)(uintptr_t)cq;
	*reg(REG_ACQ + 4) = 0;
	*reg(REG_CC) = CC_ENABLE;
	return wait_ready(CSTS_RDY);
}

/* Status field of the completion (without the phase bit), or -1 when none came. */
static int identify(uint64_t to)
{
	uint32_t slot = sent % DEPTH, phase = ~(sent / DEPTH) & 1, i;
	volatile const struct cqe *c = &cq[slot];

	sq[slot] = (struct sqe){ .cdw0 = OP_IDENTIFY | sent << 16, .prp1 = to, .cdw10 = CNS_CTRL };
	sent++;
	__asm__ volatile("" : : : "memory");
	*reg(REG_SQ0) = sent % DEPTH;
	for (i = 0; (c->status >> 16 & 1) != phase; i++) {
		if (i == SPINS)
			return -1;
		pause();
	}
	*reg(REG_SQ0 + stride) = sent % DEPTH;
	return (int)(c->status >> 17);
}

static int identify_say(const char *what, uint64_t to)
{
	int status = identify(to);

	put("nvme-rogue: ");
	put(what);
	say(" at", to);
	if (status < 0)
		put("nvme-rogue:   no completion\n");
	else
		say("nvme-rogue:   status", (uint64_t)status);
	say("nvme-rogue:   CSTS", *reg(REG_CSTS));
	return status;
}

static bool find(void)
{
	struct pci_at a;
	uint64_t bar;

	if (!pci_init() || !pci_find(CLASS_NVME, 0xffffff, 0, &a))
		return false;
	pci_write(a, 4, 6); /* memory, bus master */
	bar = pci_read(a, 0x10);
	if ((bar & 6) == 4)
		bar |= (uint64_t)pci_read(a, 0x14) << 32;
	say("nvme-rogue: BAR", bar);
	regs = map_window(bar & ~15ull);
	stride = 4u << (*reg(REG_CAP_HI) & 15);
	return true;
}

int guest_main(const struct mb_info *mbi)
{
	uint64_t target = arg_num(mbi, "target", 0);
	int status;

	CHECK(target && target % 4096 == 0);
	CHECK(find());
	CHECK(start());
	CHECK(identify_say("own memory", (uintptr_t)own) == 0);
	CHECK(own[4] > ' '); /* serial number */
	status = identify_say("target", target);
	/* Whatever happened, the function must be usable again, at the latest after a controller
	 * reset. */
	memset(own, 0, sizeof(own));
	if (status < 0 || *reg(REG_CSTS) & CSTS_CFS || identify((uintptr_t)own)) {
		put("nvme-rogue: controller reset\n");
		CHECK(start());
		CHECK(identify((uintptr_t)own) == 0);
	}
	CHECK(own[4] > ' ');
	put("nvme-rogue: alive\n");
	return status ? GUEST_PASS : DEVICE_SAYS_OK;
}
