// SPDX-License-Identifier: BSD-3-Clause
/* Which side runs when. */
#include "bench/bench.h"

unsigned int bench_sides(const struct bench_cfg *c, enum bench_topic topic,
			 struct bench_side out[BENCH_SIDES_MAX])
{
	bool device = topic == BENCH_NET || topic == BENCH_DISK;
	unsigned int n = 0, m;

	for (m = 0; m < BENCH_MODES; m++) {
		/* CPU and memory have no device whose mode could differ. */
		if (device ? m == BENCH_M_NONE || !(c->modes & 1u << m) : m != BENCH_M_NONE)
			continue;
		out[n++] = (struct bench_side){ (enum bench_mode)m, BENCH_SLUICE };
		if (c->peer_qemu)
			out[n++] = (struct bench_side){ (enum bench_mode)m, BENCH_QEMU };
	}
	return n;
}

unsigned int bench_order(unsigned int n, unsigned int round, unsigned int k)
{
	return (k + round) % n;
}
