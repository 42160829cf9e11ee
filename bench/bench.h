/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <jansson.h>

#include "base/opt.h"
#include "base/sys.h"
#include "bench/result.h"

/*
 * The runner: what is measured (loads), under what (sides), in which order, and how one guest is
 * run and its counters read.
 */

enum bench_topic { BENCH_NET, BENCH_DISK, BENCH_CPU_TOPIC, BENCH_MEMORY, BENCH_TOPICS };
const char *bench_topic_name(enum bench_topic t);

/** enum bench_peer_kind - what the host's end of the network does meanwhile: it sends frames back,
 * sends frames of its own, takes what comes over TCP, or sends over TCP */
enum bench_peer_kind {
	BENCH_PEER_NONE,
	BENCH_PEER_ECHO,
	BENCH_PEER_FLOOD,
	BENCH_PEER_SINK,
	BENCH_PEER_SOURCE
};

/**
 * struct bench_load - one thing to measure; tables end with an entry without a name
 * @name:  of the test in results, also what the linux guest is told
 * @guest: the payload's name for it
 * @depth: requests at once, 0: no such thing; @size: bytes of each
 * @on_linux: @on_payload: guests that can do it
 */
struct bench_load {
	const char *name, *guest, *title;
	enum bench_topic topic;
	enum bench_unit unit;
	unsigned int depth, size;
	bool on_linux, on_payload;
	enum bench_peer_kind peer;
};
extern const struct bench_load bench_loads[];

/** enum bench_mode - BENCH_M_NONE: a load that needs no mode of its own (CPU, memory) */
enum bench_mode {
	BENCH_M_NONE,
	BENCH_M_EMULATED,
	BENCH_M_EMULATED_IOEVENTFD,
	BENCH_M_EMULATED_SHADOW,
	BENCH_M_VIRTIO,
	BENCH_M_VHOST_USER,
	BENCH_M_VFIO,
	BENCH_MODES
};
enum bench_vmm { BENCH_SLUICE, BENCH_QEMU, BENCH_VMMS };
const char *bench_mode_name(enum bench_mode m);
const char *bench_vmm_name(enum bench_vmm v);

/** bench_mode_parse() - "emulated,virtio" into a mask of modes; "all" for the four. */
int bench_mode_parse(unsigned int *mask, const char *text, struct err *e) __must_check;
int bench_topic_parse(unsigned int *mask, const char *text, struct err *e) __must_check;

/** bench_load_wanted() - is it one of those in c->only? bench_only_check() - are those all known?
 */
struct bench_cfg;
bool bench_load_wanted(const struct bench_cfg *c, const struct bench_load *l);
int bench_only_check(const char *only, struct err *e) __must_check;

/** struct bench_side - one column */
struct bench_side {
	enum bench_mode mode;
	enum bench_vmm vmm;
};
#define BENCH_SIDES_MAX (BENCH_MODES * BENCH_VMMS)

/**
 * struct bench_cfg - what the user asked for
 * @exe:    this program; @vhostd: the backend; @qemu: the peer; @kernel: the payload or a Linux
 * @modes:  @topics: masks
 * @net_wire: the interface of net_pf, when there is one
 * @cpu:    host CPU of the vCPU; @io_cpu: of I/O thread and backend; @peer_cpu: of the network's
 *          other end; -1: not pinned
 * @only:   names of the loads to run, with commas between, or NULL: all
 */
struct bench_cfg {
	char *exe, *vhostd, *qemu, *kernel, *initrd, *net_wire;
	unsigned int topics, modes;
	bool on_linux, peer_qemu, force;
	uint32_t runs, seconds;
	uint64_t ops, memory;
	bool counting; /* the user says that the host's clock counts instructions */
	const char *page, *only;
	const char *disk_path, *disk_socket, *disk_pf, *net_tap, *net_socket, *net_pf;
	int cpu, io_cpu, peer_cpu;
};

/* ---- order.c: which side when */

/** bench_sides() - the sides for a topic, in the order of their modes; returns how many. */
unsigned int bench_sides(const struct bench_cfg *c, enum bench_topic topic,
			 struct bench_side out[BENCH_SIDES_MAX]);

/**
 * bench_order() - the k-th of n sides to run in a round
 * Each round begins one side later, so that over n rounds each side was at each position, and a
 * slow drift of the host hits all alike.
 */
unsigned int bench_order(unsigned int n, unsigned int round, unsigned int k);

/* ---- args.c: command lines */

#define BENCH_ARGS_MAX 96

/** struct bench_args - an argument vector under construction; @bad: no memory, or too many */
struct bench_args {
	char *v[BENCH_ARGS_MAX + 1];
	unsigned int n;
	bool bad;
};
void bench_arg(struct bench_args *a, const char *fmt, ...) __printf(2, 3);
void bench_args_free(struct bench_args *a);

/**
 * struct bench_place - where one machine and its backend meet
 * @dir: a folder of its own; @control: @backend: sockets in it; @wire: interface that a backend
 * makes; @mac: of the guest's card
 */
struct bench_place {
	char dir[64], control[96], backend[96], log[96], wire[16];
	uint8_t mac[6];
};

/** bench_vmm_args() - the VMM's command line for a side and the loads of one boot. */
void bench_vmm_args(const struct bench_cfg *c, const struct bench_side *s,
		    const struct bench_load *const *loads, unsigned int n,
		    const struct bench_place *p, unsigned int seed, struct bench_args *out);
/** bench_backend_args() - the backend's, or no arguments when none is to be started. */
void bench_backend_args(const struct bench_cfg *c, const struct bench_side *s,
			enum bench_topic topic, const struct bench_place *p,
			struct bench_args *out);

/* ---- proc.c: children */

/** struct bench_proc - a child; pid 0: none. It dies with us, whatever we die of. */
struct bench_proc {
	pid_t pid;
	int status;
	bool gone;
};

/**
 * bench_spawn() - start a program
 * @io:   its standard input and output; @log: its standard error
 * @sig:  it gets this signal when we die; @cpu: where it may run, -1: where we may
 */
int bench_spawn(struct bench_proc *p, const struct bench_args *a, int io, int log, int sig, int cpu,
		struct err *e) __must_check;
/** bench_proc_gone() - has it ended? Takes its status. */
bool bench_proc_gone(struct bench_proc *p);
/** bench_proc_wait() - give it time to end; has it? */
bool bench_proc_wait(struct bench_proc *p, unsigned int ms);
/** bench_proc_end() - make it end: sig, and what does not obey in time is killed. */
void bench_proc_end(struct bench_proc *p, int sig, unsigned int grace_ms);
/** bench_capture() - run a program to its end; its output and errors in buf. Return: its status. */
int bench_capture(const struct bench_args *a, char *buf, size_t size, struct err *e);

/* ---- count.c: counters of a running machine */

#define BENCH_THREADS_MAX 64

/** struct bench_counts - one reading; @serial: accesses to the serial port, each an exit. They are
 * taken off, since the guest's own lines are no load. */
struct bench_counts {
	struct bench_exit exit[BENCH_EXITS_MAX];
	unsigned int n_exit;
	int64_t serial;
	bool exits_known;
	int64_t interrupts, syscalls, page_size, instructions, cpu_ns[BENCH_CPUS];
};

/**
 * struct bench_probe - what is read between two points of a load
 * @ctl:  connection to the machine's control socket, -1: none
 * @perf: counters of system calls, one a thread; @n_perf -1: this host has no such thing
 */
struct bench_probe {
	struct sys *sys;
	enum bench_vmm vmm;
	pid_t pid, backend;
	int ctl, n_perf, perf[BENCH_THREADS_MAX];
	uint64_t memory;
};

/** struct bench_threads - of a process, and what each is for (a backend's are not told apart). */
struct bench_threads {
	int tid[BENCH_THREADS_MAX];
	enum bench_cpu kind[BENCH_THREADS_MAX];
	unsigned int n;
};
void bench_threads(struct sys *s, pid_t pid, struct bench_threads *t);

/** bench_probe_start() - open what counts from here on; bench_probe_stop() closes it. */
void bench_probe_start(struct bench_probe *p);
void bench_probe_stop(struct bench_probe *p);
/** bench_count() - all of it but instructions, which are the caller's to read nearest to the load.
 */
void bench_count(struct bench_probe *p, struct bench_counts *out);
/** bench_count_stat() - of a "stat" answer's data: the exits and interrupts in it. */
void bench_count_stat(const json_t *data, struct bench_counts *out);
/** bench_page_size() - of the pages behind the guest's memory, by the text of /proc/PID/smaps. */
int64_t bench_page_size(FILE *smaps, uint64_t memory);
/** bench_count_delta() - what happened from a to b, into a sample. */
void bench_count_delta(const struct bench_counts *a, const struct bench_counts *b,
		       struct bench_sample *out);

/* ---- peer.c: the other end of a network */

struct bench_peer;

/**
 * struct bench_peer_spec - a peer to start
 * @ifname: the host's end; @raise: set it up, since it was made for us
 * @size:   of the frames of a flood; @to: the guest, which alone gets them
 * @on_call: a flood begins and ends when a frame from the guest says so
 */
struct bench_peer_spec {
	const char *ifname;
	bool raise, on_call;
	enum bench_peer_kind kind;
	unsigned int size;
	const uint8_t *to;
	int cpu;
};

/** bench_peer_start() - be the other end on an interface of the host; never of kind NONE */
int bench_peer_start(struct sys *s, const struct bench_peer_spec *spec, struct bench_peer **out,
		     struct err *e) __must_check;
void bench_peer_stop(struct bench_peer *p);

/** bench_wire() - the host's end of a side's network; NULL: it is not on this host, or not known.
 */
const char *bench_wire(const struct bench_cfg *c, const struct bench_side *s,
		       const struct bench_place *p);

/* ---- boot.c: one machine, from start to end */

/**
 * struct bench_boot - one boot of the interleaved run
 * @stop: a descriptor that becomes readable when the user wants an end; -1: none
 */
struct bench_boot {
	struct sys *sys;
	const struct bench_cfg *cfg;
	struct bench_side side;
	const struct bench_load *loads[32];
	unsigned int n_loads, round, order;
	int stop;
	bool counting; /* the host's clock counts instructions */
	struct bench_result *result;
};

/** bench_boot() - run it, add what it says to the result. -EINTR: the user wants an end. */
int bench_boot(struct bench_boot *b, struct err *e) __must_check;

/* ---- env.c, fair.c */

/**
 * struct bench_facts - of the host, as the fairness rules need them; -1: not known
 * @debug: we are built without optimization; @sanitized
 * @kvm:   "kvm_pvm, software"; @software_kvm; @tcg: the whole host is emulated
 * @load:  of the last minute, in hundredths of a process
 * @counting: the clock counts instructions, and was found to; @clock: what speaks against it
 */
struct bench_facts {
	bool debug, sanitized, software_kvm, tcg, no_kvm, counting;
	int cpus, load;
	char governor[32];
	struct err clock;
};
void bench_env_fill(struct sys *s, const struct bench_cfg *c, struct bench_result *r,
		    struct bench_facts *f);
/** bench_steal() - hundredths of a second that others took from this host's CPUs; -1: not known. */
int64_t bench_steal(struct sys *s);

/** bench_fair_before() - warnings from facts and wishes. Return: how many of them say that a run is
 * of no use, unless force is given. */
unsigned int bench_fair_before(const struct bench_facts *f, const struct bench_cfg *c,
			       struct bench_result *r);
/** bench_fair_after() - warnings from what was measured. */
void bench_fair_after(struct bench_result *r, int64_t stolen, uint64_t ns);

/* ---- clock.c: work, where the host's clock counts instructions */

/** bench_clock_check() - does it? 0, or -EINVAL with what speaks against it. */
int bench_clock_check(struct sys *s, const struct bench_facts *f, struct err *e) __must_check;
/** bench_clock_work() - instructions that this host has executed; BENCH_NONE: not known. */
int64_t bench_clock_work(struct sys *s);
/** bench_clock_idle() - nanoseconds in the idle loop, by the text of /proc/timer_list. */
int64_t bench_clock_idle(const char *timers);

/* ---- run.c */

/** bench_run() - all of it. 0, or -errno with e filled; an interrupted run is -EINTR, and what is
 * done is in the result. */
int bench_run(struct sys *s, const struct bench_cfg *c, struct bench_result *r, struct err *e);

#endif
