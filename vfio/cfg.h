/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VFIO_CFG_H
#define VFIO_CFG_H

#include "vfio/vfd.h"

/*
 * Config space of an assigned function as the guest sees it: a shadow, filled through a policy
 * table (cfg_table.c). What no row of the table names reads as zero and is never forwarded.
 */

#define VFIO_CFG_SIZE 4096u

enum vfio_cfg_act {
	CFG_HIDE = 0, /* reads zero, writes vanish */
	CFG_RO,	      /* what the device said when it was opened */
	CFG_LIVE,     /* what the device says now; writes vanish */
	CFG_EMU,      /* ours: the shadow; wmask bits are the guest's */
	CFG_PASS,     /* as CFG_EMU, and the wmask bits that are also in pmask go to the device */
};

/* What happens after a write to a register of CFG_EMU. */
enum vfio_cfg_hook {
	CFG_HOOK_NONE = 0,
	CFG_HOOK_COMMAND,
	CFG_HOOK_BAR,
	CFG_HOOK_PM,
	CFG_HOOK_DEVCTL,
	CFG_HOOK_MSI,
	CFG_HOOK_MSIX,
	CFG_HOOK_AF,
};

/**
 * struct vfio_cfg_rule - policy of one register
 * @off:   from the start of the header or capability; @len: 1, 2 or 4 bytes, or a longer run of
 * CFG_RO
 * @rmask: bits of the device that the guest sees
 * @wmask: bits that the guest may change
 * @pmask: bits that are written to the device too
 */
struct vfio_cfg_rule {
	uint16_t off, len;
	uint8_t act, hook;
	uint32_t rmask, wmask, pmask;
};

/**
 * struct vfio_cfg_cap - policy of one capability
 * @len:   bytes, header included; rows behind it do not count
 * @vlen:  vendor-specific: the capability says its own length, which is at least len
 * @rules: behind the header, which is always ours; NULL: all of it is CFG_RO
 */
struct vfio_cfg_cap {
	uint16_t id, len;
	bool vlen;
	const struct vfio_cfg_rule *rules;
	unsigned int nrules;
};

extern const struct vfio_cfg_rule vfio_cfg_header[];
extern const unsigned int vfio_cfg_header_n;

/** vfio_cfg_cap_std() - policy of a standard capability found at some place: the header's first
 * dword decides between variants. NULL: hidden. */
const struct vfio_cfg_cap *vfio_cfg_cap_std(uint8_t id, uint32_t first);

/** vfio_cfg_cap_ext() - as above for extended ones. */
const struct vfio_cfg_cap *vfio_cfg_cap_ext(uint16_t id);

/**
 * struct vfio_cfg - the shadow
 * @size:   of what the device has: 256 or 4096
 * @pm: @exp: @msi: @msix: @af: offsets of capabilities that are shown, 0 for none
 * @hidden: capabilities left out; @broken: chains that were cut (cycle, out of space, overlap)
 */
struct vfio_cfg {
	unsigned int size;
	uint8_t shadow[VFIO_CFG_SIZE], initial[VFIO_CFG_SIZE];
	uint8_t wmask[VFIO_CFG_SIZE], pmask[VFIO_CFG_SIZE], live[VFIO_CFG_SIZE];
	uint8_t act[VFIO_CFG_SIZE], hook[VFIO_CFG_SIZE];
	unsigned int pm, exp, msi, msix, af;
	unsigned int hidden, broken;
};

/** vfio_cfg_build() - read what the device says, through the policy. -errno of the device, -EINVAL
 * for a header that is not type 0. */
int vfio_cfg_build(struct vfio_cfg *c, struct vfd *d, struct err *e) __must_check;

/** vfio_cfg_read() - off + len <= 4096. BARs and what hooks compute are the caller's. */
uint32_t vfio_cfg_read(struct vfio_cfg *c, struct vfd *d, unsigned int off, unsigned int len);

/** vfio_cfg_write() - changes the shadow and forwards pmask bits; the caller runs the hooks. */
void vfio_cfg_write(struct vfio_cfg *c, struct vfd *d, unsigned int off, unsigned int len,
		    uint32_t val);

/** vfio_cfg_seal() - what the shadow holds now is the state after a reset. */
void vfio_cfg_seal(struct vfio_cfg *c);

/** vfio_cfg_reset() - back to what was built, and pmask bits of the device too. */
void vfio_cfg_reset(struct vfio_cfg *c, struct vfd *d);

/* Direct access to the shadow; for building and for hooks. len 1, 2 or 4. */
uint32_t vfio_cfg_get(const struct vfio_cfg *c, unsigned int off, unsigned int len);
void vfio_cfg_set(struct vfio_cfg *c, unsigned int off, unsigned int len, uint32_t val);

#endif
