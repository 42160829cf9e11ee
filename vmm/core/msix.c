// SPDX-License-Identifier: BSD-3-Clause
/*
 * MSI-X: the table of vectors and the pending bits.
 *
 * A vector is *live* when MSI-X is enabled, the function may write to memory and is not masked, and
 * neither is the vector.
 * Only then has it a route in the interrupt group; each write of the guest restages the routes of
 * the vectors it touched and commits once, so that unmasking the function costs one update of the
 * routing table however many vectors it has.
 *
 * The owner is told to connect a vector to the device when it becomes live for the first time, and
 * to let go of it when MSI-X is switched off, never in between: masking takes the route away, and
 * what the device signals meanwhile stays in the vector's eventfd, which is what the pending bit
 * array shows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/core/msix.h"

#define ENTRY_SIZE \
	16u /* address low, address high, data, vector control (PCIe base spec 7.7.2.4) */
#define ENTRY_CTRL 3
#define CTRL_MASK  1u
#define VECS_MAX   2048u

#define MC_ENABLE	 0x8000u
#define MC_FUNCTION_MASK 0x4000u

/* Messages are interrupts only here; elsewhere the "interrupt" would be a write to memory. */
#define MSI_BASE 0xfee00000u
#define MSI_MASK 0xfff00000u

struct entry {
	uint32_t word[4];
	bool used; /* the owner connected it */
};

struct vm_msix {
	struct vm_irq_group *group;
	const struct vm_msix_ops *ops;
	void *dev;
	unsigned int n, used;
	bool held;     /* no bus mastering */
	uint16_t ctrl; /* enable and function mask */
	uint64_t mask_writes, refused;
	struct entry v[];
};

int vm_msix_new(struct vm_irq_group *g, unsigned int n, const struct vm_msix_ops *ops, void *dev,
		struct vm_msix **out)
{
	struct vm_msix *m;

	BUG_ON(n < 1 || n > VECS_MAX);
	m = calloc(1, sizeof(*m) + n * sizeof(m->v[0]));
	if (!m)
		return -ENOMEM;
	m->group = g;
	m->ops = ops;
	m->dev = dev;
	m->n = n;
	for (unsigned int i = 0; i < n; i++)
		m->v[i].word[ENTRY_CTRL] = CTRL_MASK;
	*out = m;
	return 0;
}

void vm_msix_free(struct vm_msix *m)
{
	free(m);
}

static bool is_live(const struct vm_msix *m, unsigned int vec)
{
	return (m->ctrl & MC_ENABLE) && !(m->ctrl & MC_FUNCTION_MASK) && !m->held &&
	       !(m->v[vec].word[ENTRY_CTRL] & CTRL_MASK);
}

static void use(struct vm_msix *m, unsigned int vec, bool on)
{
	struct entry *v = &m->v[vec];

	if (v->used == on)
		return;
	/* When connecting fails the owner has said why; the next unmask tries again. */
	if (m->ops && m->ops->use && m->ops->use(m->dev, vec, on) && on)
		return;
	v->used = on;
	if (on)
		m->used++;
	else
		m->used--;
}

/* Stage what the entry says. */
static void stage(struct vm_msix *m, unsigned int vec)
{
	const uint32_t *w = m->v[vec].word;
	struct vm_msi msi = { .addr = (uint64_t)w[1] << 32 | w[0], .data = w[2] };

	if (!is_live(m, vec)) {
		vm_irq_group_route(m->group, vec, NULL);
		return;
	}
	if (w[1] || (w[0] & MSI_MASK) != MSI_BASE) {
		m->refused++;
		vm_irq_group_route(m->group, vec, NULL);
		return;
	}
	/* Connected before it is routed: what the device signals in between waits in the eventfd.
	 */
	use(m, vec, true);
	vm_irq_group_route(m->group, vec, &msi);
}

static void commit(struct vm_msix *m)
{
	if (vm_irq_group_commit(m->group))
		m->refused++;
}

static void release_all(struct vm_msix *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		use(m, i, false);
}

static void restage(struct vm_msix *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		stage(m, i);
	commit(m);
}

void vm_msix_ctrl(struct vm_msix *m, uint16_t ctrl)
{
	uint16_t old = m->ctrl;

	m->ctrl = ctrl & (MC_ENABLE | MC_FUNCTION_MASK);
	if (m->ctrl == old)
		return;
	restage(m);
	if (!(m->ctrl & MC_ENABLE))
		release_all(m);
}

void vm_msix_master(struct vm_msix *m, bool on)
{
	if (m->held == !on)
		return;
	m->held = !on;
	if (m->ctrl & MC_ENABLE)
		restage(m);
}

uint16_t vm_msix_ctrl_read(const struct vm_msix *m)
{
	return (uint16_t)(m->ctrl | (m->n - 1));
}

/* Only whole words and pairs of words: the spec leaves the rest undefined (7.7.2.4). */
static enum vm_io_result check(const struct vm_msix *m, uint64_t off, unsigned int len,
			       uint64_t size)
{
	if ((len != 4 && len != 8) || !IS_ALIGNED(off, len))
		return VM_IO_ERROR;
	return range_ok(off, len, size) ? VM_IO_OK : VM_IO_UNHANDLED;
}

enum vm_io_result vm_msix_table_read(struct vm_msix *m, uint64_t off, unsigned int len,
				     uint64_t *val)
{
	enum vm_io_result r = check(m, off, len, (uint64_t)m->n * ENTRY_SIZE);
	const uint32_t *w;

	if (r != VM_IO_OK)
		return r;
	w = &m->v[off / ENTRY_SIZE].word[off % ENTRY_SIZE / 4];
	*val = len == 8 ? (uint64_t)w[1] << 32 | w[0] : w[0];
	return VM_IO_OK;
}

static void word_write(struct vm_msix *m, struct entry *v, unsigned int i, uint32_t val)
{
	switch (i) {
	case 0:
		val &= ~3u; /* messages are aligned; these bits read as zero */
		break;
	case ENTRY_CTRL:
		val &= CTRL_MASK;
		m->mask_writes++;
		break;
	}
	v->word[i] = val;
}

enum vm_io_result vm_msix_table_write(struct vm_msix *m, uint64_t off, unsigned int len,
				      uint64_t val)
{
	enum vm_io_result r = check(m, off, len, (uint64_t)m->n * ENTRY_SIZE);
	unsigned int vec = (unsigned int)(off / ENTRY_SIZE), i = off % ENTRY_SIZE / 4;
	uint32_t old[4];
	bool was_live;

	if (r != VM_IO_OK)
		return r;
	was_live = is_live(m, vec);
	memcpy(old, m->v[vec].word, sizeof(old));
	word_write(m, &m->v[vec], i, (uint32_t)val);
	if (len == 8)
		word_write(m, &m->v[vec], i + 1, (uint32_t)(val >> 32));
	/* While masked an entry is only memory; that is how guests fill it in. */
	if ((!was_live && !is_live(m, vec)) || !memcmp(old, m->v[vec].word, sizeof(old)))
		return VM_IO_OK;
	stage(m, vec);
	commit(m);
	return VM_IO_OK;
}

enum vm_io_result vm_msix_pba_read(struct vm_msix *m, uint64_t off, unsigned int len, uint64_t *val)
{
	enum vm_io_result r = check(m, off, len, ALIGN_UP((uint64_t)m->n, 64) / 8);

	if (r != VM_IO_OK)
		return r;
	*val = 0;
	for (unsigned int bit = 0; bit < 8 * len; bit++) {
		unsigned int vec = (unsigned int)(8 * off) + bit;

		if (vec < m->n && vm_irq_group_pending(m->group, vec))
			*val |= (uint64_t)1 << bit;
	}
	return VM_IO_OK;
}

void vm_msix_reset(struct vm_msix *m)
{
	m->ctrl = 0;
	vm_irq_group_clear(m->group);
	release_all(m);
	for (unsigned int i = 0; i < m->n; i++)
		m->v[i] = (struct entry){ .word = { [ENTRY_CTRL] = CTRL_MASK } };
}

bool vm_msix_enabled(const struct vm_msix *m)
{
	return m->ctrl & MC_ENABLE;
}

unsigned int vm_msix_used(const struct vm_msix *m)
{
	return m->used;
}

uint64_t vm_msix_mask_writes(const struct vm_msix *m)
{
	return m->mask_writes;
}

uint64_t vm_msix_refused(const struct vm_msix *m)
{
	return m->refused;
}
