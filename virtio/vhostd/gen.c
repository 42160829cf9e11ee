// SPDX-License-Identifier: BSD-3-Clause
/* Writes the manual page of sluice-vhostd from the tables that parse its command line. */
#include <stdio.h>

#include "base/opt_man.h"
#include "virtio/vhostd/daemon.h"

static void commands(void)
{
	const struct ctl_cmd *c;

	puts(".Sh COMMANDS\nOn the control socket, as in\n.Dl sluice ctl SOCKET port\\-add name=b,socket=/run/sluice/b\n"
	     ".Bl -tag -width port\\-add -compact");
	for (c = daemon_cmds; c->name; c++) {
		fputs(".It Cm ", stdout);
		opt_man_text(c->name);
		if (c->args[0])
			fputs(" Ar ARGUMENT", stdout);
		putchar('\n');
		opt_man_sentence(c->help);
	}
	puts(".El");
}

/* What no table says. */
static void tail(void)
{
	puts(".Sh SECURITY\nWho can connect to a vhost\\-user socket shares the memory of its machine with the program: sockets\n"
	     "are made for the user of the program alone, in a folder of mode 0700 that is made where it is missing.\n"
	     "With\n.Fl \\-user\nports that need privilege (a PCI function, a tap) must be on the command line.\n"
	     "Sockets of the command line,\n"
	     "and folders made for them, become the user\\(aqs; the folder of the control socket must be its own.");
	puts(".Sh TELEMETRY\nThe telemetry socket of DPDK answers\n.Cm /sluice/ports\nand\n.Cm /sluice/port,NAME :\n"
	     "counters of each queue, as\n.Cm stat\nhas them.\nThe socket is\n.Pa /run/dpdk/rte/dpdk_telemetry.v2 ,\n"
	     "with a colon and a number for each further program;\n.Xr dpdk\\-telemetry.py 1\nfinds it.");
	puts(".Sh EXIT STATUS\n.Bl -tag -width 3n -compact\n.It 0\nIt was asked to end.\n.It 1\nSet\\-up failed.\n.It 2\n"
	     "The command line is wrong.\n.El");
	puts(".Sh EXAMPLES\nTwo machines and the outer world in one network:\n.Bd -literal -offset indent");
	puts("sluice\\-vhostd \\-\\-lcores 1 \\-\\-control /run/sluice/vhostd \\e");
	puts("       \\-\\-port name=a,socket=/run/sluice/a \\e");
	puts("       \\-\\-port name=b,socket=/run/sluice/b \\-\\-port name=up,pci=0000:01:10.0\n.Ed");
	puts(".Sh SEE ALSO\n.Xr sluice 1");
}

int main(void)
{
	puts(".\\\" Generated from the option tables of the program: change those.");
	puts(".Dd $Mdocdate$\n.Dt SLUICE-VHOSTD 1\n.Os\n.Sh NAME\n.Nm sluice\\-vhostd\n"
	     ".Nd switch and disks for virtual machines, over vhost\\-user");
	puts(".Sh SYNOPSIS\n.Nm sluice\\-vhostd\n.Op Ar OPTIONS\n.Sh DESCRIPTION");
	opt_man_sentence(daemon_about);
	puts(".Pp");
	opt_man_table(daemon_opts_table, false);
	commands();
	tail();
	return fflush(stdout) ? 1 : 0;
}
