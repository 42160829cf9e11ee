// SPDX-License-Identifier: BSD-3-Clause
/* The emulated e1000 with a driver made of register writes, and a socket pair in the tap's place.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/devices/devrig.h"
#include "vmm/backend/tap.h"
#include "vmm/devices/e1000/e1000_priv.h"

#define HDR   sizeof(struct virtio_net_hdr_v1)
#define RX_AT 0x10000u
#define TX_AT 0x20000u
#define BUFS  0x100000u
#define RING  16u

struct desc {
	uint64_t addr;
	uint32_t lower, upper;
};

struct card {
	struct devrig r;
	struct e1000 *d;
	int wire;
	unsigned int tail;
};

static int up(void **state, uint64_t window)
{
	static struct card c;
	struct e1000_cfg cfg = { .mac = { { 0x52, 0x54, 0, 1, 2, 3 } } };
	struct tap tap = { .name = "test", .n = 1 };
	struct net_end *end;
	int sv[2];

	memset(&c, 0, sizeof(c));
	devrig_init(&c.r);
	ev_poll_window(vm_iothread_ev(c.r.io), window);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	tap.fd[0] = sv[0];
	c.wire = sv[1];
	cfg.io = c.r.io;
	assert_int_equal(tap_end_new(sys_host(), &tap, &end), 0);
	assert_int_equal(e1000_new(sys_host(), "net0", &cfg, end, &c.r.dev), 0);
	c.d = container_of(c.r.dev, struct e1000, dev);
	devrig_add(&c.r, &c.d->fn);
	*state = &c;
	return 0;
}

static int setup(void **state)
{
	return up(state, 0);
}

static int setup_polled(void **state)
{
	return up(state, VM_IO_POLL_MAX_NS);
}

static int teardown(void **state)
{
	struct card *c = *state;

	devrig_fini(&c->r);
	close(c->wire);
	return 0;
}

static void rings_on(struct card *c)
{
	wr(&c->r, E1000_TDBAL, TX_AT);
	wr(&c->r, E1000_TDLEN, RING * 16);
	wr(&c->r, E1000_TCTL, 2);
	wr(&c->r, E1000_RDBAL, RX_AT);
	wr(&c->r, E1000_RDLEN, RING * 16);
	wr(&c->r, E1000_RCTL, 0x8002); /* enable, broadcasts, 2048 byte buffers */
}

static void tx_put(struct card *c, uint64_t addr, uint32_t lower, uint32_t upper)
{
	struct desc *d = ram(&c->r, TX_AT + 16 * c->tail);

	*d = (struct desc){ addr, lower, upper };
	c->tail = (c->tail + 1) % RING;
}

/* A frame as it left on the wire; its length. */
static ssize_t sent(struct card *c, void *buf, size_t size)
{
	struct pollfd p = { .fd = c->wire, .events = POLLIN };

	if (poll(&p, 1, 2000) != 1)
		return 0;
	return read(c->wire, buf, size);
}

static void test_eeprom_mac(void **state)
{
	struct card *c = *state;
	uint16_t sum = 0;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		wr(&c->r, E1000_EERD, i << 8 | 1);
		assert_true(rd(&c->r, E1000_EERD) & 0x10);
		sum = (uint16_t)(sum + (rd(&c->r, E1000_EERD) >> 16));
	}
	assert_int_equal(sum, 0xbaba);
	wr(&c->r, E1000_EERD, 1);
	assert_int_equal(rd(&c->r, E1000_EERD) >> 16, 0x5452);
	assert_int_equal(rd(&c->r, E1000_RA), 0x01005452);
}

static void ee_clock(struct card *c, uint32_t pins)
{
	wr(&c->r, E1000_EECD, pins);
	wr(&c->r, E1000_EECD, pins | 1);
	wr(&c->r, E1000_EECD, pins);
}

/* As the driver reads a word: opcode 110b and six address bits, then sixteen bits out. */
static uint16_t ee_read(struct card *c, unsigned int word)
{
	unsigned int cmd = 6u << 6 | word, i;
	uint16_t v = 0;

	wr(&c->r, E1000_EECD, 0x40);
	assert_true(rd(&c->r, E1000_EECD) & 0x80);
	for (i = 9; i--;)
		ee_clock(c, 0x42u | (cmd >> i & 1) << 2);
	for (i = 0; i < 16; i++) {
		wr(&c->r, E1000_EECD, 0x43);
		v = (uint16_t)(v << 1 | (rd(&c->r, E1000_EECD) >> 3 & 1));
		wr(&c->r, E1000_EECD, 0x42);
	}
	wr(&c->r, E1000_EECD, 0);
	return v;
}

static void test_microwire(void **state)
{
	struct card *c = *state;
	unsigned int i;

	for (i = 0; i < 64; i++)
		assert_int_equal(ee_read(c, i), c->d->eeprom[i]);
}

static void test_phy(void **state)
{
	struct card *c = *state;

	wr(&c->r, E1000_MDIC, 2u << 26 | 1 << 21 | 2 << 16);
	assert_int_equal(rd(&c->r, E1000_MDIC) & 0xffff, 0x0141);
	wr(&c->r, E1000_MDIC, 2u << 26 | 7 << 21 | 2 << 16);
	assert_true(rd(&c->r, E1000_MDIC) & 0x40000000); /* nobody at that address */
	wr(&c->r, E1000_MDIC, 1u << 26 | 1 << 21 | 4 << 16 | 0x1234);
	wr(&c->r, E1000_MDIC, 2u << 26 | 1 << 21 | 4 << 16);
	assert_int_equal(rd(&c->r, E1000_MDIC) & 0xffff, 0x1234);
}

static void test_tx(void **state)
{
	struct card *c = *state;
	uint8_t buf[2048], *f = ram(&c->r, BUFS);

	rings_on(c);
	memset(f, 0x5a, 100);
	tx_put(c, BUFS, 40 | 0, 0); /* two pieces */
	tx_put(c, BUFS + 40, 60 | 0x09u << 24, 0);
	wr(&c->r, E1000_TDT, c->tail);
	assert_int_equal(sent(c, buf, sizeof(buf)), HDR + 100);
	assert_memory_equal(buf + HDR, f, 100);
	devrig_settle(&c->r);
	assert_int_equal(((struct desc *)ram(&c->r, TX_AT + 16))->upper & 1, 1);
	assert_int_equal(((struct desc *)ram(&c->r, TX_AT))->upper & 1, 0); /* did not ask */
	assert_int_equal(rd(&c->r, E1000_TDH), 2);
	assert_true(rd(&c->r, E1000_ICR) & E1000_I_TXDW);
	assert_int_equal(rd(&c->r, E1000_GPTC), 1);
	assert_int_equal(rd(&c->r, E1000_GPTC), 0); /* cleared by reading */
}

/* A large IPv4 TCP send: lengths are completed, the kernel is asked for segments. */
static void test_tso(void **state)
{
	struct card *c = *state;
	uint8_t buf[8192], *f = ram(&c->r, BUFS);
	struct virtio_net_hdr_v1 h;

	rings_on(c);
	memset(f, 0, 4000);
	f[12] = 8;
	f[14] = 0x45;
	f[23] = 6;
	f[46] = 0x50;
	tx_put(c, 14 | 24 << 8 | 33u << 16 | 34ull << 32 | 50ull << 40,
	       (4000 - 54) | 0u << 20 | 0x27u << 24, 54u << 8 | 1448u << 16);
	tx_put(c, BUFS, 4000 | 1u << 20 | (0x20u | 0x04 | 0x09) << 24, 3u << 8);
	wr(&c->r, E1000_TDT, c->tail);
	assert_int_equal(sent(c, buf, sizeof(buf)), HDR + 4000);
	memcpy(&h, buf, HDR);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1448);
	assert_int_equal(h.hdr_len, 54);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	assert_int_equal(buf[HDR + 16] << 8 | buf[HDR + 17], 3986);
	/* pseudo-header: what was there (0) and the TCP length */
	assert_int_equal(buf[HDR + 50] << 8 | buf[HDR + 51], 3966);
	assert_int_equal((buf[HDR + 24] << 8 | buf[HDR + 25]) + 0x4500 + 3986 + 6, 0xffff);
}

static void rx_give(struct card *c, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < RING; i++)
		*(struct desc *)ram(&c->r, RX_AT + 16 * i) =
			(struct desc){ BUFS + 0x10000 + 2048 * i, 0, 0 };
	wr(&c->r, E1000_RDT, n);
}

static void arrive(struct card *c, const uint8_t *dst, size_t len, uint8_t fill)
{
	uint8_t buf[HDR + 4000];

	memset(buf, 0, HDR);
	memset(buf + HDR, fill, len);
	memcpy(buf + HDR, dst, 6);
	assert_int_equal(write(c->wire, buf, HDR + len), HDR + len);
}

/* Waits until the head moved to at; the deadline is only for a card that is broken. */
static void head_at(struct card *c, uint32_t at)
{
	unsigned int i;

	for (i = 0; i < 2000 && rd(&c->r, E1000_RDH) != at; i++)
		usleep(1000);
	assert_int_equal(rd(&c->r, E1000_RDH), at);
}

static void test_rx(void **state)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t other[6] = { 2, 2, 2, 2, 2, 2 };
	struct card *c = *state;
	struct desc *d;

	rings_on(c);
	arrive(c, all, 100, 0x77); /* before there is a buffer: it waits */
	devrig_settle(&c->r);
	assert_int_equal(rd(&c->r, E1000_RDH), 0);
	rx_give(c, 8);
	head_at(c, 1);
	d = ram(&c->r, RX_AT);
	assert_int_equal(d->lower & 0xffff, 104); /* with a CRC */
	assert_int_equal(d->upper & 0xff, 0x07);  /* done, end, no checksum */
	assert_int_equal(((uint8_t *)ram(&c->r, BUFS + 0x10000))[50], 0x77);
	assert_true(rd(&c->r, E1000_ICR) & E1000_I_RXT0);
	arrive(c, other, 100, 1);      /* not for us */
	arrive(c, c->d->mac.b, 30, 2); /* short: padded */
	head_at(c, 2);
	d = ram(&c->r, RX_AT + 16);
	assert_int_equal(d->lower & 0xffff, 64);
	wr(&c->r, E1000_RCTL, 0x802a); /* long frames and promiscuous */
	arrive(c, other, 3000, 3);     /* two buffers */
	head_at(c, 4);
	d = ram(&c->r, RX_AT + 32);
	assert_int_equal(d[0].upper & 2, 0);
	assert_int_equal(d[1].upper & 2, 2);
	assert_int_equal((d[0].lower & 0xffff) + (d[1].lower & 0xffff), 3004);
}

/* Nothing in memory changes while the card stands still, for either reason; nothing is lost. */
static void still(struct card *c, bool pause, bool on)
{
	if (pause)
		assert_int_equal(c->r.dev->ops->quiesce(c->r.dev, on), 0);
	else
		devrig_master(&c->r, !on);
}

static void test_still(void **state)
{
	struct card *c = *state;
	uint8_t buf[2048];

	rings_on(c);
	rx_give(c, 8);
	for (unsigned int i = 0; i < 4; i++) {
		tx_put(c, BUFS, 40, 0); /* the first half of a frame */
		wr(&c->r, E1000_TDT, c->tail);
		devrig_settle(&c->r);
		still(c, i & 1, true);
		if (i & 2) /* both reasons: it takes both to end */
			still(c, !(i & 1), true);
		tx_put(c, BUFS + 40, 60 | 0x09u << 24, 0);
		wr(&c->r, E1000_TDT, c->tail);
		arrive(c, c->d->mac.b, 100, i);
		devrig_settle(&c->r);
		if (i & 2)
			still(c, !(i & 1), false);
		assert_int_equal(rd(&c->r, E1000_TDH), 2 * i + 1);
		assert_int_equal(rd(&c->r, E1000_RDH), i);
		assert_int_equal(read(c->wire, buf, sizeof(buf)), -1);
		still(c, i & 1, false);
		assert_int_equal(sent(c, buf, sizeof(buf)), HDR + 100);
		head_at(c, i + 1);
		assert_int_equal(((uint8_t *)ram(&c->r, BUFS + 0x10000 + 2048 * i))[50], i);
	}
}

/* Bus mastering flickers under a stream: all frames leave, in order. */
static void test_flicker(void **state)
{
	struct card *c = *state;
	uint8_t buf[2048];

	rings_on(c);
	for (unsigned int i = 0; i < 400; i++) {
		uint8_t *f = ram(&c->r, BUFS + 2048 * c->tail);

		memset(f, (int)(i & 0xff), 64);
		tx_put(c, BUFS + 2048 * c->tail, 64 | 0x09u << 24, 0);
		devrig_master(&c->r, i % 3);
		wr(&c->r, E1000_TDT, c->tail);
		devrig_master(&c->r, i % 5);
		if (i % 8 != 7)
			continue;
		devrig_master(&c->r, true);
		for (unsigned int k = i - 7; k <= i; k++) {
			assert_int_equal(sent(c, buf, sizeof(buf)), HDR + 64);
			assert_int_equal(buf[HDR + 20], k & 0xff);
		}
	}
}

/* A buffer at a time, given when its frame may or may not have been seen to have none. */
static void test_rx_by_ones(void **state)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	struct card *c = *state;
	unsigned int i;

	rings_on(c);
	rx_give(c, 0);
	for (i = 1; i <= 2000; i++) {
		arrive(c, all, 100, (uint8_t)i);
		for (volatile unsigned int k = 0; k < i * 7919 % 16384; k++)
			;
		wr(&c->r, E1000_RDT, i % RING);
		while (rd(&c->r, E1000_RDH) != i % RING)
			sched_yield(); /* a lost one ends in the test's time limit */
		assert_int_equal(
			((uint8_t *)ram(&c->r, BUFS + 0x10000 + 2048 * ((i - 1) % RING)))[50],
			(uint8_t)i);
	}
}

/* The level: raised once, and again at the EOI while a cause is pending. */
static void test_interrupt(void **state)
{
	struct card *c = *state;
	uint64_t v;

	assert_int_equal(read(c->d->irq, &v, sizeof(v)), -1);
	wr(&c->r, E1000_ICS, 4);
	assert_int_equal(read(c->d->irq, &v, sizeof(v)), -1); /* masked */
	wr(&c->r, E1000_IMS, 4);
	assert_int_equal(read(c->d->irq, &v, sizeof(v)), 8);
	wr(&c->r, E1000_ICS, 4);
	assert_int_equal(read(c->d->irq, &v, sizeof(v)), -1); /* it is up */
	v = 1;
	assert_int_equal(write(c->d->resample, &v, sizeof(v)), 8); /* EOI without reading ICR */
	while (read(c->d->irq, &v, sizeof(v)) != 8)
		usleep(1000);
	assert_int_equal(rd(&c->r, E1000_ICR), 4);
	v = 1;
	assert_int_equal(write(c->d->resample, &v, sizeof(v)), 8);
	while (atomic_load(&c->d->asserted))
		usleep(1000);
	assert_int_equal(read(c->d->irq, &v, sizeof(v)), -1);
}

/* Nothing the driver writes takes the card down, and a reset brings it back. */
static void test_hostile(void **state)
{
	static const uint32_t values[] = { 0, 1, 0x7f, 0xfff0, 0x80000000, 0xffffffff, 0x3ffffff };
	struct card *c = *state;
	uint64_t v;
	unsigned int r, i;

	rings_on(c);
	for (i = 0; i < RING; i++)
		*(struct desc *)ram(&c->r, TX_AT + 16 * i) =
			(struct desc){ ~0ull - i, 0x29ffffff | i << 28, 0xffffffff };
	wr(&c->r, E1000_TDT, 15);
	devrig_settle(&c->r);
	for (r = 0; r < 0x6000; r += 4)
		for (i = 0; i < ARRAY_SIZE(values); i++)
			wr(&c->r, r, values[i]);
	for (i = 1; i < 16; i++) {
		vm_bus_write(&c->r.b.vm->mmio, c->r.base + i, i % 8 + 1, 0);
		vm_bus_read(&c->r.b.vm->mmio, c->r.base + 0x1fff0 + i, 1, &v);
	}
	devrig_settle(&c->r);
	wr(&c->r, E1000_CTRL, E1000_CTRL_RST);
	c->tail = 0;
	test_tx(state);
}

static void test_io_window(void **state)
{
	struct card *c = *state;
	uint64_t v, port = c->d->fn.bar[2].at;

	vm_bus_write(&c->r.b.vm->pio, port, 4, E1000_ITR);
	vm_bus_write(&c->r.b.vm->pio, port + 4, 4, 0x55);
	assert_int_equal(rd(&c->r, E1000_ITR), 0x55);
	vm_bus_write(&c->r.b.vm->pio, port, 4, E1000_CTRL);
	vm_bus_write(&c->r.b.vm->pio, port + 4, 4, E1000_CTRL_RST);
	assert_int_equal(rd(&c->r, E1000_ITR), 0);
	vm_bus_write(&c->r.b.vm->pio, port, 4, E1000_STATUS);
	vm_bus_read(&c->r.b.vm->pio, port + 4, 4, &v);
	assert_int_equal(v, rd(&c->r, E1000_STATUS));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define P(name)                                                       \
	{                                                             \
#name " (polled)", name, setup_polled, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_eeprom_mac), T(test_microwire), T(test_phy),	  T(test_tx),
		T(test_tso),	    T(test_rx),	       T(test_interrupt), T(test_hostile),
		T(test_io_window),  T(test_still),     T(test_flicker),	  T(test_rx_by_ones),
		P(test_tx),	    P(test_tso),       P(test_rx),	  P(test_hostile),
		P(test_rx_by_ones), P(test_still),     P(test_flicker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
