/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_USOCK_H
#define BASE_USOCK_H

#include "base/err.h"
#include "base/ev.h"

/*
 * Unix stream sockets at a path, all non-blocking and close-on-exec. Return a descriptor or -errno
 * with e filled.
 */

/** usock_listen() - a new socket file of mode 0600; one whose owner is gone is replaced, one that
 * is in use, or another file, is -EADDRINUSE. */
int usock_listen(struct sys *s, const char *path, int backlog, struct err *e) __must_check;

/** usock_vacate() - what usock_listen() does first, for whoever binds to path by other means. */
int usock_vacate(struct sys *s, const char *path, struct err *e) __must_check;

/**
 * usock_accept() - the next connection that waits at fd, which src watches; -EAGAIN: none
 * One that there are no descriptors or no memory for stays where it is and would wake the loop for
 * ever: src then rests for a while.
 */
int usock_accept(struct sys *s, int fd, struct ev_src *src) __must_check;

/** usock_connect() - -EAGAIN: the listener's backlog is full. */
int usock_connect(struct sys *s, const char *path, struct err *e) __must_check;

/**
 * usock_peer() - may the process at the other end be dealt with?
 * Ourselves and root may; for root also the owner of the folder that holds the peer's socket, which
 * is whom the administrator gave that folder to. -EPERM otherwise.
 */
int usock_peer(struct sys *s, int fd, struct err *e) __must_check;

/**
 * usock_fds() - let m carry n descriptors (SCM_RIGHTS); none: m stays as it is
 * @ctl: CMSG_SPACE(n * sizeof(int)) bytes, aligned as a struct cmsghdr
 */
void usock_fds(struct msghdr *m, void *ctl, const int *fd, unsigned int n);

/** usock_dir_open() - may others write to the folder of path? */
bool usock_dir_open(struct sys *s, const char *path);

#endif
