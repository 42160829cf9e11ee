// SPDX-License-Identifier: BSD-3-Clause
/*
 * Children. Each gets a signal from the kernel when we die, so that even a kill -9 of ours leaves
 * nothing behind, and a process group of its own, so that Ctrl-C reaches us alone: we end them in
 * order.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

/* In the child, between fork and exec: only what is safe there. Returns with errno on failure. */
static void child(const struct bench_args *a, pid_t parent, int io, int log, int sig, int cpu)
{
	cpu_set_t set;
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, sig) || setpgid(0, 0))
		return;
	if (getppid() != parent) {
		errno = ESRCH; /* it died before the line above */
		return;
	}
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			return;
	}
	if (dup2(io, 0) < 0 || dup2(io, 1) < 0 || dup2(log, 2) < 0)
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(a->v[0], a->v);
}

int bench_spawn(struct bench_proc *p, const struct bench_args *a, int io, int log, int sig, int cpu,
		struct err *e)
{
	pid_t parent = getpid();
	int said[2], code = 0;

	*p = (struct bench_proc){ 0 };
	if (a->bad)
		return err_set(e, -E2BIG,
			       "out of memory, or a command line with a word that is too long");
	if (pipe2(said, O_CLOEXEC))
		return err_sys(e, -errno, "pipe");
	p->pid = fork();
	if (!p->pid) {
		child(a, parent, io, log, sig, cpu);
		code = errno;
		(void)!write(said[1], &code, sizeof(code));
		syscall(SYS_exit_group, 127); /* no handlers of the parent's may run here */
	}
	code = p->pid < 0 ? errno : 0;
	close(said[1]);
	/* The end of the pipe without a word: exec closed it. */
	if (p->pid > 0 && read(said[0], &code, sizeof(code)) == (ssize_t)sizeof(code))
		waitpid(p->pid, NULL, 0);
	close(said[0]);
	if (!code)
		return 0;
	p->pid = 0;
	return err_sys(e, -code, "cannot start %s", a->v[0]);
}

bool bench_proc_gone(struct bench_proc *p)
{
	if (!p->pid || p->gone)
		return true;
	p->gone = waitpid(p->pid, &p->status, WNOHANG) == p->pid;
	return p->gone;
}

bool bench_proc_wait(struct bench_proc *p, unsigned int ms)
{
	const struct timespec step = { .tv_nsec = 2000000 };

	for (; !bench_proc_gone(p) && ms > 1; ms -= 2)
		nanosleep(&step, NULL);
	return bench_proc_gone(p);
}

void bench_proc_end(struct bench_proc *p, int sig, unsigned int grace_ms)
{
	if (bench_proc_gone(p))
		return;
	kill(p->pid, sig);
	if (!bench_proc_wait(p, grace_ms)) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, &p->status, 0);
		p->gone = true;
	}
}

int bench_capture(const struct bench_args *a, char *buf, size_t size, struct err *e)
{
	struct bench_proc p;
	int fd[2], ret;
	size_t n = 0;
	ssize_t got;

	if (pipe2(fd, O_CLOEXEC))
		return err_sys(e, -errno, "pipe");
	ret = bench_spawn(&p, a, fd[1], fd[1], SIGKILL, -1, e);
	close(fd[1]);
	while (!ret && n < size - 1) {
		got = read(fd[0], buf + n, size - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	buf[n] = 0;
	close(fd[0]);
	if (ret)
		return ret;
	bench_proc_end(&p, SIGTERM, 10000);
	return WIFEXITED(p.status) ? WEXITSTATUS(p.status) : 128;
}
