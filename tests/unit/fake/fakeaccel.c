// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/unit/fake/fakeaccel.h"

struct vm_vcpu_hw {
	int kick;
};

static struct fakeaccel *fa(struct vm_accel *a)
{
	return container_of(a, struct fakeaccel, accel);
}

static void fa_free(struct vm_accel *a)
{
	free(fa(a));
}

static const struct vm_accel_info *fa_info(struct vm_accel *a)
{
	return &fa(a)->info;
}

static int fa_slot_set(struct vm_accel *a, unsigned int slot, uint64_t gpa, uint64_t size,
		       void *hva, struct err *e)
{
	if (fa(a)->fail_slot)
		return err_set(e, fa(a)->fail_slot, "fake: no slot");
	BUG_ON(slot >= ARRAY_SIZE(fa(a)->slot) || fa(a)->slot[slot].size);
	fa(a)->slot[slot].gpa = gpa;
	fa(a)->slot[slot].size = size;
	fa(a)->slot[slot].hva = hva;
	fa(a)->slots_used++;
	return 0;
}

static int fa_slot_del(struct vm_accel *a, unsigned int slot)
{
	BUG_ON(slot >= ARRAY_SIZE(fa(a)->slot) || !fa(a)->slot[slot].size);
	fa(a)->slot[slot].size = 0;
	fa(a)->slots_used--;
	return 0;
}

static int fa_routes(struct vm_accel *a, const struct vm_irq_route *r, unsigned int n)
{
	if (fa(a)->fail_routes)
		return fa(a)->fail_routes;
	BUG_ON(n > ARRAY_SIZE(fa(a)->route));
	memcpy(fa(a)->route, r, n * sizeof(*r));
	fa(a)->nroutes = n;
	fa(a)->route_sets++;
	return 0;
}

static int fa_irqfd(struct vm_accel *a, int fd, uint32_t gsi, int resample_fd, bool assign)
{
	struct fakeaccel *f = fa(a);

	if (assign && f->fail_irqfd)
		return f->fail_irqfd;
	if (assign) {
		BUG_ON(f->nirqfds == ARRAY_SIZE(f->irqfd) || fakeaccel_irqfd_of(f, fd));
		f->irqfd[f->nirqfds++] = (struct fakeaccel_irqfd){ fd, resample_fd, gsi };
		return 0;
	}
	for (unsigned int i = 0; i < f->nirqfds; i++) {
		if (f->irqfd[i].fd == fd && f->irqfd[i].gsi == gsi) {
			f->irqfd[i] = f->irqfd[--f->nirqfds];
			return 0;
		}
	}
	return -ENOENT;
}

static int fa_line(struct vm_accel *a, uint32_t gsi, bool level)
{
	fa(a)->line[gsi] = level;
	return 0;
}

static int fa_msi(struct vm_accel *a, const struct vm_msi *msi)
{
	return 0;
}

static int fa_irqchip_reset(struct vm_accel *a)
{
	return 0;
}

/* Which entry matches, as the kernel compares: -1: none. */
static int ioeventfd_at(const struct fakeaccel *f, uint64_t addr, unsigned int len)
{
	for (unsigned int i = 0; i < f->nioeventfds; i++)
		if (f->ioeventfd[i].addr == addr &&
		    (!f->ioeventfd[i].len || f->ioeventfd[i].len == len))
			return (int)i;
	return -1;
}

static int fa_ioeventfd(struct vm_accel *a, int fd, uint64_t addr, unsigned int len, bool pio,
			bool assign)
{
	struct fakeaccel *f = fa(a);
	int i = ioeventfd_at(f, addr, len);

	if (assign && f->fail_ioeventfd)
		return f->fail_ioeventfd;
	if (assign && !len && f->fail_ioeventfd_any)
		return f->fail_ioeventfd_any;
	if (assign) {
		BUG_ON(i >= 0 || f->nioeventfds == ARRAY_SIZE(f->ioeventfd));
		f->ioeventfd[f->nioeventfds++] = (struct fakeaccel_ioeventfd){ fd, addr, len };
		return 0;
	}
	BUG_ON(i < 0 || f->ioeventfd[i].fd != fd || f->ioeventfd[i].len != len);
	f->ioeventfd[i] = f->ioeventfd[--f->nioeventfds];
	return 0;
}

static int fa_vfio_file(struct vm_accel *a, int fd, bool add)
{
	if (add && fa(a)->fail_vfio)
		return fa(a)->fail_vfio;
	fa(a)->vfio_files += add ? 1 : -1u;
	return 0;
}

static int fa_cpuid(struct vm_accel *a, struct vm_cpuid **out, unsigned int *n)
{
	*out = calloc(1, sizeof(**out));
	*n = 1;
	return *out ? 0 : -ENOMEM;
}

static int fa_vcpu_new(struct vm_accel *a, unsigned int id, const struct vm_cpuid *c,
		       unsigned int n, struct vm_vcpu_hw **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void fa_vcpu_free(struct vm_vcpu_hw *v)
{
	free(v);
}

static int fa_vcpu_boot(struct vm_vcpu_hw *v, const struct vm_boot_regs *r)
{
	return 0;
}

/* A guest that does nothing until it is kicked. */
static int fa_vcpu_run(struct vm_vcpu_hw *v, struct vm_exit *x)
{
	const struct timespec ts = { .tv_nsec = 100000 };

	while (!__atomic_load_n(&v->kick, __ATOMIC_ACQUIRE))
		nanosleep(&ts, NULL);
	x->reason = VM_EXIT_INTR;
	return 0;
}

static void fa_kick(struct vm_vcpu_hw *v, bool on)
{
	__atomic_store_n(&v->kick, on, __ATOMIC_RELEASE);
}

static int fa_regs(struct vm_vcpu_hw *v, char *buf, size_t size)
{
	return -ENOTSUP;
}

static int fa_stats(struct vm_accel *a, struct vm_vcpu_hw *v,
		    void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	fn(arg, v ? "exits" : "pages_4k", 7);
	return 0;
}

static const struct vm_accel_ops fa_ops = {
	.name = "fake",
	.free = fa_free,
	.info = fa_info,
	.slot_set = fa_slot_set,
	.slot_del = fa_slot_del,
	.irq_routes_set = fa_routes,
	.irqfd = fa_irqfd,
	.irq_line = fa_line,
	.irq_msi = fa_msi,
	.irqchip_reset = fa_irqchip_reset,
	.ioeventfd = fa_ioeventfd,
	.vfio_file = fa_vfio_file,
	.cpuid_host = fa_cpuid,
	.vcpu_new = fa_vcpu_new,
	.vcpu_free = fa_vcpu_free,
	.vcpu_boot = fa_vcpu_boot,
	.vcpu_run = fa_vcpu_run,
	.vcpu_kick_set = fa_kick,
	.vcpu_regs_text = fa_regs,
	.stats = fa_stats,
};

struct fakeaccel *fakeaccel_new(void)
{
	struct fakeaccel *f = calloc(1, sizeof(*f));

	BUG_ON(!f);
	f->accel.ops = &fa_ops;
	f->info = (struct vm_accel_info){
		.phys_bits = 40, .max_vcpus = 16, .max_slots = 64, .kind = "fake"
	};
	return f;
}

struct vm *fakeaccel_vm(struct sys *s, struct fakeaccel *a, uint64_t ram)
{
	const struct vm_ram_cfg rc = { .size = ram, .node = -1 };
	const struct vm_cfg cfg = { .name = "test", .ncpus = 1 };
	struct vm *vm = calloc(1, sizeof(*vm));
	struct err e = { 0 };

	BUG_ON(!vm);
	BUG_ON(vm_init(vm, s, NULL, NULL, &a->accel, &cfg, &e));
	BUG_ON(vm_ram_alloc(s, &vm->ram, &rc, &e));
	BUG_ON(vm_ram_place(&vm->ram, &vm->mem, NULL, 0, &e));
	return vm;
}

void fakeaccel_vm_free(struct vm *vm)
{
	vm_fini(vm);
	free(vm);
}

const struct fakeaccel_irqfd *fakeaccel_irqfd_of(const struct fakeaccel *a, int fd)
{
	for (unsigned int i = 0; i < a->nirqfds; i++)
		if (a->irqfd[i].fd == fd)
			return &a->irqfd[i];
	return NULL;
}

bool fakeaccel_mmio_write(struct vm *vm, uint64_t addr, unsigned int len, uint64_t val)
{
	static const uint64_t one = 1;
	const struct fakeaccel *f = fa(vm->accel);
	int i = ioeventfd_at(f, addr, len);

	if (i < 0) {
		vm_bus_write(&vm->mmio, addr, len, val);
		return false;
	}
	BUG_ON(sys_write(vm->sys, f->ioeventfd[i].fd, &one, sizeof(one)) != sizeof(one));
	return true;
}
