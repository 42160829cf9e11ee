/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CMD_HIDE_H
#define CMD_HIDE_H

#include "base/opt.h"

/* What hide= of a port takes, for help texts; see hide.c. */
#define HIDE_RING "packed, event-idx, indirect, in-order, ring-reset"
#define HIDE_NET  "csum, tso, uso, mrg-rxbuf, mtu, status, mq"
#define HIDE_DISK "flush, topology, mq, discard, write-zeroes"

/** hide_parse() - "packed:event-idx": feature bits are added to mask; -EINVAL names the words. */
int hide_parse(bool is_disk, const char *text, uint64_t *mask, struct err *e) __must_check;

#endif
