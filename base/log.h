/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include "base/util.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/**
 * struct log - where messages go
 * @level: messages above it are dropped
 * @sink:  called with one finished line (no newline); any thread
 * @arg:   handed to the sink
 *
 * Every context struct that may have to speak holds a struct log *; NULL is silent.
 */
struct log {
	enum log_level level;
	void (*sink)(void *arg, enum log_level level, const char *line);
	void *arg;
};

/**
 * struct log_limit - allows a burst of lines, then one in a while; for guest- or peer-triggered
 * messages Zero-initialised is ready. One per call site or device; owned by one thread.
 */
struct log_limit {
	uint64_t next_ns;
	unsigned int burst;
	unsigned long dropped;
};

/** log_stderr_sink() - the usual sink: "sluice: warning: text" on standard error, one write per
 * line. */
void log_stderr_sink(void *arg, enum log_level level, const char *line);

void log_msg(const struct log *l, enum log_level level, const char *fmt, ...) __printf(3, 4);

/** log_limited() - as log_msg(), at most 5 lines at once and then one in 5 seconds, which says how
 * many were dropped. */
void log_limited(const struct log *l, struct log_limit *lim, enum log_level level, const char *fmt,
		 ...) __printf(4, 5);

#define log_err(l, ...)	  log_msg(l, LOG_ERR, __VA_ARGS__)
#define log_warn(l, ...)  log_msg(l, LOG_WARN, __VA_ARGS__)
#define log_info(l, ...)  log_msg(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_msg(l, LOG_DEBUG, __VA_ARGS__)

#endif
