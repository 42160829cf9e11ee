/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_MISC_H
#define VIRTIO_MISC_H

#include "virtio/vio.h"

/** vio_rng_new() - entropy device (virtio 1.2, 5.4): getrandom(2), at most 64 KiB a buffer. */
int vio_rng_new(struct sys *s, const char *id, struct vm_iothread *io, uint64_t hide,
		struct vm_dev **out, struct err *e) __must_check;

/**
 * vio_console_new() - console, one port (virtio 1.2, 5.3)
 * @fd_in: @fd_out: of the host, non-blocking where it can be, taken over, also on failure; -1:
 * none. Not the same one (dup it). What the guest writes and the host does not take waits in the
 * ring.
 */
int vio_console_new(struct sys *s, const char *id, struct vm_iothread *io, int fd_in, int fd_out,
		    uint64_t hide, struct vm_dev **out, struct err *e) __must_check;

#endif
