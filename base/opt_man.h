/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_OPT_MAN_H
#define BASE_OPT_MAN_H

#include "base/opt.h"

/* What programs that write the manual pages at build time print on standard output, mdoc(7). */

/** opt_man_text() - text, escaped. opt_man_arg() - as one argument of a macro. */
void opt_man_text(const char *s);
void opt_man_arg(const char *s);
/** opt_man_sentence() - sentences, a line each; a full stop is added. */
void opt_man_sentence(const char *s);
/** opt_man_table() - a list of long options, or of keys; nested tables below their option. */
void opt_man_table(const struct opt *t, bool keys);

#endif
