// SPDX-License-Identifier: BSD-3-Clause
/* The host's ends of a serial port, on the real kernel: files, pipes, terminals, sockets. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/fake/fakesys.h"
#include "vmm/devices/chr_priv.h"

struct ctx {
	struct ev *ev;
	struct chr *chr;
	char dir[64], path[100], spec[120];
	char got[64];
	size_t n, room;
	unsigned int ready, quits;
	int saved[2];
};

static size_t user_room(void *arg)
{
	return ((struct ctx *)arg)->room;
}

static void user_rx(void *arg, const uint8_t *p, size_t n)
{
	struct ctx *c = arg;

	assert_true(n <= c->room && c->n + n < sizeof(c->got));
	memcpy(c->got + c->n, p, n);
	c->n += n;
	c->room -= n;
}

static void user_ready(void *arg)
{
	((struct ctx *)arg)->ready++;
}

static void user_quit(void *arg)
{
	((struct ctx *)arg)->quits++;
}

static const struct chr_user user = {
	.room = user_room, .rx = user_rx, .tx_ready = user_ready, .quit = user_quit
};

static int setup(void **state)
{
	static struct ctx c;

	signal(SIGPIPE, SIG_IGN);
	memset(&c, 0, sizeof(c));
	c.room = 16;
	strcpy(c.dir, "/tmp/test-chr-XXXXXX");
	assert_non_null(mkdtemp(c.dir));
	snprintf(c.path, sizeof(c.path), "%s/serial", c.dir);
	assert_int_equal(ev_new(sys_host(), &c.ev), 0);
	c.saved[0] = dup(0);
	c.saved[1] = dup(1);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	for (int i = 0; i < 2; i++) {
		dup2(c->saved[i], i);
		close(c->saved[i]);
	}
	unlink(c->path);
	rmdir(c->dir);
	ev_free(c->ev);
	return 0;
}

static void open_chr(struct ctx *c, const char *spec, struct chr_tty *tty)
{
	struct err e = { 0 };

	if (chr_open(sys_host(), c->ev, NULL, spec, tty, &c->chr, &e))
		fail_msg("%s", e.text);
	chr_start(c->chr, &user, c);
}

static void open_path(struct ctx *c, const char *kind)
{
	snprintf(c->spec, sizeof(c->spec), "%s=%s", kind, c->path);
	open_chr(c, c->spec, NULL);
}

static void turns(struct ctx *c, unsigned int n)
{
	while (n--)
		assert_int_equal(ev_turn(c->ev, 8), 0);
}

static void say(struct ctx *c, const char *text)
{
	chr_write(c->chr, text, strlen(text));
}

static void expect(int fd, const char *text)
{
	char buf[4096] = "";
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

static void test_bad_specs(void **state)
{
	static const char *const bad[] = {
		"", "tty", "file=", "unix=", "file=/no/such/dir/x", "unix=/no/such/dir/x"
	};
	struct ctx *c = *state;
	char longname[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		assert_true(chr_open(sys_host(), c->ev, NULL, bad[i], NULL, &c->chr, &e) < 0);
		assert_true(strlen(e.text) > 0);
	}
	memset(longname, 'a', sizeof(longname));
	memcpy(longname, "unix=", 5);
	longname[199] = 0;
	assert_int_equal(chr_open(sys_host(), c->ev, NULL, longname, NULL, &c->chr, NULL),
			 -ENAMETOOLONG);
	assert_null(c->chr);
}

static void test_file(void **state)
{
	struct ctx *c = *state;
	char buf[100] = "";
	int fd;

	open_path(c, "file");
	say(c, "hello ");
	turns(c, 3);
	say(c, "last words");
	chr_close(c->chr); /* without another turn of the loop */
	fd = open(c->path, O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf)), 16);
	assert_string_equal(buf, "hello last words");
	close(fd);
}

static void stdio_pipes(struct ctx *c, int in[2], int out[2])
{
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	open_chr(c, "stdio", NULL);
}

static void test_pipes(void **state)
{
	struct ctx *c = *state;
	int in[2], out[2];

	stdio_pipes(c, in, out);
	say(c, "to the host");
	turns(c, 3);
	expect(out[0], "to the host");
	/* More than there is room for waits in the pipe. */
	c->room = 4;
	assert_int_equal(write(in[1], "abcdef", 6), 6);
	turns(c, 4);
	assert_int_equal(c->n, 4);
	c->room = 16;
	turns(c, 2);
	assert_int_equal(c->n, 4);
	chr_rx_more(c->chr);
	turns(c, 2);
	assert_memory_equal(c->got, "abcdef", 6);
	/* No escape key on a pipe. */
	assert_int_equal(write(in[1], "\001x", 2), 2);
	turns(c, 2);
	assert_int_equal(c->n, 8);
	assert_int_equal(c->quits, 0);
	/* End of input is no end of output, and the loop does not spin on it. */
	close(in[1]);
	turns(c, 3);
	assert_true(c->chr->eof);
	assert_null(c->chr->in.src);
	say(c, "more");
	chr_close(c->chr);
	expect(out[0], "more");
	/* The shell's own descriptor was left as it was. */
	assert_int_equal(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
	close(out[0]);
}

static void test_slow_reader(void **state)
{
	struct ctx *c = *state;
	static char big[CHR_BUF];
	int in[2], out[2];
	size_t total = 0;
	ssize_t n;

	stdio_pipes(c, in, out);
	memset(big, 'x', sizeof(big));
	/* The pipe takes 64 KiB, then the buffer fills. */
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(chr_can_write(c->chr));
		chr_write(c->chr, big, sizeof(big));
		turns(c, 4);
	}
	assert_false(chr_can_write(c->chr));
	assert_int_equal(chr_dropped(c->chr), 0);
	/* Somebody reads: the writer hears of it. */
	n = read(out[0], big, sizeof(big));
	total += (size_t)n;
	turns(c, 4);
	assert_int_equal(c->ready, 1);
	assert_true(chr_can_write(c->chr));
	chr_close(c->chr);
	dup2(c->saved[1], 1);
	while ((n = read(out[0], big, sizeof(big))) > 0)
		total += (size_t)n;
	assert_int_equal(total, 2 * CHR_BUF);
	close(in[1]);
	close(out[0]);
}

static void test_reader_stands_still(void **state)
{
	struct ctx *c = *state;
	static char big[CHR_BUF];
	int in[2], out[2];
	uint64_t start;

	stdio_pipes(c, in, out);
	for (unsigned int i = 0; i < 2; i++) {
		chr_write(c->chr, big, sizeof(big));
		turns(c, 4);
	}
	assert_false(chr_can_write(c->chr));
	start = sys_now_ns(sys_host());
	while (!chr_can_write(c->chr) && sys_now_ns(sys_host()) - start < 3000000000ull)
		turns(c, 1);
	assert_true(c->chr->stuck);
	assert_int_equal(c->ready, 1);
	/* The oldest are lost, the last words stay. */
	say(c, "last words");
	assert_int_equal(chr_dropped(c->chr), 10);
	start = sys_now_ns(sys_host());
	chr_close(c->chr); /* and nobody waits for it again */
	assert_true(sys_now_ns(sys_host()) - start < 500000000ull);
	close(in[1]);
	close(out[0]);
}

static void test_reader_gone(void **state)
{
	struct ctx *c = *state;
	int in[2], out[2];

	stdio_pipes(c, in, out);
	close(out[0]);
	say(c, "x");
	turns(c, 3);
	assert_false(c->chr->online);
	for (unsigned int i = 0; i < 2000; i++)
		say(c, "nobody reads this, and nobody has to wait for that either\n");
	assert_true(chr_can_write(c->chr));
	turns(c, 2);
	chr_close(c->chr);
	close(in[1]);
}

static void test_not_for_epoll(void **state)
{
	struct ctx *c = *state;
	int fd = open(c->path, O_RDWR | O_CREAT, 0600);

	/* Input from a file, output to /dev/null: epoll takes neither. */
	assert_int_equal(write(fd, "abcdefghij", 10), 10);
	lseek(fd, 0, SEEK_SET);
	dup2(fd, 0);
	close(fd);
	fd = open("/dev/null", O_WRONLY);
	dup2(fd, 1);
	close(fd);
	c->room = 4;
	open_chr(c, "stdio", NULL);
	turns(c, 3);
	assert_int_equal(c->n, 4);
	c->room = 16;
	chr_rx_more(c->chr);
	turns(c, 3);
	assert_memory_equal(c->got, "abcdefghij", 10);
	assert_true(c->chr->eof);
	say(c, "x");
	turns(c, 3);
	assert_int_equal(c->chr->used, 0);
	chr_close(c->chr);
}

/* Typed at a terminal, and there to be read: a kernel thread carries it across, when it gets to
 * run. */
static void typed(int m, const char *text, size_t n)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	assert_int_equal(write(m, text, n), n);
	assert_int_equal(poll(&p, 1, 60000), 1);
}

static void test_terminal(void **state)
{
	struct ctx *c = *state;
	struct chr_tty tty = { 0 };
	struct termios before, now;
	int m = posix_openpt(O_RDWR | O_NOCTTY), s;

	assert_true(m >= 0);
	assert_int_equal(grantpt(m) | unlockpt(m), 0);
	s = open(ptsname(m), O_RDWR | O_NOCTTY);
	assert_true(s >= 0);
	dup2(s, 0);
	dup2(s, 1);
	close(s);
	tcgetattr(0, &before);
	open_chr(c, "stdio", &tty);
	tcgetattr(0, &now);
	assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(now.c_oflag & OPOST, before.c_oflag & OPOST);
	typed(m, "a\003\001\001b\001qc", 8);
	turns(c, 3);
	assert_memory_equal(c->got, "a\003\001bc", 5);
	assert_int_equal(c->n, 5);
	/* The escape may be cut in two. */
	typed(m, "\001", 1);
	turns(c, 2);
	assert_int_equal(c->quits, 0);
	typed(m, "x", 1);
	turns(c, 2);
	assert_int_equal(c->quits, 1);
	typed(m, "\001h", 2);
	turns(c, 4);
	assert_true(read(m, c->got, sizeof(c->got)) > 20);
	/* As a signal handler would, and then once more at the end. */
	chr_tty_restore(&tty);
	tcgetattr(0, &now);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_int_equal(now.c_iflag, before.c_iflag);
	chr_close(c->chr);
	chr_tty_restore(&tty);
	chr_tty_restore(NULL);
	close(m);
}

static void test_pty(void **state)
{
	struct ctx *c = *state;
	int fd;

	open_chr(c, "pty", NULL);
	assert_non_null(chr_path(c->chr));
	say(c, "before\n");
	turns(c, 3);
	fd = open(chr_path(c->chr), O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	expect(fd, "before\n");
	assert_int_equal(write(fd, "in\n", 3), 3);
	for (int i = 0; i < 60000 && c->n < 3; i++) {
		poll(NULL, 0, 1);
		turns(c, 1);
	}
	assert_memory_equal(c->got, "in\n", 3);
	/* Whoever was there goes, another comes; the loop does not spin meanwhile. */
	close(fd);
	turns(c, 2);
	say(c, "after");
	turns(c, 3);
	fd = open(chr_path(c->chr), O_RDWR | O_NOCTTY);
	expect(fd, "after");
	close(fd);
	chr_close(c->chr);
}

static int client(struct ctx *c)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, c->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	turns(c, 2);
	return fd;
}

static void test_unix(void **state)
{
	struct ctx *c = *state;
	struct stat st;
	char b;
	int fd, other;

	open_path(c, "unix");
	assert_int_equal(stat(c->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	say(c, "boot log\n");
	turns(c, 3);
	fd = client(c);
	expect(fd, "boot log\n");
	/* One at a time. */
	other = client(c);
	assert_int_equal(read(other, &b, 1), 0);
	close(other);
	assert_int_equal(write(fd, "hi", 2), 2);
	turns(c, 2);
	assert_memory_equal(c->got, "hi", 2);
	close(fd);
	turns(c, 2);
	assert_false(c->chr->online);
	fd = client(c);
	say(c, "again");
	turns(c, 3);
	expect(fd, "again");
	/* Input that nobody takes: a client that goes must not make the loop spin. */
	c->room = 0;
	assert_int_equal(write(fd, "x", 1), 1);
	turns(c, 2);
	close(fd);
	assert_int_equal(ev_turn(c->ev, 0), 0);
	assert_null(c->chr->in.src);
	chr_close(c->chr);
	assert_int_equal(stat(c->path, &st), -1);
}

static void test_unix_taken(void **state)
{
	struct ctx *c = *state;
	struct chr *second = NULL;
	struct stat st;
	struct err e = { 0 };
	int fd;

	open_path(c, "unix");
	assert_int_equal(chr_open(sys_host(), c->ev, NULL, c->spec, NULL, &second, &e),
			 -EADDRINUSE);
	assert_non_null(strstr(e.text, "in use"));
	/* Whoever failed did not remove the other's socket. */
	assert_int_equal(stat(c->path, &st), 0);
	/* Left from a run that died: taken over. */
	c->chr->bound = false;
	chr_close(c->chr);
	assert_int_equal(stat(c->path, &st), 0);
	open_path(c, "unix");
	chr_close(c->chr);
	/* Not a socket: left alone. */
	fd = open(c->path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(chr_open(sys_host(), c->ev, NULL, c->spec, NULL, &second, &e), -EEXIST);
	assert_int_equal(stat(c->path, &st), 0);
}

/* Every system call fails once: nothing stays open, and the terminal is given back. */
static void sweep(const char *spec)
{
	for (unsigned int n = 1;; n++) {
		struct fakesys *f = fakesys_new();
		struct chr *chr = NULL;
		struct err e = { 0 };
		struct ev *ev;
		bool failed;
		int ret;

		fakesys_file(f, "/dev/ptmx", "");
		fakesys_file(f, "/dev/pts/0", "");
		assert_int_equal(ev_new(fakesys_sys(f), &ev), 0);
		fakesys_fail_nth(f, n, -EIO);
		ret = chr_open(fakesys_sys(f), ev, NULL, spec, NULL, &chr, &e);
		failed = fakesys_failed(f);
		fakesys_fail_nth(f, 0, 0);
		if (!ret)
			chr_close(chr);
		else
			assert_true(strlen(e.text) > 0);
		ev_free(ev);
		assert_int_equal(fakesys_open_fds(f), 0);
		fakesys_free(f);
		if (!failed)
			break;
		assert_true(n < 100);
	}
}

static void test_fail_nth(void **state)
{
	sweep("file=/run/log");
	sweep("unix=/run/sock");
	sweep("pty");
	sweep("stdio");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_specs),
		TEST(test_file),
		TEST(test_pipes),
		TEST(test_slow_reader),
		TEST(test_reader_stands_still),
		TEST(test_reader_gone),
		TEST(test_not_for_epoll),
		TEST(test_terminal),
		TEST(test_pty),
		TEST(test_unix),
		TEST(test_unix_taken),
		TEST(test_fail_nth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
