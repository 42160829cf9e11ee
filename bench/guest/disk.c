// SPDX-License-Identifier: BSD-3-Clause
/*
 * Disk loops: depth requests are kept in flight; what completed is made up for, and told to the
 * device at once when nothing more is done. Places are random, or one after the other from 128 KiB
 * requests on.
 *
 * A disk may bear a pattern, known by its first sector: the first word of sector n is
 * PATTERN ^ n, the last one its complement. Reads are then checked, and writes leave the
 * pattern in place.
 */
#include "bench/guest/device.h"

#define SECTOR	   512u
#define SEQUENTIAL 131072u
#define SIZE_MAX_  131072u
#define SIZE_DFLT  4096u
#define PATTERN	   0x534c55494345aa55ull
#define ERRORS_MAX 100u
#define LOOKS	   1024u
#define FULL_WARM  64u

static struct disk disk;
static bool pattern;
/* A request in flight. began: when it was handed to the driver, which may be a little before the
 * doorbell: a batch rings once. flushing: disk-flush, the second half of the operation. */
static struct slot {
	uint64_t began, off;
	bool flushing;
} slots[SLOTS_MAX];
static uint64_t issued;	  /* operations, also those still in flight */
static uint64_t next_off; /* of sequential requests */

const char *disk_open(struct disk *d, uint32_t depth, uint32_t size, bool irq)
{
	static const struct disk_drv *const drv[] = { &disk_nvme, &disk_virtio };
	const char *why = "there is neither an NVMe controller nor a virtio disk";
	unsigned int i;

	*d = (struct disk){ .depth = depth, .size = size };
	d->buf = arena_alloc((size_t)depth * ALIGN_UP(size, 4096u));
	if (!d->buf)
		return "too little memory for the buffers: give the machine more";
	for (i = 0; i < ARRAY_SIZE(drv); i++)
		if (drv[i]->there()) {
			d->drv = drv[i];
			why = d->drv->open(d, irq);
			break;
		}
	if (!why && d->bytes < size)
		why = "the disk is smaller than a request";
	return why;
}

/* ---- the pattern */

static void stamp(uint8_t *buf, uint64_t off, uint32_t len)
{
	uint64_t *w = (uint64_t *)buf, n = off / SECTOR;

	for (; len; len -= SECTOR, w += SECTOR / 8, n++) {
		w[0] = PATTERN ^ n;
		w[SECTOR / 8 - 1] = ~(PATTERN ^ n);
	}
}

static bool stamped(const uint8_t *buf, uint64_t off, uint32_t len)
{
	const uint64_t *w = (const uint64_t *)buf;
	uint64_t n = off / SECTOR;

	for (; len; len -= SECTOR, w += SECTOR / 8, n++)
		if (w[0] != (PATTERN ^ n) || w[SECTOR / 8 - 1] != ~(PATTERN ^ n))
			return false;
	return true;
}

/* ---- the loop */

/* Where the next request goes: a multiple of its size, so that none straddles two. */
static uint64_t place(struct run *r)
{
	uint64_t off = next_off, n = disk.bytes / r->size;

	if (r->size < SEQUENTIAL)
		return run_random(r) % n * r->size;
	next_off += r->size;
	if (next_off / r->size >= n)
		next_off = 0;
	return off;
}

static bool issue(struct run *r, unsigned int i, enum disk_do what)
{
	struct slot *s = &slots[i];

	s->flushing = what == DISK_DO_FLUSH;
	if (!s->flushing)
		s->off = place(r);
	if (what == DISK_DO_WRITE && pattern)
		stamp(disk_buf(&disk, i), s->off, r->size);
	s->began = rdtsc();
	if (disk.drv->submit(&disk, i, what, s->off))
		return true;
	r->errors++;
	return false;
}

/* A request is done; true: its slot is with the device again. */
static bool completed(struct run *r, unsigned int i, enum disk_do what, bool ok)
{
	struct slot *s = &slots[i];
	uint64_t now = rdtsc();

	if (what == DISK_DO_READ && ok && pattern)
		ok = stamped(disk_buf(&disk, i), s->off, r->size);
	r->errors += !ok;
	if (what == DISK_DO_FLUSH && !s->flushing)
		return issue(r, i, DISK_DO_FLUSH);
	/* Of a disk-flush only the flush counts; its write was there to give it work. */
	hist_add(r->hist, now - s->began);
	r->ops++;
	r->bytes += what == DISK_DO_FLUSH ? 0 : r->size;
	if (now >= r->until || issued >= r->max_ops || r->errors > ERRORS_MAX)
		return false;
	issued++;
	return issue(r, i, what == DISK_DO_READ ? DISK_DO_READ : DISK_DO_WRITE);
}

/*
 * Completions are looked for until there are none, and only then the device is told what is new,
 * and what was taken: at depth 1 that is one doorbell for a request, at depth 32 one for as many as
 * came at once. The clock is read once for a request, and while nothing happens only now and then.
 */
static void loop(struct run *r, enum disk_do what)
{
	enum disk_do first = what == DISK_DO_FLUSH ? DISK_DO_WRITE : what;
	uint64_t last = rdtsc();
	unsigned int busy = 0, i, looks = 0;
	bool kick = true, ok = true;
	int done;

	for (i = issued = 0; i < r->depth && issued < r->max_ops; i++, issued++)
		busy += issue(r, i, first);
	while (busy) {
		done = disk.drv->poll(&disk, &ok);
		if (done >= 0) {
			busy -= !completed(r, (unsigned int)done, what, ok);
			kick = true;
			looks = 0;
			continue;
		}
		if (kick)
			disk.drv->kick(&disk);
		kick = false;
		if (!looks)
			last = rdtsc();
		if (!(++looks % LOOKS) && rdtsc() - last > r->stall) {
			r->errors += busy;
			r->silent = true;
			break;
		}
		pause();
	}
	disk.drv->kick(&disk); /* what was taken last is acknowledged */
}

static void loop_read(struct run *r)
{
	loop(r, DISK_DO_READ);
}

static void loop_write(struct run *r)
{
	loop(r, DISK_DO_WRITE);
}

static void loop_flush(struct run *r)
{
	loop(r, DISK_DO_FLUSH);
}

/* ---- set up */

/* The first sectors, read once: do they bear the pattern? */
static bool look_at_pattern(struct run *r)
{
	uint64_t end = rdtsc() + r->stall;
	bool ok = false;

	pattern = false;
	if (!disk.drv->submit(&disk, 0, DISK_DO_READ, 0))
		return false;
	disk.drv->kick(&disk);
	while (disk.drv->poll(&disk, &ok) < 0) {
		if (rdtsc() > end)
			return false;
		pause();
	}
	disk.drv->kick(&disk);
	pattern = ok && stamped(disk_buf(&disk, 0), 0, r->size);
	return ok;
}

static void setup(struct run *r)
{
	r->size = r->size ? r->size : SIZE_DFLT;
	r->depth = MAX(1u, MIN(r->depth, SLOTS_MAX));
	next_off = 0;
	if (r->size % SECTOR || r->size > SIZE_MAX_) {
		r->why = "size must be a multiple of 512, up to 131072";
		return;
	}
	r->why = disk_open(&disk, r->depth, r->size, false);
	if (r->why)
		return;
	r->depth = disk.depth;
	if (!look_at_pattern(r))
		r->why = "the disk does not answer, or its first sectors cannot be read";
	r->device = disk.drv->name;
}

static void setup_write(struct run *r)
{
	setup(r);
	if (!r->why && disk.readonly)
		r->why = "the disk is read-only";
}

static void finish(struct run *r)
{
	if (disk.drv)
		disk.drv->close(&disk);
	if (!pattern)
		return;
	line_text("info test=");
	line_text(r->test->name);
	line_text(" pattern=checked");
	line_end();
}

const struct test disk_tests[] = {
	{ .name = "disk-read",
	  .setup = setup,
	  .loop = loop_read,
	  .finish = finish,
	  .warm = FULL_WARM,
	  .hist = true,
	  .bytes = true },
	{ .name = "disk-write",
	  .setup = setup_write,
	  .loop = loop_write,
	  .finish = finish,
	  .warm = FULL_WARM,
	  .hist = true,
	  .bytes = true },
	{ .name = "disk-flush",
	  .setup = setup_write,
	  .loop = loop_flush,
	  .finish = finish,
	  .warm = 4,
	  .hist = true },
	{ .name = NULL },
};
