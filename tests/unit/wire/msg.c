// SPDX-License-Identifier: BSD-3-Clause
/* The vhost-user codec over a socketpair: every message in both directions, well and ill formed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sys/eventfd.h>
#include "base/usock.h"
#include "tests/unit/fake/openfds.h"
#include "virtio/wire/msg.h"

#define HDR sizeof(struct vu_hdr)

/* A well-formed message, written down apart from the codec's own table. */
struct sample {
	uint32_t req;
	uint32_t size[2], fds[2]; /* [VU_TO_BACK], [VU_TO_FRONT] */
	bool size_varies[2];
};

static const struct sample samples[] = {
	{ VU_GET_FEATURES, { 0, 8 }, { 0 }, { 0 } },
	{ VU_SET_FEATURES, { 8, 8 }, { 0 }, { 0 } },
	{ VU_SET_OWNER, { 0, 8 }, { 0 }, { 0 } },
	{ VU_RESET_OWNER, { 0, 8 }, { 0 }, { 0 } },
	{ VU_SET_MEM_TABLE, { 8 + 2 * 32, 8 }, { 2, 0 }, { 0 } },
	{ VU_SET_LOG_BASE, { 16, 0 }, { 1, 0 }, { true, true } },
	{ VU_SET_LOG_FD, { 0, 8 }, { 1, 0 }, { true, false } },
	{ VU_SET_VRING_NUM, { 8, 8 }, { 0 }, { 0 } },
	{ VU_SET_VRING_ADDR, { 40, 8 }, { 0 }, { 0 } },
	{ VU_SET_VRING_BASE, { 8, 8 }, { 0 }, { 0 } },
	{ VU_GET_VRING_BASE, { 8, 8 }, { 0 }, { 0 } },
	{ VU_SET_VRING_KICK, { 8, 8 }, { 1, 0 }, { 0 } },
	{ VU_SET_VRING_CALL, { 8, 8 }, { 1, 0 }, { 0 } },
	{ VU_SET_VRING_ERR, { 8, 8 }, { 1, 0 }, { 0 } },
	{ VU_GET_PROTOCOL_FEATURES, { 0, 8 }, { 0 }, { 0 } },
	{ VU_SET_PROTOCOL_FEATURES, { 8, 8 }, { 0 }, { 0 } },
	{ VU_GET_QUEUE_NUM, { 0, 8 }, { 0 }, { 0 } },
	{ VU_SET_VRING_ENABLE, { 8, 8 }, { 0 }, { 0 } },
	{ VU_NET_SET_MTU, { 8, 8 }, { 0 }, { 0 } },
	{ VU_GET_CONFIG, { 12 + 60, 12 + 60 }, { 0 }, { 0 } },
	{ VU_SET_CONFIG, { 12 + 60, 8 }, { 0 }, { 0 } },
	{ VU_GET_INFLIGHT_FD, { 24, 24 }, { 0, 1 }, { true, true } },
	{ VU_SET_INFLIGHT_FD, { 24, 8 }, { 1, 0 }, { true, false } },
	{ VU_RESET_DEVICE, { 0, 8 }, { 0 }, { 0 } },
	{ VU_GET_MAX_MEM_SLOTS, { 0, 8 }, { 0 }, { 0 } },
	{ VU_ADD_MEM_REG, { 40, 8 }, { 1, 0 }, { 0 } },
	{ VU_REM_MEM_REG, { 40, 8 }, { 0 }, { 0 } },
	{ VU_SET_STATUS, { 8, 8 }, { 0 }, { 0 } },
	{ VU_GET_STATUS, { 0, 8 }, { 0 }, { 0 } },
};

struct pair {
	struct vu_sock k;
	int peer, spare; /* spare: a descriptor to send */
	unsigned int fds;
};

static void pair_open(struct pair *p)
{
	int fd[2];

	p->fds = openfds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	p->spare = eventfd(0, EFD_CLOEXEC);
	assert_true(p->spare >= 0);
	p->peer = fd[1];
	vu_sock_init(&p->k, sys_host(), fd[0]);
}

/* All that was received must be gone again. */
static void pair_close(struct pair *p)
{
	vu_sock_close(&p->k);
	vu_sock_close(&p->k);
	close(p->peer);
	close(p->spare);
	assert_int_equal(openfds(), p->fds);
}

static struct vu_msg good(const struct sample *s, enum vu_dir dir)
{
	struct vu_msg m = { .h = { s->req, VU_VERSION, s->size[dir] }, .nfds = s->fds[dir] };

	if (dir == VU_TO_FRONT)
		m.h.flags |= VU_REPLY;
	if (s->req == VU_SET_MEM_TABLE)
		m.u.mem.n = 2;
	if (s->req == VU_GET_CONFIG || s->req == VU_SET_CONFIG)
		m.u.cfg.size = 60;
	return m;
}

static void send_raw(struct pair *p, const struct vu_msg *m, size_t from, size_t to)
{
	uint8_t buf[HDR + sizeof(m->u) + 1000] = { 0 };
	union {
		char buf[CMSG_SPACE(200 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	int fd[200];
	struct iovec v = { buf + from, to - from };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };

	memcpy(buf, &m->h, HDR);
	memcpy(buf + HDR, &m->u, sizeof(m->u));
	for (unsigned int i = 0; i < m->nfds; i++)
		fd[i] = p->spare;
	usock_fds(&h, ctl.buf, fd, from ? 0 : m->nfds);
	assert_int_equal(sendmsg(p->peer, &h, 0), to - from);
}

/* What comes of a message that is there as a whole. */
static int judge(const struct vu_msg *m, enum vu_dir dir, char text[static 1000])
{
	struct err e = { 0 };
	struct vu_msg in;
	struct pair p;
	int rc;

	pair_open(&p);
	send_raw(&p, m, 0, HDR + m->h.size);
	rc = vu_sock_recv(&p.k, dir, &in, &e);
	if (rc == 1) {
		assert_memory_equal(&in.h, &m->h, HDR);
		assert_memory_equal(&in.u, &m->u, m->h.size);
		assert_int_equal(in.nfds, m->nfds);
		for (unsigned int i = 0; i < in.nfds; i++)
			assert_true(fcntl(in.fd[i], F_GETFD) & FD_CLOEXEC);
		vu_msg_drop(sys_host(), &in);
	} else {
		assert_int_equal(rc, -EPROTO);
		assert_true(e.text[0]);
	}
	memcpy(text, e.text, 1000);
	pair_close(&p);
	return rc;
}

static void test_good(void **state)
{
	char text[1000];

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++) {
			struct vu_msg m = good(&samples[i], d);

			if (judge(&m, d, text) != 1)
				fail_msg("%s to %d: %s", vu_req_name(m.h.req), d, text);
			assert_string_not_equal(vu_req_name(m.h.req), "?");
		}
}

static void test_direction(void **state)
{
	char text[1000];

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++) {
			struct vu_msg m = good(&samples[i], d);

			assert_int_equal(
				judge(&m, d == VU_TO_BACK ? VU_TO_FRONT : VU_TO_BACK, text),
				-EPROTO);
			m.h.flags ^= 3; /* another version */
			assert_int_equal(judge(&m, d, text), -EPROTO);
		}
}

static void test_sizes(void **state)
{
	static const int delta[] = { -60, -32, -8, -1, 1, 8, 32, 60, 240 };
	char text[1000];

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++)
			for (size_t k = 0; k < ARRAY_SIZE(delta); k++) {
				struct vu_msg m = good(&samples[i], d);
				bool empty_config;

				if (samples[i].size_varies[d] || (int)m.h.size + delta[k] < 0)
					continue;
				m.h.size = (uint32_t)((int)m.h.size + delta[k]);
				empty_config = m.h.req == VU_GET_CONFIG && !m.h.size;
				if (judge(&m, d, text) != -EPROTO && !empty_config)
					fail_msg("%s to %d with %u bytes", vu_req_name(m.h.req), d,
						 m.h.size);
			}
}

static void test_size_range(void **state)
{
	struct vu_msg m = good(&samples[0], VU_TO_FRONT);
	char text[1000];

	m.h.req = VU_GET_INFLIGHT_FD;
	for (uint32_t n = 0; n < 40; n++) {
		m.h.size = n;
		assert_int_equal(judge(&m, VU_TO_FRONT, text), n < 20 || n > 24 ? -EPROTO : 1);
	}
	/* "cannot" of a backend */
	m.h.req = VU_GET_CONFIG;
	m.h.size = 0;
	assert_int_equal(judge(&m, VU_TO_FRONT, text), 1);
}

/* Sizes that are not there at all, up to the largest number: nothing is read for them. */
static void test_oversize(void **state)
{
	static const uint32_t size[] = { 513,	    4096, 0x7fffffff, 0x80000000, UINT32_MAX - 11,
					 UINT32_MAX };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++)
			for (size_t k = 0; k < ARRAY_SIZE(size); k++) {
				struct vu_msg m = good(&samples[i], d), in;
				struct pair p;

				pair_open(&p);
				m.h.size = size[k];
				send_raw(&p, &m, 0, HDR);
				assert_int_equal(vu_sock_recv(&p.k, d, &in, &e), -EPROTO);
				pair_close(&p);
			}
}

static void test_fd_counts(void **state)
{
	static const unsigned int count[] = { 0, 1, 2, 3, 9, VU_FDS_MAX, VU_FDS_MAX + 1, 200 };
	char text[1000];

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++)
			for (size_t k = 0; k < ARRAY_SIZE(count); k++) {
				struct vu_msg m = good(&samples[i], d);
				uint32_t req = m.h.req;
				bool may_less = req == VU_SET_LOG_BASE || req == VU_SET_LOG_FD ||
						req == VU_REM_MEM_REG ||
						(req == VU_GET_INFLIGHT_FD && d == VU_TO_FRONT);

				m.nfds = count[k];
				if (m.nfds == samples[i].fds[d] || (may_less && m.nfds <= 1))
					continue;
				if (judge(&m, d, text) != -EPROTO)
					fail_msg("%s to %d with %u fds", vu_req_name(req), d,
						 m.nfds);
			}
}

static void test_content(void **state)
{
	struct vu_msg m = good(&samples[4], VU_TO_BACK);
	char text[1000];

	assert_int_equal(m.h.req, VU_SET_MEM_TABLE);
	for (uint32_t n = 0; n < 12; n++) {
		m.u.mem.n = n;
		assert_int_equal(judge(&m, VU_TO_BACK, text), n == 2 ? 1 : -EPROTO);
	}
	m.u.mem.n = 9;
	m.h.size = 8 + 9 * 32;
	m.nfds = 9;
	assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);
	m.u.mem.n = UINT32_MAX;
	assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);

	m = (struct vu_msg){ .h = { VU_SET_VRING_CALL, VU_VERSION, 8 }, .u.u64 = 0x103 };
	assert_int_equal(judge(&m, VU_TO_BACK, text), 1);
	m.nfds = 1;
	assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);

	m = (struct vu_msg){ .h = { VU_GET_CONFIG, VU_VERSION, 12 + 256 }, .u.cfg.size = 256 };
	assert_int_equal(judge(&m, VU_TO_BACK, text), 1);
	m.u.cfg.size = 257;
	assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);
	m.u.cfg.size = UINT32_MAX;
	assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);
}

static void test_unknown(void **state)
{
	char text[1000];

	for (uint32_t req = 0; req < 300; req++) {
		struct vu_msg m = { .h = { req, VU_VERSION, 0 } };
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
			known |= samples[i].req == req;
		if (known)
			continue;
		assert_string_equal(vu_req_name(req), "?");
		assert_false(vu_req_replies(req));
		assert_int_equal(judge(&m, VU_TO_BACK, text), -EPROTO);
		m.h.flags |= VU_REPLY;
		assert_int_equal(judge(&m, VU_TO_FRONT, text), -EPROTO);
	}
}

/* Byte by byte, the descriptors with the first; then the next message with none of them. */
static void test_split(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++) {
			struct vu_msg m = good(&samples[i], d), in;
			struct err e = { 0 };
			struct pair p;

			pair_open(&p);
			for (size_t at = 0; at < HDR + m.h.size; at++) {
				assert_int_equal(vu_sock_recv(&p.k, d, &in, &e), 0);
				send_raw(&p, &m, at, at + 1);
			}
			send_raw(&p, &m, 0, HDR + m.h.size);
			for (int n = 0; n < 2; n++) {
				assert_int_equal(vu_sock_recv(&p.k, d, &in, &e), 1);
				assert_int_equal(in.nfds, m.nfds);
				assert_memory_equal(&in.u, &m.u, m.h.size);
				vu_msg_drop(sys_host(), &in);
			}
			assert_int_equal(vu_sock_recv(&p.k, d, &in, &e), 0);
			pair_close(&p);
		}
}

/* The peer goes after each byte; or we close with half a message in our hands. */
static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (enum vu_dir d = VU_TO_BACK; d <= VU_TO_FRONT; d++) {
			struct vu_msg m = good(&samples[i], d), in;

			for (size_t at = 0; at < HDR + m.h.size; at++) {
				struct err e = { 0 };
				struct pair p;

				pair_open(&p);
				if (at)
					send_raw(&p, &m, 0, at);
				assert_int_equal(vu_sock_recv(&p.k, d, &in, &e), 0);
				if (at & 1) {
					shutdown(p.peer, SHUT_WR);
					assert_int_equal(vu_sock_recv(&p.k, d, &in, &e),
							 -ECONNRESET);
				}
				pair_close(&p);
			}
		}
}

static void test_send(void **state)
{
	struct vu_msg m = { .h = { VU_SET_VRING_NUM, VU_VERSION, 8 }, .u.vring = { 1, 256 } }, in;
	struct err e = { 0 };
	unsigned int sent = 0, seen = 0;
	struct vu_sock peer;
	struct pair p;
	int rc;

	pair_open(&p);
	vu_sock_init(&peer, sys_host(), dup(p.peer));
	while (!(rc = vu_sock_send(&p.k, &m)))
		m.u.vring.num = ++sent;
	assert_int_equal(rc, -ENOBUFS);
	assert_true(sent > 100);
	assert_int_equal(vu_sock_flush(&p.k), 0);
	m.u.vring.num = sent;
	m = (struct vu_msg){ .h = { VU_SET_VRING_CALL, VU_VERSION, 8 },
			     .fd = { p.spare },
			     .nfds = 1 };
	assert_int_equal(vu_sock_send(&p.k, &m), -ENOBUFS);
	while (seen < sent) {
		rc = vu_sock_recv(&peer, VU_TO_BACK, &in, &e);
		if (!rc) {
			assert_true(vu_sock_flush(&p.k) >= 0);
			continue;
		}
		assert_int_equal(rc, 1);
		assert_int_equal(in.u.vring.num, seen ? seen : 256);
		seen++;
	}
	assert_int_equal(vu_sock_flush(&p.k), 1);
	assert_int_equal(vu_sock_send(&p.k, &m), 0);
	assert_int_equal(vu_sock_recv(&peer, VU_TO_BACK, &in, &e), 1);
	assert_int_equal(in.nfds, 1);
	vu_msg_drop(sys_host(), &in);
	vu_sock_close(&peer);
	close(p.peer);
	assert_int_equal(vu_sock_send(&p.k, &m), -EPIPE);
	vu_sock_close(&p.k);
	assert_int_equal(vu_sock_send(&p.k, &m), -ECONNRESET);
	p.peer = dup(p.spare);
	pair_close(&p);
}

static void test_paths(void **state)
{
	char dir[] = "/tmp/sluice-wire.XXXXXX", path[100], other[100];
	unsigned int fds = openfds();
	struct err e = { 0 };
	int l, c, a;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(other, sizeof(other), "%s/f", dir);
	assert_int_equal(vu_connect(sys_host(), path, &e), -ENOENT);
	err_clear(&e);
	l = vu_listen(sys_host(), path, &e);
	assert_true(l >= 0);
	assert_int_equal(e.text[0], 0);
	assert_int_equal(vu_listen(sys_host(), path, &e), -EADDRINUSE);
	c = vu_connect(sys_host(), path, &e);
	assert_true(c >= 0);
	close(accept(l, NULL, NULL)); /* the probe of the second listener */
	a = accept(l, NULL, NULL);
	assert_int_equal(vu_peer_check(sys_host(), c, &e), 0);
	assert_int_equal(vu_peer_check(sys_host(), a, &e), 0);
	close(a);
	close(c);
	close(l);
	/* its owner is gone: it is replaced; and an open folder is told of */
	assert_int_equal(vu_connect(sys_host(), path, &e), -ECONNREFUSED);
	assert_int_equal(chmod(dir, 0777), 0);
	err_clear(&e);
	l = vu_listen(sys_host(), path, &e);
	assert_true(l >= 0);
	assert_non_null(strstr(e.text, "others may write"));
	close(l);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(vu_listen(sys_host(), other, &e), -EADDRINUSE);
	unlink(other);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(openfds(), fds);
}

static void test_long_path(void **state)
{
	struct err e = { 0 };
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(vu_listen(sys_host(), path, &e), -ENAMETOOLONG);
	assert_int_equal(vu_connect(sys_host(), path, &e), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	  cmocka_unit_test(test_direction),
		cmocka_unit_test(test_sizes),	  cmocka_unit_test(test_size_range),
		cmocka_unit_test(test_oversize),  cmocka_unit_test(test_fd_counts),
		cmocka_unit_test(test_content),	  cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_split),	  cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_send),	  cmocka_unit_test(test_paths),
		cmocka_unit_test(test_long_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
