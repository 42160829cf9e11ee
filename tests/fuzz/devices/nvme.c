// SPDX-License-Identifier: BSD-3-Clause
/* The emulated NVMe controller: registers, queue entries and doorbells in any order, over a disk
 * that stores nothing. */
#include "tests/fuzz/devices/emul.h"
#include "vmm/devices/nvme/nvme_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nvme_cfg cfg = { .queues = 2, .shadow = true };
	struct emul m = { .reg_mask = 0x3fff };
	struct err e = { 0 };
	struct vm_dev *d;

	emul_init(&m);
	cfg.disk.path = "null:4M";
	cfg.io = m.io;
	BUG_ON(nvme_new(sys_host(), "disk0", &cfg, &d, &e));
	BUG_ON(vm_dev_add(m.vm, d, &e));
	emul_fn(&m, &container_of(d, struct nvme, dev)->fn);
	for (; size >= EMUL_RECORD; data += EMUL_RECORD, size -= EMUL_RECORD)
		emul_step(&m, data);
	vm_iothread_call(m.io, emul_nothing, NULL);
	vm_dev_free(d);
	emul_fini(&m);
	return 0;
}
