// SPDX-License-Identifier: BSD-3-Clause
/* The machine's states: start, pause, reset, end, with vCPU threads over the fake accelerator. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"

struct fix {
	struct ev *ev;
	struct vm vm;
	unsigned int boots, resets;
	int boot_rc;
};

static int fix_boot(struct vm *vm, void *arg, struct vm_boot_regs *regs, struct err *e)
{
	struct fix *x = arg;

	x->boots++;
	return x->boot_rc ? err_set(e, x->boot_rc, "no kernel") : 0;
}

static void fix_init(struct fix *x, unsigned int ncpus, bool no_reboot)
{
	const struct vm_cfg cfg = { .name = "t", .ncpus = ncpus, .no_reboot = no_reboot };
	struct err e = { 0 };

	memset(x, 0, sizeof(*x));
	assert_int_equal(ev_new(sys_host(), &x->ev), 0);
	assert_int_equal(
		vm_init(&x->vm, sys_host(), NULL, x->ev, &fakeaccel_new()->accel, &cfg, &e), 0);
	x->vm.boot = fix_boot;
	x->vm.boot_arg = x;
	assert_int_equal(vm_vcpus_new(&x->vm, &e), 0);
}

static void fix_fini(struct fix *x)
{
	vm_fini(&x->vm);
	vm_fini(&x->vm);
	ev_free(x->ev);
}

static void test_pause_resume(void **state)
{
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 4, false);
	assert_int_equal(vm_pause(&x.vm), -EALREADY);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	for (int i = 0; i < 50; i++) {
		sys_sleep_ns(sys_host(), 500000); /* let them into the guest */
		assert_int_equal(vm_pause(&x.vm), 0);
		assert_int_equal(x.vm.parked, 4);
		assert_int_equal(vm_pause(&x.vm), -EALREADY);
		assert_int_equal(vm_resume(&x.vm), 0);
		assert_int_equal(vm_resume(&x.vm), -EALREADY);
	}
	assert_true(vm_exit_count(&x.vm, 0, VM_EXIT_INTR) > 0);
	assert_int_equal(vm_exit_count(&x.vm, 99, VM_EXIT_INTR), 0);
	vm_quit(&x.vm);
	assert_int_equal(ev_run(x.ev), 0);
	assert_int_equal(x.vm.end, VM_END_QUIT);
	fix_fini(&x);
}

/* vCPUs that stand at the gate sleep: they do not wake each other up again and again. */
static void test_paused_is_idle(void **state)
{
	struct timespec before, after;
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 4, false);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	assert_int_equal(vm_pause(&x.vm), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	sys_sleep_ns(sys_host(), 200000000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	fix_fini(&x); /* first: a failed assertion would leave the threads running */
	assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec <
		    20000000);
}

static int never_quiet(struct vm_dev *d, bool on)
{
	return on ? -EBUSY : 0;
}

static void test_pause_that_fails(void **state)
{
	static const struct vm_dev_ops ops = { .name = "busy",
					       .size = sizeof(struct vm_dev),
					       .quiesce = never_quiet };
	struct err e = { 0 };
	struct vm_dev *d;
	struct fix x;

	fix_init(&x, 2, false);
	assert_int_equal(vm_dev_new(&ops, "busy0", &d), 0);
	assert_int_equal(vm_dev_add(&x.vm, d, &e), 0);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	assert_int_equal(vm_pause(&x.vm), -EBUSY);
	assert_int_equal(x.vm.state, VM_STATE_RUNNING);
	assert_int_equal(vm_resume(&x.vm), -EALREADY);
	fix_fini(&x);
}

static void ask_reset(void *arg)
{
	struct vm *vm = arg;

	vm_lock(vm);
	vm_reset_locked(vm);
	vm_reset_locked(vm); /* the second is the same one */
	vm_unlock(vm);
}

static void ask_quit(void *arg)
{
	vm_quit(arg);
}

static void test_reset(void **state)
{
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 2, false);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	assert_int_equal(ev_call(x.ev, ask_reset, &x.vm), 0);
	assert_int_equal(ev_timer(x.ev, 20000000, ask_quit, &x.vm, NULL), 0);
	assert_int_equal(ev_run(x.ev), 0);
	assert_int_equal(x.boots, 2);
	assert_int_equal(x.vm.resets, 1);
	fix_fini(&x);
}

/* Whichever comes first, the other does not wait for it. */
static void test_reset_meets_the_end(void **state)
{
	struct err e = { 0 };
	struct fix x;

	for (int i = 0; i < 20; i++) {
		fix_init(&x, 3, false);
		assert_int_equal(vm_start(&x.vm, &e), 0);
		sys_sleep_ns(sys_host(), 200000);
		ask_reset(&x.vm);
		vm_quit(&x.vm);
		ask_reset(&x.vm);
		if (i % 2)
			assert_int_equal(ev_run(x.ev), 0);
		assert_int_equal(x.vm.end, VM_END_QUIT);
		assert_int_equal(x.boots, 1);
		fix_fini(&x);
	}
}

/* The machine is reset where it stands, and goes on only when it is told to. */
static void test_reset_while_paused(void **state)
{
	struct err e = { 0 };
	unsigned int parked;
	struct fix x;

	fix_init(&x, 2, false);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	assert_int_equal(vm_pause(&x.vm), 0);
	ask_reset(&x.vm);
	assert_int_equal(ev_turn(x.ev, 0), 0);
	assert_int_equal(x.boots, 2);
	vm_lock(&x.vm);
	parked = x.vm.parked;
	vm_unlock(&x.vm);
	assert_int_equal(parked, 2);
	assert_int_equal(vm_resume(&x.vm), 0);
	assert_int_equal(vm_pause(&x.vm), 0); /* comes back although they were to be reset first */
	assert_int_equal(vm_resume(&x.vm), 0);
	vm_quit(&x.vm);
	fix_fini(&x);
}

/* The second thread cannot be started: the first waits at the gate, and goes with the machine. */
static void test_start_fails_half_way(void **state)
{
	struct opt_set pin = { 0 };
	struct err e = { 0 };
	struct fix x;

	assert_int_equal(opt_list_parse(&pin, "0,1023", ','), 0);
	fix_init(&x, 2, false);
	x.vm.cfg.pin = &pin;
	assert_int_equal(vm_start(&x.vm, &e), -EINVAL);
	assert_non_null(strstr(e.text, "vCPU 1: this process may not run on host CPU 1023"));
	assert_int_equal(x.vm.state, VM_STATE_SETUP);
	assert_int_equal(vm_pause(&x.vm), -EALREADY);
	fix_fini(&x);
}

static void test_reset_that_fails_ends_the_run(void **state)
{
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 2, false);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	x.boot_rc = -EIO;
	assert_int_equal(ev_call(x.ev, ask_reset, &x.vm), 0);
	assert_int_equal(ev_run(x.ev), 0);
	assert_int_equal(x.vm.end, VM_END_FAIL);
	fix_fini(&x);
}

static void test_no_reboot(void **state)
{
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 1, true);
	assert_int_equal(vm_start(&x.vm, &e), 0);
	ask_reset(&x.vm);
	assert_int_equal(ev_run(x.ev), 0);
	assert_int_equal(x.vm.end, VM_END_RESET);
	assert_int_equal(x.boots, 1);
	fix_fini(&x);
}

static void test_start_fails(void **state)
{
	struct err e = { 0 };
	struct fix x;

	fix_init(&x, 2, false);
	x.boot_rc = -EINVAL;
	assert_int_equal(vm_start(&x.vm, &e), -EINVAL);
	assert_string_equal(e.text, "no kernel");
	assert_int_equal(vm_power_button(&x.vm), -ENOTSUP);
	fix_fini(&x);
}

static void test_bad_cpu_count(void **state)
{
	const struct vm_cfg cfg = { .ncpus = 17 };
	struct err e = { 0 };
	struct vm vm;

	assert_int_equal(vm_init(&vm, sys_host(), NULL, NULL, &fakeaccel_new()->accel, &cfg, &e),
			 0);
	assert_int_equal(vm_vcpus_new(&vm, &e), -EINVAL);
	assert_non_null(strstr(e.text, "1 to 16"));
	vm_fini(&vm);
}

/* KVM set-up over a kernel that has no KVM, and one whose n-th answer is an error. */
static int kvm_ioctl(void *arg, int fd, const char *path, unsigned long req, void *data)
{
	struct fakesys *f = arg;

	switch (req & 0xff) {
	case 0x00: /* KVM_GET_API_VERSION */
		return 12;
	case 0x01: /* KVM_CREATE_VM */
		return fakesys_new_fd(f, "/dev/kvm");
	case 0x03: /* KVM_CHECK_EXTENSION */
		return 64;
	case 0x04: /* KVM_GET_VCPU_MMAP_SIZE */
		return 12288;
	default:
		return 0;
	}
}

static void test_kvm_open(void **state)
{
	struct fakesys *f = fakesys_new();
	struct vm_accel *a = NULL;
	struct err e = { 0 };
	unsigned int n = 0;
	int rc;

	assert_int_equal(vm_kvm_new(fakesys_sys(f), NULL, &a, &e), -ENODEV);
	assert_non_null(strstr(e.text, "no /dev/kvm"));
	assert_null(a);
	fakesys_file(f, "/dev/kvm", "");
	fakesys_file(f, "/sys/module/kvm_amd/parameters/npt", "1\n");
	fakesys_on_ioctl(f, "/dev/kvm", kvm_ioctl, f);
	do {
		e = (struct err){ 0 };
		fakesys_fail_nth(f, ++n, -EPERM);
		rc = vm_kvm_new(fakesys_sys(f), NULL, &a, &e);
		if (!rc) {
			a->ops->free(a);
		} else {
			assert_true(fakesys_failed(f));
			assert_true(e.code < 0 && e.text[0]);
		}
		assert_int_equal(fakesys_open_fds(f), 0);
	} while (fakesys_failed(f));
	assert_true(n > 15);
	fakesys_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_resume),
		cmocka_unit_test(test_pause_that_fails),
		cmocka_unit_test(test_paused_is_idle),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_reset_meets_the_end),
		cmocka_unit_test(test_reset_while_paused),
		cmocka_unit_test(test_start_fails_half_way),
		cmocka_unit_test(test_reset_that_fails_ends_the_run),
		cmocka_unit_test(test_no_reboot),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_bad_cpu_count),
		cmocka_unit_test(test_kvm_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
