// SPDX-License-Identifier: BSD-3-Clause
/* The entropy device (virtio 1.2, 5.4): one queue of buffers to fill, and nothing else. */
#include <errno.h>
#include <sys/random.h>
#include "virtio/misc.h"
#include "virtio/vio_serve.h"

#define RNG_QSIZE   64
#define RNG_BYTES   KIB(64) /* of one buffer; the rest of a larger one is left alone */
#define RNG_AT_ONCE 4	    /* buffers, before others on the thread have their turn */
#define RNG_IOVS    RNG_QSIZE

struct rng {
	struct vio v; /* first */
	struct vio_serve s;
	struct iovec iov[RNG_IOVS];
	uint64_t bytes;
};

static struct rng *rng_of(struct vio *v)
{
	return container_of(v, struct rng, v);
}

/* Straight into guest memory; a failure hands over what there is, which a driver must expect. */
static size_t fill(const struct iovec *v)
{
	size_t done = 0, want = MIN(v->iov_len, RNG_BYTES);

	while (done < want) {
		ssize_t n = getrandom((uint8_t *)v->iov_base + done, want - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static uint32_t fill_chain(const struct vq_chain *c)
{
	size_t done = 0;

	for (unsigned int i = c->nout; i < c->nout + c->nin && done < RNG_BYTES; i++) {
		struct iovec v = c->iov[i];

		v.iov_len = MIN(v.iov_len, RNG_BYTES - done);
		done += fill(&v);
	}
	return (uint32_t)done;
}

static bool rng_serve(struct vio_serve *s)
{
	struct rng *r = rng_of(s->v);

	for (unsigned int i = 0; i < RNG_AT_ONCE; i++) {
		struct vq_chain c = { .iov = r->iov, .cap = RNG_IOVS };
		uint32_t n;

		if (!vio_serve_pop(s, &c))
			return true;
		n = fill_chain(&c);
		r->bytes += n;
		vio_serve_push(s, &c, n);
	}
	return vio_serve_yield(s);
}

static uint64_t rng_features(struct vio *v)
{
	return VIO_F_RING | VIO_F_RING_RESET;
}

static int rng_start(struct vio *v)
{
	return vio_serve_start(&rng_of(v)->s);
}

static int rng_stop(struct vio *v)
{
	vio_serve_stop(&rng_of(v)->s);
	return 0;
}

static int rng_pause(struct vio *v, bool on)
{
	return vio_serve_pause(&rng_of(v)->s, on);
}

static int rng_queue_start(struct vio *v, unsigned int q)
{
	return rng_start(v);
}

static int rng_queue_stop(struct vio *v, unsigned int q)
{
	return rng_stop(v);
}

static const struct vio_ops rng_ops = {
	.name = "rng",
	.type = 4,
	.features = rng_features,
	.start = rng_start,
	.stop = rng_stop,
	.pause = rng_pause,
	.queue_start = rng_queue_start,
	.queue_stop = rng_queue_stop,
};

int vio_rng_new(struct sys *s, const char *id, struct vm_iothread *io, uint64_t hide,
		struct vm_dev **out, struct err *e)
{
	struct vio *v;
	int rc = vio_new(&rng_ops, sizeof(struct rng), id, 1, RNG_QSIZE, hide, &v);

	if (rc)
		return err_set(e, rc, "%s: out of memory", id);
	rng_of(v)->s = (struct vio_serve){ .v = v, .io = io, .serve = rng_serve };
	*out = &v->dev;
	return 0;
}
