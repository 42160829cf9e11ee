// SPDX-License-Identifier: BSD-3-Clause
/*
 * The back end of vhost-user with a front end that sends anything. The input is a row of records:
 * a byte that says which descriptors go along (low nibble how many, high nibble of which kind), a
 * byte of length, that many bytes. A queue that starts is walked as a device would walk it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/usock.h"
#include "virtio/ring/inflight.h"
#include "virtio/wire/back.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUES 2u
#define MEM    0x10000

struct dev {
	struct vq q[QUEUES];
	bool on[QUEUES];
};

static uint64_t features(void *dev)
{
	return 1ull << 28 | 1ull << 29 | 1ull << 32 | 1ull << 34;
}

static void walk(struct vq *q)
{
	struct iovec iov[64];
	struct vq_chain c = { .iov = iov, .cap = ARRAY_SIZE(iov) };
	unsigned int n;

	for (n = 0; n < 64 && vq_pop(q, &c) == 1; n++)
		vq_push(q, &c, 0);
	(void)!vq_publish(q);
}

static int start(void *dev, const struct vu_back_queue *from)
{
	struct dev *d = dev;
	struct vq *q = &d->q[from->index];
	int ret;

	BUG_ON(from->index >= QUEUES || d->on[from->index]);
	ret = from->inflight ? vq_start_inflight(q, from->mem, &from->cfg, from->inflight)
			     : vq_start(q, from->mem, &from->cfg);
	if (ret)
		return ret;
	d->on[from->index] = true;
	walk(q);
	return 0;
}

static void stop(void *dev, unsigned int i, uint16_t *avail_idx, uint16_t *used_idx)
{
	struct dev *d = dev;

	BUG_ON(!d->on[i]);
	vq_state(&d->q[i], avail_idx, used_idx);
	d->on[i] = false;
}

static void call_changed(void *dev, unsigned int i, int call)
{
}

static void config_read(void *dev, unsigned int off, unsigned int size, uint8_t *buf)
{
	memset(buf, 0x5a, size);
}

static const struct vu_back_ops ops = {
	.features = features,
	.queue_start = start,
	.queue_stop = stop,
	.call_changed = call_changed,
	.config_read = config_read,
};

static int fd_of(unsigned int kind)
{
	int fd;

	switch (kind % 4) {
	case 0:
		fd = memfd_create("guest", MFD_CLOEXEC);
		BUG_ON(fd < 0 || ftruncate(fd, MEM));
		return fd;
	case 1:
		return eventfd(0, EFD_CLOEXEC);
	case 2:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	default:
		return memfd_create("empty", MFD_CLOEXEC);
	}
}

static void send_record(int to, const uint8_t *p, size_t len, unsigned int nfds, unsigned int kind)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { (void *)(uintptr_t)p, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd[16];

	for (unsigned int i = 0; i < nfds; i++)
		fd[i] = fd_of(kind);
	usock_fds(&m, ctl.buf, fd, nfds);
	(void)!sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (unsigned int i = 0; i < nfds; i++)
		close(fd[i]);
}

static void drain(int fd)
{
	uint8_t buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static int front(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	BUG_ON(fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void turns(struct ev *ev)
{
	for (unsigned int i = 0; i < 3; i++)
		BUG_ON(ev_turn(ev, 0) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dir[] = "/tmp/sluice-fuzz-XXXXXX", path[64];
	struct dev d = { 0 };
	struct vu_back_cfg c = { .name = "fuzz",
				 .path = path,
				 .queues = QUEUES,
				 .mem_slots = 8,
				 .ops = &ops,
				 .dev = &d };
	struct log log = { 0 };
	struct err e = { 0 };
	struct vu_back *b;
	struct ev *ev;
	int fd;

	BUG_ON(!mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	BUG_ON(ev_new(sys_host(), &ev) || vu_back_new(sys_host(), &log, ev, &c, &b, &e));
	fd = front(path);
	turns(ev);
	while (size >= 2) {
		size_t len = MIN((size_t)data[1], size - 2);

		send_record(fd, data + 2, len, data[0] & 15, data[0] >> 4);
		turns(ev);
		drain(fd);
		for (unsigned int i = 0; i < QUEUES; i++)
			if (d.on[i])
				walk(&d.q[i]);
		data += 2 + len;
		size -= 2 + len;
	}
	close(fd);
	turns(ev);
	BUG_ON(d.on[0] || d.on[1]);
	vu_back_free(b);
	ev_free(ev);
	rmdir(dir);
	return 0;
}
