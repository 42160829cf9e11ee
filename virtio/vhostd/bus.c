// SPDX-License-Identifier: BSD-3-Clause
/*
 * A front end that cuts its memory file short while we use it.
 *
 * The next access behind the file's end is a SIGBUS, on whatever thread it happens: a poll loop,
 * the control loop, one of librte_vhost's. The handler puts anonymous memory in the place of the
 * whole mapping, so that the access succeeds and reads zeroes; rings of zeroes are a hostile
 * guest's rings, which everybody here can bear. It leaves the address behind and wakes the control
 * loop, which finds out whose memory that was and drops the connection.
 *
 * Which mapping it is, the kernel says (/proc/self/maps): librte_vhost tells of most of its
 * mappings, but not of when it exchanges them, and a table of ours that is out of date would have
 * us replace somebody else's memory. Who touches a mapping keeps it where it is, so what the kernel
 * says stays true until the handler is done. All else is as fatal as before: memory of our own
 * (private, or DPDK's), a signal that was sent.
 *
 * librte_vhost unmaps memory before it knows that it can map what takes its place, and ends the
 * connection only then; a poll loop that comes in between meets a SIGSEGV. Where such memory was
 * known to be, single pages are put, until the connection is over.
 *
 * DPDK catches SIGBUS itself while it takes further huge pages, and jumps to where the thread that
 * does so was, from any thread. So it may not: what it took by the end of set-up has to do.
 */
#include "virtio/vhostd/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_memory.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/vhostd/port.h"

#define HITS 64 /* more at once are mended, but not told */

#define COVERS	2048 /* regions of all ports */
#define PATCHES 256  /* pages put for them at a time */
#define PAGE	4096ul

/* No longer than its memory is known to be some front end's; len is 0 while it is made. */
struct cover {
	_Atomic uintptr_t start;
	_Atomic size_t len;
};

struct bus {
	int fd;
	_Atomic(void *) hit[HITS];
	_Atomic uintptr_t patch[PATCHES];
	struct cover cover[COVERS];
	struct sigaction old, old_segv;
};

/* ---- in the handler: system calls and arithmetic, nothing else ---- */

/* A line of /proc/self/maps, as far as it was read: "start-end rw-s offset device inode path". */
struct line {
	uintptr_t num[2];
	unsigned int field; /* 0, 1: the numbers; 2: permissions; 3: the rest */
	unsigned int at;    /* character of the permissions */
	bool shared;
};

static void line_char(struct line *l, char c)
{
	if (l->field < 2 && (c == '-' || c == ' ')) {
		l->field++;
	} else if (l->field < 2) {
		unsigned int digit =
			c <= '9' ? (unsigned int)(c - '0') : (unsigned int)(c - 'a') + 10;

		l->num[l->field] = l->num[l->field] << 4 | digit;
	} else if (l->field == 2 && c == ' ') {
		l->field++;
	} else if (l->field == 2 && l->at++ == 3) {
		l->shared = c == 's';
	}
}

/* The mapping that p is in. */
static bool find(uintptr_t p, struct line *l)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char buf[1024];
	bool found = false;
	ssize_t n;

	*l = (struct line){ 0 };
	while (fd >= 0 && !found && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n && !found; i++) {
			if (buf[i] != '\n') {
				line_char(l, buf[i]);
				continue;
			}
			found = p >= l->num[0] && p < l->num[1];
			if (!found)
				*l = (struct line){ 0 };
		}
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static bool mend(void *p)
{
	struct line l;

	if (rte_mem_virt2memseg_list(p) || !find((uintptr_t)p, &l) || !l.shared)
		return false;
	return mmap((void *)l.num[0], l.num[1] - l.num[0], PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void tell(struct bus *b, void *p)
{
	static const uint64_t one = 1;

	for (unsigned int i = 0; i < HITS; i++) {
		void *none = NULL;

		if (atomic_compare_exchange_strong(&b->hit[i], &none, p))
			break;
	}
	/* A full counter has woken the loop already. */
	if (write(b->fd, &one, sizeof(one)) < 0)
		return;
}

static bool covered(struct bus *b, uintptr_t p)
{
	for (unsigned int i = 0; i < COVERS; i++)
		if (p - atomic_load(&b->cover[i].start) < atomic_load(&b->cover[i].len))
			return true;
	return false;
}

/* A page where there is none. Somebody else's page would be left alone. */
static bool patch(struct bus *b, void *p)
{
	uintptr_t at = ALIGN_DOWN((uintptr_t)p, PAGE), none = 0;
	void *page;
	unsigned int i;

	if (!covered(b, at))
		return false;
	for (i = 0; i < PATCHES; i++, none = 0)
		if (atomic_compare_exchange_strong(&b->patch[i], &none, at))
			break;
	if (i == PATCHES)
		return false;
	page = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == (void *)at)
		return true;
	atomic_store(&b->patch[i], 0);
	/* Two threads may meet the same hole: the second one finds the first one's page. */
	return errno == EEXIST;
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	struct bus *b = glue_bus();
	int saved = errno;

	if (b && si->si_code > 0 &&
	    (sig == SIGBUS ? mend(si->si_addr)
			   : si->si_code == SEGV_MAPERR && patch(b, si->si_addr))) {
		tell(b, si->si_addr);
		errno = saved;
		return;
	}
	/* The access happens again, and this time it ends us. A signal that was sent does so here.
	 */
	signal(sig, SIG_DFL);
	if (si->si_code <= 0)
		raise(sig);
}

/* ---- for the rest of the program ---- */

static int no_more_pages(int socket, size_t limit, size_t new_len)
{
	return -1;
}

void bus_pages_stay(void)
{
	for (unsigned int i = 0; i < rte_socket_count(); i++) {
		int id = rte_socket_id_by_idx(i);

		/* Without huge pages there is no such callback, and no need for one. */
		if (id >= 0 && rte_mem_alloc_validator_register("sluice", no_more_pages, id, 0))
			return;
	}
}

int bus_new(struct bus **out, struct err *e)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->fd < 0) {
		free(b);
		return err_sys(e, -errno, "cannot make an eventfd");
	}
	glue_set_bus(b);
	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, &b->old);
	sigaction(SIGSEGV, &sa, &b->old_segv);
	*out = b;
	return 0;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	sigaction(SIGBUS, &b->old, NULL);
	sigaction(SIGSEGV, &b->old_segv, NULL);
	glue_set_bus(NULL);
	close(b->fd);
	free(b);
}

int bus_fd(const struct bus *b)
{
	return b->fd;
}

void *bus_take(struct bus *b)
{
	uint64_t n;

	for (unsigned int i = 0; i < HITS; i++) {
		void *p = atomic_exchange(&b->hit[i], NULL);

		if (p)
			return p;
	}
	/* Looked at once more after the counter is zero: what comes later counts again. */
	if (read(b->fd, &n, sizeof(n)) == sizeof(n))
		return bus_take(b);
	return NULL;
}

void bus_forget(struct bus *b, const void *p, size_t len)
{
	for (unsigned int i = 0; b && i < HITS; i++) {
		void *hit = atomic_load(&b->hit[i]);

		if (hit && (uintptr_t)hit - (uintptr_t)p < len)
			atomic_compare_exchange_strong(&b->hit[i], &hit, NULL);
	}
}

void bus_cover(struct bus *b, const void *p, size_t len)
{
	for (unsigned int i = 0; b && i < COVERS; i++) {
		uintptr_t none = 0;

		if (!atomic_compare_exchange_strong(&b->cover[i].start, &none, (uintptr_t)p))
			continue;
		atomic_store(&b->cover[i].len, len);
		return;
	}
}

void bus_uncover(struct bus *b, const void *p)
{
	size_t len = 0;

	for (unsigned int i = 0; b && i < COVERS && !len; i++) {
		if (atomic_load(&b->cover[i].start) != (uintptr_t)p)
			continue;
		len = atomic_exchange(&b->cover[i].len, 0);
		atomic_store(&b->cover[i].start, 0);
	}
	for (unsigned int i = 0; b && i < PATCHES; i++) {
		uintptr_t at = atomic_load(&b->patch[i]);

		if (!at || at - (uintptr_t)p >= len ||
		    !atomic_compare_exchange_strong(&b->patch[i], &at, 0))
			continue;
		munmap((void *)at, PAGE);
	}
}
