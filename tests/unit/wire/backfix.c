// SPDX-License-Identifier: BSD-3-Clause
/* Both ends of a vhost-user connection in one thread, for the tests of the back end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/usock.h"
#include "tests/unit/wire/backfix.h"

/* ---- the device -------------------------------------------------------------------------------*/

static uint64_t dev_features(void *dev)
{
	return FIX_FEATURES;
}

static int dev_start(void *dev, const struct vu_back_queue *q)
{
	struct fix *f = dev;
	int ret;

	assert_true(q->index < FIX_QUEUES);
	assert_false(f->running[q->index]);
	if (f->start_fails)
		return f->start_fails;
	ret = vq_start(&f->vq[q->index], q->mem, &q->cfg);
	if (ret)
		return ret;
	f->q[q->index] = *q;
	f->running[q->index] = true;
	f->starts++;
	return 0;
}

static void dev_stop(void *dev, unsigned int q, uint16_t *avail_idx, uint16_t *used_idx)
{
	struct fix *f = dev;

	assert_true(f->running[q]);
	vq_state(&f->vq[q], avail_idx, used_idx);
	f->running[q] = false;
	f->stops++;
}

static void dev_call_changed(void *dev, unsigned int q, int call)
{
	struct fix *f = dev;

	assert_true(f->running[q]);
	f->q[q].call = call;
	f->calls_changed++;
}

static void dev_config_read(void *dev, unsigned int off, unsigned int size, uint8_t *buf)
{
	struct fix *f = dev;

	for (unsigned int i = 0; i < size && off + i < sizeof(f->config); i++)
		buf[i] = f->config[off + i];
}

static void dev_state(void *dev, bool connected)
{
	struct fix *f = dev;

	assert_true(f->connected != connected);
	f->connected = connected;
}

static void dev_mapped(void *dev, void *p, size_t len, bool on)
{
	struct fix *f = dev;

	/* Nothing is unmapped that a queue may still look at; a table that was refused half way
	 * may. */
	for (unsigned int i = 0; !on && i < FIX_QUEUES; i++)
		for (unsigned int k = 0; f->running[i] && k < f->q[i].mem->n; k++)
			assert_false(f->q[i].mem->r[k].hva >= (uint8_t *)p &&
				     f->q[i].mem->r[k].hva < (uint8_t *)p + len);
	f->maps += on ? 1 : -1;
}

static const struct vu_back_ops dev_ops = {
	.features = dev_features,
	.queue_start = dev_start,
	.queue_stop = dev_stop,
	.call_changed = dev_call_changed,
	.config_read = dev_config_read,
	.state = dev_state,
	.mapped = dev_mapped,
};

/* ---- set-up -----------------------------------------------------------------------------------*/

static void front_memory(struct fix *f)
{
	f->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(f->memfd >= 0 && !ftruncate(f->memfd, FIX_MEM));
	f->mem = mmap(NULL, FIX_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	assert_true(f->mem != MAP_FAILED);
	for (unsigned int i = 0; i < FIX_QUEUES; i++) {
		f->kick[i] = eventfd(0, EFD_CLOEXEC);
		f->call[i] = eventfd(0, EFD_CLOEXEC);
	}
}

void fix_init(struct fix *f, bool client)
{
	struct err e = { 0 };
	struct vu_back_cfg c = { .name = "disk0",
				 .client = client,
				 .queues = FIX_QUEUES,
				 .mem_slots = FIX_SLOTS,
				 .ops = &dev_ops,
				 .dev = f };

	*f = (struct fix){ .fd = -1, .fds = openfds(), .ops = &dev_ops };
	hostsys_init(&f->hs);
	strcpy(f->dir, "/tmp/back-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	c.path = f->path;
	memset(f->config, 0xc5, sizeof(f->config));
	assert_int_equal(ev_new(sys_host(), &f->ev), 0);
	if (vu_back_new(&f->hs.sys, NULL, f->ev, &c, &f->b, &e))
		fail_msg("%s", e.text);
	front_memory(f);
	f->features = FIX_FEATURES & ~(1ull << 34);
	f->protocol = ~0ull;
}

void fix_fini(struct fix *f)
{
	fix_hangup(f);
	vu_back_free(f->b);
	ev_free(f->ev);
	for (unsigned int i = 0; i < FIX_QUEUES; i++) {
		vqd_free(f->vqd[i]);
		close(f->kick[i]);
		close(f->call[i]);
	}
	munmap(f->mem, FIX_MEM);
	close(f->memfd);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(f->hs.maps, 0);
	assert_int_equal(f->maps, 0);
	assert_int_equal(openfds(), f->fds);
}

/* ---- the front end ----------------------------------------------------------------------------*/

void fix_connect(struct fix *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	fix_hangup(f);
	strcpy(a.sun_path, f->path);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	fix_turn(f);
}

void fix_hangup(struct fix *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	fix_turn(f);
}

void fix_send(struct fix *f, uint32_t req, uint32_t flags, const void *data, uint32_t size,
	      const int *fd, unsigned int nfds)
{
	struct vu_hdr h = { req, flags | VU_VERSION, size };
	/* What is said to be longer than that only says so. */
	struct iovec v[2] = { { &h, sizeof(h) },
			      { (void *)(uintptr_t)data, MIN(size, FIX_PAYLOAD) } };
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	usock_fds(&m, ctl.buf, fd, nfds);
	/* A back end that hung up before is for the caller to find out. */
	(void)!sendmsg(f->fd, &m, MSG_NOSIGNAL);
}

bool fix_turn(struct fix *f)
{
	ssize_t n;
	char c;

	for (int i = 0; i < 4; i++)
		assert_int_equal(ev_turn(f->ev, 0), 0);
	if (f->fd < 0)
		return false;
	n = recv(f->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	return !n || (n < 0 && errno != EAGAIN);
}

bool fix_answer(struct fix *f, struct vu_msg *m)
{
	static struct vu_sock k;
	struct err e = { 0 };
	int ret;

	fix_turn(f);
	vu_sock_init(&k, sys_host(), f->fd);
	ret = vu_sock_recv(&k, VU_TO_FRONT, m, &e);
	assert_int_not_equal(ret, -EPROTO);
	return ret == 1;
}

uint64_t fix_ask(struct fix *f, uint32_t req)
{
	struct vu_msg m;

	fix_send(f, req, 0, NULL, 0, NULL, 0);
	return fix_answer(f, &m) ? m.u.u64 : 0;
}

void fix_u64(struct fix *f, uint32_t req, uint64_t v)
{
	fix_send(f, req, 0, &v, sizeof(v), NULL, 0);
	fix_turn(f);
}

void fix_vring(struct fix *f, uint32_t req, uint32_t q, uint32_t num)
{
	struct vu_vring v = { q, num };

	fix_send(f, req, 0, &v, sizeof(v), NULL, 0);
	fix_turn(f);
}

void fix_fd(struct fix *f, uint32_t req, uint32_t q, int fd)
{
	uint64_t v = q | (fd < 0 ? 0x100 : 0);

	fix_send(f, req, 0, &v, sizeof(v), &fd, fd >= 0);
	fix_turn(f);
}

struct vu_region fix_region(void)
{
	return (struct vu_region){ FIX_GPA, FIX_MEM, FIX_UVA, 0 };
}

static void send_memory(struct fix *f)
{
	struct vu_mem_table t = { .n = 1, .r = { fix_region() } };

	fix_send(f, VU_SET_MEM_TABLE, 0, &t, 8 + sizeof(t.r[0]), &f->memfd, 1);
	fix_turn(f);
}

/* Guest addresses of a fresh ring of queue q, as user addresses. */
struct vu_vring_addr fix_addr(struct fix *f, uint32_t q)
{
	struct vqd_cfg c = { .size = FIX_QSIZE,
			     .packed = f->features & 1ull << 34,
			     .event_idx = true,
			     .indirect = true,
			     .hva = f->mem,
			     .gpa0 = FIX_GPA,
			     .area = f->mem + 0x40000ull * (q + 1) };
	struct vq_cfg v;

	assert_true(vqd_area(&c) <= 0x40000);
	vqd_free(f->vqd[q]);
	assert_int_equal(vqd_new(&c, &f->vqd[q]), 0);
	vqd_addrs(f->vqd[q], &v);
	return (struct vu_vring_addr){ .index = q,
				       .desc = v.desc - FIX_GPA + FIX_UVA,
				       .used = v.device - FIX_GPA + FIX_UVA,
				       .avail = v.driver - FIX_GPA + FIX_UVA };
}

static void ring_step(struct fix *f, unsigned int q, unsigned int step)
{
	bool packed = f->features & 1ull << 34;
	struct vu_vring_addr a;

	switch (step) {
	case 0:
		fix_vring(f, VU_SET_VRING_NUM, q, FIX_QSIZE);
		break;
	case 1:
		fix_vring(f, VU_SET_VRING_BASE, q, packed ? 0x80008000 : 0);
		break;
	case 2:
		a = fix_addr(f, q);
		fix_send(f, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
		break;
	case 3:
		fix_fd(f, VU_SET_VRING_CALL, q, f->call[q]);
		break;
	case 4:
		fix_fd(f, VU_SET_VRING_KICK, q, f->kick[q]);
		break;
	default:
		fix_vring(f, VU_SET_VRING_ENABLE, q, 1);
	}
	fix_turn(f);
}

/* Steps at which a level is reached; what comes last is DRIVER_OK. */
static const unsigned int level_end[FIX_LEVELS] = { 1, 2, 5, 6, 6 + 2 * 6 + 1 };

unsigned int fix_steps(enum fix_level level)
{
	return level_end[level];
}

bool fix_step(struct fix *f, unsigned int step)
{
	switch (step) {
	case 0:
		fix_connect(f);
		break;
	case 1:
		fix_send(f, VU_SET_OWNER, 0, NULL, 0, NULL, 0);
		break;
	case 2:
		f->protocol &= fix_ask(f, VU_GET_PROTOCOL_FEATURES);
		break;
	case 3:
		fix_u64(f, VU_SET_PROTOCOL_FEATURES, f->protocol);
		break;
	case 4:
		fix_u64(f, VU_SET_FEATURES, f->features | VU_F_PROTOCOL);
		break;
	case 5:
		send_memory(f);
		break;
	case 6 + 2 * 6:
		fix_u64(f, VU_SET_STATUS, 0xf);
		break;
	default:
		if (step > 6 + 2 * 6)
			return false;
		ring_step(f, (step - 6) / 6, (step - 6) % 6);
	}
	fix_turn(f);
	return true;
}

void fix_reach(struct fix *f, enum fix_level level)
{
	for (unsigned int i = 0; i < level_end[level]; i++)
		fix_step(f, i);
}

struct vu_back_info fix_info(struct fix *f)
{
	struct vu_back_info i;

	vu_back_info(f->b, &i);
	return i;
}

void fix_check_gone(struct fix *f, unsigned int fds, const char *what)
{
	if (!fix_turn(f))
		fail_msg("%s: not dropped", what);
	close(f->fd);
	f->fd = -1;
	fix_turn(f);
	assert_false(f->connected);
	for (unsigned int i = 0; i < FIX_QUEUES; i++)
		assert_false(f->running[i]);
	assert_int_equal(f->starts, f->stops);
	assert_int_equal(f->hs.maps, 0);
	assert_int_equal(f->maps, 0);
	if (openfds() != fds)
		fail_msg("%s: %u descriptors, %u before", what, openfds(), fds);
}

void fix_check_next(struct fix *f)
{
	fix_reach(f, FIX_RUNNING);
	assert_true(f->running[0] && f->running[1]);
	fix_hangup(f);
	assert_int_equal(f->starts, f->stops);
}
