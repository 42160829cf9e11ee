/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/**
 * thread_start() - start a thread that takes no signals
 * @attr:   or NULL
 * @signal: one that it does take, or 0
 *
 * Signals meant for the process are read from a signalfd on the main loop. Return: 0 or -errno.
 */
int thread_start(pthread_t *out, const pthread_attr_t *attr, int signal, void *(*fn)(void *),
		 void *arg);

#endif
