// SPDX-License-Identifier: BSD-3-Clause
/* All devices of a machine together, over a fake of the kernel's VFIO; and the n-th call fails, for
 * every n. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/iommu/fakevfio.h"
#include "tests/unit/vfio/fakevfd.h"

#define VF0 "0000:01:10.0"
#define VF1 "0000:01:10.2"

#define has(text, word) assert_non_null(strstr(text, word))

struct fix {
	struct fakesys *fs;
	struct sys *s;
	struct fakeaccel *a;
	struct vm *vm;
	struct fakevfio v;
	struct vfio_ctx *c;
	struct err e;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->fs = fakesys_new();
	f->s = fakesys_sys(f->fs);
	f->a = fakeaccel_new();
	f->vm = fakeaccel_vm(f->s, f->a, MIB(64));
	BUG_ON(vm_pci_new(f->vm, true, &f->vm->pci, &f->e));
	fakevfio_init(&f->v, f->fs);
	fakevfio_dev(&f->v, 8, VF0, "vfio-pci", "0x020000");
	fakevfio_dev(&f->v, 9, VF1, "vfio-pci", "0x020000");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	int bad;

	vfio_ctx_free(f->c);
	bad = f->v.nmaps || f->v.groups_in || f->a->vfio_files || f->a->nirqfds;
	fakeaccel_vm_free(f->vm);
	bad |= fakesys_open_fds(f->fs) || fakesys_maps(f->fs);
	fakesys_free(f->fs);
	free(f);
	return bad;
}

static struct vfio_pci_opts opts(const char *text)
{
	struct vfio_pci_opts o = { 0 };

	BUG_ON(bdf_parse(&o.bdf, text));
	return o;
}

static struct vm_dev *add(struct fix *f, const char *id, const char *bdf)
{
	struct vfio_pci_opts o = opts(bdf);
	struct vm_dev *d = NULL;

	if (vfio_ctx_add(f->c, id, &o, &d, &f->e))
		fail_msg("%s", f->e.text);
	return d;
}

static void count_dev(void *arg, struct vm_dev *d)
{
	++*(unsigned int *)arg;
}

static void two_devices(void **state)
{
	struct fix *f = *state;
	struct vm_range *r = NULL;
	unsigned int n = 0, devs = 0;
	struct vm_dev *d0, *d1;
	struct vfio_pci_info i;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	d0 = add(f, "net0", VF0);
	d1 = add(f, "net1", VF1);
	assert_int_equal(vfio_ctx_ranges(f->c, &r, &n, &f->e), 0);
	assert_int_equal(n, 2);
	assert_true(r[0].start == 0 && r[0].end == 0xfedfffff);
	free(r);
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), 0);
	assert_int_equal(f->v.nmaps, 1); /* one call per RAM region, before any device is there */
	assert_int_equal(f->v.map[0].size, MIB(64));
	assert_int_equal(f->a->vfio_files, 2);
	assert_int_equal(f->vm->mem.gpa_limit, 0x8000000000); /* 39 bits of the IOMMU */
	assert_int_equal(vm_dev_add(f->vm, d0, &f->e), 0);
	assert_int_equal(vm_dev_add(f->vm, d1, &f->e), 0);
	assert_int_equal(vm_pci_setup(f->vm->pci, &f->e), 0);
	assert_int_equal(f->v.map_calls, 1); /* BARs are no DMA targets */
	vfio_ctx_each(f->c, count_dev, &devs);
	assert_int_equal(devs, 2);
	vfio_pci_info(d1, &i);
	assert_int_equal(i.group, 9);
	assert_int_equal(i.vendor, 0x8086);
	assert_int_equal(i.guest.bus, 2);
	assert_true(i.can_reset && i.bar[0].gpa && i.bar[3].msix_table);
	/* Firmware has touched the devices: they are reset before they go. */
	vfio_ctx_free(f->c);
	f->c = NULL;
	assert_int_equal(f->v.resets, 2);
	assert_true(list_empty(&f->vm->devs));
}

static void release_one(void **state)
{
	struct fix *f = *state;
	struct vm_dev *d0, *d1;
	struct vfio_pci_info i;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	d0 = add(f, "net0", VF0);
	d1 = add(f, "net1", VF1);
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), 0);
	assert_int_equal(vm_dev_add(f->vm, d0, &f->e), 0);
	assert_int_equal(vm_dev_add(f->vm, d1, &f->e), 0);
	vfio_pci_release(vfio_pci_of_dev(d0));
	assert_int_equal(f->v.groups_in, 1);
	assert_int_equal(f->a->vfio_files, 1);
	assert_int_equal(f->v.nmaps, 1); /* the other one still needs them */
	vfio_pci_info(d0, &i);
	assert_int_equal(i.state, VFIO_PCI_GONE);
	assert_int_equal(i.group, 8);
	vfio_pci_release(vfio_pci_of_dev(d1));
	assert_int_equal(f->v.groups_in, 0);
	assert_int_equal(ioas_stats(vfio_ctx_ioas(f->c))->bytes, 0);
}

static void sentences(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_opts o = opts(VF0);
	struct vm_dev *d = NULL;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	f->v.device_fd_err = -EACCES;
	assert_int_equal(vfio_ctx_add(f->c, "net0", &o, &d, &f->e), -EACCES);
	has(f->e.text, "vf-token=UUID");
	assert_string_equal(f->v.device_arg, VF0); /* no token unless one was given */
	o.vf_token = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
	f->v.device_fd_err = 0;
	assert_int_equal(vfio_ctx_add(f->c, "net0", &o, &d, &f->e), 0);
	assert_string_equal(f->v.device_arg, VF0 " vf_token=14d63f20-8445-11ea-8900-1f9ce7d5650d");
	assert_int_equal(vfio_ctx_add(f->c, "net1", &o, &d, &f->e), -EEXIST);
	has(f->e.text, "already assigned to net0");
	o = opts("0000:01:1f.0");
	assert_int_equal(vfio_ctx_add(f->c, "net1", &o, &d, &f->e), -ENODEV);
	fakevfio_dev(&f->v, 10, "0000:01:1f.0", "pcieport", "0x060400");
	assert_int_equal(vfio_ctx_add(f->c, "net1", &o, &d, &f->e), -EINVAL);
	has(f->e.text, "is a bridge");
}

/* On threads: what the kernel says is told when it is asked for, or by nobody. */
static void side_by_side(void **state)
{
	struct fix *f = *state;
	unsigned int fds = fakesys_open_fds(f->fs);
	struct vfio_pci_opts o = opts(VF0);
	struct vm_dev *d = NULL;
	struct vfio_pci_info i;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	vfio_ctx_background(f->c);
	f->v.device_fd_err = -EACCES;
	assert_int_equal(vfio_ctx_begin(f->c, "net0", &o, &d, &f->e), 0);
	assert_int_equal(vfio_ctx_ready(f->c, d, &f->e), -EACCES);
	has(f->e.text, "vf-token=UUID");
	vm_dev_free(d);
	/* given up before it was asked for: an open that fails, and one that works */
	assert_int_equal(vfio_ctx_begin(f->c, "net0", &o, &d, &f->e), 0);
	vm_dev_free(d);
	f->v.device_fd_err = 0;
	assert_int_equal(vfio_ctx_begin(f->c, "net0", &o, &d, &f->e), 0);
	vm_dev_free(d);
	assert_int_equal(f->v.groups_in, 0);
	assert_int_equal(vfio_ctx_begin(f->c, "net0", &o, &d, &f->e), 0);
	assert_int_equal(vfio_ctx_ready(f->c, d, &f->e), 0);
	vfio_pci_info(d, &i);
	assert_true(i.can_reset && i.group == 8);
	vfio_ctx_free(f->c);
	f->c = NULL;
	assert_int_equal(fakesys_open_fds(f->fs), fds);
}

static void no_reset_refused(void **state)
{
	struct fix *f = *state;
	struct vfio_pci_opts o = opts(VF0);
	struct vm_dev *d = NULL;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	f->v.no_reset = true;
	assert_int_equal(vfio_ctx_add(f->c, "net0", &o, &d, &f->e), -ENOTSUP);
	has(f->e.text, "force-no-reset=on");
	o.force_no_reset = true;
	assert_int_equal(vfio_ctx_add(f->c, "net0", &o, &d, &f->e), 0);
}

static void limits_before_first_map(void **state)
{
	struct fix *f = *state;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	(void)add(f, "net0", VF0);
	fakesys_set_memlock(f->fs, MIB(8));
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), -ENOMEM);
	has(f->e.text, "need 65536 KiB");
	assert_int_equal(f->v.map_calls, 0);
	fakesys_set_memlock(f->fs, MIB(64));
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), 0);
}

static void no_snoop(void **state)
{
	struct fix *f = *state;

	assert_int_equal(vfio_ctx_new(f->s, NULL, false, &f->c, &f->e), 0);
	f->v.coherent = 0;
	(void)add(f, "net0", VF0);
	f->a->fail_vfio = -ENODEV;
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), -ENODEV);
	has(f->e.text, "cache coherency");
	assert_int_equal(f->v.nmaps, 0);
}

static void p2p_is_a_wish(void **state)
{
	struct fix *f = *state;
	struct vm_dev *d;

	assert_int_equal(vfio_ctx_new(f->s, NULL, true, &f->c, &f->e), 0);
	d = add(f, "net0", VF0);
	assert_int_equal(vfio_ctx_attach(f->c, f->vm, &f->e), 0);
	assert_int_equal(vm_dev_add(f->vm, d, &f->e), 0);
	assert_int_equal(vm_pci_setup(f->vm->pci, &f->e), 0);
	assert_int_equal(f->v.nmaps, 1 + 3);
	vfio_pci_fn(d)->ops->cfg_write(vfio_pci_fn(d), PCI_COMMAND, 2, 0);
	assert_int_equal(f->v.nmaps, 1);
	f->v.map_err = -EFAULT;
	vfio_pci_fn(d)->ops->cfg_write(vfio_pci_fn(d), PCI_COMMAND, 2, VM_PCI_CMD_MEM);
	assert_true(vfio_pci_fn(d)->bar[0].mapped); /* the guest has it all the same */
	f->v.map_err = 0;
}

/* ---- the n-th call fails ---- */

static int whole_sequence(struct fix *f)
{
	struct vfio_pci_opts o0 = opts(VF0), o1 = opts(VF1);
	struct vm_dev *d0 = NULL, *d1 = NULL;
	struct vm_range *r = NULL;
	unsigned int n;
	int rc;

	rc = vfio_ctx_new(f->s, NULL, false, &f->c, &f->e);
	if (rc == 0)
		rc = vfio_ctx_add(f->c, "net0", &o0, &d0, &f->e);
	if (rc == 0)
		rc = vfio_ctx_add(f->c, "net1", &o1, &d1, &f->e);
	if (rc == 0)
		rc = vfio_ctx_ranges(f->c, &r, &n, &f->e);
	if (rc == 0)
		rc = vfio_ctx_attach(f->c, f->vm, &f->e);
	if (rc == 0)
		rc = vm_dev_add(f->vm, d0, &f->e);
	if (rc == 0)
		rc = vm_dev_add(f->vm, d1, &f->e);
	if (rc == 0)
		rc = vm_pci_setup(f->vm->pci, &f->e);
	if (rc == 0) /* interrupts too; they have no error to return */
		vfio_pci_fn(d0)->ops->cfg_write(vfio_pci_fn(d0), 0x72, 2, 0x8000);
	free(r);
	vfio_ctx_free(f->c);
	f->c = NULL;
	return rc;
}

static void fail_nth(void **state)
{
	struct fix *f = *state;
	unsigned int fds = fakesys_open_fds(f->fs), maps = fakesys_maps(f->fs), n, failures = 0;

	for (n = 1; n < 1000; n++) {
		struct fakevfio was = f->v;
		int rc;

		fakesys_fail_nth(f->fs, n, -EIO);
		err_clear(&f->e);
		rc = whole_sequence(f);
		assert_int_equal(fakesys_open_fds(f->fs), fds);
		assert_int_equal(fakesys_maps(f->fs), maps);
		assert_int_equal(f->a->vfio_files, 0);
		assert_int_equal(f->a->nirqfds, 0);
		assert_int_equal(f->a->slots_used, 1);
		assert_true(list_empty(&f->vm->devs));
		if (!fakesys_failed(f->fs))
			break;
		if (rc) {
			failures++;
			if (f->e.code >= 0 || !f->e.text[0])
				fail_msg("call %u failed without a sentence", n);
		}
		f->v = was; /* a failed UNSET_CONTAINER or UNMAP is cleaned up by close in the
			       kernel */
	}
	fakesys_fail_nth(f->fs, 0, 0);
	assert_in_range(n, 60, 999);
	assert_true(failures > 50);
}

/* ---- events, on a real loop ---- */

struct heard {
	unsigned int n;
	enum vfio_pci_event ev;
	char text[256];
};

static void on_event(void *arg, struct vm_dev *d, enum vfio_pci_event ev, const char *text)
{
	struct heard *h = arg;

	h->n++;
	h->ev = ev;
	strncpy(h->text, text, sizeof(h->text) - 1);
}

static void signal_and_turn(struct vm *vm, int fd)
{
	assert_int_equal(eventfd_write(fd, 1), 0);
	assert_int_equal(ev_turn(vm->ev, 1000), 0);
}

static void events(void **state)
{
	struct fakeaccel *a = fakeaccel_new();
	struct vm *vm = fakeaccel_vm(sys_host(), a, MIB(2));
	static struct fakevfd dev;
	struct heard h = { 0 };
	struct err e = { 0 };
	struct vfio_pci *p;
	struct ev *ev;

	assert_int_equal(ev_new(sys_host(), &ev), 0);
	vm->ev = ev;
	assert_int_equal(vm_pci_new(vm, true, &vm->pci, &e), 0);
	fakevfd_init(&dev);
	p = fakevfd_dev(vm, &dev, "net0", &e);
	assert_non_null(p);
	p->opts.on_event = on_event;
	p->opts.on_event_arg = &h;
	assert_string_equal(dev.log, "on3(0,1) on4(0,1) cmd=0 ");
	signal_and_turn(vm, dev.trigger[VFIO_PCI_ERR_IRQ_INDEX][0]);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.ev, VFIO_PCI_EV_ERROR);
	has(h.text, "net0: 0000:00:00.0 reported a fatal error");
	assert_int_equal(p->state, VFIO_PCI_ERROR);
	signal_and_turn(vm, dev.trigger[VFIO_PCI_ERR_IRQ_INDEX][0]); /* once is enough */
	assert_int_equal(h.n, 1);
	signal_and_turn(vm, dev.trigger[VFIO_PCI_REQ_IRQ_INDEX][0]);
	assert_int_equal(h.n, 2);
	assert_int_equal(h.ev, VFIO_PCI_EV_REQUEST);
	assert_int_equal(dev.closed, 1);
	assert_int_equal(dev.maps, 0);
	vm_dev_free(&p->dev);
	fakeaccel_vm_free(vm);
	ev_free(ev);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(two_devices),	     T(release_one),
		T(sentences),	     T(side_by_side),
		T(no_reset_refused), T(limits_before_first_map),
		T(no_snoop),	     T(p2p_is_a_wish),
		T(fail_nth),	     cmocka_unit_test(events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
