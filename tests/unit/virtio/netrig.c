// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_tun.h>
#include "tests/unit/virtio/netrig.h"

#define WAIT_MS 20000 /* only ever reached by a failure */

/* ---- the kernel's part ---- */

static struct netrig *rig_of(struct sys *s)
{
	return container_of(s, struct netrig, sys);
}

static bool fails(struct netrig *r)
{
	return ++r->calls == r->fail_at;
}

static int rig_sys_open(struct sys *s, const char *path, int flags, mode_t mode)
{
	struct netrig *r = rig_of(s);
	int fd[2];

	if (fails(r))
		return -EIO;
	BUG_ON(strcmp(path, "/dev/net/tun") || r->npeers == RIG_PAIRS);
	BUG_ON(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd));
	r->file[r->npeers] = fd[0];
	r->peer[r->npeers++] = fd[1];
	r->open_fds++;
	return fd[0];
}

static int rig_sys_close(struct sys *s, int fd)
{
	rig_of(s)->open_fds--;
	return close(fd);
}

static int rig_sys_socket(struct sys *s, int domain, int type, int proto)
{
	int fd = fails(rig_of(s)) ? -EIO : socket(domain, type, proto);

	rig_of(s)->open_fds += fd >= 0;
	return fd;
}

static int rig_sys_bind(struct sys *s, int fd, const struct sockaddr *a, socklen_t len)
{
	return fails(rig_of(s)) ? -EIO : bind(fd, a, len);
}

static int rig_sys_listdir(struct sys *s, const char *path, int (*fn)(void *, const char *),
			   void *arg)
{
	return -ENOENT;
}

static int set_queue(struct netrig *r, int fd, const struct ifreq *q)
{
	unsigned int i = 0;

	while (r->file[i] != fd)
		i++;
	if (r->queue_rc)
		return r->queue_rc;
	r->detached[i] = q->ifr_flags == IFF_DETACH_QUEUE;
	return 0;
}

static int tap_ioctl(struct netrig *r, int fd, unsigned long req, void *arg)
{
	struct ifreq *q = arg;

	if (r->tap_lost && req != SIOCGIFINDEX)
		return -EBADFD;
	switch (req) {
	case SIOCGIFINDEX:
		return -ENODEV;
	case SIOCGIFMTU:
		q->ifr_mtu = (int)r->mtu;
		return 0;
	case SIOCGIFFLAGS:
		q->ifr_flags = r->up ? IFF_UP | IFF_RUNNING : 0;
		return 0;
	case SIOCSIFFLAGS:
		r->up = q->ifr_flags & IFF_UP;
		return 0;
	case TUNSETQUEUE:
		return set_queue(r, fd, arg);
	case TUNSETOFFLOAD:
		r->offload = (unsigned long)arg;
		return 0;
	case TUNSETIFF:
	case TUNGETIFF:
	case TUNGETVNETHDRSZ:
	case TUNSETVNETHDRSZ:
		return 0;
	}
	return -ENOTTY;
}

static int rig_sys_ioctl(struct sys *s, int fd, unsigned long req, void *arg)
{
	return fails(rig_of(s)) ? -EIO : tap_ioctl(rig_of(s), fd, req, arg);
}

struct netrig *netrig_new(void)
{
	struct netrig *r = calloc(1, sizeof(*r));

	BUG_ON(!r);
	r->ops = *sys_host()->ops;
	r->ops.open = rig_sys_open;
	r->ops.close = rig_sys_close;
	r->ops.socket = rig_sys_socket;
	r->ops.bind = rig_sys_bind;
	r->ops.listdir = rig_sys_listdir;
	r->ops.ioctl = rig_sys_ioctl;
	r->sys.ops = &r->ops;
	r->mtu = 1500;
	r->kind = (struct vqd_cfg){ .event_idx = true, .indirect = true };
	r->vm.sys = sys_host();
	BUG_ON(posix_memalign((void **)&r->ram, 4096, RIG_RAM));
	for (unsigned int i = 0; i < 2; i++)
		BUG_ON(vm_iothread_new(sys_host(), "io", &r->io[i], &r->e));
	return r;
}

void netrig_free(struct netrig *r)
{
	netrig_close(r);
	for (unsigned int i = 0; i < 2; i++)
		vm_iothread_free(r->io[i]);
	assert_int_equal(r->open_fds, 0);
	free(r->ram);
	free(r);
}

/* ---- the device ---- */

int netrig_open(struct netrig *r, unsigned int pairs)
{
	const struct vio_net_cfg c = {
		.tap = "tap0", .pairs = pairs, .qsize = RIG_QSIZE, .io = r->io, .nio = 2
	};
	struct vm_dev *d = NULL;
	int rc = vio_net_new(&r->sys, "net0", &c, &d, &r->e);

	if (!rc)
		r->n = vnet_of(vio_of(d));
	return rc;
}

void netrig_dev(struct netrig *r, unsigned int pairs)
{
	if (netrig_open(r, pairs))
		fail_msg("%s", r->e.text);
	r->n->vio.dev.vm = &r->vm;
}

void netrig_close(struct netrig *r)
{
	if (r->n) {
		netrig_down(r);
		vm_dev_free(&r->n->vio.dev);
	}
	r->n = NULL;
	while (r->npeers)
		close(r->peer[--r->npeers]);
}

void netrig_queue(struct netrig *r, unsigned int q)
{
	struct vio *v = &r->n->vio;
	struct vio_queue *vq = &v->q[q];
	struct vqd_cfg c = r->kind;
	struct vq_cfg a;

	c.size = RIG_QSIZE;
	c.hva = r->ram;
	c.gpa0 = RIG_GPA;
	c.area = r->ram + q * MIB(1);
	BUG_ON(vqd_area(&c) > MIB(1) || vqd_new(&c, &r->d[q]));
	vqd_addrs(r->d[q], &a);
	vq->size = a.size;
	vq->desc = a.desc;
	vq->driver = a.driver;
	vq->device = a.device;
	vq->enabled = true;
	vq->kick = eventfd(0, EFD_NONBLOCK);
	atomic_store(&vq->call, eventfd(0, EFD_NONBLOCK));
}

void netrig_up(struct netrig *r, uint64_t features)
{
	struct vio *v = &r->n->vio;

	features |= VIO_F_VERSION_1;
	features |= r->kind.packed ? VIO_F_PACKED : 0;
	features |= r->kind.event_idx ? VIO_F_EVENT_IDX : 0;
	features |= r->kind.indirect ? VIO_F_INDIRECT : 0;
	assert_int_equal(features & ~(v->ops->features(v)), 0);
	v->acked = features;
	v->mem.n = 0;
	BUG_ON(vq_mem_add(&v->mem, RIG_GPA, RIG_RAM, r->ram));
	r->free = r->ram + MIB(1) * (2 * RIG_PAIRS + 1);
	for (unsigned int q = 0; q < v->nqueues; q++)
		netrig_queue(r, q);
	atomic_store(&v->status, 0x0f);
	assert_int_equal(v->ops->start(v), 0);
	v->started = true;
}

void netrig_down(struct netrig *r)
{
	struct vio *v = &r->n->vio;

	if (!v->started)
		return;
	assert_int_equal(v->ops->stop(v), 0);
	v->started = false;
	atomic_store(&v->status, 0);
	for (unsigned int q = 0; q < v->nqueues; q++) {
		vqd_free(r->d[q]);
		r->d[q] = NULL;
		close(v->q[q].kick);
		close(atomic_load(&v->q[q].call));
		v->q[q].kick = -1;
		atomic_store(&v->q[q].call, -1);
	}
}

/* ---- the driver ---- */

uint8_t *netrig_buf(struct netrig *r, size_t len)
{
	uint8_t *p = r->free;

	r->free += ALIGN_UP(len, (size_t)64);
	BUG_ON(r->free > r->ram + RIG_RAM);
	memset(p, 0xee, len);
	return p;
}

void netrig_kick(struct netrig *r, unsigned int q)
{
	uint64_t one = 1;

	if (vqd_publish(r->d[q]))
		BUG_ON(write(r->n->vio.q[q].kick, &one, 8) != 8);
}

uint8_t *netrig_post_rx(struct netrig *r, unsigned int q, const unsigned int *lens)
{
	struct iovec iov[32];
	unsigned int n = 0, all = 0;
	uint8_t *p;

	for (unsigned int i = 0; lens[i]; i++)
		all += lens[i];
	p = netrig_buf(r, all);
	for (uint8_t *at = p; lens[n]; at += lens[n++])
		iov[n] = (struct iovec){ at, lens[n] };
	BUG_ON(vqd_add(r->d[q], iov, 0, n, p));
	netrig_kick(r, q);
	return p;
}

void *netrig_get(struct netrig *r, unsigned int q, uint32_t *len)
{
	for (unsigned int ms = 0; ms < WAIT_MS * 10; ms++) {
		void *p = vqd_get(r->d[q], len);

		if (p)
			return p;
		usleep(100);
	}
	fail_msg("nothing comes back on queue %u", q);
	return NULL;
}

static void nothing(void *arg)
{
}

void netrig_settle(struct netrig *r)
{
	/* What was signalled before a call is in its turn of the loop or in the one before. */
	for (unsigned int i = 0; i < 8; i++)
		vm_iothread_call(r->io[i % 2], nothing, NULL);
}

void netrig_send(struct netrig *r, unsigned int pair, const struct virtio_net_hdr_v1 *h,
		 const void *frame, size_t len)
{
	struct virtio_net_hdr_v1 none = { 0 };
	struct iovec iov[2] = { { (void *)(uintptr_t)(h ? h : &none), sizeof(none) },
				{ (void *)(uintptr_t)frame, len } };

	assert_int_equal(writev(r->peer[pair], iov, 2), len + sizeof(none));
}

size_t netrig_recv(struct netrig *r, unsigned int pair, struct virtio_net_hdr_v1 *h, void *frame,
		   size_t size)
{
	struct iovec iov[2] = { { h, sizeof(*h) }, { frame, size } };
	struct pollfd p = { .fd = r->peer[pair], .events = POLLIN };
	ssize_t len;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	len = readv(r->peer[pair], iov, 2);
	assert_true(len >= (ssize_t)sizeof(*h));
	return (size_t)len - sizeof(*h);
}

uint8_t netrig_ctrl(struct netrig *r, unsigned int class, unsigned int cmd, const void *arg,
		    size_t len)
{
	unsigned int q = r->n->ctrl.s.q;
	uint8_t *out = netrig_buf(r, len + 2), *in = netrig_buf(r, 1);
	struct iovec iov[3] = { { out, 2 }, { out + 2, len }, { in, 1 } };
	uint32_t written;

	out[0] = (uint8_t) class;
	out[1] = (uint8_t)cmd;
	memcpy(out + 2, arg, len);
	if (!len)
		iov[1] = iov[2];
	BUG_ON(vqd_add(r->d[q], iov, len ? 2 : 1, 1, in));
	netrig_kick(r, q);
	assert_ptr_equal(netrig_get(r, q, &written), in);
	assert_int_equal(written, 1);
	return *in;
}

void netrig_fill(uint8_t *p, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* ---- tests of the whole device ---- */

int netfix_setup(void **state)
{
	struct netfix *f = calloc(1, sizeof(*f));

	BUG_ON(!f);
	f->r = netrig_new();
	*state = f;
	return 0;
}

int netfix_teardown(void **state)
{
	struct netfix *f = *state;

	netrig_free(f->r);
	free(f);
	return 0;
}

void netfix_kinds(struct netfix *f, void (*fn)(struct netfix *f))
{
	netrig_dev(f->r, 1);
	for (unsigned int i = 0; i < 8; i++) {
		f->r->kind =
			(struct vqd_cfg){ .packed = i & 1, .event_idx = i & 2, .indirect = i & 4 };
		fn(f);
	}
}

void netfix_post(struct netfix *f, unsigned int q, unsigned int n, unsigned int size)
{
	while (n--)
		netrig_post_rx(f->r, q, (unsigned int[]){ size, 0 });
}

void netfix_receive(struct netfix *f, unsigned int pair, unsigned int len, unsigned int size)
{
	unsigned int want = (len + NET_HDR + size - 1) / size, done = 0;
	struct netrig *r = f->r;
	struct virtio_net_hdr_v1 h = { 0 };

	netrig_fill(f->out, len, (uint8_t)len);
	netrig_send(r, pair, NULL, f->out, len);
	for (unsigned int i = 0; i < want; i++) {
		unsigned int skip = i ? 0 : NET_HDR;
		uint32_t got;
		uint8_t *p = netrig_get(r, 2 * pair, &got);

		if (!i)
			memcpy(&h, p, sizeof(h));
		assert_true(got == size || i == want - 1);
		memcpy(f->in + done, p + skip, got - skip);
		done += got - skip;
	}
	assert_int_equal(h.num_buffers, want);
	assert_int_equal(done, len);
	assert_memory_equal(f->in, f->out, len);
}

uint64_t netfix_drops(struct netfix *f, unsigned int q, enum net_drop why)
{
	uint64_t d[VIO_NET_DROPS];

	vio_net_drops(&f->r->n->vio.dev, q, d);
	return d[why];
}
