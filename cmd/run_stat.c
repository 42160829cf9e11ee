// SPDX-License-Identifier: BSD-3-Clause
/*
 * What "ctl stat" tells: how often the guest left to the host, why, and what was touched. Counters
 * only grow; two answers subtracted give the cost of what happened between.
 */
#include "cmd/run_priv.h"

/* Exits to user space of vCPUs first..last, by reason. */
static json_t *exits_of(const struct vm *vm, unsigned int first, unsigned int last)
{
	json_t *o = json_object();
	uint64_t sum = 0;
	unsigned int k, i;

	for (k = 0; k < VM_EXIT_NR; k++) {
		uint64_t n = 0;

		for (i = first; i <= last; i++)
			n += vm_exit_count(vm, i, (enum vm_exit_reason)k);
		sum += n;
		json_object_set_new(o, vm_exit_name((enum vm_exit_reason)k),
				    json_integer((json_int_t)n));
	}
	json_object_set_new(o, "total", json_integer((json_int_t)sum));
	return o;
}

static void accel_stat(void *arg, const char *name, uint64_t value)
{
	json_object_set_new(arg, name, json_integer((json_int_t)value));
}

/* vcpu NULL: of the VM. Statistics of the accelerator may be missing: then the object is empty. */
static json_t *accel_of(struct vm *vm, struct vm_vcpu_hw *hw)
{
	json_t *o = json_object();

	if (vm->accel->ops->stats)
		(void)!vm->accel->ops->stats(vm->accel, hw, accel_stat, o);
	return o;
}

/* A row of a table: the exits beside the vCPU's number. */
static json_t *vcpus_of(struct vm *vm)
{
	json_t *a = json_array(), *o;
	unsigned int i;

	for (i = 0; i < vm->nvcpus; i++) {
		json_t *exits = exits_of(vm, i, i);

		o = json_pack("{s:i, s:i}", "vcpu", (int)i, "tid", vm_vcpu_tid(vm, i));
		json_object_update(o, exits);
		json_object_set_new(o, "accel", accel_of(vm, vm_vcpu_hw(vm, i)));
		json_array_append_new(a, o);
		json_decref(exits);
	}
	return a;
}

/* Pages of a region that were touched, so that a register page stands out from the others. */
static json_t *pages_of(const struct vm_io_region *r)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; r->pages && i < r->npages; i++)
		if (r->pages[i].reads || r->pages[i].writes)
			json_array_append_new(a,
					      json_pack("{s:i, s:I, s:I}", "page", (int)i, "reads",
							(json_int_t)r->pages[i].reads, "writes",
							(json_int_t)r->pages[i].writes));
	return a;
}

/* A region of one page has no list of pages: its totals say it all. */
static void region_add(json_t *a, const char *bus, const struct vm_io_region *r)
{
	uint64_t reads = 0, writes = 0;
	json_t *pages, *o;
	char base[24];
	unsigned int i;

	for (i = 0; r->pages && i < r->npages; i++) {
		reads += r->pages[i].reads;
		writes += r->pages[i].writes;
	}
	snprintf(base, sizeof(base), "0x%llx", (unsigned long long)r->base);
	o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "bus", bus, "name", r->name, "base", base,
		      "size", (json_int_t)r->size, "reads", (json_int_t)reads, "writes",
		      (json_int_t)writes);
	pages = pages_of(r);
	if (r->npages > 1 && json_array_size(pages))
		json_object_set(o, "pages", pages);
	json_decref(pages);
	json_array_append_new(a, o);
}

static json_t *regions_of(const struct vm *vm)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; i < vm->pio.n; i++)
		region_add(a, "pio", vm->pio.v[i]);
	for (i = 0; i < vm->mmio.n; i++)
		region_add(a, "mmio", vm->mmio.v[i]);
	return a;
}

/* Trapped accesses to the config space of an assigned function. */
static void config_add(void *arg, struct vm_pci_fn *f)
{
	char bdf[BDF_STRLEN];

	json_array_append_new(arg,
			      json_pack("{s:s, s:s, s:I, s:I}", "name", f->name, "guest",
					bdf_format(bdf, f->bdf), "reads", (json_int_t)f->cfg_reads,
					"writes", (json_int_t)f->cfg_writes));
}

static json_t *config_of(struct vm *vm)
{
	const struct vm_pci_count *c = vm_pci_count(vm->pci);
	json_t *a = json_array();

	vm_pci_each(vm->pci, config_add, a);
	return json_pack("{s:o, s:I, s:I, s:I}", "functions", a, "ports", (json_int_t)c->ports,
			 "absent", (json_int_t)c->absent, "conf1", (json_int_t)c->conf1);
}

json_t *run_stat_list(json_t *o, const char *name)
{
	if (!json_object_get(o, name))
		json_object_set_new(o, name, json_array());
	return json_object_get(o, name);
}

/* I/O threads and what their looking for work instead of sleeping was worth (base/ev.h). */
static void io_threads_add(struct run *r, json_t *o)
{
	json_t *a = run_stat_list(o, "io_threads");
	struct ev_poll_count c;
	unsigned int i;

	for (i = 0; i < r->nio; i++) {
		ev_poll_count(vm_iothread_ev(r->io[i]), &c);
		json_array_append_new(
			a, json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "thread",
				     vm_iothread_name(r->io[i]), "tid", vm_iothread_tid(r->io[i]),
				     "poll_max_ns", (json_int_t)c.max_ns, "poll_now_ns",
				     (json_int_t)c.window_ns, "poll_hits", (json_int_t)c.hits,
				     "poll_misses", (json_int_t)c.misses, "poll_ns",
				     (json_int_t)c.ns));
	}
}

static void ports_add(struct run *r, json_t *o)
{
	unsigned int k;

	for (k = 0; k < r->nports; k++)
		if (r->ports[k].dev)
			r->ports[k].ops->stat(&r->ports[k], o);
}

/* Calls of the IOMMU interface: as many maps as regions of RAM, and no more later. */
static json_t *dma_of(struct run *r)
{
	const struct ioas_stats *s = ioas_stats(vfio_ctx_ioas(r->vfio));

	return json_pack("{s:I, s:I, s:I, s:I}", "map_ioctls", (json_int_t)s->maps, "unmap_ioctls",
			 (json_int_t)s->unmaps, "failed", (json_int_t)s->failed, "bytes",
			 (json_int_t)s->bytes);
}

/* In the order of enum vm_state. */
static const char *state_name(const struct vm *vm)
{
	static const char *const names[] = { "setup", "running", "paused", "stopped" };

	return names[vm->state];
}

json_t *run_stat(struct run *r)
{
	struct vm *vm = &r->vm;
	json_t *o;

	vm_lock(vm);
	o = json_pack(
		"{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", r->name, "state", state_name(vm),
		"accel", vm->accel->ops->info(vm->accel)->kind, "resets", (json_int_t)vm->resets,
		"irq_route_commits", (json_int_t)vm_irq_commits(vm->irqs), "unhandled_pio",
		(json_int_t)vm->pio.unhandled, "unhandled_mmio", (json_int_t)vm->mmio.unhandled);
	if (o) {
		json_object_set_new(o, "exits", exits_of(vm, 0, vm->nvcpus ? vm->nvcpus - 1 : 0));
		json_object_set_new(o, "vcpus", vcpus_of(vm));
		json_object_set_new(o, "accel_vm", accel_of(vm, NULL));
		json_object_set_new(o, "regions", regions_of(vm));
		json_object_set_new(o, "config", config_of(vm));
		if (r->nio)
			io_threads_add(r, o);
		ports_add(r, o);
		if (r->vfio)
			json_object_set_new(o, "dma", dma_of(r));
	}
	vm_unlock(vm);
	return o;
}
