/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_VIRTIO_NETRIG_H
#define TESTS_UNIT_VIRTIO_NETRIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "virtio/net_priv.h"
#include "virtio/ring/vqd.h"
#include "vmm/core/vm.h"

/*
 * A network device with a driver that the test plays, and a tap that is one end of a socket pair
 * for each queue. The kernel is the real one but for what concerns the tap.
 */
#define RIG_PAIRS 4
#define RIG_RAM	  MIB(32)
#define RIG_GPA	  0x100000000ull
#define RIG_QSIZE 64u

struct netrig {
	struct sys sys; /* first */
	struct sys_ops ops;
	struct vm vm;
	struct vm_iothread *io[2];
	struct vnet *n;
	uint8_t *ram, *free; /* buffers of the test come from free on */
	struct vqd *d[2 * RIG_PAIRS + 1];
	struct vqd_cfg kind;
	struct err e;

	/* the tap's other side */
	int peer[RIG_PAIRS], file[RIG_PAIRS];
	unsigned int npeers;
	bool detached[RIG_PAIRS], up, tap_lost;
	unsigned long offload;
	unsigned int mtu;
	int queue_rc; /* what TUNSETQUEUE says */

	/* the n-th call of the door fails */
	unsigned int calls, fail_at;
	int open_fds;
};

/** netrig_new() - two I/O threads, no device yet. */
struct netrig *netrig_new(void);
void netrig_free(struct netrig *r); /* fails the test when something was left open */

/** netrig_dev() - a device of so many pairs; its driver does not know of it yet. */
void netrig_dev(struct netrig *r, unsigned int pairs);
int netrig_open(struct netrig *r, unsigned int pairs);
void netrig_close(struct netrig *r);

/** netrig_up() - a driver that accepts these features, all queues set up as r->kind says. */
void netrig_up(struct netrig *r, uint64_t features);
void netrig_down(struct netrig *r);
/** netrig_queue() - set one queue up. */
void netrig_queue(struct netrig *r, unsigned int q);

/** netrig_buf() - guest memory for a buffer. */
uint8_t *netrig_buf(struct netrig *r, size_t len);
void netrig_kick(struct netrig *r, unsigned int q);
/** netrig_post() - one buffer, published and kicked; its pieces are given by lengths up to a 0. */
uint8_t *netrig_post_rx(struct netrig *r, unsigned int q, const unsigned int *lens);
/** netrig_get() - waits for a used buffer. */
void *netrig_get(struct netrig *r, unsigned int q, uint32_t *len);
/** netrig_settle() - all threads have done what there was to do. */
void netrig_settle(struct netrig *r);

/** netrig_send() - a packet into the tap, behind header h (NULL: zeroes). */
void netrig_send(struct netrig *r, unsigned int pair, const struct virtio_net_hdr_v1 *h,
		 const void *frame, size_t len);
/** netrig_recv() - waits for a packet out of the tap; its length without the header. */
size_t netrig_recv(struct netrig *r, unsigned int pair, struct virtio_net_hdr_v1 *h, void *frame,
		   size_t size);
/** netrig_ctrl() - a control command; the answer. */
uint8_t netrig_ctrl(struct netrig *r, unsigned int class, unsigned int cmd, const void *arg,
		    size_t len);
/** netrig_fill() - bytes that follow from seed. */
void netrig_fill(uint8_t *p, size_t len, uint8_t seed);

/* ---- tests of the whole device ---- */

#define RIG_FRAME 65550u

/** struct netfix - what such a test begins with. */
struct netfix {
	struct netrig *r;
	uint8_t in[RIG_FRAME], out[RIG_FRAME];
};

int netfix_setup(void **state);
int netfix_teardown(void **state);
#define netfix_test(fn) cmocka_unit_test_setup_teardown(fn, netfix_setup, netfix_teardown)

#define GUEST_ALL (NETF(GUEST_CSUM) | NETF(GUEST_TSO4) | NETF(GUEST_TSO6) | NETF(GUEST_ECN))
#define HOST_ALL  (NETF(CSUM) | NETF(HOST_TSO4) | NETF(HOST_TSO6) | NETF(HOST_ECN))
#define CTRL_ALL  (NETF(CTRL_VQ) | NETF(CTRL_RX) | NETF(CTRL_MAC_ADDR) | NETF(CTRL_GUEST_OFFLOADS))

/** netfix_kinds() - a device of one pair, and fn for each kind of ring: the second is what a driver
 * that comes after the first finds. */
void netfix_kinds(struct netfix *f, void (*fn)(struct netfix *f));
/** netfix_post() - n receive buffers of a size. */
void netfix_post(struct netfix *f, unsigned int q, unsigned int n, unsigned int size);
/** netfix_receive() - a packet through the tap into buffers of that size, and what must come of it.
 */
void netfix_receive(struct netfix *f, unsigned int pair, unsigned int len, unsigned int size);
/** netfix_drops() - packets of a queue dropped for a reason. */
uint64_t netfix_drops(struct netfix *f, unsigned int q, enum net_drop why);

#endif
