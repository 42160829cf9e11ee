// SPDX-License-Identifier: BSD-3-Clause
/*
 * Network loops. Frames are broadcast, of the EtherType for experiments; size= is that of the wire,
 * with the 4 bytes of the checksum that the card adds.
 *
 * A slot is a frame's buffer. net-tx has depth of them with the device at any time and fills one
 * again as soon as the device is done with it. net-echo waits for each to come back, which also
 * says that the device is done with it; an answer is known by slot and number, so a late one of a
 * frame that was given up for lost is nobody's.
 */
#include "bench/guest/device.h"

#define SIZE_DFLT    64u
#define SIZE_LEAST   64u
#define SIZE_MOST    1518u
#define FCS	     4u
#define ETHERTYPE    0x88b5 /* IEEE 802: local experimental */
#define LOOKS	     256u
#define SILENCES_MAX 3u

/* What is in a frame behind its Ethernet header. */
struct body {
	uint32_t magic, slot;
	uint64_t number;
} __attribute__((packed));

#define HEADER 14u
#define MAGIC  0x434c5348u

static struct net net;
/* By slot: the number that its answer must have, 0: none is awaited; when it was asked. */
static uint64_t numbers[SLOTS_MAX], began[SLOTS_MAX];
static uint64_t number; /* the last one given */

/* All that stays the same from frame to frame. */
static void frames_init(uint32_t len)
{
	unsigned int i;

	for (i = 0; i < SLOTS_MAX; i++) {
		uint8_t *f = net_frame(&net, i);
		struct body b = { .magic = MAGIC, .slot = i };

		memset(f, 0, len);
		memset(f, 0xff, 6);
		memcpy(f + 6, net.mac, 6);
		f[12] = ETHERTYPE >> 8;
		f[13] = ETHERTYPE & 0xff;
		memcpy(f + HEADER, &b, sizeof(b));
	}
}

static void loop_tx(struct run *r);

static void setup(struct run *r)
{
	static const struct net_drv *const drv[] = { &net_e1000, &net_virtio };
	unsigned int i;

	r->size = r->size ? MAX(SIZE_LEAST, MIN(r->size, SIZE_MOST)) : SIZE_DFLT;
	r->depth = MAX(1u, MIN(r->depth, SLOTS_MAX));
	net = (struct net){ .buf = arena_alloc(SLOTS_MAX * FRAME_ROOM),
			    .receives = r->test->loop != loop_tx };
	r->why = net.buf ? "there is neither an e1000 nor a virtio network function"
			 : "too little memory for the buffers: give the machine more";
	for (i = 0; net.buf && i < ARRAY_SIZE(drv); i++)
		if (drv[i]->there()) {
			net.drv = drv[i];
			r->device = net.drv->name;
			r->why = net.drv->open(&net);
			break;
		}
	if (!r->why)
		frames_init(r->size - FCS);
	number = 0;
}

/* A slot with a new number to the driver; the card learns of it with the next kick. */
static bool send(struct run *r, unsigned int slot)
{
	uint64_t n = ++number;

	numbers[slot] = n;
	memcpy(net_frame(&net, slot) + HEADER + offsetof(struct body, number), &n, sizeof(n));
	if (net.drv->send(&net, slot, r->size - FCS))
		return true;
	r->errors++;
	return false;
}

/* Called when nothing was found; the clock, which may cost an exit, is read seldom. */
static bool stalled(const struct run *r, uint64_t *last, unsigned int *looks)
{
	if (!*looks)
		*last = rdtsc();
	if (++*looks % LOOKS || rdtsc() - *last <= r->stall)
		return false;
	*looks = 0;
	return true;
}

/* ---- out: as many frames as the device takes, depth of them at a time */

static void loop_tx(struct run *r)
{
	unsigned int busy = 0, looks = 0, i;
	uint64_t last = rdtsc(), out = 0;
	bool kick = true;
	int slot;

	for (i = 0; i < r->depth && out < r->max_ops; i++, out++)
		busy += send(r, i);
	while (busy) {
		slot = net.drv->sent(&net);
		if (slot >= 0) {
			busy--;
			r->ops++;
			r->bytes += r->size;
			looks = 0;
			kick = true;
			if (out < r->max_ops && rdtsc() < r->until) {
				busy += send(r, (unsigned int)slot);
				out++;
			}
			continue;
		}
		if (kick)
			net.drv->kick(&net);
		kick = false;
		if (stalled(r, &last, &looks)) {
			r->errors += busy;
			r->silent = true;
			break;
		}
		pause();
	}
}

/* ---- there and back */

/* The slot whose echo this is, -1: somebody else's frame, or one that was given up. */
static int echo_of(const uint8_t *f, uint32_t len)
{
	struct body b;

	if (len < HEADER + sizeof(b) || f[12] != ETHERTYPE >> 8 || f[13] != (ETHERTYPE & 0xff))
		return -1;
	memcpy(&b, f + HEADER, sizeof(b));
	if (b.magic != MAGIC || b.slot >= SLOTS_MAX || b.number != numbers[b.slot])
		return -1;
	return (int)b.slot;
}

static bool ask(struct run *r, unsigned int slot)
{
	began[slot] = rdtsc();
	return send(r, slot);
}

/* Sends that the device has done with make room. */
static void reap(void)
{
	while (net.drv->sent(&net) >= 0)
		;
}

/* True: the slot is out again. asked: how many were, all in all. */
static bool answered(struct run *r, unsigned int slot, uint64_t asked)
{
	uint64_t now = rdtsc();

	hist_add(r->hist, now - began[slot]);
	numbers[slot] = 0;
	r->ops++;
	r->bytes += r->size;
	reap();
	return now < r->until && asked < r->max_ops && ask(r, slot);
}

/* Frames get lost: what was out is an error each, and asked for again, a few times in a row. */
static bool ask_again(struct run *r, unsigned int busy, unsigned int silences)
{
	unsigned int i;

	r->errors += busy;
	r->silent = silences == SILENCES_MAX;
	if (r->silent)
		return false;
	reap();
	for (i = 0; i < r->depth; i++)
		if (numbers[i] && !ask(r, i))
			return false;
	net.drv->kick(&net);
	return true;
}

static void loop_echo(struct run *r)
{
	unsigned int busy = 0, looks = 0, silences = 0, i;
	uint64_t last = rdtsc(), asked = 0;
	const uint8_t *f;
	uint32_t len;
	int slot;

	memset(numbers, 0, sizeof(numbers));
	for (i = 0; i < r->depth && asked < r->max_ops; i++, asked++)
		busy += ask(r, i);
	net.drv->kick(&net);
	while (busy) {
		f = net.drv->recv(&net, &len);
		slot = f ? echo_of(f, len) : -1;
		if (slot >= 0) {
			if (answered(r, (unsigned int)slot, asked))
				asked++;
			else
				busy--;
			net.drv->kick(&net);
			looks = silences = 0;
			continue;
		}
		if (stalled(r, &last, &looks) && !ask_again(r, busy, ++silences))
			break;
		pause();
	}
	reap();
}

/* ---- in: what comes in the time there is */

static void loop_rx(struct run *r)
{
	const uint8_t *f;
	uint32_t len;

	do {
		for (unsigned int i = 0; i < 64; i++) {
			f = net.drv->recv(&net, &len);
			if (!f)
				break;
			r->ops++;
			r->bytes += len + FCS;
		}
	} while (run_more(r, rdtsc()));
}

static void finish(struct run *r)
{
	if (net.drv)
		net.drv->close(&net);
}

const struct test net_tests[] = {
	{ .name = "net-tx",
	  .setup = setup,
	  .loop = loop_tx,
	  .finish = finish,
	  .warm = 32,
	  .bytes = true },
	{ .name = "net-echo",
	  .setup = setup,
	  .loop = loop_echo,
	  .finish = finish,
	  .warm = 4,
	  .hist = true,
	  .bytes = true },
	{ .name = "net-rx", .setup = setup, .loop = loop_rx, .finish = finish, .bytes = true },
	{ .name = NULL },
};
