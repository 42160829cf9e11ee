/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIRTIO_WIRE_MSG_H
#define VIRTIO_WIRE_MSG_H

#include "base/err.h"
#include "base/sys.h"
#include "base/usock.h"

/*
 * The vhost-user codec, both halves: message layout, what each message must look like, and reading
 * and writing one on a socket. (vhost-user protocol: docs/interop/vhost-user of QEMU.)
 *
 * vu_msg_check() is the only judge of a message's form: size, number of descriptors, direction. It
 * works on a const table; a message that is not in the table is refused.
 */
enum vu_req {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_NET_SET_MTU = 20,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_REQ_MAX = 41
};

#define VU_F_PROTOCOL (1ull << 30) /* VHOST_USER_F_PROTOCOL_FEATURES, a virtio feature bit */

/* protocol features */
enum {
	VU_P_MQ = 0,
	VU_P_REPLY_ACK = 3,
	VU_P_MTU = 4,
	VU_P_CONFIG = 9,
	VU_P_RESET_DEVICE = 13,
	VU_P_INFLIGHT = 12,
	VU_P_MEM_SLOTS = 15,
	VU_P_STATUS = 16
};
#define VU_P(f) (1ull << (f))

#define VU_VERSION    0x1u
#define VU_REPLY      0x4u
#define VU_NEED_REPLY 0x8u
#define VU_FDS_MAX    32
#define VU_MEM_MAX    8 /* regions of SET_MEM_TABLE */
#define VU_CONFIG_MAX 256
#define VU_QUEUES_MAX 256

struct vu_hdr {
	uint32_t req, flags, size;
};

struct vu_vring {
	uint32_t index, num;
};

struct vu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct vu_region {
	uint64_t gpa, size, uva, mmap_off;
};

struct vu_mem_table {
	uint32_t n, pad;
	struct vu_region r[VU_MEM_MAX];
};

struct vu_one_region {
	uint64_t pad;
	struct vu_region r;
};

struct vu_config {
	uint32_t off, size, flags;
	uint8_t data[VU_CONFIG_MAX];
};

struct vu_inflight_desc {
	uint64_t mmap_size, mmap_off;
	uint16_t nqueues, qsize;
};

/** struct vu_msg - one message; @fd: descriptors that came or go with it. Received ones are the
 * receiver's to close: vu_msg_drop() closes those still in fd[]. */
struct vu_msg {
	struct vu_hdr h;
	union {
		uint64_t u64;
		struct vu_vring vring;
		struct vu_vring_addr addr;
		struct vu_mem_table mem;
		struct vu_one_region reg;
		struct vu_config cfg;
		struct vu_inflight_desc inflight;
		uint8_t raw[512];
	} u;
	int fd[VU_FDS_MAX];
	unsigned int nfds;
};

enum vu_dir { VU_TO_BACK, VU_TO_FRONT };

/** vu_req_name() - "SET_MEM_TABLE"; "?" for an unknown one. */
const char *vu_req_name(uint32_t req);

/** vu_req_replies() - has it a reply of its own? Others are answered by a number, if REPLY_ACK was
 * negotiated and the request says VU_NEED_REPLY. */
bool vu_req_replies(uint32_t req);

/** vu_hdr_check() - what of vu_msg_check() can be told by the header alone; a payload whose header
 * passed fits into struct vu_msg. */
int vu_hdr_check(const struct vu_hdr *h, enum vu_dir dir, struct err *e) __must_check;

/** vu_msg_check() - form of a message that goes in direction dir; nothing in it was used yet.
 * -EPROTO with e saying what is wrong. Content (queue numbers, addresses) is the receiver's job. */
int vu_msg_check(const struct vu_msg *m, enum vu_dir dir, struct err *e) __must_check;

/** struct vu_sock - a connected socket and what of a message came so far; non-blocking. */
struct vu_sock {
	struct sys *sys;
	int fd;
	struct vu_msg in;
	size_t got;	   /* bytes of in */
	uint8_t out[8192]; /* what the socket did not take yet */
	size_t out_len;
};

void vu_sock_init(struct vu_sock *k, struct sys *s, int fd); /* takes fd over */
void vu_sock_close(struct vu_sock *k); /* idempotent; received descriptors are closed too */

/**
 * vu_sock_recv() - go on reading
 * Return: 1: a whole message is in *m, its form checked; 0: not yet; -ECONNRESET: end of file;
 * -EPROTO: malformed (descriptors closed).
 */
int vu_sock_recv(struct vu_sock *k, enum vu_dir dir, struct vu_msg *m, struct err *e) __must_check;

/** vu_sock_send() - with m->fd[0..nfds), which stay the caller's. Never blocks: what the socket
 * does not take is kept and goes with vu_sock_flush(). -ENOBUFS: the peer reads too slowly, nothing
 * of m was taken; to be tried again after a flush (a message with descriptors is not kept). */
int vu_sock_send(struct vu_sock *k, const struct vu_msg *m) __must_check;
/** vu_sock_flush() - 1: all is out; 0: wait for EPOLLOUT; -errno. */
int vu_sock_flush(struct vu_sock *k) __must_check;

/** vu_msg_drop() - close the descriptors still in m->fd[] (-1: taken). */
void vu_msg_drop(struct sys *s, struct vu_msg *m);

/** vu_listen() / vu_connect() - a unix socket: its descriptor, non-blocking, or -errno. listen:
 * replaces a dead socket file, mode 0600, warns through e->text (no failure) when others may write
 * to the folder. A peer must pass vu_peer_check(): root, our own user, or, for root, the owner of
 * the folder the socket is in (usock_peer()). */
int vu_listen(struct sys *s, const char *path, struct err *e) __must_check;
int vu_connect(struct sys *s, const char *path, struct err *e) __must_check;
int vu_peer_check(struct sys *s, int fd, struct err *e) __must_check;

#endif
