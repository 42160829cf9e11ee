// SPDX-License-Identifier: BSD-3-Clause
/* Pieces of a manual page, mdoc(7), on standard output. */
#include "base/opt_man.h"

#include <string.h>

/* A leading dot or quote would be a macro; a '-' must be typed as one; '\' starts an escape. */
void opt_man_text(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
}

/* As an argument of a macro: in quotes, so that no word of it is taken for one. */
void opt_man_arg(const char *s)
{
	putchar('"');
	opt_man_text(s);
	putchar('"');
}

/* Each sentence on a line of its own, the last one ended. */
void opt_man_sentence(const char *s)
{
	const char *end = strstr(s, ". ");
	char line[400];

	for (; end; end = strstr(s, ". ")) {
		snprintf(line, sizeof(line), "%.*s", (int)(end + 1 - s), s);
		opt_man_text(line);
		putchar('\n');
		s = end + 2;
	}
	opt_man_text(s);
	puts(*s && s[strlen(s) - 1] == '?' ? "" : ".");
}

/* A list of options; the keys of a nested one are a list below it. */
void opt_man_table(const struct opt *t, bool keys)
{
	char arg[160];

	puts(".Bl -tag -width indent -compact");
	for (; t->type != OPT_END; t++) {
		fputs(keys ? ".It Cm " : ".It Fl \\-", stdout);
		opt_man_text(t->name);
		if (keys)
			fputs(" Ns =", stdout);
		if (keys || t->type != OPT_BOOL) {
			fputs(keys ? " Ns Ar " : " Ar ", stdout);
			opt_man_arg(opt_arg_text(t, arg, sizeof(arg)));
		}
		putchar('\n');
		opt_man_sentence(t->help);
		if (t->type == OPT_SUB && t->sub)
			opt_man_table(t->sub, true);
	}
	puts(".El");
}
