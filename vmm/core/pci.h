/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CORE_PCI_H
#define VMM_CORE_PCI_H

#include "base/bdf.h"
#include "vmm/core/bus.h"
#include "vmm/core/irq.h"
#include "vmm/core/mem.h"

/*
 * The guest's PCI Express hierarchy: a host bridge at 00:00.0, and one root port per function, each
 * with a secondary bus of its own and the function at device 0 there. Config space through ECAM,
 * and through CF8h/CFCh where the guest needs it. The VMM plays the firmware: bus numbers, windows
 * and BARs are set before the guest starts, and again at each reset.
 *
 * Thread: the VM lock.
 */
struct vm;
struct vm_pci;	    /* the host bridge */
struct vm_pci_port; /* a root port */
struct vm_pci_fn;

struct vm_pci_fn_ops {
	/* off + len <= 4096, naturally aligned, len 1, 2 or 4 */
	uint32_t (*cfg_read)(struct vm_pci_fn *f, unsigned int off, unsigned int len);
	void (*cfg_write)(struct vm_pci_fn *f, unsigned int off, unsigned int len, uint32_t val);
	/* the machine is reset: back to the state after power-on; BARs unmapped. Cannot fail. May
	 * be NULL. */
	void (*reset)(struct vm_pci_fn *f);
	/* Bus Master Enable changed (PCI local bus spec 6.2.2). Off: when this returns the function
	 * neither reads nor writes memory, messages of MSI-X included, until it is on again; what
	 * was due then is done. It is off at first, and after a reset. NULL: as with a function of
	 * the host, somebody else sees to it. */
	void (*master)(struct vm_pci_fn *f, bool on);
};

enum vm_bar_type { VM_BAR_NONE, VM_BAR_IO, VM_BAR_MEM32, VM_BAR_MEM64 };

/**
 * struct vm_pci_bar - one base address register as the guest sees it
 * @size:   power of two; memory at least 4 KiB here, I/O at least 4
 * @reg:    what the guest wrote, address bits only (64-bit BARs: both halves)
 * @at:     guest address where it is mapped now; valid while mapped
 * @sizing: halves (bit 0 low, bit 1 high) that hold the all-ones sizing pattern: not mapped then
 * @refused: mappings refused (overlap, out of reach) since start
 */
struct vm_pci_bar {
	enum vm_bar_type type;
	bool prefetch;
	uint64_t size, reg, at;
	bool mapped;
	uint8_t sizing;
	uint64_t refused;
	struct vm_mem_claim claim;
	char name[32];
};

/**
 * struct vm_pci_fn - a function; embedded in its device
 * @name: of the device, "net0"
 * @bdf:  guest address; set by vm_pci_attach()
 * @bar:  type, prefetch and size filled by the device before vm_pci_attach(); the rest is the
 * core's
 * @bar_map: make [gpa, gpa + size) of BAR i reachable (vm_mem_add, vm_bus_add); -errno: stays
 * unmapped
 * @bar_unmap: undo; cannot fail. The core has claimed the range before and unclaims it after.
 * @cfg_reads: @cfg_writes: trapped config accesses
 */
struct vm_pci_fn {
	const char *name;
	const struct vm_pci_fn_ops *ops;
	struct vm *vm;
	struct vm_pci_port *port;
	struct bdf bdf;
	struct vm_pci_bar bar[6];
	int (*bar_map)(struct vm_pci_fn *f, unsigned int i, uint64_t gpa, struct err *e);
	void (*bar_unmap)(struct vm_pci_fn *f, unsigned int i);
	uint16_t command; /* as the core knows it: MSE, IOSE decide what is mapped, BME who works */
	uint64_t cfg_reads, cfg_writes;
};

/* PCI command register (PCI local bus spec 6.2.2) */
#define VM_PCI_CMD_IO	    0x0001
#define VM_PCI_CMD_MEM	    0x0002
#define VM_PCI_CMD_MASTER   0x0004
#define VM_PCI_CMD_INTX_OFF 0x0400

/** vm_pci_bar_read() - BAR register idx 0-5 (dword), the upper half of a 64-bit one too, sizing
 * included. */
uint32_t vm_pci_bar_read(const struct vm_pci_fn *f, unsigned int idx);

/** vm_pci_bar_write() - a dword written to BAR register idx; moves the mapping when decoding is on.
 */
void vm_pci_bar_write(struct vm_pci_fn *f, unsigned int idx, uint32_t val);

/** vm_pci_command() - the command register changed: map or unmap by MSE and IOSE, and tell the
 * function of BME. */
void vm_pci_command(struct vm_pci_fn *f, uint16_t command);

/** vm_pci_unmap_all() - unmap every BAR and forget its address (reset, removal). */
void vm_pci_unmap_all(struct vm_pci_fn *f);

/* Fixed places in the guest-physical space; the loader's ACPI tables say the same. */
#define VM_PCI_ECAM_BASE   0xe0000000u /* 1 MiB per bus, up to 256 */
#define VM_PCI_MMIO32_BASE 0xc0000000u
#define VM_PCI_MMIO32_END  0xe0000000u
#define VM_PCI_IO_BASE	   0x1000u
#define VM_PCI_IO_END	   0x10000u
#define VM_PCI_PORTS_MAX   30

/** struct vm_pci_windows - for ACPI: what the host bridge decodes. A size of 0: none. */
struct vm_pci_windows {
	uint64_t mmio32, mmio32_size, mmio64, mmio64_size;
	uint32_t io, io_size;
	uint64_t ecam;
	unsigned int nbuses; /* buses behind ECAM: 0 .. nbuses - 1 */
};

/**
 * vm_pci_new() - host bridge, ECAM on the MMIO bus; conf1: CF8h/CFCh on the port bus too
 *
 * Ports CF8h-CFFh belong to the host bridge in either case, since the reset control register (CF9h,
 * bit 2 resets the machine) lies among them.
 */
int vm_pci_new(struct vm *vm, bool conf1, struct vm_pci **out, struct err *e) __must_check;
/** vm_pci_free() - a function that is still attached is a bug. */
void vm_pci_free(struct vm_pci *p); /* functions were detached; NULL is fine */

/** vm_pci_attach() - add a root port with f behind it; before vm_pci_setup(). -ENOSPC after
 * VM_PCI_PORTS_MAX. */
int vm_pci_attach(struct vm_pci *p, struct vm_pci_fn *f, struct err *e) __must_check;
/** vm_pci_detach() - unmaps its BARs; no-op for one that is not attached. */
void vm_pci_detach(struct vm_pci_fn *f);

/**
 * vm_pci_setup() - play the firmware: number buses, place BARs (64-bit ones above RAM, below the
 * map's gpa_limit), program bridge windows, switch decoding on. Once all functions are attached and
 * RAM is placed, and again after vm_pci_reset(). -ENOSPC names the BAR that does not fit.
 */
int vm_pci_setup(struct vm_pci *p, struct err *e) __must_check;
void vm_pci_reset(struct vm_pci *p);

/** vm_pci_windows() - what ACPI tells the guest; settled by vm_pci_setup(). */
const struct vm_pci_windows *vm_pci_windows(const struct vm_pci *p);

/**
 * vm_pci_intx_pin() - IOAPIC pin (16-23) of f's INTA-INTD (pin 1-4); as the DSDT's _PRT says
 *
 * 16 + (d + pin - 1) % 8 with d the device number on bus 0 of the root port (the function behind it
 * is device 0, so the port's swizzle changes nothing). In a _PRT, where pins count from 0: 16 + (d
 * + pin) % 8.
 */
unsigned int vm_pci_intx_pin(const struct vm_pci_fn *f, unsigned int pin);

/** vm_pci_each() - fn for every attached function (not ports, not the host bridge). */
void vm_pci_each(struct vm_pci *p, void (*fn)(void *arg, struct vm_pci_fn *f), void *arg);

/** struct vm_pci_count - trapped config accesses of ports and bridge together, and to absent
 * functions. */
struct vm_pci_count {
	uint64_t ports, absent, conf1;
};
/** vm_pci_count() - config accesses that no function counts itself. */
const struct vm_pci_count *vm_pci_count(const struct vm_pci *p);

#endif
