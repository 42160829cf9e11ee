/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_NVME_NVME_H
#define VMM_DEVICES_NVME_NVME_H

#include "vmm/backend/disk.h"
#include "vmm/core/dev.h"
#include "vmm/core/iothread.h"

/*
 * An NVM Express 1.4 controller with one namespace, emulated register by register. The stock Linux
 * driver and nvme-cli run on it. Every doorbell traps, as the textbooks have it, unless one of the
 * two classic improvements is asked for.
 */

#define NVME_QUEUES_MAX 64 /* I/O queue pairs */

/**
 * struct nvme_cfg
 * @serial: up to 20 characters; NULL: the id
 * @queues: I/O queue pairs, 1 to NVME_QUEUES_MAX
 * @shadow: offer Doorbell Buffer Config, so that the driver rings only when we sleep
 * @ioeventfd: with @shadow: doorbells that do ring never reach user space
 * @io: serves all queues
 */
struct nvme_cfg {
	struct disk_cfg disk;
	const char *serial;
	unsigned int queues;
	bool shadow, ioeventfd;
	struct vm_iothread *io;
	const struct log *log;
};

/** nvme_new() - for vm_dev_add(). The disk is opened here: -errno with the reason. */
int nvme_new(struct sys *s, const char *id, const struct nvme_cfg *c, struct vm_dev **out,
	     struct err *e) __must_check;

/** struct nvme_count - @doorbells: that trapped; @kicks: wake-ups of the I/O thread by an eventfd
 */
struct nvme_count {
	uint64_t doorbells, kicks, commands, admin, errors, interrupts, bytes_read, bytes_written,
		enters;
};
/** nvme_count() - relaxed; any thread. */
void nvme_count(const struct vm_dev *d, struct nvme_count *out);

#endif
