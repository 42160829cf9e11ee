// SPDX-License-Identifier: BSD-3-Clause
/*
 * Intel 82540EM, polled, legacy descriptors. (PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual, 3.2, 3.3, 13.4, 14)
 */
#include "bench/guest/device.h"

#define PCI_ID	0x100e8086u
#define CLASS	0x020000
#define RING	256u
#define RX_STEP 16u /* frames that are given back at once */

/* Registers (13.2, table 13-2). */
enum {
	CTRL = 0x0000,
	STATUS = 0x0008,
	IMC = 0x00d8,
	RCTL = 0x0100,
	TCTL = 0x0400,
	TIPG = 0x0410,
	RDBAL = 0x2800,
	RDBAH = 0x2804,
	RDLEN = 0x2808,
	RDH = 0x2810,
	RDT = 0x2818,
	TDBAL = 0x3800,
	TDBAH = 0x3804,
	TDLEN = 0x3808,
	TDH = 0x3810,
	TDT = 0x3818,
	RAL = 0x5400,
	RAH = 0x5404,
};

/* Set link up; a reset of all but the PCI configuration (13.4.1). */
#define CTRL_SLU   (1u << 6)
#define CTRL_RST   (1u << 26)
#define STATUS_LU  2u
#define RCTL_ON	   (1u << 1 | 1u << 3 | 1u << 4 | 1u << 15 | 1u << 26) /* all frames, no FCS */
#define TCTL_ON	   (1u << 1 | 1u << 3 | 0x10u << 4 | 0x40u << 12)
#define TIPG_DFLT  0x00602008u
#define TX_EOP	   1u
#define TX_FCS	   2u
#define TX_RS	   8u
#define DONE	   1u
#define LINK_LOOKS 200000u

/* Legacy transmit descriptor (3.3.3). */
struct tx_desc {
	uint64_t addr;
	uint16_t len;
	uint8_t cso, cmd, status, css;
	uint16_t special;
};

/* Receive descriptor (3.2.3). */
struct rx_desc {
	uint64_t addr;
	uint16_t len, sum;
	uint8_t status, errors;
	uint16_t special;
};

static struct pci_at at;
static volatile uint8_t *regs;
static volatile struct tx_desc *tx;
static volatile struct rx_desc *rx;
static uint8_t *rx_buf;
static uint8_t tx_slot[RING];
/* Transmit ring: [tx_done, tx_told) is the card's, [tx_told, tx_next) waits for a kick. Receive
 * ring: rx_next is looked at next, rx_given frames were taken since the card got descriptors back.
 */
static uint32_t tx_next, tx_told, tx_done, rx_next, rx_given;

static volatile uint32_t *reg(unsigned int off)
{
	return (volatile uint32_t *)(regs + off);
}

static bool there(void)
{
	unsigned int n;

	for (n = 0; pci_find(CLASS, 0xffffff, n, &at); n++)
		if (pci_read(at, 0) == PCI_ID)
			return true;
	return false;
}

/* Power-on state (14.2), no interrupts, link up (14.3). */
static bool reset(void)
{
	unsigned int i;

	*reg(CTRL) = *reg(CTRL) | CTRL_RST;
	for (i = 0; *reg(CTRL) & CTRL_RST; i++)
		if (i == LINK_LOOKS)
			return false;
	*reg(IMC) = 0xffffffff;
	*reg(CTRL) = *reg(CTRL) | CTRL_SLU;
	/* The link comes by itself; without it nothing is received. */
	for (i = 0; !(*reg(STATUS) & STATUS_LU); i++)
		if (i == LINK_LOOKS)
			return false;
	return true;
}

/* Both rings, empty and full (14.4, 14.5); the last receive descriptor stays out, or head and tail
 * would be equal, which means none (3.2.6). */
static void rings_on(void)
{
	unsigned int i;

	for (i = 0; i < RING; i++)
		rx[i].addr = (uintptr_t)rx_buf + i * FRAME_ROOM;
	tx_next = tx_told = tx_done = rx_next = rx_given = 0;
	*reg(TDBAL) = (uint32_t)(uintptr_t)tx;
	*reg(TDBAH) = 0; /* the arena is below 4 GiB */
	*reg(TDLEN) = RING * sizeof(*tx);
	*reg(TDH) = 0;
	*reg(TDT) = 0;
	*reg(TIPG) = TIPG_DFLT;
	*reg(TCTL) = TCTL_ON;
	*reg(RDBAL) = (uint32_t)(uintptr_t)rx;
	*reg(RDBAH) = 0;
	*reg(RDLEN) = RING * sizeof(*rx);
	*reg(RDH) = 0;
	*reg(RDT) = RING - 1;
	*reg(RCTL) = RCTL_ON;
}

/* QEMU's card takes no frame in the second after its receiver was switched on. */
static void settle(void)
{
	uint64_t end = rdtsc() + tsc_hz / 10 * 11;

	while (rdtsc() < end)
		pause();
}

static const char *open(struct net *n)
{
	uint32_t low, high;

	regs = pci_bar(at, 0);
	tx = arena_alloc(RING * sizeof(*tx));
	rx = arena_alloc(RING * sizeof(*rx));
	rx_buf = arena_alloc(RING * FRAME_ROOM);
	if (!regs || !tx || !rx || !rx_buf)
		return "too little memory, or the card's registers are out of reach";
	if (!reset())
		return "the e1000 does not come out of its reset with a link";
	/* The station address, which the card took from its EEPROM. */
	low = *reg(RAL);
	high = *reg(RAH);
	memcpy(n->mac, &low, 4);
	memcpy(n->mac + 4, &high, 2);
	rings_on();
	if (n->receives)
		settle();
	return NULL;
}

static bool send(struct net *n, unsigned int slot, uint32_t len)
{
	volatile struct tx_desc *d = &tx[tx_next];

	if ((tx_next + 1) % RING == tx_done)
		return false;
	tx_slot[tx_next] = (uint8_t)slot;
	d->addr = (uintptr_t)net_frame(n, slot);
	d->len = (uint16_t)len;
	d->cso = d->css = d->status = 0;
	d->special = 0;
	d->cmd = TX_EOP | TX_FCS | TX_RS;
	tx_next = (tx_next + 1) % RING;
	return true;
}

static void kick(struct net *n)
{
	if (tx_told == tx_next)
		return;
	__asm__ volatile("" : : : "memory");
	*reg(TDT) = tx_told = tx_next;
}

/* The card sets DD in the order of the ring (3.3.3.2). */
static int sent(struct net *n)
{
	int slot;

	if (tx_done == tx_told || !(tx[tx_done].status & DONE))
		return -1;
	slot = tx_slot[tx_done];
	tx_done = (tx_done + 1) % RING;
	return slot;
}

static const uint8_t *recv(struct net *n, uint32_t *len)
{
	volatile struct rx_desc *d = &rx[rx_next];
	const uint8_t *f;

	if (!(d->status & DONE))
		return NULL;
	__asm__ volatile("" : : : "memory");
	f = rx_buf + rx_next * FRAME_ROOM;
	*len = d->len;
	d->status = 0;
	rx_next = (rx_next + 1) % RING;
	/* One descriptor stays the driver's: the frame that is handed out now. */
	if (++rx_given > RX_STEP) {
		rx_given = 1;
		*reg(RDT) = (rx_next + RING - 2) % RING;
	}
	return f;
}

static void close(struct net *n)
{
	if (!regs)
		return;
	*reg(RCTL) = 0;
	*reg(TCTL) = 0;
	*reg(CTRL) = *reg(CTRL) | CTRL_RST;
}

const struct net_drv net_e1000 = { .name = "e1000",
				   .there = there,
				   .open = open,
				   .send = send,
				   .kick = kick,
				   .sent = sent,
				   .recv = recv,
				   .close = close };
