/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_NVME_NVME_PRIV_H
#define VMM_DEVICES_NVME_NVME_PRIV_H

#include <stdatomic.h>
#include "vmm/core/msix.h"
#include "vmm/core/pci_cfg.h"
#include "vmm/core/vm.h"
#include "vmm/devices/nvme/nvme.h"

/* Numbers in parentheses are sections of the NVM Express base specification 1.4. */

#define NVME_PAGE      4096u /* memory page size: CAP.MPSMIN = CAP.MPSMAX = 0 */
#define NVME_SQE       64u
#define NVME_CQE       16u
#define NVME_QSIZE_MAX 1024u
#define NVME_MDTS      6 /* 2^6 pages: 256 KiB a command */
#define NVME_IOV_MAX   ((1u << NVME_MDTS) + 1)
#define NVME_REQS      256 /* commands in flight */
#define NVME_AER_MAX   4
#define NVME_DSM_MAX   256 /* ranges of a Dataset Management command */
#define NVME_ERRORS    4   /* entries of the error log */

/* Controller registers (3.1). */
enum {
	NVME_CAP = 0x00,
	NVME_VS = 0x08,
	NVME_INTMS = 0x0c,
	NVME_INTMC = 0x10,
	NVME_CC = 0x14,
	NVME_CSTS = 0x1c,
	NVME_AQA = 0x24,
	NVME_ASQ = 0x28,
	NVME_ACQ = 0x30,
	NVME_DOORBELLS = 0x1000,
};

#define NVME_CC_EN	   0x1u
#define NVME_CC_SHN(cc)	   ((cc) >> 14 & 3)
#define NVME_CSTS_RDY	   0x1u
#define NVME_CSTS_CFS	   0x2u
#define NVME_CSTS_SHST	   0xcu
#define NVME_CSTS_SHUTTING 0x4u
#define NVME_CSTS_SHUT	   0x8u

/* Status: type << 8 | code (4.6.1); NVME_DNR: do not retry. */
enum {
	NVME_OK = 0,
	NVME_BAD_OPCODE = 0x01,
	NVME_BAD_FIELD = 0x02,
	NVME_BAD_TRANSFER = 0x04,
	NVME_INTERNAL = 0x06,
	NVME_ABORTED_SQ = 0x08,
	NVME_BAD_NS = 0x0b,
	NVME_BAD_PRP = 0x13,
	NVME_READ_ONLY = 0x20,
	NVME_LBA_RANGE = 0x80,
	NVME_BAD_CQ = 0x100,
	NVME_BAD_QID = 0x101,
	NVME_BAD_QSIZE = 0x102,
	NVME_AER_LIMIT = 0x105,
	NVME_BAD_VECTOR = 0x108,
	NVME_BAD_LOG = 0x109,
	NVME_BAD_DELETE = 0x10c,
	NVME_NOT_SAVEABLE = 0x10d,
	NVME_NOT_CHANGEABLE = 0x10e,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_DNR = 0x4000,
	NVME_LATER = 0xffff, /* ours: the completion comes from elsewhere */
};

/** struct nvme_cmd - a submission queue entry (4.2), copied out of guest memory once. */
struct nvme_cmd {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t mptr, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

/** struct nvme_range - of Dataset Management (6.7). */
struct nvme_range {
	uint32_t attr, nlb;
	uint64_t slba;
};

struct nvme;

/**
 * struct nvme_req - one command in flight
 * @status: of the completion; @dw0: its first dword
 * @ranges: of Dataset Management, allocated at the first one; @range: the next, of @nranges
 */
struct nvme_req {
	struct disk_req d;
	struct nvme *n;
	struct nvme_req *next; /* free, or waiting for room in its completion queue */
	uint16_t sqid, cid, status;
	uint32_t dw0;
	unsigned int range, nranges;
	struct nvme_range *ranges;
	struct iovec iov[NVME_IOV_MAX];
};

struct nvme_sq {
	bool on;
	uint16_t cqid;
	uint32_t size, head, tail;
	uint64_t gpa;
	unsigned int busy; /* commands in flight */
};

struct nvme_cq {
	bool on, irq, ring; /* ring: entries were posted since the last interrupt */
	uint16_t vector;
	uint32_t size, head, tail;
	uint64_t gpa;
	bool phase;
	unsigned int users;		    /* submission queues that complete here */
	struct nvme_req *wait, **wait_tail; /* completions without room */
};

/**
 * struct nvme - the controller
 *
 * Registers belong to the VM lock; queues and commands to the I/O thread. A register write that
 * concerns the queues is a call posted to the I/O thread, which answers through @csts: enabling,
 * disabling and shutting down take as long as they take, and the driver polls, as the
 * specification has it.
 *
 * @db:    what was last written to each doorbell: vCPUs write, the I/O thread reads
 * @awake: the I/O thread will look at the doorbells before it sleeps: no eventfd needed
 * @cq_waits: a completion waits for room in its queue, so that a head doorbell is news
 */
struct nvme {
	struct vm_dev dev; /* first */
	struct vm_pci_fn fn;
	struct nvme_cfg cfg;
	struct sys *sys;
	char serial[21];
	struct log_limit limit;

	/* VM lock */
	uint32_t cc, aqa;
	uint64_t asq, acq;
	struct vm_irq_group *irqs;
	struct vm_msix *msix;
	struct vm_io_region io;
	struct pci_cfg cfgspace;
	unsigned int msix_cap;
	char bar_name[48];
	bool attached, shadow_kicks;
	unsigned int held; /* VM_HELD_* */

	/* shared */
	atomic_uint csts;
	atomic_uint db[2 * (NVME_QUEUES_MAX + 1)];
	atomic_bool awake, cq_waits;
	atomic_int call[NVME_QUEUES_MAX + 1]; /* eventfds of the vectors */
	int kick;
	atomic_ullong doorbells, kicks, commands, admin, errors, interrupts, bytes_read,
		bytes_written;

	/* I/O thread */
	struct disk *disk;
	struct disk_ring *ring;
	struct disk_info info;
	unsigned int lba_shift;
	struct ev_src *kick_src, *ring_src;
	struct ev_poll poll;
	bool up, still; /* still: guest memory is left alone, and all else stays as it is */
	struct nvme_sq sq[NVME_QUEUES_MAX + 1];
	struct nvme_cq cq[NVME_QUEUES_MAX + 1];
	struct nvme_req *reqs, *free;
	uint64_t db_shadow, db_event; /* gpa of the driver's doorbell pages, 0: none */
	uint16_t aer[NVME_AER_MAX];
	unsigned int naer;
	uint32_t aer_pending, aer_masked; /* bit: event type */
	uint8_t aer_info;
	bool ns_changed;
	uint32_t feature[16];
	uint16_t threshold[2]; /* of temperature: over, under */
	uint16_t vector_cfg[NVME_QUEUES_MAX + 1];
	uint64_t error_count;
	struct {
		uint64_t count;
		uint16_t sqid, cid, status;
	} error[NVME_ERRORS];
};

#define NVME_TEMP_ROOM 300 /* kelvin */
#define NVME_TEMP_WARN (NVME_TEMP_ROOM + 60)

/* nvme_queue.c: I/O thread */
/** nvme_enable() - the admin queues as aqa, asq and acq say; CSTS.RDY, or CFS. */
void nvme_enable(struct nvme *n, uint32_t aqa, uint64_t asq, uint64_t acq);
/** nvme_disable() - waits for what is in flight, then forgets all queues. */
void nvme_disable(struct nvme *n);
/** nvme_look() / nvme_arm() - serve doorbells and completions, want to be told (struct ev_poll). */
bool nvme_look(void *arg);
bool nvme_arm(void *arg);
/** nvme_still() - leave guest memory alone, once what is at the disk is done; or go on. */
void nvme_still(struct nvme *n, bool on);
/** nvme_complete() - post the completion of a request and give the request back. */
void nvme_complete(struct nvme_req *r, uint16_t status);
/** nvme_req_get() - a request on the admin queue that no command stands for; NULL: none is left. */
struct nvme_req *nvme_req_get(struct nvme *n);
/** nvme_req_drop() - give a request back without a completion. */
void nvme_req_drop(struct nvme_req *r);
/** Create and delete (5.3 to 5.6): a status. Deleting waits for the commands at the disk. */
uint16_t nvme_sq_create(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, uint16_t cqid);
uint16_t nvme_cq_create(struct nvme *n, uint16_t id, uint32_t size, uint64_t gpa, bool irq,
			uint16_t vector);
uint16_t nvme_sq_delete(struct nvme *n, uint16_t id);
uint16_t nvme_cq_delete(struct nvme *n, uint16_t id);
/** nvme_event() - an asynchronous event (5.2): type 0-7 and its information. */
void nvme_event(struct nvme *n, unsigned int type, uint8_t info);
void nvme_event_flush(struct nvme *n);

/* nvme_admin.c, nvme_io.c: run a command; the status, or NVME_LATER */
uint16_t nvme_admin(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c);
/** nvme_features_reset() - every feature as it is by default. */
void nvme_features_reset(struct nvme *n);
uint16_t nvme_io(struct nvme *n, struct nvme_req *r, const struct nvme_cmd *c);

/* nvme_prp.c */
/** nvme_prp() - guest memory of a command as iovecs; 0 and *niov, or a status. */
uint16_t nvme_prp(struct nvme *n, uint64_t prp1, uint64_t prp2, uint32_t len, struct iovec *iov,
		  unsigned int *niov);
/** nvme_prp_write() / nvme_prp_read() - copy len bytes to or from a command's data. */
uint16_t nvme_prp_write(struct nvme *n, const struct nvme_cmd *c, const void *buf, uint32_t len);
uint16_t nvme_prp_read(struct nvme *n, const struct nvme_cmd *c, void *buf, uint32_t len);
/** nvme_ptr() - host address of guest RAM; NULL when it is not all RAM. */
void *nvme_ptr(const struct nvme *n, uint64_t gpa, uint64_t len);

/* nvme_identify.c */
uint16_t nvme_identify(struct nvme *n, const struct nvme_cmd *c);
uint16_t nvme_log_page(struct nvme *n, const struct nvme_cmd *c);

/* nvme_regs.c: VM lock */
extern const struct vm_io_ops nvme_reg_ops;
/** nvme_reset_regs() - as after power-on; the queues are gone already. */
void nvme_reset_regs(struct nvme *n);

/* nvme_pci.c */
void nvme_shadow_kicks(struct nvme *n, bool on);

#endif
