// SPDX-License-Identifier: BSD-3-Clause
/* "sluice ctl SOCKET COMMAND": the client of the control socket. */
#include "cmd/ctl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cmd/cmd.h"

struct ctl_opts {
	bool pad;
	int json;
};

static const struct opt ctl_opts[] = {
	{ "json", OPT_BOOL, .off = offsetof(struct ctl_opts, json),
	  .help = "print the answer as JSON" },
	{ .type = OPT_END },
};

/*
 * The request for what was typed: a command and its arguments. A command that is not known here is
 * left to who listens: a newer machine, or sluice-vhostd. An argument of it goes as "arg".
 */
static json_t *request(int argc, char **argv, struct err *e)
{
	json_t *req = json_pack("{s:s}", "command", argv[0]);
	const struct ctl_cmd *c = vm_ctl_cmds;
	int i;

	if (!req) {
		err_set(e, -EINVAL, "the command is no text");
		return NULL;
	}
	while (c->name && strcmp(c->name, argv[0]))
		c++;
	if (!c->name && argc == 2 && !json_object_set_new(req, "arg", json_string(argv[1])))
		return req;
	for (i = 0; i < CTL_ARGS_MAX && c->args[i] && i + 1 < argc; i++)
		if (json_object_set_new(req, c->args[i], json_string(argv[i + 1])))
			break;
	if (i + 1 == argc && (i == CTL_ARGS_MAX || !c->args[i]))
		return req;
	err_set(e, -EINVAL, "%.60s takes ", argv[0]);
	for (i = 0; i < CTL_ARGS_MAX && c->args[i]; i++)
		err_append(e, "%s%s", i ? " " : "", c->args[i]);
	if (!i)
		err_append(e, "no arguments");
	json_decref(req);
	return NULL;
}

/* An answer with "ok": false becomes the client's own error. */
static int answer_show(const json_t *answer, bool as_json, struct err *e)
{
	const json_t *data = json_object_get(answer, "data");
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (!json_is_true(json_object_get(answer, "ok")))
		return err_set(e, -EIO, "%s", error ? error : "the machine refused");
	if (as_json) {
		json_dumpf(data ? data : answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (data) {
		ctl_print(data, stdout);
	}
	return 0;
}

static int ctl_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct ctl_opts o = { 0 };
	json_t *req, *answer = NULL;
	int rest, fd = -1, status = CMD_USAGE, ret;
	struct err e = { 0 };

	if (!cmd_parse(c, &o, argc, argv, &rest, &status))
		return status;
	argc -= rest;
	argv += rest;
	if (argc < 2) {
		err_set(&e, -EINVAL,
			"ctl: give a socket and one command ('sluice ctl --help' lists them)");
		return cmd_fail(&e, true);
	}
	req = request(argc - 1, argv + 1, &e);
	if (!req) {
		err_prefix(&e, "ctl: ");
		return cmd_fail(&e, true);
	}
	/* A machine that has clients enough hangs up at once: that is an error to tell, not to die
	 * of. */
	signal(SIGPIPE, SIG_IGN);
	ret = ctl_connect(s, argv[0], &fd, &e);
	if (!ret)
		ret = ctl_ask(s, fd, req, &answer, &e);
	if (!ret)
		ret = answer_show(answer, o.json, &e);
	json_decref(req);
	json_decref(answer);
	sys_close(s, &fd);
	if (ret)
		err_prefix(&e, "ctl: ");
	return ret ? cmd_fail(&e, false) : CMD_OK;
}

const struct cmd cmd_ctl = {
	.name = "ctl",
	.help = "ask or command a running machine",
	.operands = "SOCKET COMMAND [ARGUMENT...]",
	.about =
		"Sends COMMAND to the machine whose control socket (run --control) is SOCKET. Commands: ports (plan, "
		"mode, host and guest address, state, interrupts of each port), dma (all that devices can reach), stat "
		"(exits, trapped accesses, interrupts, queues), resize PORT (the file behind a disk has another size), link "
		"PORT up|down, pause, resume, powerdown (the ACPI power button), quit",
	.opts = ctl_opts,
	.complete = "ctl",
	.fn = ctl_main,
};
