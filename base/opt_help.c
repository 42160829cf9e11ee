// SPDX-License-Identifier: BSD-3-Clause
/* The option list of --help: two columns, wrapped to the terminal, or to 80 columns when there is
 * none. */
#include "base/opt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80
#define WIDTH_MIN     50
#define LEFT_MAX      30 /* a longer left column puts its help on the next line */

static const char *const arg_of_type[] = {
	[OPT_STR] = "TEXT",	     [OPT_BOOL] = "on|off", [OPT_U32] = "N",   [OPT_SIZE] = "SIZE",
	[OPT_ENUM] = "WORD",	     [OPT_MAC] = "MAC",	    [OPT_BDF] = "BDF", [OPT_LIST] = "LIST",
	[OPT_SUB] = "KEY=VALUE,...", [OPT_FN] = "TEXT",
};

char *opt_arg_text(const struct opt *o, char *buf, size_t size)
{
	size_t n = 0;
	int i;

	if (o->arg || o->type != OPT_ENUM) {
		snprintf(buf, size, "%s", o->arg ? o->arg : arg_of_type[o->type]);
		return buf;
	}
	buf[0] = 0;
	for (i = 0; o->choices[i] && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? "|" : "", o->choices[i]);
	return buf;
}

/* A very wide terminal is no reason for very long lines. */
static int width_of(FILE *f)
{
	struct winsize ws;
	int fd = fileno(f);

	if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGWINSZ, &ws) || ws.ws_col < WIDTH_MIN)
		return WIDTH_DEFAULT;
	return MIN((int)ws.ws_col, 120);
}

/* Print words from column col on, wrapped before width; continuation lines start at column left. */
static void wrap(FILE *f, const char *text, int col, int left, int width, const char *end)
{
	bool fresh = true;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (!fresh && col + 1 + n > width) {
			fprintf(f, "\n%*s", left, "");
			col = left;
			fresh = true;
		}
		fprintf(f, "%s%.*s", fresh ? "" : " ", n, text);
		col += n + !fresh;
		fresh = false;
		text += n + (text[n] == ' ');
	}
	fputs(end, f);
}

void opt_help_text(const char *text, FILE *f)
{
	wrap(f, text, 0, 0, width_of(f), ".\n");
}

/* "--name ARG" or "name=ARG"; returns its length. */
static int left_text(const struct opt *o, bool long_opts, char *buf, size_t size)
{
	char arg[160];
	int n;

	if (long_opts && o->type == OPT_BOOL)
		n = snprintf(buf, size, "--%s", o->name);
	else
		n = snprintf(buf, size, "%s%s%s%s", long_opts ? "--" : "", o->name,
			     long_opts ? " " : "=", opt_arg_text(o, arg, sizeof(arg)));
	return MIN(n, (int)size - 1);
}

/* The widest left column that still shares a line with its help. */
static int left_width(const struct opt *table, bool long_opts)
{
	char buf[200];
	int n, max = 0;

	for (; table->type != OPT_END; table++) {
		n = left_text(table, long_opts, buf, sizeof(buf));
		if (n <= LEFT_MAX)
			max = MAX(max, n);
	}
	return max;
}

static void help_table(const struct opt *table, bool long_opts, int indent, int width, FILE *f)
{
	int col = indent + left_width(table, long_opts) + 2;
	const char *group = NULL;
	char buf[200];

	for (; table->type != OPT_END; table++) {
		if (table->group && (!group || strcmp(group, table->group))) {
			group = table->group;
			fprintf(f, "%*s%s:\n", indent > 2 ? indent - 2 : 0, "", group);
		}
		left_text(table, long_opts, buf, sizeof(buf));
		fprintf(f, "%*s%s", indent, "", buf);
		if (indent + (int)strlen(buf) + 2 > col)
			fprintf(f, "\n%*s", col, "");
		else
			fprintf(f, "%*s", col - indent - (int)strlen(buf), "");
		wrap(f, table->help ? table->help : "", col, col, width, "\n");
		if (table->type == OPT_SUB && table->sub)
			help_table(table->sub, false, indent + 4, width, f);
	}
}

void opt_help(const struct opt *table, bool long_opts, FILE *f)
{
	help_table(table, long_opts, 2, width_of(f), f);
}
