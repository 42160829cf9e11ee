// SPDX-License-Identifier: BSD-3-Clause
/*
 * A peer's bytes, read by the codec in either direction. The first byte chooses the direction and
 * how many descriptors come with each piece; the rest is the stream, sent in pieces.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/usock.h"
#include "virtio/wire/msg.h"

static void send_piece(int fd, const uint8_t *p, size_t n, unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec v = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	int fds[64];

	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = fd;
	usock_fds(&m, ctl.buf, fds, nfds);
	BUG_ON(sendmsg(fd, &m, MSG_NOSIGNAL) < 0 && errno != EAGAIN);
}

/* As many messages as came; what is told of them must hold. */
static int read_all(struct vu_sock *k, enum vu_dir dir)
{
	struct err e = { 0 };
	struct vu_msg m;
	int rc;

	while ((rc = vu_sock_recv(k, dir, &m, &e)) == 1) {
		BUG_ON(m.h.size > sizeof(m.u) || m.nfds > VU_FDS_MAX);
		BUG_ON(vu_msg_check(&m, dir, &e));
		vu_msg_drop(k->sys, &m);
	}
	BUG_ON(rc && !e.text[0]);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int nfds = size ? data[0] >> 2 : 0;
	enum vu_dir dir = size && data[0] & 1 ? VU_TO_FRONT : VU_TO_BACK;
	size_t step = size && data[0] & 2 ? 5 : 4096;
	int fd[2], before = dup(0), after;
	struct vu_sock k;

	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd));
	vu_sock_init(&k, sys_host(), fd[0]);
	for (size_t at = 1; at < size; at += step) {
		send_piece(fd[1], data + at, MIN(step, size - at), at == 1 || step == 5 ? nfds : 0);
		if (read_all(&k, dir))
			break;
	}
	vu_sock_close(&k);
	close(fd[1]);
	close(before);
	/* The lowest free descriptor is the same as before: nothing was left open. */
	after = dup(0);
	BUG_ON(after != before);
	close(after);
	return 0;
}
