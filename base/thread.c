// SPDX-License-Identifier: BSD-3-Clause
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *out, const pthread_attr_t *attr, int signal, void *(*fn)(void *),
		 void *arg)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	if (signal)
		sigdelset(&all, signal);
	/* Set here, inherited there: there is no moment without. */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(out, attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}
