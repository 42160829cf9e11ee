/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

/*
 * What the two ends of a network load agree on: the runner (peer.c) and the program in the Linux
 * guest (netload.c). Frames of their own carry most loads. TCP needs addresses: link-local ones
 * (RFC 3927), which no router forwards, of a network that holds these two alone.
 */
#define BENCH_ETHERTYPE	 0x88b5 /* IEEE 802: local experimental */
#define BENCH_FRAME_MAX	 2048u
#define BENCH_FCS	 4u	     /* sizes of packets are those on the wire */
#define BENCH_ADDR_HOST	 0xa9fe5801u /* 169.254.88.1 */
#define BENCH_ADDR_GUEST 0xa9fe5802u /* 169.254.88.2 */
#define BENCH_ADDR_MASK	 0xfffffffcu
#define BENCH_TCP_PORT	 5588
#define BENCH_TCP_PIECE	 65536u /* an operation of a TCP load */

/* A byte of the guest's frames, by which it has the runner's end begin and end a flood. */
#define BENCH_WORD_AT  18u
#define BENCH_WORD_ON  1
#define BENCH_WORD_OFF 2

/* Bytes that the runner answers to "start" with. */
#define BENCH_GO    'g'
#define BENCH_LEAVE 's' /* the host's end cannot do this load */

#endif
