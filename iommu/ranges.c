// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "iommu/ranges.h"

void ioas_ranges_free(struct ioas_ranges *r)
{
	free(r->v);
	*r = (struct ioas_ranges){ 0 };
}

static int grow(struct ioas_ranges *r)
{
	struct ioas_range *v = realloc(r->v, (r->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	r->v = v;
	return 0;
}

static void remove_at(struct ioas_ranges *r, unsigned int i)
{
	memmove(&r->v[i], &r->v[i + 1], (r->n - i - 1) * sizeof(r->v[0]));
	r->n--;
}

static void insert_at(struct ioas_ranges *r, unsigned int i, struct ioas_range x)
{
	memmove(&r->v[i + 1], &r->v[i], (r->n - i) * sizeof(r->v[0]));
	r->v[i] = x;
	r->n++;
}

/* Does a end right before b starts, or later? Written so that UINT64_MAX does not wrap. */
static bool reaches(uint64_t a_end, uint64_t b_start)
{
	return a_end >= b_start || a_end + 1 == b_start;
}

int ioas_ranges_add(struct ioas_ranges *r, uint64_t start, uint64_t end)
{
	unsigned int i = 0;

	BUG_ON(start > end);
	if (grow(r))
		return -ENOMEM;
	while (i < r->n && !reaches(r->v[i].end, start))
		i++;
	while (i < r->n && reaches(end, r->v[i].start)) {
		start = MIN(start, r->v[i].start);
		end = MAX(end, r->v[i].end);
		remove_at(r, i);
	}
	insert_at(r, i, (struct ioas_range){ start, end });
	return 0;
}

int ioas_ranges_sub(struct ioas_ranges *r, uint64_t start, uint64_t end)
{
	BUG_ON(start > end);
	if (grow(r))
		return -ENOMEM;
	for (unsigned int i = 0; i < r->n;) {
		struct ioas_range x = r->v[i];

		if (x.end < start || x.start > end) {
			i++;
			continue;
		}
		remove_at(r, i);
		if (x.start < start)
			insert_at(r, i++, (struct ioas_range){ x.start, start - 1 });
		/* Only a hole inside x leaves two pieces, and then no other range is hit: one
		 * grow() is enough. */
		if (x.end > end)
			insert_at(r, i++, (struct ioas_range){ end + 1, x.end });
	}
	return 0;
}
