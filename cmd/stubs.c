// SPDX-License-Identifier: BSD-3-Clause
/* Devices that are still on their way: refused until the real ones take these places. */
#include <errno.h>

#include "virtio/blk.h"
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

LATER int vio_blk_new(struct sys *s, const char *id, const struct vio_blk_cfg *c,
		      struct vm_dev **out, struct err *e)
{
	return err_set(e, -ENOSYS, "virtio disks are not in this build");
}

LATER int vio_blk_resize(struct vm_dev *d, struct err *e)
{
	return 0;
}

LATER void vio_blk_count(struct vm_dev *d, unsigned int queue, struct blkq_count *out)
{
	*out = (struct blkq_count){ 0 };
}
