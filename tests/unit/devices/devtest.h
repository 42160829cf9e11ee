/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_DEVTEST_H
#define TESTS_DEVTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "vmm/core/boot.h"
#include "vmm/core/vm.h"

/* A machine without vCPUs; its loop runs on the real kernel, so that timers and fds are real. */
struct board {
	struct fakesys *fs;
	struct fakeaccel *fa;
	struct vm *vm;
	struct ev *ev;
};

static inline void board_init(struct board *b)
{
	b->fs = fakesys_new();
	b->fa = fakeaccel_new();
	b->vm = fakeaccel_vm(fakesys_sys(b->fs), b->fa, MIB(64));
	b->vm->cfg.no_reboot = true;
	assert_int_equal(ev_new(sys_host(), &b->ev), 0);
	b->vm->ev = b->ev;
}

static inline void board_fini(struct board *b)
{
	fakeaccel_vm_free(b->vm);
	ev_free(b->ev);
	fakesys_free(b->fs);
}

static inline uint64_t inl_(struct board *b, uint16_t port, unsigned int len)
{
	uint64_t v;

	vm_bus_read(&b->vm->pio, port, len, &v);
	return v;
}

static inline uint8_t inb_(struct board *b, uint16_t port)
{
	return (uint8_t)inl_(b, port, 1);
}

static inline void outb_(struct board *b, uint16_t port, uint8_t v)
{
	vm_bus_write(&b->vm->pio, port, 1, v);
}

#endif
