// SPDX-License-Identifier: BSD-3-Clause
/*
 * KVM's own counters through KVM_GET_STATS_FD (virt/kvm/api.rst 4.133): a header, descriptors of a
 * size the header tells, and 64-bit data. The layout is the kernel's to choose, so every offset is
 * checked.
 */
#include <errno.h>
#include <stdlib.h>
#include "vmm/core/kvm_priv.h"

#define STATS_MAX  1024
#define NAME_MAX_B 256

static void stat_one(struct sys *s, int fd, const struct kvm_stats_header *h, const char *desc,
		     void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	const struct kvm_stats_desc *d = (const void *)desc;
	const char *name = desc + sizeof(*d);
	uint64_t v;

	/* Histograms have many values and no name for each; the plain ones have one. */
	if (d->size != 1 || name[h->name_size - 1])
		return;
	if (sys_pread(s, fd, &v, sizeof(v), (off_t)h->data_offset + d->offset) == sizeof(v))
		fn(arg, name, v);
}

static int stats_read(struct sys *s, int fd,
		      void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct kvm_stats_header h;
	size_t one, size;
	char *desc;

	if (sys_pread(s, fd, &h, sizeof(h), 0) != sizeof(h) || h.num_desc > STATS_MAX ||
	    !h.name_size || h.name_size > NAME_MAX_B)
		return -EINVAL;
	one = sizeof(struct kvm_stats_desc) + h.name_size;
	size = one * h.num_desc;
	desc = malloc(size ? size : 1);
	if (!desc)
		return -ENOMEM;
	if (sys_pread(s, fd, desc, size, (off_t)h.desc_offset) != (ssize_t)size) {
		free(desc);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < h.num_desc; i++)
		stat_one(s, fd, &h, desc + i * one, fn, arg);
	free(desc);
	return 0;
}

int kvm_stats(struct vm_accel *a, struct vm_vcpu_hw *v,
	      void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct kvm *k = kvm_of(a);
	int fd, rc;

	if (v)
		return v->stats_fd < 0 ? v->stats_fd : stats_read(k->sys, v->stats_fd, fn, arg);
	fd = sys_ioctl(k->sys, k->vm_fd, KVM_GET_STATS_FD, NULL);
	if (fd < 0)
		return fd;
	rc = stats_read(k->sys, fd, fn, arg);
	sys_close(k->sys, &fd);
	return rc;
}
