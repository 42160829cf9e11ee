// SPDX-License-Identifier: BSD-3-Clause
/*
 * The smallest useful first program of an L2 guest: it says that user space is reached, then ends
 * the way the kernel command line asks: l2=poweroff (the default), reboot, panic or halt. (For a
 * triple fault: l2=reboot reboot=t, which makes the kernel itself do it.)
 * No C library: its start-up would be counted in the boot figures.
 */
#include <asm/unistd.h>
#include <linux/reboot.h>

static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

/* the two letters after "l2=" on the command line, 0 without them */
static int wanted(const char *s, long n)
{
	for (long i = 0; i + 5 <= n; i++)
		if (s[i] == 'l' && s[i + 1] == '2' && s[i + 2] == '=' && (!i || s[i - 1] == ' '))
			return s[i + 3] << 8 | s[i + 4];
	return 0;
}

static void end(unsigned int how)
{
	call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, how, 0, 0);
}

void _start(void);

void _start(void)
{
	static const char hello[] = "L2: init\n";
	static char line[4096];
	long fd;
	int how = 0;

	call(__NR_write, 1, (long)hello, sizeof(hello) - 1, 0, 0);
	call(__NR_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
	fd = call(__NR_open, (long)"/proc/cmdline", 0, 0, 0, 0);
	if (fd >= 0)
		how = wanted(line, call(__NR_read, fd, (long)line, sizeof(line), 0, 0));
	switch (how) {
	case 'r' << 8 | 'e':
		end(LINUX_REBOOT_CMD_RESTART);
		break;
	case 'h' << 8 | 'a':
		end(LINUX_REBOOT_CMD_HALT);
		break;
	case 'p' << 8 | 'a':
		break; /* the end of init is a panic */
	default:
		end(LINUX_REBOOT_CMD_POWER_OFF);
	}
	call(__NR_exit, 1, 0, 0, 0, 0);
	__builtin_unreachable();
}
