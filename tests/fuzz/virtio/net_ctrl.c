// SPDX-License-Identifier: BSD-3-Clause
/* Commands of the control queue: a byte of features, a byte where the command is cut, the command.
 */
#include <string.h>
#include "virtio/net_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t off[] = { NETF(CTRL_RX), NETF(CTRL_MAC_ADDR), NETF(MQ),
					NETF(CTRL_GUEST_OFFLOADS), NETF(GUEST_CSUM) };
	uint64_t acked = net_offer(true, 4, 1500);
	struct iovec iov[2];
	struct net_cmd c;
	size_t cut;

	if (size < 2)
		return 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(off); i++)
		acked &= data[0] & 1 << i ? ~off[i] : ~0ull;
	acked = net_depend(acked);
	cut = MIN((size_t)data[1], size - 2);
	iov[0] = (struct iovec){ (void *)(uintptr_t)(data + 2), cut };
	iov[1] = (struct iovec){ (void *)(uintptr_t)(data + 2 + cut), size - 2 - cut };
	if (net_ctrl_parse(&c, iov, 2, (uint32_t)size - 2, acked))
		return 0;
	BUG_ON(c.kind == NET_CMD_PAIRS && (!(acked & NETF(MQ)) || c.val > 0xffff));
	BUG_ON(c.kind == NET_CMD_MAC && (c.val >> 48 || !c.val || c.val & 1));
	BUG_ON(c.kind == NET_CMD_OFFLOAD && (c.val & ~acked));
	return 0;
}
