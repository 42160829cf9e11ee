/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VIO_PRIV_H
#define VIRTIO_VIO_PRIV_H

#include <pthread.h>
#include "base/log.h"
#include "virtio/vio.h"
#include "vmm/core/msix.h"
#include "vmm/core/pci_cfg.h"
#include "vmm/core/vm.h"

/* Device status bits (virtio 1.2, 2.1). */
#define ST_ACKNOWLEDGE 0x01u
#define ST_DRIVER      0x02u
#define ST_DRIVER_OK   0x04u
#define ST_FEATURES_OK 0x08u
#define ST_NEEDS_RESET 0x40u
#define ST_FAILED      0x80u

#define VIO_NO_VECTOR 0xffffu

/*
 * The one BAR: a page for each structure, so that the counters of the bus tell them apart.
 */
#define VIO_BAR	       0
#define VIO_BAR_COMMON 0x0000u
#define VIO_BAR_ISR    0x1000u
#define VIO_BAR_DEVICE 0x2000u
#define VIO_BAR_NOTIFY 0x3000u
#define VIO_BAR_TABLE  0x4000u
#define VIO_BAR_PBA    0x5000u
#define VIO_BAR_SIZE   0x8000u
#define VIO_PAGE       0x1000u

#define VIO_COMMON_LEN	 0x3cu /* queue_notify_data and queue_reset are the last */
#define VIO_NOTIFY_SCALE 4u    /* notify_off_multiplier */

/**
 * struct vio_pci - the transport of one device
 * @kick_len: ioeventfd of a queue: -1: none, else the width it matches, 0 for any
 * @resetting: a reset that the device has not finished; all registers keep their values
 * @queue_resetting: the same of single queues; @queue_stopping: cleared by vio_stopped()
 * @lock: @cond: for those who wait for vio->stopping, pausing
 */
struct vio_pci {
	struct vio *v;
	struct vm_pci_fn fn;
	struct pci_cfg cfg;
	unsigned int cap_msix, cap_exp, cap_window;
	struct vm_io_region io;
	struct vm_irq_group *irqs;
	struct vm_msix *msix;
	bool mapped;
	uint64_t at;
	int kick_len[VIO_QUEUES_MAX];
	unsigned int kicks_direct;

	uint32_t device_sel, driver_sel;
	uint64_t driver_features;
	uint16_t config_vector, queue_sel;
	bool resetting;
	bool queue_resetting[VIO_QUEUES_MAX];
	atomic_bool queue_stopping[VIO_QUEUES_MAX];
	pthread_mutex_t lock;
	pthread_cond_t cond;

	uint64_t refused, resets, kicks_trapped;
	struct log_limit limit;
};

/* ---- vio.c: what the registers mean ---- */
uint64_t vio_offered(const struct vio *v);
void vio_status_write(struct vio *v, uint8_t val);
void vio_queue_enable(struct vio *v, unsigned int q);
void vio_queue_reset(struct vio *v, unsigned int q);
void vio_settle(struct vio *v);		 /* finish the resets that the device has finished */
void vio_restart(struct vio *v);	 /* begin a reset; vio->pci->resetting until it is done */
void vio_master(struct vio *v, bool on); /* Bus Master Enable */
void vio_refuse(struct vio *v, const char *what); /* count, and say, a broken rule */

/* ---- vio_regs.c: the common configuration structure ---- */
enum vm_io_result vio_common_read(struct vio_pci *p, unsigned int off, unsigned int len,
				  uint64_t *val);
enum vm_io_result vio_common_write(struct vio_pci *p, unsigned int off, unsigned int len,
				   uint64_t val);

/* ---- vio_pci.c ---- */
int vio_pci_new(struct vio *v, struct err *e) __must_check;
int vio_pci_realize(struct vio *v, struct err *e) __must_check;
void vio_pci_power_on(struct vio_pci *p); /* config space and vectors as after power-on */
void vio_pci_free(struct vio *v);
void vio_pci_kicks(struct vio_pci *p); /* let the ioeventfds be what BAR and queues say */
/* The eventfd behind a vector; *vec becomes VIO_NO_VECTOR when there is none. */
int vio_pci_vector(struct vio_pci *p, uint16_t *vec);

#endif
