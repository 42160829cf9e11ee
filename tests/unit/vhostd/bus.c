// SPDX-License-Identifier: BSD-3-Clause
/* Memory that goes while it is used, and what else is a SIGBUS. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "virtio/vhostd/peers.h"
#include "virtio/vhostd/port.h"

#define PAGE 4096
#define LEN  (16 * PAGE)

static volatile uint8_t *map_file(int flags, int *fd)
{
	void *p;

	*fd = memfd_create("memory", 0);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, LEN), 0);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags, *fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static bool readable(const struct bus *b)
{
	struct pollfd p = { .fd = bus_fd(b), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void cut_short(void **st)
{
	struct bus *b = NULL;
	volatile uint8_t *p;
	int fd;

	assert_int_equal(bus_new(&b, NULL), 0);
	p = map_file(MAP_SHARED, &fd);
	p[0] = p[LEN - 1] = 7;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(p[0], 7);
	assert_null(bus_take(b));
	/* All of it is another memory now, what the file still has included. */
	assert_int_equal(p[LEN - 1], 0);
	assert_int_equal(p[0], 0);
	p[2 * PAGE] = 9;
	assert_int_equal(p[2 * PAGE], 9);
	assert_true(readable(b));
	assert_ptr_equal(bus_take(b), p + LEN - 1);
	assert_null(bus_take(b));
	assert_false(readable(b));
	assert_int_equal(munmap((void *)p, LEN), 0);
	close(fd);
	bus_free(b);
}

/* More at once than there is room for: all are mended, and no place is lost. */
static void many(void **st)
{
	struct bus *b = NULL;
	unsigned int told = 0;

	assert_int_equal(bus_new(&b, NULL), 0);
	for (unsigned int i = 0; i < 200; i++) {
		int fd;
		volatile uint8_t *p = map_file(MAP_SHARED, &fd);

		assert_int_equal(ftruncate(fd, 0), 0);
		p[i] = 1;
		assert_int_equal(munmap((void *)p, LEN), 0);
		close(fd);
	}
	while (bus_take(b))
		told++;
	assert_in_range(told, 1, 200);
	bus_free(b);
}

static void forgotten(void **st)
{
	struct bus *b = NULL;
	struct peers ps;
	volatile uint8_t *p;
	int fd;

	assert_int_equal(bus_new(&b, NULL), 0);
	peers_init(&ps);
	assert_true(peers_add(&ps, 3));
	p = map_file(MAP_SHARED, &fd);
	peers_mem_add(&ps, 3, (void *)p, LEN);
	assert_true(peers_have(&ps, (uint8_t *)p + LEN - 1));
	assert_false(peers_have(&ps, (uint8_t *)p + LEN));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(p[PAGE], 0);
	bus_forget(b, (uint8_t *)p - PAGE, PAGE);
	bus_forget(b, (uint8_t *)p + 2 * PAGE, LEN);
	assert_true(readable(b));
	peers_del(&ps, 3);
	assert_false(peers_have(&ps, (uint8_t *)p));
	assert_null(bus_take(b));
	peers_fini(&ps);
	assert_int_equal(munmap((void *)p, LEN), 0);
	close(fd);
	bus_free(b);
}

static void some_peers(void **st)
{
	struct peers ps;
	int vid;

	peers_init(&ps);
	for (vid = 10; peers_add(&ps, vid); vid++)
		for (uintptr_t i = 0; i < PEER_REGION_MAX + 2; i++)
			peers_mem_add(&ps, vid, (void *)((uintptr_t)vid << 20 | i << 12), PAGE);
	assert_int_equal(vid, 10 + PEERS_MAX);
	peers_mem_add(&ps, 99, (void *)(99ul << 20), PAGE);
	assert_false(peers_have(&ps, (void *)(99ul << 20)));
	peers_mem_clear(&ps, 11);
	assert_false(peers_have(&ps, (void *)(11ul << 20)));
	assert_true(peers_have(&ps, (void *)(12ul << 20)));
	peers_del(&ps, 12);
	assert_true(peers_add(&ps, 14));
	assert_false(peers_add(&ps, 15));
	peers_clear(&ps);
	assert_false(peers_have(&ps, (void *)(10ul << 20)));
	assert_true(peers_add(&ps, 15));
	peers_fini(&ps);
}

/* Unmapped before its last access: as librte_vhost does. */
static void unmapped(void **st)
{
	struct bus *b = NULL;
	volatile uint8_t *p;
	unsigned char there;
	int fd;

	assert_int_equal(bus_new(&b, NULL), 0);
	p = map_file(MAP_SHARED, &fd);
	bus_cover(b, (void *)p, LEN);
	assert_int_equal(munmap((void *)p, LEN), 0);
	p[3 * PAGE] = 5;
	assert_int_equal(p[3 * PAGE], 5);
	assert_int_equal(p[LEN - 1], 0);
	bus_uncover(b, (void *)p);
	assert_int_equal(mincore((void *)(p + 3 * PAGE), PAGE, &there), -1);
	close(fd);
	bus_free(b);
}

/* Runs fn in a process of its own; the signal that ended it, or 0. */
static int ended_by(void (*fn)(void))
{
	const struct rlimit none = { 0, 0 };
	struct bus *b = NULL;
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		if (bus_new(&b, NULL))
			_exit(1);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Such as a page of our own code that cannot be read from its disk. */
static void touch_private(void)
{
	int fd;
	volatile uint8_t *p = map_file(MAP_PRIVATE, &fd);

	if (!ftruncate(fd, 0))
		p[0] = p[PAGE];
}

static void touch_shared(void)
{
	int fd;
	volatile uint8_t *p = map_file(MAP_SHARED, &fd);

	if (!ftruncate(fd, 0))
		p[0] = p[PAGE];
}

static void touch_nothing(void)
{
	int fd;
	volatile uint8_t *p = map_file(MAP_SHARED, &fd);

	bus_cover(glue_bus(), (uint8_t *)p + PAGE, PAGE);
	if (!munmap((void *)p, LEN))
		p[2 * PAGE] = 1;
}

static void send_it(void)
{
	raise(SIGBUS);
}

static void others_are_fatal(void **st)
{
	assert_int_equal(ended_by(touch_private), SIGBUS);
	assert_int_equal(ended_by(touch_nothing), SIGSEGV);
	assert_int_equal(ended_by(send_it), SIGBUS);
	assert_int_equal(ended_by(touch_shared), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_short), cmocka_unit_test(many),
		cmocka_unit_test(forgotten), cmocka_unit_test(some_peers),
		cmocka_unit_test(unmapped),  cmocka_unit_test(others_are_fatal),
	};

	return cmocka_run_group_tests_name("vhostd-bus", tests, NULL, NULL);
}
