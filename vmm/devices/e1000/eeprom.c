// SPDX-License-Identifier: BSD-3-Clause
/*
 * The EEPROM, by its microwire pins and by the read register (5.3), and the PHY behind MDIO
 * (8.5, 13.4.7). The driver takes its MAC address from the one and its link from the other.
 */
#include <string.h>
#include "vmm/devices/e1000/e1000_priv.h"

/* EECD (13.4.3): four pins, and who may use them. */
#define EE_SK	   0x01u
#define EE_CS	   0x02u
#define EE_DI	   0x04u
#define EE_DO	   0x08u
#define EE_REQ	   0x40u
#define EE_GNT	   0x80u
#define EE_PRESENT 0x100u

#define EERD_START 0x01u
#define EERD_DONE  0x10u

#define EE_CHECKSUM 0xbaba /* what all 64 words add up to (5.6.35) */
#define EE_READ	    0x6	   /* opcode 110b, its start bit included; six address bits follow */
#define EE_CMD_BITS 9

/* MDIC (13.4.7) */
#define MDIC_READY 0x10000000u
#define MDIC_ERROR 0x40000000u
#define MDIC_WRITE 1
#define MDIC_READ  2
#define MDIC_IE	   0x20000000u
#define PHY_ADDR   1

/* PHY registers (8.5 and IEEE 802.3 22.2.4) */
enum { BMCR = 0, BMSR = 1, ID1 = 2, ID2 = 3, ANAR = 4, ANLPAR = 5, GSTAT = 10, PSSR = 17 };
#define BMCR_RESET   0x8000
#define BMCR_RESTART 0x0200

void e1000_eeprom_init(struct e1000 *d)
{
	uint16_t sum = 0;
	unsigned int i;

	memset(d->eeprom, 0xff, sizeof(d->eeprom));
	for (i = 0; i < 3; i++)
		d->eeprom[i] = (uint16_t)(d->mac.b[2 * i] | d->mac.b[2 * i + 1] << 8);
	d->eeprom[0x0a] = 0x440b; /* initialization control: as on the desktop card */
	d->eeprom[0x0b] = 0x001e; /* subsystem */
	d->eeprom[0x0c] = 0x8086;
	d->eeprom[0x0d] = 0x100e;
	d->eeprom[0x0e] = 0x8086;
	for (i = 0; i < 63; i++)
		sum = (uint16_t)(sum + d->eeprom[i]);
	d->eeprom[63] = (uint16_t)(EE_CHECKSUM - sum);
}

/* A rising clock: a command bit comes in, or the next data bit goes out. */
static void clock_up(struct e1000 *d, bool di)
{
	if (d->ee_bits < EE_CMD_BITS) {
		if (!d->ee_bits && !di)
			return; /* waits for the start bit */
		d->ee_cmd = d->ee_cmd << 1 | di;
		d->ee_bits++;
		d->ee_out = 0;
		return;
	}
	d->ee_out++;
}

/* Data bit that is on the pin: 15 first; zero before it. */
static bool data_out(const struct e1000 *d)
{
	unsigned int word = d->ee_cmd & 0x3f;

	if (d->ee_bits < EE_CMD_BITS || d->ee_cmd >> 6 != EE_READ || !d->ee_out)
		return false;
	word = (word + (d->ee_out - 1) / 16) & 0x3f; /* goes on with the next word */
	return d->eeprom[word] >> (15 - (d->ee_out - 1) % 16) & 1;
}

void e1000_eecd_write(struct e1000 *d, uint32_t val)
{
	uint32_t old = e1000_get(d, E1000_EECD), now = val & (EE_SK | EE_CS | EE_DI | EE_REQ);

	if (!(now & EE_CS)) {
		d->ee_bits = d->ee_out = 0;
		d->ee_cmd = 0;
	} else if (now & ~old & EE_SK) {
		clock_up(d, now & EE_DI);
	}
	now |= EE_PRESENT | (now & EE_REQ ? EE_GNT : 0) | (data_out(d) ? EE_DO : 0);
	e1000_set(d, E1000_EECD, now);
}

uint32_t e1000_eerd(const struct e1000 *d, uint32_t val)
{
	if (!(val & EERD_START))
		return val & ~EERD_DONE;
	return (val & 0xff00) | EERD_DONE | (uint32_t)d->eeprom[val >> 8 & 0x3f] << 16;
}

void e1000_phy_reset(struct e1000 *d)
{
	memset(d->phy, 0, sizeof(d->phy));
	d->phy[BMCR] = 0x1140; /* negotiates, full duplex, 1000 */
	d->phy[BMSR] = 0x796d; /* link is up, negotiation done */
	d->phy[ID1] = 0x0141;  /* M88E1011 */
	d->phy[ID2] = 0x0c20;
	d->phy[ANAR] = 0x0de1;
	d->phy[ANLPAR] = 0xcde1;
	d->phy[6] = 0x0001;
	d->phy[9] = 0x0e00;
	d->phy[GSTAT] = 0x3c00; /* the partner does 1000 */
	d->phy[PSSR] = 0xac00;	/* 1000, full duplex, resolved, link */
}

static void phy_write(struct e1000 *d, unsigned int reg, uint16_t val)
{
	switch (reg) {
	case BMCR:
		if (val & BMCR_RESET)
			e1000_phy_reset(d);
		else
			d->phy[BMCR] = val & ~BMCR_RESTART; /* done already */
		break;
	case BMSR:
	case ID1:
	case ID2:
	case ANLPAR:
	case GSTAT:
	case PSSR:
		break;
	default:
		d->phy[reg] = val;
	}
}

uint32_t e1000_mdic(struct e1000 *d, uint32_t val)
{
	unsigned int reg = val >> 16 & 31, phy = val >> 21 & 31, op = val >> 26 & 3;

	val &= ~(MDIC_READY | MDIC_ERROR);
	if (phy != PHY_ADDR || (op != MDIC_READ && op != MDIC_WRITE))
		val |= MDIC_ERROR;
	else if (op == MDIC_WRITE)
		phy_write(d, reg, (uint16_t)val);
	else
		val = (val & 0xffff0000) | d->phy[reg];
	if (val & MDIC_IE)
		e1000_raise(d, E1000_I_MDAC);
	return val | MDIC_READY;
}
