// SPDX-License-Identifier: BSD-3-Clause
/*
 * Secondary controllers by admin commands on the PF's character device. What the controller returns
 * is checked like any foreign data: counts are bounded by the 4 KiB it fills.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioctl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <string.h>
#include "sriov/nvme.h"

#define OP_IDENTIFY   0x06
#define OP_VIRT_MGMT  0x1c
#define CNS_PRIMARY   0x14 /* Primary Controller Capabilities */
#define CNS_SECONDARY 0x15 /* Secondary Controller List */
#define ID_SIZE	      4096
#define LIST_MAX      127
#define ADMIN_TIMEOUT 15000 /* ms */

/* Virtualization Management, CDW10 bits 3:0: action. */
#define ACT_OFFLINE 0x7
#define ACT_ASSIGN  0x8
#define ACT_ONLINE  0x9

/* Base specification 2.0, figure 276. */
struct primary_caps {
	uint16_t cntlid, portid;
	uint8_t crt, rsvd5[27]; /* crt: bit 0 VQ, bit 1 VI resources supported */
	uint32_t vqfrt, vqrfa;
	uint16_t vqrfap, vqprt, vqfrsm, vqgran;
	uint8_t rsvd48[16];
	uint32_t vifrt, virfa;
	uint16_t virfap, viprt, vifrsm, vigran;
	uint8_t rsvd80[4016];
} __attribute__((packed));

/* Figure 278. */
struct secondary {
	uint16_t scid, pcid;
	uint8_t scs, rsvd5[3]; /* scs bit 0: online */
	uint16_t vfn, nvq, nvi;
	uint8_t rsvd14[18];
} __attribute__((packed));

struct secondary_list {
	uint8_t n, rsvd1[31];
	struct secondary e[LIST_MAX];
} __attribute__((packed));

_Static_assert(sizeof(struct primary_caps) == ID_SIZE, "CNS 14h");
_Static_assert(sizeof(struct secondary_list) == ID_SIZE, "CNS 15h");

/* 0, -errno, or the command's status (positive). */
static int admin(struct sys *s, const char *ctrl, struct nvme_admin_cmd *cmd, struct err *e)
{
	char path[PATH_MAX];
	int fd, rc;

	snprintf(path, sizeof(path), "/dev/%s", ctrl);
	fd = sys_open(s, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, fd, "cannot open %s", path);
	cmd->timeout_ms = ADMIN_TIMEOUT;
	/* A positive result is the status field of the completion without its phase bit (4.2.3). */
	rc = sys_ioctl(s, fd, NVME_IOCTL_ADMIN_CMD, cmd);
	sys_close(s, &fd);
	if (rc < 0)
		return err_sys(e, rc, "%s: admin command %02xh", path, cmd->opcode);
	return rc;
}

static int identify(struct sys *s, const char *ctrl, uint8_t cns, uint16_t cntid, void *data,
		    struct err *e)
{
	struct nvme_admin_cmd cmd = {
		.opcode = OP_IDENTIFY,
		.addr = (uintptr_t)data,
		.data_len = ID_SIZE,
		.cdw10 = (uint32_t)cntid << 16 | cns,
	};
	int rc;

	/* What a short transfer leaves must not be what the stack held. */
	memset(data, 0, ID_SIZE);
	rc = admin(s, ctrl, &cmd, e);
	if (rc > 0)
		return err_set(e, -EOPNOTSUPP,
			       "/dev/%s: the controller refused Identify %02xh (status %03xh): it "
			       "has no virtualization enhancements",
			       ctrl, cns, rc & 0x7ff);
	return rc;
}

int sriov_nvme_caps_get(struct sys *s, const char *ctrl, struct sriov_nvme_caps *out, struct err *e)
{
	struct primary_caps __attribute__((aligned(8))) id;
	uint64_t own;
	int rc;

	/* The identifier of the primary itself; a kernel that does not tell it has it 0. */
	if (sys_file_read_u64(s, &own, "/sys/class/nvme/%s/cntlid", ctrl) || own > UINT16_MAX)
		own = 0;
	rc = identify(s, ctrl, CNS_PRIMARY, (uint16_t)own, &id, e);
	if (rc)
		return rc;
	*out = (struct sriov_nvme_caps){
		.vq = id.crt & 1,
		.vi = id.crt & 2,
		.vq_total = le32toh(id.vqfrt),
		.vi_total = le32toh(id.vifrt),
		.vq_used = le32toh(id.vqrfa),
		.vi_used = le32toh(id.virfa),
		.vq_max = le16toh(id.vqfrsm),
		.vi_max = le16toh(id.vifrsm),
	};
	return 0;
}

/* In one page of the list: 1 found, 0 not here; *next: identifier to go on from, 0 at the end. */
static int list_page(const struct secondary_list *l, unsigned int vfn, uint16_t from,
		     uint32_t *next, struct sriov_nvme_sec *out)
{
	uint32_t last = from;

	*next = 0;
	if (l->n > LIST_MAX)
		return -EPROTO;
	for (unsigned int i = 0; i < l->n; i++) {
		const struct secondary *e = &l->e[i];
		uint16_t id = le16toh(e->scid);

		/* In rising order, or asking on from the last one would never end. */
		if (id < from || (i && id <= last))
			return -EPROTO;
		last = id;
		if (le16toh(e->vfn) != vfn + 1)
			continue;
		*out = (struct sriov_nvme_sec){ .cntlid = id,
						.vfn = le16toh(e->vfn),
						.vq = le16toh(e->nvq),
						.vi = le16toh(e->nvi),
						.online = e->scs & 1 };
		return 1;
	}
	if (l->n == LIST_MAX && last < UINT16_MAX)
		*next = last + 1;
	return 0;
}

int sriov_nvme_sec_get(struct sys *s, const char *ctrl, unsigned int vfn,
		       struct sriov_nvme_sec *out, struct err *e)
{
	struct secondary_list __attribute__((aligned(8))) l;
	uint32_t from = 0;
	int rc;

	do {
		rc = identify(s, ctrl, CNS_SECONDARY, (uint16_t)from, &l, e);
		if (rc)
			return rc;
		rc = list_page(&l, vfn, (uint16_t)from, &from, out);
		if (rc < 0)
			return err_set(e, rc,
				       "/dev/%s: its list of secondary controllers makes no sense",
				       ctrl);
	} while (!rc && from);
	if (rc)
		return 0;
	return err_set(e, -ENOENT, "/dev/%s has no secondary controller for VF %u", ctrl, vfn);
}

static int virt_mgmt(struct sys *s, const char *ctrl, uint16_t cntlid, uint32_t act, uint32_t rt,
		     uint16_t nr, const char *what, struct err *e)
{
	/* CDW10: identifier 31:16, resource type 10:8, action 3:0; CDW11: number of resources
	 * (5.28). */
	struct nvme_admin_cmd cmd = {
		.opcode = OP_VIRT_MGMT,
		.cdw10 = (uint32_t)cntlid << 16 | rt << 8 | act,
		.cdw11 = nr,
	};
	int rc = admin(s, ctrl, &cmd, e);

	if (rc > 0)
		return err_set(
			e, -EIO,
			"/dev/%s: the controller refused to %s secondary controller %u (status "
			"%03xh)",
			ctrl, what, cntlid, rc & 0x7ff);
	return rc;
}

int sriov_nvme_assign(struct sys *s, const char *ctrl, uint16_t cntlid, enum sriov_nvme_res r,
		      uint16_t n, struct err *e)
{
	char what[64];

	snprintf(what, sizeof(what), "give %u %s resources to", n,
		 r == SRIOV_NVME_VQ ? "VQ" : "VI");
	return virt_mgmt(s, ctrl, cntlid, ACT_ASSIGN, r, n, what, e);
}

int sriov_nvme_online(struct sys *s, const char *ctrl, uint16_t cntlid, bool on, struct err *e)
{
	return virt_mgmt(s, ctrl, cntlid, on ? ACT_ONLINE : ACT_OFFLINE, 0, 0,
			 on ? "put online" : "put offline", e);
}
