// SPDX-License-Identifier: BSD-3-Clause
/* Memory slots of the accelerator as a listener of the address map; a freed slot number is used
 * again. */
#include <errno.h>
#include <stdlib.h>
#include "vmm/core/core_priv.h"

static int slots_add(struct vm_mem_listener *l, const struct vm_mem_region *r, struct err *e)
{
	struct vm_slots *s = container_of(l, struct vm_slots, listener);
	struct vm_accel *a = s->vm->accel;
	unsigned int i = 0;
	int rc;

	while (i < s->n && s->used[i])
		i++;
	if (i == s->n)
		return err_set(e, -ENOSPC, "%s: all %u memory slots are in use", r->name, s->n);
	rc = a->ops->slot_set(a, i, r->gpa, r->size, r->hva, e);
	if (rc)
		return rc;
	s->used[i] = r;
	return 0;
}

static void slots_del(struct vm_mem_listener *l, const struct vm_mem_region *r)
{
	struct vm_slots *s = container_of(l, struct vm_slots, listener);
	struct vm_accel *a = s->vm->accel;

	for (unsigned int i = 0; i < s->n; i++) {
		if (s->used[i] != r)
			continue;
		if (a->ops->slot_del(a, i))
			log_err(s->vm->log, "%s: memory slot %u could not be removed", r->name, i);
		s->used[i] = NULL;
		return;
	}
}

int vm_slots_init(struct vm_slots *s, struct vm *vm, struct err *e)
{
	s->vm = vm;
	s->listener = (struct vm_mem_listener){ .name = "kvm", .add = slots_add, .del = slots_del };
	s->n = MIN(vm->accel->ops->info(vm->accel)->max_slots, 512u);
	s->used = calloc(s->n, sizeof(*s->used));
	if (!s->used)
		return err_set(e, -ENOMEM, "no memory");
	return vm_mem_listen(&vm->mem, &s->listener, e);
}

void vm_slots_fini(struct vm_slots *s)
{
	if (!s->vm)
		return;
	vm_mem_unlisten(&s->vm->mem, &s->listener);
	free(s->used);
	s->used = NULL;
}
