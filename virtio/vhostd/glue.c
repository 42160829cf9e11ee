// SPDX-License-Identifier: BSD-3-Clause
/* What callbacks without an argument need to find their way: the only mutable globals. */
#include <pthread.h>

#include "virtio/vhostd/port.h"

static struct sw *the_sw;
static struct bus *the_bus;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* ports do not go meanwhile */

void glue_locked(void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&lock);
	fn(arg);
	pthread_mutex_unlock(&lock);
}

struct sw *glue_sw(void)
{
	return the_sw;
}

void glue_set_sw(struct sw *sw)
{
	the_sw = sw;
}

struct bus *glue_bus(void)
{
	return the_bus;
}

void glue_set_bus(struct bus *b)
{
	the_bus = b;
}
