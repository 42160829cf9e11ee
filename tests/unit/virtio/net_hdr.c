// SPDX-License-Identifier: BSD-3-Clause
/* Features, packet headers and control commands, each as a table of what is and is not accepted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/virtio/netrig.h"

#define ALL net_offer(true, 4, 1500)

static void features(void **state)
{
	uint64_t f = ALL;

	assert_true(f & NETF(MQ) && f & NETF(MTU) && f & NETF(HOST_USO) && f & VIO_F_PACKED);
	assert_true(net_depend(f) == f);
	assert_false(net_offer(true, 1, 1500) & NETF(MQ));
	assert_false(net_offer(true, 1, 67) & NETF(MTU));
	assert_false(net_offer(false, 1, 1500) &
		     (NETF(HOST_USO) | NETF(GUEST_USO4) | NETF(GUEST_USO6)));
	f = net_depend(ALL & ~NETF(CSUM));
	assert_false(f & (NETF(HOST_TSO4) | NETF(HOST_TSO6) | NETF(HOST_ECN) | NETF(HOST_USO)));
	assert_true(f & NETF(GUEST_TSO4));
	f = net_depend(ALL & ~NETF(GUEST_CSUM));
	assert_false(f & (NETF(GUEST_TSO4) | NETF(GUEST_TSO6) | NETF(GUEST_ECN) | NETF(GUEST_USO4) |
			  NETF(GUEST_USO6)));
	f = net_depend(ALL & ~NETF(CTRL_VQ));
	assert_false(f & (NETF(MQ) | NETF(CTRL_RX) | NETF(CTRL_MAC_ADDR)));
	assert_false(net_depend(ALL & ~(NETF(GUEST_TSO4) | NETF(GUEST_TSO6))) & NETF(GUEST_ECN));
	assert_int_equal(net_offloads(ALL), 31);
	assert_int_equal(net_offloads(ALL & ~NETF(GUEST_USO6)), 15);
	assert_int_equal(net_offloads(ALL & ~NETF(GUEST_CSUM)), 0);
}

#define H(f, g, hl, gs, cs, co)                 \
	{                                       \
		f, g, hl, gs, { { cs, co } }, 7 \
	}

static void tx_headers(void **state)
{
	static const struct {
		struct virtio_net_hdr_v1 h;
		uint32_t frame;
		enum net_drop want;
		uint64_t without;
	} t[] = {
		{ H(0, 0, 0, 0, 0, 0), 14, NET_OK, 0 },
		{ H(0, 0, 0, 0, 0, 0), 13, NET_DROP_SHORT, 0 },
		{ H(0, 0, 0, 0, 0, 0), NET_FRAME_MAX, NET_OK, 0 },
		{ H(0, 0, 0, 0, 0, 0), NET_FRAME_MAX + 1, NET_DROP_LONG, 0 },
		/* what has no meaning is not looked at */
		{ H(0xfe, 0, 65535, 65535, 65535, 65535), 60, NET_OK, 0 },
		/* checksums */
		{ H(1, 0, 0, 0, 34, 16), 60, NET_OK, 0 },
		{ H(1, 0, 0, 0, 34, 16), 60, NET_DROP_CSUM, NETF(CSUM) },
		{ H(1, 0, 0, 0, 34, 24), 60, NET_OK, 0 },
		{ H(1, 0, 0, 0, 34, 25), 60, NET_DROP_CSUM, 0 },
		{ H(1, 0, 0, 0, 13, 16), 60, NET_DROP_CSUM, 0 },
		{ H(1, 0, 0, 0, 65535, 65535), 60, NET_DROP_CSUM, 0 },
		{ H(1, 0, 0, 0, 34, 65520), 60, NET_DROP_CSUM, 0 },
		/* TCP segments */
		{ H(1, 1, 54, 1448, 34, 16), 3000, NET_OK, 0 },
		{ H(1, 1, 54, 1448, 34, 16), 3000, NET_DROP_GSO, NETF(HOST_TSO4) },
		{ H(1, 1, 54, 1448, 34, 16), 3000, NET_DROP_CSUM, NETF(CSUM) },
		{ H(0, 1, 54, 1448, 34, 16), 3000, NET_DROP_GSO, 0 },
		{ H(1, 1, 54, 7, 34, 16), 3000, NET_DROP_GSO, 0 },
		{ H(1, 1, 54, 0, 34, 16), 3000, NET_DROP_GSO, 0 },
		{ H(1, 1, 3001, 1448, 34, 16), 3000, NET_DROP_GSO, 0 },
		{ H(1, 1, 54, 1448, 34, 6), 3000, NET_DROP_GSO, 0 },
		{ H(1, 1, 54, 1448, 34, 16), 54, NET_DROP_GSO, 0 },
		{ H(1, 1, 55, 1448, 34, 16), 55, NET_OK, 0 },
		{ H(1, 0x81, 54, 1448, 34, 16), 3000, NET_OK, 0 },
		{ H(1, 0x81, 54, 1448, 34, 16), 3000, NET_DROP_GSO, NETF(HOST_ECN) },
		{ H(1, 4, 74, 1428, 54, 16), 3000, NET_OK, 0 },
		{ H(1, 4, 74, 1428, 54, 16), 3000, NET_DROP_GSO, NETF(HOST_TSO6) },
		/* UDP segments, at most 128 of them */
		{ H(1, 5, 42, 1000, 34, 6), 3000, NET_OK, 0 },
		{ H(1, 5, 42, 1000, 34, 6), 3000, NET_DROP_GSO, NETF(HOST_USO) },
		{ H(1, 0x85, 42, 1000, 34, 6), 3000, NET_DROP_GSO, 0 },
		{ H(1, 5, 42, 1, 34, 6), 42 + 128, NET_OK, 0 },
		{ H(1, 5, 42, 1, 34, 6), 42 + 129, NET_DROP_GSO, 0 },
		{ H(1, 5, 42, 0, 34, 6), 100, NET_DROP_GSO, 0 },
		{ H(1, 5, 42, 100, 34, 16), 3000, NET_DROP_GSO, 0 },
		/* the others: fragments, and what is not known */
		{ H(1, 3, 42, 1000, 34, 6), 3000, NET_DROP_GSO, 0 },
		{ H(1, 2, 42, 1000, 34, 6), 3000, NET_DROP_GSO, 0 },
		{ H(1, 0x80, 42, 1000, 34, 16), 3000, NET_DROP_GSO, 0 },
		{ H(1, 0x7f, 42, 1000, 34, 16), 3000, NET_DROP_GSO, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(t); i++) {
		struct virtio_net_hdr_v1 h = t[i].h;
		enum net_drop got = net_tx_check(&h, t[i].frame, net_depend(ALL & ~t[i].without));

		if (got != t[i].want)
			fail_msg("header %u: %d, wanted %d", i, got, t[i].want);
		if (got != NET_OK)
			continue;
		assert_int_equal(h.flags, t[i].h.flags & 1);
		assert_int_equal(h.num_buffers, 0);
		assert_int_equal(h.csum_start, t[i].h.flags & 1 ? t[i].h.csum_start : 0);
		assert_int_equal(h.gso_size, t[i].h.gso_type ? t[i].h.gso_size : 0);
		assert_true(h.hdr_len <= t[i].frame);
	}
}

static void rx_headers(void **state)
{
	struct virtio_net_hdr_v1 h = H(1, 1, 54, 1448, 34, 16);

	assert_int_equal(net_rx_check(&h, TAP_CSUM | TAP_TSO4), NET_OK);
	assert_int_equal(net_rx_check(&h, TAP_CSUM | TAP_TSO6), NET_DROP_OFFLOAD);
	assert_int_equal(net_rx_check(&h, 0), NET_DROP_OFFLOAD);
	h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(net_rx_check(&h, TAP_CSUM | TAP_TSO4), NET_DROP_OFFLOAD);
	assert_int_equal(net_rx_check(&h, TAP_CSUM | TAP_TSO4 | TAP_ECN), NET_OK);
	h.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	assert_int_equal(net_rx_check(&h, TAP_CSUM | TAP_USO), NET_OK);
	h.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	assert_int_equal(net_rx_check(&h, 31), NET_DROP_OFFLOAD);
	/* A valid checksum is news that only a guest that asked may get. */
	h = (struct virtio_net_hdr_v1)H(VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, 0, 0);
	assert_int_equal(net_rx_check(&h, TAP_CSUM), NET_OK);
	assert_int_equal(h.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(net_rx_check(&h, 0), NET_OK);
	assert_int_equal(h.flags, 0);
}

static void cut(void **state)
{
	uint8_t b[40];
	struct iovec iov[4] = { { b, 5 }, { b + 5, 7 }, { b + 12, 8 }, { b + 20, 20 } }, save[12];
	unsigned int n;

	assert_int_equal(net_iov_cut(iov, 4, 12, save, &n), 2);
	assert_int_equal(n, 2);
	assert_ptr_equal(iov[2].iov_base, b + 12);
	assert_int_equal(net_iov_cut(iov + 2, 2, 12, save, &n), 1);
	assert_int_equal(n, 2);
	assert_int_equal(save[1].iov_len, 4);
	assert_ptr_equal(iov[3].iov_base, b + 24);
	assert_int_equal(iov[3].iov_len, 16);
	iov[0] = (struct iovec){ b, 12 };
	assert_int_equal(net_iov_cut(iov, 1, 12, save, &n), 1); /* nothing left */
}

static int parse(struct net_cmd *out, uint64_t acked, const void *bytes, uint32_t len)
{
	uint8_t *copy = malloc(len + 1);
	struct iovec iov[2] = { { copy, len / 2 }, { copy + len / 2, len - len / 2 } };
	int rc;

	/* In two pieces, wherever that cuts it. */
	memcpy(copy, bytes, len);
	rc = net_ctrl_parse(out, iov, 2, len, acked);
	free(copy);
	return rc;
}

#define PARSE(acked, ...)                                        \
	({                                                       \
		static const uint8_t bytes_[] = { __VA_ARGS__ }; \
		parse(&c, acked, bytes_, sizeof(bytes_));        \
	})

static void commands(void **state)
{
	struct net_cmd c;

	assert_int_equal(parse(&c, ALL, "", 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 0, 0, 1), 0);
	assert_int_equal(c.kind, NET_CMD_IGNORE);
	assert_int_equal(PARSE(ALL, 0, 1, 0), 0);
	assert_int_equal(PARSE(ALL, 0, 2, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL & ~NETF(CTRL_RX), 0, 0, 1), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 1, 0x52, 1, 2, 3, 4, 5), 0);
	assert_int_equal(c.kind, NET_CMD_MAC);
	assert_true(c.val == 0x050403020152);
	assert_int_equal(PARSE(ALL, 1, 1, 0x52, 1, 2, 3, 4), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 1, 0x53, 1, 2, 3, 4, 5), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 1, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL & ~NETF(CTRL_MAC_ADDR), 1, 1, 0x52, 1, 2, 3, 4, 5), -EINVAL);
	assert_int_equal(PARSE(ALL, 4, 0, 3, 0), 0);
	assert_true(c.kind == NET_CMD_PAIRS && c.val == 3);
	assert_int_equal(PARSE(ALL, 4, 0, 3), -EINVAL);
	assert_int_equal(PARSE(ALL, 4, 1, 3, 0), -EINVAL);
	assert_int_equal(PARSE(ALL & ~NETF(MQ), 4, 0, 3, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0), 0);
	assert_true(c.kind == NET_CMD_OFFLOAD && c.val == NETF(GUEST_CSUM));
	assert_int_equal(PARSE(ALL, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL & ~NETF(GUEST_TSO4), 5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 5, 0, 2, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 2, 0, 1, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 255, 255, 255), -EINVAL);
}

static void tables(void **state)
{
	struct net_cmd c;

	assert_int_equal(PARSE(ALL, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(c.kind, NET_CMD_IGNORE);
	assert_int_equal(PARSE(ALL, 1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0), 0);
	assert_int_equal(PARSE(ALL, 1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0), -EINVAL);
	/* 6 * 0x2aaaaaab wraps 32 bits to 2 */
	assert_int_equal(PARSE(ALL, 1, 0, 0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL, 1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(PARSE(ALL & ~NETF(CTRL_RX), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features),   cmocka_unit_test(tx_headers),
		cmocka_unit_test(rx_headers), cmocka_unit_test(cut),
		cmocka_unit_test(commands),   cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
