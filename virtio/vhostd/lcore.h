/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_VHOSTD_LCORE_H
#define VIRTIO_VHOSTD_LCORE_H

#include "virtio/vhostd/vhostd_priv.h"

struct lcore_cfg {
	unsigned int index, cpu;
	bool busy; /* never sleep */
};

/** lcore_new() - not running yet: lcore_main() does that, on a thread of the caller's choice. */
int lcore_new(const struct lcore_cfg *c, struct lcore **out, struct err *e) __must_check;
void lcore_free(struct lcore *l);

/** lcore_main() - poll until lcore_stop(); the void * is the lcore. */
int lcore_main(void *l);
void lcore_stop(struct lcore *l);

/** lcore_on_round() - fn(arg) after each round that had work, and before each sleep; before
 * lcore_main(). */
void lcore_on_round(struct lcore *l, void (*fn)(void *arg), void *arg);

struct lcore_count {
	uint64_t rounds, work, cycles_busy, cycles_all, sleeps, naps;
	unsigned int cpu, pollers, cold;
};
void lcore_count(const struct lcore *l, struct lcore_count *out); /* any thread, roughly */

#endif
