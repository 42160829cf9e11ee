/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>

#include "base/err.h"

/* An interface of the host for peer.c: its state, an address for a while, the TCP end of a load. */

/** bench_if_up() - is it up? raise: it was made for us, and is set up when it is not. */
int bench_if_up(const char *ifname, bool raise, struct err *e) __must_check;

/**
 * bench_if_addr() - give an interface the host's address of wire.h, beside those it has
 * bench_if_addr_drop() takes it away again; it is safe when there is none.
 */
int bench_if_addr(const char *ifname, struct err *e) __must_check;
void bench_if_addr_drop(const char *ifname);

/** bench_tcp_listen() - a socket for the guest's connection, on this interface alone. Return: it */
int bench_tcp_listen(const char *ifname, struct err *e) __must_check;

/**
 * bench_tcp_serve() - one connection after the other until stop becomes readable
 * @source: send without end; else take what comes, and end the connection when the guest does
 */
void bench_tcp_serve(int listener, int stop, bool source);

#endif
