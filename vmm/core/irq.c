// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupt routing. Messages get GSIs from 24 up, handed out from a bitmap when a vector is first
 * routed and given back when its group goes. The table of all routes is kept sorted by nothing and
 * sent whole: KVM replaces its table at each KVM_SET_GSI_ROUTING anyway.
 *
 * Order when a vector is unmasked: route first, then irqfd, so that a signal that already waits in
 * the eventfd finds its message. When it is masked: irqfd off first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include "vmm/core/irq.h"

/* KVM_MAX_IRQ_ROUTES is 4096; 64 of them are for the pins of the PICs and the IOAPIC (kvm.c). */
#define GSI_MAX 4032

struct vec {
	int fd;	      /* -1 until asked for */
	uint32_t gsi; /* 0: none */
	struct vm_msi msi, staged;
	bool routed, staged_on, changed, irqfd;
};

struct vm_irqs {
	struct sys *sys;
	struct vm_accel *accel;
	struct list groups;
	uint64_t used[GSI_MAX / 64];
	bool stale; /* the accelerator has not taken the last table */
	uint64_t commits;
};

struct vm_irq_group {
	struct vm_irqs *q;
	struct list link;
	const char *name;
	uint32_t devid;
	unsigned int n;
	struct vec v[];
};

int vm_irqs_new(struct sys *s, struct vm_accel *a, struct vm_irqs **out)
{
	struct vm_irqs *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->sys = s;
	q->accel = a;
	list_init(&q->groups);
	q->used[0] = (1ull << VM_IRQ_PINS) - 1;
	*out = q;
	return 0;
}

void vm_irqs_free(struct vm_irqs *q)
{
	if (!q)
		return;
	BUG_ON(!list_empty(&q->groups));
	free(q);
}

int vm_irq_line(struct vm_irqs *q, unsigned int pin, bool level)
{
	if (pin >= VM_IRQ_PINS)
		return -EINVAL;
	return q->accel->ops->irq_line(q->accel, pin, level);
}

int vm_irq_line_fd(struct vm_irqs *q, unsigned int pin, int fd, int resample_fd, bool on)
{
	if (pin >= VM_IRQ_PINS)
		return -EINVAL;
	return q->accel->ops->irqfd(q->accel, fd, pin, resample_fd, on);
}

static uint32_t gsi_take(struct vm_irqs *q)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(q->used); i++) {
		if (q->used[i] != UINT64_MAX) {
			uint32_t bit = (uint32_t)__builtin_ctzll(~q->used[i]);

			q->used[i] |= 1ull << bit;
			return i * 64 + bit;
		}
	}
	return 0;
}

static void gsi_give(struct vm_irqs *q, uint32_t gsi)
{
	if (gsi)
		q->used[gsi / 64] &= ~(1ull << gsi % 64);
}

int vm_irq_group_new(struct vm_irqs *q, const char *name, unsigned int n, uint32_t devid,
		     struct vm_irq_group **out)
{
	struct vm_irq_group *g;

	if (!n || n > 2048)
		return -EINVAL;
	g = calloc(1, sizeof(*g) + n * sizeof(g->v[0]));
	if (!g)
		return -ENOMEM;
	g->q = q;
	g->name = name;
	g->devid = devid;
	g->n = n;
	for (unsigned int i = 0; i < n; i++)
		g->v[i].fd = -1;
	list_add_tail(&q->groups, &g->link);
	*out = g;
	return 0;
}

static void irqfd_off(struct vm_irq_group *g, struct vec *v)
{
	if (v->irqfd)
		g->q->accel->ops->irqfd(g->q->accel, v->fd, v->gsi, -1, false);
	v->irqfd = false;
}

void vm_irq_group_free(struct vm_irq_group *g)
{
	if (!g)
		return;
	vm_irq_group_clear(g);
	for (unsigned int i = 0; i < g->n; i++) {
		gsi_give(g->q, g->v[i].gsi);
		sys_close(g->q->sys, &g->v[i].fd);
	}
	list_del(&g->link);
	free(g);
}

int vm_irq_group_fd(struct vm_irq_group *g, unsigned int vec)
{
	int fd;

	if (vec >= g->n)
		return -EINVAL;
	if (g->v[vec].fd < 0) {
		fd = sys_eventfd(g->q->sys, 0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd < 0)
			return fd;
		g->v[vec].fd = fd;
	}
	return g->v[vec].fd;
}

void vm_irq_group_route(struct vm_irq_group *g, unsigned int vec, const struct vm_msi *msi)
{
	struct vec *v;

	if (vec >= g->n)
		return;
	v = &g->v[vec];
	v->staged_on = msi != NULL;
	if (msi)
		v->staged = *msi;
	v->changed = true;
}

/* All routes of all groups to the accelerator, in one go. */
static int routes_send(struct vm_irqs *q)
{
	struct vm_irq_route *r;
	struct list *pos, *nxt;
	unsigned int n = 0;
	int rc;

	r = malloc(GSI_MAX * sizeof(*r));
	q->stale = true;
	if (!r)
		return -ENOMEM;
	list_for_each (pos, nxt, &q->groups) {
		struct vm_irq_group *g = list_entry(pos, struct vm_irq_group, link);

		for (unsigned int i = 0; i < g->n; i++)
			if (g->v[i].routed)
				r[n++] =
					(struct vm_irq_route){ g->v[i].gsi, g->v[i].msi, g->devid };
	}
	rc = q->accel->ops->irq_routes_set(q->accel, r, n);
	q->stale = rc;
	q->commits++;
	free(r);
	return rc;
}

/* Takes a GSI and the staged message; true when the table of the accelerator must change. */
static int vec_stage(struct vm_irq_group *g, struct vec *v, bool *table)
{
	if (!v->staged_on)
		return 0; /* the route stays in the table: harmless, and the next unmask needs no
			     update */
	if (!v->gsi)
		v->gsi = gsi_take(g->q);
	if (!v->gsi)
		return -ENOSPC;
	if (!v->routed || v->msi.addr != v->staged.addr || v->msi.data != v->staged.data) {
		v->msi = v->staged;
		v->routed = true;
		*table = true;
	}
	return 0;
}

int vm_irq_group_commit(struct vm_irq_group *g)
{
	bool table = false;
	int rc = 0;

	for (unsigned int i = 0; i < g->n && !rc; i++) {
		if (!g->v[i].changed)
			continue;
		if (!g->v[i].staged_on)
			irqfd_off(g, &g->v[i]);
		rc = vec_stage(g, &g->v[i], &table);
	}
	if (!rc && (table || g->q->stale))
		rc = routes_send(g->q);
	for (unsigned int i = 0; i < g->n && !rc; i++) {
		struct vec *v = &g->v[i];

		if (!v->changed)
			continue;
		v->changed = false;
		if (!v->staged_on || v->irqfd)
			continue;
		rc = vm_irq_group_fd(g, i);
		if (rc >= 0)
			rc = g->q->accel->ops->irqfd(g->q->accel, v->fd, v->gsi, -1, true);
		v->irqfd = !rc;
	}
	return rc;
}

bool vm_irq_group_pending(struct vm_irq_group *g, unsigned int vec)
{
	uint64_t n;

	if (vec >= g->n || g->v[vec].fd < 0 || g->v[vec].irqfd)
		return false;
	/* Nobody else reads the counter while the vector is masked, so it can be taken out and put
	 * back. */
	if (sys_read(g->q->sys, g->v[vec].fd, &n, sizeof(n)) != sizeof(n))
		return false;
	return sys_write(g->q->sys, g->v[vec].fd, &n, sizeof(n)) == sizeof(n);
}

void vm_irq_group_clear(struct vm_irq_group *g)
{
	bool table = false;
	uint64_t n;

	for (unsigned int i = 0; i < g->n; i++) {
		struct vec *v = &g->v[i];

		irqfd_off(g, v);
		if (v->fd >= 0 && sys_read(g->q->sys, v->fd, &n, sizeof(n)) < 0)
			n = 0; /* nothing was pending */
		table |= v->routed;
		v->routed = v->changed = v->staged_on = false;
	}
	/* Failing to shrink the table leaves routes that no irqfd uses. */
	if (table && routes_send(g->q))
		return;
}

uint64_t vm_irq_commits(const struct vm_irqs *q)
{
	return q->commits;
}
