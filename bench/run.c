// SPDX-License-Identifier: BSD-3-Clause
/*
 * The interleaved run. A list of boots is made first: for each round, each load, and each side,
 * whose order moves by one every round. A side that the planner refuses, or that fails in its first
 * boot, is put into the result with its reason and left out from then on.
 */
#include "bench/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOADS_MAX 32 /* of bench_loads */

/**
 * struct job - one boot to come
 * @loads: first of @n_loads
 */
struct job {
	struct bench_side side;
	const struct bench_load *loads[LOADS_MAX];
	unsigned int n_loads, round, order;
};

/**
 * struct session - the whole
 * @off:   sides that are out of the game, by load
 * @spent: on @done boots, for the time that is left
 */
struct session {
	struct sys *sys;
	const struct bench_cfg *cfg;
	struct bench_result *result;
	struct job *jobs;
	unsigned int n_jobs, done;
	bool off[LOADS_MAX][BENCH_MODES][BENCH_VMMS];
	uint64_t began;
	int stop;
	bool tty, counting;
};

/* ---- the list ---- */

/* The loads of a topic that this guest can do and the user wants. */
static unsigned int loads_of(const struct bench_cfg *c, enum bench_topic t,
			     const struct bench_load *out[LOADS_MAX])
{
	const struct bench_load *l;
	unsigned int n = 0;

	for (l = bench_loads; l->name && n < LOADS_MAX; l++)
		if (l->topic == t && (c->on_linux ? l->on_linux : l->on_payload) &&
		    bench_load_wanted(c, l))
			out[n++] = l;
	return n;
}

static int job_add(struct session *s, const struct job *j)
{
	struct job *p = realloc(s->jobs, (s->n_jobs + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	s->jobs = p;
	s->jobs[s->n_jobs++] = *j;
	return 0;
}

/* One round of a topic. The payload does one load in a boot, Linux boots too slowly for that. */
static int round_add(struct session *s, enum bench_topic t, unsigned int round)
{
	const struct bench_load *loads[LOADS_MAX];
	struct bench_side sides[BENCH_SIDES_MAX];
	unsigned int n = loads_of(s->cfg, t, loads), m = bench_sides(s->cfg, t, sides), i, k;
	unsigned int step = s->cfg->on_linux ? n : 1;

	for (i = 0; i < n; i += step) {
		for (k = 0; k < m; k++) {
			struct job j = { .side = sides[bench_order(m, round, k)],
					 .n_loads = step,
					 .round = round,
					 .order = k };

			memcpy(j.loads, loads + i, step * sizeof(j.loads[0]));
			if (job_add(s, &j))
				return -ENOMEM;
		}
	}
	return 0;
}

/* A topic that this guest has no loads for. */
static void topics_look(struct session *s)
{
	const struct bench_load *loads[LOADS_MAX];
	unsigned int t;

	for (t = 0; t < BENCH_TOPICS; t++)
		if (s->cfg->topics & 1u << t && !s->cfg->only &&
		    !loads_of(s->cfg, (enum bench_topic)t, loads))
			(void)!bench_skip_add(s->result, "", "", "",
					      "%s: --guest payload measures it, linux does not",
					      bench_topic_name((enum bench_topic)t));
}

static int list_make(struct session *s)
{
	unsigned int round, t;
	int ret = 0;

	topics_look(s);
	for (round = 0; round < s->cfg->runs && !ret; round++)
		for (t = 0; t < BENCH_TOPICS && !ret; t++)
			if (s->cfg->topics & 1u << t)
				ret = round_add(s, (enum bench_topic)t, round);
	return ret;
}

/* ---- sides that cannot run ---- */

static bool *off_of(struct session *s, const struct job *j, const struct bench_load *l)
{
	return &s->off[l - bench_loads][j->side.mode][j->side.vmm];
}

/* all: of the topic, else the loads of this job. */
static void side_off(struct session *s, const struct job *j, bool all, const char *reason)
{
	const char *topic = bench_topic_name(j->loads[0]->topic),
		   *vmm = bench_vmm_name(j->side.vmm);
	const char *mode = bench_mode_name(j->side.mode);
	const struct bench_load *l;
	unsigned int i;

	for (l = bench_loads; all && l->name; l++)
		if (l->topic == j->loads[0]->topic)
			*off_of(s, j, l) = true;
	for (i = 0; !all && i < j->n_loads; i++)
		*off_of(s, j, j->loads[i]) = true;
	(void)!bench_skip_add(s->result, mode, vmm, all ? "" : j->loads[0]->name, "%s%s%s",
			      all ? topic : "", all ? ": " : "", reason);
	fprintf(stderr, "%ssluice: bench: %s, %s under %s: %s\n", s->tty ? "\r\033[K" : "",
		all ? topic : j->loads[0]->name, mode, vmm, reason);
}

/* "bench        virtio      no       REASON", or the error of a command line that has no plan. */
static void explain_reason(char *text, char *out, size_t size)
{
	char *line, *save = NULL, *w[4] = { 0 }, *p;
	unsigned int i;

	snprintf(out, size, "%.*s", (int)size - 1, text[0] ? text : "it does not say why");
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		for (i = 0, p = line; i < 3 && *p; i++) {
			w[i] = p;
			p += strcspn(p, " ");
			p += strspn(p, " ");
		}
		w[3] = p;
		if (i == 3 && !strncmp(w[2], "no ", 3)) {
			snprintf(out, size, "%.*s", (int)size - 1, w[3]);
			return;
		}
	}
	out[strcspn(out, "\n")] = 0;
	/* The rest of its first words is known to the reader. */
	p = strstr(out, "port bench: ");
	if (p)
		memmove(out, p + strlen("port bench: "), strlen(p + strlen("port bench: ")) + 1);
}

/* The planner itself is asked, with the command line that would be used. */
static bool explain(struct session *s, const struct job *j, char *why, size_t size)
{
	struct bench_place p = {
		.dir = "bench", .control = "control", .backend = "backend", .mac = { 2 }
	};
	struct bench_args a = { 0 };
	struct err e = { 0 };
	char text[4096];
	int ret;

	bench_vmm_args(s->cfg, &j->side, j->loads, j->n_loads, &p, 1, &a);
	bench_arg(&a, "--explain");
	ret = bench_capture(&a, text, sizeof(text), &e);
	bench_args_free(&a);
	if (ret < 0)
		snprintf(why, size, "%.*s", (int)size - 1, e.text);
	else if (ret)
		explain_reason(text, why, size);
	return !ret;
}

/* What the other VMM has no like of. */
static const char *qemu_refusal(const struct bench_cfg *c, const struct job *j)
{
	if (j->side.mode == BENCH_M_VFIO)
		return "QEMU makes no VFs: run it by hand with vfio-pci,host=";
	if (j->side.mode == BENCH_M_EMULATED_SHADOW)
		return "shadow doorbells are compared within Sluice";
	if (j->side.mode == BENCH_M_EMULATED_IOEVENTFD && j->loads[0]->topic == BENCH_NET)
		return "its e1000 has no ioeventfd";
	if (j->loads[0]->topic == BENCH_NET && !c->net_tap && j->side.mode != BENCH_M_VHOST_USER)
		return "no --net-tap given";
	return NULL;
}

/* Once for each side and topic. */
static void side_look(struct session *s, const struct job *j)
{
	const char *no = j->side.vmm == BENCH_QEMU ? qemu_refusal(s->cfg, j) : NULL;
	enum bench_topic t = j->loads[0]->topic;
	char why[BENCH_TEXT_SIZE];

	if (!no && t == BENCH_NET && j->side.vmm == BENCH_SLUICE &&
	    (j->side.mode == BENCH_M_EMULATED_IOEVENTFD || j->side.mode == BENCH_M_EMULATED_SHADOW))
		no = "a network port has no such doorbells";
	if (!no && j->side.vmm == BENCH_SLUICE && !explain(s, j, why, sizeof(why)))
		no = why;
	if (no)
		side_off(s, j, true, no);
}

static void sides_look(struct session *s)
{
	bool seen[BENCH_TOPICS][BENCH_MODES][BENCH_VMMS] = { 0 };
	unsigned int i;

	for (i = 0; i < s->n_jobs; i++) {
		const struct job *j = &s->jobs[i];
		bool *was = &seen[j->loads[0]->topic][j->side.mode][j->side.vmm];

		if (!*was)
			side_look(s, j);
		*was = true;
	}
}

static bool is_off(const struct session *s, const struct job *j)
{
	return s->off[j->loads[0] - bench_loads][j->side.mode][j->side.vmm];
}

/* ---- progress ---- */

static unsigned int jobs_left(const struct session *s)
{
	unsigned int i, n = 0;

	for (i = s->done; i < s->n_jobs; i++)
		n += !is_off(s, &s->jobs[i]);
	return n;
}

#define BAR 24

static void progress(const struct session *s, const struct job *j, unsigned int ran)
{
	unsigned int left = jobs_left(s), all = MAX(ran + left, 1u), full = ran * BAR / all;
	uint64_t spent = (sys_now_ns(s->sys) - s->began) / 1000000000u;
	/* Before the first boot is over: its load takes so long, and a start costs a little. */
	uint64_t guess = ran ? spent * left / ran : (uint64_t)left * (s->cfg->seconds + 1);

	if (!s->tty) {
		fprintf(stderr, "bench: %u/%u round %u, %s under %s: %s%s\n", ran + 1, all,
			j->round + 1, bench_mode_name(j->side.mode), bench_vmm_name(j->side.vmm),
			j->loads[0]->name, j->n_loads > 1 ? " ..." : "");
		return;
	}
	fprintf(stderr, "\r\033[K[%.*s%*s] %u/%u  %llu:%02llu left  %s, %s: %s", (int)full,
		"########################", (int)(BAR - full), "", ran, all,
		(unsigned long long)guess / 60, (unsigned long long)guess % 60,
		bench_vmm_name(j->side.vmm), bench_mode_name(j->side.mode), j->loads[0]->name);
	fflush(stderr);
}

/* ---- the run ---- */

static int job_run(struct session *s, const struct job *j)
{
	struct bench_boot b = { .sys = s->sys,
				.cfg = s->cfg,
				.side = j->side,
				.n_loads = j->n_loads,
				.round = j->round,
				.order = j->order,
				.stop = s->stop,
				.counting = s->counting,
				.result = s->result };
	struct err e = { 0 };
	int ret;

	memcpy(b.loads, j->loads, sizeof(b.loads));
	ret = bench_boot(&b, &e);
	if (!ret || ret == -EINTR)
		return ret;
	if (!j->round) {
		side_off(s, j, s->cfg->on_linux, e.text);
	} else {
		(void)!bench_warn(s->result, BENCH_WARN, "failed", "round %u, %s under %s, %s: %s",
				  j->round + 1, bench_mode_name(j->side.mode),
				  bench_vmm_name(j->side.vmm), j->loads[0]->name, e.text);
	}
	return 0;
}

static int jobs_run(struct session *s)
{
	unsigned int ran = 0;
	int ret = 0;

	s->began = sys_now_ns(s->sys);
	for (s->done = 0; s->done < s->n_jobs && !ret; s->done++) {
		const struct job *j = &s->jobs[s->done];

		if (is_off(s, j))
			continue;
		progress(s, j, ran++);
		ret = job_run(s, j);
	}
	if (s->tty)
		fprintf(stderr, "\r\033[K");
	return ret;
}

/* SIGINT and SIGTERM become readable, so that a boot under way can be ended in order. */
static int stop_open(sigset_t *old, struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, old);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		sigprocmask(SIG_SETMASK, old, NULL);
	return fd < 0 ? err_sys(e, -errno, "cannot make a signalfd") : fd;
}

/* What was read is no longer pending when the signals are let through again. */
static void stop_close(int fd, const sigset_t *old)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		;
	close(fd);
	sigprocmask(SIG_SETMASK, old, NULL);
}

static int refused(const struct bench_result *r, struct err *e)
{
	size_t i;

	err_set(e, -EPERM, "the comparison would be of no use");
	for (i = 0; i < r->n_warning; i++)
		if (r->warning[i].level == BENCH_REFUSE)
			err_append(e, "; %s", r->warning[i].text);
	err_append(e, " (--force runs it all the same)");
	return e->code;
}

int bench_run(struct sys *sys, const struct bench_cfg *c, struct bench_result *r, struct err *e)
{
	struct session s = { .sys = sys, .cfg = c, .result = r, .tty = isatty(2) };
	struct bench_facts f;
	int64_t steal;
	sigset_t old;
	int ret;

	bench_env_fill(sys, c, r, &f);
	s.counting = f.counting;
	if (bench_fair_before(&f, c, r) && !c->force)
		return refused(r, e);
	ret = list_make(&s);
	if (ret) {
		err_set(e, ret, "out of memory");
		goto out;
	}
	signal(SIGPIPE, SIG_IGN);
	s.stop = stop_open(&old, e);
	if (s.stop < 0) {
		ret = s.stop;
		goto out;
	}
	sides_look(&s);
	steal = bench_steal(sys);
	ret = jobs_run(&s);
	if (ret == -EINTR)
		err_set(e, ret, "interrupted: %u of %u boots were done", s.done - 1, s.n_jobs);
	if (steal >= 0)
		steal = bench_steal(sys) - steal;
	bench_fair_after(r, steal, sys_now_ns(sys) - s.began);
	stop_close(s.stop, &old);
out:
	free(s.jobs);
	return ret;
}
