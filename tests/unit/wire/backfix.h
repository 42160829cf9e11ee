/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_BACKFIX_H
#define TESTS_BACKFIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/fake/hostsys.h"
#include "tests/unit/fake/openfds.h"
#include "virtio/ring/vqd.h"
#include "virtio/wire/back.h"

#define FIX_QUEUES  4
#define FIX_SLOTS   6
#define FIX_GPA	    0x100000ull
#define FIX_UVA	    0x7f0000000000ull
#define FIX_PAYLOAD 512u /* sent of a message at most */
#define FIX_MEM	    0x200000ull
#define FIX_QSIZE   16
/* Features the device of the fixture has. */
#define FIX_FEATURES (1ull << 32 | 1ull << 34 | 1ull << 28 | 1ull << 29)

/* How far a front end got. */
enum fix_level { FIX_CONNECTED, FIX_OWNED, FIX_FEATURED, FIX_MEMORY, FIX_RUNNING, FIX_LEVELS };

/* A back end on a real socket, its device, and the other side, one thread plays all. */
struct fix {
	struct hostsys hs;
	struct ev *ev;
	struct vu_back *b;
	char dir[64], path[80];
	unsigned int fds; /* open before anything */

	/* the device */
	const struct vu_back_ops *ops;
	struct vq vq[FIX_QUEUES];
	struct vu_back_queue q[FIX_QUEUES];
	bool running[FIX_QUEUES];
	unsigned int starts, stops, calls_changed;
	int start_fails;
	int maps;
	uint8_t config[64];
	bool connected;

	/* the front end */
	int fd;
	int memfd;
	uint8_t *mem;
	struct vqd *vqd[FIX_QUEUES];
	int kick[FIX_QUEUES], call[FIX_QUEUES];
	uint64_t features, protocol;
};

void fix_init(struct fix *f, bool client);
void fix_fini(struct fix *f); /* checks that nothing leaked */

/* The front end: each asserts that the socket takes it. */
void fix_connect(struct fix *f);
void fix_hangup(struct fix *f);
void fix_send(struct fix *f, uint32_t req, uint32_t flags, const void *data, uint32_t size,
	      const int *fd, unsigned int nfds);
/* Let the back end work; true: it hung up. */
bool fix_turn(struct fix *f);
/* The next answer; false: none, or hung up. */
bool fix_answer(struct fix *f, struct vu_msg *m);
uint64_t fix_ask(struct fix *f, uint32_t req);
void fix_u64(struct fix *f, uint32_t req, uint64_t v);
void fix_vring(struct fix *f, uint32_t req, uint32_t q, uint32_t num);
void fix_fd(struct fix *f, uint32_t req, uint32_t q, int fd);

/* One step of a set-up; each level is made of steps 0... ; false: no such step. */
bool fix_step(struct fix *f, unsigned int step);
/* All steps up to a level. */
void fix_reach(struct fix *f, enum fix_level level);
unsigned int fix_steps(enum fix_level level);
struct vu_region fix_region(void);
struct vu_vring_addr fix_addr(struct fix *f, uint32_t q);
struct vu_back_info fix_info(struct fix *f);

/** fix_check_gone() - the front end was dropped and all it gave is gone: descriptors are fds again.
 */
void fix_check_gone(struct fix *f, unsigned int fds, const char *what);
/** fix_check_next() - another one gets through. */
void fix_check_next(struct fix *f);

#endif
