// SPDX-License-Identifier: BSD-3-Clause
/*
 * A brake, to be put in front of the C library (LD_PRELOAD): each time an I/O thread of a chosen
 * process wakes, it is held up. And a quiet host for all of them, as this is for tests of what is
 * said of a run, not of the host.
 *
 *	DRAG_WORDS	of the command line of the process that is meant, "mode=virtio"
 *	DRAG_US		microseconds for each wake-up
 *	DRAG_LOAD	a file in the place of /proc/loadavg
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static unsigned long hold_us;

__attribute__((constructor)) static void drag_init(void)
{
	const char *words = getenv("DRAG_WORDS"), *us = getenv("DRAG_US");
	static char line[16384];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0 && words && us && memmem(line, (size_t)n, words, strlen(words)))
		hold_us = strtoul(us, NULL, 10);
}

int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
	static int (*real)(int, struct epoll_event *, int, int);
	struct timespec t = { .tv_nsec = (long)hold_us * 1000 };
	char name[16] = "";
	int ret;

	if (!real)
		real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
	ret = real(epfd, events, n, timeout);
	if (hold_us && ret > 0 && !prctl(PR_GET_NAME, name) && !strncmp(name, "io", 2))
		nanosleep(&t, NULL);
	return ret;
}

/* The programs are built with large files, so that this is their open(). */
int open64(const char *path, int flags, ...)
{
	const char *load = getenv("DRAG_LOAD");
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
	va_end(ap);
	return openat(AT_FDCWD, load && !strcmp(path, "/proc/loadavg") ? load : path, flags, mode);
}
