/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FRONTTEST_H
#define TESTS_FRONTTEST_H

#include "tests/unit/virtio/viotest.h"
#include "tests/unit/wire/fakeback.h"
#include "virtio/vu_dev.h"

/*
 * A machine with one vhost-user port, its driver and its backend. Time may run faster for the port
 * than for the test, so that its pauses and limits need not be waited for.
 */
struct fastsys {
	struct sys sys;
	struct sys_ops ops;
	unsigned int scale;
	atomic_uint fail_in; /* calls until one fails, 0: none does; for a test's own ops */
};

struct front {
	char dir[32];
	unsigned int fds; /* before */
	struct fastsys fast;
	struct vm_iothread *io;
	struct viotest t;
	struct fakeback b;
	unsigned int want; /* queues that must be up */
};

/** struct front_cfg - scale: how much faster (0: 1); late: no backend at first */
struct front_cfg {
	bool disk, server, late;
	unsigned int queues, scale;
};

void front_up(struct front *f, const struct front_cfg *c);
/** front_try() - as front_up(), with a kernel that the test has spoilt: its n-th call fails. On
 * failure all is down again. */
int front_try(struct front *f, const struct front_cfg *c, void (*spoil)(struct front *f),
	      unsigned int n, struct err *e);
/** front_down() - aborts when a descriptor was left open. */
void front_down(struct front *f);

/** front_driver() - a driver with these features, all queues of n entries; the backend is not run.
 */
void front_driver(struct front *f, uint64_t features, uint16_t n);
/** front_rings() - run the backend until all queues are up there and the port says so; front_lit():
 * and until nothing more is said. */
void front_rings(struct front *f);
void front_lit(struct front *f);
/** front_state() - run the backend until the port is in this state. */
void front_state(struct front *f, enum vu_state s);
/** front_reset() - the driver resets the device, and waits until it is. */
void front_reset(struct front *f);
struct vu_dev_info front_info(struct front *f);

/** front_add() - a buffer of 16 bytes in queue q; front_echo(): the backend takes n, and the driver
 * gets them, the first being the first-th of those added. */
void front_add(struct front *f, unsigned int q, uintptr_t cookie);
void front_echo(struct front *f, unsigned int q, uintptr_t first, unsigned int n);

#endif
