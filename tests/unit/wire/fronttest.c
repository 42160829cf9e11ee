// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/fake/openfds.h"
#include "tests/unit/wire/fronttest.h"

static uint64_t fast_now(struct sys *s)
{
	struct fastsys *f = container_of(s, struct fastsys, sys);

	return sys_now_ns(sys_host()) * f->scale;
}

static int fast_wait(struct sys *s, int epfd, struct epoll_event *ev, int n, int ms)
{
	struct fastsys *f = container_of(s, struct fastsys, sys);

	if (ms > 0)
		ms = (int)((unsigned int)ms / f->scale) + 1;
	return sys_epoll_wait(sys_host(), epfd, ev, n, ms);
}

static struct sys *fast(struct front *f, unsigned int scale)
{
	f->fast.ops = *sys_host()->ops;
	f->fast.ops.now_ns = fast_now;
	f->fast.ops.epoll_wait = fast_wait;
	f->fast.sys.ops = &f->fast.ops;
	f->fast.scale = scale ? scale : 1;
	return &f->fast.sys;
}

/* All but the device. */
static void down(struct front *f)
{
	vt_down(&f->t);
	vm_iothread_free(f->io);
	fb_die(&f->b);
	BUG_ON(rmdir(f->dir));
	BUG_ON(openfds() != f->fds);
}

int front_try(struct front *f, const struct front_cfg *c, void (*spoil)(struct front *f),
	      unsigned int n, struct err *e)
{
	struct vu_dev_cfg cfg = { .disk = c->disk,
				  .server = c->server,
				  .queues = c->queues,
				  .qsize = 64,
				  .mac_given = true,
				  .mac = { { 2, 0, 0, 0, 0, 1 } } };
	char path[64];
	struct vm_dev *d;
	int rc;

	memset(f, 0, sizeof(*f));
	f->fds = openfds();
	strcpy(f->dir, "/tmp/sluice-front.XXXXXX");
	BUG_ON(!mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/s", f->dir);
	fb_init(&f->b, path);
	if (!c->late && !c->server)
		fb_listen(&f->b);
	cfg.socket = path;
	BUG_ON(vm_iothread_new(fast(f, c->scale), "io", &f->io, NULL));
	cfg.io = f->io;
	vt_machine(&f->t, false);
	if (spoil)
		spoil(f);
	atomic_store(&f->fast.fail_in, n);
	rc = vu_dev_new(&f->fast.sys, "net0", &cfg, &d, e);
	if (rc) {
		down(f);
		return rc;
	}
	BUG_ON(vt_add(&f->t, d, NULL));
	f->want = c->disk ? MAX(c->queues, 1u) : 2;
	return 0;
}

void front_up(struct front *f, const struct front_cfg *c)
{
	BUG_ON(front_try(f, c, NULL, 0, NULL));
}

void front_down(struct front *f)
{
	vm_dev_free(f->t.dev);
	down(f);
}

void front_driver(struct front *f, uint64_t features, uint16_t n)
{
	vt_forget(&f->t);
	vt_up(&f->t, features, n);
}

struct vu_dev_info front_info(struct front *f)
{
	struct vu_dev_info i;

	vu_dev_info(f->t.dev, &i);
	return i;
}

static bool is_lit(void *arg)
{
	struct front *f = arg;

	return front_info(f).state == VU_CONNECTED && fb_ready(&f->b, f->want);
}

void front_rings(struct front *f)
{
	fb_run(&f->b, is_lit, f);
}

void front_lit(struct front *f)
{
	front_rings(f);
	/* What is still to be said (a status, a barrier) is answered before the test goes on. */
	while (fb_turn(&f->b, 20))
		;
	BUG_ON(!is_lit(f));
}

struct wanted {
	struct front *f;
	enum vu_state s;
};

static bool is_state(void *arg)
{
	struct wanted *w = arg;

	return front_info(w->f).state == w->s;
}

void front_state(struct front *f, enum vu_state s)
{
	struct wanted w = { f, s };

	fb_run(&f->b, is_state, &w);
}

static bool is_reset(void *arg)
{
	struct front *f = arg;

	return vt_get(&f->t, VT_STATUS) == 0;
}

void front_reset(struct front *f)
{
	vt_set(&f->t, VT_STATUS, 0);
	fb_run(&f->b, is_reset, f);
}

void front_add(struct front *f, unsigned int q, uintptr_t cookie)
{
	struct iovec v = { vt_alloc(&f->t, 16), 16 };

	BUG_ON(vqd_add(f->t.q[q].d, &v, 0, 1, (void *)cookie));
	vt_publish(&f->t, q);
}

void front_echo(struct front *f, unsigned int q, uintptr_t first, unsigned int n)
{
	struct iovec iov[4];
	uint32_t len;

	for (unsigned int i = 0; i < n; i++) {
		struct vq_chain c = { .iov = iov, .cap = 4 };

		BUG_ON(!fb_pop(&f->b, q, &c));
		fb_push(&f->b, q, &c);
		BUG_ON(vqd_get(f->t.q[q].d, &len) != (void *)(first + i));
	}
}
