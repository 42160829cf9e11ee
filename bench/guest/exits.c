// SPDX-License-Identifier: BSD-3-Clause
/*
 * Round trips out of the guest: to the hypervisor (CPUID, hypercall), to the VMM's process (a port
 * or a register that only it knows), and to an ioeventfd, which ends in the kernel.
 */
#include "bench/guest/device.h"
#include "tests/guest/nvmectl.h"

#define COM1_SCRATCH	  0x3ff
#define BATCH		  16u
#define KVM_HC_VAPIC_POLL 1 /* does nothing */
#define CLASS_ETHERNET	  0x020000
#define E1000_ID	  0x100e8086u
#define E1000_STATUS	  0x08
#define NVME_CSTS	  0x1c
#define LEGACY_NOTIFY	  16 /* of the I/O BAR (virtio 1.2, 4.1.4.10) */

/* Between two looks at the clock there are BATCH of them. */
#define EXIT_LOOP(r, one)                           \
	do {                                        \
		do {                                \
			for (int i = BATCH; i; i--) \
				one;                \
			(r)->ops += BATCH;          \
		} while (run_more((r), rdtsc()));   \
	} while (0)

/* What the loops touch, found by their setup. */
static volatile uint32_t *reg;
static struct viodev vio;
static volatile uint16_t *notify;
static uint16_t notify_port;

/* Neither depth nor size means anything here. */
static void none(struct run *r)
{
	r->depth = r->size = 0;
}

static void loop_cpuid(struct run *r)
{
	uint32_t v[4];

	EXIT_LOOP(r, cpuid(0, 0, v));
}

/* ---- hypercalls: only from ring 0, elsewhere they are refused */

static bool is_amd(void)
{
	uint32_t v[4];

	cpuid(0, 0, v);
	return v[1] == 0x68747541 || v[1] == 0x6f677948; /* "Auth", "Hygo" */
}

/* Intel's instruction, and AMD's. KVM would patch the wrong one, at the cost of a fault each. */
static void vmcall(void)
{
	uint64_t v = KVM_HC_VAPIC_POLL;

	__asm__ volatile("vmcall" : "+a"(v) : : "memory");
}

static void vmmcall(void)
{
	uint64_t v = KVM_HC_VAPIC_POLL;

	__asm__ volatile("vmmcall" : "+a"(v) : : "memory");
}

static void setup_hypercall(struct run *r)
{
	uint32_t v[4];

	none(r);
	cpuid(0x40000000, 0, v);
	if (v[1] != 0x4b4d564b || v[2] != 0x564b4d56) /* "KVMKVMKVM" */
		r->why = "the hypervisor is not KVM, whose hypercalls are known here";
	else if (ring0_emulated())
		r->why = "ring 0 is emulated on this host, and hypercalls never return there";
}

static void loop_hypercall(struct run *r)
{
	if (is_amd())
		EXIT_LOOP(r, vmmcall());
	else
		EXIT_LOOP(r, vmcall());
}

/* ---- to the VMM's process */

static void loop_pio(struct run *r)
{
	EXIT_LOOP(r, inb(COM1_SCRATCH));
}

/* A register that is read without side effects: of a controller that is emulated, else of a virtio
 * function, whose registers are always the VMM's. An assigned function would not exit. */
static void setup_mmio(struct run *r)
{
	struct pci_at a;
	volatile uint8_t *at = NULL;

	none(r);
	if (vio_find(0, 0, &vio)) {
		r->device = "virtio";
		at = vio.common + VIO_STATUS;
	} else if (pci_find(NVME_CLASS, 0xffffff, 0, &a)) {
		r->device = "nvme";
		at = pci_bar(a, 0);
		at = at ? at + NVME_CSTS : NULL;
	} else if (pci_find(CLASS_ETHERNET, 0xffffff, 0, &a) && pci_read(a, 0) == E1000_ID) {
		r->device = "e1000";
		at = pci_bar(a, 0);
		at = at ? at + E1000_STATUS : NULL;
	}
	reg = (volatile uint32_t *)at;
	if (!at)
		r->why = "there is no virtio, NVMe or e1000 function with registers in memory";
}

static void loop_mmio(struct run *r)
{
	if (r->device[0] == 'v')
		EXIT_LOOP(r, (void)*(volatile uint8_t *)reg);
	else
		EXIT_LOOP(r, (void)*reg);
}

/* ---- to an ioeventfd: the notification of a queue that is empty */

/* The device has a queue and runs, so its ioeventfds are there, but nothing is ever in the queue.
 */
static void setup_notify(struct run *r)
{
	struct vqd *q;
	unsigned int type;
	static const uint16_t types[] = { VIO_TYPE_BLK, VIO_TYPE_NET };

	none(r);
	for (type = 0; type < ARRAY_SIZE(types); type++)
		if (vio_find(types[type], 0, &vio))
			break;
	if (type == ARRAY_SIZE(types)) {
		r->why =
			"there is no virtio disk or network function, whose notifications are ioeventfds";
		return;
	}
	r->device = "virtio";
	if (!vio_features(&vio, 0, VIO_VERSION_1)) {
		r->why = "the device refuses its features";
		return;
	}
	notify = vring_start(&vio, vio.type == VIO_TYPE_NET ? 1 : 0, 0, false, &q);
	if (!notify)
		r->why = "the device has no queue";
	else
		vio_go(&vio);
}

static void loop_notify(struct run *r)
{
	uint16_t q = vio.type == VIO_TYPE_NET ? 1 : 0;

	EXIT_LOOP(r, *notify = q);
}

/* Transitional functions have the same notification in their I/O BAR. */
static void setup_notify_port(struct run *r)
{
	unsigned int bar;

	setup_notify(r);
	if (r->why)
		return;
	for (bar = 0; bar < 6; bar++) {
		uint32_t v = pci_read(vio.at, 0x10 + 4 * bar);

		if (!(v & 1) || !(v & ~3u))
			continue;
		pci_write(vio.at, 4, (pci_read(vio.at, 4) & 0xffff) | 1);
		notify_port = (uint16_t)((v & ~3u) + LEGACY_NOTIFY);
		return;
	}
	r->why = "no virtio function has a notification register in a port (modern ones have none)";
}

static void loop_notify_port(struct run *r)
{
	uint16_t q = vio.type == VIO_TYPE_NET ? 1 : 0;

	EXIT_LOOP(r, outw(notify_port, q));
}

static void finish_notify(struct run *r)
{
	if (vio.common)
		vio.common[VIO_STATUS] = 0;
}

const struct test exit_tests[] = {
	{ .name = "exit-cpuid", .setup = none, .loop = loop_cpuid, .warm = BATCH },
	{ .name = "exit-hypercall",
	  .setup = setup_hypercall,
	  .loop = loop_hypercall,
	  .warm = BATCH,
	  .ring0 = true },
	{ .name = "exit-pio-user", .setup = none, .loop = loop_pio, .warm = BATCH },
	{ .name = "exit-mmio-user", .setup = setup_mmio, .loop = loop_mmio, .warm = BATCH },
	{ .name = "exit-pio-ioeventfd",
	  .setup = setup_notify_port,
	  .loop = loop_notify_port,
	  .finish = finish_notify,
	  .warm = BATCH },
	{ .name = "exit-mmio-ioeventfd",
	  .setup = setup_notify,
	  .loop = loop_notify,
	  .finish = finish_notify,
	  .warm = BATCH },
	{ .name = NULL },
};
