// SPDX-License-Identifier: BSD-3-Clause
/* The payload is entered, the serial line carries text, the command line arrives. */
#include "guest.h"

int guest_main(const struct mb_info *mbi)
{
	put("guest: hello, cmdline: ");
	put((const char *)(uintptr_t)mbi->cmdline);
	put("\n");
	return (int)arg_num(mbi, "exit", GUEST_PASS);
}
