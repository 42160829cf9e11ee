// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "vmm/core/vm.h"

void vm_dev_init(const struct vm_dev_ops *ops, const char *id, struct vm_dev *d)
{
	d->ops = ops;
	snprintf(d->id, sizeof(d->id), "%s", id);
	list_init(&d->link);
}

int vm_dev_new(const struct vm_dev_ops *ops, const char *id, struct vm_dev **out)
{
	struct vm_dev *d;

	BUG_ON(ops->size < sizeof(*d));
	d = calloc(1, ops->size);
	if (!d)
		return -ENOMEM;
	vm_dev_init(ops, id, d);
	*out = d;
	return 0;
}

int vm_dev_add(struct vm *vm, struct vm_dev *d, struct err *e)
{
	int rc = 0;

	d->vm = vm;
	if (d->ops->init)
		rc = d->ops->init(d, e);
	if (!rc && d->ops->realize)
		rc = d->ops->realize(d, e);
	if (rc) {
		err_prefix(e, "%s: ", d->id);
		vm_dev_free(d);
		return rc;
	}
	list_add_tail(&vm->devs, &d->link);
	return 0;
}

void vm_dev_free(struct vm_dev *d)
{
	if (!d)
		return;
	list_del(&d->link);
	if (d->ops->free)
		d->ops->free(d);
	free(d);
}
