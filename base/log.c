// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"

#define LIMIT_BURST 5
#define LIMIT_NS    5000000000ull

static const char *const level_word[] = { "error: ", "warning: ", "", "debug: " };

void log_stderr_sink(void *arg, enum log_level level, const char *line)
{
	char buf[1200];
	int n;

	/* One write(2) per line, so that lines of several threads do not mix. */
	n = snprintf(buf, sizeof(buf), "sluice: %s%s\n", level_word[level], line);
	if (n >= (int)sizeof(buf)) {
		n = sizeof(buf) - 1;
		buf[n - 1] = '\n';
	}
	if (write(STDERR_FILENO, buf, n) < 0)
		return; /* nowhere left to complain */
}

__printf(4, 0) static void log_v(const struct log *l, enum log_level level, const char *tail,
				 const char *fmt, va_list ap)
{
	char line[1100];
	size_t n;

	vsnprintf(line, sizeof(line), fmt, ap);
	n = strlen(line);
	snprintf(line + n, sizeof(line) - n, "%s", tail);
	l->sink(l->arg, level, line);
}

void log_msg(const struct log *l, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!l || level > l->level)
		return;
	va_start(ap, fmt);
	log_v(l, level, "", fmt, ap);
	va_end(ap);
}

void log_limited(const struct log *l, struct log_limit *lim, enum log_level level, const char *fmt,
		 ...)
{
	char tail[64] = "";
	struct timespec ts;
	uint64_t now;
	va_list ap;

	if (!l || level > l->level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (lim->burst >= LIMIT_BURST && now < lim->next_ns) {
		lim->dropped++;
		return;
	}
	if (lim->burst < LIMIT_BURST)
		lim->burst++;
	lim->next_ns = now + LIMIT_NS;
	if (lim->dropped)
		snprintf(tail, sizeof(tail), " (%lu like it not shown)", lim->dropped);
	lim->dropped = 0;
	va_start(ap, fmt);
	log_v(l, level, tail, fmt, ap);
	va_end(ap);
}
