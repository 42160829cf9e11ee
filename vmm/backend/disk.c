// SPDX-License-Identifier: BSD-3-Clause
/*
 * The medium: what is opened, how large it is, what it can do.
 *
 * What cannot be asked is tried. A file on a file system says nothing about the alignment that
 * O_DIRECT needs, so it is read once in each size; whether holes can be punched is found out behind
 * the end of the file, where nothing changes. A block device is opened O_EXCL for writing, which
 * fails while it is mounted or part of something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include "base/opt.h"
#include "vmm/backend/disk_priv.h"

#define BLOCK_MAX 65536

static bool is_null(const char *path)
{
	return !strncmp(path, "null:", 5);
}

static int open_null(struct disk *d, const char *path, struct err *e)
{
	uint64_t size;
	int ret = opt_size_parse(&size, path + 5);

	if (ret || size < 512 || size > INT64_MAX)
		return err_set(e, -EINVAL, "disk %s: the size is wrong: write it as null:8G", path);
	d->info.null = true;
	d->info.discard = d->info.write_zeroes = !d->info.readonly;
	d->info.block = d->info.phys_block = 512;
	atomic_store(&d->size, ALIGN_DOWN(size, (uint64_t)512));
	return 0;
}

static int open_error(int ret, const struct disk_cfg *c, bool blk, struct err *e)
{
	if (ret == -EINVAL && c->direct)
		return err_set(e, ret, "disk %s: its file system has no direct I/O: use direct=off",
			       c->path);
	if (ret == -EBUSY && blk)
		return err_set(e, ret,
			       "disk %s: is mounted or used by the host: unmount it, or use "
			       "readonly=on",
			       c->path);
	if (ret == -EROFS || ret == -EACCES || ret == -EPERM)
		return err_sys(e, ret, "disk %s: cannot be opened%s", c->path,
			       c->readonly ? "" : " for writing (readonly=on would do with less)");
	return err_sys(e, ret, "disk %s: cannot be opened", c->path);
}

/* The kind is looked at before, so that a FIFO or a tape never is opened, and after, to be sure. */
static int open_file(struct disk *d, const struct disk_cfg *c, struct stat *st, struct err *e)
{
	int flags = O_CLOEXEC | (c->readonly ? O_RDONLY : O_RDWR) | (c->direct ? O_DIRECT : 0);
	int ret = sys_stat(d->s, c->path, st);

	if (ret)
		return err_sys(e, ret, "disk %s", c->path);
	if (S_ISBLK(st->st_mode) && !c->readonly)
		flags |= O_EXCL;
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode)) {
		d->fd = sys_open(d->s, c->path, flags, 0);
		if (d->fd < 0)
			return open_error(d->fd, c, S_ISBLK(st->st_mode), e);
		ret = sys_fstat(d->s, d->fd, st);
		if (ret)
			return err_sys(e, ret, "disk %s", c->path);
	}
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_set(e, -EINVAL, "disk %s: is neither a file nor a block device",
			       c->path);
	d->info.is_blkdev = S_ISBLK(st->st_mode);
	return 0;
}

int disk_lock(struct sys *s, int fd, const char *path, bool readonly, struct err *e)
{
	int ret = sys_flock(s, fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB);

	if (ret == -EWOULDBLOCK)
		return err_set(e, -EBUSY,
			       "disk %s: another machine or sluice-vhostd has it open%s: stop "
			       "that, or use readonly=on in both",
			       path, readonly ? " for writing" : "");
	return ret ? err_sys(e, ret, "disk %s: cannot be locked", path) : 0;
}

static int read_size(struct disk *d, uint64_t *out)
{
	struct stat st;
	int ret;

	if (d->info.is_blkdev) {
		ret = sys_ioctl(d->s, d->fd, BLKGETSIZE64, out);
	} else {
		ret = sys_fstat(d->s, d->fd, &st);
		*out = ret ? 0 : (uint64_t)st.st_size;
	}
	if (ret < 0)
		return ret;
	*out = ALIGN_DOWN(*out, (uint64_t)d->info.block);
	return 0;
}

/* Smallest read that O_DIRECT accepts; an empty file says nothing and gets 512. */
static int probe_direct(struct disk *d, uint32_t *block)
{
	void *buf = aligned_alloc(BLOCK_MAX, BLOCK_MAX);
	ssize_t n = -EINVAL;

	if (!buf)
		return -ENOMEM;
	for (*block = 512; *block <= BLOCK_MAX; *block *= 2) {
		n = sys_pread(d->s, d->fd, buf, *block, 0);
		if (n != -EINVAL)
			break;
	}
	free(buf);
	return n < 0 ? (int)n : 0;
}

static int probe_blocks(struct disk *d, const struct stat *st)
{
	unsigned int phys = 0;
	int lbs = 0, ret = 0;

	d->info.block = 512;
	if (d->info.is_blkdev) {
		ret = sys_ioctl(d->s, d->fd, BLKSSZGET, &lbs);
		if (ret >= 0 && sys_ioctl(d->s, d->fd, BLKPBSZGET, &phys) < 0)
			phys = 0;
		d->info.block = (uint32_t)lbs;
	} else {
		phys = (unsigned int)st->st_blksize;
		if (d->direct)
			ret = probe_direct(d, &d->info.block);
	}
	if (ret < 0)
		return ret;
	if (!IS_POW2(d->info.block) || d->info.block < 512 || d->info.block > BLOCK_MAX)
		return -EINVAL;
	if (!IS_POW2(phys) || phys > BLOCK_MAX)
		phys = 0;
	d->info.phys_block = MAX(phys, d->info.block);
	return 0;
}

static bool blkdev_discards(struct disk *d, const struct stat *st)
{
	unsigned int maj = major(st->st_rdev), min = minor(st->st_rdev);
	uint64_t max;

	if (!sys_file_read_u64(d->s, &max, "/sys/dev/block/%u:%u/queue/discard_max_bytes", maj,
			       min))
		return max;
	/* a partition: its disk knows */
	return !sys_file_read_u64(d->s, &max, "/sys/dev/block/%u:%u/../queue/discard_max_bytes",
				  maj, min) &&
	       max;
}

static void probe_discard(struct disk *d, const struct stat *st)
{
	off_t end = (off_t)ALIGN_UP((uint64_t)st->st_size, KIB(64));

	if (d->info.readonly)
		return;
	d->info.write_zeroes = true; /* by writing them, if need be */
	if (d->info.is_blkdev)
		d->info.discard = blkdev_discards(d, st);
	else
		d->info.discard = !sys_fallocate(
			d->s, d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, KIB(64));
	atomic_store(&d->no_punch, !d->info.discard);
}

static int open_medium(struct disk *d, const struct disk_cfg *c, struct err *e)
{
	struct stat st;
	uint64_t size;
	int ret = open_file(d, c, &st, e);

	if (!ret)
		ret = disk_lock(d->s, d->fd, c->path, c->readonly, e);
	if (ret)
		return ret;
	ret = probe_blocks(d, &st);
	if (ret)
		return err_sys(e, ret, "disk %s: its block size cannot be found out", c->path);
	ret = read_size(d, &size);
	if (ret)
		return err_sys(e, ret, "disk %s: its size cannot be read", c->path);
	if (!size)
		return err_set(e, -EINVAL,
			       "disk %s: has no complete block of %u bytes: make it "
			       "larger (truncate -s)",
			       c->path, d->info.block);
	atomic_store(&d->size, size);
	probe_discard(d, &st);
	ret = sys_mmap(d->s, &d->zeros, DISK_ZEROS, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return ret < 0 ? err_sys(e, ret, "disk %s", c->path) : 0;
}

int disk_open(struct sys *s, const struct disk_cfg *c, struct disk **out, struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	int ret;

	*out = NULL;
	if (!d)
		return err_sys(e, -ENOMEM, "disk %s", c->path);
	d->s = s;
	d->u = &disk_uring_host;
	d->fd = -1;
	d->direct = c->direct;
	d->info.readonly = c->readonly;
	ret = is_null(c->path) ? open_null(d, c->path, e) : open_medium(d, c, e);
	if (ret) {
		disk_close(d);
		return ret;
	}
	*out = d;
	return 0;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	if (d->zeros)
		d->s->ops->munmap(d->s, d->zeros, DISK_ZEROS);
	/* A ring that had the file registered lets go of it some time after it was freed, and would
	 * keep the lock from whoever comes next. */
	if (d->fd >= 0)
		(void)!sys_flock(d->s, d->fd, LOCK_UN);
	sys_close(d->s, &d->fd);
	free(d);
}

void disk_info(const struct disk *d, struct disk_info *out)
{
	*out = d->info;
	out->size = atomic_load(&d->size);
}

int disk_refresh(struct disk *d)
{
	uint64_t size;
	int ret;

	if (d->info.null)
		return 0;
	ret = read_size(d, &size);
	if (ret)
		return ret;
	return atomic_exchange(&d->size, size) != size;
}
