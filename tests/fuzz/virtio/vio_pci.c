// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest at the registers of an entropy device: config space, the BAR, rings in its memory, resets
 * and pauses in between. Records of 12 bytes: what, width or count, offset (2), value (8). After
 * each, status, queues and ioeventfds agree with each other.
 */
#include <linux/pci_regs.h>
#include <string.h>
#include "tests/unit/virtio/viotest.h"
#include "virtio/misc.h"

#define RECORD 12u
#define HEAP   MIB(2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct viotest t;
	bool paused;
};

static void check(const struct fuzz *f)
{
	const struct vio *v = f->t.v;
	uint8_t st = atomic_load(&v->status);
	struct vio_info i;

	vio_info(v, &i);
	BUG_ON((st & 4) && !(st & 8));
	BUG_ON((st & 8) && !(st & 2));
	BUG_ON(v->started && !(st & 4));
	BUG_ON((st & 8) && !(v->acked & VIO_F_VERSION_1));
	BUG_ON(f->t.fa->nioeventfds != (i.io->on_bus ? i.queues_on : 0));
	BUG_ON((st & 0x40) && !i.why);
}

/* As drivers do, so that what comes next meets a device that runs. */
static void drive(struct fuzz *f, const uint8_t *p, uint64_t val)
{
	struct viotest *t = &f->t;
	uint16_t qsize = (uint16_t)(1u << p[1] % 8);

	vt_forget(t);
	if (!vt_negotiate(t, vt_offered(t) & (val | VIO_F_VERSION_1)))
		return;
	vt_queue(t, 0, qsize, t->v->acked);
	vt_driver_ok(t);
}

static void ring(struct fuzz *f, const uint8_t *p, uint64_t val)
{
	struct viotest *t = &f->t;
	struct iovec v = { (uint8_t *)t->vm->ram.hva + MIB(8), val % KIB(256) };

	if (!t->q[0].d || !t->v->started)
		return;
	(void)!vqd_add(t->q[0].d, &v, p[1] & 1, !(p[1] & 1), t);
	vt_publish(t, 0);
}

static void reset(struct fuzz *f)
{
	vio_dev_ops.reset(f->t.dev);
	vm_pci_reset(f->t.pci);
	BUG_ON(vm_pci_setup(f->t.pci, NULL));
	BUG_ON(atomic_load(&f->t.v->status));
	vt_find(&f->t);
	vt_msix_on(&f->t);
}

/* What a vCPU does; none runs while the machine is paused. */
static void guest(struct fuzz *f, const uint8_t *p, uint16_t off, uint64_t val)
{
	struct viotest *t = &f->t;
	unsigned int len = 1u << p[1] % 4;

	switch (p[0] % 8) {
	case 0:
		vt_cfg_set(t, ALIGN_DOWN(off % 4096, len), MIN(len, 4u), (uint32_t)val);
		vt_find(t);
		break;
	case 1:
		(void)vt_cfg(t, ALIGN_DOWN(off % 4096, len), MIN(len, 4u));
		break;
	case 2:
		(void)fakeaccel_mmio_write(t->vm, t->bar + off % 0x8000, len, val);
		break;
	case 3:
		(void)vt_rd(t, off % 0x8000, len);
		break;
	case 4: /* the common structure, where most of the state is */
		vt_wr(t, t->common + off % 0x40, len, val);
		break;
	case 5:
		drive(f, p, val);
		break;
	case 6:
		ring(f, p, val);
		break;
	case 7: /* nonsense into the rings */
		memcpy((uint8_t *)t->vm->ram.hva + HEAP + off, &val, sizeof(val));
		(void)fakeaccel_mmio_write(t->vm, t->bar + t->notify, 2, 0);
		break;
	}
}

static void step(struct fuzz *f, const uint8_t *p)
{
	uint64_t val;
	uint16_t off;

	memcpy(&off, p + 2, 2);
	memcpy(&val, p + 4, 8);
	if (p[0] == 0xfe) {
		f->paused = !f->paused;
		BUG_ON(vio_dev_ops.quiesce(f->t.dev, f->paused));
	} else if (p[0] == 0xff) {
		reset(f);
	} else if (!f->paused) {
		guest(f, p, off, val);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_iothread *io;
	struct fuzz f = { 0 };
	struct vm_dev *d;

	vt_machine(&f.t, false);
	BUG_ON(vm_iothread_new(sys_host(), "fuzz", &io, NULL));
	BUG_ON(vio_rng_new(sys_host(), "rng0", io, 0, &d, NULL) || vt_add(&f.t, d, NULL));
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		step(&f, data);
		check(&f);
	}
	vt_down(&f.t);
	vm_iothread_free(io);
	return 0;
}
