/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_BENCH_DRAW_H
#define TESTS_UNIT_BENCH_DRAW_H

#include <math.h>
#include "base/util.h"

/* Samples as machines give them, drawn from a seed. */
enum draw_kind {
	DRAW_NORMAL,
	DRAW_DISTURBED, /* one in ten is hit by something else */
	DRAW_SKEWED,	/* never faster than, often a bit slower */
	DRAW_TWO_HUMPS, /* as when a thread lands on one of two CPUs */
	DRAW_KINDS
};

static inline double draw_uniform(uint64_t *st)
{
	*st ^= *st >> 12;
	*st ^= *st << 25;
	*st ^= *st >> 27;
	return ((double)(*st * 0x2545f4914f6cdd1dull >> 11) + 0.5) / 9007199254740992.0;
}

static inline double draw_normal(uint64_t *st)
{
	double r = sqrt(-2 * log(draw_uniform(st)));

	return r * cos(2 * M_PI * draw_uniform(st));
}

static inline double draw_one(enum draw_kind kind, double noise, uint64_t *st)
{
	double x = noise * draw_normal(st);

	switch (kind) {
	case DRAW_NORMAL:
		return x;
	case DRAW_DISTURBED:
		return draw_uniform(st) < 0.1 ? x - 0.3 * fabs(draw_normal(st)) : x;
	case DRAW_SKEWED:
		return noise * log(draw_uniform(st));
	default:
		return 0.2 * x + (draw_uniform(st) < 0.5 ? -noise : noise);
	}
}

/** draw() - n values around level, which scatter by noise (0.04: 4 %). */
static inline void draw(double *v, unsigned int n, enum draw_kind kind, double noise, double level,
			uint64_t *st)
{
	for (unsigned int i = 0; i < n; i++)
		v[i] = level * exp(draw_one(kind, noise, st));
}

#endif
