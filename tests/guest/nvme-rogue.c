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
#include "nvmectl.h"

#define DEVICE_SAYS_OK 0x22

#define CNS_CTRL 1

static struct nvme_sqe sq[64] __attribute__((aligned(4096)));
static volatile struct nvme_cqe cq[256] __attribute__((aligned(4096)));
static uint8_t own[4096] __attribute__((aligned(4096)));
static struct nvme_ctl ctl = { .sq = sq, .cq = cq };

static int identify(uint64_t to)
{
	const struct nvme_sqe cmd = { .cdw0 = NVME_OP_IDENTIFY, .prp1 = to, .cdw10 = CNS_CTRL };

	return nvme_admin(&ctl, &cmd, NULL);
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
	say("nvme-rogue:   CSTS", *nvme_reg(&ctl, NVME_REG_CSTS));
	return status;
}

static bool find(void)
{
	struct pci_at a;
	uint64_t bar;

	if (!pci_init() || !pci_find(NVME_CLASS, 0xffffff, 0, &a))
		return false;
	pci_write(a, 4, 6); /* memory, bus master */
	bar = pci_read(a, 0x10);
	if ((bar & 6) == 4)
		bar |= (uint64_t)pci_read(a, 0x14) << 32;
	say("nvme-rogue: BAR", bar);
	ctl.regs = map_window(bar & ~15ull);
	return true;
}

int guest_main(const struct mb_info *mbi)
{
	uint64_t target = arg_num(mbi, "target", 0);
	int status;

	CHECK(target && target % 4096 == 0);
	CHECK(find());
	CHECK(nvme_start(&ctl));
	CHECK(identify_say("own memory", (uintptr_t)own) == 0);
	CHECK(own[4] > ' '); /* serial number */
	status = identify_say("target", target);
	/* Whatever happened, the function must be usable again, at the latest after a controller
	 * reset. */
	memset(own, 0, sizeof(own));
	if (status < 0 || *nvme_reg(&ctl, NVME_REG_CSTS) & NVME_CSTS_CFS ||
	    identify((uintptr_t)own)) {
		put("nvme-rogue: controller reset\n");
		CHECK(nvme_start(&ctl));
		CHECK(identify((uintptr_t)own) == 0);
	}
	CHECK(own[4] > ' ');
	put("nvme-rogue: alive\n");
	return status ? GUEST_PASS : DEVICE_SAYS_OK;
}
