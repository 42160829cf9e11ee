/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_FAKESYS_H
#define TESTS_FAKESYS_H

#include "base/sys.h"

/*
 * A kernel for unit tests: a tree of files in memory, fds, eventfds, memfds, mappings, and hooks
 * where a test plays the kernel's part. It can make the n-th call fail and knows what was left
 * open.
 */
struct fakesys;

/** fakesys_new() - nothing exists yet. Aborts when memory is out, as all of this file does. */
struct fakesys *fakesys_new(void);
void fakesys_free(struct fakesys *f);
struct sys *fakesys_sys(struct fakesys *f);

/** fakesys_file() - create or replace a file; parents come with it. Writes through the door replace
 * the content (at offset 0, like sysfs), unless fakesys_on_write() says otherwise. */
void fakesys_file(struct fakesys *f, const char *path, const char *content);
void fakesys_link(struct fakesys *f, const char *path, const char *target);
void fakesys_dir(struct fakesys *f, const char *path);
/** fakesys_del() - remove a path and all below it. */
void fakesys_del(struct fakesys *f, const char *path);
/** fakesys_get() - content of a file, NULL when absent; a link's target for a link. */
const char *fakesys_get(struct fakesys *f, const char *path);

/** fakesys_on_write() - called for each write to path; text has no newline. 0: content is replaced;
 * 1: handled, content left alone; -errno: the write fails. */
void fakesys_on_write(struct fakesys *f, const char *path,
		      int (*fn)(void *arg, const char *path, const char *text), void *arg);

/** fakesys_on_ioctl() - called for each ioctl on an fd opened from path (longest prefix wins). */
void fakesys_on_ioctl(struct fakesys *f, const char *prefix,
		      int (*fn)(void *arg, int fd, const char *path, unsigned long req, void *data),
		      void *arg);

/** fakesys_on_socket() - plays the peer of sockets of a domain: fn gets each message sent and fills
 * the answer for the next recvmsg; returns its length. */
void fakesys_on_socket(struct fakesys *f, int domain,
		       ssize_t (*fn)(void *arg, const void *msg, size_t len, void *answer,
				     size_t size),
		       void *arg);

/** fakesys_new_fd() - an fd as an ioctl handler would hand out (VFIO_GROUP_GET_DEVICE_FD); path
 * names it for on_ioctl. */
int fakesys_new_fd(struct fakesys *f, const char *path);
const char *fakesys_fd_path(struct fakesys *f, int fd);

/** fakesys_lock() - somebody else holds an exclusive flock() on the file, or no longer. Locks of
 * our own are not kept. */
void fakesys_lock(struct fakesys *f, const char *path, bool locked);

/** fakesys_fail_nth() - call number n from now (1 = the next) fails with code (negative); 0: none
 * fails. close, munmap, unlink, now_ns and sleep_ns never fail and do not count. fakesys_calls():
 * countable calls since. */
void fakesys_fail_nth(struct fakesys *f, unsigned int n, int code);
unsigned int fakesys_calls(const struct fakesys *f);
bool fakesys_failed(const struct fakesys *f); /* did the planned failure happen? */

/** fakesys_open_fds() / fakesys_maps() - what has not been closed / unmapped. */
unsigned int fakesys_open_fds(const struct fakesys *f);
unsigned int fakesys_maps(const struct fakesys *f);

/** fakesys_dump() - all paths and contents in order, malloc'd: to compare the state before and
 * after. */
char *fakesys_dump(struct fakesys *f);

/** fakesys_set_rlimit() - what getrlimit answers for RLIMIT_MEMLOCK (default: unlimited). */
void fakesys_set_memlock(struct fakesys *f, uint64_t bytes);

#endif
