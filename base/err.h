/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/util.h"

/**
 * struct err - why something failed, in words, on its way up to who knows what the user typed
 * @code: the -errno, or 0 while nothing failed
 * @text: one sentence without a trailing newline; what was found and what to do about it
 *
 * Functions return 0 or -errno and fill the struct on the way. A caller adds the name it knows by
 * err_prefix() ("port net0: ..."), and only the command prints it. A NULL struct err * is allowed
 * everywhere and loses the text only.
 */
struct err {
	int code;
	char text[1000];
};

/** err_set() - record code (a negative errno) and a sentence; returns code, so: return
 * err_set(...). */
int err_set(struct err *e, int code, const char *fmt, ...) __printf(3, 4);

/** err_sys() - as err_set(), with ": " and the words of errno code appended. */
int err_sys(struct err *e, int code, const char *fmt, ...) __printf(3, 4);

/** err_prefix() - put words in front of the recorded sentence. */
void err_prefix(struct err *e, const char *fmt, ...) __printf(2, 3);

/** err_append() - put words behind the recorded sentence (": remedy"). */
void err_append(struct err *e, const char *fmt, ...) __printf(2, 3);

/** err_clear() - forget what was recorded. */
void err_clear(struct err *e);

#endif
