// SPDX-License-Identifier: BSD-3-Clause
/*
 * Termination signals. They are blocked before any thread starts and read from a signalfd on the
 * main loop, so nothing runs in signal context. The first one presses the power button; the second,
 * or SIGHUP, ends the run.
 */
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/run_priv.h"
#include "vmm/devices/chr.h"

static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

/* A bug of ours must not leave the user with a raw terminal: give it back, then die of the signal
 * as before. */
static void fatal_handler(int sig)
{
	chr_tty_restore(run_tty());
	signal(sig, SIG_DFL);
	raise(sig);
}

/* SA_NODEFER: the raise() in the handler must end the process. */
static void fatal_watch(bool on)
{
	struct sigaction sa = { .sa_handler = on ? fatal_handler : SIG_DFL,
				.sa_flags = SA_NODEFER };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
}

/* On the main loop. A machine without a power button is ended at once. */
static void sig_event(void *arg, uint32_t events)
{
	struct run *r = arg;
	struct signalfd_siginfo si;

	if (sys_read(r->sys, r->sigfd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	r->sigs++;
	if (r->sigs == 1 && si.ssi_signo != SIGHUP && !vm_power_button(&r->vm)) {
		log_info(&r->log, "%s: pressed the guest's power button; once more to stop it",
			 strsignal((int)si.ssi_signo));
		return;
	}
	vm_quit(&r->vm);
}

int run_sig_up(struct run *r, struct err *e)
{
	sigset_t set;
	int ret;

	signal(SIGPIPE, SIG_IGN); /* a reader of the serial port or the control socket may vanish */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	ret = -pthread_sigmask(SIG_BLOCK, &set, &r->old_mask);
	if (ret)
		return err_sys(e, ret, "cannot block signals");
	r->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->sigfd < 0) {
		ret = err_sys(e, -errno, "cannot make a signalfd");
		pthread_sigmask(SIG_SETMASK, &r->old_mask, NULL);
		return ret;
	}
	ret = ev_add(r->ev, r->sigfd, EPOLLIN, sig_event, r, &r->sig_src);
	if (ret) {
		run_sig_down(r);
		return err_sys(e, ret, "cannot watch for signals");
	}
	fatal_watch(true);
	return 0;
}

void run_sig_down(struct run *r)
{
	fatal_watch(false);
	ev_del(r->sig_src);
	r->sig_src = NULL;
	close(r->sigfd);
	r->sigfd = -1;
	pthread_sigmask(SIG_SETMASK, &r->old_mask, NULL);
}

bool run_sig_pending(struct run *r)
{
	struct signalfd_siginfo si;

	return r->sigfd >= 0 && read(r->sigfd, &si, sizeof(si)) == (ssize_t)sizeof(si);
}
