// SPDX-License-Identifier: BSD-3-Clause
/* The emulated e1000: registers, descriptors and frames in any order. A record whose first byte is
 * 0xff is a frame that arrives. */
#include <sys/socket.h>
#include <unistd.h>
#include "tests/fuzz/devices/emul.h"
#include "vmm/backend/tap.h"
#include "vmm/devices/e1000/e1000_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frame(int wire, const uint8_t *p)
{
	uint8_t buf[12 + 4096] = { 0 };

	memset(buf + 12, p[1], 12);
	memcpy(buf + 24, p + 4, 4);
	if (write(wire, buf, 12 + (p[2] << 4 | p[3] >> 4)) < 0)
		return; /* the card does not read */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct e1000_cfg cfg = { .mac = { { 0x52, 0x54, 0, 1, 2, 3 } } };
	struct tap tap = { .name = "fuzz", .n = 1 };
	struct emul m = { .reg_mask = 0x7fff };
	struct err e = { 0 };
	struct net_end *end;
	struct vm_dev *d;
	int sv[2];

	emul_init(&m);
	BUG_ON(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv));
	tap.fd[0] = sv[0];
	cfg.io = m.io;
	BUG_ON(tap_end_new(sys_host(), &tap, &end));
	BUG_ON(e1000_new(sys_host(), "net0", &cfg, end, &d));
	BUG_ON(vm_dev_add(m.vm, d, &e));
	emul_fn(&m, &container_of(d, struct e1000, dev)->fn);
	for (; size >= EMUL_RECORD; data += EMUL_RECORD, size -= EMUL_RECORD)
		if (data[0] == 0xff)
			frame(sv[1], data);
		else
			emul_step(&m, data);
	vm_iothread_call(m.io, emul_nothing, NULL);
	vm_dev_free(d);
	close(sv[1]);
	emul_fini(&m);
	return 0;
}
