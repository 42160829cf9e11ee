// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes the manual page ("man") or the bash completion ("bash") from the tables that also parse
 * the command line, at build time, so that they cannot get out of step.
 */
#include <stdio.h>
#include <string.h>

#include "base/opt_man.h"
#include "cmd/cmd.h"
#include "cmd/ctl.h"

/* ---- manual page, mdoc(7) ---- */

/* One line of the synopsis. */
static void man_usage(const struct cmd *c)
{
	printf(".Nm sluice %s%s%s\n", c->parent ? c->parent : "", c->parent ? " " : "", c->name);
	if (c->opts)
		puts(".Op Ar OPTIONS");
	if (c->operands) {
		fputs(".Ar ", stdout);
		opt_man_arg(c->operands);
		putchar('\n');
	}
}

/* The control commands are no subcommands: they are listed where "ctl" is explained. */
static void man_ctl(void)
{
	const struct ctl_cmd *c;
	unsigned int i;

	puts(".Pp\nThe commands are\n.Bl -tag -width powerdown -compact");
	for (c = vm_ctl_cmds; c->name; c++) {
		printf(".It Cm %s", c->name);
		for (i = 0; i < CTL_ARGS_MAX && c->args[i]; i++)
			printf(" Ar %s", c->args[i]);
		putchar('\n');
		opt_man_sentence(c->help);
	}
	puts(".El");
}

/* One section; actions become sections of their own. */
static void man_cmd(const struct cmd *c)
{
	const struct cmd *a;

	printf(".Ss sluice %s%s%s\n", c->parent ? c->parent : "", c->parent ? " " : "", c->name);
	opt_man_sentence(c->about ? c->about : c->help);
	if (c->complete && !strcmp(c->complete, "ctl"))
		man_ctl();
	if (c->opts) {
		puts(".Pp");
		opt_man_table(c->opts, false);
	}
	for (a = c->actions; a && a->name; a++)
		man_cmd(a);
}

static void man_synopsis(const struct cmd *const *cmds, unsigned int n)
{
	const struct cmd *a;
	unsigned int i;

	puts(".Sh SYNOPSIS");
	for (i = 0; i < n; i++) {
		if (!cmds[i]->actions)
			man_usage(cmds[i]);
		for (a = cmds[i]->actions; a && a->name; a++)
			man_usage(a);
	}
}

/* What no table says. */
static void man_tail(void)
{
	const struct cmd_exit_text *x;

	puts(".Ss Values\nSizes take K, M, G and T. Lists look like 0\\-3,7. In a list of keys a comma inside a value is\n"
	     "written twice.");
	puts(".Sh FILES\n.Bl -tag -width Ds -compact\n.It Pa /run/sluice\n"
	     "Journals of what was changed on the host, one for each owner, and locks of the functions taken.\n.El");
	puts(".Sh EXIT STATUS\nOf\n.Nm run :\n.Bl -tag -width 3n -compact");
	for (x = cmd_exit_texts; x->text; x++) {
		printf(".It %d\n", x->status);
		opt_man_sentence(x->text);
	}
	puts(".El\nA write to the port of\n.Fl \\-debug\\-exit\nends with the value written, times two, plus one.");
	puts(".Sh EXAMPLES\nShow what a port would get, then run:\n.Bd -literal -offset indent");
	puts("sluice run \\-\\-kernel vmlinuz \\-\\-net pf=eth0 \\-\\-explain");
	puts("sluice run \\-\\-kernel vmlinuz \\-\\-initrd initrd \\-\\-cpus 2 \\e");
	puts("       \\-\\-net pf=eth0,mac=52:54:00:aa:bb:cc \\-\\-disk pf=/dev/nvme0");
	puts(".Ed\n.Pp\nA virtual function while there are any, else a vhost\\-user backend, else a tap interface:");
	puts(".Bd -literal -offset indent");
	puts("sluice run \\-\\-kernel vmlinuz \\-\\-explain \\e");
	puts("       \\-\\-net pf=eth0,vfs=2,socket=/run/a.sock,tap=tap0,mac=52:54:00:aa:bb:cc");
	puts(".Ed\n.Pp\nRepair the host after a crash:\n.Pp\n.Dl sluice vf restore");
}

/* Sections in the order that man-pages(7) asks for. */
static void man_page(const struct cmd *const *cmds, unsigned int n)
{
	unsigned int i;

	puts(".\\\" Generated from the option tables of the program: change those.");
	puts(".Dd $Mdocdate$\n.Dt SLUICE 1\n.Os\n.Sh NAME\n.Nm sluice\n"
	     ".Nd run virtual machines with the best I/O path the host offers");
	man_synopsis(cmds, n);
	puts(".Sh DESCRIPTION");
	for (i = 0; i < n; i++)
		man_cmd(cmds[i]);
	man_tail();
}

/* ---- bash completion ---- */

/*
 * One case per option that takes a value: what to complete it with. ENUM: its words. SUB: its keys,
 * one after the other. The rest: files, or nothing to offer.
 */
static void bash_value(const struct opt *t)
{
	int i;

	if (t->type == OPT_ENUM) {
		printf("\t\t--%s) COMPREPLY=($(compgen -W \"", t->name);
		for (i = 0; t->choices[i]; i++)
			printf("%s%s", i ? " " : "", t->choices[i]);
		puts("\" -- \"$cur\")); return ;;");
	} else if (t->type == OPT_SUB && t->sub) {
		const struct opt *k;

		printf("\t\t--%s) _sluice_keys \"", t->name);
		for (k = t->sub; k->type != OPT_END; k++)
			printf("%s%s=", k == t->sub ? "" : " ", k->name);
		puts("\"; return ;;");
	} else if (t->complete && !strcmp(t->complete, "file")) {
		printf("\t\t--%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", t->name);
	} else if (t->type != OPT_BOOL) {
		printf("\t\t--%s) return ;;\n", t->name);
	}
}

static void bash_words(const char *s)
{
	printf("\t\tCOMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n", s);
}

/* What is completed where no option stands. */
static void bash_operands(const struct cmd *c)
{
	const struct ctl_cmd *k;

	if (!c->complete)
		return;
	if (!strcmp(c->complete, "netdev"))
		puts("\t\tCOMPREPLY=($(compgen -W \"$(ls /sys/class/net 2>/dev/null)\" -- \"$cur\"))");
	if (strcmp(c->complete, "ctl"))
		return;
	fputs("\t\tCOMPREPLY=($(compgen -f -- \"$cur\") $(compgen -W \"", stdout);
	for (k = vm_ctl_cmds; k->name; k++)
		printf("%s%s", k == vm_ctl_cmds ? "" : " ", k->name);
	puts("\" -- \"$cur\"))");
}

/* A case of the big switch: values of options first, then operands, then options. */
static void bash_cmd(const struct cmd *c)
{
	const struct opt *t;

	if (c->parent)
		printf("\t\"%s %s\")\n", c->parent, c->name);
	else
		printf("\t%s\\ * | %s)\n", c->name, c->name);
	puts("\t\tcase $prev in");
	for (t = c->opts; t && t->type != OPT_END; t++)
		bash_value(t);
	puts("\t\tesac\n\t\tif [[ $cur != -* ]]; then");
	bash_operands(c);
	puts("\t\treturn\n\t\tfi");
	fputs("\t\tCOMPREPLY=($(compgen -W \"--help", stdout);
	for (t = c->opts; t && t->type != OPT_END; t++)
		printf(" --%s", t->name);
	puts("\" -- \"$cur\")) ;;");
}

/* A command with actions: one case each, and one that completes their names. */
static void bash_actions(const struct cmd *c)
{
	const struct cmd *a;
	char words[256] = "";
	size_t n = 0;

	for (a = c->actions; a->name; a++) {
		n += (size_t)snprintf(words + n, sizeof(words) - n, "%s ", a->name);
		bash_cmd(a);
	}
	printf("\t%s | %s\\ *)\n", c->name, c->name);
	bash_words(words);
	puts("\t\t;;");
}

/* The function bash calls, with the words typed so far in COMP_WORDS. */
static void bash_completion(const struct cmd *const *cmds, unsigned int n)
{
	unsigned int i;

	puts("# SPDX-License-Identifier: BSD-3-Clause\n"
	     "# bash completion for sluice(1). Generated from the option tables of the program.\n"
	     "_sluice_keys() {\n"
	     "\tlocal done=${cur%,*}\n"
	     "\t[[ $cur == *,* ]] && done+=, || done=\n"
	     "\tcompopt -o nospace 2>/dev/null\n"
	     "\tCOMPREPLY=($(compgen -P \"$done\" -W \"$1\" -- \"${cur##*,}\"))\n"
	     "}\n\n"
	     "_sluice() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	     "\tlocal command=${COMP_WORDS[1]} action=${COMP_WORDS[2]}\n"
	     "\tCOMPREPLY=()\n"
	     "\tif ((COMP_CWORD == 1)); then");
	fputs("\t\tCOMPREPLY=($(compgen -W \"", stdout);
	for (i = 0; i < n; i++)
		printf("%s%s", i ? " " : "", cmds[i]->name);
	puts("\" -- \"$cur\"))\n\t\treturn\n\tfi\n"
	     "\t((COMP_CWORD > 2)) || action=\n"
	     "\tcase \"$command${action:+ $action}\" in");
	for (i = 0; i < n; i++) {
		if (cmds[i]->actions)
			bash_actions(cmds[i]);
		else
			bash_cmd(cmds[i]);
	}
	puts("\tesac\n}\ncomplete -F _sluice sluice");
}

int main(int argc, char **argv)
{
	unsigned int n;
	const struct cmd *const *cmds = cmd_list(&n);

	if (argc == 2 && !strcmp(argv[1], "man"))
		man_page(cmds, n);
	else if (argc == 2 && !strcmp(argv[1], "bash"))
		bash_completion(cmds, n);
	else
		return CMD_USAGE;
	return fflush(stdout) ? CMD_FAILED : CMD_OK;
}
