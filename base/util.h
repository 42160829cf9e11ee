/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __must_check   __attribute__((warn_unused_result))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __unused_arg   __attribute__((unused))

/* Element count of an array; a pointer does not compile. */
#define ARRAY_SIZE(a)                 \
	(sizeof(a) / sizeof((a)[0]) + \
	 0 * sizeof(char[1 -          \
			 2 * __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0]))]))

#ifndef container_of /* DPDK has one too */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif

#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})

/* align is a power of two; ALIGN_UP may wrap: check with ckd_add() first where the value is
 * foreign. */
#define ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align)-1))
#define ALIGN_UP(x, align)   ALIGN_DOWN((x) + ((__typeof__(x))(align)-1), align)
#define IS_ALIGNED(x, align) (((x) & ((__typeof__(x))(align)-1)) == 0)
#define IS_POW2(x)	     ((x) != 0 && ((x) & ((x)-1)) == 0)

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* C23 <stdckdint.h> names: true when the result did not fit. */
#define ckd_add(r, a, b) __builtin_add_overflow(a, b, r)
#define ckd_sub(r, a, b) __builtin_sub_overflow(a, b, r)
#define ckd_mul(r, a, b) __builtin_mul_overflow(a, b, r)

/**
 * range_ok() - does [off, off + len) lie inside [0, size)?
 * Safe for any values: nothing overflows. A len of 0 at off == size is inside.
 */
static inline bool range_ok(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/** ranges_overlap() - do [a, a + alen) and [b, b + blen) share a byte? The ends must not wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && a < b + blen && b < a + alen;
}

/** bug() - print where and abort; never returns. Used by BUG_ON(). */
void bug(const char *file, int line, const char *what) __attribute__((noreturn, cold));

/* Our own mistakes only, never outside data. Compiled in always, so the expression may not be
 * dropped. */
#define BUG_ON(x)                                    \
	do {                                         \
		if (__builtin_expect(!!(x), 0))      \
			bug(__FILE__, __LINE__, #x); \
	} while (0)

#endif
