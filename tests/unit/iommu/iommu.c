// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "iommu/caps.h"
#include "iommu/group.h"
#include "iommu/ranges.h"
#include "tests/unit/iommu/fakevfio.h"

#define VF "0000:01:10.0"

struct fix {
	struct fakesys *fs;
	struct sys *s;
	struct fakevfio v;
	struct err e;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->fs = fakesys_new();
	f->s = fakesys_sys(f->fs);
	fakevfio_init(&f->v, f->fs);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;
	int leaks = fakesys_open_fds(f->fs) || fakesys_maps(f->fs);

	fakesys_free(f->fs);
	free(f);
	return leaks;
}

static struct bdf bdf(const char *text)
{
	struct bdf b = { 0 };

	assert_int_equal(bdf_parse(&b, text), 0);
	return b;
}

#define has(text, word) assert_non_null(strstr(text, word))

/* ---- ranges ---- */

static void ranges_add_sub(void **state)
{
	struct ioas_ranges r = { 0 };

	assert_int_equal(ioas_ranges_add(&r, 0x1000, 0x1fff), 0);
	assert_int_equal(ioas_ranges_add(&r, 0x4000, UINT64_MAX), 0);
	assert_int_equal(ioas_ranges_add(&r, 0x2000, 0x2fff), 0); /* touches the first */
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].end, 0x2fff);
	assert_int_equal(ioas_ranges_sub(&r, 0x5000, 0x5fff), 0); /* hole */
	assert_int_equal(r.n, 3);
	assert_int_equal(r.v[1].end, 0x4fff);
	assert_true(r.v[2].start == 0x6000 && r.v[2].end == UINT64_MAX);
	assert_int_equal(ioas_ranges_sub(&r, 0x2800, 0x8000), 0); /* over several */
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].end, 0x27ff);
	assert_int_equal(r.v[1].start, 0x8001);
	assert_int_equal(ioas_ranges_sub(&r, 0, UINT64_MAX), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(ioas_ranges_add(&r, 5, 9), 0);
	assert_int_equal(ioas_ranges_add(&r, 0, UINT64_MAX), 0);
	assert_int_equal(r.n, 1);
	ioas_ranges_free(&r);
}

/* ---- capability chains ---- */

static void caps_bounded(void **state)
{
	struct vfio_info_cap_header h[4] = { { 1, 1, 8 }, { 2, 1, 16 }, { 3, 1, 0 }, { 0 } };
	size_t room;

	assert_ptr_equal(vfio_cap_find(h, sizeof(h), 0, 1, &room), NULL);
	h[0].next = 16; /* keep offset 8 unlinked */
	assert_ptr_equal(vfio_cap_find(h, sizeof(h), 8, 3, &room), &h[2]);
	assert_int_equal(room, 16);
	h[2].next = 8; /* a cycle 8 -> 16 -> 8 */
	assert_ptr_equal(vfio_cap_find(h, sizeof(h), 8, 9, &room), NULL);
	h[2].next = 0xffffffff;
	assert_ptr_equal(vfio_cap_find(h, sizeof(h), 8, 9, &room), NULL);
	assert_ptr_equal(vfio_cap_find(h, sizeof(h), sizeof(h) - 4, 9, &room), NULL);
}

/* ---- groups in sysfs ---- */

static void group_sentences(void **state)
{
	struct fix *f = *state;
	unsigned int id;

	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), -ENODEV);
	has(f->e.text, "no PCI function " VF);
	fakesys_file(f->fs, "/sys/bus/pci/devices/" VF "/class", "0x020000");
	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), -ENXIO);
	has(f->e.text, "firmware does not put");
	fakesys_del(f->fs, "/sys/class/iommu/dmar0");
	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), -ENXIO);
	has(f->e.text, "intel_iommu=on");
	has(f->e.text, "VT-d");
	fakesys_link(f->fs, "/sys/bus/pci/devices/" VF "/iommu_group", "../../x");
	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), -EINVAL);
	fakesys_del(f->fs, "/sys/bus/pci/devices/" VF);
	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), 0);
	assert_int_equal(id, 8);
	fakesys_file(f->fs, "/sys/kernel/iommu_groups/8/name", "vfio-noiommu\n");
	assert_int_equal(iommu_group_of(f->s, bdf(VF), &id, &f->e), -ENXIO);
	has(f->e.text, "no-IOMMU");
}

static void group_viability(void **state)
{
	struct fix *f = *state;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	fakevfio_dev(&f->v, 8, "0000:00:1c.0", "pcieport", "0x060400");
	fakevfio_dev(&f->v, 8, "0000:01:10.4", NULL, "0x020000");
	fakevfio_dev(&f->v, 8, "0000:01:10.6", "pci-stub", "0x020000");
	fakevfio_dev(&f->v, 8, "0000:01:11.0", "mlx5_vfio_pci", "0x020000");
	fakevfio_dev(&f->v, 8, "0000:00:00.0", NULL, "0x060000");
	assert_int_equal(iommu_group_viable(f->s, 8, &f->e), 0);
	fakevfio_dev(&f->v, 7, "0000:00:1f.0", "lpc_ich",
		     "0x060100"); /* a bridge to ISA does DMA */
	assert_int_equal(iommu_group_viable(f->s, 7, &f->e), -EBUSY);
	fakevfio_dev(&f->v, 8, "0000:01:10.2", "igbvf", "0x020000");
	assert_int_equal(iommu_group_viable(f->s, 8, &f->e), -EBUSY);
	assert_string_equal(f->e.text,
			    "group 8 is not viable: 0000:01:10.2 is bound to igbvf (bind it to "
			    "vfio-pci or leave it without a driver, or pick another function)");
	fakevfio_dev(&f->v, 8, "0000:01:12.0", "igbvf", "0x020000");
	assert_int_equal(iommu_group_viable(f->s, 8, &f->e), -EBUSY);
	has(f->e.text, "igbvf, 0000:01:12.0 is bound to igbvf (bind them");
}

static void group_reserved(void **state)
{
	struct fix *f = *state;
	struct ioas_ranges r = { 0 };

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	fakesys_file(f->fs, "/sys/kernel/iommu_groups/8/reserved_regions",
		     "0x0000000000000000 0x0000000000ffffff direct-relaxable\n"
		     "0x00000000fee00000 0x00000000feefffff msi\n"
		     "0x000000fd00000000 0x000000ffffffffff reserved\n");
	assert_int_equal(iommu_group_reserved(f->s, 8, &r, &f->e), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[1].start, 0xfd00000000);
	ioas_ranges_free(&r);
	fakesys_file(f->fs, "/sys/kernel/iommu_groups/8/reserved_regions", "0x5 0x4 msi\n");
	assert_int_equal(iommu_group_reserved(f->s, 8, &r, &f->e), -EINVAL);
}

/* ---- container ---- */

static void container_sentences(void **state)
{
	struct fix *f = *state;
	struct ioas *a = NULL;

	f->v.api_version = 1;
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), -EPROTO);
	f->v.api_version = 0;
	f->v.has_type1v2 = 0;
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), -ENOTSUP);
	f->v.has_type1v2 = 1;
	fakesys_file(f->fs, "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
		     "Y\n");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), -EPERM);
	has(f->e.text, "allow_unsafe_interrupts");
	fakesys_del(f->fs, "/dev/vfio/vfio");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), -ENOENT);
	has(f->e.text, "modprobe vfio-pci");
	assert_ptr_equal(a, NULL);
}

static void group_open_sentences(void **state)
{
	struct fix *f = *state;
	struct iommu_group *g = NULL;
	struct ioas *a;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), 0);
	f->v.set_iommu_err = -EPERM;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EPERM);
	has(f->e.text, "interrupt remapping");
	assert_int_equal(f->v.groups_in, 0); /* taken out again */
	f->v.set_iommu_err = 0;
	f->v.group[0].viable = false;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EBUSY);
	has(f->e.text, "not viable");
	f->v.group[0].viable = true;
	f->v.group[0].in_container = true;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EBUSY);
	has(f->e.text, "another container");
	f->v.group[0].in_container = false;
	fakesys_del(f->fs, "/dev/vfio/8");
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -ENOENT);
	has(f->e.text, "bound to vfio-pci");
	ioas_free(a);
}

static void groups_shared(void **state)
{
	struct fix *f = *state;
	struct iommu_group *g = NULL, *same = NULL, *other = NULL;
	struct ioas *a;
	unsigned int open;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	fakevfio_dev(&f->v, 8, "0000:01:10.2", "vfio-pci", "0x020000");
	fakevfio_dev(&f->v, 9, "0000:01:10.4", "vfio-pci", "0x020000");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), 0);
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), 0);
	open = fakesys_open_fds(f->fs);
	assert_int_equal(ioas_group_get(a, 8, &same, &f->e), 0);
	assert_ptr_equal(g, same);
	assert_int_equal(fakesys_open_fds(f->fs), open);
	assert_int_equal(ioas_group_get(a, 9, &other, &f->e), 0);
	assert_int_equal(f->v.groups_in, 2);
	iommu_group_put(g);
	assert_int_equal(f->v.groups_in, 2);
	iommu_group_put(same);
	assert_int_equal(f->v.groups_in, 1);
	iommu_group_put(other);
	ioas_free(a);
	assert_int_equal(f->v.groups_in, 0);
}

static void usable_ranges(void **state)
{
	struct fix *f = *state;
	struct iommu_group *g;
	struct ioas_ranges r = { 0 };
	struct ioas *a;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	fakesys_file(f->fs, "/sys/kernel/iommu_groups/8/reserved_regions",
		     "0x1000 0x1fff direct\n0x00000000fee00000 0x00000000feefffff msi\n");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), 0);
	assert_int_equal(ioas_usable_ranges(a, &r, &f->e), 0);
	assert_int_equal(r.n, 0); /* no group, no limit */
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), 0);
	assert_int_equal(ioas_usable_ranges(a, &r, &f->e), 0);
	assert_int_equal(r.n, 3);
	assert_true(r.v[0].start == 0 && r.v[0].end == 0xfff);
	assert_true(r.v[1].start == 0x2000 && r.v[1].end == 0xfedfffff);
	assert_true(r.v[2].start == 0xfef00000 && r.v[2].end == 0x7fffffffff);
	ioas_ranges_free(&r);
	assert_true(ioas_info(a)->ranges && ioas_info(a)->coherent);
	assert_int_equal(ioas_info(a)->dma_avail, 65535);
	iommu_group_put(g);
	ioas_free(a);
}

/* What the kernel says is bounded: a wrong count or chain is an error or "did not say", never a
 * wild read. */
static void hostile_info(void **state)
{
	struct fix *f = *state;
	struct iommu_group *g = NULL;
	struct ioas_ranges r = { 0 };
	struct ioas *a;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), 0);
	f->v.claim_ranges = 5; /* one more than the answer holds */
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EPROTO);
	f->v.claim_ranges = 0x10000000;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EPROTO);
	f->v.claim_ranges = 0;
	f->v.range[0].start = 2;
	f->v.range[0].end = 1;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), -EPROTO);
	f->v.cap_offset = 0xfffffff0;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), 0);
	assert_false(ioas_info(a)->ranges);
	/* Without ranges all but the reserved regions. */
	assert_int_equal(ioas_usable_ranges(a, &r, &f->e), 0);
	assert_int_equal(r.n, 2);
	ioas_ranges_free(&r);
	iommu_group_put(g);
	f->v.cap_offset = 0;
	f->v.cap_cycle = true;
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), 0);
	assert_false(ioas_info(a)->ranges);
	iommu_group_put(g);
	ioas_free(a);
}

static void count_map(void *arg, const struct ioas_map *m)
{
	uint64_t *last = arg;

	assert_true(m->iova >= *last);
	*last = m->iova + m->size;
}

static void maps(void **state)
{
	struct fix *f = *state;
	struct iommu_group *g;
	struct ioas *a;
	uint64_t last = 0;
	void *hva = (void *)0x7f0000000000;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	assert_int_equal(ioas_type1_new(f->s, NULL, &a, &f->e), 0);
	assert_int_equal(ioas_group_get(a, 8, &g, &f->e), 0);
	assert_int_equal(ioas_map(a, "ram1", GIB(4), MIB(4), hva, 4096, &f->e), 0);
	assert_int_equal(ioas_map(a, "ram0", 0, MIB(16), hva, 4096, &f->e), 0);
	assert_int_equal(ioas_map(a, "x", MIB(16) - 4096, 8192, hva, 4096, &f->e), -EEXIST);
	assert_int_equal(ioas_map(a, "x", GIB(4) - 4096, 8192, hva, 4096, &f->e), -EEXIST);
	assert_int_equal(ioas_map(a, "x", GIB(8), 100, hva, 4096, &f->e), -EINVAL);
	assert_int_equal(ioas_map(a, "x", GIB(8), 0, hva, 4096, &f->e), -EINVAL);
	assert_int_equal(ioas_map(a, "x", UINT64_MAX - 4095, 8192, hva, 4096, &f->e), -EINVAL);
	assert_int_equal(f->v.map_calls, 2); /* what is wrong in itself never reaches the kernel */
	ioas_each(a, count_map, &last);
	assert_int_equal(last, GIB(4) + MIB(4));
	assert_int_equal(ioas_unmap(a, 0, MIB(8)), -ENOENT);
	assert_int_equal(ioas_unmap(a, GIB(5), MIB(8)), -ENOENT);
	assert_int_equal(ioas_unmap(a, 0, MIB(16)), 0);
	assert_int_equal(ioas_stats(a)->bytes, MIB(4));
	f->v.map_err = -EINVAL;
	assert_int_equal(ioas_map(a, "ram2", GIB(9), 4096, hva, 4096, &f->e), -EINVAL);
	has(f->e.text, "DMA map of ram2");
	has(f->e.text, "0x240000000-0x240000fff");
	f->v.map_err = -ENOSPC;
	assert_int_equal(ioas_map(a, "ram2", GIB(9), 4096, hva, 4096, &f->e), -ENOSPC);
	has(f->e.text, "dma_entry_limit");
	f->v.map_err = -ENOMEM;
	fakesys_set_memlock(f->fs, 1024);
	assert_int_equal(ioas_map(a, "ram2", GIB(9), 4096, hva, 4096, &f->e), -ENOMEM);
	has(f->e.text, "ulimit -l");
	assert_int_equal(ioas_stats(a)->bytes, MIB(4));
	iommu_group_put(g);
	ioas_free(a);
}

static void memlock_numbers(void **state)
{
	struct fix *f = *state;

	assert_int_equal(ioas_memlock_check(f->s, GIB(64), &f->e), 0); /* unlimited */
	fakesys_set_memlock(f->fs, MIB(8));
	assert_int_equal(ioas_memlock_check(f->s, MIB(8), &f->e), 0);
	assert_int_equal(ioas_memlock_check(f->s, MIB(512), &f->e), -ENOMEM);
	has(f->e.text, "need 524288 KiB");
	has(f->e.text, "allows 8192 KiB");
	has(f->e.text, "ulimit -l 524288\"");
	has(f->e.text, "LimitMEMLOCK=536870912");
	fakesys_file(f->fs, "/proc/self/status", "VmLck:\t4096 kB\nCapEff:\t0000000000000000\n");
	assert_int_equal(ioas_memlock_check(f->s, MIB(8), &f->e), -ENOMEM);
	has(f->e.text, "allows 4096 KiB");
	has(f->e.text, "ulimit -l 12288\"");
	fakesys_file(f->fs, "/proc/self/status", "VmLck:\t0 kB\nCapEff:\t000001ffffffffff\n");
	assert_int_equal(ioas_memlock_check(f->s, GIB(64), &f->e), 0); /* CAP_IPC_LOCK */
}

/* ---- the n-th call fails, for every n ---- */

static int whole_sequence(struct fix *f)
{
	struct iommu_group *g = NULL, *h = NULL;
	struct ioas_ranges r = { 0 };
	struct ioas *a = NULL;
	int rc;

	rc = ioas_type1_new(f->s, NULL, &a, &f->e);
	if (rc == 0)
		rc = ioas_group_get(a, 8, &g, &f->e);
	if (rc == 0)
		rc = ioas_group_get(a, 9, &h, &f->e);
	if (rc == 0)
		rc = ioas_usable_ranges(a, &r, &f->e);
	if (rc == 0)
		rc = ioas_map(a, "ram0", 0, MIB(2), (void *)MIB(2), 4096, &f->e);
	ioas_ranges_free(&r);
	iommu_group_put(g);
	iommu_group_put(h);
	ioas_free(a);
	return rc;
}

static void fail_nth(void **state)
{
	struct fix *f = *state;
	unsigned int n, failures = 0;

	fakevfio_dev(&f->v, 8, VF, "vfio-pci", "0x020000");
	fakevfio_dev(&f->v, 9, "0000:01:10.4", "vfio-pci", "0x020000");
	for (n = 1; n < 200; n++) {
		int rc;

		fakesys_fail_nth(f->fs, n, -EIO);
		err_clear(&f->e);
		rc = whole_sequence(f);
		assert_int_equal(fakesys_open_fds(f->fs), 0);
		if (!fakesys_failed(f->fs))
			break;
		if (rc) {
			failures++;
			assert_true(f->e.code < 0 && f->e.text[0]);
		}
		/* A failing UNSET_CONTAINER leaves the kernel to clean up at close; so does the
		 * fake. */
		f->v.groups_in = 0;
		f->v.nmaps = 0;
		f->v.iommu_set = false;
		f->v.group[0].in_container = f->v.group[1].in_container = false;
	}
	fakesys_fail_nth(f->fs, 0, 0);
	assert_true(n > 15 && n < 200);
	assert_true(failures > 15);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_add_sub),
		cmocka_unit_test(caps_bounded),
		T(group_sentences),
		T(group_viability),
		T(group_reserved),
		T(container_sentences),
		T(group_open_sentences),
		T(groups_shared),
		T(usable_ranges),
		T(hostile_info),
		T(maps),
		T(memlock_numbers),
		T(fail_nth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
