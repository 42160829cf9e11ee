// SPDX-License-Identifier: BSD-3-Clause
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/vfio/devfix.h"

int devfix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->fs = fakesys_new();
	f->a = fakeaccel_new();
	f->vm = fakeaccel_vm(fakesys_sys(f->fs), f->a, MIB(64));
	BUG_ON(vm_pci_new(f->vm, true, &f->vm->pci, &f->e));
	fakevfd_init(&f->dev);
	*state = f;
	return 0;
}

int devfix_teardown(void **state)
{
	struct fix *f = *state;
	int bad;

	if (f->p)
		vm_dev_free(&f->p->dev);
	bad = f->dev.maps != 0 || f->a->nirqfds != 0;
	fakeaccel_vm_free(f->vm);
	bad |= fakesys_open_fds(f->fs) || fakesys_maps(f->fs);
	fakesys_free(f->fs);
	free(f);
	return bad;
}

void devfix_add(struct fix *f)
{
	f->p = fakevfd_dev(f->vm, &f->dev, "net0", &f->e);
	if (!f->p)
		fail_msg("%s", f->e.text);
	f->fn = &f->p->fn;
	assert_int_equal(vm_pci_setup(f->vm->pci, &f->e), 0);
	fakevfd_log_clear(&f->dev);
}
