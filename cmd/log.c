// SPDX-License-Identifier: BSD-3-Clause
#include "cmd/cmd.h"

/* In the order of enum log_level. */
const char *const cmd_log_levels[] = { "error", "warning", "info", "debug", NULL };

struct log cmd_log(int level)
{
	return (struct log){ .level = (enum log_level)level, .sink = log_stderr_sink };
}
