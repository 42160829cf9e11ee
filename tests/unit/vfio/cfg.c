// SPDX-License-Identifier: BSD-3-Clause
/* What the guest sees of config space, and what a device or a guest that lies can do. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fake/fakeaccel.h"
#include "tests/unit/fake/fakesys.h"
#include "tests/unit/vfio/fakevfd.h"

static struct fakevfd dev;
static struct vfio_cfg cfg;
static struct err e;

static int setup(void **state)
{
	fakevfd_init(&dev);
	return 0;
}

static void build(void)
{
	assert_int_equal(vfio_cfg_build(&cfg, &dev.vfd, &e), 0);
}

static uint32_t rd(unsigned int off, unsigned int len)
{
	return vfio_cfg_read(&cfg, &dev.vfd, off, len);
}

static void wr(unsigned int off, unsigned int len, uint32_t val)
{
	vfio_cfg_write(&cfg, &dev.vfd, off, len, val);
}

static void header_policy(void **state)
{
	fakevfd_cfg(&dev, 0x06, 2, 0xf9f8 | 0x10);
	fakevfd_cfg(&dev, 0x0c, 4, 0x8f804020); /* BIST, multifunction, latency, cache line */
	fakevfd_cfg(&dev, 0x28, 4, 0x12345678); /* CardBus CIS */
	fakevfd_cfg(&dev, 0x2c, 4, 0x00018086);
	fakevfd_cfg(&dev, 0x30, 4, 0xfe000001); /* ROM */
	fakevfd_cfg(&dev, 0x3c, 4, 0x0504010b);
	build();
	assert_int_equal(rd(0, 4), 0x10ca8086);
	wr(0, 4, 0);
	assert_int_equal(rd(0, 4), 0x10ca8086);
	assert_int_equal(rd(4, 2), 0); /* off until the firmware or the guest switches it on */
	wr(4, 2, 0xffff);
	assert_int_equal(rd(4, 2), 0x0547);
	assert_int_equal(rd(6, 2), 0x00b8); /* INTx, capabilities, timing; no errors */
	fakevfd_cfg(&dev, 0x06, 2, 0x0010);
	assert_int_equal(rd(6, 2), 0x0010); /* live */
	assert_int_equal(rd(0x0c, 4), 0);
	wr(0x0c, 4, 0xffffffff);
	assert_int_equal(rd(0x0c, 4), 0x000000ff);
	assert_int_equal(rd(0x28, 4), 0);
	assert_int_equal(rd(0x2c, 4), 0x00018086);
	wr(0x30, 4, 0xffffffff);
	assert_int_equal(rd(0x30, 4), 0); /* no ROM, not even its size */
	wr(0x3c, 4, 0xffffff55);
	assert_int_equal(rd(0x3c, 4), 0x05040055); /* line is ours; the pin is 0 until irqs say */
}

static void refuses_bridges(void **state)
{
	fakevfd_cfg(&dev, 0x0e, 1, 0x81);
	assert_int_equal(vfio_cfg_build(&cfg, &dev.vfd, &e), -EINVAL);
	assert_non_null(strstr(e.text, "bridge"));
	memset(dev.cfg, 0xff, sizeof(dev.cfg));
	assert_int_equal(vfio_cfg_build(&cfg, &dev.vfd, &e), -ENODEV);
	dev.fail_read = -EIO;
	assert_int_equal(vfio_cfg_build(&cfg, &dev.vfd, &e), -EIO);
	dev.fail_read = 0;
	dev.region[VFIO_PCI_CONFIG_REGION_INDEX].size = 64;
	assert_int_equal(vfio_cfg_build(&cfg, &dev.vfd, &e), -EINVAL);
}

static void caps_kept_and_hidden(void **state)
{
	/* PM at 40h, VPD at 48h, MSI-X at 70h, PCIe at A0h */
	fakevfd_cfg(&dev, 0x34, 1, 0x40);
	fakevfd_cfg(&dev, 0x40, 4, 0xfff34801);
	fakevfd_cfg(&dev, 0x44, 4, 0x0000e103);
	fakevfd_cfg(&dev, 0x48, 4, 0x80047003);
	fakevfd_cfg(&dev, 0x4c, 4, 0xdeadbeef);
	build();
	assert_int_equal(rd(0x34, 1), 0x40);
	assert_int_equal(rd(0x40, 4), 0x00237001); /* links on to MSI-X; no PME, D1, D2 */
	assert_int_equal(rd(0x44, 4), 0x00000008); /* No_Soft_Reset, D0 */
	assert_int_equal(rd(0x48, 4), 0);	   /* VPD: not there, not read */
	assert_int_equal(rd(0x4c, 4), 0);
	assert_int_equal(rd(0x70, 4), 0x0002a011);
	assert_int_equal(rd(0xa0, 4), 0x00020010);
	assert_int_equal(cfg.hidden, 2); /* VPD, ARI */
	assert_int_equal(cfg.broken, 0);
	assert_int_equal(rd(0x100, 4), 0x00010003); /* DSN, and no ARI after it */
	assert_int_equal(rd(0x104, 4), 0x11223344);
	assert_int_equal(rd(0x150, 4), 0);
}

static void pcie_policy(void **state)
{
	fakevfd_cfg(&dev, 0xa0, 4, 0x00920010); /* integrated endpoint, version 2 */
	fakevfd_cfg(&dev, 0xa4, 4, 0xffffffff);
	fakevfd_cfg(&dev, 0xa8, 4, 0x003f281f);
	fakevfd_cfg(&dev, 0xac, 4, 0xffffffff);
	fakevfd_cfg(&dev, 0xc4, 4, 0xffffffff);
	build();
	assert_int_equal(rd(0xa2, 2), 0x0002); /* an endpoint, behind our root port */
	assert_int_equal(rd(0xa4, 4), 0x10008fe7);
	assert_int_equal(rd(0xa8, 4), 0x0020281f); /* of the status only "pending" */
	assert_int_equal(rd(0xac, 4), 0xfffb03ff); /* no ASPM */
	assert_int_equal(rd(0xc4, 4), 0x1f);	   /* no ARI forwarding, atomics, LTR, OBFF */
	/* Payload size and error bits stay ours; read size, no snoop, relaxed ordering go down. */
	wr(0xa8, 2, 0x50ef);
	assert_int_equal(rd(0xa8, 2), 0x50ef);
	assert_int_equal(dev.cfg[0xa8] | dev.cfg[0xa9] << 8, 0x5000 | 0x000f);
	wr(0xa8, 2, 0x8000);
	assert_int_equal(rd(0xa8, 2), 0); /* FLR is never seen, and never sent from here */
	assert_false(dev.cfg[0xa9] & 0x80);
	dev.vfd.can_reset = false;
	build();
	assert_int_equal(rd(0xa4, 4) & PCI_EXP_DEVCAP_FLR, 0);
}

/* A version 1 endpoint ends at 14h: what follows may be another capability. */
static void pcie_v1(void **state)
{
	fakevfd_cfg(&dev, 0xa0, 4, 0x0001b410);
	fakevfd_cfg(&dev, 0xb4, 4, 0x00230001); /* PM right behind it */
	build();
	assert_int_equal(cfg.pm, 0xb4);
	assert_int_equal(rd(0xc4, 4), 0);
}

static void std_chain_broken(void **state)
{
	fakevfd_cfg(&dev, 0xa0, 4, 0x00027010); /* PCIe points back at MSI-X */
	build();
	assert_int_equal(cfg.broken, 1);
	assert_int_equal(rd(0xa1, 1), 0);
	fakevfd_cfg(&dev, 0xa0, 4, 0x00020810); /* into the header */
	build();
	assert_int_equal(cfg.broken, 1);
	fakevfd_cfg(&dev, 0xa0, 4, 0x0002f810);
	fakevfd_cfg(&dev, 0xf8, 4, 0x00022011); /* MSI-X over the end, and a second one */
	build();
	assert_int_equal(cfg.msix, 0x70);
	assert_true(cfg.broken > 0);
	fakevfd_cfg(&dev, 0xa0, 4, 0x0002e010);
	fakevfd_cfg(&dev, 0xe0, 4, 0x00020011); /* a second one that would fit */
	build();
	assert_int_equal(cfg.msix, 0x70);
	assert_int_equal(cfg.broken, 1);
	assert_int_equal(rd(0xe0, 4), 0);
	fakevfd_cfg(&dev, 0xa0, 4, 0x00027410); /* a capability inside another */
	fakevfd_cfg(&dev, 0x74, 4, 0x00230001);
	build();
	assert_int_equal(cfg.pm, 0);
	assert_int_equal(cfg.broken, 1);
	fakevfd_cfg(&dev, 0xa0, 4, 0x0002fc10); /* all ones: the device has gone meanwhile */
	fakevfd_cfg(&dev, 0xfc, 4, 0xffffffff);
	build();
	assert_int_equal(rd(0xa1, 1), 0);
	fakevfd_cfg(&dev, 0x34, 1, 0xff); /* low bits are reserved: FCh */
	build();
	assert_int_equal(rd(0x34, 1), 0);
	assert_int_equal(rd(0x06, 2) & 0x10, 0);
}

static void vendor_caps(void **state)
{
	fakevfd_cfg(&dev, 0x34, 1, 0xe0);
	fakevfd_cfg(&dev, 0xe0, 4, 0x55107009);
	fakevfd_cfg(&dev, 0xec, 4, 0xcafef00d);
	build();
	assert_int_equal(rd(0xe0, 4), 0x55107009);
	assert_int_equal(rd(0xec, 4), 0xcafef00d);
	wr(0xec, 4, 0);
	assert_int_equal(rd(0xec, 4), 0xcafef00d);
	fakevfd_cfg(&dev, 0xe2, 1, 0xff); /* longer than the space: cut */
	build();
	assert_int_equal(rd(0x34, 1), 0x70);
	assert_int_equal(cfg.broken, 1);
}

static void ext_head_hidden(void **state)
{
	fakevfd_cfg(&dev, 0x100, 4, 0x14010001); /* AER, next 140h */
	fakevfd_cfg(&dev, 0x104, 4, 0x55555555);
	fakevfd_cfg(&dev, 0x140, 4, 0x16010003); /* DSN, next 160h */
	fakevfd_cfg(&dev, 0x144, 4, 0x44332211);
	fakevfd_cfg(&dev, 0x160, 4, 0x1c010010); /* SR-IOV, next 1c0h */
	fakevfd_cfg(&dev, 0x1c0, 4, 0x2000000b); /* VSEC of 32 bytes, next 200h */
	fakevfd_cfg(&dev, 0x1c4, 4, 0x02000001);
	fakevfd_cfg(&dev, 0x1dc, 4, 0x77777777);
	fakevfd_cfg(&dev, 0x200, 4, 0x0001000f); /* ATS */
	build();
	assert_int_equal(rd(0x100, 4), 0x14010000); /* a null capability that links on */
	assert_int_equal(rd(0x104, 4), 0);
	assert_int_equal(rd(0x140, 4), 0x1c010003);
	assert_int_equal(rd(0x160, 4), 0);
	assert_int_equal(rd(0x1c0, 4), 0x0000000b);
	assert_int_equal(rd(0x1dc, 4), 0x77777777);
	assert_int_equal(rd(0x200, 4), 0);
	assert_int_equal(cfg.hidden, 3);
	wr(0x160, 4, 0xffffffff);
	assert_int_equal(rd(0x160, 4), 0);
	assert_int_equal(dev.cfg_written[0x160], 0);
}

static void ext_all_hidden_or_broken(void **state)
{
	fakevfd_cfg(&dev, 0x100, 4, 0x1500000e);
	fakevfd_cfg(&dev, 0x150, 4, 0x10010010); /* and back: a cycle */
	build();
	assert_int_equal(rd(0x100, 4), 0);
	assert_int_equal(cfg.broken, 1);
	fakevfd_cfg(&dev, 0x150, 4, 0xff80000b); /* next FF8h; VSEC length 0: its header at least */
	fakevfd_cfg(&dev, 0xff8, 4, 0x0000000b);
	fakevfd_cfg(&dev, 0xffc, 4, 0x7ff00001); /* longer than config space */
	build();
	assert_int_equal(rd(0x100, 4), 0x15010000);
	assert_int_equal(rd(0x150, 4), 0x0000000b);
	assert_int_equal(cfg.broken, 1);
	fakevfd_cfg(&dev, 0x100, 4, 0xffffffff);
	build();
	assert_int_equal(rd(0x100, 4), 0);
	dev.region[VFIO_PCI_CONFIG_REGION_INDEX].size = 256;
	fakevfd_cfg(&dev, 0x100, 4, 0x00010003);
	build();
	assert_int_equal(rd(0x100, 4), 0);
}

/* Every byte, every width, all ones and zeroes: only what the table names may reach the device. */
static void hostile_writes(void **state)
{
	fakevfd_cfg(&dev, 0xa0, 4, 0x0002e010);
	fakevfd_cfg(&dev, 0xe0, 4, 0x01900005); /* MSI with 64 bits and mask, behind */
	build();
	for (unsigned int off = 0; off < 4096; off++) {
		for (unsigned int len = 1; len <= 4; len *= 2) {
			if (off % len)
				continue;
			wr(off, len, 0xffffffff);
			wr(off, len, 0);
			wr(off, len, 0xa5a5a5a5);
		}
	}
	for (unsigned int off = 0; off < 4096; off++)
		if (dev.cfg_written[off])
			assert_in_range(off, 0xa8, 0xa9); /* Device Control, by pmask */
	assert_int_equal(dev.cfg[0xa9] & 0x87, 0);	  /* no FLR, no other bits */
	vfio_cfg_reset(&cfg, &dev.vfd);
	assert_memory_equal(cfg.shadow, cfg.initial, sizeof(cfg.shadow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(header_policy, setup),
		cmocka_unit_test_setup(refuses_bridges, setup),
		cmocka_unit_test_setup(caps_kept_and_hidden, setup),
		cmocka_unit_test_setup(pcie_policy, setup),
		cmocka_unit_test_setup(pcie_v1, setup),
		cmocka_unit_test_setup(std_chain_broken, setup),
		cmocka_unit_test_setup(vendor_caps, setup),
		cmocka_unit_test_setup(ext_head_hidden, setup),
		cmocka_unit_test_setup(ext_all_hidden_or_broken, setup),
		cmocka_unit_test_setup(hostile_writes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
