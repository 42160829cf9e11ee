// SPDX-License-Identifier: BSD-3-Clause
/* Would a backend answer? Asked before anything is changed, so that another mode can be chosen. */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include "base/ev.h"
#include "virtio/vio.h"
#include "virtio/vu_dev.h"
#include "virtio/wire/msg.h"

#define PROBE_NS 1000000000ull

struct probe {
	struct sys *sys;
	struct vu_sock k;
	struct vu_msg m;
	struct err *e;
	int rc; /* of the reading: 0: not yet */
};

static void on_reply(void *arg, uint32_t events)
{
	struct probe *p = arg;

	p->rc = vu_sock_recv(&p->k, VU_TO_FRONT, &p->m, p->e);
	if (p->rc == 1)
		vu_msg_drop(p->sys, &p->m);
}

/* GET_FEATURES, within PROBE_NS; features in *out. */
static int ask(struct probe *p, struct ev *ev, uint64_t *out)
{
	const struct vu_msg m = { .h = { VU_GET_FEATURES, VU_VERSION, 0 } };
	uint64_t end = sys_now_ns(p->sys) + PROBE_NS;
	struct ev_src *src;
	int rc = ev_add(ev, p->k.fd, EPOLLIN, on_reply, p, &src);

	if (!rc)
		rc = vu_sock_send(&p->k, &m);
	if (rc)
		return err_sys(p->e, rc, "cannot ask the backend");
	for (uint64_t now = sys_now_ns(p->sys); !rc && !p->rc && now < end;
	     now = sys_now_ns(p->sys))
		rc = ev_turn(ev, (int)((end - now) / 1000000 + 1));
	ev_del(src);
	if (rc)
		return err_sys(p->e, rc, "cannot wait for the backend");
	if (!p->rc)
		return err_set(p->e, -ETIMEDOUT,
			       "something listens and does not answer within 1 s");
	if (p->rc < 0)
		return p->rc;
	if (p->m.h.req != VU_GET_FEATURES)
		return err_set(p->e, -EPROTO, "the answer to GET_FEATURES is one to %s",
			       vu_req_name(p->m.h.req));
	*out = p->m.u.u64;
	return 0;
}

static int probe_client(struct sys *s, const char *path, bool disk, uint64_t *out, struct err *e)
{
	struct probe p = { .sys = s, .e = e };
	struct ev *ev = NULL;
	int fd = vu_connect(s, path, e), rc;

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(
			e, fd,
			"no backend listens at %s: start it, or give role=server if it is the "
			"one that connects",
			path);
	if (fd < 0)
		return fd;
	vu_sock_init(&p.k, s, fd);
	rc = vu_peer_check(s, fd, e);
	if (!rc) {
		rc = ev_new(s, &ev);
		if (rc)
			err_sys(e, rc, "event loop");
	}
	if (!rc)
		rc = ask(&p, ev, out);
	if (!rc && !(*out & VIO_F_VERSION_1))
		rc = err_set(e, -ENOTSUP, "the backend does not know virtio 1");
	if (!rc && disk && !(*out & VU_F_PROTOCOL))
		rc = err_set(e, -ENOTSUP,
			     "the backend has no protocol features: it is none for disks");
	vu_sock_close(&p.k);
	ev_free(ev);
	if (rc)
		err_prefix(e, "the backend at %s: ", path);
	return rc;
}

static int probe_server(struct sys *s, const char *path, struct err *e)
{
	char buf[PATH_MAX];
	struct stat st;
	int rc;

	if (snprintf(buf, sizeof(buf), "%s", path) >= (int)sizeof(buf))
		return err_set(e, -ENAMETOOLONG, "the path of the socket is too long");
	rc = sys_stat(s, dirname(buf), &st);
	if (rc)
		return err_sys(e, rc, "the folder of %s: make it, with mode 0700", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "%s is not in a folder", path);
	return 0;
}

int vu_probe(struct sys *s, const char *path, bool server, bool disk, uint64_t *features,
	     struct err *e)
{
	*features = UINT64_MAX;
	return server ? probe_server(s, path, e) : probe_client(s, path, disk, features, e);
}
