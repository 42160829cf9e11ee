// SPDX-License-Identifier: BSD-3-Clause
/* What the controller says of itself: Identify (5.15) and log pages (5.14). Offsets are those of
 * the figures there. */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "base/le.h"
#include "vmm/devices/nvme/nvme_priv.h"

enum { CNS_NS = 0x00, CNS_CTRL = 0x01, CNS_NS_LIST = 0x02, CNS_NS_DESC = 0x03 };
enum { LOG_ERROR = 1, LOG_SMART = 2, LOG_FIRMWARE = 3, LOG_CHANGED_NS = 4, LOG_EFFECTS = 5 };

#define LPA_EXTENDED 0x4 /* log pages have an offset and a long length */
#define LPA_EFFECTS  0x2
#define OACS_DBBUF   0x100
#define ONCS_DSM     0x4
#define ONCS_WZ	     0x8
#define VWC_PRESENT  0x7 /* and flush works with the broadcast namespace id */
#define EFFECT_CSUPP 0x1
#define EFFECT_LBCC  0x2 /* changes logical blocks */

/* Text padded with blanks. */
static void put_text(uint8_t *p, unsigned int off, unsigned int len, const char *s)
{
	memset(p + off, ' ', len);
	memcpy(p + off, s, MIN(strlen(s), len));
}

/* A stable identifier of the namespace, from the serial number (FNV-1a). */
static uint64_t eui64(const struct nvme *n)
{
	return hash_text(HASH_INIT, n->serial);
}

/* The one thing here that is big-endian. */
static void put_eui64(const struct nvme *n, uint8_t *p)
{
	uint64_t v = htobe64(eui64(n));

	memcpy(p, &v, sizeof(v));
}

static void controller(const struct nvme *n, uint8_t *p)
{
	le16_put(p + 0, 0x1af4);
	le16_put(p + 2, 0x1af4);
	put_text(p, 4, 20, n->serial);
	put_text(p, 24, 40, "Sluice emulated NVMe");
	put_text(p, 64, 8, "1");
	p[72] = 0;	     /* RAB */
	p[77] = NVME_MDTS;   /* of CAP.MPSMIN */
	le16_put(p + 78, 1); /* CNTLID */
	le32_put(p + 80, 0x00010400);
	le32_put(p + 92, 0x100); /* OAES: namespace attribute notices */
	le16_put(p + 256, n->cfg.shadow ? OACS_DBBUF : 0);
	p[258] = 3;		   /* ACL: 4 */
	p[259] = NVME_AER_MAX - 1; /* AERL */
	p[260] = 0x2 | 1;	   /* FRMW: one slot, read only */
	p[261] = LPA_EXTENDED | LPA_EFFECTS;
	p[262] = NVME_ERRORS - 1;		/* ELPE */
	le16_put(p + 266, NVME_TEMP_WARN);	/* WCTEMP */
	le16_put(p + 268, NVME_TEMP_WARN + 20); /* CCTEMP */
	p[512] = 0x66;				/* SQES: 64 bytes, no more, no less */
	p[513] = 0x44;				/* CQES: 16 */
	le32_put(p + 516, 1);
	le16_put(p + 520, ONCS_DSM | ONCS_WZ);
	p[525] = VWC_PRESENT;
	snprintf((char *)p + 768, 256,
		 "nqn.2014-08.org.nvmexpress:uuid:5c1ce000-%04x-4%03x-8%03x-%012llx",
		 (unsigned int)(eui64(n) >> 48), (unsigned int)(eui64(n) >> 36 & 0xfff),
		 (unsigned int)(eui64(n) >> 24 & 0xfff),
		 (unsigned long long)eui64(n) & 0xffffffffffff);
	le16_put(p + 2048, 2500); /* PSD0: 25 W */
}

static void namespace(const struct nvme *n, uint8_t *p)
{
	uint64_t blocks = n->info.size >> n->lba_shift;

	le64_put(p + 0, blocks);
	le64_put(p + 8, blocks);
	le64_put(p + 16, blocks);
	p[24] = n->info.discard ? 0x1 : 0; /* thin provisioning */
	p[33] = n->info.discard ? 0x8 : 0; /* DLFEAT: Write Zeroes may deallocate */
	p[99] = n->info.readonly;	   /* NSATTR: write protected */
	put_eui64(n, p + 120);
	p[128 + 2] = (uint8_t)n->lba_shift; /* LBAF0 */
}

static void ns_list(const struct nvme_cmd *c, uint8_t *p)
{
	if (c->nsid < 1)
		le32_put(p + 0, 1);
}

static void ns_descriptors(const struct nvme *n, uint8_t *p)
{
	p[0] = 1; /* EUI-64 */
	p[1] = 8;
	put_eui64(n, p + 4);
}

uint16_t nvme_identify(struct nvme *n, const struct nvme_cmd *c)
{
	uint8_t p[NVME_PAGE] = { 0 };

	switch (c->cdw10 & 0xff) {
	case CNS_NS:
		if (c->nsid != 1 && c->nsid != UINT32_MAX)
			return NVME_BAD_NS | NVME_DNR;
		namespace(n, p);
		break;
	case CNS_CTRL:
		controller(n, p);
		break;
	case CNS_NS_LIST:
		if (c->nsid >= 0xfffffffe)
			return NVME_BAD_NS | NVME_DNR;
		ns_list(c, p);
		break;
	case CNS_NS_DESC:
		if (c->nsid != 1)
			return NVME_BAD_NS | NVME_DNR;
		ns_descriptors(n, p);
		break;
	default:
		return NVME_BAD_FIELD | NVME_DNR;
	}
	return nvme_prp_write(n, c, p, sizeof(p));
}

/* ---- log pages ---- */

/* Newest first. */
static uint32_t log_error(const struct nvme *n, uint8_t *p)
{
	unsigned int i;

	for (i = 0; i < NVME_ERRORS && i < n->error_count; i++) {
		unsigned int at = (unsigned int)((n->error_count - 1 - i) % NVME_ERRORS);
		uint8_t *e = p + 64 * i;

		le64_put(e + 0, n->error[at].count);
		le16_put(e + 8, n->error[at].sqid);
		le16_put(e + 10, n->error[at].cid);
		le16_put(e + 12, n->error[at].status);
	}
	return 64 * NVME_ERRORS;
}

/* Data units are thousands of 512 bytes, rounded up. */
static uint64_t units(uint64_t bytes)
{
	return (bytes + 511999) / 512000;
}

static uint32_t log_smart(const struct nvme *n, uint8_t *p)
{
	struct disk_count c;

	disk_ring_count(n->ring, &c);
	p[0] = n->info.readonly ? 0x8 : 0;
	le16_put(p + 1, NVME_TEMP_ROOM);
	p[3] = 100; /* available spare */
	p[4] = 10;
	le64_put(p + 32, units(c.bytes_read));
	le64_put(p + 48, units(c.bytes_written));
	le64_put(p + 64, c.reads);
	le64_put(p + 80, c.writes);
	le64_put(p + 176, n->error_count);
	return 512;
}

static uint32_t log_firmware(uint8_t *p)
{
	p[0] = 1;
	put_text(p, 8, 8, "1");
	return 512;
}

static uint32_t log_effects(const struct nvme *n, uint8_t *p)
{
	static const uint8_t admin[] = { 0, 1, 2, 4, 5, 6, 8, 9, 10, 12 };
	static const struct {
		uint8_t op;
		uint32_t effect;
	} io[] = { { 0, EFFECT_CSUPP },
		   { 1, EFFECT_CSUPP | EFFECT_LBCC },
		   { 2, EFFECT_CSUPP },
		   { 8, EFFECT_CSUPP | EFFECT_LBCC },
		   { 9, EFFECT_CSUPP | EFFECT_LBCC } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(admin); i++)
		le32_put(p + 4u * admin[i], EFFECT_CSUPP);
	if (n->cfg.shadow)
		le32_put(p + 4 * 0x7c, EFFECT_CSUPP);
	for (i = 0; i < ARRAY_SIZE(io); i++)
		le32_put(p + 1024 + 4u * io[i].op, io[i].effect);
	return 4096;
}

/* Reading a page lets its kind of event come again, unless the driver wants it kept (5.14). */
static void unmask(struct nvme *n, const struct nvme_cmd *c, unsigned int type)
{
	if (c->cdw10 & 0x8000)
		return;
	n->aer_masked &= ~(1u << type);
	nvme_event_flush(n);
}

uint16_t nvme_log_page(struct nvme *n, const struct nvme_cmd *c)
{
	uint64_t dwords = (c->cdw10 >> 16 | (uint64_t)(c->cdw11 & 0xffff) << 16) + 1;
	uint64_t off = c->cdw12 | (uint64_t)c->cdw13 << 32;
	uint8_t p[NVME_PAGE] = { 0 };
	uint32_t len;
	int type = -1;
	uint16_t status;

	switch (c->cdw10 & 0xff) {
	case LOG_ERROR:
		len = log_error(n, p);
		type = 0;
		break;
	case LOG_SMART:
		len = log_smart(n, p);
		type = 1;
		break;
	case LOG_FIRMWARE:
		len = log_firmware(p);
		break;
	case LOG_CHANGED_NS:
		le32_put(p + 0, n->ns_changed ? 1 : 0);
		n->ns_changed = false;
		len = 4096;
		type = 2;
		break;
	case LOG_EFFECTS:
		len = log_effects(n, p);
		break;
	default:
		return NVME_BAD_LOG | NVME_DNR;
	}
	if (off % 4 || off > len)
		return NVME_BAD_FIELD | NVME_DNR;
	/* What is asked for beyond the page is not transferred. */
	status = nvme_prp_write(n, c, p + off, (uint32_t)MIN(dwords * 4, len - off));
	if (!status && type >= 0)
		unmask(n, c, (unsigned int)type);
	return status;
}
