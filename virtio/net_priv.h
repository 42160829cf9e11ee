/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_NET_PRIV_H
#define VIRTIO_NET_PRIV_H

#include <linux/virtio_net.h>
#include "virtio/net.h"
#include "virtio/vio_serve.h"
#include "vmm/backend/tap.h"

/* Linux 6.2 and later; older headers lack them. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define NETF(name) VIO_F(VIRTIO_NET_F_##name)

#define NET_HDR	      12u
#define NET_FRAME_MIN 14u
#define NET_FRAME_MAX (65535u + 18u) /* a segment with its Ethernet header and a VLAN tag */
#define NET_IOV	      1022u	     /* pieces of a packet: UIO_MAXIOV less header and spill */

/* Why a packet was not passed on; the order is that of vio_net_drop_name(). */
enum net_drop {
	NET_OK = -1,
	NET_DROP_SHORT, /* less than an Ethernet header */
	NET_DROP_LONG,
	NET_DROP_CSUM,	  /* checksum fields that cannot be */
	NET_DROP_GSO,	  /* segmentation fields that cannot be */
	NET_DROP_OFFLOAD, /* to the guest: needs what its driver did not accept */
	NET_DROP_LINK,
	NET_DROP_HOST, /* the tap refused it */
	NET_DROP_ROOM, /* to the guest: larger than its buffers */
};

/* Counters have one writer, the thread of the queue, and readers that want no exact instant. */
struct net_count {
	atomic_ullong bufs, bytes, drop[VIO_NET_DROPS];
};

static inline void net_add(atomic_ullong *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t net_get(atomic_ullong *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

struct vnet;

/* A buffer of the guest; @end: index behind its last piece. */
struct net_buf {
	struct vq_chain c;
	unsigned int end;
};

/**
 * struct net_rx - from the tap to the guest
 * @iov:   of the stock, in a row from @ihead to @itail; the one before and the one behind are free
 * @buf:   the stock: buffers popped and not used yet, @nbuf from @bhead on
 * @bytes: their size
 * @need:  bytes that take any packet
 * @nhdr:  pieces of the place of the header, which was cut off the first buffer; 0: not yet
 * @held:  size of a packet that waits for more buffers; what is behind @spilled is in @spill
 * @starved: nothing is read until the driver kicks
 */
struct net_rx {
	struct vio_serve s;
	struct net_pair *p;
	struct net_count n;
	struct iovec *iov;
	struct net_buf *buf;
	unsigned int ihead, itail, bhead, nbuf;
	uint32_t bytes, need, held, spilled;
	struct virtio_net_hdr_v1 hdr;
	struct iovec hdr_iov[NET_HDR];
	unsigned int nhdr;
	uint8_t *spill;
	struct ev_src *timer;
	bool starved;
};

struct net_tx {
	struct vio_serve s;
	struct net_pair *p;
	struct net_count n;
	struct iovec *iov;
	bool blocked; /* the tap takes no more */
};

/**
 * struct net_pair - two queues and their file of the tap, served on one thread
 * @wanted: may it carry traffic? The control queue's word; the rest is the thread's alone
 * @noted:  a note about it is under way
 * @up:     the driver is, and the machine is not paused
 * @gone:   the interface was taken away
 * @tap:    source of the file, NULL while nothing is to be had from it
 */
struct net_pair {
	struct vnet *net;
	struct vm_iothread *io;
	struct ev *ev;
	int fd;
	atomic_bool wanted, noted;
	bool up, gone;
	struct ev_src *tap;
	uint32_t events;
	struct net_rx rx;
	struct net_tx tx;
};

struct net_ctrl {
	struct vio_serve s;
	struct vnet *net;
	atomic_ullong commands, refused;
	struct iovec iov[NET_IOV];
};

/**
 * struct vnet - the device
 * @acked:   features accepted, without those that lack what they depend on
 * @offload: enum tap_off that the guest accepts now
 * @mac:     as in the config space: octets from the low byte on; @mac0: the port's
 * @host_up: the tap has carrier; @admin_up: vio_net_link()
 * @watch:   tells of changes of links, on the control queue's thread
 */
struct vnet {
	struct vio vio; /* first */
	struct sys *sys;
	const struct log *log;
	struct tap tap;
	unsigned int npairs;
	uint64_t acked, mac0;
	atomic_uint offload;
	_Atomic uint64_t mac;
	atomic_bool host_up, admin_up;
	int watch_fd;
	struct ev_src *watch;
	struct net_ctrl ctrl;
	struct net_pair pair[];
};

static inline struct vnet *vnet_of(struct vio *v)
{
	return container_of(v, struct vnet, vio);
}

static inline bool net_link_is_up(struct vnet *n)
{
	return atomic_load_explicit(&n->host_up, memory_order_relaxed) &&
	       atomic_load_explicit(&n->admin_up, memory_order_relaxed);
}

/* ---- net_hdr.c: no state ---- */

/* What the device offers on a tap that can (or cannot) do UDP segmentation. */
uint64_t net_offer(bool uso, unsigned int pairs, unsigned int mtu);
/* Features without those that need another one that is not there (virtio 1.2, 5.1.3.1). */
uint64_t net_depend(uint64_t features);
/* The tap's offloads that follow from features accepted. */
unsigned int net_offloads(uint64_t features);
/* A header of the guest: NET_OK with what the kernel may not see taken out, or why not. */
enum net_drop net_tx_check(struct virtio_net_hdr_v1 *h, uint32_t frame, uint64_t acked);
/* A header of the tap, for a guest that accepts these offloads. */
enum net_drop net_rx_check(struct virtio_net_hdr_v1 *h, unsigned int offload);
/* Cut len <= NET_HDR bytes off the front: the pieces go to save[NET_HDR]. The index of the first
 * piece that is left, or n. */
unsigned int net_iov_cut(struct iovec *iov, unsigned int n, size_t len, struct iovec *save,
			 unsigned int *nsave);

/* ---- net_ctrl.c ---- */

enum net_cmd_kind { NET_CMD_IGNORE, NET_CMD_PAIRS, NET_CMD_MAC, NET_CMD_OFFLOAD };

/* A command; @val: pairs, feature bits, or octets of the MAC from the low byte on. */
struct net_cmd {
	enum net_cmd_kind kind;
	uint64_t val;
};

/* A command's readable part; -EINVAL: unknown, not negotiated or too short. */
int net_ctrl_parse(struct net_cmd *out, const struct iovec *iov, unsigned int n, uint32_t len,
		   uint64_t acked) __must_check;
bool net_ctrl_serve(struct vio_serve *s);

/* ---- net_rx.c, net_tx.c: on the pair's thread ---- */
bool net_rx_serve(struct vio_serve *s);
void net_rx_forget(struct net_rx *r); /* the stock and a packet held */
bool net_tx_serve(struct vio_serve *s);

/* ---- net_pair.c: on the pair's thread unless told otherwise ---- */
int net_pair_init(struct net_pair *p, struct vnet *n, unsigned int i, struct vm_iothread *io);
void net_pair_free(struct net_pair *p);		 /* any thread, nothing runs */
int net_pair_start(struct net_pair *p);		 /* any thread; its queues are started too */
void net_pair_stop(struct net_pair *p);		 /* any thread */
int net_pair_pause(struct net_pair *p, bool on); /* any thread */
int net_pair_post(struct net_pair *p);		 /* any thread: it will look at @wanted */
void net_pair_poll(struct net_pair *p);		 /* what is waited for on the tap */
void net_pair_gone(struct net_pair *p);		 /* the file of the tap failed */
int net_pair_queue(struct net_pair *p, bool rx, bool on); /* any thread: one queue, reset */

/* ---- net_link.c ---- */
int net_watch_start(struct vnet *n, struct err *e) __must_check;
void net_watch_stop(struct vnet *n);
void net_link_host(struct vnet *n, bool up); /* any thread */

#endif
