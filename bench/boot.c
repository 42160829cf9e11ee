// SPDX-License-Identifier: BSD-3-Clause
/*
 * One boot: a backend where the mode needs one, the machine, and the talk with its guest. The guest
 * waits at "start" and at "stop" until it gets a byte; meanwhile the counters are read. A boot ends
 * with the guest's "end", or with a sentence why it did not.
 */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ctl.h"
#include "bench/proto.h"
#include "bench/wire.h"

#define BACKEND_WAIT_MS 15000
#define CTL_WAIT_S	10

/**
 * struct talk - a boot under way
 * @at:     counters at "start"; @ran: and those of "stop" are @to, of test @test
 * @sample: of the last result, for the histogram that follows it; NULL: none
 */
struct talk {
	struct bench_boot *b;
	struct bench_place place;
	struct bench_proc vmm, backend;
	struct bench_probe probe;
	struct ctl_reader reader;
	int fd, log;
	struct bench_counts from, to;
	char test[BENCH_NAME_SIZE];
	bool hello, started, ran, ended;
	bool wire_made; /* the wire's interface came with this boot */
	struct bench_sample *sample;
	struct bench_peer *peer;
	struct err e;
};

/* ---- what the guest says ---- */

static const struct bench_load *load_of(const struct bench_boot *b, const char *test)
{
	unsigned int i;

	for (i = 0; i < b->n_loads; i++)
		if (!strcmp(b->loads[i]->name, test) ||
		    (!b->cfg->on_linux && !strcmp(b->loads[i]->guest, test)))
			return b->loads[i];
	return NULL;
}

/* Our machine pins its threads by itself; QEMU's are moved once they are all there. */
static void pin_qemu(struct talk *t)
{
	const struct bench_cfg *c = t->b->cfg;
	struct bench_threads th;
	unsigned int i;
	cpu_set_t set;

	if (t->b->side.vmm != BENCH_QEMU || c->cpu < 0)
		return;
	bench_threads(t->b->sys, t->vmm.pid, &th);
	for (i = 0; i < th.n; i++) {
		int cpu = th.kind[i] == BENCH_CPU_VCPU ? c->cpu : c->io_cpu;

		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		sched_setaffinity(th.tid[i], sizeof(set), &set);
	}
}

/* The control socket of our machine, with a limit on waiting for its answers. */
static void probe_open(struct talk *t)
{
	const struct timeval limit = { .tv_sec = CTL_WAIT_S };

	t->probe = (struct bench_probe){ .sys = t->b->sys,
					 .vmm = t->b->side.vmm,
					 .pid = t->vmm.pid,
					 .backend = t->backend.pid,
					 .ctl = -1,
					 .n_perf = -1,
					 .memory = t->b->cfg->memory };
	if (t->b->side.vmm == BENCH_SLUICE &&
	    !ctl_connect(t->b->sys, t->place.control, &t->probe.ctl, NULL))
		setsockopt(t->probe.ctl, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* The host's end of the wire takes up what a load needs of it; without a wire nobody answers. */
static int peer_set(struct talk *t, enum bench_peer_kind kind, unsigned int size)
{
	const struct bench_boot *b = t->b;
	struct bench_peer_spec spec = { .ifname = bench_wire(b->cfg, &b->side, &t->place),
					.kind = kind,
					.on_call = b->cfg->on_linux,
					.size = size,
					.to = t->place.mac,
					.cpu = b->cfg->peer_cpu };

	bench_peer_stop(t->peer);
	t->peer = NULL;
	if (!spec.ifname || kind == BENCH_PEER_NONE)
		return 0;
	spec.raise = t->wire_made;
	return bench_peer_start(b->sys, &spec, &t->peer, &t->e);
}

/* A Linux guest looks for an echo before each of its loads, so that the wire is known to work. */
static int peer_first(struct talk *t)
{
	const struct bench_load *l = t->b->loads[0];

	if (!t->b->cfg->on_linux)
		return peer_set(t, l->peer, l->size);
	return peer_set(t, l->topic == BENCH_NET ? BENCH_PEER_ECHO : BENCH_PEER_NONE, 0);
}

static int on_hello(struct talk *t, const struct bench_msg *m)
{
	if (m->status != BENCH_MSG_VERSION)
		return err_set(&t->e, -EPROTO,
			       "the guest speaks version %lld of the protocol, %d is known",
			       (long long)m->status, BENCH_MSG_VERSION);
	t->hello = true;
	probe_open(t);
	pin_qemu(t);
	return peer_first(t);
}

static int answer(struct talk *t, char byte)
{
	int ret = sys_write_all(t->b->sys, t->fd, &byte, 1);

	return ret ? err_sys(&t->e, ret, "cannot write to the guest's serial port") : 0;
}

/* This load cannot be, the next one may. The reason is said once. */
static int leave_out(struct talk *t, const struct bench_load *l)
{
	if (!t->b->round)
		(void)!bench_skip_add(t->b->result, bench_mode_name(t->b->side.mode),
				      bench_vmm_name(t->b->side.vmm), l->name, "%s", t->e.text);
	err_clear(&t->e);
	return peer_first(t) ? t->e.code : answer(t, BENCH_LEAVE);
}

static int on_start(struct talk *t, const struct bench_msg *m)
{
	const struct bench_load *l = load_of(t->b, m->test);

	if (l && t->b->cfg->on_linux && peer_set(t, l->peer, l->size))
		return leave_out(t, l);
	snprintf(t->test, sizeof(t->test), "%s", m->test);
	t->started = true;
	t->ran = false;
	bench_probe_start(&t->probe);
	bench_count(&t->probe, &t->from);
	if (t->b->counting) /* last, and first at "stop": reading counters is work too */
		t->from.instructions = bench_clock_work(t->b->sys);
	return answer(t, BENCH_GO);
}

static int on_stop(struct talk *t, const struct bench_msg *m)
{
	int64_t work = t->b->counting ? bench_clock_work(t->b->sys) : BENCH_NONE;

	t->ran = t->started && !strcmp(t->test, m->test);
	bench_count(&t->probe, &t->to);
	t->to.instructions = work;
	bench_probe_stop(&t->probe);
	t->started = false;
	if (t->b->cfg->on_linux && peer_first(t))
		return t->e.code;
	return answer(t, BENCH_GO);
}

static int on_result(struct talk *t, const struct bench_msg *m)
{
	const struct bench_load *l = load_of(t->b, m->test);
	const struct bench_side *side = &t->b->side;
	struct bench_column *c = NULL;
	struct bench_test *test;
	struct bench_sample *s;

	if (!l)
		return err_set(&t->e, -EPROTO,
			       "the guest has a result of %s, which nobody asked for", m->test);
	test = bench_test_add(t->b->result, l->name, l->title, l->unit, l->unit != BENCH_NS);
	if (test)
		c = bench_column_add(test, bench_mode_name(side->mode), bench_vmm_name(side->vmm));
	s = c ? bench_sample_add(c) : NULL;
	if (!s)
		return err_set(&t->e, -ENOMEM, "no room for the result of %s", m->test);
	s->round = t->b->round;
	s->order = t->b->order;
	s->ops = m->ops;
	s->ns = m->ns;
	s->bytes = m->bytes;
	s->errors = m->errors;
	s->p50_ns = m->p50_ns;
	s->p99_ns = m->p99_ns;
	s->p999_ns = m->p999_ns;
	if (t->ran && !strcmp(t->test, m->test))
		bench_count_delta(&t->from, &t->to, s);
	t->sample = s;
	return 0;
}

/* Clocks tick in nanoseconds coarsely, so that two buckets may end at the same one. */
static int on_hist(struct talk *t, const struct bench_msg *m)
{
	struct bench_sample *s = t->sample;
	size_t i;

	for (i = 0; s && i < m->n_bucket; i++) {
		const struct bench_bucket *b = &m->bucket[i];

		if (s->n_hist && s->hist[s->n_hist - 1].upper_ns == b->upper_ns)
			s->hist[s->n_hist - 1].count += b->count;
		else if (bench_sample_bucket(s, b->upper_ns, b->count))
			return err_set(&t->e, -EPROTO,
				       "the histogram of %s is out of order or too long", m->test);
	}
	return 0;
}

/* The same refusal in each round is said once. */
static int on_skip(struct talk *t, const struct bench_msg *m)
{
	const struct bench_load *l = load_of(t->b, m->test);

	if (l && !t->b->round)
		(void)!bench_skip_add(t->b->result, bench_mode_name(t->b->side.mode),
				      bench_vmm_name(t->b->side.vmm), l->name, "%s",
				      m->text[0] ? m->text : "the guest does not say why");
	return 0;
}

static int on_end(struct talk *t, const struct bench_msg *m)
{
	t->ended = true;
	return m->status ? err_set(&t->e, -EIO, "the guest ended with status %lld",
				   (long long)m->status)
			 : 1;
}

/* What the guest knows of itself goes beside what we know of the host. */
static int on_info(struct talk *t, const struct bench_msg *m)
{
	(void)!bench_env_str(t->b->result, "guest-info", "%s", m->text);
	return 0;
}

/* One line, of any kind. Non-zero ends the talk. */
static int on_line(void *arg, const char *line, size_t len)
{
	static int (*const on[])(struct talk * t, const struct bench_msg *m) = {
		[BENCH_MSG_HELLO] = on_hello,	[BENCH_MSG_INFO] = on_info,
		[BENCH_MSG_START] = on_start,	[BENCH_MSG_STOP] = on_stop,
		[BENCH_MSG_RESULT] = on_result, [BENCH_MSG_HIST] = on_hist,
		[BENCH_MSG_SKIP] = on_skip,	[BENCH_MSG_END] = on_end,
	};
	struct talk *t = arg;
	struct bench_msg m;

	if (!line)
		return 0;
	if (bench_msg_parse(&m, line, len, &t->e))
		return -EPROTO;
	if (m.kind == BENCH_MSG_NOISE || (!t->hello && m.kind != BENCH_MSG_HELLO))
		return 0;
	return on[m.kind](t, &m);
}

/* ---- the machine ---- */

/* The last line of the children's that calls itself an error, or the last, or nothing: it says what
 * went wrong better than a status. A backend goes on talking when its machine is gone.
 */
static void log_tail(struct talk *t)
{
	char buf[4096], *line, *say = NULL, *save = NULL;
	off_t end = lseek(t->log, 0, SEEK_END), at = MAX(end - (off_t)sizeof(buf) + 1, (off_t)0);
	ssize_t n = pread(t->log, buf, sizeof(buf) - 1, at);

	if (n <= 0)
		return;
	buf[n] = 0;
	for (line = strtok_r(buf, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		if (!say || strstr(line, "error: ") || !strstr(say, "error: "))
			say = line;
	if (say)
		err_append(&t->e, ": %.400s", say);
}

static int place_make(struct bench_place *p, struct err *e)
{
	const char *tmp = getenv("TMPDIR"), *own;

	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(p->dir, sizeof(p->dir), "%s/sluice-bench-XXXXXX", tmp);
	if (!mkdtemp(p->dir)) {
		p->dir[0] = 0;
		return err_sys(e, -errno, "cannot make a folder in %s", tmp);
	}
	snprintf(p->control, sizeof(p->control), "%s/control", p->dir);
	snprintf(p->backend, sizeof(p->backend), "%s/backend", p->dir);
	snprintf(p->log, sizeof(p->log), "%s/log", p->dir);
	/* The letters of the folder are nobody else's, so those of interface and card are not
	 * either.
	 */
	own = p->dir + strlen(p->dir) - 6;
	snprintf(p->wire, sizeof(p->wire), "sb-%.6s", own);
	p->mac[0] = 0x02; /* locally administered */
	memcpy(p->mac + 1, own + 1, 5);
	return 0;
}

static void place_remove(struct bench_place *p)
{
	if (!p->dir[0])
		return;
	unlink(p->control);
	unlink(p->backend);
	unlink(p->log);
	rmdir(p->dir);
}

static int backend_start(struct talk *t)
{
	const struct bench_boot *b = t->b;
	struct bench_args a = { 0 };
	unsigned int ms;
	int ret = 0, null;

	bench_backend_args(b->cfg, &b->side, b->loads[0]->topic, &t->place, &a);
	if (!a.n)
		return 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Its poll loop is pinned by its own option; pinned too, the rest of it would starve there.
	 */
	ret = bench_spawn(&t->backend, &a, null, t->log, SIGTERM, -1, &t->e);
	close(null);
	bench_args_free(&a);
	for (ms = 0; !ret && !sys_exists(b->sys, "%s", t->place.backend); ms += 10) {
		if (!bench_proc_gone(&t->backend) && ms < BACKEND_WAIT_MS) {
			sys_sleep_ns(b->sys, 10000000);
			continue;
		}
		ret = err_set(&t->e, -EIO, "the backend makes no socket");
		log_tail(t);
	}
	return ret;
}

static int vmm_start(struct talk *t)
{
	const struct bench_boot *b = t->b;
	struct bench_args a = { 0 };
	int pair[2], ret;

	bench_vmm_args(b->cfg, &b->side, b->loads, b->n_loads, &t->place, b->round + 1, &a);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		ret = err_sys(&t->e, -errno, "socketpair");
	else
		ret = bench_spawn(&t->vmm, &a, pair[1], t->log,
				  b->side.vmm == BENCH_SLUICE ? SIGHUP : SIGTERM, -1, &t->e);
	bench_args_free(&a);
	if (ret)
		return ret;
	close(pair[1]);
	t->fd = pair[0];
	return 0;
}

/* How long the guest may be silent. Everything is slow where ring 0 is emulated. */
static int patience_ms(const struct bench_cfg *c)
{
	return (int)(c->on_linux ? 300 : 90) * 1000 + (int)MIN(c->seconds, 3600u) * 4000;
}

/* One wait and what came. 0: go on, 1: the guest is done, -errno. */
static int turn(struct talk *t)
{
	struct pollfd p[2] = { { .fd = t->fd, .events = POLLIN },
			       { .fd = t->b->stop, .events = POLLIN } };
	char buf[4096];
	ssize_t n;
	int ret = poll(p, 2, patience_ms(t->b->cfg));

	if (ret < 0)
		return errno == EINTR ? 0 : err_sys(&t->e, -errno, "poll");
	if (p[1].revents)
		return err_set(&t->e, -EINTR, "interrupted");
	if (!ret)
		return err_set(&t->e, -ETIMEDOUT, "the guest says nothing%s%s",
			       t->started ? " and is in " : "", t->started ? t->test : "");
	n = sys_read(t->b->sys, t->fd, buf, sizeof(buf));
	if (n > 0)
		return ctl_reader_feed(&t->reader, buf, (size_t)n, on_line, t);
	err_set(&t->e, -EIO,
		t->hello ? "the machine ended in the middle"
			 : "the machine ended before its guest spoke");
	log_tail(t);
	return -EIO;
}

/* An interface that somebody else made is not set up by us. */
static bool wire_missing(const struct talk *t)
{
	const char *wire = bench_wire(t->b->cfg, &t->b->side, &t->place);

	return wire && !if_nametoindex(wire);
}

int bench_boot(struct bench_boot *b, struct err *e)
{
	struct talk *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	t->b = b;
	t->fd = t->log = t->probe.ctl = -1;
	t->probe.n_perf = -1;
	ret = place_make(&t->place, &t->e);
	if (!ret) {
		t->wire_made = wire_missing(t);
		t->log = open(t->place.log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		ret = backend_start(t);
	}
	if (!ret)
		ret = vmm_start(t);
	while (!ret)
		ret = turn(t);
	bench_peer_stop(t->peer);
	/* Most end by themselves now; SIGHUP makes ours end in order. */
	if (ret > 0)
		bench_proc_wait(&t->vmm, 3000);
	bench_proc_end(&t->vmm, SIGHUP, 5000);
	bench_proc_end(&t->backend, SIGTERM, 3000);
	bench_probe_stop(&t->probe);
	sys_close(b->sys, &t->probe.ctl);
	sys_close(b->sys, &t->fd);
	sys_close(b->sys, &t->log);
	place_remove(&t->place);
	if (ret < 0 && e)
		*e = t->e;
	free(t);
	return ret < 0 ? ret : 0;
}
