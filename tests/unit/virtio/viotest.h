/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_VIOTEST_H
#define TESTS_VIOTEST_H

#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "virtio/ring/vqd.h"
#include "virtio/vio.h"

/*
 * A machine with one virtio device on the real kernel's eventfds and a fake accelerator, and the
 * parts of a driver. The device is found as a guest finds it: by its capabilities.
 *
 * Aborts (BUG_ON) where a driver could not go on; what a test is about it asserts itself.
 */
struct vt_queue {
	struct vqd *d;
	unsigned int vector;
};

struct viotest {
	struct fakesys *fs; /* NULL: the real kernel */
	struct sys *sys;
	struct fakeaccel *fa;
	struct vm *vm;
	struct vm_pci *pci;
	struct vm_dev *dev;
	struct vio *v;
	uint32_t common, notify, scale, isr, device, msix_table, pba; /* offsets in the BAR */
	unsigned int cap_msix, cap_window, cap_exp;
	uint64_t bar;
	uint64_t heap; /* guest memory that is free from here */
	struct vt_queue q[VIO_QUEUES_MAX];
};

/** vt_machine() - without a device yet; fs: over a fake kernel. */
void vt_machine(struct viotest *t, bool fs);
/** vt_add() - the device, BARs placed, MSI-X on with every vector unmasked. 0 or what
 * vm_dev_add() said. */
int vt_add(struct viotest *t, struct vm_dev *d, struct err *e) __must_check;
void vt_down(struct viotest *t);

uint32_t vt_cfg(struct viotest *t, unsigned int off, unsigned int len);
void vt_cfg_set(struct viotest *t, unsigned int off, unsigned int len, uint32_t val);
/** vt_find() - what the capabilities say, at the BAR's present address. */
void vt_find(struct viotest *t);
/** vt_master() - Bus Master Enable; vt_msix_on(): with it, and all vectors unmasked. */
void vt_master(struct viotest *t, bool on);
void vt_msix_on(struct viotest *t);

/* Registers, by offset in the BAR; vt_ok(): the result of an access too. */
uint64_t vt_rd(struct viotest *t, unsigned int off, unsigned int len);
enum vm_io_result vt_wr(struct viotest *t, unsigned int off, unsigned int len, uint64_t val);

/* Fields of the common structure (virtio 1.2, 4.1.4.3). */
enum vt_field {
	VT_DFSEL = 0x00,
	VT_DF = 0x04,
	VT_GFSEL = 0x08,
	VT_GF = 0x0c,
	VT_CONFIG_VEC = 0x10,
	VT_NUM_QUEUES = 0x12,
	VT_STATUS = 0x14,
	VT_GENERATION = 0x15,
	VT_QSEL = 0x16,
	VT_QSIZE = 0x18,
	VT_QVEC = 0x1a,
	VT_QENABLE = 0x1c,
	VT_QNOFF = 0x1e,
	VT_QDESC = 0x20,
	VT_QDRIVER = 0x28,
	VT_QDEVICE = 0x30,
	VT_QNDATA = 0x38,
	VT_QRESET = 0x3a,
};
uint32_t vt_get(struct viotest *t, enum vt_field f);
void vt_set(struct viotest *t, enum vt_field f, uint32_t val);

uint64_t vt_offered(struct viotest *t);
/** vt_negotiate() - reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK: did it stick? Config
 * interrupts go to vector 0. */
bool vt_negotiate(struct viotest *t, uint64_t features);
/** vt_queue() - queue q with a driver's ring of size entries, interrupts to vector q + 1. */
void vt_queue(struct viotest *t, unsigned int q, uint16_t size, uint64_t features);
void vt_driver_ok(struct viotest *t);
/** vt_up() - all of these, for all queues. */
void vt_up(struct viotest *t, uint64_t features, uint16_t qsize);
/** vt_forget() - free the driver's rings, after a reset. */
void vt_forget(struct viotest *t);

/** vt_alloc() - guest memory, zeroed, aligned to 4 KiB. */
void *vt_alloc(struct viotest *t, size_t len);
uint64_t vt_gpa(const struct viotest *t, const void *p);

/** vt_kick() - as a driver does; true: it did not leave the (fake) kernel. */
bool vt_kick(struct viotest *t, unsigned int q);
/** vt_publish() - and a kick if the device wants one. */
void vt_publish(struct viotest *t, unsigned int q);
/** vt_irq() - wait for the interrupt of a vector; vt_irq_pending(): has it fired? Takes it. */
void vt_irq(struct viotest *t, unsigned int vec);
bool vt_irq_pending(struct viotest *t, unsigned int vec);
/** vt_get_used() - wait for a used buffer of queue q by its interrupt. */
void *vt_get_used(struct viotest *t, unsigned int q, uint32_t *len);

/** vt_hammer() - every register, at every width, with values from the ends of their ranges: before
 * the driver is there, while it is, and with the queue selected changing in between. The device is
 * up with these features afterwards. */
void vt_hammer(struct viotest *t, uint64_t features);

#endif
