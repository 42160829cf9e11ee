// SPDX-License-Identifier: BSD-3-Clause
#include "cmd/cmd.h"

int main(int argc, char **argv)
{
	return sluice_main(sys_host(), argc, argv);
}
