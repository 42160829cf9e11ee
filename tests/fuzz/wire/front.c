// SPDX-License-Identifier: BSD-3-Clause
/*
 * A backend that means harm: it does what a backend does, so that all of the negotiation is
 *reached, and the input says where it does something else. Each message takes a byte:
 *
 *	0-127	answer well
 *	128-	 3 bits: which field of the reply becomes the next 8 bytes, or what happens instead
 *
 * Whatever came, a good backend must be served afterwards, and nothing may be left open.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/wire/fronttest.h"

#define FEATURES (VIO_F_VERSION_1 | VIO_F_INDIRECT | VIO_F_EVENT_IDX)

struct in {
	const uint8_t *p;
	size_t n;
	struct front *f;
	unsigned int conns; /* when the backend became good */
};

static uint64_t take(struct in *in, unsigned int bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		v |= in->n ? (uint64_t)*in->p << 8 * i : 0;
		in->p += in->n != 0;
		in->n -= in->n != 0;
	}
	return v;
}

static void raw(struct fakeback *b, struct in *in)
{
	uint8_t buf[64];
	size_t n = take(in, 1) % sizeof(buf);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)take(in, 1);
	(void)!send(b->k.fd, buf, n, MSG_NOSIGNAL);
}

static enum fb_act hook(struct fakeback *b, const struct vu_msg *req, struct vu_msg *r)
{
	struct in *in = b->arg;
	uint8_t op = in->n ? (uint8_t)take(in, 1) : 0;

	if (op < 128)
		return FB_ANSWER;
	switch (op & 7) {
	case 0:
		r->u.u64 = take(in, 8);
		break;
	case 1:
		r->h.size = (uint32_t)take(in, 2) % (sizeof(r->u) + 1);
		break;
	case 2:
		r->h.req = (uint32_t)take(in, 1);
		break;
	case 3:
		r->h.flags = (uint32_t)take(in, 1);
		break;
	case 4:
		if (r->nfds < VU_FDS_MAX)
			r->fd[r->nfds++] = eventfd(0, EFD_CLOEXEC);
		break;
	case 5:
		r->u.raw[take(in, 1)] = (uint8_t)take(in, 1);
		break;
	case 6:
		return FB_HANG_UP;
	case 7:
		raw(b, in);
		break;
	}
	return FB_ANSWER;
}

static bool used_up(void *arg)
{
	struct in *in = arg;
	struct front *f = in->f;
	struct vu_dev_info i;

	vu_dev_info(f->t.dev, &i);
	return !in->n || i.state == VU_NEEDS_RESET || fb_ready(&f->b, f->want);
}

static bool again(void *arg)
{
	struct in *in = arg;
	struct vu_dev_info i;

	vu_dev_info(in->f->t.dev, &i);
	return i.state == VU_CONNECTED && in->f->b.conns > in->conns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { .p = data, .n = size };
	uint8_t kind = (uint8_t)take(&in, 1);
	struct front_cfg c = { .disk = kind & 1, .late = true, .scale = 1000 };
	struct front *f = malloc(sizeof(*f));

	BUG_ON(!f);
	front_up(f, &c);
	in.f = f;
	f->b.hook = hook;
	f->b.arg = &in;
	if (kind & 2)
		f->b.proto &= ~(VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_MEM_SLOTS));
	front_driver(f, FEATURES, 64);
	front_add(f, 0, 1);
	fb_listen(&f->b);
	fb_run(&f->b, used_up, &in);
	/* what is left is said while the rings are let go */
	front_reset(f);
	f->b.hook = NULL;
	in.conns = f->b.conns;
	fb_hang_up(&f->b);
	fb_run(&f->b, again, &in);
	front_driver(f, FEATURES, 64);
	front_add(f, 0, 2);
	front_rings(f);
	front_echo(f, 0, 2, 1);
	fb_die(&f->b);
	front_down(f);
	free(f);
	return 0;
}
