// SPDX-License-Identifier: BSD-3-Clause
/* Mode vhost-user, and an emulated card on a socket: is there a backend where the port says? */
#include <errno.h>
#include <string.h>

#include "cmd/plan_priv.h"
#include "virtio/vu_end.h"

static bool same_socket(const struct plan *a, const struct plan *b)
{
	return (plan_mode(a) == PORT_VHOST_USER || plan_mode(a) == PORT_EMULATED) &&
	       a->spec->socket && !strcmp(a->spec->socket, b->spec->socket);
}

/* A backend may come later. One that is away is a refusal only where there is something else. */
static bool may_wait(const struct port_spec *s, int code)
{
	return !s->server && (code == -ENOENT || code == -ECONNREFUSED) &&
	       (s->mode == PORT_VHOST_USER || !port_names(s, PORT_VIRTIO));
}

int plan_vhost_user(struct planner *pl, struct plan *p, struct err *e)
{
	const struct port_spec *s = p->spec;
	const struct plan *other = plan_earlier(pl, p, same_socket);
	uint64_t has;
	int ret;

	if (other)
		return err_set(e, -EBUSY, "%s goes to port %s already", s->socket, other->spec->id);
	if (s->queues > PORT_QUEUES_MAX)
		return err_set(e, -EINVAL, "queues=%u: a virtio device has at most %u", s->queues,
			       PORT_QUEUES_MAX);
	ret = vu_probe(pl->sys, s->socket, s->server, s->kind == PORT_DISK, &has, e);
	if (may_wait(s, ret)) {
		plan_what(p, "a backend at %s, which is not there yet: waits for it", s->socket);
		err_clear(e);
		return 0;
	}
	if (ret)
		return ret;
	if (s->mode == PORT_EMULATED && (VU_END_NEEDS & ~has))
		return err_set(e, -ENOTSUP,
			       "the backend at %s lacks features 0x%llx: the checksums and the "
			       "segmentation of an e1000 are left to it",
			       s->socket, (unsigned long long)(VU_END_NEEDS & ~has));
	plan_what(p, "%s %s", s->server ? "a backend that connects to" : "the backend at",
		  s->socket);
	return 0;
}
