// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block request parser: a small program of requests over a small disk, all on one queue.
 *
 *	byte 0: ring flavour (packed, event index, indirect, in order), bits 4-5: disk kind
 *	then per request: type, sector (2 bytes), data out / 32, data in / 32, cuts, header cut
 *
 * What must hold for any input: each request with room for a status gets one, nothing is written
 * outside of the request's writable part, and a stop leaves nothing behind.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "virtio/blk/blkq.h"
#include "virtio/ring/vqd.h"

#define RAM	MIB(4)
#define REQS	16u
#define BUF	32768u
#define GPA	0x100000000ull
#define PATTERN 0xa5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t n;
};

struct state {
	uint8_t *ram;
	struct vq_mem mem;
	struct vqd *d;
	struct blkq *b;
	bool broken;
	unsigned int added, got;
	uint32_t in_len[REQS];
};

static uint8_t byte(struct input *in)
{
	return in->n ? in->n--, *in->p++ : 0;
}

static void on_broken(void *arg, const char *why)
{
	((struct state *)arg)->broken = true;
}

static uint8_t *out_of(struct state *s, unsigned int i)
{
	return s->ram + MIB(2) + i * 2ul * BUF;
}

static unsigned int cut(struct iovec *v, uint8_t *p, uint32_t len, unsigned int first,
			unsigned int pieces)
{
	unsigned int n = 0;

	while (len) {
		uint32_t part = n + 1 >= pieces ? len : first ? first : len / 2 + 1;

		part = MIN(part, len);
		v[n++] = (struct iovec){ p, part };
		p += part;
		len -= part;
		first = 0;
	}
	return n;
}

static void add(struct state *s, struct input *in)
{
	static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 14, 0x80000000, UINT32_MAX };
	unsigned int i = s->added, nout, nin, how, first;
	uint8_t *out = out_of(s, i), *inp = out + BUF;
	uint32_t out_len, in_len, type = types[byte(in) % ARRAY_SIZE(types)];
	uint64_t sector = byte(in);
	struct iovec v[64];

	sector |= (uint64_t)byte(in) << 56;
	out_len = byte(in) * 32u;
	in_len = byte(in) * 32u;
	how = byte(in);
	first = byte(in);
	in_len += how & 1; /* with a status, or cut short by a byte */
	out_len = how & 2 ? out_len + 16 : out_len;
	memset(out, 0, BUF);
	memset(inp, PATTERN, BUF);
	for (uint32_t k = 16; k < out_len && in->n; k++)
		out[k] = byte(in);
	memcpy(out, &type, 4);
	memcpy(out + 8, &sector, 8);
	if (in_len)
		inp[in_len - 1] = 0xee;
	nout = cut(v, out, out_len, first, 1 + (how >> 2) % 8);
	nin = cut(v + nout, inp, in_len, first, 1 + (how >> 5));
	if (nout + nin && !vqd_add(s->d, v, nout, nin, inp)) {
		s->in_len[i] = in_len;
		s->added++;
	}
}

static void collect(struct state *s)
{
	uint32_t len;
	uint8_t *inp;

	while ((inp = vqd_get(s->d, &len))) {
		unsigned int i = (unsigned int)((inp - s->ram - MIB(2)) / (2ul * BUF));

		if (!s->in_len[i] || inp[s->in_len[i] - 1] > 2)
			abort(); /* no status */
		for (uint32_t k = s->in_len[i]; k < BUF; k++)
			if (inp[k] != PATTERN)
				abort();
		s->got++;
	}
}

/* Until all is done: with every slot waiting for the kernel a run finds nothing to do. */
static void serve(struct state *s)
{
	struct pollfd p = { .fd = blkq_fd(s->b), .events = POLLIN };

	for (;;) {
		while (blkq_run(s->b))
			;
		collect(s);
		if (s->broken || s->got == s->added)
			return;
		/* nothing in time: a request is lost, or nobody says that it is done; the fuzzer's
		 * own alarm clock is no answer */
		if (!blkq_arm(s->b) && !poll(&p, 1, 5000))
			abort();
	}
}

static void program(struct state *s, struct input *in)
{
	uint16_t avail, used;

	while (in->n && s->added < REQS) {
		add(s, in);
		(void)!vqd_publish(s->d);
		if (byte(in) & 1)
			blkq_run(s->b);
	}
	serve(s);
	blkq_stop(s->b, &avail, &used);
	collect(s);
	if (s->got > s->added || (!s->broken && s->got != s->added))
		abort();
}

static void run(struct state *s, uint8_t kind, struct input *in)
{
	struct disk_cfg dc = { .path = kind & 16 ? "null:64K" : "/proc/self/fd/1000",
			       .readonly = (kind & 48) == 48 };
	struct blkq_cfg c = { .depth = 4, .seg_max = 8, .broken = on_broken, .arg = s };
	struct vqd_cfg rc = { .size = 64,
			      .packed = kind & 1,
			      .event_idx = kind & 2,
			      .indirect = kind & 4,
			      .in_order = kind & 8,
			      .hva = s->ram,
			      .area = s->ram,
			      .gpa0 = GPA };
	struct vq_cfg vc;

	c.readonly = dc.readonly;
	if (disk_open(sys_host(), &dc, &c.disk, NULL))
		abort();
	if (vqd_area(&rc) > MIB(2) || vqd_new(&rc, &s->d) || blkq_new(&c, &s->b, NULL))
		abort();
	vqd_addrs(s->d, &vc);
	if (blkq_start(s->b, &s->mem, &vc, NULL))
		abort();
	program(s, in);
	blkq_free(s->b);
	vqd_free(s->d);
	disk_close(c.disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct state s = { 0 };
	uint8_t kind = byte(&in);
	int fd = memfd_create("disk", MFD_CLOEXEC);

	s.ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || ftruncate(fd, KIB(64)) || dup2(fd, 1000) < 0 || s.ram == MAP_FAILED ||
	    vq_mem_add(&s.mem, GPA, RAM, s.ram))
		abort();
	run(&s, kind, &in);
	munmap(s.ram, RAM);
	close(1000);
	close(fd);
	return 0;
}
