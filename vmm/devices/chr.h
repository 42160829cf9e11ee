/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DEVICES_CHR_H
#define VMM_DEVICES_CHR_H

#include "base/err.h"
#include "base/ev.h"
#include "base/log.h"
#include "base/sys.h"

/*
 * Where a serial port ends on the host: the terminal, a pseudo terminal, a file, a Unix socket,
 * nowhere.
 *
 * Writers (vCPUs) never block: bytes go into a buffer that the loop's thread writes out. Whoever
 * writes asks chr_can_write() first; when the reader on the host stands still for a second the
 * oldest bytes are dropped.
 */
struct chr;

/**
 * struct chr_tty - what a terminal was set to before it was made raw
 * Lives with the program, longer than the chr, so that also a signal handler can give the terminal
 * back.
 */
struct chr_tty {
	struct sys *sys;
	volatile int raw;
	int fd;
	unsigned char saved[64];
};

/** chr_tty_restore() - give the terminal back; async-signal-safe, idempotent; NULL is fine. */
void chr_tty_restore(struct chr_tty *t);

/**
 * struct chr_user - who is at the guest's end; called on the loop's thread
 * @room: bytes that rx() takes now
 * @rx: n bytes, never more than room() said
 * @tx_ready: chr_can_write() said no before, and would say yes now
 * @quit: the user typed Ctrl-A x
 */
struct chr_user {
	size_t (*room)(void *arg);
	void (*rx)(void *arg, const uint8_t *p, size_t n);
	void (*tx_ready)(void *arg);
	void (*quit)(void *arg);
};

/**
 * chr_open() - open a back end
 * @spec: "stdio", "null", "pty", "file=PATH" (truncated) or "unix=PATH" (listens; one client at a
 * time, mode 0600)
 * @tty:  for stdio: made raw when standard input is a terminal, and then Ctrl-A is the escape key
 * (Ctrl-A h: help)
 *
 * SIGPIPE must be ignored by the program. A unix=PATH that exists is taken over only if it is a
 * socket on which nobody listens. Return: 0, or -errno with e filled and the terminal untouched.
 */
int chr_open(struct sys *s, struct ev *ev, const struct log *log, const char *spec,
	     struct chr_tty *tty, struct chr **out, struct err *e) __must_check;

/** chr_start() - begin to read for a user; the loop's thread. NULL: stop, nothing is called any
 * more. */
void chr_start(struct chr *c, const struct chr_user *u, void *arg);

/** chr_close() - write out what is buffered (chr_flush()), give the terminal back, free. Loop's
 * thread; NULL is fine. */
void chr_close(struct chr *c);

/** chr_can_write() - is there room, or nobody to wait for? Any thread. */
bool chr_can_write(struct chr *c);

/** chr_write() - never blocks; the oldest bytes are dropped when it is full. Any thread. */
void chr_write(struct chr *c, const void *p, size_t n);

/** chr_rx_more() - room() has grown; cheap when nobody waits for it. Any thread. */
void chr_rx_more(struct chr *c);

/** chr_flush() - write out what is buffered; gives up after 2 s without progress. Loop's thread. */
void chr_flush(struct chr *c);

#define CHR_PTY_MAX 32

/**
 * chr_pty() - a pseudo terminal in raw mode, for who serves one without a chr
 * @master: not blocking; @slave: to be held open as well, since a master whose slave nobody has
 * open reports hang-ups without end; both -1 on failure
 * @path: of the slave, "/dev/pts/5"
 */
int chr_pty(struct sys *s, int *master, int *slave, char path[CHR_PTY_MAX],
	    struct err *e) __must_check;

/** chr_path() - "/dev/pts/5" of a pty, else NULL. */
const char *chr_path(const struct chr *c);

/** chr_dropped() - bytes that nobody took. */
uint64_t chr_dropped(struct chr *c);

#endif
