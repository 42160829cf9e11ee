// SPDX-License-Identifier: BSD-3-Clause
/* A tap as the end of an emulated card's wire: a system call for each frame, headers as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include "vmm/backend/net_end.h"
#include "vmm/backend/tap.h"

struct tap_end {
	struct net_end end; /* first */
	struct sys *sys;
	struct tap tap;
	struct ev_src *src;
	bool wanted;
	ev_fn fn;
	void *arg;
};

static struct tap_end *of(struct net_end *n)
{
	return container_of(n, struct tap_end, end);
}

static void on_tap(void *arg, uint32_t events)
{
	struct tap_end *t = arg;

	t->fn(t->arg);
}

static int start(struct net_end *n, struct ev *ev, ev_fn fn, void *arg)
{
	struct tap_end *t = of(n);

	t->fn = fn;
	t->arg = arg;
	t->wanted = false;
	return ev_add(ev, t->tap.fd[0], 0, on_tap, t, &t->src);
}

static void stop(struct net_end *n)
{
	ev_del(of(n)->src);
	of(n)->src = NULL;
}

static int want(struct net_end *n, bool on)
{
	struct tap_end *t = of(n);
	int ret = on == t->wanted ? 0 : ev_mod(t->src, on ? EPOLLIN : 0);

	if (!ret)
		t->wanted = on;
	return ret;
}

static ssize_t take(struct net_end *n, void *buf, size_t size)
{
	return sys_read(of(n)->sys, of(n)->tap.fd[0], buf, size);
}

static ssize_t give(struct net_end *n, const void *buf, size_t len)
{
	return sys_write(of(n)->sys, of(n)->tap.fd[0], buf, len);
}

static void end_free(struct net_end *n)
{
	tap_close(of(n)->sys, &of(n)->tap);
	free(of(n));
}

static const struct net_end_ops ops = {
	.start = start,
	.stop = stop,
	.want = want,
	.recv = take,
	.send = give,
	.free = end_free,
};

int tap_end_new(struct sys *s, const struct tap *tap, struct net_end **out)
{
	struct tap_end *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->end.ops = &ops;
	t->sys = s;
	t->tap = *tap;
	*out = &t->end;
	return 0;
}

int tap_end_open(struct sys *s, const char *name, struct net_end **out, struct err *e)
{
	struct tap tap;
	int ret = tap_open(s, name, 1, &tap, e);

	if (ret)
		return ret;
	ret = tap_end_new(s, &tap, out);
	if (ret) {
		tap_close(s, &tap);
		return err_set(e, ret, "out of memory");
	}
	return 0;
}
