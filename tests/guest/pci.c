// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PCI hierarchy: a host bridge, ports= root ports, each with its bus; functions behind them
 * answer to sizing as the PCI local bus specification (6.2.5.1) says; nothing else answers.
 */
#include "guest.h"

#define CLASS_HOST 0x060000
#define CLASS_PORT 0x060400

/* Size of BAR i; 0: not there, 1: the low bits changed or the address did not come back. */
static uint32_t bar_size(struct pci_at a, unsigned int off)
{
	uint32_t old = pci_read(a, off), ones, mask = old & 1 ? 3 : 15;

	pci_write(a, off, 0xffffffff);
	ones = pci_read(a, off);
	pci_write(a, off, old);
	if (pci_read(a, off) != old || (ones ^ old) & mask)
		return 1;
	ones &= ~mask;
	return ones & -ones;
}

static int check_function(struct pci_at a)
{
	uint32_t cmd = pci_read(a, 4);
	unsigned int off;

	pci_write(a, 4, cmd & 0xfffc);
	for (off = 0x10; off < 0x28; off += 4) {
		uint32_t bar = pci_read(a, off), size = bar_size(a, off);

		if (size)
			say("  BAR size", size);
		CHECK(size != 1);
		CHECK(!size || size >= 4);
		if (!(bar & 1) && (bar & 6) == 4)
			off += 4;
	}
	pci_write(a, 4, cmd & 0xffff);
	CHECK((pci_read(a, 4) & 7) == (cmd & 7));
	return GUEST_PASS;
}

static int check_port(struct pci_at a)
{
	struct pci_at behind = { (uint8_t)(pci_read(a, 0x18) >> 8), 0, 0 };
	struct pci_at second = { behind.bus, 1, 0 };

	CHECK((pci_read(a, 0x0c) >> 16 & 0x7f) == 1);
	CHECK((pci_read(a, 0x18) & 0xff) == 0);
	CHECK(behind.bus && behind.bus < pci_buses);
	CHECK(pci_read(second, 0) == 0xffffffff);
	if (pci_read(behind, 0) == 0xffffffff)
		return GUEST_PASS;
	say("  function", pci_read(behind, 0));
	return check_function(behind);
}

int guest_main(const struct mb_info *mbi)
{
	struct pci_at a = { 0, 0, 0 };
	unsigned int n;

	CHECK(pci_init());
	CHECK((pci_read(a, 8) >> 8) == CLASS_HOST);
	CHECK(!pci_find(CLASS_HOST, 0xffffff, 1, &a));
	for (n = 0; pci_find(CLASS_PORT, 0xffffff, n, &a); n++) {
		say("port", pci_read(a, 0));
		if (check_port(a) != GUEST_PASS)
			return GUEST_FAIL;
	}
	CHECK(n == arg_num(mbi, "ports", n));
	/* the last register of the last function of bus 0 */
	a = (struct pci_at){ 0, 31, 7 };
	CHECK(pci_read(a, 0xffc) == 0xffffffff);
	return GUEST_PASS;
}
