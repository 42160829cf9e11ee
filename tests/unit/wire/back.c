// SPDX-License-Identifier: BSD-3-Clause
/* The back end of vhost-user against a front end that does as it should. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/unit/wire/backfix.h"
#include "virtio/ring/inflight.h"

/* Calls since last asked; the back end made the descriptor non-blocking. */
static uint64_t calls(struct fix *f, unsigned int q)
{
	uint64_t n;

	return read(f->call[q], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* One buffer through a running queue, seen by both sides. */
static void one_buffer(struct fix *f, unsigned int q)
{
	uint8_t *data = f->mem + FIX_MEM - 4096;
	struct iovec out = { data, 64 }, got[4];
	struct vq_chain c = { .iov = got, .cap = 4 };
	static int cookie;
	uint32_t len;

	memset(data, 0x5a, 64);
	assert_int_equal(vqd_add(f->vqd[q], &out, 1, 0, &cookie), 0);
	(void)!vqd_publish(f->vqd[q]);
	assert_int_equal(vq_pop(&f->vq[q], &c), 1);
	assert_int_equal(c.out_len, 64);
	/* Another mapping of the same memory. */
	assert_ptr_not_equal(got[0].iov_base, data);
	assert_memory_equal(got[0].iov_base, data, 64);
	vq_push(&f->vq[q], &c, 0);
	(void)!vq_publish(&f->vq[q]);
	assert_ptr_equal(vqd_get(f->vqd[q], &len), &cookie);
}

static uint32_t get_base(struct fix *f, uint32_t q)
{
	struct vu_vring v = { q, 0 };
	struct vu_msg m;

	fix_send(f, VU_GET_VRING_BASE, 0, &v, sizeof(v), NULL, 0);
	assert_true(fix_answer(f, &m));
	assert_int_equal(m.h.req, VU_GET_VRING_BASE);
	assert_int_equal(m.u.vring.index, q);
	return m.u.vring.num;
}

static void life(bool packed)
{
	struct fix f;

	fix_init(&f, false);
	if (packed)
		f.features = FIX_FEATURES;
	fix_reach(&f, FIX_RUNNING);
	assert_true(f.connected && f.running[0] && f.running[1] && !f.running[2]);
	assert_int_equal(fix_info(&f).queues_up, 2);
	assert_int_equal(fix_info(&f).mem_bytes, FIX_MEM);
	for (int i = 0; i < 3; i++)
		one_buffer(&f, 1);
	assert_int_equal(get_base(&f, 1), packed ? 0x80038003 : 3);
	assert_false(f.running[1]);
	assert_true(f.running[0]);
	/* It goes on where it stood, at a new kick. */
	fix_fd(&f, VU_SET_VRING_KICK, 1, f.kick[1]);
	assert_true(f.running[1]);
	one_buffer(&f, 1);
	assert_int_equal(get_base(&f, 1), packed ? 0x80048004 : 4);
	assert_int_equal(get_base(&f, 1), packed ? 0x80048004 : 4);
	assert_int_equal(get_base(&f, 3), 0);
	assert_false(fix_turn(&f));
	fix_hangup(&f);
	assert_false(f.connected || f.running[0]);
	assert_int_equal(fix_info(&f).drops, 0);
	fix_fini(&f);
}

static void test_split(void **state)
{
	life(false);
}

static void test_packed(void **state)
{
	life(true);
}

static void test_answers(void **state)
{
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_FEATURED);
	assert_int_equal(fix_ask(&f, VU_GET_FEATURES), FIX_FEATURES | VU_F_PROTOCOL);
	assert_int_equal(f.protocol, VU_P(VU_P_MQ) | VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_CONFIG) |
					     VU_P(VU_P_INFLIGHT) | VU_P(VU_P_MEM_SLOTS) |
					     VU_P(VU_P_STATUS));
	assert_int_equal(fix_ask(&f, VU_GET_QUEUE_NUM), FIX_QUEUES);
	assert_int_equal(fix_ask(&f, VU_GET_MAX_MEM_SLOTS), FIX_SLOTS);
	fix_u64(&f, VU_SET_STATUS, 3);
	assert_int_equal(fix_ask(&f, VU_GET_STATUS), 3);
	fix_fini(&f);
}

/* Any part of 256 bytes; behind the device's own there are zeroes. */
static void test_config(void **state)
{
	struct vu_config c = { 0 };
	struct vu_msg m;
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_FEATURED);
	for (uint32_t off = 0; off <= VU_CONFIG_MAX; off += 16) {
		for (uint32_t len = 0; off + len <= VU_CONFIG_MAX; len += 48) {
			c.off = off;
			c.size = len;
			memset(c.data, 0x77, sizeof(c.data));
			fix_send(&f, VU_GET_CONFIG, 0, &c, 12 + len, NULL, 0);
			assert_true(fix_answer(&f, &m));
			assert_int_equal(m.h.size, 12 + len);
			for (uint32_t i = 0; i < len; i++)
				assert_int_equal(m.u.cfg.data[i], off + i < 64 ? 0xc5 : 0);
		}
	}
	/* Read-only: refused, and told so. */
	c.off = 0;
	c.size = 1;
	fix_send(&f, VU_SET_CONFIG, VU_NEED_REPLY, &c, 13, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_int_equal(m.u.u64, 1);
	assert_false(fix_turn(&f));
	fix_fini(&f);
}

static void test_reply_ack(void **state)
{
	uint64_t feat = FIX_FEATURES;
	struct vu_msg m;
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_OWNED);
	/* Not negotiated yet: the flag means nothing. */
	fix_send(&f, VU_SET_FEATURES, VU_NEED_REPLY, &feat, 8, NULL, 0);
	assert_false(fix_answer(&f, &m));
	fix_u64(&f, VU_SET_PROTOCOL_FEATURES, VU_P(VU_P_REPLY_ACK));
	fix_send(&f, VU_SET_FEATURES, VU_NEED_REPLY, &feat, 8, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_int_equal(m.h.req, VU_SET_FEATURES);
	assert_int_equal(m.h.flags, VU_VERSION | VU_REPLY);
	assert_int_equal(m.u.u64, 0);
	/* A request with an answer of its own gets no second one. */
	fix_send(&f, VU_GET_FEATURES, VU_NEED_REPLY, NULL, 0, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_false(fix_answer(&f, &m));
	/* A failure is told before the end. */
	feat = 1;
	fix_send(&f, VU_SET_FEATURES, VU_NEED_REPLY, &feat, 8, NULL, 0);
	assert_true(fix_answer(&f, &m));
	assert_int_equal(m.u.u64, 1);
	assert_true(fix_turn(&f));
	fix_fini(&f);
}

/* Without protocol features rings are enabled by themselves, and need no DRIVER_OK. */
static void test_plain(void **state)
{
	struct fix f;

	fix_init(&f, false);
	fix_step(&f, 0);
	fix_step(&f, 1);
	fix_u64(&f, VU_SET_FEATURES, f.features);
	for (unsigned int i = 5; i < 6 + 4; i++)
		fix_step(&f, i);
	assert_false(f.running[0]);
	fix_step(&f, 6 + 4);
	assert_true(f.running[0]);
	one_buffer(&f, 0);
	/* And may be disabled all the same. */
	fix_vring(&f, VU_SET_VRING_ENABLE, 0, 0);
	assert_false(f.running[0]);
	fix_vring(&f, VU_SET_VRING_ENABLE, 0, 1);
	assert_true(f.running[0]);
	one_buffer(&f, 0);
	fix_fini(&f);
}

/* A ring does not run before DRIVER_OK nor after a reset, where status is told. */
static void test_status(void **state)
{
	struct fix f;

	fix_init(&f, false);
	for (unsigned int i = 0; i + 1 < fix_steps(FIX_RUNNING); i++)
		fix_step(&f, i);
	assert_int_equal(fix_info(&f).queues_up, 0);
	fix_u64(&f, VU_SET_STATUS, 0xf);
	assert_int_equal(fix_info(&f).queues_up, 2);
	fix_u64(&f, VU_SET_STATUS, 0);
	assert_int_equal(fix_info(&f).queues_up, 0);
	fix_fini(&f);
}

/* No kick descriptor: polled. A packed ring's fresh base in the form that knows one half only. */
static void test_bases(void **state)
{
	struct fix f;

	fix_init(&f, false);
	f.features = FIX_FEATURES;
	for (unsigned int i = 0; i < 6 + 4; i++)
		fix_step(&f, i);
	fix_vring(&f, VU_SET_VRING_BASE, 0, 0x8000);
	fix_fd(&f, VU_SET_VRING_KICK, 0, -1);
	fix_vring(&f, VU_SET_VRING_ENABLE, 0, 1);
	fix_u64(&f, VU_SET_STATUS, 0xf);
	assert_true(f.running[0]);
	assert_int_equal(f.q[0].kick, -1);
	assert_int_equal(f.q[0].cfg.used_idx, 0x8000);
	one_buffer(&f, 0);
	assert_int_equal(get_base(&f, 0), 0x80018001);
	fix_vring(&f, VU_SET_VRING_BASE, 0, 0x00030005);
	fix_fd(&f, VU_SET_VRING_KICK, 0, -1);
	assert_int_equal(f.q[0].cfg.avail_idx, 5);
	assert_int_equal(f.q[0].cfg.used_idx, 3);
	fix_fini(&f);
}

/* The used index of a split ring is where the ring says it is. */
static void test_used_idx(void **state)
{
	struct vu_vring_addr a;
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_RUNNING);
	get_base(&f, 0);
	a = fix_addr(&f, 0);
	*(uint16_t *)(f.mem + (a.used - FIX_UVA) + 2) = 77;
	fix_send(&f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
	fix_vring(&f, VU_SET_VRING_BASE, 0, 80);
	fix_fd(&f, VU_SET_VRING_KICK, 0, f.kick[0]);
	assert_true(f.running[0]);
	assert_int_equal(f.q[0].cfg.avail_idx, 80);
	assert_int_equal(f.q[0].cfg.used_idx, 77);
	fix_fini(&f);
}

/* A call comes at each start and with each new call descriptor: the last one may have been lost. */
static void test_calls(void **state)
{
	struct fix f;
	int other, old;
	uint64_t n;

	fix_init(&f, false);
	other = eventfd(0, EFD_CLOEXEC);
	fix_reach(&f, FIX_RUNNING);
	assert_int_equal(calls(&f, 0), 1);
	fix_fd(&f, VU_SET_VRING_CALL, 0, other);
	assert_int_equal(f.calls_changed, 1);
	assert_int_equal(read(other, &n, 8), 8);
	old = f.q[0].call;
	fix_fd(&f, VU_SET_VRING_CALL, 0, -1);
	assert_int_equal(f.calls_changed, 2);
	assert_int_equal(f.q[0].call, -1);
	assert_int_equal(fcntl(old, F_GETFD), -1);
	fix_fd(&f, VU_SET_VRING_ERR, 0, other);
	assert_false(fix_turn(&f));
	close(other);
	fix_fini(&f);
}

/* ---- memory -----------------------------------------------------------------------------------*/

static void mem_reg(struct fix *f, uint32_t req, struct vu_region r, int fd)
{
	struct vu_one_region o = { .r = r };

	fix_send(f, req, 0, &o, sizeof(o), &fd, fd >= 0);
	fix_turn(f);
}

static void test_memory_moves(void **state)
{
	struct vu_mem_table t = { .n = 1, .r = { fix_region() } };
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_RUNNING);
	one_buffer(&f, 0);
	/* The same memory, at other addresses of the guest. */
	t.r[0].gpa = 0;
	fix_send(&f, VU_SET_MEM_TABLE, 0, &t, 8 + 32, &f.memfd, 1);
	assert_false(fix_turn(&f));
	assert_int_equal(f.starts, 4);
	assert_int_equal(f.stops, 2);
	assert_int_equal(f.hs.maps, 1);
	assert_int_equal(f.q[0].cfg.avail_idx, 1);
	assert_int_equal(f.q[0].cfg.desc, 0x40000);
	fix_fini(&f);
}

static void test_slots(void **state)
{
	struct vu_region r = fix_region();
	struct fix f;

	fix_init(&f, false);
	fix_reach(&f, FIX_RUNNING);
	r.size = 0x1000;
	for (unsigned int i = 1; i < FIX_SLOTS; i++) {
		r.gpa = 0x10000000ull * i;
		r.uva = FIX_UVA + 0x10000000ull * i;
		r.mmap_off = 0x1000 * i + 0x123; /* need not be aligned */
		mem_reg(&f, VU_ADD_MEM_REG, r, f.memfd);
	}
	assert_int_equal(fix_info(&f).regions, FIX_SLOTS);
	assert_int_equal(f.hs.maps, FIX_SLOTS);
	f.mem[0x2123] = 0x99;
	assert_int_equal(*(uint8_t *)vq_mem_ptr(f.q[0].mem, 0x20000000, 1), 0x99);
	one_buffer(&f, 0);
	r.gpa = 0x20000000;
	r.uva = FIX_UVA + 0x20000000;
	mem_reg(&f, VU_REM_MEM_REG, r, -1);
	assert_null(vq_mem_ptr(f.q[0].mem, 0x20000000, 1));
	assert_non_null(vq_mem_ptr(f.q[0].mem, 0x30000000, 1));
	assert_int_equal(f.hs.maps, FIX_SLOTS - 1);
	one_buffer(&f, 0);
	r.gpa = 0x90000000;
	r.uva = FIX_UVA + 0x90000000;
	mem_reg(&f, VU_ADD_MEM_REG, r, f.memfd);
	assert_false(fix_turn(&f));
	r.gpa = r.uva = 0xa0000000;
	mem_reg(&f, VU_ADD_MEM_REG, r, f.memfd);
	assert_true(fix_turn(&f)); /* one too many */
	assert_int_equal(f.hs.maps, 0);
	fix_fini(&f);
}

/* ---- inflight memory --------------------------------------------------------------------------*/

static int get_inflight(struct fix *f, struct vu_inflight_desc *d)
{
	struct vu_msg m;

	*d = (struct vu_inflight_desc){ .nqueues = 2, .qsize = FIX_QSIZE };
	fix_send(f, VU_GET_INFLIGHT_FD, 0, d, 20, NULL, 0);
	assert_true(fix_answer(f, &m));
	assert_int_equal(m.nfds, 1);
	*d = m.u.inflight;
	return m.fd[0];
}

static void inflight(bool packed)
{
	size_t one = vq_inflight_size(packed, FIX_QSIZE);
	struct vu_inflight_desc d;
	struct stat st;
	struct fix f;
	int fd;

	fix_init(&f, false);
	if (packed)
		f.features = FIX_FEATURES;
	fix_reach(&f, FIX_MEMORY);
	fd = get_inflight(&f, &d);
	assert_int_equal(d.mmap_size, 2 * one);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_size >= d.mmap_off + d.mmap_size);
	fix_send(&f, VU_SET_INFLIGHT_FD, 0, &d, sizeof(d), &fd, 1);
	for (unsigned int i = fix_steps(FIX_MEMORY); fix_step(&f, i); i++)
		;
	assert_true(f.running[0] && f.running[1]);
	assert_non_null(f.q[1].inflight);
	assert_ptr_not_equal(f.q[0].inflight, f.q[1].inflight);
	assert_int_equal((uint8_t *)f.q[1].inflight->region - (uint8_t *)f.q[0].inflight->region,
			 one);
	assert_int_equal(f.hs.maps, 2);
	close(fd);
	fix_fini(&f);
}

static void test_inflight(void **state)
{
	inflight(false);
	inflight(true);
}

/* ---- who may connect when ---------------------------------------------------------------------*/

static int raw_connect(struct fix *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void test_one_at_a_time(void **state)
{
	struct fix f;
	int second;
	char c;

	fix_init(&f, false);
	fix_reach(&f, FIX_RUNNING);
	second = raw_connect(&f);
	assert_false(fix_turn(&f));
	assert_int_equal(recv(second, &c, 1, MSG_DONTWAIT), 0);
	close(second);
	assert_true(f.running[0]);
	/* The first leaves and the next one comes in the same turn: whichever is seen first. */
	for (int i = 0; i < 4; i++) {
		int old = f.fd;

		close(old);
		f.fd = raw_connect(&f);
		assert_false(fix_turn(&f));
		assert_int_equal(fix_ask(&f, VU_GET_FEATURES), FIX_FEATURES | VU_F_PROTOCOL);
		assert_int_equal(f.hs.maps, 0);
	}
	fix_fini(&f);
}

/* Byte by byte, and many messages at once. */
static void test_pieces(void **state)
{
	uint8_t bytes[12] = { VU_GET_FEATURES, 0, 0, 0, 1 };
	struct vu_msg m;
	struct fix f;

	fix_init(&f, false);
	fix_connect(&f);
	for (unsigned int i = 0; i < sizeof(bytes); i++) {
		assert_false(fix_answer(&f, &m));
		assert_int_equal(send(f.fd, &bytes[i], 1, 0), 1);
	}
	assert_true(fix_answer(&f, &m));
	for (unsigned int i = 0; i < 150; i++)
		assert_int_equal(send(f.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (unsigned int i = 0; i < 150; i++)
		assert_true(fix_answer(&f, &m));
	assert_false(fix_answer(&f, &m));
	fix_fini(&f);
}

/* Asks and never reads: what the socket does not take is kept for a while, then it has to go. */
static void test_deaf(void **state)
{
	struct vu_config c = { .size = VU_CONFIG_MAX };
	struct fix f;
	int small = 4096;
	bool gone = false;

	fix_init(&f, false);
	fix_reach(&f, FIX_FEATURED);
	setsockopt(f.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 10000 && !gone; i++) {
		fix_send(&f, VU_GET_CONFIG, 0, &c, sizeof(c), NULL, 0);
		fix_turn(&f);
		gone = !f.connected;
	}
	assert_true(gone);
	assert_int_equal(fix_info(&f).drops, 1);
	fix_fini(&f);
}

static void client_accept(struct fix *f, int lfd)
{
	/* The back end tries at once, and then every 0.1 s to 1 s. */
	for (int i = 0; i < 50 && f->fd < 0; i++) {
		f->fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (f->fd < 0)
			assert_int_equal(ev_turn(f->ev, 1000), 0);
	}
	assert_true(f->fd >= 0);
}

static void test_client(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct fix f;
	int lfd;

	fix_init(&f, true);
	fix_turn(&f); /* nobody there */
	strcpy(a.sun_path, f.path);
	lfd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(lfd, 1), 0);
	client_accept(&f, lfd);
	for (unsigned int i = 1; fix_step(&f, i); i++)
		;
	assert_true(f.running[0]);
	fix_hangup(&f);
	assert_false(f.connected);
	client_accept(&f, lfd);
	assert_true(f.connected);
	close(lfd);
	unlink(f.path);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),	  cmocka_unit_test(test_packed),
		cmocka_unit_test(test_answers),	  cmocka_unit_test(test_config),
		cmocka_unit_test(test_reply_ack), cmocka_unit_test(test_plain),
		cmocka_unit_test(test_status),	  cmocka_unit_test(test_bases),
		cmocka_unit_test(test_used_idx),  cmocka_unit_test(test_calls),
		cmocka_unit_test(test_slots),	  cmocka_unit_test(test_memory_moves),
		cmocka_unit_test(test_inflight),  cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_pieces),	  cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
