/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_E1000_E1000_PRIV_H
#define VMM_DEVICES_E1000_E1000_PRIV_H

#include <linux/virtio_net.h>
#include <stdatomic.h>
#include "vmm/core/pci_cfg.h"
#include "vmm/core/vm.h"
#include "vmm/devices/e1000/e1000.h"

/* Numbers in parentheses are sections of the PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual, revision 4.0. */

/* Registers (13.2, table 13-2). */
enum {
	E1000_CTRL = 0x0000,
	E1000_STATUS = 0x0008,
	E1000_EECD = 0x0010,
	E1000_EERD = 0x0014,
	E1000_MDIC = 0x0020,
	E1000_VET = 0x0038,
	E1000_ICR = 0x00c0,
	E1000_ITR = 0x00c4,
	E1000_ICS = 0x00c8,
	E1000_IMS = 0x00d0,
	E1000_IMC = 0x00d8,
	E1000_RCTL = 0x0100,
	E1000_TCTL = 0x0400,
	E1000_PBA = 0x1000,
	E1000_RDBAL = 0x2800,
	E1000_RDBAH = 0x2804,
	E1000_RDLEN = 0x2808,
	E1000_RDH = 0x2810,
	E1000_RDT = 0x2818,
	E1000_TDBAL = 0x3800,
	E1000_TDBAH = 0x3804,
	E1000_TDLEN = 0x3808,
	E1000_TDH = 0x3810,
	E1000_TDT = 0x3818,
	E1000_STATS = 0x4000, /* to 0x40ff: cleared by reading */
	E1000_RXCSUM = 0x5000,
	E1000_MTA = 0x5200,
	E1000_RA = 0x5400,
	E1000_VFTA = 0x5600,
	E1000_REGS_END = 0x5a00,
};

/* Statistics (13.7). */
enum {
	E1000_GPRC = 0x4074,
	E1000_BPRC = 0x4078,
	E1000_MPRC = 0x407c,
	E1000_GPTC = 0x4080,
	E1000_GORC = 0x4088,
	E1000_GOTC = 0x4090,
	E1000_TOR = 0x40c0,
	E1000_TOT = 0x40c8,
	E1000_TPR = 0x40d0,
	E1000_TPT = 0x40d4,
	E1000_MPTC = 0x40f0,
	E1000_BPTC = 0x40f4,
	E1000_TSCTC = 0x40f8,
};

/* Interrupt causes (13.4.17). */
#define E1000_I_TXDW   0x01u
#define E1000_I_TXQE   0x02u
#define E1000_I_LSC    0x04u
#define E1000_I_RXDMT0 0x10u
#define E1000_I_RXO    0x40u
#define E1000_I_RXT0   0x80u
#define E1000_I_MDAC   0x200u
#define E1000_I_ALL    0x1ffffu
#define E1000_I_ASSERT 0x80000000u /* not on this part, and harmless there */

#define E1000_CTRL_SLU	   0x40u
#define E1000_CTRL_RST	   0x04000000u
#define E1000_CTRL_VME	   0x40000000u
#define E1000_CTRL_PHY_RST 0x80000000u
#define E1000_STATUS_FD	   0x1u
#define E1000_STATUS_LU	   0x2u
#define E1000_STATUS_1000  0x80u

#define E1000_FRAME_MAX 16384u	      /* what RCTL.LPE lets through (13.4.22) */
#define E1000_BUF	(65536u + 64) /* a TSO frame with its headers */

#define E1000_RANG_TX 1u
#define E1000_RANG_RX 2u

/** struct e1000_ctx - a context descriptor (3.3.6): offsets for the offloads of what follows. */
struct e1000_ctx {
	uint8_t ipcss, ipcso, tucss, tucso, tucmd, hdrlen;
	uint16_t ipcse, tucse, mss;
	uint32_t paylen;
};

/**
 * struct e1000 - the controller
 *
 * Registers are atomics: vCPUs write them under the VM lock, the I/O thread, which owns the rings,
 * reads them. A reset waits for the I/O thread.
 *
 * @rang: registers that say what is to be done were written; @awake: the I/O thread looks at @rang
 * before it sleeps: no eventfd needed. @rx_waits: a frame in rx_buf has no place yet, so that a new
 * receive tail is news
 *
 * The interrupt is a level: an irqfd raises it, and KVM lowers it at the guest's EOI and tells us
 * through the resample eventfd, when it is raised again if a cause is still there. @asserted: it is
 * up as far as we know.
 */
struct e1000 {
	struct vm_dev dev; /* first */
	struct vm_pci_fn fn;
	struct e1000_cfg cfg;
	struct sys *sys;
	struct mac mac;
	struct net_end *end;

	/* VM lock */
	struct vm_io_region mmio, port;
	struct pci_cfg cfgspace;
	char names[2][40];
	bool attached, line;
	unsigned int held; /* VM_HELD_* */
	uint32_t io_addr;  /* of the I/O window (13.2.2) */
	uint32_t ee_cmd;   /* microwire: what was clocked in so far */
	unsigned int ee_bits, ee_out;
	uint16_t eeprom[64], phy[32];

	/* shared */
	atomic_uint reg[E1000_REGS_END / 4];
	atomic_bool asserted, awake, rx_waits;
	atomic_uint rang; /* E1000_RANG_* */
	int kick, irq, resample;
	atomic_ullong tx_frames, tx_bytes, rx_frames, rx_bytes, drops, bad, interrupts, throttled,
		kicks;

	/* I/O thread */
	struct ev_src *kick_src, *resample_src, *itr_timer;
	struct ev_poll poll;
	bool up, still; /* still: guest memory is left alone, and all else stays as it is */
	uint64_t irq_ns;
	struct e1000_ctx ctx;
	uint8_t *tx_buf, *rx_buf;
	size_t tx_len, rx_len;
	bool tx_bad;
	uint8_t tx_popts, tx_cmd;
	uint16_t tx_vlan;
};

static inline uint32_t e1000_get(const struct e1000 *d, unsigned int reg)
{
	return atomic_load_explicit(&d->reg[reg / 4], memory_order_acquire);
}

static inline void e1000_set(struct e1000 *d, unsigned int reg, uint32_t val)
{
	atomic_store_explicit(&d->reg[reg / 4], val, memory_order_release);
}

/** e1000_stat() - add to a statistics register; e1000_stat64() to a pair of them. */
void e1000_stat(struct e1000 *d, unsigned int reg, uint32_t n);
void e1000_stat64(struct e1000 *d, unsigned int reg, uint64_t n);

/* irq.c: any thread */
/** e1000_raise() - set causes and interrupt if one is enabled. */
void e1000_raise(struct e1000 *d, uint32_t causes);
/** e1000_irq_update() - interrupt if a cause is pending and enabled. */
void e1000_irq_update(struct e1000 *d);
/** e1000_raise_io() - the same from the I/O thread, no sooner than ITR allows. */
void e1000_raise_io(struct e1000 *d, uint32_t causes);

/* tx.c, rx.c: I/O thread */
void e1000_tx(struct e1000 *d);
void e1000_rx(struct e1000 *d);
/** e1000_ring() - descriptor i of the ring whose base register is reg; NULL: not in RAM. */
void *e1000_ring(struct e1000 *d, unsigned int reg, uint32_t i);
/** e1000_ring_size() - descriptors of that ring. */
uint32_t e1000_ring_size(const struct e1000 *d, unsigned int reg);

/* eeprom.c: VM lock */
void e1000_eeprom_init(struct e1000 *d);
void e1000_eecd_write(struct e1000 *d, uint32_t val);
uint32_t e1000_eerd(const struct e1000 *d, uint32_t val);
void e1000_phy_reset(struct e1000 *d);
uint32_t e1000_mdic(struct e1000 *d, uint32_t val);

/* regs.c: VM lock */
extern const struct vm_io_ops e1000_mmio_ops, e1000_port_ops;
/** e1000_reset_regs() - power-on values; the rings stand still. */
void e1000_reset_regs(struct e1000 *d);

/* pci.c */
/** e1000_stop_rings() - waits until the I/O thread has let go; e1000_go() lets it work again. */
void e1000_stop_rings(struct e1000 *d);
void e1000_go(struct e1000 *d);

#endif
