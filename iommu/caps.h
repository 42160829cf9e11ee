/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IOMMU_CAPS_H
#define IOMMU_CAPS_H

#include "base/sys.h"

/*
 * The chained answers of the VFIO info calls: a fixed struct, and behind it capabilities linked by
 * offsets from the start of the buffer.
 */

/** vfio_info_get() - ask once for the size, once for all of it
 * @req:  VFIO_IOMMU_GET_INFO, VFIO_DEVICE_GET_REGION_INFO...; the struct starts with argsz and
 * flags
 * @head: the fixed struct, filled by the caller as far as the call reads it; argsz is set here
 * @out:  malloc'd, at least head_size bytes; *size is what the kernel filled
 * Return: 0 or -errno; -EFBIG when the kernel wants an absurd size.
 */
int vfio_info_get(struct sys *s, int fd, unsigned long req, const void *head, size_t head_size,
		  void **out, size_t *size) __must_check;

/**
 * vfio_cap_find() - first capability id in a chain
 * @first: offset of the first one, 0: none
 * @room:  set to the bytes from the capability to the end of the buffer
 * Return: NULL when it is not there, or when the chain leaves the buffer or has a cycle before it.
 */
const void *vfio_cap_find(const void *buf, size_t size, uint32_t first, uint16_t id, size_t *room);

#endif
