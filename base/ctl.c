// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control socket's server. It lives on the main loop beside the machine, so no client may make
 * it wait: sockets are non-blocking, answers queue per client, and a client whose queue has grown
 * too long is dropped.
 */
#include "base/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/usock.h"

/* Answers that a client has not taken yet. A stat of 16 vCPUs is below 100 KiB. */
#define OUT_MAX (8u << 20)

/* struct ctl_client - one connection; out[sent..nout) is still to be sent. */
struct ctl_client {
	struct ctl *ctl;
	int fd;
	struct ev_src *src;
	struct ctl_reader in;
	char *out;
	size_t nout, sent;
};

struct ctl {
	struct sys *sys;
	const struct log *log;
	struct ev *ev;
	const struct ctl_cmd *cmds;
	void *arg;
	int fd;
	char *path;
	struct ev_src *src;
	struct ctl_client *client[CTL_CLIENTS_MAX];
	struct log_limit limit;
};

/* Frees cl; legal inside its own event, since ev_del() is. */
static void client_drop(struct ctl_client *cl)
{
	unsigned int i;

	for (i = 0; i < CTL_CLIENTS_MAX; i++)
		if (cl->ctl->client[i] == cl)
			cl->ctl->client[i] = NULL;
	ev_del(cl->src);
	sys_close(cl->ctl->sys, &cl->fd);
	free(cl->out);
	free(cl);
}

/* Send what the socket takes now. -EAGAIN: some is left. */
static int client_flush(struct ctl_client *cl)
{
	struct sys *s = cl->ctl->sys;

	while (cl->sent < cl->nout) {
		struct iovec v = { cl->out + cl->sent, cl->nout - cl->sent };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
		ssize_t n = sys_sendmsg(s, cl->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return (int)n;
		cl->sent += (size_t)n;
	}
	free(cl->out);
	cl->out = NULL;
	cl->nout = cl->sent = 0;
	return 0;
}

static int client_queue(struct ctl_client *cl, const char *text, size_t len)
{
	char *p;

	if (len > OUT_MAX || cl->nout > OUT_MAX - len)
		return -ENOBUFS;
	p = realloc(cl->out, cl->nout + len);
	if (!p)
		return -ENOMEM;
	memcpy(p + cl->nout, text, len);
	cl->out = p;
	cl->nout += len;
	return 0;
}

/* One request: its answer goes to the queue. An error drops the client. */
static int client_line(void *arg, const char *line, size_t len)
{
	struct ctl_client *cl = arg;
	json_t *o = ctl_answer(cl->ctl->cmds, cl->ctl->arg, line, len);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int ret = -ENOMEM;

	if (text) {
		ret = client_queue(cl, text, strlen(text));
		if (!ret)
			ret = client_queue(cl, "\n", 1);
	}
	free(text);
	json_decref(o);
	return ret;
}

/* -EPIPE is the ordinary end of a connection. */
static int client_read(struct ctl_client *cl)
{
	char buf[4096];
	struct iovec v = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n = sys_recvmsg(cl->ctl->sys, cl->fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	return n ? ctl_reader_feed(&cl->in, buf, (size_t)n, client_line, cl) : -EPIPE;
}

static void client_event(void *arg, uint32_t events)
{
	struct ctl_client *cl = arg;
	int ret = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		ret = client_read(cl);
	if (!ret || ret == -EAGAIN)
		ret = client_flush(cl);
	/* A client that does not take its answers gets no more of them. */
	if (!ret || ret == -EAGAIN)
		ret = ev_mod(cl->src, ret ? EPOLLOUT : EPOLLIN);
	if (ret) {
		if (ret != -EPIPE)
			log_limited(cl->ctl->log, &cl->ctl->limit, LOG_WARN,
				    "control socket: a client was dropped: %s", strerror(-ret));
		client_drop(cl);
	}
}

/* On success the fd is the client's and *fd is -1. */
static int client_new(struct ctl *c, int *fd)
{
	struct ctl_client *cl;
	unsigned int i;
	int ret;

	for (i = 0; i < CTL_CLIENTS_MAX && c->client[i]; i++)
		;
	if (i == CTL_CLIENTS_MAX)
		return -EMFILE;
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return -ENOMEM;
	cl->ctl = c;
	ret = ev_add(c->ev, *fd, EPOLLIN, client_event, cl, &cl->src);
	if (ret) {
		free(cl);
		return ret;
	}
	cl->fd = *fd;
	*fd = -1;
	c->client[i] = cl;
	return 0;
}

static void ctl_accept(void *arg, uint32_t events)
{
	struct ctl *c = arg;
	int fd = usock_accept(c->sys, c->fd, c->src);
	int ret = fd < 0 ? fd : usock_peer(c->sys, fd, NULL);

	if (!ret)
		ret = client_new(c, &fd);
	if (ret && ret != -EAGAIN)
		log_limited(c->log, &c->limit, LOG_WARN, "control socket: a client was refused: %s",
			    strerror(-ret));
	sys_close(c->sys, &fd);
}

static int ctl_listen(struct ctl *c, struct err *e)
{
	int ret = c->fd = usock_listen(c->sys, c->path, CTL_CLIENTS_MAX, e);

	if (ret < 0)
		return ret; /* the file at path is not ours: ctl_free() leaves it */
	ret = ev_add(c->ev, c->fd, EPOLLIN, ctl_accept, c, &c->src);
	return ret ? err_sys(e, ret, "cannot listen on %s", c->path) : 0;
}

int ctl_new(struct sys *s, const struct log *log, struct ev *ev, const char *path,
	    const struct ctl_cmd *cmds, void *arg, struct ctl **out, struct err *e)
{
	struct ctl *c;
	int ret;

	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	*c = (struct ctl){ .sys = s, .log = log, .ev = ev, .cmds = cmds, .arg = arg, .fd = -1 };
	c->path = strdup(path);
	ret = c->path ? ctl_listen(c, e) : err_set(e, -ENOMEM, "out of memory");
	if (ret) {
		ctl_free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void ctl_free(struct ctl *c)
{
	unsigned int i;

	if (!c)
		return;
	for (i = 0; i < CTL_CLIENTS_MAX; i++)
		if (c->client[i])
			client_drop(c->client[i]);
	ev_del(c->src);
	if (c->fd >= 0)
		sys_unlink(c->sys, c->path);
	sys_close(c->sys, &c->fd);
	free(c->path);
	free(c);
}
