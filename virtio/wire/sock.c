// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading and writing messages on a unix socket that never makes us wait.
 *
 * A message is read in two steps, header and payload, each for exactly the bytes that are missing:
 * so no byte of the next message, and no descriptor of it, is ever taken with this one. The header
 * is judged before a byte of the payload is read. Descriptors count from the moment the kernel
 * hands them over: they are in in.fd[], and every way out that is not "a message" closes them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/usock.h"
#include "virtio/wire/msg.h"

#define HDR sizeof(struct vu_hdr)

void vu_msg_drop(struct sys *s, struct vu_msg *m)
{
	for (unsigned int i = 0; i < m->nfds; i++)
		sys_close(s, &m->fd[i]);
	m->nfds = 0;
}

void vu_sock_init(struct vu_sock *k, struct sys *s, int fd)
{
	k->sys = s;
	k->fd = fd;
	k->got = k->out_len = 0;
	memset(&k->in, 0, sizeof(k->in));
}

void vu_sock_close(struct vu_sock *k)
{
	if (k->fd < 0)
		return;
	vu_msg_drop(k->sys, &k->in);
	sys_close(k->sys, &k->fd);
	k->got = k->out_len = 0;
}

/* Takes over the descriptors of one control message; those beyond the room for them are closed. */
static int take_fds(struct vu_sock *k, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (k->in.nfds < VU_FDS_MAX) {
			k->in.fd[k->in.nfds++] = fd;
			continue;
		}
		sys_close(k->sys, &fd);
		rc = -EPROTO;
	}
	return rc;
}

/* Up to len bytes into buf, with what descriptors come along. 0: end of file. */
static ssize_t recv_some(struct vu_sock *k, void *buf, size_t len, struct err *e)
{
	union {
		char buf[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec v = { buf, len };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = ctl.buf,
			    .msg_controllen = sizeof(ctl.buf) };
	ssize_t n = sys_recvmsg(k->sys, k->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int rc = 0;

	if (n < 0)
		return n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && take_fds(k, c))
			rc = -EPROTO;
	if (rc || (m.msg_flags & MSG_CTRUNC))
		return err_set(
			e, -EPROTO,
			"the peer sent more than %d file descriptors at once, or more than this "
			"process may have (ulimit -n)",
			VU_FDS_MAX);
	return n;
}

/* One step: the rest of the header, or of the payload. 1: all of it is there. */
static int recv_step(struct vu_sock *k, enum vu_dir dir, struct err *e)
{
	bool hdr = k->got < HDR;
	size_t have = hdr ? k->got : k->got - HDR, want = hdr ? HDR : k->in.h.size;
	uint8_t *to = hdr ? (uint8_t *)&k->in.h : k->in.u.raw;
	ssize_t n;

	if (have < want) {
		n = recv_some(k, to + have, want - have, e);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return n == -EPROTO ? (int)n : err_sys(e, (int)n, "reading a message");
		if (!n)
			return err_set(e, -ECONNRESET, "the peer hung up");
		k->got += (size_t)n;
		have += (size_t)n;
	}
	if (have < want)
		return 0;
	/* The table's limits are below the size of u: what passes here fits. */
	return hdr && vu_hdr_check(&k->in.h, dir, e) ? -EPROTO : 1;
}

int vu_sock_recv(struct vu_sock *k, enum vu_dir dir, struct vu_msg *m, struct err *e)
{
	int rc = 1;

	if (k->fd < 0)
		return err_set(e, -ECONNRESET, "the peer hung up");
	while (rc == 1 && (k->got < HDR || k->got < HDR + k->in.h.size))
		rc = recv_step(k, dir, e);
	if (rc == 1 && vu_msg_check(&k->in, dir, e))
		rc = -EPROTO;
	if (rc == 1)
		*m = k->in;
	else if (rc)
		vu_msg_drop(k->sys, &k->in);
	if (rc) {
		k->got = 0;
		memset(&k->in, 0, sizeof(k->in));
	}
	return rc;
}

static ssize_t send_some(struct vu_sock *k, const void *buf, size_t len, const int *fd,
			 unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec v = { (void *)(uintptr_t)buf, len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	usock_fds(&m, ctl.buf, fd, nfds);
	return sys_sendmsg(k->sys, k->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int vu_sock_flush(struct vu_sock *k)
{
	while (k->out_len) {
		ssize_t n = send_some(k, k->out, k->out_len, NULL, 0);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		k->out_len -= (size_t)n;
		memmove(k->out, k->out + n, k->out_len);
	}
	return 1;
}

int vu_sock_send(struct vu_sock *k, const struct vu_msg *m)
{
	uint8_t buf[HDR + sizeof(m->u)];
	size_t len = HDR + m->h.size;
	ssize_t n = 0;
	int rc;

	BUG_ON(m->h.size > sizeof(m->u) || m->nfds > VU_FDS_MAX);
	if (k->fd < 0)
		return -ECONNRESET;
	rc = vu_sock_flush(k);
	if (rc < 0)
		return rc;
	memcpy(buf, &m->h, HDR);
	memcpy(buf + HDR, m->u.raw, m->h.size);
	if (rc)
		n = send_some(k, buf, len, m->fd, m->nfds);
	if (n == -EAGAIN)
		n = 0;
	if (n < 0)
		return (int)n;
	/* Descriptors go with the first byte; while that waits they would have to be kept. */
	if (len - (size_t)n > sizeof(k->out) - k->out_len || (!n && m->nfds))
		return -ENOBUFS;
	memcpy(k->out + k->out_len, buf + n, len - (size_t)n);
	k->out_len += len - (size_t)n;
	return 0;
}

int vu_peer_check(struct sys *s, int fd, struct err *e)
{
	return usock_peer(s, fd, e);
}

int vu_listen(struct sys *s, const char *path, struct err *e)
{
	int fd = usock_listen(s, path, 8, e);

	/* A word, not a failure: code stays 0. */
	if (fd >= 0 && e && usock_dir_open(s, path))
		snprintf(e->text, sizeof(e->text),
			 "others may write to the folder of %s; the peer there gets the guest's "
			 "memory, so keep the socket in a folder of mode 0700",
			 path);
	return fd;
}

int vu_connect(struct sys *s, const char *path, struct err *e)
{
	return usock_connect(s, path, e);
}
