/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKEVFD_H
#define TESTS_FAKEVFD_H

#include "vfio/pci_priv.h"

#define FAKEVFD_BAR_MAX 0x10000u
#define FAKEVFD_VECS	64

/*
 * A device behind vfd_ops for tests and fuzzing: config space and BARs as bytes, interrupts as
 * remembered eventfds, and a log of what was done to it in order ("cmd=6 irq2:on(0,3) reset ").
 * Owned by its user.
 */
struct fakevfd {
	struct vfd vfd;
	uint8_t cfg[4096], bar[6][FAKEVFD_BAR_MAX];
	struct vfd_region region[9];
	struct vfd_irq irq[5];
	int32_t trigger[5][FAKEVFD_VECS]; /* connected eventfds, -1: none */
	bool on[5], intx_masked;
	int32_t unmask_fd;
	char log[4096];
	uint8_t cfg_written[4096]; /* by the code under test */
	int fail_reset, fail_irq[5], fail_read, fail_map;
	unsigned int resets, maps, closed;
	bool no_grow; /* as a kernel without dynamic vectors: the first call fixes their number */
	unsigned int allocated;
};

/** fakevfd_init() - an igb VF: BAR 0 registers, BAR 3 MSI-X (3 vectors), PCIe and MSI-X
 * capabilities, DSN, ARI. */
void fakevfd_init(struct fakevfd *f);

void fakevfd_cfg(struct fakevfd *f, unsigned int off, unsigned int len, uint32_t val);
void fakevfd_bar(struct fakevfd *f, unsigned int i, uint64_t size, uint32_t flags);
void fakevfd_log_clear(struct fakevfd *f);

/** fakevfd_dev() - a vfio_pci on vm with f behind it; NULL with e filled when it is refused. */
struct vfio_pci *fakevfd_dev(struct vm *vm, struct fakevfd *f, const char *id, struct err *e);

#endif
