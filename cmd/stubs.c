// SPDX-License-Identifier: BSD-3-Clause
/* Devices that are still on their way: refused until the real ones take these places. */
#include <errno.h>

#include "virtio/net.h"

#define LATER __attribute__((weak))

LATER int vio_net_new(struct sys *s, const char *id, const struct vio_net_cfg *c,
		      struct vm_dev **out, struct err *e)
{
	return err_set(e, -ENOSYS, "virtio network ports are not in this build");
}

LATER void vio_net_link(struct vm_dev *d, bool up)
{
}

LATER void vio_net_count(struct vm_dev *d, unsigned int queue, struct vio_count *out)
{
	*out = (struct vio_count){ 0 };
}
