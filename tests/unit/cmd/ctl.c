// SPDX-License-Identifier: BSD-3-Clause
/* The control socket over real sockets in a directory of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/cmd.h"
#include "cmd/ctl.h"

struct fix {
	struct sys sys;
	struct sys_ops ops;
	unsigned int accepts;
	char dir[32], path[64];
	struct ev *ev;
	struct ctl *ctl;
	unsigned int calls;
};

static int do_count(void *arg, const json_t *req, json_t **out, struct err *e)
{
	struct fix *f = arg;

	f->calls++;
	*out = json_pack("{s:i}", "calls", (int)f->calls);
	return 0;
}

static int do_fail(void *arg, const json_t *req, json_t **out, struct err *e)
{
	return err_set(e, -EIO, "it broke");
}

static int do_big(void *arg, const json_t *req, json_t **out, struct err *e)
{
	char *text = malloc(3 << 20);

	memset(text, 'x', 3 << 20);
	*out = json_stringn(text, 3 << 20);
	free(text);
	return 0;
}

static int do_args(void *arg, const json_t *req, json_t **out, struct err *e)
{
	*out = json_pack("[O?, O?]", json_object_get(req, "port"), json_object_get(req, "link"));
	return 0;
}

static const struct ctl_cmd cmds[] = {
	{ "count", "", do_count, { 0 } },
	{ "fail", "", do_fail, { 0 } },
	{ "big", "", do_big, { 0 } },
	{ "args", "", do_args, { "port", "link" } },
	{ 0 },
};

static int counted_accept(struct sys *s, int fd, int flags)
{
	container_of(s, struct fix, sys)->accepts++;
	return sys_accept(sys_host(), fd, flags);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	f->ops = *sys_host()->ops;
	f->ops.accept = counted_accept;
	f->sys.ops = &f->ops;
	strcpy(f->dir, "/tmp/sluice-ctl-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	assert_int_equal(ev_new(sys_host(), &f->ev), 0);
	assert_int_equal(ctl_new(&f->sys, NULL, f->ev, f->path, cmds, f, &f->ctl, &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	ctl_free(f->ctl);
	ev_free(f->ev);
	assert_int_not_equal(access(f->path, F_OK), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void turn(struct fix *f, int n)
{
	while (n--)
		assert_true(ev_turn(f->ev, 0) >= 0);
}

/* Send text, let the server work, and take what it says. */
static char *talk(struct fix *f, int fd, const char *text, char *buf, size_t size)
{
	ssize_t n;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	turn(f, 4);
	n = read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = 0;
	return buf;
}

static void test_answers(void **state)
{
	struct fix *f = *state;
	int fd = connect_to(f->path);
	char b[512];

	assert_string_equal(talk(f, fd, "{\"command\":\"count\"}\n", b, sizeof(b)),
			    "{\"ok\":true,\"data\":{\"calls\":1}}\n");
	assert_string_equal(talk(f, fd, "{\"command\":\"count\",\"id\":5}\n", b, sizeof(b)),
			    "{\"ok\":true,\"data\":{\"calls\":2},\"id\":5}\n");
	assert_string_equal(talk(f, fd, "{\"command\":\"fail\"}\n", b, sizeof(b)),
			    "{\"ok\":false,\"error\":\"it broke\"}\n");
	assert_string_equal(talk(f, fd, "{\"comm", b, sizeof(b)), "");
	assert_string_equal(talk(f, fd, "and\":\"nope\"}\n", b, sizeof(b)),
			    "{\"ok\":false,\"error\":\"unknown command \\\"nope\\\"\"}\n");
	assert_non_null(strstr(talk(f, fd, "[1]\n", b, sizeof(b)), "no JSON object"));
	assert_non_null(strstr(talk(f, fd, "{\"command\":7}\n", b, sizeof(b)), "\"ok\":false"));
	assert_non_null(strstr(talk(f, fd, "\xff\xfe\n", b, sizeof(b)), "\"ok\":false"));
	close(fd);
}

/* What a command needs is there, as text, before it is called. */
static void test_args(void **state)
{
	struct fix *f = *state;
	int fd = connect_to(f->path);
	char b[512];

	assert_string_equal(talk(f, fd,
				 "{\"command\":\"args\",\"link\":\"up\",\"port\":\"net0\"}\n", b,
				 sizeof(b)),
			    "{\"ok\":true,\"data\":[\"net0\",\"up\"]}\n");
	assert_string_equal(talk(f, fd, "{\"command\":\"args\",\"port\":\"net0\"}\n", b, sizeof(b)),
			    "{\"ok\":false,\"error\":\"args needs a \\\"link\\\"\"}\n");
	assert_string_equal(
		talk(f, fd, "{\"command\":\"args\",\"link\":1,\"port\":\"net0\"}\n", b, sizeof(b)),
		"{\"ok\":false,\"error\":\"args needs a \\\"link\\\"\"}\n");
	close(fd);
}

/* Without descriptors a client cannot be taken: the loop must not spin over it. */
static void test_no_descriptors(void **state)
{
	struct fix *f = *state;
	struct rlimit was, none;
	int fd = connect_to(f->path), i;
	char b[256];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	f->accepts = 0;
	for (i = 0; i < 20; i++)
		assert_int_equal(ev_turn(f->ev, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(f->accepts, 1);
	/* And takes it when there are some again. */
	assert_int_equal(write(fd, "{\"command\":\"count\"}\n", 20), 20);
	for (i = 0; i < 50 && read(fd, b, sizeof(b)) < 0; i++)
		assert_true(ev_turn(f->ev, 100) >= 0);
	assert_true(i < 50);
	close(fd);
}

static void test_mode_and_peers(void **state)
{
	struct fix *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_long_line(void **state)
{
	struct fix *f = *state;
	int fd = connect_to(f->path);
	char line[CTL_LINE_MAX + 100], b[512];

	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 1] = 0;
	assert_non_null(strstr(talk(f, fd, line, b, sizeof(b)), "too long"));
	assert_string_equal(talk(f, fd, "still the same line\n", b, sizeof(b)), "");
	assert_non_null(
		strstr(talk(f, fd, "{\"command\":\"count\"}\n", b, sizeof(b)), "\"calls\":1"));
	close(fd);
}

static void test_many_clients(void **state)
{
	struct fix *f = *state;
	int fd[CTL_CLIENTS_MAX + 1], i;
	char b[256];

	for (i = 0; i <= CTL_CLIENTS_MAX; i++) {
		fd[i] = connect_to(f->path);
		turn(f, 2);
	}
	/* The one too many was hung up on; the others are served. */
	assert_int_equal(read(fd[CTL_CLIENTS_MAX], b, sizeof(b)), 0);
	for (i = 0; i < CTL_CLIENTS_MAX; i++) {
		assert_non_null(
			strstr(talk(f, fd[i], "{\"command\":\"count\"}\n", b, sizeof(b)), "true"));
		close(fd[i]);
	}
	close(fd[CTL_CLIENTS_MAX]);
	turn(f, 3);
	fd[0] = connect_to(f->path);
	assert_non_null(strstr(talk(f, fd[0], "{\"command\":\"count\"}\n", b, sizeof(b)), "true"));
	close(fd[0]);
}

/* A client that asks much and reads nothing is dropped and does not hold up another. */
static void test_greedy_client(void **state)
{
	struct fix *f = *state;
	int greedy = connect_to(f->path), fd;
	char b[4096];
	ssize_t n;
	int i;

	for (i = 0; i < 4; i++) {
		n = write(greedy, "{\"command\":\"big\"}\n", 18);
		turn(f, 3);
	}
	fd = connect_to(f->path);
	assert_non_null(strstr(talk(f, fd, "{\"command\":\"count\"}\n", b, sizeof(b)), "true"));
	close(fd);
	/* What it took was one long answer, whole; with a slow reader it comes bit by bit. */
	for (i = 0; i < 10000; i++) {
		n = read(greedy, b, sizeof(b));
		if (n == 0)
			break;
		turn(f, 1);
	}
	close(greedy);
	turn(f, 2);
}

static void test_path_in_use(void **state)
{
	struct fix *f = *state;
	struct ctl *c = NULL;
	struct err e = { 0 };
	char path[80], long_path[200];
	int fd;

	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, f->path, cmds, f, &c, &e), -EADDRINUSE);
	assert_null(c);
	assert_int_equal(access(f->path, F_OK), 0); /* the first one's socket is still there */
	snprintf(path, sizeof(path), "%s/file", f->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, path, cmds, f, &c, &e), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	memset(long_path, 'p', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = 0;
	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, long_path, cmds, f, &c, &e),
			 -ENAMETOOLONG);
	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, "/nonexistent/s", cmds, f, &c, &e),
			 -ENOENT);
}

/* Whoever listens and never accepts has the path all the same, and must not make us wait. */
static void test_full_backlog(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct ctl *c = NULL;
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), peer[8];
	unsigned int n = 0;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/full", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 0), 0);
	do {
		peer[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (!connect(peer[n++], (struct sockaddr *)&a, sizeof(a)) && n < ARRAY_SIZE(peer));
	assert_true(n < ARRAY_SIZE(peer));
	alarm(5); /* ends the test where it would hang */
	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, a.sun_path, cmds, f, &c, &e),
			 -EADDRINUSE);
	alarm(0);
	while (n--)
		close(peer[n]);
	close(fd);
	unlink(a.sun_path);
}

/* A server that hangs up at once: the client says so, whether it was about to write or to read. */
static void test_hung_up(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char *argv[] = { "ctl", a.sun_path, "ports", NULL };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status, i;
	pid_t pid;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/hang", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	for (i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			if (!freopen("/dev/null", "w", stderr))
				_exit(99);
			_exit(cmd_ctl.fn(sys_host(), &cmd_ctl, 2, argv + 1));
		}
		close(accept(fd, NULL, NULL));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), CMD_FAILED);
	}
	close(fd);
	unlink(a.sun_path);
}

static void test_stale_socket(void **state)
{
	struct fix *f = *state;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct ctl *c = NULL;
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/stale", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	assert_int_equal(ctl_new(sys_host(), NULL, f->ev, a.sun_path, cmds, f, &c, &e), 0);
	ctl_free(c);
	assert_int_not_equal(access(a.sun_path, F_OK), 0);
}

static void test_print(void **state)
{
	json_t *o = json_loads(
		"{\"name\":\"vm\",\"n\":5,\"rows\":[{\"a\":\"x\",\"n\":1,\"l\":[{\"k\":1}]},"
		"{\"a\":\"longer\",\"n\":100,\"l\":{}}],\"none\":[],\"words\":[\"p\",\"q\"]}",
		0, NULL);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ctl_print(o, f);
	fclose(f);
	assert_string_equal(text, "name  vm\nn     5\nrows:\n"
				  "  a         n\n"
				  "  x         1\n"
				  "      l:\n"
				  "        k\n"
				  "        1\n"
				  "  longer  100\n"
				  "words:\n  p\n  q\n");
	free(text);
	json_decref(o);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_answers),	T(test_args),	      T(test_no_descriptors),
		T(test_mode_and_peers), T(test_long_line),    T(test_many_clients),
		T(test_greedy_client),	T(test_path_in_use),  T(test_full_backlog),
		T(test_hung_up),	T(test_stale_socket), cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
