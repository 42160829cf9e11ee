// SPDX-License-Identifier: BSD-3-Clause
/*
 * The shadow of config space. It is built once from what the device says, row by row of the policy
 * table, so that a byte which no row names is never read, never shown and never written.
 * Capabilities stay at their offsets, since drivers may know them; only the links between them are
 * ours, so a hidden capability is one that no link leads to and whose bytes read as zero.
 *
 * The device is foreign: chains may have cycles, leave their space, overlap, or read as all ones
 * from a device that has gone. Such a chain is cut where it goes wrong, and the cut is counted.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include "vfio/cfg.h"

#define STD_FIRST 0x40u
#define STD_END	  0x100u
#define EXT_FIRST 0x100u

struct build {
	struct vfio_cfg *c;
	struct vfd *d;
	int rc;
	bool taken[VFIO_CFG_SIZE]; /* by the header or a capability that is shown */
	bool seen[VFIO_CFG_SIZE / 4];
};

uint32_t vfio_cfg_get(const struct vfio_cfg *c, unsigned int off, unsigned int len)
{
	uint32_t val = 0;

	BUG_ON(!range_ok(off, len, VFIO_CFG_SIZE) || len > sizeof(val));
	memcpy(&val, &c->shadow[off], len); /* x86: little endian, as config space */
	return val;
}

void vfio_cfg_set(struct vfio_cfg *c, unsigned int off, unsigned int len, uint32_t val)
{
	BUG_ON(!range_ok(off, len, VFIO_CFG_SIZE) || len > sizeof(val));
	memcpy(&c->shadow[off], &val, len);
}

static int dev_read(struct vfd *d, unsigned int off, unsigned int len, uint32_t *val)
{
	*val = 0;
	return d->ops->read(d, VFIO_PCI_CONFIG_REGION_INDEX, off, val, len);
}

/* A register of the device while building; the first failure sticks. */
static uint32_t fetch(struct build *b, unsigned int off, unsigned int len)
{
	uint32_t val = 0;

	if (b->rc == 0)
		b->rc = dev_read(b->d, off, len, &val);
	return b->rc ? 0 : val;
}

static void add_rule(struct build *b, unsigned int base, const struct vfio_cfg_rule *r)
{
	struct vfio_cfg *c = b->c;

	/* Longer runs than a register are made of dwords with equal masks. */
	for (unsigned int done = 0; done < r->len; done += 4) {
		unsigned int off = base + r->off + done, n = MIN(4u, (unsigned int)r->len - done);

		if (r->act != CFG_LIVE && r->rmask)
			vfio_cfg_set(c, off, n, fetch(b, off, n) & r->rmask);
		memcpy(&c->wmask[off], &r->wmask, n);
		memcpy(&c->pmask[off], &r->pmask, n);
		if (r->act == CFG_LIVE)
			memcpy(&c->live[off], &r->rmask, n);
		memset(&c->act[off], r->act, n);
		memset(&c->hook[off], r->hook, n);
	}
}

/* A capability's body, base is where its header lies. */
static void add_cap(struct build *b, unsigned int base, unsigned int head, unsigned int len,
		    const struct vfio_cfg_cap *cap)
{
	struct vfio_cfg_rule body = { .off = (uint16_t)head,
				      .len = (uint16_t)(len - head),
				      .act = CFG_RO,
				      .rmask = UINT32_MAX };

	memset(&b->taken[base], true, len);
	memset(&b->c->act[base], CFG_RO, head);
	if (!cap->rules)
		add_rule(b, base, &body);
	for (unsigned int i = 0; i < cap->nrules; i++)
		if (cap->rules[i].off + cap->rules[i].len <= len)
			add_rule(b, base, &cap->rules[i]);
}

static bool is_free(const struct build *b, unsigned int off, unsigned int len, unsigned int end)
{
	if (!range_ok(off, len, end))
		return false;
	for (unsigned int i = off; i < off + len; i++)
		if (b->taken[i])
			return false;
	return true;
}

static void note_std(struct vfio_cfg *c, uint8_t id, unsigned int at)
{
	switch (id) {
	case PCI_CAP_ID_PM:
		c->pm = at;
		/* D3 is only played, so state survives it: No_Soft_Reset. */
		vfio_cfg_set(c, at + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
		break;
	case PCI_CAP_ID_EXP:
		c->exp = at;
		break;
	case PCI_CAP_ID_MSI:
		c->msi = at;
		break;
	case PCI_CAP_ID_MSIX:
		c->msix = at;
		break;
	case PCI_CAP_ID_AF:
		c->af = at;
		break;
	}
}

/* One capability of each id that has registers of ours: a second one would be a second set of
 * hooks. */
static bool is_second(const struct vfio_cfg *c, uint8_t id)
{
	return (id == PCI_CAP_ID_PM && c->pm) || (id == PCI_CAP_ID_EXP && c->exp) ||
	       (id == PCI_CAP_ID_MSI && c->msi) || (id == PCI_CAP_ID_MSIX && c->msix) ||
	       (id == PCI_CAP_ID_AF && c->af);
}

/* Shows the capability at `at` if policy has it; link is where its predecessor's pointer lies. */
static unsigned int std_one(struct build *b, unsigned int at, unsigned int link)
{
	uint32_t first = fetch(b, at, 4);
	uint8_t id = (uint8_t)first;
	const struct vfio_cfg_cap *cap = vfio_cfg_cap_std(id, first);
	unsigned int len;

	if (!cap) {
		b->c->hidden++;
		return link;
	}
	len = cap->vlen ? MAX((first >> 16) & 0xff, (uint32_t)cap->len) : cap->len;
	if (is_second(b->c, id) || !is_free(b, at, len, STD_END)) {
		b->c->broken++;
		return link;
	}
	add_cap(b, at, 2, len, cap);
	b->c->shadow[at] = id;
	b->c->shadow[link] = (uint8_t)at;
	note_std(b->c, id, at);
	return at + 1;
}

static void build_std(struct build *b)
{
	unsigned int link = PCI_CAPABILITY_LIST, at;

	if (!(fetch(b, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return;
	at = fetch(b, PCI_CAPABILITY_LIST, 1) & ~3u;
	while (at && b->rc == 0) {
		uint32_t head;

		if (at < STD_FIRST || b->seen[at / 4]) {
			b->c->broken++;
			break;
		}
		b->seen[at / 4] = true;
		head = fetch(b, at, 2);
		if ((head & 0xff) == 0xff) { /* a device that has gone */
			b->c->broken++;
			break;
		}
		link = std_one(b, at, link);
		at = (head >> 8) & ~3u;
	}
	if (b->c->shadow[PCI_CAPABILITY_LIST])
		vfio_cfg_set(b->c, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
}

static void ext_link(struct vfio_cfg *c, unsigned int from, unsigned int to)
{
	vfio_cfg_set(c, from, 4, (vfio_cfg_get(c, from, 4) & 0xfffffu) | to << 20);
}

static unsigned int ext_one(struct build *b, unsigned int at, uint32_t head, unsigned int link)
{
	const struct vfio_cfg_cap *cap = vfio_cfg_cap_ext((uint16_t)head);
	unsigned int len;

	if (!cap) {
		b->c->hidden++;
		return link;
	}
	len = cap->len;
	if (cap->vlen && is_free(b, at, 8, b->c->size)) /* length in 31:20 of the second dword */
		len = MAX(len, fetch(b, at + 4, 4) >> 20);
	if (!is_free(b, at, len, b->c->size)) {
		b->c->broken++;
		return link;
	}
	add_cap(b, at, 4, len, cap);
	vfio_cfg_set(b->c, at, 4, head & 0xfffffu);
	/*
	 * The first one shown is reached from 100h: when what lies there is hidden, a null
	 * capability (id 0, 7.9.28) stands in its place and only links on.
	 */
	if (at != EXT_FIRST) {
		if (link == EXT_FIRST && !b->taken[EXT_FIRST]) {
			vfio_cfg_set(b->c, EXT_FIRST, 4, 1u << 16);
			memset(&b->taken[EXT_FIRST], true, 4);
			memset(&b->c->act[EXT_FIRST], CFG_RO, 4);
		}
		ext_link(b->c, link, at);
	}
	return at;
}

static void build_ext(struct build *b)
{
	unsigned int at = EXT_FIRST, link = EXT_FIRST;

	while (at && b->rc == 0) {
		uint32_t head;

		if (at < EXT_FIRST || b->seen[at / 4]) {
			b->c->broken++;
			return;
		}
		b->seen[at / 4] = true;
		head = fetch(b, at, 4);
		if (head == UINT32_MAX)
			b->c->broken++;
		if (!head || head == UINT32_MAX)
			return;
		link = ext_one(b, at, head, link);
		at = (head >> 20) & ~3u;
	}
}

/* Values that depend on more than one register. */
static void adjust(struct build *b)
{
	struct vfio_cfg *c = b->c;
	uint32_t val;

	if (!c->exp)
		return;
	/* Behind a root port only an endpoint may be: an integrated one (type 9) is shown as such.
	 */
	val = vfio_cfg_get(c, c->exp + PCI_EXP_FLAGS, 2);
	if ((val & PCI_EXP_FLAGS_TYPE) >> 4 == PCI_EXP_TYPE_RC_END)
		vfio_cfg_set(c, c->exp + PCI_EXP_FLAGS, 2, val & ~(uint32_t)PCI_EXP_FLAGS_TYPE);
	val = vfio_cfg_get(c, c->exp + PCI_EXP_DEVCAP, 4);
	if (!b->d->can_reset)
		vfio_cfg_set(c, c->exp + PCI_EXP_DEVCAP, 4, val & ~PCI_EXP_DEVCAP_FLR);
}

int vfio_cfg_build(struct vfio_cfg *c, struct vfd *d, struct err *e)
{
	struct build b = { .c = c, .d = d };
	struct vfd_region region;
	uint32_t type;
	int r;

	memset(c, 0, sizeof(*c));
	r = d->ops->region_info(d, VFIO_PCI_CONFIG_REGION_INDEX, &region);
	if (r < 0)
		return err_sys(e, r, "cannot find the config space");
	if (region.size < STD_END)
		return err_set(e, -EINVAL, "its config space has %u bytes only",
			       (unsigned int)region.size);
	c->size = region.size >= VFIO_CFG_SIZE ? VFIO_CFG_SIZE : STD_END;
	type = fetch(&b, PCI_HEADER_TYPE, 1) & 0x7f;
	if (b.rc == 0 && fetch(&b, 0, 4) == UINT32_MAX)
		return err_set(e, -ENODEV,
			       "the device does not answer (config space reads as all "
			       "ones)");
	if (b.rc == 0 && type != PCI_HEADER_TYPE_NORMAL)
		return err_set(e, -EINVAL,
			       "it is a bridge (header type %u): only functions of type 0 can be "
			       "assigned",
			       type);
	memset(b.taken, true, STD_FIRST);
	for (unsigned int i = 0; i < vfio_cfg_header_n; i++)
		add_rule(&b, 0, &vfio_cfg_header[i]);
	build_std(&b);
	if (c->exp && c->size == VFIO_CFG_SIZE)
		build_ext(&b);
	adjust(&b);
	if (b.rc < 0)
		return err_sys(e, b.rc, "cannot read the config space");
	vfio_cfg_seal(c);
	return 0;
}

uint32_t vfio_cfg_read(struct vfio_cfg *c, struct vfd *d, unsigned int off, unsigned int len)
{
	uint32_t val = vfio_cfg_get(c, off, len), live = 0, now;

	memcpy(&live, &c->live[off], len);
	if (live && dev_read(d, off, len, &now) == 0)
		val |= now & live;
	return val;
}

/* Send the pmask bits of the 16-bit register at off; the device's other bits stay. */
static void forward(struct vfio_cfg *c, struct vfd *d, unsigned int off)
{
	uint32_t mask = 0, now;

	memcpy(&mask, &c->pmask[off], 2);
	if (!mask || dev_read(d, off, 2, &now) < 0)
		return;
	now = (now & ~mask) | (vfio_cfg_get(c, off, 2) & mask);
	(void)d->ops->write(d, VFIO_PCI_CONFIG_REGION_INDEX, off, &now, 2);
}

void vfio_cfg_write(struct vfio_cfg *c, struct vfd *d, unsigned int off, unsigned int len,
		    uint32_t val)
{
	uint32_t mask = 0;

	memcpy(&mask, &c->wmask[off], len);
	vfio_cfg_set(c, off, len, (vfio_cfg_get(c, off, len) & ~mask) | (val & mask));
	for (unsigned int at = off & ~1u; at < off + len; at += 2)
		forward(c, d, at);
}

void vfio_cfg_seal(struct vfio_cfg *c)
{
	memcpy(c->initial, c->shadow, sizeof(c->initial));
}

void vfio_cfg_reset(struct vfio_cfg *c, struct vfd *d)
{
	memcpy(c->shadow, c->initial, sizeof(c->shadow));
	if (c->exp)
		forward(c, d, c->exp + PCI_EXP_DEVCTL);
}
