/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_BACKEND_TAP_H
#define VMM_BACKEND_TAP_H

#include "base/err.h"
#include "base/sys.h"

#define TAP_QUEUES_MAX 16

/**
 * struct tap - a tap interface of the host, one file per queue
 * Opened with IFF_VNET_HDR: every packet has a struct virtio_net_hdr_v1 (12 bytes) in front. An
 * interface that exists (persistent, owned by the user) is used as it is; else it is made, brought
 * up, and goes with the process.
 *
 * @active: the first so many queues carry traffic, see tap_queues()
 * @made:   the interface is ours
 * @was_hdrsz: what a foreign interface had before, put back by tap_close()
 */
struct tap {
	char name[16];
	unsigned int n, active;
	int fd[TAP_QUEUES_MAX]; /* non-blocking */
	unsigned int mtu;
	bool uso; /* the kernel's tun can do UDP segmentation (Linux 6.2) */
	bool made;
	int was_hdrsz;
};

/**
 * tap_open() - open n queues, all of them active
 * Return: 0 or -errno with the remedy: no /dev/net/tun, not ours, busy, not multiqueue, no tap.
 */
int tap_open(struct sys *s, const char *name, unsigned int n, struct tap *out,
	     struct err *e) __must_check;
void tap_close(struct sys *s, struct tap *t); /* idempotent */

/** enum tap_off - offloads that the guest accepts in received packets */
enum tap_off { TAP_CSUM = 1, TAP_TSO4 = 2, TAP_TSO6 = 4, TAP_ECN = 8, TAP_USO = 16 };

/** tap_offload() - set them; without TAP_CSUM there are none, as a segment needs its checksum. */
int tap_offload(struct sys *s, const struct tap *t, unsigned int off) __must_check;

/** tap_queues() - the first n queues carry traffic, the others are detached; on failure as before.
 */
int tap_queues(struct sys *s, struct tap *t, unsigned int n) __must_check;

/** tap_link() - carrier as the host sees it: 1, 0 or -errno. Any thread. */
int tap_link(struct sys *s, const struct tap *t);

#endif
