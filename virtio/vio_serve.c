// SPDX-License-Identifier: BSD-3-Clause
/*
 * What every device that serves a queue on a loop does: watch the kick, turn notifications off
 * while buffers are taken and on before waiting, tell the driver once for all that were handed
 * back, and give up when the queue is broken.
 *
 * While notifications are off the loop looks at the ring (base/ev.h), be it for longer than it
 * takes to serve what is there.
 */
#include <errno.h>
#include "virtio/vio_serve.h"
#include "vmm/core/vm.h"

static void publish(struct vio_serve *s)
{
	bool some = s->vq.staged;

	if (vq_publish(&s->vq))
		vio_call(s->v, s->q);
	else
		s->spared += some;
}

/* Once through the ring; false: no more before vio_serve_again(). */
static bool turn(struct vio_serve *s)
{
	bool more;

	s->yielded = false;
	vq_notify(&s->vq, false);
	more = s->serve(s);
	if (s->vq.broken)
		return false;
	publish(s);
	return more;
}

static bool look(void *arg)
{
	struct vio_serve *s = arg;

	if (!s->yielded && !vq_pending(&s->vq))
		return false;
	if (!turn(s))
		ev_poll_off(&s->poll);
	return true;
}

/* Notifications on, then one more look: the driver may have been in between. */
static bool arm(void *arg)
{
	struct vio_serve *s = arg;

	return vq_notify(&s->vq, true) || s->yielded;
}

void vio_serve_again(struct vio_serve *s)
{
	if (!s->on || s->paused)
		return;
	if (turn(s))
		ev_poll_on(&s->poll);
	else
		ev_poll_off(&s->poll);
}

static void kicked(void *arg, uint32_t events)
{
	struct vio_serve *s = arg;
	uint64_t n;

	if (sys_read(s->v->dev.vm->sys, s->v->q[s->q].kick, &n, sizeof(n)) == sizeof(n))
		s->kicks += n;
	vio_serve_again(s);
}

void vio_serve_broken(struct vio_serve *s, const char *why)
{
	s->vq.broken = why;
	ev_poll_off(&s->poll);
	ev_del(s->src);
	s->src = NULL;
	vio_needs_reset(s->v, why);
}

bool vio_serve_pop(struct vio_serve *s, struct vq_chain *c)
{
	int rc = vq_pop(&s->vq, c);

	if (rc >= 0)
		return rc;
	vio_serve_broken(s, s->vq.broken);
	return false;
}

void vio_serve_push(struct vio_serve *s, const struct vq_chain *c, uint32_t written)
{
	s->bufs++;
	vq_push(&s->vq, c, written);
}

bool vio_serve_yield(struct vio_serve *s)
{
	s->yielded = true;
	return true;
}

/* ---- start and stop: on the I/O thread, by way of struct job ---- */

struct job {
	struct vio_serve *s;
	int rc;
};

/* What the driver put there before is found without its kick. */
static int watch(struct vio_serve *s)
{
	struct ev *ev = vm_iothread_ev(s->io);
	int rc = ev_add(ev, s->v->q[s->q].kick, EPOLLIN, kicked, s, &s->src);

	s->yielded = false;
	ev_poll_init(&s->poll, ev, look, arm, s);
	s->poll.files = true;
	if (!rc)
		vio_serve_again(s);
	return rc;
}

static void unwatch(struct vio_serve *s)
{
	ev_poll_off(&s->poll);
	ev_del(s->src);
	s->src = NULL;
}

static void do_start(void *arg)
{
	struct job *j = arg;
	struct vio_serve *s = j->s;
	struct vq_cfg cfg;

	vio_vq_cfg(s->v, s->q, &cfg);
	j->rc = vq_start(&s->vq, &s->v->mem, &cfg);
	if (j->rc)
		return;
	s->on = true;
	s->paused = false;
	j->rc = watch(s);
	if (j->rc)
		s->on = false;
}

static void do_stop(void *arg)
{
	struct job *j = arg;

	unwatch(j->s);
	j->s->on = false;
}

static void do_pause(void *arg)
{
	struct job *j = arg;

	j->s->paused = true;
	unwatch(j->s);
}

static void do_resume(void *arg)
{
	struct job *j = arg;

	j->s->paused = false;
	if (!j->s->vq.broken)
		j->rc = watch(j->s);
}

static int run(struct vio_serve *s, ev_fn fn)
{
	struct job j = { .s = s };

	vm_iothread_call(s->io, fn, &j);
	return j.rc;
}

int vio_serve_start(struct vio_serve *s)
{
	return s->v->q[s->q].enabled ? run(s, do_start) : 0;
}

void vio_serve_stop(struct vio_serve *s)
{
	if (s->on)
		(void)run(s, do_stop);
}

int vio_serve_pause(struct vio_serve *s, bool on)
{
	if (!s->on || s->paused == on)
		return 0;
	return run(s, on ? do_pause : do_resume);
}
