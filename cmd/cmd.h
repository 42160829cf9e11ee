/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "base/log.h"
#include "base/opt.h"
#include "base/sys.h"

/* Exit statuses, stable: scripts hang on them. A debug-exit device ends with a status of its own
 * (odd). */
enum cmd_exit {
	CMD_OK = 0,	  /* the guest powered off; the command did its work */
	CMD_FAILED = 1,	  /* set-up or the command failed; nothing is left behind */
	CMD_USAGE = 2,	  /* the command line is wrong */
	CMD_CRASHED = 3,  /* the guest crashed */
	CMD_REBOOTED = 4, /* the guest reset and --no-reboot was given */
};

/**
 * struct cmd - a subcommand, or an action of one; const tables end with an entry without a name
 * @parent:  command whose action it is ("vf"), or NULL
 * @name:    word on the command line
 * @help:    one line, no full stop
 * @operands: of the usage line, "SOCKET COMMAND", or NULL
 * @about:   sentences below the usage line and in the manual, or NULL
 * @opts:    long options, or NULL
 * @actions: nested commands ("vf list"), or NULL; then fn is NULL
 * @complete: what the shell completes for operands, or NULL: "ctl" the control commands
 * @fn:      argv without the command's own name; returns an enum cmd_exit
 */
struct cmd {
	const char *parent, *name, *help, *operands, *about;
	const struct opt *opts;
	const struct cmd *actions;
	const char *complete;
	int (*fn)(struct sys *s, const struct cmd *c, int argc, char **argv);
};

/** cmd_list() - all subcommands of the program. */
const struct cmd *const *cmd_list(unsigned int *n);

extern const struct cmd cmd_run, cmd_vf, cmd_ctl, cmd_bench;

/** struct cmd_exit_text - exit statuses in words, for --help and the manual. */
struct cmd_exit_text {
	int status;
	const char *text;
};
extern const struct cmd_exit_text cmd_exit_texts[];

/**
 * sluice_main() - the whole program but exit()
 * @s: the kernel to work on; a test build hands in one that crashes at a chosen call
 */
int sluice_main(struct sys *s, int argc, char **argv);

/** cmd_parse() - options of a subcommand; on help or error the rest is done and *status is set.
 * Return: true to go on. */
bool cmd_parse(const struct cmd *c, void *target, int argc, char **argv, int *rest, int *status);

/** cmd_err_prefix() - put "vf list: " in front of a sentence. */
void cmd_err_prefix(struct err *e, const struct cmd *c);

/** cmd_fail() - print "sluice: text" and return CMD_FAILED, or CMD_USAGE for usage == true. */
int cmd_fail(const struct err *e, bool usage);

/** cmd_link_names - in the order of enum sriov_link. */
extern const char *const cmd_link_names[];

/** cmd_log() - the program's log, to standard error; level is an index of cmd_log_levels. */
extern const char *const cmd_log_levels[];
struct log cmd_log(int level);

#endif
