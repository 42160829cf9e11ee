// SPDX-License-Identifier: BSD-3-Clause
/*
 * A load generator for vhost-user-blk back ends: plays the front end and the guest's driver in one
 * thread, keeps a number of random requests under way on each queue, polls for their completion,
 * and prints how many a second there were and how long they took.
 *
 * With "self:PATH" for a socket there is no back end: a thread of this program serves the queues
 *with virtio/blk, polling, on the CPU given as cpu=N; what that costs without a socket's two ends.
 *
 *	bench-vublk SOCKET|self:PATH [queues=1] [depth=1] [rw=read|write|mix] [seconds=2]
 *[size=4096] [packed=0] [event=0] [indirect=1] [span=MIB] [cpu=N] [direct=0]
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "virtio/blk/blkq.h"
#include "virtio/ring/vqd.h"
#include "virtio/wire/msg.h"

#define GPA	 0x40000000ull
#define QUEUES	 16u
#define F(bit)	 (1ull << (bit))
#define BUCKETS	 4096 /* of latency, 64 for each power of two */
#define WARM_NS	 200000000ull
#define ALWAYS	 (F(32) | VU_F_PROTOCOL)
#define WANTED_P (VU_P(VU_P_MQ) | VU_P(VU_P_REPLY_ACK) | VU_P(VU_P_CONFIG))

struct opts {
	const char *socket, *rw;
	unsigned int queues, depth, seconds, size, packed, event, indirect, span, cpu, direct;
};

struct io {
	struct virtio_blk_outhdr h;
	uint8_t status;
	uint64_t start;
	struct io *next;
	struct queue *q;
	uint8_t *data;
};

struct queue {
	struct vqd *d;
	int kick, call;
	uint64_t kicks;
	struct blkq *b; /* self: */
};

struct load {
	struct opts o;
	struct vu_sock k;
	uint8_t *ram;
	size_t ram_size, heap;
	int memfd;
	uint64_t acked, protocol, blocks, seed;
	struct queue q[QUEUES];
	uint64_t done, bad, hist[BUCKETS];
	bool counting;
	/* self: */
	struct disk *disk;
	struct vq_mem mem;
	pthread_t thread;
	atomic_bool stop;
};

static void fail(const char *what, int code)
{
	fprintf(stderr, "vublk: %s%s%s\n", what, code ? ": " : "", code ? strerror(-code) : "");
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the protocol ---- */

static void wait_for(struct load *l, struct vu_msg *m)
{
	struct pollfd p = { .fd = l->k.fd, .events = POLLIN };
	struct err e = { 0 };
	int ret;

	while (!(ret = vu_sock_recv(&l->k, VU_TO_FRONT, m, &e)))
		if (poll(&p, 1, 5000) != 1)
			fail("the back end does not answer", 0);
	if (ret < 0)
		fail(e.text[0] ? e.text : "the back end hung up", 0);
}

static void tell(struct load *l, uint32_t req, const void *payload, uint32_t size, int fd)
{
	bool ack = l->protocol & VU_P(VU_P_REPLY_ACK) && !vu_req_replies(req);
	struct vu_msg m = { .h = { req, VU_VERSION | (ack ? VU_NEED_REPLY : 0), size } };

	memcpy(&m.u, payload, size);
	if (fd >= 0)
		m.fd[m.nfds++] = fd;
	if (vu_sock_send(&l->k, &m))
		fail("cannot send", 0);
	if (!ack)
		return;
	wait_for(l, &m);
	if (m.u.u64)
		fail(vu_req_name(req), 0);
}

static void tell_u64(struct load *l, uint32_t req, uint64_t v)
{
	tell(l, req, &v, sizeof(v), -1);
}

static uint64_t ask(struct load *l, uint32_t req)
{
	struct vu_msg m;

	tell(l, req, "", 0, -1);
	wait_for(l, &m);
	return m.u.u64;
}

static void read_capacity(struct load *l)
{
	struct vu_config c = { .size = 60 };
	struct vu_msg m;
	uint64_t sectors;

	tell(l, VU_GET_CONFIG, &c, 12 + c.size, -1);
	wait_for(l, &m);
	memcpy(&sectors, m.u.cfg.data, sizeof(sectors));
	l->blocks = sectors * 512 / l->o.size;
	if (l->o.span && l->blocks > MIB(l->o.span) / l->o.size)
		l->blocks = MIB(l->o.span) / l->o.size;
	if (!l->blocks)
		fail("the disk is too small", 0);
}

static void negotiate(struct load *l)
{
	uint64_t offered, want = ALWAYS;

	offered = ask(l, VU_GET_FEATURES);
	want |= l->o.packed ? F(34) : 0;
	want |= l->o.event ? F(29) : 0;
	want |= l->o.indirect ? F(28) : 0;
	if (l->o.queues > 1)
		want |= F(VIRTIO_BLK_F_MQ);
	if (want & ~offered)
		fail("the back end does not offer what was asked for (packed, event, queues)", 0);
	l->acked = want;
	offered = ask(l, VU_GET_PROTOCOL_FEATURES) & WANTED_P;
	tell_u64(l, VU_SET_PROTOCOL_FEATURES, offered);
	l->protocol = offered;
	tell(l, VU_SET_OWNER, "", 0, -1);
	tell_u64(l, VU_SET_FEATURES, l->acked);
	read_capacity(l);
}

static void make_memory(struct load *l)
{
	l->ram_size = MIB(64);
	l->memfd = memfd_create("vublk", MFD_CLOEXEC);
	if (l->memfd < 0 || ftruncate(l->memfd, (off_t)l->ram_size))
		fail("no memory", -errno);
	l->ram = mmap(NULL, l->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		      l->memfd, 0);
	if (l->ram == MAP_FAILED)
		fail("no memory", -errno);
}

static void share_memory(struct load *l)
{
	struct vu_mem_table t = { .n = 1 };

	t.r[0] = (struct vu_region){ GPA, l->ram_size, (uintptr_t)l->ram, 0 };
	tell(l, VU_SET_MEM_TABLE, &t, 8 + sizeof(t.r[0]), l->memfd);
}

static void *take(struct load *l, size_t n)
{
	uint8_t *p = l->ram + l->heap;

	l->heap += ALIGN_UP(n, 4096ul);
	if (l->heap > l->ram_size)
		fail("queues, depth and size are too much together", 0);
	return p;
}

static uint64_t uva(const struct load *l, uint64_t gpa)
{
	return gpa - GPA + (uintptr_t)l->ram;
}

static void make_queue(struct load *l, unsigned int i, struct vq_cfg *vc)
{
	struct vqd_cfg c = { .size = (uint16_t)(l->o.depth < 42 ? 128 : 1024),
			     .packed = l->o.packed,
			     .event_idx = l->o.event,
			     .indirect = l->o.indirect,
			     .hva = l->ram,
			     .gpa0 = GPA };
	struct queue *q = &l->q[i];

	c.area = take(l, vqd_area(&c));
	if (vqd_new(&c, &q->d))
		fail("no ring", 0);
	vqd_notify(q->d, false);
	vqd_addrs(q->d, vc);
	q->kick = eventfd(0, EFD_CLOEXEC);
	q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void start_queue(struct load *l, unsigned int i)
{
	struct queue *q = &l->q[i];
	struct vu_vring_addr a;
	struct vq_cfg vc;

	make_queue(l, i, &vc);
	tell(l, VU_SET_VRING_NUM, &(struct vu_vring){ i, vc.size }, 8, -1);
	a = (struct vu_vring_addr){ .index = i,
				    .desc = uva(l, vc.desc),
				    .avail = uva(l, vc.driver),
				    .used = uva(l, vc.device) };
	tell(l, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	tell(l, VU_SET_VRING_BASE,
	     &(struct vu_vring){ i, l->o.packed ? 0x80008000u : vc.avail_idx }, 8, -1);
	tell(l, VU_SET_VRING_CALL, &(uint64_t){ i }, 8, q->call);
	tell(l, VU_SET_VRING_KICK, &(uint64_t){ i }, 8, q->kick);
	tell(l, VU_SET_VRING_ENABLE, &(struct vu_vring){ i, 1 }, 8, -1);
}

/* ---- no back end but ourselves ---- */

static void open_self(struct load *l)
{
	struct disk_cfg c = { .path = l->o.socket + 5, .direct = l->o.direct };
	struct disk_info i;
	struct err e = { 0 };

	if (disk_open(sys_host(), &c, &l->disk, &e))
		fail(e.text, 0);
	disk_info(l->disk, &i);
	l->blocks = (l->o.span ? MIN(i.size, MIB(l->o.span)) : i.size) / l->o.size;
	if (vq_mem_add(&l->mem, GPA, l->ram_size, l->ram))
		fail("no memory", 0);
}

static void start_self(struct load *l, unsigned int i)
{
	struct iovec ram = { l->ram, l->ram_size };
	struct blkq_cfg c = { .disk = l->disk,
			      .seg_max = 126,
			      .depth = 128,
			      .poll = true,
			      .fixed = &ram,
			      .nfixed = 1 };
	struct err e = { 0 };
	struct vq_cfg vc;

	make_queue(l, i, &vc);
	if (blkq_new(&c, &l->q[i].b, &e))
		fail(e.text, 0);
	if (blkq_start(l->q[i].b, &l->mem, &vc, NULL))
		fail("the queue does not start", 0);
}

static void *serve(void *arg)
{
	struct load *l = arg;
	uint16_t avail, used;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(l->o.cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fail("there is no such CPU", 0);
	while (!atomic_load_explicit(&l->stop, memory_order_relaxed))
		for (unsigned int i = 0; i < l->o.queues; i++)
			blkq_run(l->q[i].b);
	for (unsigned int i = 0; i < l->o.queues; i++)
		blkq_stop(l->q[i].b, &avail, &used);
	return NULL;
}

static uint64_t enters(const struct load *l)
{
	struct blkq_count c;
	uint64_t n = 0;

	for (unsigned int i = 0; l->disk && i < l->o.queues; i++) {
		blkq_count(l->q[i].b, &c);
		n += c.enters;
	}
	return n;
}

static void connect_to(struct load *l)
{
	struct err e = { 0 };
	int fd = vu_connect(sys_host(), l->o.socket, &e);

	if (fd < 0)
		fail(e.text, 0);
	vu_sock_init(&l->k, sys_host(), fd);
	negotiate(l);
	share_memory(l);
	for (unsigned int i = 0; i < l->o.queues; i++)
		start_queue(l, i);
}

static void be_both(struct load *l)
{
	open_self(l);
	for (unsigned int i = 0; i < l->o.queues; i++)
		start_self(l, i);
	if (pthread_create(&l->thread, NULL, serve, l))
		fail("no thread", 0);
}

/* ---- the load ---- */

static void submit(struct load *l, struct io *io)
{
	struct iovec v[3] = { { &io->h, sizeof(io->h) },
			      { io->data, l->o.size },
			      { &io->status, 1 } };
	bool write = l->o.rw[0] == 'w';

	l->seed = l->seed * 6364136223846793005ull + 1442695040888963407ull;
	if (l->o.rw[0] == 'm')
		write = l->seed >> 63;
	io->h.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	io->h.sector = (l->seed >> 20) % l->blocks * (l->o.size / 512);
	io->status = 0xff;
	io->start = now();
	if (vqd_add(io->q->d, v, write ? 2 : 1, write ? 1 : 2, io))
		fail("the ring is full", 0);
}

static void publish(struct queue *q)
{
	uint64_t one = 1;

	if (!vqd_publish(q->d))
		return;
	q->kicks++;
	if (write(q->kick, &one, sizeof(one)) < 0)
		fail("kick", -errno);
}

static unsigned int bucket(uint64_t ns)
{
	unsigned int log = ns < 64 ? 6 : 63 - (unsigned int)__builtin_clzll(ns);

	return MIN((log - 6) * 64 + (unsigned int)(ns >> (log - 6)) % 64, BUCKETS - 1u);
}

static double bucket_us(unsigned int b)
{
	return (double)((64ull + b % 64) << (b / 64)) / 1000;
}

static void poll_queue(struct load *l, struct queue *q, bool more)
{
	unsigned int n = 0;
	struct io *io;
	uint32_t len;

	while ((io = vqd_get(q->d, &len))) {
		l->bad += io->status != 0;
		if (l->counting) {
			l->done++;
			l->hist[bucket(now() - io->start)]++;
		}
		if (more)
			submit(l, io);
		n++;
	}
	if (n && more)
		publish(q);
}

static void fill(struct load *l)
{
	for (unsigned int i = 0; i < l->o.queues; i++) {
		for (unsigned int k = 0; k < l->o.depth; k++) {
			struct io *io = take(l, sizeof(*io));

			io->data = take(l, l->o.size);
			memset(io->data, (int)k, l->o.size);
			io->q = &l->q[i];
			submit(l, io);
		}
		publish(&l->q[i]);
	}
}

static void run_until(struct load *l, uint64_t end)
{
	while (now() < end)
		for (unsigned int n = 0; n < 16; n++)
			for (unsigned int i = 0; i < l->o.queues; i++)
				poll_queue(l, &l->q[i], true);
}

static double percentile(const struct load *l, double p)
{
	uint64_t sum = 0;

	for (unsigned int b = 0; b < BUCKETS; b++) {
		sum += l->hist[b];
		if (sum && (double)sum >= p * (double)l->done)
			return bucket_us(b);
	}
	return 0;
}

static void report(const struct load *l, uint64_t ns, uint64_t kicks, uint64_t entered)
{
	printf("iops=%.0f p50_us=%.1f p99_us=%.1f kicks_per_io=%.3f errors=%lu",
	       (double)l->done * 1e9 / (double)ns, percentile(l, 0.5), percentile(l, 0.99),
	       l->done ? (double)kicks / (double)l->done : 0, (unsigned long)l->bad);
	if (l->disk)
		printf(" enters_per_io=%.4f", l->done ? (double)entered / (double)l->done : 0);
	putchar('\n');
}

static uint64_t kicks(const struct load *l)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < l->o.queues; i++)
		n += l->q[i].kicks;
	return n;
}

static unsigned int *number_of(struct opts *o, const char *name, size_t n)
{
	const struct {
		const char *name;
		unsigned int *to;
	} t[] = { { "queues", &o->queues },	{ "depth", &o->depth },
		  { "seconds", &o->seconds },	{ "size", &o->size },
		  { "packed", &o->packed },	{ "event", &o->event },
		  { "indirect", &o->indirect }, { "span", &o->span },
		  { "cpu", &o->cpu },		{ "direct", &o->direct } };

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++)
		if (strlen(t[i].name) == n && !strncmp(t[i].name, name, n))
			return t[i].to;
	return NULL;
}

static void parse(struct opts *o, int argc, char **argv)
{
	*o = (struct opts){
		.rw = "read", .queues = 1, .depth = 1, .seconds = 2, .size = 4096, .indirect = 1
	};
	if (argc < 2)
		fail("usage: bench-vublk SOCKET [KEY=VALUE]...", 0);
	o->socket = argv[1];
	for (int i = 2; i < argc; i++) {
		const char *eq = strchr(argv[i], '=');
		unsigned int *to = eq ? number_of(o, argv[i], (size_t)(eq - argv[i])) : NULL;

		if (to)
			*to = (unsigned int)strtoul(eq + 1, NULL, 0);
		else if (!strncmp(argv[i], "rw=", 3))
			o->rw = eq + 1;
		else
			fail("unknown argument", 0);
	}
	if (!o->queues || o->queues > QUEUES || !o->depth || o->depth > 300 || !o->size ||
	    o->size % 512)
		fail("queues, depth or size is out of range", 0);
}

int main(int argc, char **argv)
{
	static struct load l;
	uint64_t start, before, entered;

	parse(&l.o, argc, argv);
	l.seed = 88172645463325252ull;
	make_memory(&l);
	if (!strncmp(l.o.socket, "self:", 5))
		be_both(&l);
	else
		connect_to(&l);
	fill(&l);
	run_until(&l, now() + WARM_NS);
	l.counting = true;
	before = kicks(&l);
	entered = enters(&l);
	start = now();
	run_until(&l, start + l.o.seconds * 1000000000ull);
	report(&l, now() - start, kicks(&l) - before, enters(&l) - entered);
	atomic_store(&l.stop, true);
	if (l.disk)
		pthread_join(l.thread, NULL);
	return l.bad || !l.done;
}
