// SPDX-License-Identifier: BSD-3-Clause
/* "sluice bench": the runner's command line, and what is made of its result. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/report.h"
#include "cmd/cmd.h"

/* struct bench_opts - the options as typed. */
struct bench_opts {
	bool pad;
	char *modes, *kernel, *initrd, *out, *disk_path, *disk_socket, *disk_pf, *net_tap,
		*net_socket, *net_pf, *only, *qemu;
	int guest, peer, force, pin, page, clock;
	bool page_given;
	uint32_t runs, seconds;
	uint64_t ops, memory;
};

static const char *const guest_names[] = { "payload", "linux", NULL };
static const char *const peer_names[] = { "none", "qemu", NULL };
static const char *const page_names[] = { "4K", "thp", "2M", "1G", NULL };
static const char *const clock_names[] = { "time", "instructions", NULL };

#define B(m) offsetof(struct bench_opts, m)
static const struct opt bench_opts[] = {
	{ "modes", OPT_STR, .off = B(modes), .arg = "MODE,MODE...", .group = "What",
	  .help = "emulated, emulated-shadow (NVMe doorbells in memory), emulated-ioeventfd (that, "
		  "and by eventfd), virtio, vhost-user, vfio; all: the four without those two (all)" },
	{ "guest", OPT_ENUM, .off = B(guest), .choices = guest_names,
	  .help = "payload: a small program without a system; linux: a kernel and RAM disk of yours" },
	{ "kernel", OPT_STR, .off = B(kernel), .arg = "FILE", .complete = "file",
	  .help = "the guest's kernel (the payload that was built with this program)" },
	{ "initrd", OPT_STR, .off = B(initrd), .arg = "FILE", .complete = "file",
	  .help = "the linux guest's RAM disk; its program speaks as bench/guest-linux.sh does" },
	{ "only", OPT_STR, .off = B(only), .arg = "TEST,TEST...", .help = "these tests alone" },
	{ "runs", OPT_U32, .off = B(runs), .min = 1, .max = 1000, .help = "rounds (5)" },
	{ "seconds", OPT_U32, .off = B(seconds), .min = 1, .max = 3600,
	  .help = "length of each load (1)" },
	{ "ops", OPT_SIZE, .off = B(ops), .min = 1, .arg = "N",
	  .help = "operations of each load, in the place of --seconds" },
	{ "peer", OPT_ENUM, .off = B(peer), .choices = peer_names,
	  .help = "run another VMM beside, with the same guest and the nearest devices (none)" },
	{ "qemu", OPT_STR, .off = B(qemu), .arg = "PROGRAM", .complete = "file",
	  .help = "that VMM (qemu-system-x86_64)" },
	{ "disk-path", OPT_STR, .off = B(disk_path), .arg = "FILE|null:SIZE", .complete = "file",
	  .group = "On what", .help = "what is behind the disk; it is written to (null:1G)" },
	{ "disk-socket", OPT_STR, .off = B(disk_socket), .arg = "PATH", .complete = "file",
	  .help = "a vhost-user backend for the disk (sluice-vhostd is started)" },
	{ "disk-pf", OPT_STR, .off = B(disk_pf), .arg = "/dev/nvmeN|BDF", .complete = "file",
	  .help = "NVMe controller whose VF is the disk of mode vfio" },
	{ "net-tap", OPT_STR, .off = B(net_tap), .arg = "IFNAME",
	  .help = "tap interface behind the network port, made when it is not there; the runner is its "
		  "host's end" },
	{ "net-socket", OPT_STR, .off = B(net_socket), .arg = "PATH", .complete = "file",
	  .help = "a vhost-user backend for the network (sluice-vhostd is started)" },
	{ "net-pf", OPT_STR, .off = B(net_pf), .arg = "IFNAME|BDF",
	  .help = "physical function whose VF is the network port of mode vfio; the runner is at the PF" },
	{ "memory", OPT_SIZE, .off = B(memory), .min = MIB(64), .group = "How",
	  .help = "guest memory (256M)" },
	{ "page", OPT_ENUM, .off = B(page), .choices = page_names, .given = B(page_given),
	  .help = "pages behind it, the same in every mode (thp; 4K with a peer, which cannot ask "
		  "for more)" },
	{ "pin", OPT_BOOL, .off = B(pin),
	  .help = "vCPU on the first CPU we may use, I/O and backend on the second, the far end of the "
		  "network on the third (on)" },
	{ "clock", OPT_ENUM, .off = B(clock), .choices = clock_names,
	  .help = "what the host's clock counts; instructions: so does the lab's with --icount, "
		  "which says it in SLUICE_CLOCK (time)" },
	{ "out", OPT_STR, .off = B(out), .arg = "FOLDER", .complete = "file",
	  .help = "where result.json goes (bench-out)" },
	{ "force", OPT_BOOL, .off = B(force),
	  .help = "run also where a comparison is of no use; the result says so" },
	{ .type = OPT_END },
};

/* ---- where the parts are ---- */

/* A file beside this program, in the build tree or installed; NULL: in neither place. */
static char *find_part(struct sys *s, const char *dir, const char *built, const char *installed)
{
	const char *const rel[] = { built, installed };
	char *path, *real;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rel); i++) {
		if (asprintf(&path, "%s/%s", dir, rel[i]) < 0)
			return NULL;
		real = sys_exists(s, "%s", path) ? realpath(path, NULL) : NULL;
		free(path);
		if (real)
			return real;
	}
	return NULL;
}

/* The paths that the command line does not give. */
static int find_parts(struct sys *s, const struct bench_opts *o, struct bench_cfg *c, struct err *e)
{
	char exe[PATH_MAX];
	ssize_t n = sys_readlink(s, "/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return err_sys(e, (int)n, "/proc/self/exe");
	exe[n] = 0;
	c->exe = strdup(exe);
	*strrchr(exe, '/') = 0;
	c->vhostd = find_part(s, exe, "../virtio/vhostd/sluice-vhostd", "sluice-vhostd");
	if (!c->vhostd)
		c->vhostd = strdup("sluice-vhostd");
	if (o->kernel)
		c->kernel = strdup(o->kernel);
	else if (!c->on_linux)
		c->kernel = find_part(s, exe, "../bench/guest/payload.elf",
				      "../share/sluice/payload.elf");
	c->initrd = o->initrd ? strdup(o->initrd) : NULL;
	c->qemu = strdup(o->qemu ? o->qemu : "qemu-system-x86_64");
	if (c->kernel)
		return 0;
	return err_set(e, -ENOENT, "give --kernel: %s",
		       c->on_linux ? "there is no default for --guest linux"
				   : "the payload is not beside this program");
}

static void cfg_free(struct bench_cfg *c)
{
	free(c->exe);
	free(c->vhostd);
	free(c->kernel);
	free(c->initrd);
	free(c->qemu);
	free(c->net_wire);
}

/*
 * The first CPUs this process may run on. Without a second one that of the vCPU is used twice;
 * without a third one the peer runs where there is room, since a backend may poll on the second.
 */
static void choose_cpus(struct bench_cfg *c)
{
	int i, n = 0, found[3] = { -1, -1, -1 };
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (i = 0; i < CPU_SETSIZE && n < 3; i++)
		if (CPU_ISSET((size_t)i, &set))
			found[n++] = i;
	c->cpu = found[0];
	c->io_cpu = found[1] >= 0 ? found[1] : found[0];
	c->peer_cpu = found[2];
}

static int first_name(void *arg, const char *name)
{
	char **out = arg;

	*out = strdup(name);
	return 1;
}

/* The interface of the PF, which is given by that name or by its PCI address. */
static char *net_wire(struct sys *s, const char *pf)
{
	char path[128], *name = NULL;

	if (sys_exists(s, "/sys/class/net/%s", pf))
		return strdup(pf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s%.60s/net",
		 strlen(pf) < strlen("0000:00:00.0") ? "0000:" : "", pf);
	(void)!s->ops->listdir(s, path, first_name, &name);
	return name;
}

static int cfg_make(struct sys *s, const struct bench_opts *o, const char *what,
		    struct bench_cfg *c, struct err *e)
{
	int ret = bench_topic_parse(&c->topics, what, e);

	if (!ret) {
		ret = bench_mode_parse(&c->modes, o->modes ? o->modes : "all", e);
		if (ret)
			err_prefix(e, "--modes: ");
	}
	if (!ret && o->only)
		ret = bench_only_check(o->only, e);
	if (ret)
		return ret;
	c->on_linux = o->guest == 1;
	c->peer_qemu = o->peer == 1;
	c->force = o->force;
	c->counting = o->clock == 1;
	c->runs = o->runs;
	c->seconds = o->seconds;
	c->ops = o->ops;
	c->memory = o->memory;
	c->page = page_names[c->peer_qemu && !o->page_given ? 0 : o->page];
	c->only = o->only;
	c->disk_path = o->disk_path ? o->disk_path : "null:1G";
	c->disk_socket = o->disk_socket;
	c->disk_pf = o->disk_pf;
	c->net_tap = o->net_tap;
	c->net_socket = o->net_socket;
	c->net_pf = o->net_pf;
	c->net_wire = c->net_pf ? net_wire(s, c->net_pf) : NULL;
	c->cpu = c->io_cpu = c->peer_cpu = -1;
	if (o->pin)
		choose_cpus(c);
	if (!IS_ALIGNED(c->memory, MIB(2)))
		return err_set(e, -EINVAL, "--memory: a multiple of 2M is needed");
	return find_parts(s, o, c, e);
}

/* ---- the result ---- */

/* Columns of the terminal; 0, which is any width, when it is none. */
static unsigned int terminal_width(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) ? 0 : w.ws_col;
}

/* result.json and report.html into the folder, the table to standard output. */
static int save(struct sys *s, const char *dir, const struct bench_result *r, struct err *e)
{
	char json[PATH_MAX], html[PATH_MAX];
	int ret = sys_mkdir(s, dir, 0777);

	if (ret && ret != -EEXIST)
		return err_sys(e, ret, "--out: cannot make %s", dir);
	if (snprintf(json, sizeof(json), "%s/result.json", dir) >= (int)sizeof(json) ||
	    snprintf(html, sizeof(html), "%s/report.html", dir) >= (int)sizeof(html))
		return err_set(e, -ENAMETOOLONG, "--out: the path is too long");
	bench_table(r, terminal_width(), stdout);
	fflush(stdout);
	ret = bench_result_save(r, json, e);
	if (!ret)
		ret = bench_report_save(r, html, e);
	if (!ret)
		fprintf(stderr, "sluice: bench: the result is in %s, a page to look at in %s\n",
			json, html);
	return ret;
}

/* Words of the command line as one, for the result. */
static void command_text(int argc, char **argv, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "sluice bench");
	int i;

	for (i = 0; i < argc && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, " %s", argv[i]);
}

static int measure(struct sys *s, const struct bench_opts *o, const char *what, const char *command,
		   struct err *e)
{
	struct bench_cfg c = { 0 };
	struct bench_result r;
	struct err save_err = { 0 };
	int ret, saved = 0;

	bench_result_init(&r, SLUICE_VERSION, command);
	ret = cfg_make(s, o, what, &c, e);
	if (!ret)
		ret = bench_run(s, &c, &r, e);
	if (!ret && !r.n_test)
		ret = err_set(e, -ENODEV, "nothing could be measured");
	/* What an interrupted run has is kept. */
	if (r.n_test) {
		saved = save(s, o->out ? o->out : "bench-out", &r, &save_err);
		if (saved && !ret)
			*e = save_err;
	}
	bench_result_free(&r);
	cfg_free(&c);
	return ret ? ret : saved;
}

/* result.json of a folder, or the file itself; and the page that goes beside it. */
static int result_paths(struct sys *s, const char *given, char json[PATH_MAX], char html[PATH_MAX],
			struct err *e)
{
	bool folder = sys_exists(s, "%s/result.json", given);
	int n = snprintf(json, PATH_MAX, "%s%s", given, folder ? "/result.json" : "");
	const char *name = n < PATH_MAX ? strrchr(json, '/') : NULL;
	int dir = name ? (int)(name + 1 - json) : 0;

	if (n >= PATH_MAX || snprintf(html, PATH_MAX, "%.*sreport.html", dir, json) >= PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "the path is too long");
	return 0;
}

/* "sluice bench report FOLDER|FILE": the table again, and the page beside the file. */
static int report(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	char json[PATH_MAX], html[PATH_MAX];
	struct bench_result r = { 0 };
	struct err e = { 0 };
	int ret;

	if (argc != 1) {
		err_set(&e, -EINVAL, "report: give one folder with a result.json, or the file");
		cmd_err_prefix(&e, c);
		return cmd_fail(&e, true);
	}
	ret = result_paths(s, argv[0], json, html, &e);
	if (!ret)
		ret = bench_result_load(&r, json, &e);
	if (!ret) {
		bench_table(&r, terminal_width(), stdout);
		fflush(stdout);
		ret = bench_report_save(&r, html, &e);
	}
	bench_result_free(&r);
	if (!ret) {
		fprintf(stderr, "sluice: bench: a page to look at is in %s\n", html);
		return CMD_OK;
	}
	err_prefix(&e, "report: ");
	cmd_err_prefix(&e, c);
	return cmd_fail(&e, false);
}

/* "sluice bench compare A B": ends as diff(1) does, 0 for no difference, 1 for one, 2 for trouble.
 */
static int compare(const struct cmd *c, int argc, char **argv)
{
	struct err e = { 0 };
	int ret;

	if (argc != 2) {
		err_set(&e, -EINVAL, "compare: give two result.json files");
		cmd_err_prefix(&e, c);
		return cmd_fail(&e, true);
	}
	ret = bench_compare(argv[0], argv[1], stdout, &e);
	if (ret >= 0)
		return ret ? CMD_FAILED : CMD_OK;
	cmd_err_prefix(&e, c);
	return cmd_fail(&e, true);
}

/* A host whose clock counts instructions says so; what it says is checked before it is believed. */
static int clock_said(void)
{
	const char *said = getenv("SLUICE_CLOCK");

	return said && !strcmp(said, clock_names[1]);
}

static int bench_main(struct sys *s, const struct cmd *c, int argc, char **argv)
{
	struct bench_opts o = { .pin = 1,
				.page = 1,
				.runs = 5,
				.seconds = 1,
				.memory = MIB(256),
				.clock = clock_said() };
	char command[BENCH_TEXT_SIZE];
	struct err e = { 0 };
	int rest, status = CMD_USAGE, ret;

	if (argc && !strcmp(argv[0], "compare"))
		return compare(c, argc - 1, argv + 1);
	if (argc && !strcmp(argv[0], "report"))
		return report(s, c, argc - 1, argv + 1);
	command_text(argc, argv, command, sizeof(command));
	if (!cmd_parse(c, &o, argc, argv, &rest, &status))
		goto out;
	if (argc - rest > 1)
		ret = err_set(&e, -EINVAL, "too many operands: %.60s", argv[rest + 1]);
	else
		ret = measure(s, &o, argc > rest ? argv[rest] : "all", command, &e);
	status = CMD_OK;
	if (ret) {
		cmd_err_prefix(&e, c);
		status = cmd_fail(&e, ret == -EINVAL);
	}
out:
	opt_free(bench_opts, &o);
	return status;
}

const struct cmd cmd_bench = {
	.name = "bench",
	.help = "compare ways of I/O: the same guest and load in each mode",
	.operands = "[net|disk|cpu|memory|all] | compare A B | report FOLDER|FILE",
	.about =
		"Runs the same guest with the same load in each mode, in turn, and tells for each: throughput, latency, exits "
		"by reason, interrupts, CPU time of vCPU, I/O thread and backend, system calls. What this host cannot run is "
		"listed with the reason. Ctrl-C keeps what is done. 'compare' says for two files result.json which "
		"figures differ, and whether that is more than noise; it ends with 0 when none does, 1 when one does, "
		"2 when it cannot tell. 'report' makes the table and report.html again from a result.json",
	.opts = bench_opts,
	.fn = bench_main,
};
