/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_PCI_PRIV_H
#define VMM_CORE_PCI_PRIV_H

#include "base/log.h"
#include "vmm/core/pci.h"
#include "vmm/core/pci_cfg.h"

/*
 * Ids of the virtual bridges. The vendor id is not assigned to anybody by the PCI-SIG as far as the
 * public list (pci.ids) knows, so no driver and no quirk of a guest matches it: guests bind these
 * two by class.
 */
#define PCI_OUR_VENDOR	  0x51ce
#define PCI_OUR_HOST	  0x0001
#define PCI_OUR_ROOT_PORT 0x0002

/* Type 0 and type 1 header (PCI local bus spec 6.1, PCI-to-PCI bridge spec 3.2). */
#define PCI_VENDOR	     0x00
#define PCI_DEVICE	     0x02
#define PCI_COMMAND	     0x04
#define PCI_STATUS	     0x06
#define PCI_CLASS_REV	     0x08
#define PCI_HEADER_TYPE	     0x0e
#define PCI_BAR0	     0x10
#define PCI_PRIMARY	     0x18
#define PCI_SECONDARY	     0x19
#define PCI_SUBORDINATE	     0x1a
#define PCI_IO_BASE	     0x1c
#define PCI_IO_LIMIT	     0x1d
#define PCI_MEM_BASE	     0x20
#define PCI_MEM_LIMIT	     0x22
#define PCI_PREF_BASE	     0x24
#define PCI_PREF_LIMIT	     0x26
#define PCI_PREF_BASE_HI     0x28
#define PCI_PREF_LIMIT_HI    0x2c
#define PCI_CAP_PTR	     0x34
#define PCI_INT_LINE	     0x3c
#define PCI_INT_PIN	     0x3d
#define PCI_BRIDGE_CTL	     0x3e
#define PCI_BRIDGE_CTL_RESET 0x40 /* secondary bus reset */

/** enum pci_window - what a bridge forwards: I/O, memory below 4 GiB, prefetchable memory. */
enum pci_window { PCI_WIN_IO, PCI_WIN_MEM, PCI_WIN_PREF, PCI_WIN_NR };

struct vm_pci_port {
	struct vm_pci *pci;
	struct vm_pci_fn *fn;
	unsigned int dev; /* device number on bus 0 */
	uint8_t cfg[256];
};

struct vm_pci {
	struct vm *vm;
	struct vm_pci_port *port[VM_PCI_PORTS_MAX]; /* device i + 1; NULL: none */
	uint8_t host_cfg[64];
	struct vm_pci_windows win;
	struct vm_pci_count count;
	struct vm_io_region ecam, cf8;
	struct vm_mem_claim ecam_claim, ioapic_claim, lapic_claim;
	bool conf1;
	uint32_t conf1_addr;
	uint8_t reset_ctl;
	struct log_limit limit;
	struct err last; /* why the last mapping was refused */
};

/* pci_port.c */
void pci_port_init(struct vm_pci_port *o, struct vm_pci *p, unsigned int dev);
void pci_port_reset(struct vm_pci_port *o);
uint32_t pci_port_read(const struct vm_pci_port *o, unsigned int off, unsigned int len);
void pci_port_write(struct vm_pci_port *o, unsigned int off, unsigned int len, uint32_t val);

/* pci_port_buses() - bus numbers as firmware sets them. */
void pci_port_buses(struct vm_pci_port *o, uint8_t secondary);

/* pci_port_window() - what the port forwards; size 0 closes the window. Grain: 4 KiB for I/O, 1 MiB
 * else. */
void pci_port_window(struct vm_pci_port *o, enum pci_window w, uint64_t base, uint64_t size);

/* pci_bar.c */
int pci_bars_check(struct vm_pci_fn *f, struct err *e) __must_check;
void pci_fn_reset(struct vm_pci_fn *f);

/* pci.c: ECAM grows and shrinks with the number of buses. */
int pci_ecam_buses(struct vm_pci *p, unsigned int nbuses, struct err *e) __must_check;

#endif
