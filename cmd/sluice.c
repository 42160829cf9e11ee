// SPDX-License-Identifier: BSD-3-Clause
/* The program's front door: finds the subcommand, answers --help, turns errors into one line and an
 * exit status. */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int help_main(struct sys *s, const struct cmd *c, int argc, char **argv);
static int version_main(struct sys *s, const struct cmd *c, int argc, char **argv);

static const struct cmd cmd_help = {
	.name = "help",
	.help = "show the subcommands, or the options of one",
	.operands = "[COMMAND]",
	.fn = help_main,
};

static const struct cmd cmd_version = {
	.name = "version",
	.help = "show the version",
	.fn = version_main,
};

const struct cmd_exit_text cmd_exit_texts[] = {
	{ CMD_OK, "the guest powered off, or was asked to quit" },
	{ CMD_FAILED, "set-up failed, nothing is left behind" },
	{ CMD_USAGE, "the command line is wrong" },
	{ CMD_CRASHED, "the guest crashed (triple fault, or it reported a panic)" },
	{ CMD_REBOOTED, "the guest reset itself and --no-reboot was given" },
	{ -1, NULL },
};

/* Pointers, since a table of structs would need copies of the subcommands' own definitions. */
static const struct cmd *const cmds[] = { &cmd_run,   &cmd_vf,	 &cmd_ctl,
					  &cmd_bench, &cmd_help, &cmd_version };

const struct cmd *const *cmd_list(unsigned int *n)
{
	*n = ARRAY_SIZE(cmds);
	return cmds;
}

void cmd_err_prefix(struct err *e, const struct cmd *c)
{
	err_prefix(e, "%s%s%s: ", c->parent ? c->parent : "", c->parent ? " " : "", c->name);
}

int cmd_fail(const struct err *e, bool usage)
{
	fprintf(stderr, "sluice: %s\n", e->text);
	return usage ? CMD_USAGE : CMD_FAILED;
}

/* NULL: *near is the likeliest meaning, or NULL. */
static const struct cmd *cmd_find(const char *name, const char **near)
{
	const char *words[ARRAY_SIZE(cmds) + 1] = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		if (!strcmp(cmds[i]->name, name))
			return cmds[i];
		words[i] = cmds[i]->name;
	}
	*near = opt_nearest_word(words, name);
	return NULL;
}

static void actions_help(const struct cmd *c, FILE *f)
{
	const struct cmd *a;

	for (a = c->actions; a && a->name; a++) {
		fprintf(f, "\n  %s %s%s%s\n      %s\n", c->name, a->name, a->operands ? " " : "",
			a->operands ? a->operands : "", a->help);
		if (a->opts)
			opt_help(a->opts, true, f);
	}
}

/* --help of one command. */
static void cmd_usage(const struct cmd *c, FILE *f)
{
	fprintf(f, "usage: sluice %s%s%s%s%s%s%s\n", c->parent ? c->parent : "",
		c->parent ? " " : "", c->name, c->opts ? " [OPTIONS]" : "",
		c->actions ? " ACTION ..." : "", c->operands ? " " : "",
		c->operands ? c->operands : "");
	fputc('\n', f);
	opt_help_text(c->about ? c->about : c->help, f);
	if (c->opts) {
		fprintf(f, "\n");
		opt_help(c->opts, true, f);
	}
	actions_help(c, f);
}

/* --help of the program. */
static void main_usage(FILE *f)
{
	const struct cmd_exit_text *x;
	unsigned int i;

	fprintf(f, "usage: sluice COMMAND [OPTIONS]\n\n"
		   "Runs a virtual machine that gets the best I/O path its host can offer.\n\n");
	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		fprintf(f, "  %-9s %s\n", cmds[i]->name, cmds[i]->help);
	fprintf(f,
		"\n'sluice COMMAND --help' lists the options of a command. Exit status of 'sluice run':\n");
	for (x = cmd_exit_texts; x->text; x++)
		fprintf(f, "  %d  %s\n", x->status, x->text);
}

static int help_main(struct sys *s, const struct cmd *self, int argc, char **argv)
{
	const char *near = NULL;
	const struct cmd *c;

	if (argc < 1) {
		main_usage(stdout);
		return CMD_OK;
	}
	c = cmd_find(argv[0], &near);
	if (!c) {
		fprintf(stderr, "sluice: help: there is no command %.60s%s%s%s\n", argv[0],
			near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
		return CMD_USAGE;
	}
	cmd_usage(c, stdout);
	return CMD_OK;
}

static int version_main(struct sys *s, const struct cmd *self, int argc, char **argv)
{
	printf("sluice %s\n", SLUICE_VERSION);
	return CMD_OK;
}

/* Three of these make a rotation. */
static void reverse(char **v, int n)
{
	int i;

	for (i = 0; i < n / 2; i++) {
		char *t = v[i];

		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

/* "vf create eth0 --count 3" is as good as "vf create --count 3 eth0": operands in front go to the
 * end. */
static void operands_last(int argc, char **argv)
{
	int n = 0;

	while (n < argc && argv[n][0] != '-')
		n++;
	reverse(argv, n);
	reverse(argv + n, argc - n);
	reverse(argv, argc);
}

bool cmd_parse(const struct cmd *c, void *target, int argc, char **argv, int *rest, int *status)
{
	static const struct opt none[] = { { .type = OPT_END } };
	struct err e = { 0 };
	int ret;

	if (c->operands)
		operands_last(argc, argv);
	ret = opt_parse_argv(c->opts ? c->opts : none, target, argc, argv, rest, &e);
	if (ret == -ECANCELED) {
		cmd_usage(c, stdout);
		*status = CMD_OK;
	} else if (ret) {
		cmd_err_prefix(&e, c);
		*status = cmd_fail(&e, true);
	}
	return !ret;
}

/* "vf list ...": pick the action; options before it belong to nobody. */
static int actions_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	const char *words[16] = { 0 }, *near;
	const struct cmd *a;
	unsigned int n = 0;

	if (argc < 1 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		cmd_usage(c, argc < 1 ? stderr : stdout);
		return argc < 1 ? CMD_USAGE : CMD_OK;
	}
	for (a = c->actions; a->name; a++) {
		if (!strcmp(a->name, argv[0]))
			return a->fn(s, a, argc - 1, argv + 1);
		if (n < ARRAY_SIZE(words) - 1)
			words[n++] = a->name;
	}
	near = opt_nearest_word(words, argv[0]);
	fprintf(stderr,
		"sluice: %s: there is no action %.60s%s%s%s ('sluice %s --help' lists them)\n",
		c->name, argv[0], near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
		c->name);
	return CMD_USAGE;
}

int sluice_main(struct sys *s, int argc, char **argv)
{
	const char *near = NULL, *name = argc > 1 ? argv[1] : "";
	const struct cmd *c;

	if (argc < 2) {
		main_usage(stderr);
		return CMD_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	c = cmd_find(name, &near);
	if (!c) {
		fprintf(stderr,
			"sluice: there is no command %.60s%s%s%s ('sluice help' lists them)\n",
			name, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
		return CMD_USAGE;
	}
	return c->actions ? actions_main(s, c, argc - 2, argv + 2)
			  : c->fn(s, c, argc - 2, argv + 2);
}
