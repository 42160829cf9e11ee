// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/unit/wire/fakeback.h"

#define LONG_S 30

void fb_listen(struct fakeback *f)
{
	struct err e = { 0 };

	f->listen_fd = vu_listen(sys_host(), f->path, &e);
	BUG_ON(f->listen_fd < 0);
}

void fb_init(struct fakeback *f, const char *path)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->listen_fd = f->k.fd = -1;
	f->features = VIO_F_RING | VIO_F_IN_ORDER | VU_F_PROTOCOL | VIO_F(15) | VIO_F(9);
	f->proto = VU_P(VU_P_MQ) | VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_CONFIG) | VU_P(VU_P_INFLIGHT) |
		   VU_P(VU_P_MEM_SLOTS) | VU_P(VU_P_STATUS);
	f->queue_num = FB_QUEUES / 2;
	f->slots = 8;
	for (unsigned int i = 0; i < FB_QUEUES; i++)
		f->q[i].kick = f->q[i].call = f->q[i].err = -1;
}

static void queue_stop(struct fakeback *f, struct fb_queue *q)
{
	vq_inflight_fini(&q->inflight);
	sys_close(sys_host(), &q->kick);
	sys_close(sys_host(), &q->call);
	sys_close(sys_host(), &q->err);
	*q = (struct fb_queue){ .kick = -1, .call = -1, .err = -1 };
}

void fb_hang_up(struct fakeback *f)
{
	for (unsigned int i = 0; i < FB_QUEUES; i++)
		queue_stop(f, &f->q[i]);
	for (unsigned int i = 0; i < f->nregions; i++)
		munmap(f->map[i], f->region[i].size);
	if (f->inflight)
		munmap(f->inflight, f->inflight_len);
	f->inflight = NULL;
	f->nregions = 0;
	f->mem.n = 0;
	f->acked = f->proto_acked = 0;
	f->status = 0;
	vu_sock_close(&f->k);
}

void fb_die(struct fakeback *f)
{
	fb_hang_up(f);
	if (f->listen_fd >= 0)
		unlink(f->path);
	sys_close(sys_host(), &f->listen_fd);
}

/* ---- requests ---- */

static void add_region(struct fakeback *f, const struct vu_region *r, int fd)
{
	void *p;

	BUG_ON(f->nregions == VQ_REGIONS_MAX);
	p = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)r->mmap_off);
	BUG_ON(p == MAP_FAILED);
	f->region[f->nregions] = *r;
	f->map[f->nregions++] = p;
	BUG_ON(vq_mem_add(&f->mem, r->gpa, r->size, p));
}

static void mem_table(struct fakeback *f, const struct vu_msg *m)
{
	for (unsigned int i = 0; i < f->nregions; i++)
		munmap(f->map[i], f->region[i].size);
	f->nregions = 0;
	f->mem.n = 0;
	for (unsigned int i = 0; i < m->u.mem.n; i++)
		add_region(f, &m->u.mem.r[i], m->fd[i]);
}

static uint64_t gpa_of(const struct fakeback *f, uint64_t uva)
{
	for (unsigned int i = 0; i < f->nregions; i++)
		if (uva - f->region[i].uva < f->region[i].size)
			return uva - f->region[i].uva + f->region[i].gpa;
	BUG_ON(true);
	return 0;
}

static void map_inflight(struct fakeback *f, const struct vu_msg *m)
{
	struct stat st;

	BUG_ON(fstat(m->fd[0], &st));
	if (f->inflight)
		munmap(f->inflight, f->inflight_len);
	/* All of the file: what came back may be other than what was given. */
	f->inflight_len = (size_t)st.st_size;
	f->inflight_ino = st.st_ino;
	f->inflight = mmap(NULL, f->inflight_len, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd[0], 0);
	BUG_ON(f->inflight == MAP_FAILED);
}

static void give_inflight(struct fakeback *f, const struct vu_msg *m, struct vu_msg *r)
{
	size_t each = vq_inflight_size(f->acked & VIO_F_PACKED, m->u.inflight.qsize);
	int fd = memfd_create("inflight", MFD_CLOEXEC);

	BUG_ON(fd < 0 || ftruncate(fd, (off_t)(each * m->u.inflight.nqueues)));
	r->u.inflight = m->u.inflight;
	r->u.inflight.mmap_size = each * m->u.inflight.nqueues;
	r->h.size = sizeof(r->u.inflight);
	r->fd[0] = fd;
	r->nfds = 1;
}

static void queue_run(struct fakeback *f, unsigned int i)
{
	struct fb_queue *q = &f->q[i];
	bool packed = f->acked & VIO_F_PACKED;
	struct vq_cfg c = {
		.size = q->size,
		.packed = packed,
		.event_idx = f->acked & VIO_F_EVENT_IDX,
		.indirect = f->acked & VIO_F_INDIRECT,
		.in_order = f->acked & VIO_F_IN_ORDER,
		.desc = gpa_of(f, q->addr.desc),
		.driver = gpa_of(f, q->addr.avail),
		.device = gpa_of(f, q->addr.used),
		.avail_idx = (uint16_t)q->base,
		.used_idx = (uint16_t)(packed ? q->base >> 16 : q->base),
	};

	BUG_ON(!q->num_set || !q->base_set || !q->addr_set || q->kick < 0);
	if (f->inflight)
		BUG_ON(vq_inflight_init(&q->inflight,
					(char *)f->inflight + i * vq_inflight_size(packed, q->size),
					packed, q->size));
	BUG_ON(vq_start_inflight(&q->vq, &f->mem, &c, f->inflight ? &q->inflight : NULL));
	q->running = true;
}

static void take_fd(struct vu_msg *m, int *to)
{
	sys_close(sys_host(), to);
	if (!m->nfds)
		return;
	*to = m->fd[0];
	m->fd[0] = -1;
}

static uint32_t base_of(const struct fb_queue *q)
{
	uint16_t avail, used;

	vq_state(&q->vq, &avail, &used);
	return q->vq.cfg.packed ? avail | (uint32_t)used << 16 : avail;
}

static void vring(struct fakeback *f, struct vu_msg *m, struct vu_msg *r)
{
	unsigned int i = m->u.vring.index & 0xff;
	struct fb_queue *q = &f->q[i];

	BUG_ON(i >= FB_QUEUES);
	switch (m->h.req) {
	case VU_SET_VRING_NUM:
		q->size = (uint16_t)m->u.vring.num;
		q->num_set = true;
		break;
	case VU_SET_VRING_BASE:
		q->base = m->u.vring.num;
		q->base_set = true;
		break;
	case VU_SET_VRING_ADDR:
		q->addr = m->u.addr;
		q->addr_set = true;
		break;
	case VU_SET_VRING_KICK:
		take_fd(m, &q->kick);
		queue_run(f, i);
		break;
	case VU_SET_VRING_CALL:
		take_fd(m, &q->call);
		break;
	case VU_SET_VRING_ERR:
		take_fd(m, &q->err);
		break;
	case VU_SET_VRING_ENABLE:
		q->enabled = m->u.vring.num;
		break;
	case VU_GET_VRING_BASE:
		BUG_ON(!q->running);
		r->u.vring = (struct vu_vring){ i, base_of(q) };
		queue_stop(f, q);
		r->h.size = sizeof(r->u.vring);
		break;
	}
}

static void number(struct vu_msg *r, uint64_t n)
{
	r->u.u64 = n;
	r->h.size = sizeof(n);
}

static void request(struct fakeback *f, struct vu_msg *m, struct vu_msg *r)
{
	switch (m->h.req) {
	case VU_GET_FEATURES:
		return number(r, f->features);
	case VU_SET_FEATURES:
		f->acked = m->u.u64;
		BUG_ON(!f->hook && (f->acked & ~f->features));
		return;
	case VU_GET_PROTOCOL_FEATURES:
		return number(r, f->proto);
	case VU_SET_PROTOCOL_FEATURES:
		f->proto_acked = m->u.u64;
		BUG_ON(!f->hook && (f->proto_acked & ~f->proto));
		return;
	case VU_GET_QUEUE_NUM:
		return number(r, f->queue_num);
	case VU_GET_MAX_MEM_SLOTS:
		return number(r, f->slots);
	case VU_GET_CONFIG:
		r->u.cfg = m->u.cfg;
		memcpy(r->u.cfg.data, f->config + m->u.cfg.off, m->u.cfg.size);
		r->h.size = m->h.size;
		return;
	case VU_SET_STATUS:
		f->status = (uint8_t)m->u.u64;
		return;
	case VU_GET_STATUS:
		return number(r, f->status);
	case VU_SET_MEM_TABLE:
		return mem_table(f, m);
	case VU_ADD_MEM_REG:
		return add_region(f, &m->u.reg.r, m->fd[0]);
	case VU_GET_INFLIGHT_FD:
		return give_inflight(f, m, r);
	case VU_SET_INFLIGHT_FD:
		return map_inflight(f, m);
	case VU_SET_OWNER:
		return;
	default:
		vring(f, m, r);
	}
}

static void handle(struct fakeback *f, struct vu_msg *m)
{
	struct vu_msg r = { .h = { m->h.req, VU_VERSION | VU_REPLY, 0 } };
	enum fb_act act = FB_ANSWER;

	f->msgs++;
	request(f, m, &r);
	if (!vu_req_replies(m->h.req)) {
		if (m->h.flags & VU_NEED_REPLY)
			number(&r, 0);
		else
			r.h.flags = 0;
	}
	if (f->hook)
		act = f->hook(f, m, &r);
	if (act == FB_HANG_UP)
		fb_hang_up(f);
	else if (act == FB_ANSWER && r.h.flags)
		(void)!vu_sock_send(&f->k, &r);
	vu_msg_drop(sys_host(), &r);
}

/* ---- connections ---- */

static void up(struct fakeback *f, int fd)
{
	fb_hang_up(f);
	vu_sock_init(&f->k, sys_host(), fd);
	f->conns++;
}

void fb_connect(struct fakeback *f)
{
	struct err e = { 0 };
	int fd = vu_connect(sys_host(), f->path, &e);

	BUG_ON(fd < 0);
	up(f, fd);
}

bool fb_turn(struct fakeback *f, int ms)
{
	struct pollfd p = { .fd = f->k.fd >= 0 ? f->k.fd : f->listen_fd, .events = POLLIN };
	struct err e = { 0 };
	struct vu_msg m;
	int rc;

	if (poll(&p, 1, ms) != 1)
		return false;
	if (f->k.fd < 0) {
		up(f, accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
		return true;
	}
	rc = vu_sock_recv(&f->k, VU_TO_BACK, &m, &e);
	BUG_ON(rc == -EPROTO);
	if (rc == 1) {
		handle(f, &m);
		vu_msg_drop(sys_host(), &m);
	} else if (rc < 0) {
		fb_hang_up(f);
	}
	return true;
}

void fb_run(struct fakeback *f, bool (*cond)(void *arg), void *arg)
{
	time_t end = time(NULL) + LONG_S;

	while (!cond(arg)) {
		BUG_ON(time(NULL) > end);
		fb_turn(f, 2);
	}
}

bool fb_ready(const struct fakeback *f, unsigned int n)
{
	unsigned int on = 0;

	for (unsigned int i = 0; i < FB_QUEUES; i++)
		on += f->q[i].running && f->q[i].enabled;
	return on == n;
}

bool fb_pop(struct fakeback *f, unsigned int q, struct vq_chain *c)
{
	int rc = vq_pop(&f->q[q].vq, c);

	BUG_ON(rc < 0);
	return rc;
}

void fb_push(struct fakeback *f, unsigned int q, struct vq_chain *c)
{
	static const uint64_t one = 1;

	vq_push(&f->q[q].vq, c, c->in_len);
	if (vq_publish(&f->q[q].vq) && f->q[q].call >= 0)
		BUG_ON(write(f->q[q].call, &one, sizeof(one)) != sizeof(one));
}
